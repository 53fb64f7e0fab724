"""Every translation method by name, simplest first: the order in which a tie is decided."""

from collections.abc import Mapping
from typing import Any

from models.affine import Affine
from models.base import Method
from models.errors import InvalidOption, UnknownMethod
from models.identity import Identity
from models.inverse_relative import InverseRelative, Normalized
from models.kernel_ridge import KernelMap, KernelRidge
from models.latentis import LatentisAffine, LatentisLinear, LatentisLOrtho, LatentisOrtho
from models.low_rank import LowRank
from models.maps import Map
from models.mean import Mean
from models.orthogonal import Orthogonal
from models.reduced_rank import ReducedRank
from models.residual import Residual, ResidualMap
from models.ridge import Ridge
from models.ridge_loo import RidgeLoo
from models.ridge_procrustes import RidgeProcrustes
from models.whitened import Whitened

METHODS: Mapping[str, type[Method]] = {
    method.name: method
    for method in (
        Mean,
        Identity,
        Orthogonal,
        LatentisOrtho,
        LatentisLOrtho,
        LowRank,
        ReducedRank,
        Ridge,
        RidgeLoo,
        RidgeProcrustes,
        Whitened,
        InverseRelative,
        LatentisLinear,
        LatentisAffine,
        KernelRidge,
        Residual,
    )
}

MAPS: Mapping[str, type[Map]] = {kind.kind: kind for kind in (Affine, Normalized, KernelMap, ResidualMap)}


def candidates(name: str, options: Mapping[str, Any]) -> list[Method]:
    """The variants of method `name` that `options` leave open. UnknownMethod, InvalidOption."""
    if name not in METHODS:
        raise UnknownMethod(
            f"method must be 'auto' or one of {list(METHODS)}, got {name!r}",
            expected=["auto", *METHODS],
            got=name,
        )
    method = METHODS[name]
    unknown = sorted(set(options) - set(method.options))
    if unknown:
        raise InvalidOption(
            f"method {name!r} has the options {sorted(method.options)}, got {unknown}",
            expected=sorted(method.options),
            got=unknown,
        )
    checked = {key: method.options[key].check(key, value) for key, value in options.items()}
    return list(method.candidates(checked))
