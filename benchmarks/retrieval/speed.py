"""How fast searches are, how good, what they need, and what a kill leaves: we and the peers on the same points."""

import os
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from benchmarks.quality.report import grid, verdict
from benchmarks.retrieval.anchorage import Anchorage
from benchmarks.retrieval.chroma import Chroma
from benchmarks.retrieval.milvus import Milvus
from benchmarks.retrieval.points import PART, PARTS, Points, Slots
from benchmarks.retrieval.process import Process
from benchmarks.retrieval.raw_faiss import FlatFaiss, RawFaiss
from benchmarks.retrieval.system import System

K = 10
ROWS_A_CALL = 5000
SECONDS = 1.5  # that one is asked at a stretch
ALIKE = 0.01  # recalls that differ less are one
LAST, FEW = 20, 50  # batches before the kill, and points in each
SHARE, LATER = 0.5, 1.5  # targets: of FAISS's queries/s in batches, and ms behind it alone


class Case(NamedTuple):
    """What is asked."""

    batch: int
    part: int | None

    def __str__(self) -> str:
        return f"batch {self.batch}" + (f", {100 / PARTS:g} % pass" if self.part is not None else "")


CASES = [Case(batch, part) for part in (None, PART) for batch in (1, 64)]


@dataclass
class Measured:
    """One system at one size; for each case seconds of every call, and of computing for a query."""

    system: System
    ready: float
    effort: int | None
    recall: dict[int | None, float]
    calls: dict[Case, list[float]] = field(default_factory=lambda: defaultdict(list))
    computing: dict[Case, list[float]] = field(default_factory=lambda: defaultdict(list))
    megabytes: float = 0.0
    kept: str = "-"

    def ask(self, case: Case, points: Points) -> None:
        """For a while, one call after the other; the first one warms up."""
        spent, starts = [], cycle(range(0, len(points.queries), case.batch))
        before, deadline = self.computed, time.perf_counter() + SECONDS
        while time.perf_counter() < deadline or len(spent) < 3:
            queries = points.queries[(start := next(starts)) : start + case.batch]
            began = time.perf_counter()
            self.system.search(queries, K, case.part)
            spent.append(time.perf_counter() - began)
        self.calls[case] += spent[1:]
        self.computing[case].append((self.computed - before) / (len(spent) * case.batch))

    @property
    def computed(self) -> float:
        """Seconds of its process, so far."""
        return self.system.process.seconds() if self.system.process else time.process_time()

    def rate(self, case: Case) -> float:
        """Queries/s."""
        return case.batch * len(self.calls[case]) / sum(self.calls[case])

    def cpu(self, case: Case) -> float:
        """Milliseconds of computing for a query, which a busy machine changes little."""
        return 1e3 * float(np.mean(self.computing[case]))

    def milliseconds(self, case: Case, percentile: float) -> float:
        return 1e3 * float(np.percentile(self.calls[case], percentile))


def run(options: Namespace) -> None:
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    print(f"{os.cpu_count()} cores, OMP_NUM_THREADS {threads}, load {os.getloadavg()[0]:.1f} before\n")
    for size in options.sizes:
        points = Points.drawn(size)
        print(f"## {size} points x {points.stored.shape[1]}, {points.kinds}\n", flush=True)
        with TemporaryDirectory(prefix="anchorage-bench-") as folder, ExitStack() as processes:
            found = compared(points, options, Path(folder), processes)
        print(report(found), flush=True)


def compared(points: Points, options: Namespace, folder: Path, processes: ExitStack) -> list[Measured]:
    right = {part: points.nearest(K, part) for part in (None, PART)}
    found: list[Measured] = []
    for system in systems(options, folder):
        if system.process:
            processes.callback(system.process.stop)
        found.append(filled(system, points, right, found))
    for _ in range(options.rounds):
        for measured in found:
            for case in CASES:
                measured.ask(case, points)
    for measured in found:
        measured.megabytes = measured.system.megabytes
        if measured.system.process:
            measured.kept = survived(measured.system, measured.system.process, points)
    return found


