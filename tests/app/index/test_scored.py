"""An index of codes finds what the score itself ranks first, with the score's own numbers."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from app.index import SCORES, Scored
from app.index.scoring import Cosine
from app.index.searcher import Searcher
from app.index.table import Table
from app.service.live import Live
from app.store.rows import Log, Rows
from models.blend import Fitted, Part

DIM, RANK, SAMPLE = 6, 4, 30
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def vectors(n, seed=0, dim=DIM):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def slots(*numbers):
    return np.array(numbers, np.int64)


def fitted(*kinds, seed=3):
    """A score of parts of either kind, (in some directions or in all, with CSLS or without)."""
    means, parts = [torch.from_numpy(vectors(1, seed)[0]), torch.zeros(DIM)], []
    for number, (projected, csls) in enumerate(kinds, seed + 1):
        projection = torch.from_numpy(vectors(DIM, number, RANK)) if projected else None
        parts.append(Part(means[len(parts) % 2], projection, *((0.8, 0.4) if csls else (0.5, 0.0))))
    return Fitted(tuple(parts), torch.from_numpy(vectors(SAMPLE, seed + 2)))


def scores_of(score, queries, stored):
    """(m, n) by the definition, in double precision."""
    double = Fitted.of_tensors({name: tensor.double() for name, tensor in score.tensors().items()})
    return double(torch.from_numpy(queries).double(), torch.from_numpy(stored).double()).numpy()


KINDS = [(projected, csls) for projected in (False, True) for csls in (False, True)]
SUMS = [*((kind,) for kind in KINDS), KINDS, [KINDS[2], KINDS[3]]]
NAMES = ["cosine", "csls", "projected-cosine", "projected-csls", "sum", "projected-sum"]


@pytest.fixture(params=SUMS, ids=NAMES)
def score(request):
    return fitted(*request.param)


@pytest.fixture
def index(scored, score):
    return scored(DIM, Scored(score))


def assert_alike(index, stored, queries, k=1000):
    """stored: {slot: vector}; the same scores, and slots that have them; the best, or nearly all of them."""
    taken = list(stored)
    right = scores_of(index.by_metric.scoring.score, queries, np.stack(list(stored.values())))
    found, at, *_ = index.search(queries, k)
    best = -np.sort(-right, axis=1)[:, :k]
    claimed = [[right[row, taken.index(slot)] for slot in line] for row, line in enumerate(at.tolist())]
    np.testing.assert_allclose(found, claimed, **CLOSE)
    assert found.shape == best.shape
    assert (found >= best[:, -1:] - 1e-4).mean() >= (1.0 if index.kind == "exact" else 0.9)


@pytest.mark.parametrize("k", [1, 7, 1000])
@pytest.mark.parametrize("queries", [1, 40])
def test_search_finds_what_the_score_says(index, k, queries):
    stored = vectors(50)
    index.put(np.arange(50), stored)
    assert_alike(index, dict(enumerate(stored)), vectors(queries, seed=9), k)


def test_a_slot_that_is_put_again_has_the_new_vector_alone(index):
    first, second = vectors(10), vectors(4, seed=5)
    index.put(np.arange(10), first)
    index.put(slots(0, 3, 6, 9), second)
    assert len(index) == 10
    assert_alike(index, {**dict(enumerate(first)), **dict(zip((0, 3, 6, 9), second, strict=True))}, vectors(3, 9))


def test_removed_slots_are_found_no_more(index):
    stored = dict(enumerate(vectors(10)))
    index.put(np.arange(10), np.stack(list(stored.values())))
    index.remove(slots(2, 7, 99))
    assert_alike(index, {slot: row for slot, row in stored.items() if slot not in (2, 7)}, vectors(3, 9))


def test_nothing_put_and_nothing_removed_is_nothing(index):
    index.put(slots(), vectors(0))
    index.remove(slots())
    assert len(index) == 0
    assert [part.shape for part in index.search(vectors(2), 3)[:2]] == [(2, 0), (2, 0)]


def test_vectors_that_are_no_block_of_memory_are_read_right(index):
    stored = np.asfortranarray(vectors(20))
    index.put(np.arange(20), stored)
    assert_alike(index, dict(enumerate(stored)), np.asfortranarray(vectors(3, 9)))


def test_only_allowed_slots_are_found(index):
    stored = dict(enumerate(vectors(30)))
    index.put(np.arange(30), np.stack(list(stored.values())))
    allowed = np.arange(25) % 3 == 0
    score = index.by_metric.scoring.score
    right = scores_of(score, vectors(2, 9), np.stack(list(stored.values())))[:, :25][:, allowed]
    found, at, *_ = index.search(vectors(2, 9), 5, allowed)
    np.testing.assert_allclose(found, -np.sort(-right, axis=1)[:, :5], **CLOSE)
    assert allowed[at].all()


def test_hubs_come_later_by_csls_than_by_cosine(scored):
    """A point near all translated anchors loses to one that is near the query alone."""
    query = np.array([[1, 0, 0, 0, 0, 0]], np.float32)
    hub, own = np.array([0.9, 0.436, 0, 0, 0, 0], np.float32), np.array([0.88, 0, 0.475, 0, 0, 0], np.float32)
    sample = torch.from_numpy(np.tile(hub / np.linalg.norm(hub), (10, 1)))
    best = {}
    for name, weights in (("cosine", (1.0, 0.0)), ("csls", (2.0, 1.0))):
        index = scored(DIM, Scored(Fitted((Part(torch.zeros(DIM), None, *weights),), sample)))
        index.put(slots(0, 1), np.stack([hub, own]))
        best[name] = int(index.search(query, 1)[1][0, 0])
    assert best == {"cosine": 0, "csls": 1}


# In a collection that changes


class Written:
    """A collection in memory beside the dict that it stands for."""

    def __init__(self):
        self.live, self.log, self.blobs, self.position = Live(DIM, "cosine"), Log(), {}, 0
        self.points = {}

    def write(self, points, deletes=()):
        stored = np.stack(list(points.values())) if points else vectors(0)
        self.points = {id_: row for id_, row in self.points.items() if id_ not in deletes} | points
        rows = Rows(list(points), stored, [b""] * len(points), list(deletes))
        self.log = self.log.append(rows, len(self.points), self.blobs.__getitem__)
        self.blobs |= self.log.blobs
        self.position += 1
        self.live.catch_up(self.position, self.log, self.blobs.__getitem__)

    def assert_scored(self, key, score, k=1000):
        queries = vectors(4, seed=77)
        right = scores_of(score, queries, np.stack(list(self.points.values())))
        ids = list(self.points)
        for row, hits in enumerate(self.live.search_scored(queries, k, key, score).hits):
            assert sorted(point.id for point, _ in hits) == sorted(ids) or len(hits) == k
            np.testing.assert_allclose([found for _, found in hits], -np.sort(-right[row])[:k], **CLOSE)
            claimed = [right[row, ids.index(point.id)] for point, _ in hits]
            np.testing.assert_allclose([found for _, found in hits], claimed, **CLOSE)


@pytest.fixture
def written():
    written = Written()
    written.write({f"p{number}": row for number, row in enumerate(vectors(20))})
    return written


def test_points_of_before_the_first_search_are_scored(written, score):
    written.assert_scored("one", score)


def test_upserts_and_deletes_after_the_first_search_are_scored(written, score):
    written.assert_scored("one", score)
    written.write({"p3": vectors(1, 40)[0], "new": vectors(1, 41)[0]}, ["p5", "p6"])
    written.assert_scored("one", score)


def test_a_collection_that_is_loaded_anew_is_scored_anew(written, score):
    written.assert_scored("one", score)
    for seed in range(40):  # so much garbage that all is read again
        written.write({f"p{number}": row for number, row in enumerate(vectors(20, seed))})
    written.assert_scored("one", score)


def test_a_collection_that_was_emptied_finds_nothing(written, score):
    written.assert_scored("one", score)
    written.write({}, list(written.points))
    assert written.live.search_scored(vectors(2), 3, "one", score).hits == [[], []]


def test_more_points_than_are_scored_at_once_are_all_scored(monkeypatch, written, score):
    monkeypatch.setattr("app.service.live.AT_ONCE", 3)
    written.assert_scored("one", score)


def test_translators_do_not_share_their_scores(written):
    for turn in range(2):
        for number, kind in enumerate(KINDS):
            written.assert_scored(str(number), fitted(kind, seed=number))
        written.write({f"turn-{turn}": vectors(1, 50 + turn)[0]})


def test_more_translators_than_are_kept_are_scored_right_again_and_again(written):
    scores = [fitted(KINDS[number % 4], seed=10 * number) for number in range(SCORES + 2)]
    for turn in range(2):
        for number, score in enumerate(scores):
            written.assert_scored(str(number), score)
        written.write({f"turn-{turn}": vectors(1, 50 + turn)[0]}, ["p0"])
    assert len(written.live._index.by_score) == SCORES


def test_codes_that_others_put_out_before_they_are_used_are_computed_again(written, score):
    live, alone = written.live, written.live._turn.alone

    @contextmanager
    def put_out_after():
        with alone():
            yield
        live._turn.alone = alone
        live._index.by_score.clear()

    live._turn.alone = put_out_after
    written.assert_scored("one", score)


def test_plain_search_stays_plain_cosine(written, score):
    written.assert_scored("one", score)
    query = vectors(1, 9)
    (hits,) = written.live.search(query, 1).hits
    stored = np.stack(list(written.points.values()))
    cosine = stored @ query[0] / np.linalg.norm(stored, axis=1) / np.linalg.norm(query)
    np.testing.assert_allclose(hits[0][1], cosine.max(), **CLOSE)


def test_the_effort_suffices_for_translated_vectors_which_lie_apart_from_what_is_stored():
    """Points lie in clusters, translations between them: what is enough for points is not for these."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((400, 32)).repeat(50, 0)
    stored = (centres + 0.3 * rng.standard_normal((20000, 32))).astype(np.float32)
    sample = torch.from_numpy(rng.standard_normal((300, 32)).astype(np.float32))
    recalls = {}
    for name, scoring in (("points", Cosine()), ("translated", alone(sample))):
        searcher = Searcher(table_of(stored), scoring)
        searcher.put(np.arange(len(stored)))
        right = searcher.search(sample.numpy(), 10).scores
        searcher.approximation = searcher.improved("ivf_sq8", searcher.snapshot())
        found = searcher.search(sample.numpy(), 10).scores
        recalls[name] = (found >= right[:, -1:] - 1e-6).mean()
    assert recalls["translated"] > 0.97 > recalls["points"]


