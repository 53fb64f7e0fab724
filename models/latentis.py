"""The four aligners of the `latentis` package, to compare with the papers. None is tried by `auto`.

Maiorca et al. 2023, "Latent space translation via semantic alignment", section 3. Both sides are standardised
with the anchors' mean m and unbiased standard deviation σ, aligned, and the target's standardisation is undone:
    y = ((x - mX) / σX · R + r) σY + mY        which is one affine map
The package pads the narrower side with zeros. That changes no answer: XᵀY of padded anchors has the same thin
singular vectors. Where anchors leave directions open (n < d), the package rotates these as rounding falls; here
they become the target mean.
"""

from abc import abstractmethod
from typing import ClassVar, Self

import torch
from torch import Tensor

from models.affine import Affine
from models.base import Method, check_pairs
from models.moments import TOLERANCE, cleaned, principal

STEPS = 300
RATE = 1e-3
SEED = 0


class Latentis(Method):
    """Standardise, align, undo."""

    @classmethod
    def suits(cls, n: int, d1: int, d2: int) -> bool:  # noqa: ARG003
        return False  # kept to compare with the papers

    @abstractmethod
    def align(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Of standardised x (n, d1), y (n, d2): R (d1, d2), r (d2,)."""

    def fit(self, x: Tensor, y: Tensor) -> Self:
        x, y = check_pairs(x, y)
        (x, mean_x, scale_x), (y, mean_y, scale_y) = standardised(x), standardised(y)
        matrix, offset = self.align(x, y)
        weight = matrix / scale_x.unsqueeze(1) * scale_y
        self.map_ = Affine(weight, mean_y + offset * scale_y - mean_x @ weight)
        self.rank_ = len(principal(x.T @ x, len(x))[0])
        return self


class LatentisOrtho(Latentis):
    """`Procrustes()` of the package: the rotation that brings x nearest to y, without a scale."""

    name: ClassVar[str] = "latentis_ortho"

    def align(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return rotation(x.T @ y, len(x)), y.new_zeros(y.shape[1])


class LatentisLinear(Latentis):
    """Least squares without a penalty."""

    name: ClassVar[str] = "latentis_linear"

    def align(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return least_squares(x, y), y.new_zeros(y.shape[1])


class LatentisLOrtho(Latentis):
    """The rotation nearest to least squares."""

    name: ClassVar[str] = "latentis_l_ortho"

    def align(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return rotation(least_squares(x, y), len(x)), y.new_zeros(y.shape[1])


class LatentisAffine(Latentis):
    """An `nn.Linear`, trained by 300 steps of Adam on all anchors at once, from the package's own start."""

    name: ClassVar[str] = "latentis_affine"

    def align(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        (n, d1), d2 = x.shape, y.shape[1]
        generator, most = torch.Generator().manual_seed(SEED), d1**-0.5
        matrix, offset = (
            torch.empty(shape).uniform_(-most, most, generator=generator).double() for shape in ((d2, d1), (d2,))
        )
        optimiser = torch.optim.Adam([matrix, offset], lr=RATE)
        xx, yx = x.T @ x, y.T @ x
        for _ in range(STEPS):  # the gradient of the mean squared error, whose anchors have mean 0
            matrix.grad, offset.grad = 2 / (n * d2) * (matrix @ xx - yx), 2 / d2 * offset
            optimiser.step()
        return matrix.T, offset


def standardised(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x (n, d) -> (x - m) / σ, m (d,), σ (d,), which is 1 where an axis is constant."""
    mean = x.mean(0)
    centred = cleaned(x - mean, x)
    scale = (centred.square().sum(0) / (len(x) - 1)).sqrt()
    scale = torch.where(scale < 10 * torch.finfo(x.dtype).eps, 1.0, scale)
    return centred / scale, mean, scale


def least_squares(x: Tensor, y: Tensor) -> Tensor:
    """The shortest one. By SVD: torch's default driver is wrong where an axis is constant."""
    solution: Tensor = torch.linalg.lstsq(x, y, driver="gelsd").solution
    return solution


def rotation(matrix: Tensor, n: int) -> Tensor:
    """U Vᵀ of U diag(s) Vᵀ (d1, d2), the directions left out that are rounding or more than n - 1."""
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    rank = min(int((s > TOLERANCE * s[:1]).sum()), n - 1)
    turn: Tensor = u[:, :rank] @ vt[:rank]
    return turn
