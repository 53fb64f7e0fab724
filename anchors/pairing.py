"""Which anchors of two spaces are the same items. Only ids say so, never order."""

from dataclasses import dataclass

from anchors.errors import NoSharedAnchors
from anchors.sets import AnchorSet, Vectors


@dataclass(frozen=True)
class Pairs:
    """Row i of `source` (n, d1) and of `target` (n, d2) is the item `ids[i]`."""

    ids: list[str]
    source: Vectors
    target: Vectors


def pair_by_ids(source: AnchorSet, target: AnchorSet) -> Pairs:
    """The anchors that both sets hold, by id. NoSharedAnchors."""
    shared = sorted(set(source.ids) & set(target.ids))
    if not shared:
        raise NoSharedAnchors(
            f"the two spaces share no anchor id: the source has {len(source)} ids, the target {len(target)}; "
            "put anchors of the same items, under the same ids, into both",
            expected="shared anchor ids",
            got={"source": len(source), "target": len(target), "shared": 0},
        )
    return Pairs(shared, source.rows(shared), target.rows(shared))
