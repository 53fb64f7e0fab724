"""Ridge regression whose penalty is chosen by leaving out one anchor at a time, in closed form.

Allen 1974, "The relationship between variable selection and data augmentation" (PRESS). With the centred anchors
Xc = U diag(s) Vᵀ and hᵢ = 1/n + Σₖ Uᵢₖ² sₖ² / (sₖ² + λ), the error of row i under the map fitted without it is
    eᵢ = (yᵢ - ŷᵢ) / (1 - hᵢ)
so all n fits cost one. A penalty found on n - 1 rows is not too strong for n, as one found on folds is.
"""

from typing import ClassVar, Self

from torch import Tensor

from models.affine import Affine
from models.base import Method, check_pairs
from models.folds import row_space
from models.moments import thin_svd

MOST = 5000  # anchors beyond which folds choose as well and cost less
DECADES = tuple(10.0**-k for k in range(8))  # shares of the largest eigenvalue, strong to weak
BETWEEN = tuple(10.0 ** (k / 4) for k in (3, 2, 1, 0, -1, -2, -3))  # around the best of them


class RidgeLoo(Method):
    """The least-squares affine map, shrunk as far as leave-one-out says."""

    name: ClassVar[str] = "ridge_loo"
    penalty_: float  # λ as a share of the largest eigenvalue of the source scatter

    @classmethod
    def suits(cls, n: int, d1: int, d2: int) -> bool:  # noqa: ARG003
        return n <= MOST

    def fit(self, x: Tensor, y: Tensor) -> Self:
        x, y = check_pairs(x, y)
        mean_x, mean_y = x.mean(0), y.mean(0)
        u, s, v = thin_svd(x - mean_x)  # (n, r), (r,), (d1, r)
        codes, _ = row_space(y - mean_y)  # distances are all that matters
        self.penalty_ = best_penalty(u, s, codes)
        back = (u * (s / (s.square() + self.penalty_ * s[:1].square()))).T @ (y - mean_y)
        weight = v @ back
        self.map_, self.rank_ = Affine(weight, mean_y - mean_x @ weight), len(s)
        return self


def best_penalty(u: Tensor, s: Tensor, y: Tensor) -> float:
    """The share of s₀² with the least leave-one-out error: the best decade, then the best near it."""
    projected = u.T @ y  # (r, k)

    def error(share: float) -> float:
        kept = s.square() / (s.square() + share * s[:1].square())
        residual = y - (u * kept) @ projected
        leverage = 1 / len(y) + u.square() @ kept
        return float((residual / (1 - leverage).unsqueeze(1)).square().sum())

    decade: float = min(DECADES, key=error)
    return float(min((decade * factor for factor in BETWEEN), key=error))
