"""Lines of text files: plain, .gz or inside a .zip. The other readers parse the lines.

Only LF and CR LF end a line. Every error names file and line.
"""

import codecs
import contextlib
import functools
import gzip
import hashlib
import io
import itertools
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from wordseq.system.errors import UserError

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

    def add(self, path: Path, line: int, reason: str) -> None:
        """Add `line` (from 1) of `path`; lines must be added in ascending order."""
        # Parallel files report a line that is bad in both of them twice, one after the other.
        self.number += line != self._last
        self._last = line
        if len(self._first) < SHOWN_BAD_LINES:
            self._first.append(f"{path}:{line}: {reason}")

    def check(self) -> None:
        """Raise an error if there are bad lines and data.on_bad_line is "stop".

        Raises:
            UserError: there are bad lines; the message has their number and the first three.
        """
        if self.number and self._stop:
            lines = "bad line" if self.number == 1 else "bad lines"
            more = "; ..." if self.number > len(self._first) else ""
            raise UserError(
                f'{"; ".join(self._first)}{more}; {self.number:,} {lines} in all; data.on_bad_line = "skip" skips them'
            )


def read_lines(path: Path, bad: BadLines) -> Iterator[str | None]:
    """The lines of a UTF-8 file without their line ends; None for a line that is not UTF-8.

    Args:
        path: plain file, .gz, .zip with one text member, or ARCHIVE.zip/MEMBER.
        bad: lines that are not UTF-8 are added to it.

    Raises:
        UserError: the file is missing, a folder, empty, damaged or UTF-16, or a line is longer than `MAX_LINE_BYTES`.
    """
    with _faults(path), contextlib.ExitStack() as stack:
        stream = _stream(path, stack)
        # One byte more than allowed, so that a line of exactly the limit is not an error.
        first = stream.readline(MAX_LINE_BYTES + 1)
        # UTF-16 would otherwise be thousands of lines that are not UTF-8.
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UserError(f"{path}: the text is UTF-16; save it as UTF-8")
        first = first.removeprefix(codecs.BOM_UTF8)
        if not first:
            raise UserError(f"{path}: the file is empty")
        more = iter(functools.partial(stream.readline, MAX_LINE_BYTES + 1), b"")
        for number, raw in enumerate(itertools.chain((first,), more), 1):
            if len(raw) > MAX_LINE_BYTES:
                raise UserError(f"{path}:{number}: the line is longer than {MAX_LINE_BYTES >> 20} MiB")
            try:
                # Decoded line by line: one bad line must not cost the file. Not splitlines, which splits at U+2028 too.
                line = raw.removesuffix(b"\n").removesuffix(b"\r").decode()
            except UnicodeDecodeError as error:
                bad.add(path, number, f"not UTF-8 at byte {error.start + 1} of the line (0x{raw[error.start]:02x})")
                line = None
            yield line


def read_sentences(path: Path) -> list[str]:
    """The lines of a UTF-8 file, unchanged.

    Raises:
        UserError: see `read_lines`; or a line is not UTF-8.
    """
    bad = BadLines("stop")
    lines = [line for line in read_lines(path, bad) if line is not None]
    bad.check()
    return lines


def digest_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex, without unpacking; for ARCHIVE.zip/MEMBER that of the archive.

    Raises:
        UserError: the file cannot be read.
    """
    with _faults(path), (_archive(path) or path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_stream(path: Path) -> bool:
    """Whether the path is a pipe or a device, which can be read only once."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextlib.contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Turn errors of files and archives into `UserError`."""
    try:
        yield
    # RuntimeError is zipfile's error for an encrypted member, NotImplementedError the one for an unknown compression.
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, expected a file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{path}: damaged, or not a {path.suffix or 'packed'} file: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


def _stream(path: Path, stack: contextlib.ExitStack) -> IO[bytes]:
    """The unpacked bytes of a file."""
    archive = _archive(path)
    if archive is not None:
        packed = stack.enter_context(zipfile.ZipFile(archive))
        member = path.relative_to(archive).as_posix() if path != archive else _text_member(archive, packed)
        if member not in packed.namelist():
            raise UserError(f"{archive}: no member {member}; it has {', '.join(packed.namelist()[:10]) or 'none'}")
        # Buffered, because readline of gzip and zipfile is two to five times as slow.
        return io.BufferedReader(stack.enter_context(packed.open(member)))  # type: ignore[type-var]
    opened = stack.enter_context(path.open("rb"))
    if path.suffix == ".gz":
        return io.BufferedReader(stack.enter_context(gzip.GzipFile(fileobj=opened)))
    return opened


def _archive(path: Path) -> Path | None:
    """The .zip file that the path names or leads into; None if there is none."""
    return next((here for here in (path, *path.parents) if here.suffix == ".zip" and here.is_file()), None)


def _text_member(archive: Path, packed: zipfile.ZipFile) -> str:
    """The only text member: .txt or .tsv if there is one, never a folder, nor a name that starts with "_" or "."."""
    # macOS adds __MACOSX/, Tatoeba's archives hold _about.txt beside the text.
    names = [name for name in packed.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    texts = [name for name in names if not name.rpartition("/")[2].startswith(("_", "."))]
    texts = [name for name in texts if name.endswith((".txt", ".tsv"))] or texts
    if len(texts) != 1:
        found = ", ".join(names[:10]) or "nothing"
        raise UserError(f"{archive}: expected one text member, found {found}; name it as {archive}/MEMBER")
    return texts[0]
