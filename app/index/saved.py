"""An approximation in a file: a cache, believed as far as its checksum and the points themselves bear it out.

A code is that of a vector, whatever point has it: beside each the file holds a fingerprint of the vector it was
made from. So a file of another time, or of another collection of that name, gives what is still true and no more.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.index.approximation import AT_ONCE, Approximation
from app.index.base import Slots, Vectors
from app.index.faiss import Codes
from app.index.view import View

FORMAT = 2
DIGEST, LENGTH = 32, 8  # bytes of the checksum, and of the length of the header
NOBODY = 2**64 - 1  # the fingerprint of a vector that is no longer known
LONGER = 1.1  # times as many codes as the file has, and it is written again
KEPT = (
    *("learned", "effort", "effort_at_first", "fetch"),
    *("recall_at_10", "recall_at_30", "is_enough", "made_at", "built_at"),
)

Prints = NDArray[np.uint64]
logger = logging.getLogger("anchorage")


class Saved:
    """Of one collection, searched by its metric. A file that cannot be read or written is as none."""

    def __init__(self, path: Path, metric: str) -> None:
        self.path, self.metric = path, metric
        self._codes, self._made = (
            0,
            ("", ""),
        )  # codes of the approximation in the file, its kind and when it was made

    def load(self, kind: str, view: View) -> Approximation | None:
        """Of the points whose vectors it knows; None if these are none."""
        try:
            header, prints, data = unpacked(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("%s is built anew: %s", self.path, error)
            return None
        if not self._identity(kind, view).items() <= header.items():
            return None
        taken = view.taken.nonzero()[0]
        rows = matched(prints, fingerprints(view.vectors, taken))
        slots = np.append(taken, -1)[rows]
        if not (slots >= 0).any():
            return None
        codes = Codes.from_bytes(data, header["scale"], header["length"])
        self._codes, self._made = len(codes), (kind, header["made_at"])
        return Approximation(kind, codes, slots, changes=view.changes, **{name: header[name] for name in KEPT})

    def save(self, near: Approximation, view: View) -> None:
        """Unless it is hardly longer than what is in the file."""
        if (near.kind, near.made_at) == self._made and len(near.slots) < LONGER * self._codes:
            return
        prints = np.full(len(near.slots), NOBODY, np.uint64)
        unchanged = (near.slots >= 0) & (view.written[near.slots] <= near.changes)
        prints[unchanged] = fingerprints(view.vectors, near.slots[unchanged])
        header = {
            **self._identity(near.kind, view),
            **{name: getattr(near, name) for name in KEPT},
            "points": len(prints),
            "scale": near.codes.scale,
            "length": near.codes.length,
        }
        try:
            write(self.path, packed(header, prints, near.codes.to_bytes()))
        except OSError as error:
            logger.warning("%s is not saved: %s", self.path, error)
            return
        self._codes, self._made = len(near.slots), (near.kind, near.made_at)

    def delete(self) -> None:
        """With what a write that was broken off has left."""
        for path in (self.path, beside(self.path)):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("%s is not deleted: %s", path, error)

    def _identity(self, kind: str, view: View) -> dict[str, Any]:
        return {"format": FORMAT, "kind": kind, "metric": self.metric, "dim": view.vectors.shape[1]}


def packed(header: Mapping[str, Any], prints: Prints, codes: NDArray[np.uint8]) -> list[bytes]:
    text = json.dumps(header).encode()
    parts = [len(text).to_bytes(LENGTH, "little"), text, prints.astype("<u8").tobytes(), codes.tobytes()]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return [digest.digest(), *parts]


def unpacked(data: bytes) -> tuple[dict[str, Any], Prints, NDArray[np.uint8]]:
    """ValueError if it is not as it was written."""
    if hashlib.sha256(memoryview(data)[DIGEST:]).digest() != data[:DIGEST]:
        raise ValueError("it does not match its checksum")
    start = DIGEST + LENGTH
    end = start + int.from_bytes(data[DIGEST:start], "little")
    header = json.loads(data[start:end])
    prints = np.frombuffer(data, "<u8", header["points"], end)
    return header, prints, np.frombuffer(data, np.uint8, offset=end + prints.nbytes)


def write(path: Path, parts: Sequence[bytes]) -> None:
    """All or nothing, and on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path).open("wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())
    beside(path).replace(path)


def beside(path: Path) -> Path:
    """Where it is written first."""
    return path.with_name(f"{path.name}.tmp")


def fingerprints(vectors: Vectors, slots: Slots) -> Prints:
    """Of the bits of each: equal for equal vectors, and hardly ever for others."""
    odd = np.random.default_rng(0).integers(2**64, size=vectors.shape[1], dtype=np.uint64) | np.uint64(1)
    prints = np.empty(len(slots), np.uint64)
    for start in range(0, len(slots), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        prints[part] = vectors[slots[part]].view(np.uint32).astype(np.uint64) @ odd
    return prints


def matched(prints: Prints, known: Prints) -> Slots:
    """For each of prints (p,) a place in known (n,) that equals it, no place twice; -1 where none is left."""
    order, places = np.argsort(prints, kind="stable"), np.append(np.argsort(known, kind="stable"), -1)
    wanted = prints[order]
    among_equals = np.arange(len(wanted)) - np.searchsorted(wanted, wanted)
    at = (np.searchsorted(known[places[:-1]], wanted) + among_equals).clip(max=len(known))
    found = places[at]
    result = np.empty(len(prints), np.int64)
    result[order] = np.where((found >= 0) & (np.append(known, np.uint64(0))[found] == wanted), found, -1)
    return result
