"""What every measure sees and does not see, its ends, and parity with SciPy, scikit-learn and n x n formulas."""

from itertools import permutations
from math import isnan, pi

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes, subspace_angles
from scipy.spatial.distance import pdist, squareform
from scipy.stats import kstest, spearmanr
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors

from models.comparison import (
    MEASURES,
    PAIRINGS,
    PROFILES,
    ROWS,
    chance,
    cka,
    distances,
    nearest,
    participation_ratio,
    ranked,
    sampled,
    spectrum,
)
from models.errors import DimensionMismatch, TooFewAnchors

SHAPES = [(60, 5, 8), (20, 30, 12), (12, 20, 20), (5, 3, 4)]  # n, d1, d2

each_measure = pytest.mark.parametrize("name", MEASURES)
each_shape = pytest.mark.parametrize(("n", "d1", "d2"), SHAPES)


def of(name, x, y):
    return MEASURES[name].function(x, y)


@pytest.fixture
def related(normal):
    """related(n, d1, d2): two spaces with something in common."""

    def make(n, d1, d2):
        z = normal(n, 3)
        return z @ normal(3, d1) + 0.3 * normal(n, d1) + normal(d1), z @ normal(3, d2) + 0.3 * normal(n, d2)

    return make


# What a measure sees

INVARIANCES = {  # of the first space: a rotation, a scale, a shift, an invertible map
    "cka": (True, True, True, False),
    "cka_unbiased": (True, True, True, False),
    "cka_rbf": (True, True, True, False),
    "cka_rbf_unbiased": (True, True, True, False),
    "svcca": (True, True, True, False),
    "pwcca": (False, True, True, False),
    "procrustes": (True, True, True, False),
    "mutual_knn": (True, True, False, False),
    "knn_jaccard": (True, True, False, False),
    "rsa": (True, True, True, False),
}
CHANGES = ["rotation", "scale", "shift", "invertible"]


def changed(x, change, normal):
    d = x.shape[1]
    if change == "rotation":
        return x @ torch.linalg.qr(normal(d, d))[0]
    if change == "scale":
        return 7.3 * x
    if change == "shift":
        return x + 5 * normal(d)
    return x @ (normal(d, d) * torch.logspace(0, 2, d, dtype=x.dtype))


def test_every_measure_says_what_it_sees():
    assert list(INVARIANCES) == list(MEASURES)


@each_measure
@pytest.mark.parametrize("change", CHANGES)
def test_a_measure_sees_what_it_should_and_nothing_else(name, change, related, normal):
    x, y = related(60, 6, 8)
    before, after = of(name, x, y), of(name, changed(x, change, normal), y)
    if INVARIANCES[name][CHANGES.index(change)]:
        # a nuclear norm near 1 under arccos, and neighbours in single precision
        assert after == pytest.approx(before, abs=1e-6)
    else:
        assert abs(after - before) > 1e-3


@pytest.mark.parametrize("change", CHANGES)
def test_pwcca_sees_no_invertible_map_of_the_second_space(change, related, normal):
    x, y = related(60, 6, 8)
    assert of("pwcca", x, changed(y, change, normal)) == pytest.approx(of("pwcca", x, y), abs=1e-9)


@each_measure
def test_no_measure_sees_the_order_of_the_items(name, related):
    x, y = related(40, 5, 6)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert of(name, x[order], y[order]) == pytest.approx(of(name, x, y), abs=1e-9)


@each_measure
def test_every_measure_sees_which_item_is_which(name, related):
    x, y = related(60, 5, 6)
    better, worse = of(name, x, y), of(name, x, y.roll(1, 0))
    assert (better > worse) == MEASURES[name].higher_is_alike
    assert abs(better - worse) > 0.1


# Its ends


@each_measure
@each_shape
def test_a_space_and_itself_give_the_extreme(name, n, d1, d2, related):
    x, _ = related(n, d1, d2)
    # arccos turns a rounding of 1e-16 into 1e-8
    assert of(name, x, x) == pytest.approx(MEASURES[name].alike, abs=1e-6)


@each_measure
@each_shape
def test_a_measure_stays_in_its_range(name, n, d1, d2, normal):
    measure = MEASURES[name]
    for _ in range(20):
        assert measure.low <= of(name, normal(n, d1), normal(n, d2)) <= measure.high


INDEPENDENT = {
    "cka": 0.0,
    "cka_unbiased": 0.0,
    "cka_rbf": 0.0,
    "cka_rbf_unbiased": 0.0,
    "svcca": 0.0,
    "pwcca": 0.0,
    "procrustes": pi / 2,
    "mutual_knn": 0.0,
    "knn_jaccard": 0.0,
    "rsa": 0.0,
}


