"""Pretrained word vectors for the tokens of a vocabulary, from text files of GloVe and word2vec.

A line is a word and its numbers, separated by spaces. A file of word2vec starts with a line of two numbers: the number of words
and the size of a vector. A file is read once, line by line. Only the vectors of the vocabulary are kept.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wordseq.batches.id_store import IdStore
from wordseq.data.readers.lines import BadLines, read_lines
from wordseq.data.readers.streams import is_stream
from wordseq.system.errors import UserError
from wordseq.system.progress import counted
from wordseq.text.vocab import TextCodec

COUNTED = 2**22
"""Running tokens counted at a time."""

LOWER = 2
"""Rank of the lower-case spelling among the spellings of a token; 0 is the token itself."""

# SentencePiece's names of the tokens for byte fallback.
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")

# With a point, so that a year or a number among the words is not taken for a coordinate.
_COORDINATE = re.compile(r"-?\d*\.\d+(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class Vectors:
    """The vectors that a file has for a vocabulary.

    Attributes:
        ids_n: ids with a vector, ascending.
        vectors_ne: their vectors, float32.
        lowered: number of ids found only in lower case.
        skipped: number of skipped lines.
    """

    ids_n: npt.NDArray[np.int64]
    vectors_ne: npt.NDArray[np.float32]
    lowered: int
    skipped: int

    def coverage(self, codec: TextCodec, store: IdStore) -> dict[str, Any]:
        """The shares of the vocabulary's words, and of the running tokens in `store` (with <unk>), with a vector; for JSON."""
        counts = np.zeros(len(codec.vocab), np.int64)
        # In slices: `bincount` makes a copy of its input as int64, and the store may be larger than memory.
        for start in range(0, len(store.flat), COUNTED):
            counts += np.bincount(store.flat[start : start + COUNTED], minlength=len(counts))
        size, total = len(codec.vocab.words), int(counts.sum())
        return {
            "vocabulary": size,
            "found": len(self.ids_n),
            "share": len(self.ids_n) / size,
            "lower_case": self.lowered,
            "token_share": int(counts[self.ids_n].sum()) / total if total else 1.0,
            "deviation": float(self.vectors_ne.std()),
            "skipped_lines": self.skipped,
        }


def vector_size(path: Path) -> int:
    """The size of the vectors in a file, by its first line.

    Raises:
        UserError: the file cannot be read, or is a pipe, which can be read only once.
    """
    if is_stream(path):
        raise UserError(f"{path}: a pipe, so the size of its vectors must be given: set model.embed_dim")
    return next((_first_line(line)[1] for line in read_lines(path, BadLines("stop")) if line), 0)


def check_vectors(path: Path, embed_dim: int) -> None:
    """Check the first line of a file, before any long work.

    Raises:
        UserError: see `read_vectors`.
    """
    if not is_stream(path):
        next(_entries(path, embed_dim, BadLines("skip")), None)


def read_vectors(path: Path, codec: TextCodec, embed_dim: int, on_bad_line: str = "stop") -> Vectors:
    """The vectors of the tokens of a vocabulary.

    Each token is looked up as it is, then without the joiners of its tokenizer, then in lower case. Special ids, the tokens of
    byte fallback, features, and the characters of spelled words have no vectors.

    Args:
        path: a text file, plain, .gz or in a .zip.
        codec: tokenizer and vocabulary.
        embed_dim: size of a vector.
        on_bad_line: "stop", or "skip" to leave out and count the lines that cannot be used.

    Raises:
        UserError: the file cannot be read, has vectors of another size, is cut off, or has no vector for this vocabulary. Or a
            line is not UTF-8, has too few or too many columns, repeats a word, or has a number that is not finite. Numbers of
            words outside the vocabulary are not checked.
    """
    wanted = _spellings(codec)
    bad = BadLines(on_bad_line)
    lines: dict[str, int] = {}
    best: dict[int, tuple[int, npt.NDArray[np.float32]]] = {}
    number = 0
    for number, line in _entries(path, embed_dim, bad):
        word = line.partition(" ")[0]
        if word not in wanted:
            continue
        if word in lines:
            bad.add(path, number, f"{word!r} is there twice; the first time in line {lines[word]:,}")
            continue
        lines[word] = number
        vector_e = _numbers(line, bad, path, number)
        if vector_e is not None:
            for place, rank in wanted[word]:
                if rank < best.get(place, (LOWER + 1,))[0]:
                    best[place] = rank, vector_e
    bad.check(number - bad.number)
    if not best:
        raise UserError(f"{path}: no vector for any of the {len(codec.vocab.words):,} tokens of the vocabulary")
    ids = sorted(best)
    lowered = sum(rank == LOWER for rank, _ in best.values())
    return Vectors(np.array(ids, np.int64), np.stack([best[place][1] for place in ids]), lowered, bad.number)


