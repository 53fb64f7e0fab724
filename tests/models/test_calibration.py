"""Calibration: distributions against SciPy, thresholds against native hits."""

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from models.calibration import KNOTS, PAIRS, Calibration, fit_calibration, levels


@pytest.fixture
def scores(normal):
    """scores(n): native scores, and translated ones that are shifted, squeezed and noisy."""

    def drawn(n):
        native = torch.tanh(0.3 * normal(n))
        return torch.tanh(0.5 * native + 0.08 * normal(n) - 0.2), native

    return drawn


def test_a_native_threshold_returns_as_many_hits(scores):
    calibration, _ = fit_calibration(*scores(50_000))
    translated, native = scores(50_000)
    calibrated = calibration(translated)
    for share in (0.5, 0.7, 0.9, 0.99, 0.999):
        threshold = native.quantile(share)
        hits, expected = int((calibrated > threshold).sum()), int((native > threshold).sum())
        assert hits == pytest.approx(expected, rel=0.1, abs=4 * expected**0.5)


def test_fresh_scores_are_spread_like_native_ones(scores):
    calibration, report = fit_calibration(*scores(20_000))
    translated, native = scores(20_000)
    before, after = (ks_2samp(values, native).statistic for values in (translated, calibration(translated)))
    assert after < 0.03
    assert report.pairs == 20_000
    assert report.before == pytest.approx(before, abs=0.02)
    assert report.after == pytest.approx(after, abs=0.02)


def test_an_increasing_change_of_scores_is_undone(scores):
    _, native = scores(20_000)
    calibration, _ = fit_calibration(torch.exp(3 * native) - 5, native)
    middle = native[(native > native.quantile(0.05)) & (native < native.quantile(0.999))]
    torch.testing.assert_close(calibration(torch.exp(3 * middle) - 5), middle, atol=0.02, rtol=0)


def test_knots_are_quantiles_of_both(scores):
    translated, native = scores(5000)
    calibration, _ = fit_calibration(translated, native)
    at = levels(5000)
    np.testing.assert_allclose(calibration.knots, np.quantile(translated, at))
    np.testing.assert_allclose(calibration.values, np.quantile(native, at))
    assert len(at) == KNOTS
    assert (at.diff() > 0).all()
    assert at[[0, -1]].tolist() == [0, 1]


def test_between_the_knots_it_is_linear_and_beyond_them_constant(scores):
    calibration, _ = fit_calibration(*scores(1000))
    at = torch.linspace(-3, 3, 1001, dtype=torch.float64)
    expected = np.interp(at, calibration.knots, calibration.values)
    np.testing.assert_allclose(calibration(at), expected, atol=1e-12)
    assert (calibration(at).diff() >= 0).all()


def test_no_score_passes_the_highest_native_one_that_it_was_learned_from(scores):
    translated, native = scores(1000)
    calibration, _ = fit_calibration(translated, native)
    highest = calibration(torch.tensor([float(translated.max()), 1.0, 1e9], dtype=torch.float64))
    assert highest.tolist() == pytest.approx([float(native.max())] * 3, abs=1e-12)


def test_the_shape_is_kept(scores):
    calibration, _ = fit_calibration(*scores(1000))
    grid = scores(12)[0].reshape(3, 4)
    assert torch.equal(calibration(grid).flatten(), calibration(grid.flatten()))
    assert torch.equal(calibration(grid.T), calibration(grid).T)
    assert calibration(grid[0, 0]).shape == ()
    assert calibration(grid[:0]).shape == (0, 4)


def test_ties_have_one_value(normal):
    translated = torch.tensor([0.0, 1.0]).repeat_interleave(500)
    native = torch.cat([normal(500), normal(500) + 10])
    calibration, report = fit_calibration(translated, native)
    assert len(calibration.knots) == 2
    low, high = calibration(torch.tensor([0.0, 1.0])).tolist()
    assert low < 5 < high
    assert report.after <= 1


@pytest.mark.parametrize("n", [2, 3, 10, 11, 100])
def test_few_pairs(scores, n):
    calibration, report = fit_calibration(*scores(n))
    found = calibration(torch.linspace(-2, 2, 50))
    assert torch.isfinite(found).all()
    assert (found.diff() >= 0).all()
    assert 0 <= report.after <= 1


def test_scores_that_are_all_equal_become_one_in_the_middle(normal):
    native = normal(200)
    calibration, _ = fit_calibration(torch.full((200,), 0.3), native)
    found = calibration(torch.tensor([-1.0, 0.3, 1.0]))
    assert len(set(found.tolist())) == 1
    assert native.min() < found[0] < native.max()


def test_more_pairs_than_are_needed_are_sampled_by_the_seed(normal):
    translated, native = normal(PAIRS + 1000), normal(PAIRS + 1000)
    (first, report), (second, _) = (fit_calibration(translated, native, seed=4) for _ in range(2))
    assert report.pairs == PAIRS
    assert torch.equal(first.knots, second.knots)
    assert not torch.equal(first.knots, fit_calibration(translated, native, seed=5)[0].knots)


def test_it_is_stored_as_tensors_of_single_precision(scores):
    calibration, _ = fit_calibration(*scores(1000))
    tensors = calibration.tensors()
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    at = torch.linspace(-1, 1, 100)
    torch.testing.assert_close(Calibration.of_tensors(tensors)(at), calibration(at).float(), atol=1e-4, rtol=0)
