"""Translates text of any size: in chunks, in order, in constant memory. A killed translation can be resumed.

If line N of the input cannot be used, translation ends after line N-1 was written, and the error names the line. Chunk borders
depend only on the input. So a resumed translation equals an uninterrupted one, random samples included. From a pipe to standard
output, which cannot be resumed, a chunk also ends where the pipe pauses: a program may wait for the answer to a line.
"""

import contextlib
import itertools
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from wordseq.decoding.notes import InputNotes
from wordseq.decoding.pipes import Input, input_lines
from wordseq.decoding.terminal import typed_lines
from wordseq.decoding.translator import Translator
from wordseq.system.errors import UserError
from wordseq.system.files import ArrayFile, naming
from wordseq.system.progress import BAR, TIME_LEFT, ProgressBar, counted
from wordseq.system.streams import input_stream

CHUNK_LINES = 4096
"""Lines per chunk: enough to sort by length, few enough for early output."""

MAX_CHUNK_BYTES = 2**22
"""Size that ends a chunk of long lines."""

MAX_SENTENCE_BYTES = 2**20
"""Longest line that is accepted."""

SAY_SECONDS = 30.0
"""Seconds between progress lines where there is no terminal for a bar."""


def translate_file(
    translator: Translator,
    translate: Callable[[Sequence[str]], Iterable[str]],
    source: Path | None,
    target: Path | None,
    *,
    nbest: int = 1,
    resume: bool = False,
    split: bool = False,
) -> None:
    """Translate a file or standard input to a file or standard output.

    Args:
        translator: checks the texts first.
        translate: returns `nbest` lines for each text, in order.
        source: the input; None: standard input. On a terminal each line is translated at once, see `typed_lines`.
        target: the output; None: standard output.
        nbest: output lines for each input line.
        resume: keep the complete translations in `target` and continue after them.
        split: `translate` splits texts into sentences; for the notes.

    Raises:
        UserError: a line of the input cannot be used; the translations before it were written. Or `target` cannot be resumed.
        OSError: a file cannot be read or written.
    """
    if resume and target is None:
        raise UserError("--resume needs --output FILE: it continues after the translations in that file")
    name = str(source) if source else "standard input"
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(source.open("rb")) if source else input_stream()
        typed = source is None and file.isatty()
        if typed:
            print("type a text, then Enter; Ctrl-D ends", file=sys.stderr)
        done, kept = _written(target, nbest) if resume and target else (0, 0)
        answered = not (source or target)
        lines = typed_lines(file) if typed else input_lines(file, MAX_SENTENCE_BYTES, answered=answered, say=_say)
        chunks = _after(
            _chunks(lines, name, 1 if typed else CHUNK_LINES),
            done,
            str(target),
            name,
        )
        if done:
            print(f"wordseq: note: {target}: resuming after {counted(done, 'line')}", file=sys.stderr)
        output = stack.enter_context(Output(target, source, kept if resume else None))
        progress = stack.enter_context(TranslationProgress(file, target is None, done, quiet=typed))
        notes = InputNotes(translator, typed=typed, split=split)
        for start, texts in _texts(translator, chunks, name, progress, notes):
            # The first chunk is translated completely even if its head is done: batches and samples depend on all its lines.
            output.write(list(translate(texts))[max(0, done - start) * nbest :])


def translate_texts(
    translator: Translator,
    translate: Callable[[Sequence[str]], Iterable[str]],
    texts: Sequence[str],
    target: Path | None,
    *,
    split: bool = False,
) -> None:
    """Translate texts of the command line to a file or standard output; arguments as `translate_file`.

    Raises:
        UserError: a text cannot be translated; nothing was written.
        OSError: the file cannot be written.
    """
    if fault := translator.unusable(texts):
        raise UserError(f"text {fault[0] + 1}: {fault[1]}")
    InputNotes(translator, typed=True, split=split).tell(0, texts)
    with Output(target, None, None) as output:
        output.write(list(translate(texts)))


