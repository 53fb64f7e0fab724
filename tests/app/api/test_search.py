"""Searches with filters, thresholds, calibrated scores, confidence and explanations; and reranking."""

from base64 import b64encode

import numpy as np
import orjson
import pytest
import torch

from app.api.schemas.filters import CONDITIONS, MATCHES, OPERATORS
from app.service.columns import COLUMNS

NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"
COLLECTION = "/v1/collections/things"
COLOURS = ("red", "green", "blue")
RED = {"must": [{"key": "colour", "match": {"value": "red"}}]}
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def put(client, ids, vectors, name="things", **fields):
    body = {"ids": ids, "vectors": np.asarray(vectors).tolist(), **fields}
    answer = client.put(f"/v1/collections/{name}/points", json=body)
    assert answer.status_code == 200, answer.text


def ask(client, vectors, path="search", **fields):
    return client.post(f"{COLLECTION}/{path}", json={"vectors": np.asarray(vectors).tolist(), **fields})


def answered(client, vectors, **fields):
    answer = ask(client, vectors, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer):
    return [[hit["id"] for hit in hits] for hits in answer["results"]]


def values(answer, name="score"):
    return [[hit[name] for hit in hits] for hits in answer["results"]]


def cosines(queries, vectors):
    queries, vectors = (np.asarray(x, np.float64) for x in (queries, vectors))
    return (queries / np.linalg.norm(queries, axis=1)[:, None]) @ (
        vectors / np.linalg.norm(vectors, axis=1)[:, None]
    ).T


def put_coloured(client, data, metric="cosine"):
    """20 points of b in turn red, green and blue."""
    client.put(COLLECTION, json={"space": "b", "metric": metric})
    payloads = [{"colour": COLOURS[number % 3], "number": number} for number in range(20)]
    put(client, data.new_ids, data.new_b, payloads=payloads)
    return client


@pytest.fixture
def coloured(spaces, data):
    return put_coloured(spaces, data)


@pytest.fixture
def coloured_anywhere(anywhere, data):
    """Over every class of store."""
    return put_coloured(anywhere, data)


# Filters


@pytest.mark.parametrize("k", [1, 3, 7, 20])
def test_a_filter_leaves_k_hits_wherever_there_are_k(coloured_anywhere, data, k):
    answer = answered(coloured_anywhere, data.new_b, k=k, filter=RED)
    right = cosines(data.new_b, data.new_b[::3])
    for row, (found, scores) in enumerate(zip(ids(answer), values(answer), strict=True)):
        assert {*found} <= {*data.new_ids[::3]}
        np.testing.assert_allclose(scores, -np.sort(-right[row])[:k], **CLOSE)


@pytest.mark.parametrize("k", [1, 20])
def test_a_filter_holds_for_translated_queries(coloured, data, k):
    everything = answered(coloured, data.new_a, k=20, space="a")
    answer = answered(coloured, data.new_a, k=k, space="a", filter=RED)
    for row, hits in enumerate(everything["results"]):
        red = [hit for hit in hits if hit["payload"]["colour"] == "red"][:k]
        assert ids(answer)[row] == [hit["id"] for hit in red]
        np.testing.assert_allclose(values(answer)[row], [hit["score"] for hit in red], **CLOSE)


def test_the_next_search_sees_the_payload_that_was_written(coloured_anywhere, data):
    assert data.new_ids[1] not in ids(answered(coloured_anywhere, data.new_b[1:2], k=20, filter=RED))[0]
    put(coloured_anywhere, data.new_ids[1:2], data.new_b[1:2], payloads=[{"colour": "red"}])
    assert ids(answered(coloured_anywhere, data.new_b[1:2], k=1, filter=RED)) == [[data.new_ids[1]]]


FILTERS = [
    ({"must": [{"key": "number", "range": {"gte": 5, "lt": 8}}]}, {5, 6, 7}),
    ({"must": [{"key": "colour", "in": ["red", "blue"]}, {"key": "number", "range": {"lt": 4}}]}, {0, 2, 3}),
    ({"should": [{"key": "number", "match": {"any": [1, 4.0]}}, {"key": "number", "in": [9]}]}, {1, 4, 9}),
    ({"must": [{"key": "colour", "prefix": "gr"}], "must_not": [{"key": "number", "range": {"gte": 7}}]}, {1, 4}),
    ({"must": [{"key": "colour", "match": {"except": ["red", "green"]}}]}, {*range(2, 20, 3)}),
    ({"must": [{"must_not": [{"key": "number", "range": {"gt": 0}}]}]}, {0}),
    ({"must": [{"key": "shape", "exists": False}, {"key": "number", "match": {"value": 3}}]}, {3}),
    ({"must": [{"key": "shape", "exists": True}]}, set()),
    ({}, {*range(20)}),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "numbers"), FILTERS)
