"""What is stored of a fitted translation and served from: tensors only, never pickle."""

from collections.abc import Mapping
from dataclasses import dataclass

from safetensors.torch import load, save
from torch import Tensor

from models.blend import Fitted
from models.calibration import Calibration
from models.confidence import Confidence
from models.maps import Map
from models.registry import MAPS


@dataclass(frozen=True)
class Artifact:
    """A map, the score to compare its translations by, how far each may be trusted, and what scores mean."""

    map: Map
    score: Fitted
    confidence: Confidence
    calibration: Calibration | None = None

    def to_bytes(self) -> bytes:
        """float32 safetensors, named "map.affine.weight", "score.mean", ..."""
        parts = {
            f"map.{self.map.kind}": self.map.tensors(),
            "score": self.score.tensors(),
            "confidence": self.confidence.tensors(),
            "calibration": self.calibration.tensors() if self.calibration else {},
        }
        return save({f"{part}.{name}": value for part, named in parts.items() for name, value in named.items()})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Artifact":
        tensors = load(data)
        kind = next(name.split(".")[1] for name in tensors if name.startswith("map."))
        calibration = below(tensors, "calibration")
        return cls(
            MAPS[kind].of_tensors(below(tensors, f"map.{kind}")),
            Fitted.of_tensors(below(tensors, "score")),
            Confidence.of_tensors(below(tensors, "confidence")),
            Calibration.of_tensors(calibration) if calibration else None,
        )


def below(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
