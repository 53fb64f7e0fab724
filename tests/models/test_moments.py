"""Sufficient statistics: parity with NumPy, and what is left when a part is taken away."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.moments import Moments, cleaned


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_same(moments, expected, scale=1.0):
    assert moments.n == expected.n
    for name in ("mean_x", "mean_y", "sxx", "sxy"):
        # taking away costs the digits that the whole has more than the rest
        torch.testing.assert_close(getattr(moments, name), getattr(expected, name), atol=1e-10 * scale, rtol=1e-9)


@pytest.mark.parametrize(("n", "d1", "d2"), [(50, 4, 4), (50, 3, 7), (5, 9, 2), (2, 3, 3)])
def test_the_scatters_are_those_of_numpy(n, d1, d2):
    x, y = normal(0, n, d1) + 5, normal(1, n, d2) - 3
    moments = Moments.of(x, y)
    expected = (n - 1) * np.cov(x.numpy(), y.numpy(), rowvar=False)
    torch.testing.assert_close(moments.sxx.numpy(), expected[:d1, :d1])
    torch.testing.assert_close(moments.sxy.numpy(), expected[:d1, d1:])


def test_the_means_are_those_of_numpy():
    x, y = normal(0, 50, 3) + 5, normal(1, 50, 4) - 3
    moments = Moments.of(x, y)
    assert np.allclose(moments.mean_x, x.numpy().mean(0), rtol=1e-12)
    assert np.allclose(moments.mean_y, y.numpy().mean(0), rtol=1e-12)


def test_a_large_mean_costs_the_scatter_no_digits():
    x, y = normal(0, 50, 3), normal(1, 50, 4)
    # 1e6 in front of 16 digits leaves 10
    torch.testing.assert_close(Moments.of(x + 1e6, y).sxx, Moments.of(x, y).sxx, atol=1e-7, rtol=1e-7)


@settings(max_examples=60, deadline=None)
@given(
    kept=st.integers(1, 30),
    taken=st.integers(1, 30),
    d1=st.integers(1, 6),
    d2=st.integers(1, 6),
    offset=st.floats(-100, 100),
    seed=st.integers(0, 2**16),
)
def test_the_whole_without_a_part_is_the_rest(kept, taken, d1, d2, offset, seed):
    x, y = normal(seed, kept + taken, d1) + offset, normal(seed + 1, kept + taken, d2)
    x[:taken] *= 2  # the part is unlike the rest
    rest = Moments.of(x, y) - Moments.of(x[:taken], y[:taken])
    assert_same(rest, Moments.of(x[taken:], y[taken:]), scale=(1 + abs(offset)) ** 2)


def test_parts_can_be_taken_away_in_any_order():
    x, y = normal(0, 30, 3), normal(1, 30, 2)
    whole, first, second = Moments.of(x, y), Moments.of(x[:10], y[:10]), Moments.of(x[10:20], y[10:20])
    assert_same(whole - first - second, whole - second - first)


def test_taking_away_changes_neither_side():
    x, y = normal(0, 30, 3), normal(1, 30, 2)
    whole, part = Moments.of(x, y), Moments.of(x[:10], y[:10])
    _ = whole - part
    assert_same(whole, Moments.of(x, y))
    assert_same(part, Moments.of(x[:10], y[:10]))


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5])
def test_constant_data_have_rank_zero(value):
    x = torch.full((7, 3), value, dtype=torch.float64)
    assert len(Moments.of(x, normal(1, 7, 2)).principal[0]) == 0


def test_constant_data_have_rank_zero_whatever_rounding_says():
    still = {n: torch.full((n, 3), 0.1, dtype=torch.float64) for n in range(3, 60)}
    found = [len(Moments.of(x, normal(1, n, 2)).principal[0]) for n, x in still.items()]
    assert not any(found)


@pytest.mark.parametrize("kept", [1, 3])
def test_constant_data_have_rank_zero_after_a_part_is_taken_away(kept):
    x = torch.cat([normal(0, 10, 3), normal(2, 1, 3).expand(kept, 3)])
    y = normal(1, len(x), 2)
    rest = Moments.of(x, y) - Moments.of(x[:10], y[:10])
    assert len(rest.principal[0]) == 0


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_rank_counts_the_directions_of_the_data(rank):
    x = normal(0, 30, rank) @ normal(1, rank, 5)
    assert len(Moments.of(x, x).principal[0]) == rank


@pytest.mark.parametrize("n", [2, 3, 6])
def test_n_rows_span_at_most_n_minus_one_directions(n):
    x = normal(0, n, 9) + 100
    assert len(Moments.of(x, x).principal[0]) == n - 1


def test_the_principal_directions_give_the_scatter_back():
    moments = Moments.of(normal(0, 30, 5), normal(1, 30, 2))
    s, v = moments.principal
    torch.testing.assert_close(v @ s.diag() @ v.T, moments.sxx)


def test_the_principal_directions_are_ordered_from_strong_to_weak():
    s, _ = Moments.of(normal(0, 30, 5), normal(1, 30, 2)).principal
    assert s.tolist() == sorted(s.tolist(), reverse=True)


def test_the_principal_cross_is_the_scatter_seen_from_the_principal_directions():
    moments = Moments.of(normal(0, 30, 5), normal(1, 30, 2))
    torch.testing.assert_close(moments.principal[1] @ moments.principal_cross, moments.sxy)


def test_cleaned_drops_what_is_rounding_beside_the_whole():
    difference = torch.tensor([1e-14, -1e-14, 1e-12, -2.0], dtype=torch.float64)
    assert cleaned(difference, torch.tensor([-1.0])).tolist() == [0.0, 0.0, 1e-12, -2.0]