def alone(sample):
    return Scored(Fitted((Part(torch.zeros(sample.shape[1]), None, 1.0, 0.0),), sample))


def table_of(stored):
    table = Table(stored.shape[1])
    table.put(np.arange(len(stored)), stored)
    return table


@pytest.mark.parametrize("tiny", [False, True])
def test_a_sum_of_unlike_parts_is_proposed_by_one_code_whatever_a_point_among_them_is(tiny):
    """Of which the first, tiny here, was all there was to learn the lengths of the parts from."""
    rng = np.random.default_rng(0)
    stored = rng.standard_normal((6000, 48)).astype(np.float32)
    stored[0] *= 1e-6 if tiny else 1
    projection = torch.from_numpy(
        rng.standard_normal((48, 40)).astype(np.float32) * np.linspace(2, 1, 40, dtype="f4")
    )
    parts = Part(torch.zeros(48), projection, 1.6, 0.8), Part(torch.full((48,), 0.1), None, 0.2, 0.1)
    queries = rng.standard_normal((200, 48)).astype(np.float32)
    scoring = Scored(Fitted(parts, torch.from_numpy(queries)))
    searcher = Searcher(table_of(stored), scoring)
    for part in np.split(np.arange(6000), [1]):
        searcher.put(part)
    right = searcher.search(queries, 10).scores
    searcher.approximation = searcher.improved("ivf_sq8", searcher.snapshot())
    found = searcher.search(queries, 10).scores
    assert (found >= right[:, -1:] - 1e-6).mean() > 0.95


@pytest.mark.parametrize(("spread", "worth"), [(0.05, True), (3.0, False)])
def test_an_approximation_that_looks_at_much_is_passed_over_by_who_is_choosy(spread, worth):
    """In tight clusters a few lists are enough; without any, neighbours lie in all of them."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((400, 48)).repeat(50, 0)
    searcher = Searcher(
        table_of((centres + spread * rng.standard_normal((20000, 48))).astype(np.float32)), Cosine()
    )
    searcher.put(np.arange(20000))
    searcher.approximation = searcher.improved("ivf_sq8", searcher.snapshot())
    assert searcher.approximation.serves(choosy=True) is worth
    queries = searcher.table.vectors[:3]
    assert searcher.search(queries, 5).proposer == "ivf_sq8"
    assert searcher.search(queries, 5, choosy=True).proposer == ("ivf_sq8" if worth else "exact")
