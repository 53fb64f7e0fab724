"""Sufficient statistics: parity with NumPy, and what is left when a part is taken away."""

import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.moments import Moments, cleaned, thin_svd
from models.ridge import Ridge


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_same(moments, expected, scale=1.0):
    assert moments.n == expected.n
    for name in ("mean_x", "mean_y", "sxx", "sxy", "syy"):
        # taking away costs the digits that the whole has more than the rest
        torch.testing.assert_close(getattr(moments, name), getattr(expected, name), atol=1e-10 * scale, rtol=1e-9)


@pytest.mark.parametrize(("n", "d1", "d2"), [(50, 4, 4), (50, 3, 7), (5, 9, 2), (2, 3, 3)])
def test_the_scatters_are_those_of_numpy(n, d1, d2):
    x, y = normal(0, n, d1) + 5, normal(1, n, d2) - 3
    moments = Moments.of(x, y)
    expected = (n - 1) * np.cov(x.numpy(), y.numpy(), rowvar=False)
    torch.testing.assert_close(moments.sxx.numpy(), expected[:d1, :d1])
    torch.testing.assert_close(moments.sxy.numpy(), expected[:d1, d1:])
    torch.testing.assert_close(moments.syy.numpy(), expected[d1:, d1:])


def test_the_means_are_those_of_numpy():
    x, y = normal(0, 50, 3) + 5, normal(1, 50, 4) - 3
    moments = Moments.of(x, y)
    assert np.allclose(moments.mean_x, x.numpy().mean(0), rtol=1e-12)
    assert np.allclose(moments.mean_y, y.numpy().mean(0), rtol=1e-12)


def test_a_large_mean_costs_the_scatter_no_digits():
    x, y = normal(0, 50, 3), normal(1, 50, 4)
    # 1e6 in front of 16 digits leaves 10
    torch.testing.assert_close(Moments.of(x + 1e6, y).sxx, Moments.of(x, y).sxx, atol=1e-7, rtol=1e-7)


@settings(max_examples=60)
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


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8), offset=st.floats(-100, 100), seed=st.integers(0, 99)
)
def test_chunks_of_any_sizes_give_the_whole(sizes, offset, seed):
    x, y = normal(seed, sum(sizes), 4) + offset, normal(seed + 1, sum(sizes), 3) - offset
    streamed = Moments.streamed(zip(x.split(sizes), y.split(sizes), strict=True))
    assert_same(streamed, Moments.of(x, y), scale=(1 + abs(offset)) ** 2)


def test_chunks_whose_means_drift_give_the_whole():
    x = normal(0, 90, 4) + torch.arange(90.0, dtype=torch.float64).unsqueeze(1)
    streamed = Moments.streamed((part, -part) for part in x.split(7))
    assert_same(streamed, Moments.of(x, -x), scale=1e4)


def test_a_million_rows_are_streamed_one_chunk_at_a_time():
    alive = weakref.WeakSet()
    most = 0

    def chunks():
        nonlocal most
        for seed in range(100):
            x = normal(seed, 10_000, 32)
            alive.add(x)
            most = max(most, len(alive))
            yield x, x[:, :16]
            del x

    moments = Moments.streamed(chunks())
    assert moments.n == 1_000_000
    assert most <= 2  # the one just made, and the one before it
    assert sum(getattr(moments, name).numel() for name in ("sxx", "sxy", "syy")) == 32 * 32 + 32 * 16 + 16 * 16
    # of a million standard normal numbers: standard errors of 1e-3, times 5
    torch.testing.assert_close(moments.sxx / moments.n, torch.eye(32, dtype=torch.float64), atol=7e-3, rtol=0)


def test_what_is_streamed_is_fitted_as_what_is_held(noisy):
    streamed = Moments.streamed(zip(noisy.x.split(13), noisy.y.split(13), strict=True))
    made, expected = Ridge().fit_moments(streamed), Ridge().fit(noisy.x, noisy.y)
    torch.testing.assert_close(made.transform(noisy.x), expected.transform(noisy.x))


def test_parts_add_up_in_any_grouping_and_order():
    x, y = normal(0, 30, 3), normal(1, 30, 2)
    a, b, c = (Moments.of(*part) for part in zip(x.split([4, 19, 7]), y.split([4, 19, 7]), strict=True))
    assert_same((a + b) + c, a + (b + c))
    assert_same(a + b, b + a)
    assert_same((a + b + c) - b, a + c)


def test_adding_changes_neither_side():
    x, y = normal(0, 30, 3), normal(1, 30, 2)
    first, second = Moments.of(x[:10], y[:10]), Moments.of(x[10:], y[10:])
    _ = first + second
    assert_same(first, Moments.of(x[:10], y[:10]))
    assert_same(second, Moments.of(x[10:], y[10:]))


def test_reversed_are_the_moments_of_the_exchanged_spaces():
    x, y = normal(0, 30, 3) + 2, normal(1, 30, 5)
    assert_same(Moments.of(x, y).reversed, Moments.of(y, x))
    assert_same(Moments.of(x, y).reversed.reversed, Moments.of(x, y))


def test_reversed_moments_fit_the_way_back(noisy):
    way_back = Ridge().fit_moments(Moments.of(noisy.x, noisy.y).reversed)
    torch.testing.assert_close(way_back.transform(noisy.y), Ridge().fit(noisy.y, noisy.x).transform(noisy.y))


def test_the_principal_directions_of_the_target_are_those_of_the_reversed():
    moments = Moments.of(normal(0, 30, 3), normal(1, 30, 5))
    for one, other in zip(moments.principal_y, moments.reversed.principal, strict=True):
        assert torch.equal(one, other)


def test_the_core_is_the_scatter_between_the_principal_directions():
    moments = Moments.of(normal(0, 30, 5), normal(1, 30, 3))
    torch.testing.assert_close(moments.principal[1] @ moments.core @ moments.principal_y[1].T, moments.sxy)


def test_in_single_precision_nothing_is_decomposed_again():
    moments = Moments.of(normal(0, 30, 5), normal(1, 30, 3))
    single = moments.single()
    assert single.n == 30
    for name in ("mean_x", "mean_y", "sxx", "sxy", "syy", "principal_cross", "core"):
        assert torch.equal(getattr(single, name), getattr(moments, name).float())
    assert all(torch.equal(a, b.float()) for a, b in zip(single.principal, moments.principal, strict=True))
    assert all(torch.equal(a, b.float()) for a, b in zip(single.principal_y, moments.principal_y, strict=True))


@pytest.mark.parametrize(("p", "q"), [(5, 5), (4, 9), (9, 4), (1, 3), (3, 1)])
def test_the_thin_svd_is_that_of_lapack(p, q):
    matrix = normal(0, p, q)
    u, s, v = thin_svd(matrix)
    torch.testing.assert_close(s, torch.linalg.svdvals(matrix))
    torch.testing.assert_close(u * s @ v.T, matrix)
    for basis in (u, v):
        torch.testing.assert_close(basis.T @ basis, torch.eye(min(p, q), dtype=torch.float64))


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_the_thin_svd_leaves_rounding_out(rank):
    u, s, v = thin_svd(normal(0, 9, rank) @ normal(1, rank, 6))
    assert (u.shape, s.shape, v.shape) == ((9, rank), (rank,), (6, rank))


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
