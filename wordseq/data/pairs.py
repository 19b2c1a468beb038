"""Sentence pairs: as read from a file, and after cleaning."""

from typing import NamedTuple


class Row(NamedTuple):
    """A sentence pair as written in a file, with its line number, counted from 1."""

    number: int
    src: str
    tgt: str
    features: str | None = None
    """Those of the source; None where no column has them."""


class Pair(NamedTuple):
    """A source sentence and one of its translations; of a source with features see `wordseq.text.features`."""

    src: str
    tgt: str


class PairWithFeatures(NamedTuple):
    """A pair and the features of its source, in the usual order of columns."""

    src: str
    tgt: str
    features: str
