"""Errors of the numerics, and the root that every wing's tree shares.

DomainError
└── ModelError
    ├── UnknownMethod        no such translation method, objective, ...
    ├── InvalidOption        a method's option is unknown or out of range
    ├── InvalidHead          tensors, layers, labels or a model that make no head
    ├── TooFewAnchors        fewer pairs than the least a fit needs
    ├── TooManyAnchors       more pairs than a method whose map holds them all can take
    ├── DimensionMismatch    two widths that must agree do not
    └── NotFitted            transform before fit
"""

from typing import Any


class DomainError(Exception):
    """Message: what was expected, what came, what to do. `facts` repeat it for machines."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts


class ModelError(DomainError):
    """Root of the errors of `models`."""


class UnknownMethod(ModelError):
    """A name that the registry does not hold."""


class InvalidOption(ModelError):
    """An option that the method does not have, or a value outside its range."""


class InvalidHead(ModelError):
    """Tensors, layers, labels or a model that make no head."""


class TooFewAnchors(ModelError):
    """Fewer pairs than a fit needs."""


class TooManyAnchors(ModelError):
    """More pairs than a method can take that keeps them all."""


class DimensionMismatch(ModelError):
    """Two widths, or two numbers of rows, that must agree do not."""


class NotFitted(ModelError):
    """`transform` was called before `fit`."""
