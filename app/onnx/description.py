"""What an ONNX model may take, and what it turned out to be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Limits:
    """Of one model."""

    size: int  # bytes of the file
    memory: int  # bytes beside what the runtime itself takes
    seconds: float  # for loading it, and for one call


@dataclass(frozen=True)
class Description:
    """What a first run has shown."""

    dim: int
    shape: tuple[int, ...]  # of the output for one vector
    opset: int

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        """From JSON, which knows no tuples."""
        return cls(**{**value, "shape": tuple(value["shape"])})
