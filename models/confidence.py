"""How far a translated vector may be trusted: the cosine to the true one that is to be expected of it.

Both are seen from the mean of the target anchors, so 1 is a translation without error and 0 one that says no more
than that mean. Five signs of a bad translation, all but the first in [0, 1]:
    distance        d / u          d the mean distance of x to the nearest source anchors, u the spread of all
    strangeness     d / (d + l)    l the distance of x to the mean m of the source anchors
    residue         1 - ‖(x - m) P‖² / l²    P = V diag(s / (s + φ))^½, V diag(s) Vᵀ the anchors' covariance
    shrinkage       l / (l + l')   l' the distance of the translation to the target mean; both in units of spread
    neighbourhood   1 - q          q the mean held-out cosine of the nearest anchors
Distance is that of Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors", section 3.
Residue is 1 outside of the anchors' span, φ / (s + φ) along it: residual energy and Mahalanobis distance (Lee et
al. 2018, "A simple unified framework for detecting out-of-distribution samples", eq. 2, shrunk by φ) in one.

The last four make up badness, with weights >= 0 by least squares; isotonic regression maps it to the expected
cosine (Zadrozny & Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates").
What exceeds nearly all held-out anchors in one of the first three has exp(-excess) of that, the excess in standard
deviations of the held-out anchors: far away confidence goes to 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from scipy.optimize import isotonic_regression, nnls
from scipy.stats import rankdata
from torch import Tensor
from torch.nn.functional import cosine_similarity

from models.base import Trial
from models.calibration import interpolated
from models.folds import Folds
from models.lengths import SMALLEST
from models.moments import Moments

NEIGHBOURS = 10
SHRINKAGE = 0.1  # φ as a share of the mean variance of a source dimension
LEAST_ROWS = 10  # held-out rows behind a knot, and behind a row of the table
KNOTS = 32
BINS = 10
FAR = 0.99  # share of the held-out rows that are not far
LEAST_SPREAD = 0.02  # of a sign: held-out rows that are more alike do not say how far is far
LEAST_SIGN = 0.003  # spread of a sign below which it is rather noise
ROUNDING = 1e-6  # what is shorter than this share of the longest vector has no direction


@dataclass(frozen=True)
class Surroundings:
    """Where the source anchors lie, and how well they were translated."""

    mean: Tensor  # m (d1,)
    spanned: Tensor  # V diag(s / (s + φ))^½ (d1, r)
    units: Tensor  # (2,) root mean squared distance of source and target anchors to their means
    sample: Tensor  # (t, d1) anchors, centred
    quality: Tensor  # (t,) their held-out cosines

    @classmethod
    def of(cls, moments: Moments, units: Tensor, sample: Tensor, quality: Tensor) -> Self:
        scatter, basis = moments.principal
        ridge = SHRINKAGE * scatter.sum() / len(basis)
        spanned = basis * (scatter / (scatter + ridge)).sqrt()
        return cls(moments.mean_x, spanned, units, sample - moments.mean_x, quality)

    def signs(self, x: Tensor, length: Tensor) -> Tensor:
        """x (n, d1), l' (n,) -> (n, 5)"""
        x = x.to(self.mean.dtype) - self.mean
        own = x.norm(dim=1)
        near = torch.cdist(x, self.sample).topk(min(NEIGHBOURS, len(self.sample)), 1, largest=False)
        distance, (unit, unit_y) = near.values.mean(1), self.units
        columns = [
            distance / unit,
            share(distance, own),
            1 - ((x @ self.spanned).norm(dim=1) / own.clamp_min(SMALLEST)).square().clamp_max(1),
            share(own / unit, length / unit_y),
            1 - self.quality[near.indices].mean(1),
        ]
        return torch.stack(columns, 1)


@dataclass(frozen=True)
class Judgement:
    """From signs to the expected cosine."""

    weights: Tensor  # (4,) >= 0, of all signs but the distance
    limits: Tensor  # (3,) distance, strangeness and residue that few held-out rows exceed
    spreads: Tensor  # (3,) of these among held-out rows
    knots: Tensor  # (k,) badness, ascending
    values: Tensor  # (k,) expected cosine, descending

    @classmethod
    def of(cls, signs: Tensor, quality: Tensor) -> Self:
        """Signs (m, 5) and cosines (m,) of held-out rows."""
        weights, first = weighed(signs[:, 1:], quality), signs[:, :3]
        spreads = first.std(0, correction=0).clamp_min(LEAST_SPREAD)
        return cls(weights, first.quantile(FAR, 0), spreads, *descending(signs[:, 1:] @ weights, quality))

    def __call__(self, signs: Tensor) -> Tensor:
        """(n, 5) -> (n,) in [0, 1]"""
        excess = ((signs[:, :3] - self.limits).clamp_min(0) / self.spreads).sum(1)
        return interpolated(signs[:, 1:] @ self.weights, self.knots, self.values) * torch.exp(-excess)


