"""What every answer must be: no larger than the settings allow, and its arrays made of numbers."""

from collections.abc import Iterable, Sequence
from math import prod

from torch import Tensor

from app.errors import InvalidVectors, OverLimit
from app.service.live import Point


def check_size(shape: tuple[int, ...], limit: int) -> None:
    """Before memory is taken. OverLimit."""
    if prod(shape) > limit:
        raise OverLimit(
            f"one answer has at most {limit} numbers, this one would have {' x '.join(map(str, shape))}: "
            "send fewer rows a call",
            limit=limit,
            got=prod(shape),
        )


def check_bytes(points: Iterable[Point], parts: Sequence[str], limit: int) -> None:
    """Of points with these parts, before they are encoded. OverLimit."""
    size = sum(memoryview(getattr(point, part)).nbytes for point in points for part in parts) if parts else 0
    if size > limit:
        raise OverLimit(
            f"one answer has at most {limit} bytes of {', '.join(parts)}, this one would have {size}: "
            "ask for fewer points, or for fewer parts of them in `with`",
            limit=limit,
            got=size,
        )


def check_finite(outputs: Tensor) -> None:
    """outputs (n, ...). InvalidVectors."""
    outputs = outputs.flatten(1)
    bad = ~outputs.isfinite().all(1)
    if bad.any():
        row = int(bad.int().argmax())
        fault = (
            "is NaN: no number is defined there, or one on the way passes single precision"
            if outputs[row].isnan().any()
            else "passes single precision: scale the vectors down"
        )
        raise InvalidVectors(f"row {row}: what is computed of it {fault}", row=row)
