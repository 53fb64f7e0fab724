"""What others do: their maps and scores, with NumPy, SciPy and scikit-learn; nothing of ours.

Of the `latentis` package (0.0.8) the installed code is used where it can be imported, else these formulas. It is
compared by raw cosine, as it does; the other maps by raw and by centred cosine, whichever is better per pair.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from scipy.linalg import lstsq, svd
from sklearn.linear_model import RidgeCV

Map = Callable[[np.ndarray], np.ndarray]  # (n, d1) -> (n, d2)
Fit = Callable[[np.ndarray, np.ndarray], Map]

STEPS, RATE = 300, 1e-3
DECAYS = 0.9, 0.999
PENALTIES = np.logspace(-6, 1, 22)  # of ridge, times the largest eigenvalue
SMALLEST = 1e-12


# latentis: both sides standardised, aligned, the target's standardisation undone


def standardised(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean, scale = x.mean(0), x.std(0, ddof=1)
    scale[scale < 10 * np.finfo(x.dtype).eps] = 1
    return (x - mean) / scale, mean, scale


def between_standardised(align: Fit, x: np.ndarray, y: np.ndarray) -> Map:
    (x, mean_x, scale_x), (y, mean_y, scale_y) = standardised(x), standardised(y)
    aligned = align(x, y)
    return lambda v: aligned((v - mean_x) / scale_x) * scale_y + mean_y


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    u, _, vt = svd(matrix, full_matrices=False, lapack_driver="gesvd")
    rotation: np.ndarray = u @ vt
    return rotation


def ortho(x: np.ndarray, y: np.ndarray) -> Map:
    rotation, d2 = nearest_rotation(padded(x, y).T @ padded(y, x)), y.shape[1]
    return lambda v: (padded(v, y) @ rotation)[:, :d2]


def padded(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x with zeros up to the width of y."""
    return np.pad(x, ((0, 0), (0, max(0, y.shape[1] - x.shape[1]))))


def linear(x: np.ndarray, y: np.ndarray) -> Map:
    weight = lstsq(x, y, lapack_driver="gelsy", cond=np.finfo(x.dtype).eps * max(x.shape))[0]
    return lambda v: v @ weight


def l_ortho(x: np.ndarray, y: np.ndarray) -> Map:
    rotation = nearest_rotation(linear(x, y)(np.eye(x.shape[1])))
    return lambda v: v @ rotation


def affine(x: np.ndarray, y: np.ndarray) -> Map:
    """300 full-batch steps of Adam (Kingma & Ba 2015) on the mean squared error, from torch's usual start."""
    (n, d1), d2 = x.shape, y.shape[1]
    x = np.column_stack([x, np.ones(n)])  # the last row of W is the bias
    weight = np.random.default_rng(0).uniform(-(d1**-0.5), d1**-0.5, (d1 + 1, d2))
    first, second, xx, xy = np.zeros_like(weight), np.zeros_like(weight), x.T @ x, x.T @ y
    for step in range(1, STEPS + 1):
        gradient = 2 / (n * d2) * (xx @ weight - xy)
        first += (1 - DECAYS[0]) * (gradient - first)
        second += (1 - DECAYS[1]) * (gradient**2 - second)
        size = np.sqrt(second / (1 - DECAYS[1] ** step)) + 1e-8
        weight -= RATE * first / (1 - DECAYS[0] ** step) / size
    return lambda v: v @ weight[:-1] + weight[-1]


FORMULAS: dict[str, Fit] = {
    "latentis_ortho": partial(between_standardised, ortho),
    "latentis_linear": partial(between_standardised, linear),
    "latentis_l_ortho": partial(between_standardised, l_ortho),
    "latentis_affine": partial(between_standardised, affine),
}


# latentis, the package itself


def package() -> Any:
    """latentis.transform.translate.aligner; None where it, or something that it needs, is not installed."""
    try:
        return import_module("latentis.transform.translate.aligner")
    except ImportError:
        return None


