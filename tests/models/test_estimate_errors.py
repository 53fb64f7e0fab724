"""What cannot be estimated, and the least that can."""

import math

import pytest
import torch

from models.errors import DimensionMismatch, InvalidOption, TooFewAnchors, UnknownMethod
from models.estimate import estimate
from models.objectives import OBJECTIVES
from models.registry import METHODS


@pytest.mark.parametrize(("d1", "d2"), [(8, 12), (12, 8)])
def test_identity_between_two_widths_is_an_error_that_names_the_way_out(d1, d2, normal):
    with pytest.raises(DimensionMismatch, match="'auto'") as caught:
        estimate(normal(20, d1), normal(20, d2), "identity")
    assert caught.value.facts == {"expected": d1, "got": d2}


def test_auto_takes_no_options(noisy):
    with pytest.raises(InvalidOption, match="name a method") as caught:
        estimate(noisy.x, noisy.y, options={"penalty": 0.1})
    assert caught.value.facts == {"expected": [], "got": ["penalty"]}


@pytest.mark.parametrize("value", [-1.0, math.nan, "much", True])
def test_an_option_out_of_its_range_is_refused(value, noisy):
    with pytest.raises(InvalidOption, match="'penalty'"):
        estimate(noisy.x, noisy.y, "ridge", options={"penalty": value})


def test_an_unknown_objective_is_answered_with_the_choices(noisy):
    with pytest.raises(UnknownMethod, match="objective") as caught:
        estimate(noisy.x, noisy.y, objective="beauty")
    assert caught.value.facts == {"expected": list(OBJECTIVES), "got": "beauty"}


def test_a_head_is_missed(noisy):
    with pytest.raises(InvalidOption, match="needs the head"):
        estimate(noisy.x, noisy.y, objective="head")


@pytest.mark.parametrize("name", ["magic", "distilled", "ensemble"])
def test_an_unknown_method_is_answered_with_the_choices(name, noisy):
    with pytest.raises(UnknownMethod) as caught:
        estimate(noisy.x, noisy.y, name)
    assert caught.value.facts["expected"] == ["auto", *METHODS]


@pytest.mark.parametrize("name", ["auto", *METHODS])
@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_anchors_are_too_few(name, n, noisy):
    with pytest.raises(TooFewAnchors) as caught:
        estimate(noisy.x[:n], noisy.y[:n], name)
    assert caught.value.facts == {"expected": 2, "got": n}


def test_different_numbers_of_rows_are_a_dimension_mismatch(noisy):
    with pytest.raises(DimensionMismatch):
        estimate(noisy.x, noisy.y[1:])


@pytest.mark.parametrize("name", ["mean", "orthogonal", "ridge", "whitened"])
@pytest.mark.parametrize("n", [2, 3])
def test_two_anchors_are_enough_between_two_widths(name, n, make_pair):
    x, y, *_ = make_pair(n, 8, 12)
    assert estimate(x, y, name).report.anchors == n


@pytest.mark.parametrize(("name", "n"), [("auto", 2), ("identity", 2), ("identity", 3)])
def test_two_anchors_are_enough_in_one_width(name, n, make_pair):
    x, y, *_ = make_pair(n, 8, 8)
    assert estimate(x, y, name).report.anchors == n


@pytest.mark.parametrize("objective", ["retrieval", "reconstruction"])
@pytest.mark.parametrize("length", [1e-15, 1e7, 1e17])
def test_very_long_and_very_short_vectors_are_fitted(length, objective, rotated):
    made = estimate(length * rotated.x, length * rotated.y, objective=objective)
    translated = made.method.transform(length * rotated.x)
    torch.testing.assert_close(translated / length, rotated.y.double(), atol=0.2, rtol=0.1)
    assert made.report.quality["top1"].mean > 0.9
