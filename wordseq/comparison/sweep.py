"""Trains the runs of a sweep, one for each combination of the varied settings, one after another.

Each run trains in its own process: it frees all memory at its end, and a crash does not end the sweep. Finished runs are
recognised by their settings and not trained again. An interrupted run resumes.
"""

import dataclasses
import itertools
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from wordseq.config.load import load_config
from wordseq.config.schema import Config
from wordseq.evaluation.metrics.names import dev_score
from wordseq.runs.find import folder_for, is_finished
from wordseq.runs.folder import RunFolder
from wordseq.system.errors import UserError

POLL_SECONDS = 1.0

QUIET_SECONDS = 120.0
"""After this time without a validation, the last log entry is shown."""

TAIL_LINES = 15
"""Lines to show from the end of a failed training's log."""

_NOT_IN_NAMES = re.compile(r"[^\w.+]+")


@dataclasses.dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        folder: of the run.
        settings: `key=value`, for --set.
        config: the settings; those that its data decide are "auto".
    """

    folder: Path
    settings: tuple[str, ...]
    config: Config

    @property
    def log(self) -> Path:
        """The file for the output of the training."""
        return self.folder.with_name(f"{self.folder.name}.log")


class Interrupted(Exception):
    """The sweep was interrupted, and the current training was saved."""


def plan_sweep(
    config: str | Path | None,
    folder: Path,
    name: str,
    *,
    levels: Sequence[str],
    cells: Sequence[str],
    seeds: int,
    settings: Sequence[str],
    vary: Sequence[str] = (),
) -> list[SweepRun]:
    """The runs of a sweep, in training order: FOLDER/NAME-LEVEL-CELL-SEED, with other varied values before the seed.

    If that folder does not exist, any finished run in FOLDER with the same settings is used. So sweeps share their runs. A
    folder that holds a run with other settings is left alone: the next free name gets a number, ...-2, ...-3.

    Args:
        config: a preset's name or a settings file; None: the defaults.
        folder: for the runs.
        name: of the data.
        levels: values of data.level; empty: the level of the settings.
        cells: values of model.cell; empty: the cell of the settings.
        seeds: number of values of train.seed, counted up from the seed of the settings.
        settings: more `key=value`.
        vary: `key=VALUE,VALUE,...`: more settings to vary, with their values.

    Raises:
        UserError: a setting is wrong.
    """
    base = load_config(config, settings)
    listed = {"data.level": ("--levels", levels), "model.cell": ("--cells", cells)}
    axes = {key: list(values) for key, (_, values) in listed.items() if values}
    for text in vary:
        key, values = _varied(text)
        if key in axes:
            raise UserError(f"--vary {text!r}: {key} is already varied")
        axes[key] = values
    usual = {"data.level": [base.data.level], "model.cell": [base.model.cell]}
    axes = {**usual, **axes, "train.seed": [str(base.train.seed + k) for k in range(seeds)]}
    found = []
    for point in itertools.product(*axes.values()):
        chosen = (*settings, *(f"{key}={value}" for key, value in zip(axes, point, strict=True)))
        try:
            wanted = load_config(config, chosen)
        except UserError as error:
            # A varied value reached `load_config` like one of --set. The user gave it with another option.
            complaint = str(error)
            option = next((name for key, (name, values) in listed.items() if values and key in complaint), "--vary")
            raise UserError(complaint.replace("--set:", f"{option}:", 1)) from None
        place = folder / "-".join((name, *(_NOT_IN_NAMES.sub("_", value) for value in point)))
        found.append(SweepRun(folder_for(place, wanted), chosen, wanted))
    if min(len({run.folder for run in found}), len({run.config for run in found})) < len(found):
        raise UserError(
            "two runs of the sweep have the same settings: a level, a cell or a value of --vary is given twice"
        )
    return found


def _varied(text: str) -> tuple[str, list[str]]:
    """Key and values of `--vary`."""
    key, _, listed = (part.strip() for part in text.partition("="))
    values = listed.replace(",", " ").split()
    if not (key and values):
        raise UserError(f"--vary {text!r}: expected section.key=VALUE,VALUE,..., e.g. model.attention=none,dot")
    if key == "train.seed":
        raise UserError(f"--vary {text!r}: use --seeds N to vary the seed")
    return key, values


def sweep(
    runs: Sequence[SweepRun], config: str | Path | None, mirror: Path | None, say: Callable[[str], None]
) -> list[SweepRun]:
    """Train the runs that are not finished.

    Args:
        runs: from `plan_sweep`.
        config: preset or settings file of all runs.
        mirror: a folder to take public corpora from.
        say: is called with each line of progress.

    Returns:
        The finished runs, in the order of `runs`. Failed runs are missing.

    Raises:
        Interrupted: by Ctrl-C; the same sweep resumes from there.
    """
    finished: list[SweepRun] = []
    for k, run in enumerate(runs):
        title = f"run {k + 1} of {len(runs)}, {run.folder}"
        if is_finished(run.folder):
            say(f"{title}: already finished")
            finished.append(run)
            continue
        watch = Watch(runs, k)

        def look(title: str = title, watch: Watch = watch) -> None:
            if news := watch.news():
                left = watch.seconds_left()
                say(f"{title}: {news}{'' if left is None else f'; sweep: at most {left / 60:.1f} min left'}")

        code = _train(run, config, mirror, look)
        # `wordseq train` ends with 128 + SIGINT after Ctrl-C.
        if code == 130:
            raise Interrupted
        if code:
            say(f"{title}: failed with exit code {code}; the sweep continues. The end of {run.log}:")
            tail = run.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
            say("\n".join(f"    {line}" for line in tail))
            continue
        finished.append(run)
        say(f"{title}: finished after {_seconds(run.folder) / 60:.1f} min")
    return finished


class Watch:
    """The progress of a sweep, read from the logs of its runs.

    Args:
        runs: all runs.
        current: the position of the run in training.
    """

    def __init__(self, runs: Sequence[SweepRun], current: int) -> None:
        self.runs, self.current = runs, current
        self.seen = len(list(RunFolder(runs[current].folder).metrics()))
        self.spoke = time.monotonic()

    def news(self) -> str:
        """The result of a validation since the last call, or after `QUIET_SECONDS` the last update; else empty."""
        entries = list(RunFolder(self.runs[self.current].folder).metrics())
        validations = [entry for entry in entries[self.seen :] if entry.get("kind") == "dev"]
        # The number can fall: a resumed run drops the entries after its checkpoint.
        self.seen = len(entries)
        quiet = time.monotonic() - self.spoke > QUIET_SECONDS
        if not (validations or (quiet and entries)):
            return ""
        self.spoke = time.monotonic()
        if validations:
            key = RunFolder(self.runs[self.current].folder).config.train.select_by
            return f"epoch {validations[-1]['epoch']}, {dev_score(key, validations[-1][key])}"
        return f"epoch {entries[-1].get('epoch')}, update {entries[-1]['step']:,}"

    def seconds_left(self) -> float | None:
        """An upper bound of the seconds to the end of the sweep; None while the current run's pace is not known."""
        known = {k: seconds for k, run in enumerate(self.runs) if (seconds := _expected(run)) is not None}
        if self.current not in known:
            return None

        def total(k: int) -> float:
            """Seconds of a run; a run that has not started takes as long as the most similar or slowest one."""
            wanted = self.runs[k].config

            def likeness(other: int) -> tuple[bool, bool, float]:
                found = self.runs[other].config
                return found.data.level == wanted.data.level, found.model.cell == wanted.model.cell, known[other]

            return known[k] if k in known else known[max(known, key=likeness)]

        rest = ((k, run.folder) for k, run in enumerate(self.runs) if k >= self.current and not is_finished(run.folder))
        return max(0.0, sum(total(k) - _seconds(folder) for k, folder in rest))


