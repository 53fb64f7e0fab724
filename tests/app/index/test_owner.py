"""The owner of a device, over real indexes in the computer's own memory, and over a GPU where there is one."""

import gc
import threading

import numpy as np
import pytest

from app.errors import Busy
from app.index import Owner, TableIndex, gpu, gpus, searched
from app.index.faiss import Codes

DIM, POINTS = 8, 400


def vectors(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


def codes(kind="ivf_sq8"):
    stored = vectors(POINTS)
    made = Codes.learned(kind, stored, POINTS, reach=None)
    made.add(stored)
    return made


def copied(index):
    """What `place` gives where there is no device: another index of the same codes."""
    return Codes(index, 1.0, 0.0).copy().index


class Device:
    """Copies and searches as asked, and remembers it; searches wait while `open` is not set."""

    def __init__(self):
        self.open, self.entered = threading.Event(), threading.Event()
        self.open.set()
        self.searched, self.threads, self.placed = [], set(), []

    def place(self, index):
        self.threads.add(threading.current_thread().name)
        self.placed.append(copied(index))
        return self.placed[-1]

    def search(self, index, queries, k, effort):
        self.threads.add(threading.current_thread().name)
        self.searched.append((len(queries), k))
        self.entered.set()
        assert self.open.wait(10)
        return searched(index, queries, k, effort)


@pytest.fixture
def device():
    return Device()


@pytest.fixture
def owner(device):
    return Owner(device.place, device.search)


def held(owner, kind="ivf_sq8"):
    made = codes(kind)
    made.move_to(owner)
    return made


def later(function, *arguments):
    """Calls it in a thread; what it gives, or raises, is in the list once the thread is done."""
    answers = []

    def go():
        try:
            answers.append(function(*arguments))
        except Busy as error:
            answers.append(error)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    return thread, answers


@pytest.mark.parametrize("kind", ["flat_fp16", "ivf_sq8", "ivf_flat", "ivf_fp16"])
def test_the_device_finds_what_the_copy_at_hand_finds(owner, device, kind):
    there, here = held(owner, kind), codes(kind)
    assert (there.search(vectors(9, 1), 5, 3) == here.search(vectors(9, 1), 5, 3)).all()
    assert device.searched == [(9, 5)]


def test_a_graph_stays_where_it_is(owner):
    assert held(owner, "hnsw").held is None


def test_one_thread_alone_uses_the_device(owner, device):
    made = held(owner)
    threads = [later(made.search, vectors(3, seed), 5, 4)[0] for seed in range(20)]
    for thread in threads:
        thread.join(10)
    assert device.threads == {"device"}


def test_what_waits_together_is_searched_together_and_each_gets_its_own(owner, device):
    made, alike = held(owner), codes()
    device.open.clear()
    first, _ = later(made.search, vectors(1, 0), 5, 4)
    assert device.entered.wait(10)
    waiting = [later(made.search, vectors(n, seed=n), 5, 4) for n in (1, 2, 3)]
    while owner._jobs.qsize() < 3:
        pass
    device.open.set()
    for thread in (first, *(thread for thread, _ in waiting)):
        thread.join(10)
    assert device.searched == [(1, 5), (6, 5)]
    for n, (_, (places,)) in zip((1, 2, 3), waiting, strict=True):
        assert (places == alike.search(vectors(n, seed=n), 5, 4)).all()


def test_other_numbers_of_results_and_other_indexes_are_searched_apart(owner, device):
    made, other = held(owner), held(owner, "flat_fp16")
    device.open.clear()
    threads = [later(made.search, vectors(1), 5, 4)[0]]
    assert device.entered.wait(10)
    threads += [later(made.search, vectors(1), k, 4)[0] for k in (5, 7)]
    threads += [later(other.search, vectors(1), 5, 1)[0]]
    while owner._jobs.qsize() < 3:
        pass
    device.open.set()
    for thread in threads:
        thread.join(10)
    assert sorted(device.searched) == [(1, 5), (1, 5), (1, 5), (1, 7)]


def test_a_full_queue_is_refused_at_once(device):
    owner = Owner(device.place, device.search, waiting=2)
    made = held(owner)
    device.open.clear()
    threads = [later(made.search, vectors(1), 5, 4)[0]]
    assert device.entered.wait(10)
    threads += [later(made.search, vectors(1), 5, 4)[0] for _ in range(2)]
    while owner._jobs.qsize() < 2:
        pass
    with pytest.raises(Busy, match="2 searches wait"):
        made.search(vectors(1), 5, 4)
    device.open.set()
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize("failure", [MemoryError("cudaMalloc"), RuntimeError("StandardGpuResources: alloc fail")])
@pytest.mark.parametrize("step", ["place", "search"])
def test_a_device_that_fails_is_replaced_by_the_copy_at_hand_with_one_warning(device, failure, step):
    def fails(*_):
        raise failure

    works = {
        "place": device.place,
        "search": lambda index, *rest: (fails if index in device.placed else searched)(index, *rest),
    }
    owner = Owner(fails if step == "place" else works["place"], works["search"])
    made, alike = held(owner), codes()
    for _ in range(3):
        assert (made.search(vectors(4, 1), 5, 4) == alike.search(vectors(4, 1), 5, 4)).all()
    assert owner.warnings == [f"an index is searched by the CPU, as the device fails: {failure}"]


def test_what_fails_everywhere_is_told_to_those_who_wait(device):
    def fails(*_):
        raise RuntimeError("broken")

    made = held(Owner(device.place, fails))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            made.search(vectors(1), 5, 4)


def test_a_copy_goes_when_its_index_goes(owner, device):
    first, second = held(owner), held(owner)
    first.search(vectors(1), 5, 4)
    second.search(vectors(1), 5, 4)
    assert len(owner._copies) == 2
    del first
    gc.collect()
    for _ in range(2):  # the first search after still knows of it
        second.search(vectors(1), 5, 4)
    assert len(owner._copies) == 1


def test_masks_and_many_results_are_for_the_copy_at_hand(owner, device):
    made, alike = held(owner), codes()
    mask = np.arange(POINTS) % 2 == 0
    assert (made.search(vectors(3), 5, 4, mask) == alike.search(vectors(3), 5, 4, mask)).all()
    assert device.searched == []


# In an index


@pytest.fixture
def moved(owner, monkeypatch):
    """An index on the device, after some were removed and others added."""
    for name in ("FEW", "BEHIND"):
        monkeypatch.setattr(f"app.index.searcher.{name}", 0)
    index = TableIndex(DIM, "cosine")
    index.put(np.arange(POINTS), vectors(POINTS))
    searcher = index.by_metric
    searcher.approximation = searcher.improved("flat_fp16", searcher.snapshot())
    searcher.approximation.codes.move_to(owner)
    index.remove(np.arange(0, POINTS, 3))
    index.put(np.arange(POINTS, POINTS + 20), vectors(20, seed=5))
    return index


def test_what_is_gone_is_not_found_and_what_is_new_is(moved, device):
    queries = vectors(10, seed=9)
    found, right = moved.search(queries, 15), moved.by_metric.view.nearest(queries, 15)
    assert (found.slots == right.slots).all()
    assert len(device.searched) == 1


def test_filters_are_for_the_copy_at_hand(moved, device):
    allowed = np.arange(POINTS + 20) % 2 == 0
    queries = vectors(10, seed=9)
    found = moved.search(queries, 15, allowed)
    right = moved.by_metric.view.nearest(queries, 15, moved.table.taken & allowed)
    assert (found.slots == right.slots).all()
    assert device.searched == []


def test_no_neighbours_left_on_the_device_are_looked_for_exactly(moved):
    stored = moved.table.vectors[:1].copy()
    moved.remove(moved.by_metric.view.nearest(stored, 150).slots[0])
    found, right = moved.search(stored, 10), moved.by_metric.view.nearest(stored, 10)
    assert (found.slots == right.slots).all()


@pytest.mark.skipif(not gpus(), reason="no GPU, or a FAISS for the CPU")
@pytest.mark.parametrize("kind", ["flat_fp16", "ivf_flat", "ivf_fp16", "ivf_sq8"])
def test_a_gpu_finds_what_the_cpu_finds(kind):
    made, alike = held(Owner(gpu(), searched), kind), codes(kind)
    there, here = made.search(vectors(50, 1), 10, 8), alike.search(vectors(50, 1), 10, 8)
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(there.tolist(), here.tolist(), strict=True)]) > 0.95
    assert made.held.owner.warnings == []
