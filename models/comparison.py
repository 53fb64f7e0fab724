"""How alike two spaces are, seen from the items that both have embedded, and what shape one space has.

x (n, d1) and y (n, d2) hold one item a row. Every measure is a pure function of the two, in double precision.
Linear measures read every row in O(n d²). Those that need all distances, O(n²), read at most ROWS rows, drawn
with a fixed seed. A measure is nan where it is not defined: above all, where a space does not vary.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import acos, nan, pi, sqrt

import torch
from torch import Tensor

from models.errors import DimensionMismatch, TooFewAnchors
from models.folds import row_space
from models.measures import NEIGHBOURS, cosines
from models.moments import TOLERANCE, cleaned

LEAST_ROWS = 2
ROWS = 2000  # rows of a measure that needs all distances; a larger n is sampled
PAIRED_ROWS = 300  # rows that a pairing is judged by
PAIRINGS = 199  # drawn by chance, to judge one
KEPT = 0.99  # share of the variance that SVCCA keeps
RESOLUTION = 1e-6  # distances nearer to each other than this share of the longest are tied: vectors are float32
ROUNDING = 1e-12  # what is left of a difference below this share of its terms


@dataclass(frozen=True)
class Measure:
    """A figure of two spaces: its range, which end means alike, and what it needs."""

    function: Callable[[Tensor, Tensor], float]
    meaning: str
    low: float = 0.0
    high: float = 1.0
    higher_is_alike: bool = True
    symmetric: bool = True
    least: int = LEAST_ROWS  # rows

    @property
    def alike(self) -> float:
        """Of a space and itself."""
        return self.high if self.higher_is_alike else self.low


@dataclass(frozen=True)
class Profile:
    """A figure, or a row of them, of one space."""

    function: Callable[[Tensor], Tensor]
    meaning: str


# linear, from every row


def cka(x: Tensor, y: Tensor) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019, "Similarity of neural network representations
    revisited", eq. 4 and table 1): ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖), all Frobenius.
    """
    x, y = spans(x, y)
    return alignment(inner(x, y), inner(x, x), inner(y, y))


def cka_unbiased(x: Tensor, y: Tensor) -> float:
    """Linear CKA from the unbiased HSIC: 0 on average for independent spaces, at any n and d.

    Song et al. 2012, "Feature selection via dependence maximization", section 2.3; as CKA in Nguyen, Raghu &
    Kornblith 2021, "Do wide and deep networks learn the same things?", eq. 3.
    """
    x, y = spans(x, y, least=4)
    return alignment(inner_unbiased(x, y), inner_unbiased(x, x), inner_unbiased(y, y))


def svcca(x: Tensor, y: Tensor) -> float:
    """Mean canonical correlation of the directions with 99 % of the variance.

    Raghu et al. 2017, "SVCCA: singular vector canonical correlation analysis", section 2.
    """
    x, y = spans(x, y)
    ux, uy = whitened(x, KEPT), whitened(y, KEPT)
    return float(torch.linalg.svdvals(ux.T @ uy).clamp(max=1).mean())  # the mean of none is nan


def pwcca(x: Tensor, y: Tensor) -> float:
    """Canonical correlations ρᵢ weighted by how much of x their variates hᵢ account for: Σ αᵢ ρᵢ / Σ αᵢ.

    Morcos, Raghu & Bengio 2018, "Insights on representational similarity", eq. 4 and 5: αᵢ = Σⱼ |⟨hᵢ, xⱼ⟩| over
    the coordinates xⱼ of x, so the axes of x matter and the two spaces are not exchangeable.
    """
    x, y = centred(x, y)
    ux, uy = whitened(row_space(x)[0]), whitened(row_space(y)[0])
    a, rho, _ = torch.linalg.svd(ux.T @ uy, full_matrices=False)  # (r1, r), (r,)
    weight = (a.T @ (ux.T @ x)).abs().sum(1)  # (r,)
    return float((weight * rho.clamp(max=1)).sum() / weight.sum())  # 0 / 0 is nan


