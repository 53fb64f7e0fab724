"""Indexes of every kind, as a collection uses them."""

import pytest

from app.index import INDEXES, Searcher, TableIndex

# An approximation is built anew or grows after every write ("fresh"), or knows the first alone ("behind").
STATES = [(kind, "fresh") for kind in INDEXES] + [("hnsw", "behind"), ("ivf_sq8", "behind")]


class Tended(TableIndex):
    """Whose approximation is seen to at once."""

    def __init__(self, kind, state, dim, metric, scoring=None):
        super().__init__(dim, metric)
        self.kind, self.state = kind, state
        if scoring:
            self.by_metric = Searcher(self.table, scoring)

    def put(self, slots, vectors):
        super().put(slots, vectors)
        self.tend()

    def remove(self, slots):
        super().remove(slots)
        self.tend()

    def tend(self):
        first = self.by_metric.approximation is None
        if self.by_metric.is_due(self.kind) and (first or self.state == "fresh"):
            self.by_metric.approximation = self.by_metric.improved(self.kind, self.by_metric.snapshot())


@pytest.fixture
def small(monkeypatch):
    """Few points are many: none are searched exactly because they are few."""
    monkeypatch.setattr("app.index.searcher.FEW", 0)
    monkeypatch.setattr("app.index.searcher.BEHIND", 0)
    monkeypatch.setattr("app.index.searcher.ONE_IN", 10**9)


@pytest.fixture(params=STATES, ids="-".join)
def kind(request, small):
    """kind(dim, metric): an index of every kind and state."""
    return lambda dim, metric: Tended(*request.param, dim, metric)


@pytest.fixture(params=[("exact", "fresh"), ("hnsw", "behind"), ("ivf_sq8", "fresh")], ids="-".join)
def scored(request, small):
    """scored(dim, scoring): one that compares as `scoring` says."""
    return lambda dim, scoring: Tended(*request.param, dim, "cosine", scoring)
