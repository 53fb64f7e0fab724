"""Codes whose geometry is known, parity with scikit-learn, and factors that leave little to measure."""

from dataclasses import astuple

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from models.disentanglement import (
    CONDITIONS,
    FOLDS,
    LEAST_ROWS,
    PENALTIES,
    combinations,
    disentanglement,
    is_high,
    parallelism,
    ridge,
    split,
)
from models.errors import DimensionMismatch, TooFewAnchors

FIGURES = ("r2", "r2_quadrants", "r2_conditions", "ccgp", "parallelism")


@pytest.fixture
def uniform():
    """uniform(n, f): factors between -0.5 and 0.5."""
    generator = torch.Generator().manual_seed(5)
    return lambda n, f: torch.rand(n, f, generator=generator, dtype=torch.float64) - 0.5


def figures(found, name):
    return [getattr(one, name) for one in found]


def linear(factors, normal, width=20, noise=0.05):
    """Every factor along a direction of its own."""
    n, f = factors.shape
    return factors @ torch.linalg.qr(normal(width, f))[0].T + noise * normal(n, width) + normal(width)


def cells(factors, side=6):
    """One unit a cell of the grid of the first two factors: it memorises combinations and nothing else."""
    place = ((factors[:, :2] + 0.5) * side).floor().clamp(0, side - 1).long()
    return torch.nn.functional.one_hot(place[:, 0] * side + place[:, 1], side * side).double()


def waves(factors, normal, width=300, frequency=25.0):
    """Random waves over the factors, several of them in their range: far from linear."""
    return torch.cos(frequency * factors @ normal(factors.shape[1], width) + 3 * normal(width))


# What codes give


@pytest.mark.parametrize("f", [2, 3])
def test_a_linear_code_is_disentangled(f, uniform, normal):
    factors = uniform(600, f)
    found = disentanglement(linear(factors, normal), factors)
    for name in ("r2", "r2_quadrants", "r2_conditions"):
        assert min(figures(found, name)) > 0.9
    assert min(figures(found, "ccgp")) > 0.85  # rows at the median are anyone's guess
    assert min(figures(found, "parallelism")) > 0.9
    assert [one.conditions for one in found] == [2 ** (f - 1)] * f


def test_a_linear_code_without_noise_is_perfect(uniform, normal):
    factors = uniform(300, 2)
    found = disentanglement(linear(factors, normal, noise=0), factors)
    for name in ("r2", "r2_quadrants", "r2_conditions"):
        assert figures(found, name) == pytest.approx([1, 1], abs=1e-6)


@pytest.mark.parametrize("code", ["cells", "waves"])
def test_a_code_of_combinations_is_decoded_where_it_was_trained_and_not_beyond(code, uniform, normal):
    factors = uniform(1500, 2)
    x = cells(factors) + 0.01 * normal(1500, 36) if code == "cells" else waves(factors, normal)
    found = disentanglement(x, factors)
    means = {name: np.mean(figures(found, name)) for name in FIGURES}
    assert means["r2"] > 0.9
    assert means["r2_quadrants"] < 0.3
    assert means["r2_conditions"] < 0.3
    assert means["ccgp"] < 0.7
    assert means["parallelism"] < 0.3


def test_random_vectors_hold_no_factor(uniform, normal):
    found = disentanglement(normal(600, 20), uniform(600, 2))
    for name in ("r2", "r2_conditions"):
        assert figures(found, name) == pytest.approx([0, 0], abs=0.1)
    assert figures(found, "ccgp") == pytest.approx([0.5, 0.5], abs=0.1)
    assert figures(found, "parallelism") == pytest.approx([0, 0], abs=3 / 20**0.5)  # one cosine in 20 dimensions
    # the mean of three quadrants is 1/3 from that of the fourth: 1 - (1/48 + 1/9) / (1/12)
    assert figures(found, "r2_quadrants") == pytest.approx([-7 / 12, -7 / 12], abs=0.1)


def test_a_factor_may_be_held_apart_while_another_is_not(uniform, normal):
    factors = uniform(1000, 2)
    x = torch.cat([3 * factors[:, :1], waves(factors, normal) / 17], 1)
    first, second = disentanglement(x, factors)
    assert first.r2_quadrants > 0.9
    assert second.r2_quadrants < 0.5


@pytest.mark.parametrize("values", [2, 3, 4])
def test_factors_of_few_values_are_split_by_value(values, normal):
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(values, (400, 2), generator=generator).double()
    found = disentanglement(linear(factors, normal), factors)
    assert [one.conditions for one in found] == [values, values]
    for name in FIGURES:
        assert min(figures(found, name)) > 0.95


