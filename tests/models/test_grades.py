"""Figures of answers beside those of scikit-learn, and their intervals."""

import tracemalloc

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error, r2_score

from models.grades import macro_f1, of_labels, of_values


def drawn(n, labels, right, seed=0):
    """Truth, and answers of which about `right` are so."""
    random = np.random.default_rng(seed)
    truth = random.integers(labels, size=n)
    answers = np.where(random.random(n) < right, truth, random.integers(labels, size=n))
    return torch.from_numpy(answers), torch.from_numpy(truth)


@pytest.mark.parametrize(("labels", "right"), [(2, 0.5), (3, 0.0), (10, 0.9), (50, 0.3)])
def test_labels_are_graded_as_by_scikit_learn(labels, right):
    answers, truth = drawn(200, labels, right)
    grades = of_labels(answers, truth)
    assert grades["accuracy"].mean == pytest.approx(accuracy_score(truth, answers))
    assert grades["macro_f1"].mean == pytest.approx(f1_score(truth, answers, average="macro"))


def test_labels_that_nobody_has_or_answers_do_not_count():
    answers, truth = torch.tensor([7, 7, 3]), torch.tensor([7, 3, 3])
    assert macro_f1(answers, truth, 0).mean == pytest.approx(f1_score(truth, answers, average="macro"))


def test_labels_that_are_all_right_or_all_wrong():
    truth = torch.tensor([0, 1, 1, 2])
    right, wrong = of_labels(truth, truth)["macro_f1"], of_labels(truth + 3, truth)["macro_f1"]
    assert (right.mean, right.low, right.high) == (1, 1, 1)
    assert (wrong.mean, wrong.low, wrong.high) == (0, 0, 0)


def test_grades_of_as_many_labels_as_items_take_little_memory():
    """A table of every cell and label would be 10,000 x 20,000."""
    numbers = torch.arange(10_000)
    tracemalloc.start()
    figures = of_labels(numbers, torch.where(numbers < 5_000, numbers, numbers + 10_000))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert figures["macro_f1"].mean == pytest.approx(1 / 3)
    assert most < 100e6


def test_the_interval_of_f1_is_that_of_rows_drawn_again():
    answers, truth = drawn(150, 4, 0.7)
    random = np.random.default_rng(1)
    rows = random.integers(150, size=(300, 150))
    slow = [f1_score(truth[draw], answers[draw], average="macro") for draw in rows]
    found = macro_f1(answers, truth, 0)
    np.testing.assert_allclose([found.low, found.high], np.quantile(slow, [0.025, 0.975]), atol=0.02)


def test_the_interval_of_f1_holds_the_truth_about_as_often_as_it_says():
    expected = macro_f1(*drawn(200_000, 3, 0.7), 0).mean
    found = [macro_f1(*drawn(200, 3, 0.7, seed), seed) for seed in range(100)]
    assert 85 <= sum(one.low <= expected <= one.high for one in found) <= 100


@pytest.mark.parametrize("shape", [(1,), (3,), (4, 5)])
def test_values_are_graded_as_by_scikit_learn(shape, normal):
    truth = normal(100, *shape)
    answers = truth + 0.5 * normal(100, *shape)
    grades, flat = of_values(answers, truth), (truth.flatten(1), answers.flatten(1))
    assert grades["r2"].mean == pytest.approx(r2_score(*flat, multioutput="variance_weighted"))
    assert grades["mse"].mean == pytest.approx(mean_squared_error(*flat))
    assert all(grade.low < grade.mean < grade.high for grade in grades.values())


def test_values_that_do_not_vary_have_no_r2(normal):
    grades = of_values(normal(10, 2), torch.ones(10, 2))
    assert (grades["r2"].mean, grades["r2"].low, grades["r2"].high) == (0, 0, 0)


def test_the_same_seed_gives_the_same_interval():
    answers, truth = drawn(60, 3, 0.6)
    assert macro_f1(answers, truth, 3) == macro_f1(answers, truth, 3)
