"""TSV and CSV as programs write them: every text comes back, and what is damaged is named."""

import codecs
import contextlib
import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wordseq.config.data import DataConfig
from wordseq.data.readers.delimited import (
    is_csv,
    is_quoted_tsv,
    is_tsv,
    looks_quoted,
    read_csv,
    read_quoted_tsv,
    read_tsv,
)
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.streams import HEAD_BYTES, open_file
from wordseq.system.errors import UserError

PAIRS = [
    ("The cow sings.", "La vache chante."),
    ("Yes, of course.", "Oui, bien sûr."),
    ('He said "no"; we left.', "Il a dit « non » ; nous sommes partis."),
    ("A cat | a dog", "Un chat | un chien"),
    ("5", "cinq"),
]
TABLE = [("src", "tgt"), *PAIRS]

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
# Characters that mean something in one of the formats.
TRICKY = st.text(st.sampled_from("ab ,;|\t\"'\r\n\u2028\x1e\ufeffé"), max_size=8)
TEXTS = st.one_of(TEXT, TRICKY)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def table(path: Path, reader, on_bad_line="stop", encoding=""):
    """Format and records; an error if there are bad lines, unless they are skipped."""
    bad = BadLines(on_bad_line)
    with open_file(path, encoding) as opened:
        found = reader(opened, DataConfig(), bad)
        records = list(found.records)
    bad.check(len(records))
    assert found.columns == ()
    return found.format, records


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_csv(rows, **dialect) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows(rows)
    return text.getvalue()


def cells(records):
    return [record.cells for record in records]


QUOTING = [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]
DELIMITERS = {",": "CSV", ";": "CSV with semicolons", "|": "CSV with pipes", "\t": "CSV with tabs"}


@pytest.mark.parametrize("quoting", QUOTING)
@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_pythons_csv_writes_is_read(tmp_path, delimiter, quoting, end):
    content = as_csv(TABLE, delimiter=delimiter, quoting=quoting, lineterminator=end)
    path = written(tmp_path / "pairs.csv", content)
    found, records = table(path, read_csv)
    assert (found, cells(records)) == (DELIMITERS[delimiter], TABLE)
    assert [record.number for record in records] == [1, 2, 3, 4, 5, 6]
    head = content.replace("\r\n", "\n").replace("\r", "\n").encode()
    assert is_csv(head) == (delimiter != "\t")
    assert is_quoted_tsv(head) == (delimiter == "\t")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("sep", DELIMITERS)
@pytest.mark.parametrize("quoting", QUOTING)
def test_what_pandas_writes_is_read(tmp_path, sep, quoting, encoding):
    frame = pd.DataFrame(PAIRS, columns=["src", "tgt"])
    frame.to_csv(tmp_path / "pairs.csv", sep=sep, quoting=quoting, index=False, encoding=encoding)
    assert table(tmp_path / "pairs.csv", read_csv) == (DELIMITERS[sep], list(zip(range(1, 7), TABLE, strict=True)))


@given(
    pairs=st.lists(st.tuples(TEXTS, TEXTS), max_size=2),
    delimiter=st.sampled_from(list(DELIMITERS)),
    quoting=st.sampled_from(QUOTING),
)
@example(pairs=[('"', '""')], delimiter=",", quoting=csv.QUOTE_MINIMAL).via("quotes alone")
@example(pairs=[("a\n\nb", "\r")], delimiter=";", quoting=csv.QUOTE_MINIMAL).via("line breaks")
def test_any_texts_that_are_written_as_csv_come_back(folder, pairs, delimiter, quoting):
    # Most rows are plain, so that the delimiter is clear however many others the texts have.
    plain = 40
    rows = [("src", "tgt")] * plain + pairs
    path = written(folder / "any.csv", as_csv(rows, delimiter=delimiter, quoting=quoting))
    for reader in [read_csv] + [read_quoted_tsv] * (delimiter == "\t"):
        records = table(path, reader)[1]
        assert cells(records)[plain:] == [tuple(text.replace("\r\n", "\n") for text in pair) for pair in pairs]


