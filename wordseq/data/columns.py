"""Chooses the columns of a table that are source and target: by setting, by name, or by content. Every choice is printed."""

import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordseq.config.data import DataConfig
from wordseq.data.pairs import Row
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.table import FileTable, Record
from wordseq.system.errors import UserError

SAMPLE_RECORDS = 1000
"""Records by which header and columns are recognised."""

COMMON = 4
"""More than one record in `COMMON` must have a cell in a column; otherwise it is no column but a fault."""

PAIRS_OF_NAMES = (
    ("source", "target"),
    ("src", "tgt"),
    ("src", "trg"),
    ("source_text", "target_text"),
    ("source text", "target text"),
    ("source_sentence", "target_sentence"),
    ("sentence1", "sentence2"),
    ("input", "output"),
    ("input", "target"),
    ("input_text", "target_text"),
    ("original", "translation"),
    ("source", "translation"),
    ("text", "translation"),
    ("sentence", "translation"),
    ("word", "pronunciation"),
    ("lemma", "form"),
    ("question", "answer"),
)
"""Names of columns that are taken as source and target, in order of preference."""

KNOWN_NAMES = {
    kind: frozenset(names)
    for kind, names in tomllib.loads(Path(__file__).with_name("column_names.toml").read_text(encoding="utf-8")).items()
}
"""Further names by which a header is recognised, by kind: see the file."""

FEATURE_NAMES = ("features", "feats", "msd", "tags")
"""Names of columns that may have the features of a source."""

LANGUAGE_CODES = KNOWN_NAMES["codes"]

_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")

_TAGS = re.compile(r"[^\s;]+(?:;[^\s;]+)+")

_LABEL = re.compile(r"\w+(?:[ _-]\w+){0,2}")

LANGUAGE_CODE = re.compile(r"[a-zA-Z]{2,3}(?:[-_][a-zA-Z]{2,4})?")

# A name that ends in a language: sentence_en, translation.fr.
_NAME_OF_LANGUAGE = re.compile(r"(.+)[._-]([a-z]{2,3})")


@dataclass(frozen=True)
class Columns:
    """The chosen columns of a table.

    Attributes:
        src: index of the source column, from 0.
        tgt: index of the target column.
        names: of all columns; without a header "column 1", "column 2", ...
        header: whether the first record has the names.
        reason: how they were chosen, for the line that is printed; empty for the first two of two.
        examples: a cell of each column.
        like_header: the first record, if it is taken as a pair but may be a header; else empty.
        features: index of the column of features, if a setting names it.
        like_features: index of a column that is not used but may have features.
        mistaken: without `data.tgt_column`: the target is like features, and the column of features is not.
    """

    src: int
    tgt: int
    names: tuple[str, ...]
    header: bool
    reason: str
    examples: tuple[str, ...]
    like_header: str = ""
    features: int | None = None
    like_features: int | None = None
    mistaken: bool = False

    @property
    def used(self) -> tuple[int, ...]:
        """Indices of source and target, and of the features if there are some."""
        return (self.src, self.tgt) if self.features is None else (self.src, self.tgt, self.features)

    @property
    def unused(self) -> tuple[int, ...]:
        """Indices of the other columns."""
        return tuple(k for k in range(len(self.names)) if k not in self.used)

    def name(self, index: int) -> str:
        """A column as printed: its number, and its name where it has one."""
        number = f"column {index + 1}"
        return number if self.names[index] == number else f"{number} ({self.names[index]!r})"

    def to_dict(self) -> dict[str, Any]:
        """The choice for JSON: names of the columns, or their numbers as "column 1"."""
        unused = [self.names[k] for k in self.unused]
        used = dict(zip(("source", "target", "features"), (self.names[k] for k in self.used), strict=False))
        return {**used, "unused": unused, "header": self.header}

    def describe(self) -> str:
        """The choice as part of a line."""
        kinds = ("source", "target", "features")
        parts = [f"{kind}: {self.name(k)}" for kind, k in zip(kinds, self.used, strict=False)]
        if self.unused:
            examples = [f"{self.name(k)}, e.g. {shortened(self.examples[k])}" for k in self.unused[:3]]
            more = f" and {len(self.unused) - 3} more" if len(self.unused) > 3 else ""
            parts.append(f"not used: {'; '.join(examples)}{more}")
        header = "header in line 1; " if self.header else ""
        reasons = [self.reason] if self.reason and self.unused else []
        if self.like_features is not None:
            number = self.like_features + 1
            reasons.append(f"data.features_column={number} takes column {number} as features")
        why = f" ({'; '.join(reasons)})" if reasons else ""
        return f"{header}{', '.join(parts)}{why}"


