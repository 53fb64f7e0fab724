"""The log of segments, against a plain dict."""

import struct
from collections.abc import Iterable
from itertools import pairwise
from math import log2

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.store import rows as rows_module
from app.store.base import digest_of
from app.store.rows import GARBAGE, Log, Rows, merged

DIM = 2
FIVE_ROWS = 5 * (4 * DIM + len("000"))  # of ids as `numbered` gives
Item = tuple[bytes, bytes, bytes]  # a vector's bytes, a payload, an origin
NOTHING = Rows([], np.empty((0, DIM), np.float32), [])

numbers = st.floats(width=32)
objects = st.dictionaries(
    st.text(max_size=2), st.integers(0, 9) | st.text(max_size=2) | st.lists(st.none(), max_size=2)
)
payloads = st.just(b"") | objects.map(orjson.dumps)
origins = st.sampled_from([b"", b'{"space":"a"}', b'{"space":"b","translators":[{"name":"b-to-a","version":2}]}'])
ids = st.sampled_from([*"abcdefghijkl", "λ", "", "a b", '"', "7", 7, -(2**63)])


@st.composite
def changes(draw: st.DrawFn) -> Rows:
    """Ids are distinct, as the service sees to it; deletes may name what is not there, or what comes again."""
    written = draw(st.lists(ids, unique=True, max_size=9))
    vectors = [draw(st.tuples(*[numbers] * DIM)) for _ in written]
    array = np.array(vectors, np.float32).reshape(len(written), DIM)
    deletes = draw(st.lists(ids, unique=True, max_size=9))
    translated = [draw(origins) for _ in written] if draw(st.booleans()) else ()
    return Rows(written, array, [draw(payloads) for _ in written], deletes, translated)


histories = st.lists(changes(), max_size=12)
property_ = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Kept:
    """A log with only the blobs that it refers to, as a store keeps it, and the dict that it should say."""

    def __init__(self, history: Iterable[Rows] = ()) -> None:
        self.log, self.blobs, self.model = Log(), dict[str, bytes](), dict[str, Item]()
        for rows in history:
            self.append(rows)

    def append(self, rows: Rows) -> None:
        apply(self.model, rows)
        self.log = self.log.append(rows, len(self.model), self.read)
        self.blobs |= self.log.blobs
        self.blobs = {digest: self.blobs[digest] for digest in self.log.digests}

    def read(self, digest: str) -> bytes:
        return self.blobs[digest]

    def says(self, after: int = 0) -> list[Rows]:
        return self.log.read(self.read)[after:]

    @property
    def rows(self) -> int:
        return sum(segment.rows for segment in self.log.segments)


def apply(model: dict[str, Item], rows: Rows) -> None:
    for id_ in rows.deletes:
        model.pop(id_, None)
    for row, id_ in enumerate(rows.ids):
        model[id_] = (rows.vectors[row].tobytes(), rows.payloads[row], rows.origin(row))


def replayed(log: Iterable[Rows]) -> dict[str, Item]:
    model: dict[str, Item] = {}
    for rows in log:
        apply(model, rows)
    return model


def some(*ids: str, deletes: Iterable[str] = (), start: float = 0) -> Rows:
    """Rows without payloads, with vectors that count on from `start`."""
    vectors = np.arange(len(ids) * DIM, dtype=np.float32).reshape(-1, DIM) + np.float32(start)
    return Rows([*ids], vectors, [b""] * len(ids), [*deletes])


def numbered(n: int) -> list[str]:
    return [f"{number:03}" for number in range(n)]


@pytest.fixture(params=[rows_module.SEGMENT_BYTES, FIVE_ROWS], ids=["whole", "cut"])
def segment_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """So large that nothing is cut, and so small that a segment has five rows at most."""
    monkeypatch.setattr(rows_module, "SEGMENT_BYTES", request.param)
    return request.param


# --- what the log says


@property_
@given(histories)
def test_the_log_says_what_a_dict_would(segment_bytes, history):
    kept = Kept(history)
    assert replayed(kept.says()) == kept.model


@property_
@given(histories)
def test_the_log_keeps_the_order_of_a_dict(segment_bytes, history):
    kept = Kept(history)
    assert [*replayed(kept.says())] == [*kept.model]


@property_
@given(histories)
def test_merging_the_log_says_the_same(segment_bytes, history):
    kept = Kept(history)
    whole = merged([NOTHING, *kept.says()])
    assert [*replayed([whole]).items()] == [*kept.model.items()]


@property_
@given(st.lists(changes(), min_size=1, max_size=5), st.lists(changes(), max_size=3))
def test_merged_rows_do_to_others_what_they_did_one_by_one(rows, before):
    assert [*replayed([*before, merged(rows)]).items()] == [*replayed([*before, *rows]).items()]


