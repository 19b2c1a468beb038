"""Splits a text into sentences, and joins their translations."""

from collections.abc import Sequence

import regex
import sentencex

from wordseq.text.normalise import normalise

DEFAULT_LANGUAGE = "en"
"""Language of the abbreviations where a run has no `data.src_lang`."""

# French "M. Dupont": the library knows such initials in some languages only.
_INITIAL = regex.compile(r"\p{Lu}\.")

# Chinese, Japanese, Thai, Lao, Khmer and Burmese write no space between sentences, or not always.
_WITHOUT_SPACES = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u3001-\u3003\u3008-\u3011\uff01-\uff1f]"
)

_ENDS_WITHOUT_SPACE = regex.compile(rf"{_WITHOUT_SPACES}\Z")

_STARTS_WITHOUT_SPACE = regex.compile(_WITHOUT_SPACES)


def split_sentences(text: str, language: str = "") -> list[str]:
    """The sentences of a text, normalised, without spaces around them; a text without words is one sentence.

    Args:
        text: any text.
        language: its ISO 639 code, for its abbreviations; empty: `DEFAULT_LANGUAGE`. An unknown language has none.
    """
    # Normalised first: the library panics at some rare separators (Kazakh text with U+2028).
    text = normalise(text)
    code = (language or DEFAULT_LANGUAGE).partition("-")[0].lower()
    sentences: list[str] = []
    for part in sentencex.segment(code, text):
        if sentences and _INITIAL.fullmatch(sentences[-1]):
            sentences[-1] += f" {part.strip()}"
        elif part.strip():
            sentences.append(part.strip())
    return sentences or [text]


def join_sentences(sentences: Sequence[str]) -> str:
    """One text of sentences; see `space_between`."""
    text = ""
    for sentence in filter(None, sentences):
        text += space_between(text, sentence) + sentence
    return text


def space_between(before: str, after: str) -> str:
    """What stands between two sentences: a space, but nothing in scripts that have none, and beside an empty one."""
    touching = _ENDS_WITHOUT_SPACE.search(before) and _STARTS_WITHOUT_SPACE.match(after)
    return "" if touching or not before or not after else " "
