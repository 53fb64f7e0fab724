"""The choice of a method, and whether the report tells the truth about it."""

import json
from dataclasses import asdict

import pytest
import torch

from models.errors import DimensionMismatch, InvalidOption, TooFewAnchors, UnknownMethod
from models.estimate import cross_fitted, estimate, simplest_good
from models.folds import Folds
from models.objectives import OBJECTIVES, Outcomes
from models.registry import METHODS
from models.ridge import PENALTIES

FIGURES = ["top1", "mrr", "recall_at_10", "overlap_at_10", "r2", "cosine"]
FEW_HELD_OUT = "anchors were held out: the intervals are rough"
SMALL_GALLERY = "figures at 10 say nothing"
NARROW_SUPPORT = "source dimensions: what lies outside them"
UNRELATED = "no candidate was better than the target mean"
NO_GAIN = "retrieval is not shown to be better than without translation"
every_objective = pytest.mark.parametrize("objective", OBJECTIVES)


@pytest.fixture
def anisotropic(normal):
    """300 items; axes of the source are stretched by 0.1 to 3 on their way to the target."""
    x, stretch = normal(300, 12), torch.logspace(-1, 0.5, 12, dtype=torch.float64)
    return x, (x * stretch) @ torch.linalg.qr(normal(12, 12))[0] + 0.2 * normal(300, 12)


@pytest.fixture(scope="module")
def honesty(make_pair):
    """Twenty reports with what fresh rows say: 300 anchors in 12 dimensions, much noise."""
    return list(reported_and_fresh(make_pair, 300, 12, 1.2, seeds=20))


def normals(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shuffled(y, seed=0):
    return y[torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))]


def warned(report, text):
    return any(text in warning for warning in report.warnings)


def fresh_figures(method, report, x, y, mean):
    """Figures on rows that no one has seen, in galleries of the size that the report had."""
    whole = len(x) // report.gallery * report.gallery
    x, y, galleries = x[:whole], y[:whole], torch.arange(whole) // report.gallery
    seen = Outcomes.of(method.transform(x), y, mean.expand_as(y), galleries)
    figures = {
        "top1": (seen.rank <= 1).double().mean(),
        "mrr": (1 / seen.rank).mean(),
        "recall_at_10": (seen.rank <= 10).double().mean(),
        "overlap_at_10": seen.overlap.mean(),
        "r2": 1 - seen.error.sum() / seen.spread.sum(),
        "cosine": seen.cosine.mean(),
    }
    return {name: float(figure) for name, figure in figures.items()}


def reported_and_fresh(make_pair, n, d, noise, seeds, fresh=3000):
    """Per seed, the figures of a report on n anchors and those of fresh rows of the same two spaces."""
    for seed in range(seeds):
        x, y, *_ = make_pair(n + fresh, d, d, noise=noise, seed=seed)
        method, report = estimate(x[:n], y[:n], seed=seed)
        yield report.quality, fresh_figures(method, report, x[n:], y[n:], y[:n].mean(0))


@every_objective
def test_auto_takes_orthogonal_on_a_rotated_pair(objective, make_pair):
    x, y, *_ = make_pair(300, 12, 12, noise=0.1)
    assert estimate(x, y, objective=objective)[1].method == "orthogonal"


@every_objective
def test_auto_takes_ridge_on_an_anisotropic_map(objective, anisotropic):
    assert estimate(*anisotropic, objective=objective)[1].method == "ridge"


@every_objective
def test_auto_takes_identity_where_the_spaces_are_the_same(objective, noisy):
    assert estimate(noisy.x, noisy.x, objective=objective)[1].method == "identity"


@pytest.mark.parametrize("seed", range(5))
def test_reconstruction_takes_the_mean_where_the_pairs_are_wrong(seed, noisy):
    report = estimate(noisy.x, shuffled(noisy.y, seed), objective="reconstruction", seed=seed)[1]
    assert report.method == "mean"
    assert warned(report, UNRELATED)
    assert warned(report, NO_GAIN)


