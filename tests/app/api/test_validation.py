"""What is wrong with a body or a parameter is said in plain words: where, what was expected and what came."""

import numpy as np
import pytest
from pydantic import ValidationError

import app.main  # noqa: F401  every schema
from app.api.schemas.base import In
from app.api.validation import EXPECTED, FAULTS, from_validation

OWN = {"missing", "extra_forbidden", "value_error"}  # types of errors that have texts of their own
JUNK = [
    None,
    True,
    -1,
    0,
    1.5,
    1e39,
    float("nan"),
    2**70,
    "",
    "A b",
    "x" * 20_000,
    "1" * 5000,
    [],
    {},
    [None],
    [""],
    ["x" * 600],
    ["a", "a"],
    ["a"] * 70,
    [[1]],
    {"a": ""},
    {"a": None},
    {"base64": 3},
    {"must": [{"key": "", "match": {"value": [1]}}]},
    {"must": [{"key": "a", "range": {"gg": 1}}]},
    {"must": [{"key": "a", "range": {}}]},
    {"must": [{"key": "a", "exists": 1}]},
    {"must": 3},
    {"must": [{"key": "a", "prefix": 3}]},
    {"selector": 3, "count": 0},
    np.eye(2, dtype=np.float32),
]
WORDS_OF_PYDANTIC = ("Input should", "validation", "instance of", "String should", "List should", "permitted")


def schemas(model=In):
    return [inner for known in model.__subclasses__() for inner in (known, *schemas(known))]


def names(model):
    return [field.alias or name for name, field in model.model_fields.items()]


def faults(model, fields, strict):
    try:
        model.model_validate(fields, strict=strict)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


@pytest.mark.parametrize("strict", [True, None], ids=["JSON", "binary"])
@pytest.mark.parametrize("model", schemas(), ids=lambda model: model.__name__)
def test_no_fault_of_any_field_is_told_in_words_of_pydantic(model, strict):
    for name in [*names(model), "other"]:
        for junk in JUNK:
            found = faults(model, {name: junk}, strict)
            assert {error["type"] for error in found} <= OWN | EXPECTED.keys()
            for place in from_validation(found, {name: junk}, model).facts["errors"] if found else ():
                assert not any(words in place["message"] for words in WORDS_OF_PYDANTIC), place


SAID = [
    ("PUT", "/v1/spaces/s", {"dim": "6"}, "/dim: must be an integer, got '6'"),
    ("PUT", "/v1/spaces/s", {"dim": 0}, "/dim: must be 1 or more, got 0"),
    ("PUT", "/v1/spaces/s", {}, "/dim: is missing and must be given"),
    ("PUT", "/v1/collections/c", {"space": None}, "/space: must be a text, got null"),
    ("PUT", "/v1/collections/c", {"space": "A b"}, "/space: must be a text that matches ^[a-z0-9]"),
    ("PUT", "/v1/collections/c", {"space": "A b"}, "got 'A b'"),
    (
        "PUT",
        "/v1/translators/t",
        {"source": "a", "target": "b", "anchors": 3},
        "/anchors: must be an object, got 3",
    ),
    (
        "POST",
        "/v1/collections/c/points/get",
        {"ids": []},
        "/ids: must be of length 1 or more, got an array of length 0",
    ),
    (
        "POST",
        "/v1/collections/c/points/get",
        {"ids": [""]},
        "/ids/0: must be of length 1 or more, or an integer, got ''",
    ),
    (
        "POST",
        "/v1/collections/c/points/list",
        {"cursor": True},
        "/cursor: must be a text, or an integer, got true",
    ),
    (
        "POST",
        "/v1/relative",
        {"space": "a", "vectors": [[1]], "anchors": {"selector": "kmeans"}},
        "/anchors/count: is missing",
    ),
    (
        "POST",
        "/v1/collections/c/search",
        {"vectors": [[1.0]], "k": 10**30},
        f"/k: must be a whole number within 64 bits, got {10**30}",
    ),
    ("GET", "/v1/spaces?limit=x", None, "/query/limit: must be an integer, got 'x'"),
    ("GET", "/v1/spaces/A", None, "/path/space: must be a text that matches ^[a-z0-9]"),
]


