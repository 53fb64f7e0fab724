"""What a choice minimises, per held-out row."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import log_softmax

from models.base import Method, Trial
from models.distilled import Distilled
from models.errors import InvalidOption, UnknownMethod
from models.folds import Folds
from models.heads import Head, LinearHead
from models.measures import surprises


class Objective(ABC):
    """`of` gives the loss of every row, once for each of t settings; the setting that suits best counts."""

    name: ClassVar[str]
    by_score: ClassVar[bool] = False  # whether it depends on how translated vectors are scored
    passed_over: ClassVar[frozenset[str]] = frozenset()  # methods that `auto` does not try for it

    def methods(self) -> list[Method]:
        """What can be tried for this objective alone."""
        return []

    @abstractmethod
    def of(self, trial: Trial, similarity: Tensor, folds: Folds) -> Tensor:
        """similarity (s, g, g) of the trial's rows by s scores -> (s, g, t); (1, g, t) if it does not matter."""


class Retrieval(Objective):
    """The surprise of finding the own counterpart, at the temperature that suits a candidate best."""

    name = "retrieval"
    by_score = True
    passed_over = frozenset({"reduced_rank", "ridge_procrustes"})  # `whitened` is as good: see benchmarks/quality

    def of(self, trial: Trial, similarity: Tensor, folds: Folds) -> Tensor:  # noqa: ARG002
        return surprises(similarity)


class Reconstruction(Objective):
    """Squared error in units of the target's variance: its mean is 1 - R². Bare where there is none."""

    name = "reconstruction"

    def of(self, trial: Trial, similarity: Tensor, folds: Folds) -> Tensor:  # noqa: ARG002
        error = (trial.predicted - trial.y).square().sum(1).double()
        return (error / folds.variance if folds.variance > 0 else error)[None, :, None]


class Agreement(Objective):
    """How far a head's answers move: KL(softmax head(y) ‖ softmax head(ŷ))."""

    name = "head"

    def __init__(self, head: Head) -> None:
        self.head = head

    def methods(self) -> list[Method]:
        return list(Distilled.variants(self.head)) if isinstance(self.head, LinearHead) else []

    def of(self, trial: Trial, similarity: Tensor, folds: Folds) -> Tensor:  # noqa: ARG002
        native, stitched = (log_softmax(self.head.raw(folds.full(v)), 1) for v in (trial.y, trial.predicted))
        return (native.exp() * (native - stitched)).sum(1).double()[None, :, None]


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
