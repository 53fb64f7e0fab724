"""Anchors that are means of many pairs."""

import numpy as np
import pytest

from anchors import Pairs, Prototypes, prototypes
from anchors.errors import InvalidCount
from anchors.selection import select


@pytest.fixture
def pairs(clouds) -> Pairs:
    return clouds.pairs(300)


def test_both_sides_are_means_over_the_same_ids(pairs):
    made = prototypes(pairs, 12)
    row_of = {id_: row for row, id_ in enumerate(pairs.ids)}
    for row, id_ in enumerate(made.ids):
        rows = [row_of[member] for member in made.members[id_]]
        assert np.allclose(made.source[row], pairs.source[rows].mean(0), atol=1e-5)
        assert np.allclose(made.target[row], pairs.target[rows].mean(0), atol=1e-5)


def test_every_pair_is_in_one_prototype(pairs):
    made = prototypes(pairs, 12)
    assert sorted(member for members in made.members.values() for member in members) == pairs.ids


def test_the_weight_is_the_number_of_members(pairs):
    made = prototypes(pairs, 12)
    assert made.weights.tolist() == [len(made.members[id_]) for id_ in made.ids]
    assert made.weights.sum() == 300


def test_the_weighted_mean_of_the_prototypes_is_that_of_the_pairs(pairs):
    made = prototypes(pairs, 12)
    assert np.allclose(np.average(made.target, axis=0, weights=made.weights), pairs.target.mean(0), atol=1e-4)


def test_prototypes_are_pairs_with_ids_in_order(pairs):
    made = prototypes(pairs, 12)
    assert isinstance(made, Pairs)
    assert made.ids == sorted(made.ids) == [f"prototype-{i:04d}" for i in range(12)]
    assert (made.source.dtype, made.target.dtype) == (np.float32, np.float32)


def test_the_same_seed_makes_the_same_prototypes(pairs):
    one, other = prototypes(pairs, 12, seed=3), prototypes(pairs, 12, seed=3)
    assert one.members == other.members
    assert np.array_equal(one.source, other.source)


def test_well_separated_clusters_are_found_though_one_space_is_a_thousand_times_larger():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 25)
    source = 1e3 * rng.normal(size=(100, 3))  # says nothing of the cluster
    target = np.eye(4)[labels] * 10 + 0.01 * rng.normal(size=(100, 4))
    made = prototypes(Pairs([f"{i:03d}" for i in range(100)], source, target), 4)
    counts = [len({labels[int(member)] for member in members}) for members in made.members.values()]
    assert np.mean(counts) < 4  # the large space alone would mix them all


@pytest.mark.parametrize("count", [300, 500])
def test_no_more_prototypes_than_pairs_and_each_is_its_pair(pairs, count):
    made = prototypes(pairs, count)
    assert made.weights.tolist() == [1] * 300
    assert np.array_equal(np.sort(made.source, axis=0), np.sort(pairs.source, axis=0))


def test_copies_make_one_prototype():
    made = prototypes(Pairs(["a", "b", "c"], np.ones((3, 2), np.float32), np.ones((3, 4), np.float32)), 2)
    assert made.members == {"prototype-0000": ["a", "b", "c"]}


def rotation_error(pairs: Pairs, truth: np.ndarray) -> float:
    """Of Procrustes through the pairs."""
    x, y = pairs.source - pairs.source.mean(0), pairs.target - pairs.target.mean(0)
    u, _, vt = np.linalg.svd(x.T @ y)
    return float(np.linalg.norm(u @ vt - truth))


@pytest.mark.parametrize("seed", range(3))
def test_noisy_prototypes_find_a_rotation_twice_as_well_as_single_points(clouds, seed):
    noisy = clouds.pairs(2000, noise=2.0)
    rows = select("uniform", noisy.source, 40, seed)
    single = Pairs([noisy.ids[row] for row in rows], noisy.source[rows], noisy.target[rows])
    averaged = prototypes(noisy, 40, seed)
    assert rotation_error(averaged, clouds.rotation) < rotation_error(single, clouds.rotation) / 2


def test_less_than_one_prototype_is_an_error(pairs):
    with pytest.raises(InvalidCount, match="must be at least 1, got 0"):
        prototypes(pairs, 0)


def test_prototypes_know_their_members(pairs):
    made = prototypes(pairs, 5)
    assert isinstance(made, Prototypes)
    assert list(made.members) == made.ids
