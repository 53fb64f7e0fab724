"""Orthogonal Procrustes, centred and scaled, between any two dimensions.

Schönemann 1966, "A generalized solution of the orthogonal Procrustes problem". With Xc, Yc centred:
    XcᵀYc = U S Vᵀ (thin)        R = U Vᵀ        c = tr S / ‖Xc U‖²        y = (x - mX) c R + mY
R maximises tr(RᵀXcᵀYc) over semi-orthogonal maps, so unequal dimensions need no padding.
"""

from typing import ClassVar

import torch

from models.base import LinearMethod, Solution
from models.moments import Moments, thin_svd


class Orthogonal(LinearMethod):
    """A rotation (or reflection), one scale, and a shift; truncated to the support of the anchors."""

    name: ClassVar[str] = "orthogonal"

    def solve(self, moments: Moments) -> Solution:
        u, s, v = thin_svd(moments.sxy)  # (d1, r), (r,), (d2, r)
        u, s, v = (part[..., : moments.n - 1] for part in (u, s, v))
        energy = torch.sum(u * (moments.sxx @ u))  # ‖Xc U‖²
        return Solution(s.sum() / energy * u, v.T, v, s / s[:1])
