"""What a translation method is: `__init__` stores, `fit` learns, `transform` applies."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

from torch import Tensor

from models.affine import Affine
from models.errors import DimensionMismatch, InvalidOption, NotFitted, TooFewAnchors
from models.folds import Folds, row_space
from models.maps import Map
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


@dataclass(frozen=True)
class Solution:
    """What a linear method makes of the moments: W = source · back maps centred anchors."""

    source: Tensor  # (d1, r)
    back: Tensor  # (r, d2)
    codes: Tensor | None = None  # (d2, r) directions of the target in which both sides are compared
    strength: Tensor | None = None  # (r,) in [0, 1], descending: how much the anchors share along each

    @property
    def weight(self) -> Tensor:
        """(d1, d2)"""
        return self.source @ self.back

    @property
    def rank(self) -> int:
        """Directions of the source that it translates."""
        return self.source.shape[1]


@dataclass(frozen=True)
class Trial:
    """A map at work on rows that it was not fitted on, all in the same k coordinates of the target."""

    predicted: Tensor  # (g, k) of the held-out rows
    y: Tensor  # (g, k) their counterparts
    mean: Tensor  # (k,) of the target anchors it was fitted on
    translated: Callable[[], Tensor]  # see `sample`, which only what corrects hubs asks for; keeps no folds alive
    moments: Moments | None = None  # of linear methods
    solution: Solution | None = None

    @cached_property
    def sample(self) -> Tensor:
        """(t, k) translations of anchors that the map was fitted on."""
        return self.translated()

    @property
    def codes(self) -> Tensor | None:
        """(k, r)"""
        return self.solution.codes if self.solution else None

    @property
    def strength(self) -> Tensor | None:
        """(r,)"""
        return self.solution.strength if self.solution else None


class Method(ABC):
    """One way to translate. A subclass is one file and one line in the registry."""

    name: ClassVar[str]
    options: ClassVar[Mapping[str, Option]] = {}
    makes: ClassVar[type[Map]] = Affine
    curved: ClassVar[bool] = False  # whether its maps are more than affine, and so must show that they are better
    map_: Map
    rank_: int  # directions of the source that the anchors let it translate

    @classmethod
    def candidates(cls, options: Mapping[str, float]) -> list[Self]:
        """The variants that a choice should try when only `options` are fixed, simplest first."""
        return [cls(**options)]

    @classmethod
    def suits(cls, n: int, d1: int, d2: int) -> bool:  # noqa: ARG003  most methods map any widths
        """Whether a choice should try it on n anchors of d1 and d2 dimensions; `fit` says why not."""
        return True

    def parameters(self) -> dict[str, Any]:
        """What tells it from others of its name, as JSON has it."""
        return {name: getattr(self, name) for name in self.options}

    @abstractmethod
    def fit(self, x: Tensor, y: Tensor) -> Self:
        """x (n, d1), y (n, d2): row i of both is one anchor. TooFewAnchors, DimensionMismatch."""

    def transform(self, x: Tensor) -> Tensor:
        """x (n, d1) -> (n, d2). NotFitted, DimensionMismatch."""
        if not hasattr(self, "map_"):
            raise NotFitted(f"{type(self).__name__} is not fitted: call fit(x, y) first")
        return self.map_(x)

    def trial(self, folds: Folds, fold: int) -> Trial:
        """Fitted without the rows of `fold`, at work on them. The last ones are kept: a fit may take long."""
        kept: Trial | None = folds.trials.get((self, fold))
        return kept or folds.keep((self, fold), self._tried(folds, fold))

    def _tried(self, folds: Folds, fold: int) -> Trial:
        x, y = folds.x, folds.y
        train, rows = folds.train(fold), folds.rows(fold)
        if len(train) < LEAST_ANCHORS:  # two or three anchors in two folds
            mean = y[train].mean(0)
            return Trial(mean.expand(len(rows), -1), y[rows], mean, lambda: mean.expand(len(train), -1))
        translate, sample = self.fit(x[train], y[train]).map_, x[folds.sample(fold)]
        return Trial(translate(x[rows]), y[rows], y[train].mean(0), lambda: translate(sample))

    def settle(self, folds: Folds) -> Trial:
        """Fitted on all anchors, which `map_` then is; the trial's rows are the anchors themselves."""
        self.fit(folds.x, folds.y)
        sample = self.transform(folds.x[folds.sample()])
        return Trial(sample, folds.y[folds.sample()], folds.y.mean(0), lambda: sample)


class LinearMethod(Method):
    """A method that needs no more than the moments of the anchors: it only writes `solve`."""

    map_: Affine

    @abstractmethod
    def solve(self, moments: Moments) -> Solution:
        """The map of the centred anchors."""

    def fit(self, x: Tensor, y: Tensor) -> Self:
        x, y = check_pairs(x, y)
        (x, basis_x), (y, basis_y) = row_space(x), row_space(y)
        return self.fit_moments(Moments.of(x, y), basis_x, basis_y)

    def fit_moments(self, moments: Moments, basis_x: Tensor | None = None, basis_y: Tensor | None = None) -> Self:
        """From moments alone, streamed or merged; of codes in orthonormal bases (d, k), if those are given."""
        self._learn(moments, self.solve(moments), basis_x, basis_y)
        return self

    def _learn(self, moments: Moments, solution: Solution, basis_x: Tensor | None, basis_y: Tensor | None) -> None:
        weight, mean_x, mean_y = solution.weight, moments.mean_x, moments.mean_y
        if basis_x is not None:
            weight, mean_x = basis_x @ weight, basis_x @ mean_x
        if basis_y is not None:
            weight, mean_y = weight @ basis_y.T, basis_y @ mean_y
        self.map_ = Affine(weight, mean_y - mean_x @ weight)
        self.rank_ = solution.rank

    def trial(self, folds: Folds, fold: int) -> Trial:
        """In the coordinates of the anchors' spans, and the precision of trials."""
        x, y, rows = folds.span_x[0], folds.span_y[0], folds.rows(fold)
        x, y, moments = x.to(folds.precision), y.to(folds.precision), folds.quick_moments[fold]
        return applied(self.solve(moments), moments, x[rows], y[rows], x[folds.sample(fold)])

    def settle(self, folds: Folds) -> Trial:
        (x, basis_x), (y, basis_y), rows = folds.span_x, folds.span_y, folds.sample()
        solution = self.solve(folds.whole)
        self._learn(folds.whole, solution, basis_x, basis_y)
        return applied(solution, folds.whole, x[rows], y[rows], x[rows])


def applied(solution: Solution, moments: Moments, x: Tensor, y: Tensor, sample: Tensor) -> Trial:
    """To rows x and sample of the source."""

    def translate(rows: Tensor) -> Tensor:
        return (rows - moments.mean_x) @ solution.source @ solution.back + moments.mean_y

    return Trial(translate(x), y, moments.mean_y, lambda: translate(sample), moments, solution)


def check_pairs(x: Tensor, y: Tensor, least: int = LEAST_ANCHORS) -> tuple[Tensor, Tensor]:
    """Both as float64: solves are made in double precision, maps are served in single."""
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise DimensionMismatch(
            f"anchors must be two matrices with one row per pair, got {tuple(x.shape)} and {tuple(y.shape)}",
            expected="(n, d1) and (n, d2)",
            got=[list(x.shape), list(y.shape)],
        )
    if len(x) < least:
        raise TooFewAnchors(
            f"this needs at least {least} shared anchors, got {len(x)}: "
            "put more under the same ids into both spaces",
            expected=least,
            got=len(x),
        )
    return x.double(), y.double()
