"""From paired anchors to one fitted method, the score to compare with, and an honest account of both.

Candidates, a method's variant with the sum of its scores, are cross-validated on the anchors by the loss of the
caller's objective. The simplest kind within one standard error of the best wins (Breiman et al. 1984,
"Classification and Regression Trees", 3.4.3), the error being that of the paired difference; of one kind, the
best. The quality of a fold is taken from the candidate that the *other* rows choose, compared as they suggest, so
the figures are not flattered by the choice.
"""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from models.affine import Affine
from models.aside import Aside, Judgement, outcomes_aside, trials_aside
from models.base import Method, Trial, check_pairs
from models.blend import Blend, Fitted
from models.calibration import Calibration, CalibrationReport, fit_calibration
from models.collapse import COLLAPSED, Collapse, collapse
from models.confidence import Confidence, ConfidenceReport, fit_confidence
from models.ensemble import POOL
from models.errors import InvalidHead, InvalidOption
from models.folds import LEAST_GALLERY, Folds, Gallery
from models.heads import Head
from models.measures import NEIGHBOURS, Estimate, Outcomes, average, coldest, cosines, proportion, ranks, surprises
from models.objectives import Objective, Retrieval, objective_named
from models.progress import Progress, silent
from models.registry import METHODS, candidates
from models.scores import Score, scores_for, similarities
from models.screening import suspicious

FEW = 30  # held-out rows below which an interval is rough
NEGLIGIBLE = 1e-3  # of what the best candidate gains over the target mean
LEAST_CALIBRATED = 100  # pairs of scores that a calibration is fitted to
AT_ONCE = 4  # candidates that are tried side by side; each may use all cores for its products
BUDGET = 30.0  # seconds that trying candidates may take; those that would start later are dropped


@dataclass(frozen=True)
class Tried:
    """A candidate and what became of the held-out rows."""

    method: Method
    losses: Tensor  # (m, settings) of the objective
    reciprocal: Tensor  # (m,) 1 / rank
    scores: tuple[Score, ...]
    by_score: Tensor  # (s, m, settings) what each would lose in retrieval
    tuned: bool  # by the folds, which so flatter the best of several
    answers: Tensor | None = None  # (rows of all folds, c) of a head, in the order of the folds

    @property
    def loss(self) -> Tensor:
        """(m,)"""
        return coldest(self.losses)

    def blend(self, rows: Tensor | slice = slice(None)) -> Blend:
        """Of its scores, as these rows suggest."""
        return Blend.weighted(self.scores, coldest_of_each(self.by_score[:, rows]))

    @property
    def place(self) -> int:
        """Of its method among all, simplest first."""
        return [*METHODS, self.method.name].index(self.method.name)

    @property
    def kind(self) -> int:
        """0 the target mean, 1 identity, 2 what learned from the anchors, 3 if tuned too, 4 if it may bend."""
        learned = ["mean", "identity", self.method.name].index(self.method.name)
        return learned + self.tuned + self.method.curved if learned > 1 else learned


@dataclass(frozen=True)
class Candidate:
    """One variant of a method, with the scores that suit it; `loss` is the objective's, lower is better."""

    method: str
    parameters: Mapping[str, Any]
    score: str
    loss: Estimate
    mrr: Estimate
    chosen: bool


@dataclass(frozen=True)
class Report:
    """What was measured, on which anchors. All of `quality` and `baselines` is held out."""

    method: str
    parameters: Mapping[str, Any]
    objective: str
    score: Mapping[str, Any]
    anchors: int
    suspicious: list[int]  # rows left out as probably wrong pairs
    held_out: int
    folds: int
    repeats: int  # times the anchors were cut into folds for the choice; figures are of the first
    gallery: int  # held-out rows that a counterpart is looked for among
    seed: int
    support_rank: int
    quality: Mapping[str, Estimate]
    baselines: Mapping[str, Mapping[str, Estimate]]
    confidence: ConfidenceReport
    calibration: CalibrationReport | None  # None where too few pairs were held out
    collapse: Collapse
    candidates: list[Candidate]
    dropped: list[str]  # methods with candidates that the time did not suffice for
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Estimated:
    """A fitted method, the score that its translations are compared by, and the report."""

    method: Method
    score: Fitted
    confidence: Confidence
    calibration: Calibration | None
    report: Report


