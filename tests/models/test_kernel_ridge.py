"""Kernel ridge regression: parity with scikit-learn, its two ends, and what becomes of odd anchors."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge as Sklearn
from sklearn.metrics import pairwise_distances
from sklearn.preprocessing import KernelCenterer

from models.errors import TooManyAnchors
from models.estimate import estimate
from models.kernel_ridge import MOST, PENALTIES, WIDTHS, KernelMap, KernelRidge
from models.ridge import Ridge


def r2(method, x, y):
    return float(1 - (y - method.transform(x)).square().sum() / (y - y.mean(0)).square().sum())


@pytest.mark.parametrize(("n", "suited"), [(2, True), (1000, True), (1001, False)])
def test_it_suits_few_pairs(n, suited):
    assert KernelRidge.suits(n, 8, 8) is suited


def test_more_than_it_can_hold_are_refused():
    many = torch.zeros(MOST + 1, 2)
    with pytest.raises(TooManyAnchors, match="at most 5000 anchors, got 5001"):
        KernelRidge().fit(many, many)
    with pytest.raises(TooManyAnchors, match="at most 5000 anchors, got 5001"):
        estimate(many, many, "kernel_ridge")


def test_rows_are_translated_part_by_part(monkeypatch, normal):
    made = KernelRidge().fit(normal(30, 4), normal(30, 3))
    rows = normal(50, 4)
    whole = made.transform(rows)
    monkeypatch.setattr("models.kernel_ridge.CELLS", 7 * 30)
    torch.testing.assert_close(made.transform(rows), whole)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_it_is_that_of_sklearn(width, penalty, normal):
    x, y, rows = (3 + 2 * normal(*shape).numpy() for shape in ((50, 6), (50, 4), (20, 6)))
    squared = pairwise_distances(x, metric="sqeuclidean")
    apart = squared[~np.eye(50, dtype=bool)].mean()
    kernel, of_rows = (
        np.exp(-pairwise_distances(v, x, metric="sqeuclidean") / (width * apart)) for v in (x, rows)
    )
    centre = KernelCenterer().fit(kernel)
    own = centre.transform(kernel)
    oracle = Sklearn(alpha=penalty * own.trace() / 50, kernel="precomputed").fit(own, y - y.mean(0))
    expected = oracle.predict(centre.transform(of_rows)) + y.mean(0)
    made = KernelRidge(width, penalty).fit(torch.from_numpy(x), torch.from_numpy(y))
    torch.testing.assert_close(made.transform(torch.from_numpy(rows)), torch.from_numpy(expected))


def test_what_bends_is_translated_better_than_by_ridge(normal):
    x = normal(600, 4)
    y = x @ normal(4, 5) + 2 * torch.tanh(2 * x @ normal(4, 5)) + 0.05 * normal(600, 5)
    left = [
        min(1 - r2(method.fit(x[:300], y[:300]), x[300:], y[300:]) for method in kind.candidates({}))
        for kind in (KernelRidge, Ridge)
    ]
    assert left[0] < 0.5 * left[1]


def test_a_wide_kernel_is_a_straight_line(normal):
    x, weight = normal(200, 5), normal(5, 3)
    made = KernelRidge(1000.0, 1e-6).fit(x, x @ weight + 1)
    rows = normal(50, 5)
    torch.testing.assert_close(made.transform(rows), rows @ weight + 1, rtol=0.02, atol=0.02)


def test_a_strong_penalty_leaves_the_mean(normal):
    x, y = normal(40, 5), normal(40, 3)
    made = KernelRidge(penalty=1e3).fit(x, y)
    torch.testing.assert_close(made.transform(x), y.mean(0).expand(40, -1), rtol=0, atol=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_from_all_anchors_it_is_a_constant(dtype, noisy):
    made = KernelRidge().fit(noisy.x, noisy.y)
    far = torch.stack([torch.full((noisy.x.shape[1],), size, dtype=dtype) for size in (1e4, -1e4, 1e18, 1e30)])
    answers = made.transform(far)
    assert answers.isfinite().all()
    torch.testing.assert_close(answers, answers[:1].expand(4, -1))


def test_of_anchors_that_are_all_the_same_it_knows_the_mean(normal):
    y = normal(10, 3)
    made = KernelRidge().fit(torch.full((10, 4), 0.1), y)
    assert made.rank_ == 0
    torch.testing.assert_close(made.transform(normal(5, 4)), y.mean(0).expand(5, -1))


def test_copies_of_anchors_do_no_harm(normal):
    x, y = normal(20, 4), normal(20, 3)
    twice = KernelRidge(penalty=1e-6).fit(x.repeat(2, 1), y.repeat(2, 1))
    assert r2(twice, x, y) > 0.999


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_the_scale_of_the_source_does_not_matter(factor, noisy):
    plain, scaled = KernelRidge().fit(noisy.x, noisy.y), KernelRidge().fit(factor * noisy.x, noisy.y)
    torch.testing.assert_close(scaled.transform(factor * noisy.x), plain.transform(noisy.x))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_single_precision_serves_every_variant(width, penalty, normal):
    x = normal(300, 16)
    made = KernelRidge(width, penalty).fit(x, torch.tanh(x @ normal(16, 8)))
    rows = normal(200, 16)
    # a kernel is rounded by about 3e-8, which α of length √300 / λ magnifies; λ is 1e-3 and more here
    torch.testing.assert_close(made.transform(rows.float()).double(), made.transform(rows), rtol=0, atol=1e-3)


def test_the_map_is_the_formula_of_numpy(normal):
    mean, anchors, weight, bias, x = normal(4), normal(6, 4), normal(6, 3), normal(3), normal(9, 4)
    made = KernelMap(mean, torch.tensor(0.3).double(), anchors, weight, bias)
    assert made.dims == (4, 3)
    squared = pairwise_distances(0.3 * (x - mean).numpy(), anchors.numpy(), metric="sqeuclidean")
    expected = np.expm1(-squared) @ weight.numpy() + bias.numpy()
    torch.testing.assert_close(made(x), torch.from_numpy(expected))


@pytest.mark.parametrize("bend", [0.0, 2.0])
def test_auto_bends_only_what_is_bent(bend, normal):
    """Where nothing bends, a straight map is as good, and served by one product."""
    x = normal(200, 4)
    y = x @ normal(4, 5) + bend * torch.tanh(2 * x @ normal(4, 5)) + 0.3 * normal(200, 5)
    report = estimate(x, y, objective="reconstruction").report
    assert (report.method == "kernel_ridge") is (bend > 0)
    assert "kernel_ridge" in {candidate.method for candidate in report.candidates}
