"""Heads: decoders of the vectors of one space. Stitching runs them on what another encoder made.

A head gives raw outputs, logits of a classifier or values, and names the activation that makes answers of them.
It is made of tensors and a few parameters; it is stored as safetensors, never as pickle.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, Protocol, Self

import torch
from safetensors.torch import load, save
from torch import Tensor

from models.affine import Affine
from models.errors import DimensionMismatch, InvalidHead
from models.layers import LAYERS, check_tensor, width_after

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "softmax": partial(torch.softmax, dim=-1),
    "sigmoid": torch.sigmoid,
    "none": lambda outputs: outputs,
}
AT_ONCE = 2**24  # numbers of the widest layer that are held in memory


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
        if weight.shape[:1] != bias.shape == weight.shape[1:]:
            raise InvalidHead(
                f"tensor 'weight' must be (outputs, dimensions), got the shape {list(weight.shape)} beside "
                f"{len(bias)} numbers of bias, one for each output: one is wrong, or the weight is transposed",
                tensor="weight",
                expected=[len(bias), len(weight)],
                got=list(weight.shape),
            )
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

    @cached_property
    def affine(self) -> Affine:
        """The same as a map, to be fused with those before it: one object, so that the product can be kept."""
        return Affine(self.weight.T, self.bias)

    def raw(self, y: Tensor) -> Tensor:
        return y @ self.weight.T.to(y.dtype) + self.bias.to(y.dtype)

    def parameters(self) -> dict[str, Any]:
        return {}

    def to_bytes(self) -> bytes:
        return save({"weight": self.weight.float().contiguous(), "bias": self.bias.float().contiguous()})


@dataclass(frozen=True)
class MlpHead(Head):
    """`layers` in order, as in models/layers.py; `tensors` by the number of their layer and name: "0.weight"."""

    kind: ClassVar[str] = "mlp"
    parts: ClassVar[Mapping[str, bool]] = {"layers": True, "tensors": True}
    layers: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    activation: str = "softmax"

    @classmethod
    def of_parts(cls, activation: str, parts: Mapping[str, Any]) -> Self:
        """InvalidHead."""
        head = cls(tuple(parts["layers"]), parts["tensors"], activation)
        check_layers(head.layers, head.tensors)
        width = None
        for place, name in enumerate(head.layers):
            width = width_after(place, name, head.of_layer(place), width)
        return head

    @classmethod
    def of_bytes(cls, data: bytes, activation: str, parameters: Mapping[str, Any]) -> Self:
        return cls(tuple(parameters["layers"]), load(data), activation)

    @property
    def dim(self) -> int:
        first = self.of_layer(next(place for place in range(len(self.layers)) if self.of_layer(place)))
        return next(iter(first.values())).shape[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.tensors[f"{self._linear[-1]}.weight"]),)

    @property
    def _linear(self) -> list[int]:
        return [place for place, name in enumerate(self.layers) if name == "linear"]

    def raw(self, y: Tensor) -> Tensor:
        """So many rows at a time that what lies between the layers stays small."""
        return torch.cat([self._through(part) for part in torch.split(y, max(1, AT_ONCE // self.widest))])

    @property
    def widest(self) -> int:
        """The most numbers that a layer gives for one vector."""
        return max(len(self.tensors[f"{place}.weight"]) for place in self._linear)

    def _through(self, y: Tensor) -> Tensor:
        for place, name in enumerate(self.layers):
            y = LAYERS[name].function(y, **{k: t.to(y.dtype) for k, t in self.of_layer(place).items()})
        return y

    def of_layer(self, place: int) -> dict[str, Tensor]:
        """Its tensors, by their own names."""
        named = {name: f"{place}.{name}" for name in LAYERS[self.layers[place]].tensors}
        return {name: self.tensors[key] for name, key in named.items() if key in self.tensors}

    def parameters(self) -> dict[str, Any]:
        return {"layers": list(self.layers)}

    def to_bytes(self) -> bytes:
        return save({name: tensor.float().contiguous() for name, tensor in self.tensors.items()})


HEADS: Mapping[str, HeadKind] = {head.kind: head for head in (LinearHead, MlpHead)}


def check_layers(layers: tuple[str, ...], tensors: Mapping[str, Tensor]) -> None:
    """Of known names, one of them linear, with the tensors that they need and no others. InvalidHead."""
    unknown = sorted(set(layers) - set(LAYERS))
    if unknown or "linear" not in layers:
        raise InvalidHead(
            f"layers are some of {list(LAYERS)}, at least one of them linear, got {list(layers)}",
            expected=list(LAYERS),
            got=list(layers),
        )
    needed = {f"{place}.{tensor}" for place, name in enumerate(layers) for tensor in LAYERS[name].needed}
    known = {f"{place}.{tensor}" for place, name in enumerate(layers) for tensor in LAYERS[name].tensors}
    missing, strange = sorted(needed - set(tensors)), sorted(set(tensors) - known)
    if missing or strange:
        raise InvalidHead(
            f"layers {list(layers)} need the tensors {sorted(needed)}: {missing} are missing, {strange} "
            "belong to no layer",
            missing=missing,
            unknown=strange,
        )
