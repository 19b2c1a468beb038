"""The run folder: names and content of its files. Each is written to a temporary file and renamed when it is complete."""

import contextlib
import glob
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from wordseq.config.load import config_from_dict, read_toml, to_toml
from wordseq.config.schema import SECTIONS, Config
from wordseq.data.splits import HeldOut
from wordseq.runs.checkpoint import ENDING, Arrays, Header, checkpoint_bytes, read_checkpoint, read_header
from wordseq.system.errors import UserError
from wordseq.system.files import ASIDE, is_number, naming, read_json, sync_folder, write_atomically, write_json
from wordseq.system.locks import LOCK_FILE
from wordseq.text.vocab import TextCodec

CONFIG_FILE, METRICS_FILE, SPLIT_FILE, DATA_FILE = "config.toml", "metrics.jsonl", "split.json", "data.json"

MEMORY_FILE = "memory.json"
"""Of the process that finished the training: `peak_bytes`, the most memory it held, `machine` and `wordseq`, the commit."""

BEGUN_FILE, EVAL_FOLDER = ".begun", "eval"

BEST, LAST, PREVIOUS = "best", "last", "previous"

PRETRAINED = "pretrained"

PAIRS_FILE = "pairs.tsv"
"""Of a run on data that Python gave: the pairs, so that the run can be resumed from the folder alone."""

DAMAGED_FILE = f"damaged{ENDING}"

LOGGED_NUMBERS = ("epoch", "loss", "bleu", "tokens", "tokens_per_second", "seconds")
"""What is a number in an entry of the log, if it is there."""

ABANDONED_SECONDS = 600
"""A temporary file that is older was left by a process that was killed."""

MOST_TGT_PER_SRC = 1e4
"""data.max_chars keeps every honest ratio below it."""


