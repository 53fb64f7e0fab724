"""Every promise of a method, for every method of the registry: a new one is tested by existing."""

from math import inf, nan, nextafter

import pytest
import torch

from models import residual
from models.base import LinearMethod
from models.errors import DimensionMismatch, InvalidOption, NotFitted, TooFewAnchors, UnknownMethod
from models.folds import Folds
from models.moments import Moments
from models.registry import MAPS, METHODS, candidates

LEARNED = [name for name in METHODS if name != "identity"]  # what the anchors have a say in
LINEAR = [name for name in METHODS if issubclass(METHODS[name], LinearMethod)]  # alike in every rotation
ORDERLESS = [name for name in METHODS if name != "residual"]  # which holds out rows of a random order
OPTIONS = [(name, option) for name in METHODS for option in METHODS[name].options]

every_method = pytest.mark.parametrize("name", METHODS)
every_learned = pytest.mark.parametrize("name", LEARNED)
every_linear = pytest.mark.parametrize("name", LINEAR)
every_orderless = pytest.mark.parametrize("name", ORDERLESS)
every_option = pytest.mark.parametrize(("name", "option"), OPTIONS)
both_shapes = pytest.mark.parametrize("shape", [(40, 6), (12, 20)], ids=["n>d", "n<d"])


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """A promise holds however long a network is trained; what the whole training gives is in its own tests."""
    monkeypatch.setattr(residual, "STEPS", 100)


def fitted(name, x, y):
    return METHODS[name]().fit(x, y)


def slow_translation(method, x, y, rows):
    """Fitted in the full spaces, each row by itself."""
    if not isinstance(method, LinearMethod):
        return method.fit(x, y).transform(rows)
    moments = Moments.of(x, y)
    weight = method.solve(moments).weight
    return torch.stack([(row - moments.mean_x) @ weight + moments.mean_y for row in rows])


def held_out(method, folds, fold):
    """Translations of the evaluated rows of a fold."""
    return folds.full(method.trial(folds, fold).predicted).double()


def same(one, other):
    """Whether two maps hold the same numbers."""
    return vars(one).keys() == vars(other).keys() and all(
        torch.equal(t, vars(other)[k]) for k, t in vars(one).items()
    )


@every_method
def test_the_registry_knows_a_method_by_its_own_name(name):
    assert METHODS[name].name == name


@every_method
@pytest.mark.parametrize("fixture", ["rotated", "few"])
def test_a_method_makes_the_kind_of_map_that_it_says(name, fixture, request):
    pair = request.getfixturevalue(fixture)
    assert type(METHODS[name]().fit(pair.x, pair.y).map_) is METHODS[name].makes


@every_method
def test_fit_returns_self(name, rotated):
    method = METHODS[name]()
    assert method.fit(rotated.x, rotated.y) is method


@every_method
@pytest.mark.parametrize("end", ["default", "low", "high"])
def test_init_only_stores(name, end):
    given = {key: getattr(option, end) for key, option in METHODS[name].options.items()}
    assert vars(METHODS[name](**given)) == given


@every_method
def test_init_without_options_takes_the_defaults(name):
    assert METHODS[name]().parameters() == {key: o.default for key, o in METHODS[name].options.items()}


@every_method
def test_parameters_make_the_same_method_again(name, noisy):
    for first in candidates(name, {}):
        again = METHODS[name](**first.parameters())
        assert again.parameters() == first.parameters()
        assert torch.equal(first.fit(*noisy[:2]).transform(noisy.x), again.fit(*noisy[:2]).transform(noisy.x))


@every_method
def test_fit_leaves_parameters_as_they_were(name, noisy):
    method = METHODS[name]()
    before = method.parameters()
    assert method.fit(noisy.x, noisy.y).parameters() == before


@every_method
def test_transform_before_fit_is_not_fitted(name, rotated):
    with pytest.raises(NotFitted, match="call fit"):
        METHODS[name]().transform(rotated.x)


@every_method
@pytest.mark.parametrize("width", [7, 9])
def test_a_wrong_width_is_a_dimension_mismatch(name, width, rotated):
    with pytest.raises(DimensionMismatch) as caught:
        fitted(name, rotated.x, rotated.y).transform(torch.zeros(1, width))
    assert caught.value.facts == {"expected": 8, "got": width}


@every_method
@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_anchors_are_too_few(name, n, rotated):
    with pytest.raises(TooFewAnchors) as caught:
        fitted(name, rotated.x[:n], rotated.y[:n])
    assert caught.value.facts == {"expected": 2, "got": n}


@every_method
def test_two_anchors_are_enough(name, rotated):
    assert fitted(name, rotated.x[:2], rotated.y[:2]).transform(rotated.x).isfinite().all()


