"""The fused form of every affine translation: y = x W + b, served as one product."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from models.errors import DimensionMismatch
from models.maps import Map


@dataclass(frozen=True)
class Affine(Map):
    """`weight` (d1, d2), `bias` (d2,)."""

    kind: ClassVar[str] = "affine"
    weight: Tensor
    bias: Tensor

    @property
    def dims(self) -> tuple[int, int]:
        d1, d2 = self.weight.shape
        return d1, d2

    def apply(self, x: Tensor) -> Tensor:
        weight, bias = self.cast(x.dtype)
        return torch.addmm(bias, x, weight)

    def then(self, after: "Affine") -> "Affine":
        """Both hops as one map: x -> after(self(x)). DimensionMismatch."""
        if self.dims[1] != after.dims[0]:
            raise DimensionMismatch(
                f"the second map takes {after.dims[0]} dimensions, the first gives {self.dims[1]}",
                expected=after.dims[0],
                got=self.dims[1],
            )
        return Affine(self.weight @ after.weight, self.bias @ after.weight + after.bias)
