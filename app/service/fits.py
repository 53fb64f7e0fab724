"""Fits that are running: how far each is, for whoever asks while another waits for its answer."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from models.progress import Progress

logger = logging.getLogger("anchorage")


@dataclass(frozen=True)
class Fit:
    """Of a translator, at one moment."""

    translator: str
    source: str
    target: str
    stage: str = "anchors"
    done: int = 0  # steps of the stage
    total: int = 1
    begun: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun


class Fits:
    """Those of this process, the oldest first."""

    def __init__(self) -> None:
        self._running: dict[object, Fit] = {}

    def all(self) -> list[Fit]:
        return list(self._running.values())

    @contextmanager
    def running(self, fit: Fit) -> Iterator[Progress]:
        """Listed until it ends, well or not."""
        key = object()
        self._running[key] = fit

        def told(stage: str, done: int, total: int) -> None:
            if stage != self._running[key].stage:
                logger.info("translator %s: %s", fit.translator, stage)
            self._running[key] = replace(fit, stage=stage, done=done, total=total)

        try:
            yield told
        finally:
            del self._running[key]
