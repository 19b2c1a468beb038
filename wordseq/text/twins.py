"""Twins: what a vocabulary does not know is read as its twin, which it knows and which means the same.

Text is typed otherwise than training text: a curly apostrophe for a straight one, full-width letters, HELLO for Hello. To the
model these would be unknown tokens, or bytes that it has never seen. What the vocabulary knows is never changed.

The word level looks up tokens, the other levels characters: their tokenizers segment any text of known characters.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

import regex

from wordseq.text.normalise import in_form
from wordseq.text.tokenizers import JOINER, SentencePieceTokenizer, WordTokenizer

SHOWN = 3
"""Replaced words in a note."""

SHOWN_UNSEEN = 10
"""Characters in a note."""

SHOWN_CHARS = 40
"""Characters of a word in a note."""


class Twins(StrEnum):
    """What may be replaced."""

    NONE = "none"
    """Nothing: the ids are those of exactly this text, so that its likelihood is that of this text."""
    SIGNS = "signs"
    """Characters that are written in several ways: quotes, dashes, digits, full-width forms, ligatures."""
    ALL = "all"
    """Signs, and the case of letters."""


# For each character its twins, the nearest first, with spaces between.
_SIGNS: Mapping[str, str] = MappingProxyType(
    {
        "'": "’ ʼ ′ ‘ ` ´",
        "’": "' ʼ ′ ´ `",
        "‘": "' ’ `",
        "‚": "' ‘ ’",
        "‛": "' ‘ ’",
        "ʼ": "' ’",
        "ʻ": "' ‘ ’",
        "ʹ": "' ’",
        "′": "' ’",
        "`": "' ‘ ’",
        "´": "' ’",
        "‹": "' ‘ «",
        "›": "' ’ »",
        '"': "” “ ″ » «",
        "“": '" „ « ” ″',
        "”": '" “ » ″',
        "„": '" “ « ”',
        "‟": '" “ ”',
        "″": '" ”',
        "«": '" “ „',
        "»": '" ” “',
        "-": "‐ ‑ – − —",
        "‐": "- ‑ –",
        "‑": "- ‐ –",
        "‒": "– - —",
        "–": "- — ‒ −",
        "—": "– ― -",
        "―": "— – -",
        "−": "- –",
        "…": "...",
        "⁄": "/",
        "∕": "/",
        "•": "·",
        "·": "・ •",
        "・": "·",
        ".": "。",
        ",": "， 、",
        "。": ".",
        "、": ", ，",
        "「": '“ "',
        "」": '” "',
        "『": '“ "',
        "』": '” "',
        "〜": "~ ～",
        "œ": "oe",
        "Œ": "Oe OE",
        # One letter in two code points: Romanian (cedilla and comma), Arabic and Persian.
        "ş": "ș",
        "ș": "ş",
        "Ş": "Ș",
        "Ș": "Ş",
        "ţ": "ț",
        "ț": "ţ",
        "Ţ": "Ț",
        "Ț": "Ţ",
        "ي": "ی",
        "ی": "ي ى",
        "ك": "ک",
        "ک": "ك",
    }
)

_OPENING: Mapping[str, str] = MappingProxyType({"'": "‘ ’ ʼ ′ ` ´", '"': "“ „ « ” ″"})
"""Twins of straight quotes that open a quotation."""

_SAME_IN_ANOTHER_FORM = frozenset(
    ("<wide>", "<narrow>", "<compat>", "<noBreak>", "<font>", "<vertical>", "<small>")
    + ("<initial>", "<medial>", "<final>", "<isolated>")
)
"""Decompositions of Unicode that keep the meaning. Superscripts do not: 10² is not 102."""

_WIDE = MappingProxyType({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
"""From ASCII to the full-width forms."""

_LAST_FORM = 0x2FFFF
"""No character after the second supplementary plane has a plain form, and there are five times as many."""

_LETTERS = regex.compile(r"[\p{L}\p{M}]+")

_BYTE_OR_UNKNOWN = re.compile(r"<(?:0x[0-9A-F]{2}|unk)>")


def sign_tables() -> dict[str, dict[str, str]]:
    """The tables of `sign_twins`, for a program that has none: twins of signs, and of quotes that open a quotation."""
    return {"signs": dict(_SIGNS), "opening": dict(_OPENING)}


def plain_forms() -> dict[str, str]:
    """The plain form of each character that has one, for a program without Unicode's tables: full-width forms, digits, ..."""
    return {char: plain for char in map(chr, range(0x80, _LAST_FORM + 1)) if (plain := _plain(char))}


