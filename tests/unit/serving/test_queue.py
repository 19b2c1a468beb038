import threading
import time

import pytest

from wordseq.serving.queue import LARGEST_BATCH, SHARE, BatchQueue, QueueFigures, QueueFullError


@pytest.fixture
def queue():
    queue = BatchQueue(10)
    yield queue
    queue.close()


class Work:
    """Doubles numbers; waits for `go` and notes its batches."""

    def __init__(self):
        self.batches, self.go, self.started = [], threading.Event(), threading.Event()

    def __call__(self, items):
        self.batches.append(items)
        self.started.set()
        assert self.go.wait(20)
        if "wrong" in items:
            raise ValueError("wrong")
        return [2 * item for item in items]


def held(queue, work):
    """A job that keeps the queue busy until `work.go` is set."""
    first = queue.submit(work, [0])
    assert work.started.wait(20)
    return first


def test_jobs_that_arrive_meanwhile_are_one_batch_and_equal_items_are_done_once(queue):
    work = Work()
    first = held(queue, work)
    others = [queue.submit(work, [k, 7]) for k in range(1, 6)]
    work.go.set()
    assert [future.result(20) for future in (first, *others)] == [[0], *([2 * k, 14] for k in range(1, 6))]
    assert work.batches == [[0], [1, 7, 2, 3, 4, 5]]
    assert queue.figures == QueueFigures(0, 2, 7)


def test_an_idle_queue_starts_at_once_and_an_empty_job_needs_no_batch(queue):
    work = Work()
    work.go.set()
    assert queue.submit(work, [1]).result(20) == [2]
    assert queue.submit(work, []).result(0) == []
    assert work.batches == [[1]]


def test_different_work_is_never_in_one_batch(queue):
    one, other = Work(), Work()
    other.go.set()
    held(queue, one)
    futures = [queue.submit(work, [k]) for k, work in enumerate((one, other, one, other))]
    one.go.set()
    assert [future.result(20) for future in futures] == [[0], [2], [4], [6]]
    assert (one.batches, other.batches) == ([[0], [0, 2]], [[1, 3]])


def test_a_long_job_lets_short_ones_pass(queue):
    work = Work()
    held(queue, work)
    numbers = list(range(1000, 1000 + 3 * SHARE))
    long, short = queue.submit(work, numbers), queue.submit(work, [5])
    work.go.set()
    assert short.result(20) == [10]
    assert long.result(20) == [2 * k for k in numbers]
    assert [len(batch) for batch in work.batches] == [1, SHARE + 1, SHARE, SHARE]


def test_a_batch_has_a_largest_size():
    queue, work = BatchQueue(100), Work()
    held(queue, work)
    jobs = [list(range(k * SHARE, (k + 1) * SHARE)) for k in range(1, 2 + LARGEST_BATCH // SHARE)]
    futures = [queue.submit(work, job) for job in jobs]
    work.go.set()
    assert [future.result(20) for future in futures] == [[2 * k for k in job] for job in jobs]
    assert [len(batch) for batch in work.batches] == [1, LARGEST_BATCH, SHARE]
    queue.close()


def test_a_full_queue_refuses_and_accepts_again(queue):
    work = Work()
    futures = [held(queue, work), *(queue.submit(work, [k]) for k in range(9))]
    with pytest.raises(QueueFullError):
        queue.submit(work, [1])
    work.go.set()
    assert all(future.result(20) for future in futures)
    assert queue.submit(work, [4]).result(20) == [8]


def test_a_job_that_fails_lets_no_other_fail_and_the_thread_lives(queue):
    work = Work()
    held(queue, work)
    futures = [queue.submit(work, items) for items in ([1], ["wrong", 2], [3])]
    work.go.set()
    assert [futures[k].result(20) for k in (0, 2)] == [[2], [6]]
    with pytest.raises(ValueError, match="wrong"):
        futures[1].result(20)
    assert queue.submit(work, [4]).result(20) == [8]


def test_a_cancelled_job_is_not_done(queue):
    work = Work()
    held(queue, work)
    gone, stays = queue.submit(work, [1]), queue.submit(work, [2])
    assert gone.cancel()
    work.go.set()
    assert stays.result(20) == [4]
    assert work.batches == [[0], [2]]
    assert queue.figures.waiting == 0


def test_closing_finishes_what_waits_and_refuses_more():
    queue, work = BatchQueue(10), Work()
    futures = [held(queue, work), queue.submit(work, [1])]
    threading.Timer(0.05, work.go.set).start()
    queue.close()
    assert [future.result(0) for future in futures] == [[0], [2]]
    with pytest.raises(QueueFullError):
        queue.submit(work, [1])


def test_many_threads_get_their_own_results():
    queue, found = BatchQueue(1000), {}

    def double(items):
        time.sleep(0.001)
        return [2 * item for item in items]

    def ask(number):
        found[number] = [queue.submit(double, [number, k]).result(20) for k in range(5)]

    threads = [threading.Thread(target=ask, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [[2 * number, 2 * k] for k in range(5)] for number in range(20)}
    assert queue.figures.batches < 100
    queue.close()
