"""What a score of a translated query would have been without translation, so that a user's thresholds keep meaning.

Translated scores are spread otherwise than native ones. The increasing map that gives them the distribution of the
native ones is quantile matching, values at the same share of pairs being equated:
    g = F⁻¹_native ∘ F_translated        Kolen & Brennan 2014, "Test Equating, Scaling, and Linking", eq. 2.18
A threshold then returns as many hits as it did natively. The usual choice, isotonic regression to the expected native
score, returns the hits that are right on average, but draws every score to the mean: of 42 fits on real spaces (300
and 1000 anchors), it left hardly a tenth of the hits above the native .99 quantile, this map more than nine tenths,
and the distributions were .34 apart (Kolmogorov-Smirnov) instead of .08.

A query's own counterpart is no pair to learn from: how many there are beside other pairs depends on the gallery.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from scipy.stats import ks_2samp
from torch import Tensor

PAIRS = 200_000  # that are learned from; more are sampled
KNOTS = 64
UPPER = 0.1  # share of the pairs, the nearest, that half of the knots are spread over in equal ratios
LEAST_PAIRS = 10  # above the last knot but the maximum
PARTS = 5  # of a cross-validation
SMALLEST = 1e-30  # a distance of knots below which they are one


@dataclass(frozen=True)
class Calibration:
    """Increasing and piecewise linear; constant beyond the scores that it was learned from."""

    knots: Tensor  # (k,) translated scores, ascending
    values: Tensor  # (k,) native scores, ascending

    def __call__(self, scores: Tensor) -> Tensor:
        """Of any shape."""
        return interpolated(scores.to(self.knots.dtype), self.knots, self.values)

    def tensors(self) -> dict[str, Tensor]:
        """By name, single precision: what is stored."""
        return {name: tensor.float().contiguous() for name, tensor in vars(self).items()}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        return cls(**tensors)


@dataclass(frozen=True)
class CalibrationReport:
    """Kolmogorov-Smirnov distances of translated to native scores, 0 to 1; calibrated ones learned from other pairs."""

    pairs: int
    before: float
    after: float


def fit_calibration(translated: Tensor, native: Tensor, seed: int = 0) -> tuple[Calibration, CalibrationReport]:
    """Scores (N,) of translated queries with stored vectors, and what they are natively; rows of a fold together."""
    translated, native = sampled(translated.double(), native.double(), seed)
    return calibration(translated, native), report(translated, native)


def sampled(translated: Tensor, native: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """At most PAIRS, in the order that they had."""
    if len(native) <= PAIRS:
        return translated, native
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(native), generator=generator)[:PAIRS].sort().values
    return translated[rows], native[rows]


def calibration(translated: Tensor, native: Tensor) -> Calibration:
    """Where translated scores tie, the value is the mean of what they stand for."""
    at = levels(len(native))
    knots, group = translated.quantile(at).unique_consecutive(return_inverse=True)
    values = native.quantile(at).double()
    sums = torch.zeros_like(knots).index_add(0, group, values)
    return Calibration(knots, sums / group.bincount())


def levels(pairs: int) -> Tensor:
    """(k,) shares of the pairs, ascending from 0 to 1, densest among the nearest."""
    half = KNOTS // 2
    last = min(UPPER, LEAST_PAIRS / pairs)
    upper = torch.logspace(0, 1, KNOTS - half, base=last / UPPER, dtype=torch.float64)
    lower = torch.linspace(0, 1 - UPPER, half, dtype=torch.float64)
    return torch.cat([lower, 1 - UPPER * upper[1:], torch.ones(1, dtype=torch.float64)])


def interpolated(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Between the knots (k,), ascending; the first and the last value (k,) beyond them."""
    right = torch.searchsorted(knots, x.contiguous()).clamp(max=len(knots) - 1)
    left = (right - 1).clamp(min=0)
    start, end = knots[left], knots[right]
    return torch.lerp(values[left], values[right], ((x - start) / (end - start).clamp_min(SMALLEST)).clamp(0, 1))


def report(translated: Tensor, native: Tensor) -> CalibrationReport:
    """Parts follow each other, so most of them share no rows."""
    part = torch.arange(len(native)) * PARTS // len(native)
    calibrated = torch.cat(
        [calibration(translated[part != p], native[part != p])(translated[part == p]) for p in part.unique()]
    )
    return CalibrationReport(len(native), distance(translated, native), distance(calibrated, native))


def distance(a: Tensor, b: Tensor) -> float:
    """sup |F_a - F_b| (Kolmogorov 1933; Smirnov 1939)."""
    return float(ks_2samp(a.numpy(), b.numpy()).statistic)
