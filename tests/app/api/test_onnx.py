"""Heads that are ONNX models, as a client meets them."""

from base64 import b64encode

import numpy as np
import pytest
from onnx import TensorProto, helper
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings

MIB = 2**20
JSON = {"Content-Type": "application/json"}


def text(model):
    return b64encode(model if isinstance(model, bytes) else model.SerializeToString()).decode()


def put(client, model, space="a", name="h", **fields):
    return client.put(f"/v1/heads/{name}", json={"kind": "onnx", "space": space, "model": text(model), **fields})


def stitched(client, vectors, **fields):
    return client.post("/v1/stitch", json={"source": "a", "head": "h", "vectors": vectors.tolist(), **fields})


@pytest.fixture(scope="session")
def weight():
    return np.random.default_rng(5).standard_normal((4, 6), dtype=np.float32)


@pytest.fixture(scope="session")
def pictures(onnx_model, weight):
    """(n, 4) -> (n, 2, 3)"""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Reshape", ["z", "shape"], ["y"])]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2, 3])
    return onnx_model(nodes, {"w": weight, "shape": np.array([-1, 2, 3])}, y=y)


def test_a_decoder_gives_arrays_of_its_shape(spaces, data, pictures, weight):
    answer = put(spaces, pictures)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["kind"], body["dim"], body["shape"], body["activation"]) == ("onnx", 4, [2, 3], "none")
    assert body["parameters"] == {"output": None, "opset": 17}
    outputs = stitched(spaces, data.new_a).json()["outputs"]
    np.testing.assert_allclose(outputs, (data.new_a @ weight).reshape(-1, 2, 3), rtol=1e-4, atol=1e-5)


def test_it_runs_on_vectors_of_another_space(spaces, data, pictures):
    put(spaces, pictures)
    native = np.array(stitched(spaces, data.new_a).json()["outputs"])
    answer = stitched(spaces, data.new_b, source="b").json()
    assert answer["translator"]
    error = np.square(np.array(answer["outputs"]) - native).mean() / native.var()
    assert error < 0.01


def test_arrays_of_any_rank_come_as_npy(spaces, data, pictures, read_npy):
    put(spaces, pictures)
    body = {"source": "a", "head": "h", "vectors": data.new_a.tolist()}
    answer = spaces.post("/v1/stitch", json=body, headers={"Accept": "application/x-npy"})
    outputs = read_npy(answer)
    assert outputs.shape == (20, 2, 3)
    np.testing.assert_array_equal(outputs, np.array(stitched(spaces, data.new_a).json()["outputs"], np.float32))


def test_a_classifier_names_labels(spaces, data, onnx_model):
    model = onnx_model([helper.make_node("Mul", ["x", "three"], ["y"])], {"three": np.float32(3)})
    assert put(spaces, model, activation="softmax", labels=list("wxyz")).status_code == 201
    answer = stitched(spaces, data.new_a).json()
    assert answer["labels"] == ["wxyz"[place] for place in data.new_a.argmax(1)]
    odds = np.exp(3 * data.new_a)
    np.testing.assert_allclose(answer["probabilities"], odds / odds.sum(1, keepdims=True), rtol=1e-4)


def test_one_of_its_outputs_is_named(spaces, data, onnx_model, assert_problem):
    model = onnx_model([helper.make_node(kind, ["x"], [name]) for kind, name in (("Neg", "y"), ("Abs", "z"))])
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 4]))
    assert assert_problem(put(spaces, model), 422, "onnx-refused")["expected"] == ["y", "z"]
    assert put(spaces, model, output="z").json()["parameters"]["output"] == "z"
    np.testing.assert_array_equal(
        np.array(stitched(spaces, data.new_a).json()["outputs"], np.float32), abs(data.new_a)
    )


def test_the_same_model_again_changes_nothing(spaces, pictures):
    first, second = put(spaces, pictures), put(spaces, pictures)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["version"] == second.json()["version"]


