"""Facts of partial whitening, and parity with SciPy and scikit-learn at both ends."""

import numpy as np
import pytest
import torch
from scipy.linalg import eigh, orthogonal_procrustes, sqrtm, subspace_angles
from sklearn.cross_decomposition import CCA

from models.measures import cosines
from models.moments import Moments
from models.orthogonal import Orthogonal
from models.registry import METHODS
from models.whitened import GRID, Whitened

WIDTHS = [(8, 8), (8, 12), (12, 8)]
TINY = 1e-6  # the least shrinkage


def fitted(x, y, alpha=0.0, shrinkage=0.1):
    return Whitened(alpha, shrinkage).fit(x, y)


def solved(x, y, alpha=0.0, shrinkage=0.1):
    return Whitened(alpha, shrinkage).solve(Moments.of(x, y))


def correlated(normal, n, d1, d2, shared=4):
    """Two spaces that see the same `shared` things in different, unequal lengths, and noise of their own."""
    seen = normal(n, shared) * torch.linspace(3, 1, shared, dtype=torch.float64)
    return tuple((seen @ normal(shared, d) + normal(n, d)) @ normal(d, d) for d in (d1, d2))


def canonical_correlations(x, y):
    """By the generalised eigenvalues of Syx Sxx⁻¹ Sxy against Syy."""
    moments = Moments.of(x, y)
    sxx, sxy, syy = (s.numpy() for s in (moments.sxx, moments.sxy, moments.syy))
    squared = eigh(sxy.T @ np.linalg.solve(sxx, sxy), syy, eigvals_only=True)[::-1]
    return torch.from_numpy(np.sqrt(squared.clip(0)).copy())[: min(sxy.shape)]


def shrunk_root(scatter, shrinkage):
    """Z⁻¹ at α = 0, of length one in the mean, by SciPy's matrix square root."""
    mean = np.trace(scatter) / len(scatter)
    return np.real(sqrtm(((1 - shrinkage) * scatter + shrinkage * mean * np.eye(len(scatter))) / mean))


def test_it_is_registered():
    assert METHODS["whitened"] is Whitened


@pytest.mark.parametrize("shrinkage", [TINY, 0.1, 1.0])
@pytest.mark.parametrize(("n", "d1", "d2"), [(60, 8, 8), (60, 8, 12), (12, 20, 24)])
def test_without_whitening_it_is_the_orthogonal_method(n, d1, d2, shrinkage, normal):
    x, y = normal(n, d1), normal(n, d2)
    expected = Orthogonal().fit(x, y)
    torch.testing.assert_close(fitted(x, y, 1.0, shrinkage).map_.weight, expected.map_.weight)


@pytest.mark.parametrize(("d1", "d2"), WIDTHS)
def test_shrunk_to_round_covariances_it_is_the_orthogonal_method(d1, d2, normal):
    x, y = normal(60, d1), normal(60, d2)
    expected = Orthogonal().fit(x, y).map_.weight
    torch.testing.assert_close(fitted(x, y, 0.0, 1.0).map_.weight, expected)


@pytest.mark.parametrize("shrinkage", [1e-3, 0.1, 0.6])
@pytest.mark.parametrize(("d1", "d2"), WIDTHS)
def test_it_whitens_rotates_and_dewhitens_as_scipy_does(d1, d2, shrinkage, normal):
    x, y = correlated(normal, 200, d1, d2)
    xc, yc = (x - x.mean(0)).numpy(), (y - y.mean(0)).numpy()
    root_x, root_y = (shrunk_root(v.T @ v, shrinkage) for v in (xc, yc))
    white_x, white_y = xc @ np.linalg.inv(root_x), yc @ np.linalg.inv(root_y)
    wide = max(d1, d2)  # SciPy wants equal widths
    padded = [np.pad(v, ((0, 0), (0, wide - v.shape[1]))) for v in (white_x, white_y)]
    rotation = orthogonal_procrustes(*padded)[0][:d1, :d2]
    unscaled = np.linalg.inv(root_x) @ rotation @ root_y
    predicted = xc @ unscaled
    expected = (predicted * yc).sum() / np.square(predicted).sum() * unscaled
    torch.testing.assert_close(fitted(x, y, 0.0, shrinkage).map_.weight, torch.from_numpy(expected))


@pytest.mark.parametrize(("d1", "d2"), WIDTHS)
def test_whitened_strengths_are_the_canonical_correlations(d1, d2, normal):
    x, y = correlated(normal, 2000, d1, d2)
    correlations = canonical_correlations(x, y)
    strength = solved(x, y, 0.0, TINY).strength
    torch.testing.assert_close(strength, correlations / correlations[0], atol=1e-3, rtol=0)


def test_whitened_codes_are_the_canonical_directions_of_scikit_learn(normal):
    x, y = correlated(normal, 2000, 8, 6, shared=3)
    cca = CCA(n_components=3, scale=False, max_iter=5000, tol=1e-12).fit(x.numpy(), y.numpy())
    codes = solved(x, y, 0.0, TINY).codes[:, :3].numpy()
    assert np.allclose(subspace_angles(codes, cca.y_rotations_), 0, atol=1e-2)
    ours = ((y - y.mean(0)).numpy() @ codes).T
    theirs = cca.transform(x.numpy(), y.numpy())[1].T
    aligned = [abs(np.corrcoef(one, other)[0, 1]) for one, other in zip(ours, theirs, strict=True)]
    assert min(aligned) > 0.999


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("n", "d1", "d2"), [(200, 8, 8), (200, 8, 12), (200, 12, 8), (12, 20, 24)])
def test_translations_and_targets_meet_in_the_codes(n, d1, d2, alpha, normal):
    x, y = correlated(normal, n, d1, d2)
    xc, solution = x - x.mean(0), solved(x, y, alpha)
    # W codes = c Zx U: what was undone for the target is done again
    torch.testing.assert_close(xc @ solution.weight @ solution.codes, xc @ solution.source)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_both_sides_of_the_codes_are_paired_axis_by_axis(alpha, normal):
    x, y = correlated(normal, 200, 8, 12)
    xc, yc, solution = x - x.mean(0), y - y.mean(0), solved(x, y, alpha)
    shared = solution.source.T @ (xc.T @ yc) @ solution.codes  # c Uᵀ Zx Sxy Zy V = c S
    torch.testing.assert_close(shared / shared[0, 0], solution.strength.diag(), atol=1e-8, rtol=0)


