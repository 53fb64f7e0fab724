"""POST /v1/stitch: a head of one space, run on vectors of another."""

from urllib.parse import urlencode

import numpy as np
import pytest
from scipy.special import expit, softmax

from app.service.purposes import Purpose

JSON = "application/json"
NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
NATIVE = {"translator": None, "version": None, "path": [], "versions": [], "stale": None}


def stitch(client, source, head, vectors, accept=JSON, **more):
    body = {"source": source, "head": head, "vectors": np.asarray(vectors).tolist(), **more}
    return client.post("/v1/stitch", json=body, headers={"Accept": accept})


def translated(client, vectors, **way):
    return np.array(client.post("/v1/translate", json={**way, "vectors": vectors.tolist()}).json()["vectors"])


# What a head makes of its own space


def test_native_probabilities_are_those_of_the_weights(headed, weights, data):
    answer = stitch(headed, "b", "h", data.new_b).json()
    expected = softmax(data.new_b @ weights.linear.T + weights.bias, axis=1)
    np.testing.assert_allclose(answer["probabilities"], expected, **CLOSE)
    assert answer["labels"] == ["xyz"[place] for place in expected.argmax(1)]


def test_a_native_answer_names_the_head_and_no_translator(headed, data):
    answer = stitch(headed, "b", "h", data.new_b).json()
    assert {name: answer[name] for name in ("head", "head_version", *NATIVE)} == {
        "head": "h",
        "head_version": 1,
        **NATIVE,
    }


def test_values_come_as_outputs(headed, weights, data):
    answer = stitch(headed, "b", "m", data.new_b).json()
    expected = np.tanh(data.new_b @ weights.inner.T) @ weights.outer.T
    np.testing.assert_allclose(answer["outputs"], expected, **CLOSE)
    assert answer.keys().isdisjoint({"labels", "probabilities", "top"})


def test_a_single_sigmoid_tells_two_labels_apart(headed, weights, data):
    answer = stitch(headed, "b", "coin", data.new_b).json()
    yes = expit(data.new_b @ weights.coin[0])
    np.testing.assert_allclose(answer["probabilities"], np.stack([1 - yes, yes], 1), **CLOSE)
    assert answer["labels"] == ["yes" if p > 0.5 else "no" for p in yes]


def test_a_classifier_without_activation_gives_labels_and_outputs(spaces, data):
    weight = np.eye(3, 6)
    spaces.put(
        "/v1/heads/svm", json={"kind": "linear", "space": "b", "weight": weight.tolist(), "labels": [*"xyz"]}
    )
    answer = stitch(spaces, "b", "svm", data.new_b).json()
    np.testing.assert_allclose(answer["outputs"], data.new_b[:, :3], **CLOSE)
    assert answer["labels"] == ["xyz"[place] for place in data.new_b[:, :3].argmax(1)]


# and of another


@pytest.mark.parametrize("head", ["h", "m", "coin"])
def test_the_first_use_fits_a_translator_for_the_head(head, headed, data):
    answer = stitch(headed, "a", head, data.new_a).json()
    name = f"a-to-b-head-{head}"
    assert {part: answer[part] for part in NATIVE} == {
        "translator": name,
        "version": 1,
        "path": [name],
        "versions": [1],
        "stale": False,
    }
    shown = headed.get(f"/v1/translators/{name}").json()
    assert (shown["objective"], shown["head"]) == ("head", head)
    assert shown["report"]["quality"]["agreement"]["mean"] > 0.9


def test_of_a_relative_head_it_needs_none(headed, data):
    answer = stitch(headed, "a", "r", data.new_a).json()
    assert {part: answer[part] for part in NATIVE} == NATIVE


@pytest.mark.parametrize("head", ["h", "m", "coin"])
def test_a_stitched_answer_is_that_of_the_translated_vectors(head, headed, data):
    """A linear head and the map are one product: the same, up to single precision."""
    stitched = stitch(headed, "a", head, data.new_a).json()
    native = stitch(headed, "b", head, translated(headed, data.new_a, translator=stitched["translator"])).json()
    for name in ("probabilities", "outputs"):
        np.testing.assert_allclose(stitched.get(name, 0), native.get(name, 0), **CLOSE)


@pytest.mark.parametrize("head", ["h", "m", "r"])
def test_spaces_that_are_alike_get_alike_answers(head, headed, data):
    there, here = (stitch(headed, s, head, v).json() for s, v in (("a", data.new_a), ("b", data.new_b)))
    name = "outputs" if head == "m" else "probabilities"
    np.testing.assert_allclose(there[name], here[name], atol=0.1)


def test_relative_answers_are_those_of_the_relative_codes(headed, weights, data):
    for space, vectors in (("a", data.new_a), ("b", data.new_b)):
        body = {"space": space, "vectors": vectors.tolist(), "anchors": weights.seen_by}
        codes = np.array(headed.post("/v1/relative", json=body).json()["vectors"])
        answer = stitch(headed, space, "r", vectors).json()
        np.testing.assert_allclose(answer["probabilities"], softmax(codes @ weights.relative.T, axis=1), **CLOSE)


