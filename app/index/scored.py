"""A translator's score as a way of scoring: see models.blend."""

from functools import cached_property

import numpy as np
import torch

from app.index.base import Mask, Vectors
from app.index.scoring import Folded, Matrix, dots
from models.blend import Fitted

ROUGH = 4  # times as many candidates as of one part: the sum of several is proposed by one product
ABSENT = 1e-5  # share of the strongest below which a direction is compared in by none


class Scored:
    """1 / ‖c_k‖ of K parts and what is subtracted for hubs are the numbers of a point.

    An approximation takes the lengths of all parts to be in one proportion, that of the most points that came at a
    time: then one code of a point, with a length of its own, does for all.
    """

    descending = products = True

    def __init__(self, score: Fitted) -> None:
        self.score = score
        self.rough = 1 if len(score.parts) == 1 else ROUGH
        self.probes: Vectors | None = None if score.sample is None else score.sample.numpy()
        self._proportion = np.ones(len(score.parts), np.float32)  # of the lengths to the first part's
        self._learned = 0  # from so many points

    def fold(self, queries: Vectors) -> Folded:
        folded = self.score.fold(tensor(queries))
        offsets = torch.einsum("mkd,kd->mk", folded, self.score.means)
        return Folded(queries, folded.numpy(), offsets.numpy())

    def numbers(self, vectors: Vectors) -> Vectors:
        scales, hubness = self.score.scalars(tensor(vectors))
        if len(vectors) > self._learned:
            self._learned = len(vectors)
            self._proportion = (scales / scales[:, :1]).median(0).values.numpy()  # a point may have no length
        return torch.column_stack([scales, hubness]).numpy()

    def scores(self, folded: Folded, vectors: Vectors, numbers: Vectors) -> Matrix:
        exact = vectors.astype(np.float64)
        scores: Matrix = -numbers[:, :, -1].astype(np.float64)
        for part, mean in enumerate(self.score.means.numpy()):
            scores += dots(folded.vectors[:, part], exact - mean) * numbers[:, :, part]
        return scores

    def doubtful(self, queries: Vectors, last: Vectors, worst: Vectors) -> Mask:  # noqa: ARG002
        return np.zeros(len(queries), np.bool_)

    def codes(self, vectors: Vectors, numbers: Vectors) -> Vectors:
        centred = vectors - self.score.parts[0].mean.numpy()
        return np.column_stack([self._within(centred * numbers[:, :1]), numbers[:, -1]])

    def asked(self, folded: Folded) -> Vectors:
        together = np.einsum("mkd,k->md", folded.vectors, self._proportion)
        return np.column_stack([self._within(together), np.full(len(folded), -1, np.float32)])

    def _within(self, vectors: Vectors) -> Vectors:
        """(n, d) -> (n, r)"""
        return vectors if self._basis is None else vectors @ self._basis

    @cached_property
    def _basis(self) -> Vectors | None:
        """(d, r) orthonormal: the directions that are compared in; None for all."""
        parts = self.score.parts
        known = [part.weighted(part.directions) for part in parts if part.directions is not None]
        if len(known) < len(parts):
            return None
        known = [directions / directions.norm() for directions in known]
        directions, strengths, _ = torch.linalg.svd(torch.hstack(known).double(), full_matrices=False)
        basis: Vectors = directions[:, strengths > ABSENT * strengths[0]].float().numpy()
        return basis


def tensor(vectors: Vectors) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(vectors))
