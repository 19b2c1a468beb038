"""Text <-> tokens at character, word and subword level; `detokenize(tokenize(text)) == text` for normalised text.

Normalised text (see `normalise`) is in NFC, with single plain spaces, none at the ends, without control characters.
"""

import hashlib
import random
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, Self

import regex

from wordseq.system.errors import UserError
from wordseq.system.files import read_file, read_json, write_atomically, write_json

JOINER = "\uffed"
"""Marks where a symbol touches its neighbour, left or right, as in OpenNMT: `l ￭'￭ homme`."""

# A bound on memory: the trainer holds all sentences, about 100 MB of text.
MAX_TRAINING_SENTENCES = 1_000_000
"""SentencePiece learns from at most this many sentences; of a larger corpus it gets a sample, drawn with a fixed seed."""


class Tokenizer(Protocol):
    """The interface of the tokenizers of all levels."""

    @property
    def level(self) -> str:
        """The name in `TOKENIZERS`."""

    @property
    def fingerprint(self) -> bytes:
        """A digest; tokenizers of one level with equal digests give the same tokens."""

    def tokenize(self, text: str) -> list[str]:
        """The tokens of one line of normalised text; none for an empty line. Only symbols may hold spaces."""

    def detokenize(self, tokens: Sequence[str]) -> str:
        """The text of any tokens, also of sequences that `tokenize` never returns."""

    def save(self, folder: Path, side: str) -> None:
        """Write the files of `side` ("src" or "tgt") for `load_tokenizer`."""

    @classmethod
    def train(cls, level: str, sentences: Iterable[str], *, subword_size: int, separator: str) -> Self:
        """See `train_tokenizer`."""

    @classmethod
    def load(cls, header: Mapping[str, Any], folder: Path, side: str) -> Self:
        """See `load_tokenizer`; `header` is the content of `SIDE.tokenizer.json`."""


def train_tokenizer(
    level: str, sentences: Iterable[str], *, subword_size: int = 8000, separator: str = ""
) -> Tokenizer:
    """A tokenizer of `level`, trained on normalised sentences. The same sentences give the same tokenizer.

    Args:
        level: a name in `TOKENIZERS`.
        sentences: training text. Words and symbols need no training and do not read them. The other levels read them once,
            and sample if there are more than `MAX_TRAINING_SENTENCES`.
        subword_size: bpe and unigram: size of the vocabulary, 256 bytes and 4 special tokens included.
        separator: words and symbols: split at this string only; empty: words by rules.

    Raises:
        UserError: the text is empty, or `subword_size` is smaller than the number of characters.
        ValueError: the level is unknown.
    """
    if level not in TOKENIZERS:
        raise ValueError(f"unknown level {level!r}; choose from {_LEVEL_NAMES}")
    return TOKENIZERS[level].train(level, sentences, subword_size=subword_size, separator=separator)


def load_tokenizer(folder: Path, side: str) -> Tokenizer:
    """The tokenizer that `save` wrote to `folder` for `side` ("src" or "tgt").

    Raises:
        UserError: a file is missing or damaged; the message names it.
    """
    path = _header_path(folder, side)
    header = read_json(path)
    level = header.get("level")
    if not isinstance(level, str) or level not in TOKENIZERS:
        raise UserError(f"{path}: level = {level!r}; choose from {_LEVEL_NAMES}")
    return TOKENIZERS[level].load(header, folder, side)


_WORD = r"\p{L}\p{M}\p{N}\u200c\u200d"

# A symbol is neither word nor space: one flag, or one character with its marks, variation selectors and joined emoji.
# Flags come first, because \X scans back over a complete run of flags: quadratic time. A character that \X would join to
# the *next* one (the Arabic number sign) is a symbol by itself.
_SYMBOL = regex.compile(rf"(?![{_WORD} ])(?:\p{{RI}}{{2}}|\p{{GCB=Prepend}}|\X)")

_WORD_FOLLOWS = regex.compile(rf"[{_WORD}]")


