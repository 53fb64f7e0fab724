"""Arrays of any rank and files over the wire, in JSON."""

from base64 import b64decode
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, InstanceOf, WithJsonSchema
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from app.api.codecs.json import array_of

ARRAY = {
    "anyOf": [
        {"type": "array", "items": {}, "description": "numbers in nested lists, of any rank"},
        {
            "type": "object",
            "properties": {
                "base64": {"type": "string", "description": "the numbers, little-endian"},
                "dtype": {"enum": ["<f2", "<f4", "<f8"], "default": "<f4"},
                "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            },
            "required": ["base64", "shape"],
        },
    ]
}


def tensor_of(value: Any) -> Tensor:
    """ValueError."""
    return torch.from_numpy(array_of(value))


def bytes_of(value: Any) -> bytes:
    """ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"this is a file in base64, got {value!r:.40}")
    try:
        return b64decode(value, validate=True)
    except ValueError as error:
        raise ValueError(f"the text is not base64: {error}") from error


def tensors_of(value: Any) -> dict[str, Tensor]:
    """From a safetensors file in base64, or from arrays by name. ValueError."""
    if isinstance(value, dict):
        return {name: tensor_of(array) for name, array in value.items()}
    try:
        tensors: dict[str, Tensor] = load(bytes_of(value))
    except (SafetensorError, KeyError) as error:  # the latter for a dtype that torch does not have
        raise ValueError(f"the text is not a safetensors file in base64: {error}") from error
    strange = [name for name, tensor in tensors.items() if not tensor.is_floating_point()]
    if strange:
        raise ValueError(f"tensor {strange[0]!r} is of {tensors[strange[0]].dtype}, not of floating-point numbers")
    return {name: tensor.float() for name, tensor in tensors.items()}


Array = Annotated[InstanceOf[Tensor], BeforeValidator(tensor_of), WithJsonSchema(ARRAY)]
Tensors = Annotated[
    InstanceOf[dict[str, Tensor]],
    BeforeValidator(tensors_of),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "contentEncoding": "base64", "description": "a safetensors file"},
                {"type": "object", "additionalProperties": ARRAY},
            ]
        }
    ),
]
Base64 = Annotated[
    InstanceOf[bytes],
    BeforeValidator(bytes_of),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