def systems(options: Namespace, folder: Path) -> Iterator[System]:
    """FAISS is told what our index chose; flat FAISS stands beside it for what a filter leaves."""
    yield (ours := Anchorage(folder, options.index))
    status = ours.status
    print(f"our index: {status}\n", flush=True)
    yield RawFaiss(status["kind"] if status["points"] else "exact", status["effort"] or 1)
    yield FlatFaiss()
    for peer, program in ((Chroma, "chroma"), (Milvus, "milvus-lite")):
        if options.peers and (options.peers / "bin" / program).exists():
            yield peer(folder, options.peers)
        else:
            print(f"{peer.name} is missing: no {program} in --peers {options.peers}\n")


def filled(system: System, points: Points, right: dict[int | None, Slots], found: Sequence[Measured]) -> Measured:
    """With all points, and for the peers the least effort that reaches our recall, if any does."""
    began, size = time.perf_counter(), len(points.stored)
    for start in range(0, size, ROWS_A_CALL):
        cut = range(start, min(start + ROWS_A_CALL, size))
        system.write(cut, points.stored[cut.start : cut.stop])
    system.settle()
    ready = time.perf_counter() - began
    for effort in system.efforts:
        system.spend(effort)
        if recall(system, points, right, None) >= found[0].recall[None]:
            break
    reached = {part: recall(system, points, right, part) for part in right}
    spent = effort if system.efforts else None
    print(f"{system.name}: ready after {ready:.0f} s, effort {spent}, recall@{K} {reached[None]:.3f}", flush=True)
    return Measured(system, ready, spent, reached)


def recall(system: System, points: Points, right: dict[int | None, Slots], part: int | None) -> float:
    """Of the exact ones."""
    batches = np.array_split(points.queries, len(points.queries) // max(case.batch for case in CASES))
    found = [ids for batch in batches for ids in system.search(batch, K, part)]
    return float(np.mean([len({*ids} & {*own}) for ids, own in zip(found, right[part].tolist(), strict=True)]) / K)


def survived(system: System, process: Process, points: Points) -> str:
    """More batches, a kill -9 right after the last was acknowledged, and what a new process counts."""
    size = len(points.stored)
    for number in range(LAST):
        start = size + number * FEW
        system.write(range(start, start + FEW), points.stored[number * FEW : (number + 1) * FEW])
    process.kill()
    began = time.perf_counter()
    process.start()
    return f"{system.count()} of {size + LAST * FEW}, {time.perf_counter() - began:.1f} s"


def report(found: list[Measured]) -> str:
    head = ["queries/s", "p50 ms", "p99 ms", "CPU ms a query", f"recall@{K}"]
    parts = []
    for case in CASES:
        rows = [
            [
                m.system.name,
                f"{m.rate(case):.0f}",
                f"{m.milliseconds(case, 50):.2f}",
                f"{m.milliseconds(case, 99):.2f}",
                f"{m.cpu(case):.2f}",
                f"{m.recall[case.part]:.3f}",
            ]
            for m in found
        ]
        parts.append(grid([str(case), *head], rows))
    needs = [
        [m.system.name, str(m.effort or "its own"), f"{m.ready:.0f}", f"{m.megabytes:.0f}", m.kept] for m in found
    ]
    parts.append(grid(["", "effort", "ready after s", "MB", "points after kill -9, and when"], needs))
    parts.append(grid(["target", "reached", ""], [row for case in CASES for row in verdicts(case, found)]))
    return "\n" + "\n\n".join(parts) + "\n"


def verdicts(case: Case, found: list[Measured]) -> Iterator[list[str]]:
    ours, bare, _, *peers = found
    if case.batch > 1:
        share = ours.rate(case) / bare.rate(case)
        yield [f"{case}: queries/s >= {SHARE} x raw FAISS, same index", f"{share:.2f} x", verdict(share >= SHARE)]
    else:
        later = ours.milliseconds(case, 50) - bare.milliseconds(case, 50)
        yield [
            f"{case}: p50 within {LATER} ms of raw FAISS, same index",
            f"{later:+.2f} ms",
            verdict(later <= LATER),
        ]
    for peer in peers:
        times, more = ours.rate(case) / peer.rate(case), ours.recall[case.part] - peer.recall[case.part]
        reached = f"{times:.1f} x, recall {more:+.3f}"
        yield [f"{case}: ahead of {peer.system.name}", reached, verdict(times > 1 and more > -ALIKE)]
