"""Tables of text with a delimiter: TSV without quotes, TSV with quotes as spreadsheets write it, and CSV.

csv.Sniffer is not used: it counts characters and takes letters for delimiters (python/cpython#97611). Here the file's first
records are parsed with each delimiter, and the delimiter that gives them the same number of fields is taken.
"""

import csv
import dataclasses
import re
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, cast

from wordseq.config.data import DataConfig
from wordseq.data.readers.lines import MAX_LINE_BYTES, BadLines, text_lines
from wordseq.data.readers.streams import HEAD_BYTES, Opened
from wordseq.data.readers.table import FileTable, Record
from wordseq.system.errors import UserError

MAX_CELLS = 1000
"""A record with more cells is a bad line: no table of sentences has them."""

_NAMES = {"\t": "CSV with tabs", ";": "CSV with semicolons", "|": "CSV with pipes", ",": "CSV"}

_NEARLY_ALL = 0.95
_LIKELY_EXCEL = 4  # Fields with a comma, all of them quoted, while no other field is.
_SEVERAL = 3
_NUMBER = re.compile(r"(?:[-+]?[0-9]+(?:[.,][0-9]+)?)?")
# Lines inside a field that look like records: commas are common in prose, the other delimiters are not.
_SWALLOWED = {",": 10, "\t": 3, ";": 3, "|": 3}

_ADVICE = "write a quote that is text twice, in a cell that is quoted, or save the table as TSV without quotes"

_SEP_LINE = re.compile(r"sep=([\t;|,])\n")
"""Excel's own first line that names the delimiter."""


def read_tsv(opened: Opened, data: DataConfig, bad: BadLines) -> FileTable:
    """A table with a record on each line and TABs between its cells; quotes are text.

    A blank line is a record with one empty cell.

    Raises:
        UserError: while records are iterated, see `text_lines`.
    """
    return FileTable("TSV", _unquoted_records(opened, bad))


def read_quoted_tsv(opened: Opened, data: DataConfig, bad: BadLines) -> FileTable:
    """The tab-separated text of Excel, LibreOffice and pandas: cells are quoted as in CSV where necessary.

    Raises:
        UserError: while records are iterated, see `read_csv`.
    """
    return FileTable("TSV with quotes", _quoted_records(opened, bad, "\t"))


def read_csv(opened: Opened, data: DataConfig, bad: BadLines) -> FileTable:
    """A CSV file; the delimiter is a comma, a semicolon, a pipe or a TAB, as its first records or a line "sep=;" say.

    Quoted cells may span lines. The line ends in them are LF, whatever the file has. A quote that is not doubled is a bad
    line if its record ends on the same line.

    Raises:
        UserError: no delimiter fits; or, while records are iterated, a quoted cell does not end or has swallowed records,
            or see `text_lines`.
    """
    text = _complete(opened.head)
    if named := _SEP_LINE.match(text):
        return FileTable(_NAMES[named[1]], _quoted_records(opened, bad, named[1], skip=1))
    found = max((_consistency(text, delimiter, opened.head) for delimiter in _NAMES), key=lambda fit: fit.rank)
    # A file without records has nothing that could be cut wrongly.
    if found.records and found.share < 0.5:
        raise UserError(
            f"{opened.path}: not CSV: comma, semicolon, | and TAB were tried, and none gives most lines the same number of "
            "columns, 2 or more; quote the cells in which the delimiter occurs, or save the table as TSV"
        )
    return FileTable(_NAMES[found.delimiter], _quoted_records(opened, bad, found.delimiter))


def is_tsv(head: bytes) -> bool:
    """Whether at least half of the lines have a TAB; blank lines do not count."""
    lines = [line for line in _complete(head).split("\n") if line.strip()]
    return bool(lines) and sum("\t" in line for line in lines) * 2 >= len(lines)


def is_quoted_tsv(head: bytes) -> bool:
    """Whether the quotes of a TSV are those of a program, not of its text.

    No field may break the rules of quoting: begin with a quote and not be a well-formed quoted field, or have a quote
    without being quoted. And one of these must hold:

    - All texts are quoted.
    - A quoted field has a doubled quote.
    - A quoted field has a TAB or a line break, and as one field it gives all records the same number of fields.
    - Four fields or more have commas, and these are the quoted ones, as Excel writes it.
    """
    text = _complete(head)
    if '"' not in text:
        return False
    records = [record for record in _head_records(text, "\t", _is_cut(head)) if not _is_blank(record)]
    fields = [field for record in records for field in record]
    broken = any(not field.quoted and '"' in field.text for field in fields)
    if broken or not any(len(record) > 1 for record in records):
        return False
    quoted = [field.text for field in fields if field.quoted]
    # LibreOffice's "quote all text cells" and csv.QUOTE_NONNUMERIC leave numbers and empty cells as they are.
    if quoted and all(field.quoted or _NUMBER.fullmatch(field.text) for field in fields):
        return True
    if any('"' in inner for inner in quoted):
        return True
    if any("\t" in inner or "\n" in inner for inner in quoted):
        literal = {line.count("\t") for line in text.split("\n") if line.strip()}
        return len(literal) > 1 and len({len(record) for record in records}) == 1
    return len(quoted) >= _LIKELY_EXCEL and all(field.quoted == ("," in field.text) for field in fields)


