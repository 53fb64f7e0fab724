"""From paired anchors to one fitted method and an honest account of it.

Candidates are cross-validated on the anchors, by the loss of the caller's objective. The simplest within
one standard error of the best wins (Breiman et al. 1984, "Classification and Regression Trees", 3.4.3), the
error being that of the paired difference. The quality of a fold is taken from the candidate that the *other*
folds choose, so the figures are not flattered by having chosen among many.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.base import Method, check_pairs
from models.errors import InvalidOption, UnknownMethod
from models.folds import LEAST_GALLERY, Folds
from models.measures import NEIGHBOURS, OBJECTIVES, Estimate, Loss, Outcomes, average
from models.registry import METHODS, candidates

FEW = 30  # held-out rows below which an interval is rough


@dataclass(frozen=True)
class Candidate:
    """One variant that was tried; `loss` is that of the objective, lower is better."""

    method: str
    parameters: Mapping[str, float]
    loss: Estimate
    chosen: bool


@dataclass(frozen=True)
class Report:
    """What was measured, on which anchors. All of `quality` and `baselines` is held out."""

    method: str
    parameters: Mapping[str, float]
    objective: str
    score: str
    anchors: int
    held_out: int
    folds: int
    gallery: int  # held-out rows that a counterpart is looked for among
    seed: int
    support_rank: int
    quality: Mapping[str, Estimate]
    baselines: Mapping[str, Mapping[str, Estimate]]
    candidates: list[Candidate]
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def estimate(
    x: Tensor,
    y: Tensor,
    method: str = "auto",
    objective: str = "retrieval",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> tuple[Method, Report]:
    """Fit x (n, d1) -> y (n, d2). UnknownMethod, InvalidOption, TooFewAnchors, DimensionMismatch."""
    x, y = check_pairs(x, y)
    loss_of = objective_named(objective)
    tried = contenders(method, options or {}, x.shape[1], y.shape[1])
    folds = Folds(x, y, seed)
    outcomes = [judged(candidate.held_out(folds), folds) for candidate in tried]
    losses = torch.stack([loss_of(outcome) for outcome in outcomes])  # (candidates, m)
    best = simplest_good(losses)
    chosen = tried[best].fit(x, y)
    quality = cross_fitted(outcomes, losses, best, folds).quality(seed)
    baselines = {name: outcome.quality(seed) for name, outcome in baseline_outcomes(folds).items()}
    report = Report(
        method=chosen.name,
        parameters=chosen.parameters(),
        objective=objective,
        score="cosine",
        anchors=len(x),
        held_out=len(folds.evaluated),
        folds=folds.count,
        gallery=folds.gallery,
        seed=seed,
        support_rank=chosen.rank_,
        quality=quality,
        baselines=baselines,
        candidates=table(tried, losses, best),
        warnings=warnings(chosen, folds, quality, baselines),
    )
    return chosen, report


def objective_named(name: str) -> Loss:
    if name not in OBJECTIVES:
        raise UnknownMethod(
            f"objective must be one of {list(OBJECTIVES)}, got {name!r}", expected=list(OBJECTIVES), got=name
        )
    return OBJECTIVES[name]


def contenders(method: str, options: Mapping[str, Any], d1: int, d2: int) -> list[Method]:
    """Every variant to try, simplest first."""
    if method != "auto":
        return candidates(method, options)
    if options:
        raise InvalidOption(
            f"method 'auto' takes no options, got {sorted(options)}: name a method to set them",
            expected=[],
            got=sorted(options),
        )
    suited = [name for name, kind in METHODS.items() if kind.suits(d1, d2)]
    return [candidate for name in suited for candidate in candidates(name, {})]


def judged(predicted: Tensor, folds: Folds) -> Outcomes:
    return Outcomes.of(predicted, folds.held_out_y, folds.held_out_mean, folds.evaluated_fold)


def simplest_good(losses: Tensor) -> int:
    """losses (candidates, m), simplest first -> the first whose paired excess is within one standard error."""
    excess = losses - losses[losses.mean(1).argmin()]
    error = excess.std(1) / losses.shape[1] ** 0.5
    return int((excess.mean(1) <= error).nonzero()[0])


def cross_fitted(outcomes: list[Outcomes], losses: Tensor, best: int, folds: Folds) -> Outcomes:
    """Each fold's outcomes, of the candidate that the other folds choose; a choice needs two rows."""
    result = outcomes[best]
    for fold in range(folds.count):
        rows = folds.evaluated_fold == fold
        if (~rows).sum() > 1:
            result = result.where(rows, outcomes[simplest_good(losses[:, ~rows])])
    return result


def baseline_outcomes(folds: Folds) -> dict[str, Outcomes]:
    """The target mean, and doing nothing (cut or padded with zeros where the widths differ)."""
    x, d2 = folds.x[folds.evaluated], folds.y.shape[1]
    return {
        "mean": judged(folds.held_out_mean, folds),
        "untranslated": judged(pad(x[:, :d2], (0, max(0, d2 - x.shape[1]))), folds),
    }


def table(tried: list[Method], losses: Tensor, best: int) -> list[Candidate]:
    return [
        Candidate(method.name, method.parameters(), average(loss), index == best)
        for index, (method, loss) in enumerate(zip(tried, losses, strict=True))
    ]


def warnings(
    chosen: Method,
    folds: Folds,
    quality: Mapping[str, Estimate],
    baselines: Mapping[str, Mapping[str, Estimate]],
) -> list[str]:
    """What a reader of the report should not overlook."""
    held_out, gallery = len(folds.evaluated), folds.gallery
    (n, d1), d2 = folds.x.shape, folds.y.shape[1]
    support = chosen.rank_ if chosen.rank_ < min(d1, d2) else min(n - 1, d1)
    findings = {
        f"only {held_out} anchors were held out: the intervals are rough": held_out < FEW,
        f"{held_out} anchors are too few to measure retrieval": gallery < LEAST_GALLERY,
        f"counterparts were looked for among {gallery} held-out vectors: figures at {NEIGHBOURS} say nothing": (
            gallery <= NEIGHBOURS + 1
        ),
        f"the anchors support {support} of {d1} source dimensions: what lies outside them "
        "is translated as if it were average": support < d1 and chosen.name != "mean",
        "no candidate was better than the target mean: these anchors do not relate the two spaces": (
            chosen.name == "mean"
        ),
        "translated vectors are not shown to be nearer to their targets than the target mean is: use them for "
        "cosine search, or fit with the objective 'reconstruction'": (
            chosen.name != "mean" and quality["r2"].low <= 0
        ),
        "retrieval is not shown to be better than without translation": (
            chosen.name != "identity" and quality["mrr"].low <= baselines["untranslated"]["mrr"].high
        ),
    }
    return [finding for finding, holds in findings.items() if holds]
