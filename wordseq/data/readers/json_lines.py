"""JSON: an object or an array of texts on each line (JSON Lines), or one array of them.

Nested objects are flattened: {"translation": {"en": "a"}}, as on the Hugging Face hub, has the column "translation.en".
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from wordseq.config.data import DataConfig
from wordseq.data.readers.lines import BadLines, text_lines
from wordseq.data.readers.streams import HEAD_BYTES, Opened
from wordseq.data.readers.table import FileTable, Record
from wordseq.system.errors import UserError

MAX_JSON_BYTES = 2**28
"""A JSON array is read at once; a larger one is an error."""

MAX_KEYS = 1000
"""More keys are an error: each record has a cell for each of them."""

_NAMED_RECORDS = 1000
_LISTED = 10  # Items of a list inside an object that get columns of their own.

_FAULTS = (json.JSONDecodeError, UnicodeEncodeError, RecursionError)
_KINDS: Mapping[Any, str] = MappingProxyType({dict: "object", list: "array"})

_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _Keyed(NamedTuple):
    """A record with the keys of its cells; no keys if it was an array."""

    number: int
    cells: dict[str, str | None]


def _none(_: str) -> None:
    # NaN is no JSON; Python's json writes it for a value that pandas has no text for.
    return None


# Numbers keep their text: 1.0 is not 1.00, and an integer may be too long for Python.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_none)


def read_json_lines(opened: Opened, data: DataConfig, bad: BadLines) -> FileTable:
    """JSON Lines: an object on each line, or an array of two texts or more, whose cells have no names.

    The columns are the keys of the first 1,000 records, in the order in which they appear. null is None, other values that
    are no texts are their JSON text. Blank lines are skipped.

    Raises:
        UserError: there are more than `MAX_KEYS` keys; or see `text_lines`.
    """
    return keyed_table("JSON Lines", opened, _parsed_lines(opened, bad), bad)


def read_json_array(opened: Opened, data: DataConfig, bad: BadLines) -> FileTable:
    """An array of objects or of arrays of texts; else as `read_json_lines`.

    Raises:
        UserError: the file is larger than `MAX_JSON_BYTES`, or has more than `MAX_KEYS` keys; or, also while records are
            iterated, it is not UTF-8, not JSON, or not such an array.
    """
    return keyed_table("JSON", opened, _parsed_array(opened), bad)


def is_json_lines(head: bytes) -> bool:
    """Whether the first line that is not blank is a JSON object, or an array of two values or more that are no arrays."""
    line = head.lstrip().partition(b"\n")[0]
    if not line.startswith((b"{", b"[")):
        return False
    try:
        first = _DECODER.decode(line.decode())
    except RecursionError:
        return False
    except ValueError:
        # The first line may be longer than the head.
        return _is_cut(head) and b"\n" not in head.strip() and re.match(rb'\{\s*"|\[\s*"', line) is not None
    return isinstance(first, dict) or (len(first) > 1 and not any(isinstance(item, dict | list) for item in first))


def is_json_array(head: bytes) -> bool:
    """Whether the text is an array that begins with an object or an array."""
    start = re.match(rb"\s*\[\s*(?=[\[{])", head)
    if start is None:
        return False
    text = head[start.end() :].decode(errors="ignore")
    try:
        return bool(_DECODER.raw_decode(text)[0])
    except RecursionError:
        return False
    except ValueError:
        return _is_cut(head) and re.match(r'[\[{]\s*"', text) is not None


def keyed_table(format_name: str, opened: Opened, values: Iterator[tuple[int, Any]], bad: BadLines) -> FileTable:
    """The table of values that are objects or arrays.

    Args:
        format_name: name of the format.
        opened: for messages.
        values: the values with their line numbers.
        bad: values that cannot be used are added to it.

    Raises:
        UserError: there are more than `MAX_KEYS` keys, or see `values`.
    """
    records = _flat_records(opened, values, bad)
    first = list(itertools.islice(records, _NAMED_RECORDS))
    if not (first and isinstance(first[0], _Keyed)):
        return FileTable(format_name, itertools.chain(first, records))  # type: ignore[arg-type]
    # The keys of a dictionary are an ordered set.
    columns: dict[str, None] = {}
    filled: set[str] = set()
    for number, cells in first:
        columns.update(dict.fromkeys(cast(dict[str, str | None], cells)))
        filled.update(key for key, cell in cast(dict[str, str | None], cells).items() if cell is not None)
        if len(columns) > MAX_KEYS:
            raise UserError(f"{opened.path}:{number}: more than {MAX_KEYS:,} different keys up to this line")
    # Where an object may be missing, its own key is there with null: no column.
    names = tuple(key for key in columns if key in filled) or tuple(columns)
    table = FileTable(format_name, iter(()), names)
    table.records = _in_columns(itertools.chain(first, records), names, table.left_out)  # type: ignore[arg-type]
    return table


def _flatten(value: dict[str, Any]) -> dict[str, str | None]:
    """The cells of an object by key; the keys of an object inside it follow its own, after a dot.

    The items of a short list are flattened like those of an object, with numbers from 0; a longer list is its JSON text.
    """
    cells: dict[str, str | None] = {}
    for key, item in value.items():
        short = isinstance(item, list) and len(item) <= _LISTED
        nested = {str(place): entry for place, entry in enumerate(item)} if short else item
        if isinstance(nested, dict):
            cells.update((f"{key}.{inner}", cell) for inner, cell in _flatten(nested).items())
        else:
            cells[key] = cell_text(item)
    return cells


def cell_text(value: Any) -> str | None:
    """A value as text: the text itself, None if it is missing, else its JSON text or what Python prints."""
    if value is None or isinstance(value, str):
        return value
    # NaN is the only value that is not itself.
    if value != value:  # noqa: PLR0124
        return None
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _is_cut(head: bytes) -> bool:
    return len(head) >= HEAD_BYTES - 4


def _parsed_lines(opened: Opened, bad: BadLines) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text_lines(opened, bad), 1):
        if line is None or not line or line.isspace():
            continue
        try:
            value = _DECODER.decode(line)
            if _has_surrogates(line):
                _check_characters(value)
        except _FAULTS as error:
            bad.add(opened.path, number, _reason(error))
        else:
            yield number, value


def _parsed_array(opened: Opened) -> Iterator[tuple[int, Any]]:
    text = _complete_text(opened)
    surrogates = _has_surrogates(text)
    number, counted, place = 1, 0, _after_space(text, 0)
    if not text.startswith("[", place):
        raise UserError(f"{opened.path}: not an array of objects; write it so, or an object on each line (JSON Lines)")
    place = _after_space(text, place + 1)
    while not text.startswith("]", place):
        number += text.count("\n", counted, place)
        counted = place
        try:
            value, place = _DECODER.raw_decode(text, place)
            if surrogates:
                _check_characters(value)
        except json.JSONDecodeError as error:
            raise UserError(f"{opened.path}:{error.lineno}: not JSON: {error.msg} at character {error.colno}") from None
        except _FAULTS as error:
            raise UserError(f"{opened.path}:{number}: {_reason(error)}") from None
        yield number, value
        place = _after_space(text, place)
        if text.startswith(",", place):
            place = _after_space(text, place + 1)
        elif not text.startswith("]", place):
            number += text.count("\n", counted, place)
            raise UserError(f"{opened.path}:{number}: not JSON: expected a comma or ] after this item")
    if _after_space(text, place + 1) != len(text):
        raise UserError(f"{opened.path}: not JSON: there is text after the array")


def _complete_text(opened: Opened) -> str:
    raw = opened.stream.read(MAX_JSON_BYTES + 1)
    if len(raw) > MAX_JSON_BYTES:
        size = f"{MAX_JSON_BYTES >> 20} MiB"
        raise UserError(f"{opened.path}: a JSON array of more than {size}; write an object on each line (JSON Lines)")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{opened.path}:{line}: not UTF-8; set data.encoding to the encoding that it has") from None


def _after_space(text: str, place: int) -> int:
    return next(_SPACE.finditer(text, place)).end()


def _has_surrogates(text: str) -> bool:
    return "\\u" in text and _SURROGATE.search(text) is not None


def _check_characters(value: Any) -> None:
    """Raise `UnicodeEncodeError` if an escape left half of a character in `value`; pairs of escapes were put together."""
    json.dumps(value, ensure_ascii=False).encode()


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at character {error.pos + 1}"
    if isinstance(error, UnicodeEncodeError):
        return "an escape such as \\ud800, which is half of a character"
    return "JSON that is nested too deeply"


def _flat_records(opened: Opened, values: Iterator[tuple[int, Any]], bad: BadLines) -> Iterator[Record | _Keyed]:
    """Records of the kind that the first one has."""
    kind: type | None = None
    for number, value in values:
        if not isinstance(value, dict | list):
            bad.add(opened.path, number, "neither an object nor an array")
        elif kind is not None and not isinstance(value, kind):
            bad.add(opened.path, number, f"an {_KINDS[type(value)]}, but the first record is an {_KINDS[kind]}")
        elif isinstance(value, dict):
            kind = dict
            try:
                yield _Keyed(number, _flatten(value))
            except RecursionError:
                bad.add(opened.path, number, "JSON that is nested too deeply")
        elif len(value) < 2 or any(isinstance(item, dict | list) for item in value):
            bad.add(opened.path, number, "an array that is not of two texts or more")
        else:
            kind = list
            yield Record(number, tuple(map(cell_text, value)))


def _in_columns(records: Iterator[_Keyed], names: tuple[str, ...], left_out: Counter[str]) -> Iterator[Record]:
    known = frozenset(names)
    for number, cells in records:
        yield Record(number, tuple(map(cells.get, names)))
        if not cells.keys() <= known and (late := sum(cells[key] is not None for key in cells.keys() - known)):
            left_out[f"values of keys that the first {_NAMED_RECORDS:,} records do not have"] += late
