"""Work in threads of its own: several jobs at a time, and free of what the calling thread has set in TensorFlow and Keras."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from wordseq.system.environment import check_fork
from wordseq.system.platform import parts

_Result = TypeVar("_Result")


def side_by_side(job: Callable[[int], _Result], count: int) -> Iterator[_Result]:
    """The results of `job(0)`, `job(1)` and so on. TensorFlow leaves Python alone, so several run at a time.

    Devices, distribution strategies, gradient tapes, numeric checks and Keras's dtype policy belong to a thread: what the
    caller has set does not reach the jobs.

    Raises:
        UserError: this process was forked from one in which TensorFlow ran.
    """
    check_fork()
    with ThreadPoolExecutor(parts()) as pool:
        yield from pool.map(job, range(count))
