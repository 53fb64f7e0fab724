"""How anchors are matched and chosen, over the wire; and what is refused with its figures."""

import numpy as np
import pytest

from anchors import SELECTORS
from app.service.pairing import PAIRINGS, PROTOTYPES, SHOWN
from tests.anchors.conftest import Clouds
from tests.app.api.conftest import put_points, put_space, served

AB = {"source": "a", "target": "b", "method": "ridge"}
CHOICES = [*SELECTORS, PROTOTYPES]
ANCHORS = 40


def put(client, name="t", **fields):
    return client.put(f"/v1/translators/{name}", json={**AB, **fields})


@pytest.fixture
def refused(spaces, assert_problem):
    """refused(code, **fields): the problem of a PUT that leaves no translator."""

    def refused(code, **fields):
        problem = assert_problem(put(spaces, **fields), 422, code)
        assert spaces.get("/v1/translators/t").status_code == 404
        return problem

    return refused


# Which anchors


@pytest.mark.parametrize("selector", CHOICES)
def test_every_selector_can_be_asked_for(spaces, selector):
    answer = put(spaces, anchors={"selector": selector, "count": 20})
    body = answer.json()
    assert (answer.status_code, body["anchors"]) == (201, {"selector": selector, "count": 20})
    assert body["report"]["anchors"] + len(body["report"]["suspicious"]) == 20
    assert spaces.get("/v1/translators/t").json() == body


@pytest.mark.parametrize("selector", CHOICES)
def test_more_than_there_are_is_all(spaces, selector):
    report = put(spaces, anchors={"selector": selector, "count": 10_000}).json()["report"]
    assert report["anchors"] + len(report["suspicious"]) == ANCHORS


def test_without_a_selection_all_anchors_are_fitted_on(spaces):
    body = put(spaces).json()
    assert (body["anchors"], body["report"]["anchors"]) == (None, ANCHORS)
    assert body["pairing"] == {"method": "ids", "source_collection": None, "target_collection": None}
    assert body["report"]["pairing"] == {"pairs": ANCHORS, "dropped": {}}
    assert body["anchor_versions"] == {"source": 1, "target": 1}


