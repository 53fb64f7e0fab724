"""The choice of a method and a score."""

import gc
import math
import weakref
from functools import cache

import pytest
import torch

from models.blend import Blend
from models.estimate import Tried, attempt, chosen, cross_fitted, estimate, judged, trials
from models.folds import Folds
from models.heads import LinearHead
from models.identity import Identity
from models.mean import Mean
from models.measures import coldest, ranks
from models.objectives import OBJECTIVES, Reconstruction, Retrieval
from models.orthogonal import Orthogonal
from models.registry import METHODS
from models.ridge import PENALTIES, Ridge
from models.ridge_loo import RidgeLoo
from models.scores import Score, similarities
from models.whitened import Whitened

N = 501  # from here on anchors are cut into folds once: a choice of everything takes two seconds
UNPAIRED = ["retrieval", "reconstruction"]  # objectives that need no head
LEARNED = [name for name in METHODS if name not in ("mean", "identity")]
every_objective = pytest.mark.parametrize("objective", UNPAIRED)


def normals(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shuffled(y, seed=0):
    return y[torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))]


def rotated(noise=0.3, d1=6, d2=6):
    x, rotation = normals(0, N, d1), torch.linalg.qr(normals(1, max(d1, d2), max(d1, d2)))[0][:d1, :d2]
    return x, 1.7 * x @ rotation + 2 + noise * normals(2, N, d2)


def stretched():
    """Axes of the source are stretched by 0.3 to 3 on their way to the target."""
    x, stretch = normals(0, N, 6), torch.logspace(-0.5, 0.5, 6, dtype=torch.float64)
    return x, (x * stretch) @ torch.linalg.qr(normals(1, 6, 6))[0] + 0.1 * normals(2, N, 6)


def same():
    return normals(0, N, 6), normals(0, N, 6)


def mispaired():
    x, y = rotated()
    return x, shuffled(y)


def two_widths():
    return rotated(0.1, 5, 8)


@cache
def auto(task, objective="retrieval"):
    """The estimate of everything on a task, made once."""
    return estimate(*task(), objective=objective)


@cache
def several(seed=0):
    """Folds, and a handful of methods on them."""
    x, y = rotated(1.0)
    folds = Folds(x, y, seed)
    methods = [Mean(), Identity(), Orthogonal(), *Ridge.candidates({}), Whitened()]
    return folds, trials(methods, folds, Retrieval(), math.inf)[0]


def tried(method, *losses, tuned=True):
    """A candidate with these losses of each row, one column a setting."""
    table = torch.stack(losses, 1)
    return Tried(method, table, torch.ones(len(table)), (Score(),), torch.ones(1, len(table), 1), tuned)


def test_reconstruction_of_a_rotated_pair_takes_a_rotation():
    report = auto(rotated, "reconstruction").report
    assert report.method in ("orthogonal", "ridge_procrustes")


def test_reconstruction_of_a_stretched_pair_takes_no_rotation():
    report = auto(stretched, "reconstruction").report
    best = {c.method: c.loss.mean for c in reversed(report.candidates)}  # the last of a method is its best
    assert report.method in ("ridge", "ridge_loo", "reduced_rank", "ridge_procrustes", "whitened")
    assert best[report.method] < 0.5 * best["orthogonal"]


def test_reconstruction_takes_identity_where_the_spaces_are_the_same():
    assert auto(same, "reconstruction").report.method == "identity"


def test_retrieval_finds_every_item_of_the_same_space():
    assert auto(same).report.quality["top1"].mean == 1


@pytest.mark.parametrize("task", [rotated, stretched, two_widths])
@every_objective
def test_what_relates_two_spaces_is_learned(task, objective):
    report = auto(task, objective).report
    assert report.method in LEARNED
    assert report.quality["mrr"].low > 0.8
    assert report.quality["r2"].low > 0.8


@every_objective
def test_the_mean_is_taken_where_the_pairs_are_wrong(objective):
    assert auto(mispaired, objective).report.method == "mean"


def test_the_mean_is_mostly_taken_where_the_pairs_are_wrong():
    x, y = rotated()
    methods, chose = [Mean(), Identity(), Orthogonal(), *Ridge.candidates({})], []
    for seed in range(10):
        found, _ = trials(methods, Folds(x, shuffled(y, seed), seed), Retrieval(), math.inf)
        chose.append(found[chosen(found)].method.name)
    assert chose.count("mean") >= 8


@every_objective
def test_auto_tries_what_suits_and_is_not_passed_over(objective):
    tried = {candidate.method for candidate in auto(rotated, objective).report.candidates}
    suited = {name for name, kind in METHODS.items() if kind.suits(N, 6, 6)}
    assert tried == suited - OBJECTIVES[objective].passed_over


