"""Takes texts apart into the sentences to translate, and puts their translations together again."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from wordseq.text.sentences import join_sentences, split_sentences

_LINE_ENDS = re.compile(r"(\r\n|\r|\n)")

Split = Callable[[str], list[str]]
"""From a line to its sentences."""


def splitter(language: str, separate: bool) -> Split:
    """How the lines of a text are split into sentences: as `wordseq translate TEXT` does.

    Args:
        language: code of the language, see `split_sentences`.
        separate: False: each line is one sentence, for sources with features.
    """
    return (lambda line: split_sentences(line, language)) if separate else (lambda line: [line])


class TextPlan(NamedTuple):
    """A text, taken apart."""

    sentences: list[str]
    """What is to be translated, in the order of the text."""
    join: Callable[[Sequence[str]], str]
    """From the translation of each sentence to that of the text."""


def plan_text(text: str, split: Split) -> TextPlan:
    """The sentences of a plain text; the joined translations have its line breaks, and the spaces around its lines."""
    # At even places lines, at odd ones line ends.
    parts = _LINE_ENDS.split(text)
    lines = [split(line) if line.strip() else [] for line in parts[::2]]
    spaces = [_spaces_around(line) for line in parts[::2]]

    def join(translations: Sequence[str]) -> str:
        found = iter(translations)
        rows = zip(lines, spaces, [*parts[1::2], ""], strict=True)
        return "".join(
            before + join_sentences([next(found) for _ in line]) + after + end for line, (before, after), end in rows
        )

    return TextPlan([sentence for line in lines for sentence in line], join)


def _spaces_around(line: str) -> tuple[str, str]:
    inner = line.strip()
    if not inner:
        return line, ""
    before, _, after = line.partition(inner)
    return before, after
