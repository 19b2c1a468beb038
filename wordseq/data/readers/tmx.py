"""Sentence pairs from TMX, the exchange format of translation memories (LISA OSCAR 2005, version 1.4b).

A file has units (`tu`) with one or more variants (`tuv`) in each language. It is read block by block: no tree is built, no
entity is expanded, no DTD is fetched, and memory does not grow with the file.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, product
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from wordseq.config.data import DataConfig
from wordseq.data.readers.encodings import likely_encoding
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.streams import Opened
from wordseq.data.readers.table import FileTable, Record
from wordseq.system.errors import UserError

_BLOCK = 2**16

# Expat reads a token again with each block until it ends: a longer tag or comment would take quadratic time.
_TOKEN_BLOCKS = 64
_UNIT_BLOCKS = 256
_DTD_BLOCKS = 16

# The DTD of TMX declares some 60 attributes and 30 names; Expat keeps them all.
_MAX_ATTRIBUTES = 256
_MAX_NAMES = 10_000
_MAX_DEPTH = 100
_MAX_LANGUAGES = 1_000
_MAX_COMBINATIONS = 1_000

_SAMPLE_UNITS, _SAMPLE_CHARS = 1_000, 2**24

_DROPPED = frozenset({"bpt", "ept", "it", "ph", "ut", "sub"})
"""Inline elements whose content is formatting, or text outside the sentence."""

# Possessive: a head of many comments must not take exponential time.
_START = re.compile(
    rb"(?:\s++|<\?(?>.*?\?>)|<!--(?>.*?-->))*+(?:<!DOCTYPE\s++tmx[\s>\[]|(?:<!DOCTYPE[^\[>]*+>\s*+)?<tmx[\s>/])",
    re.DOTALL,
)
_DECLARED = re.compile(rb"""\s*+<\?xml\s[^>]*?encoding\s*=\s*["']([\w.:-]+)["']""")


class _Variant(NamedTuple):
    language: str
    text: str
    tags: int


class _Unit(NamedTuple):
    line: int
    variants: list[_Variant]


def is_tmx(head: bytes) -> bool:
    """Whether a file that begins with `head` is TMX."""
    return _START.match(head) is not None


def read_tmx(opened: Opened, data: DataConfig, bad: BadLines) -> FileTable:
    """The pairs of a TMX file, in the languages data.src_lang and data.tgt_lang.

    If they are not set, the first units must have exactly two languages; the header names the source.
    Several variants of a language give a pair for each combination.

    Args:
        opened: the file.
        data: settings.
        bad: not used; what comes after an error in XML cannot be read.

    Raises:
        UserError: here or while the records are iterated: the file is not well-formed, declares entities, has no units, or
            has more of something than a translation memory has; or its languages do not decide source and target.
    """
    parser = _Parser(opened, _declared_encoding(opened, data))
    left_out: Counter[str] = Counter()
    units = parser.units()
    sample, seen = _sample(units, opened.path, (data.src_lang, data.tgt_lang), left_out)
    src, tgt = _choose(opened.path, data.src_lang, data.tgt_lang, parser.source, seen)
    records = _pairs(chain(sample, units), opened.path, src, tgt, left_out)
    return FileTable(f"TMX {parser.version}".strip() + f" ({src} to {tgt})", records, (src, tgt), left_out, pairs=True)


class _Parser:
    """Turns blocks of XML into units.

    Attributes:
        version: of TMX; empty if the file does not say it.
        source: language that the header names as that of the sources; empty if there is none.
    """

    def __init__(self, opened: Opened, encoding: str | None) -> None:
        self.version = self.source = ""
        self._opened = opened
        self._done: list[_Unit] = []
        self._block = self._unit_block = self._dtd_block = self._declared = 0
        self._in_unit = self._in_dtd = False
        self._depth = self._inline = self._dropped = self._tags = 0
        self._line, self._language = 0, ""
        self._variants: list[_Variant] = []
        self._texts: list[str] = []
        self._parser = parser = expat.ParserCreate(encoding)
        parser.buffer_text = True
        parser.buffer_size = _BLOCK
        # Attributes that a DTD gives to every element would multiply the work.
        parser.specified_attributes = True
        parser.StartDoctypeDeclHandler = self._start_dtd
        parser.EndDoctypeDeclHandler = self._end_dtd
        parser.EntityDeclHandler = self._entity
        parser.SkippedEntityHandler = self._unknown_entity
        parser.AttlistDeclHandler = self._attribute
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end

    def units(self) -> Iterator[_Unit]:
        """The units in the order of the file."""
        place, since = -1, 0
        while True:
            block = self._opened.stream.read(_BLOCK)
            self._block += 1
            try:
                self._parser.Parse(block, not block)
            except expat.ExpatError as error:
                raise self._malformed(error, block) from None
            except (ValueError, LookupError) as error:
                raise UserError(
                    f"{self._opened.path}: the encoding that its first line names cannot be used: {error}; set data.encoding"
                ) from None
            yield from self._done
            self._done.clear()
            if not block:
                return
            if self._parser.CurrentByteIndex != place:
                place, since = self._parser.CurrentByteIndex, self._block
            self._check_sizes(since)

    def _check_sizes(self, since: int) -> None:
        mega = _BLOCK / 2**20
        if self._block - since > _TOKEN_BLOCKS:
            raise self._error(f"a tag or comment of more than {_TOKEN_BLOCKS * mega:.0f} MiB")
        if self._in_unit and self._block - self._unit_block > _UNIT_BLOCKS:
            raise self._error(f"the unit that begins at line {self._line} has more than {_UNIT_BLOCKS * mega:.0f} MiB")
        if self._in_dtd and self._block - self._dtd_block > _DTD_BLOCKS:
            raise self._error(f"a DOCTYPE of more than {_DTD_BLOCKS * mega:.0f} MiB")
        if len(self._parser.intern) > _MAX_NAMES:
            raise self._error(f"more than {_MAX_NAMES:,} names of elements and attributes")

    def _error(self, what: str) -> UserError:
        return UserError(f"{self._opened.path}:{self._parser.CurrentLineNumber}: {what}")

    def _malformed(self, error: expat.ExpatError, block: bytes) -> UserError:
        where = f"{self._opened.path}:{error.lineno}"
        what = expat.ErrorString(error.code)
        if error.code == expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]:
            # All of UTF-8 beyond ASCII is allowed in text: such a byte is not UTF-8.
            at = self._parser.ErrorByteIndex - (self._block - 1) * _BLOCK
            if 0 <= at < len(block) and block[at] >= 0x80:
                encoding = likely_encoding(block)
                hint = f"; the text is probably {encoding}: data.encoding = {encoding!r}" if encoding else ""
                return UserError(f"{where}: not UTF-8 at column {error.offset + 1} (0x{block[at]:02x}){hint}")
        if not block:
            what = f"{what}; the file ends too early"
        return UserError(
            f"{where}: not well-formed XML at column {error.offset + 1}: {what}; nothing of the file is used"
        )

    def _start_dtd(self, *_: object) -> None:
        self._in_dtd, self._dtd_block = True, self._block

    def _end_dtd(self) -> None:
        self._in_dtd = False

    def _entity(self, name: str, *_: object) -> None:
        raise self._error(f"declares the entity {name[:50]!r}, which can blow up memory; remove the declaration")

    def _unknown_entity(self, name: str, *_: object) -> None:
        raise self._error(f"the entity &{name[:50]}; is not declared; write the character instead")

    def _attribute(self, *_: object) -> None:
        self._declared += 1
        if self._declared > _MAX_ATTRIBUTES:
            raise self._error(f"the DOCTYPE declares more than {_MAX_ATTRIBUTES} attributes")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if name == "seg":
            if self._in_unit:
                self._start_segment()
        elif name == "tuv":
            self._language = _language(attributes.get("xml:lang") or attributes.get("lang", ""))
        elif name == "tu":
            self._line = self._parser.CurrentLineNumber
            self._in_unit, self._unit_block, self._variants = True, self._block, []
        elif name == "header":
            self.source = _language(attributes.get("srclang", ""))
        elif name == "tmx":
            version = attributes.get("version", "")
            self.version = version if re.fullmatch(r"[\d.]{1,9}", version) else ""
        if self._depth > _MAX_DEPTH:
            raise self._error(f"elements nested more than {_MAX_DEPTH} deep")

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == "tu" and self._in_unit:
            self._done.append(_Unit(self._line, self._variants))
            self._in_unit = False

    def _start_segment(self) -> None:
        self._texts, self._inline, self._dropped, self._tags = [], 0, 0, 0
        self._parser.StartElementHandler = self._start_inline
        self._parser.EndElementHandler = self._end_inline
        self._parser.CharacterDataHandler = self._texts.append

    def _start_inline(self, name: str, _: dict[str, str]) -> None:
        self._tags += 1
        self._inline += 1
        if name in _DROPPED and not self._dropped:
            self._dropped = self._inline
            self._parser.CharacterDataHandler = None
        if self._inline > _MAX_DEPTH:
            raise self._error(f"elements nested more than {_MAX_DEPTH} deep")

    def _end_inline(self, _: str) -> None:
        if self._inline:
            if self._inline == self._dropped:
                self._dropped = 0
                self._parser.CharacterDataHandler = self._texts.append
            self._inline -= 1
            return
        self._depth -= 1
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        # First of all this gives on the text that Expat has buffered.
        self._parser.CharacterDataHandler = None
        self._variants.append(_Variant(self._language, "".join(self._texts), self._tags))