@each_measure
def test_independent_spaces_are_near_the_other_end(name, normal):
    # 2000 items in 4 dimensions: canonical correlations of 1 / √2000, angles near 90°
    assert of(name, normal(2000, 4), normal(2000, 4)) == pytest.approx(INDEPENDENT[name], abs=0.1)


@pytest.mark.parametrize(("biased", "unbiased"), [("cka", "cka_unbiased"), ("cka_rbf", "cka_rbf_unbiased")])
def test_with_fewer_items_than_dimensions_only_the_unbiased_is_near_zero(biased, unbiased, normal):
    pairs = [(normal(30, 200), normal(30, 200)) for _ in range(20)]
    assert min(of(biased, x, y) for x, y in pairs) > 0.7
    # 20 estimates, each within a few hundredths of 0
    assert abs(np.mean([of(unbiased, x, y) for x, y in pairs])) < 0.02


@pytest.mark.parametrize("name", [name for name in MEASURES if MEASURES[name].symmetric])
@each_shape
def test_most_measures_are_symmetric(name, n, d1, d2, related):
    x, y = related(n, d1, d2)
    assert of(name, x, y) == pytest.approx(of(name, y, x), abs=1e-9)


def test_pwcca_is_not_symmetric(related):
    x, y = related(60, 5, 8)
    assert abs(of("pwcca", x, y) - of("pwcca", y, x)) > 1e-3


def test_the_angle_obeys_the_triangle_inequality(normal):
    for _ in range(50):
        a, b, c = (normal(10, 4) for _ in range(3))
        assert of("procrustes", a, c) <= of("procrustes", a, b) + of("procrustes", b, c) + 1e-9


# Parity


def gram(x):
    x = x.numpy() - x.numpy().mean(0)
    return x @ x.T


def gaussian(x):
    return rbf_kernel(x.numpy(), gamma=1 / (2 * np.median(pdist(x.numpy())) ** 2))


def aligned(hsic, k, m):
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def hsic(k, m):
    h = np.eye(len(k)) - 1 / len(k)
    return np.trace(k @ h @ m @ h)


def hsic_song(k, m):
    n, one = len(k), np.ones(len(k))
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    last = one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ m @ one)
    return (np.trace(k @ m) + last) / (n * (n - 3))


@each_shape
def test_linear_cka_is_that_of_the_n_by_n_formula(n, d1, d2, related):
    x, y = related(n, d1, d2)
    assert of("cka", x, y) == pytest.approx(aligned(hsic, gram(x), gram(y)))


@each_shape
def test_unbiased_cka_is_that_of_the_n_by_n_formula(n, d1, d2, related):
    x, y = related(n, d1, d2)
    assert of("cka_unbiased", x, y) == pytest.approx(aligned(hsic_song, gram(x), gram(y)))


@pytest.mark.parametrize(("n", "d1", "d2"), [(61, 5, 8), (22, 30, 12), (13, 20, 20)])  # an odd number of pairs...
@pytest.mark.parametrize(("name", "estimator"), [("cka_rbf", hsic), ("cka_rbf_unbiased", hsic_song)])
def test_rbf_cka_is_that_of_scikit_learns_kernel(name, estimator, n, d1, d2, related):
    x, y = related(n, d1, d2)
    # ... or the lower of two middle distances instead of their mean
    assert of(name, x, y) == pytest.approx(aligned(estimator, gaussian(x), gaussian(y)), abs=1e-3)


@each_shape
def test_the_procrustes_angle_is_that_of_scipy(n, d1, d2, related):
    x, y = related(n, d1, d2)
    wide = max(d1, d2)
    a, b = (np.pad(v - v.mean(0), ((0, 0), (0, wide - v.shape[1]))) for v in (x.numpy(), y.numpy()))
    rotation, _ = orthogonal_procrustes(a, b)
    cosine = ((a @ rotation) * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)
    assert of("procrustes", x, y) == pytest.approx(np.arccos(cosine))


def strongest(x, share):
    """Orthonormal axes of the rows' principal parts, by NumPy's SVD."""
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    return u[:, : int(np.searchsorted(np.cumsum(s**2) / np.sum(s**2), share)) + 1]


@each_shape
def test_svcca_is_the_mean_cosine_of_scipys_angles_between_the_subspaces(n, d1, d2, related):
    x, y = related(n, d1, d2)
    angles = subspace_angles(strongest(x.numpy(), 0.99), strongest(y.numpy(), 0.99))
    assert of("svcca", x, y) == pytest.approx(np.cos(angles).mean(), abs=1e-9)


