"""PUT, GET and DELETE /v1/heads: what a head is made of, where it belongs, and what is refused."""

from base64 import b64encode

import numpy as np
import pytest
import torch
from safetensors.torch import save

from models.heads import ACTIVATIONS
from models.layers import LAYERS

LINEAR = {"kind": "linear", "space": "b", "weight": np.eye(3, 6).tolist()}
NETWORK = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.GELU(), torch.nn.LayerNorm(5), torch.nn.Linear(5, 2))
MLP = {"kind": "mlp", "space": "b", "layers": ["linear", "gelu", "layer_norm", "linear"]}
STATE = NETWORK.state_dict()


def put(client, name="new", **fields):
    return client.put(f"/v1/heads/{name}", json={**LINEAR, **fields})


def binary(array, dtype="<f4"):
    array = np.asarray(array, dtype)
    return {"base64": b64encode(array.tobytes()).decode(), "dtype": dtype, "shape": list(array.shape)}


def file_of(tensors):
    return b64encode(save(tensors)).decode()


@pytest.fixture
def refused(headed, assert_problem):
    """refused(code, **fields): the problem with which the linear head, so changed, is refused."""
    return lambda code, **fields: assert_problem(put(headed, **fields), 422, code)


@pytest.mark.parametrize("weight", [[[1, 2], [3]], [[[1], [2, 3]]], [[1, 2], 3]])
def test_lists_of_unequal_length_are_told(refused, weight):
    assert "equally long" in refused("invalid-input", weight=weight)["detail"]


def test_no_translator_is_fitted_for_a_relative_head(headed, assert_problem):
    assert headed.get("/v1/heads/r").json()["relative"]
    body = {"source": "a", "target": "b", "objective": "head", "head": "r"}
    problem = assert_problem(headed.put("/v1/translators/no", json=body), 422, "invalid-input")
    assert "without a translator" in problem["detail"]


# What is made


