"""Pairs that lie aside judge a fit on others, in galleries of one size."""

import pytest
import torch

from models.aside import Aside
from models.estimate import estimate
from models.folds import EVALUATED, Folds, gallery_of
from models.heads import LinearHead


@pytest.fixture
def pair(make_pair):
    return make_pair(200, 8, 6, noise=1.0)


@pytest.mark.parametrize("n", [2, 3, 5, 9, 10, 57, 300, 3000])
def test_the_gallery_of_a_number_of_anchors_is_that_of_their_folds(n, normal):
    folds = Folds(normal(n, 2), normal(n, 2), seed=0)
    assert gallery_of(n) == folds.gallery == min(len(gallery.x) for gallery in folds.galleries())


@pytest.mark.parametrize(("m", "size", "count"), [(50, 10, 5), (59, 10, 5), (10, 10, 1), (2 * EVALUATED, 400, 5)])
def test_galleries_are_of_one_size_and_share_no_row(m, size, count, normal):
    rows = torch.arange(m).unsqueeze(1)
    galleries = Aside(rows, -rows, size, seed=1).galleries(torch.zeros(1))
    assert [len(gallery.x) for gallery in galleries] == [size] * count
    seen = torch.cat([gallery.x for gallery in galleries])
    assert len(seen.unique()) == count * size
    assert all(torch.equal(gallery.x, -gallery.y) for gallery in galleries)


def test_the_figures_are_those_of_the_pairs_aside(pair):
    fitted = estimate(
        pair.x[:60], pair.y[:60], "ridge", options={"penalty": 1e-3}, aside=Aside(pair.x[60:], pair.y[60:], 140, 0)
    )
    predicted, y = fitted.method.transform(pair.x[60:]), pair.y[60:]
    similarity = fitted.score(predicted, y)
    mrr = sum(1 / (1 + int((row > row[i]).sum())) for i, row in enumerate(similarity)) / 140
    r2 = 1 - (predicted - y).square().sum() / (y - pair.y[:60].mean(0)).square().sum()
    report = fitted.report
    assert (report.held_out, report.gallery, report.anchors) == (140, 140, 60)
    assert report.quality["mrr"].mean == pytest.approx(mrr)
    assert report.quality["r2"].mean == pytest.approx(float(r2))
    assert report.baselines["mean"]["r2"].mean == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("activation", ["softmax", "none"])
def test_the_figure_of_a_head_is_that_of_the_pairs_aside(activation, pair, normal):
    head = LinearHead(normal(9, 6), normal(9), activation)
    aside = Aside(pair.x[60:], pair.y[60:], 40, 0)
    fitted = estimate(pair.x[:60], pair.y[:60], "ridge", objective="head", head=head, aside=aside)
    galleries = aside.galleries(pair.y[:60].mean(0))
    y = torch.cat([gallery.y for gallery in galleries])
    stitched, native = head(fitted.method.transform(torch.cat([gallery.x for gallery in galleries]))), head(y)
    expected = {
        "softmax": (stitched.argmax(1) == native.argmax(1)).double().mean(),
        "none": 1 - (stitched - native).square().sum() / (native - native.mean(0)).square().sum(),
    }
    assert fitted.report.held_out == 120
    assert fitted.report.quality["agreement"].mean == pytest.approx(float(expected[activation]))


def test_the_choice_is_not_changed_by_what_judges_it(pair):
    x, y = pair.x[:60], pair.y[:60]
    alone, judged = estimate(x, y), estimate(x, y, aside=Aside(pair.x[60:], pair.y[60:], 40, 0))
    assert judged.report.candidates == alone.report.candidates
    assert judged.report.confidence == alone.report.confidence
    assert judged.report.quality != alone.report.quality


def test_a_smaller_gallery_flatters_and_the_same_does_not(pair):
    """Few anchors, judged among few by their folds, would pass for better than among as many as all of them."""
    few = estimate(pair.x[:20], pair.y[:20], "ridge")
    aside = estimate(pair.x[:20], pair.y[:20], "ridge", aside=Aside(pair.x[20:], pair.y[20:], 40, 0))
    every = estimate(pair.x, pair.y, "ridge")
    assert (few.report.gallery, aside.report.gallery, every.report.gallery) == (4, 40, 40)
    figures = [one.report.quality["mrr"].mean for one in (aside, every, few)]
    assert figures == sorted(figures)
