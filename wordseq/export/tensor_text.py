"""Text to ids and back within a TensorFlow graph, by string operations and lookup tables, at the word and the character level.

The results are those of `wordseq.text` for texts in NFC: TensorFlow cannot compose a letter and its mark. What the vocabulary
does not know is read in another case or as the twin of a sign. Of `text.twins`, full-width words are missing, and at the
character level letters are read in another case one by one.
"""

import string
from collections.abc import Iterable

import tensorflow as tf

from wordseq.text.tokenizers import JOINER, WordTokenizer
from wordseq.text.twins import Twins, sign_tables
from wordseq.text.vocab import BOS_ID, EOS_ID, PAD_ID, UNK_ID, TextCodec

# Control characters, which no text has, mark where a token begins and ends.
_BEGIN, _END, _BETWEEN = "\x01", "\x02", "\x03"

# The escape character and the joiner of a text.
_OWN_ESCAPE, _OWN_JOINER = "\x04", "\x05"

_WORD = r"\p{L}\p{M}\p{N}\x{200c}\x{200d}"

_REMOVED = (
    r"[\x{200b}\x{2060}\x{feff}\x{ad}\x{61c}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}"
    r"\x00-\x08\x0e-\x1b\x7f-\x{84}\x{86}-\x{9f}]"
)
_SPACES = r"[ \x{a0}\x{202f}\t\n\v\f\r\x1c-\x1f\x{85}\x{2028}\x{2029}\x{1680}\x{2000}-\x{200a}\x{205f}\x{3000}]+"

_ESCAPE = "\uffee"

_ODD = r"[\x{80}-\x{9f}\x{2028}\x{2029}]"
"""Control characters of more than one byte, which a model may write as bytes."""

_ODD_IN_WORD = r"[\x{80}-\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
"""Those, and spaces."""


def handles(codec: TextCodec) -> bool:
    """Whether strings can be read or written: words, symbols and characters; no subwords, features or other Unicode forms."""
    plain = codec.form == codec.written == "NFC" and not codec.feature_separator
    return plain and (isinstance(codec.tokenizer, WordTokenizer) or codec.tokenizer.level == "char")


