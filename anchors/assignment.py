"""Which row of one Gram matrix is which row of another: a quadratic assignment, by exchange.

max over permutations p of Σij A_ij B_p(i)p(j) (Koopmans & Beckmann 1957), A and B symmetric. Local search over all
exchanges of two, the best one each time, from many random permutations at once. With C = B[p][:, p] and M = A C,
exchanging r and s gains (Taillard 1991, "Robust taboo search for the quadratic assignment problem")
    (A_rr - A_ss)(C_ss - C_rr) + 2 Σ_{k not r, s} (A_rk - A_sk)(C_sk - C_rk)
"""

import numpy as np

from anchors.arrays import Matrix, Rows

STARTS = 30
ROUNDING = 1e-12


def assign(a: Matrix, b: Matrix, rng: np.random.Generator) -> Rows:
    """a, b (n, n) symmetric -> p (n,): row i of a is row p[i] of b."""
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    orders = rng.permuted(np.tile(np.arange(len(a)), (STARTS, 1)), axis=1)  # (starts, n)
    while True:
        gain = gains(a, arranged(b, orders))
        best = gain.reshape(STARTS, -1).argmax(1)
        r, s = np.divmod(best, len(a))
        better = np.flatnonzero(gain[np.arange(STARTS), r, s] > ROUNDING * scale)
        if not len(better):
            break
        r, s = r[better], s[better]
        orders[better, r], orders[better, s] = orders[better, s], orders[better, r]
    best_order: Rows = orders[(a * arranged(b, orders)).sum((1, 2)).argmax()]
    return best_order


def arranged(b: Matrix, orders: Rows) -> Matrix:
    """B[p][:, p] for each p: (starts, n, n)."""
    return b[orders[:, :, None], orders[:, None, :]]


def gains(a: Matrix, c: Matrix) -> Matrix:
    """What exchanging r and s adds to Σ A_ij C_ij: (starts, n, n) of a (n, n), c (starts, n, n)."""
    m = a @ c
    own_a, own_c, own_m = (x.diagonal(axis1=-2, axis2=-1) for x in (a, c, m))
    rise_a, rise_c = own_a[:, None] - own_a, own_c[:, None, :] - own_c[:, :, None]  # A_rr - A_ss, C_ss - C_rr
    crossed = m + m.swapaxes(1, 2) - own_m[:, :, None] - own_m[:, None, :]  # Σ over all k
    at_r = (own_a[:, None] - a) * (c - own_c[:, :, None])
    at_s = (a - own_a) * (own_c[:, None, :] - c)
    return rise_a * rise_c + 2 * (crossed - at_r - at_s)