def _declared_encoding(opened: Opened, data: DataConfig) -> str | None:
    """The encoding to give to Expat; None means that the declaration of the file holds."""
    declared = _DECLARED.match(opened.head)
    # A file that was recoded still declares what it was.
    if data.encoding or opened.encoding != "utf-8" or not declared or declared[1].lower().startswith((b"utf", b"ucs")):
        return "UTF-8"
    try:
        # The last character may be cut.
        text = opened.head[: max(opened.head.rfind(b"<"), 0)].decode()
    except UnicodeDecodeError:
        return None
    return None if text.isascii() else "UTF-8"


@lru_cache(1024)
def _language(code: str) -> str:
    """The code of a language as it is compared and printed: "EN_us" is "en-us"."""
    return re.sub("[^a-z0-9]+", "-", code[:100].lower()).strip("-")


def _find(wanted: str, languages: Iterable[str]) -> list[str]:
    """The languages that `wanted` can mean: itself, else its regional variants."""
    code = _language(wanted)
    return (
        [code] if code in languages else sorted(language for language in languages if language.startswith(f"{code}-"))
    )


def _sample(
    units: Iterator[_Unit], path: Path, wanted: tuple[str, str], left_out: Counter[str]
) -> tuple[list[_Unit], Counter[str]]:
    """The first units, by which languages are chosen, and the number of units in each language.

    If a wanted language is in none of them, more are read up to the first that has it; they cannot be pairs.
    """
    sample: list[_Unit] = []
    seen: Counter[str] = Counter()
    chars = 0
    for unit in units:
        # Not a set, which has no order.
        seen.update(dict.fromkeys((variant.language for variant in unit.variants if variant.language), 1))
        if len(seen) > _MAX_LANGUAGES:
            raise UserError(f"{path}:{unit.line}: more than {_MAX_LANGUAGES:,} languages")
        full = len(sample) >= _SAMPLE_UNITS or chars > _SAMPLE_CHARS
        found = not full or all(_find(code, seen) for code in wanted if code)
        if found:
            sample.append(unit)
            chars += sum(len(variant.text) for variant in unit.variants)
        else:
            left_out["units without both languages"] += 1
        if full and found:
            break
    if not sample:
        raise UserError(f"{path}: no translation units (<tu>)")
    return sample, seen