@pytest.mark.parametrize("side", ["source", "target"])
def test_full_whitening_compares_alike_after_every_linear_map(side, normal):
    x, y = correlated(normal, 2000, 8, 8)
    stretch = torch.linalg.qr(normal(8, 8))[0] * torch.linspace(0.3, 3, 8, dtype=torch.float64)
    turned = (x @ stretch, y) if side == "source" else (x, y @ stretch)
    before, after = code_cosines(x, y, 0.0), code_cosines(*turned, 0.0)
    torch.testing.assert_close(before, after, atol=1e-2, rtol=0)


@pytest.mark.parametrize("side", ["source", "target"])
def test_without_whitening_a_linear_map_changes_the_comparison(side, normal):
    x, y = correlated(normal, 2000, 8, 8)
    stretch = torch.linalg.qr(normal(8, 8))[0] * torch.linspace(0.3, 3, 8, dtype=torch.float64)
    turned = (x @ stretch, y) if side == "source" else (x, y @ stretch)
    assert (code_cosines(x, y, 1.0) - code_cosines(*turned, 1.0)).abs().max() > 0.1


def code_cosines(x, y, alpha):
    """Of 50 translations and their targets, in the codes."""
    solution = solved(x, y, alpha, TINY)
    return cosines(((x - x.mean(0)) @ solution.source)[:50], ((y - y.mean(0)) @ solution.codes)[:50])


@pytest.mark.parametrize(("alpha", "shrinkage"), [(0.0, TINY), (0.0, 0.3), (0.5, 0.1), (1.0, 0.1)])
@pytest.mark.parametrize(("n", "d1", "d2"), [(60, 8, 8), (60, 8, 12), (12, 20, 24)])
def test_a_rotation_is_recovered(n, d1, d2, alpha, shrinkage, make_pair):
    truth = make_pair(n, d1, d2)
    method = fitted(truth.x, truth.y, alpha, shrinkage)
    torch.testing.assert_close(method.transform(truth.x), truth.y, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_no_other_scale_fits_better(alpha, normal):
    x, y = correlated(normal, 200, 8, 8)
    weight, xc, yc = solved(x, y, alpha).weight, x - x.mean(0), y - y.mean(0)
    best, *others = ((yc - c * xc @ weight).square().sum() for c in (1.0, 0.99, 1.01))
    assert best < min(others)


def test_few_anchors_support_one_direction_less_than_their_number(few):
    assert fitted(few.x, few.y).rank_ == len(few.x) - 1


def test_a_constant_axis_is_left_alone(rotated):
    x = torch.hstack([rotated.x, torch.full((60, 1), 0.5, dtype=torch.float64)])
    method = fitted(x, rotated.y)
    assert method.rank_ == 8
    torch.testing.assert_close(method.map_.weight[-1], torch.zeros(8, dtype=torch.float64))


@pytest.mark.parametrize(("d1", "d2"), [(1, 1), (1, 3), (3, 1)])
def test_one_dimension_has_one_code(d1, d2, normal):
    solution = solved(normal(30, d1), normal(30, d2))
    assert solution.codes.shape == (d2, 1)
    assert solution.strength.tolist() == [1.0]


def test_without_any_scatter_the_map_is_nothing():
    still = torch.ones(5, 3, dtype=torch.float64)
    solution = solved(still, still)
    assert solution.rank == 0
    assert not solution.weight.any()


def test_without_options_partial_and_full_whitening_are_tried():
    tried = [(method.alpha, method.shrinkage) for method in Whitened.candidates({})]
    assert set(tried) == set(GRID)


def test_a_fixed_option_leaves_the_other_open_without_repeats():
    tried = [(method.alpha, method.shrinkage) for method in Whitened.candidates({"alpha": 0.7})]
    assert {alpha for alpha, _ in tried} == {0.7}
    assert {shrinkage for _, shrinkage in tried} == {shrinkage for _, shrinkage in GRID}
    assert len(set(tried)) == len(tried)


@pytest.mark.parametrize(("d1", "d2"), WIDTHS)
def test_reweighted_by_all_that_is_shared_it_is_least_squares(d1, d2, normal):
    x, y = normal(500, d1), normal(500, d2)
    x, y = x - x.mean(0), y - y.mean(0)
    expected = torch.linalg.lstsq(x, y).solution
    weight = Whitened(0.0, TINY, 1.0).solve(Moments.of(x, y)).weight
    torch.testing.assert_close(weight, expected, atol=1e-5, rtol=1e-5)


def test_reweighting_scales_each_code_by_what_is_shared(noisy):
    moments = Moments.of(noisy.x, noisy.y)
    plain, half = (Whitened(0.0, 0.1, power).solve(moments) for power in (0.0, 0.5))
    ratio = (half.weight @ half.codes) / (plain.weight @ plain.codes)
    expected = plain.strength.sqrt().expand(16, -1)
    torch.testing.assert_close(ratio / ratio[0, 0], expected)
