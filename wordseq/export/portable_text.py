"""Text to token ids and back, for source or target, as `wordseq.text` does it; part of the exported program.

`export.onnx_folder` puts this module and `export.translate` together into one file, which is read without this package. So it
imports nothing of it.
"""

import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import regex

_SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
_UNKNOWN = 1
_REMOVED = re.compile(
    "[\u200b\u2060\ufeff\u00ad\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]"
)
_STORM = regex.compile(r"(\P{ccc=0}{30})(\P{ccc=0}+)")
_JOINER, _ESCAPE, _RESERVED = "\uffed", "\uffee", "\u2581\u2585<"
_WORD = r"\p{L}\p{M}\p{N}\u200c\u200d"
_SYMBOL = regex.compile(rf"(?![{_WORD} ])(?:\p{{RI}}{{2}}|\p{{GCB=Prepend}}|\X)")
_WORD_FOLLOWS = regex.compile(rf"[{_WORD}]")
_BYTE_RUN = re.compile(r"(?:<0x[0-9A-F]{2}>)+")
_BYTE_OR_UNKNOWN = re.compile(r"<(?:0x[0-9A-F]{2}|unk)>")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LETTERS = regex.compile(r"[\p{L}\p{M}]+")
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_SAME_IN_ANOTHER_FORM = {
    *("<wide>", "<narrow>", "<compat>", "<noBreak>", "<font>", "<vertical>", "<small>"),
    *("<initial>", "<medial>", "<final>", "<isolated>"),
}


def normalised(text: str) -> str:
    """NFC, without invisible characters, with single spaces between words and none at the ends."""
    if len(text) > 1000 and not text.isascii():
        # NFC sorts n marks in a row in n * n steps.
        shown = _REMOVED.sub("", text)
        if _STORM.search(shown):
            text = _STORM.sub(r"\1", unicodedata.normalize("NFC", _STORM.sub(r"\1", shown)))
    return unicodedata.normalize("NFC", " ".join(_REMOVED.sub("", text).split()))


def _in_form(text: str, form: str) -> str:
    formed = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    return " ".join(formed.split()) if "K" in form else formed


def _escaped(text: str, reserved: str) -> str:
    for digit, char in enumerate(_ESCAPE + reserved):
        text = text.replace(char, f"{_ESCAPE}{digit}")
    return text


def _unescaped(text: str, reserved: str) -> str:
    for digit, char in reversed(list(enumerate(_ESCAPE + reserved))):
        text = text.replace(f"{_ESCAPE}{digit}", char)
    return text


def _words(text: str) -> list[str]:
    """Words, and symbols with a joiner where they touch something."""
    return _SYMBOL.sub(_marked, text).split(" ") if text else []


def _marked(match: Any) -> str:
    text, start, end = match.string, match.start(), match.end()
    left = f" {_JOINER}" if start > 0 and text[start - 1] != " " else ""
    right = f"{_JOINER} " if _WORD_FOLLOWS.match(text, end) else ""
    return f"{left}{_escaped(match.group(), _JOINER)}{right}"


def _words_text(tokens: Sequence[str]) -> str:
    text = " ".join(tokens)
    text = text.replace(f" {_JOINER}", "").replace(f"{_JOINER} ", "").replace(_JOINER, "")
    return _unescaped(text, _JOINER)


def _text_of_bytes(content: bytes) -> str:
    return _CONTROLS.sub("\ufffd", content.decode("utf-8", errors="replace"))


def _case_twins(text: str) -> list[str]:
    cased = (unicodedata.normalize("NFC", other) for other in (text.lower(), text.capitalize(), text.upper()))
    return [other for other in cased if other != text]


def _plain(char: str) -> str:
    """The plain form of a full-width or narrow form, a ligature, or a digit of another script; empty if there is none."""
    if unicodedata.category(char) == "Nd":
        return str(unicodedata.decimal(char))
    if unicodedata.decomposition(char).partition(" ")[0] not in _SAME_IN_ANOTHER_FORM:
        return ""
    plain = unicodedata.normalize("NFKC", char)
    return "" if " " in plain else plain


