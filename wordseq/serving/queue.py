"""Joins the work of requests that arrive while the model is busy into batches. One thread does all of it."""

import concurrent.futures
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Work = Callable[[list[Any]], Sequence[Any]]
"""Returns one result for each item, which must be hashable; a result may not depend on the other items."""

SHARE = 64
"""Most items of one job in a batch, so that a long text does not keep short ones waiting."""

LARGEST_BATCH = 512
"""Most items of a batch."""


class QueueFullError(Exception):
    """As many jobs as the queue holds are waiting."""


class QueueFigures(NamedTuple):
    """What the queue has done so far."""

    waiting: int
    """Jobs that are not finished."""
    batches: int
    items: int
    """Distinct items of these batches."""


class _Job:
    def __init__(self, work: Work, items: Sequence[Any]) -> None:
        self.work, self.items = work, items
        self.results: list[Any] = []
        self.future: concurrent.futures.Future[list[Any]] = concurrent.futures.Future()

    def fail(self, error: BaseException) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)

    def finish(self) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(self.results)


class BatchQueue:
    """Jobs of several requests, worked off in batches by one thread.

    While a batch is computed, jobs arrive; those with the same work are the next batch, equal items once. An idle queue starts
    a job at once. A long job is done in parts, between the others.

    Args:
        most_waiting: most jobs that are not finished.
    """

    def __init__(self, most_waiting: int) -> None:
        self._most, self._jobs, self._closed = most_waiting, deque[_Job](), False
        self._batches = self._items = 0
        self._changed = threading.Condition()
        # A daemon: a batch that never ends must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="translator", daemon=True)
        self._thread.start()

    @property
    def figures(self) -> QueueFigures:
        """What was done so far."""
        with self._changed:
            return QueueFigures(len(self._jobs), self._batches, self._items)

    def submit(self, work: Work, items: Sequence[Any]) -> "concurrent.futures.Future[list[Any]]":
        """The future results of `work` on some items, in their order. A cancelled future drops the job.

        Raises:
            QueueFullError: too many jobs wait, or the queue is closed.
        """
        job = _Job(work, items)
        if not items:
            job.finish()
            return job.future
        with self._changed:
            if self._closed or len(self._jobs) >= self._most:
                raise QueueFullError
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Finish the jobs that wait, refuse new ones, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                self._jobs = deque(job for job in self._jobs if not job.future.cancelled())
                jobs = self._next()
            if jobs:
                self._do(jobs)
            elif self._closed:
                return

    def _next(self) -> list[tuple[_Job, Sequence[Any]]]:
        """The jobs of the next batch, each with its items in that batch: the oldest job, and others with the same work."""
        chosen, room = [], LARGEST_BATCH
        for job in self._jobs:
            if room > 0 and job.work == self._jobs[0].work:
                part = job.items[len(job.results) :][: min(SHARE, room)]
                chosen.append((job, part))
                room -= len(part)
        return chosen

    def _do(self, jobs: list[tuple[_Job, Sequence[Any]]]) -> None:
        items = list(dict.fromkeys(item for _, part in jobs for item in part))
        try:
            results = dict(zip(items, jobs[0][0].work(items), strict=True))
        except BaseException as error:  # Whatever it is, the thread must live, and somebody waits for each job.
            self._failed(jobs, error)
            return
        for job, part in jobs:
            job.results += [results[item] for item in part]
        self._settle([job for job, _ in jobs], len(items))

    def _failed(self, jobs: list[tuple[_Job, Sequence[Any]]], error: BaseException) -> None:
        """One job cannot let others fail: each is tried alone."""
        if len(jobs) > 1:
            for one in jobs:
                self._do([one])
            return
        job = jobs[0][0]
        with self._changed:
            self._jobs.remove(job)
        job.fail(error)

    def _settle(self, jobs: list[_Job], items: int) -> None:
        """Finish what is complete; what is not complete goes to the end of the queue."""
        done = [job for job in jobs if len(job.results) == len(job.items)]
        with self._changed:
            self._batches += 1
            self._items += items
            for job in jobs:
                self._jobs.remove(job)
            self._jobs.extend(job for job in jobs if job not in done)
        for job in done:
            job.finish()
