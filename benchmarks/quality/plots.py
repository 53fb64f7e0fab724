"""Retrieval against the number of anchors: a picture of all files, and one of each with every peer."""

from importlib.util import find_spec
from pathlib import Path

from benchmarks.quality.peers import RETRIEVAL
from benchmarks.quality.summary import Table
from benchmarks.quality.targets import ANCHORS, MRR
from models.objectives import Retrieval

OURS = f"us {Retrieval.name}"


def draw(tables: list[Table], folder: Path) -> None:
    if find_spec("matplotlib") is None:
        print("no plots: matplotlib is not installed (pip install -c constraints.txt matplotlib)")
        return
    by_file: dict[str, list[Table]] = {}
    for table in sorted(tables, key=lambda table: table.anchors):
        if table.ours == OURS:
            by_file.setdefault(table.file, []).append(table)
    for file, chosen in by_file.items():
        picture(chosen, folder / f"{file}.png")
    if wanted := [chosen for file, chosen in by_file.items() if file in MRR]:
        overview(wanted, folder / "mrr.svg")


def overview(files: list[list[Table]], path: Path) -> None:
    """With what was wanted of each."""
    import matplotlib  # noqa: PLC0415  an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(11, 2.8), layout="constrained")
    for axes, tables in zip(figure.subplots(1, len(files), squeeze=False)[0], files, strict=True):
        n = [table.anchors for table in tables]
        best = max(RETRIEVAL, key=lambda name: sum(table.peer(name) for table in tables))
        axes.plot(n, [table.us for table in tables], "ko-", linewidth=2, label="Anchorage")
        axes.plot(n, [table.hindsight for table in tables], "C0.--", label="the best peer of each pair")
        axes.plot(n, [table.peer(best) for table in tables], "C1.:", label="one peer for all pairs")
        axes.plot([ANCHORS], [MRR[tables[0].file]], "r_", markersize=16, label="wanted at 300 anchors")
        axes.set(xscale="log", xlabel="anchors", ylim=(0, 1), title=tables[0].file)
        axes.set_xticks(n, [f"{table.anchors}" for table in tables], minor=False)
        axes.minorticks_off()
    figure.axes[0].set_ylabel("MRR")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None})


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