@each_shape
def test_pwcca_is_that_of_orthonormal_bases(n, d1, d2, related):
    x, y = related(n, d1, d2)
    a, b = (v.numpy() - v.numpy().mean(0) for v in (x, y))
    rank_a, rank_b = np.linalg.matrix_rank(a), np.linalg.matrix_rank(b)
    basis_a, basis_b = np.linalg.svd(a)[0][:, :rank_a], np.linalg.svd(b)[0][:, :rank_b]
    u, rho, _ = np.linalg.svd(basis_a.T @ basis_b, full_matrices=False)
    weights = np.abs((basis_a @ u).T @ a).sum(1)
    if rank_a + rank_b < n:  # otherwise some correlations are 1 and their variates are any
        assert of("pwcca", x, y) == pytest.approx((weights * rho).sum() / weights.sum())
    else:
        assert 0 <= of("pwcca", x, y) <= 1


@each_shape
def test_rsa_is_scipys_spearman_of_scipys_distances(n, d1, d2, related):
    x, y = related(n, d1, d2)
    # distances within a millionth of the longest are tied
    assert of("rsa", x, y) == pytest.approx(spearmanr(pdist(x), pdist(y)).statistic, abs=1e-4)


def neighbours(x, k):
    search = NearestNeighbors(n_neighbors=k + 1, metric="cosine", algorithm="brute").fit(x.numpy())
    found = search.kneighbors(x.numpy(), return_distance=False)
    return [set(row.tolist()) - {own} for own, row in enumerate(found)]


@pytest.mark.parametrize(("n", "k"), [(60, 10), (21, 10), (20, 9), (12, 5), (3, 1)])
def test_neighbours_are_those_of_scikit_learn(n, k, related):
    x, y = related(n, 6, 8)
    pairs = list(zip(neighbours(x, k), neighbours(y, k), strict=True))
    assert of("mutual_knn", x, y) == pytest.approx(np.mean([len(a & b) / k for a, b in pairs]))
    assert of("knn_jaccard", x, y) == pytest.approx(np.mean([len(a & b) / len(a | b) for a, b in pairs]))


@pytest.mark.parametrize(("n", "d"), [(60, 5), (10, 30)])
def test_the_spectrum_is_that_of_numpys_covariance(n, d, normal):
    x = normal(n, d) + 4
    values = np.linalg.eigvalsh(np.cov(x.numpy(), rowvar=False))[::-1][: min(d, n - 1)]
    assert spectrum(x).tolist() == pytest.approx(values / values.sum())
    assert participation_ratio(x).item() == pytest.approx(values.sum() ** 2 / (values**2).sum())


@pytest.mark.parametrize("directions", [1, 2, 7])
def test_the_participation_ratio_counts_equal_directions(directions, normal):
    x = torch.linalg.qr(normal(50, directions))[0]
    x = torch.linalg.qr(x - x.mean(0))[0] @ torch.linalg.qr(normal(9, directions))[0].T
    assert participation_ratio(x - x.mean(0)).item() == pytest.approx(directions, rel=1e-2)


def test_ranks_share_ties_as_scipys_do():
    values = torch.tensor([3.0, 1.0, 3.0, 2.0, 3.0, 1.0], dtype=torch.float64)
    assert ranked(values).tolist() == [5.0, 1.5, 5.0, 3.0, 5.0, 1.5]


def test_tied_neighbours_share_the_places_left():
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [0.0, -1.0]])
    assert nearest(x, 2)[0].tolist() == [0, 1 / 3, 1 / 3, 1, 1 / 3]


def test_ties_alone_do_not_make_spaces_alike(normal):
    line, other = normal(40, 1), normal(40, 1)  # all cosines are 1 or -1
    assert of("mutual_knn", line, line) == pytest.approx(1)
    assert of("mutual_knn", line, other) < 0.5


# Where there is little or nothing to see


@each_measure
@pytest.mark.parametrize("side", [0, 1, 2])
def test_a_space_that_does_not_vary_is_like_nothing(name, side, normal):
    still = torch.full((12, 4), 0.1, dtype=torch.float64)
    x = still if side in (0, 2) else normal(12, 4)
    y = still if side in (1, 2) else normal(12, 4)
    assert isnan(of(name, x, y))


def test_a_space_that_does_not_vary_has_no_spectrum():
    still = torch.full((12, 4), 0.1)
    assert spectrum(still).tolist() == []
    assert isnan(participation_ratio(still).item())


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_items_have_no_spectrum(n, normal):
    assert spectrum(normal(n, 4)).tolist() == []
    assert isnan(participation_ratio(normal(n, 4)).item())


@each_measure
def test_constant_columns_change_nothing_but_cosines(name, related):
    x, y = related(40, 5, 6)
    wider = torch.cat([x, torch.full((40, 3), 0.1, dtype=x.dtype)], 1)
    assert of(name, wider, y) == pytest.approx(of(name, x, y), abs=0.1 if "knn" in name else 1e-7)


