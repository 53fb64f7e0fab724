"""Searches of collections: how fast they are beside the peers, and what a translation leaves of them.

    python -m benchmarks.retrieval speed --peers X            100k and 1M points: an hour or more
    python -m benchmarks.retrieval speed --sizes 20000        a quick look at us and FAISS alone
    python -m benchmarks.retrieval quality                    every ordered pair of every .npz in ANCHORAGE_DATA
    python -m benchmarks.retrieval quality --pairs-step 6     a quicker one

Run it in the repository's root. The peers live in an environment of their own, made once:

    python -m venv X; X/bin/pip install chromadb milvus-lite pymilvus

OMP_NUM_THREADS holds for this process and for all that it starts. A peer takes the least of its efforts that
reaches our recall without a filter; the first call of each turn is not counted.
"""

import argparse
from pathlib import Path

from benchmarks.quality import data
from benchmarks.retrieval import quality, speed


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    subjects = parser.add_subparsers(dest="subject", required=True)
    fast = subjects.add_parser("speed", help="beside raw FAISS, Chroma and milvus-lite")
    fast.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000], help="points, in this order")
    fast.add_argument("--peers", type=Path, help="folder of the peers' environment (default: they are missing)")
    fast.add_argument("--index", default="auto", help="of our collection, and so of FAISS (default auto)")
    fast.add_argument("--rounds", type=int, default=5, help="in which all are asked in turn (default 5)")
    good = subjects.add_parser("quality", help="translated, untranslated and native queries")
    good.add_argument("--anchors", type=int, default=300)
    good.add_argument("--queries", type=int, default=500, help="of each pair (default 500)")
    good.add_argument("--files", nargs="+", default=[*data.names()], help="names without .npz (default all)")
    good.add_argument("--pairs-step", type=int, default=1, help="every how many-th ordered pair (default 1)")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.subject == "speed":
        speed.run(options)
    else:
        quality.run(options)


if __name__ == "__main__":
    main()