@given(pairs=st.lists(st.lists(TEXTS.filter(lambda text: not set("\t\r\n") & set(text)), min_size=1, max_size=4)))
@example(pairs=[['"', '"a" ""b']]).via("quotes are text")
@example(pairs=[["a\x85b", "\x1c\u2028"]]).via("what str.splitlines splits at")
def test_any_texts_come_back_from_a_tsv(folder, pairs):
    content = "".join("\t".join(row) + "\n" for row in [["src", "tgt"], *pairs])
    found, records = table(written(folder / "any.tsv", content), read_tsv)
    assert (found, cells(records)[1:]) == ("TSV", [tuple(row) for row in pairs])
    assert [record.number for record in records] == list(range(1, len(pairs) + 2))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_blank_lines_and_the_end_of_a_tsv(tmp_path, end, mark):
    path = written(tmp_path / "pairs.tsv", mark + end.join(["a\tb", "", ' "c" \td\te']))
    assert table(path, read_tsv)[1] == [(1, ("a", "b")), (2, ("",)), (3, (' "c" ', "d", "e"))]


def test_numbers_of_records_that_span_lines(tmp_path):
    path = written(tmp_path / "pairs.csv", 'a,b\r\n"c\r\nd\n\n",e\r\n\r\n"f",g\r\n')
    records = table(path, read_csv)[1]
    assert records == [(1, ("a", "b")), (2, ("c\nd\n\n", "e")), (6, ("",)), (7, ("f", "g"))]


EXCEL = '\ufeffEnglish\tFrench\r\nHello.\tBonjour.\r\n"He said ""hi"", then left."\t"Il a dit ""salut"", puis est parti."\r\n'
# Its filter's tokens 44,34,76,1: comma, double quote, UTF-8; the seventh is "quote all text cells".
LIBREOFFICE = 'id,English,French\n1,"Hello, you.",Bonjour\n2,"Two\nlines","Deux\nlignes"\n3,"""No""",« Non »\n'
LIBREOFFICE_QUOTED = (
    '"id","English","French"\n1,"Hello, you.","Bonjour"\n2,"Two\nlines","Deux\nlignes"\n3,"""No""","« Non »"\n'
)


def test_what_spreadsheets_write(tmp_path):
    path = written(tmp_path / "excel.txt", codecs.BOM_UTF16_LE + EXCEL.removeprefix("\ufeff").encode("utf-16-le"))
    with open_file(path) as opened:
        assert is_quoted_tsv(opened.head)
    found, records = table(path, read_quoted_tsv)
    assert found == "TSV with quotes"
    assert cells(records)[2] == ('He said "hi", then left.', 'Il a dit "salut", puis est parti.')
    for content in (LIBREOFFICE, LIBREOFFICE_QUOTED):
        assert is_csv(content.encode())
        found, records = table(written(tmp_path / "calc.csv", content), read_csv)
        assert (found, [record.number for record in records]) == ("CSV", [1, 2, 3, 6])
        assert cells(records)[1:] == [
            ("1", "Hello, you.", "Bonjour"),
            ("2", "Two\nlines", "Deux\nlignes"),
            ("3", '"No"', "« Non »"),
        ]
    path = written(tmp_path / "sep.csv", "sep=;\r\nHello, you;Salut, toi\r\n")
    assert table(path, read_csv) == ("CSV with semicolons", [(2, ("Hello, you", "Salut, toi"))])