@each_measure
def test_equal_rows_are_no_trouble(name, related):
    x, y = related(20, 5, 6)
    x, y = x.repeat_interleave(2, 0), y.repeat_interleave(2, 0)
    x[:30], y[:30] = x[0], y[0]  # most distances are 0
    measure = MEASURES[name]
    assert measure.low <= of(name, x, y) <= measure.high
    assert of(name, x, x) == pytest.approx(measure.alike, abs=1e-6)


@each_measure
@pytest.mark.parametrize("length", [1e-30, 1e30])
def test_very_short_and_very_long_vectors_are_as_others(name, length, related):
    x, y = related(30, 5, 6)
    assert of(name, length * x, y / length) == pytest.approx(of(name, x, y), abs=1e-6)


@each_measure
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_a_measure_works_from_its_least_rows_on(name, n, normal):
    measure, x, y = MEASURES[name], normal(n, 3), normal(n, 5)
    if n >= measure.least:
        assert measure.low <= of(name, x, y) <= measure.high
    else:
        with pytest.raises(TooFewAnchors) as caught:
            of(name, x, y)
        assert caught.value.facts["got"] == n


def test_two_items_are_alike_in_every_linear_measure(normal):
    linear = ("cka", "svcca", "pwcca")
    assert [of(name, normal(2, 3), normal(2, 5)) for name in linear] == pytest.approx([1.0] * 3)


@each_measure
@pytest.mark.parametrize(("x", "y"), [((5, 3), (6, 3)), ((5,), (5, 3)), ((5, 3), (5, 3, 1))])
def test_rows_must_belong_together(name, x, y):
    with pytest.raises(DimensionMismatch):
        of(name, torch.zeros(x), torch.zeros(y))


# Determinism


@each_measure
def test_a_measure_is_the_same_in_every_call(name, related):
    x, y = related(ROWS + 100, 4, 5)
    assert of(name, x, y) == of(name, x.clone(), y.clone())


@each_measure
def test_single_precision_says_the_same(name, related):
    x, y = (v.float() for v in related(40, 5, 6))
    assert of(name, x, y) == of(name, x.double(), y.double())


def test_a_sample_keeps_rows_together(normal):
    x = normal(ROWS + 50, 2)
    a, b = sampled(x, 2 * x)
    assert len(a) == ROWS
    assert torch.equal(2 * a, b)
    assert len({tuple(row) for row in a.tolist()}) == ROWS


@pytest.mark.parametrize("name", ["cka_rbf", "cka_rbf_unbiased", "mutual_knn", "knn_jaccard", "rsa"])
def test_a_sample_says_what_the_whole_does(name, related, monkeypatch):
    x, y = related(3000, 4, 5)
    few = of(name, x, y)
    monkeypatch.setattr("models.comparison.sampled", lambda x, y: (x, y))
    whole = of(name, x, y)
    # neighbours are fewer among fewer: only these move by more than noise
    assert few == pytest.approx(whole, abs=0.1 if "knn" in name else 0.02)


@each_measure
def test_a_measure_says_what_it_means(name):
    measure = MEASURES[name]
    assert measure.meaning
    assert measure.low < measure.high
    assert measure.alike in (measure.low, measure.high)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_a_figure_or_a_row_of_them(name, normal):
    assert PROFILES[name].meaning
    assert PROFILES[name].function(normal(10, 3)).ndim <= 1


def test_distances_agree_with_scipy(normal):
    x = normal(20, 5)
    assert np.allclose(distances(x), squareform(pdist(x)))


# chance


def unrelated(n, seed):
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.standard_normal((n, 4))), torch.from_numpy(random.standard_normal((n, 6)))


@pytest.mark.parametrize("n", [6, 40, 1000])
def test_no_chance_pairing_is_as_alike_as_a_turned_copy(n):
    x, y = unrelated(n, seed=0)
    assert chance(x, 3 * x @ y[:4] + 1) == 1 / (1 + PAIRINGS)


@pytest.mark.parametrize("seed", range(3))
def test_chance_is_the_share_of_all_pairings(seed):
    x, y = unrelated(6, seed)
    pairings = [list(order) for order in permutations(range(6))]
    share = np.mean([cka(x, y[order]) >= cka(x, y) - 1e-12 for order in pairings])
    assert chance(x, y) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / PAIRINGS) + 1 / PAIRINGS)


def test_chance_is_uniform_for_what_is_unrelated():
    found = [chance(*unrelated(20, seed)) for seed in range(200)]
    assert kstest(found, "uniform").pvalue > 0.01


def test_chance_of_what_does_not_vary_is_one():
    x, y = unrelated(10, seed=0)
    assert chance(x, torch.ones_like(y)) == 1


def test_chance_is_the_same_every_time():
    x, y = unrelated(50, seed=3)
    assert chance(x, y) == chance(x, y)
