"""Sources of sentence pairs: the registry of file formats, named corpora, and the files that settings name."""

import dataclasses
import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from wordseq.config.data import DataConfig
from wordseq.data.columns import Columns, rows_of
from wordseq.data.layout import Files, PartFiles, files_of, suffix_of
from wordseq.data.pairs import Pair, Row
from wordseq.data.public import DATASETS, OPEN_NAMES, find_dataset, get
from wordseq.data.readers import delimited, gettext, json_lines, parquet, tmx
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.parallel import read_parallel
from wordseq.data.readers.streams import Opened, open_file
from wordseq.data.readers.table import FileTable
from wordseq.data.synthetic import SYNTHETIC, make
from wordseq.system.errors import UserError
from wordseq.system.progress import Say


class Format(NamedTuple):
    """A format of one file of pairs.

    Attributes:
        reader: returns the records of an open file.
        suffixes: of its files, in lower case.
        matches: whether a file begins like this format.
        sure: the first bytes alone decide, whatever the file is called.
    """

    reader: Callable[[Opened, DataConfig, BadLines], FileTable]
    suffixes: tuple[str, ...]
    matches: Callable[[bytes], bool]
    sure: bool = False


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "parquet": Format(parquet.read_parquet, (".parquet",), parquet.is_parquet, sure=True),
        "mo": Format(gettext.read_mo, (".mo", ".gmo"), gettext.is_mo, sure=True),
        "tmx": Format(tmx.read_tmx, (".tmx",), tmx.is_tmx, sure=True),
        "po": Format(gettext.read_po, (".po", ".pot"), gettext.is_po),
        "json_lines": Format(json_lines.read_json_lines, (".jsonl", ".ndjson"), json_lines.is_json_lines),
        "json": Format(json_lines.read_json_array, (".json",), json_lines.is_json_array),
        "quoted_tsv": Format(delimited.read_quoted_tsv, (".tsv", ".tab"), delimited.is_quoted_tsv),
        "tsv": Format(delimited.read_tsv, (".tsv", ".tab"), delimited.is_tsv),
        "csv": Format(delimited.read_csv, (".csv",), delimited.is_csv),
    }
)
"""The formats in the order in which they are tried: quoted_tsv before tsv, which fits the same files."""


def recognise(opened: Opened, data: DataConfig) -> str:
    """The name of the format of an open file, by the setting `data.format`, the first bytes and the name."""
    if data.format:
        return data.format
    suffix, head = suffix_of(opened.path), opened.head
    fitting = [name for name, form in FORMATS.items() if form.matches(head)]
    named = [name for name, form in FORMATS.items() if suffix in form.suffixes]
    for name in fitting:
        if FORMATS[name].sure or name in named:
            return name
    # The content decides, except for .csv: nearly everything could be read as some CSV, and its reader names the fault.
    return [*(fitting if named != ["csv"] else []), *named[-1:], "tsv"][0]


@dataclass
class Reading:
    """What is found out while files are read: lines to print, and what their readers leave out.

    Attributes:
        say: is called with each line as soon as it is known.
        lines: all lines so far.
        left_out: counts by phrase.
        formats: number of files of each format.
        columns: those of the last file.
        warnings: what looks wrong with the recognised format.
        language: of the catalogues so far.
    """

    say: Say = field(default=lambda line: None)
    lines: list[str] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)
    columns: Columns | None = None
    warnings: list[str] = field(default_factory=list)
    language: str = ""
    _tables: list[FileTable] = field(default_factory=list)

    @property
    def left_out(self) -> Counter[str]:
        """What the readers left out so far, by phrase."""
        return sum((table.left_out for table in self._tables), Counter())

    def note(self, where: str, form: str, opened: Opened | None = None, columns: Columns | None = None) -> None:
        """Print what was recognised in a file: its format, and the columns that are taken.

        `where` is its name without a folder: prepared data are shared by equal files in several folders, and so is this line.
        """
        self.formats[form] += 1
        self.columns = columns or self.columns
        found = ", ".join([form, *(opened.notes if opened else ())])
        line = f"{where}: {found}{f'; {columns.describe()}' if columns else ''}"
        self.lines.append(line)
        # A folder of hundreds of catalogues would fill the screen.
        if self.formats[form] <= SHOWN_FILES:
            self.say(
                line if self.formats[form] < SHOWN_FILES else f"{line}; further files of this format are not listed"
            )

    def add(self, table: FileTable, path: Path) -> None:
        """Count what the reader of this table leaves out.

        Raises:
            UserError: it is a catalogue of another language than those before it.
        """
        self._tables.append(table)
        if table.language and self.language not in ("", table.language):
            raise UserError(
                f"{path}: a catalogue in {table.language}, but those before it are in {self.language}; give the folder or "
                "the archive of one language"
            )
        self.language = table.language or self.language

    def to_dict(self) -> dict[str, Any]:
        """What was found out, for JSON."""
        columns = self.columns.to_dict() if self.columns else {}
        found = {"lines": self.lines[:SHOWN_FILES], "left_out": dict(self.left_out), "formats": dict(self.formats)}
        return {**found, "columns": columns}


SHOWN_FILES = 10
"""Files of one format whose recognition is printed."""


