"""What is known: anchor sets, how they are screened and chosen, and how the anchors of two spaces are paired."""

from anchors.bootstrap import BootstrapReport, pair_by_bootstrap
from anchors.induced import InducedPairs
from anchors.pairing import Pairs, pair_by_ids
from anchors.prototypes import Prototypes, prototypes
from anchors.screening import screen
from anchors.selection import SELECTORS, select
from anchors.sets import AnchorSet
from anchors.unpaired import UnpairedReport, pair_unpaired

__all__ = [
    "SELECTORS",
    "AnchorSet",
    "BootstrapReport",
    "InducedPairs",
    "Pairs",
    "Prototypes",
    "UnpairedReport",
    "pair_by_bootstrap",
    "pair_by_ids",
    "pair_unpaired",
    "prototypes",
    "screen",
    "select",
]
