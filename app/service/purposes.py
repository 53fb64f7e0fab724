"""What translators are used for, and which of several suits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from app.store import Record

SUFFIXES: Mapping[str, str] = {"retrieval": "-search", "head": "-head-{head}"}  # of names of a first use
LONGEST_NAME = 128

# what one that somebody has put serves beside what it was fitted for; for a head, retrieval whitens too much
ALSO: Mapping[str, tuple[str, ...]] = {
    "retrieval": ("reconstruction",),
    "reconstruction": ("retrieval", "head"),
    "head": (),
}


@dataclass(frozen=True)
class Purpose:
    """An objective; `head` names the one that is to agree, for the objective 'head' alone."""

    objective: str
    head: str | None = None

    @classmethod
    def of(cls, record: Record) -> "Purpose":
        """What a translator was fitted for."""
        spec = record.value["spec"]
        return cls(spec["objective"], spec.get("head"))

    @property
    def on_the_way(self) -> "Purpose":
        """Of the steps of a path before the last, which no head follows."""
        return Purpose("reconstruction") if self.head else self

    def served_by(self, record: Record) -> bool:
        """Fitted for it, or put by somebody, who then wants it used for what it suits."""
        fitted = Purpose.of(record)
        return fitted == self or (not record.value["automatic"] and self.objective in ALSO[fitted.objective])

    def names(self, source: str, target: str) -> Iterator[str]:
        """The plain name of a first use, and one that nobody has chosen for other spaces."""
        suffix = SUFFIXES.get(self.objective, "").format(head=self.head)
        plain = f"{source}-to-{target}{suffix}"
        mark = sha256("/".join(filter(None, (source, target, self.objective, self.head))).encode()).hexdigest()[:8]
        if len(plain) <= LONGEST_NAME:
            yield plain
        yield f"{plain[: LONGEST_NAME - 9]}-{mark}"

    def merit(self, record: Record) -> tuple[bool, bool, bool, float]:
        """A map to the mean comes last, and what a first use fitted after what somebody has put.

        The interval's lower end counts, so that few anchors do not pass for good ones.
        """
        report, quality = record.value["report"], record.value["report"]["quality"]
        for_head = self.head is not None and Purpose.of(record) == self
        figure = quality["mrr" if self.objective == "retrieval" else "agreement" if for_head else "r2"]
        return report["method"] != "mean", not record.value["automatic"], for_head, figure["low"]


RETRIEVAL, RECONSTRUCTION = Purpose("retrieval"), Purpose("reconstruction")
