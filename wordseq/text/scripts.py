"""The scripts of texts, and whether the word level makes sense for them.

Scripts are those of Unicode. Digits, punctuation and marks that all scripts share do not count.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex

SPACELESS_SHARE = 0.5
"""From this share on, texts count as written without spaces; see `Spaceless.share`."""

_KANA_SHARE = 0.05
"""With a larger share of kana among kana and Chinese characters texts are Japanese, which has about a half of each."""

_OTHERS = ("Thai", "Lao", "Khmer", "Myanmar", "Tibetan")

_PATTERNS = {name: regex.compile(rf"\p{{{name}}}") for name in _OTHERS} | {
    "Chinese": regex.compile(r"[\p{Han}\p{Bopomofo}]"),
    "Japanese": regex.compile(r"[\p{Hiragana}\p{Katakana}]"),
}

_UNCOUNTED = r"\p{Common}\p{Han}\p{Bopomofo}\p{Hiragana}\p{Katakana}" + "".join(rf"\p{{{name}}}" for name in _OTHERS)

_SEPARATED_WORD = regex.compile(rf"[^{_UNCOUNTED}\p{{Inherited}}][^{_UNCOUNTED}]*")

_LETTERS_PER_WORD = {"Chinese": 3.0, "Japanese": 4.0}
"""The most letters that words have on average, by script; others: `_USUAL_LETTERS`. Longer ones were not separated."""

_USUAL_LETTERS = 9.0


_LETTERS = (
    *("Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Bengali", "Tamil", "Telugu", "Thai", "Georgian"),
    *("Armenian", "Ethiopic", "Khmer", "Lao", "Myanmar", "Sinhala", "Gujarati", "Gurmukhi", "Kannada", "Malayalam"),
    "Tibetan",
)

# Japanese mixes three scripts, Chinese texts hold Bopomofo, and Korean ones Han.
_SCRIPTS = {
    "CJK": regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Hangul}]"),
    **{name: regex.compile(rf"\p{{{name}}}") for name in _LETTERS},
}


@dataclass(frozen=True)
class Spaceless:
    """A script that is written without spaces between words.

    Attributes:
        name: "Chinese", "Japanese" (which has both Chinese characters and kana), "Thai", "Lao", "Khmer", "Myanmar", "Tibetan".
        share: characters of this script, as a share (0-1) of them and of the words of scripts with spaces. Words, because a
            name in Latin letters in a Chinese sentence has more letters than several Chinese words.
    """

    name: str
    share: float


def spaceless_script(texts: Iterable[str]) -> Spaceless | None:
    """The script without spaces that the texts are mostly written in; None if its share is below `SPACELESS_SHARE`."""
    words, counts = 0, dict.fromkeys(_PATTERNS, 0)
    for text in texts:
        words += _number(_SEPARATED_WORD, text)
        if not text.isascii():
            for name, pattern in _PATTERNS.items():
                counts[name] += _number(pattern, text)
    total = words + sum(counts.values())
    # Japanese sentences have Chinese characters too.
    both = counts["Chinese"] + counts["Japanese"]
    counts["Chinese"], counts["Japanese"] = (0, both) if counts["Japanese"] > _KANA_SHARE * both else (both, 0)
    name = max(counts, key=lambda name: counts[name])
    share = counts[name] / total if total else 0.0
    return Spaceless(name, share) if share >= SPACELESS_SHARE else None


def word_level_warning(texts: Iterable[str], side: str) -> str | None:
    """A warning if the word level would make one word of a sentence; None if the words of the texts are separated.

    Args:
        texts: normalised texts of the source or of the target.
        side: "src" or "tgt".
    """
    texts = list(texts)
    script = spaceless_script(texts)
    if script is None:
        return None
    words = [len(word) for text in texts for word in text.split()]
    separated = sum(words) / len(words) <= _LETTERS_PER_WORD.get(script.name, _USUAL_LETTERS)
    if separated and len(words) > 1.5 * len(texts):
        return None
    return (
        f"the {'source' if side == 'src' else 'target'} is written without spaces ({script.share:.0%} "
        f"{script.name}): the word level makes one token of a complete sentence or entry; set data.level=char or "
        f"data.level=unigram (data.{side}_level for this side only)"
    )


def _number(pattern: "regex.Pattern[str]", text: str) -> int:
    return sum(1 for _ in pattern.finditer(text))


def script_of(text: str) -> str:
    """The script of most letters of a text; empty if it has no letter of a known script."""
    counts = Counter(map(_script_of_letter, text))
    return max((name for name in _SCRIPTS if name in counts), key=counts.__getitem__, default="")


@functools.cache
def _script_of_letter(letter: str) -> str:
    """Texts have far fewer different letters than letters."""
    return next((name for name, pattern in _SCRIPTS.items() if pattern.match(letter)), "")


def scripts_of(texts: Sequence[str]) -> Counter[str]:
    """For each script the number of texts that are in it, the most frequent first; texts without letters are not counted."""
    counts = Counter(script for text in texts if (script := script_of(text)))
    return Counter(dict(counts.most_common()))
