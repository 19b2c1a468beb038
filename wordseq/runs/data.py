"""The data of a run: checked and prepared without TensorFlow, so that a mistake is reported at once."""

import contextlib
import dataclasses
import errno
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from wordseq.batches.prepare import PREPARED_FOLDER, Prepared, prepare_corpus
from wordseq.config.fields import Changes
from wordseq.config.schema import Config, by_key, is_open, keys_that_change
from wordseq.data.pairs import Pair
from wordseq.runs.folder import ENSEMBLE_FILE, PAIRS_FILE, RunFolder
from wordseq.system.errors import UserError
from wordseq.system.files import write_atomically
from wordseq.system.progress import Say
from wordseq.text.features import split_features

_CELL_ENDS = re.compile(r"[\t\n\r]")


def prepare_run(config: Config, run: RunFolder, mirror: Path | None, say: Say) -> Prepared:
    """The data of a run, prepared beside its folder, with the vocabularies of the run if it exists.

    Raises:
        UserError: the folder or the data cannot be used; see `prepare_corpus`.
    """
    check_usable(run)
    check_place(run)
    cache = run.folder.parent / PREPARED_FOLDER
    return prepare_corpus(config.data, cache, run.codecs if run.begun else None, mirror, say)


def with_own_pairs(config: Config, run: RunFolder, given: bool) -> Config:
    """The settings with the run's own pairs as data, if pairs are given or the run was moved."""
    path, own = Path(config.data.train), run.folder / PAIRS_FILE
    moved = path.name == PAIRS_FILE and not path.exists() and own.is_file()
    if not (given or moved):
        return config
    # Nothing about this file is to be guessed from its texts.
    data = dataclasses.replace(
        config.data,
        train=str(own),
        format="tsv",
        header="no",
        encoding="",
        src_column="1",
        tgt_column="2",
        features_column="3" if config.data.features_column else "",
    )
    return dataclasses.replace(config, data=data)


@contextlib.contextmanager
def pairs_written(run: RunFolder, pairs: Iterable[Pair] | None, *, features: bool = False) -> Iterator[None]:
    """Write pairs into the run's folder; if the run cannot be started, the file is removed.

    Args:
        run: the run.
        pairs: the pairs; None: the run has other data.
        features: the sources have features, which are written as a third column.

    Raises:
        UserError: there are no pairs, or the folder holds a run on other data.
    """
    if pairs is None:
        yield
        return
    path = run.folder / PAIRS_FILE
    content = "".join("\t".join(map(_one_cell, _cells(pair, features))) + "\n" for pair in pairs).encode()
    if not content:
        raise UserError("data: no pairs in it")
    if run.begun and path.is_file() and path.read_bytes() != content:
        raise UserError(f"{run.folder}: the pairs are not those that the run was started with; choose another folder")
    # A run that was started on other data must stay as it was when these turn out to differ.
    added = run.begun and not path.is_file()
    write_atomically(path, content)
    try:
        yield
    except UserError:
        if added:
            path.unlink(missing_ok=True)
        raise
    finally:
        if not run.begun:
            path.unlink(missing_ok=True)


def _cells(pair: Pair, features: bool) -> tuple[str, ...]:
    if not features:
        return pair
    word, tags = split_features(pair.src)
    return word, pair.tgt, tags


def _one_cell(text: str) -> str:
    """A text without tabs and line breaks, which would end its cell in the file. Normalising would make them spaces too."""
    return text if text.isprintable() else _CELL_ENDS.sub(" ", text)


def check_folder(run: RunFolder, config: Config) -> None:
    """Check that a run with these settings may use its folder.

    Raises:
        UserError: the folder is a file, holds another run or a packed one, or holds files that are not of a run.
    """
    check_usable(run)
    if run.begun:
        _check_same(run, config)


def check_usable(run: RunFolder) -> None:
    """Check that a folder holds a run that can be trained, or nothing.

    Raises:
        UserError: it is a file, holds a packed run, or holds files that are not of a run.
    """
    if run.packed:
        raise UserError(
            f"{run.folder}: a packed run, which cannot be trained further: it has no optimizer state; resume the run that "
            "was packed, or choose another run folder"
        )
    if (run.folder / ENSEMBLE_FILE).is_file():
        raise UserError(f"{run.folder}: an ensemble, which cannot be trained itself; train its runs")
    if run.averaged:
        raise UserError(
            f"{run.folder}: an average of weights, which cannot be trained further: it has no optimizer state; resume a run "
            "that was averaged, or choose another run folder"
        )
    if run.begun:
        return
    if run.folder.exists() and not run.folder.is_dir():
        raise UserError(f"{run.folder}: is a file; choose another run folder")
    if run.folder.exists() and not run.unfinished and any(run.folder.iterdir()):
        raise UserError(f"{run.folder}: holds other files and is not a run folder; choose another run folder")


def check_place(run: RunFolder) -> None:
    """Make the folder above the run's, which also holds the prepared data.

    Raises:
        OSError: it cannot be made; the error names the run's folder.
    """
    try:
        run.folder.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(run.folder)) from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(run.folder)) from None


def _check_same(run: RunFolder, config: Config) -> None:
    before, limits, places = by_key(run.config), keys_that_change(Changes.LIMIT), keys_that_change(Changes.PLACE)
    for key, value in by_key(config).items():
        # What an open setting was decided to be is in the run's config.toml only.
        if before[key] != value and key not in limits + places and not is_open(key, value):
            raise UserError(
                f"{run.folder}: was started with {key} = {before[key]!r}, now it is {value!r}; "
                f"choose another run folder, or keep the setting (only {', '.join(limits)} may change)"
            )
