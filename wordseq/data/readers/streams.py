"""Opens a file as bytes: unpacked, text as UTF-8 with LF line ends, whatever encoding and line ends the file has.

Compression and encoding are recognised by the first bytes. A decompression bomb is an error.
"""

import bz2
import codecs
import contextlib
import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import zstandard

from wordseq.system.errors import UserError

HEAD_BYTES = 2**16
"""Bytes by which format, encoding and line ends are recognised."""

BOMB_BYTES, BOMB_RATIO = 2**26, 250
"""A file that unpacks to more than both is an error. Real text shrinks to a twentieth at most, a bomb to a thousandth."""

MAX_MEMBERS = 2000
"""An archive of more files is an error: its directory is read again for each of them."""

_BLOCK = 2**16

_TEXT_SUFFIXES = (".txt", ".tsv")

COMPRESSIONS: Mapping[str, tuple[bytes, Callable[[IO[bytes]], Any]]] = MappingProxyType(
    {
        ".gz": (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
        ".xz": (b"\xfd7zXZ\0", lzma.LZMAFile),
        ".bz2": (b"BZh", bz2.BZ2File),
        ".zst": (
            b"\x28\xb5\x2f\xfd",
            lambda file: zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True),
        ),
    }
)
"""For each suffix of a compressed file its first bytes and what opens it."""

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_NOT_TEXT: Mapping[bytes, str] = MappingProxyType(
    {
        b"%PDF": "a PDF file; copy its text into a table and save that as CSV",
        b"\xd0\xcf\x11\xe0": "an old Office file; save it as CSV (UTF-8)",
        b"SQLite format 3": "an SQLite database; export the table as CSV",
        b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; unpack it",
        b"Rar!": "a RAR archive; unpack it",
        b"\x89PNG": "a picture, not text",
        b"\xff\xd8\xff": "a picture, not text",
        b"GIF8": "a picture, not text",
        b"!<arch>\ndebian": "a Debian package; unpack it with dpkg-deb -x",
        b"\x89HDF": "an HDF5 file; export the texts as CSV",
        b"\x93NUMPY": "a NumPy file; export the texts as CSV",
    }
)
"""First bytes of files that have no text to read, and what they are."""

_OFFICE = (".xlsx", ".xlsm", ".ods", ".docx", ".odt")

BINARY = (b"PAR1", b"\xde\x12\x04\x95", b"\x95\x04\x12\xde")
"""First bytes of formats that are no text but have a reader: Parquet and MO."""


@dataclass(frozen=True)
class Opened:
    """An open file.

    Attributes:
        path: for messages; a member of an archive is ARCHIVE.zip/MEMBER.
        stream: its unpacked bytes from the start; those of a text are UTF-8 without a mark.
        head: the first bytes of `stream`, `HEAD_BYTES` at most, which are still in it.
        encoding: of the text as stored; "utf-8" for the formats in `BINARY`.
        notes: what was recognised and is worth a word, e.g. "UTF-16", "lines end in CR alone".
    """

    path: Path
    stream: io.BufferedReader
    head: bytes
    encoding: str = "utf-8"
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def open_file(path: Path, encoding: str = "") -> Iterator[Opened]:
    """Open a file, a packed file, or a member of a .zip.

    Args:
        path: plain or compressed file, .zip with one text member, or ARCHIVE.zip/MEMBER.
        encoding: of the text; empty: UTF-8, or UTF-16 and UTF-32 if the file begins with their mark.

    Raises:
        UserError: the file is missing, a folder, empty, damaged, a decompression bomb, or has no text; or it is not in
            `encoding`.
    """
    with file_faults(path), contextlib.ExitStack() as stack:
        unpacked = _Ahead(_unpacked(path, stack))
        if not unpacked.head:
            raise UserError(f"{path}: the file is empty")
        if unpacked.head.startswith(BINARY):
            yield Opened(path, io.BufferedReader(unpacked), unpacked.head)
            return
        _refuse_other_files(path, unpacked.head)
        yield _as_text(path, unpacked, encoding)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex, without unpacking; for ARCHIVE.zip/MEMBER that of the archive.

    Raises:
        UserError: the file cannot be read.
    """
    with file_faults(path), (archive_of(path) or path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_stream(path: Path) -> bool:
    """Whether the path is a pipe or a device, which can be read only once."""
    return path.exists() and not path.is_file() and not path.is_dir()


def archive_of(path: Path) -> Path | None:
    """The .zip file that the path names or leads into; None if there is none."""
    return next((here for here in (path, *path.parents) if here.suffix.lower() == ".zip" and here.is_file()), None)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a .zip file.

    Raises:
        UserError: it cannot be read, is damaged, or has more than `MAX_MEMBERS` members.
    """
    with file_faults(path), contextlib.ExitStack() as stack:
        try:
            packed = stack.enter_context(zipfile.ZipFile(path))
        except UnicodeDecodeError as error:
            raise zipfile.BadZipFile(f"a name in it is not UTF-8 ({error})") from None
        if len(packed.filelist) > MAX_MEMBERS:
            raise UserError(f"{path}: an archive of more than {MAX_MEMBERS:,} files; unpack it, and give the folder")
        yield packed


