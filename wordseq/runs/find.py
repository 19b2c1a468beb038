"""Finds the run that has given settings, or a free name for it."""

import contextlib
import itertools
from pathlib import Path

from wordseq.config.data import DataConfig
from wordseq.config.fields import is_auto
from wordseq.config.schema import AUTO_KEYS, Config, by_key, is_open
from wordseq.runs.folder import BEST, CONFIG_FILE, LAST, RunFolder
from wordseq.system.errors import UserError


def data_name(data: DataConfig) -> str:
    """A short name of the data, for folders: the name of the corpus, or of the file without its extension."""
    # Resolved: "." has no name of its own.
    return data.corpus or Path(data.train.partition(",")[0]).resolve().name.partition(".")[0]


def folder_for(folder: Path, wanted: Config) -> Path:
    """The run with these settings, with this name or finished under another; else the next free name."""
    chosen = folder
    for number in itertools.count(2):
        if not RunFolder(chosen).begun:
            break
        if _same(chosen, wanted):
            return chosen
        chosen = folder.with_name(f"{folder.name}-{number}")
    for path in sorted(folder.parent.glob(f"*/{CONFIG_FILE}")):
        with contextlib.suppress(UserError):  # Not a run.
            if _same(path.parent, wanted) and is_finished(path.parent):
                return path.parent
    return chosen


def _same(folder: Path, wanted: Config) -> bool:
    """Whether the run in a folder was started with these settings, and is not a packed one."""
    run = RunFolder(folder)
    if run.packed:
        return False
    found, asked, decided = by_key(run.config), by_key(wanted), run.decided
    # A run stores what its open settings were decided to be, so such a setting would never be equal.
    return all(
        key in decided if is_auto(value) and key in AUTO_KEYS else found[key] == value or is_open(key, value)
        for key, value in asked.items()
    )


def is_finished(folder: Path) -> bool:
    """Whether the training of a run is complete. With a damaged last checkpoint it is not: training repairs that."""
    run = RunFolder(folder)
    try:
        return run.has(BEST) and bool(run.header(LAST).state.get("finished"))
    except UserError:
        return False
