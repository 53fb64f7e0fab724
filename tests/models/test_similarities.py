"""What every similarity sees and does not see, its ends, and parity with SciPy, scikit-learn and slow formulas."""

import heapq

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import cosine_similarity

from models.lengths import unit
from models.similarities import NEIGHBOURS, SHRINKAGE, SIMILARITIES, from_mean, shortest_paths, whitening_of
from tests.models.conftest import INVARIANCES, KINDS

DISTANCES = [name for name, similarity in SIMILARITIES.items() if not similarity.higher_is_alike]
SHAPES = [(40, 6), (12, 20), (5, 1), (1, 4), (1, 1), (2, 3)]  # k, d

each_similarity = pytest.mark.parametrize("name", SIMILARITIES)
each_distance = pytest.mark.parametrize("name", DISTANCES)
each_shape = pytest.mark.parametrize(("k", "d"), SHAPES)


def codes(name, x, anchors):
    return SIMILARITIES[name](x, anchors)


# What a similarity sees


def test_every_similarity_says_what_it_sees():
    assert list(INVARIANCES) == list(SIMILARITIES)


@each_similarity
@pytest.mark.parametrize("kind", KINDS)
def test_a_similarity_sees_what_it_should_and_nothing_else(name, kind, change, normal):
    x, anchors, changed = normal(30, 6), normal(20, 6), change(kind, 6)
    before, after = codes(name, x, anchors), codes(name, changed(x), changed(anchors))
    if kind in INVARIANCES[name]:
        torch.testing.assert_close(after, before)
    else:
        assert (after - before).abs().amax() > 1e-3


