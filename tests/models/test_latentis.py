"""The aligners of `latentis`, against its formulas written again in NumPy, SciPy and plain torch modules."""

import numpy as np
import pytest
import torch
from scipy.linalg import lstsq, orthogonal_procrustes
from torch.nn.functional import mse_loss

from models.latentis import LatentisAffine, LatentisLinear, LatentisLOrtho, LatentisOrtho
from models.registry import METHODS

ALIGNERS = [LatentisOrtho, LatentisLOrtho, LatentisLinear, LatentisAffine]
SHAPES = [(60, 8, 8), (60, 8, 12), (60, 12, 8)]

every_aligner = pytest.mark.parametrize("aligner", ALIGNERS)
each_shape = pytest.mark.parametrize(("n", "d1", "d2"), SHAPES)


def scaled(x):
    """Standard scaling: (x - m) / σ, m, σ, with σ below 10 ε replaced by 1."""
    sigma = x.std(0, ddof=1)
    sigma = np.where(sigma < 10 * np.finfo(x.dtype).eps, 1.0, sigma)
    return (x - x.mean(0)) / sigma, x.mean(0), sigma


def translated(align, x, y, rows):
    """The package's `Translator`: scale, pad, align, cut, scale back."""
    (x, mean_x, sigma_x), (y, mean_y, sigma_y) = scaled(x.numpy()), scaled(y.numpy())
    d1, d2 = x.shape[1], y.shape[1]
    wide = max(d1, d2)
    matrix = align(np.pad(x, ((0, 0), (0, wide - d1))), np.pad(y, ((0, 0), (0, wide - d2))))
    rows = np.pad((rows.numpy() - mean_x) / sigma_x, ((0, 0), (0, wide - d1)))
    return torch.from_numpy((rows @ matrix)[:, :d2] * sigma_y + mean_y)


def nearest_rotation(matrix):
    u, _, vt = np.linalg.svd(matrix)
    return u @ vt


def least_squares(x, y):
    return lstsq(x, y)[0]


ORACLES = {
    LatentisOrtho: lambda x, y: orthogonal_procrustes(x, y)[0],
    LatentisLinear: least_squares,
    LatentisLOrtho: lambda x, y: nearest_rotation(least_squares(x, y)),
}


def stretched(normal, n, d1, d2):
    x = normal(n, d1) @ normal(d1, d1) + 3
    return x, x @ normal(d1, d2) + normal(n, d2) - 1


@every_aligner
def test_it_is_registered_to_be_named_and_not_to_be_tried(aligner):
    assert METHODS[aligner.name] is aligner
    assert not aligner.suits(1000, 64, 64)


@pytest.mark.parametrize("aligner", ORACLES)
@each_shape
def test_it_translates_as_the_package_does(aligner, n, d1, d2, normal):
    x, y = stretched(normal, n, d1, d2)
    fresh = normal(7, d1) + 3
    expected = translated(ORACLES[aligner], x, y, fresh)
    torch.testing.assert_close(aligner().fit(x, y).transform(fresh), expected)


@pytest.mark.parametrize("aligner", ORACLES)
def test_few_anchors_are_translated_as_the_package_does(aligner, normal):
    x, y = stretched(normal, 12, 20, 24)
    expected = translated(ORACLES[aligner], x, y, x)
    torch.testing.assert_close(aligner().fit(x, y).transform(x), expected)


@pytest.mark.parametrize("aligner", ORACLES)
def test_constant_axes_are_scaled_by_one(aligner, normal):
    x, y = stretched(normal, 60, 8, 8)
    x[:, 2], y[:, 5] = 0.5, -0.75
    expected = translated(ORACLES[aligner], x, y, x)
    torch.testing.assert_close(aligner().fit(x, y).transform(x), expected)


@pytest.mark.parametrize("value", [0.1, 1e6 / 3])
@every_aligner
def test_the_rounding_of_a_constant_axis_is_not_stretched(aligner, value, normal):
    x, y = normal(60, 4), normal(60, 4)
    x[:, 1] = value
    assert aligner().fit(x, y).transform(x).abs().max() < 20


def trained(x, y):
    """What the package does: a torch module and Adam on all rows, 300 steps, seed 0, in single precision."""
    (x, mean_x, sigma_x), (y, mean_y, sigma_y) = scaled(x.numpy()), scaled(y.numpy())
    x, y = torch.from_numpy(x).float(), torch.from_numpy(y).float()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = torch.nn.Linear(x.shape[1], y.shape[1])
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-3)
    for _ in range(300):
        optimiser.zero_grad()
        mse_loss(layer(x), y).backward()
        optimiser.step()
    return lambda rows: (
        layer(torch.from_numpy((rows.numpy() - mean_x) / sigma_x).float()).detach().double()
        * torch.from_numpy(sigma_y)
        + torch.from_numpy(mean_y)
    )


@each_shape
def test_affine_is_the_linear_module_that_the_package_trains(n, d1, d2, normal):
    x, y = stretched(normal, n, d1, d2)
    # the package trains in single precision, 300 steps
    torch.testing.assert_close(LatentisAffine().fit(x, y).transform(x), trained(x, y)(x), atol=1e-3, rtol=1e-4)


def test_ortho_turns_standardised_codes_and_stretches_nothing(normal):
    x, y = stretched(normal, 60, 8, 8)
    x, y = ((v - v.mean(0)) / v.std(0) for v in (x, y))
    for aligner in (LatentisOrtho, LatentisLOrtho):
        weight = aligner().fit(x, y).map_.weight
        torch.testing.assert_close(weight.T @ weight, torch.eye(8, dtype=torch.float64))


@pytest.mark.parametrize("aligner", ORACLES)
def test_the_mean_of_the_source_becomes_the_mean_of_the_target(aligner, normal):
    x, y = stretched(normal, 60, 8, 12)
    torch.testing.assert_close(aligner().fit(x, y).transform(x.mean(0)[None])[0], y.mean(0))


@pytest.mark.parametrize("aligner", ORACLES)
def test_without_any_scatter_the_map_is_the_target_mean(aligner):
    still = torch.full((5, 3), 0.1, dtype=torch.float64)
    method = aligner().fit(still, 2 * still)
    assert method.rank_ == 0
    torch.testing.assert_close(method.transform(still), 2 * still)