def test_retrieval_mostly_takes_the_mean_where_the_pairs_are_wrong(noisy):
    chosen = [estimate(noisy.x, shuffled(noisy.y, seed), seed=seed)[1].method for seed in range(20)]
    # measured: 70 % of 60 shuffles; the best of ten candidates at chance is often a standard error ahead
    assert chosen.count("mean") >= 10


@every_objective
@pytest.mark.parametrize("seed", range(5))
def test_wrong_pairs_are_warned_of_whatever_is_taken(objective, seed, noisy):
    report = estimate(noisy.x, shuffled(noisy.y, seed), objective=objective, seed=seed)[1]
    assert warned(report, NO_GAIN)


def test_auto_joins_two_widths(two_widths):
    _, report = estimate(two_widths.x, two_widths.y)
    assert report.method == "orthogonal"
    assert report.quality["top1"].mean == 1


def test_auto_tries_everything_simplest_first(noisy):
    tried = list(dict.fromkeys(c.method for c in estimate(noisy.x, noisy.y)[1].candidates))
    assert tried == list(METHODS)


def test_auto_does_not_try_identity_between_two_widths(two_widths):
    assert "identity" not in [c.method for c in estimate(two_widths.x, two_widths.y)[1].candidates]


def test_the_chosen_candidate_is_the_method_of_the_report(anisotropic):
    method, report = estimate(*anisotropic)
    (chosen,) = [candidate for candidate in report.candidates if candidate.chosen]
    assert (chosen.method, chosen.parameters) == (report.method, report.parameters)
    assert (method.name, method.parameters()) == (report.method, report.parameters)


def test_the_method_is_fitted_on_all_anchors(anisotropic):
    method, report = estimate(*anisotropic)
    alone = METHODS[report.method](**report.parameters).fit(*anisotropic)
    assert torch.equal(method.affine_.weight, alone.affine_.weight)
    assert report.support_rank == alone.rank_


@pytest.mark.parametrize("name", METHODS)
def test_a_named_method_is_taken_whatever_it_is_worth(name, noisy):
    method, report = estimate(noisy.x, shuffled(noisy.y), name)
    assert (method.name, report.method) == (name, name)


def test_a_named_ridge_chooses_its_penalty(anisotropic):
    _, report = estimate(*anisotropic, "ridge")
    assert [c.parameters["penalty"] for c in report.candidates] == list(PENALTIES)


def test_a_named_option_is_kept(noisy):
    _, report = estimate(noisy.x, noisy.y, "ridge", options={"penalty": 0.25})
    assert [c.parameters for c in report.candidates] == [{"penalty": 0.25}]


def test_reconstruction_and_retrieval_can_choose_differently(noisy):
    scaled = 3 * noisy.x + 0.3 * noisy.y  # direction is kept, length is not
    assert estimate(noisy.x, scaled, objective="retrieval")[1].method == "identity"
    assert estimate(noisy.x, scaled, objective="reconstruction")[1].method != "identity"


@every_objective
def test_the_report_names_its_objective(objective, noisy):
    assert estimate(noisy.x, noisy.y, objective=objective)[1].objective == objective


def test_the_loss_of_reconstruction_is_one_minus_r2(noisy):
    _, report = estimate(noisy.x, noisy.y, "ridge", "reconstruction", {"penalty": 0.01})
    assert report.candidates[0].loss.mean == pytest.approx(1 - report.quality["r2"].mean)


def test_the_loss_of_retrieval_is_one_minus_mrr(noisy):
    _, report = estimate(noisy.x, noisy.y, "ridge", "retrieval", {"penalty": 0.01})
    assert report.candidates[0].loss.mean == pytest.approx(1 - report.quality["mrr"].mean)


def test_the_report_counts_what_it_measured(noisy):
    report = estimate(noisy.x, noisy.y, seed=5)[1]
    assert (report.anchors, report.held_out, report.folds, report.gallery, report.seed) == (300, 300, 5, 60, 5)


