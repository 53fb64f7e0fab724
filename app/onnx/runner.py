"""Runs ONNX models in worker processes that the server outlives."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any
from weakref import WeakValueDictionary, finalize

import numpy as np
from numpy.typing import NDArray

from app.errors import Busy, OnnxFailed, OnnxOverrun, OnnxRefused, ServiceError
from app.onnx.description import Description, Limits

WORKERS = 4  # models that run at once, and that are kept ready
INHERITED = (
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
)  # none of what the server keeps secret
ERRORS: Mapping[str, type[ServiceError]] = {e.__name__: e for e in (OnnxFailed, OnnxOverrun, OnnxRefused)}

Array = NDArray[Any]


def runtime() -> str:
    """The version of onnxruntime; "none" if it is not installed."""
    for wheel in ("onnxruntime", "onnxruntime-gpu"):
        with suppress(PackageNotFoundError):
            return version(wheel)
    return "none"


class Runner:
    """A process a model; that of the model used least recently makes room for another."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._places = threading.BoundedSemaphore(WORKERS)
        # of the models that somebody calls; forgotten when nobody does
        self._turns: WeakValueDictionary[tuple[bytes, str | None], threading.Lock] = WeakValueDictionary()
        self._handing = threading.Lock()
        self._worker = lru_cache(maxsize=WORKERS)(lambda model, output: Worker(model, output, limits))

    def describe(self, model: bytes, output: str | None = None) -> Description:
        """After a first run of it; `output` may be left out where it has but one.

        OnnxRefused, OnnxFailed, OnnxOverrun, Busy.
        """
        if len(model) > self.limits.size:
            raise OnnxRefused(
                f"an ONNX model may have at most {self.limits.size} bytes, got {len(model)}: "
                "make it smaller, or let the operator raise ANCHORAGE_MAX_MODEL_BYTES",
                limit=self.limits.size,
                got=len(model),
            )
        with self._process(model, output) as process:
            return process.description

    def run(self, model: bytes, output: str | None, vectors: Array) -> Array:
        """vectors (n, dim) -> (n, *shape), float32; `output` as for `describe`.

        OnnxFailed, OnnxOverrun, Busy.
        """
        with self._process(model, output) as process:
            return process.run(vectors)

    def close(self) -> None:
        """End every process; it may be used again."""
        self._worker.cache_clear()

    @contextmanager
    def _process(self, model: bytes, output: str | None) -> Iterator["Process"]:
        """One call of a model at a time: who waits for its turn takes no place from those who run another."""
        with self._handing:
            turn = self._turns.setdefault((model, output), threading.Lock())
        with (
            held(turn, self.limits.seconds, "others are running this model, or wait to"),
            held(self._places, self.limits.seconds, f"{WORKERS} models run already"),
            self._worker(model, output).process() as process,
        ):
            yield process


@contextmanager
def held(lock: "threading.Lock | threading.Semaphore", seconds: float, fault: str) -> Iterator[None]:
    """Busy, if others do not give it back in so many."""
    if not lock.acquire(timeout=seconds):
        raise Busy(f"{fault}: try again in a moment")
    try:
        yield
    finally:
        lock.release()


class Worker:
    """One model's process: started when it is needed, again after it was stopped."""

    def __init__(self, model: bytes, output: str | None, limits: Limits) -> None:
        self._model, self._output, self._limits = model, output, limits
        self._process: Process | None = None

    @contextmanager
    def process(self) -> Iterator["Process"]:
        """For one call at a time; what went wrong ends it."""
        try:
            if self._process is None or self._process.is_over():
                self._process = Process(self._model, self._output, self._limits)
            yield self._process
        except BaseException:
            self._process = None
            raise


class Process:
    """The other end of `worker.py`; killed when nothing refers to it."""

    def __init__(self, model: bytes, output: str | None, limits: Limits) -> None:
        ours, theirs = Pipe()
        with theirs:
            # in a group of its own: Ctrl-C is for the server; and with -P no folder that happens to be called app
            command = [sys.executable, "-P", "-m", "app.onnx.worker", str(theirs.fileno())]
            self._child = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
                env={name: os.environ[name] for name in INHERITED if name in os.environ},
            )
        self._pipe, self._seconds = ours, limits.seconds
        finalize(self, end, self._child, ours)
        asked = {"output": output, "memory": limits.memory, "seconds": limits.seconds}
        self._send(json.dumps(asked).encode(), model)
        self.description = Description.of(self._told())

    def is_over(self) -> bool:
        return self._child.poll() is not None

    def run(self, vectors: Array) -> Array:
        self._send(np.ascontiguousarray(vectors, np.float32).tobytes())
        self._told()
        outputs = np.frombuffer(bytearray(self._received()), np.float32)  # writable, as torch wants it
        return outputs.reshape(len(vectors), *self.description.shape)

    def _send(self, *frames: bytes) -> None:
        try:
            for frame in frames:
                self._pipe.send_bytes(frame)
        except BrokenPipeError as error:
            raise self._reason() from error

    def _told(self) -> dict[str, Any]:
        """What the worker says; its error, if it has one."""
        told: dict[str, Any] = json.loads(self._received())
        if "error" in told:
            raise ERRORS[told["error"]](told["message"], **told["facts"])
        return told

    def _received(self) -> bytes:
        try:
            return self._pipe.recv_bytes()
        except (EOFError, ConnectionResetError) as error:
            raise self._reason() from error

    def _reason(self) -> ServiceError:
        """Why the process ended."""
        if (code := self._child.wait()) == -signal.SIGALRM:
            return OnnxOverrun(
                f"the model took longer than {self._seconds:g} s and was stopped: send fewer rows a call, if you "
                "send some, or let the operator raise ANCHORAGE_MAX_MODEL_SECONDS",
                limit=self._seconds,
            )
        return OnnxFailed(f"the model ended its process (exit code {code}): the server's log may say more")


def end(child: subprocess.Popen[bytes], pipe: Connection) -> None:
    pipe.close()
    child.kill()
    child.wait()