def procrustes(x: Tensor, y: Tensor) -> float:
    """The angle that the best rotation leaves: arccos(‖XᵀY‖₊ / (‖X‖ ‖Y‖)), nuclear over Frobenius norms.

    Williams et al. 2021, "Generalized shape metrics on neural representations", eq. 5. A metric, in [0, π/2].
    """
    x, y = spans(x, y)
    length = float(x.norm() * y.norm())
    return acos(min(1.0, float(torch.linalg.svdvals(x.T @ y).sum()) / length)) if length else nan


# of all distances, from at most ROWS rows


def cka_rbf(x: Tensor, y: Tensor) -> float:
    """CKA of the kernels exp(-‖a - b‖² / 2σ²), σ the median distance of each space (Kornblith et al. 2019)."""
    k, m = (doubly_centred(rbf(v)) for v in spans(*sampled(x, y)))
    return alignment(float((k * m).sum()), float(k.square().sum()), float(m.square().sum()))


def cka_rbf_unbiased(x: Tensor, y: Tensor) -> float:
    """As `cka_rbf`, from the unbiased HSIC of Song et al. 2012."""
    k, m = (rbf(v).fill_diagonal_(0) for v in spans(*sampled(x, y), least=4))
    return alignment(hsic_unbiased(k, m), hsic_unbiased(k, k), hsic_unbiased(m, m))


def mutual_knn(x: Tensor, y: Tensor) -> float:
    """The mean share of an item's nearest neighbours by cosine that both spaces agree on.

    Huh et al. 2024, "The Platonic representation hypothesis", eq. 11. By chance k / (n - 1), with k = 10, or half
    of the other items where there are fewer than 20.
    """
    shared, k = shared_neighbours(x, y)
    return float((shared / k).mean())


def knn_jaccard(x: Tensor, y: Tensor) -> float:
    """The same neighbours, as the mean of those in both sets over those in either."""
    shared, k = shared_neighbours(x, y)
    return float((shared / (2 * k - shared)).mean())


def rsa(x: Tensor, y: Tensor) -> float:
    """Spearman's correlation of the two spaces' distances between items.

    Kriegeskorte, Mur & Bandettini 2008, "Representational similarity analysis", with Euclidean distances.
    """
    a, b = (ranked(upper(distances(v))) for v in spans(*sampled(x, y), least=3))
    a, b = a - a.mean(), b - b.mean()
    return alignment(float(a @ b), float(a @ a), float(b @ b))


MEASURES: Mapping[str, Measure] = {
    "cka": Measure(cka, "linear CKA: shared scatter; near 1 by itself where anchors are fewer than dimensions"),
    "cka_unbiased": Measure(cka_unbiased, "linear CKA without its bias: 0 means independent", low=-1.0, least=4),
    "cka_rbf": Measure(cka_rbf, "CKA of Gaussian kernels of median width: shared neighbourhoods"),
    "cka_rbf_unbiased": Measure(cka_rbf_unbiased, "CKA of Gaussian kernels without its bias", low=-1.0, least=4),
    "svcca": Measure(svcca, "mean canonical correlation of the directions with 99 % of the variance"),
    "pwcca": Measure(pwcca, "canonical correlations, weighted by their share of the row's space", symmetric=False),
    "procrustes": Measure(
        procrustes, "angle left by the best rotation, in radians", high=pi / 2, higher_is_alike=False
    ),
    "mutual_knn": Measure(mutual_knn, "share of common 10 nearest neighbours by cosine", least=3),
    "knn_jaccard": Measure(knn_jaccard, "the same neighbours, common over all", least=3),
    "rsa": Measure(rsa, "Spearman's correlation of the distances between items", low=-1.0, least=3),
}


# whether the pairing says anything


def chance(x: Tensor, y: Tensor) -> float:
    """How often rows that are paired at random are as alike as these, by linear CKA: p of a permutation test.

    Gretton et al. 2007, "A kernel statistical test of independence", with PAIRINGS pairings of PAIRED_ROWS rows at
    most, always the same for one n. Of fewer than five rows there are too few pairings for a p below .01.
    """
    x, y = spans(*sampled(x, y, PAIRED_ROWS))
    k, m = x @ x.T, y @ y.T  # (n, n)
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(x), generator=generator) for _ in range(PAIRINGS)]
    drawn = torch.stack([(k * m[order[:, None], order]).sum() for order in orders])
    as_alike = int((drawn >= (1 - ROUNDING) * (k * m).sum()).sum())
    return (1 + as_alike) / (1 + PAIRINGS)


