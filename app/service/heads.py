"""Heads: decoders of the vectors of one space, or of relative codes that every space has."""

from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import orjson

from app.errors import Conflict, StaleWrite, WrongDimension
from app.onnx.head import OnnxHead
from app.service.examples import MARK
from app.service.inputs import check_choice
from app.service.relative import RelativeSpec, check_number
from app.service.resources import Resources, deletion
from app.service.spaces import Space, Spaces
from app.store import Record, Store, Write
from app.store.base import digest_of
from models.errors import InvalidHead, UnknownMethod
from models.heads import ACTIVATIONS, HEADS, Head, HeadKind

KINDS = (*HEADS, OnnxHead.kind)
LOADED = 64  # heads kept in memory
BEFORE = {"relative": None, "fit": None, "seen": digest_of(b"")}  # what heads of before did not say, and had

Parts = Mapping[str, Any]


@dataclass(frozen=True)
class HeadSpec:
    """What a head is asked to be, beside the parts that its kind is made of: of a space, or else relative."""

    kind: str
    space: str | None
    relative: RelativeSpec | None = None
    activation: str = "none"
    labels: list[str] | None = None


class Heads(Resources):
    """Each rests on its space, if it has one. What it is made of lies in one blob, in the form of its kind.

    Another has the marks of the items that it was fitted on. Its evaluations lie beside it: they do not change it.
    """

    def __init__(self, store: Store, spaces: Spaces, kinds: Mapping[str, HeadKind]) -> None:
        super().__init__(store, "head")
        self.spaces, self.kinds = spaces, kinds
        self._evaluations = Resources(store, "evaluations")
        self._cached = lru_cache(maxsize=LOADED)(self._read)

    def put(self, name: str, spec: HeadSpec, parts: Parts, if_match: str | None) -> tuple[Record, bool]:
        """NotFound, UnknownMethod, InvalidHead, InvalidOption, WrongDimension, InUse."""
        return self.put_made(name, spec, self.made(spec, parts), if_match)

    def put_made(
        self,
        name: str,
        spec: HeadSpec,
        head: Head,
        if_match: str | None,
        fit: Mapping[str, Any] | None = None,
        seen: Set[bytes] = frozenset(),
    ) -> tuple[Record, bool]:
        """`fit` tells of one that was fitted here, `seen` are the marks of the items that it was fitted on.

        NotFound, InvalidHead, InvalidOption, WrongDimension, InUse.
        """
        check_labels(spec.labels, head)
        if spec.relative:
            check_codes(spec.relative, head)
        data, marks = head.to_bytes(), b"".join(sorted(seen))
        value = {
            **asdict(spec),
            "dim": head.dim,
            "shape": list(head.shape),
            "parameters": head.parameters(),
            "artifact": digest_of(data),
            "fit": fit,
            "seen": digest_of(marks),
        }

        def change(current: Record | None) -> Write | None:
            if current and value.items() <= {**BEFORE, **current.value}.items():
                return None
            moves = current is not None and current.value["space"] != spec.space
            write = self._write(name, current, value)
            return replace(write, alone=moves, blobs={digest_of(part): part for part in (data, marks)})

        return self.change(name, if_match, change)

    def delete(self, name: str, if_match: str | None) -> list[Record]:
        along = super().delete(name, if_match)
        kept, head = self._evaluations.find(name), self.find(name)
        if kept and (head is None or kept.value["head"] != head.position):
            with suppress(StaleWrite):  # another deletes them too, or has made the head anew and evaluates it
                self.store.commit(deletion(kept))
        return along

    def keep(self, head: Record, space: str, evaluation: Mapping[str, Any]) -> None:
        """In place of an earlier one of the same space. NotFound; Conflict if the head was replaced."""

        def change(current: Record | None) -> Write:
            if self.get(head.name).position != head.position:
                raise Conflict(f"head {head.name!r} was replaced while it was evaluated: try again")
            value = {"head": head.position, "last": {**last_of(current, head), space: evaluation}}
            return Write("evaluations", head.name, current.position if current else 0, value)

        self._evaluations.change(head.name, None, change)

    def evaluations(self, head: Record) -> dict[str, Any]:
        """The last one of each space."""
        return last_of(self._evaluations.find(head.name), head)

    def evaluations_of(self, heads: Sequence[Record], after: str) -> list[dict[str, Any]]:
        """Those of each of the heads of a page, which come next after this name; in one read, or a few."""
        kept: dict[str, Record] = {}
        while heads and after < heads[-1].name:
            found = self.store.page(self._evaluations.kind, after, len(heads))
            kept |= {record.name: record for record in found}
            after = found[-1].name if len(found) == len(heads) else heads[-1].name
        return [last_of(kept.get(head.name), head) for head in heads]

    def made(self, spec: HeadSpec, parts: Parts) -> Head:
        """UnknownMethod, InvalidHead."""
        check_choice("kind", spec.kind, self.kinds, UnknownMethod)
        check_choice("activation", spec.activation, ACTIVATIONS, UnknownMethod)
        kind = self.kinds[spec.kind]
        check_parts(spec.kind, kind.parts, parts)
        return kind.of_parts(spec.activation, parts)

    def loaded(self, name: str) -> tuple[Record, Head]:
        """The head as it is now, in memory. NotFound."""
        return self.steady(name, lambda record: (record, self.of(record)))

    def of(self, record: Record) -> Head:
        """In memory, as the record says. CorruptStore if it was replaced meanwhile: see `loaded`."""
        value = record.value
        return self._cached(
            value["kind"], value["activation"], value["artifact"], orjson.dumps(value["parameters"])
        )

    def seen(self, record: Record) -> set[bytes]:
        """Marks of the items that it was fitted on. CorruptStore if it was replaced meanwhile."""
        marks = self.blob(record.value["seen"]) if has_marks(record) else b""
        return {marks[start : start + MARK] for start in range(0, len(marks), MARK)}

    def _read(self, kind: str, activation: str, digest: str, parameters: bytes) -> Head:
        return self.kinds[kind].of_bytes(self.blob(digest), activation, orjson.loads(parameters))

    def _write(self, name: str, current: Record | None, value: dict[str, Any]) -> Write:
        """NotFound, WrongDimension."""
        on = [self.spaces.get(value["space"])] if value["space"] else []
        for space in on:
            check_width(value["dim"], space)
        return Write(
            "head",
            name,
            current.position if current else 0,
            value,
            rests_on=tuple((space.kind, space.name) for space in on),
            born={(space.kind, space.name): space.created_at for space in on},
            refers=frozenset([value["artifact"], value["seen"]]),
        )


