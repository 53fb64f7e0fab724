"""The fused form of every linear translation: y = x W + b, served as one product."""

from dataclasses import dataclass

import torch
from safetensors.torch import load, save
from torch import Tensor

from models.errors import DimensionMismatch


@dataclass(frozen=True)
class Affine:
    """`weight` (d1, d2), `bias` (d2,)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """x (n, d1) -> (n, d2), in the precision of x; integers count as single precision."""
        if x.ndim != 2 or x.shape[1] != self.weight.shape[0]:
            raise DimensionMismatch(
                f"this map takes (n, {self.weight.shape[0]}) vectors, got {tuple(x.shape)}",
                expected=self.weight.shape[0],
                got=x.shape[-1],
            )
        x = x if x.is_floating_point() else x.float()
        return torch.addmm(self.bias.to(x.dtype), x, self.weight.to(x.dtype))

    def to_bytes(self) -> bytes:
        """float32 safetensors: what is stored and served."""
        return save({"weight": self.weight.float().contiguous(), "bias": self.bias.float().contiguous()})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Affine":
        return cls(**load(data))
