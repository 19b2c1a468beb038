"""One run folder: settings, tokenizers, checkpoints, log. Everything is written aside and renamed when it is whole."""

import contextlib
import glob
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wordseq.config.load import config_from_dict, read_toml, to_toml
from wordseq.config.schema import SECTIONS, Config
from wordseq.runs.checkpoint import Arrays, read_arrays, sha256_of
from wordseq.system.errors import UserError
from wordseq.system.files import ASIDE, naming, sync_folder, write_atomically
from wordseq.system.locks import LOCK_FILE
from wordseq.text.vocab import TextCodec

CONFIG_FILE, METRICS_FILE, SPLIT_FILE, DATA_FILE = "config.toml", "metrics.jsonl", "split.json", "data.json"

BEGUN_FILE, EVAL_FOLDER = ".begun", "eval"

BEST, LAST, PREVIOUS = "best", "last", "previous"

PRETRAINED = "pretrained"

DAMAGED_FILE = "damaged.npz"

ABANDONED_SECONDS = 600
"""A file aside that is older was left by a process that was killed."""

MOST_TGT_PER_SRC = 1e4
"""data.max_chars keeps every honest ratio below it."""


class Run:
    """A folder with all that a training made.

    config.toml (all settings), src.* and tgt.* (tokenizers and vocabularies), split.json (what went where, by hash),
    data.json (lengths and coverage), best.npz, last.npz and previous.npz, which was `last` before (checkpoints),
    metrics.jsonl (a line a log entry), eval/.

    With model.pretrained_src or _tgt also pretrained.npz: the vectors of the vocabulary's words, so that the file they came
    from is not needed again.

    A checkpoint is one NumPy archive: arrays by name and a JSON text, no pickle; its parts carry checksums, and the comment
    of the archive is the SHA-256 of all.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """A run that was begun before.

        Raises:
            UserError: the folder is missing or is not a run.
        """
        if not folder.is_dir():
            raise UserError(f"{folder}: no such run folder")
        if not (folder / CONFIG_FILE).is_file():
            raise UserError(f"{folder}: not a run folder: it has no {CONFIG_FILE}")
        return cls(folder)

    @property
    def begun(self) -> bool:
        """Whether the folder holds a run."""
        return (self.folder / CONFIG_FILE).is_file()

    @property
    def config(self) -> Config:
        """The run's settings.

        Raises:
            UserError: config.toml is damaged.
        """
        path = self.folder / CONFIG_FILE
        found = read_toml(path)
        for section in SECTIONS:
            if section not in found:
                raise UserError(f"{path}: damaged: it has no section [{section}]")
        return config_from_dict(found, str(path))

    @property
    def tgt_per_src(self) -> float:
        """Target tokens a source token in the training data, ends of sentence included.

        Raises:
            UserError: data.json is missing or damaged.
        """
        found = self.read_json(DATA_FILE)
        ratio = found.get("tgt_per_src") if isinstance(found, dict) else None
        if not isinstance(ratio, float) or not 0 < ratio < MOST_TGT_PER_SRC:
            raise UserError(f"{self.folder / DATA_FILE}: damaged: tgt_per_src = {ratio!r}, expected a number above 0")
        return ratio

    @property
    def codecs(self) -> tuple[TextCodec, TextCodec]:
        """Source and target tokenizer with vocabulary."""
        return TextCodec.load(self.folder, "src"), TextCodec.load(self.folder, "tgt")

    @property
    def unfinished(self) -> bool:
        """Whether the folder holds what was left when beginning it was cut short."""
        return not self.begun and any((self.folder / name).is_file() for name in (BEGUN_FILE, LOCK_FILE))

    def begin(
        self, config: Config, src: TextCodec, tgt: TextCodec, files: Mapping[str, Any], pretrained: Arrays | None = None
    ) -> None:
        """Write what does not change while training; config.toml last, so that a folder that has it is whole.

        If it fails, what it has written goes again.

        Args:
            config: the settings, resolved.
            src: source tokenizer and vocabulary.
            tgt: target tokenizer and vocabulary.
            files: JSON files by name.
            pretrained: `SIDE.ids` and `SIDE.vectors` that embeddings start from.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        before = set(self.folder.iterdir())
        try:
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

    def has(self, name: str) -> bool:
        """Whether the checkpoint `name`, "best", "last" or "previous", was written."""
        return self.path_of(name).is_file()

    def save(self, name: str, arrays: Arrays, state: Mapping[str, Any]) -> None:
        """Write the checkpoint `name`: arrays and a JSON-able state; what was `last` before becomes `previous`."""
        buffer = io.BytesIO()
        content = {**arrays, "state.json": np.frombuffer(json.dumps(state).encode(), np.uint8)}
        np.savez(buffer, allow_pickle=False, **content)
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.comment = sha256_of(content).encode()
        self._sync_metrics()
        keep = self.path_of(PREVIOUS) if name == LAST else None
        write_atomically(self.path_of(name), buffer.getbuffer(), keep)

    def _why_not(self) -> str:
        """Why there may be no checkpoint."""
        if self.has(LAST):
            return "the run was stopped before its first validation; `wordseq train` goes on with it"
        return "has the run been trained?"

    def load(self, name: str) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and state of the checkpoint `name`.

        Raises:
            UserError: it is missing or damaged.
            PermissionError: it cannot be read.
        """
        path = self.path_of(name)
        try:
            arrays = read_arrays(path)
            state = json.loads(arrays.pop("state.json").tobytes())
            if not isinstance(state, dict):
                raise TypeError(f"its state is {state!r}")
        except FileNotFoundError:
            raise UserError(f"{path}: no such checkpoint; {self._why_not()}") from None
        except (MemoryError, PermissionError):
            raise
        except Exception as error:  # A damaged archive fails in a dozen ways, by the place of the damage.
            raise UserError(f"{path}: damaged checkpoint: {error}{self._way_out(name)}") from None
        return arrays, state

    def load_newest(self, note: Callable[[str], None]) -> tuple[Arrays, dict[str, Any]] | None:
        """Arrays and state of `last`; where it is damaged, of `previous`, which takes its place; None if neither was written.

        Args:
            note: hears of the damage.

        Raises:
            UserError: both are damaged, or there is one only.
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
        if self.has(LAST):
            os.replace(last, self.folder / DAMAGED_FILE)
            kept = f" (it is now {DAMAGED_FILE}, which may be deleted)"
        os.replace(previous, last)
        sync_folder(self.folder)
        note(f"warning: {reason}{kept}; going on from the checkpoint before it, of update {found[1].get('step')}")
        return found

    def _way_out(self, name: str) -> str:
        """What can be done about a damaged checkpoint."""
        if name == BEST and self.has(LAST):
            return "; put a copy of it back, or delete it and give the train command again: the newest weights take its place"
        if name == PREVIOUS:
            lost = "damaged too" if self.has(LAST) else "missing"
            return f"; {LAST}.npz is {lost}: put a copy back, or delete both to train from the beginning"
        if name == LAST and not self.has(PREVIOUS):
            return "; put a copy of it back, or delete it to train from the beginning"
        return ""

    def _sync_metrics(self) -> None:
        """A checkpoint is never on the disk before the log that leads to it."""
        path = self.folder / METRICS_FILE
        if path.exists():
            with naming(path), path.open("ab") as file:
                os.fsync(file.fileno())

    def append_metrics(self, entry: Mapping[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        path = self.folder / METRICS_FILE
        with naming(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def rewind_metrics(self, step: int) -> None:
        """Drop the lines after update `step`, and a line cut off by a crash."""
        path = self.folder / METRICS_FILE
        if path.exists():
            kept = [json.dumps(entry, ensure_ascii=False) for entry in self.metrics() if entry["step"] <= step]
            write_atomically(path, "".join(f"{line}\n" for line in kept).encode())

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The entries of metrics.jsonl; what is not an entry, or not whole, is passed over."""
        path = self.folder / METRICS_FILE
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
            with contextlib.suppress(ValueError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict) and isinstance(entry.get("step"), int):
                    yield entry

    def remove_leftovers(self) -> None:
        """Remove what killed processes had begun to write aside, and what says that the run is being begun.

        In eval/ only what is old goes: others may be writing there.
        """
        (self.folder / BEGUN_FILE).unlink(missing_ok=True)
        for path in _asides(self.folder):
            path.unlink(missing_ok=True)
        for path in _asides(self.folder / EVAL_FOLDER):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file into the folder; `name` may have a parent folder."""
        self.write_text(name, json.dumps(value, ensure_ascii=False, indent=1) + "\n")

    def write_lines(self, name: str, lines: Iterable[str]) -> None:
        """Write a text file, a line each."""
        self.write_text(name, "".join(f"{line}\n" for line in lines))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file into the folder; `name` may have a parent folder."""
        path = self.folder / name
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())

    def read_json(self, name: str) -> Any:
        """What `write_json` wrote.

        Raises:
            UserError: the file is missing or damaged.
        """
        path = self.folder / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: damaged: {error}") from None

    def path_of(self, name: str) -> Path:
        """The file of the checkpoint `name`."""
        return self.folder / f"{name}.npz"


def _asides(folder: Path) -> list[Path]:
    """Files aside of those that a run has, or had when it was begun."""
    known = {path.name for path in folder.glob("*")}
    known |= {BEGUN_FILE, METRICS_FILE, *(f"{name}.npz" for name in (BEST, LAST, PREVIOUS))}
    return [path for name in known for path in folder.glob(f".{glob.escape(name)}.{ASIDE}")]


class Follower(Run):
    """A run that another process writes: this one only keeps in mind what it has to read again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._files: Mapping[str, Any] = {}
        self._pretrained: Arrays = {}

    @property
    def begun(self) -> bool:
        """Never: whatever lies in the folder is not this process's."""
        return False

    def begin(
        self, config: Config, src: TextCodec, tgt: TextCodec, files: Mapping[str, Any], pretrained: Arrays | None = None
    ) -> None:
        """Keep the files and vectors."""
        self._files, self._pretrained = files, pretrained or {}

    def load(self, name: str) -> tuple[Arrays, dict[str, Any]]:
        """The vectors that `begin` was given; no checkpoint is this process's."""
        if name != PRETRAINED:
            raise ValueError(f"{name}: the chief has it")
        return self._pretrained, {}

    def read_json(self, name: str) -> Any:
        """One of the files that `begin` was given."""
        return self._files[name]

    def save(self, name: str, arrays: Arrays, state: Mapping[str, Any]) -> None:
        """Nothing."""

    def append_metrics(self, entry: Mapping[str, Any]) -> None:
        """Nothing."""

    def write_text(self, name: str, text: str) -> None:
        """Nothing."""
