"""Orthogonal Procrustes, centred and scaled, between any two dimensions.

Schönemann 1966, "A generalized solution of the orthogonal Procrustes problem". With Xc, Yc centred:
    XcᵀYc = U S Vᵀ (thin)        R = U Vᵀ        c = tr S / ‖Xc U‖²        y = (x - mX) c R + mY
R maximises tr(RᵀXcᵀYc) over semi-orthogonal maps, so unequal dimensions need no padding.
"""

from typing import ClassVar

import torch
from torch import Tensor

from models.base import LinearMethod
from models.moments import TOLERANCE, Moments


class Orthogonal(LinearMethod):
    """A rotation (or reflection), one scale, and a shift; truncated to the support of the anchors."""

    name: ClassVar[str] = "orthogonal"

    def solve(self, moments: Moments) -> tuple[Tensor, int]:
        u, s, vt = torch.linalg.svd(moments.sxy, full_matrices=False)  # (d1, r), (r,), (r, d2)
        rank = min(int((s > TOLERANCE * s[0]).sum()), moments.n - 1)
        u, s, vt = u[:, :rank], s[:rank], vt[:rank]
        energy = torch.sum(u * (moments.sxx @ u))  # ‖Xc U‖²
        scale = s.sum() / energy if rank else 0.0
        return scale * (u @ vt), rank
