"""Vectors in memory, and the ways in which they are searched."""

from app.index.base import LONGEST, METRICS, Index, Mask, Ranking, Slots, Vectors, overlong
from app.index.faiss import INDEXES, gpus
from app.index.faiss import VERSION as FAISS_VERSION
from app.index.index import SCORES, TableIndex
from app.index.oracle import NumpyIndex
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
    "Index",
    "Mask",
    "NumpyIndex",
    "Ranking",
    "Scored",
    "Searcher",
    "Slots",
    "TableIndex",
    "Vectors",
    "View",
    "chosen",
    "gpus",
    "overlong",
]
