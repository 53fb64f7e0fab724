"""Items with what is true of them: a label each, or values."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

from anchors import AnchorSet
from app.errors import InvalidInput
from app.service.spaces import NAMED, Spaces, check_known
from app.store.rows import Vectors

MARK = 16  # bytes of a digest that an item is known again by

Truth = list[str] | Tensor  # labels (n), or values (n, ...)


@dataclass(frozen=True)
class Examples:
    """Vectors (n, d) of a space, and what is true of them; `ids` where the items are named, `native` (n, d2) where
    they are known in the head's own space too.
    """

    space: str
    vectors: Vectors
    truth: Truth
    ids: list[str] | None = None
    native: Vectors | None = None

    def __len__(self) -> int:
        return len(self.vectors)


def examples(spaces: Spaces, space: str, truth: Truth, ids: list[str] | None, vectors: Vectors | None) -> Examples:
    """Of `vectors`, or else of the anchors `ids`. NotFound, InvalidInput, WrongDimension."""
    if vectors is None:
        anchors, ids = spaces.anchors(space), ids or []
        check_known(space, ids, set(anchors.ids))
        vectors = anchors.rows(ids)
    spaces.check_width(space, vectors)
    return Examples(space, vectors, truth, ids)


def known_as(of: Examples, anchors: AnchorSet, home: AnchorSet | None = None) -> list[str | None]:
    """The id of every item: that of an anchor, or else of the anchor that is the same vector, be it one of its own
    space or, for its native vector, of the head's, or else what it came with.
    """
    ids: list[str | None] = [*of.ids] if of.ids else [None] * len(of)
    ids = named_by(of.vectors, anchors, ids)
    return ids if of.native is None or home is None else named_by(of.native, home, ids)


def named_by(vectors: Vectors, anchors: AnchorSet, ids: Sequence[str | None]) -> list[str | None]:
    """ids (n,), but where they are none of the anchors', that of the one that is the same as the vector (n, d)."""
    rows = [vector.tobytes() for vector in vectors]
    wanted, names = set(rows), set(anchors.ids)
    held = zip(anchors.ids, anchors.vectors, strict=True)
    same = {data: id_ for id_, vector in held if (data := vector.tobytes()) in wanted}
    return [id_ if id_ in names else same.get(row, id_) for id_, row in zip(ids, rows, strict=True)]


def marks(of: Examples, ids: Sequence[str | None]) -> list[set[bytes]]:
    """Of every item: of its vectors, and of its id if it has one."""
    matrices = [of.vectors] if of.native is None else [of.vectors, of.native]
    vectors = ({mark(b"vector", vector.tobytes()) for vector in item} for item in zip(*matrices, strict=True))
    names = ({mark(b"id", id_.encode())} if id_ is not None else set() for id_ in ids)
    return [vector | name for vector, name in zip(vectors, names, strict=True)]


def mark(kind: bytes, data: bytes) -> bytes:
    return blake2b(data, digest_size=MARK, person=kind).digest()


def places(truth: list[str], labels: list[str]) -> Tensor:
    """(n,) in `labels`. InvalidInput."""
    place = {label: number for number, label in enumerate(labels)}
    unknown = sorted(set(truth) - set(labels))
    if unknown:
        raise InvalidInput(
            f"label {unknown[0]!r} is none of the head's {labels[:NAMED]}; {len(unknown)} are unknown",
            expected=labels,
            unknown=unknown[:NAMED],
        )
    return torch.tensor([place[label] for label in truth])
