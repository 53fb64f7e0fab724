"""Partially whitened Procrustes: rotate where both sides are whitened, as far as α says, then undo the target's.

Williams et al. 2021, "Generalized shape metrics on neural representations" (the interpolation between
Procrustes, α = 1, and CCA, α = 0); Artetxe et al. 2018, "Generalizing and improving bilingual word embedding
mappings" (whiten, rotate, re-weight, de-whiten).
With Sxx = V diag(λ) Vᵀ, m its mean eigenvalue and shrunk λ' = (1 - s) λ + s m:
    Zx = V diag(α + (1 - α) √(m / λ')) Vᵀ, Zy likewise        U S Vᵀ = svd(Zx Sxy Zy)
    W = c Zx U Sᵖ Vᵀ Zy⁻¹        codes Zy V, strength S / s₀
Both sides agree in the codes: (x - mX) W (Zy V) = c (x - mX) Zx U. Along each, S is how much they share, so
codes weighted by a power of S compare what is shared and leave out what is not.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor

from models.base import LinearMethod, Option, Solution
from models.moments import Moments, thin_svd

GRID = (  # α and shrinkage, what is most often chosen first
    *((0.0, 0.1), (0.25, 0.3), (0.0, 0.01), (0.0, 0.3), (0.25, 0.6)),
    *((0.0, 0.03), (0.0, 0.6), (0.25, 0.1), (0.0, 3e-3), (0.0, 3e-4)),
)


class Whitened(LinearMethod):
    """Procrustes after each side was whitened, partly and with shrunk covariances."""

    name: ClassVar[str] = "whitened"
    options: ClassVar[Mapping[str, Option]] = {
        "alpha": Option(0.0, 0.0, 1.0, "1 leaves lengths as they are, 0 whitens fully"),
        "shrinkage": Option(0.1, 1e-6, 1.0, "share of the mean eigenvalue in every covariance"),
        "power": Option(0.0, 0.0, 1.0, "p: 0 rotates only, 1 with full whitening is least squares"),
    }

    def __init__(
        self,
        alpha: float = options["alpha"].default,
        shrinkage: float = options["shrinkage"].default,
        power: float = options["power"].default,
    ) -> None:
        self.alpha = alpha
        self.shrinkage = shrinkage
        self.power = power

    @classmethod
    def candidates(cls, options: Mapping[str, float]) -> list[Self]:
        """Without fixed options GRID; with one fixed, the other's values of it."""
        fixed = [{"alpha": alpha, "shrinkage": shrinkage} | dict(options) for alpha, shrinkage in GRID]
        return [cls(**dict(variant)) for variant in dict.fromkeys(tuple(v.items()) for v in fixed)]

    def solve(self, moments: Moments) -> Solution:
        (lx, vx), (ly, vy) = moments.principal, moments.principal_y  # (r1,), (d1, r1), (r2,), (d2, r2)
        zx, zy = self.stretch(lx), self.stretch(ly)
        u, s, v = thin_svd(zx.unsqueeze(1) * moments.core * zy)
        back = v * (s / s[:1]) ** self.power / zy.unsqueeze(1)  # Zy⁻¹ V Sᵖ
        scale = fitted_scale((lx.sqrt() * zx).unsqueeze(1) * u, s, v / zy.unsqueeze(1), back)
        source, codes = vx @ (scale * zx.unsqueeze(1) * u), vy @ (zy.unsqueeze(1) * v)  # c Zx U, Zy V
        return Solution(source, (vy @ back).T, codes, s / s[:1])

    def stretch(self, spectrum: Tensor) -> Tensor:
        """The diagonal of Z, (r,)."""
        mean = spectrum.mean() if len(spectrum) else 1.0
        shrunk = (1 - self.shrinkage) * spectrum + self.shrinkage * mean
        return self.alpha + (1 - self.alpha) * (mean / shrunk).sqrt()


def fitted_scale(source: Tensor, s: Tensor, shared: Tensor, back: Tensor) -> Tensor:
    """c that minimises ‖Yc - c Xc W‖², W = Zx U backᵀ in principal coordinates; 0 for a map of nothing.

    source (r1, r) = √Lx Zx U, shared (r2, r) = Zy⁻¹ V, back (r2, r): U S Vᵀ is the whitened core, so that
    <Yc, Xc W> = Σ_k s_k shared_k · back_k and ‖Xc W‖² = ‖source backᵀ‖².
    """
    energy = (source @ back.T).square().sum()
    return torch.where(energy > 0, (s * (shared * back).sum(0)).sum() / energy, 0.0)
