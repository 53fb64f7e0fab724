"""Which points a search may find: conditions on payload fields, in the shape of Qdrant's filters.

A condition holds where any of the values under its key passes: a key of an array has many, one that is missing or
null has none. Types are not mixed: 1 is neither "1" nor true, but it is 1.0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.index import Mask
from app.service.columns import KINDS, Columns, Test, number

SCALARS = (str, int, float, bool)
COMPARISONS: Mapping[str, Callable[[pa.Array, Any], pa.Array]] = {
    "gt": pc.greater,
    "gte": pc.greater_equal,
    "lt": pc.less,
    "lte": pc.less_equal,
}


@dataclass(frozen=True)
class Condition:
    """`operator` is one of OPERATORS, which say what `operand` must be."""

    key: str
    operator: str
    operand: Any = None

    @property
    def keys(self) -> set[str]:
        return {self.key}

    def mask(self, columns: Columns) -> Mask:
        column, mask = columns.column(self.key), np.zeros(len(columns.living), np.bool_)
        for kind, test in OPERATORS[self.operator](self.operand).items():
            mask[column.where(kind, test)] = True
        return mask


@dataclass(frozen=True)
class Filter:
    """All of `must`, one of `should` if there are any, none of `must_not`."""

    must: Sequence["Condition | Filter"] = ()
    should: Sequence["Condition | Filter"] = ()
    must_not: Sequence["Condition | Filter"] = ()

    @property
    def keys(self) -> set[str]:
        """That it asks for, at any depth."""
        return set().union(*(clause.keys for clause in (*self.must, *self.should, *self.must_not)))

    def mask(self, columns: Columns) -> Mask:
        """The slots that hold a point and match."""
        mask = columns.living.copy()
        for clause in self.must:
            mask &= clause.mask(columns)
        if self.should:
            mask &= np.logical_or.reduce([clause.mask(columns) for clause in self.should])
        for clause in self.must_not:
            mask &= ~clause.mask(columns)
        return mask


def among(operand: Sequence[Any]) -> dict[type, Test]:
    """Equal to one of these texts, numbers and booleans."""
    return {kind: partial(pc.is_in, value_set=alike(operand, kind)) for kind in SCALARS}


def other(operand: Sequence[Any]) -> dict[type, Test]:
    """Equal to none of these; an object is equal to nothing."""
    return {kind: partial(outside, known=alike(operand, kind)) for kind in SCALARS} | {dict: pc.is_valid}


def between(operand: Mapping[str, Any]) -> dict[type, Test]:
    """Within all bounds: numbers, or texts by their code points, as ISO 8601 times sort."""
    texts = any(isinstance(bound, str) for bound in operand.values())
    return {kind: partial(inside, bounds=operand) for kind in ((str,) if texts else (int, float))}


def there(_operand: None) -> dict[type, Test]:
    return dict.fromkeys(KINDS, pc.is_valid)


def starting(operand: str) -> dict[type, Test]:
    return {str: partial(pc.starts_with, pattern=operand)}


OPERATORS: Mapping[str, Callable[[Any], dict[type, Test]]] = {
    "in": among,
    "except": other,
    "range": between,
    "exists": there,
    "prefix": starting,
}


def alike(operand: Sequence[Any], kind: type) -> pa.Array:
    """What values of this type can be equal to."""
    values = [number(value) for value in operand]
    if kind in (int, float):
        values = [number(kind(value)) for value in values if type(value) in (int, float) and kind(value) == value]
    return pa.array([value for value in values if type(value) is kind], KINDS[kind])


def outside(values: pa.Array, known: pa.Array) -> pa.Array:
    return pc.invert(pc.is_in(values, value_set=known))


def inside(values: pa.Array, bounds: Mapping[str, Any]) -> pa.Array:
    return reduce(pc.and_, (compared(COMPARISONS[name], values, bound) for name, bound in bounds.items()))


def compared(test: Callable[[pa.Array, Any], pa.Array], values: pa.Array, bound: Any) -> pa.Array:
    """Integers with an integer are compared exactly, other numbers in double precision."""
    bound = number(bound)
    exact = isinstance(bound, str) or (type(bound) is int and pa.types.is_integer(values.type))
    return test(values, bound) if exact else test(values.cast(pa.float64(), safe=False), float(bound))
