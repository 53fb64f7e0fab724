"""Search: the points of a collection by their nearness to queries, from any space that reaches it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import ge, le
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from app.errors import InvalidInput, OverLimit
from app.index import SCORINGS, Vectors, View
from app.service.collections import Collection, Collections, check_nonzero
from app.service.filters import Filter
from app.service.live import Nearest, Point
from app.service.purposes import RECONSTRUCTION, RETRIEVAL
from app.service.routes import Route, Translation
from app.store.rows import Id


@dataclass(frozen=True)
class Query:
    """vectors (m, d) of the collection's space, of `space`, or of the translator's source."""

    vectors: Vectors
    k: int = 10
    space: str | None = None
    translator: str | None = None
    wanted: Filter | None = None
    threshold: float | None = None  # of calibrated scores, if those are asked for
    calibrated: bool = False
    confidence: bool = False


class Hit(NamedTuple):
    """A point, and how near it is."""

    point: Point
    score: float
    calibrated_score: float | None = None


@dataclass(frozen=True)
class Scale:
    """What scores are, and which native scores they stand for; `uncalibrated` says why that is not known."""

    name: str
    calibrate: Callable[[Tensor], Tensor] | None = None
    uncalibrated: str | None = None

    @classmethod
    def of(cls, metric: str, route: Route | None) -> "Scale":
        if route is None:
            return cls(metric, lambda scores: scores)
        if metric != "cosine":
            return cls(metric, uncalibrated=f"{metric} compares translated vectors as they are")
        name, calibration = route.steps[-1].value["report"]["score"]["name"], route.artifacts[-1].calibration
        if len(route.steps) > 1:
            return cls(name, uncalibrated="translators in a row were not calibrated together")
        if calibration is None:
            return cls(name, uncalibrated="its translator was fitted on too few anchors")
        return cls(name, calibration)


@dataclass(frozen=True)
class Found:
    """Per query its hits, nearest first, and how they were found."""

    hits: list[list[Hit]]
    scale: Scale
    nearest: Nearest
    translation: Translation | None
    translate_seconds: float


@dataclass(frozen=True)
class Reranked:
    """Per query its hits, nearest first; and the candidates that are no points of the collection."""

    hits: list[list[Hit]]
    metric: str
    missing: list[Id]


class Search:
    """In any collection."""

    def __init__(self, collections: Collections, max_k: int, max_hits: int) -> None:
        self.collections, self.spaces = collections, collections.spaces
        self.max_k, self.max_hits = max_k, max_hits

    def search(self, name: str, query: Query) -> Found:
        """NotFound, OverLimit, WrongDimension, InvalidVectors, and what a first use of two spaces raises."""
        self.check_size(query.k, len(query.vectors))
        collection, live = self.collections.opened(name)
        began = perf_counter()
        translation = self._translated(collection, query)
        translated = perf_counter()
        vectors = translation.vectors if translation else query.vectors
        self.collections.check_vectors(name, collection, vectors)
        scale = Scale.of(collection.metric, translation.route if translation else None)
        check_threshold(query, scale)
        if translation is None or collection.metric != "cosine":
            nearest = live.search(vectors, query.k, query.wanted)
        else:
            route = translation.route
            nearest = live.search_scored(vectors, query.k, route.key, route.score, query.wanted)
        hits = [judged(row, query, scale) for row in nearest.hits]
        return Found(hits, scale, nearest, translation, translated - began)

    def rerank(
        self, name: str, queries: Vectors, space: str | None, ids: Sequence[Id], vectors: Vectors, k: int
    ) -> Reranked:
        """queries (m, d), vectors (n, d) of the points `ids`, both native to `space`. NotFound, WrongDimension."""
        self.check_size(k, len(queries))
        collection = Collection.of(self.collections.get(name))
        space = space or collection.space
        for rows in (queries, vectors):
            self.spaces.check_width(space, rows)
            check_nonzero(collection.metric, rows)
        points = {point.id: point for point in self.collections.points(name, ids)}
        there = [row for row, id_ in enumerate(ids) if id_ in points]
        ranking = View.of(vectors[there], SCORINGS[collection.metric]()).nearest(queries, k)
        found = zip(ranking.scores, ranking.slots.tolist(), strict=True)
        hits = [[Hit(points[ids[there[row]]], score) for score, row in zip(*row, strict=True)] for row in found]
        return Reranked(hits, collection.metric, [id_ for id_ in ids if id_ not in points])

    def check_size(self, k: int, queries: int) -> None:
        if not 1 <= k <= self.max_k:
            raise OverLimit(f"k must be from 1 to {self.max_k}, got {k}", limit=self.max_k, got=k)
        if (hits := k * queries) > self.max_hits:
            raise OverLimit(
                f"queries x k may be at most {self.max_hits}, got {hits}", limit=self.max_hits, got=hits
            )

    def _translated(self, collection: Collection, query: Query) -> Translation | None:
        """Scores by cosine need what retrieves, the other metrics vectors that are near the true ones."""
        purpose = RETRIEVAL if collection.metric == "cosine" else RECONSTRUCTION
        route = self.collections.route(collection, query.space, query.translator, purpose, query.vectors)
        if route is None:
            return None
        return self.collections.translators.translate(route, query.vectors, query.confidence)


def check_threshold(query: Query, scale: Scale) -> None:
    if query.calibrated and query.threshold is not None and scale.uncalibrated:
        raise InvalidInput(
            f"there are no calibrated scores to hold against the threshold: {scale.uncalibrated}; "
            "leave calibrated_score out of `with` for a threshold of `score`",
            got=query.threshold,
        )


def judged(row: Sequence[tuple[Point, float]], query: Query, scale: Scale) -> list[Hit]:
    """The hits of one query that reach its threshold."""
    hits = [Hit(point, score) for point, score in row]
    calibrate = scale.calibrate if query.calibrated else None
    if calibrate is None and query.threshold is None:
        return hits
    held = [hit.score for hit in hits]
    if calibrate:
        held = list(calibrate(torch.from_numpy(np.array(held, np.float32))).numpy())
        hits = [hit._replace(calibrated_score=value) for hit, value in zip(hits, held, strict=True)]
    if query.threshold is None:
        return hits
    reaches = le if scale.name == "euclidean" else ge
    return [hit for hit, value in zip(hits, held, strict=True) if reaches(value, query.threshold)]