@property_
@given(st.lists(changes(), min_size=1, max_size=5))
def test_merged_rows_have_every_id_once(rows):
    whole = merged(rows)
    assert len(whole.ids) == len(set(whole.ids)) == len(whole.vectors) == len(whole.payloads)


@property_
@given(histories)
def test_the_log_comes_back_from_json(segment_bytes, history):
    log = Kept(history).log
    assert Log.of(orjson.loads(orjson.dumps(log.to_json()))).segments == log.segments


@property_
@given(histories)
def test_blobs_are_named_by_their_checksums(history):
    kept = Kept(history)
    assert [digest_of(blob) for blob in kept.blobs.values()] == [*kept.blobs]


@property_
@given(histories, changes())
def test_an_append_brings_only_blobs_that_the_log_refers_to(segment_bytes, history, rows):
    kept = Kept(history)
    kept.append(rows)
    assert kept.log.blobs.keys() <= kept.log.digests


def test_a_row_written_again_keeps_its_place():
    kept = Kept([some("a", "b", "c"), some("b", start=9)])
    assert [*replayed(kept.says())] == ["a", "b", "c"]


def test_a_row_deleted_and_written_again_goes_to_the_end():
    kept = Kept([some("a", "b", "c"), some(deletes=["a"]), some("a")])
    assert [*replayed(kept.says())] == ["b", "c", "a"]


def test_deletes_go_before_the_rows_that_come_with_them():
    kept = Kept([some("a", "b"), some("a", deletes=["a"], start=9)])
    assert [*replayed(kept.says())] == ["b", "a"]


def test_a_row_that_was_deleted_does_not_come_back_when_segments_are_merged():
    kept = Kept([some(*numbered(100)), some("x"), some(deletes=["x", "r0"]), some(*numbered(90)[1:])])
    assert {"x", "r0"}.isdisjoint(replayed(kept.says()))


# --- the bytes


def test_vectors_are_exactly_little_endian_float32():
    kept = Kept([Rows(["a", "b"], np.array([[1, -2.5], [3e38, 1e-45]], np.float32), [b"", b""])])
    assert kept.read(kept.log.segments[0].vectors) == struct.pack("<4f", 1, -2.5, 3e38, 1e-45)


@pytest.mark.parametrize("dtype", [">f4", "<f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_layout_of_the_array_changes_no_byte(dtype, order):
    kept = Kept()
    kept.append(Rows(["a", "b"], np.array([[1, 2], [3, 4]], dtype, order=order), [b"", b""]))
    assert kept.read(kept.log.segments[0].vectors) == struct.pack("<4f", 1, 2, 3, 4)


def test_items_are_json():
    kept = Kept([some("z"), Rows(["a"], np.ones((1, DIM), np.float32), [b'{"x":1}'])])
    items = orjson.loads(kept.read(kept.log.segments[-1].items))
    assert items == {"ids": ["z", "a"], "payloads": [None, {"x": 1}], "deletes": []}


def test_vectors_are_read_as_float32():
    assert [rows.vectors.dtype for rows in Kept([some("a")]).says()] == [np.dtype("<f4")]


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b'{"null":null}', '{"λ":"😀"}'.encode(), b'{"n":18446744073709551615}']
)
def test_payloads_come_back_as_they_were_through_merges(payload):
    rows = Rows(["a"], np.ones((1, DIM), np.float32), [payload])
    kept = Kept([rows, some("b"), some("c")])
    assert replayed(kept.says())["a"] == (rows.vectors.tobytes(), payload, b"")


# --- nothing


def test_an_empty_log_says_nothing():
    assert Kept().says() == []


def test_an_empty_log_refers_to_no_blob():
    assert Log().digests == frozenset()


@pytest.mark.parametrize("times", [1, 2, 5])
def test_appending_nothing_to_an_empty_log_says_nothing(times):
    assert replayed(Kept([NOTHING] * times).says()) == {}


def test_appending_nothing_keeps_the_width():
    assert [rows.vectors.shape for rows in Kept([NOTHING]).says()] == [(0, DIM)]


@pytest.mark.parametrize("times", [1, 2, 5])
def test_appending_nothing_changes_nothing(times):
    kept = Kept([some(*numbered(9)), *[NOTHING] * times])
    assert replayed(kept.says()) == replayed([some(*numbered(9))])


def test_appending_nothing_many_times_adds_at_most_one_segment():
    assert len(Kept([some(*numbered(9)), *[NOTHING] * 20]).log.segments) <= 2


def test_deleting_everything_leaves_nothing():
    assert replayed(Kept([some(*numbered(9)), some(deletes=numbered(9))]).says()) == {}


def test_deleting_from_an_empty_log_leaves_nothing_behind():
    assert [rows.deletes for rows in Kept([some(deletes=["a"])]).says()] == [[]]


# --- the size


