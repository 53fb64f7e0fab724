"""Items with what is true of them: a label each, or values."""

from dataclasses import dataclass

import torch
from torch import Tensor

from app.errors import InvalidInput
from app.service.spaces import NAMED, Space, Spaces, check_known, check_width
from app.store.rows import Vectors

Truth = list[str] | Tensor  # labels (n), or values (n, ...)


@dataclass(frozen=True)
class Examples:
    """Vectors (n, d) of a space, and what is true of them; `ids` where the items are named."""

    space: str
    vectors: Vectors
    truth: Truth
    ids: list[str] | None = None

    def __len__(self) -> int:
        return len(self.vectors)


def examples(spaces: Spaces, space: str, truth: Truth, ids: list[str] | None, vectors: Vectors | None) -> Examples:
    """Of `vectors`, or else of the anchors `ids`. NotFound, InvalidInput, WrongDimension."""
    if vectors is None:
        anchors, ids = spaces.anchors(space), ids or []
        check_known(space, ids, set(anchors.ids))
        vectors = anchors.rows(ids)
    check_width(space, Space.of(spaces.get(space)), vectors)
    return Examples(space, vectors, truth, ids)


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
