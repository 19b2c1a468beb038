"""Locks that end with the process that holds them, in whatever way it ends."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from wordseq.system.errors import UserError
from wordseq.system.files import naming

LOCK_FILE = ".wordseq.lock"


def try_lock(handle: int) -> bool:
    """Take the lock of an open file, which the system gives back when the process ends in any way; whether it was free.

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
    """Keep other processes out of a folder: those that ask for its lock too; who only reads does not.

    The folder is made if it is missing, and goes again if nothing was put into it. Where the system has no locks, there is
    no protection.

    Raises:
        UserError: another process has the lock.
        OSError: the lock cannot be made; the error names the folder.
    """
    missing = not folder.exists()
    with naming(folder):
        handle = _take(folder)
    try:
        yield
    finally:
        # In this order: whoever opens the file afterwards makes a new one.
        with contextlib.suppress(OSError):
            (folder / LOCK_FILE).unlink()
        os.close(handle)
        if missing:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _take(folder: Path) -> int:
    """The lock file, open and locked, with our process id in it."""
    path = folder / LOCK_FILE
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            if folder.exists():
                raise
            continue  # It went between being found and being looked at.
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # Who had it ended just now, and the folder, which was still empty, went too.
        try:
            if not _is_free(handle):
                text = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
                holder = f"process {text}" if text.isdecimal() else "another process"
                raise UserError(f"{folder}: {holder} is training into it; wait, stop it, or choose another --run")
            if _is_at(handle, path):
                with contextlib.suppress(OSError):  # For the message alone: a full disk is no reason not to begin.
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
        return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether the file is still that of the name: who had the lock before may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
