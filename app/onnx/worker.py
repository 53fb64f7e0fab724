"""The process that runs one ONNX model: `python -m app.onnx.worker <pipe>`.

The kernel holds the limits: RLIMIT_DATA refuses memory, and an alarm that nobody catches ends the process, so
that not even native code that hangs outlives its time, or its server. Frames, server to worker: what is asked
(JSON), the model, then matrices. Worker to server: JSON for each but the first, and a matrix after that of a run.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as native

from app.errors import OnnxFailed, OnnxOverrun, OnnxRefused, ServiceError
from app.onnx.check import checked, first_line, inputs, opset_of, width_of
from app.onnx.description import Description

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
BATCH = 1024  # rows at a time
THREADS = 8  # at most: their stacks count as memory
QUIET = 4  # only what ends the process is logged; the rest is told to the client
PROOF = (1, 3)  # vectors
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
NUMBERS = {f"tensor({kind})" for kind in ("float16", "float", "double", "bool", *INTEGERS)}
FAILURES = (
    native.EngineError,
    native.EPFail,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.NoModel,
    native.NoSuchFile,
    native.NotImplemented,
    native.RuntimeException,
    RuntimeError,
    ValueError,
)

Array = NDArray[Any]


class Model:
    """A checked model that has run."""

    def __init__(self, data: bytes, output: str | None, memory: int) -> None:
        """OnnxRefused, OnnxFailed."""
        proto = checked(data)
        try:
            self.session = session_of(data, memory)
        except FAILURES as error:
            raise failure(error, OnnxRefused, "onnxruntime cannot load the model") from error
        self.dim, self.input = width_of(proto), inputs(proto.graph)[0].name
        self.output = chosen(self.session, output)
        self.shape = self.proven_shape()
        # a number a vector reads as a row of one
        self.description = Description(self.dim, self.shape or (1,), opset_of(proto))

    def proven_shape(self) -> tuple[int, ...]:
        """Of the output for one vector, whatever the number of vectors. OnnxRefused."""
        random = np.random.default_rng(0)
        found = [self.batch(random.standard_normal((n, self.dim), dtype=np.float32)).shape for n in PROOF]
        shape: tuple[int, ...] = found[0][1:]
        if found != [(n, *shape) for n in PROOF] or 0 in shape:
            raise OnnxRefused(
                f"output {self.output!r} must have an entry for every vector, of one size that is not 0: "
                f"{PROOF[0]} and {PROOF[1]} vectors gave the shapes {found[0]} and {found[1]}",
                got=found,
            )
        return shape

    def run(self, vectors: Array) -> Array:
        """(n, dim) -> (n, *shape), float32. OnnxFailed."""
        outputs = np.empty((len(vectors), *self.shape), np.float32)
        for start in range(0, len(vectors), BATCH):
            place = slice(start, start + BATCH)
            found, wanted = self.batch(vectors[place]), outputs[place].shape
            if found.shape != wanted:
                raise OnnxFailed(f"the model gave the shape {found.shape}, and {wanted} is what it was taken for")
            outputs[place] = found
        return outputs

    def batch(self, rows: Array) -> Array:
        """OnnxFailed."""
        try:
            return np.asarray(self.session.run([self.output], {self.input: rows})[0])
        except FAILURES as error:
            raise failure(error, OnnxFailed, "the model failed") from error


def failure(error: Exception, kind: type[ServiceError], what: str) -> Exception:
    """onnxruntime tells of memory that it did not get as of any other failure."""
    return MemoryError() if "bad_alloc" in str(error) else kind(f"{what}: {first_line(error)}")


def session_of(data: bytes, memory: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = False  # gives back what a run took
    options.intra_op_num_threads = min(THREADS, len(os.sched_getaffinity(0)))
    options.log_severity_level = QUIET
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # else the bytes may say that they are of onnxruntime's own format, which nobody has checked
    options.add_session_config_entry("session.load_model_format", "ONNX")
    settings = {"CUDAExecutionProvider": {"gpu_mem_limit": str(memory)}}
    available = [name for name in PROVIDERS if name in onnxruntime.get_available_providers()]
    return onnxruntime.InferenceSession(data, options, [(name, settings.get(name, {})) for name in available])


def chosen(session: onnxruntime.InferenceSession, output: str | None) -> str:
    """The name of the output that counts. OnnxRefused."""
    kinds = {value.name: value.type for value in session.get_outputs()}
    if output is None and len(kinds) > 1:
        raise OnnxRefused(f"the model has the outputs {list(kinds)}: name one in `output`", expected=list(kinds))
    name = next(iter(kinds)) if output is None else output
    if name not in kinds:
        raise OnnxRefused(f"the model has the outputs {list(kinds)}, not {name!r}", expected=list(kinds), got=name)
    if kinds[name] not in NUMBERS:
        raise OnnxRefused(
            f"output {name!r} is of type {kinds[name]}: it must be a tensor of numbers", got=kinds[name]
        )
    return name


# the process


def main() -> None:
    pipe = Connection(int(sys.argv[1]))
    try:
        serve(pipe)
    except EOFError:  # the server is gone, or needs this model no longer
        return


def serve(pipe: Connection) -> None:
    asked = json.loads(pipe.recv_bytes())
    confine(asked["memory"])
    data, seconds = pipe.recv_bytes(), asked["seconds"]
    with told(pipe, asked["memory"]), limited(seconds):
        model = Model(data, asked["output"], asked["memory"])
    tell(pipe, asdict(model.description))
    while True:
        vectors = np.frombuffer(pipe.recv_bytes(), np.float32).reshape(-1, model.dim)
        with told(pipe, asked["memory"]), limited(seconds):
            outputs = model.run(vectors)
        tell(pipe, {})
        pipe.send_bytes(outputs.data.cast("B"))


def confine(memory: int) -> None:
    """No more than `memory` bytes beside those it has, and no core of a crash on the disk."""
    (taken,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData:"))
    most = int(taken.split()[1]) * 1024 + memory
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def told(pipe: Connection, memory: int) -> Iterator[None]:
    """An error is told to the server and ends the process: the next one starts afresh."""
    try:
        yield
    except MemoryError:
        tell_error(pipe, overrun(memory))
    except ServiceError as error:
        tell_error(pipe, error)
    else:
        return
    sys.exit(0)


def overrun(memory: int) -> OnnxOverrun:
    return OnnxOverrun(
        f"the model needs more than {memory} bytes: "
        "send fewer rows a call, if you send some, or let the operator raise ANCHORAGE_MAX_MODEL_MEMORY",
        limit=memory,
    )


def tell_error(pipe: Connection, error: ServiceError) -> None:
    tell(pipe, {"error": type(error).__name__, "message": str(error), "facts": error.facts})


def tell(pipe: Connection, fact: dict[str, Any]) -> None:
    pipe.send_bytes(json.dumps(fact).encode())


if __name__ == "__main__":
    main()
