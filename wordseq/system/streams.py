"""The standard streams of a command: UTF-8 in every locale, safe where the caller closed them or the terminal is gone."""

import contextlib
import io
import os
import stat
import sys

from wordseq.system.errors import UserError


def prepare_streams() -> None:
    """Make the standard streams UTF-8, and open the null device where standard error or a number of a stream is closed.

    A closed stream leaves its number free: the next file that is opened would get it, and messages of C++ code, which write to
    number 2, would end in that file. `sys.stdin` and `sys.stdout` of closed streams stay None.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # It gets the lowest number that is free: this one.
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    for stream, errors in ((sys.stdin, "strict"), (sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files that are not UTF-8 leave as the bytes they are.
            stream.reconfigure(encoding="utf-8", errors=errors)


def check_output() -> None:
    """Check that there is a standard output.

    Raises:
        UserError: it is closed.
    """
    if sys.stdout is None:
        raise UserError("standard output is closed; redirect it to a file or to /dev/null")


def input_stream() -> io.BufferedIOBase:
    """Standard input, as bytes.

    Raises:
        UserError: it is closed.
    """
    if sys.stdin is None:
        raise UserError("standard input is closed; give --input FILE")
    return sys.stdin.buffer  # type: ignore[return-value]


def leave_terminal() -> None:
    """After a hang-up: discard what is written to the terminal, which fails otherwise."""
    null = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(number).st_mode):
                os.dup2(null, number)
    os.close(null)
