"""A decoder of torch, exported to ONNX, draws what another encoder has seen.

    make serve                                   # in another terminal
    .venv/bin/python examples/torch_decoder.py   # or with the server's URL

Two autoencoders of scikit-learn's digits are trained apart. The decoder of the first becomes a head of its space;
Anchorage runs it on the vectors of the second. Needs onnxscript, with which torch exports.
"""

import sys
from base64 import b64encode
from io import BytesIO

import httpx2 as httpx
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from app.demo.server import Client, packed

WIDTH, ANCHORS, STEPS = 16, 500, 400


def autoencoder(images: Tensor, seed: int) -> tuple[nn.Module, nn.Module]:
    """images (n, 8, 8) in [0, 1] -> an encoder to (n, WIDTH), and its decoder."""
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, WIDTH))
    decoder = nn.Sequential(
        nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, 64), nn.Sigmoid(), nn.Unflatten(1, (8, 8))
    )
    both = nn.Sequential(encoder, decoder)
    adam = torch.optim.Adam(both.parameters(), 5e-3)
    for _ in range(STEPS):
        adam.zero_grad()
        nn.functional.mse_loss(both(images), images).backward()
        adam.step()
    return encoder, decoder


def onnx_of(decoder: nn.Module) -> bytes:
    """With any number of rows, and the weights inside the file."""
    rows = torch.export.Dim("rows", min=1)
    torch.onnx.export(
        decoder.eval(),
        (torch.zeros(2, WIDTH),),
        file := BytesIO(),
        dynamic_shapes=({0: rows},),
        external_data=False,
        verbose=False,
    )
    return file.getvalue()


def decoded(client: Client, source: str, vectors: np.ndarray) -> np.ndarray:
    """(n, WIDTH) of `source` -> (n, 8, 8)."""
    answer = client.ask("POST", "/v1/stitch", source=source, head="digits-decoder", vectors=packed(vectors))
    return np.array(answer["outputs"])


def main(url: str) -> None:
    images = torch.from_numpy(load_digits().images / 16).float()
    (first, decoder), (second, _) = autoencoder(images[:ANCHORS], 1), autoencoder(images[:ANCHORS], 2)
    with torch.no_grad():
        old, new = first(images).numpy(), second(images).numpy()
    ids, rest = [f"digit-{number}" for number in range(ANCHORS)], slice(ANCHORS, None)
    with httpx.Client(base_url=url, timeout=300, trust_env=False) as http:
        client = Client(http)
        client.put_space("digits-old", ids, old[:ANCHORS])
        client.put_space("digits-new", ids, new[:ANCHORS])
        model = b64encode(onnx_of(decoder)).decode()
        client.ask("PUT", "/v1/heads/digits-decoder", kind="onnx", space="digits-old", model=model)
        drawn = {
            "native": decoded(client, "digits-old", old[rest]),
            "stitched": decoded(client, "digits-new", new[rest]),
            "unstitched": decoded(client, "digits-old", new[rest]),  # as if they were the old encoder's
        }
    print(f"mean squared error of {len(images) - ANCHORS} drawn digits")
    for name, pictures in drawn.items():
        print(f"{name:12}{np.square(pictures - images[rest].numpy()).mean():.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:] or ["http://127.0.0.1:8080"])
