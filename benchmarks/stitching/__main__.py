"""Heads and image decoders of every ordered pair of every .npz in ANCHORAGE_DATA, on the same test rows.

    python -m benchmarks.stitching                               everything: hours
    python -m benchmarks.stitching --anchors 300 --draws 1       a quick look
    python -m benchmarks.stitching --files cora --pairs-step 3   a quicker one

Run it in the repository's root. A real server answers all of it, the peers' translations are run by the same heads
over HTTP. Figures are appended to OUT/results.csv as they come, so that an interrupted run goes on where it was;
OUT/summary.md is made of all that it holds, OUT/images has a picture of every pair that ends in images.
"""

import argparse
from pathlib import Path

from app.demo.server import running_server
from benchmarks.quality import peers, results
from benchmarks.stitching import report, run
from benchmarks.stitching.summary import tables

OUT = Path("benchmarks/out/stitching")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anchors", type=int, nargs="+", default=[300, 100, 1000], help="in this order")
    parser.add_argument("--draws", type=int, default=3, help="of anchors, for each number (default 3)")
    parser.add_argument("--files", nargs="+", help="names without .npz (default all with heads)")
    parser.add_argument("--pairs-step", type=int, default=1, help="every how many-th ordered pair (default 1)")
    parser.add_argument("--jobs", type=int, default=2, help="clients of the one server at a time (default 2)")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder (default {OUT})")
    parser.add_argument("--again", action="store_true", help="first drop what another state of models/ gave")
    parser.add_argument("--report", action="store_true", help="measure nothing: tables of what there is")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "results.csv"
    lines = results.read(path)
    if options.again:
        lines = [line for line in lines if line.models == results.state()]
        results.rewrite(path, lines)
    if not options.report and (todo := run.tasks(options, lines)):
        with running_server() as client:
            run.measure(todo, options, str(client.http.base_url))
    note = "latentis: " + ("the installed package." if peers.package() else "its formulas, in quality/peers.py.")
    text = report.markdown(tables(results.read(path)), note)
    (options.out / "summary.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
