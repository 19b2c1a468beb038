"""A corpus of any size made ready for training: split, vocabularies, and ids in files that are mapped into memory.

What comes out is what `corpus.load_corpus` and `vocab.train_codec` give, but the training pairs are never in memory: they
pass through `segments`, and what has to be known of all of them together is known by hashes of 64 bits, in files too. Two
pairs with one hash (a chance of 3 in a million for ten million pairs) would count as one; two groups would go to the same
side of the split.

The result lies in a cache, in a folder named by a hash of the text and of all settings that shape it. It is written aside
and renamed when it is whole, so that neither a kill nor a second process can leave or see half of it.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import itertools
import json
import os
import secrets
import shutil
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from wordseq.batches.id_store import IdStore
from wordseq.batches.shards import PARTS, SIDES, Hashes, Segment, make_segments
from wordseq.config.schema import SPLIT_FILES, DataConfig
from wordseq.data.cleaning import Counts, finish, read_held_out
from wordseq.data.pairs import Pair
from wordseq.data.readers.lines import BadLines, digest_of, is_stream
from wordseq.data.sources import Origin, find_origin
from wordseq.data.splits import HELD_OUT_FILE, HeldOut, audit_parts, held_out_parts, key_digest, sizes
from wordseq.system.errors import UserError
from wordseq.system.files import ArrayFile, read_json, write_json
from wordseq.system.locks import try_lock
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.vocab import UNK_ID, TextCodec, coverage, train_codec, vocab_of_counts

FORMAT = 1
"""Raised when the same text and settings would give other ids."""

FIGURES_FILE, LOCK_FILE = "prepared.json", "lock"

SAY_EVERY = 1_000_000
"""A line for people after so many lines of text."""

BUCKET = 250_000
"""Hashes compared at a time."""

ABANDONED_SECONDS = 60
"""A folder aside that nobody has locked for so long was left by a process that was killed."""

Say = Callable[[str], None]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Prepared:
    """A corpus ready for training.

    Attributes:
        stores: source and target ids of the training pairs, memory-mapped.
        codecs: source and target tokenizer with vocabulary.
        dev: for choosing.
        test: for the final score.
        counts: what was read, dropped and normalised; for JSON.
        split: how it was split, see `corpus.split_report`; for JSON.
        coverage: by side and part, "train" and "dev": "tokens", "unknown" and "share" of known ones; for JSON.
    """

    stores: tuple[IdStore, IdStore]
    codecs: tuple[TextCodec, TextCodec]
    dev: HeldOut
    test: HeldOut
    counts: dict[str, Any]
    split: dict[str, Any]
    coverage: dict[str, Any]

    @classmethod
    def open(cls, folder: Path, name: str) -> Self:
        """What `prepare` left in a folder, for the corpus `name`.

        Raises:
            UserError, OSError, ValueError, TypeError, KeyError: there is nothing, or it is damaged.
        """
        figures = read_json(folder / FIGURES_FILE)
        src, tgt = (IdStore.open(*_store_paths(folder, side)) for side in SIDES)
        if not len(src) == len(tgt) == figures["split"]["train"]["pairs"]:
            raise ValueError(f"{len(src)} and {len(tgt)} sequences")
        return cls(
            (src, tgt),
            (TextCodec.load(folder, "src"), TextCodec.load(folder, "tgt")),
            HeldOut.load(folder, "dev"),
            HeldOut.load(folder, "test"),
            {"corpus": name, **figures["counts"]},
            figures["split"],
            figures["coverage"],
        )


def prepare_corpus(
    data: DataConfig,
    cache: Path,
    codecs: tuple[TextCodec, TextCodec] | None = None,
    mirror: Path | None = None,
    say: Say = print,
) -> Prepared:
    """The corpus that `data` names, from the cache, or read, split, cut into ids and put there.

    Args:
        data: settings, see `DataConfig`.
        cache: folder of prepared corpora; whatever is in it may be deleted at any time.
        codecs: use these instead of training them: those of a run that was begun.
        mirror: a folder to take public corpora from, see `wordseq.data.public.get`.
        say: hears what is fetched, and how reading goes on, a line at a time.

    Raises:
        UserError: see `corpus.load_corpus` and `vocab.train_codec`.
    """
    origin = find_origin(data, mirror=mirror, say=say)
    once = any(map(is_stream, origin.files.values()))
    content = secrets.token_hex() if once else _content(origin)
    names = [_name(content, data, ()), *([_name(content, data, codecs)] if codecs else [])]
    for name in names:
        found = _cached(cache / name, origin.name)
        if found and (codecs is None or list(map(_sha256, found.codecs)) == list(map(_sha256, codecs))):
            return found
    target = cache / names[-1]
    with _naming(cache), _aside(cache) as folder:
        _prepare(data, origin, codecs, folder, say)
        _move(folder, target)
    found = Prepared.open(target, origin.name)
    if once:
        # Nobody can ask for it again; what is mapped stays until it is no longer used.
        shutil.rmtree(target, ignore_errors=True)
    return found


def _sha256(codec: TextCodec) -> str:
    return codec.sha256


def _content(origin: Origin) -> list[str]:
    """What stands for the text."""
    if origin.files:
        return [f"{path.name} {digest_of(path)}" for path in origin.files.values()]
    return [hashlib.sha256("".join(f"{pair.src}\t{pair.tgt}\n" for pair in origin.pairs).encode()).hexdigest()]


def _name(content: Any, data: DataConfig, codecs: Iterable[TextCodec]) -> str:
    """The name of a prepared corpus: the same only where everything that shapes it is."""
    settings = dataclasses.asdict(data)
    for key in ("path", *SPLIT_FILES):
        del settings[key]
    versions = [FORMAT, unicodedata.unidata_version, *map(importlib.metadata.version, ("regex", "sentencepiece"))]
    text = json.dumps([content, settings, versions, [codec.sha256 for codec in codecs]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _cached(folder: Path, name: str) -> Prepared | None:
    """What lies there; if it is damaged, it is made anew."""
    if not folder.is_dir():
        return None
    try:
        return Prepared.open(folder, name)
    except (UserError, OSError, ValueError, TypeError, KeyError, EOFError):
        shutil.rmtree(folder, ignore_errors=True)
        return None


@contextlib.contextmanager
def _naming(cache: Path) -> Iterator[None]:
    """Errors of the system name the cache where they name nothing, or a file in it, which nobody knows."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not Path(str(error.filename)).resolve().is_relative_to(cache.resolve()):
            raise
        if error.errno is None:  # NumPy's, when not all could be written.
            raise UserError(f"{cache}: cannot be written, is the disk full? ({error})") from None
        raise OSError(error.errno, error.strerror, str(cache)) from None


