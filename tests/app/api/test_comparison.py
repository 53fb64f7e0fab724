"""Comparing spaces over the anchors that each pair of them shares."""

import re

import numpy as np
import pytest
import torch

from app.service.comparison import HEAD, MOST_ANCHORS, MOST_SPACES
from models.comparison import MEASURES


def compare(client, *spaces, **fields):
    return client.post("/v1/compare", json={"spaces": list(spaces), **fields})


def put_space(client, name, ids, vectors):
    anchors = {"ids": ids, "vectors": np.asarray(vectors).tolist()}
    return client.put(f"/v1/spaces/{name}", json={"dim": len(anchors["vectors"][0]), "anchors": anchors})


@pytest.fixture
def found(linked):
    return compare(linked, "a", "b").json()


# What comes back


def test_without_measures_all_come_back(found):
    assert list(found["measures"]) == list(MEASURES)


@pytest.mark.parametrize("name", MEASURES)
def test_a_figure_is_that_of_its_function(found, data, name):
    x, y = torch.from_numpy(data.a), torch.from_numpy(data.b)
    function, ((aa, ab), (ba, bb)) = MEASURES[name].function, found["measures"][name]
    assert (ab, ba) == pytest.approx((function(x, y), function(y, x)))
    assert aa == bb == MEASURES[name].alike


def test_only_the_measures_asked_for_come_back_and_once(linked):
    answer = compare(linked, "a", "b", measures=["rsa", "cka", "rsa"])
    assert list(answer.json()["measures"]) == ["rsa", "cka"]


def test_matrices_are_in_the_order_of_the_spaces(linked):
    forward, backward = (compare(linked, *names).json() for names in ("ab", "ba"))
    assert (forward["spaces"], backward["spaces"]) == (["a", "b"], ["b", "a"])
    for name in MEASURES:
        (aa, ab), (ba, bb) = forward["measures"][name]
        assert np.allclose(backward["measures"][name], [[bb, ba], [ab, aa]], atol=1e-9)


def test_only_shared_anchors_are_read_and_by_id(spaces, data):
    before = compare(spaces, "a", "b").json()
    order = np.random.default_rng(0).permutation(40)
    put_space(spaces, "mixed", [data.ids[i] for i in order], data.b[order])
    spaces.put("/v1/spaces/mixed/anchors", json={"ids": ["more"], "vectors": [[9] * 6]})
    after = compare(spaces, "a", "mixed").json()
    assert after["measures"] == before["measures"]
    assert after["anchors"] == [[40, 40], [40, 41]]


def test_a_pair_without_shared_anchors_is_null_and_the_others_are_not(linked):
    body = compare(linked, "a", "c", "b", measures=["cka"]).json()
    (aa, ac, ab), (ca, cc, cb), (ba, bc, bb) = body["measures"]["cka"]
    assert body["anchors"] == [[40, 0, 40], [0, 5, 0], [40, 0, 40]]
    assert [ac, ca, cb, bc] == [None] * 4
    assert [aa, cc, bb] == [1.0] * 3
    assert ab == ba > 0.9


def test_a_measure_that_needs_more_anchors_is_null_and_the_others_are_not(spaces, data):
    put_space(spaces, "two", data.ids[:2], data.a[:2])
    measures = compare(spaces, "a", "two").json()["measures"]
    undefined = {name for name, matrix in measures.items() if matrix[0][1] is None}
    assert undefined == {name for name, measure in MEASURES.items() if measure.least > 2}
    assert {name for name, matrix in measures.items() if matrix[1][1] is None} == undefined


def test_a_space_that_does_not_vary_is_null_even_beside_itself(spaces, data):
    put_space(spaces, "still", data.ids, np.ones((40, 3)))
    body = compare(spaces, "a", "still").json()
    for matrix in body["measures"].values():
        assert matrix[0][0] is not None
        assert [matrix[0][1], matrix[1][0], matrix[1][1]] == [None] * 3
    assert (body["profiles"][1]["participation_ratio"], body["profiles"][1]["spectrum"]) == (None, [])


def test_a_space_without_anchors_has_no_profile(spaces):
    spaces.put("/v1/spaces/empty", json={"dim": 3})
    body = compare(spaces, "a", "b", "empty").json()
    assert body["profiles"][2] == {
        "space": "empty", "dim": 3, "anchors": 0, "participation_ratio": None, "spectrum": []
    }  # fmt: skip
    assert {matrix[2][2] for matrix in body["measures"].values()} == {None}


def test_every_space_has_its_profile(found, data):
    values = np.linalg.eigvalsh(np.cov(data.b.astype(float), rowvar=False))[::-1]
    profile = found["profiles"][1]
    assert (profile["space"], profile["dim"], profile["anchors"]) == ("b", 6, 40)
    assert profile["participation_ratio"] == pytest.approx(values.sum() ** 2 / (values**2).sum(), rel=1e-5)
    assert profile["spectrum"] == pytest.approx(list(values / values.sum()), rel=1e-3)


def test_only_the_head_of_a_spectrum_comes_back(spaces, data):
    put_space(spaces, "wide", data.ids, np.random.default_rng(0).standard_normal((40, 30)))
    assert len(compare(spaces, "a", "wide", measures=["cka"]).json()["profiles"][1]["spectrum"]) == HEAD


