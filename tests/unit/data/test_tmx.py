"""TMX: languages, variants, inline elements, damage and bombs; memory that does not grow with the file."""

import contextlib
import io
import itertools
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from translate.storage.tmx import tmxfile

from wordseq.config.data import DataConfig
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.streams import HEAD_BYTES, Opened, open_file
from wordseq.data.readers.table import FileTable
from wordseq.data.readers.tmx import is_tmx, read_tmx
from wordseq.system.errors import UserError

START = '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4"><header srclang="en"/>\n<body>\n'
END = "</body></tmx>\n"
DATA = DataConfig()


def opened(content: str | bytes) -> Opened:
    raw = content.encode() if isinstance(content, str) else content
    return Opened(Path("f.tmx"), io.BufferedReader(io.BytesIO(raw)), raw[:HEAD_BYTES])  # type: ignore[arg-type]


def unit(*variants: tuple[str, str]) -> str:
    return "<tu>" + "".join(f'<tuv xml:lang="{code}"><seg>{text}</seg></tuv>' for code, text in variants) + "</tu>\n"


def table(content: str | bytes, src: str = "", tgt: str = "", encoding: str = "") -> FileTable:
    return read_tmx(opened(content), replace(DATA, src_lang=src, tgt_lang=tgt, encoding=encoding), BadLines("stop"))


def pairs(content: str | bytes, src: str = "", tgt: str = "") -> list[tuple[str | None, ...]]:
    return [record.cells for record in table(content, src, tgt).records]


def test_a_file_of_another_program(tmp_path: Path) -> None:
    file = tmxfile(sourcelanguage="en", targetlanguage="fr")
    texts = [("A cow sings.", "Une vache chante."), ('Cats & "dogs" <b>', "Chats à moi & chiens"), ("a\nb", "c\n\nd")]
    for source, target in texts:
        file.addtranslation(source, "en", target, "fr", comment="not a text")
    path = tmp_path / "f.tmx"
    path.write_bytes(bytes(file))
    with open_file(path) as stream:
        assert is_tmx(stream.head)
        found = read_tmx(stream, DATA, BadLines("stop"))
        assert [record.cells for record in found.records] == texts
    assert (found.format, found.columns, found.pairs, found.left_out) == ("TMX 1.4 (en to fr)", ("en", "fr"), True, {})


def test_the_number_of_a_record_is_the_line_of_its_unit() -> None:
    content = (
        START
        + unit(("en", "a"), ("fr", "b"))
        + "\n"
        + unit(("en", "c\nd"), ("fr", "e"))
        + unit(("en", "f"), ("fr", "g"))
        + END
    )
    assert [record.number for record in table(content).records] == [4, 6, 8]


@pytest.mark.parametrize(
    ("inside", "text", "tags"),
    [
        ("a <bpt i='1'>&lt;b></bpt>b<ept i='1'>&lt;/b></ept> c", "a b c", 2),
        ("a<ph x='1'/> b<it pos='begin'>x</it><ut>y</ut>", "a b", 3),
        ("a <hi type='bold'>b <hi>c</hi></hi> d", "a b c d", 2),
        ("a <ph>x <sub>not in the sentence</sub> y</ph>b", "a b", 2),
        ("a <hi>b<ph>x</ph>c</hi>d", "a bcd", 2),
        ("&#97; &amp; <![CDATA[<b>]]>", "a & <b>", 0),
    ],
)
def test_inline_elements(inside: str, text: str, tags: int) -> None:
    found = table(START + unit(("en", inside), ("fr", "x")) + END)
    assert [record.cells for record in found.records] == [(text, "x")]
    assert found.left_out["inline tags"] == tags


def test_every_combination_of_variants_is_a_pair_and_what_is_left_out_is_counted() -> None:
    content = START + (
        unit(("en", "a"), ("en", "b"), ("fr", "c"), ("fr", "d"))
        + unit(("en", "lonely"))
        + unit(("en", "e"), ("fr", " \n"))
        + unit(("EN", "f<ph/>"), ("de", "x<ph/>"), ("FR", "g"))
        + "<tu/><tu><note>x</note></tu>"
    )
    found = table(content + END, "en", "fr")
    assert [r.cells for r in found.records] == [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("f", "g")]
    counts = {
        "units without both languages": 3,
        "empty segments": 1,
        "variants in other languages": 1,
        "inline tags": 1,
    }
    assert found.left_out == counts


@pytest.mark.parametrize(
    ("codes", "src", "tgt", "chosen"),
    [
        (("fr", "en"), "", "", ("en", "fr")),  # by the header
        (("de", "fr"), "", "", ("de", "fr")),  # by the order
        (("en", "fr"), "fr", "", ("fr", "en")),
        (("en", "fr"), "", "en", ("fr", "en")),
        (("EN_us", "fr-FR"), "en", "fr", ("en-us", "fr-fr")),
        (("fr", "en-GB"), "", "", ("en-gb", "fr")),  # the header says "en"
        (("en", "en-US", "fr"), "en", "fr", ("en", "fr")),
        (("en-GB", "en-US", "fr"), "en_us", "FR", ("en-us", "fr")),
    ],
)
def test_languages(codes: tuple[str, ...], src: str, tgt: str, chosen: tuple[str, str]) -> None:
    found = table(START + unit(*((code, code) for code in codes)) + END, src, tgt)
    assert found.columns == chosen
    assert [tuple(cell.lower().replace("_", "-") for cell in record.cells) for record in found.records] == [chosen]


