"""Translating text of any size: in chunks, in order, in constant memory, continued where a killed process stopped.

A fault in line N of the input ends the translation after line N-1 was written, and names the line. Chunks are cut by lines
and bytes from the beginning of the input, so that a translation that was continued is the one that was never disturbed,
down to what was drawn at random.
"""

import contextlib
import functools
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from wordseq.config.schema import DecodeConfig
from wordseq.decoding.translator import Hypothesis, Translator
from wordseq.system.errors import UserError
from wordseq.system.files import ArrayFile, naming


def translate_lines(
    translator: Translator, lines: Sequence[str], decode: DecodeConfig, nbest: int, **options: Any
) -> Iterator[str]:
    """A line of output for each line of input; with nbest > 1 so many lines, each score, TAB, text."""
    for hypotheses in translator.translate(lines, decode, nbest=nbest, **options):
        if nbest == 1:
            yield hypotheses[0].text
            continue
        padded = hypotheses + [Hypothesis("", float("-inf"), 0, 0)] * (nbest - len(hypotheses))
        yield from (f"{hypothesis.score:.4f}\t{hypothesis.text}" for hypothesis in padded)


CHUNK_LINES = 4096
"""Lines translated together: enough to sort by length, few enough to see output soon."""

SHOWN_WORDS = 10
"""Of the words of a file that the model does not know."""

CHUNK_BYTES = 2**22
"""A chunk of long lines ends here."""

MAX_LINE_BYTES = 2**20
"""A longer line is no sentence."""

SAY_SECONDS = 30.0
"""Between lines that say how far it is, where there is no terminal for a bar."""


class Reader(Protocol):
    """What can tell of texts before they are translated: `translator.Translator`."""

    def unusable(self, texts: Sequence[str]) -> tuple[int, str] | None:
        """The place of the first text that cannot be translated, and why."""

    def unknown(self, texts: Sequence[str]) -> list[str]:
        """The tokens that were never seen."""


