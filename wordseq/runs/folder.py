"""The run folder: names and content of its files. All but metrics.jsonl are written atomically."""

import contextlib
import glob
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wordseq.config.fields import is_auto
from wordseq.config.load import config_from_dict, read_toml, to_toml
from wordseq.config.schema import AUTO_KEYS, SECTIONS, SELECT_BY, Config, by_key
from wordseq.data.splits import HELD_OUT_FILE, HeldOut
from wordseq.runs.checkpoint import ENDING, Arrays, Header, checkpoint_bytes, read_checkpoint, read_header
from wordseq.system.errors import UserError
from wordseq.system.files import TEMPORARY, is_number, naming, read_json, sync_folder, write_atomically, write_json
from wordseq.system.locks import LOCK_FILE
from wordseq.text.vocab import TextCodec

CONFIG_FILE, METRICS_FILE, SPLIT_FILE, DATA_FILE = "config.toml", "metrics.jsonl", "split.json", "data.json"

MEMORY_FILE = "memory.json"
"""Figures of the process that finished the training: `peak_bytes` (peak memory), `machine`, `wordseq` (version and commit)."""

BEGUN_FILE, EVAL_FOLDER = ".begun", "eval"

BEST, LAST, PREVIOUS = "best", "last", "previous"

PRETRAINED = "pretrained"

PACK_FILE = "pack.json"
"""Name of a packed run, and the versions that trained and packed it; see `wordseq.runs.pack`. Only packed runs have it."""

ENSEMBLE_FILE = "ensemble.toml"
"""The runs of an ensemble; see `wordseq.runs.combine`. Its folder has no config.toml."""

AVERAGE_FILE = "average.json"
"""What the weights of a run are the mean of; see `wordseq.runs.combine`. Only averaged runs have it."""

PAIRS_FILE = "pairs.tsv"
"""The training data of a run that got them from Python, so that the run can be resumed from its folder."""

DAMAGED_FILE = f"damaged{ENDING}"

LOGGED_NUMBERS = ("epoch", *SELECT_BY, "tokens", "tokens_per_second", "seconds")
"""Keys of the log whose values must be numbers, where they occur."""

ABANDONED_SECONDS = 600
"""A temporary file of this age was left by a killed process: writing one takes seconds."""

MOST_TGT_PER_SRC = 1e4
"""A larger ratio in data.json is damage: data.max_chars limits the ratio of undamaged data."""


class SrcLengths(NamedTuple):
    """Lengths of the training sources, in tokens."""

    usual: int
    """99 % of the sources have at most this many."""
    longest: int