def test_the_older_attribute_names_the_language() -> None:
    content = START + '<tu><tuv lang="en"><seg>a</seg></tuv><tuv lang="fr"><seg>b</seg></tuv></tu>' + END
    assert pairs(content) == [("a", "b")]


@pytest.mark.parametrize(
    ("codes", "src", "tgt", "message"),
    [
        (
            ("en", "fr", "de"),
            "",
            "",
            r"not clear; .* en \(1\), fr \(1\), de \(1\); .*data.src_lang=en --set data.tgt_lang=fr",
        ),
        (("en",), "", "", "not clear"),
        (("en", "fr", "de"), "en", "", "not clear"),
        (("en-GB", "en-US", "fr"), "en", "fr", "'en' can be en-gb or en-us"),
        (("en", "fr"), "en", "it", "data.tgt_lang = 'it' is not in the file"),
        (("en", "fr"), "en", "EN", "are both en"),
    ],
)
def test_languages_that_are_not_clear(codes: tuple[str, ...], src: str, tgt: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        table(START + unit(*((code, code) for code in codes)) + END, src, tgt)


def test_a_language_that_begins_late_is_found() -> None:
    others = unit(("de", "a"), ("fr", "b")) * 1500
    found = table(START + others + unit(("en", "a"), ("fr", "b")) * 3 + others + END, "en", "fr")
    assert len(list(found.records)) == 3
    assert found.left_out == {"units without both languages": 3000}


def test_the_declared_encoding_holds_unless_the_file_is_utf8() -> None:
    content = START.replace("UTF-8", "ISO-8859-15") + unit(("en", "5 €"), ("fr", "à moi")) + END
    assert pairs(content.encode("iso-8859-15")) == pairs(content.encode()) == [("5 €", "à moi")]
    # Beyond the first bytes, which are ASCII.
    content = (
        START.replace("UTF-8", "ISO-8859-15")
        + unit(("en", "a"), ("fr", "b")) * 2000
        + unit(("en", "5 €"), ("fr", "à"))
        + END
    )
    assert pairs(content.encode("iso-8859-15"))[-1] == ("5 €", "à")


def test_a_file_that_was_recoded_is_utf8_whatever_it_declares() -> None:
    content = START.replace("UTF-8", "ISO-8859-15") + unit(("en", "5 €"), ("fr", "à moi")) + END
    assert [record.cells for record in table(content, encoding="cp1252").records] == [("5 €", "à moi")]


def test_another_encoding_is_an_error_that_names_it() -> None:
    with pytest.raises(UserError, match=r"f\.tmx:4: not UTF-8 at column \d+ \(0xe0\); the text is probably"):
        pairs((START + unit(("en", "a"), ("fr", "à moi la vache")) + END).encode("latin-1"))
    with pytest.raises(UserError, match="encoding that its first line names"):
        pairs((START.replace("UTF-8", "Shift_JIS") + unit(("en", "a"), ("ja", "日本")) + END).encode("shift_jis"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (START + unit(("en", "a"), ("fr", "b")), "f.tmx:5: not well-formed .*ends too early"),
        (START + unit(("en", "a"), ("fr", "b")) + "<tu></body></tmx>", r"f.tmx:5: not well-formed .*mismatched tag"),
        (START + unit(("en", "a & b"), ("fr", "b")) + END, "f.tmx:4: not well-formed"),
        (START + unit(("en", "a&nbsp;b"), ("fr", "b")) + END, "undefined entity"),
        (
            '<!DOCTYPE tmx SYSTEM "t.dtd">' + START[39:] + unit(("en", "a&nbsp;b"), ("fr", "b")) + END,
            "&nbsp; is not declared",
        ),
        (START + END, "no translation units"),
        ("", "ends too early"),
    ],
)
def test_damage_is_refused_with_its_line(content: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pairs(content)


def test_damage_far_into_the_file_is_refused_too() -> None:
    found = table(START + unit(("en", "a"), ("fr", "b")) * 5000 + "<tu>")
    with pytest.raises(UserError, match=r"f\.tmx:5004: not well-formed"):
        list(found.records)


def bomb(dtd: str, inside: str = "x") -> str:
    return f"<?xml version='1.0'?><!DOCTYPE tmx {dtd}>" + START[39:] + unit(("en", inside), ("fr", "b")) + END


@pytest.mark.parametrize(
    "content",
    [
        bomb('[<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]', "&c;"),
        bomb(f'[<!ENTITY a "{"x" * 10_000}">]', "&a;" * 10_000),
        bomb('[<!ENTITY a SYSTEM "file:///etc/hostname">]', "&a;"),
        bomb('[<!ENTITY % a SYSTEM "http://127.0.0.1:9/x.dtd"> %a;]'),
    ],
    ids=["billion laughs", "quadratic blow-up", "external entity", "parameter entity"],
)
def test_entities_are_refused(content: str) -> None:
    assert is_tmx(content.encode())
    with pytest.raises(UserError, match=r"f\.tmx:1: declares the entity 'a'"):
        pairs(content)


def test_a_document_type_alone_is_not_fetched_and_is_fine() -> None:
    assert pairs(bomb('SYSTEM "http://127.0.0.1:9/tmx14.dtd"')) == [("x", "b")]
    assert pairs(bomb('[<!ATTLIST tuv xml:lang CDATA "de"><!ELEMENT tu (tuv+)>]')) == [("x", "b")]


class Parts(io.RawIOBase):
    """A stream of parts that are never in memory together."""

    def __init__(self, parts: Iterable[str]) -> None:
        self._parts, self._rest = iter(parts), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = next(self._parts, "").encode()
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def streamed(parts: Iterable[str]) -> Opened:
    return Opened(Path("f.tmx"), io.BufferedReader(Parts(itertools.chain([START], parts, [END]))), START.encode())


def names() -> Iterator[str]:
    return ("".join(f"<n{group}-{number}/>" for number in range(1000)) for group in range(50))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (itertools.repeat("<a>" * 1000, 500), "nested more than 100 deep"),
        (itertools.chain(["<tu><tuv><seg>"], itertools.repeat("<hi>" * 1000, 500)), "nested more than 100 deep"),
        (itertools.chain(["<!-- "], itertools.repeat("x" * 2**16, 500)), "a tag or comment of more than 4 MiB"),
        (itertools.chain(["<tu a='"], itertools.repeat("x" * 2**16, 500)), "a tag or comment of more than 4 MiB"),
        (
            itertools.chain(["<tu><tuv><seg>"], itertools.repeat("x" * 2**16, 500)),
            "begins at line 4 has more than 16 MiB",
        ),
        (names(), "more than 10,000 names"),
        ([unit(*[("en", "a")] * 40, *[("fr", "b")] * 40)], "f.tmx:4: a unit with 40 variants in en and 40 in fr"),
    ],
    ids=["elements", "inline elements", "comment", "attribute", "segment", "names", "combinations"],
)
def test_what_would_fill_the_memory_or_take_for_ever_is_refused(parts: Iterable[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(read_tmx(streamed(parts), DATA, BadLines("stop")).records)


def test_a_document_type_that_would_fill_the_memory_is_refused() -> None:
    for parts, message in (
        (itertools.repeat("<!ELEMENT a (b)>" * 4096, 500), "a DOCTYPE of more than 1 MiB"),
        (
            itertools.repeat('<!ATTLIST a b CDATA "c">' * 50 + '<!ATTLIST a d CDATA "c">', 500),
            "more than 256 attributes",
        ),
    ):
        stream = io.BufferedReader(Parts(itertools.chain(["<!DOCTYPE tmx ["], parts)))
        with pytest.raises(UserError, match=message):
            read_tmx(Opened(Path("f.tmx"), stream, b""), DATA, BadLines("stop"))


def test_memory_does_not_grow_with_the_file() -> None:
    def peak(units: int) -> int:
        one = unit(("en", "A cow <ph/>sings. " * 10), ("fr", "Une vache chante. " * 10), ("de", "Eine Kuh. " * 10))
        opened = streamed(itertools.repeat(one * 100, units // 100))
        tracemalloc.start()
        count = sum(1 for _ in read_tmx(opened, replace(DATA, src_lang="en", tgt_lang="fr"), BadLines("stop")).records)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == units
        return most

    assert peak(4_000) < 1.1 * peak(1_200)


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        (b"<tmx version='1.4'>", True),
        (b"\n <?xml version='1.0'?>\n<!-- <tmx> -->\n<!DOCTYPE tmx SYSTEM 'tmx14.dtd'>\n<tmx>", True),
        (b"<!DOCTYPE tmx [<!ENTITY a 'b'>", True),
        (b"<?xml version='1.0'?><xliff><tmx/>", False),
        (b"<!-- <tmx> -->", False),
        (b"<tmxy>", False),
        (b"how to read <tmx>", False),
        (b"<!---->" * 9000, False),
        (b"<?xml?> " * 8000, False),
        (b"<!DOCTYPE " * 6000, False),
    ],
)
def test_recognised_by_its_first_element(head: bytes, is_one: bool) -> None:
    assert is_tmx(head) is is_one


@given(st.data())
def test_mutations_are_read_or_refused(data: st.DataObject) -> None:
    raw = bytearray((START + unit(("en", "a <hi>b</hi>&amp;"), ("fr", "é")) * 3 + END).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw)))
        raw[place : place + data.draw(st.integers(0, 9))] = data.draw(
            st.sampled_from(
                [b"", b"<", b">", b"&a;", b'"', b"]]>", b"\xff", b"\0", b"<tu>", b"<seg>", b"</seg>", b"<ph>"]
            )
        )
    # Any other error fails the test.
    with contextlib.suppress(UserError):
        assert all(cell and cell.strip() for cells in pairs(bytes(raw)) for cell in cells)
