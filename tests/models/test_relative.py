"""What relative codes see and do not see once prepared, facts of sums, spreads and sparse codes, every error."""

import numpy as np
import pytest
import safetensors.torch
import torch
from scipy.linalg import fractional_matrix_power
from sklearn.preprocessing import StandardScaler

from models.errors import DimensionMismatch, InvalidOption, NotFitted, TooFewAnchors, UnknownMethod
from models.relative import CHOICES, OPTIONS, Relative, gram_whitening, sparse
from models.similarities import SIMILARITIES
from tests.models.conftest import INVARIANCES, KINDS

ALIKE = [name for name, similarity in SIMILARITIES.items() if similarity.higher_is_alike]
KERNELS = [name for name, similarity in SIMILARITIES.items() if similarity.is_kernel]
AXES = ["l1", "linf"]  # which no preparation lets miss a rotation
RECIPES = {
    "plain": {},
    "raw": {"before": "none"},
    "whitened before": {"before": "whitened"},
    "standardised": {"after": "standardised"},
    "whitened after": {"after": "whitened"},
    "both": {"before": "whitened", "after": "whitened"},
    "product": {"similarities": ("cosine", "euclidean", "l1", "linf"), "after": "standardised"},
    "sum": {"similarities": tuple(SIMILARITIES), "after": "standardised", "aggregation": "sum"},
    "weighted": {"similarities": ("cosine", "geodesic"), "aggregation": "weighted", "weights": (0.7, 0.3)},
    "sparse": {"kept": 5},
    "everything": {
        "similarities": ("mahalanobis", "basis"),
        "before": "whitened",
        "after": "standardised",
        "aggregation": "weighted",
        "weights": (2.0, -1.0),
        "kept": 3,
        "power": 2.0,
        "shrinkage": 0.5,
    },
}

each_similarity = pytest.mark.parametrize("name", SIMILARITIES)
each_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def codes(x, anchors, **parameters):
    return Relative(**parameters).fit(anchors).transform(x)


def one(name, **parameters):
    return {"similarities": (name,), **parameters}


# What codes see


def differs(kind, change, normal, **parameters):
    x, anchors, changed = normal(30, 6), normal(20, 6) + 1, change(kind, 6)
    before, after = codes(x, anchors, **parameters), codes(changed(x), changed(anchors), **parameters)
    return (after - before).abs().amax() > 1e-3, torch.allclose(after, before)


@each_similarity
@pytest.mark.parametrize("kind", KINDS)
def test_centred_codes_see_no_shift_and_the_rest_as_before(name, kind, change, normal):
    expected = kind in INVARIANCES[name] | {"shift"}
    assert differs(kind, change, normal, **one(name)) == (not expected, expected)


@pytest.mark.parametrize("name", ["cosine", "angular", "inner", "basis"])
def test_codes_that_are_not_centred_see_a_shift(name, change, normal):
    assert differs("shift", change, normal, **one(name, before="none"))[0]


@each_similarity
@pytest.mark.parametrize("kind", KINDS)
def test_fully_whitened_codes_see_no_invertible_map_but_those_of_axes(name, kind, change, normal):
    seen = name in AXES and kind in ("rotation", "invertible")
    assert differs(kind, change, normal, **one(name, before="whitened", shrinkage=0.0)) == (seen, not seen)


@each_similarity
def test_standardised_codes_see_no_scale(name, change, normal):
    assert differs("scale", change, normal, **one(name, after="standardised"))[1]


@pytest.mark.parametrize("name", KERNELS)
def test_codes_whitened_after_see_no_rotation(name, change, normal):
    assert differs("rotation", change, normal, **one(name, after="whitened"))[1]


def test_cosines_whitened_after_see_an_invertible_map(change, normal):
    assert differs("invertible", change, normal, after="whitened")[0]


@pytest.mark.parametrize("name", ["cosine", "angular", "mahalanobis", "basis"])
@pytest.mark.parametrize("d2", [8, 12])
def test_two_spaces_that_differ_by_a_rotation_a_scale_and_a_shift_have_the_same_codes(name, d2, make_pair):
    x, y, *_ = make_pair(60, 8, d2)
    torch.testing.assert_close(codes(x, x[:20], **one(name)), codes(y, y[:20], **one(name)))


def test_spaces_of_different_items_have_different_codes(make_pair):
    x, y, *_ = make_pair(60, 8, 8)
    assert (codes(x, x[:20]) - codes(y, y[20:40])).abs().amax() > 0.1


