"""Which anchors of two spaces are the same items."""

from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchors import AnchorSet, pair_by_ids
from anchors.errors import AnchorError, NoSharedAnchors
from models.errors import DomainError

DISTINCT_IDS = st.lists(st.text(max_size=3), unique=True, max_size=12)


def anchors_of(ids: list[str], width: int = 1) -> AnchorSet:
    """The vector of an id follows from its text and the width alone."""
    rows = [[crc32(f"{id_} {column}".encode()) % 2**20 for column in range(width)] for id_ in ids]
    return AnchorSet.of(ids, np.array(rows, np.float32).reshape(len(ids), width))


def test_the_shared_ids_are_paired_in_their_order():
    assert pair_by_ids(anchors_of(["d", "b", "a"]), anchors_of(["c", "b", "d"])).ids == ["b", "d"]


def test_rows_of_both_sides_are_those_of_the_ids():
    source, target = anchors_of(["a", "b", "c", "d"], 2), anchors_of(["z", "d", "b", "y"], 3)
    pairs = pair_by_ids(source, target)
    assert np.array_equal(pairs.source, source.rows(["b", "d"]))
    assert np.array_equal(pairs.target, target.rows(["b", "d"]))


def test_the_order_of_writing_pairs_nothing():
    target = anchors_of(["a", "b", "c"])
    one = pair_by_ids(AnchorSet.of(["a", "b"], np.array([[1], [2]], np.float32)), target)
    other = pair_by_ids(AnchorSet.of(["b", "a"], np.array([[2], [1]], np.float32)), target)
    assert (one.source.tolist(), one.target.tolist()) == (other.source.tolist(), other.target.tolist())


def test_as_many_rows_on_both_sides_are_not_paired_without_ids():
    with pytest.raises(NoSharedAnchors):
        pair_by_ids(anchors_of(["a", "b"]), anchors_of(["c", "d"]))


def test_ids_are_the_same_only_to_the_letter():
    with pytest.raises(NoSharedAnchors):
        pair_by_ids(anchors_of(["a", "1"]), anchors_of(["A", "01", " a"]))


def test_spaces_may_have_different_widths():
    pairs = pair_by_ids(anchors_of(["a", "b"], 2), anchors_of(["a", "b"], 5))
    assert (pairs.source.shape, pairs.target.shape) == ((2, 2), (2, 5))


def test_one_shared_id_is_a_pair():
    pairs = pair_by_ids(anchors_of(["a", "b"]), anchors_of(["b", "c"]))
    assert (pairs.ids, pairs.source.shape) == (["b"], (1, 1))


def test_no_shared_id_is_an_error_with_both_counts():
    with pytest.raises(NoSharedAnchors, match="the source has 2 ids, the target 3;"):
        pair_by_ids(anchors_of(["a", "b"]), anchors_of(["c", "d", "e"]))


def test_no_shared_id_gives_both_counts_as_facts():
    with pytest.raises(NoSharedAnchors) as refused:
        pair_by_ids(anchors_of(["a", "b"]), anchors_of(["c", "d", "e"]))
    assert refused.value.facts["got"] == {"source": 2, "target": 3, "shared": 0}


@pytest.mark.parametrize(("source", "target"), [([], []), (["a"], []), ([], ["a"])])
def test_a_space_without_anchors_shares_none(source, target):
    with pytest.raises(NoSharedAnchors, match=f"the source has {len(source)} ids, the target {len(target)};"):
        pair_by_ids(anchors_of(source), anchors_of(target))


def test_the_error_belongs_to_the_wing_and_to_the_common_root():
    assert issubclass(NoSharedAnchors, AnchorError)
    assert issubclass(AnchorError, DomainError)


@given(DISTINCT_IDS, DISTINCT_IDS)
def test_exactly_the_ids_of_both_are_paired(source, target):
    source, target = ["shared", *source], [*target, "shared"]
    pairs = pair_by_ids(anchors_of(source), anchors_of(target))
    assert pairs.ids == sorted({*source} & {*target})


@given(DISTINCT_IDS, DISTINCT_IDS)
def test_both_rows_of_a_pair_belong_to_its_id(source, target):
    source, target = anchors_of(["shared", *source]), anchors_of([*target, "shared"])
    pairs = pair_by_ids(source, target)
    assert np.array_equal(pairs.source, pairs.target)
    assert np.array_equal(pairs.source, anchors_of(pairs.ids).rows(pairs.ids))


@given(DISTINCT_IDS, DISTINCT_IDS)
def test_turning_the_direction_round_swaps_the_sides(one, two):
    one, two = anchors_of(["shared", *one], 2), anchors_of([*two, "shared"], 3)
    there, back = pair_by_ids(one, two), pair_by_ids(two, one)
    assert np.array_equal(there.source, back.target)
    assert np.array_equal(there.target, back.source)