def test_a_large_set_is_fitted_as_a_whole_and_scored_in_part(make_pair):
    x, y, *_ = make_pair(2500, 4, 4, noise=0.1)
    report = estimate(x, y)[1]
    assert (report.anchors, report.held_out, report.gallery) == (2500, 2000, 400)


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_of_a_perfect_relation_is_one(figure, rotated):
    assert estimate(rotated.x, rotated.y)[1].quality[figure].mean == pytest.approx(1)


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_lies_in_its_interval(figure, noisy):
    report = estimate(noisy.x, noisy.y)[1]
    for quality in (report.quality, *report.baselines.values()):
        assert quality[figure].low <= quality[figure].mean <= quality[figure].high


def test_the_mean_explains_nothing(noisy):
    assert abs(estimate(noisy.x, noisy.y)[1].baselines["mean"]["r2"].mean) < 1e-9


def test_without_translation_is_the_identity_where_widths_agree(noisy):
    report = estimate(noisy.x, noisy.y, "identity")[1]
    assert report.baselines["untranslated"] == report.quality


@pytest.mark.parametrize(("d1", "d2"), [(8, 5), (5, 8)])
def test_without_translation_vectors_are_cut_or_padded(d1, d2, normal):
    x = normal(40, 8)
    report = estimate(x[:, :d1], x[:, :d2])[1]
    narrow = min(d1, d2)
    expected = torch.zeros(40, d2, dtype=torch.float64)
    expected[:, :narrow] = x[:, :narrow]
    folds = Folds(x[:, :d1], x[:, :d2], 0)
    judged = Outcomes.of(expected, x[:, :d2], folds.held_out_mean, folds.evaluated_fold)
    assert report.baselines["untranslated"]["mrr"] == judged.quality(0)["mrr"]


def test_on_pure_noise_the_reported_mrr_is_at_chance():
    reports = [estimate(normals(s, 300, 12), normals(1000 + s, 300, 12), seed=s)[1] for s in range(15)]
    mrr = torch.tensor([report.quality["mrr"].mean for report in reports])
    chance = sum(1 / rank for rank in range(1, 61)) / 60
    # the mean of 15 such figures has a standard error of about 0.0025
    assert mrr.mean().item() == pytest.approx(chance, abs=0.0075)


@pytest.mark.parametrize("seed", range(5))
def test_on_pure_noise_fresh_rows_lie_in_the_reported_interval(seed):
    x, y = normals(seed, 300, 12), normals(100 + seed, 300, 12)
    method, report = estimate(x, y, seed=seed)
    fresh = fresh_figures(method, report, normals(200 + seed, 3000, 12), normals(300 + seed, 3000, 12), y.mean(0))
    assert report.quality["mrr"].low <= fresh["mrr"] <= report.quality["mrr"].high


@pytest.mark.parametrize("seed", range(5))
def test_on_pure_noise_a_gain_over_no_translation_is_never_claimed(seed):
    assert warned(estimate(normals(seed, 200, 12), normals(100 + seed, 200, 12), seed=seed)[1], NO_GAIN)


@pytest.mark.parametrize("figure", FIGURES)
def test_the_reported_intervals_mostly_cover_the_figures_of_fresh_rows(figure, honesty):
    missed = [not q[figure].low <= fresh[figure] <= q[figure].high for q, fresh in honesty]
    # nominal is 95 %; measured over 150 such series: r2 88 %, all others from 93 %.
    # At 88 % more than 6 misses of 20 have p = 1 %.
    assert sum(missed) <= 6


@pytest.mark.parametrize("figure", FIGURES)
def test_fresh_rows_hardly_ever_fall_below_the_reported_interval(figure, honesty):
    flattered = [fresh[figure] < q[figure].low for q, fresh in honesty]
    # 2.5 % are expected in the lower tail: more than 2 of 20 have p = 1 %
    assert sum(flattered) <= 2


@pytest.mark.parametrize("n", [15, 40])
def test_the_mrr_of_few_anchors_is_not_flattered(n, make_pair):
    pairs = reported_and_fresh(make_pair, n, 30, 2.0, seeds=15, fresh=900)
    gaps = [q["mrr"].mean - fresh["mrr"] for q, fresh in pairs]
    gap = torch.tensor(gaps)
    assert gap.mean() <= 2 * gap.std() / len(gaps) ** 0.5


