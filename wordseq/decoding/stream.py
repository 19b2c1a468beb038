"""Translating text of any size: in chunks, in order, in constant memory, resumed where a killed process stopped.

A fault in line N of the input ends the translation after line N-1 was written, and the error names the line. Chunks are cut by
lines and bytes from the beginning of the input, so that a translation that was resumed is the same as one that never stopped,
down to what was drawn at random.
"""

import contextlib
import functools
import itertools
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from wordseq.config.schema import DecodeConfig
from wordseq.decoding.translator import Hypothesis, Translator
from wordseq.system.errors import UserError
from wordseq.system.files import ArrayFile, naming
from wordseq.system.progress import BAR, TIME_LEFT, ProgressBar

CHUNK_LINES = 4096
"""Lines translated together: enough to sort by length, few enough to see output soon."""

MAX_CHUNK_BYTES = 2**22
"""A chunk of long lines ends here."""

MAX_SENTENCE_BYTES = 2**20
"""A longer line is no sentence."""

SHOWN_WORDS = 10
"""Unknown words of a file that are printed."""

SAY_SECONDS = 30.0
"""Between lines that say how far it is, where there is no terminal for a bar."""


def translate_lines(
    translator: Translator, lines: Sequence[str], decode: DecodeConfig, nbest: int, **options: Any
) -> Iterator[str]:
    """A line of output for each line of input; with nbest > 1, nbest lines, each score TAB text."""
    for hypotheses in translator.translate(lines, decode, nbest=nbest, **options):
        if nbest == 1:
            yield hypotheses[0].text
            continue
        padded = hypotheses + [Hypothesis("", float("-inf"), 0, 0)] * (nbest - len(hypotheses))
        yield from (f"{hypothesis.score:.4f}\t{hypothesis.text}" for hypothesis in padded)


def translate_file(
    translator: Translator,
    translate: Callable[[Sequence[str]], Iterable[str]],
    source: Path | None,
    target: Path | None,
    *,
    nbest: int = 1,
    resume: bool = False,
) -> None:
    """Translate a file, or standard input, into another, or standard output.

    Args:
        translator: checks the texts first.
        translate: gives `nbest` lines for each text, in order.
        source: the input; None: standard input, each line at once if it is typed.
        target: the output; None: standard output.
        nbest: lines of output for each line of input.
        resume: keep the complete lines that `target` has and continue after them.

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
        done, kept = _written(target, nbest) if resume and target else (0, 0)
        chunks = _after(
            _chunks(file, name, 1 if typed else CHUNK_LINES),
            done,
            f"{target}: it holds {{:,}} translations, but {name} has only {{:,}} lines",
        )
        if done:
            print(f"wordseq: note: {target}: going on after {done:,} lines", file=sys.stderr)
        output = stack.enter_context(Output(target, source, kept if resume else None))
        progress = stack.enter_context(TranslationProgress(file, target is None, done, quiet=typed))
        for start, texts in _texts(translator, chunks, name, progress, typed):
            output.write(list(translate(texts))[max(0, done - start) * nbest :])


def embed_file(
    translator: Translator,
    embed: Callable[[Sequence[str]], npt.NDArray[np.float32]],
    source: Path | None,
    target: Path | None,
) -> None:
    """Write the vector of each line of a file, or of standard input.

    Args:
        translator: checks the texts first.
        embed: gives the vectors `[n, h]` of texts.
        source: the input; None: standard input.
        target: a NumPy file, float32 `[lines, h]`, complete or absent; None: standard output, a line
            of h numbers for each line, which read back give the same float32.

    Raises:
        UserError: a line of the input cannot be used, or `target` is a folder or the input.
        OSError: a file cannot be read or written.
    """
    name = str(source) if source else "standard input"
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(source.open("rb")) if source else sys.stdin.buffer
        if target:
            write = stack.enter_context(_vector_file(target, source, embed([]).shape[1]))
        else:
            output = stack.enter_context(Output(None, None, None))

            def write(vectors_nh: npt.NDArray[np.float32]) -> None:
                # Nine digits tell all float32 apart.
                output.write([" ".join(f"{x:.9g}" for x in row) for row in vectors_nh.tolist()])

        typed = source is None and sys.stdin.isatty()
        progress = stack.enter_context(TranslationProgress(file, target is None, 0, quiet=typed))
        for _, texts in _texts(translator, _chunks(file, name, CHUNK_LINES), name, progress, typed):
            write(embed(texts))


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


# Lines of the input as they stand, without their ends, and the number of lines before them.
_Chunk = tuple[int, list[bytes]]


def _chunks(file: IO[bytes], name: str, size: int) -> Iterator[_Chunk]:
    """The lines of a file in chunks, as they arrive.

    Raises:
        UserError: a line is too long; what comes before it was given out.
    """
    lines: list[bytes] = []
    start = count = 0
    for raw in iter(functools.partial(file.readline, MAX_SENTENCE_BYTES + 1), b""):
        if len(raw) > MAX_SENTENCE_BYTES:
            if lines:
                yield start, lines
            number = start + len(lines) + 1
            raise UserError(
                f"{name}, line {number}: longer than {MAX_SENTENCE_BYTES:,} bytes; a line is to be a sentence"
            )
        lines.append(raw.rstrip(b"\r\n"))
        count += len(raw)
        if len(lines) == size or count >= MAX_CHUNK_BYTES:
            yield start, lines
            start, count, lines = start + len(lines), 0, []
    if lines:
        yield start, lines


def _after(chunks: Iterator[_Chunk], done: int, complaint: str) -> Iterator[_Chunk]:
    """The chunks that are not yet done, the first of them perhaps in part.

    Raises:
        UserError: there are fewer lines than were done.
    """
    end = 0
    while end < done:
        chunk = next(chunks, None)
        if chunk is None:
            raise UserError(complaint.format(done, end))
        end = chunk[0] + len(chunk[1])
        if end > done:
            return itertools.chain([chunk], chunks)
    return chunks


def _written(path: Path, nbest: int) -> tuple[int, int]:
    """Complete translations in an output file, and their bytes.

    A line that was cut off, and n-best lines without their others, do not count.

    Raises:
        UserError: not a file.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a file; --resume cannot see what was written to it")
    lines = place = end = 0
    with path.open("rb") if path.exists() else contextlib.nullcontext(()) as file:
        for line in file:
            place += len(line)
            lines += line.endswith(b"\n")
            if line.endswith(b"\n") and lines % nbest == 0:
                end = place
    return lines // nbest, end