class RunFolder:
    """The folder of a run.

    - config.toml: all settings.
    - src.* and tgt.*: tokenizers and vocabularies.
    - split.json: sizes and hashes of the splits; held_out.json: dev and test; data.json: lengths and coverage.
    - best.safetensors, last.safetensors, and previous.safetensors, the `last` before: checkpoints, see
      `wordseq.runs.checkpoint`.
    - metrics.jsonl: the training log, one entry per line; memory.json.
    - eval/: scores and translations.
    - pretrained.safetensors, with model.pretrained_src or pretrained_tgt: the word vectors of the vocabulary, so that their
      source file is not needed again.
    - pack.json, in a packed run only: see `wordseq.runs.pack`.
    - average.json, in an averaged run only: see `wordseq.runs.combine`.
    """

    members: "tuple[RunFolder, ...]" = ()
    """The runs of an ensemble; empty for a single run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, folder: Path) -> "RunFolder":
        """An existing single run; `combine.open_run` takes ensembles too.

        Raises:
            UserError: the folder is missing, or is not that of a single run.
        """
        if not folder.is_dir():
            unpack = "; unpack it and give the folder in it" if folder.suffix.lower() == ".zip" else ""
            a_file = f"a file, expected a run folder{unpack}"
            raise UserError(f"{folder}: {a_file if folder.exists() else 'no such run folder'}")
        run = cls(folder)
        if (folder / ENSEMBLE_FILE).is_file():
            raise UserError(f"{folder}: an ensemble, expected a single run: give one of its runs")
        if not run.begun:
            raise UserError(f"{folder}: not a run folder: it has no {CONFIG_FILE}")
        return run

    @property
    def begun(self) -> bool:
        """Whether the folder holds a run."""
        return (self.folder / CONFIG_FILE).is_file()

    @property
    def packed(self) -> bool:
        """Whether the run was packed, so that it can translate but not train."""
        return (self.folder / PACK_FILE).is_file()

    @property
    def averaged(self) -> bool:
        """Whether the weights are the mean of others, so that the run can translate but not train."""
        return (self.folder / AVERAGE_FILE).is_file()

    @property
    def train_seconds(self) -> float | None:
        """Time of the training so far, with validations; None if it is not known."""
        # An averaged run has no log, but its only checkpoint has the sum.
        entries = [self.header(BEST).state] if self.averaged else self.metrics()
        return max((entry["seconds"] for entry in entries if isinstance(entry.get("seconds"), float)), default=None)

    @property
    def config(self) -> Config:
        """The run's settings.

        Raises:
            UserError: config.toml is damaged.
        """
        path = self.folder / CONFIG_FILE
        found = read_toml(path)
        # A settings file of the user may lack sections; the file of a run is complete, unless it was damaged or edited.
        for section in SECTIONS:
            if section not in found:
                raise UserError(f"{path}: damaged: it has no section [{section}]")
        config = config_from_dict(found, str(path))
        values = by_key(config)
        for key in AUTO_KEYS:
            if is_auto(values[key]):
                raise UserError(f"{path}: damaged: it has no value of {key}")
        return config

    @property
    def tgt_per_src(self) -> float:
        """Target tokens per source token in the training data, end tokens included.

        Raises:
            UserError: data.json is missing or damaged.
        """
        ratio = self.read_json(DATA_FILE).get("tgt_per_src")
        if not isinstance(ratio, float) or not 0 < ratio < MOST_TGT_PER_SRC:
            raise UserError(f"{self.folder / DATA_FILE}: damaged: tgt_per_src = {ratio!r}, expected a number above 0")
        return ratio

    @property
    def src_lengths(self) -> SrcLengths | None:
        """Lengths of the training sources; None if data.json does not have them.

        Raises:
            UserError: data.json is missing or damaged.
        """
        found = self.read_json(DATA_FILE).get("src_tokens")
        if found is None:
            return None
        numbers = [found.get(name) for name in SrcLengths._fields] if isinstance(found, dict) else []
        counts = [number for number in numbers if isinstance(number, int) and number >= 0]
        if not counts or counts != numbers:
            raise UserError(f"{self.folder / DATA_FILE}: damaged: src_tokens = {found!r}, expected two numbers")
        return SrcLengths(*counts)

    @property
    def decided(self) -> frozenset[str]:
        """The settings that the data decided when the run began; see `config/auto.py`.

        Raises:
            UserError: data.json is missing or damaged.
        """
        found = self.read_json(DATA_FILE).get("decided", [])
        if not isinstance(found, list) or not set(found) <= set(AUTO_KEYS):
            raise UserError(f"{self.folder / DATA_FILE}: damaged: decided = {found!r}, expected names of settings")
        return frozenset(found)

    @property
    def codecs(self) -> tuple[TextCodec, TextCodec]:
        """Source and target codec: tokenizer with vocabulary."""
        return TextCodec.load(self.folder, "src"), TextCodec.load(self.folder, "tgt")

    def held_out(self, part: str) -> HeldOut:
        """The split "dev" or "test".

        Raises:
            UserError: held_out.json is missing or damaged, or the run was packed without the split.
        """
        if self.packed and part != "test":
            raise UserError(f"{self.folder}: a packed run has no {part} sentences; the run that was packed has them")
        if self.packed and not (self.folder / HELD_OUT_FILE).exists():
            raise UserError(
                f"{self.folder}: packed without its test sentences, for the licence of the corpus; give sentences with their "
                "references (--src FILE --ref FILE), or pack the run with --with-test"
            )
        return HeldOut.load(self.folder, part)

    @property
    def unfinished(self) -> bool:
        """Whether the folder was left by a process that was killed while it created the run."""
        return not self.begun and any((self.folder / name).is_file() for name in (BEGUN_FILE, LOCK_FILE))

    def begin(
        self, config: Config, src: TextCodec, tgt: TextCodec, files: Mapping[str, Any], pretrained: Arrays | None = None
    ) -> None:
        """Create the run: write the files that do not change during training. On an error, remove what was written.

        config.toml is written last: a folder with it is complete.

        Args:
            config: resolved settings.
            src: source codec.
            tgt: target codec.
            files: contents of JSON files, by name.
            pretrained: arrays `SIDE.ids` and `SIDE.vectors` that initialise embeddings; SIDE is "src" or "tgt".
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        before = set(self.folder.iterdir())
        try:
            # First, so that a kill at any later point leaves a folder that is recognised as unfinished.
            self.write_text(BEGUN_FILE, "")
            src.save(self.folder, "src")
            tgt.save(self.folder, "tgt")
            for name, value in files.items():
                self.write_json(name, value)
            if pretrained:
                self.save(PRETRAINED, pretrained, {})
            self.write_config(config)
        except BaseException:
            for path in set(self.folder.iterdir()) - before:
                path.unlink(missing_ok=True)
            raise
        self.remove_leftovers()

    def write_config(self, config: Config) -> None:
        """Write config.toml."""
        self.write_text(CONFIG_FILE, to_toml(config))

    def path_of(self, name: str) -> Path:
        """Path of the checkpoint `name`."""
        return self.folder / f"{name}{ENDING}"

    def has(self, name: str) -> bool:
        """Whether the checkpoint `name` ("best", "last" or "previous") exists."""
        return self.path_of(name).is_file()

    def save(self, name: str, arrays: Arrays, state: Mapping[str, Any]) -> None:
        """Write the checkpoint `name`: arrays and a state for JSON. The old `last` becomes `previous`."""
        content = checkpoint_bytes(arrays, state)
        log = self.folder / METRICS_FILE
        if log.exists():
            # The log first: resuming cuts it at the checkpoint's step, so no entry up to that step may be missing.
            with naming(log), log.open("ab") as file:
                os.fsync(file.fileno())
        write_atomically(self.path_of(name), content, self.path_of(PREVIOUS) if name == LAST else None)

    def header(self, name: str) -> Header:
        """State, checksum and shapes of the checkpoint `name`, without its arrays; errors as `load`."""
        with self._reading(name) as path:
            return read_header(path)

    def load(self, name: str) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and state of the checkpoint `name`.

        Raises:
            UserError: the checkpoint is missing or damaged.
            PermissionError: the checkpoint cannot be read.
        """
        with self._reading(name) as path:
            return read_checkpoint(path)

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[Path]:
        """Turn errors of reading the checkpoint `name` into messages with its file and what to do."""
        path = self.path_of(name)
        try:
            yield path
        except FileNotFoundError:
            if self.packed and name != BEST:
                raise UserError(
                    f"{path}: a packed run has the best checkpoint only; the run that was packed has the others"
                ) from None
            stopped = "the run was stopped before its first validation; `wordseq train` resumes it"
            why = stopped if self.has(LAST) else "has the run been trained?"
            raise UserError(f"{path}: no such checkpoint; {why}") from None
        # Neither is damage: the advice to delete the file would be wrong.
        except (MemoryError, PermissionError):
            raise
        except Exception as error:  # The kind of error depends on where the file is damaged; there are a dozen.
            # Some errors quote the damaged header, which may be long and have line breaks.
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{path}: damaged checkpoint: {reason}{self._way_out(name)}") from None

    def _way_out(self, name: str) -> str:
        """What the user can do about a damaged checkpoint, as the end of a message."""
        if name == BEST and self.has(LAST):
            return "; restore a copy, or delete it and run the train command again: the newest weights replace it"
        if name == PREVIOUS:
            lost = "damaged too" if self.has(LAST) else "missing"
            return f"; {LAST}{ENDING} is {lost}: restore a copy, or delete both to train from the start"
        if name == LAST and not self.has(PREVIOUS):
            return "; restore a copy, or delete it to train from the start"
        return ""

    def load_newest(self, note: Callable[[str], None]) -> tuple[Arrays, dict[str, Any]] | None:
        """Arrays and state of the checkpoint `last`; if it is damaged, of `previous`, which replaces it; None without either.

        Args:
            note: called with a warning if `last` is damaged.

        Raises:
            UserError: no undamaged checkpoint is left.
        """
        last, previous = self.path_of(LAST), self.path_of(PREVIOUS)
        if not (self.has(LAST) or self.has(PREVIOUS)):
            return None
        try:
            return self.load(LAST)
        except UserError as error:
            if not self.has(PREVIOUS):
                raise
            reason, found = str(error), self.load(PREVIOUS)
        kept = ""
        # The damaged file is kept, under another name: it may be the only trace of a failing disk.
        if self.has(LAST):
            os.replace(last, self.folder / DAMAGED_FILE)
            kept = f" (renamed to {DAMAGED_FILE}, which may be deleted)"
        os.replace(previous, last)
        sync_folder(self.folder)
        note(f"warning: {reason}{kept}; resuming from the previous checkpoint, of update {found[1].get('step')}")
        return found

    def append_metrics(self, entry: Mapping[str, Any]) -> None:
        """Append an entry to metrics.jsonl."""
        path = self.folder / METRICS_FILE
        with naming(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def rewind_metrics(self, step: int) -> None:
        """Remove the entries after update `step`, and an entry that a crash cut off."""
        path = self.folder / METRICS_FILE
        if path.exists():
            kept = [json.dumps(entry, ensure_ascii=False) for entry in self.metrics() if entry["step"] <= step]
            # Atomically: a kill during the rewind must not lose the log.
            write_atomically(path, "".join(f"{line}\n" for line in kept).encode())

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The entries of metrics.jsonl; damaged or incomplete lines are skipped."""
        path = self.folder / METRICS_FILE
        # A crash of the machine can leave any bytes at the end of a file that was being appended to.
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
            with contextlib.suppress(ValueError, RecursionError):
                entry = json.loads(line)
                is_entry = isinstance(entry, dict) and isinstance(entry.get("step"), int)
                if is_entry and all(is_number(entry.get(key, 0)) for key in LOGGED_NUMBERS):
                    yield entry

    def remove_leftovers(self) -> None:
        """Remove the temporary files of killed processes, and the mark of an unfinished start.

        In eval/ only old files are removed: an evaluation may be writing there without the run's lock.
        """
        (self.folder / BEGUN_FILE).unlink(missing_ok=True)
        for path in _temporary_files(self.folder):
            path.unlink(missing_ok=True)
        for path in _temporary_files(self.folder / EVAL_FOLDER):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a JSON file into the folder; `name` may have a parent folder."""
        write_json(self._place(name), values)

    def write_lines(self, name: str, lines: Iterable[str]) -> None:
        """Write a text file with these lines."""
        self.write_text(name, "".join(f"{line}\n" for line in lines))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file into the folder; `name` may have a parent folder."""
        write_atomically(self._place(name), text.encode())

    def _place(self, name: str) -> Path:
        path = self.folder / name
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def read_json(self, name: str) -> dict[str, Any]:
        """Read what `write_json` wrote.

        Raises:
            UserError: the file is missing or damaged.
        """
        return read_json(self.folder / name)

    def read_lines(self, name: str) -> list[str]:
        """Read what `write_lines` wrote; an empty list if the file is missing."""
        path = self.folder / name
        # Not splitlines: it also splits at characters that a sentence may contain.
        return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if path.is_file() else []


def _temporary_files(folder: Path) -> list[Path]:
    """Temporary files of `write_atomically` in a folder."""
    # By the names of known files: a pattern for any name would match hidden files of other programs.
    known = {path.name for path in folder.glob("*")}
    known |= {BEGUN_FILE, METRICS_FILE, *(f"{name}{ENDING}" for name in (BEST, LAST, PREVIOUS))}
    return [path for name in known for path in folder.glob(f".{glob.escape(name)}.{TEMPORARY}")]
