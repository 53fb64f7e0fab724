"""Saved approximations: what a file is believed, and what it is not."""

import logging
import os
from dataclasses import replace

import numpy as np
import pytest

from app.index import INDEXES, METRICS, Saved, TableIndex
from app.index.saved import DIGEST, KEPT, fingerprints, matched

DIM, POINTS = 8, 600
KINDS = [kind for kind in INDEXES if kind != "exact"]


def vectors(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


def index_of(stored, metric="cosine"):
    index = TableIndex(DIM, metric)
    index.put(np.arange(len(stored)), stored)
    return index


def built(index, kind="ivf_sq8"):
    searcher = index.by_metric
    searcher.approximation = searcher.improved(kind, searcher.snapshot())
    return searcher.approximation


def loaded(file, index, kind="ivf_sq8"):
    """From the file, as a new process would."""
    searcher = index.by_metric
    searcher.approximation = Saved(file.path, file.metric).load(kind, searcher.snapshot())
    return searcher.approximation


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr("app.index.searcher.FEW", 0)
    return Saved(tmp_path / "folder" / "docs.index", "cosine")


@pytest.fixture
def index(file):
    """Of which the file has what was built."""
    index = index_of(vectors(POINTS))
    file.save(built(index), index.by_metric.view)
    return index


def assert_searches(index):
    """As if all were compared, nearly."""
    queries = vectors(30, seed=9)
    found, right = index.search(queries, 10), index.by_metric.view.nearest(queries, 10)
    assert index.table.taken[found.slots].all()
    assert (found.scores >= right.scores[:, -1:]).mean() >= 0.9


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_searches_as_before(tmp_path, monkeypatch, kind, metric):
    monkeypatch.setattr("app.index.searcher.FEW", 0)
    index, file = index_of(vectors(POINTS), metric), Saved(tmp_path / "docs.index", metric)
    before = built(index, kind)
    file.save(before, index.by_metric.view)
    found = index.search(vectors(20, 9), 10)
    after = loaded(file, index, kind)
    again = index.search(vectors(20, 9), 10)
    assert (again.slots == found.slots).all()
    assert (again.scores == found.scores).all()
    same = ("kind", "learned", "effort", "recall_at_10", "recall_at_30", "built_at")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    assert (after.slots == before.slots).all()


def test_nothing_is_saved_is_nothing_to_load(file, caplog):
    assert loaded(file, index_of(vectors(POINTS))) is None
    assert caplog.messages == []


@pytest.mark.parametrize("length", [0, 1, DIGEST, DIGEST + 5, -1, -100])
def test_a_torn_file_is_not_believed(file, index, length, caplog):
    data = file.path.read_bytes()
    file.path.write_bytes(data[:length])
    assert loaded(file, index) is None
    assert "does not match its checksum" in caplog.text


def test_no_byte_of_a_file_may_differ(file, index):
    data = file.path.read_bytes()
    for place in range(0, len(data), len(data) // 60):
        file.path.write_bytes(data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :])
        assert loaded(file, index) is None
    file.path.write_bytes(data)
    assert loaded(file, index) is not None


def test_a_longer_file_is_not_believed(file, index):
    file.path.write_bytes(file.path.read_bytes() + b"\0")
    assert loaded(file, index) is None


def test_a_file_that_cannot_be_read_is_as_none(file, index, caplog):
    file.path.unlink()
    file.path.mkdir()
    assert loaded(file, index) is None
    assert "is built anew" in caplog.text


def test_a_file_that_cannot_be_written_is_none(tmp_path, caplog):
    (tmp_path / "folder").write_text("in the way")
    file, index = Saved(tmp_path / "folder" / "docs.index", "cosine"), index_of(vectors(POINTS))
    file.save(built(index), index.by_metric.view)
    assert "is not saved" in caplog.text


@pytest.mark.parametrize(("metric", "kind"), [("ip", "ivf_sq8"), ("cosine", "hnsw")])
def test_a_file_of_another_metric_or_kind_is_not_for_us(file, index, metric, kind):
    assert loaded(Saved(file.path, metric), index_of(vectors(POINTS), metric), kind) is None


def test_a_file_of_other_widths_is_not_for_us(file, index):
    other = TableIndex(DIM + 1, "cosine")
    other.put(np.arange(5), np.ones((5, DIM + 1), np.float32))
    assert loaded(file, other) is None


def test_a_file_of_another_collection_of_that_name_is_not_believed(file, index):
    assert loaded(file, index_of(vectors(POINTS, seed=4))) is None


def test_an_older_file_is_believed_for_what_has_not_changed(file, index):
    """As after a restart: the same points lie in other slots, some are gone, changed or new."""
    stored = np.concatenate([vectors(POINTS)[100:], vectors(50, seed=5), vectors(POINTS)[:60] + np.float32(0.5)])
    later = index_of(stored[np.random.default_rng(1).permutation(len(stored))])
    known = loaded(file, later)
    codes = (known.slots >= 0).sum()
    assert codes == POINTS - 100
    original = {row.tobytes() for row in vectors(POINTS)[100:]}
    assert {later.table.vectors[slot].tobytes() for slot in known.slots[known.slots >= 0]} == original
    assert_searches(later)
    assert later.by_metric.is_due("ivf_sq8") is False  # what is new is little, and searched exactly


def test_vectors_that_points_share_are_each_believed_once(file):
    stored = np.concatenate([vectors(300), vectors(200)])  # 200 twice
    first = index_of(stored)
    file.save(built(first), first.by_metric.view)
    later = index_of(np.concatenate([vectors(250), vectors(50)]))  # 50 twice
    known = loaded(file, later)
    slots = known.slots[known.slots >= 0]
    assert sorted(slots.tolist()) == list(range(300))
    assert_searches(later)


def test_codes_of_vectors_that_were_replaced_before_saving_stand_for_nobody(file):
    index = index_of(vectors(POINTS))
    near = built(index)
    index.put(np.arange(40), vectors(40, seed=6))
    file.save(near, index.by_metric.view)
    assert (loaded(file, index_of(vectors(POINTS))).slots >= 0).sum() == POINTS - 40


def test_a_file_is_written_again_when_a_tenth_is_new(file, index):
    near = index.by_metric.approximation
    for size, again in ((30, False), (29, False), (1, True)):
        index.put(np.arange(index.table.size, index.table.size + size), vectors(size, seed=size))
        view = index.by_metric.snapshot()
        near = near.grown(view, (view.taken & ~near.covered(view)).nonzero()[0])
        before = file.path.stat().st_mtime_ns
        os.utime(file.path, ns=(before - 10**9, before - 10**9))
        file.save(near, view)
        assert (file.path.stat().st_mtime_ns != before - 10**9) is again


def test_no_half_file_is_left_beside(file, index):
    assert [path.name for path in file.path.parent.iterdir()] == ["docs.index"]


def test_a_deleted_file_is_gone(file, index):
    file.delete()
    file.delete()
    assert list(file.path.parent.iterdir()) == []


def test_fingerprints_are_of_the_bits():
    stored = vectors(500)
    prints = fingerprints(stored, np.arange(500))
    assert len(set(prints.tolist())) == 500
    assert (fingerprints(stored[::-1].copy(), np.arange(500))[::-1] == prints).all()
    nudged = stored.copy()
    nudged[7, 3] = np.nextafter(nudged[7, 3], np.float32(9))
    assert (fingerprints(nudged, np.arange(500)) != prints).tolist() == [row == 7 for row in range(500)]


@pytest.mark.parametrize("seed", range(20))
def test_matching_pairs_equals_once(seed):
    random = np.random.default_rng(seed)
    wanted, known = (random.integers(12, size=random.integers(0, 30)).astype(np.uint64) for _ in range(2))
    places = matched(wanted, known)
    for value in range(12):
        at = places[wanted == value]
        assert (at >= 0).sum() == min((wanted == value).sum(), (known == value).sum())
        assert (known[at[at >= 0]] == value).all()
    assert len(set(places[places >= 0].tolist())) == (places >= 0).sum()


@pytest.fixture(autouse=True)
def logged(caplog):
    caplog.set_level(logging.WARNING, logger="anchorage")


def test_a_file_that_cannot_be_deleted_stays(file, index, caplog):
    file.path.unlink()
    file.path.mkdir()
    file.delete()
    assert f"{file.path} is not deleted" in caplog.text
    Saved(file.path / "not" / "a" / "folder", "cosine").delete()


def test_what_a_broken_write_left_goes_with_the_file(file, index):
    left = file.path.with_name("docs.index.tmp")
    left.write_bytes(b"half of it")
    file.delete()
    assert not file.path.exists()
    assert not left.exists()


def test_what_was_measured_is_kept(file, index):
    near = replace(built(index), fetch=4, effort_at_first=8, made_at="later")
    file.save(near, index.by_metric.view)
    again = loaded(file, index)
    assert {name: getattr(again, name) for name in KEPT} == {name: getattr(near, name) for name in KEPT}


@pytest.mark.parametrize("kind", ["ivf_flat", "ivf_sq8"])
def test_one_that_was_made_anew_is_written_again(file, index, kind):
    """Though it has no more codes."""
    near = replace(built(index, kind), made_at="later")
    file.save(near, index.by_metric.view)
    assert loaded(file, index, kind).made_at == "later"
