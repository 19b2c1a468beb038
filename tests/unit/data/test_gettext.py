"""PO and MO catalogues: plurals, contexts, what is left out, encodings, damage."""

import contextlib
import gettext
import io
import itertools
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from translate.misc.multistring import multistring
from translate.storage.mo import mofile
from translate.storage.po import pofile

from wordseq.config.data import DataConfig
from wordseq.data.readers.gettext import is_mo, is_po, read_mo, read_po
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.streams import HEAD_BYTES, Opened, open_file
from wordseq.data.readers.table import FileTable
from wordseq.system.errors import UserError

DATA = DataConfig()
HEADER = '# Title\nmsgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n"Language: fr\\n"\n\n'
CATALOGUE = (
    HEADER
    + """#. for translators
#: a.c:1
msgid "A cow."
msgstr "Une vache."

msgctxt "menu"
msgid ""
"A \\"cat\\"\\n"
"sings.\\\\"
msgstr ""
"Un « chat »\\n"
"chante.\\\\"

#, fuzzy, c-format
#| msgid "old"
msgid "Fuzzy"
msgstr "Flou"

#, c-format
msgid "%d cow"
msgid_plural "%d cows"
msgstr[0] "%d vache"
msgstr[1] "%d vaches"

msgid "untranslated"
msgstr ""

#~ msgid "gone"
#~ msgstr "parti"
"""
)
PAIRS = [
    ("A cow.", "Une vache."),
    ('A "cat"\nsings.\\', "Un « chat »\nchante.\\"),
    ("%d cow", "%d vache"),
    ("%d cows", "%d vaches"),
]
LEFT_OUT = {"headers": 1, "contexts": 1, "fuzzy entries": 1, "untranslated entries": 1, "obsolete entries": 1}


def read(content: str | bytes, encoding: str = "", src: str = "", tgt: str = "") -> FileTable:
    raw = content.encode() if isinstance(content, str) else content
    opened = Opened(Path("f"), io.BufferedReader(io.BytesIO(raw)), raw[:HEAD_BYTES])  # type: ignore[arg-type]
    reader = read_mo if is_mo(raw) else read_po
    return reader(opened, replace(DATA, src_lang=src, tgt_lang=tgt, encoding=encoding), BadLines("stop"))


def pairs(content: str | bytes, encoding: str = "") -> list[tuple[str | None, ...]]:
    return [record.cells for record in read(content, encoding).records]


def compiled(content: str) -> bytes:
    return polib.pofile(content).to_binary()


@pytest.mark.parametrize("change", [str, lambda text: text.replace("\n", "\r\n"), lambda text: text.replace(' "', '"')])
def test_a_po_catalogue(change: Callable[[str], str]) -> None:
    found = read(change(CATALOGUE.replace('"A cat"', '"A cat"')))
    assert [record.cells for record in found.records] == PAIRS
    assert (found.format, found.columns, found.pairs) == ("PO catalogue (to fr)", ("msgid", "msgstr"), True)
    assert found.left_out == LEFT_OUT
    assert is_po(change(CATALOGUE).encode())


def test_the_number_of_a_record_is_a_line_of_its_entry() -> None:
    lines = CATALOGUE.split("\n")
    numbers = [record.number for record in read(CATALOGUE).records]
    # Comments before an entry are not counted as its lines, flags may be.
    assert [lines[number - 1] for number in numbers] == ['msgid "A cow."', 'msgctxt "menu"', *['msgid "%d cow"'] * 2]


def test_an_mo_catalogue_has_the_same_pairs() -> None:
    found = read(compiled(CATALOGUE))
    assert sorted(record.cells for record in found.records) == sorted(PAIRS)
    assert found.format == "MO catalogue (to fr)"
    assert found.left_out == {"headers": 1, "contexts": 1}


def test_both_byte_orders() -> None:
    little = compiled(CATALOGUE)
    words = 7 + 4 * struct.unpack_from("<I", little, 8)[0]
    big = struct.pack(f">{words}I", *struct.unpack_from(f"<{words}I", little)) + little[4 * words :]
    assert pairs(big) == pairs(little)


