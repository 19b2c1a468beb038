"""Several runs as one: an ensemble keeps all their models, an average is one model with the mean of their weights."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wordseq.config.load import config_from_dict, read_toml, to_toml, toml_value
from wordseq.config.schema import Config, DecodeConfig, by_key
from wordseq.data.splits import HELD_OUT_FILE, HeldOut
from wordseq.runs.checkpoint import Arrays, Header
from wordseq.runs.describe import check_state
from wordseq.runs.folder import (
    AVERAGE_FILE,
    BEST,
    CONFIG_FILE,
    DATA_FILE,
    ENSEMBLE_FILE,
    LAST,
    SPLIT_FILE,
    RunFolder,
    SrcLengths,
)
from wordseq.system.errors import UserError
from wordseq.system.progress import Say, counted
from wordseq.text.vocab import TextCodec

FEWEST = 2
"""Fewest runs of an ensemble."""

_AVERAGED = "average/"
"""The names of moving averages in a checkpoint `last` begin with this; see `training.step`."""


class EnsembleFolder(RunFolder):
    """Several runs that translate as one system; see `wordseq.decoding.ensemble`.

    A saved ensemble is a folder with `ENSEMBLE_FILE`, which names the runs and has the settings of the search, and eval/. The
    weights stay in the folders of the runs. Of an ensemble that is not saved, nothing is written.

    The first run gives what must be one: settings, the limit of the output's length, the test split.

    Args:
        folder: of the ensemble; if it is not saved, a name for messages.
        members: the runs.
        decode: settings of the search; None: those of the first run.
        saved: whether the folder exists.

    Raises:
        UserError: the runs do not fit together.
    """

    def __init__(
        self, folder: Path, members: Sequence[RunFolder], decode: DecodeConfig | None = None, *, saved: bool = False
    ) -> None:
        super().__init__(folder)
        if len(members) < FEWEST:
            raise UserError(f"an ensemble needs at least {FEWEST} runs, got {counted(len(members), 'run')}")
        self.members, self.saved, self._decode = tuple(members), saved, decode
        _check_alike(self.members)

    @classmethod
    def read(cls, folder: Path) -> "EnsembleFolder":
        """A saved ensemble.

        Raises:
            UserError: the file is damaged, or a run is missing or does not fit to the others.
        """
        path = folder / ENSEMBLE_FILE
        found = read_toml(path)
        named = found.get("runs")
        if not isinstance(named, list) or not named or not all(isinstance(name, str) for name in named):
            raise UserError(f"{path}: damaged: runs = {named!r}, expected a list of run folders")
        if unknown := found.keys() - {"runs", "decode"}:
            raise UserError(f"{path}: unknown key {min(unknown)!r}; it has runs and the table [decode]")
        decode = config_from_dict({"decode": found.get("decode", {})}, str(path)).decode
        return cls(folder, [RunFolder.open(_place_of(name, folder)) for name in named], decode, saved=True)

    def write_to(self, folder: Path) -> None:
        """Save the ensemble as a new folder, which every command takes as a run. It can be moved together with the runs.

        Raises:
            UserError: the folder exists, or its parent folder does not.
        """
        check_new(folder)
        places = [_relative(run.folder, folder) for run in self.members]
        folder.mkdir()
        RunFolder(folder).write_text(
            ENSEMBLE_FILE, f"runs = {toml_value(places)}\n\n{to_toml(self.config, ['decode'])}"
        )

    @property
    def config(self) -> Config:
        """The settings of the first run, with the ensemble's settings of the search."""
        config = self.members[0].config
        return dataclasses.replace(config, decode=self._decode or config.decode)

    @property
    def begun(self) -> bool:
        """Always True: its runs are."""
        return True

    @property
    def codecs(self) -> tuple[TextCodec, TextCodec]:
        """Source and target codec, which all runs share."""
        return self.members[0].codecs

    @property
    def tgt_per_src(self) -> float:
        """See `RunFolder`; of the first run."""
        return self.members[0].tgt_per_src

    @property
    def src_lengths(self) -> SrcLengths | None:
        """See `RunFolder`; of the first run."""
        return self.members[0].src_lengths

    @property
    def train_seconds(self) -> float | None:
        """The summed training times of the runs; None if one is not known."""
        found = [run.train_seconds for run in self.members]
        known = [seconds for seconds in found if seconds is not None]
        return sum(known) if len(known) == len(found) else None

    def held_out(self, part: str) -> HeldOut:
        """The split of the first run.

        Raises:
            UserError: the runs have different splits: one may have been trained on a sentence that another is tested on.
        """
        first, *others = self.members
        for run in others:
            if _digest(run, part) != _digest(first, part):
                raise UserError(
                    f"{run.folder} and {first.folder} have different {part} splits, so their ensemble has none; "
                    "give sentences with their references"
                )
        return first.held_out(part)

    def read_json(self, name: str) -> dict[str, Any]:
        """A file of the ensemble's eval/, or of the first run."""
        return super().read_json(name) if "/" in name else self.members[0].read_json(name)

    def has(self, name: str) -> bool:
        """Whether all runs have the checkpoint `name`; an ensemble has `best` only."""
        return name == BEST and all(run.has(name) for run in self.members)

    def header(self, name: str) -> Header:
        """Number of updates, training time, checksum and shapes of all runs together; errors as `RunFolder.load`."""
        found = [run.header(self._best(name)) for run in self.members]
        shapes = {_name(k, path): shape for k, header in enumerate(found, 1) for path, shape in header.shapes.items()}
        sha256 = hashlib.sha256("\n".join(header.sha256 for header in found).encode()).hexdigest()
        return Header(_state(self.members, [header.state for header in found]), sha256, shapes)

    def load(self, name: str) -> tuple[Arrays, dict[str, Any]]:
        """The arrays of all runs, with the number of the run, from 1, in their names; errors as `RunFolder.load`."""
        found = [run.load(self._best(name)) for run in self.members]
        arrays = {_name(k, path): array for k, (arrays, _) in enumerate(found, 1) for path, array in arrays.items()}
        return arrays, _state(self.members, [state for _, state in found])

    def write_text(self, name: str, text: str) -> None:
        """Write a text file into the folder, if the ensemble is saved."""
        if self.saved:
            super().write_text(name, text)

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a JSON file into the folder, if the ensemble is saved."""
        if self.saved:
            super().write_json(name, values)

    def _best(self, name: str) -> str:
        if name != BEST:
            raise UserError(f"{self.folder}: an ensemble has the best checkpoints of its runs only; give one run")
        return name


def open_run(*folders: Path) -> RunFolder:
    """A run, or a saved ensemble; several runs are an ensemble that is not saved.

    Raises:
        UserError: a folder is missing or is neither, or the runs do not fit together.
    """
    if len(folders) > 1:
        name = Path(" + ".join(map(str, folders)))
        return EnsembleFolder(name, [RunFolder.open(folder) for folder in folders])
    (folder,) = folders
    return EnsembleFolder.read(folder) if is_ensemble(folder) else RunFolder.open(folder)


def is_ensemble(folder: Path) -> bool:
    """Whether a folder holds a saved ensemble."""
    return (folder / ENSEMBLE_FILE).is_file()


def is_run(name: str) -> bool:
    """Whether a text, which may be any, names the folder of a run or of an ensemble."""
    return any(os.path.isfile(os.path.join(name, file)) for file in (CONFIG_FILE, ENSEMBLE_FILE))


def runs_named(text: str) -> list[str]:
    """The folders of runs that "RUN" or "RUN+RUN" names; a folder that is called so, plus sign included, is one."""
    if os.path.lexists(text):
        return [text]
    found, part = list[str](), ""
    for k, piece in enumerate(text.split("+")):
        part = f"{part}+{piece}" if k and part else piece
        if part and is_run(part):
            found.append(part)
            part = ""
    if not found:
        return [text]
    return [*found, part] if part else found


def ensemble_beside(runs: Sequence[RunFolder], say: Say) -> Path:
    """The folder of the ensemble of runs: beside the first, named by all as ONE+TWO. It is made if it is missing.

    Raises:
        UserError: the runs do not fit together, or the folder is there and has something else.
    """
    first = runs[0].folder
    # "." and ".." have no name of their own.
    place = first if first.name not in ("", "..") else first.resolve()
    folder = place.with_name("+".join(run.folder.resolve().name for run in runs))
    ensemble = EnsembleFolder(folder, runs)
    if not os.path.lexists(folder):
        ensemble.write_to(folder)
        say(f"made {folder}: {combination_note(ensemble)}")
        return folder
    there = EnsembleFolder.read(folder).members if is_ensemble(folder) else ()
    if [run.folder.resolve() for run in there] != [run.folder.resolve() for run in runs]:
        raise UserError(
            f"{folder}: exists and is not the ensemble of these runs; make one of another name: wordseq ensemble RUN RUN "
            "--output FOLDER"
        )
    return folder


def combination_note(run: RunFolder, mean: str = "") -> str:
    """A line on what an ensemble or an average consists of; empty for a run that was trained.

    Args:
        run: the run.
        mean: of an ensemble; empty: its `decode.ensemble`.
    """
    if run.members:
        names = [member.folder.name for member in run.members]
        if len(set(names)) < len(names):
            # Not complete paths: records of comparisons, which are published, have this line.
            names = ["/".join(member.folder.resolve().parts[-2:]) for member in run.members]
        mean = (mean or run.config.decode.ensemble).replace("_", "-")
        return f"ensemble of {counted(len(run.members), 'run')}: {', '.join(names)}; mean of {mean}"
    return f"average of the weights of {'; '.join(_averaged(run))}" if run.averaged else ""


def _averaged(run: RunFolder) -> list[str]:
    found: Any = run.read_json(AVERAGE_FILE).get("of")
    try:
        return [f"{part['run']}, {part['checkpoint']}, update {part['step']:,}" for part in found]
    except (TypeError, KeyError, ValueError) as error:
        raise UserError(f"{run.folder / AVERAGE_FILE}: damaged: {error!r}") from None


def write_average(runs: Sequence[RunFolder], folder: Path) -> RunFolder:
    """Write a new run whose weights are the mean of those of other runs' best checkpoints; of one run, of its best and last.

    Of a run with `train.average`, `last` stands for its moving averages.

    Args:
        runs: runs of one training: with the same seed, models and vocabularies.
        folder: the new folder.

    Returns:
        The new run.

    Raises:
        UserError: the runs do not fit together, or the folder exists.
    """
    check_new(folder)
    _check_alike(runs)
    first = runs[0]
    _check_lineage(runs)
    chosen = [(run, BEST) for run in runs] if len(runs) > 1 else [(first, BEST), (first, LAST)]
    loaded = [run.load(name) for run, name in chosen]
    steps = [state.get("step") for _, state in loaded]
    if len(runs) == 1 and steps[0] == steps[1]:
        raise UserError(f"{first.folder}: best and last are both of update {steps[0]}; there is nothing to average")
    means = {}
    for path, array in loaded[0][0].items():
        parts = []
        for (run, name), (arrays, _) in zip(chosen, loaded, strict=True):
            part = arrays.get(f"{_AVERAGED}{path}", arrays.get(path))
            if part is None or part.shape != array.shape:
                raise UserError(f"{run.path_of(name)}: {path} is missing or has another shape than in {first.folder}")
            parts.append(part)
        # In float64 equal weights have exactly themselves as mean.
        means[path] = np.mean(np.stack(parts), 0, np.float64).astype(array.dtype)
    origin = [
        {"run": run.folder.resolve().name, "checkpoint": name, "step": step, "sha256": run.header(name).sha256}
        for (run, name), step in zip(chosen, steps, strict=True)
    ]
    files: dict[str, Mapping[str, Any]] = {name: first.read_json(name) for name in (SPLIT_FILE, DATA_FILE)}
    if (first.folder / HELD_OUT_FILE).is_file():
        files[HELD_OUT_FILE] = first.read_json(HELD_OUT_FILE)
    state = _state(runs, [state for _, state in loaded[-len(runs) :]])
    made = RunFolder(folder)
    made.begin(first.config, *first.codecs, {**files, AVERAGE_FILE: {"of": origin}})
    made.save(BEST, means, state)
    return made


def check_new(folder: Path) -> None:
    """Check that a folder can be made.

    Raises:
        UserError: it exists, or its parent folder does not.
    """
    if os.path.lexists(folder):
        raise UserError(f"{folder}: exists; choose another name with --output")
    if not folder.absolute().parent.is_dir():
        raise UserError(f"{folder}: no folder {folder.absolute().parent}")


def _check_alike(runs: Sequence[RunFolder]) -> None:
    """Check that runs can be one system: that they read and write the same ids, and make outputs in the same way."""
    first = runs[0]
    digests, settings = [codec.sha256 for codec in first.codecs], by_key(first.config)
    for run in runs[1:]:
        for side, one, codec in zip(("source", "target"), digests, run.codecs, strict=True):
            if codec.sha256 != one:
                raise UserError(
                    f"{run.folder} and {first.folder} have different {side} vocabularies; runs that are combined must be "
                    "trained on the same data with the same settings [data]"
                )
        found = by_key(run.config)
        for key in ("model.kind", "data.lowercase"):
            if found[key] != settings[key]:
                raise UserError(
                    f"{run.folder} has {key} = {found[key]!r}, but {first.folder} has {settings[key]!r}; "
                    "runs that are combined must have the same"
                )


def _check_lineage(runs: Sequence[RunFolder]) -> None:
    """Check that weights of runs correspond: the mean of two trainings from different random weights is noise."""
    first, *others = runs
    settings = by_key(first.config)
    keys = [key for key in settings if key.startswith("model.")] + ["train.seed"]
    for run in others:
        found = by_key(run.config)
        for key in keys:
            if found[key] != settings[key]:
                hint = "; `wordseq ensemble` combines runs of different seeds" if key == "train.seed" else ""
                raise UserError(
                    f"{run.folder} has {key} = {found[key]!r}, but {first.folder} has {settings[key]!r}: weights of "
                    f"different trainings cannot be averaged{hint}"
                )


def _digest(run: RunFolder, part: str) -> Any:
    found = run.read_json(SPLIT_FILE).get(part)
    return found.get("sha256") if isinstance(found, dict) else None


def _state(runs: Sequence[RunFolder], states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The state of several checkpoints: most updates and epochs, all seconds. No dev score: nothing was validated."""
    for run, state in zip(runs, states, strict=True):
        check_state(run, state)
    return {
        "step": max(state["step"] for state in states),
        "epoch": max(state["epoch"] for state in states),
        "seconds": sum(state["seconds"] for state in states),
    }


def _name(number: int, path: str) -> str:
    """The name of a weight of a run in an ensemble: MODEL/NUMBER/LAYER/.../WEIGHT."""
    model, _, rest = path.partition("/")
    return f"{model}/{number}/{rest}"


def _relative(run: Path, folder: Path) -> str:
    """The path of a run from a folder, so that both can be moved together."""
    try:
        return Path(os.path.relpath(run.resolve(), folder.resolve())).as_posix()
    except ValueError:  # Windows: another drive.
        return run.resolve().as_posix()


def _place_of(name: str, folder: Path) -> Path:
    """The run that an ensemble in `folder` names."""
    # For people, without "both/.."; that is another folder if `both` is a link.
    shown = Path(os.path.normpath(folder / name))
    return shown if shown.is_dir() else folder.resolve() / name
