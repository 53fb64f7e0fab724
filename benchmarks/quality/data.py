"""The spaces of one .npz, its heads and labels, and the anchors that are drawn from it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("ANCHORAGE_DATA", "../shared/data"))
GALLERY = 2000  # test rows that a counterpart is looked for among
BY_CLASS = {"crossmodal_digits"}  # whose pairs share the class only
TRAIN = {"cora": (0, 2)}  # splits that anchors are taken from, (0,) elsewhere

Pair = tuple[str, str]


@dataclass(frozen=True)
class Head:
    """A space's own linear classifier."""

    weight: np.ndarray  # (classes, d)
    bias: np.ndarray  # (classes,)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, classes)"""
        logits: np.ndarray = y @ self.weight.T + self.bias
        return logits


@dataclass(frozen=True)
class Spaces:
    """Row i of every space is the same item."""

    name: str
    vectors: dict[str, np.ndarray]  # (rows, d) as stored, half precision
    heads: dict[str, Head]
    labels: np.ndarray  # (rows,), or empty
    split: np.ndarray  # (rows,)

    @property
    def train(self) -> np.ndarray:
        return np.flatnonzero(np.isin(self.split, TRAIN.get(self.name, (0,))))

    @property
    def test(self) -> np.ndarray:
        return np.flatnonzero(self.split == 1)

    @property
    def gallery(self) -> np.ndarray:
        return self.test[:GALLERY]

    @property
    def metric(self) -> str:
        """What retrieval is judged by."""
        return "class_hit" if self.name in BY_CLASS else "mrr"

    @property
    def pairs(self) -> list[Pair]:
        return list(permutations(self.vectors, 2))

    def anchors(self, n: int, draw: int) -> np.ndarray:
        """(n,) rows; those of a smaller n are the first of them."""
        return np.random.default_rng(draw).permutation(self.train)[:n]


@cache
def spaces(name: str) -> Spaces:
    with np.load(DATA / f"{name}.npz") as file:
        vectors = {key[5:]: file[key] for key in file if key.startswith("emb__")}
        heads = {s: Head(file[f"head__{s}__W"], file[f"head__{s}__b"]) for s in vectors if f"head__{s}__W" in file}
        return Spaces(name, vectors, heads, file.get("labels", np.empty(0)), file["split"])


def names() -> Iterator[str]:
    return (path.stem for path in sorted(DATA.glob("*.npz")) if "decoders" not in path.name)
