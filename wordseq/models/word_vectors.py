"""Word vectors made elsewhere, in the text formats of GloVe and word2vec, for the tokens of a vocabulary.

A line is a word and its numbers, separated by spaces; word2vec's files start with a line of two numbers, how many words and how
many numbers a word. A file is read once, line by line: what the vocabulary does not ask for is never kept.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wordseq.batches.id_store import IdStore
from wordseq.data.readers.lines import BadLines, is_stream, read_lines
from wordseq.system.errors import UserError
from wordseq.text.vocab import SPECIALS, TextCodec

COUNTED = 2**22
"""Running tokens counted at a time."""

LOWER = 2
"""Rank of a spelling in lower case among those that a token is looked up by."""

_BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")

_COORDINATE = re.compile(r"-?\d*\.\d+(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class Vectors:
    """The vectors that a file has for a vocabulary.

    Attributes:
        ids_n: the ids that were found, rising.
        vectors_ne: their vectors, float32 as in the file.
        lowered: how many of them were found in lower case only.
        skipped: lines that could not be used.
    """

    ids_n: npt.NDArray[np.int64]
    vectors_ne: npt.NDArray[np.float32]
    lowered: int
    skipped: int

    def coverage(self, codec: TextCodec, store: IdStore) -> dict[str, Any]:
        """How much of the vocabulary, and of the running tokens `store` (<unk> counted too), has a vector; for JSON."""
        counts = np.zeros(len(codec.vocab), np.int64)
        for start in range(0, len(store.flat), COUNTED):
            counts += np.bincount(store.flat[start : start + COUNTED], minlength=len(counts))
        size, total = len(codec.vocab.tokens), int(counts.sum())
        return {
            "vocabulary": size,
            "found": len(self.ids_n),
            "share": len(self.ids_n) / size,
            "lower_case": self.lowered,
            "token_share": int(counts[self.ids_n].sum()) / total if total else 1.0,
            "deviation": float(self.vectors_ne.std()),
            "skipped_lines": self.skipped,
        }


def check_vectors(path: Path, embed_dim: int) -> None:
    """Look at a file's first line, before any long work.

    Raises:
        UserError: see `read_vectors`.
    """
    if not is_stream(path):
        next(_entries(path, embed_dim, BadLines("skip")), None)


def read_vectors(path: Path, codec: TextCodec, embed_dim: int, on_bad_line: str = "stop") -> Vectors:
    """The vectors of a vocabulary's tokens.

    A token is looked up as it is; then as it reads, without the marks that say where punctuation touches; then in lower case.
    The special ids and the bytes of subword levels have no vectors.

    Args:
        path: text, plain, .gz or in a .zip.
        codec: tokenizer and vocabulary.
        embed_dim: numbers a word.
        on_bad_line: "stop", or "skip" to leave out and count lines that cannot be used.

    Raises:
        UserError: the file cannot be read, has vectors of another size, is cut off, or none for this vocabulary. Or a line is
            not UTF-8, has too few or too many columns, repeats a word, or something in it is not a finite number; of words
            that are not asked for, the numbers are not looked at.
    """
    wanted = _spellings(codec)
    bad = BadLines(on_bad_line)
    lines: dict[str, int] = {}
    best: dict[int, tuple[int, npt.NDArray[np.float32]]] = {}
    for number, line in _entries(path, embed_dim, bad):
        word = line.partition(" ")[0]
        if word not in wanted:
            continue
        if word in lines:
            bad.add(path, number, f"{word!r} for the second time; it stands in line {lines[word]:,}")
            continue
        lines[word] = number
        vector_e = _numbers(line, bad, path, number)
        if vector_e is not None:
            for place, rank in wanted[word]:
                if rank < best.get(place, (LOWER + 1,))[0]:
                    best[place] = rank, vector_e
    bad.check()
    if not best:
        raise UserError(f"{path}: has vectors for none of the {len(codec.vocab.tokens):,} tokens of the vocabulary")
    ids = sorted(best)
    lowered = sum(rank == LOWER for rank, _ in best.values())
    return Vectors(np.array(ids, np.int64), np.stack([best[place][1] for place in ids]), lowered, bad.number)


def _spellings(codec: TextCodec) -> dict[str, list[tuple[int, int]]]:
    """What to look for: the ids of the tokens that are looked up by it, each with its rank; the lowest counts."""
    wanted: dict[str, list[tuple[int, int]]] = {}
    for place, token in enumerate(codec.vocab.tokens, len(SPECIALS)):
        if codec.tokenizer.level != "word" and _BYTE_PIECE.fullmatch(token):
            continue
        text = codec.tokenizer.detokenize([token]).strip()
        names = (token, text, text.lower())
        for name in dict.fromkeys(names):
            wanted.setdefault(name, []).append((place, names.index(name)))
    wanted.pop("", None)
    return wanted


def _entries(path: Path, embed_dim: int, bad: BadLines) -> Iterator[tuple[int, str]]:
    """Numbers of lines, and lines of a word and `embed_dim` columns."""
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
            bad.add(path, number, f"{columns} numbers, expected {embed_dim} after a word")
        # GloVe's largest file has words with spaces in them, which no token has.
        elif _COORDINATE.fullmatch(line.split(" ", 2)[1]):
            bad.add(path, number, f"{columns} numbers, expected {embed_dim}")
    if promised not in (None, number - 1):
        raise UserError(
            f"{path}: its first line promises {promised:,} words, but {number - 1:,} follow; is it cut off?"
        )


def _header(path: Path, number: int, line: str, embed_dim: int) -> int | None:
    """How many words the first line promises; None if it is a word itself.

    Raises:
        UserError: the vectors have another size.
    """
    columns = line.split(" ")
    is_header = len(columns) == 2 and all(column.isascii() and column.isdigit() for column in columns)
    size = int(columns[1][:9]) if is_header else len(columns) - 1
    if size != embed_dim:
        raise UserError(f"{path}:{number}: vectors of {size:,} numbers, but model.embed_dim = {embed_dim:,}")
    return int(columns[0][:18]) if is_header else None


def _numbers(line: str, bad: BadLines, path: Path, number: int) -> npt.NDArray[np.float32] | None:
    """The vector in a line; None if it is none, which `bad` is told of."""
    word, *columns = line.split(" ")
    try:
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