@pytest.mark.parametrize("name", ["euclidean", "l1", "linf", "geodesic"])
def test_distances_grow_with_the_space(name, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    torch.testing.assert_close(codes(name, 3 * x, 3 * anchors), 3 * codes(name, x, anchors))


def test_an_inner_product_grows_with_the_square_of_the_space(normal):
    x, anchors = normal(30, 6), normal(20, 6)
    torch.testing.assert_close(codes("inner", 3 * x, 3 * anchors), 9 * codes("inner", x, anchors))


@pytest.mark.parametrize("name", ["cosine", "angular"])
def test_angles_do_not_see_the_length_of_a_single_vector(name, normal):
    x, anchors, lengths = normal(30, 6), normal(20, 6), normal(30, 1).exp()
    torch.testing.assert_close(codes(name, lengths * x, anchors), codes(name, x, anchors))


def test_basis_sees_an_invertible_map_where_anchors_do_not_span_the_space(change, normal):
    x, anchors, changed = normal(30, 6), normal(4, 6), change("invertible", 6)
    assert (codes("basis", changed(x), changed(anchors)) - codes("basis", x, anchors)).abs().amax() > 1e-2


@each_similarity
def test_another_order_of_the_anchors_reorders_the_codes(name, normal):
    x, anchors, order = normal(30, 6), normal(20, 6), normal(20).argsort()
    torch.testing.assert_close(codes(name, x, anchors[order]), codes(name, x, anchors)[:, order])


@each_similarity
def test_a_vector_is_seen_alone_as_in_company(name, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    alone = torch.cat([codes(name, row, anchors) for row in x.split(1)])
    torch.testing.assert_close(alone, codes(name, x, anchors))


# Parity


def test_cosine_is_that_of_scikit_learn(normal):
    x, anchors = normal(30, 6), normal(20, 6)
    np.testing.assert_allclose(codes("cosine", x, anchors), cosine_similarity(x, anchors), atol=1e-12)


def test_angular_is_the_angle_as_a_share_of_a_half_turn(normal):
    x, anchors = normal(30, 6), normal(20, 6)
    expected = np.arccos(1 - cdist(x, anchors, "cosine")) / np.pi
    np.testing.assert_allclose(codes("angular", x, anchors), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "metric"), [("euclidean", "euclidean"), ("l1", "cityblock"), ("linf", "chebyshev")]
)
@each_shape
def test_a_distance_is_that_of_scipy(name, metric, k, d, normal):
    x, anchors = normal(30, d), normal(k, d)
    np.testing.assert_allclose(codes(name, x, anchors), cdist(x, anchors, metric), atol=1e-12)


def test_inner_is_the_sum_of_products(normal):
    x, anchors = normal(30, 6), normal(20, 6)
    np.testing.assert_allclose(codes("inner", x, anchors), np.einsum("nd,kd->nk", x, anchors), atol=1e-12)


@pytest.mark.parametrize(("k", "d"), [(40, 6), (12, 20)])
def test_mahalanobis_is_that_of_scipy_with_the_shrunk_covariance(k, d, normal):
    x, anchors = normal(30, d), normal(k, d) @ normal(d, d)
    covariance = np.cov(anchors.numpy().T, bias=True)
    mean = np.trace(covariance) / min(k - 1, d)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * mean * np.eye(d)
    expected = cdist(x, anchors, "mahalanobis", VI=np.linalg.inv(shrunk))
    np.testing.assert_allclose(codes("mahalanobis", x, anchors), expected, rtol=1e-9)


def test_mahalanobis_without_shrinkage_sees_no_invertible_map(change, normal):
    x, anchors, changed = normal(30, 6), normal(20, 6), change("invertible", 6)
    function = SIMILARITIES["mahalanobis"].function
    before = function(x, anchors, whitening_of(anchors, 0.0))
    after = function(changed(x), changed(anchors), whitening_of(changed(anchors), 0.0))
    torch.testing.assert_close(after, before)


def test_fully_shrunk_mahalanobis_is_euclidean(normal):
    x, anchors = normal(30, 6), normal(20, 6)
    seen = SIMILARITIES["mahalanobis"].function(x, anchors, whitening_of(anchors, 1.0))
    variance = anchors.var(0, correction=0).mean()
    torch.testing.assert_close(seen, codes("euclidean", x, anchors) / variance.sqrt())


def test_whitened_anchors_have_no_covariance(normal):
    anchors = normal(40, 6) @ normal(6, 6) + normal(6)
    whitened = anchors @ whitening_of(anchors, 0.0)
    torch.testing.assert_close(whitened.T.cov(correction=0), torch.eye(6, dtype=torch.float64))


def test_few_anchors_whiten_only_what_they_span(normal):
    anchors = normal(5, 8)
    values = torch.linalg.eigvalsh((anchors @ whitening_of(anchors, 0.0)).T.cov(correction=0))
    torch.testing.assert_close(values, torch.tensor([0.0] * 4 + [1.0] * 4, dtype=torch.float64))


@pytest.mark.parametrize(("k", "d"), [(20, 6), (4, 6), (6, 6)])
def test_basis_is_least_squares_by_numpy(k, d, normal):
    x, anchors = normal(30, d), normal(k, d)
    expected = np.linalg.lstsq(anchors.numpy().T, x.numpy().T, rcond=None)[0].T
    np.testing.assert_allclose(codes("basis", x, anchors), expected, atol=1e-9)


def test_basis_gives_back_the_vector_where_anchors_span_it(normal):
    x, anchors = normal(30, 6), normal(20, 6)
    torch.testing.assert_close(codes("basis", x, anchors) @ anchors, x)


def test_basis_takes_float32_rounding_for_no_direction(normal):
    anchors = (normal(20, 3) @ normal(3, 8)).float()  # of rank 3, but for rounding
    assert codes("basis", normal(30, 8), anchors).abs().amax() < 10


# The graph of geodesic


def dijkstra(anchors):
    """(k, k) by a heap, over the same graph: nearest neighbours, and Prim's shortest spanning tree."""
    between = cdist(anchors, anchors)
    k = len(between)
    edges = {(i, int(j)) for i in range(k) for j in np.argsort(between[i], kind="stable")[: NEIGHBOURS + 1]}
    inside = {0}
    while len(inside) < k:
        _, i, j = min((between[i, j], i, j) for i in inside for j in range(k) if j not in inside)
        edges.add((i, j))
        inside.add(j)
    near = {i: [j for j in range(k) if (i, j) in edges or (j, i) in edges] for i in range(k)}
    paths = np.full((k, k), np.inf)
    for start in range(k):
        heap = [(0.0, start)]
        while heap:
            length, i = heapq.heappop(heap)
            if length < paths[start, i]:
                paths[start, i] = length
                for j in near[i]:
                    heapq.heappush(heap, (length + between[i, j], j))
    return paths


@pytest.fixture
def islands(normal):
    """40 anchors on three islands that no neighbours join."""
    middles = 100 * torch.eye(3, dtype=torch.float64).repeat_interleave(torch.tensor([15, 14, 11]), 0)
    return middles + normal(40, 3)


def test_paths_are_those_of_a_slow_dijkstra(normal):
    anchors = normal(60, 4)
    np.testing.assert_allclose(shortest_paths(anchors), dijkstra(anchors), atol=1e-9)


def test_islands_are_joined_by_the_shortest_bridges(islands):
    paths = shortest_paths(islands)
    assert paths.isfinite().all()
    np.testing.assert_allclose(paths, dijkstra(islands), atol=1e-9)


def test_a_path_is_no_shorter_than_the_straight_line(normal):
    anchors = normal(60, 4)
    assert (shortest_paths(anchors) >= codes("euclidean", anchors, anchors) - 1e-12).all()


def test_a_path_is_no_longer_than_a_detour(normal):
    paths = shortest_paths(normal(40, 4))
    detours = (paths.unsqueeze(2) + paths).amin(1)  # [i, j]: the least of paths[i, a] + paths[a, j]
    torch.testing.assert_close(detours, paths)


@pytest.mark.parametrize("k", [2, NEIGHBOURS, NEIGHBOURS + 1])
def test_anchors_that_are_all_neighbours_are_reached_straight(k, normal):
    anchors = normal(k, 4)
    torch.testing.assert_close(shortest_paths(anchors), codes("euclidean", anchors, anchors))


def test_on_a_circle_the_way_is_the_arc():
    angle = torch.arange(400, dtype=torch.float64) * 2 * torch.pi / 400
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    # chords that skip 5 anchors are shorter than their arcs by a share of (5 * 2π / 400)² / 24
    assert shortest_paths(circle)[0, 200] == pytest.approx(torch.pi, rel=1e-3)


def test_a_vector_reaches_anchors_over_its_nearest_ones(normal):
    x, anchors = normal(20, 4), normal(60, 4)
    to, paths = torch.from_numpy(cdist(x, anchors)), shortest_paths(anchors)
    expected = torch.stack(
        [torch.stack([row[a] + paths[a] for a in row.argsort()[:NEIGHBOURS]]).amin(0) for row in to]
    )
    torch.testing.assert_close(codes("geodesic", x, anchors), expected)


# Codes of the anchors themselves


@each_similarity
def test_anchors_see_each_other_alike_from_both_sides(name, normal):
    anchors = normal(20, 6)
    own = codes(name, anchors, anchors)
    torch.testing.assert_close(own, own.T)


@each_distance
def test_an_anchor_is_at_no_distance_from_itself(name, normal):
    anchors = normal(20, 6)
    # arccos turns a rounding of 1e-16 into 1e-8
    assert codes(name, anchors, anchors).diagonal().abs().amax() < 1e-7
    assert (codes(name, normal(30, 6), anchors) >= 0).all()


@pytest.mark.parametrize("name", ["euclidean", "l1", "linf", "mahalanobis", "geodesic"])
def test_an_anchor_far_from_the_origin_is_at_no_distance_from_itself_in_single_precision(name, normal):
    anchors = (normal(40, 6) + 1000).float()
    assert codes(name, anchors, anchors).diagonal().eq(0).all()


@pytest.mark.parametrize("name", [name for name in DISTANCES if name != "geodesic"])
def test_no_detour_over_an_anchor_is_shorter(name, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    x, own = codes(name, x, anchors), codes(name, anchors, anchors)
    assert (x.unsqueeze(2) + own >= x.unsqueeze(1) - 1e-9).all()


def test_geodesic_codes_of_anchors_are_their_paths(normal):
    anchors = normal(60, 4)
    torch.testing.assert_close(codes("geodesic", anchors, anchors), shortest_paths(anchors))


def test_cosine_and_angular_are_at_their_end_for_the_anchor_itself(normal):
    anchors = normal(20, 6)
    torch.testing.assert_close(codes("cosine", anchors, anchors).diagonal(), torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(
        codes("angular", -anchors, anchors).diagonal(), torch.ones(20, dtype=torch.float64), atol=1e-7, rtol=0
    )


@each_similarity
def test_a_kernel_has_no_negative_eigenvalues_and_only_a_kernel(name, normal):
    anchors = normal(20, 6)
    least = torch.linalg.eigvalsh(codes(name, anchors, anchors))[0]
    assert (least > -1e-9) == SIMILARITIES[name].is_kernel


@each_similarity
def test_the_nearer_of_two_vectors_is_the_more_alike(name):
    anchors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.2]], dtype=torch.float64)
    near, far = codes(name, torch.tensor([[0.9, 0.1], [-0.5, 0.6]], dtype=torch.float64), anchors)[:, 0]
    assert (near > far) == SIMILARITIES[name].higher_is_alike


