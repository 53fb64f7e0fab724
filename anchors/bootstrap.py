"""Pairing `bootstrap`: few shared ids, the seeds, and many points of both spaces that share none.

Self-learning (Artetxe, Labaka & Agirre 2017, "Learning bilingual word embeddings with almost no bilingual data"):
the seeds give a map, the map gives mutual nearest neighbours, the surest of these join the seeds, again. Each
round doubles the dictionary. It helps most where the two clouds hold the same items, and it can hurt: so seeds are
left out, and unless the map that grew retrieves them better than the map of the other seeds alone, by more than
noise, the answer is a refusal with the figures.
"""

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np

from anchors.arrays import Matrix, Rows
from anchors.errors import PairingRefused, TooFewPoints
from anchors.induced import InducedPairs, found, joined, known
from anchors.neighbours import mutual_pairs
from anchors.pairing import Pairs
from anchors.sets import AnchorSet
from anchors.span import Span
from models.progress import Progress, silent

LEAST_SEEDS = 6
LEAST_POINTS = 20
POINTS = 4096  # of each side that are looked at; of more a sample
ROUNDS = 12
FOLDS = 5
LEAST_GAIN = 0.02  # of MRR
NOISE = 1.645  # standard errors that the gain must exceed: one-sided 5 %


@dataclass(frozen=True)
class BootstrapReport:
    """Of the pairs, and of the test: MRR of left-out seeds among all target points, before and after."""

    seeds: int
    induced: int
    rounds: int
    mutual_nn_rate: float  # mutual nearest neighbours / points of the smaller side
    before: float
    after: float
    error: float  # standard error of after - before, over the same seeds

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Growth:
    """The map at the end, and the rows of both sides that it joins, the surest first."""

    span: Span
    rows: Rows
    columns: Rows
    rounds: int


def pair_by_bootstrap(
    seeds: Pairs, source: AnchorSet, target: AnchorSet, seed: int = 0, progress: Progress = silent
) -> tuple[InducedPairs, BootstrapReport]:
    """The seeds and the pairs they lead to; `source` and `target` share no item that is known.

    TooFewPoints, PairingRefused.
    """
    check_sizes(len(seeds.ids), len(source), len(target))
    rng = np.random.default_rng(seed)
    source, target = source.sample(POINTS, rng), target.sample(POINTS, rng)
    before, after = left_out(seeds, source.vectors, target.vectors, rng, progress)
    check_gain(before, after)
    growth = grown(seeds.source, seeds.target, source.vectors, target.vectors)
    progress("induce", 1, 1)
    report = BootstrapReport(
        seeds=len(seeds.ids),
        induced=len(growth.rows),
        rounds=growth.rounds,
        mutual_nn_rate=len(growth.rows) / min(len(source), len(target)),
        before=float(before.mean()),
        after=float(after.mean()),
        error=standard_error(after - before),
    )
    return pairs_of(seeds, source, target, growth), report


def check_sizes(seeds: int, source: int, target: int) -> None:
    if seeds < LEAST_SEEDS or min(source, target) < LEAST_POINTS:
        raise TooFewPoints(
            f"bootstrapping needs {LEAST_SEEDS} shared ids and {LEAST_POINTS} more points in each space, "
            f"got {seeds} shared ids and {source} and {target} points; add anchors",
            expected={"seeds": LEAST_SEEDS, "points": LEAST_POINTS},
            got={"seeds": seeds, "source": source, "target": target},
        )


def grown(seeds_x: Matrix, seeds_y: Matrix, x: Matrix, y: Matrix) -> Growth:
    """From seeds (s, d1), (s, d2) over points x (n, d1), y (m, d2), until the dictionary stops growing."""
    nothing = np.empty(0, np.intp)
    growth = Growth(Span.of(seeds_x, seeds_y), nothing, nothing, 0)
    for number in range(1, ROUNDS + 1):
        size = len(seeds_x) + 2 * len(growth.rows)  # with the seeds, twice as many as before
        rows, columns = mutual_pairs(growth.span.source(x), growth.span.target(y))
        rows, columns, smaller = rows[:size], columns[:size], growth
        span = Span.of(np.vstack([seeds_x, x[rows]]), np.vstack([seeds_y, y[columns]]))
        growth = Growth(span, rows, columns, number)
        if len(rows) <= len(smaller.rows):
            break
    return growth


def left_out(
    seeds: Pairs, x: Matrix, y: Matrix, rng: np.random.Generator, progress: Progress
) -> tuple[Matrix, Matrix]:
    """Reciprocal rank of each seed, left out of the map, without and with bootstrapping: both (s,)."""
    folds = rng.permutation(np.arange(len(seeds.ids)) % FOLDS)
    before, after = np.empty(len(folds)), np.empty(len(folds))
    for fold in range(FOLDS):
        out, rest = folds == fold, folds != fold
        known_x, known_y = seeds.source[rest], seeds.target[rest]
        queries, answers = seeds.source[out], seeds.target[out]
        before[out] = reciprocal_ranks(Span.of(known_x, known_y), queries, answers, y)
        after[out] = reciprocal_ranks(grown(known_x, known_y, x, y).span, queries, answers, y)
        progress("left-out seeds", fold + 1, FOLDS)
    return before, after


def reciprocal_ranks(span: Span, queries: Matrix, answers: Matrix, others: Matrix) -> Matrix:
    """(q,): of answer i to query i, by cosine, among all answers and the others; ties count half."""
    similarity = span.source(queries) @ span.target(np.vstack([answers, others])).T  # (q, q + m)
    own = similarity[np.arange(len(queries)), np.arange(len(queries))][:, None]
    ranks: Matrix = 1 + (similarity > own).sum(1) + ((similarity == own).sum(1) - 1) / 2
    return 1 / ranks


def check_gain(before: Matrix, after: Matrix) -> None:
    gain, error = float((after - before).mean()), standard_error(after - before)
    if gain < LEAST_GAIN or gain <= NOISE * error:
        raise PairingRefused(
            f"induced pairs must lift the MRR of left-out seeds by {LEAST_GAIN} and by {NOISE} standard errors; "
            f"it went from {before.mean():.3f} to {after.mean():.3f} with a standard error of {error:.3f} over "
            f"{len(before)} seeds; pair by ids alone, or add shared anchors",
            expected={"gain": LEAST_GAIN, "standard_errors": NOISE},
            got={
                "before": float(before.mean()),
                "after": float(after.mean()),
                "error": error,
                "seeds": len(before),
            },
        )


def standard_error(differences: Matrix) -> float:
    return float(differences.std(ddof=1)) / sqrt(len(differences))


def pairs_of(seeds: Pairs, source: AnchorSet, target: AnchorSet, growth: Growth) -> InducedPairs:
    span, rows, columns = growth.span, growth.rows, growth.columns
    seed_scores = (span.source(seeds.source) * span.target(seeds.target)).sum(1)
    scores = (span.source(source.vectors[rows]) * span.target(target.vectors[columns])).sum(1)
    return joined(known(seeds, seed_scores), found(source, target, rows, columns, scores))
