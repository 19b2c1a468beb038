"""Prepares a corpus of any size for training: splits, vocabularies, and ids in memory-mapped files.

The training pairs are never all in memory: `shards` processes them in blocks, and `table` does what needs all of them. The
result is cached in a folder named by a hash of the text and of all settings that shape it. It is written to a temporary
folder, which is renamed when it is complete. So a killed process leaves no incomplete result, and no other process sees one.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from wordseq.batches.id_store import IdStore
from wordseq.batches.shards import SIDES, make_shards
from wordseq.batches.table import PairTable, store_paths
from wordseq.config.data import DATA_FILES, DataConfig
from wordseq.config.fields import AUTO
from wordseq.data.cleaning import Counts, finish, read_given
from wordseq.data.columns import shortened
from wordseq.data.guards import SAMPLE_PAIRS, features_warnings, warnings_about
from wordseq.data.pairs import Pair
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.streams import archive_of, digest_of, is_stream
from wordseq.data.sources import Origin, Reading, find_origin
from wordseq.data.splits import HELD_OUT_FILE, HeldOut
from wordseq.system.errors import UserError
from wordseq.system.files import make_folder, read_json, write_json
from wordseq.system.locks import try_lock
from wordseq.system.platform import installed_version
from wordseq.system.progress import Say
from wordseq.text.features import split_features, word_of
from wordseq.text.scripts import scripts_of
from wordseq.text.vocab import TextCodec, coverage

PREPARED_FOLDER = ".prepared"
"""Name of the cache folder, which is beside the run folders and shared by all runs on the same data."""

SHOWN_PAIRS = 5
"""Pairs of a corpus that `wordseq data show` prints."""

SAY_EVERY = 1_000_000
"""Lines of text between two lines of progress."""

ABANDONED_CACHE_SECONDS = 60
"""An unlocked temporary folder of this age was left by a killed process. A younger one may not have its lock yet."""

_VERSION = 6
"""Raise it when the same text and settings give other ids, or the files change: old cache entries are then ignored."""

_FIGURES_FILE, _LOCK_FILE = "prepared.json", "lock"


@dataclass(frozen=True)
class Prepared:
    """A corpus ready for training.

    Attributes:
        stores: source and target ids of the training pairs, memory-mapped.
        codecs: source and target codec.
        dev: split for validation.
        test: split for the final scores.
        split: content of split.json: "method", "seed", "dev_size" and "test_size" of the split, and the result of
            `splits.audit`. "counts": what was read, dropped and normalised; "first": the first pairs; "scripts": those of a
            sample; "warnings": what looks wrong.
        coverage: for "src" and "tgt", and in them for "train" and "dev": "tokens", "unknown", and "share" of known tokens.
            Where rare words are spelled, also "sentences", "words" and "spelled", see `PairTable.write_ids`.
    """

    stores: tuple[IdStore, IdStore]
    codecs: tuple[TextCodec, TextCodec]
    dev: HeldOut
    test: HeldOut
    split: dict[str, Any]
    coverage: dict[str, Any]

    @classmethod
    def open(cls, folder: Path, name: str) -> Self:
        """The prepared corpus in a folder; `name` is the name of the corpus.

        Raises:
            UserError, OSError, ValueError, TypeError, KeyError: a file is missing or damaged.
        """
        figures = read_json(folder / _FIGURES_FILE)
        src, tgt = (IdStore.open(*store_paths(folder, side)) for side in SIDES)
        if not len(src) == len(tgt) == figures["split"]["train"]["pairs"]:
            raise ValueError(f"{len(src)} and {len(tgt)} sequences")
        return cls(
            (src, tgt),
            (TextCodec.load(folder, "src"), TextCodec.load(folder, "tgt")),
            HeldOut.load(folder, "dev"),
            HeldOut.load(folder, "test"),
            figures["split"] | {"counts": {"corpus": name, **figures["split"]["counts"]}},
            figures["coverage"],
        )


def prepare_corpus(
    data: DataConfig,
    cache: Path,
    codecs: tuple[TextCodec, TextCodec] | None = None,
    mirror: Path | None = None,
    say: Say = print,
) -> Prepared:
    """The corpus that `data` names: from the cache, or prepared now and added to the cache.

    Args:
        data: settings, see `DataConfig`.
        cache: folder of prepared corpora; anything in it may be deleted at any time.
        codecs: source and target codec of an existing run; None: train new ones.
        mirror: folder that replaces the network for public corpora, see `wordseq.data.public.get`.
        say: called with one line at a time: downloads, and the number of lines read.

    Raises:
        UserError: the corpus is unknown, a file cannot be used, or there are bad lines. Or a split would be empty, a tokenizer
            has no text to train on, or the cache cannot be written.
    """
    origin = find_origin(data, mirror=mirror, say=say)
    # A pipe can be read only once, so its text cannot be hashed first. It gets a random name in the cache.
    once = any(map(is_stream, origin.paths))
    content = secrets.token_hex() if once else _content(origin)
    # With the codecs of a run, the entry without given codecs comes first: it fits if training gave the same codecs.
    # Its data.subword_size may be what a rule decided; what was prepared by that rule has the same subwords.
    open_size = dataclasses.replace(data, subword_size=cast(Any, AUTO))
    names = [
        _name(content, data, ()),
        *([_name(content, open_size, ()), _name(content, data, codecs)] if codecs else []),
    ]
    for name in names:
        found = _cached(cache / name, origin.name)
        if found and (codecs is None or [codec.sha256 for codec in found.codecs] == [codec.sha256 for codec in codecs]):
            for part in found.split["counts"]["parts"].values():
                for line in part["reading"].get("lines", ()):
                    say(line)
            return found
    target = cache / names[-1]
    with _naming(cache), _temporary(cache) as folder:
        _write(data, origin, codecs, folder, say)
        _move(folder, target)
    found = Prepared.open(target, origin.name)
    if once:
        # Its random name is never looked up again. The system keeps mapped files until they are unmapped.
        shutil.rmtree(target, ignore_errors=True)
    return found


def _content(origin: Origin) -> list[str]:
    """Hashes that identify the text of a corpus."""
    if origin.parts:
        # Each archive once, although it has many members.
        digests = {path: digest_of(path) for path in {archive_of(path) or path for path in origin.paths}}
        return [
            f"{part} {path.name} {digests[archive_of(path) or path]}"
            for part, listed in origin.parts.items()
            for files in listed
            for path in files
        ]
    return [hashlib.sha256("".join(f"{pair.src}\t{pair.tgt}\n" for pair in origin.pairs).encode()).hexdigest()]


def _name(content: Any, data: DataConfig, codecs: Iterable[TextCodec]) -> str:
    """The name of a prepared corpus: a hash of everything that shapes it."""
    settings = dataclasses.asdict(data)
    if not data.has_subwords:
        del settings["subword_size"]
    settings["rare_words"] = [data.spells(side) for side in SIDES]
    # Paths do not shape it; the content of the files does, and is in `content`.
    for key in DATA_FILES:
        del settings[key]
    # NFC, the word tokenizer and the subword trainer change with these versions.
    versions = [_VERSION, unicodedata.unidata_version, *map(installed_version, ("regex", "sentencepiece"))]
    text = json.dumps([content, settings, versions, [codec.sha256 for codec in codecs]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _cached(folder: Path, name: str) -> Prepared | None:
    """The prepared corpus in a folder of the cache; a damaged one is deleted."""
    if not folder.is_dir():
        return None
    try:
        return Prepared.open(folder, name)
    except (UserError, OSError, ValueError, TypeError, KeyError, EOFError):
        shutil.rmtree(folder, ignore_errors=True)
        return None


@contextlib.contextmanager
def _naming(cache: Path) -> Iterator[None]:
    """Turn an OSError without a file name, or about a file in the cache, into one about the cache folder."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not Path(str(error.filename)).resolve().is_relative_to(cache.resolve()):
            raise
        if error.errno is None:  # NumPy raises it without a number when the disk is full.
            raise UserError(f"{cache}: cannot be written; is the disk full? ({error})") from None
        raise OSError(error.errno, error.strerror, str(cache)) from None