def test_filters_in_qdrants_shape(coloured, data, wanted, numbers):
    (found,) = ids(answered(coloured, data.new_b[:1], k=20, filter=wanted))
    assert {int(id_.removeprefix("item-")) - 40 for id_ in found} == numbers


@pytest.mark.parametrize("media_type", [NPY, ARROW])
def test_beside_a_binary_body_a_filter_is_json_text(coloured, data, npy, arrow, media_type):
    body = npy(data.new_b) if media_type == NPY else arrow(vector=list(data.new_b))
    answer = coloured.post(
        f"{COLLECTION}/search",
        content=body,
        params={"k": 20, "filter": orjson.dumps(RED).decode(), "explain": "true", "with": ["payload", "vector"]},
        headers={"Content-Type": media_type},
    )
    assert answer.json() | {"explain": 0} == answered(
        coloured, data.new_b, k=20, filter=RED, **{"with": ["payload", "vector"]}
    ) | {"explain": 0}


@pytest.mark.parametrize(
    "filter_", ['{"must": [], "must": []}', '{"must": [{"key": "n", "key": "m", "exists": true}]}']
)
def test_a_filter_says_nothing_twice(coloured, data, npy, assert_problem, filter_):
    said = "stands twice in one JSON object"
    answer = coloured.post(f"{COLLECTION}/search", content=f'{{"vectors": [[1]], "filter": {filter_}}}')
    assert said in assert_problem(answer, 400, "malformed-body")["detail"]
    params, headers = {"filter": filter_}, {"Content-Type": NPY}
    answer = coloured.post(f"{COLLECTION}/search", content=npy(data.new_b), params=params, headers=headers)
    assert said in assert_problem(answer, 400, "malformed-body")["detail"]


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "1" * 200])
def test_a_whole_number_of_a_filter_is_within_64_bits(coloured, data, npy, assert_problem, number):
    filter_ = f'{{"must": [{{"key": "number", "match": {{"value": {number}}}}}]}}'
    answer = coloured.post(f"{COLLECTION}/search", content=f'{{"vectors": [[1]], "filter": {filter_}}}')
    assert "within 64 bits" in assert_problem(answer, 422, "invalid-input")["detail"]
    params, headers = {"filter": filter_}, {"Content-Type": NPY}
    answer = coloured.post(f"{COLLECTION}/search", content=npy(data.new_b), params=params, headers=headers)
    assert "within 64 bits" in assert_problem(answer, 422, "invalid-input")["detail"]


