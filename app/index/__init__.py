"""Vector indexes by name; the first is the default."""

from collections.abc import Mapping

from app.index.base import METRICS, Index, NumpyIndex, Slots, Vectors
from app.index.faiss import VERSION as FAISS_VERSION
from app.index.faiss import FaissIndex, gpus

INDEXES: Mapping[str, type[FaissIndex] | type[NumpyIndex]] = {"faiss": FaissIndex, "numpy": NumpyIndex}

__all__ = ["FAISS_VERSION", "INDEXES", "METRICS", "FaissIndex", "Index", "NumpyIndex", "Slots", "Vectors", "gpus"]
