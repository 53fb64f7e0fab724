"""What every index promises, with brute force in double precision as the oracle."""

import numpy as np
import pytest

from app.index import METRICS, SCORINGS, NumpyIndex, TableIndex, View

DIM = 8
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
RECALL = 0.9  # of an approximate index, at the least


@pytest.fixture(params=METRICS)
def metric(request):
    return request.param


@pytest.fixture
def both(kind, metric):
    """The index under test, and the oracle."""
    return kind(DIM, metric), NumpyIndex(DIM, metric)


def vectors(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


def numbered(n, start=0):
    return np.arange(start, start + n, dtype=np.int64)


def put(both, slots, rows):
    for index in both:
        index.put(slots, rows)


def remove(both, *slots):
    for index in both:
        index.remove(np.array(slots, np.int64))


def assert_alike(both, queries, k, allowed=None):
    """As many, with the scores that their slots have, in order; the best ones, or nearly all of them."""
    (scores, slots), (right, right_slots) = (index.search(queries, k, allowed)[:2] for index in both)
    assert slots.shape == right_slots.shape
    assert all(len(set(row)) == len(row) for row in slots.tolist())
    every, every_slot, *_ = both[1].search(queries, len(both[1]))
    score_of = [dict(zip(*row, strict=True)) for row in zip(every_slot.tolist(), every.tolist(), strict=True)]
    claimed = [[score_of[row][slot] for slot in found] for row, found in enumerate(slots.tolist())]
    np.testing.assert_allclose(scores, np.array(claimed).reshape(right.shape), **TOLERANCE)
    smaller = both[1].metric == "euclidean"
    order = np.lexsort((slots, scores if smaller else -scores), axis=1)
    assert (order == np.arange(slots.shape[1])).all()
    if both[0].kind in ("exact", "flat_fp16"):
        np.testing.assert_allclose(scores, right, **TOLERANCE)
    elif scores.size:
        sign, last = 1 if smaller else -1, right[:, -1:]
        assert (sign * scores <= sign * last + 1e-5 + 1e-5 * abs(last)).mean() >= RECALL


@pytest.mark.parametrize("k", [1, 7, 100])
def test_search_finds_what_brute_force_finds(both, k):
    put(both, numbered(100), vectors(100))
    assert_alike(both, vectors(5, seed=1), k)


def test_search_is_as_precise_in_a_large_batch(both):
    put(both, numbered(100), vectors(100))
    assert_alike(both, vectors(64, seed=1), 10)


@pytest.mark.parametrize("queries", [1, 64])
def test_a_stored_vector_finds_itself_with_the_oracles_score(both, queries):
    stored = vectors(100)
    put(both, numbered(100), stored)
    assert_alike(both, stored[:queries], 1)


@pytest.mark.parametrize("queries", [1, 64])
def test_search_is_precise_far_from_the_origin(both, queries):
    put(both, numbered(100), vectors(100) + np.float32(10))
    assert_alike(both, vectors(queries, seed=1) + np.float32(10), 1)


@pytest.mark.parametrize("queries", [1, 64])
@pytest.mark.parametrize(("offset", "spread"), [(1, 1e-3), (10, 1e-3), (1000, 1)])
def test_exact_euclidean_search_is_exact_far_from_the_origin(offset, spread, queries):
    stored, asked = (np.float32(offset) + np.float32(spread) * vectors(n, seed=n) for n in (3000, queries))
    oracle = NumpyIndex(DIM, "euclidean")
    oracle.put(numbered(3000), stored)
    right = oracle.search(asked, 10)
    assert (View.of(stored, SCORINGS["euclidean"]()).nearest(asked, 10).slots == right.slots).all()
    index = TableIndex(DIM, "euclidean")
    for start in range(0, 3000, 100):  # the centre is of the first, and stays
        index.put(numbered(100, start), stored[start : start + 100])
    assert (index.search(asked, 10).slots == right.slots).all()


@pytest.mark.parametrize("queries", [1, 64])
@pytest.mark.parametrize("copies", [1, 40])
def test_exact_euclidean_search_is_exact_in_tight_clusters_far_apart(copies, queries):
    centres = 1000 * np.arange(20, dtype=np.float32)[:, None]
    random = np.random.default_rng(0)
    stored, asked = (centres[random.integers(20, size=n)] + np.float32(0.01) * vectors(n) for n in (5000, queries))
    stored[:copies] = asked[0] + np.float32(0.02)  # equals are not told apart
    oracle, index = NumpyIndex(DIM, "euclidean"), TableIndex(DIM, "euclidean")
    put((oracle, index), numbered(5000), stored)
    for allowed in (None, np.arange(5000) % 3 > 0, np.arange(5000) % 7 == 0):
        right, found = oracle.search(asked, 10, allowed), index.search(asked, 10, allowed)
        assert (found.slots == right.slots).all()
        assert (found.scores == right.scores).all()


@pytest.mark.parametrize("queries", [1, 64])
def test_of_many_equal_points_few_are_compared(queries):
    stored = np.repeat(vectors(1) + 100, 3000, axis=0)
    stored[:100] += np.float32(0.5)
    asked = stored[-1] + np.float32(0.01) * vectors(queries, seed=1)
    oracle = NumpyIndex(DIM, "euclidean")
    oracle.put(numbered(3000), stored)
    found = View.of(stored, SCORINGS["euclidean"]()).nearest(asked, 10)
    assert (found.scores == oracle.search(asked, 10).scores).all()
    assert (found.slots >= 100).all()
    assert all(len(set(row)) == 10 for row in found.slots.tolist())
    assert found.fetched < 100


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-3, 1e3, 1e17])
def test_cosine_does_not_depend_on_length(kind, scale):
    both = kind(DIM, "cosine"), NumpyIndex(DIM, "cosine")
    put(both, numbered(20), vectors(20) * np.float32(scale))
    assert_alike(both, vectors(3, seed=1), 5)


