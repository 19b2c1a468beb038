"""What a reader returns: the records of one file, before two of their columns are chosen as source and target."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Record(NamedTuple):
    """The cells of one record and the line on which it begins, counted from 1; None for a cell that it does not have."""

    number: int
    cells: tuple[str | None, ...]


@dataclass
class FileTable:
    """The records of a file.

    Attributes:
        format: name of the format with its variant, as printed, e.g. "CSV with semicolons".
        records: the records, read as they are iterated. A bad one is added to the reader's `BadLines` and left out.
        columns: names of the columns; empty if the format has none, or if they may be in the first record.
        left_out: what the reader leaves out of the text, by phrase, e.g. "inline tags"; counted while records are iterated.
        pairs: each record is already a source and a target, in this order.
        language: of the translations in a catalogue; empty if it does not name it.
    """

    format: str
    records: Iterator[Record]
    columns: tuple[str, ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)
    pairs: bool = False
    language: str = ""
