"""The settings of [data]: where the sentence pairs come from, how they are split, cleaned and tokenized."""

from dataclasses import dataclass

from wordseq.config.fields import Changes, setting

LEVELS = ("char", "word", "bpe", "unigram")

SOURCES = ("corpus", "train")
"""The settings of [data] that name the training data; they exclude each other."""

DATA_FILES = ("train", "dev", "test")
"""The settings of [data] that name files."""

FORMAT_NAMES = ("tsv", "quoted_tsv", "csv", "json_lines", "json", "tmx", "po", "mo", "parquet")
"""Formats of one file of pairs, in `wordseq.data.sources`."""

FORMS = ("NFC", "NFD", "NFKC", "NFKD")
"""Unicode's normalisation forms."""


@dataclass(frozen=True)
class DataConfig:
    """Source, splits, cleaning and tokenization of the sentence pairs."""

    corpus: str = setting("", "name of a synthetic or public corpus; `wordseq data list` prints the names")
    train: str = setting(
        "",
        "training data: a file of pairs in any format, a folder, an archive, or two parallel files as SRC,TGT",
        changes=Changes.PLACE,
    )
    dev: str = setting("", "dev data, as data.train; empty: split off from the training data", changes=Changes.PLACE)
    test: str = setting("", "test data, as data.train; empty: split off from the training data", changes=Changes.PLACE)
    format: str = setting(
        "",
        "format of the files; empty: recognised by name and first bytes",
        choices=("", *FORMAT_NAMES),
        changes=Changes.PLACE,
    )
    encoding: str = setting(
        "", "text encoding of the files, e.g. cp1252; empty: UTF-8, or UTF-16 by its mark", changes=Changes.PLACE
    )
    src_column: str = setting(
        "",
        "column of the source: its number, from 1, or its name; empty: found by names and content",
        changes=Changes.PLACE,
    )
    tgt_column: str = setting("", "column of the target, as data.src_column", changes=Changes.PLACE)
    features_column: str = setting(
        "",
        "column of the features of a source, such as the tags of an inflected form: its number or name; empty: none",
        changes=Changes.PLACE,
    )
    features_separator: str = setting(";", "the string between two features")
    header: str = setting(
        "auto",
        "whether the first record has the names of the columns",
        choices=("auto", "yes", "no"),
        changes=Changes.PLACE,
    )
    src_lang: str = setting(
        "",
        "language code of the source, e.g. en: chooses from files that have several languages",
        changes=Changes.PLACE,
    )
    tgt_lang: str = setting("", "language code of the target, e.g. fr", changes=Changes.PLACE)
    swap: bool = setting(False, "exchange source and target")
    level: str = setting("word", "token level of source and target", choices=LEVELS)
    src_level: str = setting("", "token level of the source; empty: data.level", choices=("", *LEVELS))
    tgt_level: str = setting("", "token level of the target; empty: data.level", choices=("", *LEVELS))
    src_separator: str = setting(
        "",
        "the string between the symbols of a source that is symbols already, e.g. a space; empty: data.src_level decides",
    )
    tgt_separator: str = setting("", "the string between the symbols of a target, as data.src_separator")
    src_form: str = setting(
        "NFC",
        "Unicode form in which the model reads sources; NFD takes accents from letters and Hangul syllables apart, "
        "NFKC and NFKD replace compatibility characters too",
        choices=FORMS,
    )
    tgt_form: str = setting(
        "NFC",
        "Unicode form in which the model writes targets; outputs have the form that the training file has",
        choices=FORMS,
    )
    min_freq: int = setting(2, "word level: words with fewer occurrences in training are rare", minimum=1)
    max_size: int = setting(
        0, "word level: largest number of words in a vocabulary, other words are rare; 0: no limit", minimum=0
    )
    rare_words: str = setting(
        "unk",
        "word level: rare words, and those that training lacks, become <unk>, or are spelled in characters, so that the model "
        "reads and writes any word; each character of a spelled word is a token",
        choices=("unk", "spell"),
        auto=True,
    )
    # 300: the 256 bytes, the 4 special tokens and a few characters.
    subword_size: int = setting(
        8000,
        "bpe and unigram levels: subwords in a vocabulary, 256 bytes and 4 special tokens included",
        minimum=300,
        auto=True,
    )
    share_vocab: bool = setting(
        False, "one tokenizer and vocabulary for source and target, learnt from the texts of both"
    )
    pretokenized: bool = setting(False, "word level: the text is already tokenized; split it at spaces only")
    lowercase: bool = setting(False, "lower-case sources, targets and references")
    max_chars: int = setting(
        1000, "largest number of characters in a source or target; longer pairs are dropped and counted", minimum=1
    )
    on_bad_line: str = setting(
        "stop",
        "what to do with bad lines, and with empty sentences in given dev and test files",
        choices=("stop", "skip"),
    )
    dev_size: float = setting(
        0,
        "size of the dev split: number of sources, or share below 1; 0: 1,000, but at most a tenth of all; "
        "sources that differ only in case or punctuation count once",
        minimum=0,
    )
    test_size: float = setting(0, "size of the test split, as data.dev_size", minimum=0)
    max_pairs: int = setting(0, "largest number of training pairs, drawn by data.seed; 0: all", minimum=0)
    seed: int = setting(1, "random seed that decides which sources are held out", minimum=0)

    def lang_of(self, side: str) -> str:
        """The language code of what the model reads ("src") or writes ("tgt"); empty if it is not set."""
        first, second = (self.tgt_lang, self.src_lang) if self.swap else (self.src_lang, self.tgt_lang)
        return {"src": first, "tgt": second}[side]

    def level_of(self, side: str) -> str:
        """The token level of `side`, "src" or "tgt"; "symbols" where a separator is set."""
        if {"src": self.src_separator, "tgt": self.tgt_separator}[side]:
            return "symbols"
        return {"src": self.src_level, "tgt": self.tgt_level}[side] or self.level

    def spells(self, side: str) -> bool:
        """Whether the rare words of `side` are spelled."""
        # What is still to be decided is "spell" at the word level.
        return self.rare_words != "unk" and self.level_of(side) == "word"

    @property
    def has_subwords(self) -> bool:
        """Whether source or target is at a level with subwords."""
        return any(self.level_of(side) in ("bpe", "unigram") for side in ("src", "tgt"))

    @property
    def feature_separator(self) -> str:
        """The string between the features of a source; empty if sources have no features."""
        return self.features_separator if self.features_column else ""

    def form_of(self, side: str) -> str:
        """The Unicode form in which the model sees the texts of `side`."""
        return {"src": self.src_form, "tgt": self.tgt_form}[side]

    def separator_of(self, side: str) -> str:
        """The string between the tokens of `side`; empty where rules or a model find them."""
        return {"src": self.src_separator, "tgt": self.tgt_separator}[side] or " " * self.pretokenized
