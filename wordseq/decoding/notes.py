"""Notes on standard error about the texts that are translated: unknown words, and words that are read as others."""

import sys
from collections.abc import Sequence

from wordseq.decoding.translator import Translator
from wordseq.text.twins import twins_note

SHOWN_WORDS = 10
"""Unknown words of a file to print, at most."""


class InputNotes:
    """Prints what the user should know about the texts: of a file the first few cases, of typed text all.

    Args:
        translator: knows the vocabulary.
        typed: the texts come from a terminal or from the command line.
    """

    def __init__(self, translator: Translator, typed: bool) -> None:
        self._translator, self._typed = translator, typed
        self._told = set[str]()
        self._told_twins = False

    def tell(self, texts: Sequence[str]) -> None:
        """Print the notes on these texts."""
        self._tell_unknown(texts)
        self._tell_twins(texts)

    def _tell_unknown(self, texts: Sequence[str]) -> None:
        if len(self._told) >= SHOWN_WORDS and not self._typed:
            return
        unknown = [word for word in self._translator.unknown(texts) if word not in self._told]
        if not unknown:
            return
        shown = unknown[: SHOWN_WORDS - len(self._told)]
        words = ", ".join(word if len(word) <= 40 else f"{word[:40]}..." for word in shown)
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


def _print(line: str) -> None:
    print(f"wordseq: note: {line}", file=sys.stderr)
