"""Clouds of points of which it is known how they were made."""

import numpy as np
import pytest

from anchors import AnchorSet, Pairs


class Clouds:
    """Clustered and anisotropic: 20 clusters in `d` dimensions, each with its own weight and spread."""

    def __init__(self, d: int = 16, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.d = d
        self.scales = np.linspace(3, 0.5, d)
        self.centres = self.rng.normal(size=(20, d)) * self.scales
        self.weights = self.rng.dirichlet(np.full(20, 3.0))
        self.rotation = np.linalg.qr(self.rng.normal(size=(d, d)))[0]

    def points(self, n: int, spread: float = 0.4) -> np.ndarray:
        """(n, d)"""
        labels = self.rng.choice(20, n, p=self.weights)
        return (self.centres[labels] + spread * self.rng.normal(size=(n, self.d)) * self.scales).astype(np.float32)

    def turned(self, x: np.ndarray) -> np.ndarray:
        """The same items as another encoder sees them: turned, scaled and shifted."""
        return (2 * x @ self.rotation + 5).astype(np.float32)

    def pairs(self, n: int, noise: float = 0.0) -> Pairs:
        x = self.points(n)
        y = self.turned(x + noise * self.rng.normal(size=x.shape))
        return Pairs([f"pair-{i:04d}" for i in range(n)], x, y)

    def unpaired(self, n: int) -> tuple[AnchorSet, AnchorSet]:
        """n points of each side, of other items and with other ids."""
        return named("s", self.points(n)), named("t", self.turned(self.points(n)))


def named(prefix: str, vectors: np.ndarray) -> AnchorSet:
    return AnchorSet([f"{prefix}{i:04d}" for i in range(len(vectors))], vectors)


@pytest.fixture
def clouds() -> Clouds:
    return Clouds()
