"""Facts of the cut ridge map, and parity with NumPy."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge

from models.low_rank import LowRank
from models.moments import Moments
from models.reduced_rank import ReducedRank
from models.registry import METHODS
from models.ridge import Ridge

SHAPES = [(60, 8, 8), (60, 8, 12), (60, 12, 8), (12, 20, 24), (12, 20, 5)]


def fitted(x, y, penalty=0.01, rank=0.3):
    return LowRank(penalty, rank).fit(x, y)


def test_it_is_registered_to_be_named_and_not_to_be_tried():
    assert METHODS["low_rank"] is LowRank
    assert not LowRank.suits(1000, 64, 64)


@pytest.mark.parametrize(("n", "d1", "d2"), SHAPES)
def test_it_is_scikit_learns_ridge_cut_by_numpy(n, d1, d2, normal):
    x, y = normal(n, d1), normal(n, d2)
    method = fitted(x, y, 0.01, 0.5)
    largest = float(torch.linalg.svdvals(x - x.mean(0))[0]) ** 2
    ridge = SklearnRidge(alpha=0.01 * largest, solver="svd").fit(x.numpy(), y.numpy())
    u, s, vt = np.linalg.svd(ridge.coef_.T, full_matrices=False)
    expected = u[:, : method.rank_] * s[: method.rank_] @ vt[: method.rank_]
    torch.testing.assert_close(method.map_.weight, torch.from_numpy(expected))


@pytest.mark.parametrize(("n", "d1", "d2"), [*SHAPES, (30, 1, 3), (30, 3, 1)])
def test_with_all_directions_it_is_ridge(n, d1, d2, normal):
    x, y = normal(n, d1), normal(n, d2)
    torch.testing.assert_close(fitted(x, y, rank=1.0).map_.weight, Ridge(0.01).fit(x, y).map_.weight)


def test_of_one_rank_reduced_rank_fits_the_anchors_better(noisy, normal):
    x = noisy.x * torch.linspace(0.1, 3, 16, dtype=torch.float64)
    low, reduced = (m(1e-8, 0.3).fit(x, noisy.y) for m in (LowRank, ReducedRank))
    assert low.rank_ == reduced.rank_ == 5
    losses = [(noisy.y - method.transform(x)).square().sum() for method in (reduced, low)]
    assert losses[0] < 0.95 * losses[1]


def test_on_a_round_source_both_are_one(normal):
    x = torch.linalg.qr(normal(60, 8) - 0.0)[0]
    x = torch.linalg.qr(x - x.mean(0))[0]
    y = normal(60, 8)
    torch.testing.assert_close(fitted(x, y).map_.weight, ReducedRank().fit(x, y).map_.weight)


def test_without_any_scatter_the_map_is_nothing():
    still = torch.ones(5, 3, dtype=torch.float64)
    solution = LowRank().solve(Moments.of(still, still))
    assert solution.rank == 0
    assert not solution.weight.any()
