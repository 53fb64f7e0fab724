"""Ridge regression of the target on the source, every penalty from one eigendecomposition.

Hoerl & Kennard 1970, "Ridge regression". With Sxx = V diag(s) Vᵀ:
    W = V diag(1 / (s + λ)) Vᵀ Sxy        λ = penalty · s₀
The penalty is relative to the largest eigenvalue, so it means the same at every scale and every n.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

from models.base import LinearMethod, Option, Solution
from models.moments import Moments

PENALTY = Option(0.01, 1e-8, 1e3, "λ as a share of the largest eigenvalue of the source scatter")
PENALTIES = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-5)  # strong to weak: simple to flexible


class Ridge(LinearMethod):
    """The least-squares affine map, shrunk towards the target mean."""

    name: ClassVar[str] = "ridge"
    options: ClassVar[Mapping[str, Option]] = {"penalty": PENALTY}
    penalties: ClassVar[tuple[float, ...]] = PENALTIES

    def __init__(self, penalty: float = PENALTY.default) -> None:
        self.penalty = penalty

    @classmethod
    def candidates(cls, options: Mapping[str, float]) -> list[Self]:
        """Without a fixed penalty, one candidate for each of `penalties`."""
        return [cls(**options)] if options else [cls(penalty) for penalty in cls.penalties]

    def solve(self, moments: Moments) -> Solution:
        s, v = moments.principal  # (r,), (d1, r)
        return Solution(v / (s + self.penalty * s[:1]), moments.principal_cross)