def last_of(evaluations: Record | None, head: Record) -> dict[str, Any]:
    """By space; none of what a head of this name was before. Heads of before held their evaluations themselves."""
    beside = evaluations is not None and evaluations.value["head"] == head.position
    last: dict[str, Any] = (
        evaluations.value["last"] if evaluations and beside else head.value.get("evaluations", {})
    )
    return last


def has_marks(head: Record) -> bool:
    """Heads of before had none of the items that they were fitted on."""
    return "seen" in head.value


def answering_digest(head: Record) -> str:
    """Of all that its outputs depend on: the same tensors may make another network."""
    parts = {name: head.value[name] for name in ("kind", "activation", "parameters", "artifact")}
    return digest_of(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS))


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


def check_labels(labels: list[str] | None, head: Head) -> None:
    """One for each output; a single sigmoid may tell two apart."""
    if labels is None:
        return
    wanted = [2, 1] if head.activation == "sigmoid" and head.shape == (1,) else list(head.shape)
    if len(head.shape) != 1 or len(labels) not in wanted:
        raise InvalidHead(
            f"labels name the outputs: these are of shape {list(head.shape)}, got {len(labels)} labels",
            expected=wanted,
            got=len(labels),
        )


def check_codes(relative: RelativeSpec, head: Head) -> None:
    check_number(len(relative.anchors))
    if head.dim != relative.dim:
        raise WrongDimension(
            f"the head takes vectors of {head.dim} dimensions, the relative codes have {relative.dim}: "
            "one for each anchor, and that for each similarity unless they are summed",
            expected=relative.dim,
            got=head.dim,
        )


def check_width(dim: int, space: Record) -> None:
    if dim != Space.of(space).dim:
        raise WrongDimension(
            f"the head takes vectors of {dim} dimensions, space {space.name!r} has {Space.of(space).dim}",
            expected=Space.of(space).dim,
            got=dim,
        )
