"""Translators: fitted on demand, stored with their report, applied as one product."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import torch

from anchors import pair_by_ids
from app.errors import InvalidVectors, SameSpace
from app.index import LONGEST, overlong
from app.service.resources import Resources
from app.service.spaces import Space, Spaces, check_width
from app.store import Record, Store, Write
from app.store.base import digest_of
from app.store.rows import Vectors
from models.affine import Affine
from models.estimate import estimate

MAPS = 64  # kept in memory
LONGEST_NAME = 128


@dataclass(frozen=True)
class Spec:
    """What a translator is asked to be."""

    source: str
    target: str
    method: str = "auto"
    objective: str = "retrieval"
    options: Mapping[str, Any] | None = None
    seed: int = 0

    def to_value(self) -> dict[str, Any]:
        return {**vars(self), "options": dict(self.options or {})}


@dataclass(frozen=True)
class Translation:
    """Vectors of the target, and the translator that made them."""

    vectors: Vectors  # (n, d2)
    translator: Record
    stale: bool

    @property
    def source(self) -> str:
        return pair_of(self.translator)[0]

    @property
    def target(self) -> str:
        return pair_of(self.translator)[1]

    @property
    def named(self) -> dict[str, Any]:
        """What an answer says of the translator."""
        return {"translator": self.translator.name, "version": self.translator.version, "stale": self.stale}


class Translators(Resources):
    """Each rests on its two spaces. Directed: source to target is not target to source."""

    def __init__(self, store: Store, spaces: Spaces) -> None:
        super().__init__(store, "translator")
        self.spaces = spaces
        self._map = lru_cache(maxsize=MAPS)(lambda digest: Affine.from_bytes(self.blob(digest)))
        self._pairs: tuple[int, dict[tuple[str, str], Record]] = (-1, {})
        self._first_use: dict[tuple[str, str], threading.Lock] = {}

    def put(self, name: str, spec: Spec, if_match: str | None) -> tuple[Record, bool]:
        """Fit, unless the same was fitted on the same anchors. Everything that `estimate` and pairing raise."""

        def change(current: Record | None) -> Write | None:
            return self._fitted(name, current, spec)

        check_two(spec.source, spec.target)
        return self.change(name, if_match, change)

    def between(self, source: str, target: str) -> Record:
        """The best translator of the pair by its report; the first use fits one by `auto`."""
        check_two(source, target)
        for space in (source, target):
            self.spaces.get(space)
        pair = source, target
        if found := self.best().get(pair):
            return found
        with self._first_use.setdefault(pair, threading.Lock()):
            if found := self.best().get(pair):
                return found
            return self._first_fit(Spec(source, target))

    def best(self) -> dict[tuple[str, str], Record]:
        """By pair of spaces, the best translator by its report; read again when one was written."""
        position = self.store.position("translator")
        if self._pairs[0] != position:
            ranked = sorted(self.all(), key=merit)
            self._pairs = position, {pair_of(record): record for record in ranked}
        return self._pairs[1]

    def reaching(self, target: str) -> list[str]:
        """The spaces that a translator leads from to `target`."""
        return sorted(source for source, other in self.best() if other == target)

    def translate(self, name: str, vectors: Vectors) -> Translation:
        """vectors (n, d1) of the source. NotFound, WrongDimension."""
        record, affine = self.steady(name, lambda record: (record, self._map(record.value["weights"])))
        source, target = self.ends(record)
        check_width(source.name, Space.of(source), vectors)
        translated = affine(torch.from_numpy(vectors)).numpy()
        check_length(translated)
        return Translation(translated, record, is_stale(record, source, target))

    def ends(self, record: Record) -> tuple[Record, Record]:
        """Its two spaces."""
        source, target = pair_of(record)
        return self.spaces.get(source), self.spaces.get(target)

    def _fitted(self, name: str, current: Record | None, spec: Spec) -> Write | None:
        """None if `current` is the same translator, fitted on the same anchors."""
        spaces = [self.spaces.get(space) for space in (spec.source, spec.target)]
        asked = {"spec": spec.to_value(), "anchors": anchors_used(*spaces)}
        if current and asked.items() <= current.value.items():
            return None
        pairs = pair_by_ids(self.spaces.anchors(spec.source), self.spaces.anchors(spec.target))
        x, y = (torch.from_numpy(vectors) for vectors in (pairs.source, pairs.target))
        method, report = estimate(x, y, spec.method, spec.objective, spec.options, spec.seed)
        weights = method.affine_.to_bytes()
        digest = digest_of(weights)
        return Write(
            "translator",
            name,
            current.position if current else 0,
            {**asked, "weights": digest, "report": report.to_dict()},
            rests_on=tuple(("space", space.name) for space in spaces),
            born={("space", space.name): space.created_at for space in spaces},
            blobs={digest: weights},
            refers=frozenset([digest]),
        )

    def _first_fit(self, spec: Spec) -> Record:
        """Under the first name that is free or names a translator of the pair; none is ever replaced."""
        for name in names_for(spec.source, spec.target):

            def change(current: Record | None, name: str = name) -> Write | None:
                return None if current else self._fitted(name, current, spec)

            record, _ = self.change(name, None, change)
            if pair_of(record) == (spec.source, spec.target):
                return record
        raise self.contended(name)


def names_for(source: str, target: str) -> Iterator[str]:
    """The plain name, and one that nobody has chosen for other spaces."""
    plain = f"{source}-to-{target}"
    mark = sha256(f"{source}/{target}".encode()).hexdigest()[:8]
    if len(plain) <= LONGEST_NAME:
        yield plain
    yield f"{plain[: LONGEST_NAME - 9]}-{mark}"


def merit(record: Record) -> tuple[bool, float]:
    """A map to the mean comes last; the interval's lower end, so that few anchors do not pass for good ones."""
    report = record.value["report"]
    return report["method"] != "mean", report["quality"]["mrr"]["low"]


def pair_of(record: Record) -> tuple[str, str]:
    return record.value["spec"]["source"], record.value["spec"]["target"]


def anchors_used(source: Record, target: Record) -> dict[str, int]:
    """The versions of the two anchor sets: a translator fitted on others is stale."""
    return {side: Space.of(record).anchors_version for side, record in (("source", source), ("target", target))}


def is_stale(record: Record, source: Record, target: Record) -> bool:
    """Whether anchors were put or deleted since the translator was fitted."""
    return bool(record.value["anchors"] != anchors_used(source, target))


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