class _Twins:
    """Other ways of writing a character: unknown tokens are read as known ones that mean the same."""

    def __init__(self, tables: Mapping[str, Mapping[str, str]]) -> None:
        self._signs, self._opening = tables["signs"], tables["opening"]

    def of_sign(self, char: str, opening: bool) -> list[str]:
        """The twins of a character, the nearest first."""
        signs = self._opening if opening and char in self._opening else self._signs
        found = signs.get(char, "").split()
        if not char.isascii():
            plain = _plain(char)
            if plain:
                found += [plain, *self._signs.get(plain, "").split()]
        elif not char.isalnum():
            found.append(char.translate(_WIDE))
        return [twin for twin in found if twin != char]

    def variants(self, core: str, opening: bool) -> Iterator[str]:
        """A word in other ways of writing it."""
        for ascii_ones in (False, True):
            choices = [self.of_sign(char, opening) if char.isascii() == ascii_ones else [] for char in core]
            for k in range(max(map(len, choices), default=0)):
                chosen = zip(core, choices, strict=True)
                text = "".join(twins[min(k, len(twins) - 1)] if twins else char for char, twins in chosen)
                yield unicodedata.normalize("NFC", text)
        if core.isascii():
            yield core.translate(_WIDE)


class ExportedSide:
    """Source or target: text to ids and back.

    Args:
        folder: of the exported model.
        name: "src" or "tgt".
        about: its part of the manifest.
    """

    def __init__(self, folder: Path, name: str, about: Mapping[str, Any]) -> None:
        self.form, self.written, self.separator = about["form"], about["written"], about["separator"]
        self.feature_separator = about["feature_separator"]
        self.kind = (about["level"], self.separator)
        self.tokens = _SPECIALS + tuple(
            json.loads((folder / f"{name}.vocab.json").read_text(encoding="utf-8"))["tokens"]
        )
        self.ids = {token: index for index, token in enumerate(self.tokens) if index >= len(_SPECIALS)}
        self._spm: Any = None
        if about["sentencepiece"]:
            from sentencepiece import SentencePieceProcessor  # noqa: PLC0415 (words and symbols do not need it)

            self._spm = SentencePieceProcessor(model_file=str(folder / about["sentencepiece"]))
        self._twins = _Twins(about["twins"]) if about["twins"] else None
        self._known = {" "}
        # A rare word is spelled: "  h", " o", " u", " s", " e". Two spaces begin it, alone if its first letter has no token.
        self.spells = self.tokens[4:5] == ("  ",)

    # --- to ids

    def to_ids(self, text: str) -> list[int]:
        """The ids of a prepared source, with its features, without an end."""
        word, _, features = text.partition("\t") if self.feature_separator else (text, "", "")
        parts = features.split(self.feature_separator) if self.feature_separator else []
        tokens = self.word_tokens(word) + [f"\t{part}" for part in parts if part]
        return [self.ids.get(token, _UNKNOWN) for token in tokens]

    def word_tokens(self, text: str) -> list[str]:
        """The tokens of a prepared text without features, as the model reads them."""
        if self._twins is None:
            tokens = self._formed_tokens(text)
        elif self._spm is None:
            tokens = [read for token in self._formed_tokens(text) for read in self._read_word(token)]
        else:
            tokens = self._formed_tokens(self._read_characters(text))
        if not self.spells:
            return tokens
        return [part for token in tokens for part in ([token] if token in self.ids else self._spell(token))]

    def _formed_tokens(self, text: str) -> list[str]:
        return self.cut(text if self.form == "NFC" else _in_form(text, self.form))

    def cut(self, text: str) -> list[str]:
        """The tokens of a text in the form of this side."""
        if self._spm is not None:
            found: list[str] = self._spm.encode(_escaped(text, _RESERVED), out_type=str)
            return found
        return list(filter(None, text.split(self.separator))) if self.separator else _words(text)

    def _spell(self, word: str) -> list[str]:
        first = f"  {word[0]}"
        tokens, rest = ([first], word[1:]) if first in self.ids else (["  "], word)
        for char in rest:
            known = f" {char}"
            tokens += [known] if known in self.ids else [f" <0x{byte:02X}>" for byte in char.encode()]
        return tokens

    def _read_word(self, token: str) -> list[str]:
        """The known tokens instead of this one; the token itself if it is known or has no twin."""
        core = token if self.separator else token.strip(_JOINER)
        if token in self.ids or not core or self._twins is None:
            return [token]
        left, _, right = token.partition(core)
        composed = _in_form(core, "NFC")
        for text in (composed, *self._twins.variants(composed, opening=not left)):
            parts = self._formed_tokens(text)
            parts[:1] = [left + part for part in parts[:1]]
            parts[-1:] = [part + right for part in parts[-1:]]
            known = list(map(self._known_word, parts))
            if known and "" not in known:
                return known
        return [token]

    def _known_word(self, token: str) -> str:
        """The token if it is known, else the most frequent of its forms in another case; empty if none is known."""
        if token in self.ids:
            return token
        twins = [_in_form(other, self.form) for other in _case_twins(token)]
        return min((other for other in twins if other in self.ids), key=self.ids.__getitem__, default="")

    def _read_characters(self, text: str) -> str:
        if self._all_known(text):
            return text
        read = "".join(self._sign(char, before == " ") for char, before in zip(text, " " + text, strict=False))
        read = _LETTERS.sub(lambda match: self._recased(match.group()), read)
        return text if read == text else _in_form(_in_form(read, self.form), "NFC")

    def _sign(self, char: str, opening: bool) -> str:
        if self._all_known(char) or self._twins is None:
            return char
        twins = self._twins.of_sign(char, opening) + ([char.translate(_WIDE)] if char.isascii() else [])
        # A full-width letter of a case that is unknown too becomes a plain one, whose case is next.
        plain = [twin for twin in twins if any(map(self._knows, _case_twins(twin)))]
        return next(filter(self._knows, twins), plain[0] if plain else char)

    def _recased(self, letters: str) -> str:
        if self._all_known(letters):
            return letters
        whole = next(filter(self._all_known, _case_twins(letters)), "")
        return whole or "".join(
            char if self._all_known(char) else next(filter(self._knows, _case_twins(char)), char) for char in letters
        )

    def _all_known(self, text: str) -> bool:
        self._known.update(filter(self._knows, set(text) - self._known))
        return self._known.issuperset(text)

    def _knows(self, text: str) -> bool:
        return not any(map(_BYTE_OR_UNKNOWN.fullmatch, self._formed_tokens(text)))

    # --- to text

    def names(self, ids: Iterable[int]) -> list[str]:
        """The tokens of ids; that of an unknown one is "<unk>"."""
        return [self.tokens[index] for index in ids if index == _UNKNOWN or index >= len(_SPECIALS)]

    def text(self, tokens: Sequence[str]) -> str:
        """The text of any tokens."""
        words = [token for token in tokens if not token.startswith("\t")] if self.feature_separator else tokens
        text = unicodedata.normalize(self.written, self.join(_join_letters(words) if self.spells else words))
        if not self.feature_separator:
            return text
        features = self.feature_separator.join(token[1:] for token in tokens if token.startswith("\t"))
        return f"{text}\t{features}"

    def join(self, tokens: Sequence[str]) -> str:
        """The text of tokens as the tokenizer has them."""
        if self._spm is None:
            return self.separator.join(tokens) if self.separator else _words_text(tokens)
        text = _BYTE_RUN.sub(
            lambda run: _text_of_bytes(bytes.fromhex(run.group().replace("<0x", "").replace(">", ""))), "".join(tokens)
        )
        return _unescaped(text.replace("\u2581", " "), _RESERVED)

    # --- words of the source in place of <unk>

    def whole_words(self, text: str) -> list[str]:
        """For each of `word_tokens(text)` the word that it is part of."""
        tokens = self.word_tokens(text)
        if self.spells:
            starts = [not token.startswith(" ") or token.startswith("  ") for token in tokens]
            words = _join_letters(tokens)
        elif self._spm is None:
            return tokens
        else:
            starts = [k == 0 or token.startswith("\u2581") for k, token in enumerate(tokens)]
            text = text if text.count(" ") == sum(starts) - 1 else self.join(tokens)
            words = [
                max(_words(word), key=lambda token: (_JOINER not in token, len(token)), default="")
                for word in text.split(" ")
            ]
        return [words[number - 1] for number in itertools.accumulate(starts)]

    def as_target(self, word: str, target: "ExportedSide") -> list[str]:
        """The target tokens of one of `whole_words`."""
        own = ("word", "") if self._spm else self.kind
        if own == target.kind and self.form == target.form:
            return [word]
        return target.cut(_in_form(_words_text([word]) if self._spm else self.join([word]), target.form))


def _join_letters(tokens: Iterable[str]) -> list[str]:
    """The words of any tokens: letters joined, other tokens as they are."""
    words: list[str] = []
    letters: list[bytes] = []
    for token in (*tokens, "  "):
        spelled = token.startswith(" ")
        if letters and (not spelled or token.startswith("  ")):
            words.append(re.sub(r"\s", "\ufffd", _text_of_bytes(b"".join(letters))))
            letters = []
        if not spelled:
            words.append(token)
        elif token != "  ":
            byte = re.fullmatch(r" <0x([0-9A-F]{2})>", token)
            letters.append(bytes.fromhex(byte[1]) if byte else token.lstrip(" ").encode())
    return words