def test_exclusive_or_is_decoded_by_conjunctions_and_does_not_generalise(normal):
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(2, (400, 2), generator=generator).double()
    corner = torch.nn.functional.one_hot((2 * factors[:, 0] + factors[:, 1]).long(), 4).double()
    x = corner @ normal(4, 30) + 0.1 * normal(400, 30)  # four means without order
    found = disentanglement(x, factors)
    assert min(figures(found, "r2")) > 0.9
    assert max(figures(found, "r2_conditions")) < 0.5
    assert max(figures(found, "parallelism")) < 0.5


def test_two_parallel_edges_of_a_square(normal):
    corner = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64).repeat(5, 1)
    found = disentanglement(corner, corner)
    assert figures(found, "parallelism") == pytest.approx([1, 1])
    assert figures(found, "ccgp") == [1, 1]


def test_the_parallelism_of_two_conditions_is_the_cosine_of_their_directions(normal):
    x, high = normal(40, 5), torch.arange(40) % 2 == 0
    condition = (torch.arange(40) < 20).long()
    a, b = ((x[(condition == c) & high].mean(0) - x[(condition == c) & ~high].mean(0)).numpy() for c in (0, 1))
    expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert parallelism(x, high, condition, [0, 1]) == pytest.approx(expected)


def test_the_variance_is_that_of_all_rows():
    factors = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64).repeat(10, 1)
    (first, _) = disentanglement(factors[:, 1:], factors)  # only the second factor is in the space
    # beside a left-out cell only the other value is left: an error of 1, a variance of 1/4, less some shrinkage
    assert first.r2_quadrants == pytest.approx(1 - 1 / (1 / 4), abs=0.1)
    assert first.r2 == pytest.approx(0, abs=0.15)


# Parity


def folds(n):
    return (torch.randperm(n, generator=torch.Generator().manual_seed(0)) % FOLDS).numpy()


def strongest(x):
    return np.linalg.eigvalsh((x - x.mean(0)).T @ (x - x.mean(0)))[-1]


@pytest.mark.parametrize(("n", "d"), [(60, 5), (30, 40)])
def test_the_decoder_is_scikit_learns_with_the_same_penalty(n, d, normal):
    x, y = normal(n, d) + 2, normal(n, 3)
    y[:, 0] += x[:, 0]
    weight, bias = ridge(x, y)
    alphas = np.array(PENALTIES) * strongest(x.numpy())
    expected = RidgeCV(alphas, alpha_per_target=True).fit(x.numpy(), y.numpy())
    assert np.allclose(weight.T, expected.coef_, atol=1e-6)
    assert np.allclose(bias, expected.intercept_, atol=1e-6)


def test_the_figure_in_distribution_is_that_of_scikit_learns_cross_validation(uniform, normal):
    factors = uniform(200, 2)
    x = linear(factors, normal, noise=0.3)
    x = x - x.mean(0)
    x = x / x.abs().max()
    split = PredefinedSplit(folds(200))
    # the penalties are shares of an eigenvalue that is not quite the same in every fold
    model = RidgeCV(np.array(PENALTIES) * strongest(x.numpy()) * (1 - 1 / FOLDS))
    expected = [
        r2_score(factors[:, k], cross_val_predict(model, x.numpy(), factors[:, k].numpy(), cv=split))
        for k in (0, 1)
    ]
    assert figures(disentanglement(x, factors), "r2") == pytest.approx(expected, abs=0.01)


# What figures do not see


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_sees_a_rotation_a_scale_or_a_shift(name, uniform, normal):
    factors = uniform(200, 2)
    x = linear(factors, normal, width=8, noise=0.2)
    moved = 1e3 * x @ torch.linalg.qr(normal(8, 8))[0] + normal(8)
    before, after = (figures(disentanglement(v, factors), name) for v in (x, moved))
    assert after == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(("scale", "shift"), [(7.0, 0.0), (1.0, 100.0), (1e300, 0.0), (1e-300, 0.0)])
def test_no_figure_sees_the_unit_of_a_factor(name, scale, shift, uniform, normal):
    factors = uniform(200, 2)
    x = linear(factors, normal, noise=0.2)
    before, after = (figures(disentanglement(x, f), name) for f in (factors, scale * factors + shift))
    assert after == pytest.approx(before, abs=1e-6)


