"""What base.py promises, for every store."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import InUse, NotFound, StaleWrite
from app.store import STORES, Record, Store, Write, open_store
from app.store.base import digest_of

THREADS = 8


def put(store: Store, name: str, value: dict | None = None, *, kind="thing", seen=0, **more) -> Record:
    return store.commit(Write(kind, name, seen, {} if value is None else value, **more))


def rewrite(store: Store, record: Record, value: dict | None = None, **more) -> Record:
    return put(store, record.name, value, kind=record.kind, seen=record.position, **more)


def delete(store: Store, record: Record) -> Record | None:
    return store.commit(Write(record.kind, record.name, record.position, None))


def holding(*blobs: bytes) -> dict:
    """The arguments of a write that brings `blobs` along."""
    named = {digest_of(blob): blob for blob in blobs}
    return {"blobs": named, "refers": frozenset(named)}


def names(store: Store, after: str = "", limit: int = 100, kind: str = "thing") -> list[str]:
    return [record.name for record in store.page(kind, after, limit)]


def on(*records: Record) -> dict:
    """The arguments of a write that rests on `records`."""
    return {"rests_on": tuple((record.kind, record.name) for record in records)}


def test_the_contract_runs_over_every_class_of_store(store_schemes):
    assert {STORES[scheme] for scheme in store_schemes} == set(STORES.values())


# --- an empty store


def test_an_absent_record_is_none(store):
    assert store.get("thing", "absent") is None


def test_an_absent_blob_is_none(store):
    assert store.blob(digest_of(b"absent")) is None


def test_an_empty_store_has_an_empty_page(store):
    assert store.page("thing", "", 10) == []


def test_before_the_first_write_the_position_is_0(store):
    assert store.position("thing") == 0


def test_a_store_that_was_used_exists(store):
    assert store.position("thing") == 0
    assert store.exists()


# --- records


def test_commit_returns_the_record_that_get_returns(store):
    assert put(store, "a", {"x": 1}) == store.get("thing", "a")


def test_a_record_says_what_was_written(store):
    record = put(store, "a", {"x": 1})
    assert (record.kind, record.name, record.value) == ("thing", "a", {"x": 1})


def test_versions_count_the_writes_of_a_record(store):
    first = put(store, "a")
    second = rewrite(store, first)
    assert [first.version, second.version, rewrite(store, second).version] == [1, 2, 3]


def test_versions_of_one_record_ignore_the_others(store):
    put(store, "a")
    put(store, "a", kind="other")
    assert put(store, "b").version == 1


def test_positions_count_the_writes_of_the_whole_store(store):
    first = put(store, "a")
    others = put(store, "b"), put(store, "a", kind="other")
    records = [first, *others, rewrite(store, first)]
    assert [record.position for record in records] == [1, 2, 3, 4]


def test_a_rewrite_replaces_the_value(store):
    rewrite(store, put(store, "a", {"x": 1}), {"y": 2})
    assert store.get("thing", "a").value == {"y": 2}


def test_a_new_record_was_updated_when_it_was_created(store):
    record = put(store, "a")
    assert record.updated_at == record.created_at


def test_a_rewrite_keeps_created_at(store):
    first = put(store, "a")
    time.sleep(0.005)
    assert rewrite(store, first).created_at == first.created_at


def test_a_rewrite_moves_updated_at(store):
    first = put(store, "a")
    time.sleep(0.005)
    assert rewrite(store, first).updated_at > first.updated_at


def test_times_are_iso_8601_in_utc_with_milliseconds(store):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", put(store, "a").created_at)


def test_one_name_may_be_taken_in_two_kinds(store):
    put(store, "a", {"x": 1})
    put(store, "a", {"x": 2}, kind="other")
    assert (store.get("thing", "a").value, store.get("other", "a").value) == ({"x": 1}, {"x": 2})


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"λ": 'Σ, 😀, \u2028, \\, " and \x00'},
        {"list": [], "object": {}, "text": ""},
        {"a": {"b": [{"c": [[1], [2, [3]]]}]}},
        {"null": None, "true": True, "zero": 0, "minus": -1},
        {"largest": 2**64 - 1, "least": -(2**63), "tenth": 0.1, "tiny": 5e-324, "huge": 1.7976931348623157e308},
        {"long": "x" * 1_000_000},
    ],
    ids=["empty", "unicode", "empty parts", "nested", "constants", "numbers", "long"],
)
def test_values_come_back_as_they_were(store, value):
    put(store, "a", value)
    assert store.get("thing", "a").value == value


# --- deletes


def test_a_delete_returns_none(store):
    assert delete(store, put(store, "a")) is None


def test_a_deleted_record_is_absent(store):
    delete(store, put(store, "a"))
    assert store.get("thing", "a") is None


def test_a_deleted_record_is_on_no_page(store):
    delete(store, put(store, "a"))
    put(store, "b")
    assert names(store) == ["b"]


def test_a_name_taken_again_goes_on_with_its_versions(store):
    for version in (2, 4, 6):
        delete(store, last := rewrite(store, put(store, "a")))
        assert last.version == version
    assert put(store, "b").version == 1


def test_a_delete_of_nothing_does_not_begin_the_versions_again(store):
    delete(store, put(store, "a"))
    assert store.commit(Write("thing", "a", 0, None)) is None
    assert put(store, "a").version == 2


def test_a_name_taken_again_gets_a_new_position(store):
    first = put(store, "a")
    delete(store, first)
    assert put(store, "a").position > first.position


def test_a_name_taken_again_was_created_again(store):
    first = put(store, "a")
    delete(store, first)
    time.sleep(0.005)
    assert put(store, "a").created_at > first.created_at


def test_whoever_saw_the_deleted_record_is_stale_when_the_name_is_taken_again(store):
    first = put(store, "a")
    delete(store, first)
    put(store, "a")
    with pytest.raises(StaleWrite):
        rewrite(store, first)


# --- pages

PREFIXES = ["a", "a-", "a-b", "a.b", "a0", "a_", "aa", "ab", "b"]  # in the order of their bytes


@pytest.fixture
def filled(store: Store) -> Store:
    for name in reversed(PREFIXES):
        put(store, name, {"name": name})
    return store


def test_a_page_is_ordered_by_name(filled):
    assert names(filled) == PREFIXES


def test_a_page_holds_the_records_as_get_returns_them(filled):
    assert filled.page("thing", "", 100) == [filled.get("thing", name) for name in PREFIXES]


@pytest.mark.parametrize("limit", [1, 2, 8, 9, 10])
def test_a_page_has_at_most_limit_records(filled, limit):
    assert names(filled, limit=limit) == PREFIXES[:limit]


@pytest.mark.parametrize("after", PREFIXES)
def test_a_page_starts_after_the_name_given(filled, after):
    assert names(filled, after) == PREFIXES[PREFIXES.index(after) + 1 :]


@pytest.mark.parametrize(("after", "first"), [("0", "a"), ("a+", "a-"), ("a1", "a_"), ("abc", "b")])
def test_a_page_may_start_after_a_name_that_is_absent(filled, after, first):
    assert names(filled, after, 1) == [first]


def test_after_the_last_name_comes_an_empty_page(filled):
    assert names(filled, PREFIXES[-1]) == []


def test_after_and_limit_together_give_the_next_page(filled):
    assert names(filled, "a-b", 3) == ["a.b", "a0", "a_"]


@pytest.mark.parametrize("other", ["thin", "things", "thing:", "other"])
def test_a_page_holds_no_other_kind(filled, other):
    put(filled, "of another kind", kind=other)
    assert names(filled) == PREFIXES


# --- positions of kinds


def test_the_position_of_a_kind_is_that_of_its_last_write(store):
    put(store, "a")
    assert put(store, "b").position == store.position("thing")


def test_the_position_of_a_kind_ignores_other_kinds(store):
    last = put(store, "a")
    put(store, "a", kind="other")
    assert store.position("thing") == last.position


def test_a_rewrite_moves_the_position_of_its_kind(store):
    first = put(store, "a")
    assert rewrite(store, first).position == store.position("thing") > first.position


def test_a_delete_moves_the_position_of_its_kind(store):
    first = put(store, "a")
    delete(store, first)
    assert store.position("thing") > first.position


# --- stale writes


def test_creating_what_exists_is_stale(store):
    put(store, "a")
    with pytest.raises(StaleWrite, match="thing 'a' was written by somebody else"):
        put(store, "a")


def test_updating_what_was_rewritten_is_stale(store):
    first = put(store, "a")
    rewrite(store, first)
    with pytest.raises(StaleWrite):
        rewrite(store, first)


def test_updating_what_does_not_exist_is_stale(store):
    with pytest.raises(StaleWrite):
        put(store, "a", seen=1)


def test_updating_what_was_deleted_is_stale(store):
    first = put(store, "a")
    delete(store, first)
    with pytest.raises(StaleWrite):
        rewrite(store, first)


def test_deleting_what_was_rewritten_is_stale(store):
    first = put(store, "a")
    rewrite(store, first)
    with pytest.raises(StaleWrite):
        delete(store, first)


def test_deleting_twice_is_stale(store):
    first = put(store, "a")
    delete(store, first)
    with pytest.raises(StaleWrite):
        delete(store, first)


def test_a_position_of_another_record_is_stale(store):
    put(store, "a")
    other = put(store, "b")
    with pytest.raises(StaleWrite):
        put(store, "a", seen=other.position)


def test_writes_of_others_make_no_write_stale(store):
    first = put(store, "a")
    put(store, "b")
    put(store, "a", kind="other")
    assert rewrite(store, first).version == 2


# --- links


@pytest.fixture
def base(store: Store) -> Record:
    return put(store, "base")


def test_what_others_rest_on_cannot_be_deleted(store, base):
    put(store, "a", **on(base))
    with pytest.raises(
        InUse, match=r"thing 'base' cannot be deleted while others rest on it: thing 'a'; delete them"
    ):
        delete(store, base)


def test_a_refused_delete_leaves_the_record(store, base):
    put(store, "a", **on(base))
    with pytest.raises(InUse):
        delete(store, base)
    assert store.get("thing", "base") == base


def test_in_use_gives_every_dependent(store, base):
    put(store, "b", kind="other", **on(base))
    put(store, "a", **on(base))
    with pytest.raises(InUse) as refused:
        delete(store, base)
    dependents = [{"kind": "other", "name": "b"}, {"kind": "thing", "name": "a"}]
    assert refused.value.facts["dependents"] == dependents


def test_in_use_names_five_dependents_and_counts_the_rest(store, base):
    for name in "abcdefg":
        put(store, name, **on(base))
    with pytest.raises(InUse, match=r"'a', thing 'b', thing 'c', thing 'd', thing 'e' and 2 more; delete"):
        delete(store, base)


def test_a_write_alone_is_refused_while_others_rest_on_the_record(store, base):
    put(store, "a", **on(base))
    with pytest.raises(InUse, match="thing 'base' cannot be changed so while others rest on it: thing 'a'"):
        rewrite(store, base, alone=True)


def test_a_write_alone_is_taken_while_nothing_rests_on_the_record(store, base):
    assert rewrite(store, base, alone=True).version == 2


def test_other_writes_are_taken_while_others_rest_on_the_record(store, base):
    put(store, "a", **on(base))
    assert rewrite(store, base).version == 2


def test_a_rewritten_record_is_still_rested_on(store, base):
    put(store, "a", **on(base))
    with pytest.raises(InUse):
        delete(store, rewrite(store, base))


def test_a_record_of_the_same_name_and_another_kind_is_not_in_use(store, base):
    twin = put(store, "base", kind="other")
    put(store, "a", **on(base))
    assert delete(store, twin) is None


def test_a_record_may_rest_on_two_others(store, base):
    second = put(store, "second")
    put(store, "a", **on(base, second))
    with pytest.raises(InUse):
        delete(store, base)
    with pytest.raises(InUse):
        delete(store, second)


def test_deleting_the_dependent_frees_what_it_rested_on(store, base):
    delete(store, put(store, "a", **on(base)))
    assert delete(store, base) is None


def test_what_two_rest_on_is_held_by_the_second(store, base):
    first = put(store, "a", **on(base))
    put(store, "b", **on(base))
    delete(store, first)
    with pytest.raises(InUse, match="rest on it: thing 'b'; delete"):
        delete(store, base)


def test_a_rewrite_that_rests_on_nothing_frees_the_old_link(store, base):
    rewrite(store, put(store, "a", **on(base)))
    assert delete(store, base) is None


def test_a_rewrite_that_rests_on_another_holds_the_new_link(store, base):
    second = put(store, "second")
    rewrite(store, put(store, "a", **on(base)), **on(second))
    with pytest.raises(InUse):
        delete(store, second)


def test_a_rewrite_that_rests_on_the_same_keeps_the_link(store, base):
    rewrite(store, put(store, "a", **on(base)), **on(base))
    with pytest.raises(InUse):
        delete(store, base)


@pytest.mark.parametrize("nothing", [("thing", "nothing"), ("other", "base")])
def test_nothing_can_be_rested_on_that_does_not_exist(store, base, nothing):
    with pytest.raises(NotFound, match=f"thing 'a' rests on {nothing[0]} '{nothing[1]}', which does not exist"):
        put(store, "a", rests_on=(nothing,))


def test_what_was_deleted_cannot_be_rested_on(store, base):
    delete(store, base)
    with pytest.raises(NotFound):
        put(store, "a", **on(base))


# --- blobs


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", bytes(range(256)), b"*1\r\n$4\r\nPING\r\n", b"\xff\xfe" * 2_500_000],
    ids=["empty", "nul", "every byte", "a Redis command", "5 MB"],
)
def test_blobs_come_back_as_they_were(store, data):
    put(store, "a", **holding(data))
    assert store.blob(digest_of(data)) == data


def test_one_record_holds_several_blobs(store):
    put(store, "a", **holding(b"1", b"2"))
    assert [store.blob(digest_of(data)) for data in (b"1", b"2")] == [b"1", b"2"]


def test_a_blob_goes_with_its_record(store):
    delete(store, put(store, "a", **holding(b"1")))
    assert store.blob(digest_of(b"1")) is None


def test_a_blob_of_two_records_stays_until_the_first_goes(store):
    first = put(store, "a", **holding(b"1"))
    put(store, "b", **holding(b"1"))
    delete(store, first)
    assert store.blob(digest_of(b"1")) == b"1"


def test_a_blob_of_two_records_goes_with_the_last(store):
    records = put(store, "a", **holding(b"1")), put(store, "b", **holding(b"1"))
    for record in records:
        delete(store, record)
    assert store.blob(digest_of(b"1")) is None


def test_two_records_of_one_name_and_two_kinds_hold_a_blob_each(store):
    first = put(store, "a", **holding(b"1"))
    put(store, "a", kind="other", **holding(b"1"))
    delete(store, first)
    assert store.blob(digest_of(b"1")) == b"1"


def test_a_replaced_blob_goes(store):
    rewrite(store, put(store, "a", **holding(b"1")), **holding(b"2"))
    assert (store.blob(digest_of(b"1")), store.blob(digest_of(b"2"))) == (None, b"2")


def test_a_blob_that_the_record_no_longer_refers_to_goes(store):
    rewrite(store, put(store, "a", **holding(b"1", b"2")), refers=frozenset({digest_of(b"1")}))
    assert (store.blob(digest_of(b"1")), store.blob(digest_of(b"2"))) == (b"1", None)


def test_a_blob_need_not_be_sent_again(store):
    new = holding(b"2")
    first = put(store, "a", **holding(b"1"))
    rewrite(store, first, blobs=new["blobs"], refers=new["refers"] | {digest_of(b"1")})
    assert (store.blob(digest_of(b"1")), store.blob(digest_of(b"2"))) == (b"1", b"2")


def test_a_blob_may_be_sent_again(store):
    rewrite(store, put(store, "a", **holding(b"1")), **holding(b"1"))
    assert store.blob(digest_of(b"1")) == b"1"


def test_a_blob_that_has_gone_may_come_back(store):
    delete(store, put(store, "a", **holding(b"1")))
    put(store, "a", **holding(b"1"))
    assert store.blob(digest_of(b"1")) == b"1"


# --- deletes along


def delete_along(store: Store, record: Record, *along: Record) -> Record | None:
    going = tuple(Write(one.kind, one.name, one.position, None) for one in along)
    return store.commit(Write(record.kind, record.name, record.position, None, along=going))


def test_what_rests_on_a_record_may_go_along_with_it(store, base):
    along = [put(store, name, kind="other", **on(base), **holding(b"1")) for name in ("a", "b")]
    assert delete_along(store, base, *along) is None
    assert [store.get("thing", "base"), *(store.get("other", name) for name in ("a", "b"))] == [None] * 3
    assert store.blob(digest_of(b"1")) is None


def test_a_delete_along_moves_the_position_of_its_kind_and_keeps_its_version(store, base):
    along = put(store, "a", kind="other", **on(base))
    delete_along(store, base, along)
    assert store.position("other") > along.position
    assert put(store, "a", kind="other").version == 2


def test_what_does_not_go_along_keeps_everything(store, base):
    along = put(store, "a", **on(base))
    put(store, "b", **on(base))
    with pytest.raises(InUse) as caught:
        delete_along(store, base, along)
    assert caught.value.facts["dependents"] == [{"kind": "thing", "name": "b"}]
    assert names(store) == ["a", "b", "base"]


def test_nothing_goes_where_one_that_should_go_along_was_written_meanwhile(store, base):
    first, second = (put(store, name, **on(base)) for name in ("a", "b"))
    rewrite(store, second, **on(base))
    with pytest.raises(StaleWrite):
        delete_along(store, base, first, second)
    assert names(store) == ["a", "b", "base"]


def test_what_others_rest_on_does_not_go_along(store, base):
    along = put(store, "a", **on(base))
    put(store, "b", **on(along))
    with pytest.raises(InUse):
        delete_along(store, base, along)
    assert names(store) == ["a", "b", "base"]


# --- all or nothing

Failed = tuple[Store, Record]
FAILURES = {
    "stale": {"seen": 99},
    "nothing to rest on": {"rests_on": (("thing", "base"), ("thing", "nothing"))},
    "in use": {"alone": True},
    "not JSON": {"value": {"x": object()}},
}


@pytest.fixture(params=FAILURES)
def failed(request: pytest.FixtureRequest, store: Store, base: Record) -> Failed:
    """The record "a" after a rewrite of it, with a new blob and a new link, that failed."""
    before = put(store, "a", {"x": 1}, **holding(b"old"))
    put(store, "dependent", **on(before))
    write = {"value": {"x": 2}, "seen": before.position, **on(base), **holding(b"new"), **FAILURES[request.param]}
    with pytest.raises((StaleWrite, NotFound, InUse, TypeError)):
        store.commit(Write("thing", "a", **write))
    return store, before


def test_a_failed_commit_leaves_the_record(failed):
    store, before = failed
    assert store.get("thing", "a") == before


def test_a_failed_commit_leaves_no_blob(failed):
    store, _ = failed
    assert store.blob(digest_of(b"new")) is None


def test_a_failed_commit_keeps_the_old_blob(failed):
    store, _ = failed
    assert store.blob(digest_of(b"old")) == b"old"


def test_a_failed_commit_leaves_no_link(failed):
    store, _ = failed
    assert delete(store, store.get("thing", "base")) is None


def test_a_failed_commit_leaves_the_position_of_its_kind(failed):
    store, before = failed
    assert store.position("thing") == before.position + 1  # that of the dependent


def test_a_failed_commit_takes_no_position(failed):
    store, before = failed
    assert put(store, "next").position == before.position + 2


def test_after_a_failed_commit_the_record_can_be_written(failed):
    store, before = failed
    assert rewrite(store, before, {"x": 3}).version == 2


# --- many writers


def increment(store: Store) -> None:
    while True:
        seen = store.get("thing", "counter")
        try:
            rewrite(store, seen, {"count": seen.value["count"] + 1})
        except StaleWrite:
            continue
        return


def in_threads(task: Callable[[int], object], times: int) -> list:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(task, range(times)))


def test_increments_from_many_threads_lose_nothing(store):
    put(store, "counter", {"count": 0})
    in_threads(lambda _: increment(store), 15 * THREADS)
    assert store.get("thing", "counter").value == {"count": 15 * THREADS}


def test_of_many_threads_that_create_one_name_one_wins(store):
    def create(number: int) -> bool:
        try:
            return bool(put(store, "a", {"by": number}))
        except StaleWrite:
            return False

    put(store, "first")
    assert sum(in_threads(create, THREADS)) == 1


def test_writes_from_many_threads_get_a_position_each(store):
    first = put(store, "first")
    records = in_threads(lambda number: put(store, f"r{number}"), 10 * THREADS)
    assert sorted(record.position for record in [first, *records]) == [*range(1, 10 * THREADS + 2)]


def test_many_threads_may_open_a_new_store_at_once(store_url):
    def write(number: int) -> int:
        store = open_store(store_url)
        position = put(store, f"r{number}").position
        store.close()
        return position

    assert sorted(in_threads(write, THREADS)) == [*range(1, THREADS + 1)]


# --- many stores


@pytest.fixture
def second(store_url: str) -> Iterator[Store]:
    """Another store object on the URL of `store`."""
    second = open_store(store_url)
    yield second
    second.close()


def test_two_stores_on_one_url_see_each_other(store, second):
    assert put(store, "a", {"x": 1}) == second.get("thing", "a")


def test_two_stores_on_one_url_see_each_others_blobs(store, second):
    put(store, "a", **holding(b"1"))
    assert second.blob(digest_of(b"1")) == b"1"


def test_two_stores_on_one_url_see_each_others_positions(store, second):
    assert put(store, "a").position == second.position("thing") == put(second, "b").position - 1


def test_a_write_through_another_store_makes_a_write_stale(store, second):
    first = put(store, "a")
    rewrite(second, first)
    with pytest.raises(StaleWrite):
        rewrite(store, first)


def test_a_delete_through_another_store_is_seen(store, second):
    delete(second, put(store, "a"))
    assert store.get("thing", "a") is None


@pytest.fixture
def reopened(store_url: str) -> Iterator[Store]:
    """A store that was filled by another one, which is closed."""
    first = open_store(store_url)
    base = put(first, "base", {"x": 1})
    put(first, "a", **on(base), **holding(b"1"))
    first.close()
    again = open_store(store_url)
    yield again
    again.close()


def test_a_store_opened_again_has_the_records(reopened):
    assert [(record.name, record.value) for record in reopened.page("thing", "", 9)] == [
        ("a", {}),
        ("base", {"x": 1}),
    ]


def test_a_store_opened_again_has_the_blobs(reopened):
    assert reopened.blob(digest_of(b"1")) == b"1"


def test_a_store_opened_again_has_the_links(reopened):
    with pytest.raises(InUse):
        delete(reopened, reopened.get("thing", "base"))


def test_a_store_opened_again_goes_on_counting(reopened):
    assert put(reopened, "b").position == 3


def test_what_a_record_rests_on_must_be_the_one_that_was_seen(store):
    first = store.commit(Write("space", "a", 0, {}))
    store.commit(Write("space", "a", first.position, None))
    second = store.commit(Write("space", "a", 0, {}))
    born = {("space", "a"): "2001-01-01T00:00:00.000+00:00"}
    with pytest.raises(StaleWrite):
        store.commit(Write("translator", "t", 0, {}, rests_on=(("space", "a"),), born=born))
    seen = {("space", "a"): second.created_at}
    assert store.commit(Write("translator", "t", 0, {}, rests_on=(("space", "a"),), born=seen))
