"""Seeded pairs of spaces that every wing's tests share: float64, row i of x and of y is one item."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from hypothesis import settings
from threadpoolctl import threadpool_limits
from torch import Tensor

settings.register_profile("unhurried", deadline=None)  # the cores are shared with other tests
settings.load_profile("unhurried")


class Pair(NamedTuple):
    """Two spaces that differ by y = scale · x rotation + shift, and some noise."""

    x: Tensor  # (n, d1)
    y: Tensor  # (n, d2)
    rotation: Tensor  # (d1, d2), semi-orthogonal
    scale: float
    shift: Tensor  # (d2,)


def pair(n: int, d1: int, d2: int, noise: float = 0.0, seed: int = 0) -> Pair:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    widest = max(d1, d2)
    rotation = torch.linalg.qr(normal(widest, widest))[0][:d1, :d2]
    x, shift, scale = normal(n, d1) + normal(d1), normal(d2), 1.7
    return Pair(x, scale * x @ rotation + shift + noise * normal(n, d2), rotation, scale, shift)


@pytest.fixture
def normal():
    """normal(*shape): standard normal float64 numbers, the same in every run of a test."""
    generator = torch.Generator().manual_seed(20240607)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="session")
def make_pair():
    """make_pair(n, d1, d2, noise=0.0, seed=0), for a test that needs a size of its own."""
    return pair


@pytest.fixture
def rotated() -> Pair:
    """60 items in 8 and 8 dimensions: a rotation, a scale and a shift, exactly."""
    return pair(60, 8, 8)


@pytest.fixture
def noisy() -> Pair:
    """300 items in 16 and 16 dimensions, half as much noise as a unit of the source."""
    return pair(300, 16, 16, noise=0.5)


@pytest.fixture
def few() -> Pair:
    """12 noisy items in 20 and 20 dimensions: fewer anchors than dimensions."""
    return pair(12, 20, 20, noise=0.1)


@pytest.fixture
def two_widths() -> Pair:
    """60 items in 8 and 12 dimensions, exactly."""
    return pair(60, 8, 12)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """On matrices as small as those of the tests, threads only wait for each other."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
