"""Lines that are typed at a terminal: with a prompt, line editing and a history."""

import contextlib
import io
import sys
from collections.abc import Iterator

from wordseq.decoding.pipes import Input

PROMPT = "> "


def typed_lines(file: Input) -> Iterator[bytes]:
    """The lines typed at the terminal `file`, with their ends.

    Where output goes to the terminal too, they can be edited, and the arrow keys bring back earlier ones (where Python has
    readline). Else the prompt is on standard error.
    """
    if file is getattr(sys.stdin, "buffer", None) and sys.stdout is not None and sys.stdout.isatty():
        yield from _edited_lines()
        return
    while True:
        print(PROMPT, end="", file=sys.stderr, flush=True)
        line = file.readline()
        if not line:
            print(file=sys.stderr)
            return
        yield line


def _edited_lines() -> Iterator[bytes]:
    # Not on Windows, whose console edits lines itself. Imported when there is a terminal: it writes to it.
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401, PLC0415 (it changes what `input` does)
    if isinstance(sys.stdin, io.TextIOWrapper):
        # Bytes that are not UTF-8 are reported like those of a file.
        sys.stdin.reconfigure(errors="surrogateescape")
    while True:
        try:
            line = input(PROMPT)
        except EOFError:
            print(file=sys.stderr)
            return
        yield f"{line}\n".encode(errors="surrogateescape")
