"""A ridge map, and a small network that learns what the ridge leaves.

The zero-initialised residual branch of Zhang et al. 2019, "Fixup initialization", with the hidden layer of
Drift-Adapter (Vejendla 2025), GELU of Hendrycks & Gimpel 2016 and AdamW of Loshchilov & Hutter 2019:
    y = x W + b + GELU(x W₁ + b₁) W₂        W₂ = 0 at the start
It learns what a ridge of nine tenths of the anchors leaves of them, and is kept as it was when it did best on the
last tenth. Where it never does better there than W₂ = 0, the map is the ridge map.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import gelu, mse_loss

from models.base import Method, Option, check_pairs
from models.latentis import standardised
from models.maps import Map
from models.moments import Moments
from models.ridge import Ridge

LEAST_PAIRS = 1000
PAIRS_PER_DIMENSION = 6
WIDTH = 256  # of the hidden layer
HELD_OUT = 0.1  # share of the anchors that say when to stop
BATCH = 256
RATE = 4e-3
STEPS = 1000  # at most, however many the anchors are
CHECK = 50  # steps between two looks at the held-out rows
PATIENCE = 4  # looks without a gain
SEED = 0


@dataclass(frozen=True)
class ResidualMap(Map):
    """`weight` (d1, d2), `bias` (d2,), `inner` (d1, h), `inner_bias` (h,), `outer` (h, d2)."""

    kind: ClassVar[str] = "residual"
    weight: Tensor
    bias: Tensor
    inner: Tensor
    inner_bias: Tensor
    outer: Tensor

    @property
    def dims(self) -> tuple[int, int]:
        d1, d2 = self.weight.shape
        return d1, d2

    def apply(self, x: Tensor) -> Tensor:
        weight, bias, inner, inner_bias, outer = self.cast(x.dtype)
        hidden = gelu(torch.addmm(inner_bias, x, inner))  # (n, h)
        return torch.addmm(bias, x, weight).addmm_(hidden, outer)


class Residual(Method):
    """Ridge plus one hidden layer with early stopping: for spaces that many pairs join in a curved way."""

    name: ClassVar[str] = "residual"
    makes: ClassVar[type[Map]] = ResidualMap
    curved: ClassVar[bool] = True
    options: ClassVar[Mapping[str, Option]] = {
        "penalty": Option(
            1e-3, 1e-8, 1e3, "λ of the ridge, as a share of the largest eigenvalue of its source scatter"
        )
    }

    def __init__(self, penalty: float = options["penalty"].default) -> None:
        self.penalty = penalty

    @classmethod
    def suits(cls, n: int, d1: int, d2: int) -> bool:
        return n >= max(LEAST_PAIRS, PAIRS_PER_DIMENSION * max(d1, d2))

    def fit(self, x: Tensor, y: Tensor) -> Self:
        x, y = check_pairs(x, y)
        generator = torch.Generator().manual_seed(SEED)
        order, cut = torch.randperm(len(x), generator=generator), max(1, round(HELD_OUT * len(x)))
        x, y = x[order], y[order]  # the first `cut` are held out
        whole, ridge = Moments.of(x, y), Ridge(self.penalty)
        left = y - ridge.fit_moments(whole - Moments.of(x[:cut], y[:cut])).transform(x)
        unit = left.square().mean().sqrt().clamp(min=torch.finfo(y.dtype).tiny)
        z, mean, scale = standardised(x)
        inner, inner_bias, outer = trained(z.float(), (left / unit).float(), cut, generator)
        inner = inner / scale.unsqueeze(1)  # of z to of x
        weight, bias = vars(ridge.fit_moments(whole).map_).values()
        self.map_ = ResidualMap(weight, bias, inner, inner_bias - mean @ inner, unit * outer)
        self.rank_ = ridge.rank_
        return self


@torch.enable_grad()
def trained(x: Tensor, y: Tensor, cut: int, generator: torch.Generator) -> list[Tensor]:
    """x (n, d1), y (n, d2) -> W₁ (d1, h), b₁ (h,), W₂ (h, d2), as they did best on the first `cut` rows."""
    layers = fresh(x.shape[1], y.shape[1], generator)
    optimiser = torch.optim.AdamW(layers, lr=RATE)
    best, least, waited = copied(layers), error(layers, x[:cut], y[:cut]).item(), 0
    for _ in range(STEPS // CHECK):
        for _ in range(CHECK):
            batch = torch.randint(cut, len(x), (BATCH,), generator=generator)
            optimiser.zero_grad()
            error(layers, x[batch], y[batch]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        now = error(layers, x[:cut], y[:cut]).item()
        best, least, waited = (copied(layers), now, 0) if now < least else (best, least, waited + 1)
        if waited == PATIENCE:
            break
    return best


def fresh(d1: int, d2: int, generator: torch.Generator) -> list[Tensor]:
    """W₁ that keeps standardised rows of length about 1, b₁ = 0, W₂ = 0."""
    inner = torch.randn(d1, WIDTH, generator=generator) / d1**0.5
    return [layer.requires_grad_() for layer in (inner, torch.zeros(WIDTH), torch.zeros(WIDTH, d2))]


def error(layers: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    inner, inner_bias, outer = layers
    return mse_loss(gelu(torch.addmm(inner_bias, x, inner)) @ outer, y)


def copied(layers: list[Tensor]) -> list[Tensor]:
    return [layer.detach().double() for layer in layers]