def test_auto_does_not_try_identity_between_two_widths():
    assert "identity" not in {candidate.method for candidate in auto(two_widths).report.candidates}


@every_objective
def test_candidates_are_sorted_by_their_loss(objective):
    losses = [candidate.loss.mean for candidate in auto(rotated, objective).report.candidates]
    assert losses == sorted(losses)


@pytest.mark.parametrize("task", [rotated, stretched, mispaired])
@every_objective
def test_the_chosen_candidate_is_the_method_and_the_score_of_the_report(task, objective):
    made = auto(task, objective)
    (best,) = [candidate for candidate in made.report.candidates if candidate.chosen]
    assert (best.method, best.parameters) == (made.report.method, made.report.parameters)
    assert (made.method.name, made.method.parameters()) == (made.report.method, made.report.parameters)
    assert best.score == made.report.score["name"]


@pytest.mark.parametrize("task", [rotated, stretched])
@every_objective
def test_of_what_learned_the_simplest_of_about_least_loss_is_chosen(task, objective):
    candidates = auto(task, objective).report.candidates
    (best,) = [candidate for candidate in candidates if candidate.chosen]
    (nothing,) = [candidate.loss.mean for candidate in candidates if candidate.method == "mean"]
    least = min(candidate.loss.mean for candidate in candidates if candidate.method in LEARNED)
    equal = {
        c.method for c in candidates if c.method in LEARNED and c.loss.mean <= least + 1e-3 * (nothing - least)
    }
    simplest = next(name for name in METHODS if name in equal - {"ridge_loo"})
    assert best.method in {"ridge_loo", "orthogonal", simplest}  # one of the two if what it loses may be chance
    assert best.loss.mean == min(c.loss.mean for c in candidates if c.method == best.method)


@pytest.mark.parametrize("task", [rotated, stretched, two_widths])
def test_the_method_and_the_score_are_fitted_on_all_anchors(task):
    made, (x, y) = auto(task), task()
    alone, folds = METHODS[made.report.method](**made.report.parameters), Folds(x, y, 0)
    trial = alone.settle(folds)
    translated = alone.fit(x, y).transform(x[:40])
    torch.testing.assert_close(made.method.transform(x[:40]), translated)
    expected = Blend.of_dict(made.report.score).fit(trial, folds.basis_of(trial.predicted))(translated, y[:40])
    torch.testing.assert_close(made.score(translated, y[:40]), expected)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "residual"])  # which takes its time
def test_a_named_method_is_taken_whatever_it_is_worth(name, make_pair):
    x, y, *_ = make_pair(N, 4, 4)
    made = estimate(x, shuffled(y), name)
    assert (made.method.name, made.report.method) == (name, name)
    assert {candidate.method for candidate in made.report.candidates} == {name}


def test_a_named_ridge_chooses_its_penalty(make_pair):
    x, y, *_ = make_pair(100, 6, 6, noise=0.5)
    report = estimate(x, y, "ridge").report
    assert {candidate.parameters["penalty"] for candidate in report.candidates} == set(PENALTIES)


def test_a_named_option_is_kept(noisy):
    report = estimate(noisy.x, noisy.y, "ridge", options={"penalty": 0.25}).report
    assert all(candidate.parameters == {"penalty": 0.25} for candidate in report.candidates)


def test_reconstruction_and_retrieval_can_choose_differently():
    x, y = rotated()
    folds = Folds(x, 3 * x + 0.1 * y, 0)  # direction is kept, length is not
    picked = {}
    for goal in (Retrieval(), Reconstruction()):
        found, _ = trials([Mean(), Identity(), Ridge(1e-5)], folds, goal, math.inf)
        picked[goal.name] = found[chosen(found)]
    assert picked["reconstruction"].method.name == "ridge"
    found, _ = trials([Identity(), Ridge(1e-5)], folds, Retrieval(), math.inf)
    by_direction = [coldest(c.by_score[c.scores.index(Score())]).mean() for c in found]
    # by direction alone both find as well; in squared error identity is worse than the mean
    assert abs(by_direction[0] - by_direction[1]) < 0.3


@every_objective
def test_each_variant_stands_once(objective):
    candidates = auto(rotated, objective).report.candidates
    variants = [(candidate.method, *candidate.parameters.values()) for candidate in candidates]
    assert len(set(variants)) == len(variants)


def test_for_retrieval_each_variant_is_tried_in_every_score_it_has():
    scores = {candidate.method.name: {score.name for score in candidate.scores} for candidate in several()[1]}
    assert {"centred cosine", "centred csls", "canonical cosine", "canonical^1 csls"} <= scores["orthogonal"]
    assert scores["identity"] >= {"centred cosine", "centred csls"}
    assert not any("canonical" in name for name in scores["ridge"])


