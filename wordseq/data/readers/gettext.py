"""Sentence pairs from gettext catalogues: PO, which is text, and MO, which is compiled from it.

Messages are sources, translations are targets. The formats are described in the manual of GNU gettext, "PO Files" and "MO
Files".
"""

import codecs
import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import polib

from wordseq.config.data import DataConfig
from wordseq.data.readers.encodings import likely_encoding
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.streams import Opened
from wordseq.data.readers.table import FileTable, Record
from wordseq.system.errors import UserError

_MAX_PO_BYTES, _MAX_MO_BYTES = 2**27, 2**25
"""Catalogues are read completely. The largest known ones have some 30 MB."""

# polib joins the lines of a string one by one, in quadratic time.
_MAX_STRING_LINES = 1_000

_MAGICS = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}

# A message before any line that is not a comment. Possessive: a head of many comments must not take quadratic time.
_START = re.compile(rb'(?:[ \t\r]*+(?:#(?!~[ \t]*+msg)[^\n]*+)?+\n)*+[ \t]*+(?:#~[ \t]*+)?+(?:msgid|msgctxt)[ \t]*+"')
_STRING = re.compile(r'(#~)?+\s*+(msg(?:ctxt|id_plural|id|str\[\d\]|str))?+\s*+("(?:[^"\\]|\\.)*+")')
_CHARSET = re.compile(rb"charset=([\w.:-]+)")

# Encodings of Python that are not of texts, or that take quadratic time.
_NOT_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7"})


def is_po(head: bytes) -> bool:
    """Whether a file that begins with `head` is a PO catalogue: its first line that is not a comment begins a message."""
    return _START.match(head) is not None


def is_mo(head: bytes) -> bool:
    """Whether a file that begins with `head` is an MO catalogue."""
    return head[:4] in _MAGICS


def read_po(opened: Opened, data: DataConfig, bad: BadLines) -> FileTable:
    """The pairs of a PO catalogue.

    Fuzzy, obsolete and untranslated entries and the header are left out. A plural message gives a pair for each of its
    forms.

    Args:
        opened: the file.
        data: settings. If data.src_lang is the language of the catalogue, its translations are the sources.
        bad: not used: a fault in a catalogue shifts what follows.

    Raises:
        UserError: the file is too large, in another encoding than it declares, or not a catalogue; the message has the line.
    """
    raw = _complete(opened, _MAX_PO_BYTES)
    text = _Text(_decoded(raw, opened, data))
    text.path = opened.path
    try:
        catalogue = polib.pofile(text, encoding="utf-8", klass=_Entries)
    except OSError as error:
        line = re.search(r"\(line (\d+)\)(.*)", str(error))
        where, what = (f":{line[1]}", line[2].strip(": ")) if line else ("", str(error))
        raise UserError(
            f"{opened.path}{where}: not a PO catalogue: {what or 'an entry that is not complete'}"
        ) from None
    return _table("PO catalogue", opened.path, catalogue, data)


def read_mo(opened: Opened, data: DataConfig, bad: BadLines) -> FileTable:
    """The pairs of an MO catalogue, as `read_po`; the numbers of the records are those of the entries, from 1.

    Args:
        opened: the file.
        data: settings; see `read_po`.
        bad: not used.

    Raises:
        UserError: the file is too large, damaged, or in another encoding than it declares.
    """
    raw = _complete(opened, _MAX_MO_BYTES)
    header = _mo_header(raw, opened.path)
    encoding = data.encoding or _charset(header) or "utf-8"
    try:
        catalogue = polib.mofile(raw, encoding=encoding, klass=_MoEntries)
    except (UnicodeError, LookupError) as error:
        raise UserError(
            f"{opened.path}: not {encoding}: {error}; set data.encoding to the encoding that it has"
        ) from None
    except OSError as error:
        raise UserError(f"{opened.path}: {error}") from None
    if catalogue.metadata:
        catalogue.left_out["headers"] += 1
    return _table("MO catalogue", opened.path, catalogue, data)


