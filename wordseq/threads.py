"""How work is spread over the processors: a few parts side by side, each operation of a part on threads of its own.

At the sizes of these models an operation that is cut over two threads waits for the slower one, and what lies between two large
products is too small to be cut at all. Parts of a batch that do not wait for each other use both processors all the time.
"""

import os

MOST_PARTS = 4
"""With more parts than this, each would be too small for fast products."""


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parts() -> int:
    """Parts of the work that run side by side."""
    return min(MOST_PARTS, processors())


def threads_an_operation() -> int:
    """Threads of each operation."""
    return processors() // parts()
