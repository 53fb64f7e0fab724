"""Points at one moment, searched exactly: every one that is wanted is compared with every query."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from app.index.base import Mask, Ranking, Slots, Vectors, count
from app.index.faiss import products
from app.index.scoring import Folded, Scoring

CHUNK = 16384  # points whose products with several queries are in memory at a time
DOUBLES = 1024  # points in double precision at a time: few enough for the processor's cache
GATHERED = 1024  # and points that a lone query is compared with
QUERIES = 256  # queries that are compared at a time
NUMBERS = 2**24  # of candidates' vectors in memory at a time
MARGIN = 16  # candidates beyond k: single precision may swap what is nearly as near
WIDER = 4  # times as many where it cannot tell, as double precision sees them

Run = slice | Slots


@dataclass(frozen=True)
class View:
    """Slots that are taken, their vectors, and the numbers that these have for a way of scoring."""

    scoring: Scoring
    changes: int  # of the table, so far
    taken: Mask  # (n,)
    written: Slots  # (n,) the change that each came with
    vectors: Vectors  # (n, d)
    numbers: Vectors  # (n, K + 1)

    @classmethod
    def of(cls, vectors: Vectors, scoring: Scoring) -> "View":
        """Vectors (n, d) alone, in the slots of their rows."""
        n = len(vectors)
        return cls(scoring, 0, np.ones(n, np.bool_), np.zeros(n, np.int64), vectors, scoring.numbers(vectors))

    def codes(self, slots: Slots) -> Vectors:
        """(c, w)"""
        return self.scoring.codes(self.vectors[slots], self.numbers[slots])

    def nearest(self, queries: Vectors, k: int, wanted: Mask | None = None) -> Ranking:
        """Of all, or of those wanted (n,). Where single precision cannot tell, double precision looks again, once:
        distances that are about a last bit of the vectors it may confuse, and of many equals it takes any.
        """
        wanted = self.taken if wanted is None else wanted
        most = count(wanted)
        k, fetched = min(k, most), min(k + MARGIN, most)
        folded = self.folded(queries)
        found = self.ranked(folded, self.candidates(folded, fetched, wanted), fetched, "exact")
        scores, slots = found.scores[:, :k], found.slots[:, :k]
        if k and fetched < most:
            again = self.scoring.doubtful(queries, scores[:, -1], found.scores[:, -1])
            if again.any():
                fetched, doubted = min(k + WIDER * MARGIN, most), folded[again]
                surer = self._surer(doubted.queries, fetched, wanted)
                scores[again], slots[again], *_ = self.ranked(doubted, surer, k, "exact")
        return Ranking(scores, slots, "exact", fetched)

    def folded(self, queries: Vectors) -> Folded:
        """Queries (m, d), once for all that they are compared with."""
        return self.scoring.fold(np.ascontiguousarray(queries, np.float32))

    def candidates(self, folded: Folded, k: int, wanted: Mask) -> Slots:
        """The k nearest of those wanted as single precision sees them, in no order: (m, min(k, wanted))."""
        k = min(k, count(wanted))
        step = CHUNK if len(folded) > 1 else len(wanted)
        found = [best(partial(self._nearness, part), k, wanted, step) for part in parts(folded)] if k else []
        return np.concatenate([np.empty((0, k), np.int64), *found]).reshape(len(folded), k)

    def ranked(self, folded: Folded, candidates: Slots, k: int, proposer: str) -> Ranking:
        """The k best of candidates (m, c), -1 for none, by their exact scores."""
        fetched = candidates.shape[1]
        step = max(1, NUMBERS // max(1, fetched * self.vectors.shape[1]))
        cuts = [slice(start, start + step) for start in range(0, len(folded), step)]
        found = [self._ranked(folded[cut], candidates[cut], k) for cut in cuts]
        scores, slots = zip((np.empty((0, k), np.float32), np.empty((0, k), np.int64)), *found, strict=True)
        return Ranking(np.concatenate(scores), np.concatenate(slots), proposer, fetched)

    def _surer(self, queries: Vectors, k: int, wanted: Mask) -> Slots:
        """The k least distant of those wanted as double precision sees them, in no order: (m, k)."""
        doubles = torch.from_numpy(queries).double()
        cuts = [doubles[start : start + QUERIES] for start in range(0, len(queries), QUERIES)]
        return np.concatenate([best(partial(self._closeness, cut), k, wanted, DOUBLES) for cut in cuts])

    def _nearness(self, folded: Folded, run: Run) -> Tensor:
        """(m, c)"""
        products = torch.from_numpy(multiplied(folded.vectors, self.vectors, run))
        numbers = torch.from_numpy(rows_of(self.numbers, run))
        apart = products.sub_(torch.from_numpy(folded.offsets)[:, :, None])
        return apart.mul_(numbers[:, :-1].T).sum(1).sub_(numbers[:, -1])

    def _closeness(self, queries: Tensor, run: Run) -> Tensor:
        """‖q‖² - ‖q - y‖² (m, c), about no mean: double precision needs none."""
        rows = torch.from_numpy(rows_of(self.vectors, run)).double()
        return (2 * queries @ rows.T).sub_(torch.linalg.vecdot(rows, rows))

    def _ranked(self, folded: Folded, candidates: Slots, k: int) -> tuple[Vectors, Slots]:
        step = max(1, NUMBERS // self.vectors.shape[1])
        cuts = [candidates[:, start : start + step] for start in range(0, max(1, candidates.shape[1]), step)]
        exact = [self.scoring.scores(folded, self.vectors.take(cut, 0), self.numbers[cut]) for cut in cuts]
        scores = np.concatenate(exact, axis=1, dtype=np.float32)
        sign = np.float32(-1 if self.scoring.descending else 1)
        order = np.lexsort((candidates, np.where(candidates < 0, np.inf, sign * scores)), axis=1)[:, :k]
        rows = np.arange(len(folded))[:, None]
        return scores[rows, order], candidates[rows, order]


def best(nearness: Callable[[Run], Tensor], k: int, wanted: Mask, step: int) -> Slots:
    """Of those wanted the k, at most as many as there are, with the largest nearness to each query: (m, k)."""
    nearest, slots = torch.empty(1, 0), torch.empty(1, 0, dtype=torch.int64)
    for run in runs(wanted, step):
        near = nearness(run)
        if isinstance(run, slice) and not wanted[run].all():
            near[:, torch.from_numpy(~wanted[run])] = -torch.inf
        here, column = near.topk(min(k, near.shape[1]))
        nearest = torch.cat([nearest.expand(len(here), -1), here], 1)
        slots = torch.cat([slots.expand(len(here), -1), numbered(run, column)], 1)
        if nearest.shape[1] > k:
            nearest, column = nearest.topk(k)
            slots = slots.gather(1, column)
    return slots.numpy()


def parts(folded: Folded) -> Iterator[Folded]:
    step = max(1, QUERIES // folded.vectors.shape[1])
    yield from (folded[start : start + step] for start in range(0, len(folded), step))


def runs(wanted: Mask, step: int) -> Iterator[Run]:
    """Where those wanted are: slices that may hold others too, or, if few are wanted, their slots."""
    if 2 * count(wanted) < len(wanted):
        slots = wanted.nonzero()[0]
        yield from (slots[start : start + CHUNK] for start in range(0, len(slots), CHUNK))
    else:
        yield from (slice(start, min(start + step, len(wanted))) for start in range(0, len(wanted), step))


def multiplied(queries: Vectors, vectors: Vectors, run: Run) -> Vectors:
    """(m, K, d), (n, d) -> (m, K, c). For a lone query FAISS is the fastest, and waits for no other thread; rows
    that must be gathered are then so few at a time that they are still in the processor's cache."""
    m, parts, d = queries.shape
    if m > 1:
        flat = torch.tensor(queries).view(m * parts, d)
        return (torch.from_numpy(rows_of(vectors, run)) @ flat.T).T.contiguous().view(m, parts, -1).numpy()
    starts = (0,) if isinstance(run, slice) else range(0, len(run), GATHERED)
    cuts = (run if isinstance(run, slice) else run[start : start + GATHERED] for start in starts)
    blocks = (rows_of(vectors, cut) for cut in cuts)
    return np.hstack([np.stack([products(part, rows) for part in queries[0]]) for rows in blocks])[None]


def rows_of(vectors: Vectors, run: Run) -> Vectors:
    # of slots, `take` is thrice as fast as brackets
    return vectors[run] if isinstance(run, slice) else vectors.take(run, 0)


def numbered(run: Run, places: Tensor) -> Tensor:
    return places + run.start if isinstance(run, slice) else torch.from_numpy(run)[places]
