"""Folds: a partition of the anchors, and what the candidates share."""

import pytest
import torch

from models.folds import EVALUATED, Folds, row_space
from models.moments import Moments

every_n = pytest.mark.parametrize("n", [2, 3, 4, 5, 9, 10, 11, 57, 300])


@pytest.fixture
def folds(normal):
    """folds(n, d1=3, d2=3, seed=0) of standard normal anchors."""
    return lambda n, d1=3, d2=3, seed=0: Folds(normal(n, d1), normal(n, d2), seed)


@every_n
def test_each_row_is_in_exactly_one_fold(n, folds):
    made = folds(n)
    assert len(made.fold_of) == n
    assert sorted(set(made.fold_of.tolist())) == list(range(made.count))


@every_n
def test_the_sizes_of_folds_differ_by_one_at_most(n, folds):
    sizes = folds(n).fold_of.bincount()
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize(("n", "count"), [(2, 2), (3, 2), (4, 2), (6, 3), (8, 4), (10, 5), (1000, 5)])
def test_there_are_five_folds_where_each_can_have_two_rows(n, count, folds):
    assert folds(n).count == count


@pytest.mark.parametrize("n", [4, 5, 9, 10, 11, 57])
def test_from_four_anchors_on_no_fold_has_a_single_row(n, folds):
    assert folds(n).fold_of.bincount().min() >= 2


@every_n
def test_a_small_set_is_evaluated_as_a_whole(n, folds):
    assert folds(n).evaluated.tolist() == list(range(n))


def test_a_large_set_is_sampled_without_repeats(folds):
    evaluated = folds(EVALUATED + 500).evaluated.tolist()
    assert evaluated == sorted(set(evaluated))
    assert len(evaluated) == EVALUATED


def test_a_sample_is_spread_over_the_folds_evenly(folds):
    assert folds(EVALUATED + 503).evaluated_fold.bincount().tolist() == [EVALUATED // 5] * 5


def test_a_sample_does_not_follow_the_order_of_the_rows(folds):
    assert folds(2 * EVALUATED).evaluated.max() > 1.9 * EVALUATED


@pytest.mark.parametrize("n", [40, EVALUATED + 500])
def test_the_same_seed_gives_the_same_folds(n, folds):
    first, second = folds(n, seed=7), folds(n, seed=7)
    assert torch.equal(first.fold_of, second.fold_of)
    assert torch.equal(first.evaluated, second.evaluated)


def test_another_seed_gives_other_folds(folds):
    assert not torch.equal(folds(40, seed=7).fold_of, folds(40, seed=8).fold_of)


def test_the_global_seed_is_neither_read_nor_moved(folds):
    state = torch.random.get_rng_state()
    folds(40)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_held_out_targets_are_those_of_the_evaluated_rows(folds):
    made = folds(EVALUATED + 500)
    assert torch.equal(made.held_out_y, made.y[made.evaluated])


@pytest.mark.parametrize(("n", "d"), [(40, 3), (12, 20)])
def test_the_held_out_mean_is_that_of_the_other_folds(n, d, folds):
    made = folds(n, d, d)
    expected = torch.stack([made.y[made.fold_of != fold].mean(0) for fold in made.fold_of])
    torch.testing.assert_close(made.held_out_mean, expected)


@pytest.mark.parametrize(("n", "d1", "d2"), [(40, 3, 5), (12, 20, 24), (12, 20, 5)])
def test_the_moments_of_a_fold_are_those_of_all_others(n, d1, d2, folds):
    made = folds(n, d1, d2)
    for fold, moments in enumerate(made.moments):
        others = made.fold_of != fold
        expected = Moments.of(made.span_x[0][others], made.span_y[0][others])
        torch.testing.assert_close(moments.sxx, expected.sxx, atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(moments.sxy, expected.sxy, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("n", "d"), [(40, 3), (5, 5), (12, 20), (2, 9)])
def test_the_row_space_holds_every_row_exactly(n, d, normal):
    x = normal(n, d) + 3
    codes, basis = row_space(x)
    torch.testing.assert_close(codes @ basis.T, x, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(40, 3), (5, 5), (12, 20), (2, 9)])
def test_the_row_space_has_an_orthonormal_basis_no_wider_than_the_rows(n, d, normal):
    codes, basis = row_space(normal(n, d))
    assert codes.shape == (n, min(n, d))
    torch.testing.assert_close(basis.T @ basis, torch.eye(min(n, d), dtype=torch.float64))


def test_the_row_space_of_repeated_rows_still_holds_them(normal):
    x = normal(2, 9)[[0, 1, 0, 1, 1]]
    codes, basis = row_space(x)
    torch.testing.assert_close(codes @ basis.T, x, atol=1e-12, rtol=1e-12)
