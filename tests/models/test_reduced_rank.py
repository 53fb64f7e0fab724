"""Facts of reduced-rank regression, and parity with an explicit solution in NumPy."""

import numpy as np
import pytest
import torch

from models.moments import Moments
from models.reduced_rank import PENALTIES, RANKS, ReducedRank
from models.registry import METHODS
from models.ridge import Ridge

SHAPES = [(60, 8, 8), (60, 8, 12), (60, 12, 8), (12, 20, 24), (12, 20, 5)]


def fitted(x, y, penalty=0.01, rank=0.3):
    return ReducedRank(penalty, rank).fit(x, y)


def by_rows(x, y, penalty, kept):
    """Centred x, y with √λ I and 0 below: a reduced-rank regression, solved by the SVD of its answers."""
    ridge = np.sqrt(penalty) * np.linalg.norm(x, 2) * np.eye(x.shape[1])
    x, y = np.vstack([x, ridge]), np.vstack([y, np.zeros((len(ridge), y.shape[1]))])
    least_squares = np.linalg.lstsq(x, y, rcond=None)[0]
    v = np.linalg.svd(x @ least_squares)[2][:kept].T
    return least_squares @ v @ v.T


def test_it_is_registered():
    assert METHODS["reduced_rank"] is ReducedRank


@pytest.mark.parametrize("penalty", [1e-3, 0.1])
@pytest.mark.parametrize(("n", "d1", "d2"), SHAPES)
def test_it_is_the_reduced_rank_regression_of_augmented_rows(n, d1, d2, penalty, normal):
    x, y = normal(n, d1) @ normal(d1, d1), normal(n, d2)
    method = fitted(x, y, penalty, 0.5)
    expected = by_rows((x - x.mean(0)).numpy(), (y - y.mean(0)).numpy(), penalty, method.rank_)
    torch.testing.assert_close(method.map_.weight, torch.from_numpy(expected), atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("penalty", [1e-5, 0.01, 1.0])
@pytest.mark.parametrize(("n", "d1", "d2"), [*SHAPES, (30, 1, 3), (30, 3, 1)])
def test_with_all_directions_it_is_ridge(n, d1, d2, penalty, normal):
    x, y = normal(n, d1), normal(n, d2)
    expected = Ridge(penalty).fit(x, y).map_.weight
    torch.testing.assert_close(fitted(x, y, penalty, 1.0).map_.weight, expected)


@pytest.mark.parametrize(("share", "rank"), [(0.0, 1), (0.1, 2), (0.3, 5), (0.5, 8), (1.0, 16)])
def test_a_share_of_the_directions_is_kept(share, rank, noisy):
    method = fitted(noisy.x, noisy.y, rank=share)
    assert method.rank_ == rank
    assert torch.linalg.matrix_rank(method.map_.weight) == rank


def test_few_anchors_have_a_share_of_one_less_than_their_number(few):
    assert fitted(few.x, few.y, rank=1.0).rank_ == 11
    assert fitted(few.x, few.y, rank=0.5).rank_ == 6


@pytest.mark.parametrize("seed", range(5))
def test_no_other_map_of_its_rank_fits_better(seed, noisy, normal):
    x, y = noisy.x - noisy.x.mean(0), noisy.y - noisy.y.mean(0)
    solution = ReducedRank(1e-8, 0.3).solve(Moments.of(x, y))
    generator = torch.Generator().manual_seed(seed)
    nudged = [
        f + 0.01 * torch.randn(f.shape, generator=generator).double() * f.abs().mean()
        for f in (solution.source, solution.back)
    ]
    best, other = ((y - x @ w).square().sum() for w in (solution.weight, nudged[0] @ nudged[1]))
    assert best < other


def test_a_map_of_low_rank_is_recovered_beside_noise(normal):
    x = normal(400, 20)
    truth = normal(20, 2) @ normal(2, 20)
    y = x @ truth + normal(400, 20)
    reduced, ridge = (m.fit(x, y).map_.weight for m in (ReducedRank(1e-3, 0.1), Ridge(1e-3)))
    assert (reduced - truth).norm() < 0.5 * (ridge - truth).norm()


def test_the_codes_hold_all_that_is_translated(noisy):
    solution = ReducedRank().solve(Moments.of(noisy.x, noisy.y))
    torch.testing.assert_close(solution.codes.T @ solution.codes, torch.eye(solution.rank, dtype=torch.float64))
    torch.testing.assert_close(solution.weight @ solution.codes @ solution.codes.T, solution.weight)


def test_the_strength_is_what_the_source_explains(noisy):
    x, y = noisy.x - noisy.x.mean(0), noisy.y - noisy.y.mean(0)
    solution = ReducedRank(1e-8, 1.0).solve(Moments.of(x, y))
    explained = torch.linalg.svdvals(x @ torch.linalg.lstsq(x, y).solution)
    torch.testing.assert_close(solution.strength, explained / explained[0], atol=1e-6, rtol=1e-6)


def test_without_any_scatter_the_map_is_nothing():
    still = torch.ones(5, 3, dtype=torch.float64)
    solution = ReducedRank().solve(Moments.of(still, still))
    assert solution.rank == 0
    assert not solution.weight.any()


def test_a_constant_target_is_its_mean(rotated):
    still = torch.full((60, 3), 0.5, dtype=torch.float64)
    torch.testing.assert_close(fitted(rotated.x, still).transform(rotated.x), still)


def test_without_options_every_pair_is_tried_and_a_fixed_one_is_kept():
    pairs = [(method.penalty, method.rank) for method in ReducedRank.candidates({})]
    assert sorted(pairs) == sorted((penalty, rank) for penalty in PENALTIES for rank in RANKS)
    assert [(m.penalty, m.rank) for m in ReducedRank.candidates({"rank": 0.7})] == [(p, 0.7) for p in PENALTIES]
