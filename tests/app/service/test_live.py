"""Collections in memory, against a dict and the NumPy oracle, as two replicas of one store see them."""

import sys
import tempfile
import threading
from contextlib import suppress
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.index import INDEXES, METRICS, NumpyIndex
from app.service import Services
from app.service.filters import Condition, Filter
from app.service.live import FILTERS
from app.service.search import Query
from app.service.spaces import Space
from app.service.turnstile import Turnstile
from app.settings import Settings
from app.store import open_store
from app.store.rows import Rows

DIM = 3
IDS = st.integers(0, 24).map(str)
NUMBERS = st.integers(-4, 4).map(float)
VECTORS = st.tuples(NUMBERS, NUMBERS, NUMBERS).filter(any)
POINTS = st.dictionaries(IDS, st.tuples(VECTORS, st.sampled_from([b"", b"{}", b'{"a":1}'])), max_size=12)
QUERIES = np.array([[1, 0, 0], [1, 2, -1], [-3, 1, 2]], np.float32)


def rows_of(points, deletes=()):
    vectors = np.array([vector for vector, _ in points.values()], np.float32).reshape(-1, DIM)
    return Rows(list(points), vectors, [payload for _, payload in points.values()], list(deletes))


def oracle(points, metric):
    """Scores of the queries against all points, best first, and the score of each id."""
    index = NumpyIndex(DIM, metric)
    index.put(np.arange(len(points)), rows_of(points).vectors)
    scores, slots, *_ = index.search(QUERIES, len(points))
    ids = np.array(list(points), object)
    return scores, [dict(zip(ids[row], scores[number].tolist(), strict=True)) for number, row in enumerate(slots)]


def assert_sees(services, points, metric):
    """All points, and the same search as the oracle."""
    assert services.collections.get("c").value["points"] == len(points)
    seen = {p.id: (tuple(p.vector.tolist()), p.payload) for p in services.collections.points("c", all_ids())}
    assert seen == points
    listed, following = services.collections.page_points("c", None, 1000, Filter())
    assert ([point.id for point in listed], following) == (sorted(points), None)
    marked = Filter(must=[Condition("a", "in", [1])])
    assert services.collections.count("c", marked) == sum(payload == b'{"a":1}' for _, payload in points.values())
    hits = services.search.search("c", Query(QUERIES, 1000)).hits
    scores, score_of = oracle(points, metric)
    for number, found in enumerate(hits):
        assert sorted(hit.point.id for hit in found) == sorted(points)
        np.testing.assert_allclose([hit.score for hit in found], scores[number], rtol=1e-5, atol=1e-5)
        expected = [score_of[number][hit.point.id] for hit in found]
        np.testing.assert_allclose([hit.score for hit in found], expected, rtol=1e-5, atol=1e-5)


def all_ids():
    return [str(number) for number in range(30)] + [f"guest-{number}" for number in range(18)]


class TwoReplicas(RuleBasedStateMachine):
    """Writes by either; the second looks only now and then, so that it has to catch up with many at once."""

    @initialize(metric=st.sampled_from(METRICS))
    def start(self, metric):
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{self.folder.name}/store.db"
        self.replicas = [Services.over(open_store(url), Settings()) for _ in range(2)]
        self.metric, self.points = metric, {}
        self.replicas[0].spaces.put("s", Space(DIM, {}, ""), None, None)
        self.replicas[0].collections.put("c", "s", metric, None)

    @rule(points=POINTS, by=st.integers(0, 1))
    def upsert(self, points, by):
        self.replicas[by].collections.put_points("c", rows_of(points), None)
        self.points = {**self.points, **points}

    @rule(ids=st.lists(IDS, max_size=12), by=st.integers(0, 1))
    def delete(self, ids, by):
        self.replicas[by].collections.delete_points("c", ids, None)
        self.points = {id_: point for id_, point in self.points.items() if id_ not in ids}

    @rule(points=POINTS, ids=st.lists(IDS, max_size=12), by=st.integers(0, 1))
    def delete_and_upsert(self, points, ids, by):
        self.replicas[by].collections.put_points("c", rows_of(points, ids), None)
        kept = {id_: point for id_, point in self.points.items() if id_ not in ids}
        self.points = {**kept, **points}

    @rule(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=3), by=st.integers(0, 1))
    def come_and_go(self, sizes, by):
        """New points in several batches, all deleted at once: what is left is what was there before."""
        ids = [f"guest-{number}" for number in range(sum(sizes))]
        for start, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
            batch = dict.fromkeys(ids[start : start + size], ((1.0, 2.0, 3.0), b""))
            self.replicas[by].collections.put_points("c", rows_of(batch), None)
        self.replicas[by].collections.delete_points("c", ids, None)

    @rule(by=st.integers(0, 1))
    def drop_and_make_anew(self, by):
        self.replicas[by].collections.delete("c", None)
        self.replicas[by].collections.put("c", "s", self.metric, None)
        self.points = {}

    @rule()
    def restart(self):
        self.replicas[0].store.close()
        self.replicas[0] = Services.over(open_store(f"sqlite:///{self.folder.name}/store.db"), Settings())

    @invariant()
    def the_first_sees_all(self):
        assert_sees(self.replicas[0], self.points, self.metric)

    @rule()
    def the_second_sees_all(self):
        assert_sees(self.replicas[1], self.points, self.metric)

    def teardown(self):
        for services in getattr(self, "replicas", ()):
            services.store.close()
        with suppress(AttributeError):
            self.folder.cleanup()


