"""One way of searching a table: exactly, or by an approximation and an exact search of what it does not cover."""

from dataclasses import dataclass, replace

import numpy as np

from app.index.approximation import Approximation
from app.index.base import Mask, Ranking, Slots, Vectors, count
from app.index.scoring import Folded, Scoring
from app.index.table import Table, roomy
from app.index.view import MARGIN, View

AT_ONCE = 8192  # points whose numbers are computed at a time
FEW = 10_000  # points among which an exact search is as fast, where a filter leaves no more
BEHIND = 4096  # points without a code before an approximation grows, or one
ONE_IN = 256  # of so many
OUTGROWN = 4  # times the points that it was made for
HARDER = 2  # times the effort that was enough when it was made: what it has learned no longer suits

AUTO = "auto"
LARGE = 20_000  # points from which auto approximates
SOME = 1_000  # points from which what was asked for by name does


@dataclass(frozen=True)
class Coverage:
    """What an approximation knows of a table after one of its changes."""

    approximation: Approximation
    changes: int
    coded: Mask  # (n,) slots that have a code
    rest: Mask  # (n,) slots that have none
    places: Mask | None  # (p,) codes of the first; None for all
    known: int  # how many have a code
    behind: int  # and how many do not

    @classmethod
    def of(cls, approximation: Approximation, view: View) -> "Coverage":
        coded = approximation.covered(view)
        rest, known = view.taken & ~coded, count(coded)
        places = approximation.places(coded) if known < len(approximation.slots) else None
        return cls(approximation, view.changes, coded, rest, places, known, count(rest))

    def suits(self, kind: str) -> bool:
        """Else it is to be built anew."""
        near = self.approximation
        outgrown = self.known > OUTGROWN * near.learned or len(near.slots) > 2 * self.known
        return near.kind == kind and not outgrown

    def candidates(self, view: View, folded: Folded, k: int, wanted: Mask | None) -> Slots:
        """(m, c), -1 for none: at least k of those with a code if there are, and the nearest of those without."""
        coded = self.coded if wanted is None else self.coded & wanted
        near = self._proposed(view, folded, k, None if wanted is None else coded)
        short = (near >= 0).sum(1) < min(k, self.known if wanted is None else count(coded))
        if short.any():
            exact = view.candidates(folded[short], k + MARGIN, coded)
            near[short], near[short, : exact.shape[1]] = -1, exact
        if not self.behind:
            return near
        rest = self.rest if wanted is None else self.rest & wanted
        return np.hstack([near, view.candidates(folded, k + MARGIN, rest)])

    def _proposed(self, view: View, folded: Folded, k: int, wanted: Mask | None) -> Slots:
        """A device knows no mask: it is asked for more, and what is gone is left out here."""
        near = self.approximation
        if wanted is not None:
            return near.candidates(view, folded, k, near.places(wanted))
        if self.places is None or near.codes.held is None:
            return near.candidates(view, folded, k, self.places)
        found = near.candidates(view, folded, k * len(near.slots) // max(self.known, 1), None)
        return np.where((found >= 0) & self.coded[found], found, -1)


class Searcher:
    """Its owner tells it what was put into the table, and keeps searches and changes apart."""

    def __init__(self, table: Table, scoring: Scoring) -> None:
        self.table, self.scoring = table, scoring
        self.approximation: Approximation | None = None
        self._coverage: Coverage | None = None
        self._numbers: Vectors = scoring.numbers(table.vectors[:0])

    def put(self, slots: Slots) -> None:
        """Slots that the table has vectors for now."""
        self._numbers = roomy(self._numbers, self.table.size)
        for start in range(0, len(slots), AT_ONCE):
            part = slots[start : start + AT_ONCE]
            self._numbers[part] = self.scoring.numbers(self.table.vectors[part])

    @property
    def view(self) -> View:
        table = self.table
        numbers = self._numbers[: table.size]
        return View(self.scoring, table.changes, table.taken, table.written, table.vectors, numbers)

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None, choosy: bool = False) -> Ranking:
        """See Index."""
        view = self.view
        wanted = view.taken if allowed is None else view.taken & fitted(allowed, len(view.taken))
        matching = self.table.count if allowed is None else count(wanted)
        coverage, k = self._covers(view), min(k, matching)
        few = allowed is not None and matching <= FEW
        if coverage is None or few or not coverage.approximation.serves(choosy):
            return view.nearest(queries, k, wanted)
        folded = view.folded(queries)
        candidates = coverage.candidates(view, folded, k, None if allowed is None else wanted)
        return view.ranked(folded, candidates, k, coverage.approximation.kind)

    @property
    def known(self) -> int:
        """How many points its approximation still knows as they are."""
        coverage = self._covers(self.view)
        return coverage.known if coverage else 0

    def is_due(self, kind: str) -> bool:
        """Whether an approximation of this kind is to be built or to grow."""
        if kind == "exact":
            return False
        coverage = self._covers(self.view)
        if coverage is None or not coverage.suits(kind):
            return self.table.count > 0
        if not coverage.approximation.is_enough:  # nor would it be with a few more
            return self.table.count > OUTGROWN * coverage.approximation.learned
        return coverage.behind > max(BEHIND, coverage.known // ONE_IN)

    def snapshot(self) -> View:
        """That what is written later leaves as it is."""
        return replace(self.view, taken=self.table.taken.copy(), written=self.table.written.copy())

    def improved(self, kind: str, view: View) -> Approximation:
        """What is due, from a snapshot, while others search and write."""
        near = self.approximation
        coverage = Coverage.of(near, view) if near else None
        if near and coverage and near.is_enough and coverage.suits(kind):
            rest = coverage.rest.nonzero()[0]
            grown = near.grown(view, rest) if near.takes(view, rest) else None
            if grown and grown.is_enough and grown.effort <= HARDER * near.effort_at_first:
                return grown
        return Approximation.built(kind, view, view.taken.nonzero()[0])

    def _covers(self, view: View) -> Coverage | None:
        """Worked out after a change."""
        near, known = self.approximation, self._coverage
        if near is None:
            return None
        if known is None or known.approximation is not near or known.changes != view.changes:
            known = self._coverage = Coverage.of(near, view)
        return known


def fitted(mask: Mask, size: int) -> Mask:
    """Cut, or lengthened by what is not allowed."""
    return mask[:size] if len(mask) >= size else np.pad(mask, (0, size - len(mask)))


def chosen(wanted: str, points: int, approximate: bool = False, device: bool = False) -> str:
    """The kind for so many points; one that is there stays until half of them are gone."""
    least = (LARGE if wanted == AUTO else SOME) // (2 if approximate else 1)
    if points < least:
        return "exact"
    return wanted if wanted != AUTO else "flat_fp16" if device else "ivf_sq8"
