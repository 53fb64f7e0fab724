"""What a choice minimises, row by row against formulas of SciPy and plain loops."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import expit, logsumexp, rel_entr, softmax
from sklearn.metrics import r2_score

from models.base import Trial
from models.distilled import Distilled
from models.errors import InvalidHead, InvalidOption, UnknownMethod
from models.estimate import estimate
from models.folds import Folds
from models.heads import ACTIVATIONS, LinearHead, MlpHead
from models.measures import AMONG, TEMPERATURES, cosines
from models.objectives import OBJECTIVES, Agreement, Reconstruction, Retrieval, objective_named
from models.orthogonal import Orthogonal
from models.registry import METHODS
from models.ridge import Ridge
from models.scores import Score, similarities

SHAPES = [(60, 8, 8), (60, 8, 5), (12, 20, 24), (12, 5, 24)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@pytest.fixture
def tried(normal):
    """tried(n, d1, d2) -> folds, a ridge's trial without the first fold, its cosines (1, g, g), and that map."""

    def made(n, d1, d2):
        shared = normal(n, 4)
        folds = Folds(shared @ normal(4, d1) + normal(n, d1), shared @ normal(4, d2) + normal(n, d2), 0)
        method, train = Ridge(0.01), folds.train(0)
        trial = method.trial(folds, 0)
        alone = method.fit(folds.x[train], folds.y[train])
        return folds, trial, similarities(trial, [Score()]), alone

    return made


@pytest.fixture
def head(normal):
    """head(d2, classes) with logits of a few units."""
    return lambda d2, classes=3: LinearHead(normal(classes, d2) / d2**0.5, normal(classes))


def held_out(folds, method):
    """Translations of the rows of the first fold and their counterparts, in full width."""
    rows = folds.rows(0)
    return method.transform(folds.x[rows]), folds.y[rows]


@every_shape
def test_retrieval_is_the_surprise_among_many(shape, tried):
    folds, trial, similarity, _ = tried(*shape)
    table, losses = similarity[0].double().numpy(), Retrieval().of(trial, similarity, folds)
    g, apart = len(table), ~np.eye(len(table), dtype=bool)
    spread = table[apart].std()
    for column, t in enumerate(TEMPERATURES):
        for row in range(g):
            gaps = (np.delete(table[row], row) - table[row, row]) / (t * spread)
            expected = np.logaddexp(0, logsumexp(gaps) + math.log((AMONG - 1) / (g - 1)))
            assert float(losses[0, row, column]) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@every_shape
def test_reconstruction_is_the_squared_error_in_units_of_the_targets_variance(shape, tried):
    folds, trial, similarity, alone = tried(*shape)
    predicted, y = held_out(folds, alone)
    variance = folds.y.numpy().var(0).sum()
    expected = (predicted - y).square().sum(1) / variance
    # trials are single precision
    torch.testing.assert_close(
        Reconstruction().of(trial, similarity, folds)[0, :, 0], expected, rtol=1e-4, atol=1e-5
    )


def test_the_reconstruction_loss_of_the_target_mean_is_one(normal):
    folds = Folds(normal(40, 3), normal(40, 3), 0)
    mean = folds.y.mean(0)
    trial = Trial(mean.expand_as(folds.y), folds.y, mean, lambda: mean.expand_as(folds.y))
    assert float(Reconstruction().of(trial, torch.zeros(1, 40, 40), folds).mean()) == pytest.approx(1)


def test_without_variance_the_squared_error_is_bare(normal):
    still = torch.full((10, 3), 0.5, dtype=torch.float64)
    folds, predicted = Folds(normal(10, 3), still, 0), still + 2
    trial = Trial(predicted, still, still[0], lambda: predicted)
    assert Reconstruction().of(trial, torch.zeros(1, 10, 10), folds)[0, :, 0].tolist() == [12.0] * 10


@every_shape
def test_agreement_is_the_kl_divergence_of_scipy(shape, tried, head):
    folds, trial, similarity, alone = tried(*shape)
    decide = head(shape[2])
    native, stitched = (decide.raw(v).numpy() for v in reversed(held_out(folds, alone)))
    loss = Agreement(decide).of(trial, similarity, folds)[0, :, 0].numpy()
    assert np.allclose(loss, softened("softmax", native, stitched), rtol=1e-3, atol=1e-5)


def softened(activation, native, stitched):
    """Of raw answers (g, c), once as they are and four times that of their halves."""
    warm, soft = (SLOW[activation](*(ANSWERS[activation](v / t) for v in (native, stitched))) for t in (1, 2))
    return warm + 4 * soft


