"""What the service is and allows; `GET /v1/info` and `anchorage doctor` print the same."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch

from app.index import AUTO, FAISS_VERSION, INDEXES, METRICS, gpus
from app.onnx.runner import runtime
from app.service.heads import KINDS
from app.service.pairing import CHOICES, PAIRINGS
from app.settings import Settings
from models.comparison import MEASURES, Measure
from models.heads import ACTIVATIONS
from models.layers import LAYERS
from models.objectives import OBJECTIVES
from models.registry import METHODS
from models.relative import CHOICES as CODES
from models.relative import OPTIONS
from models.similarities import SIMILARITIES, Similarity


@dataclass(frozen=True)
class Info:
    """Versions, limits, and the names that requests may use."""

    version: str
    versions: Mapping[str, str]
    store: str
    device: Mapping[str, Any]
    index: Mapping[str, Any]
    limits: Mapping[str, int | float]
    methods: Mapping[str, Mapping[str, Any]]
    objectives: list[str]
    pairings: list[str]
    selectors: list[str]
    metrics: list[str]
    measures: Mapping[str, Mapping[str, Any]]
    heads: Mapping[str, list[str]]
    similarities: Mapping[str, Mapping[str, Any]]
    relative: Mapping[str, Any]
    media_types: list[str]


def info(settings: Settings, media_types: list[str]) -> Info:
    limits = [name for name in Settings.model_fields if name.startswith("max_")]
    return Info(
        version=version("anchorage"),
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "faiss": FAISS_VERSION,
            "onnxruntime": runtime(),
        },
        store=without_secrets(settings.store),
        device={
            "cores": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "gpus": torch.cuda.device_count(),
        },
        index={"kinds": [AUTO, *INDEXES], "gpus": gpus()},
        limits={name: getattr(settings, name) for name in limits},
        methods={"auto": {}} | {name: options_of(name) for name in METHODS},
        objectives=list(OBJECTIVES),
        pairings=list(PAIRINGS),
        selectors=list(CHOICES),
        metrics=list(METRICS),
        measures={name: meaning_of(MEASURES[name]) for name in MEASURES},
        heads={"kinds": list(KINDS), "activations": list(ACTIVATIONS), "layers": list(LAYERS)},
        similarities={name: meaning_of(SIMILARITIES[name]) for name in SIMILARITIES},
        relative={**CODES, **{name: asdict(option) for name, option in OPTIONS.items()}},
        media_types=media_types,
    )


def options_of(method: str) -> dict[str, Any]:
    return {name: asdict(option) for name, option in METHODS[method].options.items()}


def meaning_of(measure: Measure | Similarity) -> dict[str, Any]:
    """Its range, which end means alike, and what it needs: all that is no function."""
    return {name: value for name, value in vars(measure).items() if name not in ("function", "learn")}


def without_secrets(url: str) -> str:
    """The store's URL without user, password and query, where secrets may stand."""
    scheme, _, rest = url.partition("?")[0].partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"