def estimate(  # noqa: PLR0913, PLR0917  a question with seven sides, and who waits
    x: Tensor,
    y: Tensor,
    method: str = "auto",
    objective: str = "retrieval",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    head: Head | None = None,
    budget: float = BUDGET,
    progress: Progress = silent,
    aside: Aside | None = None,
) -> Estimated:
    """Fit x (n, d1) -> y (n, d2). UnknownMethod, InvalidOption, InvalidHead, TooFewAnchors, DimensionMismatch."""
    x, y = check_pairs(x, y)
    goal = objective_named(objective, head)
    methods = contenders(method, options or {}, goal, x, y)
    folds, wrong = screened(Folds(x, y, seed), seed)
    tried, dropped = trials(methods, folds, goal, time.monotonic() + budget, progress, free=method == "auto")
    best = chosen(tried)
    progress("report", 0, 1)
    fitted, served = tried[best].method, tried if goal.by_score else with_scores(tried, best, folds)
    score = served[best].blend()
    at_work = [fitted.trial(folds, fold) for fold in range(folds.count)]
    confidence, trust = fit_confidence(at_work, folds)
    calibration, shift = calibrated(at_work, score)
    final, spread = fitted.settle(folds), collapse(folds)
    served_score = score.fit(final, folds.basis_of(final.predicted))
    galleries = aside.galleries(folds.y.mean(0)) if aside else folds.galleries()
    outcomes, judging = judged_by(galleries, fitted, folds, served_score) if aside else cross_fitted(served, folds)
    judgement = Judgement.of(outcomes, galleries, goal.quality(judging, folds, seed), seed)
    report = Report(
        method=fitted.name,
        parameters=fitted.parameters(),
        objective=objective,
        score=score.to_dict(),
        anchors=len(folds.x),
        suspicious=wrong,
        **vars(judgement),
        folds=folds.parts,
        repeats=folds.repeats,
        seed=seed,
        support_rank=fitted.rank_,
        confidence=trust,
        calibration=shift,
        collapse=spread,
        candidates=table([*tried[:best], served[best], *tried[best + 1 :]], best),
        dropped=dropped,
        warnings=warnings(fitted, folds, judgement, wrong, spread),
    )
    return Estimated(fitted, served_score, confidence, calibration, report)


def screened(folds: Folds, seed: int) -> tuple[Folds, list[int]]:
    """Without suspicious pairs, and which rows these are."""
    wrong = suspicious(folds)
    if not wrong.any():
        return folds, []
    return Folds(folds.x[~wrong], folds.y[~wrong], seed), wrong.nonzero()[:, 0].tolist()


def contenders(method: str, options: Mapping[str, Any], goal: Objective, x: Tensor, y: Tensor) -> list[Method]:
    """Every variant to try, the first of every method before the second of any."""
    if method != "auto":
        return candidates(method, options)
    if options:
        raise InvalidOption(
            f"method 'auto' takes no options, got {sorted(options)}: name a method to set them",
            expected=[],
            got=sorted(options),
        )
    n, d1, d2 = len(x), x.shape[1], y.shape[1]
    suited = [name for name, kind in METHODS.items() if kind.suits(n, d1, d2) and name not in goal.passed_over]
    turns = zip_longest(goal.methods(), *(candidates(name, {}) for name in suited))
    return [variant for turn in turns for variant in turn if variant is not None]


