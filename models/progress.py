"""How a long fit tells how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # stage, steps done, steps in all


def silent(stage: str, done: int, total: int) -> None:
    """Tells nobody."""
