"""Confidence: its signs against NumPy, its values against cosines that it has not seen."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.isotonic import IsotonicRegression
from sklearn.neighbors import NearestNeighbors
from torch.nn.functional import cosine_similarity

from models.base import check_pairs
from models.confidence import (
    LEAST_ROWS,
    NEIGHBOURS,
    SHRINKAGE,
    Confidence,
    Surroundings,
    descending,
    fit_confidence,
    spearman,
)
from models.folds import Folds
from models.latentis import LatentisLOrtho
from models.mean import Mean
from models.moments import Moments
from models.orthogonal import Orthogonal
from models.ridge import Ridge


def fitted(x, y, method=None, seed=0):
    """The method on all anchors, its confidence and report."""
    method = method or Ridge()
    folds = Folds(*check_pairs(x, y), seed)
    confidence, report = fit_confidence([method.trial(folds, fold) for fold in range(folds.count)], folds)
    return method.fit(x, y), confidence, report


@pytest.fixture
def uneven(normal):
    """uneven(n): x, y and the noise of the items, stronger the farther they are from a centre of the source."""
    rotation, centre = torch.linalg.qr(normal(12, 12))[0], 2 * normal(12)

    def items(n):
        x = normal(n, 12)
        noise = 0.02 * (x - centre).norm(dim=1) ** 2
        return x, x @ rotation + noise.unsqueeze(1) * normal(n, 12), noise

    return items


@pytest.mark.parametrize(("n", "d"), [(40, 6), (12, 30)])
def test_signs_are_their_formulas(normal, n, d):
    sample, x, quality, length = normal(n, d) + 3, normal(9, d) + 3, torch.rand(n).double(), normal(9).abs()
    units = torch.tensor([1.5, 0.5], dtype=torch.float64)
    found = Surroundings.of(Moments.of(sample, sample), units, sample, quality).signs(x, length).numpy()

    mean, own = sample.numpy().mean(0), np.linalg.norm(x.numpy() - sample.numpy().mean(0), axis=1)
    near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, n)).fit(sample.numpy())
    distances, indices = near.kneighbors(x.numpy())
    covariance = np.cov(sample.numpy().T, bias=True) * n  # as a scatter
    floor = SHRINKAGE * np.trace(covariance) / d
    precision = np.linalg.inv(covariance + floor * np.eye(d))  # of the shrunk covariance
    centred = x.numpy() - mean
    mahalanobis = np.einsum("ni,ij,nj->n", centred, precision, centred)
    distance = distances.mean(1)
    np.testing.assert_allclose(found[:, 0], distance / 1.5)
    np.testing.assert_allclose(found[:, 1], distance / (distance + own))
    np.testing.assert_allclose(found[:, 2], floor * mahalanobis / own**2, atol=1e-12)
    np.testing.assert_allclose(found[:, 3], (own / 1.5) / (own / 1.5 + length.numpy() / 0.5))
    np.testing.assert_allclose(found[:, 4], 1 - quality.numpy()[indices].mean(1))


def test_residue_is_one_outside_of_the_span_and_small_inside(normal):
    sample = torch.cat([normal(50, 3), torch.zeros(50, 4, dtype=torch.float64)], 1)
    around = Surroundings.of(Moments.of(sample, sample), torch.ones(2).double(), sample, torch.ones(50).double())
    outside, inside = sample.mean(0) + torch.eye(7).double()[[5]], sample[:1]
    assert float(around.signs(outside, torch.ones(1))[0, 2]) == pytest.approx(1)
    assert float(around.signs(inside, torch.ones(1))[0, 2]) < 0.1


def test_it_is_the_expected_cosine_of_fresh_vectors(uneven):
    (x, y, _), (fresh, true, _) = uneven(1000), uneven(2000)
    method, confidence, _ = fitted(x, y)
    translated = method.transform(fresh)
    cosine = cosine_similarity(translated - y.mean(0), true - y.mean(0)).clamp(0, 1)
    trust = confidence(fresh, translated)
    for part in trust.argsort().tensor_split(5):
        assert float(trust[part].mean()) == pytest.approx(float(cosine[part].mean()), abs=0.05)


def test_it_ranks_two_thirds_as_well_as_who_knows_the_noise(uneven):
    (x, y, _), (fresh, true, noise) = uneven(1000), uneven(2000)
    method, confidence, _ = fitted(x, y)
    translated = method.transform(fresh)
    cosine = cosine_similarity(translated - y.mean(0), true - y.mean(0))
    known = spearmanr(fresh.norm(dim=1) / noise, cosine).statistic
    assert spearmanr(confidence(fresh, translated), cosine).statistic > 2 / 3 * known > 0.3


def test_the_report_is_what_fresh_vectors_show(uneven):
    (x, y, _), (fresh, true, _) = uneven(1000), uneven(2000)
    method, confidence, report = fitted(x, y)
    translated = method.transform(fresh)
    cosine = cosine_similarity(translated - y.mean(0), true - y.mean(0))
    assert report.spearman == pytest.approx(spearmanr(confidence(fresh, translated), cosine).statistic, abs=0.1)
    assert sum(row.rows for row in report.table) == 1000
    assert [row.confidence for row in report.table] == sorted(row.confidence for row in report.table)
    assert all(row.confidence == pytest.approx(row.cosine, abs=0.1) for row in report.table)
    assert asdict(report)["table"][0].keys() == {"confidence", "cosine", "rows"}


def test_without_any_relation_it_is_next_to_nothing(normal):
    x, y = normal(300, 8), normal(300, 8)
    method, confidence, report = fitted(x, y)
    assert float(confidence(x, method.transform(x)).mean()) < 0.25
    assert abs(report.spearman) < 0.2


def test_an_exact_map_is_trusted(rotated):
    method, confidence, _ = fitted(rotated.x, rotated.y, Orthogonal())
    trust = confidence(rotated.x, method.transform(rotated.x))
    assert float(trust.median()) == pytest.approx(1, abs=1e-4)


def test_the_target_mean_is_never_trusted(noisy):
    method, confidence, report = fitted(noisy.x, noisy.y, Mean())
    assert not confidence(noisy.x, method.transform(noisy.x)).any()
    assert report.spearman == 0


def test_it_falls_to_nothing_on_every_way_out(noisy, normal):
    method, confidence, _ = fitted(noisy.x, noisy.y)
    ways = torch.cat([normal(20, 16), noisy.x[:20] - noisy.x.mean(0)])
    ways = ways / ways.norm(dim=1, keepdim=True) * (noisy.x - noisy.x.mean(0)).norm(dim=1).max()
    steps = [noisy.x.mean(0) + step * ways for step in (1, 1.5, 2, 3, 5, 100, 1e6)]
    trust = torch.stack([confidence(x, method.transform(x)) for x in steps])
    assert (trust.diff(dim=0) <= 0).all()
    assert (trust[3:] < 0.01).all()


@pytest.mark.parametrize("n", [30, 300])
def test_what_is_no_item_of_the_space_gets_less_than_any_usual_one(normal, n):
    basis = normal(10, 64)  # items fill 10 of 64 dimensions
    x = normal(n, 10) @ basis + 0.05 * normal(n, 64)
    method, confidence, _ = fitted(x, x @ normal(64, 20), Orthogonal())
    fresh = normal(200, 10) @ basis + 0.05 * normal(200, 64)
    noise = normal(200, 64)
    noise = noise / noise.norm(dim=1, keepdim=True) * fresh.norm(dim=1, keepdim=True)
    usual, strange = (confidence(v, method.transform(v)) for v in (fresh, noise))
    assert float(strange.max()) < float(usual.quantile(0.1))
    assert float(strange.mean()) < 0.05


def test_vectors_too_long_for_single_precision_are_far(noisy):
    method, confidence, _ = fitted(noisy.x, noisy.y)
    huge = 1e30 * noisy.x.float()
    assert not confidence(huge, method.transform(huge)).any()


def test_a_rotated_source_is_trusted_alike(noisy, normal):
    rotation, shift = torch.linalg.qr(normal(16, 16))[0], normal(16)
    fresh, turned = 2 * normal(50, 16), noisy.x @ rotation + shift
    plain, confidence, _ = fitted(noisy.x, noisy.y)
    method, other, _ = fitted(turned, noisy.y)
    expected = confidence(fresh, plain.transform(fresh))
    found = other(fresh @ rotation + shift, method.transform(fresh @ rotation + shift))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_scaled_source_is_trusted_alike(noisy):
    plain, confidence, _ = fitted(noisy.x, noisy.y)
    method, other, _ = fitted(1000 * noisy.x, noisy.y)
    expected = confidence(noisy.x, plain.transform(noisy.x))
    found = other(1000 * noisy.x, method.transform(1000 * noisy.x))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_the_knots_are_those_of_isotonic_regression(normal):
    badness = normal(500)
    quality = torch.sigmoid(normal(500) - badness)
    knots, values = descending(badness, quality)
    parts = badness.argsort().tensor_split(len(knots))
    means = [[float(v[part].mean()) for part in parts] for v in (badness, quality)]
    model = IsotonicRegression(increasing=False).fit(*means, sample_weight=[len(part) for part in parts])
    np.testing.assert_allclose(values, model.predict(knots), atol=1e-12)
    assert (values.diff() <= 0).all()
    assert (knots.diff() > 0).all()
    assert min(len(part) for part in parts) >= LEAST_ROWS


def test_the_rank_correlation_is_that_of_scipy(normal):
    a = normal(50).round(decimals=1)  # ties too
    b = a + normal(50)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert spearman(a, torch.ones(50)) == 0


def test_it_is_stored_as_tensors_of_single_precision(few):
    method, confidence, _ = fitted(few.x, few.y)
    tensors = confidence.tensors()
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    x, expected = few.x.float(), confidence(few.x, method.transform(few.x)).float()
    found = Confidence.of_tensors(tensors)(x, method.transform(x))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_the_same_seed_gives_the_same(noisy):
    first, second = (fitted(noisy.x, noisy.y, seed=3) for _ in range(2))
    assert first[2] == second[2]
    assert all(map(torch.equal, first[1].tensors().values(), second[1].tensors().values()))


def test_a_method_without_moments_has_one_too(noisy):
    method, confidence, report = fitted(noisy.x, noisy.y, LatentisLOrtho())
    trust = confidence(noisy.x, method.transform(noisy.x))
    assert 0 < float(trust.mean()) < 1
    assert report.table


@pytest.mark.parametrize("n", [2, 3, 4, 10, 31])
@pytest.mark.parametrize(("d1", "d2"), [(1, 1), (1, 5), (5, 3), (50, 20)])
def test_few_anchors(normal, n, d1, d2):
    check(*fitted(normal(n, d1), normal(n, d2)), normal(20, d1))


@pytest.mark.parametrize("constant", ["x", "y", "both", "a column", "zero"])
def test_what_is_constant_says_nothing(normal, constant):
    x, y = normal(30, 4), normal(30, 4)
    if constant in ("x", "both"):
        x = x[:1].expand(30, 4)
    if constant in ("y", "both"):
        y = y[:1].expand(30, 4)
    if constant == "a column":
        x = torch.cat([x[:, :3], torch.full((30, 1), 0.3, dtype=torch.float64)], 1)
    if constant == "zero":
        x = torch.zeros_like(x)
    method, confidence, report = fitted(x, y)
    check(method, confidence, report, normal(20, 4))
    if constant != "a column":
        assert not confidence(x, method.transform(x)).any()


def check(method, confidence, report, x):
    """In range for usual vectors, zeros and vectors far away, in both precisions."""
    for v in (x, 0 * x, 1e6 * x, x.float(), 1e6 * x.float()):
        for trust in (confidence, Confidence.of_tensors(confidence.tensors())):
            found = trust(v, method.transform(v))
            assert ((found >= 0) & (found <= 1)).all()
    assert -1 <= report.spearman <= 1
