"""Sums of scores: what weighs how much, and that one sum and K + 1 numbers a stored vector make the score."""

import numpy as np
import pytest
import torch

from models.blend import LIGHT, Blend, Fitted
from models.folds import Folds
from models.lengths import unit
from models.measures import ranks
from models.scores import Score, scores_for, similarities
from models.whitened import Whitened

SCORES = (Score("plain"), Score("centred"), Score("canonical", 1.0), Score("centred", csls=True))
SHAPES = [(60, 8, 8), (60, 8, 5), (12, 20, 24), (12, 24, 5)]

every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def losses(*means, error=0.1, rows=100):
    """(s, m) of scores with these means; their differences to the first have the same standard error."""
    noise = error * rows**0.5 * torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(rows // 2)
    return torch.stack([mean + (noise if number else 0 * noise) for number, mean in enumerate(means)])


@pytest.fixture
def settled(normal):
    def settle(n, d1, d2):
        shared, mixed = normal(n + 30, 4), (normal(4, d1), normal(4, d2))
        x, y = (shared @ mix + 0.5 * normal(n + 30, mix.shape[1]) + normal(mix.shape[1]) for mix in mixed)
        method, folds = Whitened(), Folds(x[:n], y[:n], 0)
        return method, folds, method.settle(folds), x[n:], y[n:]

    return settle


def everything(trial):
    """A sum of all scores that a trial has, each with a weight of its own."""
    scores = tuple(scores_for(trial))
    weights = torch.arange(1, len(scores) + 1).double()
    return Blend(scores, tuple((weights / weights.sum()).tolist()))


def test_weights_fall_with_the_excess_over_its_standard_error():
    table = losses(2.0, 2.1, 2.2)[[1, 0, 2]]  # the simplest is not the best
    blend = Blend.weighted(SCORES[:3], table)
    excess = (table - table[1]).numpy()
    error = np.median(excess.std(1)[excess.std(1) > 0] / 10)
    expected = np.exp(-excess.mean(1) / error)
    assert blend.scores == (SCORES[1], SCORES[0], SCORES[2])
    np.testing.assert_allclose(blend.weights, (expected / expected.sum())[[1, 0, 2]], rtol=1e-6)


def test_a_score_that_is_surely_worse_has_no_part():
    blend = Blend.weighted(SCORES[:3], losses(2.05, 2.0, 9.0))
    assert blend.scores == (SCORES[1], SCORES[0])
    assert min(blend.weights) >= LIGHT * max(blend.weights)


def test_the_simplest_stands_alone_where_it_is_as_good():
    assert Blend.weighted(SCORES, losses(2.0, 2.0, 1.9999, 2.0)) == Blend((SCORES[0],), (1.0,))
    assert len(Blend.weighted(SCORES, losses(2.01, 2.0, 2.0, 2.0)).scores) == len(SCORES)


def test_of_a_single_row_the_best_alone_is_taken():
    table = torch.tensor([[3.0], [1.0], [2.0], [1.5]])
    assert Blend.weighted(SCORES, table) == Blend((SCORES[1],), (1.0,))


def test_a_sum_is_named_by_its_heaviest():
    assert Blend(SCORES[:1], (1.0,)).name == "plain cosine"
    assert Blend(SCORES, (0.4, 0.3, 0.2, 0.1)).name == "plain cosine + 3 more"


def test_a_sum_is_made_again_from_its_dictionary():
    blend = Blend(SCORES, (0.4, 0.3, 0.2, 0.1))
    assert Blend.of_dict(blend.to_dict()) == blend
    assert blend.to_dict()["name"] == blend.name


def test_held_out_rows_are_compared_by_the_weighted_sum(settled):
    trial = settled(60, 8, 8)[2]
    blend = Blend(SCORES, (0.4, 0.3, 0.2, 0.1))
    parts = similarities(trial, SCORES)
    expected = sum(weight * part for weight, part in zip(blend.weights, parts, strict=True))
    torch.testing.assert_close(blend.of(trial), expected)
    tried = [*reversed(SCORES), Score("whitened")]
    torch.testing.assert_close(blend.sum(similarities(trial, tried), tried), expected)


@every_shape
def test_a_fitted_sum_is_the_sum_of_the_fitted(shape, settled):
    method, folds, trial, x, y = settled(*shape)
    blend, basis, translated = everything(trial), folds.basis_of(trial.predicted), method.transform(x)
    alone = [Blend((score,), (1.0,)).fit(trial, basis)(translated, y) for score in blend.scores]
    expected = sum(weight * part for weight, part in zip(blend.weights, alone, strict=True))
    torch.testing.assert_close(blend.fit(trial, basis)(translated, y), expected)


@every_shape
def test_products_and_a_few_numbers_a_stored_vector_give_the_score(shape, settled):
    method, folds, trial, x, y = settled(*shape)
    fitted, translated = everything(trial).fit(trial, folds.basis_of(trial.predicted)), method.transform(x)
    scales, hubness = fitted.scalars(y)
    found = -hubness.expand(len(x), -1)
    for part, mean in enumerate(fitted.means):
        found = found + fitted.fold(translated)[:, part] @ (y - mean).T * scales[:, part]
    torch.testing.assert_close(found, fitted(translated, y), atol=1e-9, rtol=0)


def test_scores_in_the_same_directions_are_one_part(settled):
    _, folds, trial, _, y = settled(60, 8, 8)
    blend = Blend((Score("centred"), Score("centred", csls=True), Score("plain")), (0.5, 0.3, 0.2))
    fitted = blend.fit(trial, folds.basis_of(trial.predicted))
    weights = [(part.cosine, part.hubs) for part in fitted.parts]
    assert weights == [(pytest.approx(1.1), pytest.approx(0.3)), (pytest.approx(0.2), 0.0)]
    assert fitted.scalars(y)[0].shape == (30, 2)


def test_scores_that_differ_in_strength_alone_share_their_directions(settled):
    method, folds, trial, x, y = settled(60, 8, 8)
    scores = *(Score("canonical", power) for power in (0.0, 1.0, 3.0)), Score("whitened")
    fitted = Blend(scores, (0.4, 0.3, 0.2, 0.1)).fit(trial, folds.basis_of(trial.predicted))
    stored = fitted.tensors()
    for one in (fitted, Fitted.of_tensors(stored)):
        assert [part.directions is one.parts[0].directions for part in one.parts] == [True, True, True, False]
    assert sum(name.endswith(".projection") for name in stored) == 2
    apart = {"weights": stored["weights"], "sample": stored["sample"]}  # as it was stored once
    for number, part in enumerate(fitted.parts):
        apart |= {f"{number}.mean": part.mean, f"{number}.projection": part.weighted(part.directions)}
    older, translated = Fitted.of_tensors(apart), method.transform(x)
    torch.testing.assert_close(older(translated, y), fitted(translated, y), atol=1e-6, rtol=0)
    torch.testing.assert_close(older.fold(translated), fitted.fold(translated), atol=1e-6, rtol=1e-6)


@every_shape
def test_what_is_stored_makes_the_same_sum_again(shape, settled):
    method, folds, trial, x, y = settled(*shape)
    fitted = everything(trial).fit(trial, folds.basis_of(trial.predicted))
    stored = fitted.tensors()
    assert all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in stored.values())
    similarity = Fitted.of_tensors(stored)(method.transform(x).float(), y.float())
    torch.testing.assert_close(similarity.double(), fitted(method.transform(x), y), atol=1e-4, rtol=0)


