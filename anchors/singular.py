"""The singular value decomposition, whatever happens."""

import numpy as np
import scipy.linalg

from anchors.arrays import Matrix


def singular(matrix: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """matrix (n, m) -> U (n, r), s (r,), Vᵀ (r, m), r = min(n, m).

    LAPACK's divide and conquer, gesdd, does not always converge; QR iteration, gesvd, does and takes longer.
    """
    try:
        return np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:
        u, s, vt = scipy.linalg.svd(matrix, full_matrices=False, lapack_driver="gesvd")
        return u, s, vt