def looks_quoted(head: bytes) -> bool:
    """Whether several fields of a TSV are quoted although `is_quoted_tsv` is false: the quotes may or may not be text.

    Several: three, and one in a hundred of all fields.
    """
    fields = [field for line in _complete(head).split("\n") if line.strip() for field in line.split("\t")]
    quoted = sum(re.fullmatch(r'"(?:[^"]|"")+"', field) is not None for field in fields)
    return quoted >= max(_SEVERAL, len(fields) / 100) and not is_quoted_tsv(head)


def is_csv(head: bytes) -> bool:
    """Whether nearly all of the first records, two or more, have the same number of fields, two or more, in CSV.

    False for a table with TABs, for prose (most commas or semicolons are followed by a space), and for " ||| ".
    """
    text = _complete(head)
    if _SEP_LINE.match(text):
        return True
    # Without a delimiter there is nothing to parse, which most files of sentences would need most time for.
    found = [_consistency(text, delimiter, head) for delimiter in _NAMES if delimiter in text]
    fitting = [fit for fit in found if fit.share >= _NEARLY_ALL]
    if not fitting or any(fit.delimiter == "\t" for fit in fitting):
        return False
    best = max(fitting, key=lambda fit: fit.rank)
    return best.records > 1 and not best.prose and not (best.delimiter == "|" and "|||" in text)


class _Field(NamedTuple):
    """A field of the head; its text is without quotes if it is quoted."""

    text: str
    quoted: bool


class _Fit(NamedTuple):
    """How well a delimiter fits the head.

    Attributes:
        delimiter: the delimiter.
        records: number of records, blank lines not counted.
        share: share of the records that have the most common number of fields, if this is two or more; else 0.
        width: the most common number of fields.
        prose: whether most delimiters outside quotes are followed by a space.
    """

    delimiter: str
    records: int
    share: float
    width: int
    prose: bool

    @property
    def rank(self) -> tuple[Any, ...]:
        """The larger, the better. Of equal ones the first in `_NAMES` is taken."""
        # Width: in "run,ran,V;PST" the semicolon fits every line too.
        return self.share >= _NEARLY_ALL, not self.prose, self.share, self.width


def _is_cut(head: bytes) -> bool:
    # A byte-order mark that was removed is missing at its end.
    return len(head) >= HEAD_BYTES - 4


def _complete(head: bytes) -> str:
    """The complete lines of the head."""
    if _is_cut(head) and b"\n" in head:
        head = head[: head.rindex(b"\n") + 1]
    return head.decode(errors="replace").replace("\r\n", "\n")


def _head_records(text: str, delimiter: str, cut: bool) -> Iterator[list[_Field]]:
    """The records of the head; the last one is left out if it is cut off within quotes."""
    field = re.compile(rf'"((?:[^"]|"")*+)"(?=[{delimiter}\n]|\Z)|([^{delimiter}\n]*+)')
    record: list[_Field] = []
    place = 0
    while place < len(text) or record:
        # An opening quote that is not closed makes a field of it that begins with a quote, unless the rest is cut off.
        if cut and text.startswith('"', place) and text.find('"', place + 1) < 0:
            return
        match = next(field.finditer(text, place))  # Always at `place`: the second alternative may be empty.
        inner = match[1]
        record.append(_Field(match[2], False) if inner is None else _Field(inner.replace('""', '"'), True))
        place = match.end()
        if text.startswith(delimiter, place):
            place += 1
            continue
        place += 1
        yield record
        record = []


def _is_blank(record: list[_Field]) -> bool:
    return len(record) == 1 and not record[0].quoted and not record[0].text.strip()


def _is_broken(field: _Field) -> bool:
    return not field.quoted and field.text.startswith('"')


def _consistency(text: str, delimiter: str, head: bytes) -> _Fit:
    widths: Counter[int] = Counter()
    number = spaced = separators = 0
    for record in _head_records(text, delimiter, _is_cut(head)):
        if _is_blank(record):
            continue
        number += 1
        if not any(map(_is_broken, record)):
            widths[len(record)] += 1
        separators += len(record) - 1
        spaced += sum(field.text.startswith(" ") for field in record[1:])
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
    share = count / number if width > 1 else 0.0
    return _Fit(delimiter, number, share, width, delimiter in ",;" and spaced * 2 > separators)