@dataclass(frozen=True)
class Confidence:
    """Of the translations of one map; floats of any precision."""

    target: Tensor  # (d2,) mean of the target anchors
    surroundings: Surroundings
    judgement: Judgement

    def __call__(self, x: Tensor, translated: Tensor) -> Tensor:
        """x (n, d1), what it was translated to (n, d2) -> (n,) in [0, 1]."""
        length = (translated.to(self.target.dtype) - self.target).norm(dim=1)
        found = self.judgement(self.surroundings.signs(x, length))
        return found.nan_to_num(0.0)  # lengths that overflow are infinitely far

    def tensors(self) -> dict[str, Tensor]:
        """By name, single precision: what is stored."""
        named = {"target": self.target, **vars(self.surroundings), **vars(self.judgement)}
        return {name: tensor.float().contiguous() for name, tensor in named.items()}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        surroundings, judgement = (
            {field.name: tensors[field.name] for field in fields(part)} for part in (Surroundings, Judgement)
        )
        return cls(tensors["target"], Surroundings(**surroundings), Judgement(**judgement))


@dataclass(frozen=True)
class Bin:
    """Held-out anchors of similar confidence; means of both."""

    confidence: float
    cosine: float
    rows: int


@dataclass(frozen=True)
class ConfidenceReport:
    """On held-out anchors, each judged by what the other folds taught."""

    spearman: float  # rank correlation of confidence and true cosine: 1 is best, 0 says nothing
    table: list[Bin]  # ascending; a calibrated confidence is as high as the cosine


def fit_confidence(trials: Sequence[Trial], folds: Folds) -> tuple[Confidence, ConfidenceReport]:
    """`trials` of one method, one for each of the folds."""
    outcomes = [outcome(trial) for trial in trials]
    quality = folds.by_row([cosine for cosine, _ in outcomes])  # (m,)
    x, basis = folds.span_x
    by_anchor = torch.zeros(len(x), dtype=quality.dtype).index_put((folds.evaluated,), quality)
    units = (torch.stack([folds.whole.sxx.trace(), folds.whole.syy.trace()]) / len(x)).sqrt().clamp_min(SMALLEST)
    parts = []
    for fold, (_, length) in enumerate(outcomes):
        rows = folds.sample(fold)
        surroundings = Surroundings.of(folds.moments[fold], units, x[rows], by_anchor[rows])
        parts.append(surroundings.signs(x[folds.rows(fold)], length))
    signs, rows = folds.by_row(parts), folds.sample()
    inner = Surroundings.of(folds.whole, units, x[rows], by_anchor[rows])
    confidence = Confidence(folds.y.mean(0), outside(inner, basis), Judgement.of(signs, quality))
    return confidence, report(signs, quality, folds)


def outcome(trial: Trial) -> tuple[Tensor, Tensor]:
    """cos(ŷ - mean, y - mean), negative ones as 0, and ‖ŷ - mean‖ of the held-out rows, (g,) each."""
    predicted, y = trial.predicted - trial.mean, trial.y - trial.mean
    rounding = max(ROUNDING * float(torch.cat([trial.y, trial.mean[None]]).norm(dim=1).max()), SMALLEST)
    return cosine_similarity(predicted, y, eps=rounding).double().clamp(0, 1), predicted.norm(dim=1).double()


def outside(inner: Surroundings, basis: Tensor | None) -> Surroundings:
    """From coordinates in `basis` (d1, k) to full vectors."""
    if basis is None:
        return inner
    return Surroundings(
        basis @ inner.mean, basis @ inner.spanned, inner.units, inner.sample @ basis.T, inner.quality
    )


def share(a: Tensor, b: Tensor) -> Tensor:
    return a / (a + b).clamp_min(SMALLEST)


def weighed(signs: Tensor, quality: Tensor) -> Tensor:
    """Signs (m, 4), cosines (m,) -> weights (4,) >= 0 of least squares, with a ridge."""
    ridge = LEAST_SIGN * len(signs) ** 0.5 * torch.eye(signs.shape[1], dtype=signs.dtype)
    rows = torch.cat([signs - signs.mean(0), ridge])
    lack = torch.cat([quality.mean() - quality, ridge.new_zeros(len(ridge))])
    return torch.from_numpy(nnls(rows.numpy(), lack.numpy())[0])


def descending(badness: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
    """(m,), (m,) -> badness and expected cosine at the knots, (k,) each: means of bins, made monotone."""
    parts = badness.argsort(stable=True).tensor_split(max(1, min(KNOTS, len(badness) // LEAST_ROWS)))
    means, rows = [float(quality[part].mean()) for part in parts], [len(part) for part in parts]
    knots = torch.stack([badness[part].mean() for part in parts])
    return knots, torch.tensor(isotonic_regression(means, weights=rows, increasing=False).x.copy())


def report(signs: Tensor, quality: Tensor, folds: Folds) -> ConfidenceReport:
    confidence = torch.empty_like(quality)
    for fold in range(folds.parts):
        own = folds.inside(fold)[folds.evaluated]
        confidence[own] = Judgement.of(signs[~own], quality[~own])(signs[own])
    parts = confidence.argsort(stable=True).tensor_split(max(1, min(BINS, len(quality) // LEAST_ROWS)))
    table = [Bin(float(confidence[part].mean()), float(quality[part].mean()), len(part)) for part in parts]
    return ConfidenceReport(spearman(confidence, quality), table)


def spearman(a: Tensor, b: Tensor) -> float:
    """Rank correlation (Spearman 1904) of (m,) and (m,); 0 where one is constant."""
    a, b = (torch.from_numpy(rankdata(values.numpy())) for values in (a, b))
    return float(cosine_similarity(a - a.mean(), b - b.mean(), dim=0, eps=ROUNDING))