def test_cosine_of_a_zero_vector_is_zero(kind):
    index = kind(DIM, "cosine")
    index.put(numbered(1), np.zeros((1, DIM), np.float32))
    assert index.search(vectors(1), 1)[0].tolist() == [[0.0]]


def test_nearest_come_first(kind, metric):
    index = kind(DIM, metric)
    index.put(numbered(50), vectors(50))
    scores = index.search(vectors(3, seed=1), 50)[0]
    assert (np.diff(scores) * (1 if metric == "euclidean" else -1) >= 0).all()


def test_a_new_index_is_empty(kind, metric):
    assert len(kind(DIM, metric)) == 0


@pytest.mark.parametrize("queries", [1, 4])
def test_an_empty_index_finds_nothing(kind, metric, queries):
    scores, slots, *_ = kind(DIM, metric).search(vectors(queries), 3)
    assert (scores.shape, slots.shape) == ((queries, 0), (queries, 0))


def test_an_emptied_index_finds_nothing(both):
    put(both, numbered(3), vectors(3))
    remove(both, 0, 1, 2)
    assert both[0].search(vectors(2), 3)[1].shape == (2, 0)


def test_k_larger_than_the_index_gives_all(kind, metric):
    index = kind(DIM, metric)
    index.put(numbered(3), vectors(3))
    assert sorted(index.search(vectors(1, seed=1), 10)[1][0].tolist()) == [0, 1, 2]


def test_scores_are_single_precision_and_slots_are_integers(kind, metric):
    index = kind(DIM, metric)
    index.put(numbered(3), vectors(3))
    scores, slots, *_ = index.search(vectors(1), 2)
    assert (scores.dtype, slots.dtype) == (np.float32, np.int64)


def test_put_replaces_a_slot_that_is_taken(both):
    put(both, numbered(10), vectors(10))
    put(both, numbered(5, start=3), vectors(5, seed=2))
    assert len(both[0]) == 10
    assert_alike(both, vectors(4, seed=1), 10)


def test_a_replaced_vector_is_not_found_any_more(kind):
    index = kind(2, "ip")
    index.put(numbered(1), np.array([[9, 0]], np.float32))
    index.put(numbered(1), np.array([[0, 1]], np.float32))
    assert index.search(np.array([[1, 0]], np.float32), 5)[0].tolist() == [[0.0]]


def test_put_of_no_vectors_changes_nothing(both):
    put(both, numbered(2), vectors(2))
    put(both, numbered(0), vectors(0))
    assert len(both[0]) == 2


def test_remove_takes_vectors_out(both):
    put(both, numbered(20), vectors(20))
    remove(both, 0, 7, 19)
    assert len(both[0]) == 17
    assert_alike(both, vectors(4, seed=1), 20)


def test_remove_passes_over_slots_that_are_not_taken(both):
    put(both, numbered(3), vectors(3))
    remove(both, 1, 99)
    remove(both, 1)
    assert len(both[0]) == 2


def test_remove_from_an_empty_index_is_nothing(kind, metric):
    index = kind(DIM, metric)
    index.remove(numbered(3))
    assert len(index) == 0


def test_remove_of_no_slots_is_nothing(both):
    put(both, numbered(3), vectors(3))
    remove(both)
    assert len(both[0]) == 3


def test_a_slot_can_be_taken_again(both):
    put(both, numbered(3), vectors(3))
    remove(both, 1)
    put(both, numbered(1, start=1), vectors(1, seed=5))
    assert_alike(both, vectors(2, seed=1), 3)