def read_pair_files(files: Files, data: DataConfig, bad: BadLines, reading: Reading) -> Iterator[Row]:
    """The pairs of a file, or of two parallel files.

    Raises:
        UserError: a file cannot be read, or see `rows_of`.
    """
    bad.begin()
    if len(files) == 2:
        if data.features_column:
            raise UserError(f"{files[0]}: {_no_features('parallel files', data)}")
        reading.note(f"{files[0].name} and {files[1].name}", "parallel files")
        yield from read_parallel(files[0], files[1], bad, data.encoding)
        return
    path = files[0]
    with open_file(path, data.encoding) as opened:
        table = FORMATS[recognise(opened, data)].reader(opened, data, bad)
        if table.pairs and data.features_column:
            raise UserError(f"{path}: {_no_features(table.format, data)}")
        columns, rows = rows_of(table, path, data, bad)
        reading.note(path.name, table.format, opened, columns)
        reading.add(table, path)
        if columns.like_header:
            reading.warnings.append(
                f"{path.name}: line 1, {columns.like_header}, looks like a header; set data.header=yes if it is one, "
                "else data.header=no"
            )
        if columns.mistaken:
            target, features = columns.name(columns.tgt), columns.name(columns.used[-1])
            reading.warnings.append(
                f"{path.name}: the target, {target}, looks like features, and {features}, the features, does not; if they are "
                f"exchanged, set data.features_column={columns.tgt + 1}"
            )
        if table.format == "TSV" and not data.format and delimited.looks_quoted(opened.head):
            reading.warnings.append(
                f"{path.name}: some texts begin and end with quotes, which are kept; set data.format=quoted_tsv if a program "
                "added them, else data.format=tsv"
            )
        yield from rows


def _no_features(form: str, data: DataConfig) -> str:
    """The end of an error about data whose format has no columns."""
    return (
        f"data.features_column = {data.features_column!r}, but {form} have no such column; features are read from TSV, CSV, "
        "JSON Lines, JSON and Parquet"
    )


@dataclass(frozen=True)
class Origin:
    """A source of sentence pairs.

    Attributes:
        name: name of the corpus in messages.
        parts: files of "train", and of "dev" and "test" if they are given; empty for a synthetic corpus.
        pairs: pairs of a synthetic corpus; else empty.
        public: a public corpus, whose format is known.
    """

    name: str
    parts: PartFiles
    pairs: Sequence[Pair] = ()
    public: bool = False

    @property
    def paths(self) -> list[Path]:
        """All files."""
        return [path for files in self.parts.values() for names in files for path in names]

    @property
    def missing(self) -> tuple[str, ...]:
        """The parts that have to be split off from the training data, of "test" and "dev"."""
        return tuple(part for part in ("test", "dev") if part not in self.parts)

    def settings(self, data: DataConfig) -> DataConfig:
        """The settings to read the files with."""
        return dataclasses.replace(data, format="tsv", header="no", encoding="") if self.public else data

    def rows(
        self, data: DataConfig, bad: BadLines, part: str = "train", reading: Reading | None = None
    ) -> Iterator[Row]:
        """All pairs of a part before cleaning, those of several files one after the other. Errors: see `read_pair_files`.

        Raises:
            UserError: after the last row: there are bad lines and data.on_bad_line is "stop".
        """
        number, reading = 0, reading or Reading()
        if self.pairs and data.features_column:
            raise UserError(f"{self.name}: {_no_features('synthetic corpora', data)}")
        if self.pairs:
            yield from (Row(number, *pair) for number, pair in enumerate(self.pairs, 1))
            return
        for files in self.parts[part]:
            for row in read_pair_files(files, self.settings(data), bad, reading):
                number += 1
                yield row
        bad.check(number)

    def method(self, data: DataConfig) -> dict[str, Any]:
        """How the corpus is split, for split.json."""
        if not self.missing:
            return {"method": "as given", "seed": data.seed, "dev_size": None, "test_size": None}
        sizes = {
            f"{part}_size": getattr(data, f"{part}_size") if part in self.missing else None for part in ("dev", "test")
        }
        given = [part for part in ("dev", "test") if part not in self.missing]
        method = f"{given[0]} as given, the rest grouped by source, drawn by hash" if given else _DRAWN
        return {"method": method, "seed": data.seed, **sizes}


_DRAWN = "grouped by source, drawn by hash"


def check_source(data: DataConfig) -> None:
    """Check that the source that `data` names exists, without downloading or reading it.

    Raises:
        UserError: the corpus is unknown, or a file is missing.
    """
    if data.train:
        files_of(data)
    elif data.corpus not in SYNTHETIC and find_dataset(data.corpus) is None:
        raise UserError(_unknown_corpus(data.corpus))


def find_origin(data: DataConfig, mirror: Path | None = None, say: Say = print) -> Origin:
    """The source that `data` names: synthetic, public (downloaded if necessary), or files.

    Args:
        data: settings, see `DataConfig`.
        mirror: folder that replaces the network for public corpora, see `wordseq.data.public.get`.
        say: called with one line at a time: the licence of a public corpus, the address of a download.

    Raises:
        UserError: the corpus is unknown, or cannot be downloaded, or a file is missing.
    """
    if data.train:
        return Origin(data.train, files_of(data))
    if data.corpus in SYNTHETIC:
        return Origin(data.corpus, {}, make(data.corpus))
    dataset = find_dataset(data.corpus)
    if dataset is None:
        raise UserError(_unknown_corpus(data.corpus))
    return Origin(data.corpus, get(dataset, mirror=mirror, say=say), public=True)


def _unknown_corpus(name: str) -> str:
    if not name:
        return "no corpus is set; set data.corpus or data.train"
    if Path(name).exists():
        return f"data.corpus = {name!r} is a file; set data.train instead"
    names = [*SYNTHETIC, *DATASETS]
    # One guess only: the list of all names follows it.
    close = difflib.get_close_matches(name, names, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"data.corpus = {name!r} is unknown; {guess}choose from {', '.join(names)}, or {OPEN_NAMES}"
