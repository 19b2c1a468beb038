"""Reads run folders without TensorFlow: held-out splits, the log, the state of a checkpoint."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wordseq.data.splits import HELD_OUT_FILE, HeldOut
from wordseq.system.errors import UserError

_LOG_NUMBERS = ("epoch", "loss", "bleu", "tokens", "tokens_per_second", "seconds")
MEMORY_FILE = "memory.json"
"""In a run, of the process that ended its training: `peak_bytes`, the most memory it held, `machine` (see
`provenance.machine`) and `wordseq` (see `provenance.commit`)."""


def read_test(folder: Path) -> HeldOut:
    """The test split of a run folder.

    Raises:
        UserError: not a run folder, or a damaged one.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: {'a file, expected a run folder' if folder.exists() else 'no such run folder'}")
    if not (folder / HELD_OUT_FILE).is_file():
        raise UserError(f"{folder}: not a run folder: it has no {HELD_OUT_FILE}")
    return read_held_out(folder, "test")


def read_held_out(folder: Path, part: str) -> HeldOut:
    """The dev or test split of a run.

    Raises:
        UserError: the file is missing or damaged.
    """
    return HeldOut.load(folder, part)


def checksum(path: Path) -> str:
    """The SHA-256 that a checkpoint says it has; empty where it says none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment.decode("ascii", "replace")
    except (OSError, zipfile.BadZipFile):
        return ""


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The entries of metrics.jsonl; what is not an entry, or not whole, is passed over."""
    path = folder / "metrics.jsonl"
    entries = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), int) and _has_numbers(entry):
            entries.append(entry)
    return entries


def read_state(path: Path) -> dict[str, Any]:
    """The state in a checkpoint.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(json.loads(file["state.json"].tobytes()))
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint; has the run been trained?") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged checkpoint: {error}") from None


def is_number(value: object) -> bool:
    """Whether a value read from JSON is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has_numbers(entry: Mapping[str, Any]) -> bool:
    return all(is_number(entry.get(key, 0)) for key in _LOG_NUMBERS)


def read_lines_of(path: Path) -> list[str]:
    """The lines of a text file; none where it is missing."""
    # Not splitlines, which splits at characters that are part of a text.
    return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if path.is_file() else []
