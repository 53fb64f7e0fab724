"""An approximate index of points: it proposes candidates, which are then compared exactly.

It is built beside the searches, from points as they are at one moment, and not changed after: points that come
later are searched exactly, those that go are masked out, and now and then a longer one takes its place.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product

import numpy as np

from app.index.base import Mask, Ranking, Slots, Vectors, count
from app.index.faiss import PER_LIST, Codes, lists, longest
from app.index.scoring import Folded
from app.index.view import MARGIN, View

AT_ONCE = 16384  # points that are coded at a time
SAMPLE = 200  # queries whose neighbours are looked for, exactly and approximately
NEAR, WIDE = 10, 30  # neighbours
FETCHES = (1, 4)  # times as many candidates as usual: coarse codes confuse what lies close together
ENOUGH = 0.97  # recall of the NEAR and of the WIDE, or no effort will do
SURER = 0.98  # of translated anchors: what a map was not fitted on lies farther from all points than these
NOBODY = -2  # no point's slot
WORTH = 2  # times fewer lists than all that a search may look into and still be faster than an exact one


@dataclass(frozen=True, eq=False)
class Approximation:
    """`slots` (p,) are those of the codes, in their order, -1 where a newer code stands for the slot."""

    kind: str
    codes: Codes
    slots: Slots
    learned: int  # points that it was made for
    changes: int = 0  # of the table when it was built
    effort: int = 1
    effort_at_first: int = 1  # when it was made
    fetch: int = 1
    recall_at_10: float = 0.0
    recall_at_30: float = 0.0
    is_enough: bool = False  # else an exact search stands in for it
    made_at: str = ""
    built_at: str = ""  # or grown

    @classmethod
    def built(cls, kind: str, view: View, slots: Slots) -> "Approximation":
        """Of these points, one or more."""
        few = min(len(slots), PER_LIST * lists(len(slots)))
        sample = np.sort(np.random.default_rng(0).choice(slots, few, replace=False))
        reach = (lambda: max(map(longest, coded(view, slots)))) if view.scoring.products else None
        codes = Codes.learned(kind, view.codes(sample), len(slots), reach)
        made = cls(kind, codes, slots[:0], len(slots)).grown(view, slots)
        return replace(made, effort_at_first=made.effort, made_at=made.built_at)

    def grown(self, view: View, slots: Slots) -> "Approximation":
        """With these points too, in a copy: others search this one meanwhile."""
        codes = self.codes.copy()
        for part in coded(view, slots):
            codes.add(part)
        older = np.where(np.isin(self.slots, slots), -1, self.slots)
        longer = replace(self, codes=codes, slots=np.concatenate([older, slots]), changes=view.changes)
        return replace(longer.measured(view, slots), built_at=datetime.now(UTC).isoformat(timespec="seconds"))

    def takes(self, view: View, slots: Slots) -> bool:
        """Whether it can grow by these."""
        return all(map(self.codes.takes, coded(view, slots)))

    def covered(self, view: View) -> Mask:
        """(n,) the slots that are taken, and still by what was coded."""
        known = np.zeros_like(view.taken)
        known[self.slots[self.slots >= 0]] = True
        return known & view.taken & (view.written <= self.changes)

    def measured(self, view: View, added: Slots) -> "Approximation":
        """With the least effort and candidates that are enough, and its recall of the neighbours of a sample of
        queries. What was added is a sample of its own: it may be unlike all that the codes were learned from.
        """
        covered = self.covered(view)
        slots, places = covered.nonzero()[0], self.places(covered)
        samples = [sampled(view, slots)]
        if 0 < len(added) < len(slots):
            samples.append(drawn(view, added))
        trials = [Trial.of(view, covered, *sample) for sample in samples]
        for effort, fetch in product(self.codes.efforts, FETCHES):
            tried = replace(self, effort=effort, fetch=fetch)
            recalls = [trial.recalls(tried, view, places) for trial in trials]
            enough = all(min(found) >= trial.enough for trial, found in zip(trials, recalls, strict=True))
            if enough:
                break
        near, wide = recalls[0]
        return replace(tried, recall_at_10=near, recall_at_30=wide, is_enough=enough)

    def serves(self, choosy: bool) -> bool:
        """Whether it finds enough. Who is choosy passes over one that is no faster than an exact search: one that
        looks at most of its codes, and is no graph.
        """
        return self.is_enough and not (
            choosy and self.codes.lists is not None and WORTH * self.effort > self.codes.lists
        )

    @property
    def shortfall(self) -> str | None:
        """Why it serves nobody."""
        if self.is_enough:
            return None
        return (
            f"{self.kind} finds {self.recall_at_10:.0%} of the {NEAR} nearest and {self.recall_at_30:.0%} of the "
            f"{WIDE} nearest at its greatest effort, too few: searches are exact, choose another kind"
        )

    def places(self, wanted: Mask) -> Mask:
        """(n,) -> (p,) the codes of slots that are wanted."""
        mask: Mask = (self.slots >= 0) & wanted[self.slots]
        return mask

    def candidates(self, view: View, folded: Folded, k: int, mask: Mask | None) -> Slots:
        """(m, c) slots of near codes, of all or of those in the mask (p,); -1 where too few were met.

        Where few are wanted more is looked at, so that as many as otherwise are compared.
        """
        share = 1.0 if mask is None else max(count(mask), 1) / len(mask)
        effort = min(round(self.effort / share), self.codes.efforts[-1])
        more = self.fetch * view.scoring.rough * (k + k // 2 + MARGIN)
        places = self.codes.search(view.scoring.asked(folded), more, effort, mask)
        return np.where(places < 0, -1, self.slots[places])


@dataclass(frozen=True)
class Trial:
    """Queries (s, d), whose vectors these are (s,), and how near their WIDE or fewer neighbours are (s, w)."""

    folded: Folded
    own: Slots
    enough: float
    right: Vectors

    @classmethod
    def of(cls, view: View, covered: Mask, queries: Vectors, own: Slots, enough: float) -> "Trial":
        right = others(view, view.nearest(queries, WIDE + 1, covered), own)
        return cls(view.folded(queries), own, enough, right)

    def recalls(self, near: Approximation, view: View, places: Mask) -> tuple[float, float]:
        """Of the NEAR and of the WIDE, each as who asks for so many finds them."""
        return self._recall(near, view, places, NEAR), self._recall(near, view, places, WIDE)

    def _recall(self, near: Approximation, view: View, places: Mask, k: int) -> float:
        right = self.right[:, :k]
        asked = right.shape[1] + 1  # with itself
        candidates = near.candidates(view, self.folded, asked, places)
        return recall(others(view, view.ranked(self.folded, candidates, asked, near.kind), self.own), right)


def coded(view: View, slots: Slots) -> Iterator[Vectors]:
    """The codes of points, a part at a time."""
    yield from (view.codes(slots[start : start + AT_ONCE]) for start in range(0, len(slots), AT_ONCE))


def sampled(view: View, slots: Slots) -> tuple[Vectors, Slots, float]:
    """Queries such as are to be expected, or else some of the points; whose vectors they are, what is enough."""
    if (probes := view.scoring.probes) is not None:
        return probes[:SAMPLE], np.full(min(SAMPLE, len(probes)), NOBODY), SURER
    return drawn(view, slots)


def drawn(view: View, slots: Slots) -> tuple[Vectors, Slots, float]:
    """Some of the points as queries."""
    own = np.random.default_rng(0).choice(slots, min(SAMPLE, len(slots)), replace=False)
    return view.vectors[own], own, ENOUGH


def others(view: View, ranking: Ranking, own: Slots) -> Vectors:
    """Of points that looked for their neighbours: nearness (m, k - 1), without the points themselves."""
    sign = 1 if view.scoring.descending else -1
    nearness = np.where(ranking.slots < 0, -np.inf, sign * ranking.scores)
    order = np.argsort(ranking.slots == own[:, None], axis=1, kind="stable")[:, :-1]
    return np.take_along_axis(nearness, order, 1)


def recall(found: Vectors, right: Vectors) -> float:
    """Nearness (m, c), (m, k): how much is found of what is as near as the right ones."""
    k = right.shape[1]
    return float((found >= right[:, -1:]).sum(1).clip(max=k).mean() / k) if k else 1.0