@contextlib.contextmanager
def _temporary(cache: Path) -> Iterator[Path]:
    """A temporary folder in the cache, deleted at the end if it was not renamed; those of killed processes are deleted now."""
    while True:
        make_folder(cache)
        try:
            # Inside the cache, because renaming is atomic only within one file system.
            folder = Path(tempfile.mkdtemp(prefix=".tmp-", dir=cache))
            break
        except FileNotFoundError:
            continue  # Another process has just ended without a result, and removed the empty cache.
    try:
        with (folder / _LOCK_FILE).open("wb") as lock:
            with contextlib.suppress(OSError):  # Without locks, `_abandoned` is always false: nothing is deleted.
                try_lock(lock.fileno())
            # Only now: as long as our folder is in it, no other process removes the cache.
            for left in cache.glob(".tmp-*"):
                if left != folder and _abandoned(left):
                    shutil.rmtree(left, ignore_errors=True)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            cache.rmdir()


def _abandoned(folder: Path) -> bool:
    try:
        if time.time() - folder.stat().st_mtime < ABANDONED_CACHE_SECONDS:
            return False
        with (folder / _LOCK_FILE).open("ab") as lock:
            return try_lock(lock.fileno())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _move(folder: Path, target: Path) -> None:
    """Rename a complete folder to its final name, unless another process was faster."""
    # On disk before the new name: after a power cut the name must not stand for empty files.
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    (folder / _LOCK_FILE).unlink()
    # mkdtemp makes folders private; the cache may be shared by a group.
    folder.chmod(target.parent.stat().st_mode)
    try:
        os.rename(folder, target)
    except OSError:
        if not target.is_dir():
            raise