def _spellings(codec: TextCodec) -> dict[str, list[tuple[int, int]]]:
    """For each spelling, the ids of its tokens and the rank of the spelling for each; the lowest rank is preferred."""
    wanted: dict[str, list[tuple[int, int]]] = {}
    for token, place in codec.vocab.words.items():
        if codec.tokenizer.level not in ("word", "symbols") and _BYTE_TOKEN.fullmatch(token):
            continue
        # As files have it, whatever form the tokens have.
        text = codec.stored(codec.tokenizer.detokenize([token])).strip()
        names = (token, text, text.lower())
        for name in dict.fromkeys(names):
            wanted.setdefault(name, []).append((place, names.index(name)))
    wanted.pop("", None)
    return wanted


def _entries(path: Path, embed_dim: int, bad: BadLines) -> Iterator[tuple[int, str]]:
    """Line numbers, and lines that have a word and `embed_dim` columns."""
    promised, first, number = None, True, 0
    for number, raw in enumerate(read_lines(path, bad), 1):
        if raw is None:
            continue
        line = raw.rstrip(" ")
        if first:
            first, promised = False, _header(path, number, line, embed_dim)
            if promised is not None:
                continue
        columns = line.count(" ")
        if columns == embed_dim:
            yield number, line
        elif columns < embed_dim:
            bad.add(path, number, f"{counted(columns, 'number')}, expected {embed_dim} after a word")
        # GloVe's largest file, 840B, has words with spaces, which no token has.
        elif _COORDINATE.fullmatch(line.split(" ", 2)[1]):
            bad.add(path, number, f"{counted(columns, 'number')}, expected {embed_dim}")
    if promised not in (None, number - 1):
        raise UserError(
            f"{path}: the first line announces {counted(promised, 'word')}, but {number - 1:,} follow; is the file cut off?"
        )


def _header(path: Path, number: int, line: str, embed_dim: int) -> int | None:
    """The number of words that the first line announces; None if the line is a word itself.

    Raises:
        UserError: the vectors have another size.
    """
    words, size = _first_line(line)
    if size != embed_dim:
        raise UserError(f"{path}:{number}: vectors of {counted(size, 'number')}, but model.embed_dim = {embed_dim:,}")
    return words


def _first_line(line: str) -> tuple[int | None, int]:
    """The number of words that the first line announces, None if it is a word itself; the size of a vector."""
    columns = line.rstrip(" ").split(" ")
    is_header = len(columns) == 2 and all(column.isascii() and column.isdigit() for column in columns)
    # Cut to 9 and 18 digits: Python refuses to convert numbers of more than 4,300.
    return (int(columns[0][:18]), int(columns[1][:9])) if is_header else (None, len(columns) - 1)


def _numbers(line: str, bad: BadLines, path: Path, number: int) -> npt.NDArray[np.float32] | None:
    """The vector in a line; None if the line has none, which is reported to `bad`."""
    word, *columns = line.split(" ")
    try:
        # Numbers too large for float32 become inf, which is an error below.
        with np.errstate(over="ignore"):
            vector_e = np.array(list(map(float, columns)), np.float64).astype(np.float32)
    except ValueError as error:
        bad.add(path, number, f"{word!r}: {error}")
        return None
    if not np.isfinite(vector_e).all():
        wrong = columns[int(np.flatnonzero(~np.isfinite(vector_e))[0])]
        bad.add(path, number, f"{word!r}: {wrong} is not a finite number")
        return None
    return vector_e
