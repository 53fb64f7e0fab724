"""How alike spaces are, over the anchors that each pair of them shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from anchors import AnchorSet, pair_by_ids
from app.service.inputs import check_most
from app.service.spaces import Spaces
from models.comparison import MEASURES, PROFILES, chance, sampled
from models.errors import TooFewAnchors, UnknownMethod

MOST_SPACES = 16
MOST_ANCHORS = 5000  # of a pair that are read; a sample so large says what the whole would
SIGNIFICANT = 0.01  # a pairing that comes about by chance more often gets a warning
HEAD = 10  # numbers of a profile that is a row of them

Figure = float | None
Matrix = list[list[Figure]]


@dataclass(frozen=True)
class Comparison:
    """Every matrix has a row and a column for each of `spaces`, in their order."""

    spaces: list[str]
    anchors: list[list[int]]  # that a pair shares
    measures: Mapping[str, Matrix]  # None: too few shared anchors, or a space that does not vary
    profiles: list[dict[str, Any]]
    warnings: list[str]


def compare(spaces: Spaces, names: list[str], measures: list[str]) -> Comparison:
    """OverLimit, UnknownMethod, NotFound, TooFewAnchors."""
    check_most(len(names), MOST_SPACES, "one call compares {} spaces", "send several")
    check_measures(measures)
    sets = [spaces.anchors(name) for name in names]
    counts = [[len(set(a.ids) & set(b.ids)) for b in sets] for a in sets]
    check_shared(names, counts, measures)
    profiles = [profile(name, one) for name, one in zip(names, sets, strict=True)]
    varies = [one["participation_ratio"] is not None for one in profiles]
    matrices = {name: itself(name, counts, varies) for name in measures}
    warnings = []
    for i, j in combinations(range(len(sets)), 2):
        if counts[i][j]:
            x, y = shared(sets[i], sets[j])
            for name, matrix in matrices.items():
                matrix[i][j], matrix[j][i] = both_ways(name, x, y)
            shown = any(matrix[i][j] is not None for matrix in matrices.values())
            if shown and (p := chance(x, y)) > SIGNIFICANT:
                warnings.append(unpaired(names[i], names[j], counts[i][j], p))
    return Comparison(names, counts, matrices, profiles, warnings)


def unpaired(a: str, b: str, anchors: int, p: float) -> str:
    return (
        f"the pairing of the {anchors} anchors that {a!r} and {b!r} share is not shown to be better than chance "
        f"(p = {p:.3f}, by linear CKA): do equal ids mean equal items?"
    )


def shared(a: AnchorSet, b: AnchorSet) -> tuple[Tensor, Tensor]:
    """(n, d1), (n, d2): the anchors of both, at most MOST_ANCHORS."""
    pairs = pair_by_ids(a, b)
    return sampled(torch.from_numpy(pairs.source), torch.from_numpy(pairs.target), MOST_ANCHORS)


def both_ways(name: str, x: Tensor, y: Tensor) -> tuple[Figure, Figure]:
    measure = MEASURES[name]
    if len(x) < measure.least:
        return None, None
    there = figure(measure.function(x, y))
    return there, there if measure.symmetric else figure(measure.function(y, x))


def itself(name: str, counts: list[list[int]], varies: list[bool]) -> Matrix:
    """Nothing but the diagonal."""
    measure, n = MEASURES[name], len(counts)
    matrix: Matrix = [[None] * n for _ in range(n)]
    for i in range(n):
        if varies[i] and counts[i][i] >= measure.least:
            matrix[i][i] = measure.alike
    return matrix


def profile(name: str, anchors: AnchorSet) -> dict[str, Any]:
    """What a space is like by itself, from at most MOST_ANCHORS of its anchors."""
    x = torch.from_numpy(anchors.vectors)
    read, _ = sampled(x, x, MOST_ANCHORS)
    figures = {name: listed(one.function(read)) for name, one in PROFILES.items()}
    return {"space": name, "dim": x.shape[1], "anchors": len(x), **figures}


def listed(value: Tensor) -> Figure | list[float]:
    """A number, or the first of a row of them."""
    return figure(value.item()) if value.ndim == 0 else value[:HEAD].tolist()


def figure(value: float) -> Figure:
    """JSON has no nan."""
    return value if isfinite(value) else None


def check_measures(measures: list[str]) -> None:
    unknown = sorted(set(measures) - set(MEASURES))
    if unknown:
        raise UnknownMethod(
            f"measures are some of {list(MEASURES)}, got {unknown}", expected=list(MEASURES), got=unknown
        )


def check_shared(names: list[str], counts: list[list[int]], measures: list[str]) -> None:
    """At least one measure of one pair must be defined."""
    least = min(MEASURES[name].least for name in measures)
    (i, j), most = max(
        (((i, j), counts[i][j]) for i, j in combinations(range(len(names)), 2)), key=lambda pair: pair[1]
    )
    if most < least:
        raise TooFewAnchors(
            f"a comparison needs two spaces that share at least {least} anchors; {names[i]!r} and {names[j]!r} "
            f"share the most, {most}: put anchors of the same items, under the same ids, into both",
            expected=least,
            got=most,
        )
