"""What a fitted method leaves behind: a map of vectors, made of tensors only, that can be stored and served."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import ClassVar, Self

import torch
from torch import Tensor

from models.errors import DimensionMismatch


class Map(ABC):
    """A frozen dataclass of tensors. A subclass is one line in MAPS of the registry."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def dims(self) -> tuple[int, int]:
        """d1, d2"""

    @abstractmethod
    def apply(self, x: Tensor) -> Tensor:
        """x (n, d1), floating -> (n, d2), in the precision of x."""

    def __call__(self, x: Tensor) -> Tensor:
        """x (n, d1) -> (n, d2), in the precision of x; integers count as single precision. DimensionMismatch."""
        if x.ndim != 2 or x.shape[1] != self.dims[0]:
            raise DimensionMismatch(
                f"this map takes (n, {self.dims[0]}) vectors, got {tuple(x.shape)}",
                expected=self.dims[0],
                got=x.shape[-1],
            )
        return self.apply(x if x.is_floating_point() else x.float())

    def cast(self, dtype: torch.dtype) -> Iterator[Tensor]:
        """What it is made of, in the order of its fields."""
        return (tensor.to(dtype) for tensor in vars(self).values())

    def tensors(self) -> dict[str, Tensor]:
        """By name, single precision: what is stored."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: tensor.float().contiguous() for name, tensor in named.items()}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        return cls(**tensors)
