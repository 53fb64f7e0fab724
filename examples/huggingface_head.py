"""The head of a Hugging Face classifier, exported to ONNX, labels what another encoder has read.

    make serve                                      # in another terminal
    .venv/bin/python examples/huggingface_head.py   # --help lists models and URL

The classifier's vectors are those of its first token, and its head is what it makes logits of. Needs transformers,
onnxscript, and the weights of both models on this machine: nothing is downloaded.
"""

import argparse
import re
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import httpx2 as httpx
import numpy as np
import torch
from torch import nn

from app.demo.server import Client, packed
from app.demo.text import sentences

ANCHORS, TESTED, BATCH, TOKENS = 1000, 300, 64, 96
HEADS: Mapping[str, Callable[[Any], nn.Module]] = {  # by config.model_type
    "bert": lambda model: nn.Sequential(model.bert.pooler.dense, nn.Tanh(), model.classifier),
    "distilbert": lambda model: nn.Sequential(model.pre_classifier, nn.ReLU(), model.classifier),
    "roberta": lambda model: nn.Sequential(model.classifier.dense, nn.Tanh(), model.classifier.out_proj),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080")
    parser.add_argument(
        "--model",
        default="distilbert-base-uncased-finetuned-sst-2-english",
        help=f"a classifier of one of {list(HEADS)}: name or folder",
    )
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2", help="name or folder")
    return parser.parse_args()


def loaded(kind: str, name: str) -> tuple[Any, Any]:
    """The model and its tokenizer."""
    import transformers  # noqa: PLC0415  not among our own needs

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, local_files_only=True)
        model = getattr(transformers, kind).from_pretrained(name, local_files_only=True)
    except OSError as error:
        sys.exit(f"the weights of {name!r} are not on this machine: `hf download {name}` brings them ({error})")
    return model.eval(), tokenizer


def states(model: Any, tokenizer: Any, texts: list[str]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """By batch, the last hidden states (n, t, d) and which tokens are real (n, t)."""
    found = []
    for start in range(0, len(texts), BATCH):
        tokens = tokenizer(
            texts[start : start + BATCH], padding=True, truncation=True, max_length=TOKENS, return_tensors="pt"
        )
        with torch.no_grad():
            found.append((model.base_model(**tokens).last_hidden_state, tokens["attention_mask"]))
    return found


def first_tokens(model: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    return torch.cat([hidden[:, 0] for hidden, _ in states(model, tokenizer, texts)]).numpy()


def means(model: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    """Of the real tokens."""
    found = []
    for hidden, mask in states(model, tokenizer, texts):
        weights = mask.unsqueeze(2).float()
        found.append((hidden * weights).sum(1) / weights.sum(1))
    return torch.cat(found).numpy()


def name_of(model: str) -> str:
    """That a space may have."""
    return re.sub(r"[^a-z0-9.-]+", "-", model.lower()).strip("-.")


def onnx_of(head: nn.Module, width: int) -> bytes:
    """With any number of rows, and the weights inside the file."""
    torch.onnx.export(
        head.eval(),
        (torch.zeros(2, width),),
        file := BytesIO(),
        dynamic_shapes=({0: torch.export.Dim("rows", min=1)},),
        external_data=False,
        verbose=False,
    )
    return file.getvalue()


def main() -> None:
    options = arguments()
    if missing := [name for name in ("transformers", "onnxscript") if find_spec(name) is None]:
        sys.exit(f"this example needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    classifier, encoder = (
        loaded("AutoModelForSequenceClassification", options.model),
        loaded("AutoModel", options.encoder),
    )
    model = classifier[0]
    if model.config.model_type not in HEADS:
        sys.exit(f"write down where the head of a {model.config.model_type!r} is, in HEADS")
    texts = [sentence.text for sentence in sentences()[: ANCHORS + TESTED]]
    own, other = first_tokens(*classifier, texts), means(*encoder, texts)
    space, source = name_of(options.model), name_of(options.encoder)
    ids = [f"sentence-{number}" for number in range(ANCHORS)]
    head = {
        "kind": "onnx",
        "space": space,
        "model": b64encode(onnx_of(HEADS[model.config.model_type](model), own.shape[1])).decode(),
        "labels": [model.config.id2label[place] for place in range(model.config.num_labels)],
        "activation": "softmax",
    }
    with httpx.Client(base_url=options.url, timeout=600, trust_env=False) as http:
        client = Client(http)
        client.put_space(space, ids, own[:ANCHORS])
        client.put_space(source, ids, other[:ANCHORS])
        client.ask("PUT", f"/v1/heads/{space}", **head)
        native, stitched = (
            client.ask("POST", "/v1/stitch", source=name, head=space, vectors=packed(vectors[ANCHORS:]))
            for name, vectors in ((space, own), (source, other))
        )
    agreed = np.mean([one == two for one, two in zip(native["labels"], stitched["labels"], strict=True)])
    most = max(native["labels"].count(label) for label in set(native["labels"])) / len(native["labels"])
    print(f"{len(native['labels'])} sentences: {agreed:.3f} get the label that the classifier gives")
    print(f"always its most frequent label would give {most:.3f}")


if __name__ == "__main__":
    main()
