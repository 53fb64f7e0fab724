"""Indexes that are built behind the searches of collections, as their users see them."""

import threading
from unittest.mock import patch

import numpy as np
import pytest
import torch

from app.errors import NotFound
from app.index import INDEXES, Owner, searched
from app.index.approximation import Approximation
from app.index.faiss import Codes
from app.service import Services
from app.service.filters import Filter
from app.service.indexing import Indexing
from app.service.live import IndexStatus
from app.service.search import Query
from app.service.spaces import Space
from app.settings import Settings
from app.store import open_store
from app.store.rows import Rows
from models.blend import Fitted, Part

DIM, LARGE, BEHIND = 6, 200, 30
KINDS = [kind for kind in INDEXES if kind != "exact"]


def vectors(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Collections become large early, and then what looks at most of them is worth it too."""
    monkeypatch.setattr("app.index.approximation.WORTH", 0)
    sizes = {"LARGE": LARGE, "SOME": LARGE, "FEW": 0, "BEHIND": BEHIND, "ONE_IN": 10**9}
    for name, size in sizes.items():
        monkeypatch.setattr(f"app.index.searcher.{name}", size)


class Collection:
    """Beside the dict that it stands for."""

    def __init__(self, services, index="auto", fresh=True):
        self.services, self.collections, self.points = services, services.collections, {}
        if fresh:
            services.spaces.put("s", Space(DIM, {}, ""), None, None)
            self.collections.put("c", "s", "cosine", None, index)

    def put(self, start, stop, seed=0):
        ids, stored = [f"p{number}" for number in range(start, stop)], vectors(stop - start, seed)
        self.collections.put_points("c", Rows(ids, stored, [b""] * len(ids)), None)
        self.points |= dict(zip(ids, stored, strict=True))

    def delete(self, start, stop):
        ids = [f"p{number}" for number in range(start, stop)]
        self.collections.delete_points("c", ids, None)
        self.points = {id_: row for id_, row in self.points.items() if id_ not in ids}

    def built(self):
        """The status, with everything done."""
        self.collections.opened("c")
        self.collections.indexing.wait()
        return self.collections.index_status("c")

    def found(self, k=10):
        return self.services.search.search("c", Query(vectors(20, seed=77), k))

    def assert_right(self, exact=False):
        """Scores are those of the points, and the best, or nearly all of them."""
        ids, stored = list(self.points), np.stack(list(self.points.values()))
        queries = vectors(20, seed=77)
        cosines = queries @ stored.T / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(stored, axis=1)
        hits = self.found().hits
        scores = np.array([[hit.score for hit in row] for row in hits])
        claimed = [[line[ids.index(hit.point.id)] for hit in row] for line, row in zip(cosines, hits, strict=True)]
        np.testing.assert_allclose(scores, claimed, rtol=1e-5, atol=1e-5)
        best = -np.sort(-cosines, axis=1)[:, :10]
        assert (scores >= best[:, -1:] - 1e-5).mean() >= (1.0 if exact else 0.9)


@pytest.fixture
def collection(services):
    return Collection(services)


@pytest.fixture
def held_up(monkeypatch):
    """Builds wait until the second event; the first says that one has begun."""
    begun, may_go, build = threading.Event(), threading.Event(), Approximation.built.__func__

    def built(cls, *arguments):
        begun.set()
        assert may_go.wait(20)
        return build(cls, *arguments)

    monkeypatch.setattr(Approximation, "built", classmethod(built))
    yield begun, may_go
    may_go.set()


def test_few_points_are_searched_exactly(collection):
    collection.put(0, LARGE - 1)
    status = collection.built()
    assert (status.kind, status.state, status.recall_at_10) == ("exact", "exact", None)
    assert collection.found().nearest.index == "exact"
    collection.assert_right(exact=True)


def test_auto_passes_over_an_index_that_is_no_faster_and_says_so(collection, monkeypatch):
    monkeypatch.setattr("app.index.approximation.WORTH", 10**6)
    collection.put(0, 2 * LARGE)
    status = collection.built()
    assert (status.kind, status.state) == ("exact", "exact")
    assert collection.found().nearest.index == "exact"
    collection.collections.put("c", "s", "cosine", None, "ivf_sq8")  # asked for by name
    assert collection.built().kind == "ivf_sq8"
    assert collection.found().nearest.index == "ivf_sq8"


def test_many_points_get_an_approximate_index_whose_recall_was_measured(collection):
    collection.put(0, 2 * LARGE)
    status = collection.built()
    assert (status.kind, status.state, status.points, status.fault) == ("ivf_sq8", "ready", 2 * LARGE, None)
    assert status.recall_at_10 >= 0.95
    assert status.recall_at_30 >= 0.95
    assert collection.found().nearest.index == "ivf_sq8"
    collection.assert_right()


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_that_was_asked_for_by_name_is_built(services, kind):
    collection = Collection(services, kind)
    collection.put(0, 2 * LARGE)
    assert (collection.built().kind, collection.found().nearest.index) == (kind, kind)
    collection.assert_right()


def test_exact_can_be_asked_for(services):
    collection = Collection(services, "exact")
    collection.put(0, 2 * LARGE)
    assert collection.built().state == "exact"
    collection.assert_right(exact=True)


def test_searches_are_exact_while_it_is_built_and_see_every_write(collection, held_up):
    begun, may_go = held_up
    collection.put(0, 2 * LARGE)
    collection.assert_right(exact=True)
    assert begun.wait(20)
    collection.put(2 * LARGE, 2 * LARGE + 20, seed=5)
    collection.put(0, 10, seed=6)
    collection.delete(10, 60)
    assert collection.collections.index_status("c").state == "building"
    assert collection.found().nearest.index == "exact"
    collection.assert_right(exact=True)
    may_go.set()
    assert collection.built().state == "ready"
    assert collection.found().nearest.index == "ivf_sq8"
    collection.assert_right()


def test_it_grows_with_the_points(collection):
    collection.put(0, 2 * LARGE)
    first = collection.built()
    collection.put(2 * LARGE, 2 * LARGE + BEHIND, seed=5)
    assert collection.built().points == first.points
    collection.put(2 * LARGE + BEHIND, 2 * LARGE + BEHIND + 1, seed=6)
    assert collection.built().points == first.points + BEHIND + 1
    collection.assert_right()


def test_points_that_were_replaced_or_deleted_since_are_not_counted(collection):
    collection.put(0, 2 * LARGE)
    assert collection.built().points == 2 * LARGE
    collection.put(0, 10, seed=5)
    assert collection.built().points == 2 * LARGE - 10
    collection.put(10, 20)  # others' vectors
    collection.delete(15, 18)
    collection.put(2 * LARGE, 2 * LARGE + 5, seed=6)
    status = collection.built()
    assert (status.state, status.points) == ("ready", 2 * LARGE - 20)
    collection.assert_right()


def test_it_is_built_anew_when_it_is_outgrown_or_mostly_of_points_that_are_gone(collection, monkeypatch):
    learned = []
    build = Approximation.built.__func__
    remember = classmethod(
        lambda cls, kind, view, slots: learned.append(len(slots)) or build(cls, kind, view, slots)
    )
    monkeypatch.setattr(Approximation, "built", remember)
    collection.put(0, LARGE)
    collection.built()
    collection.put(LARGE, 4 * LARGE, seed=1)
    collection.built()
    collection.put(4 * LARGE, 5 * LARGE, seed=2)
    collection.built()
    collection.delete(0, 3 * LARGE)
    assert collection.built().points == 2 * LARGE
    assert learned == [LARGE, 5 * LARGE, 2 * LARGE]
    collection.assert_right()


def test_it_goes_when_half_of_what_it_was_built_for_is_gone(collection):
    collection.put(0, LARGE)
    assert collection.built().state == "ready"
    collection.delete(0, LARGE // 2)
    assert collection.built().state == "ready"
    collection.delete(LARGE // 2, LARGE // 2 + 1)
    assert collection.built().state == "exact"
    collection.assert_right(exact=True)


def test_another_kind_takes_its_place(collection):
    collection.put(0, 2 * LARGE)
    for kind in ("hnsw", "exact", "flat_fp16", "auto"):
        collection.collections.put("c", "s", "cosine", None, kind)
        assert collection.built().kind == (kind if kind != "auto" else "ivf_sq8")
        collection.assert_right()


def test_an_index_that_is_ready_is_used_unless_a_filter_leaves_few(services, monkeypatch):
    monkeypatch.setattr("app.index.searcher.FEW", 10_000)
    collection = Collection(services, "hnsw")
    collection.put(0, 2 * LARGE)
    assert collection.built().state == "ready"
    assert collection.found().nearest.index == "hnsw"
    query = Query(vectors(20, seed=77), wanted=Filter())
    assert services.search.search("c", query).nearest.index == "exact"


def test_who_asks_for_the_status_alone_sees_what_was_written(services):
    collection = Collection(services, "hnsw")
    collection.put(0, 2 * LARGE)
    status = collection.collections.index_status("c")
    assert (status.kind, status.state) == ("hnsw", "building")  # and nobody has searched
    collection.collections.indexing.wait()
    assert collection.collections.index_status("c").state == "ready"
    collection.delete(0, LARGE // 2)
    assert collection.collections.index_status("c").points == 2 * LARGE - LARGE // 2


def test_an_index_that_finds_too_little_says_so_and_searches_are_exact(services, monkeypatch):
    monkeypatch.setattr("app.index.approximation.ENOUGH", 1.1)
    collection = Collection(services, "hnsw")
    collection.put(0, 2 * LARGE)
    status = collection.built()
    assert (status.state, status.recall_at_10) == ("exact", None)
    assert status.fault.startswith("hnsw finds")
    assert collection.services.warnings == [f"collection 'c': {status.fault}"]
    assert collection.found().nearest.index == "exact"
    collection.assert_right(exact=True)
    monkeypatch.undo()
    monkeypatch.setattr("app.index.searcher.SOME", LARGE)
    collection.collections.put("c", "s", "cosine", None, "ivf_flat")
    assert collection.collections.index_status("c").fault is None  # that was of the other kind
    assert (collection.built().kind, collection.services.warnings) == ("ivf_flat", [])


def test_another_kind_is_told_as_soon_as_it_is_asked_for(services, held_up):
    begun, may_go = held_up
    may_go.set()
    collection = Collection(services, "hnsw")
    collection.put(0, 2 * LARGE)
    assert collection.built().kind == "hnsw"
    may_go.clear()
    begun.clear()
    collection.collections.put("c", "s", "cosine", None, "ivf_flat")
    status = collection.collections.index_status("c")
    assert (status.kind, status.state, status.recall_at_10) == ("ivf_flat", "building", None)
    assert begun.wait(20)
    assert collection.found().nearest.index == "hnsw"
    may_go.set()
    assert (collection.built().kind, collection.built().state) == ("ivf_flat", "ready")
    collection.collections.put("c", "s", "cosine", None, "exact")
    assert collection.collections.index_status("c") == IndexStatus("exact", "exact")


def test_a_fault_is_forgotten_when_all_is_read_anew(collection, monkeypatch):
    def fails(*_):
        raise MemoryError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(Approximation, "built", fails)
        collection.put(0, 2 * LARGE)
        assert collection.built().fault
    for turn in range(1, 8):
        collection.put(0, 2 * LARGE, seed=turn)
        status = collection.built()
    assert (status.state, status.fault, collection.services.warnings) == ("ready", None, [])


@pytest.mark.parametrize(
    "error", [MemoryError("no room for 400 codes"), KeyError("nobody thought of it")], ids=repr
)
def test_an_index_that_cannot_be_built_is_told_and_searches_stay_right(collection, monkeypatch, error):
    def fails(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Approximation, "built", fails)
        collection.put(0, 2 * LARGE)
        status = collection.built()
        collection.put(2 * LARGE, 2 * LARGE + 1)
        assert collection.built() == status
    fault = f"ivf_sq8 cannot be built: {type(error).__name__}: {error}"
    assert (status.state, status.fault) == ("exact", fault)
    assert collection.services.warnings == [f"collection 'c': {fault}"]
    collection.assert_right(exact=True)
    collection.collections.put("c", "s", "cosine", None, "hnsw")  # another kind is tried
    assert (collection.built().kind, collection.services.warnings) == ("hnsw", [])


def test_a_collection_that_is_read_anew_is_built_anew(collection):
    for turn in range(8):  # so much garbage that all is read again
        collection.put(0, 2 * LARGE, seed=turn)
        status = collection.built()
    assert (status.state, status.points) == ("ready", 2 * LARGE)
    collection.assert_right()


def test_two_replicas_build_their_own(collection, replica):
    other = Collection(replica(), fresh=False)
    collection.put(0, 2 * LARGE)
    other.points = collection.points
    assert other.built().state == collection.built().state == "ready"
    other.assert_right()


@pytest.mark.parametrize("when", ["before", "while", "after"])
def test_a_collection_deleted_before_while_or_after_it_is_built_is_gone(collection, held_up, when):
    begun, may_go = held_up
    collection.put(0, 2 * LARGE)
    if when != "before":
        collection.collections.opened("c")
        assert begun.wait(20)
    if when == "after":
        may_go.set()
        collection.built()
    collection.collections.delete("c", None)
    may_go.set()
    collection.collections.indexing.wait()
    with pytest.raises(NotFound):
        collection.found()
    assert collection.collections.index_status("c") is None


# Saved


@pytest.fixture
def process(tmp_path):
    """process(): services of their own over one store and one folder of indexes."""
    opened = []

    def make():
        store = open_store(f"sqlite:///{tmp_path}/store.db")
        opened.append(store)
        return Services.over(store, Settings(index_folder=str(tmp_path / "indexes")))

    yield make
    for store in opened:
        store.close()


def not_built(*_):
    raise RuntimeError("built anew")


def test_a_restart_reads_what_was_built(process, tmp_path, monkeypatch):
    first = Collection(process())
    first.put(0, 2 * LARGE)
    before = first.built()
    assert (tmp_path / "indexes" / "c.index").exists()
    monkeypatch.setattr(Approximation, "built", not_built)
    second = Collection(process(), fresh=False)
    second.points = first.points
    assert second.built() == before
    second.assert_right()


def test_what_was_written_since_it_was_saved_is_found(process, monkeypatch):
    first = Collection(process())
    first.put(0, 2 * LARGE)
    first.built()
    first.put(0, 10, seed=5)
    first.put(2 * LARGE, 2 * LARGE + 10, seed=6)
    first.delete(50, 70)
    second = Collection(process(), fresh=False)
    second.points = first.points
    monkeypatch.setattr(Approximation, "built", not_built)
    assert second.built().state == "ready"
    second.assert_right()


def test_a_damaged_file_is_built_anew_and_written_again(process, tmp_path):
    first = Collection(process())
    first.put(0, 2 * LARGE)
    first.built()
    path = tmp_path / "indexes" / "c.index"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    second = Collection(process(), fresh=False)
    second.points = first.points
    assert (second.built().state, second.built().fault) == ("ready", None)
    assert len(path.read_bytes()) == len(data)
    second.assert_right()


def test_another_collection_of_that_name_is_built_anew(process):
    first = Collection(process())
    first.put(0, 2 * LARGE)
    first.built()
    other = process()
    with patch("app.index.saved.Saved.delete"):  # as after a restored backup
        other.collections.delete("c", None)
    other.collections.put("c", "s", "cosine", None)
    second = Collection(other, fresh=False)
    second.put(0, 2 * LARGE, seed=9)
    assert second.built().points == 2 * LARGE
    second.assert_right()


def test_deleting_a_collection_deletes_its_file(process, tmp_path):
    collection = Collection(process())
    collection.put(0, 2 * LARGE)
    collection.built()
    collection.collections.delete("c", None)
    assert list((tmp_path / "indexes").iterdir()) == []


# Scores of translators


def score(csls, seed=3):
    part = Part(torch.from_numpy(vectors(1, seed)[0]), None, *((2.0, 1.0) if csls else (1.0, 0.0)))
    return Fitted((part,), torch.from_numpy(vectors(30, seed)))


def assert_scored(collection, fitted, key, index):
    live = collection.collections.opened("c")[1]
    queries = vectors(20, seed=78)
    nearest = live.search_scored(queries, 10, key, fitted)
    ids, stored = list(collection.points), np.stack(list(collection.points.values()))
    double = Fitted.of_tensors({name: tensor.double() for name, tensor in fitted.tensors().items()})
    right = double(torch.from_numpy(queries).double(), torch.from_numpy(stored).double()).numpy()
    scores = np.array([[score for _, score in row] for row in nearest.hits])
    claimed = [
        [line[ids.index(point.id)] for point, _ in row] for line, row in zip(right, nearest.hits, strict=True)
    ]
    np.testing.assert_allclose(scores, claimed, rtol=1e-4, atol=1e-4)
    assert (scores >= -np.sort(-right, axis=1)[:, 9:10] - 1e-4).mean() >= 0.9
    assert nearest.index == index
    return nearest


@pytest.mark.parametrize("csls", [False, True])
@pytest.mark.parametrize("kind", ["ivf_sq8", "hnsw"])
def test_a_translators_score_gets_an_index_of_its_own(services, kind, csls):
    collection = Collection(services, kind)
    collection.put(0, 2 * LARGE)
    collection.built()
    assert assert_scored(collection, score(csls), "one", "exact").recall_at_10 is None
    collection.collections.indexing.wait()
    assert assert_scored(collection, score(csls), "one", kind).recall_at_10 >= 0.95
    collection.put(0, 50, seed=5)
    collection.put(2 * LARGE, 2 * LARGE + 50, seed=6)
    assert_scored(collection, score(csls), "one", kind)
    collection.built()
    assert_scored(collection, score(csls), "one", kind)


def test_writes_and_other_searches_go_on_while_the_statistics_of_points_are_computed(collection, monkeypatch):
    monkeypatch.setattr("app.service.live.AT_ONCE", 50)
    collection.put(0, LARGE - 20)
    begun, may_go, hubness, answers = threading.Event(), threading.Event(), Fitted._hubness, []

    def slow(self, codes):
        if threading.current_thread().name == "first":
            begun.set()
            assert may_go.wait(20)
        return hubness(self, codes)

    monkeypatch.setattr(Fitted, "_hubness", slow)
    live = collection.collections.opened("c")[1]
    first = threading.Thread(
        target=lambda: answers.append(live.search_scored(vectors(1, 9), LARGE, "one", score(True))), name="first"
    )
    first.start()
    assert begun.wait(20)
    assert live.search(vectors(1, 9), 5).index == "exact"
    writer = threading.Thread(target=collection.put, args=(LARGE - 20, LARGE - 10, 5))
    writer.start()
    may_go.set()
    for thread in (first, writer):
        thread.join(20)
    assert answers[0].prepare_seconds > 0
    assert_scored(collection, score(True), "one", "exact")
    assert assert_scored(collection, score(True), "one", "exact").prepare_seconds < answers[0].prepare_seconds


def test_a_job_that_fails_does_not_keep_the_next_from_being_done(caplog):
    indexing, done = Indexing(), threading.Event()
    indexing.ask(lambda: {}["nothing"])
    indexing.ask(done.set)
    assert done.wait(20)
    assert "a job of the indexes failed" in caplog.text


# On a device


def on_a_device(services, place=None):
    """Real indexes in main memory behind the owner, in place of a GPU."""
    place = place or (lambda index: Codes(index, 1.0, 0.0).copy().index)
    services.collections.indexing.owner = Owner(place, searched)
    return Collection(services)


def test_with_a_device_auto_takes_half_precision_and_searches_there(services):
    collection = on_a_device(services)
    collection.put(0, 2 * LARGE)
    assert collection.built().kind == "flat_fp16"
    collection.assert_right(exact=True)
    collection.delete(0, 50)
    collection.put(60, 80, seed=6)
    collection.assert_right(exact=True)
    assert services.collections.indexing.owner._copies
    assert services.warnings == []


def test_a_device_without_room_is_told_and_the_cpu_searches(services):
    def full(_):
        raise RuntimeError("out of memory")

    collection = on_a_device(services, full)
    collection.put(0, 2 * LARGE)
    collection.built()
    collection.assert_right(exact=True)
    assert services.warnings == ["an index is searched by the CPU, as the device fails: out of memory"]
    assert services.checks() == {"store": "ok", "index": "loading collections"}
