"""Two spaces seen in the directions that known pairs relate, and in no others.

Centred Procrustes (Schönemann 1966), truncated: XcᵀYc = U S Vᵀ (thin), the r <= n - 1 directions that the pairs
support. Few pairs leave most directions of a wide space unseen; whoever compares there compares noise, so
x is seen as (x - mX) U and y as (y - mY) V, both of length 1, and the two are compared by cosine.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from anchors.arrays import Matrix
from anchors.scale import unit
from anchors.singular import singular

TOLERANCE = 1e-10  # singular values below this share of the largest are rounding


@dataclass(frozen=True)
class Span:
    """Means (d1,), (d2,) of the pairs; directions (d1, r) and (d2, r), orthonormal."""

    mean_x: Matrix
    mean_y: Matrix
    directions_x: Matrix
    directions_y: Matrix

    @classmethod
    def of(cls, x: Matrix, y: Matrix) -> Self:
        """x (n, d1), y (n, d2): row i of both is one item."""
        x, y = x.astype(np.float64), y.astype(np.float64)
        mean_x, mean_y = x.mean(0), y.mean(0)
        u, s, vt = singular((x - mean_x).T @ (y - mean_y))
        rank = min(int((s > TOLERANCE * s[0]).sum()), len(x) - 1)
        return cls(mean_x, mean_y, u[:, :rank], vt[:rank].T)

    def source(self, x: Matrix) -> Matrix:
        """(n, d1) -> (n, r), rows of length 1."""
        return unit((x - self.mean_x) @ self.directions_x)

    def target(self, y: Matrix) -> Matrix:
        """(n, d2) -> (n, r), rows of length 1."""
        return unit((y - self.mean_y) @ self.directions_y)
