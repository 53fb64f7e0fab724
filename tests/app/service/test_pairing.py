"""What a translator is fitted on: matched, screened and thinned as it was asked."""

import numpy as np
import pytest
import torch

from anchors import SELECTORS, AnchorSet
from anchors.errors import InvalidCount, NoSharedAnchors, PairingRefused, TooFewPoints, UnknownSelector
from app.errors import InvalidInput
from app.service.pairing import CHOICES, PAIRINGS, PROTOTYPES, Pairing, Selection, Side, paired
from models.errors import TooFewAnchors
from models.estimate import estimate
from tests.anchors.conftest import Clouds, named

IDS = Pairing()
FEW, MANY = 8, 200


def vectors(n, dim, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def numbered(n):
    return [f"item-{number:03}" for number in range(n)]


@pytest.fixture
def sides():
    """60 items in two spaces."""
    return Side(AnchorSet.of(numbered(60), vectors(60, 4, 1))), Side(AnchorSet.of(numbered(60), vectors(60, 6, 2)))


def rows_of(pairs, side, which):
    return np.array_equal(getattr(pairs, which), side.anchors.rows(pairs.ids))


# A side


def test_a_side_is_its_anchors():
    anchors = AnchorSet.of(["x"], vectors(1, 3))
    assert Side(anchors).everything() is anchors


def test_points_join_the_anchors_and_an_id_of_both_counts_as_the_anchor():
    anchors, points = AnchorSet.of(["x", "y"], vectors(2, 3, 1)), AnchorSet.of(["y", "z"], vectors(2, 3, 2))
    everything = Side(anchors, points).everything()
    assert sorted(everything.ids) == ["x", "y", "z"]
    np.testing.assert_array_equal(everything.rows(["x", "y"]), anchors.rows(["x", "y"]))
    np.testing.assert_array_equal(everything.rows(["z"]), points.rows(["z"]))


def test_a_side_without_anchors_has_its_points():
    nothing = AnchorSet.of([], np.empty((0, 3), np.float32))
    assert Side(nothing, AnchorSet.of(["x"], vectors(1, 3))).everything().ids == ["x"]


# By ids


def test_shared_ids_are_pairs(sides):
    done = paired(*sides, IDS, None)
    assert done.pairs.ids == numbered(60)
    assert rows_of(done.pairs, sides[0], "source")
    assert rows_of(done.pairs, sides[1], "target")
    assert done.notes == {"pairs": 60, "dropped": {}}


def test_points_are_no_pairs_by_ids(sides):
    points = AnchorSet.of(["x"], vectors(1, 4)), AnchorSet.of(["x"], vectors(1, 6))
    more = [Side(side.anchors, extra) for side, extra in zip(sides, points, strict=True)]
    assert paired(*more, IDS, None).pairs.ids == numbered(60)


def test_pairs_that_say_nothing_are_dropped_and_named(sides):
    zero = sides[0].anchors.vectors.copy()
    zero[sides[0].anchors.ids.index("item-007")] = 0
    done = paired(Side(AnchorSet.of(sides[0].anchors.ids, zero)), sides[1], IDS, None)
    assert list(done.notes["dropped"]) == ["item-007"]
    assert done.notes["pairs"] == 60
    assert "item-007" not in done.pairs.ids


def test_nothing_shared_is_refused(sides):
    with pytest.raises(NoSharedAnchors):
        paired(sides[0], Side(AnchorSet.of(["other"], vectors(1, 6))), IDS, None)


def test_an_unknown_pairing_is_refused_with_the_choices(sides):
    with pytest.raises(InvalidInput) as caught:
        paired(*sides, Pairing("magic"), None)
    assert (caught.value.facts["expected"], caught.value.facts["got"]) == ([*PAIRINGS], "magic")


# Which of them


@pytest.mark.parametrize("selector", SELECTORS)
def test_every_selector_keeps_so_many_pairs(sides, selector):
    done = paired(*sides, IDS, Selection(selector, 10))
    assert len(set(done.pairs.ids)) == 10
    assert rows_of(done.pairs, sides[0], "source")
    assert rows_of(done.pairs, sides[1], "target")
    assert done.notes["pairs"] == 60


@pytest.mark.parametrize("count", [60, 61, 10_000])
@pytest.mark.parametrize("selector", SELECTORS)
def test_as_many_as_there_are_is_all(sides, selector, count):
    assert paired(*sides, IDS, Selection(selector, count)).pairs.ids == numbered(60)


@pytest.mark.parametrize("selector", ["uniform", "farthest_point", "kmeans", PROTOTYPES])
def test_another_seed_draws_others(sides, selector):
    first, again, other = (paired(*sides, IDS, Selection(selector, 10), seed).pairs.source for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(np.sort(first, 0), np.sort(other, 0))


def test_prototypes_are_means_of_pairs(sides):
    done = paired(*sides, IDS, Selection(PROTOTYPES, 10))
    members = done.pairs.members
    assert 2 <= len(members) == done.notes["prototypes"] <= 10
    assert sorted(id_ for ids in members.values() for id_ in ids) == numbered(60)
    for row, name in enumerate(done.pairs.ids):
        np.testing.assert_allclose(
            done.pairs.target[row], sides[1].anchors.rows(members[name]).mean(0), rtol=1e-4, atol=1e-5
        )


def test_more_prototypes_than_pairs_are_the_pairs(sides):
    done = paired(*sides, IDS, Selection(PROTOTYPES, 1000))
    assert {len(ids) for ids in done.pairs.members.values()} == {1}
    assert done.notes["prototypes"] == 60


def test_anchors_that_do_not_differ_are_told_from_too_few(sides):
    same = [Side(AnchorSet.of(side.anchors.ids, np.ones_like(side.anchors.vectors))) for side in sides]
    with pytest.raises(TooFewAnchors, match="59 of 60 shared anchors cannot be used"):
        paired(*same, Pairing(), None)


def test_dropped_pairs_are_not_chosen(sides):
    zero = np.zeros_like(sides[0].anchors.vectors)
    zero[:20] = sides[0].anchors.vectors[:20]
    done = paired(Side(AnchorSet.of(numbered(60), zero)), sides[1], IDS, Selection("uniform", 30))
    assert sorted(done.pairs.ids) == numbered(20)


@pytest.mark.parametrize("selector", SELECTORS)
def test_what_is_not_chosen_is_left(sides, selector):
    done = paired(*sides, IDS, Selection(selector, 10))
    assert sorted(done.pairs.ids + done.unselected.ids) == numbered(60)
    assert rows_of(done.unselected, sides[0], "source")
    assert rows_of(done.unselected, sides[1], "target")


def test_ids_that_differ_by_a_nul_alone_are_two(sides):
    ids = ["a" + row * "\0" for row in range(60)]
    alike = [Side(AnchorSet.of(ids, side.anchors.vectors)) for side in sides]
    done = paired(*alike, IDS, Selection("uniform", 10))
    assert sorted(done.pairs.ids + done.unselected.ids) == ids


@pytest.fixture(scope="module")
def mispaired():
    """600 items in two spaces; the first 120 of the target are in another order."""
    random = np.random.default_rng(7)
    x = random.standard_normal((600, 24))
    y = x @ random.standard_normal((24, 24)) + 0.5 * random.standard_normal((600, 24))
    y[:120] = np.roll(y[:120], 1, axis=0)
    return [Side(AnchorSet.of(numbered(600), vectors.astype(np.float32))) for vectors in (x, y)]


@pytest.mark.parametrize("selector", [*SELECTORS, PROTOTYPES])
def test_wrong_pairs_are_neither_chosen_nor_left(mispaired, selector):
    done = paired(*mispaired, IDS, Selection(selector, 300))
    assert len(set(done.suspicious) & set(numbered(120))) > 115
    used = sorted(id_ for ids in done.pairs.members.values() for id_ in ids) if selector == PROTOTYPES else None
    used = used or sorted(done.pairs.ids + done.unselected.ids)
    assert sorted(used + done.suspicious) == numbered(600)
    assert len(done.pairs.ids) == 300


def test_wrong_pairs_are_those_that_a_fit_on_all_leaves_out(mispaired):
    every, done = paired(*mispaired, IDS, None), paired(*mispaired, IDS, Selection("uniform", 300), seed=3)
    x, y = torch.from_numpy(every.pairs.source), torch.from_numpy(every.pairs.target)
    report = estimate(x, y, "ridge", seed=3).report
    assert every.suspicious == []
    assert done.suspicious == [every.pairs.ids[row] for row in report.suspicious]
    assert done.aside(3).size == report.gallery


@pytest.mark.parametrize("selector", [*SELECTORS, PROTOTYPES])
@pytest.mark.parametrize("vector", [[0.0, 0.0], [1.0, 2.0]])
def test_there_is_nothing_to_choose_from_one_pair(selector, vector):
    side = Side(AnchorSet.of(["x"], np.array([vector], np.float32)))
    with pytest.raises(TooFewAnchors):
        paired(side, side, IDS, Selection(selector, 10))


def test_an_unknown_selector_is_refused_with_the_choices(sides):
    with pytest.raises(UnknownSelector) as caught:
        paired(*sides, IDS, Selection("magic", 10))
    assert {*SELECTORS, PROTOTYPES} == {*caught.value.facts["expected"]}


@pytest.mark.parametrize("selector", [*SELECTORS, PROTOTYPES])
def test_none_at_all_cannot_be_asked_for(sides, selector):
    with pytest.raises(InvalidCount):
        paired(*sides, IDS, Selection(selector, 0))


# Induced


@pytest.fixture(scope="module")
def turned():
    """Eight noisy shared ids, and as points the same items in both spaces under other ids."""
    clouds = Clouds(d=40, seed=4)
    x, seeds = clouds.points(400), clouds.pairs(FEW, noise=1.0)
    source = Side(AnchorSet.of(seeds.ids, seeds.source), named("s", x))
    return source, Side(AnchorSet.of(seeds.ids, seeds.target), named("t", clouds.turned(x)))


def test_few_ids_induce_pairs_of_points(turned):
    done = paired(*turned, Pairing("bootstrap"), None)
    report = done.notes["bootstrap"]
    assert (report["seeds"], done.notes["pairs"]) == (FEW, FEW + report["induced"])
    assert report["induced"] > MANY
    induced = [id_.split("|") for id_ in done.pairs.ids if "|" in id_]
    assert np.mean([one[1:] == other[1:] for one, other in induced]) > 0.95


def test_induced_pairs_can_be_thinned(turned):
    assert len(paired(*turned, Pairing("bootstrap"), Selection("uniform", 50)).pairs.ids) == 50


def test_the_unshared_anchors_are_points_too(turned):
    sides = [Side(side.everything()) for side in turned]
    assert paired(*sides, Pairing("bootstrap"), None).notes["bootstrap"]["induced"] > MANY


def test_few_ids_without_points_are_refused(turned):
    with pytest.raises(TooFewPoints) as caught:
        paired(*[Side(side.anchors) for side in turned], Pairing("bootstrap"), None)
    assert caught.value.facts["got"] == {"seeds": FEW, "source": 0, "target": 0}


def test_two_clouds_of_one_shape_are_paired_without_ids():
    source, target = Clouds().unpaired(300)
    done = paired(Side(source), Side(target), Pairing("unpaired"), None)
    assert done.notes["unpaired"]["induced"] == done.notes["pairs"] == len(done.pairs.ids)


def test_clouds_of_other_shapes_are_refused_with_the_figures():
    source = named("s", Clouds(seed=1).points(200))
    with pytest.raises(PairingRefused) as caught:
        paired(Side(source), Side(named("t", vectors(200, 16))), Pairing("unpaired"), None)
    assert {"agreement", "same_nearest", "mutual_nn_rate"} <= set(caught.value.facts["got"])


def test_pairs_that_were_induced_are_said_to_flatter(turned):
    done = paired(*turned, Pairing("bootstrap"), None)
    assert any("figures of retrieval flatter" in warning for warning in done.warnings)


def test_a_selection_of_more_than_there_are_is_told(sides):
    there = len(paired(*sides, IDS, None).pairs.ids)
    for selector in CHOICES:
        assert paired(*sides, IDS, Selection(selector, there)).warnings == []
        (warning,) = paired(*sides, IDS, Selection(selector, there + 1)).warnings
        assert warning == f"{there + 1} anchors were asked for and {there} are there: all were taken"


def test_ids_read_no_collections(sides):
    with pytest.raises(InvalidInput, match=r"reads no collections, got \['docs'\]"):
        paired(*sides, Pairing("ids", source_collection="docs"), None)
