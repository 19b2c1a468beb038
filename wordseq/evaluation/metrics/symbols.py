"""The symbols of a target text, which SER counts, and whether a task's outputs are sentences or words.

A target with `data.tgt_separator` is cut there, one with `data.pretokenized` at spaces. All other texts are cut into characters
(code points), at every token level, so that runs of different levels have the same SER.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from wordseq.config.data import DataConfig
from wordseq.evaluation.metrics.names import SENTENCES, WORDS
from wordseq.text.scripts import spaceless_script

SUBWORD_MARK = " @@"
"""What stands before a subword that continues a word, in the data of SIGMORPHON 2022."""

MOST_WORDS = 1.5
"""Targets are words if they have at most this many on average: inflected forms such as "has gone" are of two."""


@dataclass(frozen=True)
class Symbols:
    """How a text is cut into symbols.

    Attributes:
        separator: the string between symbols; empty: each character (code point) is a symbol.
        of_a_word: whether the symbols of a text are those of one word, such as phones.
    """

    separator: str = ""
    of_a_word: bool = False

    @property
    def name(self) -> str:
        """The name in signatures: "char", "space", or the separator as `quoted` writes it."""
        return {"": "char", " ": "space"}.get(self.separator) or f"sep({quoted(self.separator)})"

    def cut(self, text: str) -> Sequence[str]:
        """The symbols of a text, in order; none of an empty text."""
        return text.split(self.separator) if self.separator and text else text

    @property
    def subword_mark(self) -> str:
        """The string before each subword but the first of a word, or between subwords."""
        return self.separator if self.separator.strip() else SUBWORD_MARK


def quoted(separator: str) -> str:
    """A separator for a signature: a percent sign before the code of each byte that is not a letter or a digit."""
    return quote(separator, safe="")


def target_symbols(data: DataConfig) -> Symbols:
    """The symbols of a run's targets, by its settings [data]."""
    return Symbols(data.separator_of("tgt"), of_a_word=bool(data.tgt_separator))


def symbols_of_texts(refs: Iterable[Iterable[str]]) -> Symbols:
    """The symbols of texts whose run is not known: separated by spaces if any reference has a space, else characters."""
    return Symbols(" " if any(" " in text for choices in refs for text in choices) else "")


def task_of(symbols: Symbols, refs: Iterable[Iterable[str]]) -> str:
    """Whether the outputs of a task are words, by its references.

    Returns:
        `WORDS` if the symbols are those of words, or the references have at most `MOST_WORDS` words on average; subwords with
        `SUBWORD_MARK` are one word. Else `SENTENCES`; also for scripts without spaces, where words look like sentences.
    """
    texts = [text for choices in refs for text in choices]
    if symbols.of_a_word:
        return WORDS
    words = sum(len(text.replace(symbols.subword_mark, "").split()) for text in texts)
    few = 0 < words <= MOST_WORDS * len(texts)
    return WORDS if few and spaceless_script(texts) is None else SENTENCES


def has_subwords(symbols: Symbols, refs: Iterable[Iterable[str]]) -> bool:
    """Whether references are cut into subwords: by a separator other than a space, or by `SUBWORD_MARK` in some of them."""
    return bool(symbols.separator.strip()) or any(SUBWORD_MARK in text for choices in refs for text in choices)
