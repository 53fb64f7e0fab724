"""How good translated vectors are, measured row by row against their own counterparts.

A measure keeps one value per held-out row, so that any two translations can be compared in pairs
and every figure gets an interval.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

NEIGHBOURS = 10
Z95 = 1.959964  # two-sided 95 % of the normal distribution
RESAMPLES = 1000
SMALLEST = torch.finfo(torch.float64).tiny  # a length below which a vector counts as zero


@dataclass(frozen=True)
class Estimate:
    """A mean over held-out rows with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Outcomes:
    """Per held-out row, all (m,): what became of it."""

    rank: Tensor  # of the own counterpart in the gallery, by cosine, from 1; ties count half
    overlap: Tensor  # share of the native 10 nearest in the gallery that the translation finds too
    error: Tensor  # ‖ŷ - y‖²
    spread: Tensor  # ‖y - mean‖², the error of the target mean
    cosine: Tensor  # cos(ŷ - mean, y - mean)

    @classmethod
    def of(cls, predicted: Tensor, y: Tensor, mean: Tensor, fold: Tensor) -> "Outcomes":
        """predicted, y, mean (m, d), fold (m,). The gallery of a row is the y of its own fold.

        Anchors that the map was fitted on must stay out of the gallery: translated vectors are drawn
        towards them, so they push the counterpart down as no stored vector would.
        """
        rank, overlap = (torch.empty(len(y), dtype=torch.float64) for _ in range(2))
        for rows in (fold == f for f in set(fold.tolist())):
            similarity = cosines(predicted[rows], y[rows])  # (g, g)
            rank[rows] = ranks(similarity)
            overlap[rows] = overlaps(similarity, cosines(y[rows], y[rows]))
        return cls(
            rank=rank,
            overlap=overlap,
            error=(predicted - y).square().sum(1),
            spread=(y - mean).square().sum(1),
            cosine=cosine_similarity(predicted - mean, y - mean, eps=SMALLEST),
        )

    def where(self, rows: Tensor, other: "Outcomes") -> "Outcomes":
        """`other` in `rows` (m,) bool, self elsewhere."""
        return Outcomes(**{k: torch.where(rows, vars(other)[k], v) for k, v in vars(self).items()})

    def quality(self, seed: int) -> dict[str, Estimate]:
        """Every figure of a report."""
        return {
            "top1": proportion((self.rank <= 1).double()),
            "mrr": proportion(1 / self.rank),
            "recall_at_10": proportion((self.rank <= NEIGHBOURS).double()),
            "overlap_at_10": proportion(self.overlap),
            "r2": one_minus_ratio(self.error, self.spread, seed),
            "cosine": one_minus_ratio(1 - self.cosine, torch.ones_like(self.cosine), seed),
        }


def retrieval_loss(outcomes: Outcomes) -> Tensor:
    """1 - reciprocal rank, (m,)."""
    return 1 - 1 / outcomes.rank


def reconstruction_loss(outcomes: Outcomes) -> Tensor:
    """Squared error in units of the target's variance, (m,): its mean is 1 - R². Bare where there is none."""
    variance = outcomes.spread.mean()
    return outcomes.error / variance if variance > 0 else outcomes.error


Loss = Callable[[Outcomes], Tensor]
OBJECTIVES: Mapping[str, Loss] = {"retrieval": retrieval_loss, "reconstruction": reconstruction_loss}


def cosines(x: Tensor, y: Tensor) -> Tensor:
    """(n, m), in single precision, as the index computes them."""
    x, y = (normalize(v.double(), eps=SMALLEST).float() for v in (x, y))
    return x @ y.T


def ranks(similarity: Tensor) -> Tensor:
    """similarity (m, m), own counterparts on the diagonal -> (m,) float64 from 1."""
    own = similarity.diagonal().unsqueeze(1)
    above, equal = (similarity > own).sum(1), (similarity == own).sum(1) - 1
    return 1 + above.double() + equal.double() / 2


def overlaps(similarity: Tensor, native: Tensor) -> Tensor:
    """(m,): share of each row's native nearest neighbours, itself left out, that `similarity` finds too."""
    k = min(NEIGHBOURS, len(similarity) - 1)
    if k == 0:
        return torch.zeros(1, dtype=torch.float64)
    itself = torch.eye(len(similarity), dtype=torch.bool)
    found, wanted = (m.masked_fill(itself, -2.0).topk(k).indices for m in (similarity, native))
    return (found.unsqueeze(2) == wanted.unsqueeze(1)).any(2).double().mean(1)


def average(values: Tensor) -> Estimate:
    """Mean with its normal interval, (m,) with m >= 2."""
    mean, half = float(values.mean()), Z95 * float(values.std()) / sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def proportion(values: Tensor) -> Estimate:
    """Mean of values in [0, 1] with Wilson's score interval (Wilson 1927).

    Its variance p (1 - p) bounds that of every variable in [0, 1], and it does not shrink to nothing
    when a handful of rows all succeed.
    """
    n, p = len(values), float(values.mean())
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    return Estimate(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)))


def one_minus_ratio(part: Tensor, whole: Tensor, seed: int) -> Estimate:
    """1 - Σ part / Σ whole with its percentile bootstrap interval (Efron 1979); 0 when Σ whole is 0."""
    if not whole.sum() > 0:
        return Estimate(0.0, 0.0, 0.0)
    n = len(part)
    draws = torch.randint(n, (RESAMPLES, n), generator=torch.Generator().manual_seed(seed))
    parts, wholes = part[draws].sum(1), whole[draws].sum(1)
    ratios = parts[wholes > 0] / wholes[wholes > 0]
    low, high = torch.quantile(1 - ratios, torch.tensor([0.025, 0.975], dtype=ratios.dtype)).tolist()
    return Estimate(float(1 - part.sum() / whole.sum()), low, high)