def test_the_standard_library_reads_the_same_translations() -> None:
    raw = compiled(CATALOGUE)
    other = gettext.GNUTranslations(io.BytesIO(raw))
    found = dict(pairs(raw))
    assert other.gettext("A cow.") == found["A cow."]
    assert other.pgettext("menu", PAIRS[1][0]) == found[PAIRS[1][0]]
    assert [other.ngettext("%d cow", "%d cows", number) for number in (1, 2)] == [found["%d cow"], found["%d cows"]]


def test_files_of_another_program(tmp_path: Path) -> None:
    po, mo = pofile(), mofile()
    for catalogue in (po, mo):
        catalogue.addsourceunit("A cow.").target = "Une vache à moi.\n"
        catalogue.addsourceunit(multistring(["%d cow", "%d cows"])).target = multistring(["%d vache", "%d vaches"])
    for name, catalogue in (("f.po", po), ("f.mo", mo)):
        path = tmp_path / name
        path.write_bytes(bytes(catalogue))
        with open_file(path) as opened:
            assert (is_po(opened.head), is_mo(opened.head)) == (name == "f.po", name == "f.mo")
            found = (read_mo if is_mo(opened.head) else read_po)(opened, DATA, BadLines("stop"))
        want = {("A cow.", "Une vache à moi.\n"), ("%d cow", "%d vache"), ("%d cows", "%d vaches")}
        assert {record.cells for record in found.records} == want


@pytest.mark.parametrize(
    ("forms", "found"),
    [
        (["o"], [("one", "o"), ("many", "o")]),
        (["o", "m"], [("one", "o"), ("many", "m")]),
        (["o", "m", "m", "x"], [("one", "o"), ("many", "m"), ("many", "x")]),
        (["o", ""], [("one", "o")]),
        (["", ""], []),
    ],
)
def test_plurals(forms: list[str], found: list[tuple[str, str]]) -> None:
    entry = "".join(f'msgstr[{index}] "{form}"\n' for index, form in enumerate(forms))
    content = HEADER + 'msgid "one"\nmsgid_plural "many"\n' + entry
    assert pairs(content) == found
    assert pairs(compiled(content)) == (found if all(forms) else [])  # polib leaves the entry out
    assert read(content).left_out["untranslated entries"] == (not found)


def test_the_language_of_the_sources_may_be_that_of_the_catalogue() -> None:
    turned = [(target, source) for source, target in PAIRS]
    for src, tgt in (("fr", ""), ("FR", "en")):
        found = read(CATALOGUE, src=src, tgt=tgt)
        assert [record.cells for record in found.records] == turned
        assert (found.format, found.columns) == ("PO catalogue (from fr)", ("msgstr", "msgid"))
    assert [record.cells for record in read(CATALOGUE, src="en", tgt="fr").records] == PAIRS
    with pytest.raises(UserError, match=r"data\.tgt_lang = 'de', but the catalogue is in fr"):
        read(CATALOGUE, tgt="de")


def test_the_charset_of_the_header_holds_unless_the_file_is_utf8() -> None:
    text = CATALOGUE.replace("UTF-8", "ISO-8859-15").replace("Une vache.", "5 € à moi.")
    want = [("A cow.", "5 € à moi."), *PAIRS[1:]]
    assert pairs(text.encode("iso-8859-15")) == pairs(text) == want
    # The stream is UTF-8 when data.encoding is set.
    assert pairs(text, "iso-8859-15") == want
    for wrong in ("UTF-8", "CHARSET", "zlib", "unicode_escape"):
        with pytest.raises(UserError, match="f:17: not UTF-8"):
            pairs(CATALOGUE.replace("UTF-8", wrong).encode("cp1252"))


def test_the_charset_of_an_mo_catalogue() -> None:
    raw = polib.pofile(CATALOGUE.replace("UTF-8", "cp1252")).to_binary()
    assert "« chat »".encode("cp1252") in raw
    assert sorted(pairs(raw)) == sorted(pairs(raw.replace(b"cp1252", b"utf-8 "), "cp1252")) == sorted(PAIRS)
    with pytest.raises(UserError, match=r"not utf-8: .*; set data\.encoding"):
        pairs(compiled(CATALOGUE).replace("« chat »".encode(), b"\xab chat \xbb  "))


