"""The singular value decomposition."""

import numpy as np
import pytest

from anchors.singular import singular


@pytest.fixture(params=["gesdd", "gesvd"])
def driver(request, monkeypatch) -> None:
    """gesdd fails too seldom to wait for it."""

    def fails(*_, **__):
        raise np.linalg.LinAlgError("SVD did not converge")

    if request.param == "gesvd":
        monkeypatch.setattr(np.linalg, "svd", fails)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (1, 6)])
def test_the_factors_are_thin_orthonormal_and_give_the_matrix_back(driver, shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    u, s, vt = singular(matrix)
    assert s.shape == (min(shape),)
    assert (np.diff(s) <= 0).all()
    assert np.allclose(u.T @ u, np.eye(len(s)))
    assert np.allclose((u * s) @ vt, matrix)
