"""Some test images of a pair, and what the target's decoder makes of either space's vectors of them."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.quality.task import Task

COLUMNS = 10
ROWS = {"native": "native", "us head": "stitched", "unstitched": "unstitched"}


def draw(task: Task, images: np.ndarray, outputs: dict[str, np.ndarray], folder: Path) -> None:
    """images and outputs (m, 28, 28); nothing without matplotlib, which is an extra."""
    if find_spec("matplotlib") is None:
        return
    from matplotlib.figure import Figure  # noqa: PLC0415

    rows = {"original": images} | {title: outputs[name] for name, title in ROWS.items()}
    figure = Figure(figsize=(COLUMNS, len(rows) + 0.5), layout="constrained")
    axes = figure.subplots(len(rows), COLUMNS)
    for line, (title, shown) in zip(axes, rows.items(), strict=True):
        for place, image in zip(line, shown, strict=False):
            place.imshow(image, cmap="gray", vmin=0, vmax=1)
            place.set(xticks=[], yticks=[])
        line[0].set_ylabel(title)
    figure.suptitle(f"{task.source} → {task.target}, {task.anchors} anchors")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{task.source}-{task.target}-{task.anchors}.png", dpi=100)
