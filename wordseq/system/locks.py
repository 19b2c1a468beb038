"""Locks on folders, which the system releases when the process ends, however it ends."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from wordseq.system.errors import UserError
from wordseq.system.files import make_folder, naming

LOCK_FILE = ".wordseq.lock"


def try_lock(handle: int) -> bool:
    """Take the lock of an open file; False if another process has it. The system releases it when the process ends.

    Raises:
        OSError: the system or the file system has no locks.
    """
    try:
        import fcntl  # noqa: PLC0415 (not on Windows)
    except ImportError:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder against other processes that take it; reading needs no lock.

    A missing folder is created, and removed at the end if it is empty. Without locks of the system there is no protection.

    Raises:
        UserError: another process has the lock.
        OSError: the lock cannot be created; the error names the folder.
    """
    missing = not folder.exists()
    with naming(folder):
        handle = _take(folder)
    try:
        yield
    finally:
        # Remove, then release. In the other order another process could lock the file just before it is removed.
        with contextlib.suppress(OSError):
            (folder / LOCK_FILE).unlink()
        os.close(handle)
        if missing:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _take(folder: Path) -> int:
    """The lock file, open and locked, with our process id as its content."""
    path = folder / LOCK_FILE
    # A loop, because another process may remove the lock file, or the empty folder, between any two steps.
    while True:
        make_folder(folder)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # The holder has just ended and removed the folder, which was empty.
        try:
            if not _is_free(handle):
                text = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
                holder = f"process {text}" if text.isdecimal() else "another process"
                raise UserError(f"{folder}: {holder} is training into it; wait, stop it, or choose another run folder")
            if _is_at(handle, path):
                with contextlib.suppress(
                    OSError
                ):  # The id is only for the message; a full disk must not stop a start here.
                    os.ftruncate(handle, 0)
                    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_free(handle: int) -> bool:
    try:
        return try_lock(handle)
    except OSError:
        return True  # Without locks, training must work all the same.


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file still has this name: the previous holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
