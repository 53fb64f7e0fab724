"""Facts of ridge towards a rotation, and parity with NumPy and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import Ridge as SklearnRidge

from models.moments import Moments
from models.orthogonal import Orthogonal
from models.registry import METHODS
from models.ridge_procrustes import PENALTIES, RidgeProcrustes


def fitted(x, y, penalty=0.01):
    return RidgeProcrustes(penalty).fit(x, y)


def test_it_is_registered():
    assert METHODS["ridge_procrustes"] is RidgeProcrustes


@pytest.mark.parametrize("penalty", [1e-5, 0.01, 0.3, 100.0])
@pytest.mark.parametrize(("n", "d1", "d2"), [(60, 8, 8), (60, 8, 12), (60, 12, 8), (12, 20, 24), (12, 20, 5)])
def test_it_is_scikit_learns_ridge_on_what_the_rotation_leaves(n, d1, d2, penalty, normal):
    x, y, fresh = normal(n, d1) @ normal(d1, d1), normal(n, d2), normal(7, d1)
    rotation = Orthogonal().fit(x, y)
    largest = float(torch.linalg.svdvals(x - x.mean(0))[0]) ** 2
    left = SklearnRidge(alpha=penalty * largest, solver="svd").fit(x.numpy(), (y - rotation.transform(x)).numpy())
    expected = rotation.transform(fresh) + torch.from_numpy(left.predict(fresh.numpy()))
    # sklearn decomposes x, we its scatter: the condition number is squared, hence 1e-6
    torch.testing.assert_close(fitted(x, y, penalty).transform(fresh), expected, atol=1e-6, rtol=1e-6)


def test_the_normal_equations_of_its_loss_hold(noisy):
    x, y = (noisy.x - noisy.x.mean(0)).numpy(), (noisy.y - noisy.y.mean(0)).numpy()
    rotation, trace = orthogonal_procrustes(x, y)
    prior = trace / np.square(x).sum() * rotation
    penalty = 0.03 * np.linalg.norm(x, 2) ** 2
    expected = np.linalg.solve(x.T @ x + penalty * np.eye(16), x.T @ y + penalty * prior)
    torch.testing.assert_close(fitted(noisy.x, noisy.y, 0.03).map_.weight, torch.from_numpy(expected))


def test_a_large_penalty_is_the_orthogonal_method(noisy):
    expected = Orthogonal().fit(noisy.x, noisy.y).map_.weight
    # a thousandth of the way to least squares is left
    torch.testing.assert_close(fitted(noisy.x, noisy.y, 1e3).map_.weight, expected, atol=1e-3, rtol=0)


def test_a_vanishing_penalty_is_least_squares(noisy):
    with_one = torch.hstack([noisy.x, torch.ones(300, 1, dtype=torch.float64)])
    expected = with_one @ torch.linalg.lstsq(with_one, noisy.y).solution
    torch.testing.assert_close(fitted(noisy.x, noisy.y, 1e-8).transform(noisy.x), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("penalty", [1e-8, 0.01, 1e3])
@pytest.mark.parametrize(("d1", "d2"), [(8, 8), (8, 12), (1, 1), (1, 3)])
def test_a_rotation_is_recovered_at_every_penalty(d1, d2, penalty, make_pair):
    truth = make_pair(60, d1, d2)
    torch.testing.assert_close(fitted(truth.x, truth.y, penalty).map_.weight, truth.scale * truth.rotation)


def test_a_constant_axis_is_left_alone(rotated):
    x = torch.hstack([rotated.x, torch.full((60, 1), 0.5, dtype=torch.float64)])
    method = fitted(x, rotated.y)
    assert method.rank_ == 8
    torch.testing.assert_close(method.map_.weight[-1], torch.zeros(8, dtype=torch.float64))


def test_without_any_scatter_the_map_is_nothing():
    still = torch.ones(5, 3, dtype=torch.float64)
    solution = RidgeProcrustes().solve(Moments.of(still, still))
    assert solution.rank == 0
    assert not solution.weight.any()


def test_without_a_fixed_penalty_all_are_tried_strong_to_weak():
    assert [method.penalty for method in RidgeProcrustes.candidates({})] == sorted(PENALTIES, reverse=True)
