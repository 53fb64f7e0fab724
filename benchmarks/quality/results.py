"""The figures on disk: a CSV that grows by whole tasks, so that an interrupted run goes on where it was."""

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path

import models
from benchmarks.quality.task import Line, Task

KINDS: dict[str, type] = {f.name: f.type if isinstance(f.type, type) else str for f in fields(Line)}


def read(path: Path) -> list[Line]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [Line(**{name: KINDS[name](text) for name, text in row.items()}) for row in csv.DictReader(file)]


def append(path: Path, lines: Iterable[Line]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(KINDS), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(map(asdict, lines))


def rewrite(path: Path, lines: list[Line]) -> None:
    path.unlink(missing_ok=True)
    append(path, lines)


def done(lines: list[Line]) -> dict[Task, set[str]]:
    """By task, what has figures: "peers" and "us <objective>"."""
    found: dict[Task, set[str]] = {}
    for line in lines:
        found.setdefault(Task.of(line), set()).add(line.method if line.method.startswith("us ") else "peers")
    return found


def stands(line: Line, now: str) -> bool:
    """Whether it would come out the same again: of a peer, or of this state of models/ with time enough."""
    return not line.method.startswith("us ") or (line.models == now and not line.dropped)


def state() -> str:
    """A short name for what the files of models/ say."""
    content = b"".join(path.read_bytes() for path in sorted(Path(models.__file__).parent.glob("*.py")))
    return hashlib.sha256(content).hexdigest()[:8]
