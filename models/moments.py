"""Sufficient statistics of paired anchors: all that a linear method reads.

Moments of parts add up and can be taken away again, so a cross-validation reads the anchors once
(Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", eq. 2.1).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

TOLERANCE = 1e-10  # eigenvalues below this share of the largest are rounding


@dataclass(frozen=True)
class Moments:
    """n pairs; means (d1,), (d2,); centred scatter Sxx (d1, d1), Sxy (d1, d2). All float64."""

    n: int
    mean_x: Tensor
    mean_y: Tensor
    sxx: Tensor
    sxy: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> Self:
        """x (n, d1), y (n, d2)."""
        mean_x, mean_y = x.mean(0), y.mean(0)
        xc, yc = cleaned(x - mean_x, x), cleaned(y - mean_y, y)
        return cls(len(x), mean_x, mean_y, xc.T @ xc, xc.T @ yc)

    def __sub__(self, part: "Moments") -> "Moments":
        """What is left when the pairs of `part` are taken out."""
        n = self.n - part.n
        mean_x = (self.n * self.mean_x - part.n * part.mean_x) / n
        mean_y = (self.n * self.mean_y - part.n * part.mean_y) / n
        shift_x, shift_y = mean_x - part.mean_x, mean_y - part.mean_y
        weight = n * part.n / self.n
        sxx = self.sxx - part.sxx - weight * torch.outer(shift_x, shift_x)
        sxy = self.sxy - part.sxy - weight * torch.outer(shift_x, shift_y)
        return Moments(n, mean_x, mean_y, cleaned(sxx, self.sxx), cleaned(sxy, self.sxy))

    @cached_property
    def principal(self) -> tuple[Tensor, Tensor]:
        """Sxx = V diag(s) Vᵀ: s (r,) descending, V (d1, r), rounding left out.

        n centred rows span at most n - 1 directions, whatever rounding says.
        """
        s, v = torch.linalg.eigh(self.sxx)
        s, v = s.flip(0), v.flip(1)
        rank = min(int((s > TOLERANCE * s[0]).sum()), self.n - 1)
        return s[:rank], v[:, :rank]

    @cached_property
    def principal_cross(self) -> Tensor:
        """Vᵀ Sxy, (r, d2): what every penalty of a ridge shares."""
        return self.principal[1].T @ self.sxy


def cleaned(difference: Tensor, whole: Tensor) -> Tensor:
    """A difference with the rounding of its minuend, per column, set to zero: what is constant has no scatter."""
    return torch.where(difference.abs() > 1e-13 * whole.abs().amax(0), difference, 0.0)