def _write(
    data: DataConfig, origin: Origin, codecs: tuple[TextCodec, TextCodec] | None, folder: Path, say: Say
) -> None:
    """Write all files of a prepared corpus."""
    scratch = folder / "scratch"
    scratch.mkdir()
    counts, bad, reading = Counts(), BadLines(data.on_bad_line), Reading(say)
    readings = {part: Reading(say) for part in ("dev", "test") if part in origin.parts}
    given = {part: read_given(data, origin, part, found) for part, found in readings.items()}
    shards = []
    # Training files beside a given split keep their duplicates, see `clean`.
    for shard, found in make_shards(origin.rows(data, bad, "train", reading), data, bool(origin.missing), scratch):
        if (counts.lines + found.lines) // SAY_EVERY > counts.lines // SAY_EVERY:
            say(f"preparing: {counts.lines + found.lines:,} lines read")
        counts.add(found)
        shards.append((shard, found.kept))
    table = PairTable(scratch, shards, data)
    if origin.missing:
        counts.duplicates += table.drop_duplicates()
    finish(counts, bad, table.used, origin.name)
    counts.reading = reading.to_dict()
    held_out = {part: split for part, (split, _) in given.items()}
    if origin.missing:
        held_out |= table.hold_out(origin.missing)
    parts = {"train" if given else "pairs": counts} | {part: found for part, (_, found) in given.items()}
    # After holding out: the dev and test splits do not depend on data.max_pairs.
    unused = table.draw()
    split = {
        **origin.method(data),
        **table.audit(held_out),
        "counts": {"parts": {part: found.to_dict() for part, found in parts.items()}, "unused_pairs": unused},
        "subword_size": table.subword_size,
    }
    dev = held_out["dev"]
    dev_texts = (dev.sources, [references[0] for references in dev.references])
    written = "NFD" if counts.decomposed > counts.composed else "NFC"
    made = codecs or table.train_codecs(written)
    cover = {}
    for k, side in enumerate(SIDES):
        made[k].save(folder, side)
        known = coverage(made[k].vocab, map(made[k].tokenize, dev_texts[k]))
        dev_figures = {"tokens": known.tokens, "unknown": known.unknown_tokens, "share": known.share}
        if known.spelled is not None:
            dev_figures |= {"sentences": len(dev_texts[k]), "words": known.words, "spelled": known.spelled}
        cover[side] = {"train": table.write_ids(made[k], side, folder), "dev": dev_figures}
    # Features are neither words nor in a script.
    drawn = table.sample(SAMPLE_PAIRS)
    sample = [Pair(word_of(pair.src), pair.tgt) for pair in drawn]
    words = {part: HeldOut(list(map(word_of, found.sources)), found.references) for part, found in held_out.items()}
    split["first"] = table.first(SHOWN_PAIRS)
    split["scripts"] = {side: dict(scripts_of([getattr(pair, side) for pair in sample])) for side in SIDES}
    split["warnings"] = [text for found in (reading, *readings.values()) for text in found.warnings]
    # The pairs of a synthetic corpus are what they should be.
    examined, compared = ([], {}) if origin.pairs else (sample, words)
    changed, (text, back) = table.changed_for_good("tgt")
    if changed:
        split["warnings"].append(
            f"data.tgt_form = {data.tgt_form!r} changes {changed:,} of {table.used:,} training targets for good, e.g. "
            f"{shortened(text)} becomes {shortened(back)}: the model cannot write what it replaces"
        )
    split["warnings"] += warnings_about(examined, compared, data, counts.to_dict(), split["train"], cover)
    split["warnings"] += features_warnings([split_features(pair.src)[1] for pair in drawn], data)
    write_json(folder / HELD_OUT_FILE, {part: dataclasses.asdict(found) for part, found in held_out.items()})
    write_json(folder / _FIGURES_FILE, {"split": split, "coverage": cover})
    shutil.rmtree(scratch)