def _texts(
    translator: Translator, chunks: Iterable[_Chunk], name: str, progress: "TranslationProgress", typed: bool
) -> Iterator[tuple[int, list[str]]]:
    """The texts of chunks, and the number of lines before them; those that were taken are counted as done.

    Raises:
        UserError: a line cannot be used; those before it were given out.
    """
    unknown = _UnknownWords(translator, typed)
    for start, lines in chunks:
        texts, fault = _usable(translator, start, lines)
        unknown.tell(texts)
        yield start, texts
        progress.advance(start + len(texts))
        if fault:
            raise UserError(f"{name}, {fault}")


def _usable(translator: Translator, start: int, lines: list[bytes]) -> tuple[list[str], str]:
    """The lines up to the first that cannot be used, and what is wrong with that one: empty if nothing is."""
    texts: list[str] = []
    fault = ""
    for number, line in enumerate(lines, start + 1):
        try:
            texts.append(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            fault = f"line {number}: not UTF-8: {error.reason} at byte {error.start + 1}"
            break
    if found := translator.unusable(texts):
        return texts[: found[0]], f"line {start + found[0] + 1}: {found[1]}"
    return texts, fault


class _UnknownWords:
    """Prints on standard error which words the model has never seen: the first few of a file, all of what is typed.

    Args:
        translator: finds them.
        typed: whether a sentence is answered before the next one.
    """

    def __init__(self, translator: Translator, typed: bool) -> None:
        self.translator, self.typed, self.told = translator, typed, set[str]()

    def tell(self, lines: Sequence[str]) -> None:
        """Print those of these lines."""
        if len(self.told) >= SHOWN_WORDS and not self.typed:
            return
        unknown = [word for word in self.translator.unknown(lines) if word not in self.told]
        if not unknown:
            return
        shown = unknown[: SHOWN_WORDS - len(self.told)]
        text = ", ".join(word if len(word) <= 40 else f"{word[:40]}..." for word in shown)
        print(f"wordseq: note: unknown to the model: {text}{' ...' * (shown != unknown)}", file=sys.stderr)
        if not self.typed:
            self.told.update(shown)


class Output:
    """Lines for a file or for standard output; a context manager. After each `write` they are there for others to see.

    Args:
        path: None: standard output.
        source: the input, which must not be overwritten.
        keep: bytes of the file to keep and continue after; None: start again.

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


class TranslationProgress:
    """How far it is, on standard error: a bar on a terminal, a line every half minute elsewhere; a context manager."""

    def __init__(self, file: IO[bytes], to_stdout: bool, done: int, *, quiet: bool) -> None:
        self._file, self._first, self._quiet = file, done, quiet
        self._start = self._said = time.monotonic()
        self._size = 0  # bytes of a regular file; 0 for what has no end yet
        with contextlib.suppress(OSError, ValueError):
            self._size = os.fstat(file.fileno()).st_size if file.seekable() else 0
        # Lines of output on the same terminal would tear the bar apart.
        shown = not quiet and not (to_stdout and sys.stdout.isatty())
        columns = ("{task.fields[lines]}", BAR, "left", TIME_LEFT)
        self._bar = ProgressBar(columns, self._size or None, shown=shown, lines="")

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()

    def advance(self, done: int) -> None:
        """`done` lines of the input are translated and written."""
        now = time.monotonic()
        rate = (done - self._first) / max(now - self._start, 1e-9)
        if self._bar:
            place = self._file.tell() if self._size else done
            self._bar.update(place, lines=f"{done:,} lines, {rate:,.0f} a second")
        elif now - self._said >= SAY_SECONDS and not self._quiet:
            self._said = now
            share = f" ({self._file.tell() / self._size:.0%} of the input)" if self._size else ""
            print(f"wordseq: {done:,} lines translated{share}, {rate:,.0f} a second", file=sys.stderr)
