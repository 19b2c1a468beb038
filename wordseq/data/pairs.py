"""Sentence pairs: as read from a file, and as used for training."""

from typing import NamedTuple


class Row(NamedTuple):
    """A sentence pair as it stands in the file, and the number of its line from 1."""

    number: int
    src: str
    tgt: str


class Pair(NamedTuple):
    """A source sentence and one of its translations."""

    src: str
    tgt: str