def trials(
    methods: list[Method],
    folds: Folds,
    objective: Objective,
    deadline: float,
    progress: Progress = silent,
    free: bool = False,
) -> tuple[list[Tried], list[str]]:
    """Methods with their scores, a few at a time; names of those left out, as their turn was after `deadline`.
    If the choice is free, what the objective makes of them too.

    One whose translations the objective has no finite loss for is no choice. InvalidHead if none is.
    """
    folds.prepare()
    tried: list[Tried] = []
    late: list[Method] = []

    def in_time(method: Method) -> list[Tried] | None:
        return None if time.monotonic() > deadline else finite(method)

    def finite(method: Method) -> list[Tried]:
        one = attempt(method, folds, objective)
        return [one] if one.losses.isfinite().all() else []

    with ThreadPoolExecutor(min(torch.get_num_threads(), AT_ONCE)) as pool:
        for number, (method, found) in enumerate(zip(methods, pool.map(in_time, methods), strict=True), 1):
            late += [method] if found is None else []
            tried += found or []
            progress("candidates", number, len(methods))
    while late and not tried:
        tried += finite(late.pop(0))
    if not tried:
        raise InvalidHead(
            f"nothing can be chosen by the objective {objective.name!r}: the answers for the anchors, or for all "
            "their translations, are NaN or pass single precision; fit with the objective 'retrieval'",
            expected="finite answers",
            got=objective.name,
        )
    if free and time.monotonic() < deadline:
        tried += together(tried, folds, objective)
    return tried, sorted({method.name for method in late})


def attempt(method: Method, folds: Folds, objective: Objective) -> Tried:
    """Every fold by a map that was fitted without it, compared as the rows outside of it suggest."""
    at_work = [method.trial(folds, fold) for fold in range(folds.count)]
    scores = tuple(scores_for(at_work[0])) if objective.by_score else (Score(),)
    similarity = [similarities(trial, scores) for trial in at_work]  # (s, g, g) each
    lost = surprises if objective.by_score else nothing
    by_score = by_row(folds, [lost(fold) for fold in similarity])
    compared = [
        Blend.weighted(scores, coldest_of_each(by_score[:, folds.outside(fold)])).sum(part, scores)[None]
        for fold, part in enumerate(similarity)
    ]
    found = [objective.of(*pair, folds) for pair in zip(at_work, compared, strict=True)]
    reciprocal = by_row(folds, [1 / ranks(part) for part in compared])[0]
    tuned = objective.by_score or bool(method.parameters())
    answers = objective.answers([trial.predicted for trial in at_work], folds)
    return Tried(method, by_row(folds, found)[0], reciprocal, scores, by_score, tuned, answers)


def together(tried: list[Tried], folds: Folds, objective: Objective) -> list[Tried]:
    """What the objective makes of the best whose maps can be one."""
    affine = sorted((one for one in tried if one.method.makes is Affine), key=lambda one: float(one.loss.mean()))
    answers = {one.method: one.answers for one in affine[:POOL] if one.answers is not None}
    return [attempt(method, folds, objective) for method in objective.together(answers, folds)]


def nothing(similarity: Tensor) -> Tensor:
    """(s, g, g) -> (s, g, 1), of the one score where there is no choice."""
    return similarity.new_zeros(*similarity.shape[:2], 1)


def coldest_of_each(losses: Tensor) -> Tensor:
    """(s, m, settings) -> (s, m)"""
    return torch.stack([coldest(of_score) for of_score in losses])


def by_row(folds: Folds, values: list[Tensor]) -> Tensor:
    """(s, g, ...) of every fold -> (s, m, ...)"""
    return folds.by_row([value.transpose(0, 1) for value in values]).transpose(0, 1)


def with_scores(tried: list[Tried], best: int, folds: Folds) -> list[Tried]:
    """What was chosen for something else with the scores that suit it; the others as if these were theirs."""
    scored = attempt(tried[best].method, folds, Retrieval())
    served = [replace(one, scores=scored.scores, by_score=scored.by_score) for one in tried]
    served[best] = replace(served[best], reciprocal=scored.reciprocal)
    return served