def packaged(aligner: str, x: np.ndarray, y: np.ndarray) -> Map:
    """In double precision, but for the affine map, whose 300 steps are in single."""
    torch, module = import_module("torch"), package()
    functional = import_module("latentis.transform.translate.functional")
    scaling = module.StandardScaling
    inside = {
        "latentis_linear": lambda: module.MatrixAligner("linear", functional.lstsq_align_state),
        "latentis_l_ortho": lambda: module.MatrixAligner("l_ortho", functional.lstsq_ortho_align_state),
        "latentis_affine": lambda: module.SGDAffineAligner(STEPS, RATE, 0),
    }
    kind = torch.float32 if aligner == "latentis_affine" else torch.float64
    translator = (
        module.Translator(inside[aligner](), x_transform=scaling(), y_transform=scaling())
        if aligner in inside
        else module.Procrustes()
    )
    translator.fit(*(torch.as_tensor(v, dtype=kind) for v in (x, y)))
    return lambda v: translator.transform(torch.as_tensor(v, dtype=kind))[0].detach().double().numpy()


# what everybody has


def procrustes(x: np.ndarray, y: np.ndarray) -> Map:
    """Centred, with the least-squares scale (Schönemann & Carroll 1970)."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    u, s, vt = svd((x - mean_x).T @ (y - mean_y), full_matrices=False, lapack_driver="gesvd")
    weight = u @ vt * (s.sum() / ((x - mean_x) ** 2).sum())
    return lambda v: (v - mean_x) @ weight + mean_y


def penalties(x: np.ndarray) -> np.ndarray:
    return PENALTIES * np.linalg.norm(x - x.mean(0), 2) ** 2


def ridge_gcv(x: np.ndarray, y: np.ndarray) -> Map:
    """Golub, Heath & Wahba 1979: the penalty of the least ‖residual‖² / (n - degrees of freedom)²."""
    mean_x, mean_y, n = x.mean(0), y.mean(0), len(x)
    u, s, vt = svd(x - mean_x, full_matrices=False)
    uty, total = u.T @ (y - mean_y), ((y - mean_y) ** 2).sum()
    share, energy = s**2 / (s**2 + penalties(x)[:, None]), (uty**2).sum(1)  # (penalties, r), (r,)
    residual = total - energy.sum() + ((1 - share) ** 2 * energy).sum(1)
    best = np.argmin(residual / np.maximum(n - 1 - share.sum(1), SMALLEST) ** 2)
    weight = vt.T @ ((share[best] / np.maximum(s, SMALLEST))[:, None] * uty)
    return lambda v: (v - mean_x) @ weight + mean_y


def ridge_loo(x: np.ndarray, y: np.ndarray) -> Map:
    """scikit-learn's, by its closed form of the leave-one-out error."""
    fitted = RidgeCV(alphas=penalties(x)).fit(x, y)
    predict: Map = fitted.predict
    return predict


PLAIN: dict[str, Fit] = {"procrustes": procrustes, "ridge_gcv": ridge_gcv, "ridge_loo": ridge_loo}
MAPS = [*FORMULAS, *PLAIN]
RETRIEVAL = [*MAPS, *(f"{name}_centred" for name in PLAIN), "relative", "relative_centred"]


def maps(x: np.ndarray, y: np.ndarray, names: Sequence[str] = MAPS) -> dict[str, Map]:
    """The peers that translate, fitted on anchors x (n, d1), y (n, d2)."""
    found = {name: partial(packaged, name) for name in FORMULAS} if package() else FORMULAS
    return {name: (found | PLAIN)[name](x, y) for name in names}


# scores


def cosine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n, d), (m, d) -> (n, m)"""
    x, y = (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), SMALLEST) for v in (x, y))
    product: np.ndarray = x @ y.T
    return product


def relative(anchors: tuple[np.ndarray, np.ndarray], x: np.ndarray, y: np.ndarray, *, centred: bool) -> np.ndarray:
    """Moschella et al. 2023: cosines to the anchors are the codes, compared by their cosine."""
    means = [a.mean(0) if centred else np.zeros(a.shape[1]) for a in anchors]
    codes = [cosine(v - m, a - m) for v, m, a in zip((x, y), means, anchors, strict=True)]
    return cosine(*codes)


def similarities(
    fitted: dict[str, Map], anchors: tuple[np.ndarray, np.ndarray], x: np.ndarray, y: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Every peer's (n, m) of queries x (n, d1) by stored y (m, d2)."""
    mean = anchors[1].mean(0)
    for name, translate in fitted.items():
        translated = translate(x)
        yield name, cosine(translated, y)
        if name in PLAIN:
            yield f"{name}_centred", cosine(translated - mean, y - mean)
    yield "relative", relative(anchors, x, y, centred=False)
    yield "relative_centred", relative(anchors, x, y, centred=True)
