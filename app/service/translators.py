"""Translators: fitted on demand, stored with their report, applied as one product."""

import threading
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from anchors import AnchorSet
from anchors.errors import NoSharedAnchors
from app.errors import InvalidInput, InvalidVectors, SameSpace, Unrelated
from app.index import LONGEST, overlong
from app.service.fits import Fit, Fits
from app.service.heads import Heads, answering_digest
from app.service.pairing import Paired, Pairing, Selection, Side, paired
from app.service.paths import best_path, paths
from app.service.purposes import Purpose
from app.service.resources import Resources, rests_on
from app.service.routes import Route, Translation, fused, is_surely_better, pair_of, worth
from app.service.spaces import Space, Spaces
from app.store import Record, Store, Write
from app.store.base import digest_of
from app.store.rows import Log, Rows, Vectors, merged
from models.artifact import Artifact
from models.base import LEAST_ANCHORS
from models.errors import TooFewAnchors
from models.estimate import Report, estimate
from models.heads import Head
from models.maps import Map
from models.refit import crossed, method_of

ARTIFACTS = 64  # kept in memory

Pairs = dict[tuple[str, str], Record]  # by source and target


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
    head: str | None = None  # that is to agree, for the objective 'head'

    @property
    def purpose(self) -> Purpose:
        return Purpose(self.objective, self.head)

    def to_value(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class FittedReport(Report):
    """With ids in place of rows, and how the pairs came about."""

    suspicious: list[str]  # type: ignore[assignment]
    pairing: Mapping[str, Any]

    @classmethod
    def of(cls, report: Report, paired: Paired) -> "FittedReport":
        ids = paired.suspicious + [paired.pairs.ids[row] for row in report.suspicious]
        warnings = paired.warnings + report.warnings
        return cls(**{**vars(report), "suspicious": ids, "warnings": warnings, "pairing": paired.notes})


@dataclass(frozen=True)
class Ranking:
    """What is worked out of all translators, at a position of the store."""

    position: int
    best: dict[Purpose, Pairs] = field(default_factory=dict)
    paths: dict[tuple[str, str, Purpose], list[Record] | None] = field(default_factory=dict)


class Translators(Resources):
    """Each rests on its two spaces, and on the head that it suits, if any. Source to target is not the reverse."""

    def __init__(self, store: Store, spaces: Spaces, heads: Heads) -> None:
        super().__init__(store, "translator")
        self.spaces, self.heads, self.fits = spaces, heads, Fits()
        self._artifact = lru_cache(maxsize=ARTIFACTS)(lambda digest: Artifact.from_bytes(self.blob(digest)))
        self._ranking = Ranking(-1)
        self._first_use: dict[tuple[str, str], threading.Lock] = {}

    def put(self, name: str, spec: Spec, if_match: str | None) -> tuple[Record, bool]:
        """Fit, unless the same was fitted on the same anchors. Everything that `estimate` and pairing raise."""

        def change(current: Record | None) -> Write | None:
            write = self._fitted(name, current, spec)
            return write if write or not current else adopted(current)

        check_two(spec.source, spec.target)
        return self.change(name, if_match, change)

    def between(self, source: str, target: str, purpose: Purpose) -> Route:
        """The best way for `purpose` by its reports: a translator, or a path of several.

        The first use fits a translator for it by `auto`, unless somebody has put one of the pair.
        NotFound, SameSpace, NoSharedAnchors, TooFewAnchors, Unrelated.
        """
        check_two(source, target)
        for space in (source, target):
            self.spaces.get(space)
        try:
            direct = self._direct(source, target, purpose)
        except (NoSharedAnchors, TooFewAnchors):
            way = self._through_others(source, target, purpose)
            if way is None:
                raise
        else:
            path = self._fitted_path(source, target, purpose)
            way = path if path and is_surely_better(path, direct) else [direct]
        for step in way:
            check_related(step)
        return self.route(*way)

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
            any(map(self.is_stale, records)),
        )

    def best(self, purpose: Purpose) -> Pairs:
        """By pair of spaces, the best translator for the purpose; read again when one was written.

        What a first use fitted for another is no choice.
        """
        return self._ranked(purpose).best[purpose]

    def leading(self, dim: int, target: str) -> list[Record]:
        """From spaces of `dim` dimensions to `target`, by name."""
        wide = {space.name for space in self.spaces.all() if Space.of(space).dim == dim}
        return [record for record in self.all() if pair_of(record)[1] == target and pair_of(record)[0] in wide]

    def translate(self, route: Route, vectors: Vectors, confidence: bool = False) -> Translation:
        """vectors (n, d1) of its source. WrongDimension, InvalidVectors."""
        self.spaces.check_width(route.source, vectors)
        x = torch.from_numpy(vectors)
        translated = route(x)
        check_length(translated.numpy())
        trust = route.confidence(x, translated) if confidence else None
        return Translation(translated.numpy(), route, None if trust is None else trust.numpy())

    def crossed(self, record: Record) -> dict[str, Map]:
        """By the id of every anchor it was fitted on, a map that was fitted without that one.

        None of what was not paired by ids, all of them. NotFound, TooFewAnchors.
        """
        spec, report = record.value["spec"], record.value["report"]
        if spec["pairing"]["method"] != "ids" or spec["selection"]:
            return {}
        source, target = map(self.spaces.anchors, pair_of(record))
        pairs = paired(Side(source), Side(target), Pairing(), None).pairs
        x, y = torch.from_numpy(pairs.source), torch.from_numpy(pairs.target)
        kept = torch.tensor([id_ not in report["suspicious"] for id_ in pairs.ids])
        head = Purpose.of(record).head
        method = method_of(report, self.heads.loaded(head)[1] if head else None)
        maps, fold_of = crossed(method, x, y, kept, spec["seed"])
        return {id_: maps[fold] for id_, fold in zip(pairs.ids, fold_of.tolist(), strict=True)}

    def reverse_of(self, record: Record) -> Record | None:
        """The best translator of the opposite direction, if there is one."""
        source, target = pair_of(record)
        return self.best(Purpose.of(record).on_the_way).get((target, source))

    def is_stale(self, record: Record) -> bool:
        """Whether anchors were put or deleted since the translator was fitted, or its head replaced.

        So is what rests on something that was deleted this moment, and it with that.
        """
        source, target = map(self.spaces.find, pair_of(record))
        if not (source and target) or record.value["anchor_versions"] != anchors_used(source, target):
            return True
        if (named := Purpose.of(record).head) is None:
            return False
        head = self.heads.find(named)
        return head is None or record.value["head_digest"] != answering_digest(head)

    def _direct(self, source: str, target: str, purpose: Purpose) -> Record:
        """NoSharedAnchors."""
        pair = source, target
        if found := self.best(purpose).get(pair):
            return found
        with self._first_use.setdefault(pair, threading.Lock()):
            found = self.best(purpose).get(pair)
            return found or self._first_fit(Spec(source, target, objective=purpose.objective, head=purpose.head))

    def _fitted_path(self, source: str, target: str, purpose: Purpose) -> list[Record] | None:
        """Of several translators that are fitted already, the best."""
        on_the_way, ranking = self.best(purpose.on_the_way), self._ranked(purpose)
        asked = source, target, purpose
        if asked not in ranking.paths:
            last = ranking.best[purpose]
            best = {pair: record for pair, record in on_the_way.items() if pair[1] != target}
            best |= {pair: record for pair, record in last.items() if pair[1] == target and pair[0] != source}
            path = best_path(edges_of(best), source, target, lambda edge: worth(best[edge]))
            ranking.paths[asked] = [best[edge] for edge in path] if path else None
        return ranking.paths[asked]

    def _ranked(self, purpose: Purpose) -> Ranking:
        """As of the last write of a translator, by the purpose among others."""
        ranking, position = self._ranking, self.store.position("translator")
        if ranking.position != position:
            ranking = self._ranking = Ranking(position)
        if purpose not in ranking.best:
            usable = sorted(filter(purpose.served_by, self.all()), key=purpose.merit)
            ranking.best[purpose] = {pair_of(record): record for record in usable}
        return ranking

    def _through_others(self, source: str, target: str, purpose: Purpose) -> list[Record] | None:
        """A path of fitted translators, or else the first that shared anchors allow, if there is one."""
        if path := self._fitted_path(source, target, purpose):
            return path
        names = [record.name for record in self.spaces.all()]
        ids = {name: set(self.spaces.anchors(name).ids) for name in names}
        pairs = [
            (one, other) for one in names for other in names if one != other and enough(ids[one] & ids[other])
        ]
        way = next(paths(edges_of(pairs), source, target), None)
        if way is None:
            return None
        return [self._direct(*edge, purpose if edge[1] == target else purpose.on_the_way) for edge in way]

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

    def _head(self, spec: Spec) -> tuple[Record | None, Head | None]:
        """NotFound; InvalidInput unless it is of the target."""
        if spec.head is None:
            return None, None
        head, agreeing = self.heads.loaded(spec.head)
        if head.value["space"] is None:
            raise InvalidInput(
                f"head {head.name!r} is relative: any space with its anchors runs it without a translator",
                got=head.name,
            )
        if spec.objective != "head" or head.value["space"] != spec.target:
            raise InvalidInput(
                f"a head goes with the objective 'head' and the target that it is of; head {head.name!r} is of "
                f"{head.value['space']!r}, got the objective {spec.objective!r} and the target {spec.target!r}",
                expected={"objective": "head", "target": head.value["space"]},
                got={"objective": spec.objective, "target": spec.target},
            )
        return head, agreeing

    def _fitted(self, name: str, current: Record | None, spec: Spec) -> Write | None:
        """None if `current` is the same translator, fitted on the same anchors."""
        spaces = [self.spaces.get(space) for space in (spec.source, spec.target)]
        head, agreeing = self._head(spec)
        asked = {
            "spec": spec.to_value(),
            "anchor_versions": anchors_used(*spaces),
            "collections": self._positions(spec.pairing),
            "head_digest": head and answering_digest(head),
        }
        if current and asked.items() <= current.value.items():
            return None
        source = self._side(spec.source, spec.pairing.source_collection)
        target = self._side(spec.target, spec.pairing.target_collection)
        with self.fits.running(Fit(name, spec.source, spec.target)) as progress:
            chosen = paired(source, target, spec.pairing, spec.selection, spec.seed, progress)
            x, y = (torch.from_numpy(vectors) for vectors in (chosen.pairs.source, chosen.pairs.target))
            settings = spec.method, spec.objective, spec.options, spec.seed, agreeing
            done = estimate(x, y, *settings, progress=progress, aside=chosen.aside(spec.seed))
        artifact = Artifact(done.method.map_, done.score, done.confidence, done.calibration).to_bytes()
        digest = digest_of(artifact)
        report = FittedReport.of(done.report, chosen)
        on = [*spaces, head] if head else spaces
        return Write(
            "translator",
            name,
            current.position if current else 0,
            {**asked, "automatic": False, "artifact": digest, "report": report.to_dict()},
            rests_on=tuple((record.kind, record.name) for record in on),
            born={(record.kind, record.name): record.created_at for record in on},
            blobs={digest: artifact},
            refers=frozenset([digest]),
        )

    def _first_fit(self, spec: Spec) -> Record:
        """Under the first name that is free or names a translator of the pair; none is ever replaced."""
        for name in spec.purpose.names(spec.source, spec.target):

            def change(current: Record | None, name: str = name) -> Write | None:
                write = None if current else self._fitted(name, current, spec)
                return write and replace(write, value={**(write.value or {}), "automatic": True})

            record, _ = self.change(name, None, change)
            if pair_of(record) == (spec.source, spec.target) and spec.purpose.served_by(record):
                return record
        raise self.contended(name)


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


def adopted(record: Record) -> Write | None:
    """What a first use has fitted, as one that somebody has put; None if it is that already."""
    if not record.value["automatic"]:
        return None
    return Write(
        record.kind,
        record.name,
        record.position,
        {**record.value, "automatic": False},
        rests_on=rests_on(record),
        refers=frozenset([record.value["artifact"]]),
    )


def check_related(record: Record) -> None:
    """Of what a first use fitted; what somebody has put may be the mean on purpose."""
    if record.value["automatic"] and record.value["report"]["method"] == "mean":
        source, target = pair_of(record)
        raise Unrelated(
            f"the anchors that {source!r} and {target!r} share do not relate them: on held-out ones nothing "
            f"was better than the target's mean (see translator {record.name!r}). "
            "Do equal ids mean equal items? Put more anchors, or PUT a translator of your own choice",
            translator=record.name,
        )


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
