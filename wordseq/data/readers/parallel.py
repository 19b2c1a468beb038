"""Sentence pairs from two files that belong together line by line."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from wordseq.data.pairs import Row
from wordseq.data.readers.lines import BadLines, read_lines
from wordseq.system.errors import UserError


def read_parallel(src_path: Path, tgt_path: Path, bad: BadLines) -> Iterator[Row]:
    """The pairs of two files that belong together line by line.

    Raises:
        UserError: see `read_lines`; or, after the last line, files of unequal length and what `bad.check` has to say.
    """
    end = "\n"  # no line holds it
    src_lines, tgt_lines = read_lines(src_path, bad), read_lines(tgt_path, bad)
    src_count = tgt_count = 0
    for src, tgt in itertools.zip_longest(src_lines, tgt_lines, fillvalue=end):
        src_count += src != end
        tgt_count += tgt != end
        if src_count == tgt_count and src is not None and tgt is not None:
            yield Row(src_count, src, tgt)
    if src_count != tgt_count:
        raise UserError(
            f"{src_path} has {src_count:,} lines, {tgt_path} has {tgt_count:,}: they must have the same number"
        )
    bad.check()
