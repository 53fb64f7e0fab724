"""Doing nothing: right when two encoders already share their coordinates."""

from typing import ClassVar, Self

import torch
from torch import Tensor

from models.affine import Affine
from models.base import Method, check_pairs
from models.errors import DimensionMismatch


class Identity(Method):
    """W = I, b = 0. Both spaces must have the same dimension."""

    name: ClassVar[str] = "identity"

    @classmethod
    def suits(cls, n: int, d1: int, d2: int) -> bool:  # noqa: ARG003
        return d1 == d2

    def fit(self, x: Tensor, y: Tensor) -> Self:
        x, y = check_pairs(x, y)
        d1, d2 = x.shape[1], y.shape[1]
        if d1 != d2:
            raise DimensionMismatch(
                f"identity needs two spaces of one dimension, got {d1} and {d2}: choose another method, or 'auto'",
                expected=d1,
                got=d2,
            )
        self.rank_ = d1
        self.map_ = Affine(torch.eye(self.rank_, dtype=x.dtype), torch.zeros(self.rank_, dtype=x.dtype))
        return self