def rows_of(table: FileTable, path: Path, data: DataConfig, bad: BadLines) -> tuple[Columns, Iterator[Row]]:
    """The chosen columns and the pairs of a table.

    Args:
        table: as its reader returns it; its first records are read now.
        path: for messages.
        data: settings `src_column`, `tgt_column`, `features_column`, `src_lang`, `tgt_lang` and `header`.
        bad: records without a source or target, or with too many cells, are added to it.

    Raises:
        UserError: a column that a setting names is missing, or it is not clear which columns to take.
    """
    first = list(itertools.islice(table.records, SAMPLE_RECORDS))
    # Of a file in another encoding only lines without accents are left, and these tell nothing about its columns.
    if bad.number > len(first):
        bad.check(len(first))
    if not first and bad.number:
        raise UserError(f"{path}: {table.format} without a record that can be used")
    columns = choose(table, first, path, data)
    records = itertools.chain(first[1:] if columns.header else first, table.records)
    return columns, _rows(records, columns, path, bad)


def _rows(records: Iterator[Record], columns: Columns, path: Path, bad: BadLines) -> Iterator[Row]:
    used, width = columns.used, len(columns.names)
    last = max(used)
    for number, cells in records:
        if last < len(cells) <= width:
            texts = [text for k in used if (text := cells[k]) is not None]
            if len(texts) < len(used):
                bad.add(path, number, f"no {next(columns.names[k] for k in used if cells[k] is None)}")
            else:
                yield Row(number, *texts)
        elif len(cells) == 1 and not (cells[0] or "").strip():
            yield Row(number, *[""] * len(used))
        else:
            expected = f"expected {width}" if width == last + 1 else f"expected {last + 1} to {width}"
            bad.add(path, number, f"{len(cells)} column{'s' * (len(cells) > 1)}, {expected}")


def choose(table: FileTable, first: Sequence[Record], path: Path, data: DataConfig) -> Columns:
    """The columns to take, by the first records; see `rows_of`."""
    full = [record for record in first if len(record.cells) > 1 or (record.cells and (record.cells[0] or "").strip())]
    # The last columns may be missing in some records, such as a note; a cell too many in a few is a fault.
    sizes = Counter(len(record.cells) for record in full)
    width = max((size for size, number in sizes.items() if number * COMMON > len(full)), default=0)
    width = max(len(table.columns), width or max(sizes, key=sizes.__getitem__, default=0))
    header = not table.columns and _has_header(first, width, data)
    given = table.columns or (tuple((cell or "").strip() for cell in first[0].cells) if header else ())
    # Empty names happen: pandas writes its index without one.
    names = tuple(given[k] if k < len(given) and given[k] else f"column {k + 1}" for k in range(width))
    body = [record.cells for record in (full[1:] if header else full) if len(record.cells) == width]
    columns = [[cells[k] for cells in body] for k in range(width)]
    examples = tuple(next((cell for cell in column if cell), "") for column in columns)
    features = features_index(names, columns, str(path), data)
    chosen, reason = _chosen(table, names, columns, path, data, features)
    check_features(features, chosen, names, columns, str(path), data)
    doubtful = not header and not table.columns and data.header == "auto" and first and not _recurs(first)
    like_header = _like_header(first[0], chosen) if doubtful else ""
    like = _like_features(names, columns)
    like_features = next((k for k in like if features is None and k not in chosen), None)
    mistaken = not (features is None or features in like or data.tgt_column) and chosen[1] in like
    return Columns(*chosen, names, header, reason, examples, like_header, features, like_features, mistaken)


def features_index(
    names: Sequence[str], columns: Sequence[Sequence[str | None]], where: str, data: DataConfig
) -> int | None:
    """Index of the column that `data.features_column` names; None if the setting is empty.

    Raises:
        UserError: there is no such column.
    """
    if not data.features_column:
        return None
    return _index(data.features_column, names, columns, f"{where}: data.features_column")


def check_features(
    features: int | None,
    chosen: tuple[int, int],
    names: Sequence[str],
    columns: Sequence[Sequence[str | None]],
    where: str,
    data: DataConfig,
) -> None:
    """Check that the column of features is neither source nor target.

    Raises:
        UserError: it is one of them.
    """
    if features in chosen:
        side = "target" if features == chosen[1] else "source"
        raise UserError(
            f"{where}: data.features_column = {data.features_column!r} is the column of the {side} too; "
            f"{_listed(names, columns)}"
        )


