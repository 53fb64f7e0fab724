"""What an ONNX model is refused for before it runs."""

from contextlib import nullcontext

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.errors import OnnxRefused
from app.onnx.check import LEAST_OPSET, NEWEST_OPSET, checked, opset_of, width_of


def value(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, shape)


def refused(model, match):
    with pytest.raises(OnnxRefused, match=match):
        checked(model if isinstance(model, bytes) else model.SerializeToString())


@pytest.mark.parametrize("model", [b"", b"nonsense", b"\x08\x09", b"\xff" * 100])
def test_bytes_that_are_no_model(model):
    refused(model, "no ONNX model|no valid ONNX model")


def test_a_cut_model(onnx_model):
    model = onnx_model([helper.make_node("Neg", ["x"], ["y"])]).SerializeToString()
    refused(model[:-20], "no ONNX model|no valid ONNX model")


def test_a_graph_that_hangs_together_badly(onnx_model):
    refused(onnx_model([helper.make_node("Add", ["x", "nowhere"], ["y"])]), "no valid ONNX model: .*nowhere")
    refused(onnx_model([helper.make_node("Nothing", ["x"], ["y"])]), "no valid ONNX model: .*Nothing")


def test_names_that_are_no_text(onnx_model):
    model = onnx_model([helper.make_node("Neg", ["x"], ["y"])]).SerializeToString()
    refused(model.replace(b"Neg", b"\xbc\xbd\xbe"), "no valid ONNX model: .*codec")


@pytest.mark.parametrize(
    ("kind", "shape", "shown"),
    [
        ("DOUBLE", ["n", 4], r"x: DOUBLE \(n, 4\)"),
        ("INT64", ["n", 4], r"x: INT64 \(n, 4\)"),
        ("FLOAT", [], r"x: FLOAT \(\)"),
        ("FLOAT", [4], r"x: FLOAT \(4\)"),
        ("FLOAT", [1, 4], r"x: FLOAT \(1, 4\)"),
        ("FLOAT", ["n", "d"], r"x: FLOAT \(n, d\)"),
        ("FLOAT", ["n", None], r"x: FLOAT \(n, \?\)"),
        ("FLOAT", ["n", 0], r"x: FLOAT \(n, 0\)"),
        ("FLOAT", ["n", 4, 1], r"x: FLOAT \(n, 4, 1\)"),
    ],
)
def test_an_input_that_is_no_matrix_of_floats(onnx_model, kind, shape, shown):
    kind = TensorProto.DataType.Value(kind)
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    refused(onnx_model(nodes, x=value("x", kind, *shape), y=value("y", kind, *shape)), shown)


def test_two_inputs(onnx_model):
    model = onnx_model([helper.make_node("Add", ["x", "w"], ["y"])])
    model.graph.input.append(value("w", TensorProto.FLOAT, "n", 4))
    refused(model, r"takes x: FLOAT \(n, 4\), w: FLOAT \(n, 4\)")


def test_an_input_with_a_default_is_a_constant(onnx_model):
    model = onnx_model([helper.make_node("Add", ["x", "w"], ["y"])], {"w": np.ones(4, np.float32)})
    model.graph.input.append(value("w", TensorProto.FLOAT, 4))
    assert width_of(checked(model.SerializeToString())) == 4


def test_no_input(onnx_model):
    model = onnx_model([helper.make_node("Identity", ["c"], ["y"])], {"c": np.ones((1, 4), np.float32)})
    del model.graph.input[:]
    refused(model, "takes none")


def outside(tensor):
    """The tensor, with its numbers in a file that anybody may have put there."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


@pytest.fixture
def external():
    return outside(numpy_helper.from_array(np.ones(4, np.float32), "secret"))


def test_external_data_of_a_constant(onnx_model, external):
    model = onnx_model([helper.make_node("Add", ["x", "secret"], ["y"])])
    model.graph.initializer.append(external)
    refused(model, "tensor 'secret' lies in another file")


def test_external_data_of_a_node(onnx_model, external):
    nodes = [helper.make_node("Constant", [], ["c"], value=external), helper.make_node("Add", ["x", "c"], ["y"])]
    refused(onnx_model(nodes), "tensor 'secret' lies in another file")


def test_external_data_of_a_sparse_constant(onnx_model, external):
    model = onnx_model([helper.make_node("Add", ["x", "secret"], ["y"])])
    places = numpy_helper.from_array(np.arange(4), "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(external, places, [4]))
    refused(model, "tensor 'secret' lies in another file")


def test_external_data_inside_a_branch(onnx_model, external):
    refused(branching(onnx_model, helper.make_node("Constant", [], ["c"], value=external)), "'secret' lies")


def test_an_operator_of_somebody(onnx_model):
    own = helper.make_node("Magic", ["x"], ["y"], domain="com.somebody")
    refused(onnx_model([own], domains=["com.somebody"]), "'Magic' is of domain 'com.somebody': only")


def test_an_operator_of_somebody_inside_a_branch(onnx_model):
    own = helper.make_node("Magic", ["x"], ["c"], domain="com.microsoft")
    refused(branching(onnx_model, own, ["com.microsoft"]), "'Magic' is of domain 'com.microsoft'")


def branching(onnx_model, node, domains=()):
    """A model with the node, which makes c, in one of two branches."""
    branch = helper.make_graph([node], "branch", [], [value("c", TensorProto.FLOAT, 4)])
    chosen = helper.make_node("If", ["yes"], ["z"], then_branch=branch, else_branch=branch)
    return onnx_model([chosen, helper.make_node("Add", ["x", "z"], ["y"])], {"yes": True}, domains=domains)


def test_functions_of_its_own(onnx_model):
    inside, versions = [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    model = onnx_model([helper.make_node("twice", ["x"], ["y"], domain="own")], domains=["own"])
    model.functions.append(helper.make_function("own", "twice", ["a"], ["b"], inside, versions))
    refused(model, "defines functions, such as 'own.twice'")


@pytest.mark.parametrize("opset", [1, LEAST_OPSET - 1, NEWEST_OPSET + 1])
def test_an_opset_that_nobody_runs(onnx_model, opset):
    model = onnx_model([helper.make_node("Identity", ["x"], ["y"])], opset=opset)
    refused(model, f"opset {opset}: export it with one from 7 to")


@pytest.mark.parametrize(("opset", "taken"), [(NEWEST_OPSET, True), (NEWEST_OPSET + 1, False)])
def test_the_newest_opset_is_the_newest_that_onnxruntime_takes(onnx_model, opset, taken):
    data = onnx_model([helper.make_node("Neg", ["x"], ["y"])], opset=opset).SerializeToString()
    with nullcontext() if taken else pytest.raises(Exception, match=f"Opset {opset} is under development"):
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("opset", [LEAST_OPSET, 13, NEWEST_OPSET])
def test_an_opset_that_is_run(onnx_model, opset):
    model = onnx_model([helper.make_node("Neg", ["x"], ["y"])], opset=opset).SerializeToString()
    assert opset_of(checked(model)) == opset