@contextlib.contextmanager
def _aside(cache: Path) -> Iterator[Path]:
    """A folder of our own to work in, which is gone at the end if it was not moved; those of killed processes go too."""
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob(".aside-*"):
        if _abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=".aside-", dir=cache))
    try:
        with (folder / LOCK_FILE).open("wb") as lock:
            with contextlib.suppress(OSError):  # Where there are no locks, nothing is ever abandoned.
                try_lock(lock.fileno())
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            cache.rmdir()


def _abandoned(folder: Path) -> bool:
    try:
        if time.time() - folder.stat().st_mtime < ABANDONED_SECONDS:
            return False
        with (folder / LOCK_FILE).open("ab") as lock:
            return try_lock(lock.fileno())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _move(folder: Path, target: Path) -> None:
    """Give a whole folder its name, unless another process was quicker."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    (folder / LOCK_FILE).unlink()
    folder.chmod(target.parent.stat().st_mode)
    try:
        os.rename(folder, target)
    except OSError:
        if not target.is_dir():
            raise


def _store_paths(folder: Path, side: str) -> tuple[Path, Path]:
    return folder / f"{side}.ids.npy", folder / f"{side}.offsets.npy"


def _prepare(
    data: DataConfig, origin: Origin, codecs: tuple[TextCodec, TextCodec] | None, folder: Path, say: Say
) -> None:
    """Write all files of a prepared corpus."""
    scratch = folder / "scratch"
    scratch.mkdir()
    counts, bad = Counts(), BadLines(data.on_bad_line)
    table = _Table(scratch)
    for segment, found in make_segments(origin.rows(bad), data, not origin.is_split, scratch):
        if (counts.lines + found.lines) // SAY_EVERY > counts.lines // SAY_EVERY:
            say(f"preparing: {counts.lines + found.lines:,} lines read")
        counts.add(found)
        table.segments.append((segment, found.kept))
    use, held_out, parts = _parts(data, origin, table, counts, bad)
    kept = np.count_nonzero(use)
    _draw(data, table, use)
    figures: dict[str, Any] = {
        "counts": {
            "parts": {part: found.to_dict() for part, found in parts.items()},
            "unused_pairs": int(kept - np.count_nonzero(use)),
        },
        "split": {**origin.method(data), **_audit(data, table, use, held_out)},
        "coverage": {},
    }
    dev = held_out["dev"]
    dev_texts = (dev.sources, [references[0] for references in dev.references])
    for k, side in enumerate(SIDES):
        codec = codecs[k] if codecs else _train_codec(table, use, data, side)
        codec.save(folder, side)
        figures["coverage"][side] = {
            "train": _write_ids(table, use, codec, data, folder, side),
            "dev": _known(coverage(codec.vocab, map(codec.tokenizer.tokenize, dev_texts[k]))),
        }
    write_json(folder / HELD_OUT_FILE, {part: dataclasses.asdict(found) for part, found in held_out.items()})
    write_json(folder / FIGURES_FILE, figures)
    shutil.rmtree(scratch)


def _known(found: Any) -> dict[str, Any]:
    return {"tokens": found.tokens, "unknown": found.unknown_tokens, "share": found.share}


class _Table:
    """All segments as one table; its columns are files, which the system keeps in memory as long as there is room."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.segments: list[tuple[Segment, int]] = []
        self._made = itertools.count()

    def __len__(self) -> int:
        return sum(rows for _, rows in self.segments)

    def slices(self) -> Iterator[tuple[Segment, slice]]:
        """The segments with their places in the table."""
        end = 0
        for segment, rows in self.segments:
            end += rows
            yield segment, slice(end - rows, end)

    def column(self, name: str, use: Mask | None = None) -> Hashes:
        """A column of hashes, of all pairs or those in `use`, as an array of its own in a file."""
        size = len(self) if use is None else int(np.count_nonzero(use))
        path = self.scratch / f"column{next(self._made)}"
        column = np.memmap(path, np.uint64, "w+", shape=(size,)).view(np.ndarray)
        _take_room(path, column.nbytes)
        end = 0
        for segment, place in self.slices():
            with segment.arrays() as arrays:
                values = arrays[name]
            values = values if values.ndim == 1 else values[:, 0]
            values = values if use is None else values[use[place]]
            column[end : end + len(values)] = values
            end += len(values)
        return column

    def texts(self, use: Mask, side: str) -> Iterator[str]:
        """The sentences of a side of the pairs in `use`."""
        for segment, place in self.slices():
            yield from itertools.compress(segment.texts(side), use[place].tolist())


