"""Folds: a partition of the anchors, and what the candidates share."""

import pytest
import torch

from models.folds import EVALUATED, MOST_REPEATS, SAMPLED, Folds, row_space
from models.identity import Identity
from models.moments import Moments
from models.orthogonal import Orthogonal
from models.ridge import Ridge
from models.ridge_loo import RidgeLoo

every_n = pytest.mark.parametrize("n", [2, 3, 4, 5, 9, 10, 11, 57, 300])


@pytest.fixture
def folds(normal):
    """folds(n, d1=3, d2=3, seed=0) of standard normal anchors."""
    return lambda n, d1=3, d2=3, seed=0: Folds(normal(n, d1), normal(n, d2), seed)


@every_n
def test_each_partition_holds_each_row_in_exactly_one_fold(n, folds):
    made = folds(n)
    assert made.fold_of.shape == (made.repeats, n)
    for partition in made.fold_of:
        assert sorted(set(partition.tolist())) == list(range(made.parts))


@every_n
def test_the_sizes_of_folds_differ_by_one_at_most(n, folds):
    for partition in folds(n).fold_of:
        sizes = partition.bincount()
        assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize(("n", "parts"), [(2, 2), (3, 2), (4, 2), (6, 3), (8, 4), (10, 5), (1000, 5)])
def test_there_are_five_folds_where_each_can_have_two_rows(n, parts, folds):
    assert folds(n).parts == parts


@pytest.mark.parametrize("n", [4, 5, 9, 10, 11, 57])
def test_from_four_anchors_on_no_fold_has_a_single_row(n, folds):
    assert all(partition.bincount().min() >= 2 for partition in folds(n).fold_of)


@pytest.mark.parametrize(("n", "repeats"), [(2, 3), (100, 3), (333, 3), (334, 2), (501, 1), (1000, 1), (5000, 1)])
def test_few_anchors_are_cut_several_times(n, repeats, folds):
    made = folds(n)
    assert made.repeats == repeats
    assert made.count == repeats * made.parts


def test_each_partition_is_another(folds):
    partitions = {tuple(partition.tolist()) for partition in folds(57).fold_of}
    assert len(partitions) == MOST_REPEATS


@every_n
def test_a_small_set_is_evaluated_as_a_whole(n, folds):
    assert folds(n).evaluated.tolist() == list(range(n))


def test_a_large_set_is_sampled_without_repeats(folds):
    evaluated = folds(EVALUATED + 500).evaluated.tolist()
    assert evaluated == sorted(set(evaluated))
    assert len(evaluated) == EVALUATED