@every_method
def test_different_numbers_of_rows_are_a_dimension_mismatch(name, rotated):
    with pytest.raises(DimensionMismatch, match="one row per pair"):
        fitted(name, rotated.x, rotated.y[1:])


@every_method
def test_a_single_vector_is_no_matrix_of_anchors(name, rotated):
    with pytest.raises(DimensionMismatch, match="two matrices"):
        fitted(name, rotated.x[0], rotated.y[0])


@every_method
@both_shapes
def test_fit_does_not_change_its_inputs(name, shape, normal):
    x, y = normal(*shape), normal(*shape)
    before = x.clone(), y.clone()
    fitted(name, x, y).transform(x)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


@every_method
def test_transform_does_not_change_the_method(name, noisy):
    method = fitted(name, noisy.x, noisy.y)
    first = method.transform(noisy.x)
    method.transform(noisy.x * 3)
    assert torch.equal(method.transform(noisy.x), first)


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_answer_has_the_precision_of_the_question(name, dtype, rotated):
    assert fitted(name, rotated.x, rotated.y).transform(rotated.x.to(dtype)).dtype == dtype


@every_method
def test_anchors_of_single_precision_are_solved_in_double(name, rotated):
    x, y = rotated.x.float(), rotated.y.float()
    assert same(fitted(name, x, y).map_, fitted(name, x.double(), y.double()).map_)


@every_method
@both_shapes
def test_single_and_double_precision_agree(name, shape, make_pair):
    x, y, *_ = make_pair(*shape, shape[1], noise=0.1)
    method = fitted(name, x, y)
    # float32 carries 7 digits and at most 20 products of order 1 are added
    torch.testing.assert_close(method.transform(x.float()).double(), method.transform(x), atol=1e-4, rtol=0)


@every_method
@both_shapes
def test_the_same_anchors_give_the_same_map(name, shape, make_pair):
    x, y, *_ = make_pair(*shape, shape[1], noise=0.1)
    assert same(fitted(name, x, y).map_, fitted(name, x, y).map_)


@every_method
def test_a_second_fit_forgets_the_first(name, noisy, rotated):
    refitted = fitted(name, noisy.x, noisy.y).fit(rotated.x, rotated.y)
    fresh = fitted(name, rotated.x, rotated.y)
    assert torch.equal(refitted.transform(rotated.x), fresh.transform(rotated.x))


@every_method
def test_rank_counts_directions_of_the_source(name, few):
    method = fitted(name, few.x, few.y)
    assert 0 <= method.rank_ <= few.x.shape[1]


@every_learned
def test_no_more_directions_than_anchors_are_supported(name, few):
    assert fitted(name, few.x, few.y).rank_ <= len(few.x) - 1


@every_learned
@pytest.mark.parametrize(("d1", "d2"), [(8, 12), (12, 8), (1, 3), (3, 1)])
def test_any_two_widths_are_joined(name, d1, d2, normal):
    method = fitted(name, normal(30, d1), normal(30, d2))
    assert method.transform(normal(5, d1)).shape == (5, d2)


@every_method
def test_no_rows_give_no_rows(name, rotated):
    assert fitted(name, rotated.x, rotated.y).transform(rotated.x[:0]).shape == (0, 8)


@every_orderless
@both_shapes
def test_the_order_of_the_pairs_does_not_matter(name, shape, make_pair):
    x, y, *_ = make_pair(*shape, shape[1], noise=0.1)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(fitted(name, x[order], y[order]).transform(x), fitted(name, x, y).transform(x))


@every_learned
@both_shapes
def test_shifting_the_target_shifts_the_answer(name, shape, make_pair, normal):
    x, y, *_ = make_pair(*shape, shape[1], noise=0.1)
    shift = 10 * normal(shape[1])
    torch.testing.assert_close(fitted(name, x, y + shift).transform(x), fitted(name, x, y).transform(x) + shift)


@every_learned
@both_shapes
def test_shifting_the_source_changes_nothing(name, shape, make_pair, normal):
    x, y, *_ = make_pair(*shape, shape[1], noise=0.1)
    shift = 10 * normal(shape[1])
    torch.testing.assert_close(fitted(name, x + shift, y).transform(x + shift), fitted(name, x, y).transform(x))


@every_linear
def test_rotating_the_target_rotates_the_answer(name, noisy, make_pair):
    turn = make_pair(2, 16, 16, seed=5).rotation
    torch.testing.assert_close(
        fitted(name, noisy.x, noisy.y @ turn).transform(noisy.x),
        fitted(name, noisy.x, noisy.y).transform(noisy.x) @ turn,
    )


