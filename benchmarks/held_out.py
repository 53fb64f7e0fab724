"""Is the report honest? Its held-out MRR beside that of fresh rows, in galleries of the same size.

    python benchmarks/held_out.py [--anchors 100 300 600]

Reads the row-aligned spaces of every .npz in ANCHORAGE_DATA (default ../shared/data). "all anchors" is what
ranking a held-out anchor among all anchors, the fitted ones included, would have reported, beside fresh rows
in a gallery as large.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.blend import Blend
from models.estimate import Report, estimate
from models.folds import Folds
from models.registry import candidates

DATA = Path(os.environ.get("ANCHORAGE_DATA", "../shared/data"))


def spaces(path: Path) -> tuple[dict[str, Tensor], Tensor]:
    with np.load(path) as file:
        found = {key[5:]: torch.from_numpy(file[key].astype("float32")) for key in file if key.startswith("emb__")}
        return found, torch.from_numpy(file["split"].astype("int64"))


def mrr(similarity: Tensor, own: Tensor) -> float:
    """(m, stored), (m,): the column of every row's counterpart; ties count half."""
    found = similarity.gather(1, own.unsqueeze(1))
    above, equal = (similarity > found).sum(1), (similarity == found).sum(1) - 1
    return float((1 / (1 + above + equal / 2)).mean())


def pairs(anchors: int) -> Iterator[tuple[str, Tensor, Tensor, Tensor, Tensor]]:
    for path in sorted(DATA.glob("*.npz")):
        found, split = spaces(path) if "decoders" not in path.name else ({}, torch.empty(0))
        train, test = (split == 0).nonzero()[:anchors, 0], (split == 1).nonzero()[:anchors, 0]
        for a, b in permutations(found, 2):
            x, y = found[a].double(), found[b].double()
            yield f"{path.stem} {a}-{b}", x[train], y[train], x[test], y[test]


def row(x: Tensor, y: Tensor, fresh_x: Tensor, fresh_y: Tensor) -> list[float]:
    estimated = estimate(x, y)
    report, similarity = estimated.report, estimated.score(estimated.method.transform(fresh_x), fresh_y)
    return [
        report.quality["mrr"].mean,
        in_galleries(similarity, report.gallery),
        among_all(report, Folds(x, y, seed=0)),
        mrr(similarity, torch.arange(len(similarity))),
    ]


def in_galleries(similarity: Tensor, gallery: int) -> float:
    """(m, m) own counterparts on the diagonal, looked for among `gallery` of them at a time."""
    starts = range(0, len(similarity) - gallery + 1, gallery)
    parts = [similarity[at : at + gallery, at : at + gallery] for at in starts]
    return float(np.mean([mrr(part, torch.arange(gallery)) for part in parts]))


def among_all(report: Report, folds: Folds) -> float:
    """Of the chosen candidate: held-out anchors looked for among all anchors, also those it was fitted on."""
    (method,) = candidates(report.method, report.parameters)
    blend = Blend.of_dict(report.score)
    found = []
    for fold in range(folds.parts):
        trial = method.trial(folds, fold)
        stored = folds.y if trial.y.shape[1] == folds.y.shape[1] else folds.span_y[0]
        everything = replace(trial, y=stored.to(trial.y.dtype))
        found.append((blend.of(everything), folds.rows(fold)))
    counts = [len(rows) for _, rows in found]
    return float(np.average([mrr(*part) for part in found], weights=counts))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--anchors", type=int, nargs="+", default=[100, 300, 600])
    print(f"{'':44}{'report':>8}{'fresh':>8}{'all anchors':>13}{'fresh':>8}")
    for anchors in arguments.parse_args().anchors:
        rows = []
        for name, *data in pairs(anchors):
            rows.append(row(*data))
            print(f"{name:38}{anchors:6}{rows[-1][0]:8.3f}{rows[-1][1]:8.3f}{rows[-1][2]:13.3f}{rows[-1][3]:8.3f}")
        mean = np.mean(rows, 0)
        print(f"{'mean of all pairs':38}{anchors:6}{mean[0]:8.3f}{mean[1]:8.3f}{mean[2]:13.3f}{mean[3]:8.3f}\n")


if __name__ == "__main__":
    main()
