"""Sources of sentence pairs: a named corpus, one file, or six files with the splits."""

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
    """A source of sentence pairs.

    Attributes:
        name: name of the corpus in messages.
        files: files by setting: one under "path", or the six of `SPLIT_FILES`; empty for a synthetic corpus.
        pairs: pairs of a synthetic corpus; else empty.
    """

    name: str
    files: Mapping[str, Path]
    pairs: Sequence[Pair] = ()

    @property
    def is_split(self) -> bool:
        """Whether dev and test data are given as files."""
        return "train_src" in self.files

    def rows(self, bad: BadLines) -> Iterator[Row]:
        """All pairs before cleaning; only the training pairs if dev and test are given. Errors: see `readers`."""
        if self.is_split:
            return read_parallel(self.files["train_src"], self.files["train_tgt"], bad)
        if self.files:
            return read_tsv(self.files["path"], bad)
        return (Row(number, *pair) for number, pair in enumerate(self.pairs, 1))

    def method(self, data: DataConfig) -> dict[str, Any]:
        """How the corpus is split, for split.json."""
        if self.is_split:
            return {"method": "as given", "seed": data.seed, "dev_size": None, "test_size": None}
        sizes = {"dev_size": data.dev_size, "test_size": data.test_size}
        return {"method": "grouped by source, drawn by hash", "seed": data.seed, **sizes}


def check_source(data: DataConfig) -> None:
    """Check that the source that `data` names exists, without downloading or reading it.

    Raises:
        UserError: the corpus is unknown, or a file is missing.
    """
    paths = [getattr(data, key) for key in SPLIT_FILES] if data.train_src else [data.path] * bool(data.path)
    for path in map(Path, paths):
        # In ARCHIVE.zip/MEMBER the archive is a parent of the member, and a file.
        if not path.exists() and not any(parent.is_file() for parent in path.parents):
            raise UserError(f"{path}: no such file")
    if not paths and data.corpus not in SYNTHETIC and find_dataset(data.corpus) is None:
        raise UserError(_unknown_corpus(data.corpus))


def find_origin(data: DataConfig, mirror: Path | None = None, say: Say = print) -> Origin:
    """The source that `data` names: synthetic, public (downloaded if necessary), or files.

    Args:
        data: settings, see `DataConfig`.
        mirror: folder that replaces the network for public corpora, see `wordseq.data.public.get`.
        say: called with one line at a time: the licence of a public corpus, the address of a download.

    Raises:
        UserError: the corpus is unknown, or cannot be downloaded.
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
        return f"no corpus is set; set data.corpus, data.path, or all of data.{', data.'.join(SPLIT_FILES)}"
    if Path(name).is_file():
        return f"data.corpus = {name!r} is a file; set data.path instead"
    names = [*SYNTHETIC, *DATASETS]
    # One guess only: the list of all names follows it.
    close = difflib.get_close_matches(name, names, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"data.corpus = {name!r} is unknown; {guess}choose from {', '.join(names)}, or {OPEN_NAMES}"
