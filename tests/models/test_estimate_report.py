"""What a report says, and what it warns of."""

import json
from dataclasses import asdict
from math import log

import pytest
import torch
from torch.nn.functional import pad

from models.blend import Blend
from models.comparison import mutual_knn, participation_ratio
from models.estimate import estimate
from models.folds import MOST_REPEATS, Folds
from models.measures import AMONG, Outcomes, cosines
from models.registry import METHODS

FIGURES = ["top1", "mrr", "recall_at_10", "overlap_at_10", "r2", "cosine"]
FEW_HELD_OUT = "anchors were held out: the intervals are rough"
SMALL_GALLERY = "figures at 10 say nothing"
NARROW_SUPPORT = "source dimensions: what lies outside them"
UNRELATED = "no candidate was better than the target mean"
FAR = "nearer to their targets than the target mean"
NO_GAIN = "retrieval is not shown to be better than without translation"
COLLAPSED = "such spaces carry the class of an item"
every_figure = pytest.mark.parametrize("figure", FIGURES)


@pytest.fixture(scope="module")
def good(make_pair):
    """The report of everything on 501 pairs of a slightly noisy rotation."""
    x, y, *_ = make_pair(501, 8, 8, noise=0.3)
    return estimate(x, y, seed=5).report


@pytest.fixture(scope="module")
def wrong(make_pair):
    """The same on shuffled pairs."""
    x, y, *_ = make_pair(501, 8, 8, noise=0.3)
    return estimate(x, shuffled(y)).report


def shuffled(y, seed=0):
    return y[torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))]


def warned(report, text):
    return any(text in warning for warning in report.warnings)


def plain(report):
    return json.loads(json.dumps(report.to_dict(), allow_nan=False))


def test_the_report_counts_what_it_measured(good):
    assert (good.anchors, good.held_out, good.folds, good.gallery, good.seed) == (501, 501, 5, 100, 5)


