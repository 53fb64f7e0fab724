"""Ridge regression that is shrunk towards a rotation instead of towards nothing.

Swindel 1976, "Good ridge estimators based on prior information"; here the prior is the scaled rotation P = c R
of Schönemann 1966: minimise ‖Yc - Xc W‖² + λ ‖W - P‖². With Sxx = V diag(s) Vᵀ:
    W = V diag(1 / (s + λ)) (Vᵀ Sxy + λ VᵀP)        λ = penalty · s₀
A large penalty is the orthogonal method, a vanishing one least squares.
"""

from typing import ClassVar

from models.base import Solution
from models.moments import Moments
from models.orthogonal import Orthogonal
from models.ridge import Ridge

PENALTIES = (0.3, 0.03, 3e-3, 3e-4)  # strong to weak: simple to flexible


class RidgeProcrustes(Ridge):
    """A scaled rotation, and a ridge on what it leaves."""

    name: ClassVar[str] = "ridge_procrustes"
    penalties: ClassVar[tuple[float, ...]] = PENALTIES

    def solve(self, moments: Moments) -> Solution:
        s, v = moments.principal  # (r,), (d1, r)
        penalty = self.penalty * s[:1]  # λ (1,)
        rotation = Orthogonal().solve(moments)
        prior = v.T @ rotation.source @ rotation.back  # VᵀP (r, d2)
        return Solution(v / (s + penalty), moments.principal_cross + penalty.unsqueeze(1) * prior)