def _like_features(names: Sequence[str], columns: Sequence[Sequence[str | None]]) -> list[int]:
    """The columns that are called like features, or whose cells are most often tags such as V;PST;SG."""
    found = []
    for k, column in enumerate(columns):
        filled = [cell for cell in column if cell]
        tags = sum(_TAGS.fullmatch(cell) is not None for cell in filled)
        if filled and (names[k].casefold() in FEATURE_NAMES or tags * 2 > len(filled)):
            found.append(k)
    return found


def _like_header(first: Record, chosen: tuple[int, int]) -> str:
    """The cells of a first record that is taken as a pair but may be a header; empty if it is not like one."""
    cells = [(cell or "").strip() for cell in first.cells]
    # Many short words are codes of languages too, so that one code is not enough.
    codes = all(map(LANGUAGE_CODE.fullmatch, cells))
    named = any(is_column_name(cells[k], codes) for k in chosen if k < len(cells))
    return " and ".join(map(repr, cells[:4])) if named and all(map(_LABEL.fullmatch, cells)) else ""


def _chosen(
    table: FileTable,
    names: Sequence[str],
    columns: Sequence[Sequence[str | None]],
    path: Path,
    data: DataConfig,
    features: int | None,
) -> tuple[tuple[int, int], str]:
    """Indices of source and target, which are not `features` if they are not set, and how they were found."""
    if data.src_column or data.tgt_column:
        return set_columns(names, columns, str(path), data), ""
    if table.pairs:
        return (0, 1), ""
    others = [k for k in range(len(names)) if k != features]
    if len(others) < 2 and features is not None:
        raise UserError(
            f"{path}: {len(names)} column{'s' * (len(names) > 1)}; expected a source, a target and their features; "
            f"{_listed(names, columns)}"
        )
    if len(names) < 2:
        example = next((cell for column in columns for cell in column if cell), "")
        raise UserError(
            f"{path}: {table.format} with one column, e.g. {shortened(example)}; expected a source and a target in each line, "
            "e.g. separated by TAB; two parallel files are given as SRC,TGT"
        )
    found = columns_by_name([name.casefold() for name in names], columns, data)
    if found is not None and features not in found[0]:
        return found
    # Numbers, codes of languages and empty columns are no texts, unless there are only two columns.
    texts = [k for k in others if _is_text(columns[k])] if len(others) > 2 else others
    if len(texts) == 2:
        return (texts[0], texts[1]), "the only two with text" if len(others) > 2 else ""
    # The first two of a table such as lemma, form, features. Of one with numbers between, no order is usual.
    if len(texts) > 1 and texts[:2] == others[:2]:
        return (texts[0], texts[1]), "the first two; data.src_column and data.tgt_column choose others"
    kind = "only one column holds text" if len(texts) == 1 else f"{len(names)} columns"
    raise UserError(
        f"{path}: {kind}; name the columns of the pairs with data.src_column and data.tgt_column; {_listed(names, columns)}"
    )


def set_columns(
    names: Sequence[str], columns: Sequence[Sequence[str | None]], where: str, data: DataConfig
) -> tuple[int, int]:
    """Indices of the columns that `data.src_column` and `data.tgt_column` name.

    Args:
        names: of all columns.
        columns: some cells of each, for messages.
        where: begins messages.
        data: the settings.

    Raises:
        UserError: there is no such column, only one setting is set, or both name one column.
    """
    if not (data.src_column and data.tgt_column):
        missing = "data.tgt_column" if data.src_column else "data.src_column"
        raise UserError(f"{where}: {missing} must be set too; {_listed(names, columns)}")
    src = _index(data.src_column, names, columns, f"{where}: data.src_column")
    tgt = _index(data.tgt_column, names, columns, f"{where}: data.tgt_column")
    if src == tgt:
        raise UserError(f"{where}: data.src_column and data.tgt_column are the same column; {_listed(names, columns)}")
    return src, tgt


