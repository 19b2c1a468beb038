"""One run folder: settings, tokenizers, checkpoints, log. Everything is written aside and renamed when it is whole."""

import contextlib
import glob
import hashlib
import io
import json
import math
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from wordseq.attention import with_offsets
from wordseq.config import ELEMENTWISE_CELLS, SECTIONS, Config, ModelConfig, config_from_dict, read_toml, to_toml
from wordseq.errors import UserError
from wordseq.kinds import make_model
from wordseq.locking import LOCK_FILE
from wordseq.model import Seq2Seq
from wordseq.vocab import TextCodec
from wordseq.writing import ASIDE, naming, sync_folder, write_atomically

Arrays = dict[str, npt.NDArray[Any]]
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
        return self._checkpoint(name).is_file()

    def save(self, name: str, arrays: Arrays, state: Mapping[str, Any]) -> None:
        """Write the checkpoint `name`: arrays and a JSON-able state; what was `last` before becomes `previous`."""
        buffer = io.BytesIO()
        content = {**arrays, "state.json": np.frombuffer(json.dumps(state).encode(), np.uint8)}
        np.savez(buffer, allow_pickle=False, **content)
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.comment = sha256_of(content).encode()
        self._sync_metrics()
        keep = self._checkpoint(PREVIOUS) if name == LAST else None
        write_atomically(self._checkpoint(name), buffer.getbuffer(), keep)

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
        path = self._checkpoint(name)
        try:
            arrays = _read_arrays(path)
            state = json.loads(arrays.pop("state.json").tobytes())
            if not isinstance(state, dict):
                raise TypeError(f"its state is {state!r}")
        except FileNotFoundError:
            raise UserError(f"{path}: no such checkpoint; {self._why_not()}") from None
        except (MemoryError, PermissionError):
            raise
        except Exception as error:  # A damaged archive fails in a dozen ways, by the place of the damage.
            raise UserError(f"{path}: damaged checkpoint: {error}{self._way_out(name)}") from None
        return with_offsets(arrays), state

    def load_newest(self, note: Callable[[str], None]) -> tuple[Arrays, dict[str, Any]] | None:
        """Arrays and state of `last`; where it is damaged, of `previous`, which takes its place; None if neither was written.

        Args:
            note: hears of the damage.

        Raises:
            UserError: both are damaged, or there is one only.
        """
        last, previous = self._checkpoint(LAST), self._checkpoint(PREVIOUS)
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

    def load_model(self, name: str = BEST, precision: str = "float32") -> tuple[Seq2Seq, dict[str, Any]]:
        """The model with the weights of a checkpoint, and the checkpoint's state.

        Raises:
            UserError: a file is missing or damaged, or they do not fit together.
        """
        config, (src, tgt) = self.config, self.codecs
        arrays, state = self.load(name)
        _check_model_size(config.model, len(src.vocab), len(tgt.vocab), arrays, self._checkpoint(name))
        model = make_model(config.model, len(src.vocab), len(tgt.vocab), precision=precision, seed=config.train.seed)
        assign(by_path(model.weights), arrays, self._checkpoint(name))
        return model, state

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

    def _checkpoint(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


def _asides(folder: Path) -> list[Path]:
    """Files aside of those that a run has, or had when it was begun."""
    known = {path.name for path in folder.glob("*")}
    known |= {BEGUN_FILE, METRICS_FILE, *(f"{name}.npz" for name in (BEST, LAST, PREVIOUS))}
    return [path for name in known for path in folder.glob(f".{glob.escape(name)}.{ASIDE}")]


def _read_arrays(path: Path) -> Arrays:
    """The arrays of an archive, its file opened once: another may take its place meanwhile.

    Raises:
        ValueError, ...: it is damaged.
    """
    with path.open("rb") as file:
        with zipfile.ZipFile(file) as archive:
            _check_sizes(archive, os.fstat(file.fileno()).st_size)
            checksum = archive.comment
        file.seek(0)
        with np.load(file, allow_pickle=False) as members:
            arrays = {key: members[key] for key in members.files}
    # The first runs had none.
    if checksum and checksum != sha256_of(arrays).encode():
        raise ValueError("its content is not what was saved: another SHA-256")
    return arrays


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


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Check that no array takes more memory than the file has bytes, before any memory is taken.

    Raises:
        ValueError: there are packed members, which `Run.save` never writes, or arrays larger than their members.
    """
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it is packed; a checkpoint never is")
    if sum(member.file_size for member in members) > size:
        raise ValueError(f"it claims to hold more than its {size:,} bytes")
    for member in members:
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read[version](file)
            if dtype.hasobject:
                raise ValueError(f"{member.filename}: objects, which are read with allow_pickle alone; it is off")
            if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
                raise ValueError(f"{member.filename}: shape {shape} does not fit its {member.file_size:,} bytes")


def _check_model_size(model: ModelConfig, src_size: int, tgt_size: int, arrays: Arrays, where: Path) -> None:
    """Before memory is taken for a model, check that the weights can be its: their number is at least this.

    Raises:
        UserError: they cannot.
    """
    vectors = src_size + tgt_size * (model.kind == "encoder_decoder") + model.hidden_size
    squares = 0
    if model.kind != "same_length":
        # Square matrices: one a decoder layer, but for the lowest where the cell has no recurrent product; two with attention.
        squares = model.decoder_layers - (model.cell in ELEMENTWISE_CELLS) + 2 * (model.attention != "none")
    least = model.embed_dim * vectors + model.hidden_size**2 * squares
    found = sum(array.size for array in arrays.values())
    if least > found:
        raise UserError(
            f"{where}: has {found:,} weights, but the settings and vocabularies of the run ask for at least {least:,}"
        )


def by_path(variables: Iterable[keras.Variable]) -> dict[str, keras.Variable]:
    """Variables by their path in the model."""
    return {variable.path: variable for variable in variables}


def arrays_of(variables: Mapping[str, keras.Variable]) -> Arrays:
    """The values of variables by their names."""
    return {name: np.asarray(variable.value) for name, variable in variables.items()}


def assign(variables: Mapping[str, keras.Variable], arrays: Arrays, where: Path) -> None:
    """Set variables to the arrays of their names.

    Raises:
        UserError: an array is missing or has another shape.
    """
    for name, variable in variables.items():
        value = arrays.get(name)
        if value is None or value.shape != tuple(variable.shape):
            got = "nothing" if value is None else f"shape {value.shape}"
            raise UserError(f"{where}: {name} should have shape {tuple(variable.shape)}, got {got}")
        variable.assign(value)


def sha256_of(arrays: Arrays) -> str:
    """A digest of names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
