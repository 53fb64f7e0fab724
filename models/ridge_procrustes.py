"""Ridge regression that is shrunk towards a rotation instead of towards nothing.

Swindel 1976, "Good ridge estimators based on prior information"; here the prior is the scaled rotation P = c R
of Schönemann 1966: minimise ‖Yc - Xc W‖² + λ ‖W - P‖². With Sxx = V diag(s) Vᵀ:
    W = V diag(1 / (s + λ)) (Vᵀ Sxy + λ VᵀP)        λ = penalty · s₀
A large penalty is the orthogonal method, a vanishing one least squares.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

from models.base import LinearMethod, Option, Solution
from models.moments import Moments
from models.orthogonal import Orthogonal

PENALTIES = (0.3, 0.03, 3e-3, 3e-4)  # strong to weak: simple to flexible


class RidgeProcrustes(LinearMethod):
    """A scaled rotation, and a ridge on what it leaves."""

    name: ClassVar[str] = "ridge_procrustes"
    options: ClassVar[Mapping[str, Option]] = {
        "penalty": Option(0.01, 1e-8, 1e3, "λ as a share of the largest eigenvalue of the source scatter")
    }

    def __init__(self, penalty: float = options["penalty"].default) -> None:
        self.penalty = penalty

    @classmethod
    def candidates(cls, options: Mapping[str, float]) -> list[Self]:
        """Without a fixed penalty, one candidate for each of PENALTIES."""
        return [cls(**options)] if options else [cls(penalty) for penalty in PENALTIES]

    def solve(self, moments: Moments) -> Solution:
        s, v = moments.principal  # (r,), (d1, r)
        penalty = self.penalty * s[:1]  # λ (1,)
        rotation = Orthogonal().solve(moments)
        prior = v.T @ rotation.source @ rotation.back  # VᵀP (r, d2)
        return Solution(v / (s + penalty), moments.principal_cross + penalty.unsqueeze(1) * prior)
