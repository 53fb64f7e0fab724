"""Heads that are fitted here, on labelled vectors of a space or on their relative codes."""

import threading
from dataclasses import asdict, dataclass
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from app.errors import InvalidInput, OverLimit
from app.service.examples import Examples, Truth, known_as, marks, places
from app.service.heads import Heads, HeadSpec
from app.service.inputs import check_most
from app.service.relative import RelativeCodes, RelativeSpec
from app.store import Record
from models.fitting import Classification, HeadReport, Regression, Task, fit_head
from models.heads import LinearHead

MOST_OUTPUTS = 1000  # labels, or values of an item
MOST_NUMBERS = 1_000_000_000  # items x dimensions x outputs: a product of a step, of which a fit makes hundreds


@dataclass(frozen=True)
class Fit:
    """Where a head learned what it answers, and its held-out figures."""

    space: str
    report: HeadReport

    def to_value(self) -> dict[str, Any]:
        return {"space": self.space, **asdict(self.report)}


class Fitting:
    """Fits take turns: the threads of BLAS, which such small products do not pay for, are the process's."""

    def __init__(self, heads: Heads, codes: RelativeCodes) -> None:
        self.heads, self.codes = heads, codes
        self._turn = threading.Lock()

    def fit(
        self, name: str, of: Examples, relative: RelativeSpec | None, if_match: str | None
    ) -> tuple[Record, bool]:
        """NotFound, InvalidInput, OverLimit, TooFewAnchors, and what `RelativeCodes.of` and `Heads.put` raise."""
        labels = sorted(set(of.truth)) if isinstance(of.truth, list) else None
        task = task_of(of.truth)
        x = self.codes.of(of.space, of.vectors, relative) if relative else torch.from_numpy(of.vectors)
        check_size(len(x), x.shape[1], task.outputs)
        with self._turn, threadpool_limits(1, "blas"):
            head, report = fit_head(x, task)
        spec = HeadSpec(LinearHead.kind, None if relative else of.space, relative, head.activation, labels)
        seen = set().union(*marks(of, known_as(of, self.codes.spaces.anchors(of.space))))
        return self.heads.put_made(name, spec, head, if_match, Fit(of.space, report).to_value(), seen)


def task_of(truth: Truth) -> Task:
    """InvalidInput, OverLimit."""
    if isinstance(truth, list):
        labels = sorted(set(truth))
        if len(labels) < 2:
            raise InvalidInput(f"a classifier tells labels apart, got {labels} alone", expected=2, got=len(labels))
        check_most(len(labels), MOST_OUTPUTS, "a fit takes {} labels", "leave rare ones out")
        return Classification(places(truth, labels), len(labels))
    if truth.ndim > 2:
        raise InvalidInput(
            f"a linear head gives a number or a row of them for an item, got the shape {list(truth.shape[1:])}",
            expected=["c"],
            got=list(truth.shape[1:]),
        )
    values = truth.reshape(len(truth), -1)
    check_most(values.shape[1], MOST_OUTPUTS, "a fit takes {} values of an item", "fit several heads")
    return Regression(values)


def check_size(items: int, dim: int, outputs: int) -> None:
    """OverLimit."""
    if (numbers := items * dim * outputs) > MOST_NUMBERS:
        raise OverLimit(
            f"a fit takes at most {MOST_NUMBERS} items x dimensions x outputs, got {items} x {dim} x {outputs}: "
            "a sample of the items will do",
            limit=MOST_NUMBERS,
            got=numbers,
        )
