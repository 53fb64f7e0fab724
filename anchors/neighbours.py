"""Which rows of two clouds in one space are each other's nearest."""

import numpy as np

from anchors.arrays import Matrix, Rows

NEIGHBOURS = 10


def csls(cosine: Matrix) -> Matrix:
    """2 cos(x, y) - r(x) - r(y) of cosine (n, m), r the mean cosine to the 10 nearest on the other side.

    Conneau et al. 2018, "Word translation without parallel data", section 2.3: hubs lose what makes them hubs.
    """
    near_x = largest(cosine).mean(1)  # (n,)
    near_y = largest(cosine.T).mean(1)  # (m,)
    score: Matrix = 2 * cosine - near_x[:, None] - near_y
    return score


def largest(similarity: Matrix) -> Matrix:
    """(n, 10) of similarity (n, m), in no order; all where m is smaller."""
    k = min(NEIGHBOURS, similarity.shape[1])
    return np.partition(similarity, similarity.shape[1] - k, axis=1)[:, -k:]


def mutual(similarity: Matrix) -> tuple[Rows, Rows]:
    """The rows and columns of similarity (n, m) that are each other's largest, the most similar first."""
    nearest, back = similarity.argmax(1), similarity.argmax(0)
    rows = np.flatnonzero(back[nearest] == np.arange(len(nearest)))
    rows = rows[np.argsort(-similarity[rows, nearest[rows]], kind="stable")]
    return rows, nearest[rows]


def mutual_pairs(x: Matrix, y: Matrix) -> tuple[Rows, Rows]:
    """The mutual nearest neighbours by CSLS of unit rows x (n, d) and y (m, d), the surest first."""
    return mutual(csls(x @ y.T))
