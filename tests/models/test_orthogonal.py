"""Facts of the orthogonal method, and parity with SciPy."""

import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from models.moments import Moments
from models.orthogonal import Orthogonal
from models.registry import METHODS


def fitted(x, y):
    return Orthogonal().fit(x, y)


def centred(x):
    return x - x.mean(0)


def test_it_is_registered():
    assert METHODS["orthogonal"] is Orthogonal


@pytest.mark.parametrize(("d1", "d2"), [(8, 8), (8, 12)])
def test_a_rotation_a_scale_and_a_shift_are_recovered(d1, d2, make_pair):
    truth = make_pair(60, d1, d2)
    affine = fitted(truth.x, truth.y).map_
    torch.testing.assert_close(affine.weight, truth.scale * truth.rotation)
    torch.testing.assert_close(affine.bias, truth.shift)


def test_a_reflection_is_recovered(rotated):
    mirror = torch.diag(torch.tensor([-1.0] + [1.0] * 7, dtype=torch.float64))
    torch.testing.assert_close(fitted(rotated.x, rotated.x @ mirror).map_.weight, mirror)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_any_scale_is_recovered(scale, rotated):
    torch.testing.assert_close(fitted(rotated.x, scale * rotated.x).transform(rotated.x), scale * rotated.x)


def test_a_low_rank_source_is_carried_into_a_narrower_target(make_pair, normal):
    truth = make_pair(60, 5, 8)
    wide = truth.x @ torch.linalg.qr(normal(12, 5))[0].T  # (60, 12) of rank 5
    method = fitted(wide, truth.y)
    assert method.rank_ == 5
    torch.testing.assert_close(method.transform(wide), truth.y)


def test_fewer_anchors_than_dimensions_recover_the_map_inside_their_span(make_pair):
    truth = make_pair(12, 20, 24)
    inside = 0.3 * truth.x[:4] + 0.7 * truth.x[4:8]  # affine mixtures stay in the span
    method = fitted(truth.x, truth.y)
    assert method.rank_ == 11
    torch.testing.assert_close(method.transform(inside), truth.scale * inside @ truth.rotation + truth.shift)


def test_single_precision_data_of_low_rank_are_not_taken_for_more(make_pair, normal):
    truth = make_pair(200, 3, 20)
    wide = (truth.x @ normal(3, 20)).float()
    assert fitted(wide, truth.y.float()).rank_ == 3


def test_the_rotation_is_that_of_scipy(noisy):
    expected, _ = orthogonal_procrustes(centred(noisy.x).numpy(), centred(noisy.y).numpy())
    weight = fitted(noisy.x, noisy.y).map_.weight
    torch.testing.assert_close(weight / torch.linalg.matrix_norm(weight, 2), torch.from_numpy(expected))


def test_the_scale_is_that_of_scipy(noisy):
    x, y = centred(noisy.x), centred(noisy.y)
    rotation, trace = orthogonal_procrustes(x.numpy(), y.numpy())  # trace of S
    expected = trace / x.square().sum() * torch.from_numpy(rotation)
    torch.testing.assert_close(fitted(noisy.x, noisy.y).map_.weight, expected)


@pytest.mark.parametrize(("d1", "d2"), [(8, 8), (8, 12), (12, 8)])
def test_the_map_is_semi_orthogonal_up_to_scale(d1, d2, normal):
    weight = fitted(normal(60, d1), normal(60, d2)).map_.weight
    stretch = torch.linalg.svdvals(weight)
    torch.testing.assert_close(stretch, stretch[:1].expand(min(d1, d2)))


@pytest.mark.parametrize(("d1", "d2"), [(8, 8), (8, 12), (12, 8)])
def test_no_other_scale_of_the_same_rotation_fits_better(d1, d2, normal):
    x, y = normal(60, d1), normal(60, d2)
    weight = fitted(x, y).map_.weight
    best, *others = ((centred(y) - c * centred(x) @ weight).square().sum() for c in (1.0, 0.99, 1.01))
    assert best < min(others)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_rotation_fits_better(seed, noisy, make_pair):
    method = fitted(noisy.x, noisy.y)
    square = make_pair(16, 16, 16, seed=seed).x
    nudge = torch.linalg.matrix_exp(0.05 * (square - square.T))  # a small rotation
    residual = noisy.y - method.transform(noisy.x)
    nudged = centred(noisy.y) - centred(noisy.x) @ nudge @ method.map_.weight
    assert residual.square().sum() < nudged.square().sum()


@pytest.mark.parametrize("n", [300, 10], ids=["n>d", "n<d"])
def test_rotating_the_source_changes_no_translation(n, noisy, make_pair):
    x, y, turn = noisy.x[:n], noisy.y[:n], make_pair(2, 16, 16, seed=9).rotation
    torch.testing.assert_close(fitted(x @ turn, y).transform(x @ turn), fitted(x, y).transform(x))


def test_scaling_the_source_changes_no_translation(noisy):
    expected = fitted(noisy.x, noisy.y).transform(noisy.x)
    torch.testing.assert_close(fitted(1000 * noisy.x, noisy.y).transform(1000 * noisy.x), expected)


def test_stretching_the_axes_of_the_source_does_change_it(rotated):
    stretch = torch.linspace(0.2, 5, 8, dtype=torch.float64)
    translated = fitted(rotated.x * stretch, rotated.y).transform(rotated.x * stretch)
    assert (translated - rotated.y).square().sum() > 0.1 * centred(rotated.y).square().sum()


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_the_map_is_cut_to_the_rank_of_the_anchors(rank, rotated, normal):
    flat = rotated.x[:, :rank] @ normal(rank, 8)
    method = fitted(flat, rotated.y)
    assert method.rank_ == torch.linalg.matrix_rank(method.map_.weight) == rank


@pytest.mark.parametrize(("d1", "d2"), [(8, 5), (5, 8)])
def test_the_narrower_space_bounds_the_rank(d1, d2, normal):
    assert fitted(normal(60, d1), normal(60, d2)).rank_ == 5


def test_without_any_scatter_the_map_is_nothing():
    still = torch.ones(5, 3, dtype=torch.float64)
    solution = Orthogonal().solve(Moments.of(still, still))
    assert solution.rank == 0
    assert not solution.weight.any()


def test_the_codes_are_the_directions_of_the_target_and_the_strength_their_singular_values(noisy):
    solution = Orthogonal().solve(Moments.of(noisy.x, noisy.y))
    _, s, vt = torch.linalg.svd(centred(noisy.x).T @ centred(noisy.y))
    torch.testing.assert_close((vt @ solution.codes).abs(), torch.eye(16, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(solution.strength, s / s[0])
