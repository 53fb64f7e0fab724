"""The life of a collection, and search from its own space and from others."""

import datetime
from decimal import Decimal

import numpy as np
import orjson
import pytest
import torch

from app.index import INDEXES

NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"
SEARCH = "/v1/collections/things/search"
POINTS = "/v1/collections/things/points"


def put_points(client, ids, vectors, name="things", **fields):
    body = {"ids": ids, "vectors": np.asarray(vectors).tolist(), **fields}
    return client.put(f"/v1/collections/{name}/points", json=body)


def search(client, vectors, **fields):
    return client.post(SEARCH, json={"vectors": np.asarray(vectors).tolist(), **fields})


def found(answer):
    """Per query, the ids of its hits."""
    return [[hit["id"] for hit in hits] for hits in answer.json()["results"]]


def get_points(client, *ids):
    return client.post(f"{POINTS}/get", json={"ids": ids}).json()


def stored(client, *ids):
    return {point["id"]: (point["vector"], point["payload"]) for point in get_points(client, *ids)["points"]}


@pytest.fixture
def plane(client):
    """plane(metric): the client, with a collection `things` of a space of two dimensions."""

    def make(metric="cosine", vectors=((1, 0), (0, 2), (3, 3))):
        client.put("/v1/spaces/flat", json={"dim": 2})
        client.put("/v1/collections/things", json={"space": "flat", "metric": metric})
        put_points(client, list("xyz"[: len(vectors)]), vectors)
        return client

    return make


# The resource


def test_a_new_collection_is_201(spaces):
    answer = spaces.put("/v1/collections/things", json={"space": "b"})
    assert (answer.status_code, answer.headers["etag"]) == (201, answer.json()["etag"])
    wanted = {"name": "things", "version": 1, "space": "b", "dim": 6, "metric": "cosine", "points": 0}
    assert wanted.items() <= answer.json().items()


def test_put_again_is_200_and_changes_nothing(stocked):
    before = stocked.get("/v1/collections/things").json()
    again = stocked.put("/v1/collections/things", json={"space": "b"})
    assert (again.status_code, again.json()) == (200, before)


def test_get_counts_the_points(stocked):
    assert stocked.get("/v1/collections/things").json()["points"] == 20


@pytest.mark.parametrize("change", [{"space": "a"}, {"space": "b", "metric": "ip"}])
def test_space_and_metric_cannot_change_under_points(stocked, change, assert_problem):
    before = stocked.get("/v1/collections/things").json()
    problem = assert_problem(stocked.put("/v1/collections/things", json=change), 409, "conflict")
    assert problem["expected"] == {"space": "b", "metric": "cosine"}
    assert stocked.get("/v1/collections/things").json() == before


def test_an_empty_collection_can_change_space_and_metric(spaces, data):
    spaces.put("/v1/collections/things", json={"space": "b"})
    answer = spaces.put("/v1/collections/things", json={"space": "a", "metric": "euclidean"})
    assert (answer.status_code, answer.json()["dim"], answer.json()["metric"]) == (200, 4, "euclidean")
    put_points(spaces, data.new_ids, data.new_a)
    assert found(search(spaces, data.new_a[:1], k=1)) == [[data.new_ids[0]]]


def test_an_emptied_collection_can_change_its_space(stocked, data):
    stocked.post(f"{POINTS}/delete", json={"ids": data.new_ids})
    assert stocked.put("/v1/collections/things", json={"space": "a"}).status_code == 200
    put_points(stocked, data.new_ids, data.new_a)
    assert found(search(stocked, data.new_a[:1], k=1)) == [[data.new_ids[0]]]


def test_delete_is_204_and_then_404(stocked, assert_problem):
    assert stocked.delete("/v1/collections/things").status_code == 204
    assert_problem(stocked.get("/v1/collections/things"), 404, "not-found")


def test_a_name_that_is_taken_again_starts_empty(stocked, data):
    stocked.delete("/v1/collections/things")
    stocked.put("/v1/collections/things", json={"space": "b"})
    assert found(search(stocked, data.new_b[:2])) == [[], []]