class TensorCodec(tf.Module):
    """A codec of strings.

    Args:
        codec: that `handles` accepts.
        lowercase: `data.lowercase`.
    """

    def __init__(self, codec: TextCodec, lowercase: bool) -> None:
        super().__init__()
        self.codec, self.lowercase = codec, lowercase
        self.words = isinstance(codec.tokenizer, WordTokenizer)
        ids = codec.vocab.ids
        self.ids = _table(ids.keys(), list(ids.values()), UNK_ID)
        prefix = " " if codec.vocab.speller else ""
        self.bytes = _table(
            [bytes([byte]) for byte in range(256)], [f"{prefix}<0x{byte:02X}>" for byte in range(256)], ""
        )
        twins = _symbol_twins(codec) if codec.twins is Twins.ALL else {}
        # A key, because a table cannot be empty.
        self.twins = _table([*twins, ""], [*twins.values(), ""], "")
        self.parts = tf.constant([self._part(index) for index in range(len(codec.vocab))])

    def prepare(self, texts_b: tf.Tensor) -> tf.Tensor:
        """See `text.normalise`, without NFC."""
        texts_b = tf.strings.regex_replace(texts_b, _REMOVED, "")
        texts_b = tf.strings.strip(tf.strings.regex_replace(texts_b, _SPACES, " "))
        return tf.strings.lower(texts_b, encoding="utf-8") if self.lowercase else texts_b

    def tokens(self, texts_b: tf.Tensor) -> tf.RaggedTensor:
        """The tokens of prepared texts, as the model reads them."""
        found = self._cut_words(texts_b) if self.words else self._cut_characters(texts_b)
        if self.words and self.codec.twins is Twins.ALL:
            found = self._read(found)
        return self._spelled(found) if self.codec.vocab.speller else found

    def to_ids(self, tokens: tf.RaggedTensor) -> tf.Tensor:
        """Ids `[b, s]` of tokens, each row with EOS at its end and then PAD."""
        ids = tokens.with_flat_values(self.ids.lookup(tokens.flat_values))
        ends = tf.fill([ids.nrows(), 1], EOS_ID)
        return tf.concat([ids, tf.RaggedTensor.from_tensor(ends)], 1).to_tensor(PAD_ID)

    def to_text(self, ids_bt: tf.Tensor) -> tf.Tensor:
        """The texts `[b]` of ids with anything after EOS left out."""
        return self.join(tf.gather(self.parts, ids_bt))

    def join(self, parts_bt: tf.Tensor) -> tf.Tensor:
        """The texts of parts, see `part_of`."""
        texts_b = tf.strings.reduce_join(parts_bt, -1)
        # Bytes that are not UTF-8 become U+FFFD.
        texts_b = tf.strings.unicode_transcode(texts_b, "UTF-8", "UTF-8")
        texts_b = tf.strings.regex_replace(texts_b, _ODD_IN_WORD if self.words else _ODD, "\ufffd")
        if not self.words:
            for digit, char in ((3, "<"), (2, "\u2585"), (1, "\u2581"), (0, _ESCAPE)):
                texts_b = tf.strings.regex_replace(texts_b, f"{_ESCAPE}{digit}", char)
            return texts_b
        for pattern, other in (
            (f"{_END}?{_BEGIN}+", _BETWEEN),
            (f"{_END}$", ""),
            (_END, _BETWEEN),
            (f"^{_BETWEEN}", ""),
        ):
            texts_b = tf.strings.regex_replace(texts_b, pattern, other)
        separator = self.codec.tokenizer.separator if isinstance(self.codec.tokenizer, WordTokenizer) else ""
        if separator:
            return tf.strings.regex_replace(texts_b, _BETWEEN, separator.replace("\\", "\\\\"))
        for pattern, other in (
            (f"{_BETWEEN}{JOINER}", ""),
            (f"{JOINER}{_BETWEEN}", ""),
            (JOINER, ""),
            (_BETWEEN, " "),
            (f"{_ESCAPE}1", JOINER),
            (f"{_ESCAPE}0", _ESCAPE),
        ):
            texts_b = tf.strings.regex_replace(texts_b, pattern, other)
        return texts_b

    def part_of(self, words: tf.Tensor) -> tf.Tensor:
        """Words of the source as parts of a text, for `join`."""
        return tf.strings.join([_BEGIN, words, _END]) if self.words else words

    def _part(self, index: int) -> bytes:
        """What an id adds to a text."""
        if index in (PAD_ID, BOS_ID, EOS_ID):
            return b""
        if index == UNK_ID:
            return f"{_BEGIN}<unk>{_END}".encode() if self.words else b"<unk>"
        (token,) = self.codec.vocab.to_tokens([index])
        letters = token.lstrip(" ")
        content = letters.encode()
        if self._is_byte(token):
            # A control character is written as U+FFFD, and so is a space in a word.
            byte = int(letters[3:5], 16)
            content = "\ufffd".encode() if byte < 0x20 + self.words or byte == 0x7F else bytes([byte])
        if not self.words:
            return content if self._is_byte(token) else token.replace("\u2581", " ").encode()
        if not self.codec.vocab.speller or not token.startswith(" "):
            return f"{_BEGIN}{token}{_END}".encode()
        return _BEGIN.encode() + content if token.startswith("  ") else content

    def _is_byte(self, token: str) -> bool:
        if self.words:
            return bool(self.codec.vocab.speller) and token.startswith(" <0x") and len(token) == 7
        return token.startswith("<0x") and len(token) == 6

    def _cut_words(self, texts_b: tf.Tensor) -> tf.RaggedTensor:
        tokenizer = self.codec.tokenizer
        if isinstance(tokenizer, WordTokenizer) and tokenizer.separator:
            parts = tf.strings.split(texts_b, tokenizer.separator)
            return tf.ragged.boolean_mask(parts, parts != "")
        for pattern, other in (
            # Escaped at the end: the digit of an escape would be a word here.
            (_ESCAPE, _OWN_ESCAPE),
            (JOINER, _OWN_JOINER),
            # A symbol with its marks and variation selectors, joined emoji, or a flag.
            (
                rf"([\x{{1f1e6}}-\x{{1f1ff}}]{{2}}|[^{_WORD} \x{{1f1e6}}-\x{{1f1ff}}]\p{{M}}*|[\x{{1f1e6}}-\x{{1f1ff}}])",
                rf"{_BEGIN}\1{_END}",
            ),
            (f"{_END}([{_WORD}])", rf"{JOINER} \1"),
            (f"^{_BEGIN}", ""),
            (f" {_BEGIN}", " "),
            (_BEGIN, f" {JOINER}"),
            (_END, ""),
            (_OWN_ESCAPE, f"{_ESCAPE}0"),
            (_OWN_JOINER, f"{_ESCAPE}1"),
        ):
            texts_b = tf.strings.regex_replace(texts_b, pattern, other)
        return tf.strings.split(texts_b)

    def _cut_characters(self, texts_b: tf.Tensor) -> tf.RaggedTensor:
        for digit, char in enumerate((_ESCAPE, "\u2581", "\u2585", "<")):
            texts_b = tf.strings.regex_replace(texts_b, char, f"{_ESCAPE}{digit}")
        texts_b = tf.strings.regex_replace(texts_b, " ", "\u2581")
        chars = tf.strings.unicode_split(texts_b, "UTF-8")
        flat = chars.flat_values
        if self.codec.twins is Twins.ALL:
            before = tf.concat([["\u2581"], flat[:-1]], 0)
            opens = (before == "\u2581") | (tf.ragged.range(chars.row_lengths()).flat_values == 0)
            # A sign at the beginning of a word has twins of its own.
            twins = self.twins.lookup(tf.where(opens, _BEGIN + flat, flat))
            cased = [tf.strings.lower(flat, encoding="utf-8"), tf.strings.upper(flat, encoding="utf-8")]
            read = _first_known(self.ids, [flat, *cased], self._or_bytes(flat, flat))
            return self._split(chars, tf.where((self.ids.lookup(flat) == UNK_ID) & (twins != ""), twins, read))
        return self._split(chars, self._or_bytes(flat, flat))

    def _read(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        """Unknown words in another case, the most frequent that is known; unknown symbols as their twins."""
        flat = tokens.flat_values
        first, rest = (
            tf.strings.substr(flat, 0, 1, unit="UTF8_CHAR"),
            tf.strings.substr(flat, 1, 10**6, unit="UTF8_CHAR"),
        )
        lower, upper = (change(flat, encoding="utf-8") for change in (tf.strings.lower, tf.strings.upper))
        capital = tf.strings.upper(first, encoding="utf-8") + tf.strings.lower(rest, encoding="utf-8")
        ids_3n = tf.stack([self.ids.lookup(other) for other in (lower, capital, upper)])
        ids_3n = tf.where(ids_3n == UNK_ID, tf.int32.max, ids_3n)
        best_n = tf.argmin(ids_3n, 0, tf.int32)
        twin = tf.where(
            tf.reduce_min(ids_3n, 0) < tf.int32.max,
            tf.gather(tf.stack([lower, capital, upper], 1), best_n, batch_dims=1),
            flat,
        )
        found = self.twins.lookup(flat)
        twin = tf.where(found == "", twin, found)
        return self._split(tokens, tf.where(self.ids.lookup(flat) == UNK_ID, twin, flat))

    def _spelled(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        """See `text.rare_words`."""
        chars = tf.strings.unicode_split(tokens.flat_values, "UTF-8")
        flat = chars.flat_values
        plain = self._or_bytes(" " + flat, flat)
        places = tf.ragged.range(chars.row_lengths()).flat_values
        marked = "  " + flat
        start = tf.where(self.ids.lookup(marked) == UNK_ID, "  " + _BETWEEN + plain, marked)
        letters = chars.with_flat_values(tf.where(places == 0, start, plain))
        spelled = tf.strings.reduce_join(letters, -1, separator=_BETWEEN)
        known = self.ids.lookup(tokens.flat_values) != UNK_ID
        return self._split(tokens, tf.where(known, tokens.flat_values, spelled))

    def _or_bytes(self, tokens: tf.Tensor, chars: tf.Tensor) -> tf.Tensor:
        """Known tokens, or else the tokens of their bytes."""
        parts = tf.strings.bytes_split(chars)
        spelled = tf.strings.reduce_join(
            parts.with_flat_values(self.bytes.lookup(parts.flat_values)), -1, separator=_BETWEEN
        )
        return tf.where(self.ids.lookup(tokens) == UNK_ID, spelled, tokens)

    def _split(self, tokens: tf.RaggedTensor, replaced: tf.Tensor) -> tf.RaggedTensor:
        """Tokens in place of others, several separated by `_BETWEEN`."""
        parts = tokens.with_flat_values(tf.strings.split(replaced, _BETWEEN))
        return parts.merge_dims(1, 2)


def _table(keys: Iterable[str | bytes], values: list[int] | list[str], default: int | str) -> tf.lookup.StaticHashTable:
    kind = tf.int32 if isinstance(default, int) else tf.string
    initial = tf.lookup.KeyValueTensorInitializer(tf.constant(list(keys)), tf.constant(values, kind))
    return tf.lookup.StaticHashTable(initial, default)


def _first_known(ids: tf.lookup.StaticHashTable, choices: list[tf.Tensor], otherwise: tf.Tensor) -> tf.Tensor:
    found = otherwise
    for choice in reversed(choices):
        found = tf.where(ids.lookup(choice) == UNK_ID, found, choice)
    return found


def _symbol_twins(codec: TextCodec) -> dict[str, str]:
    """For each unknown sign that has a twin its tokens, separated by `_BETWEEN`; at the beginning of a word after `_BEGIN`."""
    tables = sign_tables()
    wide = (chr(code + 0xFEE0) for code in range(0x21, 0x7F))
    signs = {*tables["signs"], *"".join(tables["signs"].values()), *string.punctuation, *wide} - {" "}
    found: dict[str, list[str]] = {}
    if isinstance(codec.tokenizer, WordTokenizer):
        for sign in signs:
            for token in (f"{left}{sign}{right}" for left in ("", JOINER) for right in ("", JOINER)):
                if token not in codec.vocab and (read := codec.read_word(token)) != [token]:
                    found[token] = read
        return {token: _BETWEEN.join(read) for token, read in found.items()}
    # After a letter, or alone, which is the beginning of a word.
    letter = codec.tokenize("a")
    for sign in signs - {"<", "\u2581", "\u2585"}:
        found[sign], found[_BEGIN + sign] = codec.tokenize(f"a{sign}")[len(letter) :], codec.tokenize(sign)
    return {sign: _BETWEEN.join(read) for sign, read in found.items()}
