"""Scores against their formulas in NumPy, row by row, and what they are good for."""

import numpy as np
import pytest
import torch

from models.base import Trial
from models.blend import Blend, Fitted, Part
from models.folds import Folds
from models.identity import Identity
from models.lengths import unit
from models.mean import Mean
from models.measures import ranks
from models.moments import Moments
from models.orthogonal import Orthogonal
from models.ridge import Ridge
from models.scores import (
    CODES,
    NEIGHBOURS,
    POWERS,
    WHITENING,
    Score,
    scores_for,
    similarities,
)
from models.whitened import Whitened

SHAPES = [(60, 8, 8), (60, 8, 5), (60, 5, 8), (12, 20, 24), (12, 5, 24), (12, 24, 5)]
TRIED = [*((codes, 0.0) for codes in CODES), ("canonical", 0.5), ("canonical", 2.0)]
ALL = [Score(codes, power, csls) for codes, power in TRIED for csls in (False, True)]

every_score = pytest.mark.parametrize("score", ALL, ids=lambda score: score.name)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def alone(score):
    return Blend((score,), (1.0,))


def settled(normal, n, d1, d2, method=None):
    """A method fitted on n correlated anchors, its trial, and 30 further rows of both sides."""
    shared, mixed = normal(n + 30, 4), (normal(4, d1), normal(4, d2))
    x, y = (shared @ mix + 0.5 * normal(n + 30, mix.shape[1]) + normal(mix.shape[1]) for mix in mixed)
    method, folds = method or Whitened(), Folds(x[:n], y[:n], 0)
    return method, folds, method.settle(folds), x[n:], y[n:]


def directions(score, y, trial, basis):
    """B in full coordinates, from the target anchors y (n, d2) alone where they suffice."""
    centred = y.numpy() - y.numpy().mean(0)
    spread, basis_y = np.linalg.svd(centred, full_matrices=False)[1:]
    kept = min(len(y) - 1, y.shape[1])
    scatter, span = spread[:kept] ** 2, basis_y[:kept].T
    if score.codes == "canonical":
        codes = trial.solution.codes if basis is None else basis @ trial.solution.codes
        result = codes.numpy()
    elif score.codes == "whitened":
        result = span / np.sqrt((1 - WHITENING) * scatter + WHITENING * scatter.mean())
    else:
        result = span @ span.T if score.codes == "span" else np.eye(y.shape[1])
    return result


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def formula(score, translated, stored, anchors, mean, b):
    """2 cos(q, c) - r(c), or the cosine, one pair after the other; r by sorting."""
    queries, codes, sample = ((v.numpy() - mean.numpy()) @ b for v in (translated, stored, anchors))
    result = np.array([[cosine(q, c) for c in codes] for q in queries])
    if not score.csls:
        return result
    nearest = [sorted(cosine(a, c) for a in sample)[-NEIGHBOURS:] for c in codes]
    return 2 * result - np.mean(nearest, axis=1)


@every_shape
@every_score
def test_a_score_is_its_formula(score, shape, normal):
    method, folds, trial, x, y = settled(normal, *shape)
    basis, translated = folds.basis_of(trial.predicted), method.transform(x)
    mean = folds.y.mean(0) * (score.codes != "plain")
    b = directions(score, folds.y, trial, basis) * strengths(score, trial)
    expected = formula(score, translated, y, method.transform(folds.x), mean, b)
    fitted = alone(score).fit(trial, basis)
    # the canonical directions of one fit, the others from an SVD instead of eigenvectors of squares
    assert np.allclose(fitted(translated, y), expected, atol=1e-6)


def strengths(score, trial):
    return trial.solution.strength.numpy() ** score.power if score.codes == "canonical" else 1.0


@every_shape
@every_score
def test_one_product_and_two_numbers_a_stored_vector_give_the_score(score, shape, normal):
    method, folds, trial, x, y = settled(normal, *shape)
    fitted, translated = alone(score).fit(trial, folds.basis_of(trial.predicted)), method.transform(x)
    scale, hubness = fitted.scalars(y)
    folded = fitted.fold(translated)[:, 0] @ (y - fitted.means[0]).T * scale[:, 0] - hubness
    torch.testing.assert_close(folded, fitted(translated, y), atol=1e-9, rtol=0)


