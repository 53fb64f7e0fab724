"""Ridge regression on similarities to the anchors: for spaces that few pairs join in a curved way.

Saunders, Gammerman & Vovk 1998, "Ridge regression learning algorithm in dual variables", with a Gaussian kernel
and a bias that is not shrunk. With anchors A, m the mean squared distance of two of them, and H = I - 11ᵀ/n:
    k(x, a) = exp(-‖x - a‖² / (width · m))        y = k(x, A) α + b        α = (HKH + λI)⁻¹ HY
λ is a share of the mean eigenvalue of HKH. The wider the kernel, the more the map is like that of a plain ridge;
far from all anchors it gives a constant. As 1ᵀα = 0, k - 1 does as well as k, and keeps the digits of a wide one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import ClassVar, Self

import torch
from torch import Tensor

from models.base import LEAST_ANCHORS, Method, Option, Trial, check_pairs
from models.errors import TooManyAnchors
from models.folds import Folds, row_space
from models.maps import Map
from models.moments import cleaned, principal

MOST_PAIRS = 1000  # that `auto` tries it with: from then on a network learns more
MOST = 5000  # pairs that it takes by name: kernels are n², and the map holds all pairs
CELLS = 4_000_000  # similarities that are laid out at a time
WIDTHS = (4.0, 1.0)  # near to linear first
PENALTIES = (0.5, 0.1, 0.02, 4e-3)  # strong to weak


@dataclass(frozen=True)
class KernelMap(Map):
    """`mean` (d1,), `scale` (), `anchors` (n, d1) as (a - mean) · scale, `weight` (n, d2), `bias` (d2,)."""

    kind: ClassVar[str] = "kernel"
    mean: Tensor
    scale: Tensor
    anchors: Tensor
    weight: Tensor
    bias: Tensor

    @property
    def dims(self) -> tuple[int, int]:
        return len(self.mean), len(self.bias)

    def apply(self, x: Tensor) -> Tensor:
        mean, scale, anchors, weight, bias = self.cast(x.dtype)
        parts = torch.split(x, max(1, CELLS // len(anchors)))
        return torch.cat([torch.addmm(bias, gaussian((part - mean) * scale, anchors), weight) for part in parts])


class KernelRidge(Method):
    """Gaussian kernel ridge regression."""

    name: ClassVar[str] = "kernel_ridge"
    makes: ClassVar[type[Map]] = KernelMap
    curved: ClassVar[bool] = True
    options: ClassVar[Mapping[str, Option]] = {
        "width": Option(4.0, 0.01, 1e3, "of the kernel, in mean squared distances of two anchors"),
        "penalty": Option(0.02, 1e-6, 1e3, "λ as a share of the mean eigenvalue of the centred kernel"),
    }

    def __init__(
        self, width: float = options["width"].default, penalty: float = options["penalty"].default
    ) -> None:
        self.width, self.penalty = width, penalty

    @classmethod
    def candidates(cls, options: Mapping[str, float]) -> list[Self]:
        """Each of WIDTHS with each of PENALTIES, unless `options` fixes it."""
        widths = [options["width"]] if "width" in options else WIDTHS
        penalties = [options["penalty"]] if "penalty" in options else PENALTIES
        return [cls(width, penalty) for width, penalty in product(widths, penalties)]

    @classmethod
    def suits(cls, n: int, d1: int, d2: int) -> bool:  # noqa: ARG003
        return n <= MOST_PAIRS

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """TooManyAnchors, and what every fit raises."""
        x, y = check_pairs(x, y)
        check_few(len(x))
        self.map_ = self.solved(x, y)
        codes, _ = row_space(cleaned(x - x.mean(0), x))
        self.rank_ = len(principal(codes.T @ codes, len(x))[0])
        return self

    def solved(self, x: Tensor, y: Tensor) -> KernelMap:
        mean, bias = x.mean(0), y.mean(0)
        x, y = cleaned(x - mean, x), y - bias
        apart = 2 * x.square().sum() / (len(x) - 1)  # mean squared distance of two
        scale = torch.where(apart > 0, (self.width * apart).rsqrt(), 1.0)
        kernel = gaussian(x * scale, x * scale)
        seen = kernel.mean(0)
        weight = shrunk(kernel - seen - seen[:, None] + seen.mean(), self.penalty, y)
        return KernelMap(mean, scale, x * scale, weight, bias - seen @ weight)

    def _tried(self, folds: Folds, fold: int) -> Trial:
        """In the anchors' spans and the precision of trials; solved in double, for the sake of weak penalties."""
        train, rows = folds.train(fold), folds.rows(fold)
        if len(train) < LEAST_ANCHORS:
            return super()._tried(folds, fold)
        check_few(len(folds.x))
        x, y, precision = folds.span_x[0], folds.span_y[0], folds.precision
        fitted, sample = self.solved(x[train], y[train]), x[folds.sample(fold)].to(precision)
        return Trial(
            fitted(x[rows].to(precision)),
            y[rows].to(precision),
            y[train].mean(0).to(precision),
            lambda: fitted(sample),
        )


def gaussian(x: Tensor, anchors: Tensor) -> Tensor:
    """x (n, d), anchors (k, d) -> k - 1 (n, k); -1 where a distance passes the precision."""
    squared = torch.addmm(anchors.square().sum(1), x, anchors.T, alpha=-2).add_(x.square().sum(1, keepdim=True))
    return squared.nan_to_num_(nan=torch.inf, posinf=torch.inf).clamp_(min=0).neg_().expm1_()


def check_few(n: int) -> None:
    if n > MOST:
        raise TooManyAnchors(
            f"kernel_ridge takes at most {MOST} anchors, got {n}: select some of them, or take another method",
            expected=MOST,
            got=n,
        )


def shrunk(kernel: Tensor, penalty: float, y: Tensor) -> Tensor:
    """(HKH + λI)⁻¹ y of a centred kernel (n, n) and y (n, d2)."""
    mean = kernel.trace() / len(kernel)
    ridge = torch.where(mean > 0, penalty * mean, 1.0) * torch.eye(len(kernel), dtype=kernel.dtype)
    return torch.cholesky_solve(y, torch.linalg.cholesky(kernel + ridge)).contiguous()
