"""Steps that need all pairs of a corpus: duplicates, held-out groups, a draw, the audit, vocabularies, ids.

Pairs, sources and groups are compared by 64-bit hashes, in files. Two pairs with one hash (a chance of 3 in a million for ten
million pairs) count as one; two groups with one hash go to the same split, which leaks nothing.
"""

import dataclasses
import functools
import itertools
import os
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wordseq.batches.id_store import IdStore
from wordseq.batches.shards import SIDES, WORD_PARTS, Hashes, Shard, cut_early
from wordseq.config.auto import subword_size
from wordseq.config.data import DataConfig
from wordseq.config.fields import is_auto
from wordseq.data.guards import MANY_TARGETS
from wordseq.data.pairs import Pair
from wordseq.data.splits import HeldOut, audit, group_key, held_out_parts, key_digest, sizes
from wordseq.system.files import ArrayFile
from wordseq.text.features import feature_tokens, split_features, word_of
from wordseq.text.normalise import in_form
from wordseq.text.tokenizers import SentencePieceTokenizer, Tokenizer, WordTokenizer, train_tokenizer
from wordseq.text.twins import Twins
from wordseq.text.vocab import (
    SPECIALS,
    UNK_ID,
    TextCodec,
    Vocab,
    spelling_vocab,
    twins_of,
    vocab_of_counts,
    vocab_of_model,
)

BUCKET = 250_000
"""Hashes compared at a time, which bounds the memory of sorting: 2 MB of hashes."""

TWIN_EXAMPLES = 3
"""Words that are read as others, to print."""

Mask = npt.NDArray[np.bool_]


