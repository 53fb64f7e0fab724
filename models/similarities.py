"""How vectors look from anchors: x (n, d) seen from anchors (k, d) gives codes (n, k).

Moschella et al. 2022, "Relative representations enable zero-shot latent space communication":
    r_x = (sim(x, a₁), ..., sim(x, a_k))
with the further similarities of Cannistraci et al. 2023, "From bricks to bridges: product of invariances to
enhance latent space communication". Distances stay distances, as in the papers: `higher_is_alike` says which end
means alike. Nothing is centred here: what a similarity should not see, `models/relative.py` takes away before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import pi

import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree, shortest_path
from torch import Tensor

from models.lengths import SMALLEST, unit
from models.moments import TOLERANCE

NEIGHBOURS = 10  # anchors that an anchor, or a vector, is joined to in the graph of geodesic
SHRINKAGE = 0.1  # share of the mean eigenvalue in the covariance of mahalanobis
RESOLUTION = 1e-6  # singular values below this share of the largest are rounding: vectors are float32


@dataclass(frozen=True)
class Similarity:
    """`function` of x, anchors and, where `learn` reads something off the anchors once, of that."""

    function: Callable[..., Tensor]
    meaning: str
    higher_is_alike: bool
    is_kernel: bool = False  # the anchors' own codes are symmetric without negative eigenvalues
    learn: Callable[[Tensor], Tensor] | None = None

    def learned(self, anchors: Tensor) -> tuple[Tensor, ...]:
        """Of anchors (k, d), in double precision: one tensor or none."""
        return (self.learn(anchors.double()),) if self.learn else ()

    def __call__(self, x: Tensor, anchors: Tensor, *learned: Tensor) -> Tensor:
        """x (n, d), anchors (k, d) -> (n, k), in the precision of x; learns first what is not given."""
        learned = learned or self.learned(anchors)
        codes: Tensor = self.function(x, anchors.to(x.dtype), *(tensor.to(x.dtype) for tensor in learned))
        return codes


def inner(x: Tensor, anchors: Tensor) -> Tensor:
    return x @ anchors.T


def cosine(x: Tensor, anchors: Tensor) -> Tensor:
    """In [-1, 1]; a zero vector is at 0 to all."""
    return (unit(x) @ unit(anchors).T).clamp(-1, 1)


def angular(x: Tensor, anchors: Tensor) -> Tensor:
    """arccos(cos) / π, in [0, 1]."""
    return cosine(x, anchors).arccos() / pi


def euclidean(x: Tensor, anchors: Tensor) -> Tensor:
    """Difference by difference: through products, near vectors of float32 would lose all digits."""
    return torch.cdist(x, anchors, compute_mode="donot_use_mm_for_euclid_dist")


def l1(x: Tensor, anchors: Tensor) -> Tensor:
    return torch.cdist(x, anchors, p=1)


def linf(x: Tensor, anchors: Tensor) -> Tensor:
    return torch.cdist(x, anchors, p=torch.inf)


def mahalanobis(x: Tensor, anchors: Tensor, whitening: Tensor) -> Tensor:
    """√((x - a) C⁻¹ (x - a)ᵀ), whitening = C^(-1/2) (d, d), C the shrunk covariance of the anchors."""
    return euclidean(x @ whitening, anchors @ whitening)


def geodesic(x: Tensor, anchors: Tensor, paths: Tensor) -> Tensor:
    """min over the nearest anchors a of ‖x - a‖ + paths[a, ·], paths (k, k) between anchors along their graph."""
    to_anchors = euclidean(x, anchors)  # (n, k)
    near, first = to_anchors.topk(min(NEIGHBOURS, len(anchors)), largest=False)  # (n, NEIGHBOURS) each
    codes = torch.full_like(to_anchors, torch.inf)
    for length, anchor in zip(near.T, first.T, strict=True):
        codes = torch.minimum(codes, length.unsqueeze(1) + paths[anchor])
    return codes


def basis(x: Tensor, anchors: Tensor, inverse: Tensor) -> Tensor:  # noqa: ARG001  it was read off the anchors
    """The shortest c (k,) that minimises ‖x - c A‖: coordinates of x in the anchors, inverse = A⁺ (d, k)."""
    return x @ inverse


# what is learned


def whitening_of(anchors: Tensor, shrinkage: float = SHRINKAGE) -> Tensor:
    """C^(-1/2) (d, d), C = (1 - s) cov + s m I, m the mean eigenvalue that is not 0; without any C = I."""
    centred = anchors - anchors.mean(0)
    spectrum, axes = torch.linalg.eigh(centred.T @ centred / len(anchors))  # (d,), (d, d)
    if spectrum[-1] <= TOLERANCE * anchors.square().amax():
        return torch.eye(anchors.shape[1], dtype=anchors.dtype)
    spectrum = torch.where(spectrum > TOLERANCE * spectrum[-1], spectrum, 0.0)
    shrunk = (1 - shrinkage) * spectrum + shrinkage * spectrum[spectrum > 0].mean()
    stretch = torch.where(shrunk > 0, shrunk.rsqrt(), 0.0)
    inverse: Tensor = axes * stretch @ axes.T
    return inverse


def shortest_paths(anchors: Tensor) -> Tensor:
    """(k, k) along the graph that joins every anchor to its nearest ones (Tenenbaum et al. 2000, Isomap).

    The shortest spanning tree belongs to the graph too, so it is in one piece: parts that no neighbours join
    are joined by the shortest edges between them.
    """
    # SciPy takes 0 for no edge, but between copies there is one
    edges = euclidean(anchors, anchors).clamp(min=SMALLEST).fill_diagonal_(0)
    nearest = edges.topk(min(NEIGHBOURS + 1, len(anchors)), largest=False).indices  # itself among them
    joined = torch.zeros_like(edges, dtype=torch.bool).scatter_(1, nearest, value=True)
    joined |= torch.from_numpy(minimum_spanning_tree(csr_array(edges.numpy())).toarray() > 0)
    graph = torch.where(joined | joined.T, edges, 0.0)
    return torch.from_numpy(shortest_path(csr_array(graph.numpy()), method="D", directed=False))


def pseudo_inverse(anchors: Tensor) -> Tensor:
    """A⁺ (d, k), rounding left out."""
    inverse: Tensor = torch.linalg.pinv(anchors, rtol=RESOLUTION)
    return inverse


def from_mean(x: Tensor, mean: Tensor) -> Tensor:
    """x (n, d) - mean (d,); what is but the mean's rounding is 0, and so has no direction."""
    difference = x - mean
    return torch.where(difference.abs() > 8 * torch.finfo(x.dtype).eps * mean.abs(), difference, 0.0)


SIMILARITIES: Mapping[str, Similarity] = {
    "cosine": Similarity(cosine, "cosine of the angle, as in the first paper", True, is_kernel=True),
    "angular": Similarity(angular, "the angle, as a share of a half turn", False),
    "euclidean": Similarity(euclidean, "distance", False),
    "l1": Similarity(l1, "sum of the differences along the axes", False),
    "linf": Similarity(linf, "largest difference along an axis", False),
    "inner": Similarity(inner, "inner product", True, is_kernel=True),
    "mahalanobis": Similarity(mahalanobis, "distance in spreads of the anchors", False, learn=whitening_of),
    "geodesic": Similarity(geodesic, "distance along the graph of near anchors", False, learn=shortest_paths),
    "basis": Similarity(basis, "coordinates in the anchors", True, is_kernel=True, learn=pseudo_inverse),
}