@dataclass(frozen=True)
class Chunk:
    """Lines of the input as they stand, without their ends; `start` lines came before."""

    start: int
    lines: list[bytes]

    @property
    def end(self) -> int:
        """Lines of the input up to here."""
        return self.start + len(self.lines)

    def texts(self) -> tuple[list[str], str]:
        """The lines as text, up to the first that is none, and what is wrong with that one: empty if nothing is."""
        texts = []
        for number, line in enumerate(self.lines, self.start + 1):
            try:
                texts.append(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                return texts, f"line {number}: not UTF-8: {error.reason} at byte {error.start + 1}"
        return texts, ""


def translate_file(
    reader: Reader,
    translate: Callable[[Sequence[str]], Iterable[str]],
    source: Path | None,
    target: Path | None,
    *,
    nbest: int = 1,
    resume: bool = False,
) -> None:
    """Translate a file, or standard input, into another, or standard output.

    Args:
        reader: looks at the texts first.
        translate: gives `nbest` lines a text, in order.
        source: the input; None: standard input, each line at once if it is typed.
        target: the output; None: standard output.
        nbest: lines of output a line of input.
        resume: keep the whole lines that `target` has and go on after them.

    Raises:
        UserError: a line of the input cannot be used; those before it were written. Or `target` cannot be continued.
        OSError: a file cannot be read or written.
    """
    if resume and target is None:
        raise UserError("--resume needs --output FILE: what was written to it is counted and kept")
    name = str(source) if source else "standard input"
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(source.open("rb")) if source else sys.stdin.buffer
        typed = source is None and sys.stdin.isatty()
        if typed:
            print("a sentence a line; Ctrl-D ends", file=sys.stderr)
        written = _Written.of(target, nbest) if resume and target else _Written(0, 0)
        chunks = _after(
            _chunks(file, name, 1 if typed else CHUNK_LINES),
            written.lines,
            f"{target}: it holds {{:,}} translations, but {name} has only {{:,}} lines",
        )
        if written.lines:
            print(f"wordseq: note: {target}: going on after {written.lines:,} lines", file=sys.stderr)
        output = stack.enter_context(Output(target, source, written.bytes if resume else None))
        progress = stack.enter_context(Progress(file, target is None, written.lines, quiet=typed))
        unknown = _UnknownWords(reader, typed)
        for chunk in chunks:
            texts, fault = _usable(reader, chunk)
            unknown.tell(texts)
            output.write(list(translate(texts))[max(0, written.lines - chunk.start) * nbest :])
            progress.advance(chunk.start + len(texts))
            if fault:
                raise UserError(f"{name}, {fault}")


def embed_file(
    reader: Reader,
    embed: Callable[[Sequence[str]], npt.NDArray[np.float32]],
    source: Path | None,
    target: Path | None,
) -> None:
    """Write the vector of each line of a file, or of standard input.

    Args:
        reader: looks at the texts first.
        embed: gives the vectors `[n, h]` of texts.
        source: the input; None: standard input.
        target: a NumPy file, float32 `[lines, h]`, written aside and renamed when it is whole; None: standard output, a line
            of h numbers for each line, which read back give the same float32.

    Raises:
        UserError: a line of the input cannot be used, or `target` is a folder or the input.
        OSError: a file cannot be read or written.
    """
    name = str(source) if source else "standard input"
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(source.open("rb")) if source else sys.stdin.buffer
        write = stack.enter_context(_vector_file(target, source, embed([]).shape[1]) if target else _vector_lines())
        typed = source is None and sys.stdin.isatty()
        progress = stack.enter_context(Progress(file, target is None, 0, quiet=typed))
        unknown = _UnknownWords(reader, typed)
        for chunk in _chunks(file, name, CHUNK_LINES):
            texts, fault = _usable(reader, chunk)
            if fault:
                raise UserError(f"{name}, {fault}")
            unknown.tell(texts)
            write(embed(texts))
            progress.advance(chunk.end)


@contextlib.contextmanager
def _vector_lines() -> Iterator[Callable[[npt.NDArray[np.float32]], None]]:
    with Output(None, None, None) as output:
        # Nine digits tell all float32 apart.
        yield lambda vectors_nh: output.write([" ".join(f"{x:.9g}" for x in row) for row in vectors_nh.tolist()])


@contextlib.contextmanager
def _vector_file(path: Path, source: Path | None, size: int) -> Iterator[Callable[[npt.NDArray[np.float32]], None]]:
    """Writes vectors of `size` entries; the file is there when all of them are."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a file; --output is to be a .npy file")
    if source and path.exists() and path.samefile(source):
        raise UserError(f"{path}: is the input; choose another --output")
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with naming(path):
        file = ArrayFile(aside, np.float32, (size,))
    try:
        with file:
            yield file.append
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _usable(reader: Reader, chunk: Chunk) -> tuple[list[str], str]:
    """The lines up to the first that cannot be used, and what is wrong with that one."""
    texts, fault = chunk.texts()
    found = reader.unusable(texts)
    if found is None:
        return texts, fault
    return texts[: found[0]], f"line {chunk.start + found[0] + 1}: {found[1]}"


class _UnknownWords:
    """Says on standard error which words the model has never seen: the first few of a file, all of what is typed.

    Args:
        reader: knows them.
        typed: whether a sentence is answered before the next one.
    """

    def __init__(self, reader: Reader, typed: bool) -> None:
        self.reader, self.typed, self.told = reader, typed, set[str]()

    def tell(self, lines: Sequence[str]) -> None:
        """Of these lines."""
        if len(self.told) >= SHOWN_WORDS and not self.typed:
            return
        unknown = [word for word in self.reader.unknown(lines) if word not in self.told]
        if not unknown:
            return
        shown = unknown[: SHOWN_WORDS - len(self.told)]
        text = ", ".join(word if len(word) <= 40 else f"{word[:40]}..." for word in shown)
        print(f"wordseq: note: unknown to the model: {text}{' ...' * (shown != unknown)}", file=sys.stderr)
        if not self.typed:
            self.told.update(shown)


def _chunks(file: IO[bytes], name: str, size: int) -> Iterator[Chunk]:
    """The lines of a file in chunks, as they come.

    Raises:
        UserError: a line is too long; what comes before it was given out.
    """
    lines: list[bytes] = []
    start = count = 0
    for raw in iter(functools.partial(file.readline, MAX_LINE_BYTES + 1), b""):
        if len(raw) > MAX_LINE_BYTES:
            if lines:
                yield Chunk(start, lines)
            number = start + len(lines) + 1
            raise UserError(f"{name}, line {number}: longer than {MAX_LINE_BYTES:,} bytes; a line is to be a sentence")
        lines.append(raw.rstrip(b"\r\n"))
        count += len(raw)
        if len(lines) == size or count >= CHUNK_BYTES:
            yield Chunk(start, lines)
            start, count, lines = start + len(lines), 0, []
    if lines:
        yield Chunk(start, lines)


def _after(chunks: Iterator[Chunk], done: int, complaint: str) -> Iterator[Chunk]:
    """The chunks that are not yet done, the first of them perhaps in part.

    Raises:
        UserError: there are fewer lines than were done.
    """
    end = 0
    while end < done:
        chunk = next(chunks, None)
        if chunk is None:
            raise UserError(complaint.format(done, end))
        end = chunk.end
        if end > done:
            return _with(chunk, chunks)
    return chunks


def _with(first: Chunk, others: Iterator[Chunk]) -> Iterator[Chunk]:
    yield first
    yield from others


@dataclass(frozen=True)
class _Written:
    """What an output file holds: whole translations, and the bytes of them."""

    lines: int
    bytes: int

    @classmethod
    def of(cls, path: Path, nbest: int) -> Self:
        """That of a file; a line that was cut off, and n-best lines without their others, do not count."""
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: not a file; --resume cannot see what was written to it")
        lines = place = end = 0
        with path.open("rb") if path.exists() else contextlib.nullcontext(()) as file:
            for line in file:
                place += len(line)
                lines += line.endswith(b"\n")
                if line.endswith(b"\n") and lines % nbest == 0:
                    end = place
        return cls(lines // nbest, end)


class Output:
    """Lines for a file or for standard output; a context manager. After each `write` they are there for others to see.

    Args:
        path: None: standard output.
        source: the input, which must not be overwritten.
        keep: bytes of the file to keep and go on after; None: begin anew.

    Raises:
        UserError: the file is a folder, or is the input.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path | None, source: Path | None, keep: int | None) -> None:
        self._path, self._file = path, sys.stdout
        if path is None:
            return
        if path.is_dir():
            raise UserError(f"{path}: a folder, expected a file")
        if source and path.exists() and path.samefile(source):
            raise UserError(f"{path}: is the input; choose another --output")
        self._file = path.open("w" if keep is None else "a", encoding="utf-8", newline="\n")
        if keep is not None:
            self._file.truncate(keep)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def write(self, lines: Sequence[str]) -> None:
        """Write lines.

        Raises:
            OSError: names the file.
        """
        try:
            self._file.writelines(f"{line}\n" for line in lines)
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path or "standard output")) from None