def test_a_head_is_created_then_the_same(spaces):
    first, again = (put(spaces, labels=["x", "y", "z"], activation="softmax") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.headers["etag"] == again.headers["etag"] == first.json()["etag"]


def test_a_head_shows_what_it_is(spaces):
    shown = put(spaces, labels=["x", "y", "z"], activation="softmax").json()
    assert (
        shown.items()
        >= {
            "name": "new",
            "version": 1,
            "kind": "linear",
            "space": "b",
            "relative": None,
            "activation": "softmax",
            "labels": ["x", "y", "z"],
            "dim": 6,
            "shape": [3],
            "parameters": {},
            "fit": None,
            "evaluations": {},
        }.items()
    )
    assert spaces.get("/v1/heads/new").json() == shown


@pytest.mark.parametrize(
    "change", [{"weight": np.ones((3, 6)).tolist()}, {"bias": [0, 0, 1]}, {"labels": [*"xyz"]}]
)
def test_another_head_under_the_name_is_a_new_version(change, spaces):
    put(spaces)
    answer = put(spaces, **change)
    assert (answer.status_code, answer.json()["version"]) == (200, 2)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_arrays_may_be_binary(dtype, spaces):
    put(spaces)
    answer = put(spaces, weight=binary(LINEAR["weight"], dtype), bias=binary(np.zeros(3), dtype))
    assert (answer.status_code, answer.json()["version"]) == (200, 1)


def test_a_network_is_its_state_dict_as_safetensors_or_as_arrays(spaces):
    bodies = [file_of(STATE), {k: t.tolist() for k, t in STATE.items()}, {k: binary(t) for k, t in STATE.items()}]
    answers = [spaces.put("/v1/heads/net", json={**MLP, "tensors": body}) for body in bodies]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert answers[-1].json().items() >= {"version": 1, "dim": 6, "shape": [2]}.items()
    assert answers[-1].json()["parameters"] == {"layers": MLP["layers"]}


def test_a_relative_head_shows_every_option_of_its_codes(headed, data):
    shown = headed.get("/v1/heads/r").json()
    assert (shown["space"], shown["dim"]) == (None, 8)
    assert shown["relative"] == {
        "similarity": ["cosine"],
        "before": "centred",
        "after": "none",
        "aggregation": "concat",
        "weights": [],
        "kept": None,
        "power": 8.0,
        "shrinkage": 0.1,
        "penalty": 0.03,
        "anchors": data.ids[:8],
    }


def test_a_relative_head_put_as_it_is_shown_is_the_same(headed, weights):
    shown = headed.get("/v1/heads/r").json()
    same = {name: shown[name] for name in ("kind", "relative", "activation", "labels")}
    answer = headed.put("/v1/heads/r", json={**same, "weight": weights.relative.tolist()})
    assert (answer.status_code, answer.json()) == (200, shown)


def test_a_relative_head_needs_no_space(client):
    body = {"kind": "linear", "relative": {"anchors": ["p", "q"]}, "weight": [[1, 2]]}
    assert client.put("/v1/heads/free", json=body).status_code == 201


@pytest.mark.parametrize("aggregation", ["concat", "sum"])
def test_the_width_of_a_relative_head_is_that_of_its_codes(aggregation, client):
    relative = {"anchors": ["p", "q"], "similarity": ["cosine", "l1", "linf"], "aggregation": aggregation}
    width = 6 if aggregation == "concat" else 2
    body = {"kind": "linear", "relative": relative, "weight": np.ones((1, width)).tolist()}
    assert client.put("/v1/heads/free", json=body).status_code == 201


def test_labels_may_be_whole_numbers(spaces):
    assert put(spaces, labels=[0, 1, 2]).json()["labels"] == ["0", "1", "2"]


@pytest.mark.parametrize("labels", [["yes"], ["no", "yes"]])
def test_a_single_sigmoid_has_one_label_or_two(labels, spaces):
    assert put(spaces, weight=[[1] * 6], labels=labels, activation="sigmoid").status_code == 201


# What is refused


@pytest.mark.parametrize("weight", [[[1] * 5] * 3, [[1] * 7] * 3])
def test_a_head_of_another_width_than_its_space_is_422(weight, refused):
    problem = refused("wrong-dimension", weight=weight)
    assert (problem["expected"], problem["got"]) == (6, len(weight[0]))


def test_a_head_of_another_width_than_its_codes_is_422(headed, assert_problem):
    body = {"kind": "linear", "relative": {"anchors": ["p", "q"]}, "weight": [[1, 2, 3]]}
    problem = assert_problem(headed.put("/v1/heads/free", json=body), 422, "wrong-dimension")
    assert (problem["expected"], problem["got"]) == (2, 3)


@pytest.mark.parametrize("labels", [["x"], ["x", "y"], ["x", "y", "z", "w"]])
def test_labels_of_the_wrong_number_are_422(labels, refused):
    problem = refused("invalid-head", labels=labels)
    assert (problem["expected"], problem["got"]) == ([3], len(labels))


@pytest.mark.parametrize("labels", [[], ["x", "x", "y"], ["x", "", "z"], ["x", None, "z"], ["x" * 513, "y", "z"]])
def test_labels_that_are_none_are_422(labels, refused):
    refused("invalid-input", labels=labels)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("tensor", ["weight", "bias"])
def test_numbers_that_are_not_finite_are_422(tensor, bad, refused):
    array = np.zeros({"weight": (3, 6), "bias": 3}[tensor])
    array.flat[-1] = bad
    assert refused("invalid-head", **{tensor: binary(array)})["tensor"] == tensor


def test_numbers_beyond_single_precision_are_422(refused):
    assert refused("invalid-head", weight=[[1e39] * 6] * 3)["tensor"] == "weight"


def test_an_unknown_kind_is_422_with_the_known(refused):
    problem = refused("unknown-method", kind="tree")
    assert (problem["expected"], problem["got"]) == (["linear", "mlp", "onnx"], "tree")


def test_an_unknown_activation_is_422_with_the_known(refused):
    problem = refused("unknown-method", activation="argmax")
    assert (problem["expected"], problem["got"]) == (list(ACTIVATIONS), "argmax")


def test_an_unknown_layer_is_422_with_the_known(headed, assert_problem):
    body = {**MLP, "layers": ["linear", "attention"], "tensors": file_of(STATE)}
    problem = assert_problem(headed.put("/v1/heads/net", json=body), 422, "invalid-head")
    assert problem["expected"] == list(LAYERS)


def test_tensors_without_their_layer_are_422_by_name(headed, assert_problem):
    body = {**MLP, "tensors": file_of({**STATE, "9.weight": torch.zeros(1)})}
    assert assert_problem(headed.put("/v1/heads/net", json=body), 422, "invalid-head")["unknown"] == ["9.weight"]


@pytest.mark.parametrize(
    "tensors",
    [
        "????",
        b64encode(b"no safetensors").decode(),
        file_of(STATE)[:-40],
        file_of({"0.weight": torch.zeros(2, 6, dtype=torch.int8)}),
        7,
        [1, 2],
        {"0.weight": "AAAA"},
        {"0.weight": None},
    ],
)
def test_tensors_that_cannot_be_read_are_422(tensors, headed, assert_problem):
    problem = assert_problem(headed.put("/v1/heads/net", json={**MLP, "tensors": tensors}), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/tensors"


@pytest.mark.parametrize(
    "weight",
    [
        "eye",
        [],
        [[]],
        [[1, 2], [3]],
        [["1"] * 6],
        [[True] * 6],
        [[None] * 6],
        1,
        {"base64": "AAAA"},
        {"base64": "AAAA", "shape": [3, 6]},
        {"base64": "AAAA", "shape": [10**9, 10**9]},
        {"base64": "AAAA", "shape": [-1]},
        {"base64": "AAAA", "shape": [1], "dtype": "<i4"},
    ],
)
def test_an_array_that_is_none_is_422(weight, headed, assert_problem):
    answer = put(headed, weight=weight)
    assert answer.json()["code"] in {"invalid-input", "invalid-head"}
    assert_problem(answer, 422, answer.json()["code"])


@pytest.mark.parametrize(
    ("fields", "missing", "unknown"),
    [
        ({"kind": "mlp"}, ["layers", "tensors"], ["weight"]),
        ({"layers": ["linear"]}, [], ["layers"]),
        ({"weight": None}, ["weight"], []),
        ({"model": "AAAA"}, [], ["model"]),
    ],
)
def test_parts_of_another_kind_are_422_by_name(fields, missing, unknown, refused):
    problem = refused("invalid-head", **fields)
    assert (problem["missing"], problem["unknown"]) == (missing, unknown)


@pytest.mark.parametrize("fields", [{"space": None}, {"relative": {"anchors": ["p"]}}])
def test_a_head_has_a_space_or_codes_and_not_both(fields, refused):
    assert "`space`" in refused("invalid-input", **fields)["detail"]


@pytest.mark.parametrize(
    "relative",
    [
        {"similarity": "taste"},
        {"power": 101},
        {"after": "often"},
        {"aggregation": "weighted"},
        {"similarity": "l1", "kept": 3},
    ],
)
def test_codes_that_cannot_be_are_422_before_they_are_used(relative, headed, assert_problem):
    body = {"kind": "linear", "relative": {"anchors": ["p"], **relative}, "weight": [[1]]}
    answer = headed.put("/v1/heads/free", json=body)
    assert_problem(answer, 422, "unknown-method" if relative.get("similarity") == "taste" else "invalid-option")


def test_codes_of_too_many_anchors_are_422(headed, assert_problem):
    anchors = [str(number) for number in range(5001)]
    body = {"kind": "linear", "relative": {"anchors": anchors}, "weight": [[1] * 5001]}
    assert assert_problem(headed.put("/v1/heads/free", json=body), 422, "over-limit")["limit"] == 5000


@pytest.mark.parametrize("anchors", [[], ["p", "p"], None, [None]])
def test_codes_need_anchors_each_once(anchors, headed, assert_problem):
    body = {"kind": "linear", "relative": {"anchors": anchors}, "weight": [[1]]}
    assert_problem(headed.put("/v1/heads/free", json=body), 422, "invalid-input")


def test_a_head_of_an_unknown_space_is_404(headed, assert_problem):
    assert_problem(put(headed, space="nowhere"), 404, "not-found")


def test_an_unknown_field_is_422(refused):
    refused("invalid-input", wieght=[[1]])


def test_nothing_that_was_refused_is_there(headed):
    assert [head["name"] for head in headed.get("/v1/heads").json()["heads"]] == ["coin", "h", "m", "r"]


# What rests on what


def test_a_space_with_a_head_cannot_be_deleted(spaces, assert_problem):
    put(spaces)
    problem = assert_problem(spaces.delete("/v1/spaces/b"), 409, "in-use")
    assert problem["dependents"] == [{"kind": "head", "name": "new"}]
    spaces.delete("/v1/heads/new")
    assert spaces.delete("/v1/spaces/b").status_code == 200


def test_a_head_under_a_translator_cannot_be_deleted_nor_moved(spaces, assert_problem):
    put(spaces)
    body = {"source": "a", "target": "b", "objective": "head", "head": "new", "method": "ridge"}
    spaces.put("/v1/translators/t", json=body)
    named = [{"kind": "translator", "name": "t"}]
    assert assert_problem(spaces.delete("/v1/heads/new"), 409, "in-use")["dependents"] == named
    moved = put(spaces, space="a", weight=np.eye(3, 4).tolist())
    assert assert_problem(moved, 409, "in-use")["dependents"] == named
    assert put(spaces, bias=[1, 2, 3]).status_code == 200


def test_a_head_may_move_while_nothing_rests_on_it(spaces):
    put(spaces)
    assert put(spaces, space="a", weight=np.eye(3, 4).tolist()).json()["space"] == "a"
    assert spaces.delete("/v1/spaces/b").status_code == 200


def test_a_head_takes_the_translators_of_first_stitches_with_it(spaces, data):
    put(spaces)
    body = {"source": "a", "head": "new", "vectors": data.new_a.tolist()}
    assert spaces.post("/v1/stitch", json=body).json()["translator"] == "a-to-b-head-new"
    assert spaces.delete("/v1/heads/new").json() == {"translators": ["a-to-b-head-new"]}
    assert spaces.post("/v1/stitch", json=body).status_code == 404


def test_delete_is_200_and_then_404(spaces, assert_problem):
    put(spaces)
    answer = spaces.delete("/v1/heads/new")
    assert (answer.status_code, answer.json()) == (200, {"translators": []})
    assert_problem(spaces.delete("/v1/heads/new"), 404, "not-found")
    assert assert_problem(spaces.get("/v1/heads/new"), 404, "not-found")["got"] == "new"


def test_lists_are_paged_by_name(headed):
    first = headed.get("/v1/heads?limit=3").json()
    rest = headed.get("/v1/heads", params={"cursor": first["cursor"]}).json()
    assert [head["name"] for head in first["heads"] + rest["heads"]] == ["coin", "h", "m", "r"]
    assert rest["cursor"] is None


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_stale_if_match_is_412(method, spaces, assert_problem):
    put(spaces)
    body = {**LINEAR, "bias": [1, 2, 3]} if method == "PUT" else None
    answer = spaces.request(method, "/v1/heads/new", json=body, headers={"If-Match": '"0-0"'})
    assert_problem(answer, 412, "precondition-failed")
    assert spaces.get("/v1/heads/new").json()["version"] == 1
