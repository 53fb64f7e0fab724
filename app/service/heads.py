"""Heads: decoders of the vectors of a space, run on those of every space that reaches it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from app.errors import InvalidInput, InvalidVectors, WrongDimension
from app.service.resources import Resources
from app.service.routes import Route, fused, pair_of
from app.service.spaces import Space, Spaces, check_width
from app.service.translators import Translators
from app.store import Record, Store, Write
from app.store.base import digest_of
from app.store.rows import Vectors
from models.errors import InvalidHead, UnknownMethod
from models.heads import ACTIVATIONS, Head, HeadKind, LinearHead

HEADS = 64  # kept in memory

Parts = Mapping[str, Any]


@dataclass(frozen=True)
class HeadSpec:
    """What a head is asked to be, beside the parts that its kind is made of."""

    kind: str
    space: str
    activation: str = "none"
    labels: list[str] | None = None


@dataclass(frozen=True)
class Stitched:
    """What a head made of vectors, and what translated them, if anything had to."""

    head: Record
    outputs: Tensor  # (n, *shape)
    route: Route | None

    @property
    def named(self) -> dict[str, Any]:
        """What an answer says of it."""
        nothing: dict[str, Any] = {"translator": None, "version": None, "path": [], "stale": None}
        named = self.route.named if self.route else nothing
        return {"head": self.head.name, "head_version": self.head.version, **named}


class Heads(Resources):
    """Each rests on its space. What it is made of lies in one blob, in the form of its kind."""

    def __init__(
        self, store: Store, spaces: Spaces, translators: Translators, kinds: Mapping[str, HeadKind]
    ) -> None:
        super().__init__(store, "head")
        self.spaces, self.translators, self.kinds = spaces, translators, kinds
        self._cached = lru_cache(maxsize=HEADS)(self._read)

    def put(self, name: str, spec: HeadSpec, parts: Parts, if_match: str | None) -> tuple[Record, bool]:
        """NotFound, UnknownMethod, InvalidHead, WrongDimension, InUse."""
        head = self.made(spec, parts)
        check_labels(spec, head)

        def change(current: Record | None) -> Write | None:
            return self._write(name, current, spec, head)

        return self.change(name, if_match, change)

    def made(self, spec: HeadSpec, parts: Parts) -> Head:
        """UnknownMethod, InvalidHead."""
        if spec.kind not in self.kinds:
            raise UnknownMethod(
                f"kind must be one of {list(self.kinds)}, got {spec.kind!r}",
                expected=list(self.kinds),
                got=spec.kind,
            )
        check_activation(spec.activation)
        kind = self.kinds[spec.kind]
        check_parts(spec.kind, kind.parts, parts)
        return kind.of_parts(spec.activation, parts)

    def of(self, record: Record) -> Head:
        """In memory, as the record says. CorruptStore if it was replaced meanwhile: see `steady`."""
        value = record.value
        parameters = tuple(value["parameters"].items())
        return self._cached(value["kind"], value["activation"], value["artifact"], parameters)

    def stitch(self, source: str, name: str, vectors: Vectors, translator: str | None = None) -> Stitched:
        """vectors (n, d1) of `source` through the head: as they are, if it is of that space, else translated."""
        record, head = self.steady(name, lambda record: (record, self.of(record)))
        check_width(source, Space.of(self.spaces.get(source)), vectors)
        route = self._route(source, record, translator)
        return Stitched(record, run(head, torch.from_numpy(vectors), route), route)

    def _route(self, source: str, record: Record, translator: str | None) -> Route | None:
        target = record.value["space"]
        if translator is not None:
            route = self.translators.named(translator)
            check_leads(route, source, target)
            return route
        return None if source == target else self.translators.between(source, target, "reconstruction")

    def _read(self, kind: str, activation: str, digest: str, parameters: tuple[tuple[str, Any], ...]) -> Head:
        return self.kinds[kind].of_bytes(self.blob(digest), activation, dict(parameters))

    def _write(self, name: str, current: Record | None, spec: HeadSpec, head: Head) -> Write | None:
        """None if nothing changes."""
        space = self.spaces.get(spec.space)
        check_fits(head, spec.space, Space.of(space))
        data = head.to_bytes()
        digest = digest_of(data)
        value = {
            **asdict(spec),
            "dim": head.dim,
            "shape": list(head.shape),
            "parameters": head.parameters(),
            "artifact": digest,
        }
        if current and current.value == value:
            return None
        return Write(
            "head",
            name,
            current.position if current else 0,
            value,
            rests_on=(("space", space.name),),
            born={("space", space.name): space.created_at},
            alone=current is not None and current.value["space"] != spec.space,
            blobs={digest: data},
            refers=frozenset([digest]),
        )


def run(head: Head, x: Tensor, route: Route | None) -> Tensor:
    """x (n, d1) -> (n, *shape); a linear head and the affine map before it are one product. InvalidVectors."""
    maps = route.maps if route else ()
    if isinstance(head, LinearHead):
        for step in fused((*maps, head.affine)):
            x = step(x)
        outputs = ACTIVATIONS[head.activation](x)
    else:
        for step in maps:
            x = step(x)
        outputs = head(x)
    bad = ~outputs.flatten(1).isfinite().all(1)
    if bad.any():
        row = int(bad.int().argmax())
        raise InvalidVectors(f"row {row}: the head's answer is not finite: scale the vectors down", row=row)
    return outputs


def check_activation(activation: str) -> None:
    if activation not in ACTIVATIONS:
        raise UnknownMethod(
            f"activation must be one of {list(ACTIVATIONS)}, got {activation!r}",
            expected=list(ACTIVATIONS),
            got=activation,
        )


def check_parts(kind: str, known: Mapping[str, bool], parts: Parts) -> None:
    missing = [name for name, needed in known.items() if needed and name not in parts]
    unknown = sorted(set(parts) - set(known))
    if missing or unknown:
        raise InvalidHead(
            f"a head of kind {kind!r} is made of {list(known)}: {missing} are missing, {unknown} do not belong",
            expected=list(known),
            missing=missing,
            unknown=unknown,
        )


def check_labels(spec: HeadSpec, head: Head) -> None:
    """One for each output; a single sigmoid may tell two apart."""
    if spec.labels is None:
        return
    wanted = [2, 1] if head.activation == "sigmoid" and head.shape == (1,) else list(head.shape)
    if len(head.shape) != 1 or len(spec.labels) not in wanted:
        raise InvalidHead(
            f"labels name the outputs: there are {list(head.shape)} of them and {len(spec.labels)} labels",
            expected=wanted,
            got=len(spec.labels),
        )


def check_fits(head: Head, name: str, space: Space) -> None:
    if head.dim != space.dim:
        raise WrongDimension(
            f"the head takes vectors of {head.dim} dimensions, space {name!r} has {space.dim}",
            expected=space.dim,
            got=head.dim,
        )


def check_leads(route: Route, source: str, target: str) -> None:
    if (route.source, route.target) != (source, target):
        pair: Sequence[str] = pair_of(route.steps[0])
        raise InvalidInput(
            f"translator {route.steps[0].name!r} leads from {pair[0]!r} to {pair[1]!r}, the head needs one from "
            f"{source!r} to {target!r}",
            expected={"source": source, "target": target},
            got={"source": pair[0], "target": pair[1]},
        )