@every_learned
def test_scaling_the_target_scales_the_answer(name, noisy):
    expected = 100 * fitted(name, noisy.x, noisy.y).transform(noisy.x)
    torch.testing.assert_close(fitted(name, noisy.x, 100 * noisy.y).transform(noisy.x), expected)


@every_linear
def test_the_mean_of_the_source_becomes_the_mean_of_the_target(name, noisy):
    mean = fitted(name, noisy.x, noisy.y).transform(noisy.x.mean(0, keepdim=True))
    torch.testing.assert_close(mean[0], noisy.y.mean(0))


@every_method
@both_shapes
def test_a_map_is_made_of_tensors_of_single_precision(name, shape, make_pair):
    x, y, *_ = make_pair(*shape, shape[1], noise=0.1)
    made = fitted(name, x, y).map_
    again = MAPS[made.kind].of_tensors(made.tensors())
    assert same(again, type(made)(**{key: tensor.float() for key, tensor in vars(made).items()}))
    assert again.dims == made.dims == (shape[1], shape[1])
    assert all(tensor.is_contiguous() for tensor in made.tensors().values())


@every_method
def test_stored_tensors_serve_the_same_answers(name, rotated):
    made = fitted(name, rotated.x, rotated.y).map_
    x = rotated.x.float()
    torch.testing.assert_close(MAPS[made.kind].of_tensors(made.tensors())(x), made(x))


@every_method
def test_integers_count_as_single_precision(name, rotated):
    made = fitted(name, rotated.x, rotated.y).map_
    whole = torch.arange(16).reshape(2, 8)
    assert torch.equal(made(whole), made(whole.float()))


@every_method
def test_fit_neither_reads_nor_moves_the_global_seed(name, noisy):
    torch.manual_seed(1)
    first, state = fitted(name, noisy.x, noisy.y).map_, torch.random.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    assert same(fitted(name, noisy.x, noisy.y).map_, first)


@every_method
@pytest.mark.parametrize(("n", "d"), [(0, 1), (20, 64), (10_000, 64)])
def test_whether_it_suits_is_a_plain_answer(name, n, d):
    assert METHODS[name].suits(n, d, d) in (True, False)


@every_method
@both_shapes
def test_fit_equals_a_fit_in_the_full_space(name, shape, make_pair):
    x, y, *_ = make_pair(*shape, shape[1], noise=0.1)
    expected = slow_translation(METHODS[name](), x, y, x)
    torch.testing.assert_close(fitted(name, x, y).transform(x), expected, atol=1e-8, rtol=1e-8)


@every_linear
def test_what_lies_outside_the_span_of_few_anchors_is_ignored(name, few):
    outside = torch.linalg.qr(few.x.T, mode="complete")[0][:, -1]
    method = fitted(name, few.x, few.y)
    torch.testing.assert_close(method.transform(few.x + 7 * outside), method.transform(few.x))


@every_method
@both_shapes
def test_a_trial_equals_the_slow_oracle(name, shape, make_pair):
    x, y, *_ = make_pair(*shape, shape[1], noise=0.1)
    folds = Folds(x, y, seed=3)
    for method in candidates(name, {}):
        for fold in range(folds.parts):
            train, rows = folds.train(fold), folds.rows(fold)
            translated = held_out(method, folds, fold)
            expected = slow_translation(METHODS[name](**method.parameters()), x[train], y[train], x[rows])
            # trials of linear methods are made in single precision
            torch.testing.assert_close(translated, expected, atol=1e-3, rtol=1e-3)


@every_learned
@pytest.mark.parametrize(("d1", "d2"), [(20, 4), (4, 20), (20, 15)])
def test_a_trial_equals_the_slow_oracle_between_widths(name, d1, d2, normal):
    x, y = normal(12, d1), normal(12, d2)
    folds = Folds(x, y, seed=3)
    for fold in range(folds.parts):
        train, rows = folds.train(fold), folds.rows(fold)
        expected = slow_translation(METHODS[name](), x[train], y[train], x[rows])
        torch.testing.assert_close(held_out(METHODS[name](), folds, fold), expected, atol=1e-3, rtol=1e-3)