def test_a_translator_is_fitted_so_that_its_outputs_agree(spaces, pictures):
    put(spaces, pictures)
    body = {"source": "b", "target": "a", "objective": "head", "head": "h"}
    answer = spaces.put("/v1/translators/t", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["report"]["quality"]["agreement"]["mean"] > 0.9


def test_it_is_there_after_a_restart(tmp_path, data, pictures):
    settings = Settings(store=f"sqlite:///{tmp_path}/kept.db")
    with TestClient(create_app(settings), headers=JSON) as client:
        client.put("/v1/spaces/a", json={"dim": 4})
        assert put(client, pictures).status_code == 201
        outputs = stitched(client, data.new_a).json()["outputs"]
    with TestClient(create_app(settings), headers=JSON) as client:
        assert stitched(client, data.new_a).json()["outputs"] == outputs


# What is refused


def test_another_width_than_the_space(spaces, pictures, assert_problem):
    problem = assert_problem(put(spaces, pictures, space="b"), 422, "wrong-dimension")
    assert (problem["expected"], problem["got"]) == (6, 4)
    assert spaces.get("/v1/heads/h").status_code == 404


def test_bytes_that_are_no_model(spaces, assert_problem):
    assert_problem(put(spaces, b"nonsense"), 422, "onnx-refused")


@pytest.mark.parametrize("model", ["?", "a", 5, None, ["a"], {}])
def test_a_text_that_is_no_base64(spaces, model, assert_problem):
    body = {"kind": "onnx", "space": "a", "model": model}
    assert_problem(spaces.put("/v1/heads/h", json=body), 422, "invalid-head" if model is None else "invalid-input")


def test_without_a_model(spaces, assert_problem):
    problem = assert_problem(spaces.put("/v1/heads/h", json={"kind": "onnx", "space": "a"}), 422, "invalid-head")
    assert problem["missing"] == ["model"]


def test_a_model_larger_than_the_setting(make_client, pictures, assert_problem):
    size = len(pictures.SerializeToString())
    with make_client(max_model_bytes=size - 1) as client:
        client.put("/v1/spaces/a", json={"dim": 4})
        problem = assert_problem(put(client, pictures), 422, "onnx-refused")
    assert (problem["limit"], problem["got"]) == (size - 1, size)


# What is stopped


@pytest.fixture
def narrow(make_client):
    """A service that gives models a second and little memory, with the space a."""
    with make_client(max_model_seconds=1, max_model_memory=256 * MIB) as client:
        client.put("/v1/spaces/a", json={"dim": 4})
        yield client


def test_an_endless_model_is_not_registered_and_the_service_goes_on(
    narrow, endless_onnx, pictures, assert_problem
):
    assert assert_problem(put(narrow, endless_onnx), 422, "onnx-overrun")["limit"] == 1
    assert narrow.get("/v1/heads/h").status_code == 404
    assert put(narrow, pictures).status_code == 201


def test_a_call_that_takes_all_memory_is_stopped_and_the_service_goes_on(
    narrow, data, growing_onnx, assert_problem
):
    assert put(narrow, growing_onnx).status_code == 201
    problem = assert_problem(stitched(narrow, data.new_a + 2000), 422, "onnx-overrun")
    assert problem["limit"] == 256 * MIB
    np.testing.assert_array_equal(np.array(stitched(narrow, data.new_a).json()["outputs"], np.float32), data.new_a)


def test_an_answer_that_is_no_number_is_told(spaces, data, onnx_model, assert_problem):
    put(spaces, onnx_model([helper.make_node("Log", ["x"], ["y"])]))
    problem = assert_problem(stitched(spaces, data.new_a), 422, "invalid-vectors")
    assert "is NaN" in problem["detail"]


def test_a_number_a_vector_is_a_row_of_one(spaces, data, onnx_model):
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])
    model = onnx_model(
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)], {"axes": np.array([1])}, y=y
    )
    assert put(spaces, model, labels=["no", "yes"], activation="sigmoid").json()["shape"] == [1]
    answer = stitched(spaces, data.new_a).json()
    wanted = 1 / (1 + np.exp(-data.new_a.sum(1)))
    np.testing.assert_allclose(np.array(answer["probabilities"])[:, 1], wanted, atol=1e-5)
    body = {"source": "a", "vectors": data.new_a.tolist(), "labels": answer["labels"]}
    figures = spaces.post("/v1/heads/h/evaluate", json=body).json()
    assert figures["native"]["accuracy"]["mean"] == 1
