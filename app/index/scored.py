"""A translator's score as a way of scoring: 2 cos(q, c) - r(c), or cos(q, c), of codes c = (y - m) B."""

import numpy as np
import torch

from app.index.base import Mask, Vectors
from app.index.scoring import Folded, Matrix, dots
from models.scores import Fitted


class Scored:
    """1 / ‖c‖ and r(c) are the two numbers of a point: see models.scores."""

    descending = products = True

    def __init__(self, score: Fitted) -> None:
        self.score = score
        self.weight = 1 if score.sample is None else 2  # of the cosine

    def fold(self, queries: Vectors) -> Folded:
        folded = self.weight * self.score.fold(tensor(queries))
        return Folded(folded.numpy(), (folded @ self.score.mean).numpy())

    def numbers(self, vectors: Vectors) -> Vectors:
        return torch.stack(self.score.scalars(tensor(vectors)), 1).numpy()

    def scores(self, queries: Vectors, vectors: Vectors, numbers: Vectors) -> Matrix:
        exact = vectors.astype(np.float64) - self.score.mean.numpy()
        return dots(self.fold(queries).vectors, exact) * numbers[:, :, 0] - numbers[:, :, 1]

    def doubtful(self, queries: Vectors, last: Vectors, worst: Vectors) -> Mask:  # noqa: ARG002
        return np.zeros(len(queries), np.bool_)

    def codes(self, vectors: Vectors, numbers: Vectors) -> Vectors:
        return np.column_stack([self.score.codes(tensor(vectors)).numpy(), numbers[:, 1]])

    def asked(self, queries: Vectors) -> Vectors:
        codes = self.score.codes(tensor(queries)).numpy()
        return np.column_stack([self.weight * codes, np.full(len(codes), -1, np.float32)])


def tensor(vectors: Vectors) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(vectors))