class _Text(str):
    """The text of a PO catalogue, for polib, which calls `splitlines`."""

    path: Path

    def splitlines(self, keepends: bool = False) -> list[str]:
        """The lines that have strings or the flag "fuzzy"; the others are empty, so that numbers of lines hold.

        Python's own method splits within strings: at U+2028 and some control characters.

        Raises:
            UserError: a line is no part of a catalogue; polib cuts strings without their closing quotes.
        """
        lines, run = [], 0
        for number, full in enumerate(self.split("\n"), 1):
            line = full.strip()
            if line.startswith("#") and not line.startswith("#~"):
                is_fuzzy = line.startswith("#,") and "fuzzy" in re.split(r"[,\s]+", line)
                lines.append("#, fuzzy" if is_fuzzy else "")
                continue
            if line.startswith("#~|") or line in ("", "#~"):
                lines.append("")
                continue
            match = _STRING.fullmatch(line)
            if match is None:
                raise UserError(f"{self.path}:{number}: not a line of a PO catalogue: {line[:60]!r}")
            obsolete, keyword, string = match.groups("")
            run = 0 if keyword else run + 1
            if run > _MAX_STRING_LINES:
                raise UserError(f"{self.path}:{number}: a string of more than {_MAX_STRING_LINES:,} lines")
            # polib wants spaces between them, gettext does not.
            lines.append(" ".join(part for part in (obsolete, keyword, string) if part))
        return lines


class _Entries(list[Record]):
    """Takes the place of polib's catalogue: keeps the pairs, not the entries, which take ten times the memory."""

    def __init__(self, encoding: str, **_: Any) -> None:
        super().__init__()
        self.encoding = encoding
        self.metadata: dict[str, str] = {}
        self.left_out: Counter[str] = Counter()
        # polib adds comments to the first and quotes the second in errors.
        self.header = self.fpath = ""

    def append(self, entry: Any) -> None:
        """Add the pairs of an entry of polib, or count why it has none."""
        number = self._number(entry)
        if not entry.msgid:
            if entry.msgctxt is None and not self.metadata:
                self.metadata = dict(re.findall(r"^([\w-]+):[ \t]*(.*?)\s*$", entry.msgstr, re.MULTILINE))
            self.left_out["headers"] += 1
            return
        pairs = _forms(entry)
        if reason := self._reason(entry) or ("" if pairs else "untranslated entries"):
            self.left_out[reason] += 1
            return
        if entry.msgctxt is not None:
            self.left_out["contexts"] += 1
        self.extend(Record(number, pair) for pair in pairs)

    def find(self, *_: Any) -> None:
        """Nothing: polib looks for the header, which is not among the records."""

    def _reason(self, entry: Any) -> str:
        return "obsolete entries" if getattr(entry, "obsolete", False) else "fuzzy entries" if entry.flags else ""

    def _number(self, entry: Any) -> int:
        # polib counts the first entry of a file as line 0.
        return max(1, entry.linenum)


class _MoEntries(_Entries):
    _entries = 0

    def _number(self, entry: Any) -> int:
        self._entries += 1
        return self._entries


def _forms(entry: Any) -> list[tuple[str, str]]:
    """The pairs of an entry: of a plural message one for each different form; none if it is not translated."""
    if not entry.msgstr_plural:
        pairs = [(entry.msgid, entry.msgstr)]
    else:
        forms = entry.msgstr_plural
        # A language with one form uses it for the singular too.
        plurals = [forms[index] for index in sorted(forms) if index > 0] or [forms[0]]
        pairs = [(entry.msgid, forms.get(0, "")), *((entry.msgid_plural, form) for form in plurals)]
    return [pair for pair in dict.fromkeys(pairs) if pair[0].strip() and pair[1].strip()]