def columns_by_name(
    folded: Sequence[str], columns: Sequence[Sequence[str | None]], data: DataConfig
) -> tuple[tuple[int, int], str] | None:
    """The columns called by the languages that are set, or by usual names; None if there are none."""
    if data.src_lang and data.tgt_lang:
        src, tgt = (_of_language(folded, code) for code in (data.src_lang, data.tgt_lang))
        if src is not None and tgt is not None and src != tgt:
            return (src, tgt), "by language"
    for first, second in PAIRS_OF_NAMES:
        if first in folded and second in folded:
            return (folded.index(first), folded.index(second)), "by name"
    # The only two that differ in the language alone. In sentence_id, "id" is no language unless there is text in it.
    stems = [(k, _without_language(name)) for k, name in enumerate(folded)]
    of_languages = [(k, stem) for k, stem in stems if stem and _is_text(columns[k])]
    if len(of_languages) == 2 and of_languages[0][1] == of_languages[1][1]:
        return (of_languages[0][0], of_languages[1][0]), "by language"
    return None


def _without_language(name: str) -> str:
    """A column's name without the language at its end: "sentence" of sentence_en; empty if it has none."""
    match = _NAME_OF_LANGUAGE.fullmatch(name)
    return match[1] if match and match[2] in LANGUAGE_CODES else ""


def _index(setting: str, names: Sequence[str], columns: Sequence[Sequence[str | None]], where: str) -> int:
    """The column that a setting names. A name wins over a number: columns may be called by years."""
    if setting in names:
        return list(names).index(setting)
    folded = [name.casefold() for name in names]
    if folded.count(setting.casefold()) == 1:
        return folded.index(setting.casefold())
    if setting.isdecimal() and 1 <= int(setting) <= len(names):
        return int(setting) - 1
    raise UserError(f"{where} = {setting!r}: no such column; {_listed(names, columns)}")


def _of_language(folded: Sequence[str], code: str) -> int | None:
    """The column called by a language code, or the last part of whose name it is, as in `translation.en`."""
    code = code.casefold()
    found = [k for k, name in enumerate(folded) if code in (name, name.rpartition(".")[2])]
    return found[0] if len(found) == 1 else None


def _has_header(first: Sequence[Record], width: int, data: DataConfig) -> bool:
    """Whether the first record has the names of the columns."""
    if data.header != "auto" or not first:
        return data.header == "yes" and bool(first)
    cells = [(cell or "").strip() for cell in first[0].cells]
    if len(cells) != width or len(set(cells)) != width:
        return False
    # A setting that is the name of a column shows that there are names.
    settings = (data.src_column, data.tgt_column, data.features_column)
    if any(setting and not setting.isdecimal() and setting in cells for setting in settings):
        return True
    if _recurs(first):
        return False
    known = [is_column_name(cell) for cell in cells]
    return all(known) if width == 2 else sum(known) >= 2


def _recurs(first: Sequence[Record]) -> bool:
    """Whether the first record recurs, so that it is data: "de" and "da" are words of Slovene, and codes of languages."""
    return any(record.cells == first[0].cells for record in first[1:])


def is_column_name(cell: str, codes: bool = True) -> bool:
    """Whether a cell is a usual name of a column: "source", "French", "sentence_en"; with `codes` also "fr" and "fr-CA"."""
    folded = cell.casefold()
    folded = _without_language(folded) or folded
    named = any(folded in names for kind, names in KNOWN_NAMES.items() if kind != "codes")
    return (
        named
        or any(folded in pair for pair in PAIRS_OF_NAMES)
        or (codes and bool(LANGUAGE_CODE.fullmatch(cell)) and re.split("[-_]", folded)[0] in LANGUAGE_CODES)
    )


def _is_text(column: Sequence[str | None]) -> bool:
    """Whether a column has texts, not numbers, codes of languages or nothing in nearly all of its cells."""
    filled = [cell for cell in column if cell]
    if not filled:
        return False
    other = sum(
        bool(_NUMBER.fullmatch(cell) or (LANGUAGE_CODE.fullmatch(cell) and cell.casefold() in LANGUAGE_CODES))
        for cell in filled
    )
    return other < 0.9 * len(filled)


def _listed(names: Sequence[str], columns: Sequence[Sequence[str | None]]) -> str:
    """All columns with an example of each."""
    listed = []
    for k, (name, column) in enumerate(zip(names, columns, strict=True)):
        example = next((cell for cell in column if cell), "")
        label = f"{k + 1}" if name == f"column {k + 1}" else f"{k + 1} {name!r}"
        listed.append(f"{label} (e.g. {shortened(example)})")
    return f"the columns are {', '.join(listed[:8])}{', ...' * (len(listed) > 8)}"


def shortened(text: str) -> str:
    """A text in quotes for a message, cut after 40 characters."""
    shown = text if len(text) <= 40 else f"{text[:37]}..."
    return repr(shown)