ANSWERS = {"softmax": partial(softmax, axis=1), "sigmoid": expit, "none": np.asarray}
SLOW = {  # from what a head answers
    "softmax": lambda native, stitched: rel_entr(native, stitched).sum(1),
    "sigmoid": lambda native, stitched: (rel_entr(native, stitched) + rel_entr(1 - native, 1 - stitched)).sum(1),
    "none": lambda native, stitched: np.square(native - stitched).sum(1),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("n", "d"), [(60, 8), (12, 20)])
def test_agreement_takes_any_head_of_full_vectors(n, d, activation, tried, normal):
    folds, trial, similarity, alone = tried(n, d, d)
    tensors = {"0.weight": normal(5, d) / d**0.5, "0.bias": normal(5), "2.weight": normal(3, 5)}
    curved = MlpHead(("linear", "tanh", "linear"), tensors, activation)
    native, stitched = (curved.raw(v).numpy() for v in reversed(held_out(folds, alone)))
    loss = Agreement(curved).of(trial, similarity, folds)[0, :, 0].numpy()
    assert np.allclose(loss, softened(activation, native, stitched), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_head_that_is_translated_exactly_agrees_in_everything(activation, make_pair, head):
    x, y, *_ = make_pair(60, 8, 12)
    goal = Agreement(replace(head(12), activation=activation))
    folds = Folds(x, y, 0)
    trials = [Orthogonal().trial(folds, fold) for fold in range(folds.parts)]
    assert goal.quality(trials, folds, 0)["agreement"].mean == pytest.approx(1, abs=1e-6)


def test_the_agreement_of_a_classifier_is_the_share_of_rows_that_keep_their_label(tried, head):
    folds, trial, _, alone = tried(60, 8, 8)
    decide = head(8)
    native, stitched = (decide(v).argmax(1) for v in reversed(held_out(folds, alone)))
    figure = Agreement(decide).quality([trial], folds, 0)["agreement"]
    assert figure.mean == pytest.approx(float((native == stitched).double().mean()))


def test_the_agreement_of_values_is_their_r2(tried, head):
    folds, trial, _, alone = tried(60, 8, 8)
    decide = replace(head(8), activation="none")
    native, stitched = (decide(v).numpy() for v in reversed(held_out(folds, alone)))
    figure = Agreement(decide).quality([trial], folds, 0)["agreement"]
    expected = r2_score(native, stitched, multioutput="variance_weighted")
    assert figure.mean == pytest.approx(expected, rel=1e-3)
    assert figure.low < figure.mean < figure.high


@pytest.mark.parametrize(("n", "d2"), [(60, 8), (60, 12), (200, 8)])
def test_a_head_answers_alike_where_the_map_is_exact(n, d2, make_pair, head):
    x, y, *_ = make_pair(n, 8, d2)
    folds = Folds(x, y, 0)
    for fold in range(folds.parts):
        trial = Orthogonal().trial(folds, fold)
        # logits agree to about 1e-5 in single precision, and the divergence is of second order in that
        assert Agreement(head(d2)).of(trial, torch.zeros(1, 1, 1), folds).abs().max() < 1e-6


@every_shape
def test_agreement_never_falls_below_zero_nor_changes_with_a_shift_of_all_logits(shape, tried, head):
    folds, trial, similarity, _ = tried(*shape)
    first = head(shape[2])
    shifted = LinearHead(first.weight, first.bias + 5)
    loss = Agreement(first).of(trial, similarity, folds)
    assert loss.min() > -1e-6
    torch.testing.assert_close(Agreement(shifted).of(trial, similarity, folds), loss, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_row_has_a_finite_loss_in_double_precision(name, tried, head):
    folds, trial, similarity, _ = tried(60, 8, 8)
    loss = objective_named(name, head(8)).of(trial, similarity, folds)
    assert loss.shape[:2] == (1, len(trial.y))
    assert loss.dtype == torch.float64
    assert loss.isfinite().all()


@pytest.mark.parametrize("name", ["reconstruction", "head"])
def test_only_retrieval_depends_on_the_similarities(name, tried, head):
    folds, trial, similarity, _ = tried(60, 8, 8)
    goal = objective_named(name, head(8))
    assert not goal.by_score
    assert torch.equal(goal.of(trial, similarity, folds), goal.of(trial, similarity.flip(1), folds))


def test_retrieval_has_a_loss_for_every_score(tried):
    folds, trial, _, _ = tried(60, 8, 8)
    scores = [Score("centred"), Score("whitened"), Score("centred", csls=True)]
    together = Retrieval().of(trial, similarities(trial, scores), folds)
    assert together.shape[:2] == (3, len(trial.y))
    for score, loss in zip(scores, together, strict=True):
        torch.testing.assert_close(Retrieval().of(trial, similarities(trial, [score]), folds)[0], loss)


def test_retrieval_depends_on_them_alone(tried):
    folds, trial, similarity, _ = tried(60, 8, 8)
    assert Retrieval.by_score
    elsewhere = Trial(trial.predicted.flip(0), trial.y, trial.mean, trial.translated)
    assert torch.equal(Retrieval().of(trial, similarity, folds), Retrieval().of(elsewhere, similarity, folds))


def test_a_good_translation_has_less_loss_than_a_bad_one(make_pair, head):
    x, y, *_ = make_pair(200, 8, 8, noise=0.3)
    folds, decide = Folds(x, y, 0), head(8)
    for name in OBJECTIVES:
        goal = objective_named(name, decide)
        losses = []
        for penalty in (1e-3, 10.0):
            trial = Ridge(penalty).trial(folds, 0)
            losses.append(float(goal.of(trial, cosines(trial.predicted, trial.y)[None], folds).mean(1).min()))
        if name != "retrieval":  # shrinking alone does not change an order by cosine
            assert losses[0] < 0.5 * losses[1]
        assert losses[0] <= losses[1]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_known_by_its_own_name(name, head):
    assert OBJECTIVES[name].name == name
    assert type(objective_named(name, head(8))) is OBJECTIVES[name]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_is_passed_over_is_a_method(name):
    assert OBJECTIVES[name].passed_over <= METHODS.keys()


def test_a_single_sigmoid_is_distilled_as_two_logits(head, normal):
    coin = LinearHead(normal(1, 8), normal(1), "sigmoid")
    two = Agreement(coin).methods()[0].head
    y = normal(20, 8)
    torch.testing.assert_close(two(y)[:, 1:], coin(y))


def test_only_a_linear_classifier_is_distilled(head):
    decide = head(8)
    variants = Agreement(decide).methods()
    assert variants
    assert all(isinstance(method, Distilled) and method.head is decide for method in variants)
    assert Agreement(replace(decide, activation="sigmoid")).methods() == []  # three labels that may all be true
    assert Agreement(replace(decide, activation="none")).methods() == []
    assert Agreement(MlpHead(("linear",), {"0.weight": decide.weight})).methods() == []
    assert Retrieval().methods() == Reconstruction().methods() == []


def test_head_without_a_head_is_an_error_that_says_so():
    with pytest.raises(InvalidOption, match="needs the head") as caught:
        objective_named("head", None)
    assert caught.value.facts == {"expected": "head", "got": None}


@pytest.mark.parametrize("name", ["retrieval", "reconstruction"])
def test_other_objectives_leave_a_head_aside(name, head):
    assert vars(objective_named(name, head(8))) == vars(objective_named(name, None)) == {}


def test_an_unknown_objective_is_answered_with_the_choices():
    with pytest.raises(UnknownMethod, match="'beauty'") as caught:
        objective_named("beauty", None)
    assert caught.value.facts == {"expected": list(OBJECTIVES), "got": "beauty"}


def test_what_is_chosen_for_a_head_agrees_better_than_a_ridge(normal):
    x, mix = normal(501, 6), normal(6, 12)
    y = torch.tanh(3 * x) @ mix + 0.3 * normal(501, 12)
    decide = LinearHead(20 * torch.linalg.pinv(mix).T[:3], torch.zeros(3, dtype=torch.float64))
    report = estimate(x, y, objective="head", head=decide).report
    ridges = [candidate.loss.mean for candidate in report.candidates if candidate.method == "ridge"]
    (chosen,) = [candidate for candidate in report.candidates if candidate.chosen]
    assert report.objective == "head"
    assert chosen.method == report.method == "distilled"
    assert chosen.loss.mean < 0.9 * min(ridges)


class Bounded(LinearHead):
    """Has no answer beyond 3, as a logarithm has none below 0."""

    def raw(self, y):
        return super().raw(y).masked_fill((y.abs() > 3).any(1, keepdim=True), torch.nan)


def test_what_the_head_has_no_answer_for_is_not_chosen(normal):
    """Doing nothing leaves vectors too long for it."""
    y = normal(60, 6).clamp(-2, 2) * 0.3
    made = estimate(50 * y, y, objective="head", head=Bounded(normal(3, 6), normal(3), "none"))
    assert made.method.name not in ("identity", "mean")
    assert "identity" not in {candidate.method for candidate in made.report.candidates}
    assert all(math.isfinite(candidate.loss.mean) for candidate in made.report.candidates)
    assert made.report.quality["agreement"].mean > 0.99


@pytest.mark.parametrize("method", ["auto", "ridge"])
def test_a_head_without_finite_answers_is_told(method, normal):
    head = LinearHead(torch.full((2, 6), 3e38), torch.zeros(2), "none")
    with pytest.raises(InvalidHead, match="objective 'head': the answers"):
        estimate(normal(40, 5), normal(40, 6), method, "head", head=head)