@every_method
@both_shapes
def test_a_trial_shows_the_truth_and_the_mean_beside_the_answer(name, shape, make_pair):
    x, y, *_ = make_pair(*shape, shape[1], noise=0.1)
    folds = Folds(x, y, seed=3)
    trial = METHODS[name]().trial(folds, 0)
    train = folds.train(0)
    torch.testing.assert_close(folds.full(trial.y).double(), y[folds.rows(0)], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(folds.full(trial.mean[None])[0].double(), y[train].mean(0), atol=1e-5, rtol=1e-5)
    expected = METHODS[name]().fit(x[train], y[train]).transform(x[folds.sample(0)])
    torch.testing.assert_close(folds.full(trial.sample).double(), expected, atol=1e-3, rtol=1e-3)


@every_method
@both_shapes
def test_to_settle_is_to_fit_all_anchors(name, shape, make_pair):
    x, y, *_ = make_pair(*shape, shape[1], noise=0.1)
    folds, method = Folds(x, y, seed=3), METHODS[name]()
    trial = method.settle(folds)
    expected = fitted(name, x, y)
    assert method.rank_ == expected.rank_
    torch.testing.assert_close(method.transform(x), expected.transform(x))
    torch.testing.assert_close(folds.full(trial.predicted), expected.transform(x[folds.sample()]))


@every_method
def test_a_held_out_row_does_not_see_its_own_counterpart(name, noisy):
    folds = Folds(noisy.x, noisy.y, seed=0)
    changed = noisy.y.clone()
    changed[0] += 1000
    fold = int(folds.fold_of[0, 0])
    before, after = (held_out(METHODS[name](), f, fold) for f in (folds, Folds(noisy.x, changed, seed=0)))
    # 1000 is added and taken away again: 1e-13 of it remains, then single precision
    torch.testing.assert_close(before, after, atol=1e-4, rtol=0)


@every_linear
@both_shapes
def test_codes_and_strength_describe_the_solution(name, shape, make_pair):
    x, y, *_ = make_pair(*shape, shape[1], noise=0.1)
    for method in candidates(name, {}):
        solution = method.solve(Moments.of(x, y))
        if solution.codes is None:
            assert solution.strength is None
            continue
        assert solution.codes.shape == (shape[1], solution.rank)
        assert solution.strength.tolist() == sorted(solution.strength.tolist(), reverse=True)
        assert solution.strength[0] == 1
        assert solution.strength[-1] >= 0


@every_method
def test_with_every_option_fixed_one_variant_is_left(name):
    fixed = METHODS[name]().parameters()
    assert [method.parameters() for method in candidates(name, fixed)] == [fixed]


@every_option
@pytest.mark.parametrize("end", ["default", "low", "high"])
def test_an_option_takes_its_default_and_both_ends(name, option, end):
    value = getattr(METHODS[name].options[option], end)
    assert {c.parameters()[option] for c in candidates(name, {option: value})} == {value}


@every_option
@pytest.mark.parametrize("end", ["default", "low", "high"])
def test_an_option_at_its_ends_still_gives_numbers(name, option, end, few):
    for method in candidates(name, {option: getattr(METHODS[name].options[option], end)}):
        assert method.fit(few.x, few.y).transform(few.x).isfinite().all()


@every_option
def test_every_variant_is_within_the_range_of_its_options(name, option):
    for method in candidates(name, {}):
        METHODS[name].options[option].check(option, method.parameters()[option])


@every_option
def test_a_whole_number_is_a_number(name, option):
    for method in candidates(name, {option: 1}):
        assert type(method.parameters()[option]) is float


@every_option
@pytest.mark.parametrize(("end", "beyond"), [("low", -inf), ("high", inf)])
def test_an_option_just_out_of_range_names_the_range(name, option, end, beyond):
    spec = METHODS[name].options[option]
    with pytest.raises(InvalidOption, match=option) as caught:
        candidates(name, {option: nextafter(getattr(spec, end), beyond)})
    assert caught.value.facts["expected"] == {"low": spec.low, "high": spec.high}


@every_option
@pytest.mark.parametrize("value", [nan, inf, -inf, True, "1", None, [1.0], 1j])
def test_what_is_no_number_is_an_invalid_option(name, option, value):
    with pytest.raises(InvalidOption, match="must be a number"):
        candidates(name, {option: value})


@every_method
def test_an_unknown_option_is_named_with_the_known_ones(name):
    with pytest.raises(InvalidOption, match="wings") as caught:
        candidates(name, {"wings": 2})
    assert caught.value.facts == {"expected": sorted(METHODS[name].options), "got": ["wings"]}


@pytest.mark.parametrize("name", ["", "Ridge", "auto", "no such method"])
def test_an_unknown_method_is_answered_with_the_choices(name):
    with pytest.raises(UnknownMethod) as caught:
        candidates(name, {})
    assert caught.value.facts == {"expected": ["auto", *METHODS], "got": name}


@every_method
def test_without_options_every_variant_is_different(name):
    variants = [tuple(method.parameters().items()) for method in candidates(name, {})]
    assert len(set(variants)) == len(variants) >= 1