def test_where_every_score_is_rough_their_sum_finds_more(normal):
    """Two scores of the same signal with noise of their own: their sum has the same signal and less noise."""
    signal = 2.5 * torch.eye(200)
    first, second = (signal + normal(200, 200) for _ in range(2))
    alone = [float((1 / ranks(part)).mean()) for part in (first, second)]
    together = Blend(SCORES[:2], (0.5, 0.5)).sum(torch.stack([first, second]), SCORES[:2])
    assert float((1 / ranks(together)).mean()) > max(alone) + 0.05


@pytest.mark.parametrize("projected", [False, True])
@pytest.mark.parametrize("csls", [False, True])
def test_what_was_stored_before_there_were_sums_is_the_same_score(projected, csls, settled):
    """Of CSLS the unit codes of the sample were stored."""
    method, folds, trial, x, y = settled(12, 20, 24)
    score = Score("canonical" if projected else "centred", csls=csls)
    fitted = Blend((score,), (1.0,)).fit(trial, folds.basis_of(trial.predicted))
    (part,) = fitted.parts
    older = {"mean": part.mean, "projection": part.directions}
    older["sample"] = unit(fitted.codes(fitted.sample)[0]) if csls else None
    again = Fitted.of_tensors({name: tensor for name, tensor in older.items() if tensor is not None})
    translated = method.transform(x)
    torch.testing.assert_close(again(translated, y), fitted(translated, y))
    assert Fitted.of_tensors(again.tensors()).tensors().keys() == again.tensors().keys()


def test_a_score_that_loses_without_bound_has_no_part():
    table = torch.stack([torch.full((10,), torch.inf), torch.ones(10), torch.arange(10.0)])
    assert SCORES[0] not in Blend.weighted(SCORES[:3], table).scores
