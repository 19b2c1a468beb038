"""Parquet files, by pyarrow, which is installed only where it is wanted."""

import io
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from wordseq.config.data import DataConfig
from wordseq.data.readers.json_lines import MAX_KEYS, cell_text, keyed_table
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.streams import Opened
from wordseq.data.readers.table import FileTable, Record
from wordseq.system.errors import UserError

MAX_PACKED_BYTES = 2**28
"""A Parquet file that is compressed, or in an archive, is read at once; a larger one is an error."""

_MAGIC = b"PAR1"
_NOT_UTF8 = b"\xff"
_ROWS = 4096  # Rows that are in memory at a time.


def read_parquet(opened: Opened, data: DataConfig, bad: BadLines) -> FileTable:
    """A Parquet file; a record is a row, its number that of the row, from 1.

    Columns inside a struct are named as in JSON Lines: "translation.en". Values that are no texts are given as text.

    Raises:
        UserError: pyarrow is not installed; the file is damaged or encrypted, also while records are iterated; it is larger
            than `MAX_PACKED_BYTES` and inside another file; or it has more than `MAX_KEYS` columns.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UserError(
            f"{opened.path}: Parquet files need pyarrow, which is not installed: pip install pyarrow"
        ) from None
    source, faults = _seekable(opened), (pa.ArrowException, OSError, ValueError, MemoryError)
    try:
        file = pq.ParquetFile(source)
        columns = _flat(pa, file.schema_arrow.empty_table())
        names = tuple(columns.column_names)
    except faults as error:
        raise _damaged(opened, error) from None
    if len(names) > MAX_KEYS:
        raise UserError(f"{opened.path}: {len(names):,} columns, at most {MAX_KEYS:,} are allowed")
    tables = _tables(opened, file, lambda batch: _flat(pa, pa.Table.from_batches([batch])), faults)
    if any(pa.types.is_nested(column.type) for column in columns.columns):
        return keyed_table("Parquet", opened, _rows(opened, tables, bad), bad)
    return FileTable("Parquet", (Record(number, cells) for number, cells in _cells(opened, tables, bad)), names)


def is_parquet(head: bytes) -> bool:
    """Whether the file begins as a Parquet file; one whose metadata is encrypted does not."""
    return head.startswith(_MAGIC)


def _seekable(opened: Opened) -> BinaryIO | str:
    """What pyarrow can seek in: the path of a plain file, else the bytes."""
    if opened.path.is_file():
        with opened.path.open("rb") as file:
            if file.read(len(_MAGIC)) == _MAGIC:
                return str(opened.path)
    raw = opened.stream.read(MAX_PACKED_BYTES + 1)
    if len(raw) > MAX_PACKED_BYTES:
        raise UserError(f"{opened.path}: a packed Parquet file of more than {MAX_PACKED_BYTES >> 20} MiB; unpack it")
    return io.BytesIO(raw)


def _damaged(opened: Opened, error: BaseException) -> UserError:
    return UserError(f"{opened.path}: damaged or encrypted, pyarrow cannot read it: {' '.join(str(error).split())}")


def _flat(pa: Any, table: Any) -> Any:
    """The table with the fields of structs as columns."""
    while any(pa.types.is_struct(column.type) for column in table.columns):
        table = table.flatten()
    return table


def _tables(
    opened: Opened, file: Any, flat: Callable[[Any], Any], faults: tuple[type[BaseException], ...]
) -> Iterator[Any]:
    """The file in parts of `_ROWS` rows."""
    batches = file.iter_batches(batch_size=_ROWS)
    while True:
        try:
            batch = next(batches, None)
            table = None if batch is None else flat(batch)
        except faults as error:
            raise _damaged(opened, error) from None
        if table is None:
            return
        yield table


def _cells(opened: Opened, tables: Iterator[Any], bad: BadLines) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The rows as texts, and as they are where they are lists; a row with bytes that are not UTF-8 is added to `bad`."""
    number = 0
    for table in tables:
        for row in zip(*map(_values, table.columns), strict=True):
            number += 1
            if any(isinstance(cell, bytes) for cell in row):
                bad.add(opened.path, number, "not UTF-8")
            else:
                yield number, row


def _rows(opened: Opened, tables: Iterator[Any], bad: BadLines) -> Iterator[tuple[int, dict[str, Any]]]:
    names: list[str] = []

    def named() -> Iterator[Any]:
        for table in tables:
            names[:] = table.column_names
            yield table

    for number, row in _cells(opened, named(), bad):
        yield number, dict(zip(names, row, strict=True))


def _values(column: Any) -> list[Any]:
    """The values of a column: texts, None, lists; bytes where they are not UTF-8."""
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        values = [_decoded(cell) for chunk in column.chunks for cell in chunk]
    return [value if isinstance(value, str) else _value(value) for value in values]


def _decoded(cell: Any) -> Any:
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        return _NOT_UTF8


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return value
    if isinstance(value, bytes):
        # Older programs do not mark their texts as such.
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    return cell_text(value)
