"""The anchors of one fit, cut into folds, with everything that candidates share computed once."""

from functools import cached_property

import torch
from torch import Tensor

from models.moments import Moments

FOLDS = 5
LEAST_GALLERY = 2  # rows of a fold: a counterpart found among one proves nothing
EVALUATED = 2000  # rows that are scored; a larger n is sampled


class Folds:
    """x (n, d1), y (n, d2) float64, n >= 2. The same seed gives the same folds."""

    def __init__(self, x: Tensor, y: Tensor, seed: int) -> None:
        self.x, self.y = x, y
        generator = torch.Generator().manual_seed(seed)
        n = len(x)
        self.count = max(2, min(FOLDS, n // LEAST_GALLERY))
        order = torch.randperm(n, generator=generator)
        self.fold_of = torch.empty(n, dtype=torch.long)  # (n,)
        self.fold_of[order] = torch.arange(n) % self.count
        self.evaluated = order[:EVALUATED].sort().values  # (m,)

    @property
    def evaluated_fold(self) -> Tensor:
        """(m,) the fold that each evaluated row was held out in."""
        return self.fold_of[self.evaluated]

    @property
    def gallery(self) -> int:
        """Held-out rows that a counterpart is looked for among: those of one fold."""
        return len(self.evaluated) // self.count

    @property
    def held_out_y(self) -> Tensor:
        """(m, d2)"""
        return self.y[self.evaluated]

    @cached_property
    def held_out_mean(self) -> Tensor:
        """(m, d2) the target mean of the anchors that a row's fold was fitted on."""
        means = torch.stack([self.moments[fold].mean_y for fold in range(self.count)])
        return (means @ self.span_y[1].T)[self.evaluated_fold]

    @cached_property
    def span_x(self) -> tuple[Tensor, Tensor]:
        return row_space(self.x)

    @cached_property
    def span_y(self) -> tuple[Tensor, Tensor]:
        return row_space(self.y)

    @cached_property
    def moments(self) -> list[Moments]:
        """Per fold, the moments of all other folds, in the coordinates of the spans."""
        x, y = self.span_x[0], self.span_y[0]
        whole = Moments.of(x, y)
        parts = [self.fold_of == fold for fold in range(self.count)]
        return [whole - Moments.of(x[part], y[part]) for part in parts]


def row_space(x: Tensor) -> tuple[Tensor, Tensor]:
    """x (n, d) -> codes (n, r), basis (d, r) orthonormal, r = min(n, d), x = codes basisᵀ exactly.

    Linear methods commute with rotations, so with fewer anchors than dimensions they may be solved
    in the anchors' own span: O(n³) instead of O(d³).
    """
    if len(x) >= x.shape[1]:
        return x, torch.eye(x.shape[1], dtype=x.dtype)
    basis, triangle = torch.linalg.qr(x.T)
    return triangle.T, basis
