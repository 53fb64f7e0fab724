"""The mean of maps: what is chosen for it, from which rows, and that it is one map."""

import pytest
import torch

from models import objectives
from models.affine import Affine
from models.ensemble import POOL, STEPS, Ensemble, additions, greedy
from models.errors import NotFitted
from models.estimate import estimate
from models.folds import Folds
from models.heads import LinearHead, MlpHead
from models.mean import Mean
from models.objectives import Agreement, Reconstruction
from models.refit import method_of
from models.registry import METHODS
from models.ridge import Ridge
from models.whitened import Whitened

MEMBERS = (Ridge(1e-3), Ridge(10.0), Whitened())


def squared_to(native):
    return lambda means: (means - native).square().sum(-1)


def ensemble_of(pair, members=MEMBERS, seed=0):
    """With answers that are the translations themselves."""
    folds = Folds(pair.x, pair.y, seed)
    trials = [[member.trial(folds, fold) for fold in range(folds.count)] for member in members]
    answers = torch.stack([torch.cat([folds.full(t.predicted).double() for t in of]) for of in trials])
    native = torch.cat([folds.y[folds.rows(fold)] for fold in range(folds.count)])
    return folds, Ensemble.chosen(members, answers, squared_to(native), folds)


def test_each_step_adds_what_leaves_the_least_loss(normal):
    answers, native = normal(6, 40, 3), normal(40, 3)
    bag = []
    for _ in range(STEPS):
        losses = [float((answers[[*bag, i]].mean(0) - native).square().sum()) for i in range(6)]
        bag.append(losses.index(min(losses)))
    weights = greedy(additions(answers, squared_to(native)), torch.ones(40, dtype=torch.bool))
    assert weights.tolist() == pytest.approx([bag.count(i) / STEPS for i in range(6)])
    assert len(set(bag)) > 1


def test_errors_that_are_opposite_cancel(normal):
    native, error = normal(40, 3), normal(40, 3)
    answers = torch.stack([native + error, native - error, native + 2 * normal(40, 3)])
    weights = greedy(additions(answers, squared_to(native)), torch.ones(40, dtype=torch.bool))
    assert weights.tolist() == [0.5, 0.5, 0.0]


def test_rows_that_do_not_count_do_not_count(normal):
    native, rows = normal(40, 3), torch.arange(40) < 20
    answers = torch.stack([native + rows[:, None], native + 2.0 * ~rows[:, None]])  # right where the other is not
    added = additions(answers, squared_to(native))
    assert greedy(added, rows).tolist() == [0.0, 1.0]
    assert greedy(added, ~rows).tolist() == [1.0, 0.0]


def test_it_is_the_mean_of_maps_that_are_fitted_alone(noisy):
    made = Ensemble(MEMBERS, (0.5, 0.3, 0.2)).fit(noisy.x, noisy.y)
    alone = [METHODS[m.name](**m.parameters()).fit(noisy.x, noisy.y).transform(noisy.x) for m in MEMBERS]
    expected = 0.5 * alone[0] + 0.3 * alone[1] + 0.2 * alone[2]
    torch.testing.assert_close(made.transform(noisy.x), expected)
    assert isinstance(made.map_, Affine)