def _choose(path: Path, src_lang: str, tgt_lang: str, header: str, seen: Counter[str]) -> tuple[str, str]:
    """The languages of source and target."""
    counts = ", ".join(f"{code} ({number:,})" for code, number in seen.most_common(20)) or "none"
    examples = [code for code, _ in seen.most_common(2)] + ["en", "fr"]
    hint = f"name two: --set data.src_lang={examples[0]} --set data.tgt_lang={examples[1]}"
    listed = f"languages and units that were read: {counts}; {hint}"
    chosen = {}
    for key, wanted in (("src_lang", src_lang), ("tgt_lang", tgt_lang)):
        if wanted:
            found = _find(wanted, seen)
            if len(found) != 1:
                what = "can be " + " or ".join(found) if found else "is not in the file"
                raise UserError(f"{path}: data.{key} = {wanted!r} {what}; {listed}")
            chosen[key] = found[0]
    if len(chosen) == 2 and len(set(chosen.values())) == 1:
        raise UserError(f"{path}: data.src_lang and data.tgt_lang are both {chosen['src_lang']}; {listed}")
    if len(chosen) < 2:
        if len(seen) != 2:
            raise UserError(f"{path}: source and target are not clear; {listed}")
        first, second = seen  # in the order of the file
        if _find(header, seen) == [second]:
            first, second = second, first
        other = {first: second, second: first}
        chosen.setdefault("src_lang", other.get(chosen.get("tgt_lang", ""), first))
        chosen.setdefault("tgt_lang", other[chosen["src_lang"]])
    return chosen["src_lang"], chosen["tgt_lang"]


def _pairs(units: Iterable[_Unit], path: Path, src: str, tgt: str, left_out: Counter[str]) -> Iterator[Record]:
    """The pairs of the units; what is left out is counted."""
    for line, variants in units:
        sources = [variant for variant in variants if variant.language == src]
        targets = [variant for variant in variants if variant.language == tgt]
        if not sources or not targets:
            left_out["units without both languages"] += 1
            continue
        used = len(sources) + len(targets)
        if used != len(variants):
            left_out["variants in other languages"] += len(variants) - used
        if used > 2 and len(sources) * len(targets) > _MAX_COMBINATIONS:
            raise UserError(
                f"{path}:{line}: a unit with {len(sources):,} variants in {src} and {len(targets):,} in {tgt}"
            )
        for variant in (*sources, *targets):
            if variant.tags:
                left_out["inline tags"] += variant.tags
            if not variant.text or variant.text.isspace():
                left_out["empty segments"] += 1
        for source, target in product(sources, targets):
            if source.text and target.text and not source.text.isspace() and not target.text.isspace():
                yield Record(line, (source.text, target.text))
