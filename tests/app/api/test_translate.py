"""POST /v1/translate in every body and answer format, against the product that it stands for."""

from base64 import b64decode, b64encode
from urllib.parse import urlencode

import numpy as np
import orjson
import pytest
from safetensors.numpy import load

JSON = "application/json"
NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"
BY_PAIR = {"source": "a", "target": "b"}
BY_NAME = {"translator": "t"}
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def fitted(spaces):
    """`spaces` with a translator t from a to b, the only one."""
    spaces.put("/v1/translators/t", json=BY_PAIR)
    return spaces


@pytest.fixture
def product(linked, data):
    """x W + b of the new items, from the stored map, in double precision."""
    services = linked.app_state["services"]
    stored = load(services.store.blob(services.translators.get("t").value["artifact"]))
    return (
        data.new_a.astype(np.float64) @ stored["map.affine.weight"].astype(np.float64) + stored["map.affine.bias"]
    )


def binary(vectors, dtype="<f4"):
    return {
        "base64": b64encode(vectors.astype(dtype).tobytes()).decode(),
        "dtype": dtype,
        "shape": list(vectors.shape),
    }


@pytest.fixture
def send(linked, data, npy, arrow):
    """send(kind, way, accept, **more): the new items of a, in a body of that kind."""

    def json_body(vectors, fields):
        return {"url": "/v1/translate", "json": {**fields, "vectors": vectors}}

    def binary_body(content, media_type, fields):
        headers = {"Content-Type": media_type}
        return {"url": f"/v1/translate?{urlencode(fields)}", "content": content, "headers": headers}

    bodies = {
        "numbers": lambda fields: json_body(data.new_a.tolist(), fields),
        "base64": lambda fields: json_body(binary(data.new_a), fields),
        "base64-double": lambda fields: json_body(binary(data.new_a, "<f8"), fields),
        "npy": lambda fields: binary_body(npy(data.new_a), NPY, fields),
        "npy-double": lambda fields: binary_body(npy(data.new_a.astype(">f8")), NPY, fields),
        "npy-fortran": lambda fields: binary_body(npy(np.asfortranarray(data.new_a)), NPY, fields),
        "arrow": lambda fields: binary_body(arrow(vector=list(data.new_a)), ARROW, fields),
    }

    def post(kind, way, accept=JSON, **more):
        request = bodies[kind]({**way, **more})
        return linked.post(**{**request, "headers": {**request.get("headers", {}), "Accept": accept}})

    return post


KINDS = ("numbers", "base64", "base64-double", "npy", "npy-double", "npy-fortran", "arrow")


def vectors_in(answer):
    return np.array(answer.json()["vectors"])


