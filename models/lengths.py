"""Lengths of vectors, and rows of length 1."""

from torch import Tensor
from torch.nn.functional import normalize

SMALLEST = 1e-30  # below which a vector counts as zero; the inverse stays finite in single precision


def unit(x: Tensor) -> Tensor:
    """(..., n, d) rows of length 1; a zero row stays zero.

    In double precision, where no number of single precision has a square of 0.
    """
    return normalize(x.double(), dim=-1, eps=SMALLEST).to(x.dtype)
