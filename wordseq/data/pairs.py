"""Sentence pairs: as read from a file, and after cleaning."""

from typing import NamedTuple


class Row(NamedTuple):
    """A sentence pair as written in a file, with its line number, counted from 1."""

    number: int
    src: str
    tgt: str


class Pair(NamedTuple):
    """A source sentence and one of its translations."""

    src: str
    tgt: str
