"""Figures against obvious loops and against SciPy and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, norm
from sklearn.metrics import r2_score
from sklearn.neighbors import NearestNeighbors

from models.measures import (
    NEIGHBOURS,
    OBJECTIVES,
    Z95,
    Outcomes,
    average,
    cosines,
    one_minus_ratio,
    overlaps,
    proportion,
    ranks,
)


def outcomes(predicted, y, folds=1):
    """Judged against the mean of y, in `folds` galleries."""
    return Outcomes.of(predicted, y, y.mean(0).expand_as(y), torch.arange(len(y)) % folds)


def neighbours(queries, gallery, k):
    """Per query the nearest rows of the gallery by cosine, its own counterpart left out."""
    search = NearestNeighbors(n_neighbors=k + 1, metric="cosine", algorithm="brute").fit(gallery.numpy())
    found = search.kneighbors(queries.numpy(), return_distance=False).tolist()
    return [[j for j in row if j != own][:k] for own, row in enumerate(found)]


def test_ranks_count_those_above_and_half_of_the_ties():
    similarity = torch.randint(0, 6, (30, 30), generator=torch.Generator().manual_seed(0)).float()
    expected = []
    for own, row in enumerate(similarity.tolist()):
        others = row[:own] + row[own + 1 :]
        above, equal = sum(s > row[own] for s in others), sum(s == row[own] for s in others)
        expected.append(1 + above + equal / 2)
    assert ranks(similarity).tolist() == expected


def test_the_best_rank_is_one_and_the_worst_is_the_size_of_the_gallery():
    assert ranks(torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])).tolist() == [1, 2, 3]


def test_where_everything_ties_the_rank_is_in_the_middle():
    assert ranks(torch.zeros(5, 5)).tolist() == [3.0] * 5


def test_a_doubled_counterpart_ties(normal):
    y = normal(6, 4)
    assert ranks(cosines(y, y[[0, 0, 2, 3, 4, 5]])).tolist()[0] == 1.5


def test_cosines_do_not_see_length(normal):
    x, y = normal(5, 4), normal(7, 4)
    expected = torch.nn.functional.cosine_similarity(x[:, None], y[None], dim=2).float()
    # single precision, as the index has it
    torch.testing.assert_close(cosines(100 * x, 0.01 * y), expected, atol=1e-6, rtol=0)


def test_the_cosine_of_a_zero_vector_is_zero(normal):
    assert not cosines(torch.zeros(1, 4), normal(3, 4)).any()


@pytest.mark.parametrize("size", [60, 12, 11, 5, 2])
def test_overlap_is_the_share_of_common_neighbours(size, normal):
    y = normal(size, 6)
    predicted, k = y + 0.5 * normal(size, 6), min(NEIGHBOURS, size - 1)
    pairs = zip(neighbours(predicted, y, k), neighbours(y, y, k), strict=True)
    expected = [len(set(found) & set(wanted)) / k for found, wanted in pairs]
    assert overlaps(cosines(predicted, y), cosines(y, y)).tolist() == pytest.approx(expected)


def test_overlap_of_a_single_row_is_zero():
    assert overlaps(torch.ones(1, 1), torch.ones(1, 1)).tolist() == [0.0]


def test_r2_is_that_of_scikit_learn_with_axes_weighted_by_their_variance(normal):
    y = normal(80, 5) * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    predicted = y + normal(80, 5)
    expected = r2_score(y.numpy(), predicted.numpy(), multioutput="variance_weighted")
    assert outcomes(predicted, y).quality(0)["r2"].mean == pytest.approx(expected)


def test_the_cosine_is_taken_from_the_mean(normal):
    y, mean = normal(20, 4) + 9, normal(20, 4)
    predicted = normal(20, 4) + 9
    judged = Outcomes.of(predicted, y, mean, torch.zeros(20))
    a, b = (predicted - mean).numpy(), (y - mean).numpy()
    expected = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert np.allclose(judged.cosine, expected)


def test_the_gallery_of_a_row_is_its_own_fold(normal):
    y, predicted = normal(40, 4), normal(40, 4)
    both = outcomes(predicted, y, folds=2)
    alone = outcomes(predicted[::2], y[::2])
    assert torch.equal(both.rank[::2], alone.rank)
    assert torch.equal(both.overlap[::2], alone.overlap)


def test_where_takes_the_other_only_in_the_rows(normal):
    y = normal(6, 3)
    first, second = outcomes(normal(6, 3), y), outcomes(normal(6, 3), y)
    rows = torch.tensor([True, False, True, False, False, False])
    mixed = first.where(rows, second)
    assert torch.equal(mixed.error[rows], second.error[rows])
    assert torch.equal(mixed.error[~rows], first.error[~rows])


@pytest.mark.parametrize("figure", ["top1", "mrr", "recall_at_10", "overlap_at_10", "r2", "cosine"])
def test_a_perfect_prediction_scores_one(figure, normal):
    y = normal(50, 6)
    quality = outcomes(y, y).quality(0)[figure]
    assert quality.mean == pytest.approx(1)
    assert quality.low <= quality.mean <= quality.high + 1e-12


@pytest.mark.parametrize("figure", ["r2", "cosine"])
def test_the_mean_scores_zero(figure, normal):
    y = normal(50, 6)
    assert outcomes(y.mean(0).expand_as(y), y).quality(0)[figure].mean == pytest.approx(0)


def test_the_opposite_has_a_cosine_of_minus_one(normal):
    y = normal(50, 6)
    assert outcomes(2 * y.mean(0) - y, y).quality(0)["cosine"].mean == pytest.approx(-1)


def test_one_prediction_for_all_finds_each_rank_once(normal):
    y = normal(20, 6)
    assert sorted(outcomes(normal(1, 6).expand(20, 6), y).rank.tolist()) == list(range(1, 21))


def test_the_objectives_are_the_losses_of_their_figures(normal):
    y = normal(50, 6)
    judged = outcomes(y + normal(50, 6), y, folds=5)
    quality = judged.quality(0)
    assert OBJECTIVES["retrieval"](judged).mean() == pytest.approx(1 - quality["mrr"].mean)
    assert OBJECTIVES["reconstruction"](judged).mean() == pytest.approx(1 - quality["r2"].mean)


@pytest.mark.parametrize("n", [1, 2, 7, 30, 500])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_proportion_has_the_interval_of_wilson(n, share):
    successes = round(share * n)
    estimate = proportion(torch.tensor([1.0] * successes + [0.0] * (n - successes), dtype=torch.float64))
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert estimate.mean == pytest.approx(successes / n)
    # Z95 has 7 digits
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-7)


def test_the_interval_of_a_proportion_covers_values_between_zero_and_one():
    generator = torch.Generator().manual_seed(0)
    values = 1 / torch.randint(1, 6, (2000, 40), generator=generator).double()
    truth = (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5
    covered = [e.low <= truth <= e.high for e in map(proportion, values)]
    # Wilson is too wide for these: at least 95 %, never less
    assert sum(covered) / len(covered) >= 0.95


def test_an_average_has_the_normal_interval(normal):
    values = normal(50) + 3
    expected = norm.interval(0.95, loc=values.mean().item(), scale=values.std().item() / 50**0.5)
    estimate = average(values)
    assert (estimate.low, estimate.high) == pytest.approx(expected)


def test_z95_leaves_two_and_a_half_percent_on_either_side():
    assert pytest.approx(norm.ppf(0.975), abs=1e-6) == Z95


def test_the_bootstrap_interval_covers_the_truth_in_nearly_95_percent():
    generator = torch.Generator().manual_seed(0)
    part = 0.4 * torch.randn(400, 100, generator=generator).double().square()
    whole = torch.randn(400, 100, generator=generator).double().square() + 0.5
    truth = 1 - 0.4 / 1.5
    estimates = [one_minus_ratio(p, w, seed) for seed, (p, w) in enumerate(zip(part, whole, strict=True))]
    covered = sum(e.low <= truth <= e.high for e in estimates) / 400
    # 0.95 ± 3 standard errors of 400 trials, and 1.5 points that percentiles lack at 100 skew rows
    assert 0.90 <= covered <= 0.983


def test_the_bootstrap_is_the_same_for_the_same_seed(normal):
    part, whole = normal(50).square(), normal(50).square()
    assert one_minus_ratio(part, whole, 3) == one_minus_ratio(part, whole, 3)
    assert one_minus_ratio(part, whole, 3) != one_minus_ratio(part, whole, 4)


def test_a_ratio_to_nothing_is_zero():
    estimate = one_minus_ratio(torch.ones(5), torch.zeros(5), 0)
    assert (estimate.mean, estimate.low, estimate.high) == (0.0, 0.0, 0.0)


def test_a_row_without_spread_leaves_the_interval_finite():
    estimate = one_minus_ratio(torch.tensor([100.0, 1.0]), torch.tensor([0.0, 1.0]), 0)
    assert np.isfinite([estimate.low, estimate.high]).all()
    assert estimate.low > -1e6
