"""Which pairs of anchors are probably not the same item.

A pair is judged by the cosine s of its two codes under a map that was fitted without it, beside pairs of different
items, whose cosines have the density f₀ (Efron et al. 2001,
"Empirical Bayes analysis of a microarray experiment"):
    P(wrong | s) = π f₀(s) / f(s)        π = 2 · share of pairs below the median of f₀ (Storey 2002)
with f the density of all pairs. Suspicious is what is more probably wrong than right. So a heavy tail alone does
not make a pair suspicious, nor do spaces that share little. The map is fitted again without them, until nothing
changes: iteratively reweighted, with weights 0 and 1.
"""

import torch
from torch import Tensor

from models.base import applied
from models.folds import Folds
from models.lengths import unit
from models.moments import Moments
from models.scores import Score, coded
from models.whitened import Whitened

ROUNDS = 4
LEAST = 20  # anchors below which densities say little
CENTRES = 1000  # cosines that a density is estimated from
PROBABLE = 0.5
SHRINKAGE = 0.3  # of the map that judges: steady rather than sharp
SCORE = Score("canonical", power=1.0)


def suspicious(folds: Folds) -> Tensor:
    """(n,) bool; nothing with fewer than LEAST anchors."""
    wrong = torch.zeros(len(folds.x), dtype=torch.bool)
    if len(wrong) < LEAST:
        return wrong
    for _ in range(ROUNDS):
        found = wrong_probability(*agreement(folds, ~wrong)) > PROBABLE
        if torch.equal(found, wrong) or found.sum() > len(found) // 2:
            break
        wrong = found
    return wrong


def wrong_probability(own: Tensor, chance: Tensor) -> Tensor:
    """(n,), cosines of the pairs and of pairs of different items -> P(wrong | s), falling in s."""
    share = min(1.0, 2 * float((own < chance.median()).double().mean()))
    width = 1.06 * float(chance.std()) * len(own) ** -0.2  # Silverman 1986
    grid = torch.linspace(float(own.min()), float(own.max()), 256)
    ratio = density(grid, chance, width) / density(grid, own, width).clamp_min(1e-12)
    falling = (share * ratio).flip(0).cummax(0).values.flip(0)
    return falling[torch.searchsorted(grid, own).clamp_max(255)].clamp_max(1)


def density(grid: Tensor, values: Tensor, width: float) -> Tensor:
    """At grid (k,), of values (n,)."""
    centres = values[:: max(1, len(values) // CENTRES)]
    return torch.exp(-0.5 * ((grid.unsqueeze(1) - centres) / max(width, 1e-6)).square()).mean(1)


def agreement(folds: Folds, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines of the codes of every pair, and of as many pairs of different items, both (n,).

    The map that judges a pair is fitted on the kept pairs of the other folds.
    """
    own, chance = torch.empty(2, len(kept), dtype=folds.precision)
    x, y = folds.span_x[0].to(folds.precision), folds.span_y[0].to(folds.precision)
    for fold in range(folds.parts):
        rows = folds.inside(fold)
        moments = folds.quick_moments[fold]
        if not kept.all():
            train = kept & ~rows
            moments = folds.quick(Moments.of(folds.span_x[0][train], folds.span_y[0][train]))
        trial = applied(Whitened(shrinkage=SHRINKAGE).solve(moments), moments, x[rows], y[rows], x[rows])
        queries, codes = (unit(coded(side, SCORE, trial)) for side in (trial.predicted, trial.y))
        own[rows] = (queries * codes).sum(1)
        chance[rows] = (queries * codes.roll(1, 0)).sum(1)
    return own, chance
