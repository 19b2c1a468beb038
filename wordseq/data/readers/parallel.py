"""Sentence pairs from two parallel files: line N of one translates line N of the other."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from wordseq.data.pairs import Row
from wordseq.data.readers.lines import BadLines, read_lines
from wordseq.system.errors import UserError


def read_parallel(src_path: Path, tgt_path: Path, bad: BadLines, encoding: str = "") -> Iterator[Row]:
    """The pairs of two parallel files.

    Raises:
        UserError: see `read_lines`; or, after the last line, the files differ in length.
    """
    end = "\n"  # Marks the end of the shorter file; no line contains it. None is a line that is not UTF-8.
    src_lines, tgt_lines = read_lines(src_path, bad, encoding), read_lines(tgt_path, bad, encoding)
    src_count = tgt_count = 0
    for src, tgt in itertools.zip_longest(src_lines, tgt_lines, fillvalue=end):
        src_count += src != end
        tgt_count += tgt != end
        if src_count == tgt_count and src is not None and tgt is not None:
            yield Row(src_count, src, tgt)
    # A missing line shifts all pairs after it, which is a more serious fault than a bad line.
    if src_count != tgt_count:
        raise UserError(
            f"{src_path} has {src_count:,} lines, {tgt_path} has {tgt_count:,}: they must have the same number"
        )