@pytest.mark.parametrize("objective", UNPAIRED)
def test_a_fold_is_compared_as_the_rows_outside_of_it_suggest(objective):
    x, y = rotated(2.0)
    folds = Folds(x[:40], y[:40], 0)
    found = attempt(Orthogonal(), folds, OBJECTIVES[objective]())
    reciprocal = []
    for fold in range(folds.count):
        trial = found.method.trial(folds, fold)
        reciprocal.append(1 / ranks(found.blend(folds.outside(fold)).of(trial)))
    torch.testing.assert_close(found.reciprocal, folds.by_row(reciprocal))


@pytest.mark.parametrize("name", ["identity", "kernel_ridge", "ridge_loo", "whitened"])
def test_a_fit_leaves_its_folds_to_nobody(name, noisy, monkeypatch):
    """Without waiting for a collector of cycles: a server rarely has one."""
    made = []
    monkeypatch.setattr("models.estimate.Folds", lambda *sides: made.append(Folds(*sides)) or made[-1])
    gc.collect()
    gc.disable()
    try:
        estimate(noisy.x, noisy.y, name)
        known = [weakref.ref(folds) for folds in made]
        made.clear()
        assert [folds() for folds in known] == [None] * len(known)
    finally:
        gc.enable()
    assert known


def test_without_time_the_first_method_is_tried_and_the_others_are_named():
    report = estimate(*rotated(), budget=-1.0).report
    assert {candidate.method for candidate in report.candidates} == {"mean"}
    suited = {name for name, kind in METHODS.items() if kind.suits(N, 6, 6)}
    assert report.dropped == sorted(suited - Retrieval.passed_over - {"mean"})


def test_without_time_a_named_method_is_its_first_variant():
    report = estimate(*rotated(), "ridge", budget=-1.0).report
    assert {candidate.parameters["penalty"] for candidate in report.candidates} == {PENALTIES[0]}
    assert report.dropped == ["ridge"]


def test_without_time_for_a_head_something_is_tried_too():
    head = LinearHead(normals(3, 2, 6), normals(4, 2))
    report = estimate(*rotated(), objective="head", head=head, budget=-1.0).report
    assert len({candidate.method for candidate in report.candidates}) == 1
    assert report.dropped


def test_with_time_nothing_is_dropped():
    assert auto(rotated).report.dropped == []


def test_the_first_variant_of_every_method_is_tried_before_the_second_of_any():
    folds = several()[0]
    methods = [Mean(), Orthogonal(), *Ridge.candidates({})]
    found, dropped = trials(methods, folds, Reconstruction(), -math.inf)
    assert [candidate.method.name for candidate in found] == ["mean"]
    assert dropped == ["orthogonal", "ridge"]


def test_time_never_costs_the_first_that_can_be_chosen():
    class OfRidge(Reconstruction):
        """Has no finite loss for what does not vary."""

        def of(self, trial, similarity, folds):
            loss = super().of(trial, similarity, folds)
            return loss if trial.predicted.std(0).max() > 0 else loss + math.inf

    found, dropped = trials([Mean(), Orthogonal(), Ridge()], several()[0], OfRidge(), -math.inf)
    assert [candidate.method.name for candidate in found] == ["orthogonal"]
    assert dropped == ["ridge"]


def test_the_simplest_kind_within_one_error_is_chosen():
    better = torch.tensor([0.0, 1.0] * 50)
    simpler = better + torch.tensor([-1.0, 1.02] * 50)  # worse by 0.01, error of 0.1
    assert chosen([tried(Orthogonal(), better), tried(Mean(), simpler)]) == 1


def test_a_simpler_kind_beyond_one_error_is_not():
    better = torch.tensor([0.0, 1.0] * 50)
    simpler = better + torch.tensor([0.0, 0.1] * 50)  # worse by 0.05, error of 0.005
    assert chosen([tried(Mean(), simpler), tried(Orthogonal(), better)]) == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_mean_is_simpler_than_identity_which_is_simpler_than_what_learned(order):
    losses = torch.ones(10)
    equals = [tried(method, losses) for method in (Mean(), Identity(), Ridge())]
    shown = [equals[i] for i in order]
    assert shown[chosen(shown)].method.name == "mean"
    without = [candidate for candidate in shown if candidate.method.name != "mean"]
    assert without[chosen(without)].method.name == "identity"


def test_what_was_tuned_has_to_win_by_more_than_chance():
    better = torch.tensor([0.0, 1.0] * 50)
    within, beyond = better + torch.tensor([-1.0, 1.02] * 50), better + 0.1
    assert chosen([tried(RidgeLoo(), within, tuned=False), tried(Whitened(), better)]) == 0
    assert chosen([tried(RidgeLoo(), beyond, tuned=False), tried(Whitened(), better)]) == 1


