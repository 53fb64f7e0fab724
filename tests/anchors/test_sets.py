"""Anchor sets: ids and a vector each, sorted by id."""

import numpy as np
import pytest

from anchors import AnchorSet


@pytest.fixture
def anchors() -> AnchorSet:
    """The vector of each id is made of its own number."""
    return AnchorSet.of(["c", "a", "b"], np.array([[3, 3], [1, 1], [2, 2]], np.float32))


def test_ids_are_sorted(anchors):
    assert anchors.ids == ["a", "b", "c"]


def test_vectors_follow_their_ids(anchors):
    assert anchors.vectors.tolist() == [[1, 1], [2, 2], [3, 3]]


def test_ids_are_sorted_as_text():
    assert AnchorSet.of(["10", "9", "é", "Z", "a"], np.zeros((5, 1), np.float32)).ids == ["10", "9", "Z", "a", "é"]


def test_the_order_of_writing_does_not_matter(anchors):
    again = AnchorSet.of(["b", "c", "a"], np.array([[2, 2], [3, 3], [1, 1]], np.float32))
    assert (again.ids, again.vectors.tolist()) == (anchors.ids, anchors.vectors.tolist())


def test_vectors_stay_float32(anchors):
    assert anchors.vectors.dtype == np.float32


def test_the_length_is_the_number_of_anchors(anchors):
    assert len(anchors) == 3


def test_a_set_may_be_empty():
    empty = AnchorSet.of([], np.empty((0, 4), np.float32))
    assert (len(empty), empty.vectors.shape, empty.rows([]).shape) == (0, (0, 4), (0, 4))


@pytest.mark.parametrize("ids", [["c", "a"], ["b"], ["a", "b", "c"], ["c", "b", "a"]])
def test_rows_come_in_the_order_asked_for(anchors, ids):
    assert anchors.rows(ids).tolist() == [[ord(id_) - ord("a") + 1] * 2 for id_ in ids]


def test_rows_may_be_asked_for_twice(anchors):
    assert anchors.rows(["b", "b"]).tolist() == [[2, 2], [2, 2]]


def test_no_rows_keep_their_width(anchors):
    assert anchors.rows([]).shape == (0, 2)


def test_rows_are_a_copy(anchors):
    anchors.rows(["a"])[:] = 9
    assert anchors.vectors[0].tolist() == [1, 1]


def test_without_leaves_the_other_ids(anchors):
    left = anchors.without(["b", "z"])
    assert (left.ids, left.vectors.tolist()) == (["a", "c"], [[1, 1], [3, 3]])


def test_a_sample_is_drawn_in_order(anchors):
    drawn = anchors.sample(2, np.random.default_rng(0))
    assert drawn.ids == sorted(drawn.ids)
    assert np.array_equal(drawn.vectors, anchors.rows(drawn.ids))
    assert len(drawn) == 2


def test_a_sample_of_no_fewer_is_the_set(anchors):
    assert anchors.sample(3, np.random.default_rng(0)) is anchors
