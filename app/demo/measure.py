"""How much of a search survives a translation: asked over HTTP, once natively, translated, untranslated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.demo.server import Client, Vectors

K = 10


@dataclass(frozen=True)
class Quality:
    """Means over the queries, each of which is an item of the collection in another encoder's vectors."""

    own: float  # reciprocal rank of the item itself, 0 beyond K
    alike: float  # share of the K others found that bear the item's label


MEASURES = {
    "own": "The item itself is found (mean reciprocal rank)",
    "alike": f"The {K} nearest others share its module, or its digit (share)",
}


@dataclass(frozen=True)
class Comparison:
    """One directed pair of encoders, three ways."""

    source: str
    target: str
    native: Quality
    translated: Quality
    untranslated: Quality


def compare(
    client: Client, source: str, target: str, queries: dict[str, Vectors], ids: list[str], labels: Sequence[Any]
) -> Comparison:
    """`queries` holds the same items in both spaces; the collection bears the name of its space."""
    swapped = fitted_to(queries[source], queries[target].shape[1])
    found = (
        client.search(target, queries[target], K + 1),
        client.search(target, queries[source], K + 1, space=source),
        client.search(target, swapped, K + 1),
    )
    return Comparison(source, target, *(quality(results, ids, labels) for results in found))


def fitted_to(vectors: Vectors, width: int) -> Vectors:
    """What a naive swap would have to do: cut, or pad with zeros."""
    cut = vectors[:, :width]
    return np.pad(cut, ((0, 0), (0, width - cut.shape[1])))


def quality(results: list[list[Any]], ids: list[str], labels: Sequence[Any]) -> Quality:
    own = [reciprocal_rank(hits[:K], id_) for hits, id_ in zip(results, ids, strict=True)]
    alike = [share_alike(hits, id_, label) for hits, id_, label in zip(results, ids, labels, strict=True)]
    return Quality(float(np.mean(own)), float(np.mean(alike)))


def reciprocal_rank(hits: list[Any], id_: str) -> float:
    """Hits that are as near as the item itself count half: which of equals comes first says nothing."""
    own = next((hit["score"] for hit in hits if hit["id"] == id_), None)
    if own is None:
        return 0.0
    nearer: int = sum(hit["score"] > own for hit in hits)
    equal: int = sum(hit["score"] == own for hit in hits) - 1
    return 1 / (1 + nearer + equal / 2)


def share_alike(hits: list[Any], id_: str, label: Any) -> float:
    others = [hit for hit in hits if hit["id"] != id_][:K]
    return float(np.mean([hit["payload"]["label"] == label for hit in others]))
