"""Ways between spaces that share no anchors: through others."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

LONGEST = 3  # translators on a way

Edge = tuple[str, str]


def paths(edges: Mapping[str, set[str]], source: str, target: str) -> Iterator[list[Edge]]:
    """Every way from `source` to `target` of at most LONGEST steps that passes no space twice, shortest first."""
    ways: list[list[str]] = [[source]]
    for _ in range(LONGEST):
        longer = [[*way, space] for way in ways for space in sorted(edges.get(way[-1], ())) if space not in way]
        for way in longer:
            if way[-1] == target:
                yield list(pairwise(way))
        ways = [way for way in longer if way[-1] != target]


def best_path(
    edges: Mapping[str, set[str]], source: str, target: str, quality: Callable[[Edge], float]
) -> list[Edge] | None:
    """The way with the largest product of qualities in [0, 1]; the shorter of two as good. None without any."""
    best, most = None, -1.0
    for path in paths(edges, source, target):
        product = 1.0
        for edge in path:
            product *= quality(edge)
        if product > most:
            best, most = path, product
    return best
