"""Heads that are ONNX models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from app.onnx.description import Description
from app.onnx.runner import Runner
from models.heads import Head


@dataclass(frozen=True)
class OnnxHead(Head):
    """Any decoder of vectors; what it gives is read as float32."""

    kind: ClassVar[str] = "onnx"
    parts: ClassVar[Mapping[str, bool]] = {"model": True, "output": False}
    model: bytes
    description: Description
    runner: Runner
    output: str | None = None  # as asked for; None: the only one
    activation: str = "none"

    @property
    def dim(self) -> int:
        return self.description.dim

    @property
    def shape(self) -> tuple[int, ...]:
        return self.description.shape

    def raw(self, y: Tensor) -> Tensor:
        """Everything that `Runner.run` raises."""
        outputs = self.runner.run(self.model, self.output, y.float().numpy())
        return torch.from_numpy(outputs).to(y.dtype)

    def parameters(self) -> dict[str, Any]:
        return {"output": self.output, "opset": self.description.opset}

    def to_bytes(self) -> bytes:
        return self.model


class OnnxHeads:
    """Makes them, and has a runner for them."""

    parts = OnnxHead.parts

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def of_parts(self, activation: str, parts: Mapping[str, Any]) -> OnnxHead:
        """Everything that `Runner.describe` raises."""
        model, output = parts["model"], parts.get("output")
        return OnnxHead(model, self.runner.describe(model, output), self.runner, output, activation)

    def of_bytes(self, data: bytes, activation: str, parameters: Mapping[str, Any]) -> OnnxHead:
        return self.of_parts(activation, {"model": data, "output": parameters["output"]})
