"""Vectors in memory, and the ways in which they are searched."""

from app.index.approximation import Approximation
from app.index.base import LONGEST, METRICS, Index, Mask, Ranking, Slots, Vectors, overlong
from app.index.faiss import INDEXES, gpu, gpus, searched
from app.index.faiss import VERSION as FAISS_VERSION
from app.index.index import SCORES, TableIndex
from app.index.oracle import NumpyIndex
from app.index.owner import Owner
from app.index.saved import Saved
from app.index.scored import Scored
from app.index.scoring import SCORINGS
from app.index.searcher import AUTO, Searcher, chosen
from app.index.view import View

__all__ = [
    "AUTO",
    "FAISS_VERSION",
    "INDEXES",
    "LONGEST",
    "METRICS",
    "SCORES",
    "SCORINGS",
    "Approximation",
    "Index",
    "Mask",
    "NumpyIndex",
    "Owner",
    "Ranking",
    "Saved",
    "Scored",
    "Searcher",
    "Slots",
    "TableIndex",
    "Vectors",
    "View",
    "chosen",
    "gpu",
    "gpus",
    "overlong",
    "searched",
]