# of one space


def spectrum(x: Tensor) -> Tensor:
    """x (n, d) -> (r,): the share of the variance along every principal direction, largest first."""
    if len(x) < LEAST_ROWS:
        return x.new_empty(0, dtype=torch.float64)
    x = at_unit_scale(x.double())
    s = torch.linalg.eigvalsh(x @ x.T if len(x) < x.shape[1] else x.T @ x).flip(0)[: len(x) - 1]
    s = s[s > TOLERANCE * s[0]]
    shares: Tensor = s / s.sum()
    return shares


def participation_ratio(x: Tensor) -> Tensor:
    """x (n, d) -> (): (Σ λ)² / Σ λ², as many as there are directions of equal variance (Gao et al. 2017)."""
    shares = spectrum(x)
    return 1 / shares.square().sum() if len(shares) else torch.tensor(nan, dtype=torch.float64)


PROFILES: Mapping[str, Profile] = {
    "participation_ratio": Profile(participation_ratio, "how many directions the variance is spread over"),
    "spectrum": Profile(spectrum, "share of the variance along each principal direction, largest first"),
}


# what they are made of


def check_rows(x: Tensor, y: Tensor, least: int) -> None:
    """DimensionMismatch, TooFewAnchors."""
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise DimensionMismatch(
            f"two spaces are compared row by row, got {tuple(x.shape)} and {tuple(y.shape)}: "
            "give two matrices with one row per shared item",
            expected="(n, d1) and (n, d2)",
            got=[list(x.shape), list(y.shape)],
        )
    if len(x) < least:
        raise TooFewAnchors(
            f"this measure needs at least {least} shared anchors, got {len(x)}", expected=least, got=len(x)
        )


def sampled(x: Tensor, y: Tensor, most: int = ROWS) -> tuple[Tensor, Tensor]:
    """The same rows of both, `most` at most, always the same for one n."""
    if len(x) != len(y) or len(x) <= most:
        return x, y
    rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:most]
    return x[rows], y[rows]


def centred(x: Tensor, y: Tensor, least: int = LEAST_ROWS) -> tuple[Tensor, Tensor]:
    """Both in double precision, around 0, with 1 as their largest number: nothing overflows."""
    check_rows(x, y, least)
    return at_unit_scale(x.double()), at_unit_scale(y.double())


def at_unit_scale(x: Tensor) -> Tensor:
    x = cleaned(x - x.mean(0), x)
    peak = x.abs().amax()
    return x / peak if peak > 0 else x


def spans(x: Tensor, y: Tensor, least: int = LEAST_ROWS) -> tuple[Tensor, Tensor]:
    """Centred, and with no more columns than rows: all products between the rows are as they were."""
    x, y = centred(x, y, least)
    return row_space(x)[0], row_space(y)[0]


def whitened(x: Tensor, share: float = 1.0) -> Tensor:
    """x (n, d) centred -> (n, r) orthonormal: the fewest principal directions with `share` of the variance."""
    s, v = torch.linalg.eigh(x.T @ x)
    s, v = s.flip(0), v.flip(1)
    rank = min(int((s > TOLERANCE * s[0]).sum()), len(x) - 1)
    enough = (s.cumsum(0) < share * s.sum()).sum() + 1
    r = min(rank, int(enough))
    axes: Tensor = v[:, :r] / s[:r].sqrt()
    return x @ axes


def alignment(cross: float, own_x: float, own_y: float) -> float:
    """cross / √(own_x own_y), in [-1, 1]."""
    length = sqrt(max(own_x, 0.0)) * sqrt(max(own_y, 0.0))
    return max(-1.0, min(1.0, cross / length)) if length else nan


def inner(x: Tensor, y: Tensor) -> float:
    """⟨XXᵀ, YYᵀ⟩ = ‖XᵀY‖²: n² times the HSIC of centred x and y."""
    return float((x.T @ y).square().sum())