@pytest.mark.parametrize(("n", "repeats"), [(60, MOST_REPEATS), (300, 3), (501, 1)])
def test_the_report_says_how_often_few_anchors_were_cut(n, repeats, make_pair):
    x, y, *_ = make_pair(n, 8, 8)
    report = estimate(x, y, "orthogonal").report
    assert (report.folds, report.repeats, report.held_out, report.gallery) == (5, repeats, n, n // 5)


def test_a_large_set_is_fitted_as_a_whole_and_scored_in_part(make_pair):
    x, y, *_ = make_pair(2500, 4, 4, noise=0.1)
    report = estimate(x, y, "orthogonal").report
    assert (report.anchors, report.held_out, report.gallery) == (2500, 2000, 400)


@pytest.mark.parametrize("objective", ["retrieval", "reconstruction"])
def test_the_report_names_its_objective_and_its_score(objective, noisy):
    report = estimate(noisy.x, noisy.y, "orthogonal", objective).report
    assert report.objective == objective
    assert Blend.of_dict(report.score).to_dict() == report.score


@every_figure
def test_every_figure_of_a_perfect_relation_is_one(figure, rotated):
    quality = estimate(rotated.x, rotated.y, "orthogonal", "reconstruction").report.quality[figure]
    # neighbours of the native space are by its own cosine, those of translations by the score
    assert quality.mean == pytest.approx(1, abs=0.1 if figure == "overlap_at_10" else 1e-6)


@every_figure
def test_every_figure_lies_in_its_interval(figure, good, wrong):
    for report in (good, wrong):
        for quality in (report.quality, *report.baselines.values()):
            assert quality[figure].low - 1e-12 <= quality[figure].mean <= quality[figure].high + 1e-12


def test_losses_and_ranks_of_candidates_lie_in_their_intervals(good):
    for candidate in good.candidates:
        assert candidate.loss.low <= candidate.loss.mean <= candidate.loss.high
        assert 0 <= candidate.mrr.low <= candidate.mrr.mean <= candidate.mrr.high <= 1


def test_the_loss_of_reconstruction_is_one_minus_r2(make_pair):
    x, y, *_ = make_pair(600, 8, 8, noise=0.5)
    report = estimate(x, y, "ridge", "reconstruction", {"penalty": 0.01}).report
    # the loss is in units of the variance about the mean of all anchors, R² about that of the other folds
    assert report.candidates[0].loss.mean == pytest.approx(1 - report.quality["r2"].mean, rel=0.02)


def test_the_mrr_of_a_single_candidate_is_about_that_of_the_report(make_pair):
    x, y, *_ = make_pair(600, 8, 8, noise=1.5)
    report = estimate(x, y, "ridge", "reconstruction", {"penalty": 0.01}).report
    (alone,) = report.candidates
    assert alone.mrr.mean == pytest.approx(report.quality["mrr"].mean, abs=0.02)


def test_the_loss_of_retrieval_is_that_of_chance_for_the_mean(make_pair):
    x, y, *_ = make_pair(501, 8, 8)
    (alone,) = estimate(x, y, "mean").report.candidates
    # without the mean taken off, how near vectors lie to it may differ, but tells no item from another
    assert alone.loss.mean == pytest.approx(log(AMONG), rel=0.01)


def test_the_mean_explains_nothing(good):
    assert abs(good.baselines["mean"]["r2"].mean) < 1e-9
    assert abs(good.baselines["mean"]["cosine"].mean) < 1e-9


def test_the_mean_finds_a_counterpart_by_chance_alone(good):
    assert good.baselines["mean"]["mrr"].mean < 2.5 * sum(1 / rank for rank in range(1, 101)) / 100


def test_without_translation_errors_are_those_of_identity_where_widths_agree(noisy):
    report = estimate(noisy.x, noisy.y, "identity").report
    assert report.baselines["untranslated"]["r2"] == report.quality["r2"]
    assert report.baselines["untranslated"]["cosine"] == report.quality["cosine"]


@pytest.mark.parametrize(("d1", "d2"), [(8, 5), (5, 8), (8, 8)])
def test_without_translation_vectors_are_cut_or_padded_and_compared_by_cosine(d1, d2, normal):
    x = normal(18, 8)  # too few to suspect a pair
    x, y = x[:, :d1], x[:, :d2] + 0.5 * normal(18, d2)
    report, folds, parts = estimate(x, y, "mean").report, Folds(x, y, 0), []
    for fold in range(folds.parts):
        rows, train = folds.rows(fold), folds.train(fold)
        untouched = pad(x[rows], (0, max(0, d2 - d1)))[:, :d2]
        parts.append(Outcomes.of(cosines(untouched, y[rows]), untouched, y[rows], y[train].mean(0)))
    assert report.baselines["untranslated"] == Outcomes.joined(parts).quality(0)


@pytest.mark.parametrize("name", ["mean", "identity", "orthogonal", "low_rank", "ridge", "inverse_relative"])
def test_support_is_the_rank_of_the_method_on_all_anchors(name, few):
    report = estimate(few.x, few.y, name).report
    assert report.support_rank == METHODS[name](**report.parameters).fit(few.x, few.y).rank_


def test_the_shape_of_the_spaces_is_that_of_the_measures(make_pair):
    x, y, *_ = make_pair(300, 8, 12, noise=0.5)
    found = estimate(x, y, "orthogonal").report.collapse
    assert found.source_participation == pytest.approx(float(participation_ratio(x)))
    assert found.target_participation == pytest.approx(float(participation_ratio(y)))
    assert found.mutual_knn == pytest.approx(mutual_knn(x, y))


def test_confidence_is_calibrated_on_held_out_anchors(good):
    said, true = (
        sum(getattr(row, n) * row.rows for row in good.confidence.table) for n in ("confidence", "cosine")
    )
    assert sum(row.rows for row in good.confidence.table) == good.held_out
    assert said / good.held_out == pytest.approx(true / good.held_out, abs=0.02)


def test_the_confidence_of_a_translation_lies_between_zero_and_one(make_pair):
    x, y, *_ = make_pair(400, 8, 8, noise=0.3)
    made = estimate(x[:300], y[:300], "orthogonal")
    inside, outside = (made.confidence(rows, made.method.transform(rows)) for rows in (x[300:], 100 * x[300:]))
    assert inside.min() >= 0
    assert inside.max() <= 1
    assert outside.max() < 0.1 < 0.5 < inside.median()


def test_the_report_is_plain_json(good):
    again = plain(good)
    assert again == good.to_dict()
    assert again["quality"]["mrr"] == asdict(good.quality["mrr"])
    assert again["score"]["name"] == good.score["name"]


def test_the_report_of_the_mean_is_plain_json(wrong):
    assert wrong.method == "mean"
    assert plain(wrong) == wrong.to_dict()


@pytest.mark.parametrize(
    ("name", "n"), [("mean", 4), ("mean", 12), ("orthogonal", 4), ("orthogonal", 5), ("ridge", 12)]
)
def test_the_report_of_few_anchors_is_plain_json(name, n, few):
    plain(estimate(few.x[:n], few.y[:n], name).report)


@pytest.mark.parametrize("objective", ["retrieval", "reconstruction"])
def test_the_report_of_a_constant_source_is_plain_json(objective, make_pair):
    x, y, *_ = make_pair(501, 4, 4)
    report = estimate(torch.ones_like(x), y, objective=objective).report
    plain(report)
    assert report.method == "mean"


@pytest.mark.parametrize("objective", ["retrieval", "reconstruction"])
def test_the_report_of_a_constant_target_is_plain_json(objective, make_pair):
    x, y, *_ = make_pair(501, 4, 4)
    plain(estimate(3 * x, torch.full_like(y, 0.5), objective=objective).report)


def test_a_good_report_warns_of_nothing(good):
    assert good.warnings == []


def test_pairs_that_are_wrong_are_warned_of(wrong):
    assert warned(wrong, UNRELATED)
    assert warned(wrong, NO_GAIN)


@pytest.mark.parametrize("name", ["orthogonal", "ridge", "whitened"])
@pytest.mark.parametrize("objective", ["retrieval", "reconstruction"])
@pytest.mark.parametrize("seed", range(2))
def test_wrong_pairs_are_warned_of_whatever_is_named(name, objective, seed, make_pair):
    x, y, *_ = make_pair(501, 6, 6, noise=0.3)
    report = estimate(x, shuffled(y, seed), name, objective, seed=seed).report
    assert warned(report, NO_GAIN)


@pytest.mark.parametrize(("n", "expected"), [(29, True), (30, False)])
def test_fewer_than_thirty_held_out_rows_are_warned_of(n, expected, rotated):
    report = estimate(rotated.x[:n], rotated.y[:n], "orthogonal").report
    assert warned(report, f"only {n} {FEW_HELD_OUT}") == expected


@pytest.mark.parametrize(("n", "expected"), [(55, True), (60, False)])
def test_a_gallery_of_hardly_more_than_ten_is_warned_of(n, expected, rotated):
    assert warned(estimate(rotated.x[:n], rotated.y[:n], "orthogonal").report, SMALL_GALLERY) == expected


def test_fewer_anchors_than_dimensions_are_warned_of(few):
    assert warned(estimate(few.x, few.y, "ridge").report, f"support 11 of 20 {NARROW_SUPPORT}")


@pytest.mark.parametrize("name", ["orthogonal", "ridge", "identity", "mean"])
def test_full_support_is_not_warned_of(name, noisy):
    assert not warned(estimate(noisy.x, noisy.y, name).report, NARROW_SUPPORT)


@pytest.mark.parametrize(("name", "expected"), [("mean", True), ("orthogonal", False), ("ridge", False)])
def test_the_mean_as_a_choice_is_warned_of(name, expected, noisy):
    assert warned(estimate(noisy.x, noisy.y, name).report, UNRELATED) == expected


@pytest.mark.parametrize("expected", [True, False])
def test_vectors_no_nearer_than_the_mean_are_warned_of(expected, noisy):
    report = estimate(noisy.x, shuffled(noisy.y) if expected else noisy.y, "orthogonal").report
    assert (report.quality["r2"].low <= 0) == expected
    assert warned(report, FAR) == expected


@pytest.mark.parametrize(("directions", "expected"), [(2, True), (8, False)])
@pytest.mark.parametrize("side", ["source", "target"])
def test_spaces_of_a_few_directions_are_warned_of(side, directions, expected, make_pair, normal):
    x, y, *_ = make_pair(300, 16, 16, noise=0.1)
    flat = normal(300, directions) @ torch.linalg.qr(normal(16, 16))[0][:directions] + 0.01 * normal(300, 16)
    pair = (flat, y) if side == "source" else (x, flat)
    assert warned(estimate(*pair, "orthogonal").report, COLLAPSED) == expected


@pytest.mark.parametrize(("objective", "expected"), [("retrieval", {NO_GAIN}), ("reconstruction", set())])
def test_the_same_space_twice_is_at_most_not_gained_from(objective, expected, make_pair):
    x = make_pair(501, 6, 6).x
    assert set(estimate(x, x, objective=objective).report.warnings) <= expected
