"""Lines of text as they arrive, and the pauses between them."""

import functools
import io
import os
import re
import select
import stat
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

PAUSE_SECONDS = 0.05
"""A pipe into which nothing is written for so long pauses: the lines that have arrived are translated."""

LONGEST_WAIT_SECONDS = 1.0
"""From a pipe that is written to slowly but without a pause, lines are translated when others were waited for so long."""

_CR_ALONE = "the lines end in CR alone, as in old Mac files; each is read as a line"

_ANY_END = re.compile(rb"\r\n?|\n")

Input = IO[bytes] | io.BufferedIOBase


def input_lines(
    file: Input, longest: int, *, answered: bool, say: Callable[[str], None] = print
) -> Iterator[bytes | None]:
    """The lines of a file with their ends, a too long one cut; None where a pipe pauses.

    LF or CR LF ends a line. In a text that begins with lines that end in CR alone (old Mac files), CR ends a line too.

    Args:
        file: the input.
        longest: bytes of a line that is not too long, its end included.
        answered: a program may write lines to the pipe and wait for their answers; otherwise there is no None.
        say: called with a line if CR alone ends the lines.
    """
    if answered and _is_pipe(file):
        return _lines_and_pauses(file, longest, say)
    return _lines(file, longest, say)


def _lines(file: Input, longest: int, say: Callable[[str], None]) -> Iterator[bytes]:
    if isinstance(file, io.BufferedReader) and _has_cr_lines(file.peek()):
        say(_CR_ALONE)
        yield from _cr_lines(file, longest)
    else:
        yield from iter(functools.partial(file.readline, longest + 1), b"")


def _has_cr_lines(start: bytes) -> bool:
    """Whether the start of a text shows that CR alone ends its lines."""
    return b"\n" not in start and b"\r" in start.rstrip(b"\r")


def _cr_lines(file: Any, longest: int) -> Iterator[bytes]:
    rest = b""
    while len(rest) <= longest and (block := file.read1(2**16)):
        *complete, rest = _cut(rest + block)
        yield from complete
    if rest:
        yield rest


def _cut(text: bytes) -> list[bytes]:
    """The lines of a text, each with LF as its end, and what follows the last end."""
    # A CR at the end may be the first half of CR LF.
    held = b"\r" if text.endswith(b"\r") else b""
    *lines, rest = _ANY_END.split(text.removesuffix(held))
    return [*(line + b"\n" for line in lines), rest + held]


def _is_pipe(file: Input) -> bool:
    """Whether it can be seen that nothing more has arrived: not for a file, which has everything, nor on Windows."""
    try:
        mode = os.fstat(file.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return os.name != "nt" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def _lines_and_pauses(file: Any, longest: int, say: Callable[[str], None]) -> Iterator[bytes | None]:
    rest, waited = b"", 0.0
    ends_known = cr_alone = False
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
        rest += block
        if not ends_known:
            cr_alone = _has_cr_lines(rest)
            ends_known = cr_alone or b"\n" in rest
            if cr_alone:
                say(_CR_ALONE)
        if cr_alone:
            *complete, rest = _cut(rest)
        else:
            *lines, rest = rest.split(b"\n")
            complete = [line + b"\n" for line in lines]
        yield from complete
        if len(rest) > longest:
            break
    if rest:
        yield rest
