"""What a translator is fitted on: pairs of anchors, chosen, averaged or induced as it was asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from anchors import (
    SELECTORS,
    AnchorSet,
    Pairs,
    pair_by_bootstrap,
    pair_by_ids,
    pair_unpaired,
    prototypes,
    screen,
    select,
)
from anchors.arrays import Rows
from anchors.errors import UnknownSelector
from anchors.induced import InducedPairs
from app.errors import InvalidInput
from app.service.inputs import check_choice
from models.aside import Aside
from models.base import LEAST_ANCHORS, check_pairs
from models.errors import TooFewAnchors
from models.folds import LEAST_GALLERY, Folds, gallery_of
from models.progress import Progress, silent
from models.screening import suspicious

PAIRINGS = ("ids", "bootstrap", "unpaired")
PROTOTYPES = "prototypes"
CHOICES = (*SELECTORS, PROTOTYPES)
SHOWN = 20  # induced pairs that a report names


@dataclass(frozen=True)
class Pairing:
    """How rows are matched. Points of the two collections join the unshared anchors, where they are named."""

    method: str = "ids"
    source_collection: str | None = None
    target_collection: str | None = None

    @property
    def collections(self) -> list[str]:
        return [name for name in (self.source_collection, self.target_collection) if name]


@dataclass(frozen=True)
class Selection:
    """Which of the pairs to fit on: `count` by a selector of `anchors`, or so many prototypes."""

    selector: str
    count: int


@dataclass(frozen=True)
class Side:
    """What is known of one space: its anchors, and points of a collection."""

    anchors: AnchorSet
    points: AnchorSet | None = None

    def everything(self) -> AnchorSet:
        """Both; an id that both have counts once."""
        if self.points is None:
            return self.anchors
        fresh = self.points.without(self.anchors.ids)
        vectors = np.vstack([self.anchors.vectors, fresh.vectors])
        return AnchorSet.of(self.anchors.ids + fresh.ids, vectors)


@dataclass(frozen=True)
class Paired:
    """The pairs, what is to be reported of them, those that a selection left out, and ids of wrong ones."""

    pairs: Pairs
    notes: Mapping[str, Any] = field(default_factory=dict)
    unselected: Pairs | None = None
    suspicious: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def aside(self, seed: int) -> Aside | None:
        """The unselected, where they fill a gallery like those of a fit on all."""
        if self.unselected is None:
            return None
        x, y = torch.from_numpy(self.unselected.source), torch.from_numpy(self.unselected.target)
        size = gallery_of(len(self.pairs.ids) + len(x))
        return Aside(x, y, size, seed) if LEAST_GALLERY <= size <= len(x) else None


def paired(
    source: Side,
    target: Side,
    pairing: Pairing,
    selection: Selection | None,
    seed: int = 0,
    progress: Progress = silent,
) -> Paired:
    """`seed` of the fit, and of what is drawn for the pairs.

    NoSharedAnchors, TooFewAnchors, TooFewPoints, PairingRefused, UnknownSelector, InvalidCount; InvalidInput for a
    pairing.
    """
    check_pairing(pairing)
    if selection:
        check_choice("selector", selection.selector, CHOICES, UnknownSelector)
    pairs, notes = matched(source, target, pairing, seed, progress)
    kept, dropped = screen(pairs)
    check_left(kept, dropped)
    right, wrong = believed(kept, seed) if selection else (kept, [])
    chosen, left = thinned(right, selection, seed)
    members = {"prototypes": len(chosen.ids)} if selection and selection.selector == PROTOTYPES else {}
    notes = {"pairs": len(pairs.ids), "dropped": dropped, **notes, **members}
    notes = notes if left is None else {**notes, "unselected": len(left.ids)}
    return Paired(chosen, notes, left, wrong, warnings(pairing, selection, right, wrong))


def check_pairing(pairing: Pairing) -> None:
    check_choice("pairing", pairing.method, PAIRINGS)
    if pairing.method == "ids" and pairing.collections:
        raise InvalidInput(
            f"pairing 'ids' reads no collections, got {pairing.collections}: leave them out, or pair by "
            "'bootstrap' or 'unpaired'",
            expected=[],
            got=pairing.collections,
        )


def warnings(pairing: Pairing, selection: Selection | None, right: Pairs, wrong: list[str]) -> list[str]:
    """What a reader of the fit's report should know of its pairs."""
    found, count = len(right.ids), selection.count if selection else 0
    findings = {
        "most pairs were induced from vectors that lie near each other, so figures of retrieval flatter: judge by "
        "items of your own": pairing.method != "ids",
        f"{len(wrong)} pairs look like different items and were neither chosen nor judged by: see `suspicious`": (
            bool(wrong)
        ),
        f"{count} anchors were asked for and {found} are there: all were taken": count > found,
    }
    return [finding for finding, holds in findings.items() if holds]


