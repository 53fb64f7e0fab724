"""The layers of a small network, named and numbered as in a torch.nn.Sequential, whose state dict has the tensors.

linear       x weightᵀ + bias           weight (c, d), bias (c,) or none
layer_norm   torch.nn.LayerNorm         weight and bias (d,), or none
standardise  (x - mean) / scale         mean and scale (d,), as scikit-learn's StandardScaler has them
dropout      x, as after training
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from models.errors import InvalidHead


@dataclass(frozen=True)
class Layer:
    """`function` of x and of tensors by name; of these some are `needed`, the others may be left out."""

    function: Callable[..., Tensor]
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def tensors(self) -> tuple[str, ...]:
        return self.needed + self.optional


def layer_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], weight, bias)


def standardise(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    return (x - mean) / scale


LAYERS: Mapping[str, Layer] = {
    "linear": Layer(functional.linear, ("weight",), ("bias",)),
    "layer_norm": Layer(layer_norm, (), ("weight", "bias")),
    "standardise": Layer(standardise, ("mean", "scale")),
    "dropout": Layer(lambda x: x),
    "relu": Layer(functional.relu),
    "leaky_relu": Layer(functional.leaky_relu),
    "elu": Layer(functional.elu),
    "gelu": Layer(functional.gelu),
    "silu": Layer(functional.silu),
    "tanh": Layer(functional.tanh),
    "sigmoid": Layer(functional.sigmoid),
}


def width_after(place: int, name: str, tensors: Mapping[str, Tensor], width: int | None) -> int | None:
    """Of what leaves the layer at `place`, given what comes to it: None is not known yet. InvalidHead."""
    if name == "linear":
        weight = tensors["weight"]
        check_tensor(f"{place}.weight", weight, (len(weight), width) if width and weight.ndim else None, ndim=2)
        check_width(place, tensors, len(weight), ("bias",))
        return len(weight)
    known = width or next((tensor.numel() for tensor in tensors.values()), None)
    check_width(place, tensors, known, LAYERS[name].tensors)
    if name == "standardise" and not tensors["scale"].all():
        raise InvalidHead(f"{place}.scale has a 0, by which nothing can be divided", tensor=f"{place}.scale")
    return known


def check_width(place: int, tensors: Mapping[str, Tensor], width: int | None, names: tuple[str, ...]) -> None:
    for name in names:
        if name in tensors:
            check_tensor(f"{place}.{name}", tensors[name], (width,) if width else None)


def check_tensor(name: str, tensor: Tensor, shape: tuple[int, ...] | None = None, ndim: int = 1) -> None:
    """InvalidHead unless it is of that shape, or of so many dimensions if none is given, and finite."""
    fits = tuple(tensor.shape) == shape if shape else tensor.ndim == ndim
    if not fits or not tensor.numel():
        expected = f"the shape {list(shape)}" if shape else f"{ndim} dimensions, none of them 0"
        raise InvalidHead(
            f"tensor {name!r} must have {expected}, got the shape {list(tensor.shape)}",
            tensor=name,
            expected=expected,
            got=list(tensor.shape),
        )
    if not tensor.isfinite().all():
        raise InvalidHead(f"tensor {name!r} has NaN, an infinity or a number beyond float32", tensor=name)
