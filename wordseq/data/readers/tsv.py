"""Sentence pairs from one file with tab-separated columns."""

from collections.abc import Iterator
from pathlib import Path

from wordseq.data.pairs import Row
from wordseq.data.readers.lines import BadLines, read_lines


def read_tsv(path: Path, bad: BadLines) -> Iterator[Row]:
    """The pairs of a file with two columns separated by a TAB; a third column (Tatoeba's attribution) is ignored.

    A blank line is a pair of empty sentences.

    Raises:
        UserError: see `read_lines`; or, after the last line, see `bad.check`.
    """
    for number, line in enumerate(read_lines(path, bad), 1):
        if line is None:
            continue
        columns = line.split("\t")
        if len(columns) in (2, 3):
            yield Row(number, columns[0], columns[1])
        elif line.strip():
            bad.add(path, number, f"{len(columns)} column{'s' * (len(columns) > 1)}, expected 2 or 3 separated by TAB")
        else:
            yield Row(number, "", "")
    bad.check()
