"""The target mean: the baseline that a translation must beat to carry anything at all."""

from typing import ClassVar

from models.base import LinearMethod, Solution
from models.moments import Moments


class Mean(LinearMethod):
    """W = 0: every vector becomes the mean of the target anchors."""

    name: ClassVar[str] = "mean"

    def solve(self, moments: Moments) -> Solution:
        d1, d2 = moments.sxy.shape
        return Solution(moments.sxy.new_zeros(d1, 0), moments.sxy.new_zeros(0, d2))
