"""Inverse relative projection: into relative codes with the source anchors, out of them with the target's.

Maiorca et al. 2024, "Latent space translation via inverse relative projection". With anchors A, centred on their
means and brought to length 1, and ^ doing the same to x:
    x_rel = x^ A_Xᵀ        y = s · x_rel (A_Yᵀ)⁺ + mY        (A_Yᵀ)⁺ = A_Y (A_YᵀA_Y + λI)⁻¹
Near-parallel anchors make the inverse explode, hence λ, a share of the largest eigenvalue, and the pruning of the
paper: target anchors are taken one by one, always the one with the largest 1 - |cos| to those taken, until that is
below the threshold. The paper's average over disjoint subsets of the anchors is here too. It leaves lengths to the
decoder, where s is fitted to the anchors. Lengths are those inside the anchors' span: what no anchor has seen is
left out, as everywhere in this package.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from models.base import Method, Option, check_pairs
from models.folds import row_space
from models.lengths import unit
from models.maps import Map
from models.moments import cleaned, principal
from models.similarities import RESOLUTION, from_mean

PENALTIES = (0.1, 0.01, 1e-3)  # strong to weak
MOST = 2000  # anchors that a pruning keeps


@dataclass(frozen=True)
class Normalized(Map):
    """`mean` (d1,), `directions` (d1, r) orthonormal, `weight` (r, d2), `bias` (d2,)."""

    kind: ClassVar[str] = "normalized"
    mean: Tensor
    directions: Tensor
    weight: Tensor
    bias: Tensor

    @property
    def dims(self) -> tuple[int, int]:
        return len(self.mean), len(self.bias)

    def apply(self, x: Tensor) -> Tensor:
        mean, directions, weight, bias = self.cast(x.dtype)
        centred = from_mean(x, mean)
        inside = centred @ directions  # (n, r)
        seen = inside.norm(dim=1, keepdim=True) > RESOLUTION * centred.norm(dim=1, keepdim=True)
        return torch.addmm(bias, unit(torch.where(seen, inside, 0.0)), weight)


class InverseRelative(Method):
    """Relative to the source's anchors, absolute again by the target's; lengths of the source do not count."""

    name: ClassVar[str] = "inverse_relative"
    makes: ClassVar[type[Map]] = Normalized
    options: ClassVar[Mapping[str, Option]] = {
        "penalty": Option(0.01, 1e-8, 1e3, "λ as a share of the largest eigenvalue of the unit target anchors"),
        "threshold": Option(
            0.0, 0.0, 1.0, "least 1 - |cos| between the target anchors that are kept, 0 keeps all"
        ),
        "subsets": Option(1.0, 1.0, 64.0, "disjoint subsets of the anchors, rounded, whose maps are averaged"),
    }

    def __init__(
        self,
        penalty: float = options["penalty"].default,
        threshold: float = options["threshold"].default,
        subsets: float = options["subsets"].default,
    ) -> None:
        self.penalty = penalty
        self.threshold = threshold
        self.subsets = subsets

    @classmethod
    def candidates(cls, options: Mapping[str, float]) -> list[Self]:
        """Without a fixed penalty, one candidate for each of PENALTIES."""
        fixed = [options] if "penalty" in options else [{**options, "penalty": p} for p in PENALTIES]
        return [cls(**variant) for variant in fixed]

    @classmethod
    def suits(cls, n: int, d1: int, d2: int) -> bool:  # noqa: ARG003
        # kept to compare with the paper: on 11 pairs of real spaces, with 30 and 100 anchors, its best MRR was
        # .002 above to .35 below the best of orthogonal, ridge and whitened
        return False

    def fit(self, x: Tensor, y: Tensor) -> Self:
        x, y = check_pairs(x, y)
        mean_x, directions_x, x = spanned(x)
        mean_y, directions_y, y = spanned(y)
        a, b = unit(x), unit(y)  # (n, r1), (n, r2)
        parts = self.parts(y)
        weight = torch.stack([decoded(a[rows], b[rows], self.penalty) for rows in parts]).mean(0)
        weight = weight * fitted_scale(a @ weight, y)
        self.map_ = Normalized(mean_x, directions_x, weight @ directions_y.T, mean_y)
        self.rank_ = min(directions_x.shape[1], sum(map(len, parts)))
        return self

    def parts(self, y: Tensor) -> list[Tensor]:
        """y (n, r) centred -> rows of each subset. In order of length: the order of the pairs does not matter."""
        rows = y.norm(dim=1).argsort(descending=True, stable=True)
        rows = rows[pruned(unit(y[rows]), self.threshold)] if self.threshold else rows
        return [rows[i :: round(self.subsets)] for i in range(min(round(self.subsets), len(rows)))]


def spanned(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x (n, d) -> mean (d,), orthonormal directions (d, r) that the rows span around it, the rows there (n, r)."""
    mean = x.mean(0)
    codes, basis = row_space(cleaned(x - mean, x))
    _, axes = principal(codes.T @ codes, len(x))
    return mean, (axes if basis is None else basis @ axes), codes @ axes


def decoded(a: Tensor, b: Tensor, penalty: float) -> Tensor:
    """a (k, r1), b (k, r2) unit anchors -> aᵀ b (bᵀb + λI)⁻¹, (r1, r2): relative to a, then absolute by b."""
    spectrum, axes = torch.linalg.eigh(b.T @ b)
    shrunk = (spectrum.clamp(min=0) + penalty * spectrum[-1:]).clamp(min=torch.finfo(b.dtype).tiny)
    inverse: Tensor = axes / shrunk @ axes.T
    return a.T @ b @ inverse


def fitted_scale(predicted: Tensor, y: Tensor) -> Tensor:
    """s that minimises ‖y - s · predicted‖², (n, r) both; 0 where nothing is predicted."""
    energy = predicted.square().sum()
    return torch.where(energy > 0, (predicted * y).sum() / energy, 0.0)


def pruned(anchors: Tensor, threshold: float) -> Tensor:
    """anchors (n, r) of length 1 -> (k,) rows, row 0 first, no two nearer than `threshold` by 1 - |cos|."""
    rows: list[Tensor] = []
    row = torch.tensor(0)
    nearest = anchors.new_zeros(len(anchors))  # (n,) the largest |cos| to a row that is taken
    while len(rows) < MOST and 1 - nearest[row] >= threshold:
        rows.append(row)
        nearest = torch.maximum(nearest, (anchors @ anchors[row]).abs())
        nearest[row] = torch.inf
        row = nearest.argmin()
    return torch.stack(rows)