@every_score
def test_a_folded_query_has_the_width_of_what_is_stored(score, normal):
    method, folds, trial, x, y = settled(normal, 12, 20, 24)
    fitted = alone(score).fit(trial, folds.basis_of(trial.predicted))
    assert fitted.fold(method.transform(x)).shape == (30, 1, 24)
    assert [numbers.shape for numbers in fitted.scalars(y)] == [(30, 1), (30,)]


@pytest.mark.parametrize("codes", CODES)
def test_without_csls_there_is_no_hubness(codes, normal):
    _, folds, trial, _, y = settled(normal, 60, 8, 8)
    fitted = alone(Score(codes)).fit(trial, folds.basis_of(trial.predicted))
    assert not any(part.hubs for part in fitted.parts)
    assert not fitted.scalars(y)[1].any()


@every_shape
def test_similarities_of_a_trial_are_the_fitted_scores(shape, normal):
    _, folds, trial, _, _ = settled(normal, *shape)
    basis, tried = folds.basis_of(trial.predicted), scores_for(trial)
    for score, similarity in zip(tried, similarities(trial, tried), strict=True):
        expected = alone(score).fit(trial, basis)(folds.full(trial.predicted), folds.full(trial.y))
        torch.testing.assert_close(similarity, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("method", [Whitened(), Orthogonal(), Ridge(), Mean(), Identity()], ids=lambda m: m.name)
@pytest.mark.parametrize(("n", "d"), [(60, 8), (12, 20)])
def test_similarities_of_a_fold_are_the_fitted_scores(n, d, method, normal):
    folds = settled(normal, n, d, d, method)[1]
    trial = method.trial(folds, 0)
    tried = scores_for(trial)
    for score, similarity in zip(tried, similarities(trial, tried), strict=True):
        expected = alone(score).fit(trial)(trial.predicted, trial.y)
        # trials of linear methods are single precision; scores are of order 1
        torch.testing.assert_close(similarity, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("n", "d"), [(60, 8), (12, 24)])
def test_what_else_is_asked_for_and_in_which_order_changes_no_similarity(n, d, normal):
    trial = settled(normal, n, d, d)[2]
    asked = [Score("whitened", csls=True), *reversed(scores_for(trial)), Score("centred")]
    together = similarities(trial, asked)
    assert together.shape == (len(asked), n, n)
    for score, similarity in zip(asked, together, strict=True):
        assert torch.equal(similarities(trial, [score])[0], similarity)


@pytest.mark.parametrize("csls", [False, True])
def test_where_anchors_are_few_the_own_counterpart_is_found_in_their_span(csls, make_pair):
    n, d = 8, 100
    x, y, *_ = make_pair(n + 500, d, d)
    method, folds = Orthogonal(), Folds(x[:n], y[:n], 0)
    trial = method.settle(folds)
    found = {}
    for codes in ("centred", "span"):
        fitted = alone(Score(codes, csls=csls)).fit(trial, folds.basis_of(trial.predicted))
        found[codes] = float((ranks(fitted(method.transform(x[n:]), y[n:])) <= 1).double().mean())
    # lengths of stored vectors outside of the seven directions that eight anchors span say nothing of the item
    assert found["centred"] < 0.5
    assert found["span"] == 1.0


@pytest.mark.parametrize("side", ["source", "target", "both"])
@pytest.mark.parametrize("power", [0.0, 1.0])
@pytest.mark.parametrize("csls", [False, True])
def test_fully_whitened_canonical_scores_are_alike_after_every_linear_map(side, power, csls, normal):
    before, after = scored_before_and_after(side, Score("canonical", power, csls), normal)
    # the least shrinkage is not none
    torch.testing.assert_close(before, after, atol=1e-3, rtol=0)


@pytest.mark.parametrize("csls", [False, True])
@pytest.mark.parametrize("side", ["target", "both"])
def test_centred_scores_change_with_a_linear_map_of_the_target(side, csls, normal):
    before, after = scored_before_and_after(side, Score("centred", csls=csls), normal)
    assert (before - after).abs().max() > 0.1


def scored_before_and_after(side, score, normal):
    """Scores of 30 new rows, before and after an invertible map of one side or both."""
    shared = normal(530, 5)
    x, y = (shared @ normal(5, 8) + normal(530, 8) for _ in range(2))
    stretch = torch.linspace(0.3, 3, 8, dtype=torch.float64)
    maps = [torch.linalg.qr(normal(8, 8))[0] * stretch @ torch.linalg.qr(normal(8, 8))[0] for _ in range(2)]
    turned = (x @ maps[0] if side != "target" else x, y @ maps[1] if side != "source" else y)
    return (scored(*pair, score) for pair in ((x, y), turned))


def scored(x, y, score):
    method, folds = Whitened(0.0, 1e-6), Folds(x[:500], y[:500], 0)
    trial = method.settle(folds)
    return alone(score).fit(trial)(method.transform(x[500:]), y[500:])


@pytest.mark.parametrize("score", [score for score in ALL if score.codes != "plain"], ids=lambda score: score.name)
def test_scores_do_not_see_where_a_space_lies_nor_its_unit(score, normal):
    method, _, trial, x, y = settled(normal, 60, 8, 8)
    *moved, sample = (3 * v - 7 for v in (trial.predicted, trial.y, trial.mean, trial.sample))
    there = Trial(*moved, lambda: sample, Moments.of(trial.predicted, 3 * trial.y - 7), trial.solution)
    before = alone(score).fit(trial)(method.transform(x), y)
    torch.testing.assert_close(alone(score).fit(there)(3 * method.transform(x) - 7, 3 * y - 7), before)


@pytest.mark.parametrize("power", [p for p in POWERS if p])
def test_a_power_weights_each_code_by_its_strength(power, normal):
    trial = settled(normal, 60, 8, 8)[2]
    plain, weighted = (alone(Score("canonical", p)).fit(trial).parts[0] for p in (0.0, power))
    torch.testing.assert_close(weighted.directions, plain.directions)
    assert plain.strength is None
    torch.testing.assert_close(weighted.strength, trial.solution.strength**power)
    assert (trial.solution.strength.diff() <= 0).all()


def test_strong_codes_find_counterparts_that_equal_codes_lose(normal):
    shared, own = normal(2000, 4), [normal(2000, 36) for _ in range(2)]
    x, y = (torch.hstack([shared + 0.3 * normal(2000, 4), noise]) for noise in own)
    method, folds = Whitened(), Folds(x[:1000], y[:1000], 0)
    trial = method.settle(folds)
    found = [
        float(
            (1 / ranks(alone(Score("canonical", power)).fit(trial)(method.transform(x[1000:]), y[1000:]))).mean()
        )
        for power in (0.0, 1.0)
    ]
    # 36 of 40 codes share nothing
    assert found[1] > 3 * found[0]


def test_a_hub_is_pushed_down_by_csls(normal):
    items, hub = torch.nn.functional.normalize(normal(200, 50)), torch.nn.functional.normalize(normal(1, 50))
    translated, stored = items + 1.2 * hub, torch.vstack([items, hub])  # every query leans towards the hub
    sample = torch.nn.functional.normalize(translated)
    whole = torch.zeros(50), None
    plain = Fitted((Part(*whole, 1.0, 0.0),), sample)(translated, stored)
    corrected = Fitted((Part(*whole, 2.0, 1.0),), sample)(translated, stored)
    first = [float((similarity.argmax(1) == 200).double().mean()) for similarity in (plain, corrected)]
    assert first[0] > 0.9
    assert first[1] < 0.01
    own = torch.arange(200)
    assert (corrected.argmax(1) == own).double().mean() > 0.9


def test_hubness_is_a_property_of_what_is_stored_alone(normal):
    method, folds, trial, x, y = settled(normal, 60, 8, 8)
    fitted = alone(Score("centred", csls=True)).fit(trial, folds.basis_of(trial.predicted))
    whole = fitted(method.transform(x), y)
    torch.testing.assert_close(fitted(method.transform(x[3:4]), y[5:7]), whole[3:4, 5:7])


@pytest.mark.parametrize("n", [2, 3, 5])
def test_with_fewer_anchors_than_neighbours_all_are_neighbours(n, normal):
    _, folds, trial, _, y = settled(normal, n, 8, 8)
    fitted = alone(Score("centred", csls=True)).fit(trial, folds.basis_of(trial.predicted))
    codes, sample = (unit(side - fitted.means[0]) for side in (y, folds.full(trial.sample)))
    torch.testing.assert_close(fitted.scalars(y)[1], (codes @ sample.T).mean(1))


@every_score
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_vectors_without_direction_have_a_finite_score(score, dtype, normal):
    _, folds, trial, _, y = settled(normal, 12, 20, 24)
    fitted = alone(score).fit(trial, folds.basis_of(trial.predicted))
    fitted = Fitted.of_tensors({name: tensor.to(dtype) for name, tensor in fitted.tensors().items()})
    still = fitted.means.expand(2, -1)
    rows = torch.vstack([y.to(dtype), still])
    similarity = fitted(rows, rows)
    assert similarity.isfinite().all()
    assert not fitted.fold(still).any()
    assert all(numbers.isfinite().all() for numbers in fitted.scalars(rows))
    torch.testing.assert_close(similarity[-1], -fitted.scalars(rows)[1])


@every_score
def test_what_is_stored_makes_the_same_score_again(score, normal):
    method, folds, trial, x, y = settled(normal, 12, 20, 24)
    fitted = alone(score).fit(trial, folds.basis_of(trial.predicted))
    stored = fitted.tensors()
    assert all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in stored.values())
    again = Fitted.of_tensors(stored)
    similarity = again(method.transform(x).float(), y.float())
    torch.testing.assert_close(similarity.double(), fitted(method.transform(x), y), atol=1e-4, rtol=0)


