"""An approximate index of points: it proposes candidates, which are then compared exactly.

It is built beside the searches, from points as they are at one moment, and not changed after: points that come
later are searched exactly, those that go are masked out, and now and then a longer one takes its place.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from app.index.base import Mask, Ranking, Slots, Vectors, count
from app.index.faiss import PER_LIST, Codes, lists
from app.index.scoring import Folded
from app.index.view import MARGIN, View

AT_ONCE = 16384  # points that are coded at a time
SAMPLE = 200  # queries whose neighbours are looked for, exactly and approximately
NEAR, WIDE = 10, 30  # neighbours
ENOUGH = 0.97  # recall of the WIDE, if an effort reaches it: other queries' NEAR are then found as well, or about
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
    recall_at_10: float = 0.0
    recall_at_30: float = 0.0
    built_at: str = ""

    @classmethod
    def built(cls, kind: str, view: View, slots: Slots) -> "Approximation":
        """Of these points, one or more."""
        few = min(len(slots), PER_LIST * lists(len(slots)))
        sample = np.sort(np.random.default_rng(0).choice(slots, few, replace=False))
        codes = Codes.learned(kind, view.codes(sample), len(slots), view.scoring.products)
        return cls(kind, codes, slots[:0], len(slots)).grown(view, slots)

    def grown(self, view: View, slots: Slots) -> "Approximation":
        """With these points too, in a copy: others search this one meanwhile."""
        codes = self.codes.copy()
        for start in range(0, len(slots), AT_ONCE):
            codes.add(view.codes(slots[start : start + AT_ONCE]))
        older = np.where(np.isin(self.slots, slots), -1, self.slots)
        longer = replace(self, codes=codes, slots=np.concatenate([older, slots]), changes=view.changes)
        return replace(longer.measured(view), built_at=datetime.now(UTC).isoformat(timespec="seconds"))

    def covered(self, view: View) -> Mask:
        """(n,) the slots that are taken, and still by what was coded."""
        coded = np.zeros_like(view.taken)
        coded[self.slots[self.slots >= 0]] = True
        return coded & view.taken & (view.written <= self.changes)

    def measured(self, view: View) -> "Approximation":
        """With the least effort that is ENOUGH, and its recall of the neighbours of a sample of queries."""
        covered = self.covered(view)
        slots = covered.nonzero()[0]
        queries, own = sampled(view, slots)
        enough = ENOUGH if view.scoring.probes is None else SURER
        k, sign = min(WIDE + 1, len(slots)), 1 if view.scoring.descending else -1
        right, folded = others(view.nearest(queries, k, covered), own, sign), view.folded(queries)
        for effort in self.codes.efforts:
            tried = replace(self, effort=effort)
            candidates = tried.candidates(view, folded, k, self.places(covered))
            found = others(view.ranked(folded, candidates, k, self.kind), own, sign)
            wide = recall(found, right)
            if wide >= enough:
                break
        return replace(tried, recall_at_10=recall(found, right[:, :NEAR]), recall_at_30=wide)

    @property
    def is_worth(self) -> bool:
        """Whether it looks at so few of its codes that it is faster than an exact search; a graph always is."""
        return self.codes.lists is None or WORTH * self.effort <= self.codes.lists

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
        more = view.scoring.rough * (k + k // 2 + MARGIN)
        places = self.codes.search(view.scoring.asked(folded), more, effort, mask)
        return np.where(places < 0, -1, self.slots[places])


def sampled(view: View, slots: Slots) -> tuple[Vectors, Slots]:
    """Queries (s, d), such as are to be expected or else some of the points, and whose vectors these are (s,)."""
    if (probes := view.scoring.probes) is not None:
        return probes[:SAMPLE], np.full(min(SAMPLE, len(probes)), NOBODY)
    own = np.random.default_rng(0).choice(slots, min(SAMPLE, len(slots)), replace=False)
    return view.vectors[own], own


def others(ranking: Ranking, own: Slots, sign: int) -> Vectors:
    """Of points that looked for their neighbours: nearness (m, k - 1), without the points themselves."""
    nearness = np.where(ranking.slots < 0, -np.inf, sign * ranking.scores)
    order = np.argsort(ranking.slots == own[:, None], axis=1, kind="stable")[:, :-1]
    return np.take_along_axis(nearness, order, 1)


def recall(found: Vectors, right: Vectors) -> float:
    """Nearness (m, c), (m, k): how much is found of what is as near as the right ones."""
    k = right.shape[1]
    return float((found >= right[:, -1:]).sum(1).clip(max=k).mean() / k) if k else 1.0
