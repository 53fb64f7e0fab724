"""The OpenAPI page describes every body and every error; /docs needs nobody else."""

import re

import pytest

from app.main import create_app
from app.settings import Settings

PAGE = create_app(Settings(store="sqlite:///unused.db")).openapi()
METHODS = ("get", "put", "post", "delete", "patch")
ROUTES = {
    f"{method.upper()} {path}": route
    for path, methods in PAGE["paths"].items()
    for method, route in methods.items()
    if method in METHODS
}
VERSIONED = {name: route for name, route in ROUTES.items() if " /v1/" in name}
WITH_BODY = {name: route for name, route in VERSIONED.items() if name.startswith(("PUT", "POST"))}
SEARCH = "POST /v1/collections/{collection}/search"
BINARY = ("application/x-npy", "application/vnd.apache.arrow.stream")


def refs(part):
    if isinstance(part, dict):
        yield from ([part["$ref"]] if isinstance(part.get("$ref"), str) else [])
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from refs(item)


def resolve(ref):
    found = PAGE
    for step in ref.removeprefix("#/").split("/"):
        found = found[step]
    return found


def schema_of(route, media_type="application/json"):
    return resolve(route["requestBody"]["content"][media_type]["schema"]["$ref"])


@pytest.mark.parametrize("ref", sorted(set(refs(PAGE))))
def test_every_reference_leads_somewhere(ref):
    assert resolve(ref) is not None


def test_every_route_stands_in_a_section():
    used = {tag for route in ROUTES.values() for tag in route.get("tags", [])}
    assert used == {section["name"] for section in PAGE["tags"]}


def test_every_route_of_the_design_is_there():
    assert {
        "PUT /v1/spaces/{space}",
        "GET /v1/spaces",
        "GET /v1/spaces/{space}",
        "DELETE /v1/spaces/{space}",
        "PUT /v1/spaces/{space}/anchors",
        "GET /v1/spaces/{space}/anchors",
        "POST /v1/spaces/{space}/anchors/delete",
        "PUT /v1/translators/{translator}",
        "GET /v1/translators",
        "GET /v1/translators/{translator}",
        "DELETE /v1/translators/{translator}",
        "GET /v1/fits",
        "POST /v1/translate",
        "PUT /v1/heads/{head}",
        "GET /v1/heads",
        "GET /v1/heads/{head}",
        "DELETE /v1/heads/{head}",
        "POST /v1/heads/{head}/fit",
        "POST /v1/heads/{head}/evaluate",
        "POST /v1/stitch",
        "POST /v1/relative",
        "PUT /v1/collections/{collection}",
        "GET /v1/collections",
        "GET /v1/collections/{collection}",
        "DELETE /v1/collections/{collection}",
        "PUT /v1/collections/{collection}/points",
        "POST /v1/collections/{collection}/points/delete",
        "POST /v1/collections/{collection}/points/get",
        "POST /v1/collections/{collection}/points/list",
        "POST /v1/collections/{collection}/points/count",
        "POST /v1/collections/{collection}/search",
        "POST /v1/collections/{collection}/rerank",
        "POST /v1/compare",
        "POST /v1/spaces/{space}/disentanglement",
        "GET /v1/info",
        "GET /livez",
        "GET /readyz",
    } <= set(ROUTES)


@pytest.mark.parametrize("name", WITH_BODY)
def test_every_body_has_a_schema_with_its_fields(name):
    assert schema_of(WITH_BODY[name])["properties"]
    assert WITH_BODY[name]["requestBody"]["required"] is True


@pytest.mark.parametrize("name", WITH_BODY)
def test_no_body_takes_unknown_fields(name):
    assert schema_of(WITH_BODY[name])["additionalProperties"] is False


@pytest.mark.parametrize("name", [name for name, route in WITH_BODY.items() if "vectors" in str(schema_of(route))])
def test_a_body_with_vectors_shows_both_json_forms(name):
    schema = schema_of(WITH_BODY[name])
    if "vectors" in schema["properties"]:
        assert [form["type"] for form in schema["properties"]["vectors"]["anyOf"]] == ["array", "object"]


