"""How well the latent factors of anchors are read out of a space."""

import numpy as np
import pytest
import torch

from app.service.disentanglement import MOST_ANCHORS, MOST_FACTORS
from models.disentanglement import LEAST_ROWS, disentanglement


@pytest.fixture(scope="module")
def factors(data):
    """Two coordinates of what a and b share, for every anchor."""
    return {
        name: dict(zip(data.ids, data.a[:, k].tolist(), strict=True)) for k, name in enumerate(("size", "hue"))
    }


def post(client, factors, space="a", **fields):
    return client.post(f"/v1/spaces/{space}/disentanglement", json={"factors": factors, **fields})


def of(data, factors):
    values = torch.tensor([[column[id_] for column in factors.values()] for id_ in data.ids])
    return disentanglement(torch.from_numpy(data.a), values)


# What comes back


def test_the_figures_are_those_of_the_model(linked, data, factors):
    body = post(linked, factors).json()
    assert (body["space"], body["anchors"], list(body["factors"])) == ("a", 40, ["size", "hue"])
    for found, expected in zip(body["factors"].values(), of(data, factors), strict=True):
        assert found.pop("notes") == expected.notes
        assert found == pytest.approx({name: getattr(expected, name) for name in found})


def test_factors_that_are_coordinates_are_disentangled(linked, factors):
    for found in post(linked, factors).json()["factors"].values():
        assert min(found["r2"], found["r2_quadrants"], found["r2_conditions"]) > 0.99
        assert found["notes"] == []


def test_only_the_anchors_with_values_are_read(linked, data, factors):
    few = {name: {id_: values[id_] for id_ in data.ids[:20]} for name, values in factors.items()}
    assert post(linked, few).json()["anchors"] == 20


def test_the_order_of_the_ids_does_not_matter(linked, factors):
    turned = {name: dict(reversed(values.items())) for name, values in factors.items()}
    assert post(linked, turned).json() == post(linked, factors).json()


def test_one_factor_has_nulls_and_a_note(linked, factors):
    found = post(linked, {"size": factors["size"]}).json()["factors"]["size"]
    assert found["r2"] > 0.99
    assert {found[name] for name in ("r2_quadrants", "r2_conditions", "ccgp", "parallelism")} == {None}
    assert "no other factor" in found["notes"][0]


def test_a_factor_of_one_value_has_nulls_and_a_note(linked, data, factors):
    found = post(linked, {**factors, "still": dict.fromkeys(data.ids, 3)}).json()["factors"]
    assert (found["still"]["r2"], found["size"]["r2"] > 0.99) == (None, True)


def test_whole_numbers_are_values(linked, data):
    side = {"side": {id_: int(value > 0) for id_, value in zip(data.ids, data.a[:, 0], strict=True)}}
    assert post(linked, side).json()["factors"]["side"]["r2"] > 0.3


def test_a_factor_may_have_any_name(linked, factors):
    names = ["vectors", "größe / 大小"]
    assert list(post(linked, dict(zip(names, factors.values(), strict=True))).json()["factors"]) == names


def test_many_anchors_are_sampled(client):
    random = np.random.default_rng(0)
    x, ids = random.standard_normal((MOST_ANCHORS + 10, 2)).round(3), [str(i) for i in range(MOST_ANCHORS + 10)]
    client.put("/v1/spaces/many", json={"dim": 2, "anchors": {"ids": ids, "vectors": x.tolist()}})
    body = post(client, {"first": dict(zip(ids, x[:, 0].tolist(), strict=True))}, "many").json()
    assert body["anchors"] == MOST_ANCHORS + 10
    assert body["factors"]["first"]["r2"] > 0.99


# What it refuses


def test_an_unknown_space_is_404(linked, factors, assert_problem):
    assert assert_problem(post(linked, factors, "aa"), 404, "not-found")["nearest"] == ["a"]


def test_an_unknown_anchor_is_422_and_named(linked, factors, assert_problem):
    more = {name: {**values, "stranger": 1, "other": 2} for name, values in factors.items()}
    problem = assert_problem(post(linked, more), 422, "invalid-input")
    assert problem["unknown"] == ["other", "stranger"]
    assert "2 of 42" in problem["detail"]


def test_many_unknown_anchors_are_not_all_listed(linked, assert_problem):
    problem = assert_problem(post(linked, {"x": {f"s{i:03}": i for i in range(500)}}), 422, "invalid-input")
    assert len(problem["unknown"]) == 20


def test_a_missing_value_is_422_with_the_factor_and_the_anchor(linked, data, factors, assert_problem):
    fewer = {id_: value for id_, value in factors["hue"].items() if id_ != data.ids[7]}
    problem = assert_problem(post(linked, {**factors, "hue": fewer}), 422, "invalid-input")
    assert (problem["factor"], problem["missing"]) == ("hue", [data.ids[7]])


@pytest.mark.parametrize("value", [True, "1", None, [1], {}])
def test_a_value_is_a_number(linked, data, factors, value, assert_problem):
    wrong = {**factors["size"], data.ids[3]: value}
    problem = assert_problem(post(linked, {"size": wrong}), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == f"/factors/size/{data.ids[3]}"


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        *((value, 400, "malformed-body") for value in ("NaN", "Infinity", "1e999")),
        ("9" * 400, 422, "invalid-input"),
    ],
)
def test_a_value_beyond_64_bits_is_refused_where_it_stands(linked, value, status, code, assert_problem):
    body = f'{{"factors": {{"size": {{"item-00": {value}}}}}}}'
    answer = linked.post("/v1/spaces/a/disentanglement", content=body)
    assert "/factors/size/item-00" in assert_problem(answer, status, code)["detail"]


def test_too_few_anchors_are_422(linked, data, factors, assert_problem):
    few = {"size": {id_: factors["size"][id_] for id_ in data.ids[: LEAST_ROWS - 1]}}
    problem = assert_problem(post(linked, few), 422, "too-few-anchors")
    assert (problem["expected"], problem["got"]) == (LEAST_ROWS, LEAST_ROWS - 1)


def test_too_many_factors_are_422_with_the_limit(linked, factors, assert_problem):
    many = {f"f{k}": factors["size"] for k in range(MOST_FACTORS + 1)}
    problem = assert_problem(post(linked, many), 422, "over-limit")
    assert (problem["limit"], problem["got"]) == (MOST_FACTORS, MOST_FACTORS + 1)


@pytest.mark.parametrize(
    ("factors", "pointer"),
    [
        ({}, "/factors"),
        ([], "/factors"),
        (None, "/factors"),
        ({"size": {}}, "/factors/size"),
        ({"size": [1, 2]}, "/factors/size"),
        ({"": {"item-00": 1}}, "/factors/"),
        ({"size": {"": 1}}, "/factors/size/"),
        ({"x" * 129: {"item-00": 1}}, f"/factors/{'x' * 129}"),
    ],
)
def test_factors_are_values_by_anchor_id(linked, factors, pointer, assert_problem):
    problem = assert_problem(post(linked, factors), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == pointer


def test_factors_must_be_given(linked, assert_problem):
    problem = assert_problem(linked.post("/v1/spaces/a/disentanglement", json={}), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/factors"


def test_an_unknown_field_is_422(linked, factors, assert_problem):
    problem = assert_problem(post(linked, factors, extra=1), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/extra"


def test_another_media_type_is_415(linked, assert_problem):
    answer = linked.post("/v1/spaces/a/disentanglement", content=b"x", headers={"Content-Type": "text/plain"})
    assert_problem(answer, 415, "unsupported-media-type")
