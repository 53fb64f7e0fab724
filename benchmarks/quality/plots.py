"""Retrieval against the number of anchors, a picture a file."""

from importlib.util import find_spec
from pathlib import Path

from benchmarks.quality.peers import RETRIEVAL
from benchmarks.quality.summary import Table


def draw(tables: list[Table], folder: Path) -> None:
    if find_spec("matplotlib") is None:
        print("no plots: matplotlib is not installed (pip install -c constraints.txt matplotlib)")
        return
    for file in dict.fromkeys(table.file for table in tables):
        chosen = sorted((t for t in tables if t.file == file and t.metric != "accuracy"), key=lambda t: t.anchors)
        if chosen:
            picture(chosen, folder / f"{file}.png")


def picture(tables: list[Table], path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415  an extra

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes, n = figure.subplots(), [table.anchors for table in tables]
    for name in RETRIEVAL:
        axes.plot(n, [table.peer(name) for table in tables], ".-", linewidth=0.8, alpha=0.6, label=name)
    axes.plot(n, [t.hindsight for t in tables], "k.--", label="best peer per pair, in hindsight")
    axes.plot(n, [t.us for t in tables], "ko-", linewidth=2.5, label="Anchorage")
    axes.set(xscale="log", xlabel="anchors", ylabel=tables[0].metric.replace("_", " "), title=tables[0].file)
    axes.set_xticks(n, list(map(str, n)))
    axes.legend(fontsize=6, ncols=2)
    figure.savefig(path, dpi=150)