class Progress:
    """How far it is, on standard error: a bar on a terminal, a line every half minute elsewhere; a context manager."""

    def __init__(self, file: IO[bytes], to_stdout: bool, done: int, *, quiet: bool) -> None:
        self._file, self._done, self._first, self._said = file, done, done, time.monotonic()
        self._start, self._bar, self._quiet = self._said, None, quiet
        self._size = _size_of(file)
        # Lines of output on the same terminal would tear the bar apart.
        if sys.stderr.isatty() and not quiet and not (to_stdout and sys.stdout.isatty()):
            self._bar = _bar(self._size)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, done: int) -> None:
        """`done` lines of the input are translated and written."""
        self._done, now = done, time.monotonic()
        rate = (done - self._first) / max(now - self._start, 1e-9)
        if self._bar:
            place = self._file.tell() if self._size else done
            self._bar.update(self._bar.task_ids[0], completed=place, lines=f"{done:,} lines, {rate:,.0f} a second")
        elif now - self._said >= SAY_SECONDS and not self._quiet:
            self._said = now
            share = f" ({self._file.tell() / self._size:.0%} of the input)" if self._size else ""
            print(f"wordseq: {done:,} lines translated{share}, {rate:,.0f} a second", file=sys.stderr)


def _size_of(file: IO[bytes]) -> int:
    """Bytes of a regular file; 0 for what has no end yet."""
    try:
        return os.fstat(file.fileno()).st_size if file.seekable() else 0
    except (OSError, ValueError):
        return 0


def _bar(size: int) -> Any:
    from rich.console import Console  # noqa: PLC0415 (only on a terminal)
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = [TextColumn("{task.fields[lines]}"), BarColumn(), TextColumn("left"), TimeRemainingColumn()]
    bar = Progress(*columns, console=Console(file=sys.stderr), transient=True)
    bar.add_task("", total=size or None, lines="")
    return bar
