"""The vectors of a collection by slot, in memory once: every way of searching reads them here."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.index.base import Mask, Slots, Vectors, count

Array = TypeVar("Array", bound=NDArray[Any])


class Table:
    """A slot that was removed keeps its vector, unseen, until it is taken again."""

    def __init__(self, dim: int) -> None:
        self.size = 0  # all slots that were ever taken lie below
        self.count = 0  # slots that are taken
        self.changes = 0  # of the table, so far
        self._vectors: Vectors = np.empty((0, dim), np.float32)
        self._taken: Mask = np.zeros(0, np.bool_)
        self._written: Slots = np.zeros(0, np.int64)

    @property
    def vectors(self) -> Vectors:
        """(size, d)"""
        return self._vectors[: self.size]

    @property
    def taken(self) -> Mask:
        """(size,)"""
        return self._taken[: self.size]

    @property
    def written(self) -> Slots:
        """(size,) the change that a slot's vector came with."""
        return self._written[: self.size]

    def reserve(self, slots: int) -> None:
        """Room for so many; without, it is made by doubling."""
        self._vectors, self._taken = roomy(self._vectors, slots), roomy(self._taken, slots)
        self._written = roomy(self._written, slots)

    def put(self, slots: Slots, vectors: Vectors) -> None:
        """slots (n,) distinct, vectors (n, d); a slot that is taken is replaced."""
        if not len(slots):
            return
        self.changes += 1
        self.size = max(self.size, int(slots.max()) + 1)
        self.reserve(self.size)
        self.count += len(slots) - count(self._taken[slots])
        self._vectors[slots], self._taken[slots], self._written[slots] = vectors, True, self.changes

    def remove(self, slots: Slots) -> None:
        """Slots that are not taken are passed over."""
        slots = slots[slots < self.size]
        self.changes += 1
        self.count -= count(self._taken[slots])
        self._taken[slots] = False


def roomy(array: Array, size: int) -> Array:
    """Itself, or a longer copy; what is beyond the end of the old one costs nothing until it is written."""
    if size <= len(array):
        return array
    longer = np.zeros((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer  # type: ignore[return-value]
