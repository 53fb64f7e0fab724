"""Everybody's translations of every ordered pair of every .npz in ANCHORAGE_DATA, on the same rows.

    python -m benchmarks.quality                                 everything: hours
    python -m benchmarks.quality --anchors 300 --draws 1         a quick look
    python -m benchmarks.quality --files cora --pairs-step 3     a quicker one

Run it in the repository's root. Figures are appended to OUT/results.csv as they come, so that an interrupted run
goes on where it was; OUT/summary.md, OUT/<file>.png and OUT/mrr.svg are made of all that it holds. The peers' code
is peers.py.
"""

import argparse
from pathlib import Path

from benchmarks.quality import peers, plots, report, results, run
from benchmarks.quality.summary import tables
from benchmarks.quality.task import HINDSIGHT, OBJECTIVES

OUT = Path("benchmarks/out/quality")
PATIENCE = 600.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anchors", type=int, nargs="+", default=[30, 100, 300, 1000, 3000], help="in this order")
    parser.add_argument("--draws", type=int, default=3, help="of anchors, for each number (default 3)")
    parser.add_argument("--files", nargs="+", help="names without .npz (default all)")
    parser.add_argument("--pairs-step", type=int, default=1, help="every how many-th ordered pair (default 1)")
    parser.add_argument(
        "--objectives",
        nargs="*",
        choices=[*OBJECTIVES, HINDSIGHT],
        default=OBJECTIVES,
        help=f"of ours; {HINDSIGHT}: what a perfect choice of the retrieval candidate would reach",
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=PATIENCE,
        help=f"seconds for a choice (default {PATIENCE}, so that a busy machine changes no figure)",
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each (default 2)")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder (default {OUT})")
    parser.add_argument(
        "--again",
        action="store_true",
        help="first drop our figures of another state of models/, and those short of time",
    )
    parser.add_argument("--report", action="store_true", help="measure nothing: tables and plots of what there is")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "results.csv"
    lines = results.read(path)
    if options.again:
        state = results.state()
        lines = [line for line in lines if results.stands(line, state)]
        results.rewrite(path, lines)
    package = (
        f"the package from {Path(peers.package().__file__).parents[2]}" if peers.package() else "its formulas"
    )
    note = f"latentis: {package}."
    print(note)
    if not options.report and (todo := run.works(options, lines)):
        run.measure(todo, options, path)
    lines = results.read(path)
    if short := sum(bool(line.dropped) for line in lines):
        note += f" In {short} of our figures candidates were left out for lack of time: `--again` repeats these."
    found = tables(lines)
    text = report.markdown(found, note)
    (options.out / "summary.md").write_text(text)
    plots.draw(found, options.out)
    print(text)


if __name__ == "__main__":
    main()
