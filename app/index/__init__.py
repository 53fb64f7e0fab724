"""Vector indexes by name."""

from collections.abc import Callable, Mapping

from app.index.base import LONGEST, METRICS, Index, Mask, NumpyIndex, Slots, Vectors, overlong
from app.index.faiss import VERSION as FAISS_VERSION
from app.index.faiss import FaissIndex, gpus

INDEXES: Mapping[str, Callable[[int, str], Index]] = {"faiss": FaissIndex, "numpy": NumpyIndex}

__all__ = [
    "FAISS_VERSION",
    "INDEXES",
    "LONGEST",
    "METRICS",
    "FaissIndex",
    "Index",
    "Mask",
    "NumpyIndex",
    "Slots",
    "Vectors",
    "gpus",
    "overlong",
]
