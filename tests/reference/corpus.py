"""What `prepare_corpus` must give for a corpus of any size, written for one that fits into memory."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordseq.config.data import DataConfig
from wordseq.data import splits
from wordseq.data.cleaning import Counts, clean, finish, read_given
from wordseq.data.guards import MANY_TARGETS
from wordseq.data.pairs import Pair
from wordseq.data.readers.lines import BadLines
from wordseq.data.sources import Origin, Reading, find_origin
from wordseq.data.splits import HeldOut, draw_digest, group_key, held_out_parts, key_digest, pair_digest, sizes
from wordseq.text.features import feature_tokens, split_features, word_of
from wordseq.text.normalise import in_form
from wordseq.text.tokenizers import SentencePieceTokenizer, train_tokenizer
from wordseq.text.vocab import TextCodec, Vocab, twins_of, vocab_of_counts, vocab_of_model


@dataclass(frozen=True)
class Split:
    """The three parts of a corpus."""

    train: list[Pair]
    dev: HeldOut
    test: HeldOut


@dataclass(frozen=True)
class Corpus(Split):
    """With the content of split.json."""

    report: dict[str, Any]


def load_corpus(data: DataConfig, mirror: Path | None = None, say: Callable[[str], None] = print) -> Corpus:
    """The corpus that `data` names, with its training pairs in memory."""
    origin = find_origin(data, mirror, say)
    counts, bad, reading = Counts(), BadLines(data.on_bad_line), Reading()
    given = {part: read_given(data, origin, part, Reading()) for part in ("dev", "test") if part in origin.parts}
    pairs = list(clean(origin.rows(data, bad, "train", reading), data, counts, set() if origin.missing else None))
    finish(counts, bad, len(pairs), origin.name)
    counts.reading = reading.to_dict()
    given_parts = {part: found for part, (found, _) in given.items()}
    train, drawn = pairs, {}
    if origin.missing:
        wanted = {part: getattr(data, f"{part}_size") for part in origin.missing}
        train, drawn = hold_out(pairs, wanted.get("dev"), wanted.get("test"), data.seed)
    split = Split(train, **drawn, **given_parts)
    parts = {"train" if given else "pairs": counts} | {part: found for part, (_, found) in given.items()}
    return _corpus(data, split, origin, parts)


def _corpus(data: DataConfig, split: Split, origin: Origin, counts: Mapping[str, Counts]) -> Corpus:
    train = draw(split.train, data.max_pairs, data.seed) if data.max_pairs else split.train
    unused = len(split.train) - len(train)
    parts = {part: found.to_dict() for part, found in counts.items()}
    report = {
        **origin.method(data),
        **audit(Split(train, split.dev, split.test)),
        "counts": {"corpus": origin.name, "parts": parts, "unused_pairs": unused},
    }
    return Corpus(train, split.dev, split.test, report)


def split_by_source(pairs: Sequence[Pair], dev_size: float, test_size: float, seed: int) -> Split:
    """The three parts; see `hold_out`."""
    train, parts = hold_out(pairs, dev_size, test_size, seed)
    return Split(train, **parts)


def hold_out(
    pairs: Sequence[Pair], dev_size: float | None, test_size: float | None, seed: int
) -> tuple[list[Pair], dict[str, HeldOut]]:
    """Splits by groups of sources in the order of sha256(seed, key): first test, then dev, the rest is training.

    The order of `pairs` decides nothing but the order of `train`, and more pairs move few groups. A group may hold
    several sources ("Go." and "Go!"); each is one of `HeldOut.sources` with references of its own.

    Args:
        pairs: distinct, with normalised source and target.
        dev_size: number of groups, or their share when below 1.
        test_size: the same. None: the part is given.
        seed: the setting data.seed.

    Raises:
        UserError: a part would be empty.
    """
    keys = {pair.src: group_key(pair.src) for pair in pairs}
    order = sorted(set(keys.values()), key=lambda key: key_digest(key, seed))
    test, dev = sizes(len(order), test_size, dev_size)
    rank = {key: place for place, key in enumerate(order[: test + dev])}
    ranks = {source: rank[key] for source, key in keys.items() if key in rank}
    return [pair for pair in pairs if pair.src not in ranks], held_out_parts(pairs, ranks, test)


def draw(pairs: Sequence[Pair], number: int, seed: int) -> list[Pair]:
    """`number` of the pairs (all, if there are fewer), chosen by hash whatever their order, in the order of `pairs`."""
    digests = [draw_digest(pair, seed) for pair in pairs]
    chosen = sorted(range(len(pairs)), key=digests.__getitem__)[:number]
    return [pairs[place] for place in sorted(chosen)]


def audit(split: Split) -> dict[str, Any]:
    """See `splits.audit`."""
    train_keys = {group_key(pair.src) for pair in split.train}
    train = {
        "pairs": len(split.train),
        "sources": len({pair.src for pair in split.train}),
        "groups": len(train_keys),
        "many_targets": sum(
            number >= MANY_TARGETS for number in Counter(pair.src for pair in set(split.train)).values()
        ),
        "sha256": f"{sum(int.from_bytes(pair_digest(pair)) for pair in split.train) % 2**256:064x}",
    }
    held_out = {"dev": split.dev, "test": split.test}
    return splits.audit(train, held_out, train_keys, {pair.tgt for pair in split.train})


def build_vocab(sentences: Iterable[Sequence[str]], min_freq: int = 1, max_size: int = 0) -> Vocab:
    """The vocabulary of tokenized sentences."""
    return vocab_of_counts(Counter(token for tokens in sentences for token in tokens).items(), min_freq, max_size)


def letters(sentences: Iterable[Sequence[str]], min_freq: int) -> list[str]:
    """The tokens of the characters of tokenized sentences; see `wordseq.text.rare_words`."""
    words = [word for tokens in sentences for word in tokens]
    found = ["  "]
    for mark, chars in (("  ", [word[0] for word in words]), (" ", "".join(words))):
        counts = Counter(chars)
        frequent = {char for char in counts if counts[char] >= min_freq} | {"\uffed"}
        found += [mark + char for char in sorted(frequent, key=lambda char: (-counts[char], char))]
    return [*found, *(f" <0x{byte:02X}>" for byte in range(256))]


def train_codec(sentences: Iterable[str], data: DataConfig, side: str, more: Sequence[str] = ()) -> TextCodec:
    """Tokenizer and vocabulary of `side`, "src" or "tgt", from its normalised training sentences.

    `more` are the targets that share the vocabulary, or the sources with their features.
    """
    level, form, sentences = data.level_of(side), data.form_of(side), list(sentences)
    separator = data.feature_separator if side == "src" else ""
    features = [token for text in sentences for token in feature_tokens(split_features(text)[1], separator or ";")]
    both = [*sentences, *more] if side == "src" else [*more, *sentences]
    sentences = [in_form(word_of(text) if data.feature_separator else text, form) for text in both]
    tokenizer = train_tokenizer(level, sentences, subword_size=data.subword_size, separator=data.separator_of(side))
    if isinstance(tokenizer, SentencePieceTokenizer):
        vocab = vocab_of_model(tokenizer)
    else:
        limits = (1, 0) if level == "symbols" else (data.min_freq, data.max_size)
        vocab = build_vocab(map(tokenizer.tokenize, sentences), *limits)
        if level == "word" and data.rare_words == "spell":
            vocab = Vocab([*letters(map(tokenizer.tokenize, sentences), data.min_freq), *vocab.tokens])
    if separator:
        vocab = Vocab([*vocab.tokens, *build_vocab([features]).tokens])
    return TextCodec(tokenizer, vocab, twins_of(side, tokenizer), form, feature_separator=separator)
