"""The target mean: the baseline that a translation must beat to carry anything at all."""

from typing import ClassVar

import torch
from torch import Tensor

from models.base import LinearMethod
from models.moments import Moments


class Mean(LinearMethod):
    """W = 0: every vector becomes the mean of the target anchors."""

    name: ClassVar[str] = "mean"

    def solve(self, moments: Moments) -> tuple[Tensor, int]:
        return torch.zeros_like(moments.sxy), 0
