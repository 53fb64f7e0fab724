"""How good a head's answers are: on its own space, on others, and without translation."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from app.errors import InvalidInput
from app.service.examples import Examples, Truth, known_as, marks, places
from app.service.heads import Heads, has_marks
from app.service.inputs import check_most
from app.service.outputs import check_finite, check_size
from app.service.routes import Route, pair_of
from app.service.spaces import Spaces
from app.service.stitching import Stitched, Stitching
from app.service.translators import Translators
from app.store import Record
from app.store.base import now
from app.store.rows import Vectors
from models.grades import Grades, of_labels, of_values
from models.heads import Head
from models.maps import Map

LEAST_ITEMS, MOST_ITEMS = 2, 10_000  # a sample of the most says what more would
FEW = 30  # items below which an interval is rough

Grade = Callable[[Tensor], Grades]  # of outputs (n, *shape)


@dataclass(frozen=True)
class Evaluation:
    """Figures of the same items; None where there is nothing to measure."""

    space: str
    items: int
    native: Grades | None  # in the head's own space
    stitched: Grades | None  # translated
    relative: Grades | None  # by the relative codes of another space than the head was fitted in
    unstitched: Grades | None  # cut or padded with zeros to the head's width
    retention: float | None  # accuracy or R² of stitched or relative, as a share of native
    path: list[str]
    cross_fitted: int  # items that are anchors, each translated by a map that was fitted without it
    warnings: list[str]
    at: str


class Evaluations:
    """Of heads; the last one of every space is kept beside the head."""

    def __init__(self, spaces: Spaces, heads: Heads, translators: Translators, stitching: Stitching) -> None:
        self.spaces, self.heads, self.translators, self.stitching = spaces, heads, translators, stitching

    def evaluate(self, name: str, of: Examples, translator: str | None) -> Evaluation:
        """NotFound, InvalidInput, OverLimit, Conflict, and what `Stitching.stitch` raises."""
        check_number(len(of))
        record, head, seen = self.heads.steady(name, lambda r: (r, self.heads.of(r), self.heads.seen(r)))
        check_size((len(of), *head.shape), self.stitching.max_outputs)
        self._check_native(record, of)
        grade = grading(record, of.truth)
        route = self.stitching.route(of.space, record, translator)
        home = self._home(record)
        known = known_as(of, self.spaces.anchors(of.space), self.spaces.anchors(home) if home else None)
        crossed = self._crossed(route, known) if route else {}
        fitted_on = sum(not seen.isdisjoint(item) for item in marks(of, known))
        figures = {
            "native": self._native(record, head, of, known, grade),
            "stitched": grade(self._stitched(head, of, route, known, crossed)) if route else None,
            "relative": self._relative(record, head, of, grade),
            "unstitched": grade(unstitched(head, of.vectors)) if route else None,
        }
        evaluation = Evaluation(
            space=of.space,
            items=len(of),
            **figures,
            retention=retention(figures, of.truth),
            path=[step.name for step in route.steps] if route else [],
            cross_fitted=sum(id_ in crossed for id_ in known),
            warnings=self._warnings(record, of, route, known, crossed, fitted_on, figures),
            at=now(),
        )
        self.heads.keep(record, of.space, asdict(evaluation))
        return evaluation

    def _native(
        self, record: Record, head: Head, of: Examples, known: list[str | None], grade: Grade
    ) -> Grades | None:
        """Where every item has a vector in the head's own space."""
        home = self._home(record)
        if home is None or self._missing(home, of, known):
            return None
        vectors = of.vectors if of.space == home else of.native
        if vectors is None:
            vectors = self.spaces.anchors(home).rows([id_ for id_ in known if id_ is not None])
        return grade(self.stitching.outputs(record, head, home, vectors, None))

    def _relative(self, record: Record, head: Head, of: Examples, grade: Grade) -> Grades | None:
        if record.value["relative"] is None or of.space == self._home(record):
            return None
        return grade(self.stitching.outputs(record, head, of.space, of.vectors, None))

    def _stitched(
        self, head: Head, of: Examples, route: Route, known: list[str | None], crossed: Mapping[str | None, Map]
    ) -> Tensor:
        """Items that are anchors by the maps that did not see them, all others as they always are."""
        x = torch.from_numpy(of.vectors)
        if not crossed:
            outputs = self.stitching.run(head, x, route)
        else:
            translated = route(x)
            for step in set(crossed.values()):
                rows = [row for row, id_ in enumerate(known) if crossed.get(id_) is step]
                translated[rows] = step(x[rows])
            outputs = head(translated)
        check_finite(outputs)
        return outputs

    def _crossed(self, route: Route, known: list[str | None]) -> dict[str | None, Map]:
        """Of the items that its one translator was fitted on; of a stale one nobody knows which these are."""
        if len(route.steps) > 1 or route.stale or self._shared(route.steps[0]).isdisjoint(known):
            return {}
        crossed = self.translators.crossed(route.steps[0])
        return {id_: crossed[id_] for id_ in known if id_ in crossed}

    def _shared(self, step: Record) -> set[str]:
        source, target = (set(self.spaces.anchors(space).ids) for space in pair_of(step))
        return source & target

    def _home(self, record: Record) -> str | None:
        """The space that a head is of; None of a relative one whose space was deleted."""
        home = home_of(record)
        return home if home is not None and self.spaces.find(home) else None

    def _missing(self, home: str, of: Examples, known: list[str | None]) -> int:
        """Items without a vector in the head's own space."""
        if of.space == home or of.native is not None:
            return 0
        held = set(self.spaces.anchors(home).ids)
        return sum(id_ not in held for id_ in known)

    def _check_native(self, record: Record, of: Examples) -> None:
        """InvalidInput, WrongDimension."""
        if of.native is None:
            return
        home = self._home(record)
        if home is None or home == of.space:
            why = "has no space of its own" if home is None else f"is of {home!r}, of which `vectors` are already"
            raise InvalidInput(f"head {record.name!r} {why}: leave `native` out")
        self.spaces.check_width(home, of.native)

    def _warnings(
        self,
        record: Record,
        of: Examples,
        route: Route | None,
        known: list[str | None],
        crossed: Mapping[str | None, Map],
        fitted_on: int,
        figures: Mapping[str, Grades | None],
    ) -> list[str]:
        """What a reader of the figures should not overlook."""
        home = self._home(record)
        missing = self._missing(home, of, known) if home else 0
        native = figures["native"] if figures["stitched"] or figures["relative"] else None
        shared = set().union(*(self._shared(step) for step in route.steps)) if route else set()
        leaked = sum(id_ in shared and id_ not in crossed for id_ in known)
        codes = set((record.value["relative"] or {"anchors": []})["anchors"])
        described = sum(id_ in codes for id_ in known)
        findings = {
            f"only {len(of)} items: the intervals are rough": len(of) < FEW,
            f"{leaked} of the {len(of)} items are anchors that the translation was fitted on, which flatters it: "
            "give vectors of other items": leaked > 0,
            f"{described} of the {len(of)} items are anchors of the head's relative codes": described > 0,
            f"{fitted_on} of the {len(of)} items are among those that the head was fitted on, which flatters it: "
            "`fit` has its held-out figures": fitted_on > 0,
            "it is not known which items the head was fitted on, and some may be among these: fit it anew": (
                record.value["fit"] is not None and not has_marks(record)
            ),
            f"no native figures: there is no space {home_of(record)!r} any more": home != home_of(record),
            f"no native figures, and so no retention: {home!r} has no anchors for {missing} of the {len(of)} "
            "items, name such as it has by `ids`, or give the `native` vectors of all": missing > 0,
            "no retention: natively the head is not shown to be better than answering without looking; are the "
            "truth and the rows of `native` those of the same items?": (
                native is not None and not is_telling(native, of.truth)
            ),
            "anchors or the head have changed since the translation was fitted: items that it was fitted on may "
            "count as others, fit it anew": route is not None and route.stale,
        }
        return [text for text, found in findings.items() if found]