def test_a_named_translator_is_used(headed, data):
    headed.put(
        "/v1/translators/named", json={"source": "a", "target": "b", "method": "mean", "objective": "retrieval"}
    )
    answer = stitch(headed, "a", "h", data.new_a, translator="named").json()
    assert answer["path"] == ["named"]
    assert len({tuple(row) for row in answer["probabilities"]}) == 1
    headed.delete("/v1/translators/named")


# Which translator


@pytest.fixture
def alone(spaces):
    """`spaces` with a head h of b."""
    body = {"kind": "linear", "space": "b", "weight": np.eye(3, 6).tolist(), "activation": "softmax"}
    spaces.put("/v1/heads/h", json=body)
    return spaces


def put_translator(client, name, **fields):
    answer = client.put(
        f"/v1/translators/{name}", json={"source": "a", "target": "b", "method": "ridge", **fields}
    )
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("put", "used"),
    [
        ([], "a-to-b-head-h"),
        (["retrieval"], "a-to-b-head-h"),
        (["reconstruction"], "reconstruction"),
        (["head"], "head"),
        (["reconstruction", "head", "retrieval"], "head"),
    ],
)
def test_a_head_is_served_by_what_was_put_for_it_or_for_reconstruction(put, used, alone, data):
    for objective in put:
        put_translator(alone, objective, objective=objective, **({"head": "h"} if objective == "head" else {}))
    assert stitch(alone, "a", "h", data.new_a).json()["path"] == [used]


def test_what_was_put_for_a_head_serves_nothing_else(alone, data):
    put_translator(alone, "for-h", objective="head", head="h")
    body = {"source": "a", "target": "b", "vectors": data.new_a.tolist()}
    assert alone.post("/v1/translate", json=body).json()["path"] == ["a-to-b"]
    alone.put("/v1/heads/other", json={"kind": "linear", "space": "b", "weight": [[1] * 6]})
    assert stitch(alone, "a", "other", data.new_a).json()["path"] == ["a-to-b-head-other"]


def test_the_last_step_of_a_path_suits_the_head(alone, data):
    alone.put(
        "/v1/spaces/far",
        json={"dim": 4, "anchors": {"ids": [f"far-{k}" for k in range(20)], "vectors": data.new_a.tolist()}},
    )
    more = {"ids": [f"far-{k}" for k in range(20)], "vectors": (data.new_a @ np.diag([1, 2, 3, 4])).tolist()}
    alone.put("/v1/spaces/a/anchors", json=more)
    answer = stitch(alone, "far", "h", data.new_a).json()
    assert answer["path"] == ["far-to-a", "a-to-b-head-h"]
    assert (answer["translator"], answer["version"], answer["versions"]) == (None, None, [1, 1])
    route = alone.app_state["services"].translators.between("far", "b", Purpose("head", "h"))
    assert len(route.maps) == 1


def test_a_translator_is_stale_once_its_head_is_another(alone, data):
    put_translator(alone, "t", objective="head", head="h")
    alone.put("/v1/heads/h", json={"kind": "linear", "space": "b", "weight": np.ones((3, 6)).tolist()})
    answer = stitch(alone, "a", "h", data.new_a).json()
    assert (answer["path"], answer["stale"], answer["head_version"]) == (["t"], True, 2)
    assert alone.get("/v1/translators/t").json()["stale"] is True
    body = {"source": "a", "target": "b", "method": "ridge", "objective": "head", "head": "h"}
    assert alone.put("/v1/translators/t", json=body).json().items() >= {"version": 2, "stale": False}.items()


@pytest.mark.parametrize("fields", [{"objective": "head"}, {"head": "h"}, {"objective": "head", "head": "r"}])
def test_a_head_and_the_objective_go_together_and_to_its_space(fields, headed, assert_problem):
    answer = headed.put("/v1/translators/t", json={"source": "a", "target": "b", **fields})
    assert_problem(answer, 422, "invalid-option" if "head" not in fields else "invalid-input")


def test_a_translator_for_a_head_of_another_space_is_422(headed, assert_problem):
    body = {"source": "b", "target": "a", "objective": "head", "head": "h"}
    problem = assert_problem(headed.put("/v1/translators/t", json=body), 422, "invalid-input")
    assert problem["expected"] == {"objective": "head", "target": "b"}


# Formats


@pytest.mark.parametrize("kind", ["numbers", "npy", "arrow"])
@pytest.mark.parametrize("head", ["h", "m", "r"])
def test_every_body_and_answer_gives_the_same_numbers(kind, head, headed, data, npy, arrow, read_npy, read_arrow):
    field = "outputs" if head == "m" else "probabilities"
    expected = stitch(headed, "a", head, data.new_a).json()[field]
    content = {"npy": (npy(data.new_a), NPY), "arrow": (arrow(vector=list(data.new_a)), ARROW)}
    for accept in (JSON, NPY, ARROW):
        if kind == "numbers":
            answer = stitch(headed, "a", head, data.new_a, accept)
        else:
            body, media_type = content[kind]
            url = f"/v1/stitch?{urlencode({'source': 'a', 'head': head})}"
            answer = headed.post(url, content=body, headers={"Content-Type": media_type, "Accept": accept})
        readers = {
            JSON: lambda answer: answer.json()[field],
            NPY: read_npy,
            ARROW: lambda answer: read_arrow(answer)["output" if head == "m" else field].to_pylist(),
        }
        np.testing.assert_allclose(readers[accept](answer), expected, rtol=1e-6)


