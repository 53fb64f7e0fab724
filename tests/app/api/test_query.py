"""What a route does not know as a query parameter, it refuses; what it knows, it takes."""

import re

import numpy as np
import pytest

from app.main import create_app
from app.settings import Settings
from tests.app.api.conftest import ARROW, NPY

JSON = "application/json"
PATHS = create_app(Settings(store="sqlite:///unused.db")).openapi()["paths"]
PROBES = ["/livez", "/readyz"]
ROUTES = [(method, path) for path, methods in PATHS.items() for method in methods if path not in PROBES]
TAKEN = {
    (method, path): [part["name"] for part in route.get("parameters", ()) if part["in"] == "query"]
    for path, methods in PATHS.items()
    for method, route in methods.items()
}
BINARY = [route for route in ROUTES if NPY in str(PATHS[route[1]][route[0]].get("requestBody"))]
TRANSLATE = "/v1/translate"


def asked(client, method, path, parameter, media_type=JSON):
    url = re.sub(r"\{\w+\}", "nobody", path)
    headers = {"Content-Type": media_type}
    return client.request(method, url, params={parameter: "1"}, headers=headers, content=b"{}")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_but_a_probe_refuses_what_it_does_not_know(linked, assert_problem, method, path):
    problem = assert_problem(asked(linked, method, path, "limti"), 422, "invalid-input")
    known = [] if (method, path) in BINARY else TAKEN[method, path]
    assert (problem["got"], problem["expected"]) == (["limti"], sorted(known))
    assert "limti" in problem["detail"]
    assert ("takes none" in problem["detail"]) == (not known)


@pytest.mark.parametrize("path", PROBES)
def test_a_probe_answers_whatever_is_added_to_it(linked, path):
    assert "get" in PATHS[path]
    answer = linked.get(f"{path}?x=1&nocache")
    assert (answer.status_code, answer.json()["status"]) in [(200, "ok"), (503, "unavailable")]


@pytest.mark.parametrize("media_type", [NPY, ARROW])
@pytest.mark.parametrize(("method", "path"), BINARY)
def test_beside_a_binary_body_too(linked, assert_problem, method, path, media_type):
    problem = assert_problem(asked(linked, method, path, "limti", media_type), 422, "invalid-input")
    assert (problem["got"], problem["expected"]) == (["limti"], sorted(TAKEN[method, path]))


@pytest.mark.parametrize(("method", "path"), BINARY)
def test_fields_of_a_json_body_stand_in_it(linked, assert_problem, method, path):
    for name in TAKEN[method, path]:
        assert assert_problem(asked(linked, method, path, name), 422, "invalid-input")["got"] == [name]


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if TAKEN[route]])
def test_what_the_page_lists_is_known(linked, method, path):
    media_type = NPY if (method, path) in BINARY else JSON
    for name in TAKEN[method, path]:
        answer = asked(linked, method, path, name, media_type)
        assert "unknown query parameters" not in answer.text, name


@pytest.mark.parametrize("name", ["vectors", "payloads"])
def test_what_a_body_holds_is_no_parameter(linked, assert_problem, npy, name):
    url = f"{TRANSLATE}?translator=t&{name}=1"
    answer = linked.post(url, content=npy([[1.0, 2, 3, 4]]), headers={"Content-Type": NPY})
    assert assert_problem(answer, 422, "invalid-input")["got"] == [name]


def test_one_that_is_given_once_is_a_list_of_one_where_a_list_is_expected(linked, data, npy, read_npy):
    headers = {"Content-Type": NPY, "Accept": NPY}

    def codes(**fields):
        params = {"space": "a", "before": "none", **fields}
        return read_npy(linked.post("/v1/relative", content=npy(data.new_a), params=params, headers=headers))

    one, two = codes(anchors=data.ids[0]), codes(anchors=data.ids[:2])
    assert one.shape == (len(data.new_a), 1)
    np.testing.assert_allclose(one[:, 0], two[:, 0])
    weighted = codes(anchors=data.ids[0], similarity="cosine", aggregation="weighted", weights="2")
    np.testing.assert_allclose(weighted, 2 * one, rtol=1e-6)


def test_all_unknown_ones_are_named(linked, assert_problem):
    answer = linked.get("/v1/spaces?limit=5&sort=name&order=up")
    problem = assert_problem(answer, 422, "invalid-input")
    assert (problem["got"], problem["expected"]) == (["order", "sort"], ["cursor", "limit"])
    assert linked.get("/v1/spaces?limit=5").status_code == 200


def test_a_route_that_is_not_there_is_404_whatever_it_is_asked(linked, assert_problem):
    assert_problem(linked.get("/v1/nothing?x=1"), 404, "not-found")
