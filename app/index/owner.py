"""The one thread that uses a device: FAISS's indexes on a GPU bear no second, not even to search.

Searches wait in a queue of limited length; those that wait for the same thing are done as one. What the device
cannot do, for want of memory say, is done with the copy in the computer's own memory, and a warning says so.
"""

import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from queue import Empty, Full, Queue
from typing import Any, NamedTuple

import numpy as np

from app.errors import Busy
from app.index.base import Slots, Vectors

WAITING = 64  # searches
MOST = 2048  # results, and lists of an inverted file, that a GPU looks for

Search = Callable[[Any, Vectors, int, int], Slots]  # index, queries (m, w), k, effort -> places (m, k)
logger = logging.getLogger("anchorage")


class Job(NamedTuple):
    """A search that waits."""

    held: "Held"
    queries: Vectors
    k: int
    effort: int
    answer: "Future[Slots]"


class Owner:
    """`place` copies an index to the device; it and `search` are called by the thread alone."""

    def __init__(self, place: Callable[[Any], Any], search: Search, waiting: int = WAITING) -> None:
        self.warnings: list[str] = []
        self._place, self._search = place, search
        self._jobs: Queue[Job] = Queue(waiting)
        self._copies: dict[int, Any] = {}  # by key of what is held
        self._dropped: deque[int] = deque()  # keys
        self._keys = count()
        threading.Thread(target=self._work, name="device", daemon=True).start()

    def hold(self, index: Any) -> "Held":
        """To be searched on the device, until nobody has it any more."""
        held = Held(self, index, next(self._keys))
        weakref.finalize(held, self._dropped.append, held.key)
        return held

    def ask(self, job: Job) -> Slots:
        """Busy."""
        try:
            self._jobs.put_nowait(job)
        except Full:
            most = self._jobs.maxsize
            raise Busy(f"{most} searches wait for the device: try again in a moment", limit=most) from None
        return job.answer.result()

    def _work(self) -> None:
        while True:
            together: dict[tuple[int, int, int], list[Job]] = {}
            for job in self._waiting():
                together.setdefault((job.held.key, job.k, job.effort), []).append(job)
            while self._dropped:
                self._copies.pop(self._dropped.popleft(), None)
            for jobs in together.values():
                self._answer(jobs)

    def _waiting(self) -> list[Job]:
        """All there are, at least one."""
        jobs = [self._jobs.get()]
        while True:
            try:
                jobs.append(self._jobs.get_nowait())
            except Empty:
                return jobs

    def _answer(self, jobs: list[Job]) -> None:
        held, _, k, effort, _ = jobs[0]
        try:
            places = self._searched(held, np.concatenate([job.queries for job in jobs]), k, effort)
        except Exception as error:  # noqa: BLE001  it is the callers', who wait for it
            for job in jobs:
                job.answer.set_exception(error)
            return
        ends = np.cumsum([len(job.queries) for job in jobs])
        for job, part in zip(jobs, np.split(places, ends[:-1]), strict=True):
            job.answer.set_result(part)

    def _searched(self, held: "Held", queries: Vectors, k: int, effort: int) -> Slots:
        try:
            if held.key not in self._copies:
                self._copies[held.key] = self._place(held.index)
            return self._search(self._copies[held.key], queries, k, effort)
        except (MemoryError, RuntimeError) as error:
            if self._copies.get(held.key) is held.index:
                raise
            self._copies[held.key] = held.index
            self.warnings.append(f"an index is searched by the CPU, as the device fails: {error}")
            logger.warning(self.warnings[-1])
            return self._search(held.index, queries, k, effort)


class Held:
    """An index that has a copy on the device."""

    def __init__(self, owner: Owner, index: Any, key: int) -> None:
        self.owner, self.index, self.key = owner, index, key

    def search(self, queries: Vectors, k: int, effort: int) -> Slots:
        """Busy."""
        return self.owner.ask(Job(self, queries, k, effort, Future()))