def test_equal_vectors_are_all_found(kind, metric):
    index = kind(DIM, metric)
    index.put(numbered(4), np.tile(vectors(1), (4, 1)))
    scores, slots, *_ = index.search(vectors(1), 4)
    assert slots[0].tolist() == [0, 1, 2, 3]
    assert len(set(scores[0].tolist())) == 1


def test_slots_between_may_be_left_out(both):
    put(both, numbered(5, start=50_000), vectors(5))
    put(both, numbered(3, start=20), vectors(3, seed=2))
    remove(both, 50_002, 7, 90_000)
    assert_alike(both, vectors(2, seed=1), 10)


def test_a_life_of_puts_and_removes_agrees_with_the_oracle(both):
    random = np.random.default_rng(7)
    for step in range(30):
        slots = random.choice(60, size=int(random.integers(1, 9)), replace=False).astype(np.int64)
        remove(both, *slots) if step % 3 == 2 else put(both, slots, vectors(len(slots), seed=step))
    assert len(both[0]) == len(both[1])
    assert_alike(both, vectors(5, seed=99), 60)


# Masks


def mask(n, *slots):
    """Of n slots, these are allowed."""
    allowed = np.zeros(n, bool)
    allowed[list(slots)] = True
    return allowed


@pytest.mark.parametrize("queries", [1, 64])
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("k", [10, 1000])
def test_only_allowed_slots_are_found_and_all_of_them(both, share, queries, k):
    put(both, numbered(100), vectors(100))
    allowed = np.random.default_rng(3).random(100) < share
    assert_alike(both, vectors(queries, seed=1), k, allowed)
    assert allowed[both[0].search(vectors(queries, seed=1), k, allowed)[1]].all()


def test_a_mask_that_allows_nothing_finds_nothing(both):
    put(both, numbered(10), vectors(10))
    for allowed in (mask(10), mask(0)):
        assert [part.shape for part in both[0].search(vectors(2), 3, allowed)[:2]] == [(2, 0), (2, 0)]


def test_a_mask_on_an_empty_index_finds_nothing(kind, metric):
    assert kind(DIM, metric).search(vectors(2), 3, mask(5, 1))[1].shape == (2, 0)


def test_slots_beyond_the_mask_are_not_allowed(both):
    put(both, numbered(20), vectors(20))
    assert_alike(both, vectors(3, seed=1), 20, mask(7, 0, 3, 6))
    assert sorted(both[0].search(vectors(1), 20, mask(7, 0, 3, 6))[1][0].tolist()) == [0, 3, 6]


def test_a_mask_may_allow_slots_that_are_not_taken(both):
    put(both, numbered(5), vectors(5))
    remove(both, 2)
    allowed = mask(1000, 1, 2, 3, 99, 999)
    assert_alike(both, vectors(3, seed=1), 10, allowed)
    assert sorted(both[0].search(vectors(1), 10, allowed)[1][0].tolist()) == [1, 3]


def test_a_mask_sees_what_was_put_again(both):
    put(both, numbered(10), vectors(10))
    remove(both, 4)
    put(both, numbered(3, start=4), vectors(3, seed=8))
    assert_alike(both, vectors(3, seed=1), 2, mask(10, 4, 5, 9))


# Larger


def clustered(n, seed, clusters=20):
    centres = vectors(clusters, seed=100)
    random = np.random.default_rng(seed)
    return centres[random.integers(clusters, size=n)] + np.float32(0.3) * vectors(n, seed)


@pytest.mark.parametrize("share", [None, 0.5, 0.05, 0.01])
def test_most_neighbours_are_found_among_many_points(both, share):
    put(both, numbered(2000), clustered(2000, seed=1))
    put(both, numbered(400, start=2000), clustered(400, seed=2))
    remove(both, *range(0, 2400, 7))
    allowed = None if share is None else np.random.default_rng(3).random(2400) < share
    assert_alike(both, clustered(40, seed=4), 10, allowed)


def test_points_of_many_lengths(both):
    lengths = np.exp(np.random.default_rng(5).standard_normal((800, 1))).astype(np.float32)
    put(both, numbered(800), clustered(800, seed=1) * lengths)
    assert_alike(both, clustered(30, seed=4), 10)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_numbers_that_half_precision_does_not_hold(both, scale):
    put(both, numbered(300), clustered(300, seed=1) * np.float32(scale))
    scores, right = (index.search(clustered(10, seed=4) * np.float32(scale), 5).scores for index in both)
    worst = right[:, -1:]
    near = scores <= worst * 1.0001 if both[1].metric == "euclidean" else scores >= worst * 0.9999
    assert near.mean() >= RECALL