# Before


def test_raw_codes_are_those_of_the_similarity(normal):
    x, anchors = normal(30, 6), normal(20, 6)
    for name, similarity in SIMILARITIES.items():
        torch.testing.assert_close(codes(x, anchors, **one(name, before="none")), similarity(x, anchors))


def test_centring_takes_the_mean_of_the_anchors_from_both(normal):
    x, anchors = normal(30, 6), normal(20, 6) + 3
    expected = SIMILARITIES["cosine"](x - anchors.mean(0), anchors - anchors.mean(0))
    torch.testing.assert_close(codes(x, anchors), expected)


def test_whitened_distances_are_mahalanobis(normal):
    x, anchors = normal(30, 6), normal(20, 6) @ normal(6, 6)
    torch.testing.assert_close(
        codes(x, anchors, **one("euclidean", before="whitened")), codes(x, anchors, **one("mahalanobis"))
    )


# After


@each_similarity
def test_standardised_codes_of_the_anchors_have_mean_0_and_spread_1(name, normal):
    anchors = normal(20, 6)
    own = codes(anchors, anchors, **one(name, after="standardised"))
    torch.testing.assert_close(own.mean(0), torch.zeros(20, dtype=torch.float64))
    torch.testing.assert_close(own.std(0, correction=0), torch.ones(20, dtype=torch.float64))


