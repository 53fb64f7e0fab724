"""The sum of scores that translations are compared by.

Where anchors are few no score is known to be the best, and a sum of those that may be finds more counterparts
than one of them. Each weighs exp(-excess / error): what it loses on held-out rows above the best, in units of the
median standard error of that (exponential weighting: Rigollet and Tsybakov 2012, "Sparse estimation by exponential
weighting"). Scores in the same directions k make one part,
    s(q, y) = Σ_k α_k cos(q_k, c_k) - β_k r(c_k)
An index needs no codes: with q'_k = α_k q_k B_kᵀ / ‖q_k‖ the first term is q'_k·(y - m_k) / ‖c_k‖, so a stored
vector carries a number 1 / ‖c_k‖ for each of K parts, and Σ_k β_k r(c_k).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from models.base import Trial
from models.lengths import SMALLEST, unit
from models.scores import Score, hubness, projected, similarities

LIGHT = 0.02  # share of the heaviest's weight below which a score is left out
TIED = 1e-3  # nats of surprise: what the simplest score may lose and still stand alone


@dataclass(frozen=True)
class Blend:
    """Scores with weights, which sum to 1, the heaviest first."""

    scores: tuple[Score, ...]
    weights: tuple[float, ...]

    @classmethod
    def weighted(cls, scores: Sequence[Score], losses: Tensor) -> Self:
        """scores, simplest first, and what they lose on held-out rows (s, m)."""
        means = losses.mean(1)
        excess = losses - losses[means.argmin()]
        if not excess[0].mean() > TIED:  # or if some loss is not a number
            return cls((scores[0],), (1.0,))
        errors = excess.std(1, correction=0) / losses.shape[1] ** 0.5
        known = errors[(errors > 0) & errors.isfinite()]
        error = known.median() if len(known) else SMALLEST  # none of a single row
        weights = torch.exp(-excess.mean(1) / error)
        order = weights.argsort(descending=True, stable=True)
        heavy = order[weights[order] >= LIGHT]
        shares = weights[heavy] / weights[heavy].sum()
        return cls(tuple(scores[index] for index in heavy.tolist()), tuple(shares.tolist()))

    @property
    def name(self) -> str:
        others = f" + {len(self.scores) - 1} more" if len(self.scores) > 1 else ""
        return f"{self.scores[0].name}{others}"

    def to_dict(self) -> dict[str, Any]:
        pairs = zip(self.scores, self.weights, strict=True)
        return {"name": self.name, "parts": [score.to_dict() | {"weight": weight} for score, weight in pairs]}

    @classmethod
    def of_dict(cls, said: Mapping[str, Any]) -> Self:
        parts = said["parts"]
        scores = (Score(part["codes"], part["power"], part["csls"]) for part in parts)
        return cls(tuple(scores), tuple(part["weight"] for part in parts))

    def of(self, trial: Trial) -> Tensor:
        """(g, g), held-out rows by counterparts."""
        return self.sum(similarities(trial, self.scores), self.scores)

    def sum(self, similarity: Tensor, scores: Sequence[Score]) -> Tensor:
        """similarity (s, g, g) by these scores, its own among them -> (g, g)"""
        places = [scores.index(score) for score in self.scores]
        weights = torch.tensor(self.weights, dtype=similarity.dtype)
        return (weights @ similarity[places].flatten(1)).reshape(similarity.shape[1:])

    def fit(self, trial: Trial, basis: Tensor | None = None) -> "Fitted":
        """To a map that was fitted on all anchors; `basis` (d2, k) leads back from the trial's coordinates."""
        places = {codes: placed(codes, trial, basis) for codes in {score.codes for score in self.scores}}
        parts: dict[tuple[str, float], Part] = {}
        for score, weight in zip(self.scores, self.weights, strict=True):
            key = score.codes, score.power
            part = parts.get(key) or Part(*places[score.codes], 0.0, 0.0, score.strength(trial))
            cosine, hubs = (2 * weight, weight) if score.csls else (weight, 0.0)
            parts[key] = part._replace(cosine=part.cosine + cosine, hubs=part.hubs + hubs)
        sample = trial.sample if basis is None else trial.sample @ basis.T
        return Fitted(tuple(parts.values()), sample)


class Part(NamedTuple):
    """Directions that are compared in, with the weights of their cosines and of what is subtracted for hubs.

    Those that differ in the strength of their directions alone have the very same m and D, and share products.
    """

    mean: Tensor  # m (d2,)
    directions: Tensor | None  # D (d2, r); None for I
    cosine: float  # α
    hubs: float  # β
    strength: Tensor | None = None  # (r,) of each direction: B = D diag(strength); None for ones

    def weighted(self, codes: Tensor) -> Tensor:
        """(n, r)"""
        return codes if self.strength is None else codes * self.strength


