"""Two clouds, no id in common, and the agreement of restarts."""

import numpy as np
import pytest

from anchors import pair_unpaired
from anchors.errors import PairingRefused, TooFewPoints
from anchors.scale import unit
from anchors.unpaired import UnpairedReport, agreements, check_report, rotation_of
from tests.anchors.conftest import Clouds, named


@pytest.fixture(scope="module")
def clouds() -> Clouds:
    return Clouds()


@pytest.fixture(scope="module")
def wider() -> np.ndarray:
    """(16, 20): 16 dimensions turned into some of 20."""
    return np.linalg.qr(np.random.default_rng(1).normal(size=(20, 20)))[0][:16]


@pytest.fixture(scope="module")
def case(clouds, wider):
    source, target = clouds.unpaired(400)
    return source, named("t", (target.vectors @ wider).astype(np.float32))


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def result(case, told):
    return pair_unpaired(*case, progress=lambda *step: told.append(step))


def test_a_rotation_is_recovered_from_other_items_of_the_same_cloud(clouds, wider, result):
    pairs, _ = result
    x, y = (side - side.mean(0) for side in (pairs.source, pairs.target))
    found, new = rotation_of(x, y), clouds.points(300)
    cosine = (unit(new @ found) * unit(new @ clouds.rotation @ wider)).sum(1)
    assert found.shape == (16, 20)
    assert cosine.mean() > 0.97


def test_restarts_agree_on_it(result):
    _, report = result
    assert report.agreement > 0.95
    assert report.same_nearest > 0.3
    assert report.restarts == 5
    assert report.to_dict() == vars(report)


def test_all_pairs_are_induced_and_named_after_what_they_join(case, result):
    pairs, report = result
    source, target = case
    assert pairs.induced.all()
    assert report.induced == len(pairs.ids)
    assert report.mutual_nn_rate == len(pairs.ids) / 400
    assert pairs.ids == [f"{one}|{other}" for one, other in pairs.joins]
    assert np.array_equal(pairs.source, source.rows([one for one, _ in pairs.joins]))
    assert np.array_equal(pairs.target, target.rows([other for _, other in pairs.joins]))


def test_no_point_is_joined_twice(result):
    assert all(len(set(side)) == len(side) for side in zip(*result[0].joins, strict=True))


def test_scores_are_cosines_one_for_each_pair(result):
    pairs, _ = result
    assert pairs.scores.shape == (len(pairs.ids),)
    assert (np.abs(pairs.scores) <= 1 + 1e-5).all()


def test_progress_is_told(result, told):
    assert told == [("restarts", done, 5) for done in range(1, 6)]


def test_the_same_seed_gives_the_same_pairs(case, result):
    again, report = pair_unpaired(*case)
    assert again.ids == result[0].ids
    assert report == result[1]


def test_unrelated_clouds_are_refused_with_the_figures(clouds):
    source, target = named("s", clouds.points(300)), named("t", Clouds(seed=7).points(300))
    with pytest.raises(PairingRefused, match="independent restarts must agree") as refused:
        pair_unpaired(source, target)
    got = refused.value.facts["got"]
    assert got["agreement"] < 0.8 or got["same_nearest"] < 0.1 or got["mutual_nn_rate"] < 0.25
    assert got["restarts"] == 5


def test_clouds_without_shape_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(PairingRefused):
        pair_unpaired(*(named(side, rng.normal(size=(300, 8)).astype(np.float32)) for side in "st"))


def test_one_long_axis_is_not_taken_for_agreement():
    """Every map that finds the axis puts points in nearly the right direction; it knows no item."""
    rng = np.random.default_rng(0)
    sides = [np.hstack([rng.exponential(20, (300, 1)), rng.normal(size=(300, 8))]) for _ in "st"]
    with pytest.raises(PairingRefused) as refused:
        pair_unpaired(*(named(side, points.astype(np.float32)) for side, points in zip("st", sides, strict=True)))
    assert refused.value.facts["got"]["agreement"] > 0.8


def test_agreement_is_that_of_every_two():
    y = unit(np.eye(3))
    one, other = y, y[[0, 1, 1]]
    assert agreements([one, one, other], y) == pytest.approx(((1 + 2 / 3 + 2 / 3) / 3,) * 2)


@pytest.mark.parametrize(("rate", "agreement", "same"), [(0.24, 1, 1), (1, 0.79, 1), (1, 1, 0.09)])
def test_every_figure_must_be_reached(rate, agreement, same):
    with pytest.raises(PairingRefused) as refused:
        check_report(UnpairedReport(100, rate, 5, agreement, same))
    assert refused.value.facts["expected"] == {"agreement": 0.8, "same_nearest": 0.1, "mutual_nn_rate": 0.25}


def test_figures_that_are_just_reached_are_accepted():
    check_report(UnpairedReport(100, 0.25, 5, 0.8, 0.1))


@pytest.mark.parametrize(("source", "target"), [(99, 100), (100, 99), (0, 0)])
def test_too_few_points_are_an_error(clouds, source, target):
    sides = named("s", clouds.points(source)), named("t", clouds.points(target))
    with pytest.raises(TooFewPoints, match=f"needs 100 points in each space, got {source} and {target}"):
        pair_unpaired(*sides)
