"""What is looked at before an ONNX model may run. Runs in the worker: a hostile file reaches nobody else."""

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from app.errors import OnnxRefused

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")  # "" is ai.onnx too
LEAST_OPSET, NEWEST_OPSET = 7, 26  # onnxruntime promises nothing below, and takes nothing above


def checked(data: bytes) -> ModelProto:
    """A model that takes one matrix of floats and needs nothing but its own bytes. OnnxRefused."""
    model = parsed(data)
    check_whole(model)
    check_operators(model)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, UnicodeDecodeError) as error:
        raise OnnxRefused(f"this is no valid ONNX model: {first_line(error)}") from error
    check_input(model.graph)
    return model


def parsed(data: bytes) -> ModelProto:
    try:
        return onnx.load_model_from_string(data)
    except DecodeError as error:
        raise OnnxRefused(f"the {len(data)} bytes are no ONNX model: send what `onnx.save` writes") from error


def check_whole(model: ModelProto) -> None:
    """All its numbers are inside."""
    for tensor in tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise OnnxRefused(
                f"tensor {tensor.name!r} lies in another file: save the model with its data inside",
                expected="no external data",
                got=tensor.name,
            )


def check_operators(model: ModelProto) -> None:
    """Of the standard alone, in a version that can be run."""
    if model.functions:
        name = f"{model.functions[0].domain}.{model.functions[0].name}"
        raise OnnxRefused(f"the model defines functions, such as {name!r}: export it with them inlined", got=name)
    for node in nodes(model.graph):
        if node.domain not in DOMAINS:
            raise OnnxRefused(
                f"operator {node.op_type!r} is of domain {node.domain!r}: only {list(DOMAINS[1:])} are run",
                expected=list(DOMAINS[1:]),
                got=f"{node.domain}.{node.op_type}",
            )
    if not model.opset_import:
        raise OnnxRefused("the bytes are no ONNX model: they name no opset")
    version = opset_of(model)
    if not LEAST_OPSET <= version <= NEWEST_OPSET:
        raise OnnxRefused(
            f"the model is of opset {version}: export it with one from {LEAST_OPSET} to {NEWEST_OPSET}",
            expected={"low": LEAST_OPSET, "high": NEWEST_OPSET},
            got=version,
        )


def check_input(graph: GraphProto) -> None:
    """One, of shape (batch, d)."""
    found = inputs(graph)
    if len(found) != 1 or not is_matrix(found[0]):
        got = [shown(value) for value in found]
        raise OnnxRefused(
            "the model must take one input, FLOAT (batch, d) with a batch of any size and a fixed d; "
            f"this one takes {', '.join(got) or 'none'}",
            expected="FLOAT (batch, d)",
            got=got,
        )


def is_matrix(value: ValueInfoProto) -> bool:
    """Of floats, with as many rows as may come, each as wide as the others."""
    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT or len(tensor.shape.dim) != 2:
        return False
    rows, width = tensor.shape.dim
    return not rows.HasField("dim_value") and width.dim_value > 0


def inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """Those that a caller gives."""
    own = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in own]


def shown(value: ValueInfoProto) -> str:
    """x: FLOAT (n, 64)"""
    tensor = value.type.tensor_type
    sizes = (
        axis.dim_param or (str(axis.dim_value) if axis.HasField("dim_value") else "?") for axis in tensor.shape.dim
    )
    return f"{value.name}: {TensorProto.DataType.Name(tensor.elem_type)} ({', '.join(sizes)})"


def width_of(model: ModelProto) -> int:
    """d, of a checked one."""
    width: int = inputs(model.graph)[0].type.tensor_type.shape.dim[1].dim_value
    return width


def opset_of(model: ModelProto) -> int:
    """Of ai.onnx; 0 if it says none."""
    return max((entry.version for entry in model.opset_import if entry.domain in DOMAINS[:2]), default=0)


def nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Those of the graphs inside loops and branches too."""
    for node in graph.node:
        yield node
        for inner in graphs(node):
            yield from nodes(inner)


def tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Every constant, wherever it stands."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
        for inner in graphs(node):
            yield from tensors(inner)


def graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        yield from (attribute.g, *attribute.graphs)


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