@each_similarity
def test_standardising_is_that_of_scikit_learn(name, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    scaler = StandardScaler().fit(codes(anchors, anchors, **one(name)).numpy())
    expected = scaler.transform(codes(x, anchors, **one(name)).numpy())
    np.testing.assert_allclose(codes(x, anchors, **one(name, after="standardised")), expected, atol=1e-9)


def test_a_product_standardises_each_similarity_by_itself(normal):
    x, anchors = normal(30, 6), normal(20, 6)
    names = ("cosine", "l1")
    parts = [codes(x, anchors, **one(name, after="standardised")) for name in names]
    torch.testing.assert_close(codes(x, anchors, similarities=names, after="standardised"), torch.cat(parts, 1))


def test_a_code_that_is_the_same_for_all_anchors_is_not_divided_by_rounding(normal):
    anchors = torch.full((20, 6), 0.1, dtype=torch.float64)
    assert codes(anchors, anchors, **one("euclidean", after="standardised")).abs().amax() < 1e-12


@pytest.mark.parametrize("penalty", [0.003, 0.03, 3.0])
def test_whitening_after_is_the_inverse_root_of_the_anchors_own_codes(penalty, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    own = codes(anchors, anchors).numpy()
    root = fractional_matrix_power(own + penalty * np.trace(own) / 20 * np.eye(20), -0.5)
    expected = codes(x, anchors).numpy() @ root
    np.testing.assert_allclose(codes(x, anchors, after="whitened", penalty=penalty), expected, atol=1e-8)


def test_inner_products_whitened_after_keep_all_products_of_what_anchors_span(normal):
    x, anchors = normal(30, 6), normal(20, 6)
    seen = codes(x, anchors, similarities=("inner",), before="none", after="whitened", penalty=1e-8)
    torch.testing.assert_close(seen @ seen.T, x @ x.T, atol=1e-5, rtol=1e-5)


def test_whitened_after_an_anchor_given_many_times_counts_once(normal):
    x, anchors = normal(30, 6), normal(6, 6)
    many = torch.cat([anchors, anchors[:1].expand(50, -1)])
    recipe = {"similarities": ("inner",), "before": "none"}
    plain, copied = (codes(x, a, **recipe, after="whitened", penalty=1e-8) for a in (anchors, many))
    # the penalty is a share of the mean eigenvalue, which the copies raise
    torch.testing.assert_close(copied @ copied.T, plain @ plain.T, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(codes(x, many, **recipe) @ codes(x, many, **recipe).T, x @ x.T, rtol=0.5)


def test_the_whitening_of_nothing_is_nothing():
    assert gram_whitening(torch.zeros(4, 4, dtype=torch.float64), 0.03).eq(0).all()


# Products


NAMES = ("cosine", "euclidean", "basis")


@pytest.fixture
def parts(normal):
    """x, anchors, and the codes of each of NAMES."""
    x, anchors = normal(30, 6), normal(20, 6)
    return x, anchors, [codes(x, anchors, **one(name)) for name in NAMES]


def test_concat_puts_codes_side_by_side(parts):
    x, anchors, each = parts
    assert torch.equal(codes(x, anchors, similarities=NAMES), torch.cat(each, 1))


def test_a_sum_counts_distances_negatively(parts):
    x, anchors, (cosine, distance, basis) = parts
    torch.testing.assert_close(codes(x, anchors, similarities=NAMES, aggregation="sum"), cosine - distance + basis)


def test_a_weighted_sum_takes_each_as_often_as_it_says(parts):
    x, anchors, (cosine, distance, basis) = parts
    seen = codes(x, anchors, similarities=NAMES, aggregation="weighted", weights=(0.5, 2.0, -1.0))
    torch.testing.assert_close(seen, 0.5 * cosine - 2 * distance - basis)


def test_weights_of_1_are_a_sum(parts):
    x, anchors, _ = parts
    weighted = codes(x, anchors, similarities=NAMES, aggregation="weighted", weights=(1, 1, 1))
    torch.testing.assert_close(weighted, codes(x, anchors, similarities=NAMES, aggregation="sum"))


@pytest.mark.parametrize("name", ALIKE)
def test_the_sum_of_one_is_the_code_itself(name, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    assert torch.equal(codes(x, anchors, **one(name, aggregation="sum")), codes(x, anchors, **one(name)))


def test_the_order_of_similarities_does_not_change_a_sum(parts):
    x, anchors, _ = parts
    forth, back = (codes(x, anchors, similarities=names, aggregation="sum") for names in (NAMES, NAMES[::-1]))
    torch.testing.assert_close(forth, back)


# Sparse codes


def test_sparse_codes_by_hand():
    dense = torch.tensor([[3.0, -9.0, 4.0, 1.0], [-1.0, -2.0, -3.0, -4.0], [-1.0, 2.0, -3.0, -4.0]])
    expected = torch.tensor([[0.6, 0.0, 0.8, 0.0], [0.0] * 4, [0.0, 1.0, 0.0, 0.0]])
    torch.testing.assert_close(sparse(dense, 2, 1.0), expected)


@pytest.mark.parametrize("kept", [1, 3, 20, 1000])
@pytest.mark.parametrize("power", [0.5, 1.0, 8.0])
def test_sparse_codes_are_those_of_a_slow_loop(kept, power, normal):
    dense = normal(30, 20)
    for row, seen in zip(dense.numpy(), sparse(dense, kept, power), strict=True):
        expected = np.zeros(20)
        largest = np.argsort(-row)[:kept]
        expected[largest] = np.clip(row[largest], 0, None) ** power
        np.testing.assert_allclose(seen, expected / max(np.linalg.norm(expected), 1e-30), atol=1e-12)


@pytest.mark.parametrize("kept", [1, 5, 20])
def test_sparse_codes_keep_few_numbers_none_negative_and_length_1(kept, normal):
    seen = codes(normal(30, 6), normal(20, 6), kept=kept)
    assert ((seen > 0).sum(1) <= kept).all()
    assert (seen >= 0).all()
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(30, dtype=torch.float64))


def test_a_sparse_code_has_its_largest_number_where_the_dense_one_has(normal):
    x, anchors = normal(30, 6), normal(20, 6)
    assert torch.equal(codes(x, anchors, kept=3).argmax(1), codes(x, anchors).argmax(1))


def test_with_one_number_kept_codes_name_the_nearest_anchor(normal):
    anchors = normal(20, 6)
    assert torch.equal(codes(anchors, anchors, kept=1), torch.eye(20, dtype=torch.float64))


def test_a_higher_power_weights_the_nearest_more(normal):
    x, anchors = normal(30, 6), normal(20, 6)
    low, high = (codes(x, anchors, kept=20, power=power).amax(1) for power in (1.0, 8.0))
    assert (high > low).all()


def test_a_power_does_not_underflow(normal):
    dense = 1e-30 * normal(30, 20).abs().float()
    torch.testing.assert_close(sparse(dense, 5, 50.0).norm(dim=1), torch.ones(30))


def test_a_sparse_code_does_not_see_the_length_of_the_dense_one(normal):
    dense = normal(30, 20)
    torch.testing.assert_close(sparse(100 * dense, 5, 8.0), sparse(dense, 5, 8.0))


def test_distances_are_sparse_once_they_are_summed(normal):
    x, anchors = normal(30, 6), normal(20, 6)
    seen = codes(x, anchors, similarities=("euclidean",), after="standardised", aggregation="sum", kept=1)
    assert torch.equal(seen.argmax(1), codes(x, anchors, **one("euclidean", after="standardised")).argmin(1))


# Odd anchors and vectors


@each_recipe
@pytest.mark.parametrize(("k", "d"), [(40, 6), (12, 20), (5, 1), (1, 4), (1, 1)])
def test_any_number_of_anchors_and_dimensions_gives_finite_codes(recipe, k, d, normal):
    seen = codes(normal(7, d), normal(k, d), **recipe)
    blocks = len(recipe.get("similarities", ("cosine",))) if "aggregation" not in recipe else 1
    assert seen.shape == (7, k * blocks)
    assert seen.isfinite().all()


@each_recipe
@pytest.mark.parametrize("value", [0.0, 0.1, -3e6])
def test_anchors_that_are_all_the_same_give_finite_codes(recipe, value, normal):
    anchors = torch.full((20, 6), value, dtype=torch.float64)
    assert codes(torch.cat([normal(5, 6), anchors]), anchors, **recipe).isfinite().all()


@each_recipe
def test_zero_vectors_and_the_mean_have_finite_codes(recipe, normal):
    anchors = normal(20, 6)
    x = torch.stack([torch.zeros(6, dtype=torch.float64), anchors.mean(0)])
    assert codes(x, anchors, **recipe).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_mean_of_the_anchors_is_at_a_right_angle_to_all(dtype, normal):
    anchors = normal(20, 6) + 5
    assert codes(anchors.mean(0, keepdim=True).to(dtype), anchors).eq(0).all()


@each_recipe
def test_anchors_given_twice_give_finite_codes(recipe, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    assert codes(x, torch.cat([anchors, anchors]), **recipe).isfinite().all()


@pytest.mark.parametrize("name", ["cosine", "angular", "euclidean", "l1", "linf", "inner"])
def test_all_anchors_given_twice_give_the_codes_twice(name, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    once, twice = codes(x, anchors, **one(name)), codes(x, torch.cat([anchors, anchors]), **one(name))
    torch.testing.assert_close(twice, torch.cat([once, once], 1))


@each_recipe
def test_no_vectors_give_no_codes(recipe, normal):
    assert len(codes(normal(0, 6), normal(20, 6), **recipe)) == 0


# Of the contract


def test_init_only_stores():
    given = RECIPES["everything"]
    relative = Relative(**given)
    assert {name: getattr(relative, name) for name in given} == given
    assert vars(relative) == relative.parameters()


@each_recipe
def test_fit_returns_self_and_leaves_parameters_as_they_were(recipe, normal):
    relative = Relative(**recipe)
    before = relative.parameters()
    assert relative.fit(normal(20, 6)) is relative
    assert relative.parameters() == before


@each_recipe
def test_stored_tensors_give_the_same_codes(recipe, normal):
    x, relative = normal(30, 6).float(), Relative(**recipe).fit(normal(20, 6))
    stored = safetensors.torch.load(safetensors.torch.save(relative.tensors()))
    again = Relative.of_tensors(stored, **relative.parameters())
    torch.testing.assert_close(again.transform(x), relative.transform(x), atol=2e-5, rtol=1e-4)


@each_recipe
def test_tensors_stored_again_are_the_same(recipe, normal):
    tensors = Relative(**recipe).fit(normal(20, 6)).tensors()
    again = Relative.of_tensors(tensors, **recipe).tensors()
    assert {name: tensor.dtype for name, tensor in tensors.items()} == dict.fromkeys(again, torch.float32)
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())


@each_recipe
def test_the_same_anchors_give_the_same_codes_and_stay_as_they_were(recipe, normal):
    x, anchors = normal(30, 6), normal(20, 6)
    before = x.clone(), anchors.clone()
    assert torch.equal(codes(x, anchors, **recipe), codes(x, anchors, **recipe))
    assert torch.equal(x, before[0])
    assert torch.equal(anchors, before[1])


@each_recipe
def test_a_second_fit_forgets_the_first(recipe, normal):
    x, first, second = normal(30, 6), normal(15, 6), normal(20, 6)
    refitted = Relative(**recipe).fit(first).fit(second).transform(x)
    assert torch.equal(refitted, codes(x, second, **recipe))


@each_recipe
def test_a_vector_is_seen_alone_as_in_company(recipe, normal):
    x, relative = normal(30, 6), Relative(**recipe).fit(normal(20, 6))
    alone = torch.cat([relative.transform(row) for row in x.split(1)])
    torch.testing.assert_close(alone, relative.transform(x))


@each_recipe
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_codes_have_the_precision_of_the_vectors(recipe, dtype, normal):
    assert codes(normal(30, 6).to(dtype), normal(20, 6), **recipe).dtype == dtype


def test_integers_count_as_single_precision(normal):
    relative = Relative().fit(normal(20, 6))
    whole = torch.arange(12).reshape(2, 6)
    assert torch.equal(relative.transform(whole), relative.transform(whole.float()))


# What is refused


def test_transform_before_fit_is_not_fitted(normal):
    with pytest.raises(NotFitted, match="call fit"):
        Relative().transform(normal(30, 6))


@pytest.mark.parametrize("shape", [(1, 5), (1, 7), (6,), (1, 1, 6)])
def test_a_wrong_width_is_a_dimension_mismatch(shape, normal):
    with pytest.raises(DimensionMismatch, match="of \\(n, 6\\) vectors") as caught:
        Relative().fit(normal(20, 6)).transform(torch.zeros(shape))
    assert caught.value.facts == {"expected": 6, "got": shape[-1]}


@pytest.mark.parametrize("shape", [(6,), (2, 3, 6), ()])
def test_anchors_that_are_no_matrix_are_a_dimension_mismatch(shape, normal):
    with pytest.raises(DimensionMismatch, match="one row each") as caught:
        Relative().fit(torch.zeros(shape))
    assert caught.value.facts == {"expected": "(k, d)", "got": list(shape)}


def test_no_anchors_are_too_few():
    with pytest.raises(TooFewAnchors, match="at least 1") as caught:
        Relative().fit(torch.zeros(0, 6))
    assert caught.value.facts == {"expected": 1, "got": 0}


def test_an_unknown_similarity_is_answered_with_the_known_ones(normal):
    with pytest.raises(UnknownMethod, match="Cosine") as caught:
        Relative(("cosine", "Cosine", "l3")).fit(normal(20, 6))
    assert caught.value.facts == {"expected": list(SIMILARITIES), "got": ["Cosine", "l3"]}


@pytest.mark.parametrize("option", CHOICES)
def test_an_unknown_choice_is_answered_with_the_choices(option, normal):
    with pytest.raises(InvalidOption, match=option) as caught:
        Relative(**{option: "wings"}).fit(normal(20, 6))
    assert caught.value.facts == {"expected": f"one of {list(CHOICES[option])}", "got": "wings"}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("value", [-1.0, 1e9, "1", None, True, float("nan")])
def test_a_number_out_of_range_names_the_range(option, value, normal):
    with pytest.raises(InvalidOption, match=option) as caught:
        Relative(**{option: value}).fit(normal(20, 6))
    assert caught.value.facts["expected"] == {"low": OPTIONS[option].low, "high": OPTIONS[option].high}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("end", ["low", "high"])
def test_an_option_at_its_ends_gives_numbers(option, end, normal):
    recipe = {"before": "whitened", "after": "whitened", "kept": 5, option: getattr(OPTIONS[option], end)}
    assert codes(normal(30, 6), normal(20, 6), **recipe).isfinite().all()


@pytest.mark.parametrize(
    ("parameters", "option", "expected"),
    [
        ({"similarities": ()}, "similarities", "at least one name"),
        ({"weights": (1.0,)}, "weights", "one number per similarity"),
        ({"aggregation": "weighted"}, "weights", "one number per similarity"),
        ({"aggregation": "weighted", "weights": (1.0, 2.0)}, "weights", "one number per similarity"),
        ({"kept": 0}, "kept", "a whole number from 1"),
        ({"kept": 1.5}, "kept", "a whole number from 1"),
        ({"kept": True}, "kept", "a whole number from 1"),
        ({"similarities": ("cosine", "l1"), "after": "whitened"}, "similarities", "['cosine', 'inner', 'basis']"),
        ({"similarities": ("cosine", "l1"), "kept": 3}, "similarities", "['cosine', 'inner', 'basis']"),
    ],
)
def test_options_that_do_not_go_together_say_what_would(parameters, option, expected, normal):
    relative = Relative(**parameters)
    with pytest.raises(InvalidOption, match=option) as caught:
        relative.fit(normal(20, 6))
    assert expected in caught.value.facts["expected"]
    assert caught.value.facts["got"] == getattr(relative, option)
