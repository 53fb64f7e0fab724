"""Facts of distillation, and parity with scikit-learn's logistic and linear regression."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch.nn.functional import log_softmax

from models.affine import Affine
from models.distilled import Distilled, whitener
from models.errors import DimensionMismatch, TooFewAnchors
from models.folds import Folds
from models.heads import LinearHead
from models.registry import MAPS
from models.ridge import Ridge

HUGE = 1e3  # the largest penalty that the option allows
FRESH = 1000


def normals(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def task(n, d1=12, d2=24, classes=3, seed=0):
    """n anchors and FRESH rows: the target holds the curved source, its head sees a few directions of that."""
    x, mix = normals(seed, n + FRESH, d1), normals(seed + 100, d1, d2)
    y = torch.tanh(3 * x) @ mix + 0.3 * normals(seed + 200, n + FRESH, d2)
    head = LinearHead(6 * torch.linalg.pinv(mix).T[:classes], 0.5 * normals(seed + 300, classes))
    return x[:n], y[:n], x[n:], y[n:], head


def divergence(head, y, translated):
    """Mean KL of a head's answers to y and to translations."""
    native, stitched = log_softmax(head.raw(y), 1), log_softmax(head.raw(translated), 1)
    return float((native.exp() * (native - stitched)).sum(1).mean())


def unseen(head):
    """The projector onto what the head does not see, (d2, d2)."""
    return torch.eye(head.weight.shape[1], dtype=torch.float64) - torch.linalg.pinv(head.weight) @ head.weight


def centred(logits):
    return logits - logits.mean(1, keepdim=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [200, 600])
def test_the_head_agrees_better_with_itself_than_through_a_ridge(n, seed):
    x, y, fresh_x, fresh_y, head = task(n, seed=seed)
    ridge, distilled = Ridge(1e-3).fit(x, y), Distilled(head, 1e-3, 1.0, 0.0).fit(x, y)
    through = [divergence(head, fresh_y, method.transform(fresh_x)) for method in (ridge, distilled)]
    assert through[1] < 0.75 * through[0]


@pytest.mark.parametrize("start", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(200, 12, 24), (200, 24, 12), (10, 12, 24), (10, 24, 12)], ids=str)
def test_what_the_head_does_not_see_is_the_translation_of_the_ridge(shape, start):
    x, y, fresh_x, _, head = task(*shape)
    moved = Distilled(head, 1e-3, 1.0, start, ridge=1e-3).fit(x, y).transform(fresh_x) - Ridge(1e-3).fit(
        x, y
    ).transform(fresh_x)
    assert moved.abs().max() > 1e-3
    torch.testing.assert_close(moved @ unseen(head), torch.zeros_like(moved), atol=1e-8, rtol=0)


def test_the_map_is_affine():
    x, y, fresh_x, _, head = task(200)
    method = Distilled(head, 1e-3).fit(x, y)
    assert isinstance(method.map_, Affine)
    assert method.map_.kind in MAPS
    a, b = fresh_x[:10], fresh_x[10:20]
    between = method.transform(0.3 * a + 0.7 * b)
    torch.testing.assert_close(between, 0.3 * method.transform(a) + 0.7 * method.transform(b))


@pytest.mark.parametrize("penalty", [1e-3, 1e-2, 0.1])
@pytest.mark.parametrize(("n", "d1"), [(300, 12), (15, 20)])
def test_without_a_start_it_is_the_logistic_regression_of_scikit_learn(n, d1, penalty):
    x, y, fresh_x, _, head = task(n, d1)
    wanted = softmax(head.raw(y).numpy(), axis=1)
    mean, directions = x.mean(0), shrunk_whitening(x.numpy(), 0.1)
    white, fresh = ((v - mean).numpy() @ directions for v in (x, fresh_x))
    # a soft answer is one weighted row for each class; the mean over n and the penalty are one inverse strength
    rows, labels = np.repeat(white, 3, axis=0), np.tile(np.arange(3), n)
    regression = LogisticRegression(C=1 / (2 * n * penalty), tol=1e-10, max_iter=5000)
    regression.fit(rows, labels, sample_weight=wanted.ravel())
    method = Distilled(head, penalty, 1.0, 0.0, shrinkage=0.1).fit(x, y)
    answers = softmax(head.raw(method.transform(fresh_x)).numpy(), axis=1)
    assert np.allclose(answers, regression.predict_proba(fresh), atol=5e-3)


