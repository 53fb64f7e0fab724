"""Points brought to one scale, by row or as a whole."""

import numpy as np
import torch

from anchors.arrays import Matrix
from models import lengths


def unit(points: Matrix) -> Matrix:
    """Rows of length 1, in single precision; a zero row stays zero."""
    return lengths.unit(torch.from_numpy(points)).float().numpy()


def standard(points: Matrix) -> Matrix:
    """Centred and of mean squared length 1, in double precision; equal rows become zero."""
    centred = points - points.mean(0, dtype=np.float64)
    length = np.sqrt(np.square(centred).sum(1).mean())
    scaled: Matrix = centred / (length if length > 0 else 1.0)
    return scaled
