"""Pairs of different items are found, and pairs of one item are left alone."""

import pytest
import torch

from models.estimate import estimate
from models.folds import Folds
from models.measures import ranks
from models.screening import LEAST, suspicious, wrong_probability

ROWS = [(300, 16), (100, 12), (300, 64), (60, 100)]  # more and fewer anchors than dimensions
every_size = pytest.mark.parametrize(("n", "d"), ROWS)


def normals(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mispaired(y, share, seed):
    """`share` of the rows go round in a circle; which these are, (n,) bool."""
    rows = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))[: int(share * len(y))]
    wrong = torch.zeros(len(y), dtype=torch.bool)
    wrong[rows] = True
    y = y.clone()
    y[rows] = y[rows.roll(1)]
    return y, wrong


def shares(runs):
    """(found, wrong) of several sets -> share of the wrong that was found, share of the right that was."""
    found, wrong = (torch.cat(column) for column in zip(*runs, strict=True))
    return float(found[wrong].double().mean()), float(found[~wrong].double().mean())


@pytest.mark.parametrize(
    ("share", "n", "d"), [(0.05, 300, 16), (0.05, 300, 64), *((s, *size) for s in (0.2, 0.35) for size in ROWS)]
)
def test_wrong_pairs_of_a_noisy_rotation_are_found(share, n, d, make_pair):
    runs = []
    for seed in range(5):
        x, y, *_ = make_pair(n, d, d, noise=0.5, seed=seed)
        y, wrong = mispaired(y, share, seed)
        runs.append((suspicious(Folds(x, y, seed)), wrong))
    recall, false = shares(runs)
    assert recall > 0.95
    assert false < 0.02


@pytest.mark.parametrize(("d1", "d2"), [(16, 40), (40, 16)])
def test_wrong_pairs_are_found_between_two_widths(d1, d2, make_pair):
    x, y, *_ = make_pair(300, d1, d2, noise=0.3)
    y, wrong = mispaired(y, 0.2, 0)
    recall, false = shares([(suspicious(Folds(x, y, 0)), wrong)])
    assert recall > 0.95
    assert false < 0.02


@every_size
@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_hardly_any_right_pair_is_suspected(noise, n, d, make_pair):
    found = []
    for seed in range(5):
        x, y, *_ = make_pair(n, d, d, noise=noise, seed=seed)
        found.append(suspicious(Folds(x, y, seed)))
    assert torch.cat(found).double().mean() < 0.005


@every_size
def test_hardly_any_right_pair_is_suspected_for_a_heavy_tail_of_noise(n, d, make_pair):
    found = []
    for seed in range(5):
        x, y, *_ = make_pair(n, d, d, seed=seed)
        strength = 0.3 / torch.rand(n, 1, generator=torch.Generator().manual_seed(seed)).sqrt().double()
        found.append(suspicious(Folds(x, y + strength * normals(seed, n, d), seed)))
    # some rows bear twenty times the noise of others, and are as far off as a wrong pair
    assert torch.cat(found).double().mean() < 0.02


@every_size
def test_spaces_that_share_nothing_are_left_alone(n, d):
    found = [suspicious(Folds(normals(s, n, d), normals(100 + s, n, d), s)) for s in range(10)]
    assert torch.cat(found).double().mean() < 0.02


@every_size
def test_where_every_pair_is_wrong_hardly_any_is_told_from_the_others(n, d, make_pair):
    found = []
    for seed in range(10):
        x, y, *_ = make_pair(n, d, d, noise=0.5, seed=seed)
        found.append(suspicious(Folds(x, mispaired(y, 1.0, seed)[0], seed)))
    assert torch.cat(found).double().mean() < 0.02


@pytest.mark.parametrize("share", [0.5, 0.6, 0.8])
def test_never_more_than_half_of_the_pairs_are_suspected(share, make_pair):
    for seed in range(5):
        x, y, *_ = make_pair(200, 12, 12, noise=0.3, seed=seed)
        assert suspicious(Folds(x, mispaired(y, share, seed)[0], seed)).sum() <= 100


def test_spaces_that_share_little_are_not_thinned_out():
    """A few directions in common under much noise: right pairs with low cosines look like wrong ones."""
    found = []
    for seed in range(5):
        shared = normals(seed, 300, 3)
        x, y = (torch.hstack([shared, 0.8 * normals(seed + s, 300, 13)]) for s in (50, 100))
        found.append(suspicious(Folds(x, y, seed)))
    assert torch.cat(found).double().mean() < 0.05


@pytest.mark.parametrize("n", [2, 3, 10, LEAST - 1])
def test_few_pairs_are_never_suspected(n, make_pair):
    x, y, *_ = make_pair(n, 4, 4)
    found = suspicious(Folds(x, mispaired(y, 0.2, 0)[0], 0))
    assert found.shape == (n,)
    assert not found.any()