@dataclass(frozen=True)
class WordTokenizer:
    """Words and symbols, with joiner marks on the symbols, so that a word is the same token before a comma or a space.

    A word is a run of letters, digits, combining marks and zero-width (non-)joiners. Every other character, with its
    combining marks, is a symbol. A symbol has a joiner on its left if it touches anything there, and a joiner on its
    right if it touches a word there:

        Aujourd'hui, 3.5 km (U.S.)...   ->   Aujourd ￭'￭ hui ￭, 3 ￭.￭ 5 km (￭ U ￭.￭ S ￭. ￭) ￭. ￭. ￭.

    Two words never touch, so nothing else needs a mark. Scripts without spaces (Chinese, Japanese, Thai) come out as
    long words: use another level for them, or a segmenter and a separator.

    With a separator the text is cut there and nowhere else, without marks: "t͡ʃʰ a̠ː" has two symbols.

    Attributes:
        separator: the string between tokens; empty: words by the rules above.
        level: "word", or "symbols" where every string between two separators is a symbol of the language.
    """

    separator: str = ""
    level: str = "word"

    @property
    def fingerprint(self) -> bytes:
        """The separator."""
        return self.separator.encode()

    def tokenize(self, text: str) -> list[str]:
        """Words and marked symbols, in order, or what stands between separators. Linear in the length of the text."""
        if not text:
            return []
        if self.separator:
            # Cleaning removes empty strings from training text; the input of a translation may have some.
            return [token for token in text.split(self.separator) if token]
        return _SYMBOL.sub(_mark, text).split(" ")

    def detokenize(self, tokens: Sequence[str]) -> str:
        """The tokens, joined by the separator, or by a space where neither has a joiner."""
        if self.separator:
            return self.separator.join(tokens)
        text = " ".join(tokens)
        text = text.replace(f" {JOINER}", "").replace(f"{JOINER} ", "").replace(JOINER, "")
        return _unescape(text, JOINER)

    def save(self, folder: Path, side: str) -> None:
        """Write `SIDE.tokenizer.json`."""
        write_json(_header_path(folder, side), {"level": self.level, "separator": self.separator})

    @classmethod
    def train(cls, level: str, sentences: Iterable[str], *, subword_size: int, separator: str) -> Self:
        """The rules are fixed: only `level` and `separator` have an effect."""
        return cls(separator, level)

    @classmethod
    def load(cls, header: Mapping[str, Any], folder: Path, side: str) -> Self:
        """Read `SIDE.tokenizer.json`.

        Raises:
            UserError: the file is damaged.
        """
        separator, level = header.get("separator"), header["level"]
        if not isinstance(separator, str) or (level == "symbols" and not separator):
            raise UserError(
                f"{_header_path(folder, side)}: separator must be the text between tokens, got {separator!r}"
            )
        return cls(separator, level)


def _mark(match: "regex.Match[str]") -> str:
    """A symbol with its joiners, and a space outside each joiner, where the text has none."""
    text, start, end = match.string, match.start(), match.end()
    left = f" {JOINER}" if start > 0 and text[start - 1] != " " else ""
    right = f"{JOINER} " if _WORD_FOLLOWS.match(text, end) else ""
    return f"{left}{_escape(match.group(), JOINER)}{right}"


# Escaped because SentencePiece loses them: U+2581 is its space, it drops lines with U+2585, and cuts lines at "<unk>".
# After escaping only bytes and special tokens contain "<", so "<0x41>" in a text is not mistaken for a byte.
_RESERVED = "\u2581\u2585<"

SPACE = "\u2581"
"""Stands for the space before a word, at the beginning of a subword."""

