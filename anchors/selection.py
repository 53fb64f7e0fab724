"""Which of many items make good anchors: vectors (n, d) -> `count` rows, sorted and distinct."""

from collections.abc import Callable, Mapping

import numpy as np

from anchors.arrays import Matrix, Rows
from anchors.clusters import clusters
from anchors.errors import InvalidCount, UnknownSelector

RIDGE = 1e-6  # of the longest squared length: directions below it count as noise


def uniform(vectors: Matrix, count: int, seed: int) -> Rows:
    """Each row with the same chance."""
    return np.random.default_rng(seed).choice(len(vectors), count, replace=False)


def farthest_point(vectors: Matrix, count: int, seed: int) -> Rows:
    """Each next row is the one farthest from those chosen; the seed chooses the first.

    Gonzalez 1985, "Clustering to minimize the maximum intercluster distance": no row lies farther
    from those chosen than twice the least possible, and those chosen lie half as far apart as possible at least.
    """
    rows = [int(np.random.default_rng(seed).integers(len(vectors)))]
    distance = np.full(len(vectors), np.inf)  # (n,) to the nearest chosen row
    while len(rows) < count:
        distance = np.minimum(distance, np.square(vectors - vectors[rows[-1]], dtype=np.float64).sum(1))
        distance[rows] = -1  # a copy of a chosen row is at 0
        rows.append(int(distance.argmax()))
    return np.array(rows)


def kmeans(vectors: Matrix, count: int, seed: int) -> Rows:
    """The row nearest to each centroid that no earlier centroid has taken."""
    rows: list[int] = []
    for centroid in clusters(vectors, count, seed)[0]:
        distance = np.square(vectors - centroid, dtype=np.float64).sum(1)
        distance[rows] = np.inf
        rows.append(int(distance.argmin()))
    return np.array(rows)


def leverage(vectors: Matrix, count: int, seed: int) -> Rows:  # noqa: ARG001  nothing is left to chance
    """Each next row is the one with the highest leverage h = x M⁻¹ xᵀ given those chosen, M = λI + Σ xᵀx.

    The sequential D-optimal design of Wynn 1970, "The sequential generation of D-optimum experimental designs".
    While directions are left that no chosen row has, it takes the row with most of them, as pivoted QR does
    (Businger & Golub 1965); after that, the row that the chosen ones determine worst. Sherman-Morrison:
        g = M⁻¹ x        M⁻¹ <- M⁻¹ - g gᵀ / (1 + h)        h_i <- h_i - (x_i g)² / (1 + h)
    """
    x = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    lengths = np.square(x).sum(1)
    penalty = RIDGE * max(lengths.max(), np.finfo(np.float64).tiny / RIDGE)
    inverse, h = np.eye(x.shape[1]) / penalty, lengths / penalty
    rows: list[int] = []
    while len(rows) < count:
        h[rows] = -np.inf
        rows.append(int(h.argmax()))
        gain, whole = inverse @ x[rows[-1]], 1 + h[rows[-1]]
        inverse -= np.outer(gain, gain) / whole
        h -= np.square(x @ gain) / whole
    return np.array(rows)


Selector = Callable[[Matrix, int, int], Rows]
SELECTORS: Mapping[str, Selector] = {
    selector.__name__: selector for selector in (uniform, farthest_point, kmeans, leverage)
}


def select(name: str, vectors: Matrix, count: int, seed: int = 0) -> Rows:
    """All rows where there are no more than `count`. UnknownSelector, InvalidCount."""
    if name not in SELECTORS:
        raise UnknownSelector(
            f"selector must be one of {list(SELECTORS)}, got {name!r}", expected=list(SELECTORS), got=name
        )
    check_count(count)
    if count >= len(vectors):
        return np.arange(len(vectors))
    return np.sort(SELECTORS[name](vectors, count, seed))


def check_count(count: int) -> None:
    if count < 1:
        raise InvalidCount(f"the number of anchors must be at least 1, got {count}", expected=1, got=count)