@pytest.mark.parametrize(
    ("head", "quoted", "looks"),
    [
        ('"a"\t"b"\n"c"\t"d"\n', True, False),
        ('"id"\t"src"\n1\t"b"\n2\t"d"\n\t""\n', True, False),
        ('a\t"b ""c"""\n', True, False),
        ('src\ttgt\n"a\tb"\tc\n', True, False),
        ('src\ttgt\n"a\nb"\tc\n', True, False),
        ("a\tb\n" + '"c, d"\te\n' * 4, True, False),
        # Fields in quotes that may be direct speech.
        ('"Go!"\t"Va !"\nHe left.\tIl est parti.\n' * 3, False, True),
        ("a\tb\n" + '"c, d"\te\n' * 3, False, True),
        # Quotes that no program writes.
        ('"Go!" he said.\t"Va !" dit-il.\n"a"\t"b ""c"""\n', False, False),
        ('"a"\t"b ""c"""\na 5" disk\tdisque 5"\n', False, False),
        ('"Hello\tBonjour\nBye"\tAu revoir\n', False, False),
        ('"a"\t"b ""c"""\n"d\te\n', False, False),
        ('"a"\n"b"\n"c"\n"d"\n', False, True),
        ("a\tb\n", False, False),
        ("", False, False),
    ],
)
def test_quotes_of_a_tsv(head, quoted, looks):
    assert is_quoted_tsv(head.encode()) == quoted
    assert looks_quoted(head.encode()) == looks


@pytest.mark.parametrize(("line", "quoted"), [('"x ""y"""\t"z\nz"\n', True), ("x\ty\n", False), ('"x"\ty\n', False)])
def test_quotes_of_a_tsv_whose_head_is_cut_off_anywhere(line, quoted):
    for shift in range(len(line)):
        head = ('"' + "a" * shift + '"\t"b"\n' + line * (HEAD_BYTES // len(line))).encode()[:HEAD_BYTES]
        assert is_quoted_tsv(head) == quoted


PROSE = """\
It was late, and the town, as far as one could see, slept.
He came home; nobody was there.
"Who is it?" she asked, "is it you?"
It was.

Rain, wind, and snow; nothing else.
"""


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("a,b\nc,d\n", True),
        ("lemma,form,tags\nrun,ran,V;PST\ngo,went,V;PST\n", True),
        ('"Hello, you",Salut\n"a,b,c",d\n', True),
        ("sep=,\na,b\n", True),
        (PROSE, False),
        # Each line has one comma, as it has in prose.
        ("Hello, you.\nBye, you.\nWell, well.\n", False),
        ("a\tb,c\nd\te,f\n", False),
        ("a ||| b\nc ||| d\n", False),
        ("a,b\n", False),
        ("a\nb\n", False),
        ("\n\n", False),
        ("a,b\nc,d\ne\n", False),
    ],
)
def test_a_table_is_told_from_prose(head, expected):
    assert is_csv(head.encode()) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("run,ran,V;PST\ngo,went,V;PST\n", "CSV"),
        ("Hello, you|Salut, toi\nBye, you|Salut, toi\n", "CSV with pipes"),
        ("src,tgt\n" + "a;b,c\n" * 30, "CSV"),
        ("src;tgt\n" + "a,b;c\n" * 30, "CSV with semicolons"),
        ("src\ttgt\n" + "a,b\tc\n" * 30, "CSV with tabs"),
    ],
)
def test_of_two_delimiters_that_fit_the_better_is_taken(tmp_path, content, expected):
    assert table(written(tmp_path / "pairs.csv", content), read_csv)[0] == expected