def _take_room(path: Path, size: int) -> None:
    """Take all of a file's room on the disk now: where there is none, writing to mapped memory would kill the process.

    Raises:
        OSError: there is not enough.
    """
    if size and hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def _parts(
    data: DataConfig, origin: Origin, table: _Table, counts: Counts, bad: BadLines
) -> tuple[Mask, dict[str, HeldOut], dict[str, Counts]]:
    """Which pairs are for training, the held-out sentences, and the counts by what was read."""
    if origin.is_split:
        finish(counts, bad, counts.kept, str(origin.files["train_src"]))
        held_out, held_out_counts = read_held_out(data, origin)
        return np.ones(len(table), np.bool_), held_out, {"train": counts, **held_out_counts}
    use = _first_of_each(table.column("pair")) if len(table) else np.zeros(0, np.bool_)
    kept = int(np.count_nonzero(use))
    counts.duplicates += len(use) - kept
    finish(counts, bad, kept, origin.name)
    held_out = _hold_out(data, table, use)
    return use, held_out, {"pairs": counts}


def _first_of_each(hashes: Hashes) -> Mask:
    """Marks the first of all equal ones, by ranges of their values, which are spread evenly."""
    first = np.zeros(len(hashes), np.bool_)
    ranges = len(hashes) // BUCKET + 1
    width = 2**64 // ranges + 1
    for low in range(0, 2**64, width):
        high = min(low + width, 2**64) - 1
        rows = np.flatnonzero((hashes >= np.uint64(low)) & (hashes <= np.uint64(high)))
        first[rows[np.unique(hashes[rows], return_index=True)[1]]] = True
    return first