def test_lists_are_paged_by_name(spaces):
    for name in ("two", "one", "three"):
        spaces.put(f"/v1/collections/{name}", json={"space": "b"})
    first = spaces.get("/v1/collections?limit=2").json()
    rest = spaces.get("/v1/collections", params={"cursor": first["cursor"]}).json()
    assert [c["name"] for c in first["collections"] + rest["collections"]] == ["one", "three", "two"]
    assert rest["cursor"] is None


def test_an_unknown_space_is_404_with_the_nearest_names(spaces, assert_problem):
    answer = spaces.put("/v1/collections/things", json={"space": "aa"})
    assert assert_problem(answer, 404, "not-found")["nearest"] == ["a"]
    assert spaces.get("/v1/collections/things").status_code == 404


def test_an_unknown_metric_is_422_with_the_choices(spaces, assert_problem):
    answer = spaces.put("/v1/collections/things", json={"space": "a", "metric": "hamming"})
    assert assert_problem(answer, 422, "invalid-input")["expected"] == ["cosine", "ip", "euclidean"]


UNKNOWN = [
    ("GET", "", None),
    ("DELETE", "", None),
    ("PUT", "/points", {"ids": ["x"], "vectors": [[1]]}),
    ("POST", "/points/delete", {"ids": ["x"]}),
    ("POST", "/points/get", {"ids": ["x"]}),
    ("POST", "/search", {"vectors": [[1]]}),
]


@pytest.mark.parametrize(("method", "path", "body"), UNKNOWN)
def test_an_unknown_collection_is_404_with_the_nearest_names(stocked, method, path, body, assert_problem):
    answer = stocked.request(method, f"/v1/collections/thing{path}", json=body)
    assert assert_problem(answer, 404, "not-found")["nearest"] == ["things"]


