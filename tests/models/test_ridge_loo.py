"""Facts of the ridge that leave-one-out chooses the penalty of, and parity with scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV

from models.moments import thin_svd
from models.ridge import Ridge
from models.ridge_loo import DECADES, MOST, RidgeLoo, best_penalty

GRID = 10 ** np.arange(min(DECADES) - 0.75, max(DECADES) + 1, 0.25)


@pytest.mark.parametrize("noise", [0.01, 0.3, 3.0])
@pytest.mark.parametrize(("n", "d1", "d2"), [(60, 8, 8), (60, 12, 5), (24, 30, 40)])
def test_it_is_the_ridge_that_scikit_learn_chooses(n, d1, d2, noise, normal):
    x = normal(n, d1) * torch.logspace(0, -1, d1)
    y = x @ normal(d1, d2) + noise * normal(n, d2)
    largest = float(torch.linalg.svdvals(x - x.mean(0))[0]) ** 2
    expected = RidgeCV(alphas=GRID * largest).fit(x.numpy(), y.numpy())
    found = RidgeLoo().fit(x, y)
    assert found.penalty_ * largest == pytest.approx(expected.alpha_)
    fresh = normal(7, d1)
    torch.testing.assert_close(
        found.transform(fresh), torch.from_numpy(expected.predict(fresh.numpy())), atol=1e-6, rtol=1e-6
    )


def test_the_error_is_that_of_fits_without_each_row(normal):
    x, y = normal(20, 6), normal(20, 4)
    u, s, _ = thin_svd(x - x.mean(0))
    errors = []
    for share in GRID:
        penalty = share * float(s[0]) ** 2  # λ itself, of all rows, for every fit
        error = 0.0
        for row in range(20):
            others = torch.arange(20) != row
            scatter = float(torch.linalg.svdvals(x[others] - x[others].mean(0))[0]) ** 2
            left_out = Ridge(penalty / scatter).fit(x[others], y[others])
            error += float((left_out.transform(x[row : row + 1]) - y[row]).square().sum())
        errors.append(error)
    assert best_penalty(u, s.square(), y - y.mean(0)) == pytest.approx(GRID[int(np.argmin(errors))])


def test_it_is_as_ridge_with_its_penalty(noisy):
    found = RidgeLoo().fit(noisy.x, noisy.y)
    torch.testing.assert_close(
        found.transform(noisy.x),
        Ridge(found.penalty_).fit(noisy.x, noisy.y).transform(noisy.x),
        atol=1e-8,
        rtol=0,
    )


def test_many_anchors_are_left_to_folds():
    assert RidgeLoo.suits(MOST, 8, 8)
    assert not RidgeLoo.suits(MOST + 1, 8, 8)