def _hold_out(data: DataConfig, table: _Table, use: Mask) -> dict[str, HeldOut]:
    """The same groups as `splits.split_by_source`; their pairs are taken out of `use`."""
    keys, ordered = table.column("key"), table.column("key")
    ordered.sort()
    test, dev = sizes(_distinct(ordered), data.test_size, data.dev_size)
    smallest = _smallest(ordered, test + dev)
    held = use & (keys <= smallest[-1])
    use &= ~held
    pairs = list(map(Pair, *(table.texts(held, side) for side in SIDES)))
    ranks = np.searchsorted(smallest, keys[held]).tolist()
    by_source = {pair.src: rank for pair, rank in zip(pairs, ranks, strict=True)}
    dev_part, test_part = held_out_parts(pairs, by_source, test)
    return {"dev": dev_part, "test": test_part}


def _distinct(ordered: Hashes) -> int:
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + bool(len(ordered))


def _smallest(ordered: Hashes, number: int) -> Hashes:
    """The first `number` distinct ones."""
    end = number
    while end < len(ordered) and _distinct(ordered[:end]) < number:
        end *= 2
    return np.unique(ordered[:end])[:number]


def _draw(data: DataConfig, table: _Table, use: Mask) -> None:
    """The same pairs as `splits.draw`: what was not drawn is taken out of `use`."""
    number = data.max_pairs
    if not number or number >= np.count_nonzero(use):
        return
    drawn = table.column("draw", use)
    drawn.partition(number - 1)
    last = drawn[number - 1]
    draws = table.column("draw")
    equal = np.flatnonzero(use & (draws == last))
    use &= draws <= last
    use[equal[len(equal) - (int(np.count_nonzero(use)) - number) :]] = False


def _audit(data: DataConfig, table: _Table, use: Mask, held_out: Mapping[str, HeldOut]) -> dict[str, Any]:
    """See `splits.audit`."""
    sources, keys = table.column("source", use), table.column("key", use)
    sources.sort()
    keys.sort()
    total = 0
    wanted = {text for part in held_out.values() for references in part.references for text in references}
    targets: set[str] = set()
    for segment, place in table.slices():
        with segment.arrays() as arrays:
            total += _sum_of_digests(arrays["pair"][use[place]])
        targets |= wanted.intersection(itertools.compress(segment.texts("tgt"), use[place].tolist()))
    train = {
        "pairs": len(keys),
        "sources": _distinct(sources),
        "groups": _distinct(keys),
        "sha256": f"{total % 2**256:064x}",
    }
    return audit_parts(train, held_out, _Keys(keys, data.seed), targets)


def _sum_of_digests(digests_n4: Hashes) -> int:
    """The sum of numbers of 256 bits, each given as four words, the highest first."""
    halves = (digests_n4 >> np.uint64(32)).sum(0).tolist(), (digests_n4 & np.uint64(2**32 - 1)).sum(0).tolist()
    words = [(high << 32) + low for high, low in zip(*halves, strict=True)]
    return sum(word << shift for word, shift in zip(words, (192, 128, 64, 0), strict=True))


