"""Payload fields as columns of slots: what filters are evaluated on, whatever the store and the index.

A key leads by dots into objects, and into every element of an array, so a payload may hold any number of values
under it, of any JSON types. A column therefore has one Arrow array for each type, beside the slots of its values.
It is derived: read when a filter first asks for its key, and caught up before each use with what came since.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from app.index import Mask, Slots

COLUMNS = 64  # keys that are kept
KINDS: Mapping[type, pa.DataType] = {
    str: pa.large_string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    dict: pa.bool_(),  # of an object, that it is there
}
LOWEST, HIGHEST = -(2**63), 2**63 - 1

Test = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class Part:
    """The values of one type, and the slot of each."""

    slots: Slots
    values: pa.Array

    def extended(self, slots: Sequence[int], values: Sequence[Any]) -> "Part":
        more = pa.array(values, self.values.type)
        return Part(np.concatenate([self.slots, np.array(slots, np.int64)]), pa.concat_arrays([self.values, more]))


class Column:
    """All values under one key. `a[].b`, Qdrant's way into arrays, is `a.b`."""

    def __init__(self, key: str) -> None:
        self.path = tuple(key.replace("[]", "").split("."))
        self.batches, self.slots = 0, 0  # that are read
        self._parts = {kind: Part(np.empty(0, np.int64), pa.array([], type_)) for kind, type_ in KINDS.items()}

    def read(self, batches: Sequence[Sequence[bytes]]) -> None:
        """The payloads of the slots that follow."""
        found: dict[type, tuple[list[int], list[Any]]] = {kind: ([], []) for kind in KINDS}
        for payloads in batches:
            for slot, payload in enumerate(payloads, self.slots):
                for value in values_at(orjson.loads(payload), self.path) if payload else ():
                    slots, values = found[type(value)]
                    slots.append(slot)
                    values.append(value if type(value) is not dict else True)
            self.slots += len(payloads)
        self.batches += len(batches)
        self._parts.update({kind: self._parts[kind].extended(*more) for kind, more in found.items() if more[0]})

    def where(self, kind: type, test: Test) -> Slots:
        """The slots of the values of this type that pass."""
        part = self._parts[kind]
        if not len(part.slots):
            return part.slots
        passes: Mask = test(part.values).to_numpy(zero_copy_only=False)
        return part.slots[passes]


class Columns:
    """Of one collection. `column` may be asked for at any time, the rest is for the owner to keep apart."""

    def __init__(self) -> None:
        self.living: Mask = np.empty(0, np.bool_)  # the slots that hold a point
        self._batches: list[Sequence[bytes]] = []
        self._columns: dict[str, Column] = {}
        self._reading = threading.Lock()

    def append(self, payloads: Sequence[bytes]) -> None:
        """Of the next slots: encoded JSON objects, b"" for none."""
        self._batches.append(payloads)
        self.living = np.concatenate([self.living, np.ones(len(payloads), np.bool_)])

    def remove(self, slots: Slots) -> None:
        self.living[slots] = False

    def column(self, key: str) -> Column:
        """With all that has been appended."""
        with self._reading:
            column = self._columns.pop(key, None) or Column(key)
            column.read(self._batches[column.batches :])
            self._columns[key] = column  # the last used stands last
            if len(self._columns) > COLUMNS:
                self._columns.pop(next(iter(self._columns)))
            return column


def values_at(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """Texts, numbers, booleans and objects; null is no value."""
    if type(value) is list:
        for element in value:
            yield from values_at(element, path)
    elif path:
        if type(value) is dict and path[0] in value:
            yield from values_at(value[path[0]], path[1:])
    elif value is not None:
        yield number(value)


def number(value: Any) -> Any:
    """Integers beyond 64 bits as floats, -0.0 as 0.0, all else as it is."""
    beyond = type(value) is int and not LOWEST <= value <= HIGHEST
    return value + 0.0 if beyond or type(value) is float else value