def chosen(tried: list[Tried], rows: Tensor | slice = slice(None)) -> int:
    """The simplest kind within one standard error of the best: mean, identity, what learned, tuned, what may bend.

    Of that kind, the best; a simpler method only if what it loses is negligible beside what the best gains.
    """
    losses = torch.stack([coldest(candidate.losses[rows]) for candidate in tried])  # (candidates, m)
    means = losses.mean(1)
    excess = losses - losses[means.argmin()]
    good = excess.mean(1) <= excess.std(1) / losses.shape[1] ** 0.5
    simplest = min(tried[int(i)].kind for i in good.nonzero()[:, 0])
    simple = torch.tensor([candidate.kind == simplest for candidate in tried])
    means = means.masked_fill(~simple, torch.inf)
    nothing = [float(loss.mean()) for candidate, loss in zip(tried, losses, strict=True) if candidate.kind == 0]
    gain = min(nothing, default=0.0) - float(means.min())
    equal = (means <= means.min() + NEGLIGIBLE * max(gain, 0.0)).nonzero()[:, 0].tolist()
    first = min(tried[index].place for index in equal)
    loss: list[float] = means.tolist()
    return int(min((index for index in equal if tried[index].place == first), key=lambda index: loss[index]))


def cross_fitted(tried: list[Tried], folds: Folds) -> tuple[Outcomes, list[Trial]]:
    """Of one partition, each fold's trial of what the other rows choose, compared as they suggest."""
    parts, trials = [], []
    for fold in range(folds.parts):
        others = folds.outside(fold)
        candidate = tried[chosen(tried, others)]
        trial = candidate.method.trial(folds, fold)
        parts.append(judged(trial, candidate.blend(others).of(trial)))
        trials.append(trial)
    return Outcomes.joined(parts), trials


def judged_by(
    galleries: list[Gallery], fitted: Method, folds: Folds, score: Fitted
) -> tuple[Outcomes, list[Trial]]:
    """What became of pairs aside, by the map that was fitted on all of the folds."""
    trials = trials_aside(galleries, fitted.map_, fitted.transform(folds.x[folds.sample()]))
    return outcomes_aside(trials, score), trials


def calibrated(trials: list[Trial], score: Blend) -> tuple[Calibration, CalibrationReport] | tuple[None, None]:
    """From scores of held-out rows to the native cosines of their counterparts, own counterparts left out."""
    translated, native = [], []
    for trial in trials:
        others = ~torch.eye(len(trial.y), dtype=torch.bool)
        translated.append(score.of(trial)[others])
        native.append(cosines(trial.y, trial.y)[others])
    if sum(map(len, native)) < LEAST_CALIBRATED:
        return None, None
    return fit_calibration(torch.cat(translated), torch.cat(native))


def judged(trial: Trial, similarity: Tensor) -> Outcomes:
    return Outcomes.of(similarity, trial.predicted, trial.y, trial.mean)


def table(tried: list[Tried], best: int) -> list[Candidate]:
    """The best first."""
    rows = [
        Candidate(
            candidate.method.name,
            candidate.method.parameters(),
            candidate.blend().name,
            average(candidate.loss),
            proportion(candidate.reciprocal),
            index == best,
        )
        for index, candidate in enumerate(tried)
    ]
    return sorted(rows, key=lambda row: row.loss.mean)


def warnings(chosen: Method, folds: Folds, judgement: Judgement, wrong: list[int], spread: Collapse) -> list[str]:
    """What a reader of the report should not overlook."""
    held_out, gallery, quality, baselines = vars(judgement).values()
    (n, d1), d2 = folds.x.shape, folds.y.shape[1]
    support = chosen.rank_ if chosen.rank_ < min(d1, d2) else min(n - 1, d1)
    narrow = min(spread.source_participation, spread.target_participation)
    findings = {
        f"{len(wrong)} pairs look like different items and were left out: see `suspicious`": bool(wrong),
        f"the anchors vary in about {narrow:.1f} directions: such spaces carry the class of an item rather than "
        "the item; stitching may work where retrieval of the counterpart does not": (
            narrow < COLLAPSED < min(d1, d2) / 2
        ),
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