WRITES = [
    ("PUT", "/v1/collections/things", {"space": "b"}),
    ("DELETE", "/v1/collections/things", None),
    ("PUT", POINTS, {"ids": ["n"], "vectors": [[1] * 6]}),
    ("POST", f"{POINTS}/delete", {"ids": ["item-40"]}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_stale_if_match_is_412_and_writes_nothing(stocked, method, path, body, assert_problem):
    before = stocked.get("/v1/collections/things").json()
    answer = stocked.request(method, path, json=body, headers={"If-Match": '"9-9"'})
    assert assert_problem(answer, 412, "precondition-failed")["got"] == before["etag"]
    assert stocked.get("/v1/collections/things").json() == before


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_if_match_with_the_etag_or_a_star_writes(stocked, method, path, body):
    etag = stocked.get("/v1/collections/things").headers["etag"]
    assert stocked.request(method, path, json=body, headers={"If-Match": etag}).is_success


@pytest.mark.parametrize("tag", ["*", '"1-1"'])
def test_if_match_on_an_absent_collection_is_412(spaces, tag, assert_problem):
    answer = spaces.put("/v1/collections/things", json={"space": "b"}, headers={"If-Match": tag})
    assert_problem(answer, 412, "precondition-failed")


# Points


def test_points_come_back_exactly(stocked, data):
    points = stored(stocked, *data.new_ids)
    got = np.array([points[id_][0] for id_ in data.new_ids], np.float32)
    np.testing.assert_array_equal(got, data.new_b)


PAYLOADS = [
    {},
    {"text": 'naïve 日本語 😀 \u0000 " \\ / <&>'},
    {"Schlüssel": {"a": [1, {"b": [None, True, [], {}]}]}},
    {"null": None},
    {"numbers": [0, -1, 2**53 + 1, 2**63 - 1, 2**64 - 1, -(2**63), 0.1, -0.0, 1e308, 5e-324]},
    {"id": "x", "score": 3, "vectors": [[1]], "ids": 1, "base64": "no"},
    {"": {"": ""}},
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_comes_back_exactly(plane, payload):
    client = plane()
    put_points(client, ["p"], [[1, 1]], payloads=[payload])
    assert stored(client, "p")["p"][1] == payload
    assert search(client, [[1, 1]], k=4).json()["results"][0][0]["payload"] in (payload, None)


def test_a_payload_keeps_the_order_of_its_keys(plane):
    client = plane()
    put_points(client, ["p"], [[1, 1]], payloads=[{"z": 1, "a": 2, "m": 3}])
    assert list(stored(client, "p")["p"][1]) == ["z", "a", "m"]


def test_of_a_member_that_stands_twice_in_a_payload_the_last_counts(plane):
    client = plane()
    body = '{"ids": ["p"], "vectors": [[1, 1]], "payloads": [{"a": 1, "b": {"c": 2, "c": 3}, "a": 4}]}'
    assert client.put(POINTS, content=body).status_code == 200
    assert stored(client, "p")["p"][1] == {"a": 4, "b": {"c": 3}}


@pytest.mark.parametrize("depth", [10, 100, 250])
def test_a_payload_may_be_nested_deep(plane, depth):
    client = plane()
    payload = orjson.loads('{"a":' * depth + "1" + "}" * depth)
    assert put_points(client, ["p"], [[1, 1]], payloads=[payload]).status_code == 200
    assert stored(client, "p")["p"][1] == payload


@pytest.mark.parametrize("depth", [252, 253, 254, 255, 256, 257, 600])
@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
def test_a_payload_nested_too_deep_is_refused_and_never_half_kept(plane, depth, opening, closing):
    client = plane()
    body = '{"ids":["p"],"vectors":[[1,1]],"payloads":[{"a":' + opening * depth + "1" + closing * depth + "}]}"
    answer = client.put(POINTS, content=body)
    assert answer.status_code in (200, 422)
    assert client.post(f"{POINTS}/get", json={"ids": ["p"]}).status_code == 200
    assert client.post(SEARCH, json={"vectors": [[1, 1]]}).status_code == 200


def test_a_point_without_payload_has_null(plane):
    client = plane()
    put_points(client, ["p", "q"], [[1, 1], [1, 2]], payloads=[None, {"a": 1}])
    assert [payload for _, payload in stored(client, "p", "q").values()] == [None, {"a": 1}]


def test_points_come_in_the_order_asked_and_the_missing_are_named(stocked):
    answer = get_points(stocked, "item-45", "nobody", "item-41")
    assert [point["id"] for point in answer["points"]] == ["item-45", "item-41"]
    assert answer["missing"] == ["nobody"]


def test_upsert_replaces_vector_and_payload(plane):
    client = plane()
    put_points(client, ["x"], [[5, 5]], payloads=[{"new": True}])
    assert stored(client, "x") == {"x": ([5, 5], {"new": True})}
    assert client.get("/v1/collections/things").json()["points"] == 3


def test_upsert_without_payload_drops_the_payload(plane):
    client = plane()
    put_points(client, ["x"], [[5, 5]], payloads=[{"old": True}])
    put_points(client, ["x"], [[5, 5]])
    assert stored(client, "x") == {"x": ([5, 5], None)}


def test_the_next_search_sees_an_upsert(plane):
    client = plane("ip")
    search(client, [[1, 1]])
    put_points(client, ["new"], [[100, 100]])
    assert found(search(client, [[1, 1]], k=1)) == [["new"]]


def test_the_next_search_does_not_see_the_replaced_vector(plane):
    client = plane("ip")
    put_points(client, ["z"], [[-1, -1]])
    assert found(search(client, [[1, 1]], k=3)) == [["y", "x", "z"]]


def test_delete_takes_points_out_and_passes_over_the_others(plane):
    client = plane()
    answer = client.post(f"{POINTS}/delete", json={"ids": ["y", "nobody", "y"]})
    assert (answer.status_code, answer.json()["points"]) == (200, 2)
    assert (answer.json()["deleted"], answer.json()["missing"]) == (1, ["nobody"])
    assert sorted(found(search(client, [[1, 1]]))[0]) == ["x", "z"]
    assert get_points(client, "y")["missing"] == ["y"]


def test_delete_of_absent_points_changes_nothing(plane):
    client = plane()
    before = client.get("/v1/collections/things").json()
    answer = client.post(f"{POINTS}/delete", json={"ids": ["nobody"]})
    assert answer.json() == {**before, "deleted": 0, "missing": ["nobody"]}


def test_a_deleted_point_can_be_put_again(plane):
    client = plane()
    client.post(f"{POINTS}/delete", json={"ids": ["x", "y", "z"]})
    put_points(client, ["x"], [[4, 4]])
    assert stored(client, "x", "y", "z") == {"x": ([4, 4], None)}


def test_points_added_and_deleted_again_are_gone(plane):
    client = plane("euclidean", vectors=())
    for first, last in ((0, 10), (10, 14), (14, 15)):
        put_points(client, list(range(first, last)), [[n, n] for n in range(first, last)])
    client.post(f"{POINTS}/delete", json={"ids": list(range(10, 15))})
    assert found(search(client, [[14, 14]], k=20)) == [list(range(9, -1, -1))]
    assert get_points(client, 10, 14)["missing"] == [10, 14]


def test_ids_twice_in_a_batch_are_422(plane, assert_problem):
    client = plane()
    problem = assert_problem(put_points(client, ["n", "m", "n"], [[1, 2]] * 3), 422, "invalid-input")
    assert "'n'" in problem["detail"]
    assert client.get("/v1/collections/things").json()["points"] == 3


@pytest.mark.parametrize("payload", [[1], "text", 3, True])
def test_a_payload_is_an_object(plane, payload, assert_problem):
    answer = put_points(plane(), ["n", "m"], [[1, 2]] * 2, payloads=[{}, payload])
    assert assert_problem(answer, 422, "invalid-input")["errors"][0]["pointer"].startswith("/payloads/1")


@pytest.mark.parametrize("payloads", [[], [{}], [{}] * 3])
def test_as_many_payloads_as_ids(plane, payloads, assert_problem):
    problem = assert_problem(
        put_points(plane(), ["n", "m"], [[1, 2]] * 2, payloads=payloads), 422, "invalid-input"
    )
    assert f"2 ids and {len(payloads)} payloads" in problem["detail"]


def test_a_zero_vector_under_cosine_is_422_with_the_row(plane, assert_problem):
    client = plane()
    problem = assert_problem(put_points(client, ["n", "m"], [[1, 2], [0, 0]]), 422, "invalid-vectors")
    assert problem["row"] == 1
    assert get_points(client, "n")["missing"] == ["n"]


@pytest.mark.parametrize("metric", ["ip", "euclidean"])
def test_a_zero_vector_under_another_metric_is_a_point(plane, metric):
    assert put_points(plane(metric), ["n"], [[0, 0]]).status_code == 200


def test_points_of_another_width_are_422_naming_both(stocked, assert_problem):
    problem = assert_problem(put_points(stocked, ["n"], [[1, 2, 3]]), 422, "wrong-dimension")
    assert (problem["expected"], problem["got"]) == ({"space": "b", "dim": 6}, {"dim": 3})


def test_points_can_be_put_as_npy(plane, npy):
    client = plane()
    answer = client.put(f"{POINTS}?ids=n&ids=m", content=npy(np.eye(2)), headers={"Content-Type": NPY})
    assert answer.json()["points"] == 5
    assert stored(client, "m") == {"m": ([0, 1], None)}


def test_one_point_can_be_put_as_npy(plane, npy):
    answer = plane().put(f"{POINTS}?ids=n", content=npy(np.ones((1, 2))), headers={"Content-Type": NPY})
    assert answer.json()["points"] == 4


def test_ids_beside_a_column_of_ids_are_422(plane, arrow, assert_problem):
    client, content = plane(), arrow(id=["n"], vector=[[1.0, 0.0]])
    answer = client.put(f"{POINTS}?ids=m", content=content, headers={"Content-Type": ARROW})
    assert assert_problem(answer, 422, "invalid-input")["got"] == ["ids"]
    answer = client.put(f"{POINTS}?ids=m", content=arrow(vector=[[1.0, 0.0]]), headers={"Content-Type": ARROW})
    assert answer.json()["points"] == 4


@pytest.mark.parametrize("payload", ['{"k": ["1", "é"]}', {"k": ["1", "é"]}], ids=["text", "struct"])
def test_points_can_be_put_as_arrow(plane, arrow, payload):
    client = plane()
    body = arrow(id=["n", "m"], vector=[[1.0, 0.0], [0.0, 1.0]], payload=[payload, None])
    assert client.put(POINTS, content=body, headers={"Content-Type": ARROW}).json()["points"] == 5
    assert stored(client, "n", "m") == {"n": ([1, 0], {"k": ["1", "é"]}), "m": ([0, 1], None)}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_hold_is_refused_and_not_made_null(plane, arrow, value):
    body = arrow(id=["n"], vector=[[1.0, 0.0]], payload=[{"k": value}])
    assert plane().put(POINTS, content=body, headers={"Content-Type": ARROW}).status_code in (400, 422)


@pytest.mark.parametrize(
    "value", [b"bytes", b"\xff", datetime.date(2024, 1, 1), Decimal("1.5"), datetime.timedelta(1)]
)
def test_a_payload_of_no_json_kind_is_refused(plane, arrow, value):
    body = arrow(id=["n"], vector=[[1.0, 0.0]], payload=[{"k": value}])
    assert plane().put(POINTS, content=body, headers={"Content-Type": ARROW}).status_code in (400, 422)


def test_points_are_there_after_a_restart(make_client):
    with make_client() as client:
        client.put("/v1/spaces/flat", json={"dim": 2})
        client.put("/v1/collections/things", json={"space": "flat"})
        put_points(client, ["x", "y"], [[1, 0], [0, 1]], payloads=[{"a": 1}, None])
        before = search(client, [[1, 2]]).json()
    with make_client() as client:
        assert search(client, [[1, 2]]).json() == before


# Search


def test_search_finds_the_points_themselves(stocked, data):
    assert found(search(stocked, data.new_b, k=1)) == [[id_] for id_ in data.new_ids]


def test_search_of_the_own_space_names_no_translator(stocked, data):
    answer = search(stocked, data.new_b[:1], space="b").json()
    assert (answer["translator"], answer["version"], answer["stale"]) == (None, None, None)
    assert (answer["path"], answer["score"]) == ([], "cosine")


def score_of(client, translator):
    """How it compares what it translated with stored vectors, as its report names it and as a function."""
    (artifact,) = client.app_state["services"].translators.named(translator).artifacts
    report = client.get(f"/v1/translators/{translator}").json()["report"]
    return report["score"]["name"], lambda *sides: artifact.score(*map(torch.tensor, sides)).numpy()


@pytest.mark.parametrize("way", [{"space": "a"}, {"translator": "t"}], ids=["space", "translator"])
@pytest.mark.parametrize("method", ["auto", "whitened", "ridge", "orthogonal"])
def test_translated_queries_are_scored_as_their_translator_does(stocked, data, way, method):
    stocked.put("/v1/translators/t", json={"source": "a", "target": "b", "method": method})
    answer = search(stocked, data.new_a, k=20, **way).json()
    name, score = score_of(stocked, "t")
    assert (answer["score"], answer["path"]) == (name, ["t"])
    body = {"translator": "t", "vectors": data.new_a.tolist()}
    translated = np.array(stocked.post("/v1/translate", json=body).json()["vectors"], np.float32)
    right = score(translated, data.new_b)
    for row, hits in enumerate(answer["results"]):
        of = dict(zip(data.new_ids, right[row], strict=True))
        np.testing.assert_allclose([hit["score"] for hit in hits], sorted(of.values(), reverse=True), atol=1e-4)
        np.testing.assert_allclose([hit["score"] for hit in hits], [of[hit["id"]] for hit in hits], atol=1e-4)


def test_a_translated_search_sees_upserts_and_deletes(stocked, data):
    search(stocked, data.new_a, k=1, space="a")
    stocked.post(f"{POINTS}/delete", json={"ids": data.new_ids[:10]})
    put_points(stocked, ["again", data.new_ids[10]], data.new_b[[0, 1]])
    hits = [row[0] for row in found(search(stocked, data.new_a[:2], k=1, space="a"))]
    assert hits == ["again", data.new_ids[10]]


@pytest.mark.parametrize("metric", ["ip", "euclidean"])
def test_a_translated_search_by_another_metric_is_scored_by_it(spaces, data, metric):
    spaces.put("/v1/collections/things", json={"space": "b", "metric": metric})
    put_points(spaces, data.new_ids, data.new_b)
    answer = search(spaces, data.new_a, k=20, space="a").json()
    body = {"source": "a", "target": "b", "vectors": data.new_a.tolist()}
    translated = np.array(spaces.post("/v1/translate", json=body).json()["vectors"])
    apart = np.linalg.norm(translated[:, None] - data.new_b[None], axis=2)
    right = translated @ data.new_b.T if metric == "ip" else apart
    assert answer["score"] == metric
    for row, hits in enumerate(answer["results"]):
        claimed = [right[row, data.new_ids.index(hit["id"])] for hit in hits]
        np.testing.assert_allclose([hit["score"] for hit in hits], claimed, rtol=1e-4, atol=1e-4)


def test_a_search_over_a_path_names_it(stocked, data):
    stocked.put("/v1/spaces/c/anchors", json={"ids": data.ids, "vectors": data.b[:, :3].tolist()})
    stocked.put("/v1/spaces/d", json={"dim": 3})
    anchors = {"ids": data.lonely, "vectors": data.c.tolist()}
    stocked.put("/v1/spaces/d/anchors", json=anchors)
    answer = search(stocked, data.c, space="d", k=1).json()
    assert (answer["translator"], answer["version"], answer["stale"]) == (None, None, False)
    assert answer["path"] == ["d-to-c-search", "c-to-b-search"]


def test_search_from_another_space_finds_the_counterparts(stocked, data):
    answer = search(stocked, data.new_a, k=1, space="a")
    assert found(answer) == [[id_] for id_ in data.new_ids]
    named = {"translator": "a-to-b-search", "version": 1, "stale": False}
    assert named.items() <= answer.json().items()


def test_search_by_translator_finds_the_counterparts(stocked, data):
    stocked.put("/v1/translators/t", json={"source": "a", "target": "b", "method": "ridge"})
    answer = search(stocked, data.new_a, k=1, translator="t")
    assert found(answer) == [[id_] for id_ in data.new_ids]
    assert answer.json()["translator"] == "t"


def test_space_and_translator_may_both_be_named_if_they_agree(stocked, data):
    stocked.put("/v1/translators/t", json={"source": "a", "target": "b"})
    assert search(stocked, data.new_a, space="a", translator="t").status_code == 200


@pytest.mark.parametrize(
    ("pair", "space"),
    [({"source": "b", "target": "a"}, None), ({"source": "a", "target": "b"}, "c")],
)
def test_a_translator_that_does_not_lead_here_is_422(stocked, data, pair, space, assert_problem):
    stocked.put("/v1/translators/t", json=pair)
    problem = assert_problem(search(stocked, data.new_a, translator="t", space=space), 422, "invalid-input")
    assert (problem["got"], problem["expected"]) == (pair, {"source": space, "target": "b"})


@pytest.mark.parametrize(("field", "name", "nearest"), [("space", "aa", ["a"]), ("translator", "tt", ["t"])])
def test_unknown_names_are_404_with_the_nearest(stocked, data, field, name, nearest, assert_problem):
    stocked.put("/v1/translators/t", json={"source": "a", "target": "b"})
    answer = search(stocked, data.new_a, **{field: name})
    assert assert_problem(answer, 404, "not-found")["nearest"] == nearest


def test_a_space_that_does_not_reach_is_422(stocked, data, assert_problem):
    problem = assert_problem(search(stocked, data.c, space="c"), 422, "no-shared-anchors")
    assert problem["got"] == {"source": 5, "target": 40, "shared": 0}


def test_queries_of_another_width_are_422_naming_both_and_the_translator(stocked, data, assert_problem):
    stocked.put("/v1/translators/t", json={"source": "a", "target": "b"})
    problem = assert_problem(search(stocked, data.new_a), 422, "wrong-dimension")
    assert (problem["expected"], problem["got"]) == ({"space": "b", "dim": 6}, {"dim": 4})
    assert problem["translators"] == ["t"]
    assert "'t' leads here from 'a'" in problem["detail"]


def test_queries_of_another_width_than_their_space_are_422(stocked, data, assert_problem):
    problem = assert_problem(search(stocked, data.new_b, space="a"), 422, "wrong-dimension")
    assert (problem["expected"]["space"], problem["expected"]["dim"], problem["got"]["dim"]) == ("a", 4, 6)


def test_a_zero_query_under_cosine_is_422_with_the_row(plane, assert_problem):
    problem = assert_problem(search(plane(), [[1, 0], [1, 1], [0, 0]]), 422, "invalid-vectors")
    assert problem["row"] == 2


@pytest.mark.parametrize("k", [0, -1, 4])
def test_k_outside_its_limit_is_422(make_client, k, assert_problem):
    with make_client(max_k=3) as client:
        client.put("/v1/spaces/flat", json={"dim": 2})
        client.put("/v1/collections/things", json={"space": "flat"})
        problem = assert_problem(search(client, [[1, 0]], k=k), 422, "over-limit")
    assert (problem["limit"], problem["got"]) == (3, k)


@pytest.mark.parametrize("k", ["1", 1.5, True, None])
def test_k_is_an_integer(plane, k, assert_problem):
    problem = assert_problem(search(plane(), [[1, 0]], k=k), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/k"


@pytest.mark.parametrize(("k", "count"), [(1, 1), (3, 3), (4, 3), (1000, 3)])
def test_at_most_k_hits_come(plane, k, count):
    assert [len(hits) for hits in found(search(plane(), [[1, 0], [0, 1]], k=k))] == [count, count]


def test_ten_hits_come_unless_k_is_given(stocked, data):
    assert [len(hits) for hits in found(search(stocked, data.new_b[:2]))] == [10, 10]


@pytest.mark.parametrize(
    ("metric", "order", "scores"),
    [
        ("cosine", ["x", "z", "y"], [1, 0.5**0.5, 0]),
        ("ip", ["z", "x", "y"], [6, 2, 0]),
        ("euclidean", ["x", "y", "z"], [1, 8**0.5, 10**0.5]),
    ],
)
def test_every_metric_has_its_order_and_scores(plane, metric, order, scores):
    hits = search(plane(metric), [[2, 0]]).json()["results"][0]
    assert [hit["id"] for hit in hits] == order
    np.testing.assert_allclose([hit["score"] for hit in hits], scores, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-25, 1e-15, 1e15])
def test_cosine_does_not_depend_on_length(plane, scale):
    client = plane(vectors=())
    put_points(client, ["x", "y"], [[1 * scale, 0], [1 * scale, 1 * scale]])
    scores = [hit["score"] for hit in search(client, [[1, 0]]).json()["results"][0]]
    np.testing.assert_allclose(scores, [1, 0.5**0.5], atol=1e-6)


@pytest.mark.parametrize("with_", [[], ["payload"], ["vector"], ["vector", "payload"]])
def test_hits_carry_what_was_asked_for(plane, with_):
    hit = search(plane(), [[1, 0]], **{"with": with_}).json()["results"][0][0]
    assert set(hit) == {"id", "score", *with_}


def test_hits_carry_their_payload_unless_told(stocked, data):
    hit = search(stocked, data.new_b[3:4]).json()["results"][0][0]
    assert (hit["id"], hit["payload"]) == ("item-43", {"number": 3})


def test_hits_carry_the_stored_vector(stocked, data):
    hit = search(stocked, data.new_b[3:4], k=1, **{"with": ["vector"]}).json()["results"][0][0]
    np.testing.assert_array_equal(np.array(hit["vector"], np.float32), data.new_b[3])


def test_hits_cannot_carry_anything_else(plane, assert_problem):
    problem = assert_problem(search(plane(), [[1, 0]], **{"with": ["payload", "score"]}), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/with/1"


@pytest.mark.parametrize("accept", ["application/json", ARROW])
def test_an_empty_collection_finds_nothing(plane, accept):
    client = plane(vectors=())
    client.post(f"{POINTS}/delete", json={"ids": ["x"]})
    answer = client.post(SEARCH, json={"vectors": [[1, 0]]}, headers={"Accept": accept})
    assert answer.status_code == 200


def test_queries_can_be_npy(stocked, npy, data):
    answer = stocked.post(f"{SEARCH}?space=a&k=1", content=npy(data.new_a), headers={"Content-Type": NPY})
    assert found(answer) == [[id_] for id_ in data.new_ids]


def test_queries_can_be_arrow(stocked, arrow, data):
    body = arrow(vector=list(data.new_a))
    answer = stocked.post(f"{SEARCH}?space=a&k=1", content=body, headers={"Content-Type": ARROW})
    assert found(answer) == [[id_] for id_ in data.new_ids]


def test_an_answer_as_arrow_has_one_row_a_hit(stocked, read_arrow, data):
    wanted = search(stocked, data.new_a[:2], k=3, space="a").json()
    body = {"vectors": data.new_a[:2].tolist(), "k": 3, "space": "a"}
    table = read_arrow(stocked.post(SEARCH, json=body, headers={"Accept": ARROW}))
    hits = [hit for hits in wanted["results"] for hit in hits]
    assert table["query"].to_pylist() == [0, 0, 0, 1, 1, 1]
    assert table["id"].to_pylist() == [hit["id"] for hit in hits]
    assert [orjson.loads(payload) for payload in table["payload"].to_pylist()] == [hit["payload"] for hit in hits]
    np.testing.assert_allclose(table["score"].to_pylist(), [hit["score"] for hit in hits], rtol=1e-6)


def test_an_answer_as_arrow_carries_vectors_and_names_the_translator(stocked, read_arrow, data):
    body = {"vectors": data.new_a[:1].tolist(), "k": 1, "space": "a", "with": ["vector"]}
    table = read_arrow(stocked.post(SEARCH, json=body, headers={"Accept": ARROW}))
    assert table.column_names == ["query", "id", "score", "vector"]
    np.testing.assert_array_equal(table["vector"].to_pylist(), data.new_b[:1])
    assert orjson.loads(table.schema.metadata[b"translator"]) == "a-to-b-search"


def test_search_is_not_answered_as_npy(stocked, data, assert_problem):
    body = {"vectors": data.new_b.tolist()}
    answer = stocked.post(SEARCH, json=body, headers={"Accept": NPY})
    assert_problem(answer, 406, "not-acceptable")


def test_more_rows_than_the_limit_are_413(make_client, assert_problem):
    with make_client(max_rows=2) as client:
        answer = client.post(SEARCH, json={"vectors": [[1]] * 3})
    assert_problem(answer, 413, "too-many-rows")


# Indexes


def test_a_collection_has_the_index_that_suits_its_size_unless_one_is_named(spaces):
    spaces.put("/v1/collections/things", json={"space": "b"})
    spaces.put("/v1/collections/others", json={"space": "b", "index": "hnsw"})
    assert [spaces.get(f"/v1/collections/{name}").json()["index"] for name in ("things", "others")] == [
        "auto",
        "hnsw",
    ]


@pytest.mark.parametrize("index", INDEXES)
def test_the_index_may_change_under_points_and_the_same_are_found(stocked, data, index):
    before = search(stocked, data.new_b, k=3).json()["results"]
    version = stocked.get("/v1/collections/things").json()["version"]
    answer = stocked.put("/v1/collections/things", json={"space": "b", "index": index})
    assert (answer.status_code, answer.json()["index"], answer.json()["version"]) == (200, index, version + 1)
    assert answer.json()["points"] == 20
    assert search(stocked, data.new_b, k=3).json()["results"] == before


def test_the_status_of_an_index_comes_with_its_collection(stocked, data):
    search(stocked, data.new_b[:1])
    status = stocked.get("/v1/collections/things").json()["index_status"]
    assert (status["kind"], status["state"], status["fault"]) == ("exact", "exact", None)


def test_before_a_collection_is_in_memory_its_index_has_no_status(spaces):
    assert spaces.put("/v1/collections/things", json={"space": "b"}).json()["index_status"] is None


def test_an_unknown_index_is_422_with_the_choices(spaces, assert_problem):
    answer = spaces.put("/v1/collections/things", json={"space": "a", "index": "lsh"})
    assert assert_problem(answer, 422, "invalid-input")["expected"] == ["auto", *INDEXES]