def shrunk_whitening(x, shrinkage):
    """(d, r) by NumPy's SVD of the rows."""
    _, s, v = np.linalg.svd(x - x.mean(0), full_matrices=False)
    rank = min(len(x) - 1, x.shape[1])
    variance = s[:rank] ** 2 / len(x)
    return v[:rank].T / np.sqrt((1 - shrinkage) * variance + shrinkage * variance.mean())


@pytest.mark.parametrize("shrinkage", [0.1, 1.0])
@pytest.mark.parametrize(("n", "d1"), [(300, 12), (15, 20)])
def test_the_whitener_is_that_of_numpy(n, d1, shrinkage):
    x = normals(0, n, d1) @ normals(1, d1, d1) + 5
    expected = torch.from_numpy(shrunk_whitening(x.numpy(), shrinkage))
    z = whitener(x, shrinkage)
    torch.testing.assert_close(z @ z.T, expected @ expected.T)


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_hot_answers_are_the_least_squares_of_the_logits(start):
    x, y, fresh_x, _, head = task(400)
    method = Distilled(head, 1e-10, 100.0, start).fit(x, y)
    squares = LinearRegression().fit(x.numpy(), centred(head.raw(y)).numpy())
    expected = torch.from_numpy(squares.predict(fresh_x.numpy()))
    # softmax is linear in logits / T up to the square of these
    torch.testing.assert_close(centred(head.raw(method.transform(fresh_x))), expected, atol=0.25, rtol=0)
    assert expected.abs().max() > 5


@pytest.mark.parametrize("shape", [(200, 12, 24), (10, 24, 12)], ids=str)
def test_hardly_allowed_to_change_it_is_the_ridge_up_to_a_shift_of_the_answers(shape):
    x, y, _, _, head = task(*shape)
    method, ridge = Distilled(head, HUGE).fit(x, y), Ridge(1e-3).fit(x, y)
    torch.testing.assert_close(method.map_.weight, ridge.map_.weight, atol=1e-3, rtol=0)
    shift = method.map_.bias - ridge.map_.bias
    torch.testing.assert_close(shift @ unseen(head), torch.zeros_like(shift), atol=1e-8, rtol=0)


@pytest.mark.parametrize("start", [0.0, 0.3, 1.0])
def test_hardly_allowed_to_change_its_answers_are_a_share_of_the_ridges(start):
    x, y, fresh_x, _, head = task(200)
    method, ridge = Distilled(head, HUGE, 1.0, start).fit(x, y), Ridge(1e-3).fit(x, y)
    left = head.raw(method.transform(fresh_x)) - start * head.raw(ridge.transform(fresh_x))
    torch.testing.assert_close(left, left[:1].expand_as(left), atol=1e-2, rtol=0)


@pytest.mark.parametrize(("start", "penalty"), [(0.0, HUGE), (0.0, 1e-2), (1.0, 1e-2)])
def test_the_mean_answer_to_the_anchors_is_kept(start, penalty):
    x, y, _, _, head = task(200)
    method = Distilled(head, penalty, 1.0, start).fit(x, y)
    native, stitched = (torch.softmax(head.raw(v), 1).mean(0) for v in (y, method.transform(x)))
    # the gradient along the shift, which nothing penalises
    torch.testing.assert_close(stitched, native, atol=2e-4, rtol=0)


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_less_penalty_agrees_better_on_the_anchors(start):
    x, y, _, _, head = task(200)
    methods = [Distilled(head, penalty, 1.0, start).fit(x, y) for penalty in (10.0, 0.1, 1e-3)]
    apart = [divergence(head, y, method.transform(x)) for method in methods]
    assert apart[0] > apart[1] > apart[2]


def test_the_penalty_of_the_ridge_is_that_of_the_ridge():
    x, y, fresh_x, _, head = task(200)
    for penalty in (1e-3, 1.0):
        method, ridge = Distilled(head, 1e-3, ridge=penalty).fit(x, y), Ridge(penalty).fit(x, y)
        moved = method.transform(fresh_x) - ridge.transform(fresh_x)
        torch.testing.assert_close(moved @ unseen(head), torch.zeros_like(moved), atol=1e-8, rtol=0)


@pytest.mark.parametrize("n", [2, 3, 10])
@pytest.mark.parametrize("variant", range(8))
def test_fewer_anchors_than_dimensions_are_enough(n, variant):
    x, y, fresh_x, _, head = task(n)
    method = Distilled.variants(head)[variant].fit(x, y)
    assert method.rank_ == n - 1
    assert method.transform(fresh_x).isfinite().all()


