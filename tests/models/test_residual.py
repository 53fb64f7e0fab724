"""A ridge map and the network on it: when it learns, when it stays out of the way, and its formula in NumPy."""

import numpy as np
import pytest
import torch
from scipy.special import erf

from models import residual
from models.registry import MAPS, METHODS
from models.residual import Residual, ResidualMap
from models.ridge import Ridge


def curved(normal, n, d1=8, d2=8, noise=0.05):
    """A target that bends: linear, and a wave of another direction."""
    x = normal(n, d1)
    return x, x @ normal(d1, d2) + 2 * torch.tanh(2 * x @ normal(d1, d2)) + noise * normal(n, d2)


@pytest.fixture(scope="module")
def bent():
    """x, y (1000, 8) that bend, and what learned from them."""
    generator = torch.Generator().manual_seed(3)
    x, y = curved(lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64), 1000)
    return x, y, Residual().fit(x, y)


def r2(method, x, y):
    return float(1 - (y - method.transform(x)).square().sum() / (y - y.mean(0)).square().sum())


def test_it_is_registered():
    assert METHODS["residual"] is Residual
    assert MAPS["residual"] is ResidualMap


@pytest.mark.parametrize(("n", "d1", "d2", "suited"), [
    (999, 8, 8, False), (1000, 8, 8, True), (1000, 166, 8, True), (1000, 167, 8, False), (1000, 8, 167, False),
])  # fmt: skip
def test_it_suits_many_pairs(n, d1, d2, suited):
    assert Residual.suits(n, d1, d2) is suited


def test_the_map_is_the_formula_of_numpy(normal):
    w, b, inner, inner_bias, outer = normal(4, 3), normal(3), normal(4, 5), normal(5), normal(5, 3)
    x = normal(9, 4)
    hidden = (x @ inner + inner_bias).numpy()
    gelu = 0.5 * hidden * (1 + erf(hidden / np.sqrt(2)))
    expected = (x @ w + b).numpy() + gelu @ outer.numpy()
    made = ResidualMap(w, b, inner, inner_bias, outer)
    assert made.dims == (4, 3)
    torch.testing.assert_close(made(x), torch.from_numpy(expected))


@pytest.mark.parametrize(("d1", "d2"), [(8, 8), (12, 5), (5, 12), (1, 1)])
def test_what_bends_is_translated_better_than_by_ridge(d1, d2, normal):
    x, y = curved(normal, 3000, d1, d2)
    ridge, both = (method.fit(x[:2000], y[:2000]) for method in (Ridge(1e-3), Residual(1e-3)))
    left = [1 - r2(method, x[2000:], y[2000:]) for method in (both, ridge)]
    assert left[0] < 0.7 * left[1]


@pytest.mark.parametrize("penalty", [1e-5, 1e-3, 1.0])
def test_where_nothing_is_left_to_learn_it_is_the_ridge_map(penalty, normal):
    x, y = normal(300, 8), normal(300, 8)  # nothing but chance
    method, ridge = Residual(penalty).fit(x, y), Ridge(penalty).fit(x, y)
    assert not method.map_.outer.any()
    torch.testing.assert_close(method.map_.weight, ridge.map_.weight)
    torch.testing.assert_close(method.transform(x), ridge.transform(x))


def test_on_linear_data_it_is_hardly_worse_than_ridge(make_pair):
    pair = make_pair(3000, 8, 8, noise=0.5)
    x, y = pair.x, pair.y
    ridge, both = (method.fit(x[:2000], y[:2000]) for method in (Ridge(1e-3), Residual(1e-3)))
    assert r2(both, x[2000:], y[2000:]) > r2(ridge, x[2000:], y[2000:]) - 0.005


def test_without_steps_it_is_the_ridge_map(normal, monkeypatch):
    monkeypatch.setattr(residual, "STEPS", 0)
    x, y = curved(normal, 300)
    torch.testing.assert_close(Residual().fit(x, y).transform(x), Ridge(1e-3).fit(x, y).transform(x))


def test_the_ridge_under_it_is_that_of_all_anchors(bent):
    x, y, method = bent
    made, ridge = method.map_, Ridge(method.penalty).fit(x, y).map_
    assert made.outer.any()
    torch.testing.assert_close(made.weight, ridge.weight)
    torch.testing.assert_close(made.bias, ridge.bias)


def test_the_same_anchors_give_the_same_map_whatever_the_global_seed(bent):
    x, y, method = bent
    torch.manual_seed(torch.initial_seed() + 1)
    again = Residual().fit(x, y).map_
    assert all(torch.equal(tensor, vars(again)[name]) for name, tensor in vars(method.map_).items())


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_scale_of_the_spaces_does_not_matter(factor, bent):
    x, y, plain = bent
    scaled = Residual().fit(factor * x, y / factor)
    # rounding grows over the steps of training
    torch.testing.assert_close(factor * scaled.transform(factor * x), plain.transform(x), atol=1e-2, rtol=1e-2)


def test_a_constant_axis_is_left_alone(normal):
    x, y = curved(normal, 1000)
    x[:, 3], y[:, 2] = 0.1, -0.7
    translated = Residual().fit(x, y).transform(x)
    assert translated.isfinite().all()
    torch.testing.assert_close(translated[:, 2], y[:, 2])


def test_without_any_scatter_it_is_the_target_mean():
    still = torch.full((50, 3), 0.1, dtype=torch.float64)
    torch.testing.assert_close(Residual().fit(still, 2 * still).transform(still), 2 * still)


def test_fewer_anchors_than_dimensions_still_give_a_map(few):
    assert Residual().fit(few.x, few.y).transform(few.x).isfinite().all()


def test_a_fit_leaves_no_graph_behind(bent):
    assert not any(tensor.requires_grad for tensor in vars(bent[2].map_).values())


def test_a_fit_learns_where_gradients_are_switched_off(bent):
    x, y, method = bent
    with torch.no_grad():
        made = Residual().fit(x, y).map_
    assert torch.equal(made.outer, method.map_.outer)
    assert made.outer.any()