def test_a_sample_is_spread_over_the_folds_evenly(folds):
    made = folds(EVALUATED + 503)
    assert [len(made.rows(fold)) for fold in range(5)] == [EVALUATED // 5] * 5


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


@pytest.mark.parametrize("n", [4, 57, EVALUATED + 500])
def test_each_partition_holds_out_each_evaluated_row_once(n, folds):
    made = folds(n)
    for first in range(0, made.count, made.parts):
        rows = [made.rows(fold) for fold in range(first, first + made.parts)]
        assert sorted(torch.cat(rows).tolist()) == made.evaluated.tolist()


@pytest.mark.parametrize("n", [2, 57, EVALUATED + 500])
def test_all_rows_outside_of_a_fold_are_trained_on(n, folds):
    made = folds(n)
    for fold in range(made.count):
        held_out = made.inside(fold).nonzero()[:, 0]
        assert sorted([*made.train(fold).tolist(), *held_out.tolist()]) == list(range(n))
        assert set(made.rows(fold).tolist()) <= set(held_out.tolist())


@pytest.mark.parametrize("n", [2, 57, 300, EVALUATED + 500])
def test_values_by_fold_become_the_mean_of_each_row(n, folds):
    made = folds(n)
    values = [made.rows(fold).double() + fold // made.parts for fold in range(made.count)]
    torch.testing.assert_close(made.by_row(values), made.evaluated.double() + (made.repeats - 1) / 2)


@pytest.mark.parametrize("n", [57, SAMPLED + 500, 2 * SAMPLED])
def test_a_sample_is_of_distinct_rows_and_bounded(n, folds):
    made = folds(n)
    assert len(set(made.sample().tolist())) == len(made.sample()) == min(n, SAMPLED)


@pytest.mark.parametrize("n", [2, 57, 2 * SAMPLED])
def test_a_sample_without_a_fold_is_of_its_training_rows(n, folds):
    made = folds(n)
    for fold in range(made.count):
        assert set(made.sample(fold).tolist()) <= set(made.train(fold).tolist())
        assert len(made.sample(fold)) == min(len(made.train(fold)), SAMPLED)


@pytest.mark.parametrize(("n", "d1", "d2"), [(40, 3, 5), (12, 20, 24), (12, 20, 5)])
def test_the_whole_is_the_moments_of_all_anchors(n, d1, d2, folds):
    made = folds(n, d1, d2)
    expected = Moments.of(made.span_x[0], made.span_y[0])
    assert made.whole.n == n
    assert torch.equal(made.whole.sxy, expected.sxy)


@pytest.mark.parametrize(("n", "d2"), [(40, 5), (12, 24)])
def test_codes_of_the_target_are_led_back_to_full_vectors(n, d2, folds):
    made = folds(n, 3, d2)
    torch.testing.assert_close(made.full(made.span_y[0]), made.y)
    torch.testing.assert_close(made.full(made.y), made.y)


@pytest.mark.parametrize(("n", "d1", "d2"), [(40, 3, 5), (12, 20, 24), (12, 20, 5)])
def test_the_moments_of_a_fold_are_those_of_all_others(n, d1, d2, folds):
    made = folds(n, d1, d2)
    for fold, moments in enumerate(made.moments):
        others = made.train(fold)
        expected = Moments.of(made.span_x[0][others], made.span_y[0][others])
        torch.testing.assert_close(moments.sxx, expected.sxx, atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(moments.sxy, expected.sxy, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("n", "d"), [(4, 5), (12, 20), (2, 9)])
def test_the_row_space_holds_every_row_exactly(n, d, normal):
    x = normal(n, d) + 3
    codes, basis = row_space(x)
    torch.testing.assert_close(codes @ basis.T, x, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(4, 5), (12, 20), (2, 9)])
def test_the_row_space_has_an_orthonormal_basis_no_wider_than_the_rows(n, d, normal):
    codes, basis = row_space(normal(n, d))
    assert codes.shape == (n, n)
    torch.testing.assert_close(basis.T @ basis, torch.eye(n, dtype=torch.float64))


@pytest.mark.parametrize(("n", "d"), [(40, 3), (5, 5)])
def test_as_many_rows_as_dimensions_need_no_basis(n, d, normal):
    x = normal(n, d)
    codes, basis = row_space(x)
    assert codes is x
    assert basis is None


def test_the_row_space_of_equal_rows_is_one_direction(normal):
    """A map of what no row differs in would be one of rounding."""
    codes, basis = row_space(normal(1, 40).expand(8, -1) * torch.logspace(-8, 8, 8).unsqueeze(1))
    assert (codes != 0).sum(1).tolist() == [1] * 8
    assert basis.shape == (40, 8)
    for method in (Ridge(1e-5), RidgeLoo(), Orthogonal()):
        same = normal(1, 40).expand(8, -1)
        found = method.fit(same, normal(8, 5))
        assert found.map_.weight.abs().max() < 10


def test_the_row_space_of_repeated_rows_still_holds_them(normal):
    x = normal(2, 9)[[0, 1, 0, 1, 1]]
    codes, basis = row_space(x)
    torch.testing.assert_close(codes @ basis.T, x, atol=1e-12, rtol=1e-12)


class Counting(Identity):
    """How often it was fitted."""

    fits = 0

    def fit(self, x, y):
        self.fits += 1
        return super().fit(x, y)


def test_a_trial_is_fitted_once_while_it_is_among_the_last(folds):
    made = folds(40)
    one, other = Counting(), Counting()
    trials = [one.trial(made, fold) for fold in range(made.count)]
    assert all(one.trial(made, fold) is trial for fold, trial in enumerate(trials))
    assert one.fits == len(made.trials) == made.count
    other.trial(made, 0)
    assert one.trial(made, made.count - 1) is trials[-1]
    assert one.trial(made, 0) is not trials[0]
    assert (one.fits, other.fits, len(made.trials)) == (made.count + 1, 1, made.count)