@pytest.mark.parametrize("shape", [(300, 16, 16), (40, 60, 50)], ids=str)
def test_settled_on_folds_it_is_what_a_fit_gives(shape, make_pair):
    pair = make_pair(*shape, noise=0.5)
    folds, made = ensemble_of(pair)
    trial = made.settle(folds)
    fitted = Ensemble(made.members, made.weights).fit(pair.x, pair.y)
    torch.testing.assert_close(made.map_.weight, fitted.map_.weight, atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(trial.sample, fitted.transform(pair.x[folds.sample()]), atol=1e-7, rtol=1e-6)
    assert made.rank_ == fitted.rank_


def test_not_fitted_is_told():
    with pytest.raises(NotFitted, match="Ensemble"):
        Ensemble(MEMBERS, (0.5, 0.3, 0.2)).transform(torch.zeros(1, 16))


@pytest.mark.parametrize("shape", [(300, 16, 16), (40, 60, 50)], ids=str)
def test_a_fold_is_translated_by_what_was_fitted_and_weighed_without_it(shape, make_pair):
    pair = make_pair(*shape, noise=0.5)
    folds, _ = ensemble_of(pair)
    rows = torch.cat([folds.rows(fold) for fold in range(folds.count)])
    native, answers = (
        folds.y[rows],
        torch.stack(
            [
                torch.cat([folds.full(m.trial(folds, f).predicted).double() for f in range(folds.count)])
                for m in MEMBERS
            ]
        ),
    )
    for fold in (0, folds.count - 1):
        inside = folds.inside(fold)[rows]
        lied = native + 100.0 * inside[:, None]  # whatever the fold's own rows say
        trial = Ensemble.chosen(MEMBERS, answers, squared_to(lied), folds).trial(folds, fold)
        weights = greedy(
            additions(answers[:, ~inside], squared_to(native[~inside])), torch.ones(int((~inside).sum())) > 0
        )
        train, held = folds.train(fold), folds.rows(fold)
        alone = [
            type(m)(**m.parameters()).fit(pair.x[train], pair.y[train]).transform(pair.x[held]) for m in MEMBERS
        ]
        expected = sum(float(w) * part for w, part in zip(weights, alone, strict=True))
        torch.testing.assert_close(trial.predicted.double(), expected, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(trial.y.double(), pair.y[held], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(trial.mean, pair.y[train].mean(0))


def test_what_weighs_nothing_is_no_member(noisy):
    _, made = ensemble_of(noisy, (Mean(), Ridge(1e-3)))
    assert [member.name for member in made.members] == ["ridge"]
    assert made.weights == (1.0,)


def test_its_parameters_make_it_again(noisy):
    _, made = ensemble_of(noisy)
    report = {"method": "ensemble", "parameters": made.parameters(), "objective": "retrieval"}
    again = method_of(report).fit(noisy.x, noisy.y)
    assert again.parameters() == made.parameters()
    torch.testing.assert_close(again.map_.weight, made.fit(noisy.x, noisy.y).map_.weight)
    assert sum(made.weights) == pytest.approx(1.0)
    assert list(made.weights) == sorted(made.weights, reverse=True)


@pytest.fixture
def seen(normal):
    """300 anchors and 1000 fresh rows; the target holds the curved source, and a head that sees a part."""
    x, mix = normal(1300, 12), normal(12, 24)
    y = torch.tanh(2 * x) @ mix + normal(1300, 24)
    return (
        x[:300],
        y[:300],
        x[300:],
        y[300:],
        LinearHead(4 * torch.linalg.pinv(mix).T[:4], torch.zeros(4).double()),
    )


def test_auto_tries_it_last_for_a_linear_head(seen):
    x, y, fresh_x, fresh_y, head = seen
    made = estimate(x, y, objective="head", head=head)
    means = {one.method: one.loss.mean for one in sorted(made.report.candidates, key=lambda one: -one.loss.mean)}
    assert means["ensemble"] <= min(means.values())
    (candidate,) = [one for one in made.report.candidates if one.method == "ensemble"]
    again = method_of({"method": "ensemble", "parameters": candidate.parameters, "objective": "head"}, head).fit(
        x, y
    )
    assert len(again.members) <= min(POOL, STEPS)
    found = head.raw(again.transform(fresh_x)).argmax(1) == head.raw(fresh_y).argmax(1)
    ridge = head.raw(Ridge(1e-3).fit(x, y).transform(fresh_x)).argmax(1) == head.raw(fresh_y).argmax(1)
    assert found.double().mean() >= ridge.double().mean()


def names(x, y, method="auto", objective="head", head=None):
    return {one.method for one in estimate(x, y, method, objective, head=head).report.candidates}


def test_nobody_else_gets_one(seen):
    x, y, *_, head = seen
    x, y = x[:40], y[:40]
    curved = MlpHead(("linear", "tanh"), {"0.weight": head.weight})
    assert "ensemble" in names(x, y, head=head)
    assert "ensemble" not in names(x, y, head=curved)
    assert "ensemble" not in names(x, y, "ridge", head=head)
    assert "ensemble" not in names(x, y, objective="retrieval")
    assert "ensemble" not in names(x, y, objective="reconstruction")


def test_too_many_answers_are_not_kept(seen, monkeypatch):
    *_, head = seen
    folds = Folds(*seen[:2], 0)
    assert Agreement(head).answers([folds.y], folds).shape == (300, 4)
    monkeypatch.setattr(objectives, "KEPT", 4 * 300 - 1)
    assert Agreement(head).answers([folds.y], folds) is None
    assert Agreement(head).together({}, folds) == Reconstruction().together({}, folds) == []


def test_one_alone_is_no_ensemble(seen):
    *_, head = seen
    folds = Folds(*seen[:2], 0)
    answers = {Ridge(): Agreement(head).answers([folds.y], folds)}
    assert Agreement(head).together(answers, folds) == []


def test_without_time_there_is_none(seen):
    x, y, *_, head = seen
    report = estimate(x, y, objective="head", head=head, budget=-1.0).report
    assert "ensemble" not in {one.method for one in report.candidates}