def test_from_the_least_number_on_many_are_found(make_pair):
    runs = []
    for seed in range(10):
        x, y, *_ = make_pair(LEAST, 4, 4, seed=seed)
        y, wrong = mispaired(y, 0.2, seed)
        runs.append((suspicious(Folds(x, y, seed)), wrong))
    recall, false = shares(runs)
    assert recall > 0.3
    assert false < 0.05


@pytest.mark.parametrize("still", ["source", "target", "both"])
def test_where_nothing_varies_nothing_is_suspected(still):
    x, y = normals(0, 60, 8), normals(1, 60, 8)
    x = torch.ones_like(x) if still != "target" else x
    y = torch.ones_like(y) if still != "source" else y
    assert not suspicious(Folds(x, y, 0)).any()


def test_the_same_folds_give_the_same_suspects(make_pair):
    x, y, *_ = make_pair(200, 16, 16, noise=1.0)
    y, _ = mispaired(y, 0.2, 0)
    assert torch.equal(suspicious(Folds(x, y, 3)), suspicious(Folds(x, y, 3)))


def test_rotating_and_moving_a_space_changes_no_suspect(make_pair):
    x, y, rotation, *_ = make_pair(200, 16, 16, noise=0.3)
    y, _ = mispaired(y, 0.2, 0)
    expected = suspicious(Folds(x, y, 0))
    assert torch.equal(suspicious(Folds(3 * x @ rotation - 2, y, 0)), expected)
    assert torch.equal(suspicious(Folds(x, 3 * y @ rotation - 2, 0)), expected)


def test_the_anchors_are_left_as_they_were(make_pair):
    x, y, *_ = make_pair(100, 12, 12, noise=0.3)
    y, _ = mispaired(y, 0.2, 0)
    before = x.clone(), y.clone()
    suspicious(Folds(x, y, 0))
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


def test_the_probability_is_that_of_a_mixture_of_two_known_densities():
    """30 % of the pairs have the cosines of chance: which is right is known by Bayes' rule."""
    n, share = 20000, 0.3
    chance, right = 0.2 * normals(0, n), 0.8 + 0.1 * normals(1, n)
    wrong = torch.rand(n, generator=torch.Generator().manual_seed(2)) < share
    own = torch.where(wrong, 0.2 * normals(3, n), right)
    density = [torch.exp(-0.5 * ((own - m) / s) ** 2) / s for m, s in ((0.0, 0.2), (0.8, 0.1))]
    expected = share * density[0] / (share * density[0] + (1 - share) * density[1])
    found = wrong_probability(own, chance).clamp_max(1)
    # densities are estimated from a thousand cosines with a kernel
    assert ((found > 0.5) == (expected > 0.5)).double().mean() > 0.98
    assert (found - expected).abs().mean() < 0.05
    assert (found[own.argsort()].diff() <= 0).all()


@pytest.fixture(scope="module")
def reports(make_pair):
    """Of 300 anchors with a fifth of them wrong, and of the right ones alone; 600 fresh rows."""
    x, y, *_ = make_pair(900, 16, 16, noise=0.5)
    paired, wrong = mispaired(y[:300], 0.2, 0)
    whole = estimate(x[:300], paired, "orthogonal")
    right = estimate(x[:300][~wrong], y[:300][~wrong], "orthogonal")
    return whole, right, wrong, x[300:], y[300:]


def test_a_report_names_the_pairs_that_it_leaves_out(reports):
    whole, right, wrong, *_ = reports
    found = torch.zeros(300, dtype=torch.bool)
    found[whole.report.suspicious] = True
    recall, false = shares([(found, wrong)])
    assert recall > 0.95
    assert false < 0.02
    assert whole.report.anchors == 300 - len(whole.report.suspicious)
    assert whole.report.held_out == whole.report.anchors
    assert any(f"{len(whole.report.suspicious)} pairs look like" in warning for warning in whole.report.warnings)
    assert right.report.suspicious == []
    assert not any("look like different items" in warning for warning in right.report.warnings)


def test_without_them_the_translation_is_as_good_as_if_they_had_never_been_there(reports):
    whole, right, _, x, y = reports
    errors, found = [], []
    for fit in (whole, right):
        translated = fit.method.transform(x)
        errors.append(float((translated - y).square().sum(1).mean()))
        found.append(float((1 / ranks(fit.score(translated, y))).mean()))
    assert errors[0] < 1.02 * errors[1]
    assert found[0] > found[1] - 0.01


def test_with_them_it_would_be_worse(reports, make_pair):
    _, right, _, x, y = reports
    anchors, targets, *_ = make_pair(900, 16, 16, noise=0.5)
    naive = type(right.method)().fit(anchors[:300], mispaired(targets[:300], 0.2, 0)[0])
    errors = [float((m.transform(x) - y).square().sum(1).mean()) for m in (naive, right.method)]
    assert errors[0] > 1.05 * errors[1]