@pytest.mark.parametrize(("count", "left", "judging"), [(20, 20, 16), (33, 7, 33), (40, 0, 40)])
def test_pairs_that_are_left_judge_the_fit_where_they_fill_a_gallery(spaces, count, left, judging):
    report = put(spaces, anchors={"selector": "uniform", "count": count}).json()["report"]
    assert (report["pairing"]["unselected"], report["held_out"]) == (left, judging)
    assert report["gallery"] == (8 if left >= 8 else count // 5)


def test_prototypes_are_counted(spaces):
    report = put(spaces, anchors={"selector": PROTOTYPES, "count": 20}).json()["report"]
    assert report["pairing"]["prototypes"] == 20


def test_another_selection_is_a_new_version_and_the_same_is_none(spaces):
    versions = [
        put(spaces, anchors={"selector": "kmeans", "count": count}).json()["version"] for count in (20, 20, 25)
    ]
    assert versions == [1, 1, 2]


def test_an_unknown_selector_is_422_with_the_choices(refused):
    problem = refused("unknown-selector", anchors={"selector": "magic", "count": 10})
    assert (problem["expected"], problem["got"]) == (CHOICES, "magic")


@pytest.mark.parametrize("count", [1, 0, -3, 2.5, "20", True, None])
def test_a_count_is_an_integer_of_2_at_least(refused, count):
    problem = refused("invalid-input", anchors={"selector": "uniform", "count": count})
    assert problem["errors"][0]["pointer"] == "/anchors/count"


@pytest.mark.parametrize("field", ["selector", "count"])
def test_selector_and_count_must_both_be_named(refused, field):
    selection = {"selector": "uniform", "count": 10}
    del selection[field]
    assert refused("invalid-input", anchors=selection)["errors"][0]["pointer"] == f"/anchors/{field}"


# How they are paired


def test_an_unknown_pairing_is_422_with_the_choices(refused):
    problem = refused("invalid-input", pairing={"method": "magic"})
    assert (problem["expected"], problem["got"]) == ([*PAIRINGS], "magic")


@pytest.mark.parametrize("side", ["source", "target"])
def test_points_of_a_collection_that_is_not_there_are_422(refused, side):
    problem = refused("invalid-input", pairing={"method": "bootstrap", f"{side}_collection": "nobody"})
    assert (problem["expected"], problem["got"]) == (AB[side], "nobody")
    assert "does not exist" in problem["detail"]


@pytest.mark.parametrize(("side", "holds"), [("source", "b"), ("target", "a")])
def test_points_of_another_space_are_422(spaces, refused, side, holds):
    spaces.put("/v1/collections/things", json={"space": holds})
    problem = refused("invalid-input", pairing={"method": "bootstrap", f"{side}_collection": "things"})
    assert problem["expected"] == AB[side]
    assert f"{holds!r}" in problem["detail"]


def test_too_few_points_to_induce_from_are_422(refused):
    got = refused("too-few-points", pairing={"method": "bootstrap"})["got"]
    assert got == {"seeds": ANCHORS, "source": 0, "target": 0}


def test_a_refused_pairing_is_422_with_the_figures(spaces, data, refused):
    """Points of items that the other space has nothing of induce nothing that helps."""
    random = np.random.default_rng(5)
    for name, collection, dim in (("a", "left", 4), ("b", "right", 6)):
        spaces.put(f"/v1/collections/{collection}", json={"space": name})
        put_points(spaces, collection, [f"{name}{row}" for row in range(100)], random.standard_normal((100, dim)))
    pairing = {"method": "bootstrap", "source_collection": "left", "target_collection": "right"}
    problem = refused("pairing-refused", pairing=pairing)
    assert {"before", "after", "error", "seeds"} == set(problem["got"])


def test_clouds_that_do_not_fit_are_not_paired(client, refused):
    random = np.random.default_rng(6)
    put_space(client, "x", [f"x{row}" for row in range(150)], Clouds(d=8, seed=1).points(150))
    put_space(client, "y", [f"y{row}" for row in range(150)], random.standard_normal((150, 8)))
    problem = refused("pairing-refused", source="x", target="y", pairing={"method": "unpaired"})
    assert {"agreement", "same_nearest", "mutual_nn_rate"} <= set(problem["got"])


@pytest.fixture(scope="module")
def induced(tmp_path_factory):
    """A client, and a translator from eight noisy shared ids and 400 points of each side's collection."""
    clouds = Clouds(d=40, seed=4)
    x, seeds, new = clouds.points(400), clouds.pairs(8, noise=1.0), clouds.points(50)
    with served(tmp_path_factory.mktemp("induced")) as client:
        for space, vectors, points in (("a", seeds.source, x), ("b", seeds.target, clouds.turned(x))):
            put_space(client, space, seeds.ids, vectors)
            client.put(f"/v1/collections/of-{space}", json={"space": space})
            put_points(client, f"of-{space}", [f"{space}-{row:03}" for row in range(400)], points)
        put(client, "plain")
        pairing = {"method": "bootstrap", "source_collection": "of-a", "target_collection": "of-b"}
        answer = put(client, pairing=pairing)
        yield client, answer, pairing, new, clouds.turned(new)


def test_few_ids_and_points_of_collections_make_a_translator(induced):
    _, answer, pairing, *_ = induced
    assert (answer.status_code, answer.json()["pairing"]) == (201, pairing)


def test_the_report_says_how_the_pairs_came_about(induced):
    report = induced[1].json()["report"]
    notes = report["pairing"]
    assert notes["bootstrap"]["seeds"] == 8
    assert notes["pairs"] == 8 + notes["bootstrap"]["induced"] > 200
    assert notes["bootstrap"]["after"] > notes["bootstrap"]["before"]
    assert report["anchors"] + len(report["suspicious"]) + len(notes["dropped"]) == notes["pairs"]
    assert len(notes["surest"]) == SHOWN
    assert all(pair["source"].replace("a-", "b-") == pair["target"] for pair in notes["surest"])
    cosines = [pair["cosine"] for pair in notes["surest"]]
    assert cosines == sorted(cosines, reverse=True)


def test_it_translates_new_items_better_than_the_few_ids_do(induced):
    client, _, _, new, right = induced
    error = {}
    for name in ("t", "plain"):
        body = {"translator": name, "vectors": new.tolist()}
        translated = np.array(client.post("/v1/translate", json=body).json()["vectors"])
        error[name] = np.square(translated - right).sum() / np.square(right - right.mean(0)).sum()
    assert error["t"] < 0.1 < error["plain"]


def test_the_same_again_changes_nothing(induced):
    client, answer, pairing, *_ = induced
    assert put(client, pairing=pairing).json() == {**answer.json(), **client.get("/v1/translators/t").json()}
    assert client.get("/v1/translators/t").json()["version"] == 1


# Wrong pairs


def test_suspicious_pairs_are_named_by_their_ids(client):
    random = np.random.default_rng(3)
    x = random.standard_normal((200, 6))
    y = x @ np.linalg.qr(random.standard_normal((6, 6)))[0]
    ids = [f"item-{row:03}" for row in range(200)]
    wrong = [20, 70, 120, 170]
    y[wrong] = y[np.roll(wrong, 1)]
    put_space(client, "a", ids, x.astype(np.float32))
    put_space(client, "b", ids, y.astype(np.float32))
    report = put(client).json()["report"]
    assert sorted(report["suspicious"]) == [ids[row] for row in wrong]
    assert report["anchors"] == 196
    assert client.get("/v1/translators/t").json()["report"]["suspicious"] == report["suspicious"]


def test_a_fit_on_some_is_judged_by_good_pairs_as_a_fit_on_all_is(client):
    random = np.random.default_rng(7)
    x = random.standard_normal((600, 24))
    y = x @ random.standard_normal((24, 24)) + 0.5 * random.standard_normal((600, 24))
    y[:120] = np.roll(y[:120], 1, axis=0)
    ids = [f"item-{row:03}" for row in range(600)]
    put_space(client, "a", ids, x.astype(np.float32))
    put_space(client, "b", ids, y.astype(np.float32))
    reports = [
        put(client, anchors=some).json()["report"] for some in (None, {"selector": "uniform", "count": 300})
    ]
    every, some = reports
    assert set(some["suspicious"]) >= set(every["suspicious"]) != set()
    assert some["gallery"] == every["gallery"]
    for figure in ("mrr", "r2"):
        assert some["quality"][figure]["mean"] == pytest.approx(every["quality"][figure]["mean"], abs=0.02)
    wrong = len(every["suspicious"])
    assert any(f"{wrong} pairs look like" in warning and "chosen" in warning for warning in some["warnings"])


def test_good_pairs_are_not_suspicious(spaces):
    assert put(spaces).json()["report"]["suspicious"] == []


# The way back


def test_without_a_translator_of_the_opposite_direction_there_is_no_reverse(spaces):
    assert put(spaces).json()["reverse"] is None


def test_the_best_translator_of_the_opposite_direction_is_the_reverse(spaces):
    put(spaces)
    for name, method in (("bad", "mean"), ("back", "ridge")):
        put(spaces, name, source="b", target="a", method=method)
    there, back = (spaces.get(f"/v1/translators/{name}").json() for name in ("t", "back"))
    assert (there["reverse"]["translator"], back["reverse"]["translator"]) == ("back", "t")
    for figure in ("mrr", "r2"):
        ours, theirs = (one["report"]["quality"][figure]["mean"] for one in (there, back))
        assert there["reverse"][figure] == pytest.approx(ours - theirs)
        assert back["reverse"][figure] == pytest.approx(theirs - ours)
