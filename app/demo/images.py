"""Handwritten digits that come with scikit-learn, and two networks that learn to describe them."""

from collections.abc import Callable
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

SIDE = 8
CLASSES = 10
BRIGHTEST = 16


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The images, (n, 64) with values from 0 to 1, and the digit each of them shows, (n,)."""
    images, labels = load_digits(return_X_y=True)
    return (images / BRIGHTEST).astype(np.float32), labels.astype(np.int64)


def perceptron(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(SIDE * SIDE, 256), nn.GELU(), nn.Linear(256, width))


def convolution(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, SIDE, SIDE)),
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.GELU(),
        nn.Conv2d(16, 32, kernel_size=3, padding=1, stride=2),  # (n, 32, 4, 4)
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(32 * SIDE * SIDE // 4, width),
    )


class Network(nn.Module):
    """A body that turns an image into a code, and two heads that read the code."""

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body = body
        self.redraw = nn.Sequential(nn.Linear(width, 128), nn.GELU(), nn.Linear(128, SIDE * SIDE))
        self.classify = nn.Linear(width, CLASSES)

    def loss(self, images: Tensor, labels: Tensor, classifying: float) -> Tensor:
        codes = self.body(images)  # (n, width)
        # a code that only had to name its digit would forget which image it came from
        redrawing = functional.mse_loss(self.redraw(codes), images)
        return redrawing + classifying * functional.cross_entropy(self.classify(codes), labels)


class Encoder:
    """Codes of `width` numbers that say both which digit an image shows and how it is drawn."""

    def __init__(self, body: Callable[[int], nn.Module], width: int, seed: int, epochs: int = 40) -> None:
        self.body, self.width, self.seed, self.epochs = body, width, seed, epochs

    def fit(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Train on labelled images; the same seed gives the same codes and leaves torch's own seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            self.network_ = Network(self.body(self.width), self.width)
            self.train(torch.from_numpy(images), torch.from_numpy(labels))
        return self

    def train(self, images: Tensor, labels: Tensor, batch: int = 64, classifying: float = 0.01) -> None:
        optimizer = torch.optim.AdamW(self.network_.parameters(), lr=2e-3, weight_decay=1e-2)
        for _ in range(self.epochs):
            for rows in torch.split(torch.randperm(len(images)), batch):
                optimizer.zero_grad()
                torch.autograd.backward(self.network_.loss(images[rows], labels[rows], classifying))
                optimizer.step()

    @torch.no_grad()
    def encode(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        codes: NDArray[np.float32] = self.network_.body(torch.from_numpy(images)).numpy()  # (n, width)
        return codes


ENCODERS: dict[str, Callable[[], Encoder]] = {
    "perceptron": lambda: Encoder(perceptron, width=32, seed=1),
    "convolution": lambda: Encoder(convolution, width=48, seed=2),
}
