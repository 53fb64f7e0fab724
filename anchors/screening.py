"""Which pairs cannot be used, seen from their vectors alone.

zero       no direction: the mark of an input that an encoder failed on
constant   all components equal: a filler. Centring on the anchors' mean would give it a direction, but one that
           says nothing of an item. Below WIDE components it may be a true value and stays
copy       a vector that an earlier pair has already, in both spaces: it would weigh its item twice and be held
           out against itself
conflict   a vector that an earlier pair has already, in one space only. Which of the two counterparts is right
           cannot be seen, so the first stays: dropping both would lose every item that an encoder merges with
           another, keeping both would put one vector on both sides of a held-out test
"""

import numpy as np

from anchors.pairing import Pairs
from anchors.sets import Vectors

WIDE = 8  # components from which equality is no chance


def screen(pairs: Pairs) -> tuple[Pairs, dict[str, str]]:
    """The pairs that can be used, and why each of the others cannot: {id: reason}."""
    dropped = empty(pairs.ids, pairs.source, "source") | empty(pairs.ids, pairs.target, "target")
    dropped |= repeated(kept(pairs, dropped))
    return kept(pairs, dropped), dropped


def kept(pairs: Pairs, dropped: dict[str, str]) -> Pairs:
    rows = [row for row, id_ in enumerate(pairs.ids) if id_ not in dropped]
    return Pairs([pairs.ids[row] for row in rows], pairs.source[rows], pairs.target[rows])


def empty(ids: list[str], vectors: Vectors, side: str) -> dict[str, str]:
    """The ids whose vector (n, d) says nothing."""
    zero = ~vectors.any(axis=1)
    constant = (vectors == vectors[:, :1]).all(axis=1) & (vectors.shape[1] >= WIDE)
    reasons = {
        ids[row]: f"the {side} vector is constant: all its components are equal"
        for row in np.flatnonzero(constant)
    }
    return reasons | {ids[row]: f"the {side} vector is zero" for row in np.flatnonzero(zero)}


def repeated(pairs: Pairs) -> dict[str, str]:
    """The ids with a vector of a pair that was kept before them."""
    reasons: dict[str, str] = {}
    first_source: dict[bytes, str] = {}
    first_target: dict[bytes, str] = {}
    for id_, x, y in zip(pairs.ids, bits(pairs.source), bits(pairs.target), strict=True):
        if x in first_source or y in first_target:
            reasons[id_] = repetition(first_source.get(x), first_target.get(y))
        else:
            first_source[x] = first_target[y] = id_
    return reasons


def repetition(source: str | None, target: str | None) -> str:
    """Why a pair whose vectors belong to `source` and to `target` already is dropped."""
    if source == target:
        return f"a copy of {source!r} in both spaces"
    if source is None or target is None:
        side = "target" if source is None else "source"
        return f"the {side} vector is that of {source or target!r}, the other is not: a contradiction"
    return f"the source vector is that of {source!r}, the target vector that of {target!r}: a contradiction"


def bits(vectors: Vectors) -> list[bytes]:
    """(n,): equal for equal rows; adding 0 makes -0 and 0 one."""
    return [row.tobytes() for row in vectors + 0]
