"""What is built behind the searches, one after the other."""

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Queue

from app.index import Owner, Saved

GENTLE = 10  # of at most 19: searches go first
logger = logging.getLogger("anchorage")


class Indexing:
    """One thread, which begins with the first job.

    `folder` is where what was built is saved, `owner` that of the device where it is searched, if there are such.
    """

    def __init__(self, folder: Path | None = None, owner: Owner | None = None) -> None:
        self.folder, self.owner = folder, owner
        self._jobs: Queue[Callable[[], None]] = Queue()
        self._beginning = threading.Lock()
        self._thread: threading.Thread | None = None

    def ask(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)
        with self._beginning:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="indexing", daemon=True)
                self._thread.start()

    def saved(self, name: str, metric: str) -> Saved | None:
        """Where the index of a collection is kept."""
        return Saved(self.folder / f"{name}.index", metric) if self.folder else None

    def wait(self) -> None:
        """Until every job that was asked for is done."""
        self._jobs.join()

    def _work(self) -> None:
        if sys.platform == "linux":  # where threads have a priority of their own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), GENTLE)
        while True:
            job = self._jobs.get()
            try:
                job()
            except Exception:
                logger.exception("a job of the indexes failed")
            finally:
                self._jobs.task_done()