@every_objective
def test_methods_without_options_are_tuned_where_their_score_is(objective):
    found = attempt(Orthogonal(), Folds(*rotated(), 0), OBJECTIVES[objective]())
    assert found.tuned is (objective == "retrieval")


def test_of_what_learned_none_is_simpler_than_another():
    better = torch.tensor([0.0, 1.0] * 50)
    within = better + torch.tensor([-1.0, 1.02] * 50)
    assert chosen([tried(Orthogonal(), within), tried(Ridge(), better)]) == 1
    assert chosen([tried(Orthogonal(), better), tried(Ridge(), within)]) == 0


def test_the_error_is_that_of_the_paired_difference():
    hard = torch.tensor([0.0, 100.0] * 50)  # rows differ far more than the candidates do
    assert chosen([tried(Mean(), hard + 1), tried(Ridge(), hard)]) == 1


@pytest.mark.parametrize("first", [0, 1])
def test_of_equals_the_first_is_chosen(first):
    losses = [torch.ones(10)] * first + [torch.zeros(10)] * 3
    assert chosen([tried(Ridge(), loss) for loss in losses]) == first


def test_a_candidate_counts_by_the_setting_that_suits_it_best():
    cold, hot = (
        tried(Ridge(), torch.ones(10), torch.full((10,), 3.0)),
        tried(Ridge(), *[torch.full((10,), 2.0)] * 2),
    )
    assert chosen([hot, cold]) == 1


def test_a_choice_can_be_of_some_rows():
    first, second = torch.tensor([0.0, 0.0, 5.0, 5.0]), torch.tensor([1.0, 1.0, 0.0, 0.0])
    pair = [tried(Ridge(), first), tried(Ridge(), second)]
    assert chosen(pair) == 1
    assert chosen(pair, torch.tensor([True, True, False, False])) == 0


def test_the_figures_of_a_fold_are_of_the_candidate_that_the_others_choose():
    folds = Folds(normals(0, 20, 3), normals(1, 20, 3), 0)
    first, second = Ridge(1e-3), Orthogonal()
    own = folds.inside(0).double()
    # the second is better in fold 0 alone, so the other folds choose the first
    crossed, _ = cross_fitted([tried(first, 5 * own), tried(second, 1 - own)], folds)
    trial = first.trial(folds, 0)
    alone = judged(trial, similarities(trial, [Score()])[0])
    assert torch.equal(crossed.error[: len(alone.error)], alone.error)
    assert torch.equal(crossed.rank[: len(alone.rank)], alone.rank)


def test_the_figures_of_a_fold_are_by_the_scores_that_the_others_suggest():
    folds = Folds(normals(0, 200, 3), normals(1, 200, 3), 0)
    own = folds.inside(0).double()
    # the second score is the better one in fold 0 alone, and there so much that it would have all the weight
    scores, losses = (Score(), Score("whitened")), torch.stack([100 * own, 1 - own])
    candidate = Tried(Ridge(), torch.ones(200, 1), torch.ones(200), scores, losses[:, :, None], tuned=True)
    assert candidate.blend().scores[0] == Score("whitened")
    crossed, _ = cross_fitted([candidate], folds)
    trial = Ridge().trial(folds, 0)
    alone = judged(trial, similarities(trial, [Score()])[0])
    assert torch.equal(crossed.rank[: len(alone.rank)], alone.rank)


def test_figures_are_of_one_partition_of_the_anchors():
    folds = Folds(normals(0, 60, 3), normals(1, 60, 3), 0)
    crossed, _ = cross_fitted([tried(Orthogonal(), torch.ones(60))], folds)
    assert folds.repeats > 1
    assert all(values.shape[0] == 60 for values in vars(crossed).values())


@every_objective
def test_the_same_seed_gives_the_same_report(objective):
    assert estimate(*rotated(), objective=objective).report == auto(rotated, objective).report


def test_another_seed_gives_other_figures_of_the_same_translation(noisy):
    first, second = (estimate(noisy.x, noisy.y, "orthogonal", seed=seed) for seed in (4, 5))
    assert first.report.quality != second.report.quality
    assert torch.equal(first.method.map_.weight, second.method.map_.weight)


def test_the_global_seed_is_neither_read_nor_moved(noisy):
    state = torch.random.get_rng_state()
    estimate(noisy.x, noisy.y, "orthogonal")
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_inputs_are_left_as_they_were(noisy):
    before = noisy.x.clone(), noisy.y.clone()
    estimate(noisy.x, noisy.y, "ridge")
    assert torch.equal(noisy.x, before[0])
    assert torch.equal(noisy.y, before[1])


def test_auto_with_empty_options_is_auto():
    report = estimate(*rotated(), options={}, budget=-1.0).report
    assert report == estimate(*rotated(), budget=-1.0).report
