"""Approximations that grow by what is unlike all that they were made for."""

import numpy as np
import pytest

from app.index import INDEXES, SCORINGS, Searcher
from app.index.table import Table

KINDS = [kind for kind in INDEXES if kind != "exact"]
DIM, POINTS, QUERIES = 24, 2500, 100


def clustered(n, seed, length=1.0, shift=0.0):
    """The clusters are always the same ones, but for their length and place."""
    centres = np.random.default_rng(0).standard_normal((50, DIM))
    random = np.random.default_rng(seed)
    rows = centres[random.integers(50, size=n)] + 0.3 * random.standard_normal((n, DIM))
    return (length * rows + shift).astype(np.float32)


def write(searcher, rows):
    slots = np.arange(len(rows)) + searcher.table.size
    searcher.table.put(slots, rows)
    searcher.put(slots)


def grow(searcher, kind):
    searcher.approximation = searcher.improved(kind, searcher.snapshot())


def searching(metric, kind, rows):
    searcher = Searcher(Table(DIM), SCORINGS[metric]())
    write(searcher, rows)
    grow(searcher, kind)
    return searcher


def found(searcher, queries):
    """The share of the right ten that a search finds."""
    sign = 1 if searcher.scoring.descending else -1
    right = sign * searcher.view.nearest(queries, 10).scores
    return float((sign * searcher.search(queries, 10).scores >= right[:, -1:]).mean())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("metric", "unlike"),
    [
        ("ip", {"length": 1.2}),
        ("ip", {"length": 3.0}),
        ("ip", {"shift": 10.0}),
        ("euclidean", {"length": 3.0}),
        ("euclidean", {"shift": 10.0}),
        ("cosine", {"shift": 10.0}),
    ],
)
def test_what_is_unlike_all_that_was_learned_is_found(kind, metric, unlike):
    searcher = searching(metric, kind, clustered(POINTS, 1))
    write(searcher, clustered(POINTS, 2, **unlike))
    grow(searcher, kind)
    assert found(searcher, clustered(QUERIES, 3, **unlike)) > 0.9
    assert found(searcher, clustered(QUERIES, 4)) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_of_all_is_found_by_its_product(kind):
    """Whether it was there when the index was made, unseen by the sample, or came later."""
    rows = clustered(POINTS, 1)
    rows[7] *= 5
    searcher = searching("ip", kind, rows)
    assert searcher.search(rows[7:8], 1).slots.tolist() == [[7]]
    later = clustered(POINTS // 10, 2)
    later[3] = 2 * rows[7]
    write(searcher, later)
    grow(searcher, kind)
    assert searcher.search(rows[7:8], 2).slots.tolist() == [[POINTS + 3, 7]]


@pytest.mark.parametrize("kind", KINDS)
def test_by_the_like_it_grows_in_a_copy_of_what_it_has(kind):
    searcher = searching("cosine", kind, clustered(POINTS, 1))
    before = searcher.approximation
    write(searcher, clustered(POINTS // 2, 2))
    grow(searcher, kind)
    assert (searcher.approximation.learned, len(searcher.approximation.slots)) == (POINTS, 3 * POINTS // 2)
    assert len(before.slots) == POINTS


def test_what_is_longer_than_all_codes_is_not_taken_in():
    searcher = searching("ip", "ivf_flat", clustered(POINTS, 1))
    near = searcher.approximation
    write(searcher, clustered(10, 2, length=9.0))
    write(searcher, clustered(10, 3, length=0.5))
    longer, shorter = np.arange(POINTS, POINTS + 10), np.arange(POINTS + 10, POINTS + 20)
    assert (near.takes(searcher.view, longer), near.takes(searcher.view, shorter)) == (False, True)
    grow(searcher, "ivf_flat")
    assert searcher.approximation.learned == POINTS + 20  # made anew


def test_a_few_that_are_unlike_all_others_are_a_sample_of_their_own():
    """Of all they are too few to be missed."""
    searcher = searching("euclidean", "ivf_sq8", clustered(4 * POINTS, 1))
    few = clustered(200, 2, shift=30.0)
    slots = np.arange(4 * POINTS, 4 * POINTS + 200)
    write(searcher, few)
    near, view = searcher.approximation, searcher.snapshot()
    assert near.takes(view, slots)
    grown = near.grown(view, slots)
    assert (grown.is_enough, grown.recall_at_10 >= 0.97) == (False, True)
    grow(searcher, "ivf_sq8")
    assert searcher.approximation.is_enough
    assert found(searcher, few) > 0.95


def test_one_that_grew_much_harder_is_made_anew(monkeypatch):
    monkeypatch.setattr("app.index.searcher.HARDER", 0.5)
    searcher = searching("cosine", "ivf_sq8", clustered(POINTS, 1))
    write(searcher, clustered(POINTS // 2, 2))
    grow(searcher, "ivf_sq8")
    assert searcher.approximation.learned == 3 * POINTS // 2


def test_what_is_close_together_takes_more_candidates():
    """Eight bits for the wide cloud are few for what is narrow."""
    searcher = searching("cosine", "ivf_sq8", np.vstack([clustered(POINTS, 1), clustered(POINTS, 2, shift=10.0)]))
    assert searcher.approximation.fetch > 1
    assert found(searcher, clustered(QUERIES, 3, shift=10.0)) > 0.95


def test_one_that_cannot_find_enough_says_so_and_serves_nobody():
    """Half precision cannot tell these apart."""
    rows = (1000 + 0.01 * np.random.default_rng(0).standard_normal((POINTS, DIM))).astype(np.float32)
    searcher = searching("euclidean", "flat_fp16", rows)
    near = searcher.approximation
    assert not near.serves(choosy=False)
    assert near.shortfall.startswith(f"flat_fp16 finds {near.recall_at_10:.0%} of the 10 nearest")
    assert searcher.search(rows[:5], 3).proposer == "exact"
    write(searcher, rows[: POINTS // 10])
    assert not searcher.is_due("flat_fp16")  # a few more would not help
    write(searcher, clustered(4 * POINTS, 3))
    assert searcher.is_due("flat_fp16")
    grow(searcher, "ivf_flat")
    assert searcher.search(rows[:5], 3).proposer == "ivf_flat"
