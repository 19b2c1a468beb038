"""Lines of text files, and the lines that cannot be used. The other readers parse the lines.

Every error names file and line.
"""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from wordseq.data.readers.encodings import likely_encoding
from wordseq.data.readers.streams import HEAD_BYTES, Opened, open_file
from wordseq.system.errors import UserError
from wordseq.system.progress import counted

SHOWN_BAD_LINES = 3

MAX_LINE_BYTES = 2**26
"""A longer line is an error: a file without line ends, or a decompression bomb, must not fill the memory."""


class BadLines:
    """Collects bad lines: an error at the end of the file, or counted and skipped.

    The error comes at the end, so that one message gives the number of all bad lines.
    """

    def __init__(self, on_bad_line: str):
        """`on_bad_line` is the setting data.on_bad_line, "stop" or "skip"."""
        self.number = 0
        """Number of bad lines so far; a line that is bad in both of two parallel files counts once."""
        self._last = 0
        self._stop = on_bad_line == "stop"
        self._first: list[str] = []
        self._undecoded = b""

    def begin(self) -> None:
        """Start another file, or pair of parallel files, whose lines are counted anew."""
        self._last = 0

    def add(self, path: Path, line: int, reason: str) -> None:
        """Add `line` (from 1) of `path`; the lines of a file must be added in ascending order."""
        # Parallel files report a line that is bad in both of them twice, one after the other.
        self.number += line != self._last
        self._last = line
        if len(self._first) < SHOWN_BAD_LINES:
            self._first.append(f"{path}:{line}: {reason}")

    def sample(self, raw: bytes) -> None:
        """Keep bytes of a line that is not UTF-8, by which `check` guesses the encoding."""
        if len(self._undecoded) < HEAD_BYTES:
            self._undecoded += raw

    def check(self, good: int) -> None:
        """Raise an error if there are bad lines and data.on_bad_line is "stop".

        Args:
            good: number of lines that are not bad.

        Raises:
            UserError: there are bad lines; the message has their number, the first three, and what to do.
        """
        if not (self.number and self._stop):
            return
        lines = "bad line" if self.number == 1 else "bad lines"
        hints = []
        if self._undecoded and (encoding := likely_encoding(self._undecoded)):
            hints.append(f"the text is probably {encoding}: data.encoding = {encoding!r}")
        # To skip most of a file is never what is meant.
        if self.number <= good:
            hints.append('data.on_bad_line = "skip" skips them')
        more = "; ..." if self.number > len(self._first) else ""
        total = (
            f"{self.number:,} {lines} in all"
            if self.number <= good
            else f"{self.number:,} of {counted(self.number + good, 'line')}"
        )
        raise UserError("; ".join([f"{'; '.join(self._first)}{more}", total, *hints]))


def text_lines(opened: Opened, bad: BadLines) -> Iterator[str | None]:
    """The lines of an open text without their line ends; None for a line that is not UTF-8, which is added to `bad`.

    Raises:
        UserError: a line is longer than `MAX_LINE_BYTES`.
    """
    # One byte more than allowed, so that a line of exactly the limit is not an error.
    lines = iter(functools.partial(opened.stream.readline, MAX_LINE_BYTES + 1), b"")
    for number, raw in enumerate(lines, 1):
        if len(raw) > MAX_LINE_BYTES:
            raise UserError(f"{opened.path}:{number}: the line is longer than {MAX_LINE_BYTES >> 20} MiB")
        try:
            # Decoded line by line: one bad line must not cost the file. Not splitlines, which splits at U+2028 too.
            line = raw.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            bad.add(opened.path, number, f"not UTF-8 at byte {error.start + 1} of the line (0x{raw[error.start]:02x})")
            bad.sample(raw)
            line = None
        yield line


def read_lines(path: Path, bad: BadLines, encoding: str = "") -> Iterator[str | None]:
    """The lines of a file, see `text_lines`.

    Args:
        path: see `open_file`.
        bad: lines that are not UTF-8 are added to it.
        encoding: of the text, see `open_file`.

    Raises:
        UserError: see `open_file` and `text_lines`.
    """
    with open_file(path, encoding) as opened:
        yield from text_lines(opened, bad)


def read_sentences(path: Path, say: Callable[[str], object] = lambda line: None) -> list[str]:
    """The lines of a file.

    Args:
        path: see `open_file`.
        say: called with a line on the encoding or the line ends of the file, if they are not the usual ones.

    Raises:
        UserError: see `open_file` and `text_lines`; or a line is not UTF-8.
    """
    bad = BadLines("stop")
    with open_file(path) as opened:
        for note in opened.notes:
            say(f"{path}: {note}")
        lines = [line for line in text_lines(opened, bad) if line is not None]
    bad.check(len(lines))
    return lines
