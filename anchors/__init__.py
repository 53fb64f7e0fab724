"""What is known: anchor sets, and how the anchors of two spaces are paired."""

from anchors.pairing import Pairs, pair_by_ids
from anchors.sets import AnchorSet

__all__ = ["AnchorSet", "Pairs", "pair_by_ids"]
