"""Whether a space holds latent factors apart: does what is read out in some conditions hold in the others?

A linear decoder is tested on a part of the rows that it was not trained on: on random folds (in distribution), on
a combination of all factors that it never saw, on a condition of the other factors that it never saw. A
disentangled space keeps its R² throughout; a space that only memorises combinations loses it.

Vafidis, Bhargava & Rangel 2025, "Disentangling representations through multi-task learning", section 3 (R² in the
held-out quadrant); Bernardi et al. 2020, "The geometry of abstraction in the hippocampus and prefrontal cortex"
(CCGP and parallelism score).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models.comparison import at_unit_scale
from models.errors import DimensionMismatch, TooFewAnchors
from models.folds import row_space
from models.lengths import SMALLEST, unit
from models.moments import TOLERANCE

LEAST_ROWS = 10  # two a fold
FOLDS = 5
LEVELS = 4  # a factor of at most so many values is split by value, one of more at its median
CONDITIONS = 16  # left out in turn; more are sampled evenly
PENALTIES = tuple(10.0**power for power in range(3, -9, -1))  # shares of the largest eigenvalue of the scatter


@dataclass(frozen=True)
class Disentanglement:
    """Of one factor. None where a figure is not defined; `notes` say why."""

    r2: float | None  # on random folds; 0 is the mean
    r2_quadrants: float | None  # on combinations of all factors, each unseen in training; the mean is below 0
    r2_conditions: float | None  # on conditions of the other factors, each unseen in training; 0 is the mean
    ccgp: float | None  # accuracy of high against low in an unseen condition of the others; 0.5 by chance
    parallelism: float | None  # mean cosine of the directions from low to high, over pairs of conditions
    conditions: int  # of the other factors, in which both high and low occur
    notes: list[str]


@dataclass(frozen=True)
class Part:
    """Rows held out (n,) bool, and every target decoded from the other rows."""

    rows: Tensor
    decoded: Tensor  # (n, t), all rows


def disentanglement(x: Tensor, factors: Tensor) -> list[Disentanglement]:
    """x (n, d), factors (n, f) -> one for each factor. DimensionMismatch, TooFewAnchors."""
    check(x, factors)
    x, factors = at_unit_scale(x.double()), standard(factors)
    fold = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)) % FOLDS
    random = list(parts(x, factors, fold))
    several = int(factors.any(0).sum()) > 1
    quadrants = list(parts(x, factors, combinations(factors))) if several else []
    return [of_factor(x, factors, k, random, quadrants) for k in range(factors.shape[1])]


def of_factor(x: Tensor, factors: Tensor, k: int, random: list[Part], quadrants: list[Part]) -> Disentanglement:
    factor, others = factors[:, k], torch.cat([factors[:, :k], factors[:, k + 1 :]], 1)
    if not factor.any():
        return Disentanglement(None, None, None, None, None, 0, ["the factor has one value: nothing to decode"])
    high, condition = is_high(factor), combinations(others)
    targets = torch.stack([factor, 2 * high.double() - 1], 1)
    left_out = list(parts(x, targets, condition))
    both = with_both(condition, high)
    found = {
        "r2": r2(random, factor, high, k),
        "r2_quadrants": r2(quadrants, factor, high, k),
        "r2_conditions": r2(left_out, factor, high, 0),
        "ccgp": ccgp(left_out, high, 1),
        "parallelism": parallelism(x, high, condition, both),
    }
    return Disentanglement(**found, conditions=len(both), notes=notes(found, others))


# the figures


def r2(found: list[Part], factor: Tensor, high: Tensor, column: int) -> float | None:
    """Mean over parts of 1 - MSE / Var, with Var over all rows.

    Inside a part the factor varies little or not at all: its own variance would say nothing.
    """
    values = [
        1 - (part.decoded[part.rows, column] - factor[part.rows]).square().mean() / factor.square().mean()
        for part in found
        if has_both(high[~part.rows])
    ]
    return float(torch.stack(values).mean()) if values else None


def ccgp(found: list[Part], high: Tensor, column: int) -> float | None:
    """Cross-condition generalisation: balanced accuracy in the condition that was left out, mean over them.

    Bernardi et al. 2020, with the condition left out on both sides at once. Their support vector machine is a
    ridge here, cut in the middle between the two sides of its training rows.
    """
    values = []
    for part in found:
        if not (has_both(high[part.rows]) and has_both(high[~part.rows])):
            continue
        scores, train = part.decoded[:, column], ~part.rows
        cut = (scores[train & high].mean() + scores[train & ~high].mean()) / 2
        correct = ((scores > cut) == high).double()
        values.append((correct[part.rows & high].mean() + correct[part.rows & ~high].mean()) / 2)
    return float(torch.stack(values).mean()) if values else None


def parallelism(x: Tensor, high: Tensor, condition: Tensor, both: list[int]) -> float | None:
    """Mean over pairs of conditions of cos(v, v'), v = mean of high - mean of low (Bernardi et al. 2020)."""
    if len(both) < 2:
        return None
    means = [x[(condition == c) & high].mean(0) - x[(condition == c) & ~high].mean(0) for c in both]
    directions = unit(torch.stack(means))  # (c, d)
    total = directions.sum(0).square().sum() - directions.square().sum()
    return float(total / (len(both) * (len(both) - 1)))


def notes(found: dict[str, float | None], others: Tensor) -> list[str]:
    missing = [name for name, value in found.items() if value is None]
    if not missing:
        return []
    reason = (
        "no part of the others can be left out with both high and low values of this factor in what remains"
        if others.any()
        else "there is no other factor that varies"
    )
    return [f"{reason}: {', '.join(missing)} not defined"]


# how rows are split


def is_high(factor: Tensor) -> Tensor:
    """(n,) bool: above the median; at it or above, where nothing is above."""
    above = factor > factor.median()
    return above if above.any() else factor >= factor.median()


def combinations(factors: Tensor) -> Tensor:
    """(n, f) -> (n,): which combination of values, or of halves, a row has."""
    if not factors.shape[1]:
        return torch.zeros(len(factors), dtype=torch.long)
    splits = torch.stack([split(factor) for factor in factors.T], 1)
    place: Tensor = torch.unique(splits, dim=0, return_inverse=True)[1]
    return place


def split(factor: Tensor) -> Tensor:
    """(n,): the index of its value, or its half where there are more than LEVELS values."""
    values, place = torch.unique(factor, return_inverse=True)
    return place if len(values) <= LEVELS else is_high(factor).long()


def has_both(high: Tensor) -> bool:
    return bool(high.any() and not high.all())


def with_both(condition: Tensor, high: Tensor) -> list[int]:
    """The conditions in which both sides occur."""
    return sorted(set(condition[high].tolist()) & set(condition[~high].tolist()))


def parts(x: Tensor, targets: Tensor, group: Tensor) -> Iterator[Part]:
    """Each group left out in turn; none if all rows are one group."""
    names = sorted(set(group.tolist()))
    if len(names) < 2:
        return
    left_out = min(len(names), CONDITIONS)
    for name in (names[i * len(names) // left_out] for i in range(left_out)):
        rows = group == name
        weight, bias = ridge(x[~rows], targets[~rows])
        yield Part(rows, x @ weight + bias)


# the decoder


def ridge(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """x (n, d), y (n, t) -> weight (d, t), bias (t,): least squares with the penalty that each target's
    leave-one-out error chooses, all from one eigendecomposition.

    Allen 1974, "The relationship between variable selection and data augmentation": the residual of a row
    that is left out is eᵢ / (1 - hᵢ), h the diagonal of the hat matrix, 1 / n for the mean among it.
    """
    mean_x, mean_y = x.mean(0), y.mean(0)
    codes, basis = row_space(x - mean_x)
    s, v = torch.linalg.eigh(codes.T @ codes)
    kept = s > TOLERANCE * s.amax()
    s, v = s[kept], v[:, kept]  # (r,), (r', r)
    u = codes @ v / s.sqrt()  # (n, r)
    cross = u.T @ (y - mean_y)  # (r, t)
    errors, weights = [], []
    for penalty in PENALTIES:
        shrink = s / (s + penalty * s.amax()) if len(s) else s
        residual = y - mean_y - u @ (shrink.unsqueeze(1) * cross)
        hat = 1 / len(x) + u.square() @ shrink
        errors.append((residual / (1 - hat).clamp(min=TOLERANCE).unsqueeze(1)).square().mean(0))
        weights.append(v @ ((shrink / s.sqrt()).unsqueeze(1) * cross))
    best = torch.stack(errors).argmin(0)  # (t,)
    weight = torch.stack([weights[choice][:, t] for t, choice in enumerate(best.tolist())], 1)
    weight = weight if basis is None else basis @ weight
    return weight, mean_y - mean_x @ weight


# what comes in


def standard(factors: Tensor) -> Tensor:
    """Each column around 0, with 1 as its largest number: R² does not see it, and nothing overflows."""
    scaled = factors.double() / factors.double().abs().amax(0).clamp(min=SMALLEST)
    return torch.stack([at_unit_scale(column.unsqueeze(1)).squeeze(1) for column in scaled.T], 1)


def check(x: Tensor, factors: Tensor) -> None:
    """DimensionMismatch, TooFewAnchors."""
    if x.ndim != 2 or factors.ndim != 2 or len(x) != len(factors):
        raise DimensionMismatch(
            f"vectors and factors must be two matrices with one row per anchor, got {tuple(x.shape)} and "
            f"{tuple(factors.shape)}",
            expected="(n, d) and (n, f)",
            got=[list(x.shape), list(factors.shape)],
        )
    if len(x) < LEAST_ROWS:
        raise TooFewAnchors(
            f"disentanglement needs at least {LEAST_ROWS} anchors with factor values, got {len(x)}",
            expected=LEAST_ROWS,
            got=len(x),
        )
