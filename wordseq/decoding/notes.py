"""Notes on standard error about the texts that are translated: what is unknown, what is read as something else, long texts."""

import sys
from collections import Counter
from collections.abc import Sequence

from wordseq.decoding.translator import Translator
from wordseq.text.features import shown_token, tabs_note
from wordseq.text.sentences import split_sentences
from wordseq.text.twins import twins_note, unseen_note

SHOWN_WORDS = 10
"""Unknown words of a file to print, at most."""

FAR_LONGER = 2
"""A text of more than this many times the tokens of usual training sources is far longer than they are."""


class InputNotes:
    """Prints what the user should know about the texts: of a file the first few cases, of typed text all.

    Args:
        translator: knows the vocabulary.
        typed: the texts come from a terminal or from the command line.
        split: their sentences are translated one by one.
    """

    def __init__(self, translator: Translator, *, typed: bool, split: bool) -> None:
        self._translator, self._typed, self._split = translator, typed, split
        self._told = set[str]()
        self._told_twins = self._told_long = self._told_tabs = False
        self._unseen = Counter[str]()

    def tell(self, start: int, texts: Sequence[str]) -> None:
        """Print the notes on these texts, which `start` others came before."""
        self._tell_tabs(start, texts)
        self._tell_unknown(texts)
        self._tell_twins(texts)
        self._tell_long(start, texts)
        self._unseen.update(self._translator.unseen(texts))
        if self._typed:
            self.finish()

    def finish(self) -> None:
        """Print the note that counts in all texts: one line, at their end."""
        if self._unseen:
            _print(unseen_note(self._unseen, self._translator.spells))
        self._unseen.clear()

    def _tell_tabs(self, start: int, texts: Sequence[str]) -> None:
        if self._told_tabs and not self._typed:
            return
        line = tabs_note(texts, None if self._typed else start)
        if line and not self._translator.config.data.feature_separator:
            _print(line)
            self._told_tabs = True

    def _tell_unknown(self, texts: Sequence[str]) -> None:
        if len(self._told) >= SHOWN_WORDS and not self._typed:
            return
        unknown = [word for word in self._translator.unknown(texts) if word not in self._told]
        if not unknown:
            return
        shown = unknown[: SHOWN_WORDS - len(self._told)]
        words = ", ".join(word if len(word) <= 40 else f"{word[:40]}..." for word in map(shown_token, shown))
        _print(f"unknown to the model: {words}{' ...' * (shown != unknown)}")
        if not self._typed:
            self._told.update(shown)

    def _tell_twins(self, texts: Sequence[str]) -> None:
        if self._told_twins and not self._typed:
            return
        line = twins_note(self._translator.replaced(texts))
        if line:
            _print(line)
            self._told_twins = True

    def _tell_long(self, start: int, texts: Sequence[str]) -> None:
        """Print the first text that is far longer than the sources of training."""
        lengths = self._translator.src_lengths
        if lengths is None or (self._told_long and not self._typed):
            return
        language = self._translator.config.data.lang_of("src")
        for number, text in enumerate(texts, start + 1):
            sentences = split_sentences(text, language) if self._split else [text]
            tokens = max(map(self._translator.tokens_of, sentences))
            if tokens > FAR_LONGER * lengths.usual:
                place = "" if self._typed else f"line {number}: "
                what = "a sentence of " if self._split else ""
                hint = "" if self._split else "; --split translates its sentences one by one"
                _print(
                    f"{place}{what}{tokens:,} tokens, but 99 % of the training sources have at most {lengths.usual:,} "
                    f"(the longest {lengths.longest:,}): words may be lost or repeated{hint}"
                )
                self._told_long = True
                return


def _print(line: str) -> None:
    print(f"wordseq: note: {line}", file=sys.stderr)
