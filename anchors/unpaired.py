"""Pairing `unpaired`: two clouds of points, and no id in common.

After mini-vec2vec (Dar 2025, arXiv 2510.02348): clusters of both clouds are matched by how they lie to each other
(a quadratic assignment of centred Gram matrices), the matched centroids give a rotation, the rotation gives mutual
nearest neighbours, these a better rotation. The original pools the centroids of all its runs, so that one wrong
matching spoils the rest; here each start stands alone and the one with most mutual neighbours is kept.

Nothing is known that could prove the result right. But what is found again from other points and other clusters
lies in the spaces and not in the draw: restarts must agree, in where they put a point and in its nearest target.
Two clouds of few directions can be agreed upon and yet not fit, so enough points must be mutual neighbours too.
Otherwise the answer is a refusal with the figures.
"""

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from anchors.arrays import Matrix
from anchors.assignment import assign
from anchors.clusters import clusters
from anchors.errors import PairingRefused, TooFewPoints
from anchors.induced import InducedPairs, found
from anchors.neighbours import mutual_pairs
from anchors.scale import standard, unit
from anchors.sets import AnchorSet
from anchors.singular import singular
from models.progress import Progress, silent

LEAST_POINTS = 100
POINTS = 4096  # of each side that are looked at; of more a sample
DRAWN = 1000  # of each side that a restart sees, and no more than half
RESTARTS = 5
CLUSTERS = 20
CLUSTERINGS = 10  # of each side
MATCHINGS = 3  # of each clustering
FIRST, LAST = 3, 20  # rounds of refinement: of each start, of the best
FINALISTS = 3
LEAST_AGREEMENT = 0.8
LEAST_SAME = 0.1
LEAST_MUTUAL = 0.25


@dataclass(frozen=True)
class UnpairedReport:
    """Of the pairs, and of the agreement of every two restarts."""

    induced: int
    mutual_nn_rate: float  # mutual nearest neighbours / points of the smaller side
    restarts: int
    agreement: float  # mean cosine of where two restarts put a point
    same_nearest: float  # share of points to which two restarts give the same nearest target

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def pair_unpaired(
    source: AnchorSet, target: AnchorSet, seed: int = 0, progress: Progress = silent
) -> tuple[InducedPairs, UnpairedReport]:
    """The pairs that two clouds suggest by their shapes. TooFewPoints, PairingRefused."""
    check_sizes(len(source), len(target))
    rng = np.random.default_rng(seed)
    source, target = source.sample(POINTS, rng), target.sample(POINTS, rng)
    x, y = directions(source.vectors), directions(target.vectors)
    rotations = []
    for number, child in enumerate(rng.spawn(RESTARTS)):
        rotations.append(restart(x, y, child))
        progress("restarts", number + 1, RESTARTS)
    agreement, same = agreements([unit(x @ rotation) for rotation in rotations], y)
    rotation = refined(max(rotations, key=lambda rotation: mutual_rate(rotation, x, y)), x, y, LAST)
    moved = unit(x @ rotation)
    rows, columns = mutual_pairs(moved, y)
    report = UnpairedReport(len(rows), len(rows) / min(len(x), len(y)), RESTARTS, agreement, same)
    check_report(report)
    return found(source, target, rows, columns, (moved[rows] * y[columns]).sum(1)), report


def check_sizes(source: int, target: int) -> None:
    if min(source, target) < LEAST_POINTS:
        raise TooFewPoints(
            f"pairing without shared ids needs {LEAST_POINTS} points in each space, got {source} and {target}; "
            "add anchors",
            expected=LEAST_POINTS,
            got={"source": source, "target": target},
        )


def directions(vectors: Matrix) -> Matrix:
    """(n, d) centred on its own mean, rows of length 1."""
    return unit(vectors - vectors.mean(0, dtype=np.float64))


def restart(x: Matrix, y: Matrix, rng: np.random.Generator) -> Matrix:
    """The best rotation (d1, d2) of many starts, from its own draw of the points."""
    x, y = drawn(x, rng), drawn(y, rng)
    begun = [refined(rotation, x, y, FIRST) for rotation in starts(x, y, rng)]
    finalists = sorted(begun, key=lambda rotation: mutual_rate(rotation, x, y))[-FINALISTS:]
    ends = [refined(rotation, x, y, LAST) for rotation in finalists]
    return max(ends, key=lambda rotation: mutual_rate(rotation, x, y))


def drawn(points: Matrix, rng: np.random.Generator) -> Matrix:
    return points[rng.choice(len(points), min(DRAWN, len(points) // 2), replace=False)]


def starts(x: Matrix, y: Matrix, rng: np.random.Generator) -> list[Matrix]:
    """A rotation from every clustering of x and each of three of y."""
    ones, others = ([centroids(points, rng) for _ in range(CLUSTERINGS)] for points in (x, y))
    return [
        matched(one, others[(number + shift) % CLUSTERINGS], rng)
        for number, one in enumerate(ones)
        for shift in range(MATCHINGS)
    ]


def centroids(points: Matrix, rng: np.random.Generator) -> Matrix:
    """(20, d)"""
    return standard(clusters(points, CLUSTERS, int(rng.integers(2**31)))[0])


def matched(one: Matrix, other: Matrix, rng: np.random.Generator) -> Matrix:
    """The rotation from centroids (20, d1) to (20, d2) that fit each other by their Gram matrices."""
    return rotation_of(one, other[assign(one @ one.T, other @ other.T, rng)])


def rotation_of(x: Matrix, y: Matrix) -> Matrix:
    """Orthogonal Procrustes without centring (Schönemann 1966): U Vᵀ of xᵀy, in single precision."""
    u, _, vt = singular(x.T.astype(np.float64) @ y)
    rotation: Matrix = u @ vt
    return rotation.astype(np.float32)


def refined(rotation: Matrix, x: Matrix, y: Matrix, rounds: int) -> Matrix:
    """Mutual nearest neighbours give a rotation, which gives mutual nearest neighbours."""
    for _ in range(rounds):
        rows, columns = mutual_pairs(unit(x @ rotation), y)
        rotation = rotation_of(x[rows], y[columns])
    return rotation


def mutual_rate(rotation: Matrix, x: Matrix, y: Matrix) -> float:
    return len(mutual_pairs(unit(x @ rotation), y)[0]) / min(len(x), len(y))


def agreements(moved: list[Matrix], y: Matrix) -> tuple[float, float]:
    """Of every two of the clouds moved (n, d2): mean cosine of a point, share with the same nearest in y."""
    nearest = [(points @ y.T).argmax(1) for points in moved]
    cosine = [(one * other).sum(1).mean() for one, other in combinations(moved, 2)]
    same = [(one == other).mean() for one, other in combinations(nearest, 2)]
    return float(np.mean(cosine)), float(np.mean(same))


def check_report(report: UnpairedReport) -> None:
    least = {"agreement": LEAST_AGREEMENT, "same_nearest": LEAST_SAME, "mutual_nn_rate": LEAST_MUTUAL}
    got = report.to_dict()
    if any(got[name] < figure for name, figure in least.items()):
        raise PairingRefused(
            f"independent restarts must agree, with a cosine of {LEAST_AGREEMENT} and on {LEAST_SAME:.0%} of the "
            f"nearest targets, and make {LEAST_MUTUAL:.0%} of the points mutual neighbours; they came to "
            f"{report.agreement:.2f}, {report.same_nearest:.0%} and {report.mutual_nn_rate:.0%}: the shapes of "
            "these spaces do not relate them; give both some anchors of the same items",
            expected=least,
            got=got,
        )
