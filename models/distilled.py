"""A map through which a linear head answers the anchors as it answers their counterparts.

Hinton et al. 2015, "Distilling the knowledge in a neural network". With a head h(y) = y H + e, xw = (x - mX) Z
anchors, whitened as far as `shrinkage` lets them, and ŷ₀ their ridge translation, D (r, c) and a shift minimise
    mean_i KL(softmax(h(y_i) / T) ‖ softmax(ℓ(x_i) / T)) + μ ‖D‖²        ℓ(x) = start · h(ŷ₀) + xw D + shift
and the translation is moved, inside the row space of H alone, until its head's answer is ℓ:
    ŷ = ŷ₀ + (ℓ(x) - h(ŷ₀)) H⁺
It stays affine, and what the head does not see stays the ridge's.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from models.affine import Affine
from models.base import Method, Option, check_pairs
from models.folds import row_space
from models.heads import LinearHead
from models.moments import Moments
from models.ridge import Ridge

ROUNDS = 100
VARIANTS = (  # penalty, temperature, start, ridge, shrinkage
    (1e-2, 1.0, 0.0, 1e-2, 1.0),
    (1e-3, 3.0, 1.0, 0.1, 1.0),
    (1e-2, 1.0, 0.0, 1e-2, 0.1),
    (1e-3, 1.0, 1.0, 1e-2, 1.0),
    (0.1, 1.0, 0.0, 1e-2, 1.0),
    (1e-2, 1.0, 1.0, 1e-2, 0.1),
    (1e-4, 3.0, 1.0, 1e-2, 1.0),
    (1e-3, 1.0, 0.0, 1e-2, 0.1),
)


class Distilled(Method):
    """Ridge, then moved until a linear head agrees with itself."""

    name: ClassVar[str] = "distilled"
    options: ClassVar[Mapping[str, Option]] = {
        "penalty": Option(1e-3, 1e-8, 1e3, "μ on the change of the head's answers"),
        "temperature": Option(1.0, 0.1, 100.0, "T that softens the answers"),
        "start": Option(1.0, 0.0, 1.0, "share of the ridge translation's answer to begin with"),
        "ridge": Option(1e-3, 1e-8, 1e3, "penalty of the ridge"),
        "shrinkage": Option(1.0, 1e-6, 1.0, "share of the mean eigenvalue in the source's covariance"),
    }

    def __init__(
        self,
        head: LinearHead,
        penalty: float,
        temperature: float = 1.0,
        start: float = 1.0,
        ridge: float = 1e-3,
        shrinkage: float = 1.0,
    ) -> None:
        self.head = head
        self.penalty = penalty
        self.temperature = temperature
        self.start = start
        self.ridge = ridge
        self.shrinkage = shrinkage

    @classmethod
    def variants(cls, head: LinearHead) -> list[Self]:
        return [cls(head, *values) for values in VARIANTS]

    def fit(self, x: Tensor, y: Tensor) -> Self:
        x, y = check_pairs(x, y)
        ridge = Ridge(self.ridge).fit(x, y)
        base, self.rank_ = ridge.map_, ridge.rank_
        mean, directions = x.mean(0), whitener(x, self.shrinkage)  # (d1,), (d1, r)
        start = self.start * self.head.raw(base(x))
        change, shift = self.distil((x - mean) @ directions, start, self.head.raw(y))
        back = torch.linalg.pinv(self.head.weight.double().T)  # H⁺ (c, d2)
        answer = Affine(
            base.weight @ self.head.weight.T.double(), self.head.raw(base.bias.unsqueeze(0))[0]
        )  # h(ŷ₀)
        kept = self.start - 1.0
        slope = kept * answer.weight + directions @ change
        self.map_ = Affine(
            base.weight + slope @ back,
            base.bias + (kept * answer.bias + shift - mean @ directions @ change) @ back,
        )
        return self

    def distil(self, x: Tensor, start: Tensor, native: Tensor) -> tuple[Tensor, Tensor]:
        """x (n, r) whitened, start and native logits (n, c) -> D (r, c), shift (c,)."""
        change = torch.zeros(x.shape[1], native.shape[1], dtype=x.dtype, requires_grad=True)
        shift = torch.zeros(native.shape[1], dtype=x.dtype, requires_grad=True)
        target = log_softmax(native / self.temperature, 1)
        solver = torch.optim.LBFGS([change, shift], max_iter=ROUNDS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            solver.zero_grad()
            answer = log_softmax((start + x @ change + shift) / self.temperature, 1)
            loss = (target.exp() * (target - answer)).sum(1).mean() + self.penalty * change.square().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        solver.step(closure)  # type: ignore[no-untyped-call]
        return change.detach(), shift.detach()


def whitener(x: Tensor, shrinkage: float) -> Tensor:
    """x (n, d) -> (d, r): the directions of its scatter, each divided by its shrunk spread."""
    codes, basis = row_space(x)
    moments = Moments.of(codes, codes)
    s, v = moments.principal
    v = v if basis is None else basis @ v
    spectrum = s / moments.n
    return v / ((1 - shrinkage) * spectrum + shrinkage * spectrum.mean()).sqrt()
