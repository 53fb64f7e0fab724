"""The ridge map, cut to its longest singular directions.

The low-rank affine adapter of Drift-Adapter (Vejendla 2025) and rebasis. With B the ridge map:
    B = U diag(σ) Vᵀ        W = U_r diag(σ_r) V_rᵀ
Eckart & Young 1936: W is the map of rank r nearest to B. That counts every direction of the source alike;
`reduced_rank` counts each as often as the anchors go there, so of two maps of one rank it fits them better.
"""

from collections.abc import Mapping
from typing import ClassVar

from models.base import LinearMethod, Option, Solution
from models.moments import Moments, thin_svd
from models.reduced_rank import ReducedRank, leading
from models.ridge import Ridge


class LowRank(LinearMethod):
    """A ridge map of few numbers: r (d1 + d2) instead of d1 d2."""

    name: ClassVar[str] = "low_rank"
    options: ClassVar[Mapping[str, Option]] = ReducedRank.options

    def __init__(self, penalty: float = options["penalty"].default, rank: float = options["rank"].default) -> None:
        self.penalty = penalty
        self.rank = rank

    @classmethod
    def suits(cls, n: int, d1: int, d2: int) -> bool:  # noqa: ARG003
        return False  # kept to compare with the papers: at equal rank, reduced_rank fits better

    def solve(self, moments: Moments) -> Solution:
        u, s, v = thin_svd(Ridge(self.penalty).solve(moments).weight)
        kept = leading(self.rank, moments)
        return Solution(u[:, :kept] * s[:kept], v[:, :kept].T)