def test_many_anchors_are_sampled(client):
    random = np.random.default_rng(0)
    x, ids = random.standard_normal((MOST_ANCHORS + 500, 3)), [str(i) for i in range(MOST_ANCHORS + 500)]
    for name, noise in (("x", 0), ("y", 1)):
        put_space(client, name, ids, (x + noise * random.standard_normal(x.shape)).round(3))
    body = compare(client, "x", "y", measures=["cka"]).json()
    assert body["anchors"] == [[MOST_ANCHORS + 500] * 2] * 2
    assert body["measures"]["cka"][0][1] == pytest.approx(0.5, abs=0.05)


def test_a_comparison_is_the_same_in_every_call(linked, found):
    assert compare(linked, "a", "b").json() == found


# What it refuses


def test_an_unknown_space_is_404_with_the_nearest_names(linked, assert_problem):
    assert assert_problem(compare(linked, "a", "bb"), 404, "not-found")["nearest"] == ["b"]


@pytest.mark.parametrize("names", [[], ["a"]])
def test_it_takes_two_spaces(linked, names, assert_problem):
    assert assert_problem(compare(linked, *names), 422, "invalid-input")["errors"][0]["pointer"] == "/spaces"


def test_a_space_named_twice_is_422(linked, assert_problem):
    assert "'a' stands 2 times" in assert_problem(compare(linked, "a", "b", "a"), 422, "invalid-input")["detail"]


def test_too_many_spaces_are_422_with_the_limit(linked, assert_problem):
    problem = assert_problem(compare(linked, *(f"s{i}" for i in range(MOST_SPACES + 1))), 422, "over-limit")
    assert (problem["limit"], problem["got"]) == (MOST_SPACES, MOST_SPACES + 1)


def test_an_unknown_measure_is_422_with_the_choices(linked, assert_problem):
    problem = assert_problem(compare(linked, "a", "b", measures=["cka", "magic"]), 422, "unknown-method")
    assert (problem["expected"], problem["got"]) == (list(MEASURES), ["magic"])


@pytest.mark.parametrize("measures", [[], "cka", [1], None])
def test_measures_are_a_list_of_names(linked, measures, assert_problem):
    problem = assert_problem(compare(linked, "a", "b", measures=measures), 422, "invalid-input")
    assert problem["errors"][0]["pointer"].startswith("/measures")


@pytest.mark.parametrize("names", [["a", "B"], ["a", ""], ["a", 1], ["a", None]])
def test_a_name_that_no_space_can_have_is_422(linked, names, assert_problem):
    problem = assert_problem(compare(linked, *names), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/spaces/1"


def test_an_unknown_field_is_422(linked, assert_problem):
    problem = assert_problem(compare(linked, "a", "b", extra=1), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/extra"


def test_where_no_pair_shares_anchors_it_is_422_with_the_best_pair(linked, assert_problem):
    problem = assert_problem(compare(linked, "a", "c"), 422, "too-few-anchors")
    assert (problem["expected"], problem["got"]) == (2, 0)


def test_where_no_measure_has_enough_anchors_it_is_422(spaces, data, assert_problem):
    put_space(spaces, "three", data.ids[:3], data.a[:3])
    problem = assert_problem(compare(spaces, "three", "a", measures=["cka_unbiased"]), 422, "too-few-anchors")
    assert (problem["expected"], problem["got"]) == (4, 3)
    assert "'three' and 'a' share the most, 3" in problem["detail"]


def test_only_json_is_read(linked, npy, assert_problem):
    answer = linked.post("/v1/compare", content=npy(np.eye(2)), headers={"Content-Type": "application/x-npy"})
    assert_problem(answer, 415, "unsupported-media-type")


def test_get_is_405(linked, assert_problem):
    assert_problem(linked.get("/v1/compare"), 405, "method-not-allowed")


# Whether the ids mean the same items


def test_spaces_that_share_items_are_compared_without_a_warning(found):
    assert found["warnings"] == []


def test_ids_that_agree_by_chance_are_warned_of(client):
    random, ids = np.random.default_rng(1), [str(number) for number in range(60)]
    items, others = random.standard_normal((60, 5)), random.standard_normal((60, 8))
    for name, vectors in (("one", items), ("turned", items[:, ::-1]), ("other", others)):
        put_space(client, name, ids, vectors)
    warnings = compare(client, "one", "turned", "other", measures=["cka"]).json()["warnings"]
    assert [re.findall("the 60 anchors that '(.*)' and '(.*)' share", text) for text in warnings] == [
        [("one", "other")],
        [("turned", "other")],
    ]


def test_a_pair_without_a_figure_has_no_warning(spaces, data):
    put_space(spaces, "flat", data.ids, np.ones((40, 2)))
    assert compare(spaces, "a", "flat", "c").json()["warnings"] == []


def test_too_few_anchors_to_tell_are_warned_of(spaces, data):
    put_space(spaces, "four", data.ids[:4], data.a[:4])
    (warning,) = compare(spaces, "a", "four").json()["warnings"]
    assert "the 4 anchors that 'a' and 'four' share is not shown to be better than chance" in warning
