"""The quadratic assignment, against brute force and scipy."""

from itertools import combinations, permutations

import numpy as np
import pytest
from scipy.optimize import quadratic_assignment

from anchors.assignment import arranged, assign, gains


def symmetric(n: int, seed: int) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(n, n))
    return a + a.T


def value(a, b, order) -> float:
    return (a * b[np.ix_(order, order)]).sum()


def test_gains_are_what_an_exchange_adds():
    a, b, order = symmetric(7, 0), symmetric(7, 1), np.random.default_rng(2).permutation(7)
    gain = gains(a, arranged(b, order[None]))[0]
    for r, s in combinations(range(7), 2):
        exchanged = order.copy()
        exchanged[[r, s]] = order[[s, r]]
        assert value(a, b, exchanged) - value(a, b, order) == pytest.approx(gain[r, s])
        assert gain[s, r] == pytest.approx(gain[r, s])


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_all_permutations_is_found(seed):
    a, b = symmetric(6, seed), symmetric(6, seed + 10)
    best = max(value(a, b, np.array(order)) for order in permutations(range(6)))
    assert value(a, b, assign(a, b, np.random.default_rng(0))) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_as_good_as_the_best_of_thirty_of_scipy(seed):
    a, b, rng = symmetric(15, seed), symmetric(15, seed + 10), np.random.default_rng(0)
    options = {"maximize": True, "rng": rng}
    theirs = max(quadratic_assignment(a, b, method="2opt", options=options).fun for _ in range(30))
    assert value(a, b, assign(a, b, rng)) >= 0.98 * theirs


def test_a_shuffled_gram_matrix_is_put_in_order():
    rng = np.random.default_rng(0)
    x, order = rng.normal(size=(20, 5)), rng.permutation(20)
    assert assign(x @ x.T, x[order] @ x[order].T, rng).tolist() == np.argsort(order).tolist()


def test_one_row_is_itself():
    assert assign(np.ones((1, 1)), np.ones((1, 1)), np.random.default_rng(0)).tolist() == [0]


def test_equal_rows_end():
    assert sorted(assign(np.ones((4, 4)), np.ones((4, 4)), np.random.default_rng(0))) == [0, 1, 2, 3]
