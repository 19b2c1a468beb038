"""A NumPy file that grows: arrays larger than memory, written a part at a time."""

from io import BytesIO
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt


class ArrayFile:
    """A .npy file to whose end rows are added; a context manager. Its header is written at the end.

    Args:
        path: the file; overwritten.
        dtype: of its entries.
        row: shape of a row: () for a file of one dimension.
    """

    def __init__(self, path: Path, dtype: type, row: tuple[int, ...] = ()) -> None:
        self._file, self._dtype, self._row, self._size = path.open("wb"), np.dtype(dtype), row, 0
        self._file.write(self._header())

    def append(self, values: npt.NDArray[Any]) -> None:
        """Add rows at the end."""
        self._file.write(np.ascontiguousarray(values, self._dtype).reshape(-1).view(np.uint8).data)
        self._size += len(values)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.seek(0)
            self._file.write(self._header())

    def _header(self) -> bytes:
        """NumPy leaves room in it for any number of rows: it is always of the same length."""
        buffer = BytesIO()
        values = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._size, *self._row)}
        np.lib.format.write_array_header_1_0(buffer, values)
        return buffer.getvalue()
