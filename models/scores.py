"""How a translated vector is scored against stored ones: in which directions, with or without hubs corrected.

A score compares codes q = (ŷ - m) B of translated vectors with codes c = (y - m) B of stored ones, m the mean of
the target anchors:
    cosine      cos(q, c)
    CSLS        2 cos(q, c) - r(c), r(c) the mean cosine of c to its nearest translated anchors (Conneau et al.
                2018, "Word translation without parallel data", eq. 3; the query's own r shifts a whole row)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.base import Trial
from models.lengths import SMALLEST, unit

NEIGHBOURS = 5  # translated anchors that r is the mean cosine to
WHITENING = 0.1  # shrinkage of the whitened target
POWERS = (0.0, 0.5, 1.0, 2.0, 3.0)

Codes = Callable[[Trial], Tensor | None]


def plain(_trial: Trial) -> None:
    """All directions as they are, and m = 0: what an index compares by itself."""


def centred(_trial: Trial) -> None:
    """All directions as they are."""


def span(trial: Trial) -> Tensor | None:
    """(k, r) the directions that the target anchors span; None where they span all."""
    if trial.moments is None:
        return None
    basis = trial.moments.principal_y[1]
    return basis if basis.shape[1] < basis.shape[0] else None


def whitened(trial: Trial) -> Tensor | None:
    """(k, r) the same, each divided by its own spread."""
    if trial.moments is None:
        return None
    spectrum, basis = trial.moments.principal_y
    return basis / ((1 - WHITENING) * spectrum + WHITENING * spectrum.mean()).sqrt()


def canonical(trial: Trial) -> Tensor | None:
    """(k, r) the directions in which the method found both sides to agree."""
    return trial.codes


CODES: Mapping[str, Codes] = {f.__name__: f for f in (plain, centred, span, whitened, canonical)}


@dataclass(frozen=True)
class Score:
    """`power` weights canonical codes by their strength: 0 leaves them equal."""

    codes: str = "centred"
    power: float = 0.0
    csls: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, **vars(self)}

    @property
    def name(self) -> str:
        weight = f"^{self.power:g}" if self.power else ""
        return f"{self.codes}{weight} {'csls' if self.csls else 'cosine'}"

    def directions(self, trial: Trial) -> Tensor | None:
        """D, (k, r); None for I."""
        return CODES[self.codes](trial)

    def strength(self, trial: Trial) -> Tensor | None:
        """Of each direction, (r,): B = D diag(strength). None for ones."""
        return trial.strength**self.power if self.power and trial.strength is not None else None

    def origin(self, trial: Trial) -> Tensor:
        """m, (k,)"""
        return torch.zeros_like(trial.mean) if self.codes == "plain" else trial.mean


def projected(centred: Tensor, projection: Tensor | None) -> Tensor:
    return centred if projection is None else centred @ projection


def coded(rows: Tensor, score: Score, trial: Trial) -> Tensor:
    """(n, k) -> codes (n, r)"""
    codes, strength = projected(rows - score.origin(trial), score.directions(trial)), score.strength(trial)
    return codes if strength is None else codes * strength


def similarities(trial: Trial, scores: Sequence[Score]) -> Tensor:
    """(s, g, g), held-out rows by counterparts; scores of the same directions share their products."""
    found: dict[tuple[str, float], tuple[Tensor, Tensor]] = {}
    for codes in dict.fromkeys(score.codes for score in scores):
        alike = [score for score in scores if score.codes == codes]
        powers, csls = sorted({score.power for score in alike}), any(score.csls for score in alike)
        parts = zip(*compared(trial, codes, powers, csls), strict=True)
        found.update({(codes, power): part for power, part in zip(powers, parts, strict=True)})
    result = []
    for score in scores:
        cosine, hubs = found[score.codes, score.power]
        result.append(2 * cosine - hubs if score.csls else cosine)
    return torch.stack(result)


def compared(trial: Trial, codes: str, powers: list[float], csls: bool) -> tuple[Tensor, Tensor]:
    """Cosines (p, g, g) in the same directions, weighted by p powers of their strength; for CSLS their hubness
    (p, g), else zeros.

    Both sides' weights are given to the stored rows, which are few; lengths follow from squares.
    """
    score = Score(codes)
    rows = [trial.predicted, trial.y, trial.sample if csls else trial.y[:0]]
    queries, stored, sample = (unit(coded(part, score, trial)) for part in rows)
    if codes != canonical.__name__ or trial.strength is None:
        alike = queries @ stored.mT, hubness(stored @ sample.mT)
        return alike[0].expand(len(powers), -1, -1), alike[1].expand(len(powers), -1)
    squares = torch.stack([trial.strength ** (2 * power) for power in powers])  # (p, r)
    weighted = stored * (squares.unsqueeze(1) / lengths(stored, squares).unsqueeze(2))  # (p, g, r)
    cosines = queries @ weighted.mT / lengths(queries, squares).unsqueeze(2)
    return cosines, hubness(weighted @ sample.mT / lengths(sample, squares).unsqueeze(1))


def lengths(codes: Tensor, squares: Tensor) -> Tensor:
    """codes (n, r), squared weights (p, r) -> (p, n), in double precision where squares could vanish."""
    found = [codes.double().square() @ weights.double() for weights in squares]
    return torch.stack(found).sqrt().clamp_min(SMALLEST).to(codes.dtype)


def hubness(cosines: Tensor) -> Tensor:
    """Of stored rows to a sample (..., n, t) -> (..., n) mean cosine to the NEIGHBOURS nearest, 0 without any."""
    nearest = cosines.topk(min(NEIGHBOURS, cosines.shape[-1]), -1).values
    return nearest.sum(-1) / max(1, nearest.shape[-1])


def scores_for(trial: Trial) -> list[Score]:
    """Those that can be tried with what a method knows, simplest first."""
    tried = [Score("plain"), Score("centred")]
    if trial.moments is not None:
        few = trial.moments.principal_y[1].shape[1] < trial.moments.sxy.shape[1]
        tried += [Score("span")] * few + [Score("whitened")]
    if trial.codes is not None and trial.codes.shape[1]:
        tried += [Score("canonical", power) for power in POWERS]
    return [Score(score.codes, score.power, csls) for csls in (False, True) for score in tried]
