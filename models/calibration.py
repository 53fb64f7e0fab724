"""What a score of a translated query would be without translation, so that a user's thresholds keep meaning.

Translated scores are spread otherwise than native ones. The increasing map that gives them the distribution of the
native ones equates the scores that the same share of pairs exceeds:
    g = F⁻¹_native ∘ F_translated
(Kolen & Brennan 2014, "Test Equating, Scaling, and Linking", chapter 2: equipercentile equating). A threshold then
returns as many hits as it does natively, as far as held-out anchors are like what is searched: where translations
are weak, or anchors few, the highest scores may be several times rarer or more frequent than that. Isotonic
regression to the expected native score, the usual choice, has the smaller error per pair, but draws all scores to
the mean, the highest most. Above the native .99 quantile it left 9 of 100 hits and this map 92; their
Kolmogorov-Smirnov distances to the native scores were .34 and .08 (means over fresh pairs of seven pairs of real
spaces, 300 and 1000 anchors).

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
    """Kolmogorov-Smirnov distances of translated to native scores: 0 is best, 1 worst."""

    pairs: int
    before: float
    after: float  # of pairs that the calibration did not learn from


def fit_calibration(translated: Tensor, native: Tensor, seed: int = 0) -> tuple[Calibration, CalibrationReport]:
    """Scores (N,), N >= 2, of translated queries and of the true ones with stored vectors, fold after fold."""
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
    knots, group = torch.unique(translated.quantile(at), return_inverse=True)
    sums = torch.zeros_like(knots).index_add(0, group, native.quantile(at))
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
    """Parts follow each other: those of one partition into folds share no rows."""
    calibrated = torch.empty_like(native)
    for part in torch.arange(len(native)).tensor_split(min(PARTS, len(native))):
        others = torch.ones(len(native), dtype=torch.bool).index_fill(0, part, False)
        calibrated[part] = calibration(translated[others], native[others])(translated[part])
    return CalibrationReport(len(native), distance(translated, native), distance(calibrated, native))


def distance(a: Tensor, b: Tensor) -> float:
    """sup |F_a - F_b| (Kolmogorov 1933; Smirnov 1939)."""
    return float(ks_2samp(a.numpy(), b.numpy(), method="asymp").statistic)