def _unquoted_records(opened: Opened, bad: BadLines) -> Iterator[Record]:
    for number, line in enumerate(text_lines(opened, bad), 1):
        if line is not None:
            cells = line.split("\t", MAX_CELLS)
            if len(cells) > MAX_CELLS:
                bad.add(opened.path, number, f"more than {MAX_CELLS:,} cells")
            else:
                yield Record(number, tuple(cells))


class _Lines:
    """The lines of a text with the quotes of CSV: one at a time, and with LF for csv.reader, which may need several.

    Attributes:
        number: number of the last line that was read, from 1.
        spoiled: whether a line that is not UTF-8 was read since this was last set to False. It was added to `bad`, and is
            passed on all the same, as the quotes in it say where records begin.
    """

    def __init__(self, opened: Opened, bad: BadLines) -> None:
        self.number = 0
        self.spoiled = False
        self._stream: IO[bytes] = opened.stream
        self._raw = b""
        self._lines = text_lines(dataclasses.replace(opened, stream=cast(Any, self)), bad)
        self._again: str | None = None
        self._record: list[str] = []

    def readline(self, size: int) -> bytes:
        """The next raw line, which is kept."""
        self._raw = self._stream.readline(size)
        return self._raw

    def next(self) -> str | None:
        """The next line without its line end; None at the end of the text."""
        for line in self._lines:
            self.number += 1
            if line is not None:
                return line
            self.spoiled = True
            return self._raw.removesuffix(b"\n").removesuffix(b"\r").decode(errors="surrogateescape")
        return None

    def give_back(self, line: str) -> None:
        """Give `line` to csv.reader once more: a record begins on it."""
        self._again = line
        self._record = []

    def begun(self, delimiter: str) -> int:
        """Number of lines, from 0, after which the last quoted cell of the record begins."""
        # Cells that are complete are passed over; what is left begins with the quote that is not closed.
        cell = rf'(?:"(?:[^"]|"")*+"|[^"{delimiter}][^{delimiter}]*+|)'
        return next(re.finditer(f"(?:{cell}{re.escape(delimiter)})*+", "".join(self._record)))[0].count("\n")

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line, self._again = (self._again, None) if self._again is not None else (self.next(), None)
        if line is None:
            raise StopIteration
        self._record.append(line + "\n")
        return self._record[-1]


def _quoted_records(opened: Opened, bad: BadLines, delimiter: str, skip: int = 0) -> Iterator[Record]:
    """The records after the first `skip` lines."""
    lines = _Lines(opened, bad)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    width = 0
    while (line := lines.next()) is not None:
        number = lines.number
        if number <= skip:
            continue
        if '"' not in line:
            # Several times faster than csv.reader; a carriage return within a line is text.
            cells = line.split(delimiter, MAX_CELLS)
        else:
            lines.give_back(line)
            try:
                cells = _next_record(reader)
            except csv.Error as error:
                fault = str(error)
                if lines.number > number or not ("expected after" in fault or "new-line" in fault):
                    raise _unclosed(opened, lines, number, delimiter, error) from None
                if not lines.spoiled:
                    reason = "a quote inside a quoted cell is not written twice"
                    bad.add(opened.path, number, "a carriage return outside quotes" if "new-line" in fault else reason)
                lines.spoiled = False
                continue
        width = width or len(cells)
        if lines.number > number:
            _check_swallowed(opened, number, cells, delimiter, width)
        if lines.spoiled:
            lines.spoiled = False
        elif len(cells) > MAX_CELLS:
            bad.add(opened.path, number, f"more than {MAX_CELLS:,} cells")
        else:
            yield Record(number, tuple(cells))


def _next_record(reader: Any) -> list[str]:
    # The limit is one for all readers of the process: it is raised for the time of one record, and never lowered.
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, MAX_LINE_BYTES))
    try:
        return next(reader)
    finally:
        csv.field_size_limit(before)


def _unclosed(opened: Opened, lines: _Lines, number: int, delimiter: str, error: csv.Error) -> UserError:
    begins = number + lines.begun(delimiter)
    end = "never ends" if "end of data" in str(error) else f"is not closed properly ({error}, on line {lines.number:,})"
    return UserError(f"{opened.path}:{begins}: the quoted cell that begins on this line {end}; {_ADVICE}")


def _check_swallowed(opened: Opened, number: int, cells: list[str], delimiter: str, width: int) -> None:
    """Stop if a cell of the record that begins on line `number` has lines in it that look like records.

    Raises:
        UserError: it has; the quote with which it begins is not closed, and the next quote in the file closed it.
    """
    for cell in cells:
        inner = cell.split("\n")[1:-1]
        # A swallowed record has no quotes, else the cell would have ended there; so its delimiters can be counted.
        if len(inner) >= _SWALLOWED[delimiter] and all(line.count(delimiter) == width - 1 > 0 for line in inner):
            raise UserError(
                f"{opened.path}:{number}: the quoted cell that begins on this line has {len(inner):,} lines in it that look "
                f"like records: its quote is not closed; {_ADVICE}"
            )
        number += cell.count("\n")