class TwoIndexed(TwoReplicas):
    """The same, with approximate indexes that are built and replaced all the time."""

    @initialize(metric=st.sampled_from(METRICS), kind=st.sampled_from(sorted(INDEXES)))
    def start(self, metric, kind):
        patch.multiple("app.index.searcher", LARGE=4, SOME=4, FEW=0, BEHIND=1, ONE_IN=10**9).start()
        super().start(metric)
        self.replicas[0].collections.put("c", "s", metric, None, kind)

    @rule(by=st.integers(0, 1))
    def wait_for_the_index(self, by):
        self.replicas[by].collections.indexing.wait()
        assert self.replicas[by].warnings == []

    def teardown(self):
        super().teardown()
        patch.stopall()


TestTwoReplicas = TwoReplicas.TestCase
TestTwoReplicas.settings = settings(
    max_examples=25, stateful_step_count=25, suppress_health_check=list(HealthCheck)
)
TestTwoIndexed = TwoIndexed.TestCase
TestTwoIndexed.settings = settings(TestTwoReplicas.settings, max_examples=10)


# Cases that the machine is not trusted to meet


@pytest.fixture
def two(replica):
    """Two replicas with an empty collection `c`."""
    replicas = replica(), replica()
    replicas[0].spaces.put("s", Space(DIM, {}, ""), None, None)
    replicas[0].collections.put("c", "s", "euclidean", None)
    return replicas


def numbered(start, stop):
    return {str(number): ((float(number), 1.0, 0.0), b"") for number in range(start, stop)}


def put(services, points, deletes=()):
    return services.collections.put_points("c", rows_of(points, deletes), None)[0]


@pytest.mark.parametrize("watching", [True, False])
def test_points_that_came_and_went_leave_nothing_behind(two, watching):
    for start, stop in ((0, 10), (10, 14), (14, 15)):
        put(two[0], numbered(start, stop))
        if watching:
            assert_sees(two[1], numbered(0, stop), "euclidean")
    put(two[0], {}, [str(number) for number in range(10, 15)])
    assert_sees(two[0], numbered(0, 10), "euclidean")
    assert_sees(two[1], numbered(0, 10), "euclidean")


def test_a_delete_looks_at_the_ids_alone(two, monkeypatch):
    put(two[0], numbered(0, 30))
    live = two[0].collections.opened("c")[1]
    monkeypatch.setattr("app.service.live.Live._points", None)  # what reads vectors and payloads
    removed = two[0].collections.delete_points("c", ["3", "3", "29", "30", "x"], None)
    assert (removed.deleted, removed.missing, removed.record.value["points"]) == (2, ["30", "x"], 28)
    assert two[0].collections.opened("c")[1].held(map(str, range(40))) == set(numbered(0, 29)) - {"3"}
    assert two[0].collections.delete_points("c", ["x"], None) == (removed.record, 0, ["x"])
    assert live.held([]) == set()


def test_the_count_stays_right_after_points_came_and_went(two):
    for start, stop in ((0, 10), (10, 14), (14, 15)):
        put(two[0], numbered(start, stop))
    put(two[0], {}, [str(number) for number in range(10, 15)])
    assert put(two[0], numbered(12, 13)).value["points"] == 11


def test_many_small_writes_are_all_there(two):
    for number in range(60):
        put(two[number % 2], numbered(number % 25, number % 25 + 1))
    assert_sees(two[0], numbered(0, 25), "euclidean")
    assert_sees(two[1], numbered(0, 25), "euclidean")


def test_one_point_written_often_is_one_point(two):
    for number in range(40):
        put(two[0], {"7": ((float(number), 0.0, 1.0), b"")})
    assert_sees(two[1], {"7": ((39.0, 0.0, 1.0), b"")}, "euclidean")


def test_a_collection_dropped_elsewhere_is_empty_here(two):
    put(two[0], numbered(0, 5))
    assert_sees(two[1], numbered(0, 5), "euclidean")
    two[0].collections.delete("c", None)
    two[0].collections.put("c", "s", "euclidean", None)
    assert_sees(two[1], {}, "euclidean")


def test_a_collection_of_another_metric_elsewhere_is_of_it_here(two):
    put(two[1], numbered(1, 5))
    two[0].collections.delete("c", None)
    two[0].collections.put("c", "s", "cosine", None)
    put(two[0], numbered(1, 4))
    assert_sees(two[1], numbered(1, 4), "cosine")