def _table(name: str, path: Path, catalogue: _Entries, data: DataConfig) -> FileTable:
    """The table of a catalogue, with its translations as sources if data.src_lang is their language."""
    language = re.sub(r"[^\w@.-]", "", catalogue.metadata.get("Language", ""))[:20]
    if not language:
        return FileTable(name, iter(catalogue), ("msgid", "msgstr"), catalogue.left_out, pairs=True)
    if _means(data.src_lang, language) and not _means(data.tgt_lang, language):
        name, columns = f"{name} (from {language})", ("msgstr", "msgid")
        records = (Record(number, (cells[1], cells[0])) for number, cells in catalogue)
        return FileTable(name, records, columns, catalogue.left_out, pairs=True, language=language)
    if data.tgt_lang and not _means(data.tgt_lang, language):
        raise UserError(f"{path}: data.tgt_lang = {data.tgt_lang!r}, but the catalogue is in {language}")
    name, columns = f"{name} (to {language})", ("msgid", "msgstr")
    return FileTable(name, iter(catalogue), columns, catalogue.left_out, pairs=True, language=language)


def _means(wanted: str, language: str) -> bool:
    """Whether a language that the user wants is that of a catalogue: "pt" and "pt-br" are "pt_BR"."""
    wanted, language = (re.sub("[^a-z0-9]+", "-", code.lower()) for code in (wanted, language))
    return wanted != "" and f"{language}-".startswith(f"{wanted}-")


def _complete(opened: Opened, limit: int) -> bytes:
    raw = opened.stream.read(limit + 1)
    if len(raw) > limit:
        raise UserError(f"{opened.path}: larger than {limit >> 20} MiB, which no catalogue is; split it with msggrep")
    return raw


def _charset(header: bytes) -> str:
    """The encoding that the header of a catalogue names; empty if it is not one of texts."""
    match = _CHARSET.search(header)
    try:
        name = codecs.lookup(match[1].decode()).name if match else ""
        "".encode(name or "utf-8")
    except (LookupError, ValueError):
        return ""
    return "" if name.replace("_", "-") in _NOT_CHARSETS else name


def _decoded(raw: bytes, opened: Opened, data: DataConfig) -> str:
    """The text of a PO catalogue, which may be in the encoding that its header names."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        start = error.start
    charset = _charset(opened.head)
    if charset not in ("", "utf-8") and opened.encoding == "utf-8" and not data.encoding:
        try:
            return raw.decode(charset)
        except UnicodeError:
            raise UserError(
                f"{opened.path}: not {charset}, which its header names, nor UTF-8; set data.encoding"
            ) from None
    encoding = likely_encoding(raw[max(0, start - 2**10) : start + 2**16])
    hint = f"; the text is probably {encoding}: data.encoding = {encoding!r}" if encoding else ""
    line = raw.count(b"\n", 0, start) + 1
    raise UserError(f"{opened.path}:{line}: not UTF-8{hint}")


def _mo_header(raw: bytes, path: Path) -> bytes:
    """The header of an MO catalogue, after a check of the places and lengths of all strings, which polib does not make.

    Raises:
        UserError: the strings do not fit into the file.
    """
    order = _MAGICS.get(raw[:4])
    if order is None or len(raw) < 28:
        raise UserError(f"{path}: damaged, or not an MO catalogue")
    number, *tables = struct.unpack_from(f"{order}3I", raw, 8)
    header = b""
    for table in tables:
        if table + 8 * number > len(raw):
            raise UserError(f"{path}: damaged: a table of {number:,} strings reaches beyond its end")
        total = empty = 0
        for length, place in struct.iter_unpack(f"{order}II", memoryview(raw)[table : table + 8 * number]):
            total += length
            empty += length == 0
            if place + length > len(raw) or total > len(raw):
                raise UserError(f"{path}: damaged: a string reaches beyond its end")
        # Messages differ, so that one is empty at most: the header.
        if table == tables[0] and empty > 1:
            raise UserError(f"{path}: damaged: {empty:,} messages are empty")
    if number and struct.unpack_from(f"{order}I", raw, tables[0]) == (0,):
        length, place = struct.unpack_from(f"{order}II", raw, tables[1])
        header = raw[place : place + length]
    return header
