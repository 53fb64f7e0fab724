"""Two spaces, seen where pairs relate them."""

import numpy as np
import pytest

from anchors.span import Span


def test_turned_points_are_the_same_in_the_span(clouds):
    pairs = clouds.pairs(8)
    span, x = Span.of(pairs.source, pairs.target), clouds.points(50)
    assert np.allclose(span.source(x), span.target(clouds.turned(x)), atol=1e-4)


def test_n_pairs_span_one_direction_less(clouds):
    pairs = clouds.pairs(8)
    span = Span.of(pairs.source, pairs.target)
    assert (span.directions_x.shape, span.directions_y.shape) == ((16, 7), (16, 7))


def test_directions_are_orthonormal(clouds):
    pairs = clouds.pairs(40, noise=0.5)
    span = Span.of(pairs.source, pairs.target)
    for directions in (span.directions_x, span.directions_y):
        assert np.allclose(directions.T @ directions, np.eye(16))


def test_widths_may_differ(clouds):
    pairs = clouds.pairs(40)
    span = Span.of(pairs.source, pairs.target[:, :5])
    assert span.source(pairs.source).shape == span.target(pairs.target[:, :5]).shape == (40, 5)


def test_few_pairs_retrieve_in_the_span_what_they_lose_outside():
    """science.md 2.11, fact 1: few anchors of 128 isometric dimensions."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(128, 128)))[0]
    x = rng.normal(size=(308, 128))
    y = x @ turn
    span = Span.of(x[:8], y[:8])
    inside = span.source(x[8:]) @ span.target(y[8:]).T
    carried = (x[8:] - span.mean_x) @ span.directions_x @ span.directions_y.T
    wanted = y[8:] - span.mean_y
    outside = carried @ (wanted / np.linalg.norm(wanted, axis=1, keepdims=True)).T
    top1 = [(similarity.argmax(1) == np.arange(300)).mean() for similarity in (inside, outside)]
    assert top1[0] == pytest.approx(1)
    assert top1[1] < 0.6


def test_equal_pairs_span_nothing():
    span = Span.of(np.ones((4, 3)), np.ones((4, 2)))
    assert span.source(np.eye(3)).shape == (3, 0)