def test_filters_that_python_holds_to_be_equal_are_told_apart(two):
    values = [b"1", b"1.0", b"true", b'"1"']
    rows = Rows(list("abcd"), np.eye(4, DIM, dtype=np.float32) + 1, [b'{"a":%s}' % value for value in values])
    two[0].collections.put_points("c", rows, None)
    asked = [1, 1.0, True, "1", *(f"other {number}" for number in range(2 * FILTERS))]
    for _ in range(2):
        counts = [two[0].collections.count("c", Filter(must=[Condition("a", "in", [value])])) for value in asked]
        assert counts == [2, 2, 1, 1] + [0] * (2 * FILTERS)


def test_a_long_filter_is_held_by_no_more_than_a_short_one(two):
    collections = two[0].collections
    collections.put_points("c", rows_of({"x": ((1.0, 0.0, 0.0), b'{"a":1}')}), None)
    held = {}
    for values in ([1], [*range(10_000)]):
        assert collections.count("c", Filter(must=[Condition("a", "in", values)])) == 1
        held[len(values)] = [sys.getsizeof(key) for key in collections.live(collections.get("c"))._masks]
    assert held[10_000] == 2 * held[1]


def test_searches_during_writes_see_whole_batches(two):
    batches = [{str(n): ((float(step), float(n + 1), 1.0), b"") for n in range(8)} for step in range(20)]
    put(two[0], batches[0])
    seen, done = [], threading.Event()

    def look():
        while not done.is_set():
            hits = two[1].search.search("c", Query(QUERIES[:1], 100)).hits[0]
            seen.append({float(hit.point.vector[0]) for hit in hits})

    thread = threading.Thread(target=look)
    thread.start()
    for batch in batches[1:]:
        put(two[0], batch)
    done.set()
    thread.join()
    assert {len(steps) for steps in seen} == {1}


def test_filters_during_writes_see_whole_batches(two):
    batches = [{str(n): ((1.0, 1.0, 1.0), b'{"step":%d}' % step) for n in range(8)} for step in range(20)]
    put(two[0], batches[0])
    seen, done = [], threading.Event()

    def look():
        while not done.is_set():
            counts = [
                two[1].collections.count("c", Filter(must=[Condition("step", "range", {name: 10})]))
                for name in ("lt", "gte")
            ]
            seen.append(counts)

    thread = threading.Thread(target=look)
    thread.start()
    for batch in batches[1:]:
        put(two[0], batch)
    done.set()
    thread.join()
    assert {count for counts in seen for count in counts} <= {0, 8}
    assert two[1].collections.count("c", Filter(must=[Condition("step", "in", [19])])) == 8


# Turnstile


def enters(enter):
    """A thread that goes in and out again, and the event that it is inside."""
    inside = threading.Event()

    def go():
        with enter():
            inside.set()

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    return thread, inside


@pytest.fixture
def turnstile():
    return Turnstile()


def test_readers_share(turnstile):
    with turnstile.shared():
        thread, inside = enters(turnstile.shared)
        assert inside.wait(5)
    thread.join(5)


@pytest.mark.parametrize(("first", "second"), [("alone", "shared"), ("shared", "alone"), ("alone", "alone")])
def test_a_writer_is_alone(turnstile, first, second):
    with getattr(turnstile, first)():
        thread, inside = enters(getattr(turnstile, second))
        assert not inside.wait(0.05)
    assert inside.wait(5)
    thread.join(5)


def test_a_waiting_writer_goes_before_new_readers(turnstile):
    with turnstile.shared():
        writer, written = enters(turnstile.alone)
        while not turnstile._writers_waiting:
            pass
        reader, read = enters(turnstile.shared)
        assert not read.wait(0.05)
    assert written.wait(5)
    assert read.wait(5)
    writer.join(5)
    reader.join(5)


@pytest.mark.parametrize("way", ["shared", "alone"])
def test_one_who_fails_inside_goes_out(turnstile, way):
    with pytest.raises(ZeroDivisionError), getattr(turnstile, way)():
        raise ZeroDivisionError
    thread, inside = enters(turnstile.alone)
    assert inside.wait(5)
    thread.join(5)


def test_writers_and_readers_never_meet(turnstile):
    counts, met = {"readers": 0, "writers": 0}, []

    def visit(kind):
        for _ in range(100):
            with turnstile.alone() if kind == "writers" else turnstile.shared():
                counts[kind] += 1
                met.append(counts["writers"] > 1 or (kind == "writers" and counts["readers"] > 0))
                counts[kind] -= kind == "writers"
                if kind == "readers":
                    counts["readers"] -= 1

    threads = [threading.Thread(target=visit, args=(kind,)) for kind in ("writers", "readers", "writers")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(met)