@pytest.mark.parametrize(("method", "path", "body", "said"), SAID)
def test_a_fault_says_where_what_was_expected_and_what_came(client, method, path, body, said, assert_problem):
    assert said in assert_problem(client.request(method, path, json=body), 422, "invalid-input")["detail"]


ROW = [[1.0]]
NO_LISTS = [
    ("PUT", "/v1/spaces/s/anchors", {"ids": "abc", "vectors": ROW}, "/ids"),
    ("PUT", "/v1/spaces/s", {"dim": 1, "anchors": {"ids": "abc", "vectors": ROW}}, "/anchors/ids"),
    ("POST", "/v1/spaces/s/anchors/delete", {"ids": "abc"}, "/ids"),
    ("PUT", "/v1/collections/c/points", {"ids": "abc", "vectors": ROW}, "/ids"),
    ("POST", "/v1/collections/c/points/get", {"ids": "abc"}, "/ids"),
    ("POST", "/v1/collections/c/points/get", {"ids": ["abc"], "with": "abc"}, "/with"),
    ("POST", "/v1/collections/c/points/delete", {"ids": "abc"}, "/ids"),
    ("POST", "/v1/collections/c/search", {"vectors": ROW, "with": "abc"}, "/with"),
    (
        "POST",
        "/v1/collections/c/rerank",
        {"vectors": ROW, "candidates": {"ids": "abc", "vectors": ROW}},
        "/candidates/ids",
    ),
    ("POST", "/v1/relative", {"space": "a", "vectors": ROW, "anchors": "abc"}, "/anchors"),
    ("POST", "/v1/relative", {"space": "a", "vectors": ROW, "weights": "abc"}, "/weights"),
    ("PUT", "/v1/heads/h", {"kind": "linear", "weight": ROW, "relative": {"anchors": "abc"}}, "/relative/anchors"),
]


@pytest.mark.parametrize(("method", "path", "body", "pointer"), NO_LISTS)
def test_one_text_is_no_list_in_json(client, method, path, body, pointer, assert_problem):
    problem = assert_problem(client.request(method, path, json=body), 422, "invalid-input")
    assert problem["detail"].startswith(f"{pointer}: must be an array")
    assert problem["detail"].endswith(", got 'abc'")


NEAREST = [
    ("POST", "/v1/collections/c/search", {"vectors": [[1]], "top_k": 3}, "k", {"k", "vectors", "filter", "with"}),
    (
        "PUT",
        "/v1/collections/c/points",
        {"ids": [1], "vectors": [[1]], "payload": []},
        "payloads",
        {"ids", "space"},
    ),
    ("POST", "/v1/collections/c/points/list", {"curser": 3}, "cursor", {"filter", "cursor", "limit", "with"}),
    (
        "PUT",
        "/v1/translators/t",
        {"source": "a", "target": "b", "pairing": {"methd": "ids"}},
        "method",
        {"source_collection"},
    ),
    (
        "POST",
        "/v1/relative",
        {"space": "a", "vectors": [[1]], "anchors": {"selector": "kmeans", "count": 2, "cnt": 1}},
        "count",
        {"selector"},
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "nearest", "fields"), NEAREST)
def test_an_unknown_field_is_told_the_fields_there_and_the_nearest(
    client, method, path, body, nearest, fields, assert_problem
):
    problem = assert_problem(client.request(method, path, json=body), 422, "invalid-input")
    assert problem["detail"].endswith(f"the nearest is {nearest!r}")
    assert all(repr(field) in problem["detail"] for field in fields)


def test_an_unknown_field_like_none_is_told_the_fields_alone(client, assert_problem):
    problem = assert_problem(client.put("/v1/spaces/s", json={"dim": 1, "zzz": 1}), 422, "invalid-input")
    assert "'fingerprint'" in problem["detail"]
    assert "nearest" not in problem["detail"]


def test_faults_are_counted_and_the_first_are_named(client, assert_problem):
    body = {"dim": 1, **{f"x{n}": n for n in range(1000)}}
    problem = assert_problem(client.put("/v1/spaces/s", json=body), 422, "invalid-input")
    assert problem["detail"].endswith("(and 999 more)")
    assert len(problem["errors"]) == FAULTS
