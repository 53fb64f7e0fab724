"""One ordered pair at one number of anchors: native, ours and the peers, through the same heads over HTTP."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import httpx2 as httpx
import numpy as np

from app.demo.server import Client
from benchmarks.quality import measures, peers
from benchmarks.quality.data import Spaces, spaces
from benchmarks.quality.peers import Map
from benchmarks.quality.task import Line, Task
from benchmarks.stitching import decoders, pictures
from benchmarks.stitching.service import Service

PEERS = ("ridge_loo", "latentis_ortho", "latentis_affine")
OBJECTIVES = ("head", "reconstruction")  # of our translators
IMAGES = "fashion_mnist"  # the file whose test rows begin with those of the decoders
LABELLED = 2000  # train rows of the target, at most, that a relative head is fitted on
CODES = {
    "relative cosine": {"similarity": "cosine", "before": "none", "after": "none"},  # Moschella et al. 2023
    "relative best": {
        "similarity": "cosine",
        "before": "whitened",
        "shrinkage": 0.5,
        "after": "whitened",
        "penalty": 0.3,
    },
}


@dataclass(frozen=True)
class Trial:
    """A task with the rows that it is measured on, and the service that holds its spaces and heads."""

    task: Task
    service: Service

    @cached_property
    def of(self) -> Spaces:
        return spaces(self.task.file)

    @cached_property
    def anchors(self) -> np.ndarray:
        """(n,) rows."""
        return self.of.anchors(self.task.anchors, self.task.draw)

    def source(self, rows: np.ndarray) -> np.ndarray:
        return self.of.vectors[self.task.source][rows].astype(np.float32)

    def target(self, rows: np.ndarray) -> np.ndarray:
        return self.of.vectors[self.task.target][rows].astype(np.float32)

    @cached_property
    def peers(self) -> dict[str, Map]:
        return peers.maps(self.source(self.anchors).astype(float), self.target(self.anchors).astype(float), PEERS)

    def translated(self, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """What others put before the target's head, by name; "native" and "unstitched" are the two ends."""
        x, y = self.source(rows), self.target(rows)
        yield "native", y
        yield "unstitched", cut_or_padded(x, y.shape[1])
        for name, translate in self.peers.items():
            yield name, translate(x.astype(float)).astype(np.float32)

    def outputs(self, head: str, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Of a head of the target's space, by method."""
        for name, vectors in self.translated(rows):
            yield name, self.service.run(head, self.service.target, vectors)
        for objective in OBJECTIVES:
            translator = self.service.translator(objective, head)
            yield f"us {objective}", self.service.run(head, self.service.source, self.source(rows), translator)


def figures(task: Task, url: str, images: Path, state: str) -> list[Line]:
    """`images`: the folder for pictures; `state` of models/."""
    with httpx.Client(base_url=url, timeout=600, trust_env=False) as http:
        trial = Trial(task, Service(Client(http), task))
        prepare(trial)
        found = list(accuracies(trial))
        if task.file == IMAGES and task.target in decoders.NAMES:
            found += errors(trial, images)
    return [Line(**asdict(task), method=name, metric=metric, value=v, models=state) for name, metric, v in found]


def prepare(trial: Trial) -> None:
    """The source has the anchors alone; the target has more rows, which carry labels for the relative heads."""
    of, task, service = trial.of, trial.task, trial.service
    rows = of.anchors(max(task.anchors, LABELLED), task.draw)
    service.put_spaces(trial.anchors, trial.source(trial.anchors), rows, trial.target(rows))
    service.put_classifier(of.heads[task.target])
    for name, codes in CODES.items():
        service.fit_relative(name, codes, trial.anchors, rows, of.labels[rows])


def accuracies(trial: Trial) -> Iterator[tuple[str, str, float]]:
    test = trial.of.test
    labels = trial.of.labels[test]
    for name, outputs in trial.outputs(trial.service.classifier, test):
        yield name, "accuracy", measures.accuracy(outputs, labels)
    for name in CODES:
        places = trial.service.run(trial.service.relative(name), trial.service.source, trial.source(test))
        yield name, "accuracy", measures.accuracy(places, labels)


def errors(trial: Trial, folder: Path) -> Iterator[tuple[str, str, float]]:
    """Mean squared error of decoded images, pixels in [0, 1]."""
    images = decoders.images()
    head = trial.service.put_decoder(trial.task.target, decoders.exported(trial.task.target))
    outputs = dict(trial.outputs(head, trial.of.test[: len(images)]))
    if trial.task.draw == 0:
        pictures.draw(trial.task, images, outputs, folder)
    for name, decoded in outputs.items():
        yield name, "mse", float(((decoded - images) ** 2).mean())


def cut_or_padded(x: np.ndarray, width: int) -> np.ndarray:
    return np.pad(x, ((0, 0), (0, max(0, width - x.shape[1]))))[:, :width]