_BYTES = re.compile(r"(?:<0x[0-9A-F]{2}>)+")

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_FIXED_SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        # The ids of `wordseq.text.vocab`. SentencePiece has no padding id by default.
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": 2,
        "eos_id": 3,
        # Lossless: byte fallback for unseen characters, no normalisation, spaces kept.
        "byte_fallback": True,
        "character_coverage": 1.0,
        "normalization_rule_name": "identity",
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        # SentencePiece silently drops lines longer than this many bytes (default 4,192). 2**30 is the largest value it accepts.
        "max_sentence_length": 2**30,
        # A unigram model depends on the number of threads.
        "num_threads": 1,
        # A small text gives fewer subwords instead of an error.
        "hard_vocab_limit": False,
        # Fatal errors only; SentencePiece logs each training to standard error.
        "minloglevel": 3,
    }
)

# The vocabulary size of the char level: no limit, as Unicode has 1,114,112 code points.
_MORE_THAN_UNICODE_HAS = 1_200_000


class SentencePieceTokenizer:
    """Characters, or subwords by byte-pair encoding or a unigram model, with byte fallback.

    The first token of a word starts with "▁", which stands for the space before the word. The first word of a line has none.

    Args:
        level: "char", "bpe" or "unigram".
        model: content of a SentencePiece model file.

    Attributes:
        model: as given.
        tokens: all tokens in the order of their ids: padding, unknown, begin, end, 256 bytes, then the learnt ones.

    Raises:
        ValueError: `model` is not a SentencePiece model.
    """

    def __init__(self, level: str, model: bytes) -> None:
        # Imported here: the word level does not need it.
        from sentencepiece import SentencePieceProcessor  # noqa: PLC0415

        try:
            self._processor = SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise ValueError(f"not a SentencePiece model: {error}") from None
        self.model = model
        self.level = level
        self.tokens: tuple[str, ...] = tuple(self._processor.id_to_piece(list(range(len(self._processor)))))

    @property
    def scores(self) -> Mapping[str, float]:
        """The score of each learnt token. Unigram: the logarithm of its probability; bpe: higher for earlier merges."""
        model = self._processor
        other = (model.is_control, model.is_unknown, model.is_byte)
        learnt = [index for index in range(len(self.tokens)) if not any(test(index) for test in other)]
        return {self.tokens[index]: model.get_score(index) for index in learnt}

    @property
    def fingerprint(self) -> bytes:
        """The SHA-256 of the model."""
        return _sha256(self.model).encode()

    def tokenize(self, text: str) -> list[str]:
        """The tokens of the text; a byte is written as "<0xC3>"."""
        return self._processor.encode(_escape(text, _RESERVED), out_type=str)

    def detokenize(self, tokens: Sequence[str]) -> str:
        """The text of the tokens; bytes that are not UTF-8 and control characters become U+FFFD."""
        text = "".join(tokens)
        if "<0x" in text:
            text = _BYTES.sub(_from_bytes, text)
        return _unescape(text.replace(SPACE, " "), _RESERVED)

    def save(self, folder: Path, side: str) -> None:
        """Write `SIDE.spm.model`, and its checksum in `SIDE.tokenizer.json`."""
        write_atomically(_model_path(folder, side), self.model)
        write_json(_header_path(folder, side), {"level": self.level, "model_sha256": _sha256(self.model)})

    @classmethod
    def train(cls, level: str, sentences: Iterable[str], *, subword_size: int, separator: str) -> Self:
        """Learn from sentences; print a line if the text is too small for `subword_size` subwords.

        Raises:
            UserError: the text is empty, or has more characters than `subword_size` has room for.
        """
        sample = _sample((_escape(text, _RESERVED) for text in sentences if text), MAX_TRAINING_SENTENCES)
        if not sample:
            raise UserError(f"no training text for the {level} level: every sentence is empty")
        size = _MORE_THAN_UNICODE_HAS if level == "char" else subword_size
        # Unigram training considers only strings that occur before two different characters. A word that is always followed by
        # a space, such as German "einem", never becomes a subword, however frequent (google/sentencepiece#1047). So each
        # distinct word is added once, followed by a character that hardly any text contains. On Multi30k this makes German
        # 4 % shorter in subwords.
        words = dict.fromkeys(word for text in sample for word in text.split(" ")) if level == "unigram" else {}
        text = [*sample, *(f" {word}{_ESCAPE}" for word in words)]
        tokenizer = cls(level, _train_model(text, level, size))
        if level != "char" and len(tokenizer.tokens) < size:
            print(
                f"data.subword_size = {size}, but the text has only {len(tokenizer.tokens)} {level} subwords",
                file=sys.stderr,
            )
        return tokenizer

    @classmethod
    def load(cls, header: Mapping[str, Any], folder: Path, side: str) -> Self:
        """Read `SIDE.spm.model`.

        Raises:
            UserError: the file is missing, or differs from what was saved.
        """
        path = _model_path(folder, side)
        model = read_file(path)
        if _sha256(model) != header.get("model_sha256"):
            raise UserError(f"{path}: damaged: its SHA-256 is not the one in {_header_path(folder, side).name}")
        try:
            return cls(header["level"], model)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None