# (filter, where it is wrong, what is said)
BAD = [
    ({"must": [{"key": "n", "near": 1}]}, "/must/0", str(list(OPERATORS))),
    ({"must": [{"key": "n", "geo_radius": {}}]}, "/must/0", "geo_radius"),
    ({"must": [{"key": "n"}]}, "/must/0", str(list(OPERATORS))),
    ({"must": [{"key": "n", "match": {"value": 1}, "range": {"gt": 1}}]}, "/must/0", "['match', 'range']"),
    ({"must": [{}, {"must": [{"key": "n", "contains": 1}]}]}, "/must/1/must/0", "contains"),
    ({"must": [{"match": {"value": 1}}]}, "/must/0/key", "must be given"),
    ({"must": [{"key": "", "exists": True}]}, "/must/0/key", "length 1 or more, got ''"),
    ({"must": [{"key": "n", "match": {"text": "x"}}]}, "/must/0/match", str(list(MATCHES))),
    ({"must": [{"key": "n", "match": 3}]}, "/must/0/match", "got 3"),
    ({"must": [{"key": "n", "match": {"value": None}}]}, "/must/0/match/value", "got null"),
    ({"must": [{"key": "n", "match": {"value": [1]}}]}, "/must/0/match/value", "an array of length 1"),
    ({"must": [{"key": "n", "match": {"any": 1}}]}, "/must/0/match/any", "an array, got 1"),
    ({"must": [{"key": "n", "in": "red"}]}, "/must/0/in", "an array, got 'red'"),
    ({"must": [{"key": "n", "in": ["a", {}]}]}, "/must/0/in/1", "an object of length 0"),
    ({"must": [{"key": "n", "range": {}}]}, "/must/0/range", "1 or more, got an object of length 0"),
    ({"must": [{"key": "n", "range": {"from": 1}}]}, "/must/0/range/from", "'gte'"),
    ({"must": [{"key": "n", "range": {"gt": True}}]}, "/must/0/range/gt", "got true"),
    ({"must": [{"key": "n", "range": {"gt": None}}]}, "/must/0/range/gt", "got null"),
    ({"must": [{"key": "n", "range": {"gt": 1, "lt": "2"}}]}, "/must/0/range", "all numbers or all texts"),
    ({"must": [{"key": "n", "exists": "yes"}]}, "/must/0/exists", "true or false, got 'yes'"),
    ({"must": [{"key": "n", "prefix": 1}]}, "/must/0/prefix", "a text, got 1"),
    ({"must": {"key": "n", "exists": True}}, "/must", "an array, got an object"),
    ({"key": "n", "match": {"value": 1}}, "", "['must', 'should', 'must_not']"),
    ({"must": [], "min_should": {}}, "", "min_should"),
    ({"must": ["n"]}, "/must/0", "'n'"),
    ([], "", "an object, got an array"),
    ("{}", "", "an object, got '{}'"),
    ({"should": [{"key": "n", "exists": True}] * (CONDITIONS + 1)}, "", str(CONDITIONS)),
    ({"must": [{}] * (CONDITIONS + 1)}, "", str(CONDITIONS)),
    ({"must": [{"key": f"n{number}", "exists": True} for number in range(COLUMNS + 1)]}, "", str(COLUMNS)),
]


@pytest.mark.parametrize(
    "clauses", [[{}] * CONDITIONS, [{"key": f"n{i}", "exists": False} for i in range(COLUMNS)]]
)
def test_a_filter_may_have_so_many_parts_and_keys(coloured, data, clauses):
    assert ask(coloured, data.new_b[:1], filter={"must": clauses}).status_code == 200