class PairTable:
    """All shards as one table, with a mask of the pairs that are used for training: at first all.

    Columns are memory-mapped files, which the system keeps in memory while there is room.

    Args:
        scratch: folder of the shards; files are added to it.
        shards: shards with their numbers of pairs.
        data: settings, see `DataConfig`.
    """

    def __init__(self, scratch: Path, shards: Sequence[tuple[Shard, int]], data: DataConfig) -> None:
        self._scratch, self._shards, self._data = scratch, shards, data
        self._use = np.ones(sum(rows for _, rows in shards), np.bool_)
        self._made = itertools.count()
        self._distinct = False

    @property
    def used(self) -> int:
        """Number of pairs for training."""
        return int(np.count_nonzero(self._use))

    def drop_duplicates(self) -> int:
        """Keep the first of equal pairs; returns the number of dropped pairs."""
        if len(self._use):
            self._use = _first_of_each(self._column("pair"))
        self._distinct = True
        return len(self._use) - self.used

    def hold_out(self, parts: Container[str] = ("test", "dev")) -> dict[str, HeldOut]:
        """Move source groups to the splits "test" and "dev", in the order of `key_digest`: first test, then dev.

        `parts` are the splits to make; the other is given.

        The order depends on the sources and data.seed only. So more data, or a larger dev split, does not change which of two
        sources comes first.

        Raises:
            UserError: a split would be empty.
        """
        # Two copies: one in the order of the rows, one to sort in place.
        keys, ordered = self._column("key"), self._column("key")
        ordered.sort()
        test, dev = sizes(
            _distinct(ordered),
            self._data.test_size if "test" in parts else None,
            self._data.dev_size if "dev" in parts else None,
        )
        # The sorted keys have repetitions, so the first `test + dev` distinct ones may reach beyond that many rows.
        end = test + dev
        while _distinct(ordered[:end]) < test + dev:
            end *= 2
        # The smallest keys are test: so a larger dev split does not change the test split, on which scores are compared.
        smallest = np.unique(ordered[:end])[: test + dev]
        # All pairs of a group have one key, so a group is held out completely or not at all.
        held = self._use & (keys <= smallest[-1])
        self._use &= ~held
        pairs = list(map(Pair, *(self._texts(held, side) for side in SIDES)))
        ranks = np.searchsorted(smallest, keys[held]).tolist()
        return held_out_parts(pairs, {pair.src: rank for pair, rank in zip(pairs, ranks, strict=True)}, test)

    def draw(self) -> int:
        """Keep `data.max_pairs` pairs: the first in the order of `draw_digest`. Returns the number of dropped pairs."""
        number, before = self._data.max_pairs, self.used
        if not number or number >= before:
            return 0
        # A partition finds the limit in linear time, without sorting. Equal pairs (of given files) share a digest: of those
        # at the limit the first are kept.
        drawn = self._column("draw", self._use)
        drawn.partition(number - 1)
        last = drawn[number - 1]
        draws = self._column("draw")
        equal = np.flatnonzero(self._use & (draws == last))
        self._use &= draws <= last
        self._use[equal[len(equal) - (self.used - number) :]] = False
        return before - number

    def audit(self, held_out: Mapping[str, HeldOut]) -> dict[str, Any]:
        """Run `splits.audit` on the training pairs in use and the held-out splits."""
        sources, keys = self._column("source", self._distinct_pairs()), self._column("key", self._use)
        sources.sort()
        keys.sort()
        # Only targets that are references too are collected, so memory depends on the held-out splits.
        references = {text for part in held_out.values() for texts in part.references for text in texts}
        targets: set[str] = set()
        total = 0
        for shard, place in self._slices():
            with shard.arrays() as arrays:
                # A sum does not depend on the order of the pairs, unlike a hash of the text, and needs no sorting.
                total += _sum_of_digests(arrays["pair"][self._use[place]])
            targets |= references.intersection(itertools.compress(shard.texts("tgt"), self._use[place].tolist()))
        wanted = {group_key(source) for part in held_out.values() for source in part.sources}
        hashes = {key: np.uint64(int.from_bytes(key_digest(key, self._data.seed)[:8])) for key in wanted}
        shared = {
            key for key, found in hashes.items() if (at := keys.searchsorted(found)) < len(keys) and keys[at] == found
        }
        train = {
            "pairs": len(keys),
            "sources": _distinct(sources),
            "groups": _distinct(keys),
            "many_targets": _frequent(sources, MANY_TARGETS),
            "sha256": f"{total % 2**256:064x}",
        }
        return audit(train, held_out, shared, targets)

    def _distinct_pairs(self) -> Mask:
        """The pairs in use, each once: given training files keep their duplicates."""
        distinct = self._use
        if not self._distinct and self.used:
            distinct = distinct.copy()
            distinct[distinct] = _first_of_each(self._column("pair", self._use))
        return distinct

    def sample(self, number: int) -> list[Pair]:
        """About `number` training pairs in use, spread evenly over the corpus; fewer if there are fewer."""
        rows = np.flatnonzero(self._use)
        chosen = np.zeros(len(self._use), np.bool_)
        chosen[rows[:: max(1, len(rows) // number)]] = True
        return list(map(Pair, *(self._texts(chosen, side) for side in SIDES)))

    def first(self, number: int) -> list[Pair]:
        """The first pairs of the corpus, whichever split they are in."""
        chosen = np.zeros(len(self._use), np.bool_)
        chosen[:number] = True
        return list(map(Pair, *(self._texts(chosen, side) for side in SIDES)))

    @functools.cached_property
    def subword_size(self) -> int:
        """Subwords of a vocabulary: `data.subword_size`, or what its rule gives; 0 where no side has subwords."""
        if not self._data.has_subwords:
            return 0
        if not is_auto(self._data.subword_size):
            return self._data.subword_size
        characters = [len(set().union(*self._texts(self._use, side))) for side in SIDES]
        return subword_size(self.used, max(characters))

    def train_codecs(self, written: str = "NFC") -> tuple[TextCodec, TextCodec]:
        """Train tokenizers and vocabularies of source and target; `written` is the Unicode form of targets in the file.

        `min_freq`, `max_size` and `rare_words` apply to the word level, `subword_size` to bpe and unigram, none of them to
        symbols. With `share_vocab` both codecs have one tokenizer and vocabulary, learnt from the texts of source and target;
        features of sources follow in that of the source.

        Raises:
            UserError: see `train_tokenizer`.
        """
        data = self._data
        shared = self._learnt(SIDES) if data.share_vocab else None
        (src_tokenizer, src_vocab), (tgt_tokenizer, tgt_vocab) = (shared or self._learnt((side,)) for side in SIDES)
        separator = data.feature_separator
        if separator:
            sources = map(split_features, self._texts(self._use, "src"))
            found = Counter(token for _, features in sources for token in feature_tokens(features, separator))
            # All features, the most frequent first.
            src_vocab = Vocab([*src_vocab.tokens, *vocab_of_counts(found.items()).tokens])
        src, tgt = (
            twins_of(side, tokenizer) for side, tokenizer in zip(SIDES, (src_tokenizer, tgt_tokenizer), strict=True)
        )
        return (
            TextCodec(src_tokenizer, src_vocab, src, data.src_form, "NFC", separator),
            TextCodec(tgt_tokenizer, tgt_vocab, tgt, data.tgt_form, written),
        )

    def _learnt(self, sides: Sequence[str]) -> tuple[Tokenizer, Vocab]:
        """Tokenizer and vocabulary, without features, of the texts of source, of target, or of both alike."""
        data = self._data
        level, form = data.level_of(sides[0]), data.form_of(sides[0])

        def texts() -> Iterator[str]:
            for side in sides:
                found = self._texts(self._use, side)
                words = map(word_of, found) if side == "src" and data.feature_separator else found
                yield from words if form == "NFC" else (in_form(text, form) for text in words)

        tokenizer = train_tokenizer(
            level, texts(), subword_size=self.subword_size, separator=data.separator_of(sides[0])
        )
        if isinstance(tokenizer, SentencePieceTokenizer):
            return tokenizer, vocab_of_model(tokenizer)
        # All symbols: an inventory of symbols is small, and a rare one is not noise.
        limits = (1, 0) if level == "symbols" else (data.min_freq, data.max_size)
        counts = (
            self._word_counts(sides)
            if all(cut_early(data, side) for side in sides)
            else Counter(token for text in texts() for token in tokenizer.tokenize(text)).items()
        )
        return tokenizer, (spelling_vocab if data.spells(sides[0]) else vocab_of_counts)(counts, *limits)

    def changed_for_good(self, side: str) -> tuple[int, tuple[str, str]]:
        """Number of training texts of `side` that its Unicode form changes for good, and one of them.

        Returns:
            The number, and the text as it is and as it is after NFC; two empty texts if there is none.
        """
        number, example = 0, ("", "")
        form = self._data.form_of(side)
        # NFD takes apart what NFC puts together.
        for text in self._texts(self._use, side) if form in ("NFKC", "NFKD") else ():
            back = in_form(in_form(text, form), "NFC")
            if back != text:
                number, example = number + 1, example if any(example) else (text, back)
        return number, example

    def write_ids(self, codec: TextCodec, side: str, folder: Path) -> dict[str, Any]:
        """Write the files of an `IdStore`, see `store_paths`.

        In targets, rare signs are read as their twins too: the model learns to write them instead of <unk>. Their case stays.

        Returns:
            "tokens", "unknown", the "share" of known tokens, "twins" (number of words that are read as others), and a few
            of these words in "twin_examples". Where rare words are spelled, "sentences", "words" (number of tokens, a
            spelled word counted once) and "spelled" (number of spelled words).
        """
        if side == "tgt" and codec.tokenizer.level != "symbols":
            codec = dataclasses.replace(codec, twins=Twins.SIGNS)
        # The shards already hold the tokens of this very tokenizer: only the distinct words need a look-up.
        by_word = cut_early(self._data, side) and codec.tokenizer == WordTokenizer(self._data.separator_of(side))
        flat_path, offsets_path = store_paths(folder, side)
        tokens = unknown = twins = letters = spelled = sentences = 0
        speller = codec.vocab.speller
        examples: dict[str, str] = {}
        with ArrayFile(flat_path, np.int32) as flat, ArrayFile(offsets_path, np.int64) as offsets:
            offsets.append(np.zeros(1))  # The start of the first sequence; all other offsets are ends.
            for shard, place in self._slices():
                if by_word:
                    with shard.arrays() as arrays:
                        numbers, lengths = _chosen(arrays[f"{side}.ids"], arrays[f"{side}.ends"], self._use[place])
                    words = shard.words(side)
                    read = [codec.read_word(word) for word in words]
                    whole = [codec.vocab.to_ids(codec.vocab.spell(tokens)) for tokens in read]
                    ids, lengths = _spliced(IdStore.of(whole), numbers, lengths)
                    counts = np.bincount(numbers, minlength=len(words)).tolist()
                    join = codec.tokenizer.detokenize
                    changed = [
                        (join([word]), join(new), count)
                        for word, new, count in zip(words, read, counts, strict=True)
                        if count and new != [word]
                    ]
                else:
                    texts = list(itertools.compress(shard.texts(side), self._use[place].tolist()))
                    store = IdStore.of([codec.to_ids(text) for text in texts])
                    ids, lengths = store.flat, store.lengths
                    changed = [(word, new, 1) for word, new in codec.replaced(texts)]
                twins += sum(count for *_, count in changed)
                examples |= {word: new for word, new, _ in changed[: TWIN_EXAMPLES - len(examples)]}
                flat.append(ids)
                offsets.append(tokens + np.cumsum(lengths))
                tokens += len(ids)
                unknown += int(np.count_nonzero(ids == UNK_ID))
                if speller:
                    # The characters have the first ids, and those that begin a word the very first.
                    places = ids[ids < len(SPECIALS) + speller.size] - len(SPECIALS)
                    letters += int(np.count_nonzero(places >= 0))
                    spelled += int(np.count_nonzero((places >= 0) & (places < speller.starts)))
                    sentences += len(lengths)
        share = 1 - unknown / tokens if tokens else 1.0
        found: dict[str, Any] = {
            "tokens": tokens,
            "unknown": unknown,
            "share": share,
            "twins": twins,
            "twin_examples": examples,
        }
        if speller:
            found |= {"sentences": sentences, "words": tokens - letters + spelled, "spelled": spelled}
        return found

    def _slices(self) -> Iterator[tuple[Shard, slice]]:
        """The shards with their rows in the table."""
        end = 0
        for shard, rows in self._shards:
            end += rows
            yield shard, slice(end - rows, end)

    def _column(self, name: str, use: Mask | None = None) -> Hashes:
        """A column of hashes, of all pairs or of those in `use`, as a new array in a file.

        Raises:
            OSError: the disk is full.
        """
        size = len(self._use) if use is None else int(np.count_nonzero(use))
        path = self._scratch / f"column{next(self._made)}"
        column = np.memmap(path, np.uint64, "w+", shape=(size,)).view(np.ndarray)
        # Not on macOS and Windows.
        if hasattr(os, "posix_fallocate"):
            # Allocate now: on a full disk, writing to mapped memory kills the process with SIGBUS.
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, column.nbytes)
        end = 0
        for shard, place in self._slices():
            with shard.arrays() as arrays:
                values = arrays[name]
            # Of a digest of four words the first is enough to compare.
            values = values if values.ndim == 1 else values[:, 0]
            values = values if use is None else values[use[place]]
            column[end : end + len(values)] = values
            end += len(values)
        return column

    def _texts(self, use: Mask, side: str) -> Iterator[str]:
        """The sentences of `side` of the pairs in `use`."""
        for shard, place in self._slices():
            yield from itertools.compress(shard.texts(side), use[place].tolist())

    def _word_counts(self, sides: Sequence[str]) -> Iterator[tuple[str, int]]:
        """The distinct words of the pairs in use, each with its count; only one part of the words is in memory at a time."""
        places = []
        for (shard, place), side in itertools.product(self._slices(), sides):
            with shard.arrays() as arrays:
                ids, ends, parts = (arrays[f"{side}.{name}"] for name in ("ids", "ends", "parts"))
            numbers = _chosen(ids, ends, self._use[place])[0]
            path = self._scratch / f"{shard.number}.{side}.counts.npy"
            np.save(path, np.bincount(numbers, minlength=int(parts[0, -1])).astype(np.int32), allow_pickle=False)
            places.append((shard, side, path, parts))
        # A word is in the same part in every shard, so the counts of a part are complete after all its shards.
        for part in range(WORD_PARTS):
            total: Counter[str] = Counter()
            for shard, side, path, parts in places:
                (first, end), (start, stop) = parts[:, part : part + 2].tolist()
                if first == end:
                    continue
                counts = np.load(path, mmap_mode="r", allow_pickle=False)[first:end].tolist()
                for word, number in zip(shard.words_of_part(side, start, stop), counts, strict=True):
                    total[word] += number
            # A word that only held-out or dropped pairs contain has count 0, and must not enter the vocabulary.
            yield from ((word, number) for word, number in total.items() if number)


def store_paths(folder: Path, side: str) -> tuple[Path, Path]:
    """The two files of the `IdStore` of `side`, see `IdStore.open`."""
    return folder / f"{side}.ids.npy", folder / f"{side}.offsets.npy"


def _first_of_each(hashes: Hashes) -> Mask:
    """True at the first of each set of equal hashes."""
    first = np.zeros(len(hashes), np.bool_)
    # By ranges of values, so that memory is bounded; hashes are uniform, so the ranges have about equal numbers.
    ranges = len(hashes) // BUCKET + 1
    width = 2**64 // ranges + 1
    for low in range(0, 2**64, width):
        high = min(low + width, 2**64) - 1
        rows = np.flatnonzero((hashes >= np.uint64(low)) & (hashes <= np.uint64(high)))
        first[rows[np.unique(hashes[rows], return_index=True)[1]]] = True
    return first


def _frequent(ordered: Hashes, least: int) -> int:
    """Number of distinct values that a sorted array has at least `least` times."""
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return int(np.count_nonzero(np.diff(ends, prepend=-1) >= least)) if len(ordered) else 0


def _distinct(ordered: Hashes) -> int:
    """Number of distinct values of a sorted array."""
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + bool(len(ordered))


def _sum_of_digests(digests_n4: Hashes) -> int:
    """The sum of 256-bit numbers, each given as four 64-bit words, the highest first."""
    # In halves of 32 bits, whose sums fit 64 bits for four billion pairs.
    halves = (digests_n4 >> np.uint64(32)).sum(0).tolist(), (digests_n4 & np.uint64(2**32 - 1)).sum(0).tolist()
    words = [(high << 32) + low for high, low in zip(*halves, strict=True)]
    return sum(word << shift for word, shift in zip(words, (192, 128, 64, 0), strict=True))


def _chosen(ids: npt.NDArray[Any], ends: npt.NDArray[np.int64], use: Mask) -> tuple[npt.NDArray[Any], Any]:
    """The ids of the sentences in `use`, and the lengths of these sentences."""
    lengths = np.diff(ends, prepend=0)
    return ids[np.repeat(use, lengths)], lengths[use]


def _spliced(
    read: IdStore, numbers: npt.NDArray[Any], lengths: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Sentences of words as ids, and their lengths, where `read` has the ids of each word: one in most cases."""
    if len(read.flat) == len(read):
        return read.flat[numbers], lengths
    counts = read.lengths[numbers]
    ends = np.concatenate([[0], np.cumsum(counts)])
    # Within a word its ids are adjacent: the place in `read.flat` is the word's start plus the place within the word.
    ids = read.flat[np.repeat(read.offsets[numbers] - ends[:-1], counts) + np.arange(ends[-1])]
    return ids, np.diff(ends[np.concatenate([[0], np.cumsum(lengths)])])
