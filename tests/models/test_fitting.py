"""Facts of heads that are fitted here, and parity with scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from torch.nn.functional import one_hot

from models.errors import InvalidHead, TooFewAnchors
from models.fitting import ABSENT, PENALTIES, TRIED, Classification, Regression, cross_fitted, fit_head, strongest
from models.grades import of_labels, of_values


@pytest.fixture
def items(normal):
    """items(n, labels): x (n, 6) in clouds, and the numbers of their labels."""

    def made(n, labels=3, apart=2.0):
        truth = torch.arange(n) % labels
        return apart * normal(labels, 6)[truth] + normal(n, 6) + 5, truth

    return made


def scaled(x):
    """As heads are fitted: one spread for all axes."""
    return ((x - x.mean(0)) / x.var(0, correction=0).mean().sqrt()).numpy()


def test_a_classifier_is_scikit_learns_at_the_penalty_that_was_chosen(items):
    x, truth = items(150)
    head, report = fit_head(x, Classification(truth, 3))
    model = LogisticRegression(C=1 / (report.penalty * 150), max_iter=1000, tol=1e-9).fit(scaled(x), truth)
    np.testing.assert_allclose(head(x), model.predict_proba(scaled(x)), atol=1e-3)


def test_a_classifier_of_two_labels_has_an_output_for_each(items):
    x, truth = items(100, 2)
    head, report = fit_head(x, Classification(truth, 2))
    model = LogisticRegression(C=1 / (report.penalty * 100), max_iter=1000, tol=1e-9).fit(scaled(x), truth)
    assert head.shape == (2,)
    np.testing.assert_allclose(head(x), model.predict_proba(scaled(x)), atol=1e-3)


def test_a_regression_is_scikit_learns_at_the_penalty_that_was_chosen(normal):
    x, values = normal(120, 6) + 3, normal(120, 2)
    head, report = fit_head(x, Regression(values))
    model = Ridge(alpha=report.penalty * 120).fit(scaled(x), values)
    np.testing.assert_allclose(head(x), model.predict(scaled(x)), atol=1e-5)


@pytest.mark.parametrize("noise", [0.05, 1.0, 20.0])
def test_the_penalty_is_that_of_scikit_learns_search_or_next_to_it(noise, normal):
    x = normal(200, 100)
    values = x @ normal(100, 1) / 10 + noise * normal(200, 1)
    _, report = fit_head(x, Regression(values))
    grid = {"alpha": [penalty * 160 for penalty in PENALTIES]}
    search = GridSearchCV(Ridge(), grid, scoring="neg_mean_squared_error", cv=5).fit(scaled(x), values)
    assert abs(PENALTIES.index(report.penalty) - search.best_index_) <= 1


@pytest.mark.parametrize("labels", [2, 3, 7])
def test_clouds_far_apart_are_told_apart_and_the_report_says_so(labels, items):
    x, truth = items(140, labels, apart=20.0)
    head, report = fit_head(x, Classification(truth, labels))
    assert (head(x).argmax(1) == truth).all()
    assert report.quality["accuracy"].mean == 1
    assert report.baseline["accuracy"].mean <= 1 / labels
    assert report.warnings == []


def test_the_report_of_labels_by_chance_is_no_better_than_its_baseline(normal):
    truth = torch.arange(300) % 3
    _, report = fit_head(normal(300, 50), Classification(truth, 3))
    assert report.quality["accuracy"].low <= 1 / 3 <= report.quality["accuracy"].high
    assert report.warnings == ["accuracy is not shown to be better than that of answering without looking"]


def test_the_report_is_what_fresh_items_show(items):
    x, truth = items(4000, apart=0.6)
    head, report = fit_head(x[:400], Classification(truth[:400], 3))
    fresh = of_labels(head(x[400:]).argmax(1), truth[400:])["accuracy"].mean
    assert report.quality["accuracy"].low <= fresh <= report.quality["accuracy"].high


def test_the_report_of_a_regression_is_what_fresh_items_show(normal):
    x = normal(3000, 40)
    values = x @ normal(40, 2) + 6 * normal(3000, 2)
    head, report = fit_head(x[:200], Regression(values[:200]))
    fresh = of_values(head(x[200:]), values[200:])["r2"].mean
    assert report.quality["r2"].low <= fresh <= report.quality["r2"].high
    assert report.baseline["r2"].mean == pytest.approx(0, abs=0.05)


def test_scale_and_place_of_vectors_change_no_answer(items):
    x, truth = items(120)
    one, other = (fit_head(v, Classification(truth, 3))[0](v) for v in (x, 1000 * x - 7))
    torch.testing.assert_close(one, other, atol=1e-3, rtol=0)


def test_folds_share_the_labels_out():
    truth = torch.tensor([0] * 40 + [1] * 10)
    rows = Classification(truth, 2).dealt(torch.randperm(50, generator=torch.Generator().manual_seed(1)))
    counts = torch.stack([one_hot(truth[rows[fold::5]], 2).sum(0) for fold in range(5)])
    assert counts.tolist() == [[8, 2]] * 5


def test_the_choice_is_cross_fitted():
    """The first penalty suits the first fold alone: there the second is used, and the other way round."""
    answers = torch.stack([torch.full((4, 1), 1.0), torch.full((4, 1), 2.0)])  # (penalties, m, c)
    losses = torch.tensor([[0.0, 0.0, 9.0, 9.0], [5.0, 5.0, 1.0, 1.0]])
    fold_of = torch.tensor([0, 0, 1, 1])
    assert cross_fitted(answers, losses, fold_of)[:, 0].tolist() == [2, 2, 1, 1]


def test_a_label_of_a_single_item_is_no_obstacle(items):
    x, truth = items(30, 2)
    truth[0] = 2
    head, report = fit_head(x, Classification(truth, 3))
    assert head.shape == (3,)
    assert report.quality["accuracy"].mean < 1  # no fold without that item knows its label


def test_two_items_are_enough_and_the_report_says_how_rough(normal):
    head, report = fit_head(normal(2, 6), Classification(torch.tensor([0, 1]), 2))
    assert report.folds == 2
    assert report.quality["accuracy"].mean == 0
    assert report.warnings[0].startswith("only 2 items")
    assert head(normal(1, 6)).isfinite().all()


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_items_are_too_few(n, normal):
    with pytest.raises(TooFewAnchors) as caught:
        fit_head(normal(n, 6), Regression(normal(n, 1)))
    assert caught.value.facts == {"expected": 2, "got": n}


@pytest.mark.parametrize("value", [0.0, 1e17, -0.3])
def test_vectors_that_do_not_vary_are_answered_by_the_commonest_label(value):
    x = torch.full((9, 4), value, dtype=torch.float32)
    head, _ = fit_head(x, Classification(torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2]), 3))
    assert head(x).argmax(1).tolist() == [0] * 9


def test_what_single_precision_does_not_hold_is_no_head(normal):
    with pytest.raises(InvalidHead, match="float32"):
        fit_head(1e-20 * normal(20, 3), Regression(1e30 * normal(20, 1)))


def test_the_constant_of_a_classifier_is_the_commonest_label():
    task = Classification(torch.tensor([1, 1, 2]), 3)
    assert task.constant(torch.arange(3)).tolist() == [ABSENT, 0, ABSENT]


def test_a_sample_chooses_the_penalty_of_many_items(normal):
    x = normal(TRIED + 10, 2)
    _, report = fit_head(x, Regression(x[:, :1]))
    assert (report.items, report.held_out) == (TRIED + 10, TRIED)


def test_of_penalties_that_cannot_be_told_apart_the_strongest_is_chosen():
    level, doubt = torch.tensor([[0.5], [0.02], [0.0], [0.01]]), torch.tensor([1.0, -1.0]).repeat(50)
    certain = level + 3 * doubt  # of all penalties alike: paired, no doubt is left
    assert strongest(certain) == 2
    assert (
        strongest(certain + torch.tensor([[1.0], [1.0], [0.0], [1.0]]) * doubt) == 1
    )  # the differences vary by 1
