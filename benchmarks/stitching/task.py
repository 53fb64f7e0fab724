"""One ordered pair at one number of anchors: native, ours and the peers, through the same heads over HTTP."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

import httpx2 as httpx
import numpy as np
import torch

from app.demo.server import Client, packed
from benchmarks.quality import measures, peers
from benchmarks.quality.data import Spaces, spaces
from benchmarks.quality.peers import Map
from benchmarks.quality.task import HINDSIGHT, Line, Task, linear_head
from benchmarks.stitching import decoders, pictures
from benchmarks.stitching.service import Service, ids
from models.estimate import contenders
from models.folds import Folds
from models.objectives import Agreement

PEERS = ("ridge_loo", "latentis_ortho", "latentis_affine")
OBJECTIVES = ("head", "reconstruction")  # of our translators
IMAGES = "fashion_mnist"  # the file whose test rows begin with those of the decoders
FOLDS = 3  # of the anchors, for the choice of codes
LABELLED = 2000  # train rows of the target, at most, that a relative head is fitted on
GRAM = {"after": "whitened", "penalty": 0.3}
CODES = {
    "cosine": {"similarity": "cosine", "before": "none"},  # Moschella et al. 2023
    "standardised": {"similarity": "cosine", "before": "none", "after": "standardised"},
    "inner, gram": {"similarity": "inner", "before": "centred", **GRAM},
    "whitened, gram": {"similarity": "cosine", "before": "whitened", "shrinkage": 0.5, **GRAM},
    "more whitened, gram": {"similarity": "cosine", "before": "whitened", "shrinkage": 0.1, **GRAM},
}
CHOSEN = "chosen"  # of our objectives, and of the codes: without a look at the test rows


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

    def known(self, rows: np.ndarray) -> dict[str, str]:
        """Labels by id."""
        return dict(zip(ids(rows), ids(self.of.labels[rows]), strict=True))


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
    rows = labelled(trial)
    trial.service.put_spaces(trial.anchors, trial.source(trial.anchors), rows, trial.target(rows))
    trial.service.put_classifier(trial.of.heads[trial.task.target])


def labelled(trial: Trial) -> np.ndarray:
    """Train rows of the target, the anchors among them."""
    return trial.of.anchors(max(trial.task.anchors, LABELLED), trial.task.draw)


def accuracies(trial: Trial) -> Iterator[tuple[str, str, float]]:
    test, service = trial.of.test, trial.service
    outputs = dict(trial.outputs(service.classifier, test))
    outputs[f"us {CHOSEN}"] = outputs[f"us {objective_by_anchors(trial)}"]
    for name in CODES:
        head = relative_head(trial, name, trial.anchors, labelled(trial))
        outputs[f"relative {name}"] = service.run(head, service.source, trial.source(test))
    outputs[f"relative {CHOSEN}"] = outputs[f"relative {codes_by_anchors(trial)}"]
    probe = service.fit(service.probe, service.source, trial.known(trial.anchors))
    outputs["source probe"] = service.run(probe, service.source, trial.source(test))
    for name, found in outputs.items():
        yield name, "accuracy", measures.accuracy(found, trial.of.labels[test])
    yield f"us {HINDSIGHT}", "accuracy", max(in_hindsight(trial))


def errors(trial: Trial, folder: Path) -> Iterator[tuple[str, str, float]]:
    """Mean squared error of decoded images, pixels in [0, 1]."""
    images = decoders.images()
    head = trial.service.put_decoder(trial.task.target, decoders.exported(trial.task.target))
    outputs = dict(trial.outputs(head, trial.of.test[: len(images)]))
    if trial.task.draw == 0:
        pictures.draw(trial.task, images, outputs, folder)
    outputs[f"us {CHOSEN}"] = outputs[f"us {objective_by_native(trial, head)}"]
    for name, decoded in outputs.items():
        yield name, "mse", float(((decoded - images) ** 2).mean())


# what is chosen without the test rows


def objective_by_anchors(trial: Trial) -> str:
    """That whose translator serves the classifier best on anchors, each translated as if it were none."""
    service, labels = trial.service, trial.known(trial.anchors)

    def accuracy(objective: str) -> float:
        translator = service.translator(objective, service.classifier)
        found = service.evaluate(service.classifier, labels=labels, translator=translator)
        return float(found["stitched"]["accuracy"]["mean"])

    return max(OBJECTIVES, key=accuracy)


def objective_by_native(trial: Trial, decoder: str) -> str:
    """That whose translator comes nearest to what the decoder makes of the anchors' own target vectors."""
    service, x = trial.service, trial.source(trial.anchors)
    native = packed(service.run(decoder, service.target, trial.target(trial.anchors)))
    items = {"ids": ids(trial.anchors), "vectors": packed(x), "values": native}

    def error(objective: str) -> float:
        found = service.evaluate(decoder, **items, translator=service.translator(objective, decoder))
        return float(found["stitched"]["mse"]["mean"])

    return min(OBJECTIVES, key=error)


def codes_by_anchors(trial: Trial) -> str:
    """Those that serve best on anchors which neither the codes nor the head on them have seen."""

    def accuracy(name: str) -> float:
        return fmean(held_out(trial, name, fold) for fold in range(FOLDS))

    return max(CODES, key=accuracy)


def held_out(trial: Trial, name: str, fold: int) -> float:
    """The accuracy on the source's vectors of a part of the anchors."""
    part, rows = trial.anchors[fold::FOLDS], labelled(trial)
    head = relative_head(trial, name, *(np.setdiff1d(some, part) for some in (trial.anchors, rows)), f"-{fold}")
    return float(trial.service.evaluate(head, labels=trial.known(part))["relative"]["accuracy"]["mean"])


def relative_head(trial: Trial, name: str, anchors: np.ndarray, rows: np.ndarray, mark: str = "") -> str:
    """On codes of the target's labelled `rows`; one serves every source."""
    service, codes = trial.service, {**CODES[name], "anchors": ids(anchors)}
    return service.fit(service.relative(name + mark), service.target, trial.known(rows), relative=codes)


def in_hindsight(trial: Trial) -> Iterator[float]:
    """The accuracy of every map that is tried for the classifier: nobody can know which is best."""
    x, y = (torch.from_numpy(side(trial.anchors)).double() for side in (trial.source, trial.target))
    test, labels = torch.from_numpy(trial.source(trial.of.test)).double(), trial.of.labels[trial.of.test]
    head, folds = linear_head(trial.of.heads[trial.task.target]), Folds(x, y, seed=0)
    for method in contenders("auto", {}, Agreement(head), x, y):
        method.settle(folds)
        yield measures.accuracy(head(method.transform(test)).numpy(), labels)


def cut_or_padded(x: np.ndarray, width: int) -> np.ndarray:
    return np.pad(x, ((0, 0), (0, max(0, width - x.shape[1]))))[:, :width]