@pytest.mark.parametrize(
    "name",
    [
        "PUT /v1/spaces/{space}/anchors",
        "POST /v1/translate",
        "POST /v1/stitch",
        "POST /v1/relative",
        "PUT /v1/collections/{collection}/points",
        "POST /v1/collections/{collection}/search",
    ],
)
def test_a_body_that_may_be_binary_shows_it(name):
    assert set(BINARY) < set(ROUTES[name]["requestBody"]["content"])


@pytest.mark.parametrize(
    ("name", "media_types"),
    [
        ("POST /v1/translate", BINARY),
        ("POST /v1/stitch", BINARY),
        ("POST /v1/relative", BINARY),
        ("GET /v1/spaces/{space}/anchors", BINARY),
        ("POST /v1/collections/{collection}/search", BINARY[1:]),
        ("POST /v1/collections/{collection}/rerank", BINARY[1:]),
        ("POST /v1/collections/{collection}/points/get", BINARY[1:]),
        ("POST /v1/collections/{collection}/points/list", BINARY[1:]),
    ],
)
def test_an_answer_that_may_be_binary_shows_it(name, media_types):
    assert {"application/json", *media_types} == set(ROUTES[name]["responses"]["200"]["content"])


@pytest.mark.parametrize("name", ["PUT /v1/collections/{collection}/points", SEARCH])
def test_every_other_field_of_a_binary_body_is_a_query_parameter(name):
    fields = {*schema_of(ROUTES[name])["properties"]} - {"vectors", "payloads"}
    assert fields <= {parameter["name"] for parameter in ROUTES[name]["parameters"]}


def test_a_filter_in_a_query_parameter_is_json():
    (parameter,) = (one for one in ROUTES[SEARCH]["parameters"] if one["name"] == "filter")
    assert "#/components/schemas/FilterIn" in refs(parameter["content"]["application/json"]["schema"])


def problems(route):
    return {
        status: answer["content"]["application/problem+json"]["schema"]["$ref"]
        for status, answer in route["responses"].items()
        if "application/problem+json" in answer.get("content", {})
    }


@pytest.mark.parametrize("name", VERSIONED)
def test_every_route_has_its_problems(name):
    assert {"401", "403", "422", "503"} <= set(problems(VERSIONED[name]))
    assert set(problems(VERSIONED[name]).values()) == {"#/components/schemas/ProblemOut"}


@pytest.mark.parametrize("name", WITH_BODY)
def test_every_route_with_a_body_has_the_problems_of_bodies(name):
    assert {"400", "413", "415"} <= set(problems(WITH_BODY[name]))


@pytest.mark.parametrize("name", [name for name in VERSIONED if "}" in name])
def test_every_route_with_a_name_in_it_may_be_404_or_create(name):
    creates = name.startswith("PUT") and "201" in VERSIONED[name]["responses"]
    assert creates or "404" in problems(VERSIONED[name])


@pytest.mark.parametrize("name", [name for name in VERSIONED if name.startswith(("PUT", "DELETE"))])
def test_every_write_takes_if_match(name):
    assert "if-match" in {parameter["name"] for parameter in VERSIONED[name]["parameters"]}
    assert "412" in problems(VERSIONED[name])


@pytest.mark.parametrize("name", ROUTES)
def test_every_route_says_what_it_does(name):
    assert ROUTES[name]["description"]


def test_no_two_routes_share_an_operation():
    assert len({route["operationId"] for route in ROUTES.values()}) == len(ROUTES)


def test_the_page_is_served(client):
    assert client.get("/openapi.json").json()["info"]["title"] == "Anchorage"


def test_the_docs_load_from_this_server_only(client):
    page = client.get("/docs")
    hosts = set(re.findall(r"""https?://([^/"'\s]+)""", page.text))
    assert page.status_code == 200
    assert hosts <= {"testserver"}
    assert not re.search(r"""(?:src|href)=["']//""", page.text)


@pytest.mark.filterwarnings("ignore:open_binary is deprecated")
def test_every_asset_of_the_docs_is_served(client):
    assets = re.findall(r"""(?:src|href)=["']([^"']+)""", client.get("/docs").text)
    assert len(assets) >= 2
    assert {client.get(asset).status_code for asset in assets} == {200}
