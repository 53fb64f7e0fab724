"""What a translation method is: `__init__` stores, `fit` learns, `transform` applies."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from models.affine import Affine
from models.errors import DimensionMismatch, InvalidOption, NotFitted, TooFewAnchors
from models.folds import Folds, row_space
from models.moments import Moments

LEAST_ANCHORS = 2


@dataclass(frozen=True)
class Option:
    """A number that a method takes, its range (both ends allowed) and what it means."""

    default: float
    low: float
    high: float
    meaning: str

    def check(self, name: str, value: Any) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and self.low <= value <= self.high):
            raise InvalidOption(
                f"option {name!r} must be a number from {self.low:g} to {self.high:g}, got {value!r}",
                expected={"low": self.low, "high": self.high},
                got=value,
            )
        return float(value)


class Method(ABC):
    """One way to translate. A subclass is one file and one line in the registry."""

    name: ClassVar[str]
    options: ClassVar[Mapping[str, Option]] = {}
    affine_: Affine
    rank_: int  # directions of the source that the anchors let it translate

    @classmethod
    def candidates(cls, options: Mapping[str, float]) -> list[Self]:
        """The variants that a choice should try when only `options` are fixed, simplest first."""
        return [cls(**options)]

    @classmethod
    def suits(cls, d1: int, d2: int) -> bool:  # noqa: ARG003  most methods map any widths
        """Whether it can map d1 dimensions to d2; `fit` says why not."""
        return True

    def parameters(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in self.options}

    @abstractmethod
    def fit(self, x: Tensor, y: Tensor) -> Self:
        """x (n, d1), y (n, d2): row i of both is one anchor. TooFewAnchors, DimensionMismatch."""

    def transform(self, x: Tensor) -> Tensor:
        """x (n, d1) -> (n, d2). NotFitted, DimensionMismatch."""
        if not hasattr(self, "affine_"):
            raise NotFitted(f"{type(self).__name__} is not fitted: call fit(x, y) first")
        return self.affine_(x)

    def held_out(self, folds: Folds) -> Tensor:
        """(m, d2): every evaluated row, translated by a map that was fitted without it."""
        out = torch.empty_like(folds.held_out_y)
        for fold in range(folds.count):
            rows = folds.evaluated_fold == fold
            train = folds.fold_of != fold
            fitted = self.fit(folds.x[train], folds.y[train])
            out[rows] = fitted.transform(folds.x[folds.evaluated[rows]])
        return out


class LinearMethod(Method):
    """A method that needs no more than the moments of the anchors: it only writes `solve`."""

    @abstractmethod
    def solve(self, moments: Moments) -> tuple[Tensor, int]:
        """The map W (d1, d2) of the centred anchors, and its rank."""

    def fit(self, x: Tensor, y: Tensor) -> Self:
        x, y = check_pairs(x, y)
        (x, basis_x), (y, basis_y) = row_space(x), row_space(y)
        moments = Moments.of(x, y)
        weight, self.rank_ = self.solve(moments)
        weight = basis_x @ weight @ basis_y.T  # back from the spans
        mean_x, mean_y = basis_x @ moments.mean_x, basis_y @ moments.mean_y
        self.affine_ = Affine(weight, mean_y - mean_x @ weight)
        return self

    def held_out(self, folds: Folds) -> Tensor:
        (x, _), (_, basis_y) = folds.span_x, folds.span_y
        out = torch.empty_like(folds.held_out_y)
        for fold, moments in enumerate(folds.moments):
            rows = folds.evaluated_fold == fold
            centred = x[folds.evaluated[rows]] - moments.mean_x
            out[rows] = (centred @ self.solve(moments)[0] + moments.mean_y) @ basis_y.T
        return out


def check_pairs(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both as float64: solves are made in double precision, maps are served in single."""
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise DimensionMismatch(
            f"anchors must be two matrices with one row per pair, got {tuple(x.shape)} and {tuple(y.shape)}",
            expected="(n, d1) and (n, d2)",
            got=[list(x.shape), list(y.shape)],
        )
    if len(x) < LEAST_ANCHORS:
        raise TooFewAnchors(
            f"a translation needs at least {LEAST_ANCHORS} shared anchors, got {len(x)}",
            expected=LEAST_ANCHORS,
            got=len(x),
        )
    return x.double(), y.double()
