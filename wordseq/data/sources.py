"""Where sentence pairs come from: a corpus by its name, one file, or files that are split already."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordseq.config.schema import SPLIT_FILES, DataConfig
from wordseq.data.pairs import Pair, Row
from wordseq.data.public import DATASETS, OPEN_NAMES, find_dataset, get
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.parallel import read_parallel
from wordseq.data.readers.tsv import read_tsv
from wordseq.data.synthetic import SYNTHETIC, make
from wordseq.system.errors import UserError
from wordseq.system.progress import Say


@dataclass(frozen=True)
class Origin:
    """Where sentence pairs come from.

    Attributes:
        name: of the corpus, for people.
        files: by setting: one called "path", or six as `SPLIT_FILES`; none for what wordseq makes itself.
        pairs: what it made.
    """

    name: str
    files: Mapping[str, Path]
    pairs: Sequence[Pair] = ()

    @property
    def is_split(self) -> bool:
        """Whether dev and test data are given."""
        return "train_src" in self.files

    def rows(self, bad: BadLines) -> Iterator[Row]:
        """The pairs as they stand, those for training where dev and test are given. Errors: see `readers`."""
        if self.is_split:
            return read_parallel(self.files["train_src"], self.files["train_tgt"], bad)
        if self.files:
            return read_tsv(self.files["path"], bad)
        return (Row(number, *pair) for number, pair in enumerate(self.pairs, 1))

    def method(self, data: DataConfig) -> dict[str, Any]:
        """How it is split, for split.json."""
        if self.is_split:
            return {"method": "as given", "seed": data.seed, "dev_size": None, "test_size": None}
        sizes = {"dev_size": data.dev_size, "test_size": data.test_size}
        return {"method": "grouped by source, drawn by hash", "seed": data.seed, **sizes}


def check_source(data: DataConfig) -> None:
    """Whether there is what `data` names, as far as can be told without fetching or reading it.

    Raises:
        UserError: an unknown corpus, or a missing file.
    """
    paths = [getattr(data, key) for key in SPLIT_FILES] if data.train_src else [data.path] * bool(data.path)
    for path in map(Path, paths):
        # A member of an archive has the archive for a parent.
        if not path.exists() and not any(parent.is_file() for parent in path.parents):
            raise UserError(f"{path}: no such file")
    if not paths and data.corpus not in SYNTHETIC and find_dataset(data.corpus) is None:
        raise UserError(_unknown_corpus(data.corpus))


def find_origin(data: DataConfig, mirror: Path | None = None, say: Say = print) -> Origin:
    """Where the pairs that `data` names come from: synthetic, public (fetched when it is not there), or files.

    Args:
        data: settings, see `DataConfig`.
        mirror: a folder to take public corpora from instead of the network, see `wordseq.data.public.get`.
        say: called with the licence of a public corpus and what is fetched, a line at a time.

    Raises:
        UserError: an unknown corpus, or a public one that cannot be fetched.
    """
    if data.train_src:
        return Origin(data.train_src, {key: Path(getattr(data, key)) for key in SPLIT_FILES})
    if data.path:
        return Origin(data.path, {"path": Path(data.path)})
    if data.corpus in SYNTHETIC:
        return Origin(data.corpus, {}, make(data.corpus))
    dataset = find_dataset(data.corpus)
    if dataset is None:
        raise UserError(_unknown_corpus(data.corpus))
    return Origin(data.corpus, get(dataset, mirror=mirror, say=say))


def _unknown_corpus(name: str) -> str:
    if not name:
        return f"no corpus is named; set data.corpus, data.path, or all of data.{', data.'.join(SPLIT_FILES)}"
    if Path(name).is_file():
        return f"data.corpus = {name!r} is a file; set data.path instead"
    names = [*SYNTHETIC, *DATASETS]
    close = difflib.get_close_matches(name, names, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"data.corpus = {name!r}: unknown; {guess}choose from {', '.join(names)}, or {OPEN_NAMES}"