class RunFolder:
    """A folder with all that a training made.

    config.toml (all settings), src.* and tgt.* (tokenizers and vocabularies), split.json (what went where, by hash),
    held_out.json (dev and test), data.json (lengths and coverage), best.safetensors, last.safetensors and
    previous.safetensors, which was `last` before (checkpoints; see `wordseq.runs.checkpoint`), metrics.jsonl (a line per log
    entry), memory.json, eval/.

    With model.pretrained_src or _tgt also pretrained.safetensors: the vectors of the vocabulary's words, so that the file
    they came from is not needed again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, folder: Path) -> "RunFolder":
        """A run that was started before.

        Raises:
            UserError: the folder is missing or is not a run.
        """
        if not folder.is_dir():
            raise UserError(f"{folder}: {'a file, expected a run folder' if folder.exists() else 'no such run folder'}")
        run = cls(folder)
        if not run.begun:
            raise UserError(f"{folder}: not a run folder: it has no {CONFIG_FILE}")
        return run

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
        ratio = self.read_json(DATA_FILE).get("tgt_per_src")
        if not isinstance(ratio, float) or not 0 < ratio < MOST_TGT_PER_SRC:
            raise UserError(f"{self.folder / DATA_FILE}: damaged: tgt_per_src = {ratio!r}, expected a number above 0")
        return ratio

    @property
    def codecs(self) -> tuple[TextCodec, TextCodec]:
        """Source and target tokenizer with vocabulary."""
        return TextCodec.load(self.folder, "src"), TextCodec.load(self.folder, "tgt")

    def held_out(self, part: str) -> HeldOut:
        """The part "dev" or "test" of the data.

        Raises:
            UserError: held_out.json is missing or damaged.
        """
        return HeldOut.load(self.folder, part)

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

    def path_of(self, name: str) -> Path:
        """The file of the checkpoint `name`."""
        return self.folder / f"{name}{ENDING}"

    def has(self, name: str) -> bool:
        """Whether the checkpoint `name`, "best", "last" or "previous", was written."""
        return self.path_of(name).is_file()

    def save(self, name: str, arrays: Arrays, state: Mapping[str, Any]) -> None:
        """Write the checkpoint `name`: arrays and a JSON-able state; what was `last` before becomes `previous`."""
        content = checkpoint_bytes(arrays, state)
        log = self.folder / METRICS_FILE
        if log.exists():
            # A checkpoint is never on the disk before the log that leads to it.
            with naming(log), log.open("ab") as file:
                os.fsync(file.fileno())
        write_atomically(self.path_of(name), content, self.path_of(PREVIOUS) if name == LAST else None)

    def header(self, name: str) -> Header:
        """State, checksum and shapes of the checkpoint `name`, without its arrays; raises as `load`."""
        with self._reading(name) as path:
            return read_header(path)

    def load(self, name: str) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and state of the checkpoint `name`.

        Raises:
            UserError: it is missing or damaged.
            PermissionError: it cannot be read.
        """
        with self._reading(name) as path:
            return read_checkpoint(path)

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[Path]:
        """Errors of reading the checkpoint `name` name its file, and say what can be done."""
        path = self.path_of(name)
        try:
            yield path
        except FileNotFoundError:
            stopped = "the run was stopped before its first validation; `wordseq train` resumes it"
            why = stopped if self.has(LAST) else "has the run been trained?"
            raise UserError(f"{path}: no such checkpoint; {why}") from None
        except (MemoryError, PermissionError):
            raise
        except Exception as error:  # A damaged file fails in a dozen ways, by the place of the damage.
            # Some errors quote the damaged header, which may be long and have line breaks.
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{path}: damaged checkpoint: {reason}{self._way_out(name)}") from None

    def _way_out(self, name: str) -> str:
        """What can be done about a damaged checkpoint."""
        if name == BEST and self.has(LAST):
            return "; put a copy of it back, or delete it and give the train command again: the newest weights take its place"
        if name == PREVIOUS:
            lost = "damaged too" if self.has(LAST) else "missing"
            return f"; {LAST}{ENDING} is {lost}: put a copy back, or delete both to train from the beginning"
        if name == LAST and not self.has(PREVIOUS):
            return "; put a copy of it back, or delete it to train from the beginning"
        return ""

    def load_newest(self, note: Callable[[str], None]) -> tuple[Arrays, dict[str, Any]] | None:
        """Arrays and state of `last`; if it is damaged, of `previous`, which takes its place; None if neither was written.

        Args:
            note: is called with a warning about the damage.

        Raises:
            UserError: both are damaged, or there is only one and it is.
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
        note(f"warning: {reason}{kept}; continuing from the checkpoint before it, of update {found[1].get('step')}")
        return found

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
        """The entries of metrics.jsonl; what is not an entry, or not complete, is skipped."""
        path = self.folder / METRICS_FILE
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
            with contextlib.suppress(ValueError, RecursionError):
                entry = json.loads(line)
                is_entry = isinstance(entry, dict) and isinstance(entry.get("step"), int)
                if is_entry and all(is_number(entry.get(key, 0)) for key in LOGGED_NUMBERS):
                    yield entry

    def remove_leftovers(self) -> None:
        """Remove the temporary files of killed processes, and what says that the run is being begun.

        In eval/ only what is old goes: others may be writing there.
        """
        (self.folder / BEGUN_FILE).unlink(missing_ok=True)
        for path in _asides(self.folder):
            path.unlink(missing_ok=True)
        for path in _asides(self.folder / EVAL_FOLDER):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a JSON file into the folder; `name` may have a parent folder."""
        write_json(self._place(name), values)

    def write_lines(self, name: str, lines: Iterable[str]) -> None:
        """Write a text file, a line each."""
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
        """What `write_json` wrote.

        Raises:
            UserError: the file is missing or damaged.
        """
        return read_json(self.folder / name)

    def read_lines(self, name: str) -> list[str]:
        """What `write_lines` wrote; nothing if the file is missing."""
        path = self.folder / name
        # Not splitlines, which splits at characters that are part of a text.
        return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if path.is_file() else []


def _asides(folder: Path) -> list[Path]:
    """Temporary files of those that a run has, or had when it was begun."""
    known = {path.name for path in folder.glob("*")}
    known |= {BEGUN_FILE, METRICS_FILE, *(f"{name}{ENDING}" for name in (BEST, LAST, PREVIOUS))}
    return [path for name in known for path in folder.glob(f".{glob.escape(name)}.{ASIDE}")]