def _expected(run: SweepRun) -> float | None:
    """Total seconds of a run at its current pace, up to its last epoch, update or minute; None if not known."""
    if is_finished(run.folder):
        return _seconds(run.folder)
    validations = [entry for entry in RunFolder(run.folder).metrics() if entry.get("kind") == "dev"]
    if not validations:
        return run.config.train.max_minutes * 60 or None
    train = RunFolder(run.folder).config.train
    last = validations[-1]
    # With train.validate_steps, a validation may be anywhere in its epoch: in the middle on average.
    epochs = max(last["epoch"] - 0.5, 0.5) if train.validate_steps else last["epoch"]
    share = max(train.max_epochs / epochs, 1.0)
    if train.max_steps:
        share = min(share, train.max_steps / last["step"])
    expected = float(last["seconds"]) * share
    return min(expected, train.max_minutes * 60) if train.max_minutes else expected


def _seconds(folder: Path) -> float:
    return float(max((entry.get("seconds", 0.0) for entry in RunFolder(folder).metrics()), default=0.0))


def _train(run: SweepRun, config: str | Path | None, mirror: Path | None, look: Callable[[], None]) -> int:
    """Train a run in a child process, and return its exit code. `look` is called every `POLL_SECONDS`.

    Raises:
        Interrupted: by Ctrl-C, which the terminal also sends to the child.
    """
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    with run.log.open("ab") as log:
        child = subprocess.Popen(_command(run, config, mirror), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while child.poll() is None:
                time.sleep(POLL_SECONDS)
                look()
        except KeyboardInterrupt:
            raise Interrupted from None
        finally:
            if child.returncode is None:
                # The child saves and ends. SIGTERM is for the case that Ctrl-C did not reach it.
                try:
                    child.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    child.terminate()
                    child.wait()
    return int(child.returncode)


def _command(run: SweepRun, config: str | Path | None, mirror: Path | None) -> list[str]:
    words = [sys.executable, "-m", "wordseq", "train", *([str(config)] if config else []), "--run", str(run.folder)]
    words += [word for setting in run.settings for word in ("--set", setting)]
    return [*words, *(["--mirror", str(mirror)] if mirror else [])]
