"""One ordered pair at one number of anchors: everybody's figures on the same rows."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch

from benchmarks.quality import measures, peers
from benchmarks.quality.data import Head, Spaces, spaces
from models.base import Method
from models.blend import Blend
from models.estimate import Estimated, contenders, estimate
from models.folds import Folds
from models.heads import LinearHead
from models.objectives import Retrieval
from models.scores import scores_for

STITCHING = ("reconstruction", "head")  # our objectives that are judged by accuracy
OBJECTIVES = ("retrieval", *STITCHING)
HINDSIGHT = "hindsight"  # the candidate of `retrieval` that does best on the rows it is judged by


@dataclass(frozen=True)
class Task:
    """Picklable and hashable."""

    file: str
    source: str
    target: str
    anchors: int
    draw: int

    @classmethod
    def of(cls, line: "Line") -> Self:
        """What it is a figure of."""
        return cls(line.file, line.source, line.target, line.anchors, line.draw)

    def __str__(self) -> str:
        return f"{self.file} {self.source}-{self.target} {self.anchors} anchors, draw {self.draw}"


@dataclass(frozen=True)
class Line:
    """A figure; the last five fields are of ours only."""

    file: str
    source: str
    target: str
    anchors: int
    draw: int
    method: str  # a peer's name, or "us " and the objective
    metric: str  # mrr, class_hit, accuracy or mse
    value: float
    seconds: float = 0.0
    chosen: str = ""
    score: str = ""
    dropped: str = ""
    models: str = ""  # which state of models/


@dataclass(frozen=True)
class Rows:
    """What a task is measured on."""

    task: Task
    of: Spaces
    x: np.ndarray  # (rows, d1), all of the source
    y: np.ndarray  # (rows, d2)
    anchors: tuple[np.ndarray, np.ndarray]  # (n, d1), (n, d2)

    @classmethod
    def of_task(cls, task: Task) -> Self:
        of = spaces(task.file)
        x, y = (of.vectors[name].astype(float) for name in (task.source, task.target))
        rows = of.anchors(task.anchors, task.draw)
        return cls(task, of, x, y, (x[rows], y[rows]))

    @property
    def head(self) -> Head:
        """KeyError where the target has none."""
        return self.of.heads[self.task.target]

    def retrieval(self, similarity: np.ndarray) -> float:
        if self.of.metric == "mrr":
            return measures.mrr(similarity)
        return measures.class_hit(similarity, self.of.labels[self.of.gallery])

    def accuracy(self, translated: np.ndarray) -> float:
        return measures.accuracy(self.head(translated), self.of.labels[self.of.test])


def figures(task: Task, methods: list[str], budget: float, models: str) -> list[Line]:
    """`methods`: "peers" and "us <objective>"."""
    rows, lines = Rows.of_task(task), []
    if "peers" in methods:
        lines += [Line(**asdict(task), method=m, metric=k, value=v) for m, k, v in of_peers(rows)]
    for objective in OBJECTIVES:
        if f"us {objective}" in methods:
            lines.append(of_us(rows, objective, budget, models))
    if f"us {HINDSIGHT}" in methods:
        lines.append(in_hindsight(rows, models))
    return lines


def of_peers(rows: Rows) -> Iterator[tuple[str, str, float]]:
    """Method, metric, value."""
    fitted, gallery = peers.maps(*rows.anchors), rows.of.gallery
    for name, similarity in peers.similarities(fitted, rows.anchors, rows.x[gallery], rows.y[gallery]):
        yield name, rows.of.metric, rows.retrieval(similarity)
    for name, translate in fitted.items() if rows.task.target in rows.of.heads else ():
        yield name, "accuracy", rows.accuracy(translate(rows.x[rows.of.test]))


def of_us(rows: Rows, objective: str, budget: float, models: str) -> Line:
    x, y = (torch.from_numpy(v) for v in rows.anchors)
    head = linear_head(rows.head) if objective == "head" else None
    started = time.monotonic()
    estimated = estimate(x, y, objective=objective, head=head, budget=budget)
    seconds = time.monotonic() - started
    retrieval = objective == "retrieval"
    return Line(
        **asdict(rows.task),
        method=f"us {objective}",
        metric=rows.of.metric if retrieval else "accuracy",
        value=retrieved(estimated, rows) if retrieval else stitched(estimated, rows),
        seconds=round(seconds, 2),
        chosen=described(estimated.method),
        score=estimated.report.score["name"],
        dropped=" ".join(estimated.report.dropped),
        models=models,
    )


def in_hindsight(rows: Rows, models: str) -> Line:
    """How far a perfect choice among our candidates would go: nobody can serve it."""
    found = max(candidates(rows), key=lambda candidate: candidate["value"])
    return Line(**asdict(rows.task), method=f"us {HINDSIGHT}", metric=rows.of.metric, models=models, **found)


def candidates(rows: Rows) -> Iterator[dict[str, Any]]:
    """Every map of `auto` with every score that suits it, fitted on all anchors."""
    x, y = (torch.from_numpy(v[rows.of.gallery]).float() for v in (rows.x, rows.y))
    folds = Folds(*(torch.from_numpy(v) for v in rows.anchors), seed=0)
    for method in contenders("auto", {}, Retrieval(), folds.x, folds.y):
        final = method.settle(folds)
        translated = method.transform(x)
        for score in scores_for(final):
            fitted = Blend((score,), (1.0,)).fit(final, folds.basis_of(final.predicted))
            value = rows.retrieval(fitted(translated, y).numpy())
            yield {"value": value, "chosen": described(method), "score": score.name}


def linear_head(head: Head) -> LinearHead:
    return LinearHead(torch.from_numpy(head.weight).double(), torch.from_numpy(head.bias).double())


def retrieved(estimated: Estimated, rows: Rows) -> float:
    x, y = (torch.from_numpy(v[rows.of.gallery]) for v in (rows.x, rows.y))
    return rows.retrieval(estimated.score(estimated.method.transform(x), y).numpy())


def stitched(estimated: Estimated, rows: Rows) -> float:
    return rows.accuracy(estimated.method.transform(torch.from_numpy(rows.x[rows.of.test])).double().numpy())


def described(method: Method) -> str:
    """With its numbers."""
    options = " ".join(f"{k}={v:g}" for k, v in method.parameters().items() if isinstance(v, int | float))
    return f"{method.name} {options}".strip()
