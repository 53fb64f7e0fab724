"""Relative representations: a vector described by how alike it is to anchors, so that spaces share one language.

Moschella et al. 2022, "Relative representations enable zero-shot latent space communication"; products of
similarities as in Cannistraci et al. 2023, "From bricks to bridges: product of invariances to enhance latent space
communication". With similarities s₁ .. s_m and anchors A (k, d):
    before  z = (x - m) Z       none: m = 0, Z = I        centred: Z = I        whitened: Z = C^(-1/2)
    codes   cᵢ = (sᵢ(z; A) - μᵢ) Tᵢ       with K (k, k) the anchors' own sᵢ
    after   none: μ = 0, T = I        standardised: each column of K has mean 0 and spread 1
            whitened: T = (K + λ tr(K) / k I)^(-1/2), so that anchors which say the same count once
    r_x     the cᵢ side by side, or their weighted sum, in which distances count negatively
C is the anchors' shrunk covariance. Sparse (Norelli et al. 2022, "ASIF: coupled data turns unimodal models to
multimodal without training"): of r_x the largest are kept, those below 0 dropped, the rest raised to a power p,
and the row brought to length 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

import torch
from torch import Tensor

from models.base import Option
from models.errors import DimensionMismatch, InvalidOption, NotFitted, TooFewAnchors, UnknownMethod
from models.lengths import unit
from models.similarities import SHRINKAGE, SIMILARITIES, Similarity, from_mean, whitening_of

CHOICES: Mapping[str, tuple[str, ...]] = {
    "before": ("none", "centred", "whitened"),
    "after": ("none", "standardised", "whitened"),
    "aggregation": ("concat", "sum", "weighted"),
}
OPTIONS: Mapping[str, Option] = {
    "power": Option(8.0, 0.01, 100.0, "exponent p of a sparse code"),
    "shrinkage": Option(SHRINKAGE, 0.0, 1.0, "share of the mean eigenvalue in C; 0 sees no invertible map"),
    "penalty": Option(0.03, 1e-8, 1e3, "λ, as a share of the mean eigenvalue of K"),
}


@dataclass(frozen=True)
class View:
    """One similarity and what the anchors taught it."""

    similarity: Similarity
    learned: tuple[Tensor, ...]
    shift: Tensor  # μ (k,)
    stretch: Tensor  # T (k, k), or its diagonal (k,)

    def __call__(self, x: Tensor, anchors: Tensor) -> Tensor:
        """x (n, d), anchors (k, d) -> (n, k)."""
        return stretched(self.similarity(x, anchors, *self.learned) - self.shift.to(x.dtype), self.stretch)

    def tensors(self) -> dict[str, Tensor]:
        learned = {"learned": self.learned[0]} if self.learned else {}
        return {"shift": self.shift, "stretch": self.stretch} | learned


@dataclass(eq=False)
class Relative:
    """`kept` is how many numbers a sparse code keeps, None for all; `weights` are those of a weighted sum."""

    similarities: tuple[str, ...] = ("cosine",)
    before: str = "centred"
    after: str = "none"
    aggregation: str = "concat"
    weights: tuple[float, ...] = ()
    kept: int | None = None
    power: float = OPTIONS["power"].default
    shrinkage: float = OPTIONS["shrinkage"].default
    penalty: float = OPTIONS["penalty"].default
    mean_: Tensor = field(init=False, repr=False)  # (d,)
    stretch_: Tensor = field(init=False, repr=False)  # Z (d, d), or its diagonal (d,)
    anchors_: Tensor = field(init=False, repr=False)  # (k, d), as z
    views_: tuple[View, ...] = field(init=False, repr=False)  # (m)

    def parameters(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.init}

    def width(self, anchors: int) -> int:
        """Of the codes that so many anchors give."""
        return anchors * (len(self.similarities) if self.aggregation == "concat" else 1)

    def fit(self, anchors: Tensor) -> Self:
        """anchors (k, d), at least one. InvalidOption, UnknownMethod, TooFewAnchors, DimensionMismatch."""
        check(self)
        anchors = check_anchors(anchors)
        self.mean_, self.stretch_ = self._before(anchors)
        self.anchors_ = stretched(from_mean(anchors, self.mean_), self.stretch_)
        self.views_ = tuple(self._view(SIMILARITIES[name]) for name in self.similarities)
        return self

    def transform(self, x: Tensor) -> Tensor:
        """x (n, d) -> (n, m k), or (n, k) if summed, in the precision of x. NotFitted, DimensionMismatch."""
        if not hasattr(self, "views_"):
            raise NotFitted("Relative is not fitted: call fit(anchors) first")
        x = x if x.is_floating_point() else x.float()
        check_width(x, len(self.mean_))
        z, anchors = stretched(from_mean(x, self.mean_.to(x.dtype)), self.stretch_), self.anchors_.to(x.dtype)
        codes = self._aggregated([view(z, anchors) for view in self.views_])
        return codes if self.kept is None else sparse(codes, self.kept, self.power)

    def tensors(self) -> dict[str, Tensor]:
        """By name, single precision: what is stored, beside `parameters`."""
        views = {f"{i}.{key}": t for i, view in enumerate(self.views_) for key, t in view.tensors().items()}
        named = {"mean": self.mean_, "stretch": self.stretch_, "anchors": self.anchors_} | views
        return {name: tensor.float().contiguous() for name, tensor in named.items()}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], **parameters: Any) -> Self:
        """The fitted one that gave these `tensors` and `parameters`."""
        relative = cls(**parameters)
        relative.mean_, relative.stretch_, relative.anchors_ = (tensors[k] for k in ("mean", "stretch", "anchors"))
        relative.views_ = tuple(stored_view(tensors, i, name) for i, name in enumerate(relative.similarities))
        return relative

    def _before(self, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """m (d,) and Z."""
        zero, one = torch.zeros_like(anchors[0]), torch.ones_like(anchors[0])
        if self.before == "none":
            return zero, one
        return anchors.mean(0), one if self.before == "centred" else whitening_of(anchors, self.shrinkage)

    def _view(self, similarity: Similarity) -> View:
        learned = similarity.learned(self.anchors_)
        own = similarity(self.anchors_, self.anchors_, *learned)  # K (k, k)
        zero, one = torch.zeros_like(own[0]), torch.ones_like(own[0])
        if self.after == "standardised":
            return View(similarity, learned, own.mean(0), 1 / spread(own))
        return View(similarity, learned, zero, one if self.after == "none" else gram_whitening(own, self.penalty))

    def _aggregated(self, codes: list[Tensor]) -> Tensor:
        """(n, k) each -> r_x."""
        if self.aggregation == "concat":
            return torch.cat(codes, 1)
        weights = self.weights or (1.0,) * len(codes)
        signs = (1 if view.similarity.higher_is_alike else -1 for view in self.views_)
        terms = [weight * sign * code for weight, sign, code in zip(weights, signs, codes, strict=True)]
        return torch.stack(terms).sum(0)


def stretched(x: Tensor, stretch: Tensor) -> Tensor:
    """x (n, d) times a matrix (d, d), or the diagonal (d,) of one."""
    stretch = stretch.to(x.dtype)
    return x * stretch if stretch.ndim == 1 else x @ stretch


def spread(own: Tensor) -> Tensor:
    """own (k, k) -> (k,) standard deviations of the columns, 1 where all is rounding."""
    deviation = own.std(0, correction=0)
    return torch.where(deviation > 10 * torch.finfo(own.dtype).eps * own.abs().amax(0), deviation, 1.0)


def gram_whitening(own: Tensor, penalty: float) -> Tensor:
    """(K + λ tr(K) / k I)^(-1/2), (k, k); 0 where all anchors are zero vectors."""
    spectrum, axes = torch.linalg.eigh((own + own.T) / 2)
    shrunk = spectrum.clamp(min=0) + penalty * spectrum.mean()
    inverse: Tensor = axes * torch.where(shrunk > 0, shrunk.rsqrt(), 0.0) @ axes.T
    return inverse


def sparse(codes: Tensor, kept: int, power: float) -> Tensor:
    """codes (n, k) -> (n, k) with at most `kept` numbers a row, none negative; length 1, or 0 if none is left."""
    values, places = codes.topk(min(kept, codes.shape[1]), dim=1)
    largest = values.clamp(min=0) / values[:, :1].clamp(min=torch.finfo(codes.dtype).tiny)  # in [0, 1]
    return unit(torch.zeros_like(codes).scatter(1, places, largest**power))


def stored_view(tensors: Mapping[str, Tensor], i: int, name: str) -> View:
    learned = (tensors[f"{i}.learned"],) if f"{i}.learned" in tensors else ()
    return View(SIMILARITIES[name], learned, tensors[f"{i}.shift"], tensors[f"{i}.stretch"])


# what is refused


def check(relative: Relative) -> None:
    """InvalidOption, UnknownMethod."""
    unknown = [name for name in relative.similarities if name not in SIMILARITIES]
    if unknown:
        raise UnknownMethod(
            f"similarities must be of {list(SIMILARITIES)}, got {unknown}",
            expected=list(SIMILARITIES),
            got=unknown,
        )
    for name, choices in CHOICES.items():
        refuse(getattr(relative, name) not in choices, name, f"one of {list(choices)}", getattr(relative, name))
    for name, option in OPTIONS.items():
        option.check(name, getattr(relative, name))
    for wrong, name, expected in combinations(relative):
        refuse(wrong, name, expected, getattr(relative, name))


def combinations(relative: Relative) -> Iterator[tuple[bool, str, str]]:
    """Whether an option does not go with the others, its name, and what would."""
    seen = [SIMILARITIES[name] for name in relative.similarities]
    weighted, kept = relative.aggregation == "weighted", relative.kept
    yield not seen, "similarities", "at least one name"
    yield (
        len(relative.weights) != (len(seen) if weighted else 0),
        "weights",
        "one number per similarity if the aggregation is 'weighted', else none",
    )
    yield kept is not None and (type(kept) is not int or kept < 1), "kept", "a whole number from 1, or None"
    yield (
        relative.after == "whitened" and not all(s.is_kernel for s in seen),
        "similarities",
        f"of {[name for name, s in SIMILARITIES.items() if s.is_kernel]} if codes are whitened after",
    )
    yield (
        kept is not None and relative.aggregation == "concat" and not all(s.higher_is_alike for s in seen),
        "similarities",
        f"of {[name for name, s in SIMILARITIES.items() if s.higher_is_alike]} if codes are sparse and not summed",
    )


def refuse(wrong: bool, name: str, expected: str, got: Any) -> None:
    if wrong:
        raise InvalidOption(f"{name} must be {expected}, got {got!r}", expected=expected, got=got)


def check_anchors(anchors: Tensor) -> Tensor:
    """As float64. DimensionMismatch, TooFewAnchors."""
    if anchors.ndim != 2:
        raise DimensionMismatch(
            f"anchors must be a matrix with one row each, got {tuple(anchors.shape)}",
            expected="(k, d)",
            got=list(anchors.shape),
        )
    if len(anchors) == 0:
        raise TooFewAnchors(
            "relative codes need at least 1 anchor, got 0: put some into the space", expected=1, got=0
        )
    return anchors.double()


def check_width(x: Tensor, width: int) -> None:
    if x.ndim != 2 or x.shape[1] != width:
        raise DimensionMismatch(
            f"these codes are of (n, {width}) vectors, got {tuple(x.shape)}", expected=width, got=x.shape[-1]
        )