def test_an_arrow_answer_has_labels_and_top_beside_probabilities(headed, data, read_arrow):
    table = read_arrow(stitch(headed, "b", "h", data.new_b, ARROW, top_k=2))
    json = stitch(headed, "b", "h", data.new_b, top_k=2).json()
    assert table["label"].to_pylist() == json["labels"]
    assert table["top"].to_pylist() == json["top"]
    assert table.schema.metadata[b"head"] == b'"h"'


def test_npy_has_no_room_for_the_best_labels(headed, data, assert_problem):
    problem = assert_problem(stitch(headed, "b", "h", data.new_b, NPY, top_k=1), 406, "not-acceptable")
    assert "'top'" in problem["detail"]


def test_the_label_of_a_row_is_its_largest_column(headed, data, read_npy):
    json, npy = (stitch(headed, "b", "h", data.new_b, accept) for accept in (JSON, NPY))
    labels = headed.get(f"/v1/heads/{npy.headers['anchorage-head']}").json()["labels"]
    assert [labels[place] for place in read_npy(npy).argmax(1)] == json.json()["labels"]


def test_an_npy_answer_names_head_and_translator_in_headers(headed, data):
    headers = stitch(headed, "a", "h", data.new_a, NPY).headers
    assert (headers["anchorage-head"], headers["anchorage-translator"]) == ("h", "a-to-b-head-h")


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_best_labels_come_in_order(k, headed, data):
    answer = stitch(headed, "b", "h", data.new_b, top_k=k).json()
    for row, top, label in zip(answer["probabilities"], answer["top"], answer["labels"], strict=True):
        order = np.argsort(row)[::-1][:k]
        assert [one["label"] for one in top] == ["xyz"[place] for place in order]
        np.testing.assert_allclose([one["score"] for one in top], np.array(row)[order], rtol=1e-6)
        assert top[0]["label"] == label


# What is refused


@pytest.fixture
def refused(headed, data, assert_problem):
    """refused(status, code, **fields): the problem with which a good request, so changed, is refused."""
    good = {"source": "a", "head": "h", "vectors": data.new_a.tolist()}
    return lambda status, code, **fields: assert_problem(
        headed.post("/v1/stitch", json={**good, **fields}), status, code
    )


def test_vectors_of_another_width_are_422(refused):
    problem = refused(422, "wrong-dimension", vectors=[[1, 2, 3]])
    assert (problem["expected"]["dim"], problem["got"]["dim"]) == (4, 3)


@pytest.mark.parametrize("fields", [{"head": "nothing"}, {"source": "nowhere"}, {"translator": "nobody"}])
def test_what_is_not_there_is_404(fields, refused):
    refused(404, "not-found", **fields)


def test_a_space_that_nothing_leads_from_is_422(refused):
    refused(422, "no-shared-anchors", source="c", vectors=[[1, 2, 3]])


@pytest.mark.parametrize("head", ["h", "r"])
def test_a_translator_that_leads_elsewhere_is_422(head, headed, data, refused):
    headed.put("/v1/translators/back", json={"source": "b", "target": "a", "method": "mean"})
    problem = refused(422, "invalid-input", translator="back", head=head)
    assert problem["got"] == {"source": "b", "target": "a"}
    headed.delete("/v1/translators/back")


def test_a_relative_head_on_a_space_without_its_anchors_is_422_with_their_number(refused):
    problem = refused(422, "invalid-input", head="r", source="c", vectors=[[1, 2, 3]])
    assert "8 of 8" in problem["detail"]


def test_more_labels_than_there_are_cannot_be_best(refused):
    problem = refused(422, "over-limit", top_k=4)
    assert (problem["limit"], problem["got"]) == (3, 4)


def test_a_head_without_labels_has_no_best_ones(refused):
    refused(422, "invalid-input", head="m", top_k=1)


def test_answers_that_pass_single_precision_are_422_with_the_row(spaces, assert_problem):
    spaces.put("/v1/heads/steep", json={"kind": "linear", "space": "b", "weight": [[3e38] * 6]})
    answer = stitch(spaces, "b", "steep", [[0.1] * 6, [100.0] * 6])
    assert assert_problem(answer, 422, "invalid-vectors")["row"] == 1


def test_an_answer_that_is_too_large_is_422(make_client, data, assert_problem):
    with make_client(max_outputs=10) as client:
        client.put("/v1/spaces/b", json={"dim": 6})
        client.put("/v1/heads/h", json={"kind": "linear", "space": "b", "weight": np.eye(3, 6).tolist()})
        assert stitch(client, "b", "h", data.new_b[:3]).status_code == 200
        problem = assert_problem(stitch(client, "b", "h", data.new_b[:4]), 422, "over-limit")
        assert (problem["limit"], problem["got"]) == (10, 12)
