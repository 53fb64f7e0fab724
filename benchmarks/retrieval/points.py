"""Points to search among: half of them in random clusters, half real ones, repeated with noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.data import names, spaces

DIM = 384
REAL = ("ag_news", "minilm"), ("multi30k_en_de", "en_minilm")  # of that width
CLUSTERS, SPREAD = 1000, 0.5  # of the clusters' points, beside 1 of their centres
NOISE = 0.2  # of a real point, beside its own deviation
QUERIES = 512
AT_ONCE = 16  # queries that are compared with all points
PARTS, PART = 100, 7  # the filter passes one of so many

Vectors = NDArray[np.float32]
Slots = NDArray[np.int64]


@dataclass(frozen=True)
class Points:
    """Row i has the id i and the payload {"part": i % PARTS}."""

    stored: Vectors  # (n, d)
    queries: Vectors  # (q, d), of none of them
    kinds: str

    @classmethod
    def drawn(cls, n: int) -> "Points":
        random, real = np.random.default_rng(0), real_vectors()
        fewer = len(real) and n // 2
        centres = random.standard_normal((CLUSTERS, DIM), np.float32)
        rows = np.vstack([clustered(centres, n - fewer, random), repeated(real[QUERIES:], fewer, random)])
        asked = QUERIES // 2 if fewer else QUERIES
        queries = np.vstack([clustered(centres, asked, random), real[: QUERIES - asked]])
        kinds = (
            "half clustered, half real ones with noise" if fewer else "clustered alone: ANCHORAGE_DATA has none"
        )
        return cls(random.permutation(rows), random.permutation(queries), kinds)

    def nearest(self, k: int, part: int | None) -> Slots:
        """By cosine, exactly: (q, k)"""
        slots = np.arange(len(self.stored)) if part is None else np.arange(part, len(self.stored), PARTS)
        rows = unit(self.stored[slots])
        batches = np.array_split(unit(self.queries), max(1, len(self.queries) // AT_ONCE))
        found = [np.argpartition(-batch @ rows.T, k, axis=1)[:, :k] for batch in batches]
        nearest: Slots = slots[np.vstack(found)]
        return nearest


def real_vectors() -> Vectors:
    found = [spaces(file).vectors[space] for file, space in REAL if file in set(names())]
    rows = np.vstack([np.empty((0, DIM)), *found]).astype(np.float32)
    return np.random.default_rng(0).permutation(rows)


def clustered(centres: Vectors, n: int, random: np.random.Generator) -> Vectors:
    noise = random.standard_normal((n, DIM), np.float32)
    rows: Vectors = centres[random.integers(len(centres), size=n)] + np.float32(SPREAD) * noise
    return rows


def repeated(real: Vectors, n: int, random: np.random.Generator) -> Vectors:
    if not n:
        return real[:0]
    noise = random.standard_normal((n, DIM), np.float32)
    rows: Vectors = real[np.arange(n) % len(real)] + np.float32(NOISE * real.std()) * noise
    return rows


def unit(vectors: Vectors) -> Vectors:
    rows: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return rows
