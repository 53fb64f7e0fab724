"""Whatever stands in a field of a body of heads and codes, the answer is a success or a problem, never a 500."""

import json
from base64 import b64encode

import numpy as np
import pytest
import torch
from safetensors.torch import save

NAN = {"base64": "AADAfw==", "dtype": "<f4", "shape": [1, 1]}
STATE = b64encode(save({"0.weight": torch.full((2, 6), torch.nan)})).decode()


def state_of(kind, size):
    """A safetensors file of four numbers of a kind that torch may not have."""
    head = json.dumps({"0.weight": {"dtype": kind, "shape": [4], "data_offsets": [0, size]}}).encode()
    return b64encode(len(head).to_bytes(8, "little") + head + bytes(size)).decode()


NUMBER = {"base64": "AACAPw==", "shape": []}
DEEP, DEEPER = (json.loads("[" * depth + "1" + "]" * depth) for depth in (480, 900))
ABSENT = object()
JUNK = [
    ABSENT, None, True, -1, 0, 1.5, 1e39, 2**70, "", "b", "💥" * 3, "x" * 600, "\u0000",
    [], [[]], [[[]]], [None], ["a", "a"], [[1, 2], [3]], [[True]], [[1e39]], [0] * 70, ["linear"] * 70,
    {}, {"a": 1}, {"base64": "AAAA", "shape": [10**12, 10**12]}, NAN, STATE, {"0.weight": NAN}, {"anchors": []},
    {"selector": "kmeans", "count": 0}, {"item-00": 1}, {"item-00": [1], "item-01": [1, 2]}, {"nobody": "x"},
    state_of("F4", 2), state_of("F6_E2M3", 3), state_of("F8_E8M0", 4), NUMBER, {"0.weight": NUMBER}, DEEP, DEEPER,
]  # fmt: skip
ROUTES = [
    "PUT /v1/heads/new linear",
    "PUT /v1/heads/new mlp",
    "PUT /v1/heads/new relative",
    "POST /v1/stitch",
    "POST /v1/relative",
    "POST /v1/heads/new/fit by anchor",
    "POST /v1/heads/new/fit by vector",
    "POST /v1/heads/h/evaluate by anchor",
    "POST /v1/heads/h/evaluate by vector",
]


def bodies(data):
    """By route, a body that is good, with every field that it may have."""
    weight, vectors, ids = np.eye(3, 6).tolist(), data.new_a[:3].tolist(), data.ids[:3]
    labels = {id_: "xyz"[place % 3] for place, id_ in enumerate(data.ids[:8])}
    codes = {
        "similarity": ["cosine"],
        "before": "none",
        "after": "none",
        "aggregation": "weighted",
        "weights": [1],
    }
    codes |= {"kept": 2, "power": 8, "shrinkage": 0.1, "penalty": 0.03, "anchors": ids}
    tensors = {"0.weight": weight, "2.weight": np.eye(2, 3).tolist()}
    return {
        "PUT /v1/heads/new linear": {
            "kind": "linear",
            "space": "b",
            "weight": weight,
            "bias": [0, 0, 0],
            "labels": ["x", "y", "z"],
            "activation": "softmax",
        },
        "PUT /v1/heads/new mlp": {
            "kind": "mlp",
            "space": "b",
            "layers": ["linear", "relu", "linear"],
            "tensors": tensors,
        },
        "PUT /v1/heads/new relative": {"kind": "linear", "relative": codes, "weight": np.eye(2, 3).tolist()},
        "POST /v1/stitch": {"source": "a", "head": "h", "vectors": vectors, "translator": "for-h", "top_k": 2},
        "POST /v1/relative": {"space": "a", "vectors": vectors, "encoding_format": "float", **codes},
        "POST /v1/heads/new/fit by anchor": {"space": "a", "labels": labels, "relative": codes},
        "POST /v1/heads/new/fit by vector": {"space": "a", "values": [1, 2, 3], "vectors": vectors, "ids": ids},
        "POST /v1/heads/h/evaluate by anchor": {"source": "a", "labels": labels, "translator": "for-h"},
        "POST /v1/heads/h/evaluate by vector": {
            "source": "a",
            "labels": ["x", "y", "z"],
            "vectors": vectors,
            "ids": ids,
            "translator": "for-h",
        },
    }


def changed(body):
    """Every body with one field, or one of an object in it, replaced by junk."""
    for field, value in body.items():
        for junk in JUNK:
            yield {name: part for name, part in {**body, field: junk}.items() if part is not ABSENT}
        if field in ("relative", "tensors"):
            yield from ({**body, field: inner} for inner in changed(value))


@pytest.mark.parametrize("route", ROUTES)
def test_junk_in_any_field_is_a_success_or_a_problem(route, own_heads, data, assert_problem):
    method, path = route.split()[:2]
    good, way = bodies(data), {"source": "a", "target": "b", "method": "mean"}
    own_heads.put("/v1/translators/for-h", json={**way, "objective": "head", "head": "h"})
    assert own_heads.request(method, path, json=good[route]).is_success
    for body in changed(good[route]):
        answer = own_heads.request(method, path, content=json.dumps(body))
        if not answer.is_success:
            assert 400 <= answer.status_code < 500, answer.text
            assert_problem(answer, answer.status_code, answer.json()["code"])
