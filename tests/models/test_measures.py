"""Figures and surprises against obvious loops and against SciPy and scikit-learn."""

from math import log

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import binomtest, norm
from sklearn.metrics import r2_score
from sklearn.neighbors import NearestNeighbors

from models.measures import (
    AMONG,
    NEIGHBOURS,
    TEMPERATURES,
    Z95,
    Outcomes,
    average,
    coldest,
    cosines,
    one_minus_ratio,
    overlaps,
    proportion,
    ranks,
    surprises,
)


def outcomes(predicted, y, mean=None):
    """Judged by cosine against the mean of y, in one gallery."""
    return Outcomes.of(cosines(predicted, y), predicted, y, y.mean(0) if mean is None else mean)


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


@pytest.mark.parametrize("size", [2, 5, 11])
def test_where_every_neighbour_is_found_the_overlap_is_one_however_low_the_scores(size):
    """2 cos - r lies in [-3, 3], and a gallery of eleven has no eleventh neighbour."""
    similarity = torch.full((size, size), -2.9)
    assert overlaps(similarity, torch.eye(size)).tolist() == [1.0] * size


@pytest.mark.parametrize("size", [2, 3, 12, 60])
def test_surprise_is_the_contrastive_loss_among_many(size, normal):
    similarity = cosines(normal(size, 6), normal(size, 6))
    table, apart = similarity.double().numpy(), ~np.eye(size, dtype=bool)
    spread = table[apart].std()
    stretch = log((AMONG - 1) / (size - 1))
    for row in range(size):
        gaps = (np.delete(table[row], row) - table[row, row]) / spread
        expected = [np.logaddexp(0, logsumexp(gaps / t) + stretch) for t in TEMPERATURES]
        assert surprises(similarity)[row].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("size", [2, 5, 60])
def test_where_everything_is_equally_similar_the_surprise_is_that_of_chance(size):
    assert surprises(torch.full((size, size), 0.7)).flatten().tolist() == pytest.approx(
        [log(AMONG)] * size * len(TEMPERATURES), rel=1e-6
    )


def test_surprise_of_a_single_row_is_finite():
    assert surprises(torch.ones(1, 1)).isfinite().all()


@pytest.mark.parametrize(("scale", "shift"), [(3.0, 0.0), (1.0, 0.5), (0.01, -0.2)])
def test_surprise_sees_neither_scale_nor_shift_of_a_score(scale, shift, normal):
    similarity = cosines(normal(30, 6), normal(30, 6)).double()
    torch.testing.assert_close(surprises(scale * similarity + shift), surprises(similarity))


def test_several_scores_are_judged_at_once_as_each_alone(normal):
    several = torch.stack([cosines(normal(20, 6), normal(20, 6)) for _ in range(3)])
    for similarity, rank, surprise in zip(several, ranks(several), surprises(several), strict=True):
        assert torch.equal(ranks(similarity), rank)
        torch.testing.assert_close(surprises(similarity), surprise)


def test_the_nearer_the_counterpart_the_smaller_the_surprise(normal):
    y, noise = normal(60, 6), normal(60, 6)
    means = [float(coldest(surprises(cosines(y + level * noise, y))).mean()) for level in (0.0, 0.3, 1.0, 3.0)]
    assert means == sorted(means)
    assert means[0] < 0.5 * means[-1]


def test_surprise_tells_candidates_apart_that_are_first_in_every_row(normal):
    y, noise = normal(60, 12), normal(60, 12)
    near, nearer = (cosines(y + level * noise, y) for level in (0.3, 0.1))
    assert ranks(near).max() == ranks(nearer).max() == 1
    assert coldest(surprises(nearer)).mean() < 0.9 * coldest(surprises(near)).mean()


def test_the_temperature_that_suits_a_candidate_is_that_of_the_least_mean():
    surprise = torch.tensor([[1.0, 4.0, 2.0], [5.0, 0.0, 3.0], [6.0, 0.0, 3.0]])
    assert coldest(surprise).tolist() == [4.0, 0.0, 0.0]


def test_r2_is_that_of_scikit_learn_with_axes_weighted_by_their_variance(normal):
    y = normal(80, 5) * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    predicted = y + normal(80, 5)
    expected = r2_score(y.numpy(), predicted.numpy(), multioutput="variance_weighted")
    assert outcomes(predicted, y).quality(0)["r2"].mean == pytest.approx(expected)


def test_the_cosine_is_taken_from_the_mean(normal):
    y, mean = normal(20, 4) + 9, normal(4)
    predicted = normal(20, 4) + 9
    a, b = (predicted - mean).numpy(), (y - mean).numpy()
    expected = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert np.allclose(outcomes(predicted, y, mean).cosine, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_cosine_of_the_mean_is_zero_in_either_precision(dtype, normal):
    y = normal(20, 4).to(dtype)
    assert outcomes(y.mean(0).expand_as(y), y).cosine.tolist() == [0.0] * 20


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outcomes_are_kept_in_double_precision(dtype, normal):
    y = normal(20, 4).to(dtype)
    assert {value.dtype for value in vars(outcomes(y + 1, y)).values()} == {torch.float64}


def test_ranks_and_overlap_are_by_the_score_and_errors_are_not(normal):
    y, predicted = normal(20, 4), normal(20, 4)
    similarity = torch.rand(20, 20, generator=torch.Generator().manual_seed(0))
    judged = Outcomes.of(similarity, predicted, y, y.mean(0))
    assert torch.equal(judged.rank, ranks(similarity))
    assert torch.equal(judged.surprise, surprises(similarity))
    assert torch.equal(judged.overlap, overlaps(similarity, cosines(y, y)))
    torch.testing.assert_close(judged.error, (predicted - y).square().sum(1))
    torch.testing.assert_close(judged.spread, (y - y.mean(0)).square().sum(1))


def test_joined_outcomes_are_those_of_one_gallery_after_the_other(normal):
    y, predicted = normal(40, 4), normal(40, 4)
    first, second = outcomes(predicted[:25], y[:25]), outcomes(predicted[25:], y[25:])
    both = Outcomes.joined([first, second])
    for name, values in vars(both).items():
        assert torch.equal(values, torch.cat([vars(first)[name], vars(second)[name]]))
    assert both.rank.max() <= 25


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
