"""Facts of the inverse relative projection, parity with NumPy, and what pruning and subsets do."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from models.errors import DimensionMismatch
from models.inverse_relative import PENALTIES, InverseRelative, Normalized, fitted_scale, pruned
from models.lengths import unit

SETTINGS = {
    "default": {},
    "weak penalty": {"penalty": 1e-6},
    "pruned": {"threshold": 0.3},
    "subsets": {"subsets": 3.0},
    "all": {"penalty": 0.1, "threshold": 0.1, "subsets": 2.0},
}

each_setting = pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
both_shapes = pytest.mark.parametrize("shape", [(40, 6), (12, 20)], ids=["n>d", "n<d"])


def fitted(x, y, **options):
    return InverseRelative(**options).fit(x, y)


def rows_of(y, threshold, subsets):
    """Greedy farthest points by 1 - |cos| among the target anchors, dealt out in turn."""
    y = y - y.mean(0)
    order = list(np.argsort(-np.linalg.norm(y, axis=1), kind="stable"))
    if threshold:
        directions = y / np.linalg.norm(y, axis=1, keepdims=True)
        taken = [order[0]]
        while len(taken) < len(y):
            left = [row for row in order if row not in taken]
            gaps = [1 - max(abs(directions[row] @ directions[other]) for other in taken) for row in left]
            if max(gaps) < threshold:
                break
            taken.append(left[int(np.argmax(gaps))])
        order = taken
    return [order[i::subsets] for i in range(min(subsets, len(order)))]


def oracle(x, y, rows, penalty=0.01, threshold=0.0, subsets=1.0):
    """By relative codes and the explicit inverse of the target anchors, in the full spaces."""
    x, y, rows = x.numpy(), y.numpy(), rows.numpy()
    unit_rows = lambda v: v / np.linalg.norm(v, axis=1, keepdims=True)  # noqa: E731
    a, b = unit_rows(x - x.mean(0)), unit_rows(y - y.mean(0))
    basis = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][: min(len(x) - 1, x.shape[1])]
    inside = unit_rows((rows - x.mean(0)) @ basis.T @ basis)
    decoded = {"anchors": [], "rows": []}
    for part in rows_of(y, threshold, round(subsets)):
        ridge = penalty * np.linalg.norm(b[part], 2) ** 2 * np.eye(len(part))
        inverse = np.linalg.solve(b[part] @ b[part].T + ridge, b[part])  # (k, d2)
        decoded["anchors"].append(a @ a[part].T @ inverse)
        decoded["rows"].append(inside @ a[part].T @ inverse)
    at_anchors, at_rows = (np.mean(parts, axis=0) for parts in decoded.values())
    scale = (at_anchors * (y - y.mean(0))).sum() / (at_anchors**2).sum()
    return y.mean(0) + scale * at_rows


@each_setting
@both_shapes
def test_it_is_that_of_numpy(options, shape, make_pair, normal):
    x, y, *_ = make_pair(*shape, shape[1], noise=0.3)
    rows = normal(5, shape[1])
    np.testing.assert_allclose(fitted(x, y, **options).transform(rows), oracle(x, y, rows, **options), atol=1e-8)


def test_without_penalty_it_is_the_pseudo_inverse_of_the_paper(make_pair, normal):
    x, y, *_ = make_pair(40, 6, 8, noise=0.3)
    rows = normal(5, 6)
    a, b = unit(x - x.mean(0)), unit(y - y.mean(0))
    relative = unit(rows - x.mean(0)) @ a.T
    shape = fitted(x, y, penalty=1e-8).transform(rows) - y.mean(0)
    torch.testing.assert_close(unit(shape), unit(relative @ torch.linalg.pinv(b.T)), atol=1e-5, rtol=1e-5)


# A known rotation


@pytest.mark.parametrize(("d1", "d2"), [(8, 8), (8, 12)])
def test_a_rotation_a_scale_and_a_shift_are_recovered_up_to_length(d1, d2, make_pair, normal):
    truth = make_pair(60, d1, d2)
    rows = normal(20, d1)
    expected = truth.scale * rows @ truth.rotation + truth.shift
    got = fitted(truth.x, truth.y, penalty=1e-8).transform(rows)
    mean = truth.y.mean(0)
    torch.testing.assert_close(cosine_similarity(got - mean, expected - mean), torch.ones(20, dtype=torch.float64))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_on_a_sphere_the_length_is_recovered_too(scale, make_pair, normal):
    truth = make_pair(60, 8, 8)
    half = unit(normal(30, 8))
    sphere = torch.cat([half, -half])
    target = scale * sphere @ truth.rotation + truth.shift
    got = fitted(sphere, target, penalty=1e-8).transform(sphere)
    torch.testing.assert_close((got - truth.shift) / scale, (target - truth.shift) / scale, atol=1e-6, rtol=1e-6)


def test_fewer_anchors_than_dimensions_recover_the_rotation_inside_their_span(make_pair):
    truth = make_pair(12, 20, 24)
    inside = 0.3 * truth.x[:4] + 0.7 * truth.x[4:8]
    expected = truth.scale * inside @ truth.rotation + truth.shift
    got, mean = fitted(truth.x, truth.y, penalty=1e-8).transform(inside), truth.y.mean(0)
    torch.testing.assert_close(
        cosine_similarity(got - mean, expected - mean), torch.ones(4, dtype=torch.float64), atol=1e-5, rtol=0
    )


# Lengths


def test_the_length_of_a_vector_does_not_count(noisy, normal):
    method, mean = fitted(noisy.x, noisy.y), noisy.x.mean(0)
    away, lengths = normal(5, 16), normal(5, 1).exp()
    torch.testing.assert_close(method.transform(mean + lengths * away), method.transform(mean + away))


def test_the_opposite_vector_becomes_the_opposite(noisy, normal):
    method, mean, away = fitted(noisy.x, noisy.y), noisy.x.mean(0), normal(5, 16)
    forth, back = method.transform(mean + away), method.transform(mean - away)
    torch.testing.assert_close((forth + back) / 2, noisy.y.mean(0).expand(5, -1))


def test_the_scale_of_the_source_does_not_count(noisy):
    torch.testing.assert_close(
        fitted(100 * noisy.x, noisy.y).transform(100 * noisy.x), fitted(noisy.x, noisy.y).transform(noisy.x)
    )


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_no_other_scale_is_nearer_to_the_anchors(factor, noisy):
    got, mean = fitted(noisy.x, noisy.y).transform(noisy.x), noisy.y.mean(0)
    other = mean + factor * (got - mean)
    assert (got - noisy.y).square().sum() < (other - noisy.y).square().sum()


def test_the_scale_of_nothing_is_0():
    zero = torch.zeros(3, 2, dtype=torch.float64)
    assert fitted_scale(zero, zero + 1) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_mean_of_the_source_becomes_the_mean_of_the_target(dtype, noisy):
    got = fitted(noisy.x, noisy.y).transform(noisy.x.mean(0, keepdim=True).to(dtype))
    torch.testing.assert_close(got[0], noisy.y.mean(0).to(dtype))


def test_what_lies_wholly_outside_the_span_becomes_the_mean_of_the_target(few):
    outside = torch.linalg.qr(few.x.T - few.x.mean(0).unsqueeze(1), mode="complete")[0][:, -1:]
    got = fitted(few.x, few.y).transform(few.x.mean(0) + 7 * outside.T)
    torch.testing.assert_close(got[0], few.y.mean(0))


# Penalty, pruning, subsets


def test_a_penalty_keeps_near_parallel_anchors_from_exploding(normal):
    flat = normal(30, 2) @ normal(2, 8)  # target anchors of almost two directions
    x, y = normal(30, 8), flat + 1e-4 * normal(30, 8)
    a, b = unit(x - x.mean(0)), unit(y - y.mean(0))

    def size(penalty):
        map_ = fitted(x, y, penalty=penalty).map_
        return map_.weight.norm() / (a @ map_.directions @ map_.weight).norm()

    exploded = (a.T @ torch.linalg.pinv(b.T)).norm()
    assert exploded > 1e2
    assert size(0.01) < 1e2


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.7, 1.0])
def test_pruned_anchors_are_apart_and_the_others_are_near_one_of_them(threshold, normal):
    anchors = unit(normal(200, 5))
    rows = pruned(anchors, threshold)
    gaps = 1 - (anchors @ anchors[rows].T).abs()  # (n, k)
    between = gaps[rows].fill_diagonal_(torch.inf)
    assert (between >= threshold).all()
    dropped = torch.ones(200, dtype=torch.bool).scatter_(0, rows, value=False)
    assert (gaps[dropped].amin(1) < threshold).all()


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.7])
def test_pruning_takes_the_farthest_each_time(threshold, normal):
    y = normal(60, 4)
    expected = rows_of(y.numpy(), threshold, 1)[0]
    assert torch.cat(InverseRelative(threshold=threshold).parts(y - y.mean(0))).tolist() == expected


def test_a_stronger_threshold_keeps_no_more(normal):
    anchors = unit(normal(200, 5))
    counts = [len(pruned(anchors, threshold)) for threshold in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9)]
    assert counts == sorted(counts, reverse=True)


def test_pruning_keeps_no_more_than_it_may(normal, monkeypatch):
    monkeypatch.setattr("models.inverse_relative.MOST", 7)
    anchors = unit(normal(200, 5))
    assert len(pruned(anchors, 1e-6)) == 7


def test_an_anchor_given_twice_and_its_mirror_image_are_pruned(normal):
    anchors = unit(normal(4, 6))
    assert pruned(torch.cat([anchors, anchors, -anchors]), 1e-6).sort().values.tolist() == [0, 1, 2, 3]


def test_anchors_that_are_zero_vectors_end_the_pruning(normal):
    anchors = torch.cat([unit(normal(3, 6)), torch.zeros(2, 6, dtype=torch.float64)])
    assert sorted(pruned(anchors, 1e-6).tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("subsets", [1.0, 2.0, 7.0, 64.0])
def test_subsets_are_disjoint_even_and_hold_every_anchor(subsets, normal):
    parts = InverseRelative(subsets=subsets).parts(normal(40, 5))
    assert sorted(torch.cat(parts).tolist()) == list(range(40))
    assert len(parts) == min(subsets, 40)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@each_setting
def test_the_order_of_the_pairs_does_not_matter(options, noisy):
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    shuffled = fitted(noisy.x[order], noisy.y[order], **options)
    torch.testing.assert_close(shuffled.transform(noisy.x), fitted(noisy.x, noisy.y, **options).transform(noisy.x))


@each_setting
def test_the_same_anchors_give_the_same_map(options, noisy):
    first, second = (vars(fitted(noisy.x, noisy.y, **options).map_) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


# Odd anchors


@each_setting
def test_a_target_that_does_not_vary_is_what_everything_becomes(options, normal):
    y = torch.full((30, 4), 0.1, dtype=torch.float64)
    got = fitted(normal(30, 6), y, **options).transform(normal(5, 6))
    torch.testing.assert_close(got, y[:5])


@each_setting
def test_a_source_that_does_not_vary_becomes_the_mean_of_the_target(options, normal):
    x, y = torch.full((30, 6), 0.1, dtype=torch.float64), normal(30, 4)
    method = fitted(x, y, **options)
    assert method.rank_ == 0
    torch.testing.assert_close(method.transform(normal(5, 6)), y.mean(0).expand(5, -1))


@each_setting
def test_anchors_given_twice_are_no_trouble(options, noisy):
    x, y = noisy.x.repeat(2, 1), noisy.y.repeat(2, 1)
    assert fitted(x, y, **options).transform(noisy.x).isfinite().all()


@each_setting
@pytest.mark.parametrize(("n", "d1", "d2"), [(2, 8, 8), (3, 1, 5), (3, 5, 1), (30, 1, 1), (3, 2, 2)])
def test_few_anchors_and_dimensions_give_numbers(options, n, d1, d2, normal):
    method = fitted(normal(n, d1), normal(n, d2), **options)
    got = method.transform(torch.cat([normal(7, d1), torch.zeros(1, d1, dtype=torch.float64)]))
    assert got.shape == (8, d2)
    assert got.isfinite().all()
    assert 0 <= method.rank_ <= min(n - 1, d1)


def test_pruned_anchors_bound_the_rank(noisy):
    method = fitted(noisy.x, noisy.y, threshold=0.95)
    assert method.rank_ < 16


# The map, the candidates


@both_shapes
def test_the_stored_map_serves_the_same_answers(shape, make_pair):
    x, y, *_ = make_pair(*shape, 7, noise=0.3)
    made = fitted(x, y).map_
    again = Normalized.of_tensors(made.tensors())
    assert again.dims == made.dims == (shape[1], 7)
    torch.testing.assert_close(again(x.float()), made(x.float()), atol=1e-5, rtol=1e-5)


def test_a_map_of_another_width_is_a_dimension_mismatch(noisy):
    with pytest.raises(DimensionMismatch) as caught:
        fitted(noisy.x, noisy.y).map_(torch.zeros(1, 15))
    assert caught.value.facts == {"expected": 16, "got": 15}


def test_its_directions_are_orthonormal(few):
    directions = fitted(few.x, few.y).map_.directions
    torch.testing.assert_close(directions.T @ directions, torch.eye(11, dtype=torch.float64))


def test_candidates_are_a_grid_of_penalties_unless_one_is_fixed():
    assert [method.penalty for method in InverseRelative.candidates({})] == list(PENALTIES)
    assert [method.parameters() for method in InverseRelative.candidates({"penalty": 0.5})] == [
        {"penalty": 0.5, "threshold": 0.0, "subsets": 1.0}
    ]
    assert {method.subsets for method in InverseRelative.candidates({"subsets": 4.0})} == {4.0}


def test_a_choice_leaves_it_out():
    assert not any(InverseRelative.suits(n, 64, 64) for n in (2, 30, 100, 10_000))