# Odd anchors and vectors


@each_similarity
@each_shape
def test_any_number_of_anchors_and_dimensions_gives_finite_codes(name, k, d, normal):
    seen = codes(name, normal(7, d), normal(k, d))
    assert seen.shape == (7, k)
    assert seen.isfinite().all()


@each_similarity
def test_no_vectors_give_no_codes(name, normal):
    assert codes(name, normal(0, 6), normal(20, 6)).shape == (0, 20)


@each_similarity
def test_an_anchor_given_twice_gives_its_code_twice(name, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    seen = codes(name, x, torch.cat([anchors, anchors[:3]]))
    torch.testing.assert_close(seen[:, 20:], seen[:, :3])


@pytest.mark.parametrize("name", ["cosine", "angular", "euclidean", "l1", "linf", "inner"])
def test_an_anchor_is_seen_alone_as_in_company(name, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    torch.testing.assert_close(codes(name, x, anchors[:3]), codes(name, x, anchors)[:, :3])


@each_similarity
@pytest.mark.parametrize("value", [0.0, 0.1, -3e6])
def test_anchors_that_are_all_the_same_give_the_same_finite_codes(name, value, normal):
    seen = codes(name, normal(30, 6), torch.full((20, 6), value, dtype=torch.float64))
    assert seen.isfinite().all()
    torch.testing.assert_close(seen, seen[:, :1].expand(-1, 20))


@each_similarity
def test_zero_vectors_have_finite_codes(name, normal):
    anchors = torch.cat([normal(20, 6), torch.zeros(1, 6, dtype=torch.float64)])
    assert codes(name, torch.zeros(2, 6, dtype=torch.float64), anchors).isfinite().all()


def test_a_zero_vector_is_at_a_right_angle_to_all(normal):
    anchors, zero = normal(20, 6), torch.zeros(1, 6, dtype=torch.float64)
    assert codes("cosine", zero, anchors).eq(0).all()
    torch.testing.assert_close(codes("angular", zero, anchors), torch.full((1, 20), 0.5, dtype=torch.float64))


@pytest.mark.parametrize("length", [1e-25, 1e18])
def test_a_cosine_does_not_overflow(length, normal):
    x, anchors = normal(30, 6).float(), normal(20, 6).float()
    torch.testing.assert_close(codes("cosine", length * x, anchors), codes("cosine", x, anchors))


# Precision, and what is learned once


@each_similarity
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_codes_have_the_precision_of_the_vectors(name, dtype, normal):
    assert codes(name, normal(30, 6).to(dtype), normal(20, 6)).dtype == dtype


@each_similarity
def test_single_and_double_precision_agree(name, normal):
    x, anchors = normal(30, 6).float(), normal(20, 6).float()
    # arccos turns a rounding of 1e-7 into 3e-4
    torch.testing.assert_close(
        codes(name, x, anchors).double(), codes(name, x.double(), anchors.double()), atol=1e-3, rtol=1e-5
    )


@each_similarity
def test_what_was_learned_before_gives_the_same_codes(name, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    similarity = SIMILARITIES[name]
    assert torch.equal(similarity(x, anchors, *similarity.learned(anchors)), similarity(x, anchors))


@each_similarity
def test_what_was_learned_is_used(name, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    similarity = SIMILARITIES[name]
    other = similarity.learned(normal(20, 6) * 3)
    assert torch.equal(similarity(x, anchors, *other), similarity(x, anchors)) == (similarity.learn is None)


@each_similarity
def test_the_same_vectors_give_the_same_codes_and_stay_as_they_were(name, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    before = x.clone(), anchors.clone()
    assert torch.equal(codes(name, x, anchors), codes(name, x, anchors))
    assert torch.equal(x, before[0])
    assert torch.equal(anchors, before[1])


# What both ways into relative codes share


def test_unit_rows_have_length_1_and_zero_stays_zero(normal):
    rows = unit(torch.cat([normal(3, 5), torch.zeros(1, 5, dtype=torch.float64)]))
    torch.testing.assert_close(rows.norm(dim=1), torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64))


def test_the_rounding_of_a_mean_has_no_direction():
    x = torch.full((7, 3), 0.1)
    assert from_mean(x, x.double().mean(0).float() * (1 + 1e-7)).eq(0).all()


def test_what_is_more_than_rounding_keeps_its_direction(normal):
    x = normal(7, 3)
    torch.testing.assert_close(from_mean(x, x.mean(0)), x - x.mean(0))
