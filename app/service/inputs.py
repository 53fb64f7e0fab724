"""What requests must be: one of the known, and not too many."""

from collections.abc import Collection

from app.errors import InvalidInput, OverLimit
from models.errors import DomainError


def check_choice(name: str, value: str, known: Collection[str], error: type[DomainError] = InvalidInput) -> None:
    if value not in known:
        raise error(f"{name} must be one of {list(known)}, got {value!r}", expected=list(known), got=value)


def check_most(number: int, most: int, taken: str, advice: str) -> None:
    """`taken` says what takes what, with {} for how many. OverLimit."""
    if number > most:
        raise OverLimit(f"{taken.format(f'at most {most}')}, got {number}: {advice}", limit=most, got=number)
