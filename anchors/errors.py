"""Errors of what is known about anchors.

DomainError
└── AnchorError
    └── NoSharedAnchors      two spaces have no anchor id in common
"""

from models.errors import DomainError


class AnchorError(DomainError):
    """Root of the errors of `anchors`."""


class NoSharedAnchors(AnchorError):
    """Two spaces share no anchor id, so nothing relates them."""
