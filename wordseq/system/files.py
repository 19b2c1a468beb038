"""Atomic writing of files, and reading with clear errors."""

import contextlib
import errno
import json
import os
import re
import secrets
import shlex
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path, PureWindowsPath
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from wordseq.system.errors import UserError

TEMPORARY = "????????"
"""The pattern of the suffix of `write_atomically`'s temporary files: .NAME.12345678."""

_NO_LINKS = (errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Errors of a file system without hard links: FAT, many network and FUSE file systems."""


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless it exists; other processes may make and remove it meanwhile.

    Raises:
        OSError: it cannot be made, or something that is no folder has its name.
    """
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return
        except FileExistsError:
            # pathlib raises this too if the folder is removed between two of its steps, and it may be made again since.
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISDIR(folder.lstat().st_mode):
                    raise


def write_atomically(path: Path, content: bytes | memoryview, keep: Path | None = None) -> None:
    """Write a file atomically: after an interruption it has its old or its new content, never a part.

    When this returns, the content is on the disk and survives a power cut. A device or a pipe is written to directly.

    Args:
        path: the file.
        content: its complete new content.
        keep: name in the same folder for the old file, if there was one.

    Raises:
        OSError: the file cannot be written; the error names `path`.
    """
    with naming(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            _replace(path, content, keep)


def _replace(path: Path, content: bytes | memoryview, keep: Path | None) -> None:
    # In the same folder, because renaming is atomic only within one file system.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files. The umask can be read only by setting it.
        umask = os.umask(0)
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
    """Give a file the second name `keep`, so that the first name always exists; without hard links, rename it."""
    # A link cannot replace a file, a rename can: so link to a temporary name, then rename that.
    temporary = keep.with_name(f".{keep.name}.{secrets.token_hex(len(TEMPORARY) // 2)}")
    try:
        os.link(path, temporary)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.replace(path, keep)
        return
    try:
        os.replace(temporary, keep)
    finally:
        # rename(2) does nothing if both names are links to one file already; then the temporary name is left.
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, so that renamed files survive a power cut.

    Raises:
        OSError: the folder cannot be written; the error names it.
    """
    if os.name == "nt":
        return  # Windows cannot open folders.
    with naming(folder):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno != errno.EINVAL:  # Some network file systems do not support it.
                raise
        finally:
            os.close(handle)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make every OSError name `path`: write errors name no file, errors of a temporary file name that."""
    try:
        yield
    except OSError as error:
        # Without a number it comes from a library, and the message is all there is.
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


def read_file(path: Path) -> bytes:
    """The content of a file.

    Raises:
        UserError: the file is missing or cannot be read.
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
        UserError: the file is missing, cannot be read, is not JSON in UTF-8, or does not contain an object.
    """
    try:
        found = json.loads(read_file(path).decode("utf-8"))
    # RecursionError: a damaged file may have thousands of opening brackets.
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: damaged: expected an object, got {type(found).__name__}")
    return found


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write an object as JSON, atomically, one value per line.

    Raises:
        OSError: the file cannot be written; the error names `path`.
    """
    write_atomically(path, encoded(json.dumps(values, ensure_ascii=False, indent=1) + "\n"))


def encoded(text: str) -> bytes:
    r"""Text in UTF-8; a byte of a file name that is not UTF-8 becomes an escape, \udce9, which JSON reads back."""
    return text.encode("utf-8", "backslashreplace")


_ABSOLUTE = re.compile(r"""(?<![^=,'"\[])(?:/|[A-Za-z]:[\\/])[^=,'"\]]*""")


def command_text(words: Iterable[str]) -> str:
    """A command line whose absolute paths are cut to their last part, also after `=` and commas: records are published."""
    return shlex.join(_ABSOLUTE.sub(lambda match: PureWindowsPath(match[0]).name or match[0], word) for word in words)


def is_number(value: object) -> bool:
    """Whether a value from JSON is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


class ArrayFile:
    """A .npy file to which rows are appended; a context manager, which writes the header when it ends.

    Args:
        path: the file; it is overwritten.
        dtype: type of the entries.
        row: shape of a row; () for a one-dimensional array.
    """

    def __init__(self, path: Path, dtype: type, row: tuple[int, ...] = ()) -> None:
        self._file, self._dtype, self._row, self._size = path.open("wb"), np.dtype(dtype), row, 0
        self._file.write(self._header())

    def append(self, values: npt.NDArray[Any]) -> None:
        """Append rows."""
        self._file.write(np.ascontiguousarray(values, self._dtype).reshape(-1).view(np.uint8).data)
        self._size += len(values)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.seek(0)
            self._file.write(self._header())

    def _header(self) -> bytes:
        """The header of the .npy file for the present number of rows."""
        # NumPy pads the header for any number of rows, so its length is constant and it can be overwritten in place.
        buffer = BytesIO()
        values = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._size, *self._row)}
        np.lib.format.write_array_header_1_0(buffer, values)
        return buffer.getvalue()
