"""A corpus of any size made ready for training: split, vocabularies, and ids in files that are mapped into memory.

The training pairs are never in memory: they pass through `shards`, and `table` does what needs all of them at once. The result
lies in a cache, in a folder named by a hash of the text and of all settings that shape it. It is written to a temporary folder
and renamed when it is complete, so that neither a kill nor a second process can leave or see half of it.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
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
from typing import Any, Self

from wordseq.batches.id_store import IdStore
from wordseq.batches.shards import SIDES, make_shards
from wordseq.batches.table import PairTable, store_paths
from wordseq.config.schema import SPLIT_FILES, DataConfig
from wordseq.data.cleaning import Counts, finish, read_given
from wordseq.data.readers.lines import BadLines, digest_of, is_stream
from wordseq.data.sources import Origin, find_origin
from wordseq.data.splits import HELD_OUT_FILE, HeldOut
from wordseq.system.errors import UserError
from wordseq.system.files import read_json, write_json
from wordseq.system.locks import try_lock
from wordseq.system.progress import Say
from wordseq.text.vocab import TextCodec, coverage

PREPARED_FOLDER = ".prepared"
"""Name of a cache: a folder beside run folders, shared by all runs on the same data."""

SAY_EVERY = 1_000_000
"""Lines of text between two lines for people."""

ABANDONED_CACHE_SECONDS = 60
"""A temporary folder of this age that nobody has locked was left by a process that was killed."""

_VERSION = 2
"""Raised when the same text and settings would give other ids, or the files change."""

_FIGURES_FILE, _LOCK_FILE = "prepared.json", "lock"


@dataclass(frozen=True)
class Prepared:
    """A corpus ready for training.

    Attributes:
        stores: source and target ids of the training pairs, memory-mapped.
        codecs: source and target tokenizer with vocabulary.
        dev: for choosing.
        test: for the final score.
        split: the content of split.json: how it was split ("method", "seed", "dev_size", "test_size"), what `splits.audit`
            finds, and in "counts" what was read, dropped and normalised.
        coverage: by side and part, "train" and "dev": "tokens", "unknown" and "share" of known ones; for JSON.
    """

    stores: tuple[IdStore, IdStore]
    codecs: tuple[TextCodec, TextCodec]
    dev: HeldOut
    test: HeldOut
    split: dict[str, Any]
    coverage: dict[str, Any]

    @classmethod
    def open(cls, folder: Path, name: str) -> Self:
        """What `prepare_corpus` left in a folder, for the corpus `name`.

        Raises:
            UserError, OSError, ValueError, TypeError, KeyError: there is nothing, or it is damaged.
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
    """The corpus that `data` names, from the cache, or read, split, cut into ids and put there.

    Args:
        data: settings, see `DataConfig`.
        cache: folder of prepared corpora; whatever is in it may be deleted at any time.
        codecs: use these instead of training them: those of a run that exists.
        mirror: a folder to take public corpora from, see `wordseq.data.public.get`.
        say: called with what is fetched, and how many lines were read, a line at a time.

    Raises:
        UserError: an unknown corpus, a file that cannot be used, bad lines, sizes that leave a part empty, no text to train a
            tokenizer on; or the cache cannot be written.
    """
    origin = find_origin(data, mirror=mirror, say=say)
    once = any(map(is_stream, origin.files.values()))
    content = secrets.token_hex() if once else _content(origin)
    names = [_name(content, data, ()), *([_name(content, data, codecs)] if codecs else [])]
    for name in names:
        found = _cached(cache / name, origin.name)
        if found and (codecs is None or [codec.sha256 for codec in found.codecs] == [codec.sha256 for codec in codecs]):
            return found
    target = cache / names[-1]
    with _naming(cache), _temporary(cache) as folder:
        _write(data, origin, codecs, folder, say)
        _move(folder, target)
    found = Prepared.open(target, origin.name)
    if once:
        # Nobody can ask for it again; what is mapped stays until it is no longer used.
        shutil.rmtree(target, ignore_errors=True)
    return found


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
    versions = [_VERSION, unicodedata.unidata_version, *map(importlib.metadata.version, ("regex", "sentencepiece"))]
    text = json.dumps([content, settings, versions, [codec.sha256 for codec in codecs]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _cached(folder: Path, name: str) -> Prepared | None:
    """What is there; what is damaged is deleted."""
    if not folder.is_dir():
        return None
    try:
        return Prepared.open(folder, name)
    except (UserError, OSError, ValueError, TypeError, KeyError, EOFError):
        shutil.rmtree(folder, ignore_errors=True)
        return None


@contextlib.contextmanager
def _naming(cache: Path) -> Iterator[None]:
    """Errors of the system that name nothing, or a file in the cache, name the cache."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not Path(str(error.filename)).resolve().is_relative_to(cache.resolve()):
            raise
        if error.errno is None:  # NumPy's, when not all could be written.
            raise UserError(f"{cache}: cannot be written, is the disk full? ({error})") from None
        raise OSError(error.errno, error.strerror, str(cache)) from None


@contextlib.contextmanager
def _temporary(cache: Path) -> Iterator[Path]:
    """A folder to work in; at the end it is deleted if it was not moved. Those of killed processes are deleted too."""
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob(".aside-*"):
        if _abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=".aside-", dir=cache))
    try:
        with (folder / _LOCK_FILE).open("wb") as lock:
            with contextlib.suppress(OSError):  # Where there are no locks, nothing is ever abandoned.
                try_lock(lock.fileno())
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
    """Give a complete folder its name, unless another process was quicker."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    (folder / _LOCK_FILE).unlink()
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
    counts, bad = Counts(), BadLines(data.on_bad_line)
    shards = []
    for shard, found in make_shards(origin.rows(bad), data, not origin.is_split, scratch):
        if (counts.lines + found.lines) // SAY_EVERY > counts.lines // SAY_EVERY:
            say(f"preparing: {counts.lines + found.lines:,} lines read")
        counts.add(found)
        shards.append((shard, found.kept))
    table = PairTable(scratch, shards, data)
    if origin.is_split:
        finish(counts, bad, counts.kept, str(origin.files["train_src"]))
        held_out, given = read_given(data, origin)
        parts = {"train": counts, **given}
    else:
        counts.duplicates += table.drop_duplicates()
        finish(counts, bad, table.used, origin.name)
        held_out, parts = table.hold_out(), {"pairs": counts}
    unused = table.draw()
    split = {
        **origin.method(data),
        **table.audit(held_out),
        "counts": {"parts": {part: found.to_dict() for part, found in parts.items()}, "unused_pairs": unused},
    }
    dev = held_out["dev"]
    dev_texts = (dev.sources, [references[0] for references in dev.references])
    cover = {}
    for k, side in enumerate(SIDES):
        codec = codecs[k] if codecs else table.train_codec(side)
        codec.save(folder, side)
        known = coverage(codec.vocab, map(codec.tokenizer.tokenize, dev_texts[k]))
        cover[side] = {
            "train": table.write_ids(codec, side, folder),
            "dev": {"tokens": known.tokens, "unknown": known.unknown_tokens, "share": known.share},
        }
    write_json(folder / HELD_OUT_FILE, {part: dataclasses.asdict(found) for part, found in held_out.items()})
    write_json(folder / _FIGURES_FILE, {"split": split, "coverage": cover})
    shutil.rmtree(scratch)
