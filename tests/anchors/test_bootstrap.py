"""Few seeds, many points that share no id, and the gate."""

import numpy as np
import pytest

from anchors import AnchorSet, Pairs, pair_by_bootstrap
from anchors.bootstrap import LEAST_POINTS, LEAST_SEEDS, check_gain, grown, reciprocal_ranks
from anchors.errors import AnchorError, PairingRefused, TooFewPoints
from anchors.span import Span
from tests.anchors.conftest import Clouds, named


def hard(clouds: Clouds, n: int, same: bool = False) -> tuple[Pairs, AnchorSet, AnchorSet]:
    """Eight seeds that are noisy, and points of the same items, or not."""
    x = clouds.points(n)
    y = x if same else clouds.points(n)
    return clouds.pairs(8, noise=1.0), named("s", x), named("t", clouds.turned(y))


@pytest.fixture(scope="module")
def wide() -> Clouds:
    return Clouds(d=40, seed=4)


@pytest.fixture(scope="module")
def case(wide) -> tuple[Pairs, AnchorSet, AnchorSet]:
    return hard(wide, 400, same=True)


@pytest.fixture(scope="module")
def result(case):
    return pair_by_bootstrap(*case)


def test_a_rotation_is_recovered_from_eight_noisy_seeds(case, result, wide):
    pairs, _ = result
    x = wide.points(300)
    before = Span.of(case[0].source, case[0].target)
    after = Span.of(pairs.source, pairs.target)
    none = np.empty((0, 40))
    mrr = [reciprocal_ranks(span, x, wide.turned(x), none).mean() for span in (before, after)]
    assert mrr[0] < 0.6
    assert mrr[1] > 0.99


def test_induced_pairs_join_the_same_items(result):
    pairs, _ = result
    joins = [join for join, induced in zip(pairs.joins, pairs.induced, strict=True) if induced]
    assert np.mean([one[1:] == other[1:] for one, other in joins]) > 0.95


def test_the_seeds_come_first_and_are_not_induced(case, result):
    pairs, report = result
    assert pairs.ids[:8] == case[0].ids
    assert pairs.joins[:8] == [(id_, id_) for id_ in case[0].ids]
    assert pairs.induced.tolist() == [False] * 8 + [True] * report.induced


def test_ids_and_rows_of_induced_pairs_are_what_they_join(case, result):
    pairs, _ = result
    _, source, target = case
    assert pairs.ids[8:] == [f"{one}|{other}" for one, other in pairs.joins[8:]]
    assert np.array_equal(pairs.source[8:], source.rows([one for one, _ in pairs.joins[8:]]))
    assert np.array_equal(pairs.target[8:], target.rows([other for _, other in pairs.joins[8:]]))


def test_no_point_is_joined_twice(result):
    sides = zip(*result[0].joins, strict=True)
    assert all(len(set(side)) == len(side) for side in sides)


def test_scores_are_cosines_one_for_each_pair(result):
    pairs, _ = result
    assert pairs.scores.shape == (len(pairs.ids),)
    assert (np.abs(pairs.scores) <= 1 + 1e-5).all()


def test_the_report_holds_the_figures(result):
    pairs, report = result
    assert (report.seeds, report.induced) == (8, len(pairs.ids) - 8)
    assert report.mutual_nn_rate == report.induced / 400
    assert report.after > report.before
    assert report.to_dict() == vars(report)


def test_the_same_seed_gives_the_same_pairs(case, result):
    again, report = pair_by_bootstrap(*case)
    assert again.ids == result[0].ids
    assert np.array_equal(again.scores, result[0].scores)
    assert report == result[1]


def test_progress_is_told(case):
    told = []
    pair_by_bootstrap(*case, progress=lambda *step: told.append(step))
    assert told == [*(("left-out seeds", done, 5) for done in range(1, 6)), ("induce", 1, 1)]


def test_the_dictionary_doubles_and_stops(wide):
    seeds, source, target = hard(wide, 400, same=True)
    growth = grown(seeds.source, seeds.target, source.vectors, target.vectors)
    assert growth.rounds <= 12
    assert len(growth.rows) <= 400


def test_points_without_their_items_in_the_other_space_may_help_too(clouds):
    seeds = clouds.pairs(8, noise=2)
    source, target = clouds.unpaired(600)
    x = clouds.points(300)
    before = Span.of(seeds.source, seeds.target)
    after = grown(seeds.source, seeds.target, source.vectors, target.vectors).span
    none = np.empty((0, 16))
    mrr = [reciprocal_ranks(span, x, clouds.turned(x), none).mean() for span in (before, after)]
    assert mrr[1] > mrr[0] + 0.1


def test_what_is_right_already_is_not_bootstrapped(clouds):
    """science.md 2.11, fact 10: it can hurt a map that is good."""
    with pytest.raises(PairingRefused, match=r"must lift the MRR .* it went from 1\.000 to .* pair by ids alone"):
        pair_by_bootstrap(clouds.pairs(30), *clouds.unpaired(300))


def test_bootstrapping_that_hurts_is_refused_with_the_figures(clouds):
    other = Clouds(seed=9)
    target = named("t", other.points(300))
    with pytest.raises(PairingRefused) as refused:
        pair_by_bootstrap(clouds.pairs(12, noise=0.1), clouds.unpaired(300)[0], target)
    got = refused.value.facts["got"]
    assert got["after"] < got["before"]
    assert got["seeds"] == 12
    assert isinstance(refused.value, AnchorError)


@pytest.mark.parametrize(
    "after",
    [[0.5, 0.5, 0.5, 0.5], [0.51] * 4, [1.0, 0.0, 1.0, 0.1], [0.4] * 4],
    ids=["none", "small", "noisy", "less"],
)
def test_a_gain_that_is_none_small_or_noisy_is_refused(after):
    with pytest.raises(PairingRefused):
        check_gain(np.full(4, 0.5), np.array(after))


def test_a_gain_that_is_large_and_sure_is_accepted():
    check_gain(np.array([0.1, 0.2, 0.1, 0.3]), np.array([0.9, 1.0, 0.8, 1.0]))


def test_reciprocal_ranks_count_ties_half_and_other_points(clouds):
    pairs = clouds.pairs(20)
    span, x = Span.of(pairs.source, pairs.target), clouds.points(5)
    y = clouds.turned(x)
    assert reciprocal_ranks(span, x, y, clouds.turned(clouds.points(50))).tolist() == [1] * 5
    assert reciprocal_ranks(span, x[:1], y[:1], y[[0, 0]]).tolist() == [0.5]


@pytest.mark.parametrize(
    ("seeds", "points"), [(LEAST_SEEDS - 1, LEAST_POINTS), (LEAST_SEEDS, LEAST_POINTS - 1), (0, 0)]
)
def test_too_few_seeds_or_points_are_an_error(clouds, seeds, points):
    with pytest.raises(TooFewPoints, match="needs 6 shared ids and 20 more points in each space, got") as refused:
        pair_by_bootstrap(clouds.pairs(seeds), *clouds.unpaired(points))
    assert refused.value.facts["got"] == {"seeds": seeds, "source": points, "target": points}


def test_one_side_with_too_few_points_is_an_error(clouds):
    source, target = clouds.unpaired(30)
    with pytest.raises(TooFewPoints):
        pair_by_bootstrap(clouds.pairs(8), source, target.without(target.ids[:25]))