def test_a_score_learns_nothing_from_being_used(normal):
    method, folds, trial, x, y = settled(normal, 60, 8, 8)
    fitted = alone(Score("whitened", csls=True)).fit(trial, folds.basis_of(trial.predicted))
    first = fitted(method.transform(x), y)
    fitted(10 * method.transform(x), 3 * y)
    assert torch.equal(fitted(method.transform(x), y), first)


@pytest.mark.parametrize("method", [Whitened(), Orthogonal()], ids=lambda m: m.name)
def test_methods_with_codes_are_tried_in_all_of_them(method, normal):
    tried = scores_for(settled(normal, 12, 20, 24, method)[2])
    assert {score.codes for score in tried} == set(CODES)
    assert {score.power for score in tried if score.codes == "canonical"} == set(POWERS)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Ridge(), {"plain", "centred", "whitened"}),
        (Mean(), {"plain", "centred", "whitened"}),
        (Identity(), {"plain", "centred"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_methods_without_codes_are_compared_without_them(method, expected, normal):
    assert {score.codes for score in scores_for(settled(normal, 60, 8, 8, method)[2])} == expected


@pytest.mark.parametrize("method", [Ridge(), Mean(), Whitened()], ids=lambda m: m.name)
@pytest.mark.parametrize(("n", "expected"), [(12, True), (60, False)])
def test_the_span_is_tried_where_it_is_not_everything(n, expected, method, normal):
    tried = scores_for(settled(normal, n, 20, 20, method)[2])
    assert ("span" in {score.codes for score in tried}) == expected


def test_the_span_of_all_directions_is_centred(normal):
    trial = settled(normal, 60, 8, 8)[2]
    assert torch.equal(*similarities(trial, [Score("centred"), Score("span")]))


def test_the_plain_score_is_the_cosine_of_the_vectors_themselves(normal):
    method, folds, trial, x, y = settled(normal, 12, 20, 24)
    translated = method.transform(x)
    expected = torch.nn.functional.cosine_similarity(translated[:, None], y[None], dim=2)
    fitted = alone(Score("plain")).fit(trial, folds.basis_of(trial.predicted))
    torch.testing.assert_close(fitted(translated, y), expected)
    assert not fitted.means.any()


@pytest.mark.parametrize("method", [Whitened(), Ridge(), Identity()], ids=lambda m: m.name)
def test_each_score_is_tried_once_with_and_without_csls_and_simple_ones_first(method, normal):
    tried = scores_for(settled(normal, 12, 20, 20, method)[2])
    assert len(set(tried)) == len(tried)
    half = len(tried) // 2
    assert [score.csls for score in tried] == [False] * half + [True] * half
    assert tried[:2] == [Score("plain"), Score("centred")]
    assert [(s.codes, s.power) for s in tried[:half]] == [(s.codes, s.power) for s in tried[half:]]


def test_scores_have_names_of_their_own():
    names = [Score(codes, power, csls).name for codes in CODES for power in POWERS for csls in (False, True)]
    assert len(set(names)) == len(names)
    assert Score("canonical", 0.5, csls=True).name == "canonical^0.5 csls"
    assert Score().name == "centred cosine"
