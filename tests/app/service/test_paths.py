"""Between spaces that share no anchors, through others."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anchors.errors import NoSharedAnchors
from app.service.paths import LONGEST, best_path, paths
from app.service.purposes import RECONSTRUCTION
from app.service.routes import fused, is_surely_better, worth
from app.service.search import Query
from app.service.spaces import Space
from app.service.translators import Spec, edges_of
from app.store import Record
from app.store.rows import Rows
from models.affine import Affine

USE = RECONSTRUCTION  # what `translate` uses translators for

CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def chain(*spaces):
    return edges_of(pairwise(spaces))


# The ways


def test_a_way_of_one_step_is_the_edge():
    assert list(paths(chain(*"ab"), "a", "b")) == [[("a", "b")]]


def test_ways_lead_in_one_direction():
    assert list(paths(chain(*"ab"), "b", "a")) == []


def test_the_shortest_comes_first_and_equals_by_name():
    edges = edges_of([*pairwise("axyb"), *pairwise("ayb"), *pairwise("axb"), ("a", "b")])
    assert [[edge[1] for edge in path] for path in paths(edges, "a", "b")] == [
        ["b"],
        ["x", "b"],
        ["y", "b"],
        [*"xyb"],
    ]


@pytest.mark.parametrize(("spaces", "count"), [("abc", 1), ("abcd", 1), ("abcde", 0)])
def test_three_steps_are_the_most(spaces, count):
    assert len(list(paths(chain(*spaces), spaces[0], spaces[-1]))) == count


PAIRS = st.sets(st.tuples(*[st.sampled_from("abcdef")] * 2).filter(lambda pair: pair[0] != pair[1]))


@given(PAIRS)
def test_every_way_is_a_chain_that_passes_no_space_twice(pairs):
    found = list(paths(edges_of(pairs), "a", "b"))
    for path in found:
        spaces = [path[0][0], *(target for _, target in path)]
        assert (spaces[0], spaces[-1]) == ("a", "b")
        assert set(path) <= pairs
        assert list(pairwise(spaces)) == path
        assert len(set(spaces)) == len(spaces) <= LONGEST + 1
    assert [len(path) for path in found] == sorted(len(path) for path in found)


@given(PAIRS)
def test_no_way_is_left_out_or_comes_twice(pairs):
    between = "cdef"
    ways = ["ab", *(f"a{x}b" for x in between), *(f"a{x}{y}b" for x in between for y in between if x != y)]
    expected = [way for way in ways if set(pairwise(way)) <= pairs]
    assert len(list(paths(edges_of(pairs), "a", "b"))) == len(expected)


def best(qualities, source="a", target="b"):
    path = best_path(edges_of(qualities), source, target, qualities.__getitem__)
    return path and "".join([path[0][0], *(end for _, end in path)])


def test_the_largest_product_is_the_best():
    assert best({("a", "b"): 0.5, ("a", "x"): 0.8, ("x", "b"): 0.8}) == "axb"
    assert best({("a", "b"): 0.65, ("a", "x"): 0.8, ("x", "b"): 0.8}) == "ab"


def test_one_good_step_does_not_make_a_good_path():
    ways = {("a", "x"): 1.0, ("x", "b"): 0.1, ("a", "y"): 0.4, ("y", "b"): 0.4}
    assert best(ways) == "ayb"


@pytest.mark.parametrize("quality", [0.0, 1.0])
def test_of_two_as_good_the_shorter_is_the_best(quality):
    ways = dict.fromkeys([*pairwise("axyb"), *pairwise("ayb"), ("a", "b")], quality)
    assert best(ways) == "ab"


def test_without_a_way_there_is_no_best():
    assert best({("a", "x"): 1.0, ("y", "b"): 1.0}) is None


# Maps as one


def affine(d1, d2, seed):
    random = torch.Generator().manual_seed(seed)
    return Affine(torch.randn(d1, d2, generator=random), torch.randn(d2, generator=random))


def test_affine_neighbours_become_one_map_that_does_the_same():
    steps = [affine(4, 5, 1), affine(5, 3, 2), affine(3, 6, 3)]
    (one,) = fused(steps)
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(one(x), steps[2](steps[1](steps[0](x))))


def test_what_is_not_affine_stays_between_what_is():
    class Other:
        def __call__(self, x):
            return x.abs()

    one, other, last = fused([affine(4, 4, 1), affine(4, 4, 2), Other(), affine(4, 4, 3)])
    assert isinstance(one, Affine)
    assert isinstance(last, Affine)
    assert not isinstance(other, Affine)


# The service. Anchors of neighbours in a chain are of the same items; nobody else shares any.

DIMS = {"a": 4, "b": 6, "c": 5, "d": 4, "e": 7}
TURNS = {
    name: np.random.default_rng(number).standard_normal((4, dim))
    for number, (name, dim) in enumerate(DIMS.items())
}
ITEMS = np.random.default_rng(99).standard_normal((30, 4))


def seen(space, items=ITEMS):
    """What items look like in a space."""
    return (items @ TURNS[space]).astype(np.float32)


def put(services, space, *groups, items=None):
    """The space, with 30 anchors for each group, of which other spaces may have the same."""
    ids = [f"{group}-{number:02}" for group in groups for number in range(30)]
    known = {
        group: np.random.default_rng([ord(letter) for letter in group]).standard_normal((30, 4))
        for group in groups
    }
    vectors = seen(space, np.concatenate(list(known.values())))
    services.spaces.put(space, Space(DIMS[space], {}, ""), Rows(ids, vectors, [b""] * len(ids)), None)


def put_chain(services, spaces):
    for number, space in enumerate(spaces):
        left = [spaces[number - 1] + space] if number else []
        put(services, space, *left, *([space + spaces[number + 1]] if number + 1 < len(spaces) else []))


def fit(services, *pairs, method="ridge"):
    for source, target in pairs:
        services.translators.put(f"{source}-to-{target}", Spec(source, target, method), None)


def path_of(route):
    return [record.name for record in route.steps]


@pytest.fixture
def chained(services):
    """Services with a - b - c, whose neighbours share anchors, and both translators fitted."""
    put_chain(services, "abc")
    fit(services, "ab", "bc")
    return services


def test_a_path_translates_like_its_steps_one_after_another(chained):
    translators = chained.translators
    route = translators.between("a", "c", USE)
    assert path_of(route) == ["a-to-b", "b-to-c"]
    first = translators.translate(translators.named("a-to-b"), seen("a"))
    second = translators.translate(translators.named("b-to-c"), first.vectors)
    np.testing.assert_allclose(translators.translate(route, seen("a")).vectors, second.vectors, **CLOSE)


def test_affine_steps_are_one_product(chained):
    assert [type(step) for step in chained.translators.between("a", "c", USE).maps] == [Affine]


def test_items_arrive_where_they_are_seen(chained):
    translated = chained.translators.translate(chained.translators.between("a", "c", USE), seen("a")).vectors
    assert np.abs(translated - seen("c")).max() < 0.3


def test_a_path_names_its_steps_and_no_single_translator(chained):
    named = chained.translators.between("a", "c", USE).named
    assert named == {
        "translator": None,
        "version": None,
        "path": ["a-to-b", "b-to-c"],
        "versions": [1, 1],
        "stale": False,
    }


def test_a_step_alone_names_itself(chained):
    named = chained.translators.between("a", "b", USE).named
    assert named == {"translator": "a-to-b", "version": 1, "path": ["a-to-b"], "versions": [1], "stale": False}


def test_a_path_is_not_stored(chained):
    chained.translators.between("a", "c", USE)
    assert [record.name for record in chained.translators.all()] == ["a-to-b", "b-to-c"]


def test_a_path_that_nobody_fitted_is_fitted_at_its_first_use(services):
    put_chain(services, "abc")
    assert path_of(services.translators.between("a", "c", USE)) == ["a-to-b", "b-to-c"]
    assert [record.version for record in services.translators.all()] == [1, 1]


def test_the_anchors_of_a_step_that_change_make_the_path_stale(chained):
    rows = Rows(["new"], seen("b")[:1], [b""])
    chained.spaces.put_anchors("b", rows, None)
    assert chained.translators.between("a", "c", USE).stale
    fit(chained, "ab")
    assert chained.translators.between("a", "c", USE).stale
    fit(chained, "bc")
    assert not chained.translators.between("a", "c", USE).stale


def test_a_refitted_step_gives_new_numbers_and_another_key(chained):
    before = chained.translators.between("a", "c", USE)
    fit(chained, "bc", method="mean")
    after = chained.translators.between("a", "c", USE)
    assert before.key != after.key
    assert not torch.equal(before(torch.ones(1, 4)), after(torch.ones(1, 4)))


def test_confidence_of_a_path_is_not_known(chained):
    translators = chained.translators
    done = translators.translate(translators.between("a", "c", USE), seen("a"), confidence=True)
    step = translators.translate(translators.named("a-to-b"), seen("a"), confidence=True)
    assert done.confidence is None
    assert step.confidence.shape == (len(seen("a")),)


def test_three_steps_work(services):
    put_chain(services, "abcd")
    fit(services, "ab", "bc", "cd")
    route = services.translators.between("a", "d", USE)
    assert path_of(route) == ["a-to-b", "b-to-c", "c-to-d"]
    translated = services.translators.translate(route, seen("a")).vectors
    assert np.abs(translated - seen("d")).max() < 0.3


@pytest.mark.parametrize("fitted", [["ab", "bc", "cd", "de"], []], ids=["fitted", "anchors"])
def test_four_steps_do_not(services, fitted):
    put_chain(services, "abcde")
    fit(services, *fitted)
    with pytest.raises(NoSharedAnchors) as caught:
        services.translators.between("a", "e", USE)
    assert caught.value.facts["got"] == {"source": 30, "target": 30, "shared": 0}
    assert len(list(services.translators.all())) == len(fitted)


def test_nothing_connects_is_refused_and_nothing_is_fitted(services):
    put(services, "a", "one", "two")
    put(services, "b", "two")
    put(services, "c", "three")
    with pytest.raises(NoSharedAnchors, match="share no anchor id"):
        services.translators.between("a", "c", USE)
    assert list(services.translators.all()) == []


def test_a_translator_of_the_opposite_direction_is_no_step(services):
    """Its anchors are: what they allow is fitted."""
    put_chain(services, "abc")
    fit(services, "ba", "bc")
    assert path_of(services.translators.between("a", "c", USE)) == ["a-to-b", "b-to-c"]


# Direct or not


@pytest.fixture
def triangle(services):
    """All three share anchors; a to b and b to c are fitted."""
    for space in "abc":
        put(services, space, "all")
    fit(services, "ab", "bc")
    return services


def test_spaces_that_share_anchors_are_translated_directly(triangle):
    assert path_of(triangle.translators.between("a", "c", USE)) == ["a-to-c"]


def test_a_path_that_tests_better_is_taken_instead(triangle):
    fit(triangle, "ac", method="mean")
    assert path_of(triangle.translators.between("a", "c", USE)) == ["a-to-b", "b-to-c"]


@pytest.mark.parametrize(("direct", "better"), [((0.6, 0.65), True), ((0.8, 0.85), False), ((0.95, 0.99), False)])
def test_a_path_is_taken_where_its_low_ends_pass_the_high_end_of_what_leads_there(direct, better):
    path = [record_of(0.9, 0.95, 0.98), record_of(0.8, 0.9, 0.95)]
    low, high = direct
    assert is_surely_better(path, record_of(low, (low + high) / 2, high)) is better


def record_of(low, mean, high):
    report = {"method": "ridge", "quality": {"mrr": {"low": low, "mean": mean, "high": high}}}
    return Record("translator", "t", 1, 1, "", "", {"report": report})


def test_a_path_that_tests_worse_is_not(triangle):
    fit(triangle, "bc", method="mean")
    assert path_of(triangle.translators.between("a", "c", USE)) == ["a-to-c"]


def test_a_path_that_tests_as_well_is_not(triangle):
    fit(triangle, "ac")
    (direct,) = triangle.translators.named("a-to-c").steps
    path = [triangle.translators.get(name) for name in ("a-to-b", "b-to-c")]
    assert worth(*path) == worth(direct) == 1
    assert path_of(triangle.translators.between("a", "c", USE)) == ["a-to-c"]


def test_a_map_to_the_mean_is_worth_nothing(triangle):
    fit(triangle, "ab", method="mean")
    assert worth(triangle.translators.get("a-to-b")) == 0
    assert worth(triangle.translators.get("a-to-b"), triangle.translators.get("b-to-c")) == 0


def test_one_shared_anchor_is_no_step(services):
    """Two are the least that a translator is fitted on."""
    put(services, "a", "left")
    put(services, "b", "left")
    put(services, "c", "right")
    put(services, "d", "right", "left")
    rows = Rows(["only"], seen("b")[:1], [b""])
    services.spaces.put_anchors("b", rows, None)
    services.spaces.put_anchors("c", Rows(["only"], seen("c")[:1], [b""]), None)
    assert path_of(services.translators.between("a", "c", USE)) == ["a-to-d", "d-to-c"]


# Search


@pytest.fixture
def stocked(chained):
    """`chained` with the items as points of c."""
    chained.collections.put("things", "c", "cosine", None)
    rows = Rows([f"item-{number:02}" for number in range(30)], seen("c"), [b""] * 30)
    chained.collections.put_points("things", rows, None)
    return chained


def test_a_search_over_a_path_finds_the_items(stocked):
    found = stocked.search.search("things", Query(seen("a"), 2, "a"))
    own = [[hit.point.id for hit in hits].index(f"item-{number:02}") for number, hits in enumerate(found.hits)]
    assert sum(own) == 1  # one of 30 items in four dimensions is second, for CSLS takes it for a hub
    assert found.translation.route.named["path"] == ["a-to-b", "b-to-c"]


def test_a_search_over_a_path_is_scored_by_the_last_step(stocked):
    found = stocked.search.search("things", Query(seen("a")[:5], 30, "a"))
    (last,) = stocked.translators.named("b-to-c").artifacts
    right = last.score(torch.from_numpy(found.translation.vectors), torch.from_numpy(seen("c"))).numpy()
    for row, hits in enumerate(found.hits):
        claimed = [right[row, int(hit.point.id[-2:])] for hit in hits]
        np.testing.assert_allclose([hit.score for hit in hits], claimed, **CLOSE)
        np.testing.assert_allclose([hit.score for hit in hits], -np.sort(-right[row]), **CLOSE)
    assert found.scale.name == stocked.translators.get("b-to-c").value["report"]["score"]["name"]


@pytest.mark.parametrize("metric", ["ip", "euclidean"])
def test_a_search_of_another_metric_is_scored_by_it(stocked, metric):
    stocked.collections.put("others", "c", metric, None)
    stocked.collections.put_points("others", Rows(["x"], seen("c")[:1], [b""]), None)
    found = stocked.search.search("others", Query(seen("a")[:1], 1, "a"))
    (translated,), stored = found.translation.vectors, seen("c")[0]
    right = translated @ stored if metric == "ip" else np.linalg.norm(translated - stored)
    assert found.scale.name == metric
    np.testing.assert_allclose(found.hits[0][0][1], right, rtol=1e-3, atol=1e-3)
