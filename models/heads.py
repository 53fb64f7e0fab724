"""Heads: decoders of the vectors of one space. Stitching runs them on what another encoder made.

A head gives raw outputs, logits of a classifier or values, and names the activation that makes answers of them.
It is made of tensors and a few parameters; it is stored as safetensors, never as pickle.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol, Self

import torch
from safetensors.torch import load, save
from torch import Tensor

from models.affine import Affine
from models.errors import DimensionMismatch, InvalidHead

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "softmax": partial(torch.softmax, dim=-1),
    "sigmoid": torch.sigmoid,
    "none": lambda outputs: outputs,
}


class Head(ABC):
    """A subclass is one line in HEADS."""

    kind: ClassVar[str]
    parts: ClassVar[Mapping[str, bool]]  # what a client gives to make one: name, and whether it must be there
    activation: str

    @property
    @abstractmethod
    def dim(self) -> int:
        """d, the width of the vectors it takes."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of the output for one vector: (c,), or that of an image."""

    @abstractmethod
    def raw(self, y: Tensor) -> Tensor:
        """y (n, d), floating -> (n, *shape) before the activation, in the precision of y."""

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """What JSON can say of it, beside the activation: `of_bytes` wants it again."""

    @abstractmethod
    def to_bytes(self) -> bytes:
        """What is stored."""

    def __call__(self, y: Tensor) -> Tensor:
        """y (n, d) -> (n, *shape). DimensionMismatch."""
        if y.ndim != 2 or y.shape[1] != self.dim:
            raise DimensionMismatch(
                f"this head takes (n, {self.dim}) vectors, got {tuple(y.shape)}",
                expected=self.dim,
                got=y.shape[-1],
            )
        return ACTIVATIONS[self.activation](self.raw(y if y.is_floating_point() else y.float()))


class HeadKind(Protocol):
    """What makes heads: a subclass of Head, or something that hands one what it needs to run."""

    @property
    def parts(self) -> Mapping[str, bool]: ...

    def of_parts(self, activation: str, parts: Mapping[str, Any]) -> Head:
        """From what a client gave: those of `parts`, in the types of the wire. InvalidHead."""

    def of_bytes(self, data: bytes, activation: str, parameters: Mapping[str, Any]) -> Head:
        """The one that gave these bytes and parameters."""


@dataclass(frozen=True)
class LinearHead(Head):
    """`weight` (c, d), `bias` (c,): y -> y weightᵀ + bias."""

    kind: ClassVar[str] = "linear"
    parts: ClassVar[Mapping[str, bool]] = {"weight": True, "bias": False}
    weight: Tensor
    bias: Tensor
    activation: str = "softmax"

    @classmethod
    def of_parts(cls, activation: str, parts: Mapping[str, Any]) -> Self:
        """InvalidHead."""
        weight = parts["weight"]
        check_tensor("weight", weight, ndim=2)
        bias = parts.get("bias", torch.zeros(len(weight)))
        check_tensor("bias", bias, (len(weight),))
        return cls(weight, bias, activation)

    @classmethod
    def of_bytes(cls, data: bytes, activation: str, parameters: Mapping[str, Any]) -> Self:  # noqa: ARG003
        return cls(**load(data), activation=activation)

    @property
    def dim(self) -> int:
        return self.weight.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.weight),)

    @property
    def affine(self) -> Affine:
        """The same as a map, to be fused with those before it."""
        return Affine(self.weight.T, self.bias)

    def raw(self, y: Tensor) -> Tensor:
        return y @ self.weight.T.to(y.dtype) + self.bias.to(y.dtype)

    def parameters(self) -> dict[str, Any]:
        return {}

    def to_bytes(self) -> bytes:
        return save({"weight": self.weight.float().contiguous(), "bias": self.bias.float().contiguous()})


HEADS: Mapping[str, HeadKind] = {head.kind: head for head in (LinearHead,)}


def check_tensor(name: str, tensor: Tensor, shape: tuple[int, ...] | None = None, ndim: int = 1) -> None:
    """InvalidHead unless it is of that shape, or of so many dimensions if none is given, and finite."""
    fits = tuple(tensor.shape) == shape if shape else tensor.ndim == ndim
    if not fits or not tensor.numel():
        expected = list(shape) if shape else f"{ndim} dimensions, none of them 0"
        raise InvalidHead(
            f"{name} must have the shape {expected}, got {list(tensor.shape)}",
            expected=expected,
            got=list(tensor.shape),
        )
    if not tensor.isfinite().all():
        raise InvalidHead(f"{name} has NaN or an infinity: every number must be finite", tensor=name)