def sign_twins(char: str, opening: bool = False) -> list[str]:
    """The twins of a character in other ways of writing it, the nearest first; none for most characters.

    Args:
        char: one character.
        opening: it stands at the beginning of a word.
    """
    signs = _OPENING if opening and char in _OPENING else _SIGNS
    found = signs.get(char, "").split()
    if not char.isascii():
        plain = _plain(char)
        if plain:
            found += [plain, *_SIGNS.get(plain, "").split()]
    elif not char.isalnum():
        found.append(char.translate(_WIDE))
    return [twin for twin in found if twin != char]


def _plain(char: str) -> str:
    """The plain form of a full-width or narrow form, a ligature, or a digit of another script; empty if there is none."""
    if unicodedata.category(char) == "Nd":
        return str(unicodedata.decimal(char))
    if unicodedata.decomposition(char).partition(" ")[0] not in _SAME_IN_ANOTHER_FORM:
        return ""
    plain = unicodedata.normalize("NFKC", char)
    return "" if " " in plain else plain


def _case_twins(text: str) -> list[str]:
    cased = (unicodedata.normalize("NFC", other) for other in (text.lower(), text.capitalize(), text.upper()))
    return [other for other in cased if other != text]


class Reader(Protocol):
    """Reads texts as a vocabulary knows them."""

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a normalised text, twins instead of unknown ones."""

    def read(self, text: str) -> str:
        """The text of these tokens; the text itself if nothing was replaced."""


class WordReader:
    """Replaces unknown tokens of the word level by tokens that are known.

    Args:
        tokenizer: gives the tokens.
        ids: of the known tokens; the more frequent a token, the smaller its id.
        case: replace words by words in another case too.
        form: Unicode form of the tokens.
    """

    def __init__(self, tokenizer: WordTokenizer, ids: Mapping[str, int], *, case: bool, form: str = "NFC") -> None:
        self._tokenizer, self._ids, self._case, self._form = tokenizer, ids, case, form

    def tokenize(self, text: str) -> list[str]:
        """See `Reader`."""
        tokens = self._cut(text)
        if all(token in self._ids for token in tokens):
            return tokens
        return [read for token in tokens for read in self.read_token(token)]

    def read(self, text: str) -> str:
        """See `Reader`."""
        tokens = self.tokenize(text)
        return text if tokens == self._cut(text) else in_form(self._tokenizer.detokenize(tokens), "NFC")

    def read_token(self, token: str) -> list[str]:
        """The known tokens instead of this one; the token itself if it is known or has no twin."""
        core = token if self._tokenizer.separator else token.strip(JOINER)
        if token in self._ids or not core:
            return [token]
        left, _, right = token.partition(core)
        composed = in_form(core, "NFC")
        for text in (composed, *_variants(composed, opening=not left)):
            parts = self._cut(text)
            # A symbol that became a word keeps its joiners, and such a token is never known.
            parts[:1] = [left + part for part in parts[:1]]
            parts[-1:] = [part + right for part in parts[-1:]]
            known = [self._known(part) for part in parts]
            if known and None not in known:
                return [part for part in known if part is not None]
        return [token]

    def _cut(self, text: str) -> list[str]:
        return self._tokenizer.tokenize(text if self._form == "NFC" else in_form(text, self._form))

    def _known(self, token: str) -> str | None:
        """The token if it is known, else the most frequent of its forms in another case; None if none is known."""
        if token in self._ids:
            return token
        twins = [in_form(other, self._form) for other in _case_twins(token)] if self._case else []
        cased = [other for other in twins if other in self._ids]
        return min(cased, key=self._ids.__getitem__, default=None)


def _variants(core: str, opening: bool) -> Iterator[str]:
    """The text of a token in other ways of writing it: plain for typographic signs, the reverse, and full-width."""
    for ascii_ones in (False, True):
        choices = [sign_twins(char, opening) if char.isascii() == ascii_ones else [] for char in core]
        for k in range(max(map(len, choices), default=0)):
            chosen = zip(core, choices, strict=True)
            text = "".join(twins[min(k, len(twins) - 1)] if twins else char for char, twins in chosen)
            yield unicodedata.normalize("NFC", text)
    if core.isascii():
        yield core.translate(_WIDE)


class CharacterReader:
    """Replaces characters that a SentencePiece model does not know by characters that it knows.

    Args:
        tokenizer: gives the tokens.
        case: replace letters by letters in another case too.
        form: Unicode form of the tokens. Characters are looked up as NFC has them, and known if their parts are.
    """

    def __init__(self, tokenizer: SentencePieceTokenizer, *, case: bool, form: str = "NFC") -> None:
        self._tokenizer, self._case, self._form = tokenizer, case, form
        # Found out when a character first appears: the model's own answer, whatever it escapes.
        self._known: set[str] = {" "}
        self._signs: dict[tuple[str, bool], str] = {}

    def tokenize(self, text: str) -> list[str]:
        """See `Reader`."""
        return self._cut(self.read(text))

    def read(self, text: str) -> str:
        """See `Reader`."""
        if self._known_completely(text):
            return text
        starts = zip(text, " " + text, strict=False)
        read = "".join(self._sign(char, before == " ") for char, before in starts)
        if self._case:
            read = _LETTERS.sub(lambda match: self._recased(match.group()), read)
        # Two characters may have become a letter and its mark, as in half-width katakana.
        return text if read == text else in_form(in_form(read, self._form), "NFC")

    def unseen(self, text: str) -> list[str]:
        """The characters that have no twin either, in order, with repetitions: the model reads their bytes."""
        read = self.read(text)
        return [] if self._known_completely(read) else [char for char in read if char not in self._known]

    def _known_completely(self, text: str) -> bool:
        if not self._known.issuperset(text):
            self._known.update(filter(self._knows, set(text) - self._known))
        return self._known.issuperset(text)

    def _sign(self, char: str, opening: bool) -> str:
        if char in self._known:
            return char
        key = char, opening
        if key not in self._signs:
            twins = [*sign_twins(char, opening), *([char.translate(_WIDE)] if char.isascii() else [])]
            # A full-width letter of a case that is unknown too becomes a plain one, whose case is next.
            plain = [] if not self._case else [twin for twin in twins if any(map(self._knows, _case_twins(twin)))]
            self._signs[key] = next(filter(self._knows, twins), plain[0] if plain else char)
        return self._signs[key]

    def _recased(self, letters: str) -> str:
        """A word in the first case in which all its letters are known, else with each unknown letter in another case."""
        if self._known_completely(letters):
            return letters
        whole = next(filter(self._known_completely, _case_twins(letters)), "")
        return whole or "".join(
            char if char in self._known else next(filter(self._knows, _case_twins(char)), char) for char in letters
        )

    def _knows(self, text: str) -> bool:
        return not any(map(_BYTE_OR_UNKNOWN.fullmatch, self._cut(text)))

    def _cut(self, text: str) -> list[str]:
        return self._tokenizer.tokenize(text if self._form == "NFC" else in_form(text, self._form))


def replaced_words(texts: Iterable[str], reader: Reader) -> Iterator[tuple[str, str]]:
    """The words between spaces that are read as others, each with what it is read as; repetitions included."""
    for text in texts:
        read = reader.read(text)
        if read != text:
            # A twin has no space and replaces none, so the words correspond.
            yield from (pair for pair in zip(text.split(" "), read.split(" "), strict=True) if pair[0] != pair[1])


def twins_note(replaced: Sequence[tuple[str, str]]) -> str:
    """A line about replaced words: a few of them, and the number of all; empty if there are none."""
    distinct = dict(replaced)
    if not distinct:
        return ""
    shown = ", ".join(f"{_short(word)} -> {_short(read)}" for word, read in itertools.islice(distinct.items(), SHOWN))
    if len(distinct) <= SHOWN:
        return f"read as the model knows it: {shown}"
    return f"read as the model knows it: {shown}, ... ({len(replaced):,} words)"


def unseen_note(unseen: Mapping[str, int], seldom: bool = False) -> str:
    """A line about characters that are read as bytes: the most frequent ones and their numbers; empty if there are none.

    Args:
        unseen: the characters.
        seldom: training may have had some of them, which were too rare for a token.
    """
    if not unseen:
        return ""
    often = sorted(unseen.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{_visible(char)} ({number:,})" for char, number in often[:SHOWN_UNSEEN])
    rest = f", ... ({len(unseen):,} characters)" if len(unseen) > SHOWN_UNSEEN else ""
    return f"{'seldom or ' * seldom}never seen in training, read as bytes: {shown}{rest}"


def _visible(char: str) -> str:
    """A character, or its code where alone it cannot be read: combining marks, zero-width characters."""
    return f"U+{ord(char):04X}" if unicodedata.combining(char) or not char.isprintable() else char


def _short(word: str) -> str:
    return word if len(word) <= SHOWN_CHARS else f"{word[:SHOWN_CHARS]}..."
