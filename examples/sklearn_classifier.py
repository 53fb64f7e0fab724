"""A classifier of scikit-learn becomes a linear head, and labels what another encoder has seen.

    make serve                                        # in another terminal
    .venv/bin/python examples/sklearn_classifier.py   # or with the server's URL

A logistic regression is trained on principal components of scikit-learn's digits. Anchorage runs it on the hidden
layer of a network that was trained apart.
"""

import sys
from typing import Any

import httpx2 as httpx
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from app.demo.server import Client, packed

ANCHORS = 500


def linear_head(classifier: LogisticRegression) -> dict[str, Any]:
    """Of a fitted one; of two classes scikit-learn keeps one row of coefficients."""
    return {
        "kind": "linear",
        "weight": packed(classifier.coef_),
        "bias": packed(classifier.intercept_),
        "labels": [str(label) for label in classifier.classes_],
        "activation": "sigmoid" if len(classifier.classes_) == 2 else "softmax",
    }


def hidden_layer(images: np.ndarray, labels: np.ndarray) -> MLPClassifier:
    return MLPClassifier((48,), max_iter=400, random_state=0).fit(images, labels)


def labelled(client: Client, source: str, vectors: np.ndarray) -> np.ndarray:
    answer = client.ask("POST", "/v1/stitch", source=source, head="digits-classifier", vectors=packed(vectors))
    return np.array(answer["labels"], int)


def main(url: str) -> None:
    images, labels = load_digits(return_X_y=True)
    components, network = PCA(32).fit(images[:ANCHORS]), hidden_layer(images[:ANCHORS], labels[:ANCHORS])
    old = components.transform(images)
    new = (images @ network.coefs_[0] + network.intercepts_[0]).clip(min=0)
    classifier = LogisticRegression(max_iter=2000).fit(old[:ANCHORS], labels[:ANCHORS])
    ids, rest = [f"digit-{number}" for number in range(ANCHORS)], slice(ANCHORS, None)
    with httpx.Client(base_url=url, timeout=300, trust_env=False) as http:
        client = Client(http)
        client.put_space("digits-components", ids, old[:ANCHORS])
        client.put_space("digits-network", ids, new[:ANCHORS])
        client.ask("PUT", "/v1/heads/digits-classifier", space="digits-components", **linear_head(classifier))
        found = {
            "native": labelled(client, "digits-components", old[rest]),
            "stitched": labelled(client, "digits-network", new[rest]),
            "unstitched": labelled(client, "digits-components", new[rest][:, :32]),  # cut to the width
        }
    print(f"accuracy on {len(images) - ANCHORS} digits")
    for name, answers in found.items():
        print(f"{name:12}{np.mean(answers == labels[rest]):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:] or ["http://127.0.0.1:8080"])
