"""The vectors of a collection, and every way in which they are searched."""

from collections import OrderedDict

from app.index.base import Mask, Ranking, Slots, Vectors
from app.index.scoring import SCORINGS
from app.index.searcher import Searcher
from app.index.table import Table

SCORES = 4  # translators whose numbers of all points are kept


class TableIndex:
    """By its metric, and by the scores of translators, which its owner adds."""

    def __init__(self, dim: int, metric: str) -> None:
        self.table = Table(dim)
        self.by_metric = Searcher(self.table, SCORINGS[metric]())
        self.by_score: OrderedDict[str, Searcher] = OrderedDict()

    def __len__(self) -> int:
        return self.table.count

    def put(self, slots: Slots, vectors: Vectors) -> None:
        self.table.put(slots, vectors)
        for searcher in (self.by_metric, *self.by_score.values()):
            searcher.put(slots)

    def remove(self, slots: Slots) -> None:
        self.table.remove(slots)

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> Ranking:
        return self.by_metric.search(queries, k, allowed)

    def searcher(self, key: str) -> Searcher | None:
        """By a score, or "" for the metric."""
        return self.by_score.get(key) if key else self.by_metric

    def add(self, key: str, searcher: Searcher) -> None:
        """The one that was used longest ago makes room."""
        self.by_score[key] = searcher
        if len(self.by_score) > SCORES:
            self.by_score.popitem(last=False)
