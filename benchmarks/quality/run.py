"""What is to be measured, and the processes that do it."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks.quality import data, results
from benchmarks.quality.task import STITCHING, Line, Task, figures


@dataclass(frozen=True)
class Work:
    """A task and what of it is still to be measured."""

    task: Task
    methods: list[str]


def matrix(options: Namespace) -> Iterator[Task]:
    """By anchors, draw and file; a file with fewer train rows is passed over."""
    for anchors in options.anchors:
        for draw in range(options.draws):
            for name in options.files or data.names():
                of = data.spaces(name)
                if anchors <= len(of.train):
                    for source, target in of.pairs[:: options.pairs_step]:
                        yield Task(name, source, target, anchors, draw)


def wanted(task: Task, objectives: list[str]) -> set[str]:
    heads = data.spaces(task.file).heads
    return {"peers", *(f"us {o}" for o in objectives if o not in STITCHING or task.target in heads)}


def works(options: Namespace, lines: list[Line]) -> list[Work]:
    done = results.done(lines)
    missing = ((task, wanted(task, options.objectives) - done.get(task, set())) for task in matrix(options))
    return [Work(task, sorted(methods)) for task, methods in missing if methods]


def alone() -> None:
    """A process does not disturb its neighbours."""
    torch.set_num_threads(1)
    threadpool_limits(1)


def measure(todo: list[Work], options: Namespace, path: Path) -> None:
    state = results.state()
    calls = [(work.task, work.methods, options.budget, state) for work in todo]
    in_processes(figures, calls, options.jobs, path, in_short)


def in_processes(
    figures: Callable[..., list[Line]],
    calls: Sequence[tuple[Any, ...]],
    jobs: int,
    path: Path,
    shown: Callable[[list[Line]], str],
) -> None:
    """`figures` of each of `calls`, which begin with a task; what fails is told, and is tried again next time."""
    started = time.monotonic()
    with ProcessPoolExecutor(jobs, get_context("spawn"), alone) as pool:
        running = {pool.submit(figures, *call): call[0] for call in calls}
        for number, future in enumerate(as_completed(running), 1):
            failure, task = future.exception(), running[future]
            lines = [] if failure else future.result()
            results.append(path, lines)
            left = (time.monotonic() - started) / number * (len(calls) - number)
            said = f"{type(failure).__name__}: {failure}" if failure else shown(lines)
            print(f"[{number}/{len(calls)}, {left / 60:.0f} min left] {task}: {said}", flush=True)


def in_short(lines: list[Line]) -> str:
    ours = [f"{line.method} {line.value:.3f}" for line in lines if line.method.startswith("us ")]
    theirs = {}
    for metric in dict.fromkeys(line.metric for line in lines):
        others = [line for line in lines if line.metric == metric and not line.method.startswith("us ")]
        theirs.update({metric: max(others, key=lambda line: line.value)} if others else {})
    return ", ".join([*ours, *(f"best {m} of peers {x.value:.3f} ({x.method})" for m, x in theirs.items())])
