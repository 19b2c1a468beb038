"""Vocabularies (tokens <-> ids), their coverage of a text, and codecs (text <-> ids)."""

import hashlib
import heapq
import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, cast

from wordseq.config.data import FORMS
from wordseq.system.errors import UserError
from wordseq.system.files import read_json, write_json
from wordseq.text.features import MARK, feature_tokens, features_of, join_features, shown_token, split_features, word_of
from wordseq.text.normalise import in_form
from wordseq.text.rare_words import LETTER, WORD_START, LetterCounts, Speller, join_letters, shown_letter
from wordseq.text.spelling import Spelling
from wordseq.text.tokenizers import (
    JOINER,
    SPACE,
    SentencePieceTokenizer,
    Tokenizer,
    WordTokenizer,
    load_tokenizer,
)
from wordseq.text.twins import CharacterReader, Reader, Twins, WordReader, replaced_words

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3

SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
"""Names of the first ids. They are not tokens: "<s>" in a text never gets the id 2."""

NOT_COPIED = -1
"""In place of a target id: nothing is copied."""

# JSON can hold a lone surrogate, UTF-8 cannot: such a token would fail later, when a translation is written.
_SURROGATES = re.compile("[\ud800-\udfff]")

_SILENT_IDS = frozenset({PAD_ID, BOS_ID, EOS_ID})


def twins_of(side: str, tokenizer: Tokenizer) -> Twins:
    """What is read as its twin: nothing in targets, as the likelihood of a reference is not that of another text.

    Nothing in symbols either: "A" and "a", or two apostrophes, may be different phones.
    """
    return Twins.ALL if side == "src" and tokenizer.level != "symbols" else Twins.NONE