def embed_file(
    translator: Translator,
    embed: Callable[[Sequence[str]], npt.NDArray[np.float32]],
    source: Path | None,
    target: Path | None,
) -> None:
    """Write the vector of each line of a file or of standard input.

    Args:
        translator: checks the texts first.
        embed: returns the vectors `[n, h]` of texts.
        source: the input; None: standard input.
        target: a NumPy file, float32 `[lines, h]`; it appears when it is complete. None: standard output, one line of h numbers
            for each input line. Parsed again, they are the same float32 values.

    Raises:
        UserError: a line of the input cannot be used, or `target` is not a file or is the input.
        OSError: a file cannot be read or written.
    """
    name = str(source) if source else "standard input"
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(source.open("rb")) if source else input_stream()
        if target:
            write = stack.enter_context(_vector_file(target, source, embed([]).shape[1]))
        else:
            output = stack.enter_context(Output(None, None, None))

            def write(vectors_nh: npt.NDArray[np.float32]) -> None:
                # Nine significant digits identify any float32.
                output.write([" ".join(f"{x:.9g}" for x in row) for row in vectors_nh.tolist()])

        typed = source is None and file.isatty()
        answered = not (source or target)
        lines = typed_lines(file) if typed else input_lines(file, MAX_SENTENCE_BYTES, answered=answered, say=_say)
        progress = stack.enter_context(TranslationProgress(file, target is None, 0, quiet=typed))
        notes = InputNotes(translator, typed=typed, split=False)
        chunks = _chunks(lines, name, 1 if typed else CHUNK_LINES)
        for _, texts in _texts(translator, chunks, name, progress, notes):
            write(embed(texts))


@contextlib.contextmanager
def _vector_file(path: Path, source: Path | None, size: int) -> Iterator[Callable[[npt.NDArray[np.float32]], None]]:
    """Writes vectors of `size` entries to a temporary file, which replaces `path` when it is complete."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a file; --output must be a .npy file")
    if source and path.exists() and path.samefile(source):
        raise UserError(f"{path}: is the input; choose another --output")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with naming(path):
        file = ArrayFile(temporary, np.float32, (size,))
    try:
        with file:
            yield file.append
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _say(line: str) -> None:
    print(f"wordseq: note: {line}", file=sys.stderr)


# The number of lines before the chunk, and its lines as bytes, without line ends.
_Chunk = tuple[int, list[bytes]]


def _chunks(lines_in: Iterable[bytes | None], name: str, size: int) -> Iterator[_Chunk]:
    """Lines in chunks; after a None, what there is.

    Raises:
        UserError: a line is too long; the lines before it were yielded.
    """
    lines: list[bytes] = []
    start = count = 0
    for raw in lines_in:
        if raw is None:
            if lines:
                yield start, lines
                start, count, lines = start + len(lines), 0, []
            continue
        if len(raw) > MAX_SENTENCE_BYTES:
            if lines:
                yield start, lines
            number = start + len(lines) + 1
            raise UserError(
                f"{name}, line {number}: longer than {MAX_SENTENCE_BYTES:,} bytes; a line must be a sentence"
            )
        lines.append(raw.rstrip(b"\r\n"))
        count += len(raw)
        if len(lines) == size or count >= MAX_CHUNK_BYTES:
            yield start, lines
            start, count, lines = start + len(lines), 0, []
    if lines:
        yield start, lines


def _after(chunks: Iterator[_Chunk], done: int, target: str, source: str) -> Iterator[_Chunk]:
    """The chunks that have lines after the first `done` ones; `target` and `source` are names for the error.

    Raises:
        UserError: the input has fewer than `done` lines.
    """
    end = 0
    while end < done:
        chunk = next(chunks, None)
        if chunk is None:
            raise UserError(
                f"{target}: has {counted(done, 'translation')}, but {source} has only {counted(end, 'line')}"
            )
        end = chunk[0] + len(chunk[1])
        if end > done:
            return itertools.chain([chunk], chunks)
    return chunks


def _written(path: Path, nbest: int) -> tuple[int, int]:
    """The number of complete translations in an output file, and their size in bytes.

    A line without its end, and an incomplete group of n-best lines, are not counted.

    Raises:
        UserError: `path` is not a file.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a file; --resume cannot read what was written to it")
    lines = place = end = 0
    with path.open("rb") if path.exists() else contextlib.nullcontext(()) as file:
        for line in file:
            place += len(line)
            lines += line.endswith(b"\n")
            if line.endswith(b"\n") and lines % nbest == 0:
                end = place
    return lines // nbest, end


