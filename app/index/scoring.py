"""How queries q are compared with stored vectors y, by one product with all of them.

Up to what a query has in common with every point, each score grows with its nearness
    Σ_k (q'_k·y - q'_k·m_k) a_k(y) - b(y)
so that K + 1 numbers beside a vector are all that a way of scoring needs; of the metrics K is 1:
    cosine      q' = q / ‖q‖   a = 1 / ‖y‖   b = 0
    ip          q' = q         a = 1         b = 0
    euclidean   q' = 2 (q - m) a = 1         b = ‖y - m‖²    nearness = ‖q - m‖² - ‖q - y‖²
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.index.base import Mask, Vectors

SHORTEST = 1e-38  # 1 / length stays finite in single precision
ROUNDING = 2.0**-24  # times 4 + sqrt(d), of a sum of d products in single precision: at most half of it was seen
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Folded:
    """Queries, and what they are multiplied with stored vectors as."""

    queries: Vectors  # q (m, d)
    vectors: Vectors  # q' (m, K, d)
    offsets: Vectors  # q'·m (m, K)

    @classmethod
    def single(cls, queries: Vectors, vectors: Vectors, offsets: Vectors | None = None) -> "Folded":
        """Of one part: (m, d), (m, d), (m,)."""
        offsets = np.zeros(len(vectors), np.float32) if offsets is None else offsets
        return cls(queries, vectors[:, None], offsets[:, None])

    def __len__(self) -> int:
        return len(self.queries)

    def __getitem__(self, rows: slice | Mask) -> "Folded":
        return Folded(self.queries[rows], self.vectors[rows], self.offsets[rows])


class Scoring(Protocol):
    """`descending`: the larger the score, the nearer. `codes` and `asked` are what an approximation compares."""

    descending: bool
    products: bool  # codes are compared by inner products, and not by distances
    rough: int  # times as many candidates as usual that an approximation should propose
    probes: Vectors | None  # (s, d) such queries as are to be expected, in random order; None: the like of points

    def fold(self, queries: Vectors) -> Folded:
        """(m, d)"""

    def numbers(self, vectors: Vectors) -> Vectors:
        """(n, d) -> a_1 ... a_K and b, (n, K + 1)"""

    def scores(self, folded: Folded, vectors: Vectors, numbers: Vectors) -> Matrix:
        """Each of m queries with candidates of its own (m, c, d), (m, c, K + 1) -> (m, c), exactly."""

    def doubtful(self, queries: Vectors, last: Vectors, worst: Vectors) -> Mask:
        """(m, d), scores (m,), (m,) -> (m,): rounding may have put one as good as the last that counts behind the
        worst that was looked at. Of distances alone: what it confuses of other scores has about one score in
        single precision.
        """

    def codes(self, vectors: Vectors, numbers: Vectors) -> Vectors:
        """(n, d), (n, K + 1) -> (n, w)"""

    def asked(self, folded: Folded) -> Vectors:
        """m queries -> (m, w)"""


class Cosine:
    """Of a zero vector with anything 0."""

    descending = products = True
    rough = 1
    probes: Vectors | None = None

    def fold(self, queries: Vectors) -> Folded:
        return Folded.single(queries, unit(queries))

    def numbers(self, vectors: Vectors) -> Vectors:
        numbers = np.zeros((len(vectors), 2), np.float32)
        numbers[:, 0] = 1 / lengths(vectors)
        return numbers

    def scores(self, folded: Folded, vectors: Vectors, numbers: Vectors) -> Matrix:  # noqa: ARG002
        exact = vectors.astype(np.float64)
        norms = np.sqrt(np.vecdot(exact, exact)) * lengths(folded.queries)[:, None]
        cosines: Matrix = dots(folded.queries, exact) / norms.clip(np.finfo(np.float64).tiny)
        return cosines

    def doubtful(self, queries: Vectors, last: Vectors, worst: Vectors) -> Mask:  # noqa: ARG002
        return np.zeros(len(queries), np.bool_)

    def codes(self, vectors: Vectors, numbers: Vectors) -> Vectors:
        return vectors * numbers[:, :1]

    def asked(self, folded: Folded) -> Vectors:
        return folded.vectors[:, 0]


class InnerProduct:
    """q · y"""

    descending = products = True
    rough = 1
    probes: Vectors | None = None

    def fold(self, queries: Vectors) -> Folded:
        return Folded.single(queries, queries)

    def numbers(self, vectors: Vectors) -> Vectors:
        return np.tile(np.array([1, 0], np.float32), (len(vectors), 1))

    def scores(self, folded: Folded, vectors: Vectors, numbers: Vectors) -> Matrix:  # noqa: ARG002
        return dots(folded.queries, vectors.astype(np.float64))

    def doubtful(self, queries: Vectors, last: Vectors, worst: Vectors) -> Mask:  # noqa: ARG002
        return np.zeros(len(queries), np.bool_)

    def codes(self, vectors: Vectors, numbers: Vectors) -> Vectors:  # noqa: ARG002
        return vectors

    def asked(self, folded: Folded) -> Vectors:
        return folded.queries


class Euclidean:
    """‖q - y‖, by products about the mean of the first vectors: about 0 rounding may hide what sets them apart."""

    descending = products = False
    rough = 1
    probes: Vectors | None = None

    def __init__(self) -> None:
        self._centre: Vectors | None = None  # (d,)

    def fold(self, queries: Vectors) -> Folded:
        if self._centre is None:
            return Folded.single(queries, 2 * queries)
        folded: Vectors = 2 * (queries - self._centre)
        offsets: Vectors = folded @ self._centre
        return Folded.single(queries, folded, offsets)

    def numbers(self, vectors: Vectors) -> Vectors:
        if self._centre is None and len(vectors):
            self._centre = vectors.mean(0, dtype=np.float64).astype(np.float32)
        apart = vectors if self._centre is None else vectors - self._centre
        squares = np.einsum("nd,nd->n", apart, apart, dtype=np.float64)
        return np.column_stack([np.ones(len(vectors), np.float32), squares.astype(np.float32)])

    def scores(self, folded: Folded, vectors: Vectors, numbers: Vectors) -> Matrix:  # noqa: ARG002
        apart = vectors.astype(np.float64) - folded.queries[:, None]
        distances: Matrix = np.sqrt(np.vecdot(apart, apart))
        return distances

    def doubtful(self, queries: Vectors, last: Vectors, worst: Vectors) -> Mask:
        """What is as near as these is as far from the mean as the query and they together."""
        centre = np.zeros(queries.shape[1], np.float32) if self._centre is None else self._centre
        apart, last, worst = lengths(queries - centre), last.astype(np.float64), worst.astype(np.float64)
        reach, far = apart + worst, lengths(centre[None])
        error = ROUNDING * (4 + np.sqrt(queries.shape[1])) * (4 * apart * (far + reach) + reach**2)  # of nearness
        doubtful: Mask = worst**2 - last**2 < 2 * error
        return doubtful

    def codes(self, vectors: Vectors, numbers: Vectors) -> Vectors:  # noqa: ARG002
        return vectors

    def asked(self, folded: Folded) -> Vectors:
        return folded.queries


SCORINGS: Mapping[str, Callable[[], Scoring]] = {"cosine": Cosine, "ip": InnerProduct, "euclidean": Euclidean}


def dots(queries: Vectors, vectors: Matrix) -> Matrix:
    """(m, d), (m, c, d) -> (m, c)"""
    products: Matrix = np.vecdot(vectors, queries.astype(np.float64)[:, None])
    return products


def lengths(vectors: Vectors) -> Matrix:
    """(n,), in double precision: the squares of small numbers vanish in single."""
    squares: Matrix = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    return np.sqrt(squares).clip(SHORTEST)


def unit(vectors: Vectors) -> Vectors:
    return (vectors / lengths(vectors)[:, None]).astype(np.float32)
