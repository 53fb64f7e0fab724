"""Errors of what is known about anchors.

DomainError
└── AnchorError
    ├── NoSharedAnchors      two spaces have no anchor id in common
    ├── UnknownSelector      no such way to choose anchors
    ├── InvalidCount         fewer than one anchor is asked for
    ├── TooFewPoints         a pairing has fewer seeds or points than it can be judged by
    └── PairingRefused       induced pairs did not stand their test
"""

from models.errors import DomainError


class AnchorError(DomainError):
    """Root of the errors of `anchors`."""


class NoSharedAnchors(AnchorError):
    """Two spaces share no anchor id, so nothing relates them."""


class UnknownSelector(AnchorError):
    """A name that the registry of selectors does not hold."""


class InvalidCount(AnchorError):
    """Fewer than one anchor is asked for."""


class TooFewPoints(AnchorError):
    """Fewer seeds or points than a pairing can be judged by."""


class PairingRefused(AnchorError):
    """Pairs were induced, but the test that guards them says that they would not help."""
