"""Filters over the wire, in Qdrant's shape."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from app.api.schemas.base import In
from app.api.validation import shown
from app.service.columns import COLUMNS
from app.service.filters import Condition, Filter

CONDITIONS = 256  # in one filter, and filters within it
DEPTH = 100  # of filters within each other
OPERATORS = ("match", "in", "range", "exists", "prefix")
MATCHES = ("value", "any", "except")
LISTS = ("must", "should", "must_not")


def scalar(value: Any) -> Any:
    if not isinstance(value, str | bool | int | float):
        raise ValueError(f"must be a text, a number or a boolean, got {shown(value)}")
    return value


def bound(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"must be a number or a text, got {shown(value)}")
    return value


def of_one_kind(bounds: dict[str, Any]) -> dict[str, Any]:
    if len({isinstance(value, str) for value in bounds.values()}) > 1:
        raise ValueError(f"the bounds of a range are all numbers or all texts, got {bounds}")
    return bounds


def one_of(value: Any, known: Sequence[str], rule: str) -> Any:
    """`value`, if one of the known members is all that it has beside `key`. ValueError."""
    given = [name for name in value if name != "key"] if isinstance(value, dict) else value
    if not isinstance(given, list) or len(given) != 1 or given[0] not in known:
        raise ValueError(f"{rule} {list(known)}, got {given!r:.80}")
    return value


def member(value: Any) -> str:
    """The one that `one_of` found."""
    return next(name for name in (*OPERATORS, *MATCHES) if name in value)


def is_filter(value: Any) -> bool:
    return isinstance(value, dict) and (not value or any(name in value for name in LISTS))


def not_too_deep(wanted: "FilterIn") -> "FilterIn":
    if wanted.depth > DEPTH:
        raise ValueError(f"filters may lie within each other {DEPTH} deep, got {wanted.depth}")
    return wanted


Scalar = Annotated[str | bool | int | float, BeforeValidator(scalar)]
Bound = Annotated[str | int | float, BeforeValidator(bound)]


class MatchValue(In):
    """Equal to it, with types: 1 is 1.0, and neither "1" nor true."""

    value: Scalar

    def clause(self, key: str) -> Condition:
        return Condition(key, "in", [self.value])


class MatchAny(In):
    """Equal to one of them."""

    any: list[Scalar]

    def clause(self, key: str) -> Condition:
        return Condition(key, "in", self.any)


class MatchExcept(In):
    """There is a value that is equal to none of them."""

    except_: Annotated[list[Scalar], Field(alias="except")]

    def clause(self, key: str) -> Condition:
        return Condition(key, "except", self.except_)


Match = Annotated[
    Annotated[MatchValue, Tag("match value")]
    | Annotated[MatchAny, Tag("match any")]
    | Annotated[MatchExcept, Tag("match except")],
    Discriminator(lambda value: f"match {member(value)}"),
    BeforeValidator(lambda value: one_of(value, MATCHES, "match has one of")),
]


class ConditionIn(In):
    """On the values under `key`: dots lead into objects, and every element of an array counts."""

    model_config = ConfigDict(strict=True)

    key: Annotated[str, StringConstraints(min_length=1, max_length=512)]

    @property
    def size(self) -> int:
        return 0

    @property
    def keys(self) -> set[str]:
        return {self.key}


class MatchIn(ConditionIn):
    """A value that matches."""

    match: Match

    def clause(self) -> Condition:
        return self.match.clause(self.key)


class AmongIn(ConditionIn):
    """As match any."""

    in_: Annotated[list[Scalar], Field(alias="in")]

    def clause(self) -> Condition:
        return Condition(self.key, "in", self.in_)


class RangeIn(ConditionIn):
    """A value within all bounds: numbers, or texts by their code points, as ISO 8601 times sort."""

    range: Annotated[
        dict[Literal["gt", "gte", "lt", "lte"], Bound], Field(min_length=1), AfterValidator(of_one_kind)
    ]

    def clause(self) -> Condition:
        return Condition(self.key, "range", self.range)


class ExistsIn(ConditionIn):
    """A value, if true; none, if false. A key that is missing, null or [] has none."""

    exists: bool

    def clause(self) -> Condition | Filter:
        there = Condition(self.key, "exists")
        return there if self.exists else Filter(must_not=(there,))


class PrefixIn(ConditionIn):
    """A text that begins so."""

    prefix: str

    def clause(self) -> Condition:
        return Condition(self.key, "prefix", self.prefix)


class FilterIn(In):
    """All of `must`, at least one of `should` if there are any, none of `must_not`; filters may be nested."""

    must: list["Clause"] = []
    should: list["Clause"] = []
    must_not: list["Clause"] = []

    @model_validator(mode="before")
    @classmethod
    def _three_lists(cls, value: Any) -> Any:
        if isinstance(value, dict) and not value.keys() <= {*LISTS}:
            raise ValueError(f"a filter has lists of conditions under {list(LISTS)}, got {list(value)!r:.80}")
        return value

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if self.size > CONDITIONS:
            raise ValueError(
                f"a filter may have at most {CONDITIONS} conditions and filters within it, got {self.size}"
            )
        if len(self.keys) > COLUMNS:  # more would put each other out of memory, and be read at every search
            raise ValueError(f"a filter may have at most {COLUMNS} different keys, got {len(self.keys)}")
        return self

    @property
    def clauses(self) -> list["Clause"]:
        return [*self.must, *self.should, *self.must_not]

    @property
    def size(self) -> int:
        """Conditions and filters within it, at any depth."""
        return sum(1 + clause.size for clause in self.clauses)

    @property
    def depth(self) -> int:
        """How many filters lie within each other, itself the first."""
        return 1 + max((clause.depth for clause in self.clauses if isinstance(clause, FilterIn)), default=0)

    @property
    def keys(self) -> set[str]:
        """At any depth."""
        return set().union(*(clause.keys for clause in self.clauses))

    @property
    def hollow(self) -> bool:
        """Whether it, or a filter within it, has no condition: such a one matches everything."""
        return not self.clauses or any(isinstance(clause, FilterIn) and clause.hollow for clause in self.clauses)

    def clause(self) -> Filter:
        lists = ([clause.clause() for clause in clauses] for clauses in (self.must, self.should, self.must_not))
        return Filter(*lists)


Clause = Annotated[
    Annotated[MatchIn, Tag("match condition")]
    | Annotated[AmongIn, Tag("in condition")]
    | Annotated[RangeIn, Tag("range condition")]
    | Annotated[ExistsIn, Tag("exists condition")]
    | Annotated[PrefixIn, Tag("prefix condition")]
    | Annotated[FilterIn, Tag("a filter")],
    Discriminator(lambda value: "a filter" if is_filter(value) else f"{member(value)} condition"),
    BeforeValidator(
        lambda value: (
            value if is_filter(value) else one_of(value, OPERATORS, "a condition has `key` and one operator of")
        )
    ),
]
FilterField = Annotated[FilterIn, AfterValidator(not_too_deep)]