def test_separators_of_lines_within_a_string_stay() -> None:
    odd = "a\u2028\u2029\x85\x0b\x1eb\u2028"
    assert pairs(f'{HEADER}msgid "{odd}"\nmsgstr "x{odd}"\n') == [(odd, f"x{odd}")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('msgid "a"\nmsgstr "b\n', "f:2: not a line of a PO catalogue: 'msgstr \"b'"),
        ('msgid "a"\nmsgstr "b"\n\nmsgid "c\\"\n', "f:4: not a line"),
        ('msgid "a"\nmsgstr "b" "c"\n', "f:2: not a line"),
        ('msgid "a"\nmsgid "b"\nmsgstr "c"\n', "f:2: not a PO catalogue: an entry that is not complete"),
        ('msgid "a"\nfoo\n', "f:2: not a line"),
        ('msgid "a"\nmsgstr[10] "b"\n', "f:2: not a line"),
        ('msgid ""\n' + '"a"\n' * 1001 + 'msgstr "b"\n', "f:1002: a string of more than 1,000 lines"),
    ],
)
def test_damage_to_po_is_refused_with_its_line(content: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        pairs(content)
    assert message in str(error.value)


def test_damage_to_mo_is_refused() -> None:
    raw = compiled(CATALOGUE)
    for size, encoding in itertools.product(range(4, len(raw) - 1), ("", "utf-8")):
        with pytest.raises(UserError, match="damaged"):
            pairs(raw[:size], encoding)
    # Many messages in one place: few bytes would become many.
    number, table = 100_000, 28
    index = struct.pack("<II", 700_000, table) * number
    bomb = struct.pack("<7I", 0x950412DE, 0, number, table, table, 0, 0) + index
    with pytest.raises(UserError, match="damaged: a string reaches beyond"):
        pairs(bomb)
    with pytest.raises(UserError, match="messages are empty"):
        pairs(struct.pack("<7I", 0x950412DE, 0, number, table, table, 0, 0) + bytes(8 * number))


def test_files_that_are_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_MAX_PO_BYTES", "_MAX_MO_BYTES"):
        monkeypatch.setattr(f"wordseq.data.readers.gettext.{name}", 2**20)
    for content in (b"# x\n" * 2**19, compiled(CATALOGUE) + bytes(2**20)):
        with pytest.raises(UserError, match="larger than 1 MiB"):
            pairs(content)


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        (b'msgid ""', True),
        (b'\n# a\n#, fuzzy\n\n  msgctxt "a"\n', True),
        (b'#~ msgid "a"\n', True),
        (b"#\n" * 30_000 + b'msgid "a"', True),
        (b"#\n" * 30_000, False),
        (b" " * 60_000, False),
        (b"msgid\tmsgstr\n", False),
        (b"# a list\na\tb\n", False),
        (b'a msgid "b"', False),
        (b"", False),
    ],
)
def test_po_is_recognised_by_its_first_message(head: bytes, is_one: bool) -> None:
    assert is_po(head) is is_one


@given(st.data())
def test_mutations_are_read_or_refused(data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from([CATALOGUE.encode(), compiled(CATALOGUE)])))
    parts = [
        b"",
        b'"',
        b"\\",
        b"\n",
        b"\0",
        b"\xff\xff\xff\x7f",
        b"\x04",
        b"#~ ",
        b"#| ",
        b'msgid "',
        b'msgstr[3] "x"\n',
    ]
    for _ in range(data.draw(st.integers(1, 3))):
        # Not the first bytes: they decide which reader is meant.
        place = data.draw(st.integers(4, len(raw)))
        raw[place : place + data.draw(st.integers(0, 9))] = data.draw(st.sampled_from(parts))
    # Any other error fails the test.
    with contextlib.suppress(UserError):
        assert all(cell and cell.strip() for cells in pairs(bytes(raw)) for cell in cells)
