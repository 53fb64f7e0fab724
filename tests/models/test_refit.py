"""Maps fitted again: the same method, without the anchors that it is asked about."""

import pytest
import torch

from models.distilled import Distilled
from models.errors import TooFewAnchors
from models.estimate import estimate
from models.heads import LinearHead
from models.refit import crossed, method_of
from models.registry import METHODS, candidates
from models.ridge import Ridge


@pytest.mark.parametrize("name", METHODS)
def test_the_method_of_a_report_is_the_one_that_was_fitted(name):
    for fitted in candidates(name, {}):
        again = method_of({"method": name, "parameters": fitted.parameters(), "objective": "retrieval"})
        assert (type(again), again.parameters()) == (type(fitted), fitted.parameters())


def test_of_the_objective_of_a_head_as_well(normal):
    x, mix = normal(501, 6), normal(6, 12)
    y = torch.tanh(3 * x) @ mix + 0.3 * normal(501, 12)
    head = LinearHead(20 * torch.linalg.pinv(mix).T[:3], torch.zeros(3, dtype=torch.float64))
    done = estimate(x, y, objective="head", head=head)
    again = method_of(done.report.to_dict(), head)
    assert isinstance(again, Distilled)
    assert again.head is head
    assert again.parameters() == done.method.parameters()


def test_every_map_is_fitted_without_its_fold(noisy):
    kept = torch.ones(300, dtype=torch.bool)
    kept[:10] = False
    maps, fold_of = crossed(Ridge(), noisy.x, noisy.y, kept, 0)
    assert fold_of.bincount().tolist() == [60] * 5
    for fold, fitted in enumerate(maps):
        rows = kept & (fold_of != fold)
        torch.testing.assert_close(fitted(noisy.x), Ridge().fit(noisy.x[rows], noisy.y[rows]).transform(noisy.x))


def test_anchors_look_worse_to_maps_that_did_not_see_them(few):
    maps, fold_of = crossed(Ridge(1e-8), few.x, few.y, torch.ones(12, dtype=torch.bool), 0)
    apart = torch.stack([maps[fold](few.x[row : row + 1])[0] for row, fold in enumerate(fold_of.tolist())])
    seen = Ridge(1e-8).fit(few.x, few.y).transform(few.x)
    assert (seen - few.y).norm() < 0.01 * (apart - few.y).norm()


def test_each_of_two_anchors_becomes_the_other(few):
    maps, fold_of = crossed(Ridge(), few.x[:2], few.y[:2], torch.ones(2, dtype=torch.bool), 0)
    for row, fold in enumerate(fold_of.tolist()):
        assert torch.equal(maps[fold](few.x[row : row + 1]), few.y[1 - row : 2 - row].double())


def test_too_few_anchors_are_an_error(few):
    with pytest.raises(TooFewAnchors):
        crossed(Ridge(), few.x[:1], few.y[:1], torch.ones(1, dtype=torch.bool), 0)