def home_of(record: Record) -> str | None:
    """The space that a head is of; of a relative one that it was fitted in, if it was fitted here."""
    home: str | None = record.value["space"] or (record.value["fit"] or {}).get("space")
    return home


def grading(record: Record, truth: Truth) -> Grade:
    """What compares a head's outputs with the truth. InvalidInput."""
    labels, shape = record.value["labels"], tuple(record.value["shape"])
    if (labels is None) == isinstance(truth, list):
        wanted = "labels" if labels else "values"
        raise InvalidInput(
            f"head {record.name!r} answers with {wanted}: give the true {wanted} of the items", expected=wanted
        )
    if isinstance(truth, list):
        numbers = places(truth, labels)
        return lambda outputs: of_labels(Stitched(record, outputs, None).scores.argmax(1), numbers)
    values = truth[:, None] if truth.ndim == 1 and shape == (1,) else truth
    if tuple(values.shape[1:]) != shape:
        raise InvalidInput(
            f"head {record.name!r} gives values of shape {list(shape)} for an item, got {list(values.shape[1:])}",
            expected=list(shape),
            got=list(values.shape[1:]),
        )
    return lambda outputs: of_values(outputs, values)


def unstitched(head: Head, vectors: Vectors) -> Tensor:
    """As they are, cut or padded with zeros. InvalidVectors."""
    x = torch.from_numpy(vectors)[:, : head.dim]
    outputs = head(pad(x, (0, head.dim - x.shape[1])))
    check_finite(outputs)
    return outputs


def retention(figures: Mapping[str, Grades | None], truth: Truth) -> float | None:
    """None without native figures, or where these do not tell that anything is known."""
    native, here = figures["native"], figures["stitched"] or figures["relative"]
    if native is None or here is None or not is_telling(native, truth):
        return None
    name = next(iter(native))
    return here[name].mean / native[name].mean


def is_telling(native: Grades, truth: Truth) -> bool:
    """Whether accuracy or R² is beyond doubt more than that of the commonest label, or of the mean."""
    baseline = max(Counter(truth).values()) / len(truth) if isinstance(truth, list) else 0.0
    return next(iter(native.values())).low > baseline


def check_number(items: int) -> None:
    check_most(items, MOST_ITEMS, "an evaluation reads {} items", "a sample says as much")
    if items < LEAST_ITEMS:
        raise InvalidInput(
            f"an evaluation needs at least {LEAST_ITEMS} items, got {items}", expected=LEAST_ITEMS, got=items
        )
