"""What is to be measured, and the clients that do it."""

from argparse import Namespace
from collections.abc import Iterator

from benchmarks.quality import data, results
from benchmarks.quality.run import in_processes
from benchmarks.quality.task import Line, Task
from benchmarks.stitching.task import figures


def tasks(options: Namespace, lines: list[Line]) -> list[Task]:
    done = {Task.of(line) for line in lines}
    return [task for task in matrix(options) if task not in done]


def matrix(options: Namespace) -> Iterator[Task]:
    """By anchors, draw and file; pairs whose target has no head, and files with fewer rows, are passed over."""
    for anchors in options.anchors:
        for draw in range(options.draws):
            for name in options.files or data.names():
                of = data.spaces(name)
                pairs = [pair for pair in of.pairs if pair[1] in of.heads] if anchors <= len(of.train) else []
                yield from (Task(name, *pair, anchors, draw) for pair in pairs[:: options.pairs_step])


def measure(todo: list[Task], options: Namespace, url: str) -> None:
    calls = [(task, url, options.out / "images", results.state()) for task in todo]
    in_processes(figures, calls, options.jobs, options.out / "results.csv", in_short)


def in_short(lines: list[Line]) -> str:
    return ", ".join(f"{line.method} {line.value:.3f}" for line in lines if line.metric == "accuracy")
