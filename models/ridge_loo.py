"""Ridge regression whose penalty is chosen by leaving out one anchor at a time, in closed form.

Allen 1974, "The relationship between variable selection and data augmentation" (PRESS). With the centred anchors
Xc = U diag(√s) Vᵀ and hᵢ = 1/n + Σₖ Uᵢₖ² sₖ / (sₖ + λ), the error of row i under the map fitted without it is
    eᵢ = (yᵢ - ŷᵢ) / (1 - hᵢ)
so all n fits cost one. A penalty found on n - 1 rows is not too strong for n, as one found on folds is.
"""

from functools import cache
from typing import ClassVar, Self

from torch import Tensor

from models.base import Method, Trial, check_pairs
from models.folds import Folds, row_space
from models.moments import Moments
from models.ridge import Ridge

MOST = 5000  # anchors beyond which folds choose as well and cost less
DECADES = tuple(range(0, -8, -1))  # exponents of the shares of the largest eigenvalue, strong to weak
FINER = (0.5, 0.25)  # of a decade, around the best so far


class RidgeLoo(Method):
    """The least-squares affine map, shrunk as far as leave-one-out says."""

    name: ClassVar[str] = "ridge_loo"
    penalty_: float  # λ as a share of the largest eigenvalue of the source scatter

    @classmethod
    def suits(cls, n: int, d1: int, d2: int) -> bool:  # noqa: ARG003
        return n <= MOST

    def fit(self, x: Tensor, y: Tensor) -> Self:
        x, y = check_pairs(x, y)
        (x, basis_x), (y, basis_y) = row_space(x), row_space(y)
        moments = Moments.of(x, y)
        return self._learn(tuned(moments, x, y).fit_moments(moments, basis_x, basis_y))

    def _tried(self, folds: Folds, fold: int) -> Trial:
        """The penalty is found in double precision: with few anchors small errors are divided by small numbers."""
        x, y = (span[folds.train(fold)] for span, _ in (folds.span_x, folds.span_y))
        return tuned(folds.moments[fold], x, y).trial(folds, fold)

    def settle(self, folds: Folds) -> Trial:
        ridge = tuned(folds.whole, folds.span_x[0], folds.span_y[0])
        trial = ridge.settle(folds)
        self._learn(ridge)
        return trial

    def _learn(self, ridge: Ridge) -> Self:
        self.map_, self.rank_, self.penalty_ = ridge.map_, ridge.rank_, ridge.penalty
        return self


def tuned(moments: Moments, x: Tensor, y: Tensor) -> Ridge:
    """Of x (n, d1), y (n, d2), which the moments are of."""
    s, v = moments.principal  # (r,), (d1, r)
    return Ridge(best_penalty((x - moments.mean_x) @ (v / s.sqrt()), s, y - moments.mean_y))


def best_penalty(u: Tensor, s: Tensor, y: Tensor) -> float:
    """u (n, r), eigenvalues s (r,), y (n, d2), both centred -> λ / s₀ of the least leave-one-out error."""
    projected = u.T @ y  # (r, d2)

    @cache
    def error(exponent: float) -> float:
        kept = s / (s + 10**exponent * s[:1])
        residual = y - (u * kept) @ projected
        leverage = 1 / len(y) + u.square() @ kept
        return float((residual / (1 - leverage).unsqueeze(1)).square().sum())

    best: float = min(DECADES, key=error)
    for step in FINER:
        best = min((best + step, best, best - step), key=error)
    return float(10**best)
