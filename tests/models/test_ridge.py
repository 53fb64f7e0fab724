"""Facts of ridge regression, and parity with scikit-learn."""

import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge

from models.moments import Moments
from models.registry import METHODS
from models.ridge import PENALTIES, Ridge


def fitted(x, y, penalty=0.01):
    return Ridge(penalty).fit(x, y)


def test_it_is_registered():
    assert METHODS["ridge"] is Ridge


@pytest.mark.parametrize("penalty", [1e-5, 0.01, 0.3, 100.0])
@pytest.mark.parametrize(("n", "d1", "d2"), [(60, 8, 8), (60, 8, 12), (60, 12, 8), (12, 20, 24), (12, 20, 5)])
def test_it_predicts_as_scikit_learn_does(n, d1, d2, penalty, normal):
    x, y = normal(n, d1) @ normal(d1, d1), normal(n, d2)
    largest = float(torch.linalg.svdvals(x - x.mean(0))[0]) ** 2
    expected = SklearnRidge(alpha=penalty * largest, solver="svd").fit(x.numpy(), y.numpy())
    fresh = normal(7, d1)
    # sklearn decomposes x, we its scatter: the condition number is squared, hence 1e-6
    torch.testing.assert_close(
        fitted(x, y, penalty).transform(fresh),
        torch.from_numpy(expected.predict(fresh.numpy())),
        atol=1e-6,
        rtol=1e-6,
    )


def test_a_vanishing_penalty_is_least_squares(noisy):
    with_one = torch.hstack([noisy.x, torch.ones(300, 1, dtype=torch.float64)])
    expected = with_one @ torch.linalg.lstsq(with_one, noisy.y).solution
    # the penalty of 1e-8 that is left bends the map by about 1e-8
    torch.testing.assert_close(fitted(noisy.x, noisy.y, 1e-8).transform(noisy.x), expected, atol=1e-6, rtol=0)


def test_a_vanishing_penalty_goes_through_fewer_anchors_than_dimensions(few):
    # interpolation up to the penalty times the condition number of the anchors, here about 1e2
    torch.testing.assert_close(fitted(few.x, few.y, 1e-8).transform(few.x), few.y, atol=1e-5, rtol=0)


def test_a_large_penalty_goes_to_the_target_mean(noisy):
    translated = fitted(noisy.x, noisy.y, 1e3).transform(noisy.x)
    # a share of 1 / (1 + 1e3) of each vector is left, and none is longer than 10
    torch.testing.assert_close(translated, noisy.y.mean(0).expand(300, -1), atol=1e-2, rtol=0)


def test_a_larger_penalty_gives_a_smaller_map(noisy):
    norms = [fitted(noisy.x, noisy.y, penalty).map_.weight.norm() for penalty in PENALTIES]
    assert norms == sorted(norms)


@pytest.mark.parametrize("n", [300, 10], ids=["n>d", "n<d"])
@pytest.mark.parametrize("factor", [1e-6, 10.0, 1e6])
def test_the_scale_of_the_source_does_not_matter(factor, n, noisy):
    x, y = noisy.x[:n], noisy.y[:n]
    torch.testing.assert_close(fitted(factor * x, y).transform(factor * x), fitted(x, y).transform(x))


def test_the_number_of_anchors_does_not_matter(noisy):
    twice = fitted(noisy.x.repeat(2, 1), noisy.y.repeat(2, 1))
    torch.testing.assert_close(twice.map_.weight, fitted(noisy.x, noisy.y).map_.weight)


def test_rotating_the_source_changes_no_translation(noisy, make_pair):
    turn = make_pair(2, 16, 16, seed=9).rotation
    expected = fitted(noisy.x, noisy.y).transform(noisy.x)
    torch.testing.assert_close(fitted(noisy.x @ turn, noisy.y).transform(noisy.x @ turn), expected)


def test_any_linear_map_is_learned(rotated, normal):
    y = rotated.x @ normal(8, 5)
    # what a penalty of 1e-8 leaves
    torch.testing.assert_close(fitted(rotated.x, y, 1e-8).transform(rotated.x), y, atol=1e-5, rtol=0)


def test_a_constant_axis_is_left_alone(rotated):
    x = torch.hstack([rotated.x, torch.full((60, 1), 0.5, dtype=torch.float64)])
    method = fitted(x, rotated.y)
    assert method.rank_ == 8
    torch.testing.assert_close(method.map_.weight[-1], torch.zeros(8, dtype=torch.float64))


def test_a_doubled_axis_is_no_new_direction(rotated):
    assert fitted(rotated.x[:, [0, 1, 2, 0, 1]], rotated.y).rank_ == 3


def test_few_anchors_support_one_direction_less_than_their_number(few):
    assert fitted(few.x, few.y).rank_ == len(few.x) - 1


def test_without_any_scatter_the_map_is_nothing():
    still = torch.ones(5, 3, dtype=torch.float64)
    solution = Ridge().solve(Moments.of(still, still))
    assert solution.rank == 0
    assert not solution.weight.any()


def test_without_a_fixed_penalty_all_are_tried_strong_to_weak():
    assert [method.penalty for method in Ridge.candidates({})] == sorted(PENALTIES, reverse=True)


def test_a_fixed_penalty_is_the_only_one_tried():
    assert [method.penalty for method in Ridge.candidates({"penalty": 0.5})] == [0.5]