class _Keys:
    """The keys of the groups in training: answers `key in keys`."""

    def __init__(self, ordered: Hashes, seed: int) -> None:
        self._ordered, self._seed = ordered, seed

    def __contains__(self, key: object) -> bool:
        value = np.uint64(int.from_bytes(key_digest(str(key), self._seed)[:8]))
        place = int(np.searchsorted(self._ordered, value))
        return place < len(self._ordered) and bool(self._ordered[place] == value)


def _train_codec(table: _Table, use: Mask, data: DataConfig, side: str) -> TextCodec:
    """See `vocab.train_codec`."""
    if data.level_of(side) != "word":
        return train_codec(table.texts(use, side), data, side)
    counts = _word_counts(table, use, side)
    return TextCodec(WordTokenizer(data.pretokenized), vocab_of_counts(counts, data.min_freq, data.max_size))


def _word_counts(table: _Table, use: Mask, side: str) -> Iterator[tuple[str, int]]:
    """The distinct words of the pairs in `use`, each with its number, a part of them in memory at a time."""
    places = []
    for segment, place in table.slices():
        with segment.arrays() as arrays:
            ids, ends, parts = (arrays[f"{side}.{name}"] for name in ("ids", "ends", "parts"))
        counts = np.bincount(_chosen(ids, ends, use[place])[0], minlength=int(parts[0, -1])).astype(np.int32)
        path = table.scratch / f"{segment.number}.{side}.counts.npy"
        np.save(path, counts, allow_pickle=False)
        places.append((segment, path, parts))
    for part in range(PARTS):
        total: Counter[str] = Counter()
        for segment, path, parts in places:
            (first, end), (start, stop) = parts[:, part : part + 2].tolist()
            counts = np.load(path, mmap_mode="r", allow_pickle=False)[first:end].tolist()
            for word, number in zip(segment.words_of_part(side, start, stop), counts, strict=True):
                total[word] += number
        # Words of held-out sentences alone were counted 0 times.
        yield from ((word, number) for word, number in total.items() if number)


def _chosen(ids: npt.NDArray[Any], ends: npt.NDArray[np.int64], use: Mask) -> tuple[npt.NDArray[Any], Any]:
    """The ids of the sentences in `use`, and the lengths of these."""
    lengths = np.diff(ends, prepend=0)
    return ids[np.repeat(use, lengths)], lengths[use]


def _write_ids(table: _Table, use: Mask, codec: TextCodec, data: DataConfig, folder: Path, side: str) -> dict[str, Any]:
    """Write the files of an `IdStore`; how many tokens there are, how many of them unknown, and the share of the others."""
    by_word = data.level_of(side) == "word" and codec.tokenizer == WordTokenizer(data.pretokenized)
    give = _ids_of_words if by_word else _ids_of_texts
    flat_path, offsets_path = _store_paths(folder, side)
    tokens = unknown = 0
    with ArrayFile(flat_path, np.int32) as flat, ArrayFile(offsets_path, np.int64) as offsets:
        offsets.append(np.zeros(1))
        for segment, place in table.slices():
            ids, lengths = give(segment, use[place], codec, side)
            flat.append(ids)
            offsets.append(tokens + np.cumsum(lengths))
            tokens += len(ids)
            unknown += int(np.count_nonzero(ids == UNK_ID))
    return {"tokens": tokens, "unknown": unknown, "share": 1 - unknown / tokens if tokens else 1.0}


def _ids_of_words(segment: Segment, use: Mask, codec: TextCodec, side: str) -> tuple[npt.NDArray[Any], Any]:
    with segment.arrays() as arrays:
        numbers, lengths = _chosen(arrays[f"{side}.ids"], arrays[f"{side}.ends"], use)
    return np.array(codec.vocab.to_ids(segment.words(side)), np.int32)[numbers], lengths


def _ids_of_texts(segment: Segment, use: Mask, codec: TextCodec, side: str) -> tuple[npt.NDArray[Any], Any]:
    store = IdStore.of([codec.to_ids(text) for text in itertools.compress(segment.texts(side), use.tolist())])
    return store.flat, store.lengths
