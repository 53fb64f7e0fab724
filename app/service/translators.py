"""Translators: fitted on demand, stored with their report, applied as one product."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np
import torch

from anchors import AnchorSet
from anchors.errors import NoSharedAnchors
from app.errors import InvalidInput, InvalidVectors, SameSpace
from app.index import LONGEST, overlong
from app.service.pairing import Paired, Pairing, Selection, Side, paired
from app.service.paths import best_path, paths
from app.service.resources import Resources
from app.service.routes import Route, Translation, fused, pair_of, worth
from app.service.spaces import Space, Spaces, check_width
from app.store import Record, Store, Write
from app.store.base import digest_of
from app.store.rows import Log, Rows, Vectors, merged
from models.artifact import Artifact
from models.base import LEAST_ANCHORS
from models.errors import TooFewAnchors
from models.estimate import Report, estimate

ARTIFACTS = 64  # kept in memory
SUFFIXES = {"retrieval": "-search"}  # of names that are given to a first use

Pairs = dict[tuple[str, str], Record]  # by source and target
LONGEST_NAME = 128


@dataclass(frozen=True)
class Spec:
    """What a translator is asked to be."""

    source: str
    target: str
    method: str = "auto"
    objective: str = "retrieval"
    options: Mapping[str, Any] = field(default_factory=dict)
    pairing: Pairing = Pairing()
    selection: Selection | None = None
    seed: int = 0

    def to_value(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class FittedReport(Report):
    """With ids in place of rows, and how the pairs came about."""

    suspicious: list[str]  # type: ignore[assignment]
    pairing: Mapping[str, Any]

    @classmethod
    def of(cls, report: Report, paired: Paired) -> "FittedReport":
        ids = [paired.pairs.ids[row] for row in report.suspicious]
        return cls(**{**vars(report), "suspicious": ids, "pairing": paired.notes})


@dataclass(frozen=True)
class Ranking:
    """What is worked out of all translators, at a position of the store."""

    position: int
    best: dict[str, Pairs] = field(default_factory=dict)  # by objective
    paths: dict[tuple[str, str, str], list[Record] | None] = field(
        default_factory=dict
    )  # source, target, objective


class Translators(Resources):
    """Each rests on its two spaces. Directed: source to target is not target to source."""

    def __init__(self, store: Store, spaces: Spaces) -> None:
        super().__init__(store, "translator")
        self.spaces = spaces
        self._artifact = lru_cache(maxsize=ARTIFACTS)(lambda digest: Artifact.from_bytes(self.blob(digest)))
        self._ranking = Ranking(-1)
        self._first_use: dict[tuple[str, str], threading.Lock] = {}

    def put(self, name: str, spec: Spec, if_match: str | None) -> tuple[Record, bool]:
        """Fit, unless the same was fitted on the same anchors. Everything that `estimate` and pairing raise."""

        def change(current: Record | None) -> Write | None:
            return self._fitted(name, current, spec)

        check_two(spec.source, spec.target)
        return self.change(name, if_match, change)

    def between(self, source: str, target: str, objective: str) -> Route:
        """The best way for `objective` by its reports: a translator, or a path of several.

        The first use fits a translator for the objective by `auto`, unless somebody has put one of the pair.
        NotFound, SameSpace, NoSharedAnchors, TooFewAnchors.
        """
        check_two(source, target)
        for space in (source, target):
            self.spaces.get(space)
        try:
            direct = self._direct(source, target, objective)
        except (NoSharedAnchors, TooFewAnchors):
            way = self._through_others(source, target, objective)
            if way is None:
                raise
            return self.route(*way)
        path = self._fitted_path(source, target, objective)
        return self.route(*path) if path and worth(*path) > worth(direct) else self.route(direct)

    def named(self, name: str) -> Route:
        """NotFound."""
        return self.route(self.get(name))

    def route(self, *steps: Record) -> Route:
        """Affine maps are fused; a record that was replaced meanwhile is read again."""
        read = [self.steady(step.name, lambda now: (now, self._artifact(now.value["artifact"]))) for step in steps]
        records = tuple(record for record, _ in read)
        artifacts = tuple(artifact for _, artifact in read)
        return Route(
            records,
            artifacts,
            fused([artifact.map for artifact in artifacts]),
            any(is_stale(record, *self.ends(record)) for record in records),
        )

    def best(self, objective: str) -> Pairs:
        """By pair of spaces, the best translator for the objective; read again when one was written.

        What was fitted for another objective by itself is no choice.
        """
        return self._ranked(objective).best[objective]

    def leading(self, dim: int, target: str) -> list[Record]:
        """From spaces of `dim` dimensions to `target`, by name."""
        leading = [record for record in self.all() if pair_of(record)[1] == target]
        return [record for record in leading if Space.of(self.ends(record)[0]).dim == dim]

    def translate(self, route: Route, vectors: Vectors, confidence: bool = False) -> Translation:
        """vectors (n, d1) of its source. WrongDimension, InvalidVectors."""
        check_width(route.source, Space.of(self.spaces.get(route.source)), vectors)
        x = torch.from_numpy(vectors)
        translated = route(x)
        check_length(translated.numpy())
        trust = route.confidence(x).numpy() if confidence else None
        return Translation(translated.numpy(), route, trust)

    def reverse_of(self, record: Record) -> Record | None:
        """The best translator of the opposite direction, if there is one."""
        source, target = pair_of(record)
        return self.best(record.value["spec"]["objective"]).get((target, source))

    def ends(self, record: Record) -> tuple[Record, Record]:
        """Its two spaces."""
        source, target = pair_of(record)
        return self.spaces.get(source), self.spaces.get(target)

    def _direct(self, source: str, target: str, objective: str) -> Record:
        """NoSharedAnchors."""
        pair = source, target
        if found := self.best(objective).get(pair):
            return found
        with self._first_use.setdefault(pair, threading.Lock()):
            found = self.best(objective).get(pair)
            return found or self._first_fit(Spec(source, target, objective=objective))

    def _fitted_path(self, source: str, target: str, objective: str) -> list[Record] | None:
        """Of several translators that are fitted already, the best."""
        ranking, asked = self._ranked(objective), (source, target, objective)
        if asked not in ranking.paths:
            best = {pair: record for pair, record in ranking.best[objective].items() if pair != (source, target)}
            path = best_path(edges_of(best), source, target, lambda edge: worth(best[edge]))
            ranking.paths[asked] = [best[edge] for edge in path] if path else None
        return ranking.paths[asked]

    def _ranked(self, objective: str) -> Ranking:
        """As of the last write of a translator, by the objective among others."""
        ranking, position = self._ranking, self.store.position("translator")
        if ranking.position != position:
            ranking = self._ranking = Ranking(position)
        if objective not in ranking.best:
            usable = [record for record in self.all() if serves(record, objective)]
            usable.sort(key=lambda record: merit(record, objective))
            ranking.best[objective] = {pair_of(record): record for record in usable}
        return ranking

    def _through_others(self, source: str, target: str, objective: str) -> list[Record] | None:
        """A path of fitted translators, or else the first that shared anchors allow, if there is one."""
        if path := self._fitted_path(source, target, objective):
            return path
        names = [record.name for record in self.spaces.all()]
        ids = {name: set(self.spaces.anchors(name).ids) for name in names}
        pairs = [
            (one, other) for one in names for other in names if one != other and enough(ids[one] & ids[other])
        ]
        way = next(paths(edges_of(pairs), source, target), None)
        if way is None:
            return None
        return [self._direct(*edge, objective) for edge in way]

    def _positions(self, pairing: Pairing) -> dict[str, int]:
        """Of the collections whose points it reads: what was written since makes another translator."""
        found = {name: self.store.get("collection", name) for name in pairing.collections}
        return {name: record.position for name, record in found.items() if record}

    def _side(self, space: str, collection: str | None) -> Side:
        anchors = self.spaces.anchors(space)
        return Side(anchors, self._points(collection, space) if collection else None)

    def _points(self, collection: str, space: str) -> AnchorSet:
        """The native ones: what was translated knows no more than its translator. InvalidInput."""
        record = self.store.get("collection", collection)
        if record is None or record.value["space"] != space:
            holds = f"holds vectors of {record.value['space']!r}" if record else "does not exist"
            raise InvalidInput(
                f"pairing needs a collection of space {space!r}; {collection!r} {holds}",
                expected=space,
                got=collection,
            )
        nothing = Rows([], np.empty((0, record.value["dim"]), np.float32), [])
        rows = merged([nothing, *Log.of(record.value["log"]).read(self.blob)])
        native = rows.at([row for row in range(len(rows.ids)) if not rows.origin(row)])
        return AnchorSet.of(list(map(str, native.ids)), native.vectors)

    def _fitted(self, name: str, current: Record | None, spec: Spec) -> Write | None:
        """None if `current` is the same translator, fitted on the same anchors."""
        spaces = [self.spaces.get(space) for space in (spec.source, spec.target)]
        asked = {
            "spec": spec.to_value(),
            "anchor_versions": anchors_used(*spaces),
            "collections": self._positions(spec.pairing),
        }
        if current and asked.items() <= current.value.items():
            return None
        source = self._side(spec.source, spec.pairing.source_collection)
        target = self._side(spec.target, spec.pairing.target_collection)
        chosen = paired(source, target, spec.pairing, spec.selection)
        x, y = (torch.from_numpy(vectors) for vectors in (chosen.pairs.source, chosen.pairs.target))
        done = estimate(x, y, spec.method, spec.objective, spec.options, spec.seed)
        artifact = Artifact(done.method.map_, done.score, done.confidence, done.calibration).to_bytes()
        digest = digest_of(artifact)
        report = FittedReport.of(done.report, chosen)
        return Write(
            "translator",
            name,
            current.position if current else 0,
            {**asked, "automatic": False, "artifact": digest, "report": report.to_dict()},
            rests_on=tuple(("space", space.name) for space in spaces),
            born={("space", space.name): space.created_at for space in spaces},
            blobs={digest: artifact},
            refers=frozenset([digest]),
        )

    def _first_fit(self, spec: Spec) -> Record:
        """Under the first name that is free or names a translator of the pair; none is ever replaced."""
        for name in names_for(spec.source, spec.target, spec.objective):

            def change(current: Record | None, name: str = name) -> Write | None:
                write = None if current else self._fitted(name, current, spec)
                return write and replace(write, value={**(write.value or {}), "automatic": True})

            record, _ = self.change(name, None, change)
            if pair_of(record) == (spec.source, spec.target) and serves(record, spec.objective):
                return record
        raise self.contended(name)


def names_for(source: str, target: str, objective: str) -> Iterator[str]:
    """The plain name, and one that nobody has chosen for other spaces."""
    plain = f"{source}-to-{target}{SUFFIXES.get(objective, '')}"
    mark = sha256(f"{source}/{target}/{objective}".encode()).hexdigest()[:8]
    if len(plain) <= LONGEST_NAME:
        yield plain
    yield f"{plain[: LONGEST_NAME - 9]}-{mark}"


def serves(record: Record, objective: str) -> bool:
    """Fitted for it, or put by somebody, who then wants it used for everything."""
    return record.value["spec"]["objective"] == objective or not record.value["automatic"]


def merit(record: Record, objective: str) -> tuple[bool, bool, float]:
    """A map to the mean comes last, and what a first use fitted after what somebody has put.

    The interval's lower end counts, so that few anchors do not pass for good ones.
    """
    report = record.value["report"]
    figure = "mrr" if objective == "retrieval" else "r2"
    return report["method"] != "mean", not record.value["automatic"], report["quality"][figure]["low"]


def enough(shared: Set[str]) -> bool:
    """For a fit, as far as can be told before it."""
    return len(shared) >= LEAST_ANCHORS


def edges_of(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    edges: dict[str, set[str]] = {}
    for source, target in pairs:
        edges.setdefault(source, set()).add(target)
    return edges


def anchors_used(source: Record, target: Record) -> dict[str, int]:
    """The versions of the two anchor sets: a translator fitted on others is stale."""
    return {side: Space.of(record).anchors_version for side, record in (("source", source), ("target", target))}


def is_stale(record: Record, source: Record, target: Record) -> bool:
    """Whether anchors were put or deleted since the translator was fitted."""
    return bool(record.value["anchor_versions"] != anchors_used(source, target))


def check_two(source: str, target: str) -> None:
    if source == target:
        raise SameSpace(
            f"source and target are both {source!r}: a translation needs two spaces",
            expected="two spaces",
            got=[source, target],
        )


def check_length(translated: Vectors) -> None:
    bad = overlong(translated)
    if bad.any():
        row = int(bad.argmax())
        raise InvalidVectors(
            f"row {row}: its translation is longer than {LONGEST:g}: scale the vectors down", row=row
        )