@pytest.mark.parametrize("way", [BY_PAIR, BY_NAME], ids=["pair", "name"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_body_gives_the_product(send, product, kind, way):
    np.testing.assert_allclose(vectors_in(send(kind, way)), product, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_as_npy(send, product, read_npy, kind):
    np.testing.assert_allclose(read_npy(send(kind, BY_PAIR, NPY)), product, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_as_arrow(send, product, read_arrow, kind):
    vectors = read_arrow(send(kind, BY_PAIR, ARROW)).to_pydict()["vector"]
    np.testing.assert_allclose(np.array(vectors), product, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_as_base64(send, product, kind):
    body = send(kind, BY_PAIR, encoding_format="base64").json()["vectors"]
    vectors = np.frombuffer(b64decode(body["base64"]), body["dtype"]).reshape(body["shape"])
    np.testing.assert_allclose(vectors, product, **CLOSE)


def test_all_answers_are_the_same_numbers(send, read_npy, read_arrow):
    numbers = vectors_in(send("numbers", BY_NAME)).astype(np.float32)
    np.testing.assert_array_equal(read_npy(send("numbers", BY_NAME, NPY)), numbers)
    np.testing.assert_array_equal(read_arrow(send("numbers", BY_NAME, ARROW)).to_pydict()["vector"], numbers)


NAMED = {"source": "a", "target": "b", "translator": "t", "version": 1, "stale": False}


@pytest.mark.parametrize("way", [BY_PAIR, BY_NAME], ids=["pair", "name"])
def test_the_answer_names_the_translator(send, way):
    assert {**NAMED, "path": ["t"]}.items() <= send("numbers", way).json().items()


def test_the_answer_as_npy_names_it_in_headers(send):
    headers = send("npy", BY_PAIR, NPY).headers
    named = {f"anchorage-{name}": str(value) for name, value in NAMED.items()} | {"anchorage-stale": "false"}
    assert named.items() <= headers.items()


def test_the_answer_as_arrow_names_it_in_metadata(send, read_arrow):
    metadata = read_arrow(send("arrow", BY_PAIR, ARROW)).schema.metadata
    named = {**NAMED, "path": ["t"], "versions": [1]}
    assert {key.decode(): orjson.loads(value) for key, value in metadata.items()} == named


def test_translations_are_near_the_true_counterparts(send, data):
    distance = np.linalg.norm(vectors_in(send("numbers", BY_PAIR)) - data.new_b, axis=1)
    assert distance.max() < 0.2


@pytest.mark.parametrize("rows", [1, 3])
def test_as_many_rows_come_as_went(linked, data, rows):
    body = {**BY_PAIR, "vectors": data.new_a[:rows].tolist()}
    assert vectors_in(linked.post("/v1/translate", json=body)).shape == (rows, 6)


def test_a_large_body_is_translated_as_a_small_one(linked, npy, read_npy, data):
    large = np.tile(data.new_a, (500, 1))
    answer = linked.post(
        "/v1/translate?translator=t", content=npy(large), headers={"Content-Type": NPY, "Accept": NPY}
    )
    np.testing.assert_allclose(read_npy(answer)[-20:], read_npy(answer)[:20], **CLOSE)


# Confidence


def confidences(answer):
    return np.array(answer.json()["confidence"])


@pytest.mark.parametrize("way", [BY_PAIR, BY_NAME], ids=["pair", "name"])
def test_confidence_is_a_number_from_0_to_1_for_every_row(send, way):
    found = confidences(send("numbers", way, confidence=True))
    assert found.shape == (20,)
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("more", [{}, {"confidence": False}])
def test_confidence_is_not_there_unless_asked_for(send, more):
    assert "confidence" not in send("numbers", BY_NAME, **more).json()


@pytest.mark.parametrize("kind", ["npy", "arrow"])
@pytest.mark.parametrize(("text", "asked"), [("true", True), ("1", True), ("false", False)])
def test_a_binary_body_asks_in_the_query(send, kind, text, asked):
    answer = send(kind, BY_NAME, confidence=text)
    assert ("confidence" in answer.json()) is asked


@pytest.mark.parametrize("kind", KINDS)
def test_every_body_has_the_same_confidence(send, kind):
    right = confidences(send("numbers", BY_NAME, confidence=True))
    asked = "true" if kind.startswith(("npy", "arrow")) else True
    np.testing.assert_allclose(confidences(send(kind, BY_NAME, confidence=asked)), right, **CLOSE)


def test_confidence_does_not_change_the_vectors(send):
    asked, plain = send("numbers", BY_NAME, confidence=True), send("numbers", BY_NAME)
    assert asked.json()["vectors"] == plain.json()["vectors"]


def test_confidence_beside_vectors_in_base64(send):
    assert confidences(send("numbers", BY_NAME, confidence=True, encoding_format="base64")).shape == (20,)


def test_an_answer_as_arrow_has_a_column_of_confidence(send, read_arrow):
    table = read_arrow(send("numbers", BY_NAME, ARROW, confidence=True))
    assert table.column_names == ["vector", "confidence"]
    right = confidences(send("numbers", BY_NAME, confidence=True))
    np.testing.assert_allclose(table["confidence"].to_pylist(), right, **CLOSE)


def test_an_answer_as_npy_names_the_path(send, read_npy):
    answer = send("npy", BY_NAME, NPY)
    assert (read_npy(answer).shape, answer.headers["anchorage-path"]) == ((20, 6), "t")


def test_confidence_does_not_fit_into_npy(send, assert_problem):
    problem = assert_problem(send("npy", BY_NAME, NPY, confidence="true"), 406, "not-acceptable")
    assert "Arrow" in problem["detail"]


def test_far_away_confidence_falls_to_nothing(linked, data):
    found = []
    for scale in (1, 10, 1000):
        body = {**BY_NAME, "vectors": (scale * data.new_a).tolist(), "confidence": True}
        found.append(confidences(linked.post("/v1/translate", json=body)).mean())
    assert found[0] > 0.9
    assert found[0] > found[1] > found[2]
    assert found[2] < 0.01


def test_confidence_is_the_cosine_that_is_to_be_expected(send, data):
    answer = send("numbers", BY_NAME, confidence=True)
    translated, right = (v - data.b.mean(0) for v in (vectors_in(answer), data.new_b))
    cosine = (translated * right).sum(1) / np.linalg.norm(translated, axis=1) / np.linalg.norm(right, axis=1)
    assert abs(confidences(answer).mean() - cosine.mean()) < 0.05


@pytest.mark.parametrize("value", ["yes please", 2])
def test_confidence_is_asked_for_or_not(linked, data, value, assert_problem):
    problem = assert_problem(translate(linked, data, **BY_NAME, confidence=value), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/confidence"


# A path


@pytest.fixture
def bridged(spaces, data):
    """`spaces`, where c shares anchors with b by now, and still none with a."""
    turn = np.random.default_rng(1).standard_normal((6, 3))
    anchors = {"ids": data.new_ids, "vectors": (data.new_b @ turn).tolist()}
    spaces.put("/v1/spaces/c/anchors", json=anchors)
    spaces.put("/v1/spaces/b/anchors", json={"ids": data.new_ids, "vectors": data.new_b.tolist()})
    return spaces


A_TO_C = {"translator": None, "version": None, "path": ["a-to-b", "b-to-c"], "stale": False}


def test_spaces_without_shared_anchors_are_reached_through_others(bridged, data):
    answer = translate(bridged, data, source="a", target="c").json()
    assert {"source": "a", "target": "c", **A_TO_C}.items() <= answer.items()
    first = translate(bridged, data, translator="a-to-b").json()["vectors"]
    second = bridged.post("/v1/translate", json={"translator": "b-to-c", "vectors": first}).json()["vectors"]
    np.testing.assert_allclose(answer["vectors"], second, rtol=1e-4, atol=1e-4)


def test_a_path_is_stale_when_a_step_is(bridged, data):
    translate(bridged, data, source="a", target="c")
    bridged.put("/v1/spaces/c/anchors", json={"ids": ["item-40"], "vectors": [[9, 9, 9]]})
    assert translate(bridged, data, source="a", target="c").json()["stale"] is True


def test_confidence_along_a_path_is_null(bridged, data, read_arrow):
    assert translate(bridged, data, source="a", target="c", confidence=True).json()["confidence"] is None
    body = {"source": "a", "target": "c", "vectors": data.new_a.tolist(), "confidence": True}
    table = read_arrow(bridged.post("/v1/translate", json=body, headers={"Accept": ARROW}))
    assert table.column_names == ["vector"]


def test_a_path_as_arrow_names_its_steps(bridged, data, read_arrow):
    body = {"source": "a", "target": "c", "vectors": data.new_a.tolist()}
    metadata = read_arrow(bridged.post("/v1/translate", json=body, headers={"Accept": ARROW})).schema.metadata
    assert A_TO_C.items() <= {key.decode(): orjson.loads(value) for key, value in metadata.items()}.items()


# Which translator


def translate(client, data, **way):
    return client.post("/v1/translate", json={**way, "vectors": data.new_a[:2].tolist()})


def test_first_use_stores_a_translator_of_the_pair(spaces, data):
    assert translate(spaces, data, **BY_PAIR).json()["translator"] == "a-to-b"
    stored = spaces.get("/v1/translators/a-to-b").json()
    assert (stored["source"], stored["target"], stored["method"], stored["version"]) == ("a", "b", "auto", 1)


def test_second_use_does_not_fit_again(spaces, data):
    translate(spaces, data, **BY_PAIR)
    translate(spaces, data, **BY_PAIR)
    assert [t["version"] for t in spaces.get("/v1/translators").json()["translators"]] == [1]


def test_direction_matters(spaces, data):
    there = translate(spaces, data, **BY_PAIR).json()
    body = {"source": "b", "target": "a", "vectors": data.new_b[:2].tolist()}
    back = spaces.post("/v1/translate", json=body).json()
    assert (there["translator"], back["translator"]) == ("a-to-b", "b-to-a")
    np.testing.assert_allclose(back["vectors"], data.new_a[:2], atol=0.2)


def test_a_translator_by_name_goes_its_own_direction(spaces, data, assert_problem):
    spaces.put("/v1/translators/back", json={"source": "b", "target": "a"})
    problem = assert_problem(translate(spaces, data, translator="back"), 422, "wrong-dimension")
    assert (problem["expected"]["space"], problem["expected"]["dim"], problem["got"]["dim"]) == ("b", 6, 4)


def test_the_pair_means_its_best_translator(spaces, data):
    spaces.put("/v1/translators/bad", json={**BY_PAIR, "method": "mean"})
    spaces.put("/v1/translators/good", json={**BY_PAIR, "method": "ridge"})
    spaces.put("/v1/translators/worse", json={**BY_PAIR, "method": "mean"})
    assert translate(spaces, data, **BY_PAIR).json()["translator"] == "good"


def test_the_next_best_takes_over_when_the_best_is_deleted(spaces, data):
    spaces.put("/v1/translators/bad", json={**BY_PAIR, "method": "mean"})
    spaces.put("/v1/translators/good", json={**BY_PAIR, "method": "ridge"})
    translate(spaces, data, **BY_PAIR)
    spaces.delete("/v1/translators/good")
    assert translate(spaces, data, **BY_PAIR).json()["translator"] == "bad"


def test_a_refitted_translator_gives_its_new_numbers(fitted, data):
    before = translate(fitted, data, **BY_NAME).json()
    fitted.put("/v1/translators/t", json={**BY_PAIR, "method": "mean"})
    after = translate(fitted, data, **BY_NAME).json()
    assert (before["version"], after["version"]) == (1, 2)
    assert after["vectors"] != before["vectors"]


def test_the_answer_says_that_the_anchors_have_changed(fitted, data):
    fitted.put("/v1/spaces/b/anchors", json={"ids": ["item-00"], "vectors": [[9.0] * 6]})
    answer = translate(fitted, data, **BY_NAME).json()
    assert (answer["stale"], answer["version"]) == (True, 1)


# What cannot be translated


@pytest.mark.parametrize(
    "way",
    [
        {},
        {"source": "a"},
        {"target": "b"},
        {"source": "a", "target": "b", "translator": "t"},
    ],
)
def test_one_way_must_be_given(linked, data, way, assert_problem):
    assert_problem(translate(linked, data, **way), 422, "invalid-input")


def test_an_unknown_translator_is_404_with_the_nearest_names(linked, data, assert_problem):
    assert assert_problem(translate(linked, data, translator="tt"), 404, "not-found")["nearest"] == ["t"]


@pytest.mark.parametrize("way", [{"source": "a", "target": "bb"}, {"source": "bb", "target": "a"}])
def test_an_unknown_space_is_404_with_the_nearest_names(linked, data, way, assert_problem):
    assert assert_problem(translate(linked, data, **way), 404, "not-found")["nearest"] == ["b"]


def test_one_space_is_422(linked, data, assert_problem):
    assert_problem(translate(linked, data, source="a", target="a"), 422, "same-space")


def test_spaces_without_shared_anchors_are_422_and_nothing_is_stored(spaces, data, assert_problem):
    problem = assert_problem(translate(spaces, data, source="a", target="c"), 422, "no-shared-anchors")
    assert problem["got"] == {"source": 40, "target": 5, "shared": 0}
    assert spaces.get("/v1/translators").json()["translators"] == []


def test_spaces_whose_anchors_are_unrelated_are_422_with_a_report(client, data, assert_problem):
    for seed, name in enumerate("ab"):
        vectors = np.random.default_rng(seed).standard_normal((40, 4))
        anchors = {"ids": data.ids, "vectors": vectors.tolist()}
        client.put(f"/v1/spaces/{name}", json={"dim": 4, "anchors": anchors})
    problem = assert_problem(translate(client, data, source="a", target="b"), 422, "unrelated")
    (listed,) = client.get("/v1/translators").json()["translators"]
    assert (listed["name"], listed["report"]["method"]) == (problem["translator"], "mean")
    client.put("/v1/translators/mine", json={"source": "a", "target": "b", "method": "mean"})
    translated = np.array(translate(client, data, translator="mine").json()["vectors"])
    np.testing.assert_allclose(translated, np.tile(vectors.mean(0), (len(translated), 1)), atol=1e-5)


def test_vectors_of_another_width_are_422_naming_both(linked, assert_problem):
    answer = linked.post("/v1/translate", json={**BY_PAIR, "vectors": [[1, 2, 3]]})
    problem = assert_problem(answer, 422, "wrong-dimension")
    assert (problem["expected"]["space"], problem["expected"]["dim"], problem["got"]["dim"]) == ("a", 4, 3)


def test_what_is_refused_has_fitted_nothing(linked, npy, data, assert_problem):
    answer = linked.post("/v1/translate", json={**BY_PAIR, "vectors": [[1, 2, 3]]})
    assert_problem(answer, 422, "wrong-dimension")
    headers = {"Content-Type": NPY, "Accept": NPY}
    answer = linked.post(
        "/v1/translate", params={**BY_PAIR, "confidence": "true"}, content=npy(data.new_a), headers=headers
    )
    assert "'confidence'" in assert_problem(answer, 406, "not-acceptable")["detail"]
    linked.put("/v1/collections/points", json={"space": "b"})
    for verb, path in (("PUT", "points"), ("POST", "search")):
        fields = {"vectors": [[1, 2, 3]], "space": "a"} | ({"ids": ["x"]} if verb == "PUT" else {})
        assert_problem(linked.request(verb, f"/v1/collections/points/{path}", json=fields), 422, "wrong-dimension")
    names = [found["name"] for found in linked.get("/v1/translators").json()["translators"]]
    assert "a-to-b" not in names


def test_a_translation_that_overflows_is_422_with_the_row(spaces, assert_problem):
    large = [[1e18, 0, 0], [0, 1e18, 0], [0, 0, 1e18], [1e18, 1e18, 0], [0, 0, 0]]
    small = [[1e-10, 0, 0], [0, 1e-10, 0], [0, 0, 1e-10], [1e-10, 1e-10, 0], [0, 0, 0]]
    for name, vectors in (("large", large), ("small", small)):
        anchors = {"ids": list("vwxyz"), "vectors": (np.array(vectors) / 4).tolist()}
        spaces.put(f"/v1/spaces/{name}", json={"dim": 3, "anchors": anchors})
    spaces.put("/v1/translators/up", json={"source": "small", "target": "large", "method": "orthogonal"})
    answer = spaces.post("/v1/translate", json={"translator": "up", "vectors": [[0, 0, 0], [1e17, 0, 0]]})
    assert assert_problem(answer, 422, "invalid-vectors")["row"] == 1


def test_more_rows_than_the_limit_are_413(make_client, assert_problem):
    with make_client(max_rows=2) as client:
        answer = client.post("/v1/translate", json={**BY_PAIR, "vectors": [[1]] * 3})
    problem = assert_problem(answer, 413, "too-many-rows")
    assert (problem["limit"], problem["got"]) == (2, 3)


def test_a_query_parameter_given_twice_is_422(linked, npy, data, assert_problem):
    answer = linked.post(
        "/v1/translate?source=a&source=b&target=b", content=npy(data.new_a), headers={"Content-Type": NPY}
    )
    assert assert_problem(answer, 422, "invalid-input")["errors"][0]["pointer"] == "/source"
