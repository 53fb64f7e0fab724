"""Which pairs cannot be used, and why."""

import numpy as np
import pytest

from anchors import Pairs, screen
from anchors.screening import WIDE

IDS = ["a", "b", "c", "d", "e"]


@pytest.fixture
def pairs() -> Pairs:
    rng = np.random.default_rng(0)
    return Pairs(list(IDS), *(rng.normal(size=(5, width)).astype(np.float32) for width in (8, 12)))


def test_good_pairs_stay_as_they_are(pairs):
    kept, dropped = screen(pairs)
    assert (kept.ids, dropped) == (IDS, {})
    assert np.array_equal(kept.source, pairs.source)
    assert np.array_equal(kept.target, pairs.target)


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_zero_vector_is_dropped(pairs, side):
    getattr(pairs, side)[1] = 0
    kept, dropped = screen(pairs)
    assert dropped == {"b": f"the {side} vector is zero"}
    assert kept.ids == ["a", "c", "d", "e"]


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_constant_vector_is_dropped(pairs, side):
    getattr(pairs, side)[4] = -0.25
    assert screen(pairs)[1] == {"e": f"the {side} vector is constant: all its components are equal"}


def test_equal_components_of_a_narrow_vector_may_be_chance():
    narrow = np.array([[1] * (WIDE - 1), range(WIDE - 1)], np.float32)
    assert screen(Pairs(["a", "b"], narrow, narrow))[1] == {}


def test_vectors_of_one_component_are_never_constant_but_may_be_zero():
    values = np.array([[1], [2], [0]], np.float32)
    assert screen(Pairs(["a", "b", "c"], values, values))[1].keys() == {"c"}


def test_of_copies_in_both_spaces_the_first_stays(pairs):
    pairs.source[3], pairs.target[3] = pairs.source[0], pairs.target[0]
    assert screen(pairs)[1] == {"d": "a copy of 'a' in both spaces"}


@pytest.mark.parametrize("side", ["source", "target"])
def test_of_a_contradiction_the_first_stays(pairs, side):
    getattr(pairs, side)[3] = getattr(pairs, side)[0]
    assert screen(pairs)[1] == {"d": f"the {side} vector is that of 'a', the other is not: a contradiction"}


def test_a_pair_may_contradict_two(pairs):
    pairs.source[3], pairs.target[3] = pairs.source[0], pairs.target[1]
    assert screen(pairs)[1] == {
        "d": "the source vector is that of 'a', the target vector that of 'b': a contradiction"
    }


def test_a_dropped_pair_accuses_no_other(pairs):
    pairs.source[1], pairs.target[2] = pairs.source[0], pairs.target[1]
    assert screen(pairs)[1].keys() == {"b"}


def test_minus_zero_is_zero(pairs):
    pairs.source[:, 0] = 0
    pairs.source[1], pairs.target[1] = pairs.source[0], pairs.target[0]
    pairs.source[1, 0] = -0.0
    assert screen(pairs)[1].keys() == {"b"}


def test_every_vector_that_is_kept_is_kept_once(pairs):
    many = Pairs([f"{i}" for i in range(50)], pairs.source[np.arange(50) % 5], pairs.target[np.arange(50) // 10])
    kept, dropped = screen(many)
    assert len(np.unique(kept.source, axis=0)) == len(np.unique(kept.target, axis=0)) == len(kept.ids) == 5
    assert {*kept.ids} | {*dropped} == {*many.ids}


def test_nothing_may_be_left(pairs):
    pairs.source[:] = 0
    kept, dropped = screen(pairs)
    assert (kept.ids, kept.source.shape, kept.target.shape, len(dropped)) == ([], (0, 8), (0, 12), 5)


def test_no_pairs_are_screened_to_none():
    none = Pairs([], np.empty((0, 3), np.float32), np.empty((0, 2), np.float32))
    assert screen(none)[0].ids == []