def test_the_report_is_plain_json(noisy):
    report = estimate(noisy.x, noisy.y)[1]
    again = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert again == report.to_dict()
    assert again["quality"]["mrr"] == asdict(report.quality["mrr"])


@pytest.mark.parametrize("n", [4, 5, 12])
def test_the_report_of_few_anchors_is_plain_json(n, few):
    json.dumps(estimate(few.x[:n], few.y[:n])[1].to_dict(), allow_nan=False)


def test_the_report_of_a_constant_source_is_plain_json(noisy):
    report = estimate(torch.ones_like(noisy.x), noisy.y)[1]
    json.dumps(report.to_dict(), allow_nan=False)
    assert report.method == "mean"


def test_the_report_of_a_constant_target_is_plain_json(noisy):
    report = estimate(3 * noisy.x, torch.full_like(noisy.y, 0.5), objective="reconstruction")[1]
    json.dumps(report.to_dict(), allow_nan=False)


def test_the_same_seed_gives_the_same_report(noisy):
    assert estimate(noisy.x, noisy.y, seed=4)[1] == estimate(noisy.x, noisy.y, seed=4)[1]


def test_another_seed_gives_other_figures_of_the_same_translation(noisy):
    (first, one), (second, two) = (estimate(noisy.x, noisy.y, seed=seed) for seed in (4, 5))
    assert one.quality != two.quality
    assert torch.equal(first.affine_.weight, second.affine_.weight)


def test_the_inputs_are_left_as_they_were(noisy):
    before = noisy.x.clone(), noisy.y.clone()
    estimate(noisy.x, noisy.y)
    assert torch.equal(noisy.x, before[0])
    assert torch.equal(noisy.y, before[1])


def test_a_good_report_warns_of_nothing(noisy):
    assert estimate(noisy.x, noisy.y)[1].warnings == []


@pytest.mark.parametrize(("n", "expected"), [(29, True), (30, False)])
def test_fewer_than_thirty_held_out_rows_are_warned_of(n, expected, rotated):
    assert warned(estimate(rotated.x[:n], rotated.y[:n])[1], f"only {n} {FEW_HELD_OUT}") == expected


@pytest.mark.parametrize(("n", "expected"), [(55, True), (60, False)])
def test_a_gallery_of_hardly_more_than_ten_is_warned_of(n, expected, rotated):
    assert warned(estimate(rotated.x[:n], rotated.y[:n])[1], SMALL_GALLERY) == expected


def test_fewer_anchors_than_dimensions_are_warned_of(few):
    assert warned(estimate(few.x, few.y, "ridge")[1], f"support 11 of 20 {NARROW_SUPPORT}")


@pytest.mark.parametrize("name", ["orthogonal", "ridge", "identity", "mean"])
def test_full_support_is_not_warned_of(name, noisy):
    assert not warned(estimate(noisy.x, noisy.y, name)[1], NARROW_SUPPORT)


@pytest.mark.parametrize(("name", "expected"), [("mean", True), ("orthogonal", False), ("ridge", False)])
def test_the_mean_as_a_choice_is_warned_of(name, expected, noisy):
    assert warned(estimate(noisy.x, noisy.y, name)[1], UNRELATED) == expected


@pytest.mark.parametrize(("wrong", "expected"), [(True, True), (False, False)])
def test_no_gain_over_no_translation_is_warned_of(wrong, expected, noisy):
    y = shuffled(noisy.y) if wrong else noisy.y
    assert warned(estimate(noisy.x, y, "orthogonal")[1], NO_GAIN) == expected


def test_vectors_no_nearer_than_the_mean_are_warned_of(noisy):
    report = estimate(noisy.x, shuffled(noisy.y, 0), "orthogonal")[1]
    assert report.quality["r2"].low <= 0
    assert warned(report, "nearer to their targets than the target mean")


def test_the_same_space_twice_is_not_warned_of(noisy):
    assert not estimate(noisy.x, noisy.x)[1].warnings