@contextlib.contextmanager
def file_faults(path: Path) -> Iterator[None]:
    """Turn errors of files and archives into `UserError`."""
    try:
        yield
    # RuntimeError is zipfile's error for an encrypted member, NotImplementedError the one for an unknown compression.
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, expected a file") from None
    except (
        EOFError,
        zlib.error,
        lzma.LZMAError,
        zstandard.ZstdError,
        gzip.BadGzipFile,
        zipfile.BadZipFile,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise UserError(f"{path}: damaged, or not a {path.suffix or 'packed'} file: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


def _unpacked(path: Path, stack: contextlib.ExitStack) -> IO[bytes]:
    """The unpacked bytes of a file; reading a decompression bomb raises an error."""
    archive = archive_of(path)
    if archive is not None:
        packed = stack.enter_context(open_archive(archive))
        member = path.relative_to(archive).as_posix() if path != archive else _text_member(archive, packed)
        if member not in packed.namelist():
            raise UserError(f"{archive}: no member {member}; it has {', '.join(packed.namelist()[:10]) or 'none'}")
        size, suffix = packed.getinfo(member).compress_size, Path(member).suffix.lower()
        opened: IO[bytes] = _Limited(stack.enter_context(packed.open(member)), path, size)  # type: ignore[assignment]
    else:
        opened = stack.enter_context(path.open("rb"))
        # The size of a pipe is not known; it is its writer's own.
        size, suffix = path.stat().st_size if path.is_file() else 0, path.suffix.lower()
    ahead = _Ahead(opened)
    stored: IO[bytes] = io.BufferedReader(ahead, _BLOCK)
    for ending, (magic, unpack) in COMPRESSIONS.items():
        # By name too: a file that is called .gz and is not one is more likely damaged than misnamed.
        if suffix == ending or ahead.head.startswith(magic):
            return _Limited(stack.enter_context(unpack(stored)), path, size, ahead)  # type: ignore[return-value]
    return stored


def _text_member(archive: Path, packed: zipfile.ZipFile) -> str:
    """The only text member: .txt or .tsv if there is one, never a folder, nor a name that starts with "_" or "."."""
    # macOS adds __MACOSX/, Tatoeba's archives hold _about.txt beside the text.
    names = [name for name in packed.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    texts = [name for name in names if not name.rpartition("/")[2].startswith(("_", "."))]
    texts = [name for name in texts if name.endswith(_TEXT_SUFFIXES)] or texts
    if len(texts) != 1:
        found = ", ".join(names[:10]) or "nothing"
        raise UserError(f"{archive}: expected one text member, found {found}; name it as {archive}/MEMBER")
    return texts[0]


def _refuse_other_files(path: Path, head: bytes) -> None:
    """Stop at a file that is known not to be text.

    Raises:
        UserError: it is such a file; the message names what to do.
    """
    for magic, what in _NOT_TEXT.items():
        if head.startswith(magic):
            raise UserError(f"{path}: {what}")
    if head.startswith(b"PK"):
        # A workbook is an archive of XML files; one inside an archive is not unpacked a second time.
        inside = (b"Content_Types", b"mimetypeapplication/vnd.oasis.opendocument")
        office = path.suffix.lower() in _OFFICE or any(name in head for name in inside)
        kind = "an Office document; save the table as CSV (UTF-8)" if office else "an archive; unpack it"
        raise UserError(f"{path}: {kind}")
    if any(head.startswith(magic) for magic, _ in COMPRESSIONS.values()):
        raise UserError(f"{path}: packed twice; unpack it once")
    if head[257:262] == b"ustar":
        raise UserError(f"{path}: a tar archive; unpack it, or pack the files as .zip")


def _as_text(path: Path, unpacked: "_Ahead", encoding: str) -> Opened:
    """The file as UTF-8 with LF line ends."""
    mark, marked = next(((mark, name) for mark, name in _MARKS if unpacked.head.startswith(mark)), (b"", ""))
    name, notes = "utf-8", []
    stream: Any = unpacked
    if mark:
        name = marked
        unpacked.drop(len(mark))
    elif encoding:
        name = codecs.lookup(encoding).name
    if mark and encoding and codecs.lookup(encoding).name.partition("-")[0] != name.partition("-")[0]:
        raise UserError(f"{path}: begins with the mark of {name.upper()}, but data.encoding = {encoding!r}")
    if name != "utf-8":
        notes.append(f"encoding {name.upper() if name.startswith('utf') else name}")
        stream = _Ahead(_Recoded(stream, path, name))
    head = stream.head
    if not head:
        raise UserError(f"{path}: the file is empty")
    # Half of the bytes of Latin text in UTF-16 are zero. A single one may be a character that normalising removes.
    if head.count(0) > len(head) // 4:
        raise UserError(
            f"{path}: not text, or UTF-16 without its mark; if it is text, name its encoding, e.g. data.encoding=utf-16-le"
        )
    if b"\r" in head and b"\n" not in head:
        notes.append("lines end in CR alone")
        stream = _Ahead(_Translated(stream))
        head = stream.head
    return Opened(path, io.BufferedReader(stream, _BLOCK), head, name, tuple(notes))


class _Filter(io.RawIOBase):
    """A readable stream; `_more` returns its next bytes, none at the end."""

    def __init__(self) -> None:
        self._rest = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; see `io.RawIOBase.readinto`."""
        if not self._rest:
            self._rest = self._more()
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def _more(self) -> bytes:
        raise NotImplementedError


class _Ahead(_Filter):
    """A stream whose first `HEAD_BYTES` bytes are known; fewer if it is shorter."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file
        parts, size = [], 0
        # A pipe and a decompressor give what they have, which may be less.
        while size < HEAD_BYTES and (block := file.read(HEAD_BYTES - size)):
            parts.append(block)
            size += len(block)
        self.head = self._rest = b"".join(parts)
        self.taken = size  # Bytes that were read from the file.

    def drop(self, size: int) -> None:
        """Remove the first bytes."""
        self.head = self._rest = self.head[size:]

    def _more(self) -> bytes:
        more: bytes = self._file.read(_BLOCK) or b""
        self.taken += len(more)
        return more


class _Limited(_Filter):
    """A stream that raises an error when it has more bytes than text of its packed size can have.

    The packed size is what was taken from `stored` so far, where that is known: a large bomb is no better than a small one.
    """

    def __init__(self, file: Any, path: Path, packed: int, stored: "_Ahead | None" = None) -> None:
        super().__init__()
        self._file, self._path, self._packed, self._stored = file, path, packed, stored
        self._read = 0

    def _more(self) -> bytes:
        more: bytes = self._file.read(_BLOCK) or b""
        self._read += len(more)
        packed = min(self._packed, self._stored.taken) if self._stored else self._packed
        if packed and self._read > max(BOMB_BYTES, BOMB_RATIO * packed):
            raise UserError(
                f"{self._path}: unpacks to more than {BOMB_RATIO} times its size, which text does not; unpack it yourself "
                "if it is one"
            )
        return more


class _Recoded(_Filter):
    """A text in another encoding, as UTF-8."""

    def __init__(self, file: Any, path: Path, encoding: str) -> None:
        super().__init__()
        self._file, self._path, self._encoding = file, path, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._place, self._ended = 0, False

    def _more(self) -> bytes:
        while not self._ended:
            block = self._file.read(_BLOCK)
            self._ended = not block
            try:
                text = self._decoder.decode(block, self._ended)
                self._place += len(block)
                if text:
                    return text.encode()
            except UnicodeError as error:
                raise UserError(
                    f"{self._path}: not {self._encoding} near byte {self._place + getattr(error, 'start', 0) + 1:,}: "
                    f"{getattr(error, 'reason', error)}; set data.encoding to the encoding that it has"
                ) from None
        return b""


class _Translated(_Filter):
    """A text whose lines end in CR, with LF instead."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file

    def _more(self) -> bytes:
        more: bytes = self._file.read(_BLOCK) or b""
        return more.replace(b"\r", b"\n")
