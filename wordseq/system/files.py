"""Files written so that they are either complete or as before, and read with clear errors."""

import contextlib
import errno
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from wordseq.system.errors import UserError

ASIDE = "????????"
"""What `write_atomically` adds to the name of a file that is not whole yet, as a pattern: .NAME.12345678."""

_NO_LINKS = (errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""How a file system says that a file has one name only."""


def write_atomically(path: Path, content: bytes | memoryview, keep: Path | None = None) -> None:
    """Write a file so that after any interruption it is either as before or whole; a device or pipe is written to.

    When this comes back, the file will be found after a power cut too.

    Args:
        path: the file.
        content: all of it.
        keep: in the same folder; gets the file as it was before, if there was one.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    with naming(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            _replace(path, content, keep)


def _replace(path: Path, content: bytes | memoryview, keep: Path | None) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)  # It can be read only by setting it.
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        if keep is not None and path.exists():
            _keep(path, keep)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    sync_folder(path.parent)


def _keep(path: Path, keep: Path) -> None:
    """Give a file a second name, so that it never lacks its first; where files have one name only, it gets the other."""
    aside = keep.with_name(f".{keep.name}.{secrets.token_hex(len(ASIDE) // 2)}")
    try:
        os.link(path, aside)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.replace(path, keep)
        return
    try:
        os.replace(aside, keep)
    finally:
        # Where both were names of one file already, replacing does nothing.
        aside.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk.

    Raises:
        OSError: they cannot be written; the error names the folder.
    """
    if os.name == "nt":
        return  # Windows opens no folders.
    with naming(folder):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno != errno.EINVAL:  # Some network file systems cannot, and say so.
                raise
        finally:
            os.close(handle)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the system name `path`: those of writing name nothing, those of a file aside its own name."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


def read_file(path: Path) -> bytes:
    """The content of a file.

    Raises:
        UserError: it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        UserError: the file is missing, cannot be read, is not JSON in UTF-8, or holds no object.
    """
    try:
        found = json.loads(read_file(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: damaged: expected an object, got {type(found).__name__}")
    return found


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write an object atomically, one value per line.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    write_atomically(path, (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode())


def is_number(value: object) -> bool:
    """Whether a value read from JSON is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


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
