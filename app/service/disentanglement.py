"""Whether a space holds the latent factors of its anchors apart."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from app.errors import InvalidInput
from app.service.inputs import check_most
from app.service.spaces import NAMED, Spaces, check_known
from models.comparison import sampled
from models.disentanglement import Disentanglement, disentanglement

MOST_FACTORS = 8
MOST_ANCHORS = 5000  # that are read

Factors = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Disentangled:
    """A space, and how well each factor of its anchors is read out of it."""

    space: str
    anchors: int  # that have a value of every factor
    factors: Mapping[str, Disentanglement]


def disentangle(spaces: Spaces, name: str, factors: Factors) -> Disentangled:
    """factors[name][anchor id] = value. OverLimit, NotFound, InvalidInput, TooFewAnchors."""
    check_most(len(factors), MOST_FACTORS, "one call takes {} factors", "each doubles the conditions")
    anchors = spaces.anchors(name)
    ids = ids_of(factors)
    check_known(name, ids, set(anchors.ids))
    values = torch.tensor([[column[id_] for column in factors.values()] for id_ in ids], dtype=torch.float64)
    x, y = sampled(torch.from_numpy(anchors.rows(ids)), values, MOST_ANCHORS)  # (n, d), (n, f)
    return Disentangled(name, len(ids), dict(zip(factors, disentanglement(x, y), strict=True)))


def ids_of(factors: Factors) -> list[str]:
    """The ids, which must be the same for every factor, in order. InvalidInput."""
    every = sorted(set().union(*factors.values()))
    for factor, values in factors.items():
        missing = [id_ for id_ in every if id_ not in values]
        if missing:
            raise InvalidInput(
                f"factor {factor!r} has no value for anchor {missing[0]!r}; {len(missing)} of {len(every)} are "
                "missing: give every factor a value for the same anchors",
                factor=factor,
                missing=missing[:NAMED],
            )
    return every
