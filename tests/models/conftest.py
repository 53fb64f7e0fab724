"""What tests of similarities share."""

import pytest
import torch

KINDS = ("rotation", "scale", "shift", "order", "invertible")  # of change; order is that of the dimensions
INVARIANCES = {  # what a similarity does not see; a shift too, once it is centred
    "cosine": {"rotation", "scale", "order"},
    "angular": {"rotation", "scale", "order"},
    "euclidean": {"rotation", "shift", "order"},
    "l1": {"shift", "order"},
    "linf": {"shift", "order"},
    "inner": {"rotation", "order"},
    "mahalanobis": {"rotation", "scale", "shift", "order"},
    "geodesic": {"rotation", "shift", "order"},
    "basis": {"rotation", "scale", "order", "invertible"},
}


@pytest.fixture
def change(normal):
    """change(kind, d): a function of (n, d) vectors, the same for all of them."""

    def make(kind, d):
        rotation, shift, order = torch.linalg.qr(normal(d, d))[0], normal(d), normal(d).argsort()
        invertible = rotation * torch.logspace(-1, 1, d, dtype=torch.float64)
        return {
            "rotation": lambda x: x @ rotation,
            "scale": lambda x: 7.3 * x,
            "shift": lambda x: x + shift,
            "order": lambda x: x[:, order],
            "invertible": lambda x: x @ invertible,
        }[kind]

    return make
