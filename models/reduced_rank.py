"""Reduced-rank ridge regression: the ridge map, kept where it explains most of the target.

Izenman 1975, "Reduced-rank regression for the multivariate linear model", with the penalty of Mukherjee & Zhu
2011, "Reduced rank ridge regression and its kernel extensions": minimise ‖Yc - Xc W‖² + λ ‖W‖² over maps
of rank r. With B the ridge map and Sxx = Q diag(s) Qᵀ:
    K = diag(1 / √(s + λ)) Qᵀ Sxy = U diag(t) Vᵀ        W = B V_r V_rᵀ        λ = penalty · s₀
t² is what each direction of the target owes to the source; codes V_r, strength t / t₀. With all directions it is
the ridge map.
"""

from collections.abc import Mapping
from itertools import product
from math import ceil
from typing import ClassVar, Self

from models.base import LinearMethod, Option, Solution
from models.moments import Moments, thin_svd
from models.ridge import PENALTY, Ridge

PENALTIES = (0.01, 1e-3)  # strong to weak
RANKS = (0.3, 0.6)  # few to many


class ReducedRank(LinearMethod):
    """A ridge between the directions that the source explains best; the others become the target mean."""

    name: ClassVar[str] = "reduced_rank"
    options: ClassVar[Mapping[str, Option]] = {
        "penalty": PENALTY,
        "rank": Option(0.3, 0.0, 1.0, "share of the directions that are kept, rounded up, at least one"),
    }

    def __init__(self, penalty: float = options["penalty"].default, rank: float = options["rank"].default) -> None:
        self.penalty = penalty
        self.rank = rank

    @classmethod
    def candidates(cls, options: Mapping[str, float]) -> list[Self]:
        """Every pair of PENALTIES and RANKS, or of what is fixed instead."""
        fixed = {name: (value,) for name, value in options.items()}
        grid = product(fixed.get("penalty", PENALTIES), fixed.get("rank", RANKS))
        return [cls(penalty, rank) for penalty, rank in grid]

    def solve(self, moments: Moments) -> Solution:
        s, _ = moments.principal
        explained = moments.principal_cross / (s + self.penalty * s[:1]).sqrt().unsqueeze(1)  # K (r, d2)
        _, t, v = thin_svd(explained)
        kept = leading(self.rank, moments)
        t, v, ridge = t[:kept], v[:, :kept], Ridge(self.penalty).solve(moments)
        return Solution(ridge.source @ (ridge.back @ v), v.T, v, t / t[:1])


def leading(share: float, moments: Moments) -> int:
    """How many of the directions that both sides have a share keeps."""
    return max(1, ceil(share * min(len(moments.principal[0]), len(moments.principal_y[0]))))