def test_a_tsv_is_told_from_sentences():
    assert is_tsv(b"a\tb\nc\td\n\n\n\n")
    assert not is_tsv(b"a\nb\tc\nd\n")
    assert not is_tsv(b"")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            "a,b\nc,d\n" * 2 + 'e,"f\n' + "g,h\n" * 20,
            r"csv:5: the quoted cell that begins on this line never ends; write",
        ),
        (
            'a,"b\nb"\n' + "c,d\n" * 3 + '"e\nf",g,"h\ni\n',
            r"csv:7: the quoted cell that begins on this line never ends",
        ),
        (
            'a,b\n"c,d\ne,f\n"g",h\n',
            r"csv:2: the quoted cell that begins on this line is not closed properly \(.*on line 4",
        ),
        (
            'a,b\n"c,d\n' + "e,f\n" * 12 + 'g",h\n',
            r"csv:2: the quoted cell .* has 12 lines in it that look like records",
        ),
        # The swallowed record has fewer cells than the others.
        ('a;b;c\n1;"d;e\n' + "2;f;g\n" * 3 + '3;h"\n', r"csv:2: the quoted cell .* has 3 lines in it that look like"),
        ('a;b\n"x\ny";"c;d\n' + "e;f\n" * 3 + 'g"\n', r"csv:3: the quoted cell .* has 3 lines in it that look like"),
        ('a,b\n"c"d,e\nf,g\n', r"csv:2: a quote inside a quoted cell is not written twice; 1 bad line in all"),
        ('a,b\n"c",d\re\nf,g\n', r"csv:2: a carriage return outside quotes"),
        ("a" + ",b" * 1000 + "\nc,d\ne,f\n" * 3, r"csv:1: more than 1,000 cells"),
        (PROSE, "not CSV: comma, semicolon, | and TAB were tried".replace("|", r"\|")),
    ],
)
def test_a_damaged_csv_is_an_error_that_names_the_line(tmp_path, content, error):
    with pytest.raises(UserError, match=error):
        table(written(tmp_path / "pairs.csv", content), read_csv)


def test_lines_that_are_not_utf8_do_not_move_the_records(tmp_path):
    content = b'a,b\nc\xff,d\n"e\xff\nf,g",h\n"i\nj\xff",k\nl,"m"\n'
    path = written(tmp_path / "pairs.csv", content)
    assert table(path, read_csv, "skip")[1] == [(1, ("a", "b")), (7, ("l", "m"))]
    with pytest.raises(UserError, match=r"csv:2: not UTF-8 at byte 2.*csv:3: not UTF-8.*csv:6: not UTF-8.*3 .*lines"):
        table(path, read_csv)
    path = written(tmp_path / "pairs.tsv", b"a\tb\n\xff\tc\n" + b"\t" * 1000 + b"\nd\te\n")
    assert table(path, read_tsv, "skip")[1] == [(1, ("a", "b")), (4, ("d", "e"))]


def test_long_cells_are_read_and_the_limit_of_the_process_stays(tmp_path):
    before = csv.field_size_limit()
    long = "a" * (before + 1)
    path = written(tmp_path / "pairs.csv", f'"{long}",b\n' * 2)
    with open_file(path) as opened:
        for record in read_csv(opened, DataConfig(), BadLines("stop")).records:
            assert record.cells == (long, "b")
            assert csv.field_size_limit() == before


def test_a_quote_that_is_never_closed_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("wordseq.data.readers.delimited.MAX_LINE_BYTES", csv.field_size_limit())
    path = written(tmp_path / "pairs.csv", 'a,b\n"c,d\n' + ("e" * 1000 + ",f\n") * 200)
    with pytest.raises(UserError, match=r"csv:2: the quoted cell .* is not closed properly \(field larger than"):
        table(path, read_csv)


FRAGMENTS = [
    b'"',
    b'""',
    b"\t",
    b",",
    b";",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xff",
    b"sep=;\n",
    b"|||",
    "é".encode(),
    b" ",
]


@given(
    start=st.sampled_from([as_csv(TABLE), as_csv(TABLE, delimiter="\t"), LIBREOFFICE, EXCEL]),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 5), st.sampled_from(FRAGMENTS)), max_size=8),
)
def test_any_damage_gives_a_table_or_a_clear_error(folder, start, changes):
    content = start.encode()
    for place, removed, added in changes:
        content = content[:place] + added + content[place + removed :]
    path = written(folder / "damaged.csv", content)
    for reader in (read_tsv, read_quoted_tsv, read_csv):
        with contextlib.suppress(UserError):
            for record in table(path, reader)[1]:
                "".join(record.cells).encode()
    for judge in (is_tsv, is_quoted_tsv, looks_quoted, is_csv):
        assert judge(content) in (True, False)