def _texts(
    translator: Translator, chunks: Iterable[_Chunk], name: str, progress: "TranslationProgress", notes: InputNotes
) -> Iterator[tuple[int, list[str]]]:
    """The texts of each chunk, with the number of lines before it. When the next chunk is asked for, this one is done.

    Raises:
        UserError: a line cannot be used; the lines before it were yielded.
    """
    for start, lines in chunks:
        texts, fault = _usable(translator, start, lines)
        notes.tell(start, texts)
        yield start, texts
        progress.advance(start + len(texts))
        if fault:
            notes.finish()
            raise UserError(f"{name}, {fault}")
    notes.finish()


def _usable(translator: Translator, start: int, lines: list[bytes]) -> tuple[list[str], str]:
    """The lines before the first one that cannot be used, and what is wrong with that one; empty if all can be used."""
    texts: list[str] = []
    fault = ""
    for number, line in enumerate(lines, start + 1):
        try:
            # Editors on Windows put a byte-order mark before the first line.
            texts.append(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            fault = f"line {number}: not UTF-8: {error.reason} at byte {error.start + 1}"
            break
    if found := translator.unusable(texts):
        return texts[: found[0]], f"line {start + found[0] + 1}: {found[1]}"
    return texts, fault


class Output:
    """Writes lines to a file or to standard output, which must be open, and flushes after each `write`; a context manager.

    Args:
        path: None: standard output.
        source: the input, which must not be overwritten.
        keep: bytes of the file to keep; None: overwrite it.

    Raises:
        UserError: the file is a folder, or is the input.
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path | None, source: Path | None, keep: int | None) -> None:
        self._path, self._file = path, sys.stdout
        if path is None:
            return
        if path.is_dir():
            raise UserError(f"{path}: is a folder, expected a file")
        if source and path.exists() and path.samefile(source):
            raise UserError(f"{path}: is the input; choose another --output")
        self._file = path.open("w" if keep is None else "a", encoding="utf-8", newline="\n")
        if keep is not None:
            self._file.truncate(keep)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            # Every `write` was flushed, so closing can only repeat an error that was raised before.
            with contextlib.suppress(OSError):
                self._file.close()

    def write(self, lines: Sequence[str]) -> None:
        """Write lines.

        Raises:
            OSError: the error names the file. A broken pipe is raised as it is, because it ends the command quietly.
        """
        try:
            self._file.writelines(f"{line}\n" for line in lines)
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path or "standard output")) from None


class TranslationProgress:
    """Progress on standard error: a bar on a terminal, else a line every half minute; a context manager."""

    def __init__(self, file: Input, to_stdout: bool, done: int, *, quiet: bool) -> None:
        self._file, self._first, self._quiet = file, done, quiet
        self._start = self._said = time.monotonic()
        self._size = 0  # Bytes of a regular file; 0 for a pipe, whose end is not known.
        with contextlib.suppress(OSError, ValueError):
            self._size = os.fstat(file.fileno()).st_size if file.seekable() else 0
        # Output lines on the same terminal would break the bar.
        shown = not quiet and not (to_stdout and sys.stdout is not None and sys.stdout.isatty())
        columns = ("{task.fields[lines]}", BAR, "left", TIME_LEFT)
        self._bar = ProgressBar(columns, self._size or None, shown=shown, lines="")

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()

    def advance(self, done: int) -> None:
        """Show that `done` lines of the input are translated and written."""
        now = time.monotonic()
        rate = (done - self._first) / max(now - self._start, 1e-9)
        if self._bar:
            place = self._file.tell() if self._size else done
            self._bar.update(place, lines=f"{counted(done, 'line')}, {rate:,.0f} per second")
        elif now - self._said >= SAY_SECONDS and not self._quiet:
            self._said = now
            share = f" ({self._file.tell() / self._size:.0%} of the input)" if self._size else ""
            print(f"wordseq: {counted(done, 'line')} translated{share}, {rate:,.0f} per second", file=sys.stderr)
