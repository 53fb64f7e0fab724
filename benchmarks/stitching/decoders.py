"""The image decoders of fashion_decoders.npz as torch modules, exported to ONNX."""

import warnings
from functools import cache
from io import BytesIO

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.quality.data import DATA

NAMES = ("mlp_ae", "conv_ae_a", "conv_ae_b", "pca")
SIDE = 28


@cache
def stored() -> dict[str, np.ndarray]:
    with np.load(DATA / "fashion_decoders.npz") as file:
        return dict(file)


def images() -> np.ndarray:
    """(m, 28, 28) in [0, 1], of the first test rows."""
    return stored()["images"].astype(np.float32) / 255


def module(name: str) -> nn.Module:
    """(n, d) -> (n, 28, 28)"""
    weights = {key.removeprefix(f"{name}__"): torch.from_numpy(value) for key, value in stored().items()}
    if name == "pca":
        return nn.Sequential(dense(weights["components"].T, weights["mean"]), nn.Unflatten(1, (SIDE, SIDE)))
    if name == "mlp_ae":
        first, last = (dense(weights[f"{i}.weight"], weights[f"{i}.bias"]) for i in (0, 2))
        return nn.Sequential(first, nn.ReLU(), last, nn.Sigmoid(), nn.Unflatten(1, (SIDE, SIDE)))
    first = dense(weights["fc.weight"], weights["fc.bias"])
    second, last = (doubling(weights[f"t{i}.weight"], weights[f"t{i}.bias"]) for i in (1, 2))
    folded = nn.Unflatten(1, (second.in_channels, SIDE // 4, SIDE // 4))
    return nn.Sequential(first, nn.ReLU(), folded, second, nn.ReLU(), last, nn.Sigmoid(), nn.Flatten(1, 2))


def dense(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def doubling(weight: Tensor, bias: Tensor) -> nn.ConvTranspose2d:
    """Twice as wide and high."""
    layer = nn.ConvTranspose2d(weight.shape[0], weight.shape[1], 4, stride=2, padding=1)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


@cache
def exported(name: str) -> bytes:
    """As an ONNX file; nothing but the number of rows is left open."""
    decoder = module(name).eval()
    width, file = next(decoder.parameters()).shape[-1], BytesIO()
    with warnings.catch_warnings(action="ignore"):  # torch's own
        torch.onnx.export(
            decoder,
            (torch.zeros(2, width),),
            file,
            dynamic_shapes=({0: torch.export.Dim("rows", min=1)},),
            external_data=False,
            verbose=False,
        )
    return file.getvalue()
