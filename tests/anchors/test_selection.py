"""What every selector promises, and what each is good for."""

from itertools import combinations

import numpy as np
import pytest
from scipy.linalg import qr

from anchors import SELECTORS, select
from anchors.errors import AnchorError, InvalidCount, UnknownSelector


@pytest.fixture(params=SELECTORS)
def name(request) -> str:
    return request.param


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 5, 17, 59])
def test_as_many_rows_as_asked_for_sorted_and_distinct(name, vectors, count):
    rows = select(name, vectors, count)
    assert len(rows) == count
    assert (np.diff(rows) > 0).all()
    assert 0 <= rows.min() <= rows.max() < 60


@pytest.mark.parametrize("count", [60, 61, 10**6])
def test_all_rows_where_there_are_no_more(name, vectors, count):
    assert select(name, vectors, count).tolist() == list(range(60))


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_gives_the_same_rows(name, vectors, seed):
    assert select(name, vectors, 9, seed).tolist() == select(name, vectors, 9, seed).tolist()


@pytest.mark.parametrize("rows", [[[0, 0]] * 8, [[1, 2]] * 8, [[1, 2]] * 5 + [[3, 4]] * 3])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_copies_are_distinct_rows(name, rows, count):
    assert len(set(select(name, np.array(rows, np.float32), count).tolist())) == count


def test_one_dimension_is_enough(name):
    assert len(select(name, np.arange(12, dtype=np.float32)[:, None], 4)) == 4


def test_vectors_are_not_changed(name, vectors):
    before = vectors.copy()
    select(name, vectors, 9)
    assert np.array_equal(vectors, before)


def test_a_large_shift_does_not_matter(name, vectors):
    vectors = np.round(vectors * 64) / 64
    assert select(name, vectors, 9).tolist() == select(name, vectors + 512, 9).tolist()


def test_uniform_gives_every_row_the_same_chance(vectors):
    hits = np.bincount(np.concatenate([select("uniform", vectors, 6, seed) for seed in range(1000)]), minlength=60)
    assert ((hits - 100) ** 2 / 100).sum() < 99.6  # χ² of 59 degrees of freedom, p = .001


def spread(points: np.ndarray) -> float:
    return min(np.linalg.norm(one - other) for one, other in combinations(points, 2))


def radius(vectors: np.ndarray, rows: np.ndarray) -> float:
    return np.linalg.norm(vectors[:, None] - vectors[rows], axis=2).min(1).max()


@pytest.mark.parametrize("seed", range(5))
def test_farthest_points_lie_half_as_far_apart_as_possible_at_least(seed):
    vectors = np.random.default_rng(seed).normal(size=(12, 2))
    best = max(spread(vectors[list(rows)]) for rows in combinations(range(12), 4))
    assert spread(vectors[select("farthest_point", vectors, 4, seed)]) >= best / 2


@pytest.mark.parametrize("seed", range(5))
def test_no_row_lies_farther_from_farthest_points_than_twice_the_least_possible(seed):
    vectors = np.random.default_rng(seed).normal(size=(12, 2))
    best = min(radius(vectors, np.array(rows)) for rows in combinations(range(12), 4))
    assert radius(vectors, select("farthest_point", vectors, 4, seed)) <= 2 * best


def test_kmeans_takes_one_of_each_well_separated_cluster():
    vectors = np.repeat(np.eye(6) * 100, 20, axis=0) + np.random.default_rng(0).normal(size=(120, 6))
    assert sorted(select("kmeans", vectors, 6) // 20) == [0, 1, 2, 3, 4, 5]


def test_kmeans_takes_the_row_in_the_middle():
    vectors = np.array([[-3.0], [-1], [0.1], [1], [3]])
    assert select("kmeans", vectors, 1).tolist() == [2]


@pytest.mark.parametrize("seed", range(5))
def test_leverage_covers_the_rank(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(200, 7)) @ rng.normal(size=(7, 30))
    rows = select("leverage", vectors, 7)
    assert np.linalg.matrix_rank((vectors - vectors.mean(0))[rows]) == 7


def test_leverage_finds_the_one_row_that_has_a_direction():
    vectors = np.random.default_rng(0).normal(size=(300, 4))
    vectors[:, 3] = 0
    vectors[123, 3] = 0.5
    assert 123 in select("leverage", vectors, 4)


def test_leverage_begins_as_pivoted_qr_does():
    vectors = np.random.default_rng(1).normal(size=(50, 6))
    pivots = qr((vectors - vectors.mean(0)).T, pivoting=True, mode="r")[1][:6]
    assert select("leverage", vectors, 6).tolist() == sorted(pivots)


def test_leverage_determines_a_regression_better_than_chance():
    vectors = np.random.default_rng(2).normal(size=(400, 8)) * np.linspace(5, 0.2, 8)

    def uncertainty(rows):
        x = (vectors - vectors.mean(0))[rows]
        return np.linalg.slogdet(np.linalg.inv(x.T @ x))[1]

    assert uncertainty(select("leverage", vectors, 20)) < min(
        uncertainty(select("uniform", vectors, 20, seed)) for seed in range(50)
    )


def test_an_unknown_selector_is_an_error_with_all_names(vectors):
    with pytest.raises(UnknownSelector, match=r"selector must be one of .*'uniform'.*, got 'best'") as refused:
        select("best", vectors, 3)
    assert refused.value.facts == {"expected": [*SELECTORS], "got": "best"}
    assert isinstance(refused.value, AnchorError)


@pytest.mark.parametrize("count", [0, -1])
def test_less_than_one_row_is_an_error(name, vectors, count):
    with pytest.raises(InvalidCount, match=f"must be at least 1, got {count}") as refused:
        select(name, vectors, count)
    assert refused.value.facts == {"expected": 1, "got": count}