@property_
@given(histories)
def test_garbage_is_bounded(segment_bytes, history):
    kept = Kept(history)
    assert kept.rows <= GARBAGE * max(len(kept.model), 1)


def test_rewriting_one_row_for_ever_keeps_two_rows_at_most():
    assert Kept(some("a", start=number) for number in range(100)).rows <= GARBAGE


@pytest.mark.parametrize("living", [0, 1, 10])
def test_rows_that_come_and_go_leave_a_log_as_small_as_what_stays(living):
    comings = (change for id_ in numbered(200) for change in (some(id_), some(deletes=[id_])))
    kept = Kept([some(*[f"stays{n}" for n in range(living)]), *comings])
    assert kept.rows + sum(segment.deletes for segment in kept.log.segments) <= 2 * GARBAGE * max(living, 1)


@pytest.mark.parametrize("n", [1, 10, 100, 500])
def test_single_rows_make_logarithmically_many_segments(n):
    assert len(Kept(some(id_) for id_ in numbered(n)).log.segments) <= log2(n) + 1


def test_single_rows_after_a_big_segment_make_logarithmically_many_segments():
    kept = Kept([some(*[f"old{n}" for n in range(5000)]), *(some(id_) for id_ in numbered(300))])
    assert len(kept.log.segments) <= log2(300) + 2


def test_single_deletes_make_logarithmically_many_segments():
    kept = Kept([some(*numbered(1000)), *(some(deletes=[id_]) for id_ in numbered(300))])
    assert len(kept.log.segments) <= log2(300) + 2


def test_single_rows_write_each_row_logarithmically_many_times():
    kept, written = Kept(), 0
    for id_ in numbered(500):
        kept.append(some(id_))
        written += sum(len(blob) for blob in kept.log.blobs.values())
    assert written <= sum(len(blob) for blob in kept.blobs.values()) * (log2(500) + 1)


def test_segments_shrink_towards_the_newest():
    segments = Kept(some(id_) for id_ in numbered(300)).log.segments
    assert all(older.rows > newer.rows for older, newer in pairwise(segments))


@pytest.mark.parametrize("segment_bytes", [FIVE_ROWS], indirect=True)
@pytest.mark.parametrize(("n", "sizes"), [(1, [1]), (5, [5]), (6, [5, 1]), (12, [5, 5, 2])])
def test_many_rows_are_cut_into_segments(segment_bytes, n, sizes):
    assert [segment.rows for segment in Kept([some(*numbered(n))]).log.segments] == sizes


@pytest.mark.parametrize("segment_bytes", [1], indirect=True)
def test_a_row_larger_than_a_segment_has_one_of_its_own(segment_bytes):
    assert [segment.rows for segment in Kept([some("a", "b")]).log.segments] == [1, 1]


@pytest.mark.parametrize("segment_bytes", [1000], indirect=True)
def test_no_segment_is_merged_beyond_its_limit(segment_bytes):
    segments = Kept(some(id_) for id_ in numbered(100)).log.segments
    # the limit is of vectors, ids and payloads; a segment's bytes count JSON's punctuation too
    assert 500 < max(segment.bytes for segment in segments) <= 1200


@pytest.mark.parametrize("segment_bytes", [1000], indirect=True)
def test_payloads_count_towards_the_limit(segment_bytes):
    heavy = [Rows([id_], np.ones((1, DIM), np.float32), [b'{"text":"%s"}' % (b"x" * 900)]) for id_ in numbered(9)]
    assert [segment.rows for segment in Kept(heavy).log.segments] == [1] * 9


@pytest.mark.parametrize("segment_bytes", [FIVE_ROWS], indirect=True)
def test_deletes_come_with_the_first_of_the_parts(segment_bytes):
    kept = Kept([some(*[f"old{n}" for n in range(20)])])
    kept.append(some(*numbered(12), deletes=["old0"]))
    assert [segment.deletes for segment in kept.log.segments[-3:]] == [1, 0, 0]


# --- catching up


@property_
@given(histories, changes())
def test_whoever_has_the_unchanged_prefix_reads_only_what_comes_after(segment_bytes, history, rows):
    kept = Kept(history)
    before, segments = kept.says(), kept.log.segments
    kept.append(rows)
    same = [old == new for old, new in zip(segments, kept.log.segments, strict=False)]
    known = (*same, False).index(False)
    assert replayed([*before[:known], *kept.says(after=known)]) == kept.model


def test_an_append_of_few_rows_leaves_the_first_segments_as_they_are():
    kept = Kept([some(*numbered(100))])
    first = kept.log.segments[0]
    kept.append(some("new"))
    assert kept.log.segments[0] == first


def test_what_comes_after_the_last_segment_is_nothing():
    kept = Kept([some(*numbered(100)), some("new")])
    assert kept.says(after=len(kept.log.segments)) == []
