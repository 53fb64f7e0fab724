"""What a choice minimises, per held-out row."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid, pad

from models.base import Method, Trial
from models.distilled import Distilled
from models.ensemble import Ensemble
from models.errors import InvalidOption, UnknownMethod
from models.folds import Folds
from models.heads import Head, LinearHead
from models.measures import Estimate, one_minus_ratio, proportion, surprises

SOFTENED = (1.0, 2.0)  # temperatures T that answers are compared at
KEPT = 2**16  # answers of one candidate; what is made of several goes through them thousands of times


class Objective(ABC):
    """`of` gives the loss of every row, once for each of t settings; the setting that suits best counts."""

    name: ClassVar[str]
    by_score: ClassVar[bool] = False  # whether it depends on how translated vectors are scored
    passed_over: ClassVar[frozenset[str]] = frozenset()  # methods that `auto` does not try for it

    def methods(self) -> list[Method]:
        """What can be tried for this objective alone."""
        return []

    def quality(self, trials: list[Trial], folds: Folds, seed: int) -> dict[str, Estimate]:  # noqa: ARG002
        """Figures of its own, from the held-out rows."""
        return {}

    def answers(self, vectors: list[Tensor], folds: Folds) -> Tensor | None:  # noqa: ARG002
        """vectors (g, k) of every fold -> (m, c), whose mean is what a mean of maps gives; None if nothing is."""
        return None

    def together(self, answers: Mapping[Method, Tensor], folds: Folds) -> list[Method]:  # noqa: ARG002
        """Of methods with such answers, those that can be tried when these were."""
        return []

    @abstractmethod
    def of(self, trial: Trial, similarity: Tensor, folds: Folds) -> Tensor:
        """similarity (s, g, g) of the trial's rows by s scores -> (s, g, t); (1, g, t) if it does not matter."""


class Retrieval(Objective):
    """The surprise of finding the own counterpart, at the temperature that suits a candidate best.

    Of the regressions that are passed over, none was better than `whitened` with the score that suits it.
    """

    name = "retrieval"
    by_score = True
    passed_over = frozenset({"kernel_ridge", "reduced_rank", "ridge_loo", "ridge_procrustes"})

    def of(self, trial: Trial, similarity: Tensor, folds: Folds) -> Tensor:  # noqa: ARG002
        return surprises(similarity)


class Reconstruction(Objective):
    """Squared error in units of the target's variance: its mean is 1 - R². Bare where there is none."""

    name = "reconstruction"

    def of(self, trial: Trial, similarity: Tensor, folds: Folds) -> Tensor:  # noqa: ARG002
        error = (trial.predicted - trial.y).square().sum(1).double()
        return (error / folds.variance if folds.variance > 0 else error)[None, :, None]


class Agreement(Objective):
    """How far a head's answers move: Σ_T T² D(h(y) / T, h(ŷ) / T), D the divergence of what it gives.

    Hinton et al. 2015, section 2, for T²: a head that is sure of itself says at T = 1 little about what it holds
    to be the next best.
    """

    name = "head"

    def __init__(self, head: Head) -> None:
        self.head = head
        self._turn = threading.Lock()  # a head may be a process of its own, which answers one at a time

    def methods(self) -> list[Method]:
        """A linear classifier is distilled; of one sigmoid the logits are 0 and its own."""
        head = self.head
        if not isinstance(head, LinearHead) or (head.activation == "sigmoid" and head.shape != (1,)):
            return []
        if head.activation == "sigmoid":
            head = LinearHead(pad(head.weight, (0, 0, 1, 0)), pad(head.bias, (1, 0)))
        return list(Distilled.variants(head)) if head.activation == "softmax" else []

    def answers(self, vectors: list[Tensor], folds: Folds) -> Tensor | None:
        """Of a linear head, if they are few enough to keep those of every candidate."""
        rows = sum(map(len, vectors))
        if not isinstance(self.head, LinearHead) or rows * self.head.shape[0] > KEPT:
            return None
        return torch.cat([self.head.raw(folds.full(part).to(folds.precision)) for part in vectors])

    def together(self, answers: Mapping[Method, Tensor], folds: Folds) -> list[Method]:
        native = self.answers([folds.y[folds.rows(fold)] for fold in range(folds.count)], folds)
        if native is None or len(answers) < 2:
            return []

        def loss(means: Tensor) -> Tensor:
            return self.apart(native, means).sum(-1)

        return [Ensemble.chosen([*answers], torch.stack([*answers.values()]), loss, folds)]

    def apart(self, native: Tensor, stitched: Tensor) -> Tensor:
        divergence = DIVERGENCES[self.head.activation]
        return torch.stack([t**2 * divergence(native / t, stitched / t) for t in SOFTENED]).sum(0)

    def of(self, trial: Trial, similarity: Tensor, folds: Folds) -> Tensor:  # noqa: ARG002
        translations = (folds.full(vectors).to(folds.precision) for vectors in (trial.y, trial.predicted))
        with self._turn:
            native, stitched = (self.head.raw(vectors).double() for vectors in translations)
        return self.apart(native, stitched).flatten(1).sum(1)[None, :, None]

    def quality(self, trials: list[Trial], folds: Folds, seed: int) -> dict[str, Estimate]:
        """The share of rows that get the same answer; of a head that gives values, the R² of these."""
        native = torch.cat([self.head(folds.full(trial.y)) for trial in trials]).flatten(1).double()
        stitched = torch.cat([self.head(folds.full(trial.predicted)) for trial in trials]).flatten(1).double()
        if self.head.activation == "none":
            errors, spread = (native - stitched).square().sum(1), (native - native.mean(0)).square().sum(1)
            return {"agreement": one_minus_ratio(errors, spread, seed)}
        return {"agreement": proportion((decided(native) == decided(stitched)).double())}


def kullback_leibler(native: Tensor, stitched: Tensor) -> Tensor:
    """KL(softmax a ‖ softmax b), term by term."""
    a, b = log_softmax(native, -1), log_softmax(stitched, -1)
    return a.exp() * (a - b)


def of_each(native: Tensor, stitched: Tensor) -> Tensor:
    """KL of the coin that shows 1 with sigmoid(a)."""
    sides = ((logsigmoid(sign * native), logsigmoid(sign * stitched)) for sign in (1, -1))
    return torch.stack([a.exp() * (a - b) for a, b in sides]).sum(0)


def squared(native: Tensor, stitched: Tensor) -> Tensor:
    return (native - stitched).square()


DIVERGENCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "softmax": kullback_leibler,
    "sigmoid": of_each,
    "none": squared,
}


def decided(probabilities: Tensor) -> Tensor:
    """(n, c) -> (n,): the likeliest; of one alone, whether it is likelier than not."""
    return probabilities[:, 0] > 0.5 if probabilities.shape[1] == 1 else probabilities.argmax(1)


OBJECTIVES: Mapping[str, type[Objective]] = {o.name: o for o in (Retrieval, Reconstruction, Agreement)}


def objective_named(name: str, head: Head | None) -> Objective:
    """UnknownMethod; InvalidOption without the head that `head` needs."""
    if name not in OBJECTIVES:
        raise UnknownMethod(
            f"objective must be one of {list(OBJECTIVES)}, got {name!r}", expected=list(OBJECTIVES), got=name
        )
    if name != "head":
        return OBJECTIVES[name]()
    if head is None:
        raise InvalidOption(
            "objective 'head' needs the head that is to agree, got none", expected="head", got=None
        )
    return Agreement(head)