@dataclass(frozen=True)
class Fitted:
    """A sum of scores at work; floats of any precision."""

    parts: tuple[Part, ...]
    sample: Tensor | None  # (t, d2) translated anchors; None only of what was stored before there were sums

    @cached_property
    def means(self) -> Tensor:
        """(K, d2)"""
        return torch.stack([part.mean for part in self.parts])

    @cached_property
    def alike(self) -> list[list[int]]:
        """The numbers of the parts that share m and D, for each of these."""
        found: dict[tuple[int, int], list[int]] = {}
        for number, part in enumerate(self.parts):
            found.setdefault((id(part.mean), id(part.directions)), []).append(number)
        return list(found.values())

    def codes(self, y: Tensor) -> list[Tensor]:
        """y (n, d2), translated or stored -> (n, r) of each part."""
        found: dict[int, Tensor] = {}
        for numbers in self.alike:
            first = self.parts[numbers[0]]
            shared = projected(y - first.mean, first.directions)
            found |= {number: self.parts[number].weighted(shared) for number in numbers}
        return [found[number] for number in range(len(self.parts))]

    def asked(self, translated: Tensor) -> list[Tensor]:
        """(n, d2) -> codes (n, r) of each part, whose products with unit codes are α times the cosines."""
        return [part.cosine * unit(codes) for part, codes in zip(self.parts, self.codes(translated), strict=True)]

    def fold(self, translated: Tensor) -> Tensor:
        """(n, d2) -> q' (n, K, d2), whose products with y - m are the cosines times α ‖c‖."""
        codes = [part.weighted(codes) for part, codes in zip(self.parts, self.asked(translated), strict=True)]
        folded = codes[0].new_empty(len(translated), len(codes), translated.shape[1])
        for numbers in self.alike:
            directions = self.parts[numbers[0]].directions
            together = torch.stack([codes[number] for number in numbers], 1)  # (n, those alike, r)
            folded[:, numbers] = together if directions is None else together @ directions.T
        return folded

    def scalars(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """y (n, d2) stored -> 1 / ‖c_k‖ (n, K) and Σ_k β_k r(c_k) (n,)."""
        codes = self.codes(y)
        lengths = torch.stack([code.norm(dim=1) for code in codes], 1)
        return 1 / lengths.clamp_min(SMALLEST), self._hubness([unit(code) for code in codes])

    def __call__(self, translated: Tensor, y: Tensor) -> Tensor:
        """(n, d2), (m, d2) -> (n, m), larger is nearer."""
        stored = [unit(codes) for codes in self.codes(y)]
        cosines = [asked @ codes.T for asked, codes in zip(self.asked(translated), stored, strict=True)]
        return torch.stack(cosines).sum(0) - self._hubness(stored)

    def _hubness(self, codes: Sequence[Tensor]) -> Tensor:
        """Unit codes (n, r) in each part's directions -> (n,)"""
        result = codes[0].new_zeros(len(codes[0]))
        for part, stored, sample in zip(self.parts, codes, self._samples, strict=True):
            if sample is not None:
                result += part.hubs * hubness(stored @ sample.mT)
        return result

    @cached_property
    def _samples(self) -> list[Tensor | None]:
        """Unit codes (t, r) of the sample, where a part corrects hubs."""
        if self.sample is None:
            return [None] * len(self.parts)
        codes = zip(self.parts, self.codes(self.sample), strict=True)
        return [unit(of_part) if part.hubs else None for part, of_part in codes]

    def tensors(self) -> dict[str, Tensor]:
        """By name, single precision: what is stored."""
        weights = torch.tensor([[part.cosine, part.hubs] for part in self.parts])
        first = torch.empty(len(self.parts))  # the number of the part that has the directions
        named: dict[str, Tensor | None] = {"weights": weights, "alike": first, "sample": self.sample}
        named |= {f"{number}.strength": part.strength for number, part in enumerate(self.parts)}
        for numbers in self.alike:
            first[numbers] = float(numbers[0])
            part = self.parts[numbers[0]]
            named |= {f"{numbers[0]}.mean": part.mean, f"{numbers[0]}.projection": part.directions}
        return {name: tensor.float().contiguous() for name, tensor in named.items() if tensor is not None}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        if "weights" not in tensors:
            return cls.of_one(tensors["mean"], tensors.get("projection"), tensors.get("sample"))
        weights: list[list[float]] = tensors["weights"].tolist()
        apart = torch.arange(len(weights))  # as all were stored once
        alike = tensors.get("alike", apart).int().tolist()
        places = [(tensors[f"{first}.mean"], tensors.get(f"{first}.projection")) for first in alike]
        parts = [
            Part(*place, cosine, hubs, tensors.get(f"{number}.strength"))
            for number, (place, (cosine, hubs)) in enumerate(zip(places, weights, strict=True))
        ]
        return cls(tuple(parts), tensors.get("sample"))

    @classmethod
    def of_one(cls, mean: Tensor, projection: Tensor | None, codes: Tensor | None) -> Self:
        """What was stored before there were sums, of CSLS the unit codes (t, r) of the sample in its place."""
        weights = (1.0, 0.0) if codes is None else (2.0, 1.0)
        if codes is not None and projection is not None:
            codes = codes @ torch.linalg.pinv(projection)
        return cls((Part(mean, projection, *weights),), None if codes is None else mean + codes)


def placed(codes: str, trial: Trial, basis: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """m (d2,) and D (d2, r) in full coordinates."""
    score = Score(codes)
    mean, directions = score.origin(trial), score.directions(trial)
    if basis is None:
        return mean, directions
    return basis @ mean, None if directions is None else basis @ directions
