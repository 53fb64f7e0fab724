"""The anchors of one fit, cut into folds, with everything that candidates share computed once."""

import threading
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from models.moments import Moments

FOLDS = 5
LEAST_GALLERY = 2  # rows of a fold: a counterpart found among one proves nothing
EVALUATED = 2000  # rows that are scored; a larger n is sampled
SAMPLED = 1000  # translated anchors that hubs are measured with
REPEATED = 1000  # few anchors are cut several times, until about so many rows were held out
MOST_REPEATS = 3
ROUNDING = 1e-14  # share of a row's largest number below which a rotation leaves nothing but rounding
SINGLE = 1e6  # vectors of larger numbers, or all smaller than 1 / SINGLE, are tried in double precision

T = TypeVar("T")


class Gallery(NamedTuple):
    """Pairs that a map has not seen: counterparts are looked for among them."""

    x: Tensor  # (g, d1)
    y: Tensor  # (g, d2)
    mean: Tensor  # (d2,) of the target anchors that it was fitted on


class Folds:
    """x (n, d1), y (n, d2) float64, n >= 2. The same seed gives the same folds.

    Each of `repeats` partitions cuts the rows into `parts` folds; folds are numbered through all of them.
    """

    def __init__(self, x: Tensor, y: Tensor, seed: int) -> None:
        self.x, self.y = x, y
        generator = torch.Generator().manual_seed(seed)
        n = len(x)
        self.parts = parts_of(n)
        self.repeats = max(1, min(MOST_REPEATS, REPEATED // n))
        orders = [torch.randperm(n, generator=generator) for _ in range(self.repeats)]
        self.order = orders[0]
        self.fold_of = torch.empty(self.repeats, n, dtype=torch.long)  # (repeats, n)
        for partition, order in enumerate(orders):
            self.fold_of[partition, order] = torch.arange(n) % self.parts
        self.trials: dict[tuple[object, int], Any] = {}  # that took a fit
        self._turn = threading.Lock()
        self.evaluated = self.order[:EVALUATED].sort().values  # (m,)

    @property
    def count(self) -> int:
        """Folds of all partitions."""
        return self.parts * self.repeats

    @property
    def gallery(self) -> int:
        """Held-out rows that a counterpart is looked for among: those of one fold."""
        return gallery_of(len(self.x))

    def galleries(self) -> list[Gallery]:
        """Of one partition."""
        rows = [(self.rows(fold), self.train(fold)) for fold in range(self.parts)]
        return [Gallery(self.x[held], self.y[held], self.y[train].mean(0)) for held, train in rows]

    def inside(self, fold: int) -> Tensor:
        """(n,) whether a row is held out by `fold`."""
        return self.fold_of[fold // self.parts] == fold % self.parts

    def outside(self, fold: int) -> Tensor:
        """(m,) whether an evaluated row is not held out by `fold`; all are where fewer than two would be."""
        others = ~self.inside(fold)[self.evaluated]
        return others if others.sum() > 1 else torch.ones_like(others)

    def rows(self, fold: int) -> Tensor:
        """(g,) the evaluated rows of a fold."""
        return self.evaluated[self.inside(fold)[self.evaluated]]

    def train(self, fold: int) -> Tensor:
        """(t,) all rows outside of a fold."""
        return (~self.inside(fold)).nonzero()[:, 0]

    def by_row(self, values: list[Tensor]) -> Tensor:
        """A value (g, ...) for every row of every fold -> (m, ...), the mean of a row's over the partitions."""
        order = torch.cat([self.rows(fold) for fold in range(self.count)]).argsort(stable=True)
        joined = torch.cat(values)[order]
        return joined.reshape(len(self.evaluated), self.repeats, *joined.shape[1:]).mean(1)

    def sample(self, fold: int | None = None) -> Tensor:
        """At most SAMPLED rows, in random order; without a fold's if one is named."""
        rows = self.order if fold is None else self.order[~self.inside(fold)[self.order]]
        return rows[:SAMPLED]

    @cached_property
    def span_x(self) -> tuple[Tensor, Tensor | None]:
        return row_space(self.x)

    @cached_property
    def span_y(self) -> tuple[Tensor, Tensor | None]:
        return row_space(self.y)

    @cached_property
    def whole(self) -> Moments:
        """Of all anchors, in the coordinates of the spans."""
        return Moments.of(self.span_x[0], self.span_y[0])

    @cached_property
    def moments(self) -> list[Moments]:
        """Per fold, those of all other folds."""
        x, y = self.span_x[0], self.span_y[0]
        parts = [self.inside(fold) for fold in range(self.count)]
        return [self.whole - Moments.of(x[part], y[part]) for part in parts]

    @cached_property
    def variance(self) -> float:
        """Mean squared distance of an evaluated row to the mean of the target anchors."""
        return float((self.y[self.evaluated] - self.y.mean(0)).square().sum(1).mean())

    def basis_of(self, codes: Tensor) -> Tensor | None:
        """(d2, k) that leads back from codes (g, k) in the target's span; None if they are full vectors."""
        return self.span_y[1] if codes.shape[1] < self.y.shape[1] else None

    def full(self, codes: Tensor) -> Tensor:
        """codes (g, k) of the target's span, or full vectors -> (g, d2)."""
        basis = self.basis_of(codes)
        return codes if basis is None else codes @ basis.T.to(codes.dtype)

    @cached_property
    def precision(self) -> torch.dtype:
        """That of trials, which only rank candidates: single, where it holds fourth powers of what comes."""
        largest = [float(side.abs().max()) for side in (self.x, self.y)]
        return torch.float32 if all(1 / SINGLE < size < SINGLE for size in largest) else torch.float64

    @cached_property
    def quick_moments(self) -> list[Moments]:
        """Per fold, in the precision of trials."""
        return [self.quick(moments) for moments in self.moments]

    def keep(self, key: tuple[object, int], trial: T) -> T:
        """By method and fold, while it is among the last; several threads may do so at once."""
        with self._turn:
            if len(self.trials) == self.count:
                del self.trials[next(iter(self.trials))]
            self.trials[key] = trial
        return trial

    def prepare(self) -> None:
        """What every linear method reads, before several do so at once."""
        _ = self.quick_moments

    def quick(self, moments: Moments) -> Moments:
        return moments.single() if self.precision == torch.float32 else moments


def parts_of(n: int) -> int:
    return max(2, min(FOLDS, n // LEAST_GALLERY))


def gallery_of(n: int) -> int:
    """Rows of a fold of n anchors that are scored."""
    return min(n, EVALUATED) // parts_of(n)


def row_space(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """x (n, d) -> codes (n, r), basis (d, r) orthonormal, x = codes basisᵀ exactly; no basis where it is I.

    Linear methods commute with rotations, so with fewer anchors than dimensions they may be solved
    in the anchors' own span: O(n³) instead of O(d³).
    """
    if len(x) >= x.shape[1]:
        return x, None
    basis, triangle = torch.linalg.qr(x.T)
    codes = triangle.T
    return torch.where(codes.abs() > ROUNDING * codes.abs().amax(1, keepdim=True), codes, 0.0), basis
