"""Lines of text as they arrive, and the pauses between them."""

import functools
import io
import os
import select
import stat
import time
from collections.abc import Iterator
from typing import IO, Any

PAUSE_SECONDS = 0.05
"""A pipe into which nothing is written for so long pauses: the lines that have arrived are translated."""

LONGEST_WAIT_SECONDS = 1.0
"""From a pipe that is written to slowly but without a pause, lines are translated when others were waited for so long."""

Input = IO[bytes] | io.BufferedIOBase


def input_lines(file: Input, longest: int, *, answered: bool) -> Iterator[bytes | None]:
    """The lines of a file with their ends, a too long one cut; None where a pipe pauses.

    Args:
        file: the input.
        longest: bytes of a line that is not too long, its end included.
        answered: a program may write lines to the pipe and wait for their answers; otherwise there is no None.
    """
    if answered and _is_pipe(file):
        return _lines_and_pauses(file, longest)
    return iter(functools.partial(file.readline, longest + 1), b"")


def _is_pipe(file: Input) -> bool:
    """Whether it can be seen that nothing more has arrived: not for a file, which has everything, nor on Windows."""
    try:
        mode = os.fstat(file.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return os.name != "nt" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def _lines_and_pauses(file: Any, longest: int) -> Iterator[bytes | None]:
    rest, waited = b"", 0.0
    while True:
        start = time.monotonic()
        arrived = select.select([file], [], [], PAUSE_SECONDS)[0]
        waited += time.monotonic() - start
        if not arrived or waited > LONGEST_WAIT_SECONDS:
            yield None
            waited = 0.0
        if not arrived:
            select.select([file], [], [])
        # It has what was in its buffer and at most one read of the pipe: `select` sees the pipe alone.
        block = file.read1(2**16)
        if not block:
            break
        *complete, rest = (rest + block).split(b"\n")
        yield from (line + b"\n" for line in complete)
        if len(rest) > longest:
            break
    if rest:
        yield rest