def test_the_simpler_of_two_within_one_error_is_chosen():
    better = torch.tensor([0.0, 1.0] * 50)
    simpler = better + torch.tensor([-1.0, 1.02] * 50)  # worse by 0.01, error of 0.1
    assert simplest_good(torch.stack([simpler, better])) == 0


def test_the_better_of_two_beyond_one_error_is_chosen():
    better = torch.tensor([0.0, 1.0] * 50)
    simpler = better + torch.tensor([0.0, 0.1] * 50)  # worse by 0.05, error of 0.005
    assert simplest_good(torch.stack([simpler, better])) == 1


def test_the_error_is_that_of_the_paired_difference():
    hard = torch.tensor([0.0, 100.0] * 50)  # rows differ far more than the candidates do
    assert simplest_good(torch.stack([hard + 1, hard])) == 1


@pytest.mark.parametrize("first", [0, 1])
def test_of_equals_the_first_is_chosen(first):
    losses = torch.stack([torch.ones(10)] * first + [torch.zeros(10)] * 3)
    assert simplest_good(losses) == first


def test_the_figures_of_a_fold_are_of_the_candidate_that_the_others_choose(normal):
    folds = Folds(normal(20, 3), normal(20, 3), 0)
    first, second = (
        Outcomes.of(normal(20, 3), folds.y, folds.held_out_mean, folds.evaluated_fold) for _ in range(2)
    )
    own = (folds.evaluated_fold == 0).double()
    # the second is better in fold 0 alone, so the other folds choose the first
    losses = torch.stack([5 * own, 1 - own])
    crossed = cross_fitted([first, second], losses, 1, folds)
    assert torch.equal(crossed.error[own.bool()], first.error[own.bool()])


@pytest.mark.parametrize(("d1", "d2"), [(8, 12), (12, 8)])
def test_identity_between_two_widths_is_an_error_that_names_the_way_out(d1, d2, normal):
    with pytest.raises(DimensionMismatch, match="'auto'") as caught:
        estimate(normal(20, d1), normal(20, d2), "identity")
    assert caught.value.facts == {"expected": d1, "got": d2}


def test_auto_takes_no_options(noisy):
    with pytest.raises(InvalidOption, match="name a method") as caught:
        estimate(noisy.x, noisy.y, options={"penalty": 0.1})
    assert caught.value.facts == {"expected": [], "got": ["penalty"]}


def test_auto_with_empty_options_is_auto(noisy):
    assert estimate(noisy.x, noisy.y, options={})[1] == estimate(noisy.x, noisy.y)[1]


def test_an_unknown_objective_is_answered_with_the_choices(noisy):
    with pytest.raises(UnknownMethod, match="objective") as caught:
        estimate(noisy.x, noisy.y, objective="beauty")
    assert caught.value.facts == {"expected": list(OBJECTIVES), "got": "beauty"}


def test_an_unknown_method_is_answered_with_the_choices(noisy):
    with pytest.raises(UnknownMethod) as caught:
        estimate(noisy.x, noisy.y, "magic")
    assert caught.value.facts["expected"] == ["auto", *METHODS]


@pytest.mark.parametrize("name", ["auto", *METHODS])
@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_anchors_are_too_few(name, n, noisy):
    with pytest.raises(TooFewAnchors) as caught:
        estimate(noisy.x[:n], noisy.y[:n], name)
    assert caught.value.facts == {"expected": 2, "got": n}


def test_different_numbers_of_rows_are_a_dimension_mismatch(noisy):
    with pytest.raises(DimensionMismatch):
        estimate(noisy.x, noisy.y[1:])


@pytest.mark.parametrize("name", ["auto", "mean", "orthogonal", "ridge"])
@pytest.mark.parametrize("n", [2, 3])
def test_two_anchors_are_enough_between_two_widths(name, n, two_widths):
    assert estimate(two_widths.x[:n], two_widths.y[:n], name)[1].anchors == n


@pytest.mark.parametrize("name", ["auto", "identity"])
@pytest.mark.parametrize("n", [2, 3])
def test_two_anchors_are_enough_in_one_width(name, n, rotated):
    assert estimate(rotated.x[:n], rotated.y[:n], name)[1].anchors == n