def _train_model(sentences: Sequence[str], level: str, size: int) -> bytes:
    """The content of a model file, from a trained model."""
    from sentencepiece import SentencePieceTrainer  # noqa: PLC0415

    model = BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type=level,
            vocab_size=size,
            **_FIXED_SETTINGS,
        )
    except RuntimeError as error:
        # SentencePiece's own message names its flags, not our settings; the needed size is in it.
        needed = re.search(r"required_chars\D*\d+ vs (\d+)", str(error))
        if not needed:
            raise
        raise UserError(
            f"data.subword_size = {size} has no room for every character of the text; set it to at least {needed[1]}"
        ) from None
    return model.getvalue()


def _from_bytes(match: "re.Match[str]") -> str:
    return text_of_bytes(bytes.fromhex(match.group().replace("<0x", "").replace(">", "")))


def text_of_bytes(content: bytes) -> str:
    """The text of bytes that a model wrote; those that are not UTF-8 and control characters become U+FFFD."""
    return _CONTROLS.sub("\ufffd", content.decode("utf-8", errors="replace"))


def _sample(sentences: Iterable[str], limit: int) -> list[str]:
    """All sentences, or `limit` of them drawn with a fixed seed (reservoir sampling, Vitter 1985, algorithm R)."""
    kept: list[str] = []
    generator = random.Random(1)
    for seen, text in enumerate(sentences):
        if seen < limit:
            kept.append(text)
        # Not `randrange`: only `random` is the same in every Python version.
        elif (slot := int(generator.random() * (seen + 1))) < limit:
            kept[slot] = text
    return kept


TOKENIZERS: Mapping[str, type[Tokenizer]] = MappingProxyType(
    {
        "char": SentencePieceTokenizer,
        "word": WordTokenizer,
        "bpe": SentencePieceTokenizer,
        "unigram": SentencePieceTokenizer,
        "symbols": WordTokenizer,
    }
)
"""By level: those of `data.level`, and "symbols", the level of text that `data.src_separator` or `tgt_separator` cuts."""

_LEVEL_NAMES = ", ".join(sorted(TOKENIZERS))

_ESCAPE = "\uffee"


def _escape(text: str, reserved: str) -> str:
    """The text without the reserved characters: each becomes the escape character and a digit."""
    # The escape character is first, so that those of the text are escaped before any is inserted.
    for digit, char in enumerate(_ESCAPE + reserved):
        if char in text:
            text = text.replace(char, f"{_ESCAPE}{digit}")
    return text


def _unescape(text: str, reserved: str) -> str:
    """Undo `_escape`; an escape character without a digit stays, because a model may generate one."""
    if _ESCAPE in text:
        for digit, char in reversed(list(enumerate(_ESCAPE + reserved))):
            text = text.replace(f"{_ESCAPE}{digit}", char)
    return text


def _header_path(folder: Path, side: str) -> Path:
    return folder / f"{side}.tokenizer.json"


def _model_path(folder: Path, side: str) -> Path:
    return folder / f"{side}.spm.model"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