@pytest.mark.parametrize(("wanted", "pointer", "said"), BAD)
def test_a_bad_filter_is_422_and_says_where_and_what(coloured, data, wanted, pointer, said, assert_problem):
    problem = assert_problem(ask(coloured, data.new_b[:1], filter=wanted), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == f"/filter{pointer}"
    assert said in problem["errors"][0]["message"]


@pytest.mark.parametrize("path", ["points/list", "points/count", "points/delete"])
def test_a_bad_filter_is_422_everywhere(coloured, path, assert_problem):
    answer = coloured.post(f"{COLLECTION}/{path}", json={"filter": {"must": [{"key": "n", "near": 1}]}})
    assert str(list(OPERATORS)) in assert_problem(answer, 422, "invalid-input")["detail"]


@pytest.mark.parametrize("text", ["x", "{", "[]", '{"must": [{"key": "n", "near": 1}]}', '"{}"', ""])
def test_a_bad_filter_in_a_query_parameter_is_422(coloured, data, npy, text, assert_problem):
    answer = coloured.post(
        f"{COLLECTION}/search", content=npy(data.new_b), params={"filter": text}, headers={"Content-Type": NPY}
    )
    assert_problem(answer, 422, "invalid-input")


@pytest.mark.parametrize(
    ("depth", "status"), [(99, 200), (100, 422), (253, 422), (300, 422), (600, 400), (2000, 400)]
)
def test_a_filter_may_be_nested_but_not_without_end(coloured, data, depth, status):
    text = '{"must_not":[' * depth + "{}" + "]}" * depth
    answer = coloured.post(f"{COLLECTION}/search", content=f'{{"vectors":[[1,1,1,1,1,1]],"filter":{text}}}')
    assert answer.status_code == status


# Limits


def test_an_answer_has_no_more_bytes_than_the_settings_allow(make_client, data, assert_problem):
    query, names = data.new_b[:2], data.new_ids
    size = data.new_b[0].astype(np.float32).nbytes
    with make_client(max_answer_bytes=6 * size) as client:
        anchors = {"ids": data.ids, "vectors": data.b.tolist()}
        client.put("/v1/spaces/b", json={"dim": data.b.shape[1], "anchors": anchors})
        put_coloured(client, data)
        assert ask(client, query, k=3, **{"with": ["vector"]}).status_code == 200
        assert ask(client, query, k=20, **{"with": []}).status_code == 200
        candidates = {"ids": names, "vectors": data.new_b.tolist()}
        for answer in (
            ask(client, query, k=4, **{"with": ["vector"]}),
            ask(client, query, "rerank", k=4, candidates=candidates, **{"with": ["vector"]}),
            client.post(f"{COLLECTION}/points/list", json={"limit": 8, "with": ["vector"]}),
            client.post(f"{COLLECTION}/points/get", json={"ids": names[:8], "with": ["vector"]}),
        ):
            problem = assert_problem(answer, 422, "over-limit")
            assert (problem["limit"], problem["got"]) == (6 * size, 8 * size)
        over = ask(client, query, k=20, **{"with": ["payload"]})
        assert "payload" in assert_problem(over, 422, "over-limit")["detail"]


# Thresholds


@pytest.mark.parametrize(
    ("metric", "threshold", "found"),
    [
        ("cosine", 0.7, ["x", "z"]),
        ("cosine", 1.5, []),
        ("ip", 2, ["z", "x"]),
        ("euclidean", 8**0.5 + 1e-5, ["x", "y"]),
        ("euclidean", 0, []),
    ],
)
def test_hits_must_reach_the_threshold(client, metric, threshold, found):
    client.put("/v1/spaces/flat", json={"dim": 2})
    client.put(COLLECTION, json={"space": "flat", "metric": metric})
    put(client, [*"xyz"], [[1, 0], [0, 2], [3, 3]])
    assert ids(answered(client, [[2, 0]], threshold=threshold)) == [found]


@pytest.mark.parametrize("threshold", ["x", True, [1]])
def test_a_threshold_is_a_number(coloured, data, threshold, assert_problem):
    problem = assert_problem(ask(coloured, data.new_b[:1], threshold=threshold), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/threshold"


# Calibrated scores


CALIBRATED = {"with": ["calibrated_score"]}


def calibration(client, translator):
    (artifact,) = client.app_state["services"].translators.named(translator).artifacts
    return lambda scores: artifact.calibration(torch.tensor(scores)).numpy()


@pytest.mark.parametrize("metric", ["cosine", "ip", "euclidean"])
def test_of_native_queries_the_calibrated_score_is_the_score(spaces, data, metric):
    answer = answered(put_coloured(spaces, data, metric), data.new_b, **CALIBRATED)
    assert values(answer, "calibrated_score") == values(answer)


@pytest.fixture
def corrected(coloured, data):
    """With a translator t of rough anchors, whose scores are corrected for hubs and so far from native ones."""
    rough = data.a + np.random.default_rng(0).standard_normal(data.a.shape)
    coloured.put("/v1/spaces/a/anchors", json={"ids": data.ids, "vectors": rough.tolist()})
    made = coloured.put("/v1/translators/t", json={"source": "a", "target": "b", "method": "ridge"}).json()
    assert any(part["csls"] for part in made["report"]["score"]["parts"])
    return coloured


def test_translated_scores_are_calibrated_by_their_translator(corrected, data):
    answer = answered(corrected, data.new_a, k=20, translator="t", **CALIBRATED)
    right = calibration(corrected, "t")(values(answer))
    np.testing.assert_allclose(values(answer, "calibrated_score"), right, **CLOSE)


def test_calibrated_scores_are_nearer_to_native_ones(corrected, data):
    native = np.sort(np.ravel(values(answered(corrected, data.new_b, k=20))))
    answer = answered(corrected, data.new_a, k=20, translator="t", **CALIBRATED)
    plain, calibrated = (
        np.abs(np.sort(np.ravel(values(answer, name))) - native).mean() for name in ("score", "calibrated_score")
    )
    assert calibrated < 0.2 * plain


@pytest.mark.parametrize(("name", "fields"), [("score", {}), ("calibrated_score", CALIBRATED)])
def test_a_threshold_is_of_the_score_or_of_the_calibrated_one_if_that_is_asked_for(corrected, data, name, fields):
    everything = answered(corrected, data.new_a, k=20, translator="t", **fields)
    answer = answered(corrected, data.new_a, k=20, translator="t", threshold=0.8, **fields)
    kept = [[hit for hit in hits if hit[name] >= 0.8] for hits in everything["results"]]
    assert answer["results"] == kept
    assert 0 < sum(map(len, kept)) < 400


@pytest.fixture
def chain(spaces, data):
    """`things` of b, which d reaches over c alone."""
    spaces.put("/v1/spaces/c/anchors", json={"ids": data.ids, "vectors": data.b[:, :3].tolist()})
    spaces.put("/v1/spaces/d", json={"dim": 3})
    spaces.put("/v1/spaces/d/anchors", json={"ids": data.lonely, "vectors": data.c.tolist()})
    return put_coloured(spaces, data)


@pytest.fixture
def uncalibrated(request, spaces, data):
    """A client, queries of another space without calibration, and what is said of that."""
    if request.param == "path":
        return request.getfixturevalue("chain"), data.c, "d", "in a row"
    if request.param == "few":
        for name, vectors in (("e", data.a), ("f", data.b)):
            anchors = {"ids": data.ids[:6], "vectors": vectors[:6].tolist()}
            spaces.put(f"/v1/spaces/{name}", json={"dim": vectors.shape[1], "anchors": anchors})
        spaces.put(COLLECTION, json={"space": "f"})
        put(spaces, data.new_ids, data.new_b)
        return spaces, data.new_a, "e", "too few anchors"
    return put_coloured(spaces, data, request.param), data.new_a, "a", request.param


no_calibration = pytest.mark.parametrize("uncalibrated", ["path", "few", "ip", "euclidean"], indirect=True)


@no_calibration
def test_without_a_calibration_the_calibrated_score_is_null_and_explained(uncalibrated):
    client, queries, space, said = uncalibrated
    answer = answered(client, queries[:2], k=3, space=space, explain=True, **CALIBRATED)
    assert values(answer, "calibrated_score") == [[None] * 3] * 2
    assert said in answer["explain"]["uncalibrated"]


@no_calibration
def test_without_a_calibration_a_threshold_of_calibrated_scores_is_422(uncalibrated, assert_problem):
    client, queries, space, said = uncalibrated
    answer = ask(client, queries[:2], space=space, threshold=0.5, **CALIBRATED)
    assert said in assert_problem(answer, 422, "invalid-input")["detail"]


# Confidence


def test_confidence_is_that_of_the_translation(coloured, data):
    answer = answered(coloured, data.new_a, space="a", **{"with": ["confidence"]})
    body = {"translator": "a-to-b-search", "vectors": data.new_a.tolist(), "confidence": True}
    right = coloured.post("/v1/translate", json=body).json()["confidence"]
    np.testing.assert_allclose(answer["confidence"], right, **CLOSE)
    assert {*answer["results"][0][0]} == {"id", "score"}


def test_native_queries_have_no_confidence_to_tell(coloured, data):
    assert answered(coloured, data.new_b, **{"with": ["confidence"]})["confidence"] is None


def test_nobody_gets_a_confidence_or_an_explanation_who_did_not_ask(coloured, data):
    assert {"confidence", "explain"}.isdisjoint(answered(coloured, data.new_a, space="a"))


# Metrics


@pytest.mark.parametrize("metric", ["ip", "euclidean"])
def test_other_metrics_use_what_reconstructs(spaces, data, metric):
    answer = answered(put_coloured(spaces, data, metric), data.new_a, k=20, space="a")
    assert (answer["translator"], answer["score"]) == ("a-to-b", metric)
    body = {"translator": "a-to-b", "vectors": data.new_a.tolist()}
    translated = np.array(spaces.post("/v1/translate", json=body).json()["vectors"])
    apart = np.linalg.norm(translated[:, None] - data.new_b[None], axis=2)
    right = -translated @ data.new_b.T if metric == "ip" else apart
    np.testing.assert_allclose(np.abs(values(answer)), np.abs(np.sort(right, axis=1)), rtol=1e-4, atol=1e-3)


# Explanations


def test_a_translated_search_is_explained(coloured, data):
    answer = answered(coloured, data.new_a, k=5, space="a", filter=RED, explain=True)
    explained = answer["explain"]
    report = coloured.get("/v1/translators/a-to-b-search").json()["report"]
    step = {"name": "a-to-b-search", "version": 1, "method": report["method"]}
    assert explained["translators"] == [step]
    assert explained["score"] == answer["score"] == report["score"]["name"]
    assert explained["uncalibrated"] is None
    assert explained["filter"] == {"matching": 7, "points": 20, "selectivity": 0.35}
    assert (explained["index"], explained["fetched"]) == ("exact", 7)  # all that match, as k and a margin are more
    assert explained["recall_at_10"] is None
    assert {*explained["milliseconds"]} == {"translate", "statistics", "filter", "search"}
    assert min(explained["milliseconds"].values()) > 0


def test_a_native_search_is_explained(coloured, data):
    explained = answered(coloured, data.new_b, explain=True)["explain"]
    assert (explained["translators"], explained["score"], explained["filter"]) == ([], "cosine", None)


def test_every_step_of_a_path_is_explained(chain, data):
    explained = answered(chain, data.c, space="d", explain=True)["explain"]
    assert [step["name"] for step in explained["translators"]] == ["d-to-c-search", "c-to-b-search"]


def test_an_empty_collection_is_explained(spaces):
    spaces.put(COLLECTION, json={"space": "c"})
    explained = answered(spaces, [[1, 2, 3]], filter=RED, explain=True)["explain"]
    assert explained["filter"] == {"matching": 0, "points": 0, "selectivity": 0}


# Answers as Arrow


def test_an_answer_as_arrow_carries_everything(coloured, data, read_arrow):
    everything = ["payload", "vector", "origin", "calibrated_score", "confidence"]
    fields = {"space": "a", "k": 3, "filter": RED, "with": everything, "explain": True}
    right = answered(coloured, data.new_a[:2], **fields)
    body = {"vectors": data.new_a[:2].tolist(), **fields}
    table = read_arrow(coloured.post(f"{COLLECTION}/search", json=body, headers={"Accept": ARROW}))
    assert table.column_names == ["query", "id", "score", "calibrated_score", "payload", "vector", "origin"]
    for name in ("id", "score", "calibrated_score", "vector"):
        flat = [value for row in values(right, name) for value in row]
        assert table[name].to_pylist() == (
            flat
            if name == "id"
            else pytest.approx(np.array(flat))
            if name != "vector"
            else [pytest.approx(v) for v in flat]
        )
    metadata = {key.decode(): orjson.loads(value) for key, value in table.schema.metadata.items()}
    assert metadata["confidence"] == pytest.approx(right["confidence"])
    assert metadata["explain"]["filter"] == right["explain"]["filter"]


def test_no_hits_as_arrow_are_no_rows(coloured, data, read_arrow):
    body = {"vectors": data.new_b[:2].tolist(), "threshold": 5, "with": ["confidence", "vector"]}
    table = read_arrow(coloured.post(f"{COLLECTION}/search", json=body, headers={"Accept": ARROW}))
    assert (table.num_rows, table.column_names) == (0, ["query", "id", "score"])


# Reranking


def candidates(ids_, vectors):
    return {"ids": list(ids_), "vectors": np.asarray(vectors).tolist()}


@pytest.mark.parametrize("metric", ["cosine", "ip", "euclidean"])
def test_candidates_are_scored_exactly_in_the_space_of_the_queries(spaces, data, metric):
    put_coloured(spaces, data, metric)
    answer = ask(
        spaces, data.new_a, "rerank", space="a", k=20, candidates=candidates(data.new_ids, data.new_a)
    ).json()
    a = data.new_a.astype(np.float64)
    right = {
        "cosine": cosines(a, a),
        "ip": a @ a.T,
        "euclidean": -np.linalg.norm(a[:, None] - a[None], axis=2),
    }[metric]
    order = np.argsort(-right, axis=1)
    assert (answer["score"], answer["missing"]) == (metric, [])
    np.testing.assert_allclose(
        np.abs(values(answer)), np.abs(np.take_along_axis(right, order, 1)), rtol=1e-4, atol=1e-3
    )
    assert ids(answer) == [[data.new_ids[row] for row in rows] for rows in order]


def test_two_calls_are_better_than_one(coloured, data):
    """Candidates of a translated search, their items embedded by the queries' own model."""
    queries = data.new_a + 0.1 * np.random.default_rng(5).standard_normal(data.new_a.shape).astype(np.float32)
    found = sorted({id_ for row in ids(answered(coloured, queries, k=5, space="a")) for id_ in row})
    native = np.array([data.new_a[data.new_ids.index(id_)] for id_ in found])
    answer = ask(coloured, queries, "rerank", space="a", k=1, candidates=candidates(found, native)).json()
    best = cosines(queries, data.new_a).argmax(1)
    assert ids(answer) == [[data.new_ids[row]] for row in best]


def test_without_a_space_candidates_are_of_the_collections_own(coloured, data):
    answer = ask(coloured, data.new_b[:2], "rerank", k=1, candidates=candidates(data.new_ids[:5], data.new_b[:5]))
    assert ids(answer.json()) == [[data.new_ids[0]], [data.new_ids[1]]]


def test_candidates_that_are_no_points_are_named_and_left_out(coloured, data):
    asked = candidates(["gone", data.new_ids[3]], data.new_b[[0, 3]])
    answer = ask(coloured, data.new_b[:1], "rerank", candidates=asked).json()
    assert (answer["missing"], ids(answer)) == (["gone"], [[data.new_ids[3]]])
    none = ask(coloured, data.new_b[:1], "rerank", candidates=candidates(["gone"], data.new_b[:1])).json()
    assert (none["missing"], ids(none)) == (["gone"], [[]])


def test_reranked_hits_carry_what_was_asked_for(coloured, data, read_arrow):
    body = {"vectors": data.new_b[:1].tolist(), "candidates": candidates(data.new_ids[:2], data.new_b[:2]), "k": 1}
    (hit,) = coloured.post(f"{COLLECTION}/rerank", json=body).json()["results"][0]
    assert (hit["id"], hit["payload"]) == (data.new_ids[0], {"colour": "red", "number": 0})
    body["with"] = ["vector", "origin"]
    answer = coloured.post(f"{COLLECTION}/rerank", json=body, headers={"Accept": ARROW})
    assert read_arrow(answer).column_names == ["query", "id", "score", "vector", "origin"]


def test_candidates_may_be_base64(coloured, data):
    packed = {
        "base64": b64encode(data.new_b[:3].astype("<f4").tobytes()).decode(),
        "shape": [3, 6],
    }
    asked = {"ids": data.new_ids[:3], "vectors": packed}
    answer = coloured.post(
        f"{COLLECTION}/rerank", json={"vectors": data.new_b[:3].tolist(), "candidates": asked, "k": 1}
    )
    assert ids(answer.json()) == [[id_] for id_ in data.new_ids[:3]]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"candidates": {"ids": ["x"], "vectors": [[1, 2]]}}, 422, "wrong-dimension"),
        ({"vectors": [[1, 2]]}, 422, "wrong-dimension"),
        ({"space": "a"}, 422, "wrong-dimension"),
        ({"space": "nobody"}, 404, "not-found"),
        ({"candidates": {"ids": ["x"], "vectors": [[0] * 6]}}, 422, "invalid-vectors"),
        ({"vectors": [[0] * 6]}, 422, "invalid-vectors"),
        ({"candidates": {"ids": ["x", "x"], "vectors": [[1] * 6] * 2}}, 422, "invalid-input"),
        ({"candidates": {"ids": ["x", "y"], "vectors": [[1] * 6]}}, 422, "invalid-input"),
        ({"candidates": {"ids": ["x"], "vectors": [[1] * 5 + [float("nan")]]}}, 422, "invalid-vectors"),
        ({"candidates": {"ids": ["x"]}}, 422, "invalid-input"),
        ({"candidates": []}, 422, "invalid-input"),
        ({"k": 1001}, 422, "over-limit"),
        ({"k": 0}, 422, "over-limit"),
    ],
)
def test_a_bad_rerank_is_refused(coloured, change, status, code, assert_problem):
    body = {"vectors": [[1] * 6], "candidates": {"ids": ["x"], "vectors": [[1] * 6]}, **change}
    text = orjson.dumps(body) if "nan" not in str(body) else str(body).replace("'", '"').replace("nan", "NaN")
    assert_problem(coloured.post(f"{COLLECTION}/rerank", content=text), status, code)


def test_more_candidates_than_rows_are_allowed_are_413(make_client, assert_problem):
    with make_client(max_rows=2) as client:
        body = {"vectors": [[1]], "candidates": candidates("xyz", [[1]] * 3)}
        assert_problem(client.post(f"{COLLECTION}/rerank", json=body), 413, "too-many-rows")


@pytest.mark.parametrize("path", ["rerank", "points/list", "points/count"])
def test_an_unknown_collection_is_404(coloured, path, assert_problem):
    body = {"vectors": [[1]], "candidates": candidates("x", [[1]])} if path == "rerank" else {}
    assert_problem(coloured.post(f"/v1/collections/thing/{path}", json=body), 404, "not-found")