class Vocab:
    """Ids of tokens: 0-3 are special, then come the given tokens in their order.

    Args:
        tokens: distinct tokens without the special ones; the first gets id 4. Characters that spell other words, see
            `wordseq.text.rare_words`, are first. Features, see `wordseq.text.features`, are last.

    Attributes:
        features: number of features: the last ids.
        speller: spells the words that are not in the vocabulary; None: they are unknown.

    Raises:
        ValueError: a token appears twice, stands after a feature, or is a character among the words.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens = tuple(tokens)
        self.features = sum(token.startswith(MARK) for token in self.tokens)
        if not all(token.startswith(MARK) for token in self.tokens[len(self.tokens) - self.features :]):
            raise ValueError("a token stands after a feature")
        # No other level has this token: a text has no two spaces in a row.
        spells = self.tokens[:1] == (WORD_START,)
        letters = sum(token.startswith(LETTER) for token in self.tokens) if spells else 0
        if not all(token.startswith(LETTER) for token in self.tokens[:letters]):
            raise ValueError("a character stands among the words")
        self.speller = Speller(self.tokens[:letters]) if spells else None
        self._names = SPECIALS + self.tokens
        self._ids = {token: index for index, token in enumerate(self.tokens, start=len(SPECIALS))}
        if len(self._ids) < len(self.tokens):
            twice = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise ValueError(f"token {twice!r} appears more than once")

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    @property
    def ids(self) -> Mapping[str, int]:
        """The id of each token; those of `vocab_of_counts` ascend as the tokens become rarer."""
        return MappingProxyType(self._ids)

    @property
    def words(self) -> Mapping[str, int]:
        """The id of each token that is no feature and does not spell."""
        first = self.speller.size if self.speller else 0
        chosen = self.tokens[first : len(self.tokens) - self.features]
        return {token: index for index, token in enumerate(chosen, len(SPECIALS) + first)}

    def spell(self, tokens: list[str]) -> list[str]:
        """The tokens, with those that are not in the vocabulary spelled, if it has characters for it."""
        if self.speller is None:
            return tokens
        spell, ids = self.speller.spell, self._ids
        return [part for token in tokens for part in ((token,) if token in ids else spell(token))]

    def to_ids(self, tokens: Iterable[str]) -> list[int]:
        """One id for each token; UNK_ID for tokens not in the vocabulary. Never PAD_ID, BOS_ID or EOS_ID."""
        ids = self._ids
        return [ids.get(token, UNK_ID) for token in tokens]

    def to_tokens(self, ids: Iterable[int]) -> list[str]:
        """The tokens of the ids. UNK_ID becomes "<unk>"; PAD_ID, BOS_ID and EOS_ID are left out.

        Raises:
            ValueError: an id is out of range.
        """
        names = self._names
        tokens = []
        for index in ids:
            if not 0 <= index < len(names):
                raise ValueError(f"id {index} is not in a vocabulary of {len(names)}; ids are 0 to {len(names) - 1}")
            if index not in _SILENT_IDS:
                tokens.append(names[index])
        return tokens

    def unknown(self, tokens: Iterable[str]) -> list[str]:
        """The tokens that are not in the vocabulary, in order, with repetitions."""
        return [token for token in tokens if token not in self._ids]

    def lacks(self, tokens: Iterable[str]) -> bool:
        """Whether one of the tokens is not in the vocabulary, or spells a word that is not."""
        return any(token not in self._ids or (self.speller and token.startswith(LETTER)) for token in tokens)

    def save(self, folder: Path, side: str) -> None:
        """Write `SIDE.vocab.json`, one token per line."""
        write_json(_path(folder, side), {"size": len(self.tokens), "features": self.features, "tokens": self.tokens})

    @classmethod
    def load(cls, folder: Path, side: str) -> Self:
        """The vocabulary that `save` wrote.

        Raises:
            UserError: the file is missing or damaged; the message names it.
        """
        path = _path(folder, side)
        try:
            values = read_json(path)
            tokens = values.get("tokens")
            if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
                raise ValueError("tokens must be a list of non-empty strings")
            if any(not token.isascii() and _SURROGATES.search(token) for token in tokens):
                raise ValueError("a token contains a lone surrogate")
            if values.get("size") != len(tokens):
                # A cut-off file is not JSON; a hand-edited one may have lost tokens, which would shift all later ids.
                raise ValueError(f"size = {values.get('size')!r}, but it has {len(tokens)} tokens")
            found = cls(tokens)
            if values.get("features") != found.features:
                raise ValueError(f"features = {values.get('features')!r}, but it has {found.features}")
            return found
        except ValueError as error:
            raise UserError(f"{path}: damaged: {error}") from None


def vocab_of_counts(counts: Iterable[tuple[str, int]], min_freq: int = 1, max_size: int = 0) -> Vocab:
    """A vocabulary of the most frequent tokens, by falling frequency; those of equal frequency are in code point order.

    Args:
        counts: distinct tokens, each with its number of occurrences. With `max_size` only that many are in memory at once.
        min_freq: tokens with fewer occurrences are left out.
        max_size: keep at most N tokens, the 4 special ones not counted; 0: no limit.
    """
    frequent = ((-count, token) for token, count in counts if count >= min_freq)
    kept = heapq.nsmallest(max_size, frequent) if max_size else sorted(frequent)
    return Vocab(token for _, token in kept)


def spelling_vocab(counts: Iterable[tuple[str, int]], min_freq: int = 1, max_size: int = 0) -> Vocab:
    """As `vocab_of_counts`, with tokens for the characters of all these words, frequent or not: it spells what it lacks.

    `min_freq` applies to characters too, `max_size` does not.
    """
    letters = LetterCounts()
    words = vocab_of_counts(letters.watch(counts), min_freq, max_size).tokens
    return Vocab([*letters.tokens(min_freq), *words])


def vocab_of_model(tokenizer: SentencePieceTokenizer) -> Vocab:
    """The vocabulary of a SentencePiece model; every token keeps the id that it has in the model."""
    return Vocab(tokenizer.tokens[len(SPECIALS) :])


@dataclass(frozen=True)
class Coverage:
    """Known and unknown tokens of a text.

    Attributes:
        tokens: number of tokens in the text, repetitions counted.
        unknown: number of occurrences of each unknown token, the most frequent first.
        words: number of tokens, a spelled word counted once.
        spelled: number of spelled words; None: the vocabulary spells none.
    """

    tokens: int
    unknown: Mapping[str, int]
    words: int
    spelled: int | None

    @property
    def unknown_tokens(self) -> int:
        """Number of tokens that are not in the vocabulary, repetitions counted."""
        return sum(self.unknown.values())

    @property
    def share(self) -> float:
        """Share of known tokens, 0 to 1; 1 if there are no tokens."""
        return 1 - self.unknown_tokens / self.tokens if self.tokens else 1.0

    @property
    def spelled_share(self) -> float | None:
        """Share of spelled words among the words, 0 to 1; None: the vocabulary spells none."""
        return None if self.spelled is None else self.spelled / max(self.words, 1)


def coverage(vocab: Vocab, sentences: Iterable[Sequence[str]]) -> Coverage:
    """Count known and unknown tokens of tokenized sentences."""
    counts = Counter(token for tokens in sentences for token in tokens)
    unknown = [(token, count) for token, count in counts.items() if token not in vocab]
    unknown.sort(key=lambda item: (-item[1], item[0]))
    if vocab.speller is None:
        return Coverage(counts.total(), dict(unknown), counts.total(), None)
    letters = {token: count for token, count in counts.items() if token.startswith(LETTER)}
    spelled = sum(count for token, count in letters.items() if token.startswith(WORD_START))
    return Coverage(counts.total(), dict(unknown), counts.total() - sum(letters.values()) + spelled, spelled)


@dataclass(frozen=True)
class TextCodec:
    """Text <-> ids for source or target: a tokenizer and its vocabulary.

    Attributes:
        tokenizer: text <-> tokens.
        vocab: tokens <-> ids.
        twins: what is read as its twin where the vocabulary does not know it.
        form: Unicode form of the tokens.
        written: Unicode form of the texts that it returns: that of the training file.
        feature_separator: the string between the features of a source; empty: sources have no features.
    """

    tokenizer: Tokenizer
    vocab: Vocab
    twins: Twins = Twins.NONE
    form: str = "NFC"
    written: str = "NFC"
    feature_separator: str = ""

    @property
    def features(self) -> int:
        """Number of features in the vocabulary; they have its last ids."""
        return self.vocab.features

    def tokenize(self, text: str) -> list[str]:
        """The tokens of one line of normalised text as the model reads them, then its features.

        Unknown tokens are read as their twins. Those without a twin are spelled, if the vocabulary has characters for it.
        """
        if not self.feature_separator:
            return self.word_tokens(text)
        word, features = split_features(text)
        return self.word_tokens(word) + feature_tokens(features, self.feature_separator)

    def word_tokens(self, text: str) -> list[str]:
        """`tokenize` for a text without features."""
        return self.vocab.spell(self._read(text))

    def _read(self, text: str) -> list[str]:
        if self._reader:
            return self._reader.tokenize(text)
        # Normalised text is in NFC already.
        return self.tokenizer.tokenize(text if self.form == "NFC" else in_form(text, self.form))

    def whole_words(self, text: str) -> list[str]:
        """For each of `word_tokens(text)` the word that it is part of, as a token of the word level."""
        tokens = self.word_tokens(text)
        if self.vocab.speller:
            starts = [not token.startswith(LETTER) or token.startswith(WORD_START) for token in tokens]
            words = join_letters(tokens)
        elif isinstance(self.tokenizer, WordTokenizer):
            return tokens
        else:
            starts = [k == 0 or token.startswith(SPACE) for k, token in enumerate(tokens)]
            # As typed, not as read: a twin has no space and replaces none. NFKC and NFKD may give some.
            text = text if text.count(" ") == sum(starts) - 1 else self.tokenizer.detokenize(tokens)
            words = list(map(_main_word, text.split(" ")))
        return [words[number - 1] for number in itertools.accumulate(starts)]

    def to_ids(self, text: str) -> list[int]:
        """The ids of `tokenize(text)`, without BOS_ID and EOS_ID."""
        return self.vocab.to_ids(self.tokenize(text))

    def read_word(self, token: str) -> list[str]:
        """Word level: the tokens as which one token of the tokenizer is read, one of them in most cases; not spelled yet."""
        return self._reader.read_token(token) if isinstance(self._reader, WordReader) else [token]

    def replaced(self, texts: Iterable[str]) -> list[tuple[str, str]]:
        """The words of normalised texts that are read as others, each with what it is read as, with repetitions."""
        if self._reader is None:
            return []
        texts = map(word_of, texts) if self.feature_separator else texts
        # What the form replaces is no twin.
        formed = texts if self.form in ("NFC", "NFD") else (in_form(in_form(text, self.form), "NFC") for text in texts)
        return list(replaced_words(formed, self._reader))

    def unseen(self, texts: Iterable[str]) -> Counter[str]:
        """The characters of normalised texts that are read as their bytes, each with its number of occurrences.

        Training had none of them, nor a twin of theirs, or where words are spelled too few for a token. At the word level
        without spelling, and of symbols, there are none: what the vocabulary does not know is <unk>.
        """
        reader, speller = self._reader, self.vocab.speller
        if speller:
            read = (self._read(word_of(text) if self.feature_separator else text) for text in texts)
            rare = (self.tokenizer.detokenize([token]) for tokens in read for token in self.vocab.unknown(tokens))
            return Counter(char for word in rare for char in word if char not in speller)
        if not isinstance(reader, CharacterReader):
            return Counter()
        return Counter(
            char for text in texts for char in reader.unseen(word_of(text) if self.feature_separator else text)
        )

    @cached_property
    def _reader(self) -> Reader | None:
        case = self.twins is Twins.ALL
        if self.twins is Twins.NONE:
            return None
        if isinstance(self.tokenizer, WordTokenizer):
            return WordReader(self.tokenizer, self.vocab.ids, case=case, form=self.form)
        if isinstance(self.tokenizer, SentencePieceTokenizer):
            return CharacterReader(self.tokenizer, case=case, form=self.form)
        raise TypeError(f"no reader of twins for a {type(self.tokenizer).__name__}")

    def to_text(self, ids: Iterable[int]) -> str:
        """The text of the ids, as `detokenize`; UNK_ID becomes "<unk>".

        Raises:
            ValueError: an id is out of range.
        """
        return self.detokenize(self.vocab.to_tokens(ids))

    def detokenize(self, tokens: Sequence[str]) -> str:
        """The text of any tokens, in the form `written`, with their features if there may be some."""
        words = [token for token in tokens if not token.startswith(MARK)] if self.feature_separator else tokens
        words = join_letters(words) if self.vocab.speller else words
        # Also where the tokens are in this form: joined, a letter and a mark are not, nor what single bytes give.
        text = unicodedata.normalize(cast(Any, self.written), self.tokenizer.detokenize(words))
        return join_features(text, features_of(tokens, self.feature_separator)) if self.feature_separator else text

    def shown(self, tokens: Iterable[str]) -> list[str]:
        """Tokens for people to read: features in brackets, spelled words as "▁h", "a", "u", "s"."""
        found = map(shown_letter, tokens) if self.vocab.speller else tokens
        return list(map(shown_token, found))

    def stored(self, text: str) -> str:
        """A text that `to_text` returned, in the form in which texts are stored and scored: NFC."""
        return text if self.form == self.written == "NFC" else unicodedata.normalize("NFC", text)

    def spelling_bits(self, sentences: Iterable[Sequence[str]]) -> float:
        """Bits to spell the unknown tokens of tokenized sentences, by the letters of the vocabulary; see `Spelling`."""
        unknown = [token for tokens in sentences for token in self.vocab.unknown(tokens)]
        if not unknown:
            return 0.0
        spelling = Spelling(self.vocab.words)
        return sum(map(spelling.bits, unknown))

    @property
    def sha256(self) -> str:
        """A digest in hex; codecs with equal digests give the same ids, and the same texts of ids."""
        forms = [self.form, self.written, self.feature_separator]
        values = [self.tokenizer.level, self.vocab.tokens, self.twins, *forms]
        digest = hashlib.sha256(json.dumps(values).encode())
        digest.update(self.tokenizer.fingerprint)
        return digest.hexdigest()

    def save(self, folder: Path, side: str) -> None:
        """Write the tokenizer and the vocabulary of `side`, "src" or "tgt", and `SIDE.codec.json` with the rest."""
        self.tokenizer.save(folder, side)
        self.vocab.save(folder, side)
        rest = {"form": self.form, "written": self.written, "feature_separator": self.feature_separator}
        write_json(_codec_path(folder, side), rest)

    @classmethod
    def load(cls, folder: Path, side: str) -> Self:
        """Read what `save` wrote.

        Raises:
            UserError: a file is missing or damaged, or the vocabulary does not belong to the tokenizer.
        """
        tokenizer, vocab = load_tokenizer(folder, side), Vocab.load(folder, side)
        words = vocab.tokens[: len(vocab.tokens) - vocab.features]
        if isinstance(tokenizer, SentencePieceTokenizer) and words != vocab_of_model(tokenizer).tokens:
            raise UserError(f"{_path(folder, side)}: does not belong to the tokenizer of {side} in the same folder")
        if vocab.speller and tokenizer.level != "word":
            raise UserError(
                f"{_path(folder, side)}: spells words, but the tokenizer of {side} is of the {tokenizer.level} level"
            )
        path = _codec_path(folder, side)
        values = read_json(path)
        for key in ("form", "written"):
            if values.get(key) not in FORMS:
                raise UserError(f"{path}: damaged: {key} = {values.get(key)!r}; choose from {', '.join(FORMS)}")
        separator = values.get("feature_separator")
        if not isinstance(separator, str) or (vocab.features and not separator):
            raise UserError(f"{path}: damaged: feature_separator = {separator!r}, expected the text between features")
        return cls(tokenizer, vocab, twins_of(side, tokenizer), values["form"], values["written"], separator)


def copied_ids(src: TextCodec, tgt: TextCodec) -> tuple[int, ...]:
    """For each source id the target id that is copied, see `models.layers.Copying`: that of the same token.

    EOS gives EOS, and UNK gives UNK, which the text replaces by the word of the source. Features and padding give nothing. Nor
    does a known token that the target vocabulary lacks: the model would learn that any foreign word is a way to write <unk>.
    The characters of a spelled word are tokens like others; only targets that spell words too have them.
    """
    specials = {UNK_ID: UNK_ID, EOS_ID: EOS_ID}
    ids = [specials.get(index, NOT_COPIED) for index in range(len(SPECIALS))]
    words = src.vocab.tokens[: len(src.vocab.tokens) - src.features]
    # A symbol of the target may look like a character: " h".
    letters = src.vocab.speller.size if src.vocab.speller and not tgt.vocab.speller else 0
    ids += [NOT_COPIED] * letters
    ids += [tgt.vocab.ids.get(word, NOT_COPIED) for word in words[letters:]]
    return (*ids, *[NOT_COPIED] * src.features)


def _main_word(text: str) -> str:
    """The word in a text without spaces, such as "Zork" in "(Zork)", or its longest one; a sign if it has no word."""
    tokens = WordTokenizer().tokenize(text)
    return max(tokens, key=lambda token: (JOINER not in token, len(token)), default="")


def _codec_path(folder: Path, side: str) -> Path:
    return folder / f"{side}.codec.json"


def _path(folder: Path, side: str) -> Path:
    return folder / f"{side}.vocab.json"
