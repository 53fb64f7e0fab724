"""How good translated vectors are, measured row by row against their own counterparts.

A measure keeps one value per held-out row, so that any two translations can be compared in pairs
and every figure gets an interval.

Retrieval is reported as ranks but chosen by surprise, the contrastive loss
    log(1 + Σ_j exp((s_ij - s_ii) / τ))      (van den Oord et al. 2018, "... contrastive predictive coding", eq. 4)
with the sum stretched to AMONG distractors: held-out galleries are small, so most ranks in them are 1 and tell
good candidates from very good ones only by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log, sqrt

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, softplus

from models.lengths import SMALLEST, unit

NEIGHBOURS = 10
AMONG = 2000  # stored vectors that a counterpart should be found among
TEMPERATURES = (0.02, 0.05, 0.1, 0.2, 0.4)
Z95 = 1.959964  # two-sided 95 % of the normal distribution
RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A mean over held-out rows with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Outcomes:
    """Per held-out row, all (m,) unless said: what became of it."""

    rank: Tensor  # of the own counterpart in the gallery, by the score, from 1; ties count half
    surprise: Tensor  # (m, temperatures) of finding the own counterpart among AMONG
    overlap: Tensor  # share of the native 10 nearest in the gallery that the translation finds too
    error: Tensor  # ‖ŷ - y‖²
    spread: Tensor  # ‖y - mean‖², the error of the target mean
    cosine: Tensor  # cos(ŷ - mean, y - mean)

    @classmethod
    def of(cls, similarity: Tensor, predicted: Tensor, y: Tensor, mean: Tensor) -> "Outcomes":
        """Of one fold: similarity (g, g), own counterparts on the diagonal; predicted, y (g, d), mean (d,).

        Anchors that the map was fitted on must stay out of the gallery: translated vectors are drawn
        towards them, so they push the counterpart down as no stored vector would.
        """
        return cls(
            rank=ranks(similarity),
            surprise=surprises(similarity),
            overlap=overlaps(similarity, cosines(y, y)),
            error=(predicted - y).square().sum(1).double(),
            spread=(y - mean).square().sum(1).double(),
            cosine=cosine_similarity((predicted - mean).double(), (y - mean).double(), eps=SMALLEST),
        )

    @classmethod
    def joined(cls, parts: Sequence["Outcomes"]) -> "Outcomes":
        return cls(**{name: torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])})

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


def coldest(surprise: Tensor) -> Tensor:
    """surprise (m, temperatures) at the temperature that suits a candidate best, (m,)."""
    return surprise[:, surprise.mean(0).argmin()]


def cosines(x: Tensor, y: Tensor) -> Tensor:
    """(n, m), in single precision, as the index computes them."""
    return unit(x).float() @ unit(y).float().T


def ranks(similarity: Tensor) -> Tensor:
    """similarity (..., g, g), own counterparts on the diagonal -> (..., g) float64 from 1."""
    own = similarity.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
    above, equal = (similarity > own).sum(-1), (similarity == own).sum(-1) - 1
    return 1 + above.double() + equal.double() / 2


def surprises(similarity: Tensor) -> Tensor:
    """similarity (..., g, g), own counterparts on the diagonal -> (..., g, temperatures) float64.

    Temperatures are shares of the similarities' spread. Where all are equal, every row is as surprising as chance.
    """
    g = similarity.shape[-1]
    itself = torch.eye(g, dtype=torch.bool)
    spread = similarity[..., ~itself if g > 1 else itself].std(-1, correction=0)[..., None, None]
    scaled = torch.where(spread > 1e-6 * similarity.abs().amax((-2, -1), keepdim=True), similarity / spread, 0.0)
    stretch = log((AMONG - 1) / (g - 1)) if g > 1 else 0.0
    own = scaled.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
    others = (scaled - own).masked_fill(itself, -inf)
    columns = [softplus(torch.logsumexp(others / t, -1) + stretch) for t in TEMPERATURES]
    return torch.stack(columns, -1).double()


def overlaps(similarity: Tensor, native: Tensor) -> Tensor:
    """(m,): share of each row's native nearest neighbours, itself left out, that `similarity` finds too."""
    k = min(NEIGHBOURS, len(similarity) - 1)
    if k == 0:
        return torch.zeros(1, dtype=torch.float64)
    itself = torch.eye(len(similarity), dtype=torch.bool)
    found, wanted = (m.masked_fill(itself, -inf).topk(k).indices for m in (similarity, native))
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