def test_the_order_of_factors_is_the_order_of_figures(uniform, normal):
    factors = uniform(200, 2)
    x = torch.cat([factors[:, :1] + 0.01 * normal(200, 1), normal(200, 3)], 1)
    first, second = disentanglement(x, factors)
    swapped = disentanglement(x, factors.flip(1))
    assert first.r2 > 0.9 > 0.2 > second.r2
    for one, other in zip((second, first), swapped, strict=True):
        assert astuple(other)[:5] == pytest.approx(astuple(one)[:5], abs=1e-9)


def test_the_figures_are_the_same_in_every_call(uniform, normal):
    factors = uniform(100, 3)
    x = linear(factors, normal)
    assert disentanglement(x, factors) == disentanglement(x.clone(), factors.clone())


# Where there is little to measure


def test_one_factor_is_decoded_and_nothing_can_be_left_out(uniform, normal):
    factors = uniform(100, 1)
    (found,) = disentanglement(linear(factors, normal), factors)
    assert found.r2 > 0.8
    assert [getattr(found, name) for name in FIGURES[1:]] == [None] * 4
    assert "no other factor" in found.notes[0]


def test_a_factor_of_one_value_has_no_figures_and_does_not_disturb_the_others(uniform, normal):
    factors = uniform(200, 2)
    x = linear(factors, normal)
    still = torch.cat([factors, torch.full((200, 1), 0.1, dtype=torch.float64)], 1)
    *others, last = disentanglement(x, still)
    assert [getattr(last, name) for name in FIGURES] == [None] * 5
    assert "one value" in last.notes[0]
    assert others == disentanglement(x, factors)


def test_two_factors_that_are_one_cannot_be_told_apart(uniform, normal):
    factors = uniform(200, 1).expand(200, 2)
    for found in disentanglement(linear(factors, normal), factors):
        assert found.r2 > 0.8
        assert [getattr(found, name) for name in FIGURES[1:]] == [None] * 4
        assert "both high and low" in found.notes[0]


def test_an_empty_combination_is_passed_over(normal):
    factors = torch.tensor([[0, 0], [0, 1], [1, 0]], dtype=torch.float64).repeat(20, 1)  # (1, 1) never occurs
    found = disentanglement(linear(factors, normal), factors)
    assert [one.conditions for one in found] == [1, 1]
    assert figures(found, "parallelism") == [None, None]  # it takes two conditions
    assert min(figures(found, "r2_conditions")) > 0.9


def test_a_skewed_factor_of_two_values_is_split_by_value():
    for ones in (1, 3, 9):
        factor = torch.tensor([1.0] * ones + [0.0] * (10 - ones))
        assert is_high(factor).tolist() == (factor == 1).tolist()


def test_a_factor_is_halved_at_its_median(uniform):
    factor = uniform(101, 1)[:, 0]
    assert int(is_high(factor).sum()) == 50
    assert set(split(factor).tolist()) == {0, 1}


def test_combinations_are_those_that_occur():
    factors = torch.tensor([[0, 5], [0, 7], [1, 5], [0, 5]], dtype=torch.float64)
    assert combinations(factors).tolist() == [0, 1, 2, 0]
    assert combinations(factors[:, :0]).tolist() == [0, 0, 0, 0]


def test_many_conditions_are_sampled(uniform, normal):
    factors = uniform(400, 6)  # 64 quadrants
    assert CONDITIONS < 2**6
    assert min(figures(disentanglement(linear(factors, normal), factors), "r2_quadrants")) > 0.9


def test_a_space_that_does_not_vary_holds_nothing(uniform):
    factors = uniform(100, 2)
    for found in disentanglement(torch.full((100, 3), 0.1), factors):
        assert found.r2 == pytest.approx(0, abs=0.1)
        assert found.r2_quadrants < 0
        assert (found.ccgp, found.parallelism) == (0.5, 0.0)


@pytest.mark.parametrize("d", [1, 50])
def test_the_least_rows_are_enough(d, uniform, normal):
    found = disentanglement(normal(LEAST_ROWS, d), uniform(LEAST_ROWS, 2))
    assert all(np.isfinite(value) for value in figures(found, "r2"))


def test_fewer_rows_than_that_are_too_few(uniform, normal):
    with pytest.raises(TooFewAnchors) as caught:
        disentanglement(normal(LEAST_ROWS - 1, 3), uniform(LEAST_ROWS - 1, 2))
    assert caught.value.facts == {"expected": LEAST_ROWS, "got": LEAST_ROWS - 1}


@pytest.mark.parametrize(("x", "factors"), [((12, 3), (11, 2)), ((12,), (12, 2)), ((12, 3), (12,))])
def test_rows_must_belong_together(x, factors):
    with pytest.raises(DimensionMismatch):
        disentanglement(torch.zeros(x), torch.zeros(factors))
