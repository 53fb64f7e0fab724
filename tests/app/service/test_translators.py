"""The first use of a pair of spaces: fitted once, under a name that is free."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from app.errors import NotFound, SameSpace, Unrelated
from app.service.purposes import LONGEST_NAME, RECONSTRUCTION
from app.service.spaces import Space
from app.service.translators import Spec
from app.store.rows import Rows

USE = RECONSTRUCTION  # what `translate` uses translators for

THREADS = 16


@pytest.fixture
def linked(services, put_space):
    """Services with the spaces a and b."""
    put_space(services, "a", 4, seed=1)
    put_space(services, "b", 6, seed=2)
    return services


def at_once(*calls):
    """The results of the calls, which start together."""
    barrier = Barrier(len(calls))

    def start(call):
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(start, calls))


def stored(services):
    return [(record.name, record.version) for record in services.translators.all()]


def only(route):
    """The record of a route of one step."""
    (record,) = route.steps
    return record


def test_first_use_from_16_threads_fits_once(linked):
    found = [only(route) for route in at_once(*[lambda: linked.translators.between("a", "b", USE)] * THREADS)]
    assert stored(linked) == [("a-to-b", 1)]
    assert {(record.name, record.version, record.position) for record in found} == {
        ("a-to-b", 1, found[0].position)
    }


def test_first_use_from_16_threads_gives_one_translation(linked):
    vectors = np.ones((3, 4), np.float32)
    calls = [lambda: linked.translators.translate(linked.translators.between("a", "b", USE), vectors)] * THREADS
    results = [done.vectors for done in at_once(*calls)]
    assert all(np.array_equal(result, results[0]) for result in results)


def test_first_use_of_both_directions_at_once_fits_two(linked):
    there = [lambda: linked.translators.between("a", "b", USE)] * 8
    back = [lambda: linked.translators.between("b", "a", USE)] * 8
    at_once(*there, *back)
    assert stored(linked) == [("a-to-b", 1), ("b-to-a", 1)]


def test_first_use_by_two_replicas_at_once_leaves_one_version(replica, put_space):
    replicas = [replica(), replica()]
    put_space(replicas[0], "a", 4, seed=1)
    put_space(replicas[0], "b", 6, seed=2)
    found = at_once(*(lambda one=one: one.translators.between("a", "b", USE) for one in replicas))
    assert stored(replicas[0]) == [("a-to-b", 1)]
    assert len({only(route).position for route in found}) == 1


def test_a_translator_of_another_replica_is_used(replica, put_space):
    first, second = replica(), replica()
    put_space(first, "a", 4, seed=1)
    put_space(first, "b", 6, seed=2)
    assert second.translators.best(USE) == {}
    first.translators.put("mine", Spec("a", "b"), None)
    assert only(second.translators.between("a", "b", USE)).name == "mine"


def test_a_refit_by_another_replica_is_used(replica, put_space):
    first, second = replica(), replica()
    put_space(first, "a", 4, seed=1)
    put_space(first, "b", 6, seed=2)
    first.translators.put("t", Spec("a", "b"), None)
    vectors = np.ones((1, 4), np.float32)
    before = second.translators.translate(second.translators.named("t"), vectors)
    first.translators.put("t", Spec("a", "b", "mean"), None)
    after = second.translators.translate(second.translators.named("t"), vectors)
    assert (only(before.route).version, only(after.route).version) == (1, 2)
    assert not np.array_equal(before.vectors, after.vectors)


def test_concurrent_puts_of_one_name_leave_one_version(linked):
    records = at_once(*[lambda: linked.translators.put("t", Spec("a", "b"), None)[0]] * 8)
    assert stored(linked) == [("t", 1)]
    assert {record.version for record in records} == {1}


# Names


def test_a_name_that_is_taken_is_left_alone(linked):
    linked.translators.put("a-to-b", Spec("b", "a"), None)
    found = only(linked.translators.between("a", "b", USE))
    assert found.name.startswith("a-to-b-")
    assert linked.translators.get("a-to-b").version == 1


def test_a_name_beside_one_that_is_taken_is_the_same_every_time(linked):
    linked.translators.put("a-to-b", Spec("b", "a"), None)
    first = only(linked.translators.between("a", "b", USE))
    assert only(linked.translators.between("a", "b", USE)) == first


def test_pairs_that_would_share_a_name_do_not(services, put_space):
    for seed, name in enumerate(("a", "b-to-c", "a-to-b", "c")):
        put_space(services, name, seed=seed)
    pairs = ("a", "b-to-c"), ("a-to-b", "c")
    one, two = (only(services.translators.between(*pair, USE)) for pair in pairs)
    assert one.name == "a-to-b-to-c"
    assert two.name != one.name
    assert only(services.translators.between("a", "b-to-c", USE)) == one


@pytest.mark.parametrize("length", [61, 62, 63, 64, 128])
def test_names_of_long_spaces_are_not_too_long(services, put_space, length):
    for seed, letter in enumerate("xy"):
        put_space(services, letter * length, seed=seed)
    name = only(services.translators.between("x" * length, "y" * length, USE)).name
    assert len(name) <= LONGEST_NAME
    assert name.startswith("x" * min(length, 100))


def test_long_spaces_that_begin_alike_have_translators_of_their_own(services, put_space):
    spaces = ["x" * 127 + end for end in "abc"]
    for seed, name in enumerate(spaces):
        put_space(services, name, seed=seed)
    names = {only(services.translators.between(spaces[0], target, USE)).name for target in spaces[1:]}
    assert len(names) == 2


# What cannot be


@pytest.fixture
def unrelated(services):
    """Services with the spaces a and b, whose anchors share ids and nothing else."""
    for seed, name in enumerate("ab"):
        vectors = np.random.default_rng(seed).standard_normal((40, 4)).astype(np.float32)
        ids = [f"item-{number:02}" for number in range(40)]
        services.spaces.put(name, Space(4, {}, ""), Rows(ids, vectors, [b""] * 40), None)
    return services


def test_a_first_use_of_unrelated_spaces_is_refused_every_time(unrelated):
    for _ in range(2):
        with pytest.raises(Unrelated) as caught:
            unrelated.translators.between("a", "b", USE)
        assert caught.value.facts["translator"] == "a-to-b"
    assert stored(unrelated) == [("a-to-b", 1)]


def test_a_mean_that_somebody_has_put_is_used(unrelated):
    unrelated.translators.put("mine", Spec("a", "b", "mean"), None)
    assert only(unrelated.translators.between("a", "b", USE)).name == "mine"


def test_a_pair_of_one_space_is_refused(linked):
    with pytest.raises(SameSpace):
        linked.translators.between("a", "a", USE)


@pytest.mark.parametrize("pair", [("a", "nobody"), ("nobody", "b")])
def test_an_unknown_space_is_refused_and_nothing_is_stored(linked, pair):
    with pytest.raises(NotFound):
        linked.translators.between(*pair, USE)
    assert stored(linked) == []


def test_names_of_unknown_spaces_are_not_kept(linked):
    for number in range(5):
        with pytest.raises(NotFound):
            linked.translators.between("a", f"nobody-{number}", USE)
    assert not any("nobody" in space for pair in linked.translators._first_use for space in pair)