def inner_unbiased(x: Tensor, y: Tensor) -> float:
    """n (n - 3) times the unbiased HSIC, of centred x and y, without an n x n matrix.

    K̃ is K = XXᵀ with a zero diagonal: as K 1 = 0, its row sums are -kᵢᵢ. So
    tr K̃L̃ + 1ᵀK̃1 1ᵀL̃1 / ((n - 1)(n - 2)) - 2 / (n - 2) 1ᵀK̃L̃1 needs ‖XᵀY‖² and the diagonals alone.
    """
    n = len(x)
    k, m = x.square().sum(1), y.square().sum(1)  # (n,), (n,)
    whole = inner(x, y)
    value = whole - n / (n - 2) * float(k @ m) + float(k.sum() * m.sum()) / ((n - 1) * (n - 2))
    return value if abs(value) > ROUNDING * float(k @ m) else 0.0


def hsic_unbiased(k: Tensor, m: Tensor) -> float:
    """n (n - 3) times the unbiased HSIC of two kernels (n, n) with zero diagonals (Song et al. 2012)."""
    n = len(k)
    rows_k, rows_m = k.sum(1), m.sum(1)
    whole = float((k * m).sum())
    value = whole + float(rows_k.sum() * rows_m.sum()) / ((n - 1) * (n - 2)) - 2 / (n - 2) * float(rows_k @ rows_m)
    return value if abs(value) > ROUNDING * whole else 0.0


def distances(x: Tensor) -> Tensor:
    """(n, n), with exact zeros between equal rows."""
    squares = x.square().sum(1)
    squared = squares.unsqueeze(1) + squares - 2 * x @ x.T
    squared = torch.where(squared > ROUNDING * squares.amax(), squared, 0.0)
    return squared.fill_diagonal_(0).sqrt()


def upper(matrix: Tensor) -> Tensor:
    """(n, n) -> (n (n - 1) / 2,): above the diagonal."""
    row, column = torch.triu_indices(len(matrix), len(matrix), offset=1)
    return matrix[row, column]


def rbf(x: Tensor) -> Tensor:
    """(n, n) Gaussian kernel; its width is the median of the distances that are not zero."""
    between = distances(x)
    apart = upper(between)
    apart = apart[apart > 0]
    return torch.exp(-((between / apart.median()) ** 2) / 2) if len(apart) else torch.ones_like(between)


def doubly_centred(k: Tensor) -> Tensor:
    """H K H with H = I - 1 1ᵀ / n; nothing but zeros where that is all but rounding."""
    middle = k - k.mean(0) - k.mean(1, keepdim=True) + k.mean()
    return middle if middle.abs().amax() > ROUNDING else torch.zeros_like(k)


def ranked(values: Tensor) -> Tensor:
    """(p,) ranks from 1; ties, up to RESOLUTION, share their mean rank."""
    steps = (values / (RESOLUTION * values.amax())).round() if values.any() else values
    _, place, count = torch.unique(steps, return_inverse=True, return_counts=True)
    last = count.cumsum(0)
    rank: Tensor = last - (count - 1) / 2
    return rank.double()[place]


def shared_neighbours(x: Tensor, y: Tensor) -> tuple[Tensor, int]:
    """(m,) how many of an item's k nearest neighbours by cosine are the same in both spaces, and k."""
    check_rows(x, y, 3)
    x, y = sampled(x.double(), y.double())
    k = min(NEIGHBOURS, (len(x) - 1) // 2)
    if not (at_unit_scale(x).any() and at_unit_scale(y).any()):
        return torch.full((len(x),), nan, dtype=torch.float64), k
    return torch.minimum(nearest(x, k), nearest(y, k)).sum(1), k


def nearest(x: Tensor, k: int) -> Tensor:
    """(n, n) in [0, 1]: whether column j is among the k nearest of row i; ties share the places left."""
    similarity = cosines(x, x).fill_diagonal_(-2.0)
    last = similarity.topk(k).values[:, -1:]
    above, tied = (similarity > last).double(), (similarity == last).double()
    return above + tied * (k - above.sum(1, keepdim=True)) / tied.sum(1, keepdim=True)
