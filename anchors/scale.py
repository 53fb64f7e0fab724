"""Points brought to one scale, by row or as a whole."""

import numpy as np

from anchors.arrays import Matrix


def unit(points: Matrix) -> Matrix:
    """Rows of length 1, in single precision; a zero row stays zero."""
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    scaled: Matrix = np.divide(points, lengths, out=np.zeros_like(points), where=lengths > 0)
    return scaled.astype(np.float32)


def standard(points: Matrix) -> Matrix:
    """Centred and of mean squared length 1, in double precision; equal rows become zero."""
    centred = points - points.mean(0, dtype=np.float64)
    length = np.sqrt(np.square(centred).sum(1).mean())
    scaled: Matrix = centred / (length if length > 0 else 1.0)
    return scaled
