"""What another encoder's queries find of what native ones do: translated, and untranslated, asked over HTTP."""

from argparse import Namespace

import numpy as np
from numpy.typing import NDArray

from app.demo.measure import fitted_to
from app.demo.server import Client, running_server
from benchmarks.quality.data import BY_CLASS, Spaces, spaces
from benchmarks.quality.report import grid

K, WIDE = 10, 100
WAYS = ["native", "translated", "untranslated"]
NOTE = f"""
own: the item itself is among the {K} nearest. overlap@{K}: of the {K} nearest other items of a native query,
the share among the {K} nearest others. recall@{WIDE}: the share among the {WIDE} nearest, where re-ranking can
still find them.
"""

Hits = list[list[str]]
Figures = NDArray[np.float64]  # (3,) own, overlap, recall


def run(options: Namespace) -> None:
    means: list[list[str]] = []
    print(f"{options.anchors} anchors, {options.queries} queries of each pair\n{NOTE}")
    print(table([]), flush=True)
    with running_server() as client:
        for name in options.files:
            of = spaces(name)
            put(client, of, options.anchors)
            found = []
            for source, target in of.pairs[:: options.pairs_step]:
                found.append(three_ways(client, of, source, target, options.queries))
                print("| " + " | ".join(row(f"{name} {source} → {target}", found[-1])) + " |", flush=True)
            note = ", the pairing says the class only" if name in BY_CLASS else ""
            means.append(row(f"{name}: {len(found)} of {len(of.pairs)} pairs{note}", np.mean(found, 0)))
    print(f"\nMeans\n\n{table(means)}")


def put(client: Client, of: Spaces, anchors: int) -> None:
    """Every space of a file, and a collection of its test vectors."""
    rows, gallery = of.anchors(anchors, 0), of.gallery
    for space, vectors in of.vectors.items():
        name = named(of, space)
        client.put_space(name, [str(row) for row in rows], vectors[rows])
        ids = [str(row) for row in range(len(gallery))]
        client.put_collection(name, name, ids, vectors[gallery], [None] * len(ids))


def named(of: Spaces, space: str) -> str:
    return f"{of.name}.{space}"


def three_ways(client: Client, of: Spaces, source: str, target: str, queries: int) -> Figures:
    """native, translated, untranslated: (3, 3)"""
    x, y = (of.vectors[space][of.gallery[:queries]] for space in (source, target))
    collection, k = named(of, target), WIDE + 1
    native = client.search(collection, y, k)
    translated = client.search(collection, x, k, named(of, source))
    untranslated = client.search(collection, fitted_to(x, y.shape[1]), k)
    right = ids_of(native)
    return np.array([figures(ids_of(found), right) for found in (native, translated, untranslated)])


def ids_of(results: list[list[dict[str, str]]]) -> Hits:
    return [[hit["id"] for hit in hits] for hits in results]


def figures(found: Hits, native: Hits) -> Figures:
    """Means over queries, of which number i is of the item i."""
    rows = [of_query(hits, right, str(own)) for own, (hits, right) in enumerate(zip(found, native, strict=True))]
    mean: Figures = np.mean(rows, 0)
    return mean


def of_query(hits: list[str], right: list[str], own: str) -> tuple[float, float, float]:
    others = [id_ for id_ in hits if id_ != own]
    wanted = {*[id_ for id_ in right if id_ != own][:K]}
    return own in hits[:K], len(wanted & {*others[:K]}) / K, len(wanted & {*others[:WIDE]}) / K


def row(title: str, ways: Figures) -> list[str]:
    """The native overlap and recall are 1, and left out."""
    own, overlap, recall = ways.T
    return [title, *(f"{value:.3f}" for value in (*own, *overlap[1:], *recall[1:]))]


def table(rows: list[list[str]]) -> str:
    heads = [f"own, {way}" for way in WAYS]
    heads += [f"{measure}, {way}" for measure in (f"overlap@{K}", f"recall@{WIDE}") for way in WAYS[1:]]
    return grid(["", *heads], rows)