def test_a_direction_without_anchors_says_nothing():
    x, y, _, _, head = task(10, 24, 12)
    method = Distilled(head, 1e-3).fit(x, y)
    across = torch.linalg.svd(x - x.mean(0))[2][-1]  # no anchor differs from another along it
    torch.testing.assert_close(
        across @ method.map_.weight, torch.zeros(12, dtype=torch.float64), atol=1e-8, rtol=0
    )


def test_more_classes_than_dimensions_change_all_that_can_be():
    x, y, fresh_x, fresh_y, _ = task(300, d2=6)
    head = LinearHead(normals(7, 10, 6), normals(8, 10))
    method, ridge = Distilled(head, 1e-3).fit(x, y), Ridge(1e-3).fit(x, y)
    assert method.transform(fresh_x).isfinite().all()
    through = [divergence(head, fresh_y, each.transform(fresh_x)) for each in (ridge, method)]
    assert through[1] < 1.05 * through[0]


def test_a_head_of_single_precision_gives_the_same_map():
    x, y, fresh_x, _, head = task(200)
    single = LinearHead(head.weight.float(), head.bias.float())
    expected = Distilled(head, 1e-2).fit(x, y).transform(fresh_x)
    torch.testing.assert_close(Distilled(single, 1e-2).fit(x, y).transform(fresh_x), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("shape", [(200, 12, 24), (10, 24, 12)], ids=str)
def test_the_same_anchors_give_the_same_map(shape):
    x, y, _, _, head = task(*shape)
    first, second = (Distilled(head, 1e-3).fit(x, y).map_ for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)


def test_a_second_fit_forgets_the_first():
    x, y, fresh_x, _, head = task(200)
    method = Distilled(head, 1e-3).fit(x[:50], y[:50])
    again, fresh = method.fit(x, y), Distilled(head, 1e-3).fit(x, y)
    assert torch.equal(again.transform(fresh_x), fresh.transform(fresh_x))


def test_neither_anchors_nor_head_are_changed():
    x, y, _, _, head = task(50)
    before = [v.clone() for v in (x, y, head.weight, head.bias)]
    Distilled(head, 1e-3).fit(x, y)
    assert all(torch.equal(a, b) for a, b in zip(before, (x, y, head.weight, head.bias), strict=True))


def test_nothing_of_the_fit_waits_for_a_gradient():
    x, y, _, _, head = task(50)
    method = Distilled(head, 1e-3).fit(x, y)
    assert not method.map_.weight.requires_grad
    assert not method.map_.bias.requires_grad


def test_where_gradients_are_switched_off_it_is_fitted_all_the_same():
    x, y, fresh_x, _, head = task(50)
    expected = Distilled(head, 1e-3).fit(x, y).transform(fresh_x)
    with torch.no_grad():
        assert torch.equal(Distilled(head, 1e-3).fit(x, y).transform(fresh_x), expected)


def test_shifting_the_source_changes_nothing():
    x, y, fresh_x, _, head = task(200)
    expected = Distilled(head, 1e-2).fit(x, y).transform(fresh_x)
    torch.testing.assert_close(
        Distilled(head, 1e-2).fit(x + 10, y).transform(fresh_x + 10), expected, atol=1e-3, rtol=0
    )


def test_a_trial_is_the_fit_without_the_fold():
    x, y, _, _, head = task(100)
    folds, method = Folds(x, y, 0), Distilled(head, 1e-3)
    trial = method.trial(folds, 2)
    alone = Distilled(head, 1e-3).fit(x[folds.train(2)], y[folds.train(2)])
    assert torch.equal(trial.predicted, alone.transform(x[folds.rows(2)]))


def test_each_variant_is_another_and_within_the_range_of_its_options():
    variants = [method.parameters() for method in Distilled.variants(task(2)[-1])]
    assert len({tuple(variant.values()) for variant in variants}) == len(variants)
    for variant in variants:
        assert {name: Distilled.options[name].check(name, value) for name, value in variant.items()} == variant


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_anchors_are_too_few(n):
    x, y, _, _, head = task(5)
    with pytest.raises(TooFewAnchors):
        Distilled(head, 1e-3).fit(x[:n], y[:n])


def test_different_numbers_of_rows_are_a_dimension_mismatch():
    x, y, _, _, head = task(5)
    with pytest.raises(DimensionMismatch):
        Distilled(head, 1e-3).fit(x, y[1:])