def check_left(kept: Pairs, dropped: Mapping[str, str]) -> None:
    """Too few shared anchors are told later; here that there were enough, which cannot be used. TooFewAnchors."""
    shared = len(kept.ids) + len(dropped)
    if len(kept.ids) < LEAST_ANCHORS <= shared:
        id_, reason = next(iter(dropped.items()))
        raise TooFewAnchors(
            f"{len(dropped)} of {shared} shared anchors cannot be used ({id_!r}, say: {reason}): "
            f"a fit needs at least {LEAST_ANCHORS} that differ",
            expected=LEAST_ANCHORS,
            got=len(kept.ids),
        )


def matched(
    source: Side, target: Side, pairing: Pairing, seed: int, progress: Progress
) -> tuple[Pairs, dict[str, Any]]:
    if pairing.method == "ids":
        return pair_by_ids(source.anchors, target.anchors), {}
    if pairing.method == "unpaired":
        pairs, unpaired = pair_unpaired(source.everything(), target.everything(), seed, progress)
        return pairs, {"unpaired": unpaired.to_dict(), "surest": surest(pairs)}
    seeds = pair_by_ids(source.anchors, target.anchors)
    left, right = (side.everything().without(seeds.ids) for side in (source, target))
    pairs, bootstrap = pair_by_bootstrap(seeds, left, right, seed, progress)
    return pairs, {"bootstrap": bootstrap.to_dict(), "surest": surest(pairs)}


def surest(pairs: InducedPairs) -> list[dict[str, Any]]:
    """The induced pairs of the largest cosines, for a look at what was joined."""
    order = [row for row in np.argsort(-pairs.scores, kind="stable").tolist() if pairs.induced[row]]
    return [
        {"source": pairs.joins[row][0], "target": pairs.joins[row][1], "cosine": float(pairs.scores[row])}
        for row in order[:SHOWN]
    ]


def believed(pairs: Pairs, seed: int) -> tuple[Pairs, list[str]]:
    """Without those that a fit on all leaves out, so that both are judged by alike pairs; and their ids.

    TooFewAnchors.
    """
    x, y = check_pairs(torch.from_numpy(pairs.source), torch.from_numpy(pairs.target))
    wrong = suspicious(Folds(x, y, seed)).numpy()
    return at(pairs, np.flatnonzero(~wrong)), [pairs.ids[row] for row in np.flatnonzero(wrong)]


def thinned(pairs: Pairs, selection: Selection | None, seed: int) -> tuple[Pairs, Pairs | None]:
    """The chosen, and those that a selector leaves; prototypes are made of all."""
    if selection is None:
        return pairs, None
    if selection.selector == PROTOTYPES:
        return prototypes(pairs, selection.count, seed), None
    rows = select(selection.selector, pairs.source, selection.count, seed)
    return at(pairs, rows), at(pairs, np.delete(np.arange(len(pairs.ids)), rows))


def at(pairs: Pairs, rows: Rows) -> Pairs:
    return Pairs([pairs.ids[row] for row in rows], pairs.source[rows], pairs.target[rows])
