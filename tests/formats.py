"""Small files of every format, encoding, line end, compression and layout, each with the same 50 pairs or a fault.

The table of docs/reference/formats.md is made from them; tests/system/fuzz.py damages them. After a change:

    python -m tests.formats

writes the table again.
"""

import bz2
import csv
import gzip
import io
import itertools
import json
import lzma
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import polib
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from translate.storage.csvl10n import csvfile
from translate.storage.po import pofile
from translate.storage.tmx import tmxfile

from tests.runs import ROOT
from wordseq.config.data import DataConfig
from wordseq.data.layout import files_of
from wordseq.data.pairs import Pair
from wordseq.data.readers.lines import BadLines
from wordseq.data.sources import Origin, Reading
from wordseq.system.errors import UserError

PAGE = ROOT / "docs" / "reference" / "formats.md"
START, END = "<!-- files: written by python -m tests.formats -->", "<!-- end of files -->"
COMMITTED = ROOT / "tests" / "data" / "formats"
"""Files that LibreOffice wrote; see the README there."""

_SUBJECTS = (
    ("The teacher", "Le maître", "Учитель", "老师"),
    ("My sister", "Ma sœur", "Моя сестра", "我姐姐"),
    ("The old man", "Le vieil homme", "Старик", "老人"),
    ("Her dog", "Son chien", "Её собака", "她的狗"),
    ("Our neighbour", "Notre voisin", "Наш сосед", "我们的邻居"),
    ("The child", "L’enfant", "Ребёнок", "孩子"),
    ("A student", "Un étudiant", "Один студент", "一个学生"),
    ("The doctor", "Le médecin", "Врач", "医生"),
    ("Somebody", "Quelqu’un", "Кто-то", "有人"),
    ("The girl", "La fille", "Девочка", "女孩"),
)
_PREDICATES = (
    ("sleeps.", "dort.", "спит.", "在睡觉。"),
    ('says "no", then leaves.', 'dit "non", puis s’en va.', "говорит «нет», потом уходит.", "说“不”，然后走了。"),
    ("is not at home; wait.", "n’est pas là ; attendez.", "не дома; подождите.", "不在家；请等一下。"),
    (
        "eats an apple, a pear and bread.",
        "mange une pomme, une poire et du pain.",
        "ест яблоко и хлеб.",
        "吃苹果、梨和面包。",
    ),
    ("went to the market yesterday!", "est allé au marché hier !", "был вчера на рынке!", "昨天去了市场！"),
)


def _pairs(language: int) -> list[Pair]:
    joint = "" if language == 3 else " "
    texts = itertools.product(_SUBJECTS, _PREDICATES)
    return [Pair(f"{who[0]} {does[0]}", f"{who[language]}{joint}{does[language]}") for who, does in texts]


FRENCH, RUSSIAN, CHINESE = _pairs(1), _pairs(2), _pairs(3)
SPACED = [Pair(*(text.replace(" ", "\t", 1) if k % 5 == 1 else text for text in pair)) for k, pair in enumerate(FRENCH)]
"""With a TAB in the texts of ten pairs, for formats that can hold it."""
BROKEN = [Pair(*(text.replace(", ", ",\n") for text in pair)) for pair in SPACED]
"""With line breaks too."""


class Outcome(NamedTuple):
    """What became of a file: its pairs, and the line that was printed about it; or its error."""

    pairs: list[Pair]
    line: str
    refused: bool


@dataclass(frozen=True)
class FormatCase:
    """A file or folder to read.

    Attributes:
        name: what stands for data.train, relative to the folder.
        kind: what it is, for the table.
        files: writes the files into a folder.
        settings: of [data].
        pairs: what has to be read.
        refused: part of the expected error; empty if it is read.
    """

    name: str
    kind: str
    files: Callable[[Path], object]
    settings: Mapping[str, str] = field(default_factory=dict)
    pairs: Sequence[Pair] = field(default_factory=lambda: FRENCH)
    refused: str = ""

    def data(self, folder: Path) -> DataConfig:
        """The settings to read it with."""
        return DataConfig(train=",".join(str(folder / name) for name in self.name.split(",")), **self.settings)


def read(data: DataConfig, folder: Path) -> Outcome:
    """Read all parts that the settings name, as a training does."""
    reading, pairs = Reading(), []
    try:
        origin = Origin(data.train, files_of(data))
        for part in origin.parts:
            pairs += [Pair(row.src, row.tgt) for row in origin.rows(data, BadLines("stop"), part, reading)]
    except UserError as error:
        return Outcome(pairs, str(error).replace(f"{folder}/", "").replace(str(folder), "."), True)
    return Outcome(pairs, reading.lines[0].replace(f"{folder}/", "").partition(": ")[2], False)


def table() -> str:
    """The table of the page."""
    lines = ["| File | What it is | Settings | What is printed |", "| --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as name:
        for number, case in enumerate(CASES):
            folder = Path(name) / str(number)
            folder.mkdir()
            case.files(folder)
            found = read(case.data(folder), folder)
            settings = ", ".join(f"`{key}={value}`" for key, value in case.settings.items())
            said = _code(f"error: {found.line}" if found.refused else found.line)
            lines.append(f"| {_code(case.name)} | {case.kind} | {settings} | {said} |")
    return "\n".join(lines)


def _code(text: str) -> str:
    # A bar ends a cell even between backquotes.
    return f"`{text}`".replace("|", "\\|")


def with_table(page: str) -> str:
    """The page with the table of today."""
    before, _, rest = page.partition(START)
    return f"{before}{START}\n{table()}\n{END}{rest.partition(END)[2]}"


# Writers of files.


def _raw(name: str, content: str | bytes, encoding: str = "utf-8") -> Callable[[Path], object]:
    raw = content.encode(encoding) if isinstance(content, str) else content

    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)

    return write


def _several(*writers: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: [write(folder) for write in writers]


def _zipped(name: str, write: Callable[[Path], object]) -> Callable[[Path], object]:
    def packed(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as inside, zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as file:
            write(Path(inside))
            for path in sorted(Path(inside).rglob("*")):
                file.write(path, path.relative_to(inside))

    return packed


def _tsv(rows: Sequence[Sequence[object]] = FRENCH, end: str = "\n") -> str:
    return "".join("\t".join(map(str, row)) + end for row in rows)


def _csv(rows: Sequence[Sequence[object]], **form: object) -> str:
    text = io.StringIO()
    csv.writer(text, **form).writerows(rows)  # type: ignore[arg-type]
    return text.getvalue()


def _texts(side: int, pairs: Sequence[Pair] = FRENCH, end: str = "\n") -> str:
    return "".join(pair[side] + end for pair in pairs)


def _frame() -> pd.DataFrame:
    return pd.DataFrame({"en": [pair.src for pair in BROKEN], "fr": [pair.tgt for pair in BROKEN]})


def _hub() -> list[dict[str, object]]:
    return [{"id": str(k), "translation": {"en": pair.src, "fr": pair.tgt}} for k, pair in enumerate(BROKEN)]


def _json_lines(values: Sequence[object]) -> str:
    return "".join(json.dumps(value, ensure_ascii=k % 2 == 0) + "\n" for k, value in enumerate(values))


def _tmx() -> bytes:
    store = tmxfile(sourcelanguage="en", targetlanguage="fr")
    for pair in BROKEN:
        store.addtranslation(pair.src, "en", pair.tgt, "fr")
    return bytes(store)


def _tmx_of_three() -> str:
    units = (
        "".join(
            f'<tuv xml:lang="{code}"><seg>{text}</seg></tuv>'
            for code, text in zip(("en", "fr", "ru"), texts, strict=True)
        )
        for texts in ((french.src, french.tgt, russian.tgt) for french, russian in zip(FRENCH, RUSSIAN, strict=True))
    )
    body = "\n".join(f"<tu>{unit}</tu>" for unit in units)
    return f'<?xml version="1.0"?>\n<tmx version="1.4"><header srclang="en"/><body>\n{body}\n</body></tmx>\n'


def _po() -> bytes:
    store = pofile()
    store.updateheader(add=True, Content_Type="text/plain; charset=UTF-8", Language="fr")
    for pair in BROKEN:
        store.addsourceunit(pair.src).target = pair.tgt
    return bytes(store)


def _catalogue(pairs: Sequence[Pair], language: str = "fr") -> polib.POFile:
    catalogue = polib.POFile()
    catalogue.metadata = {"Content-Type": "text/plain; charset=UTF-8", "Language": language}
    catalogue.extend(polib.POEntry(msgid=pair.src, msgstr=pair.tgt) for pair in pairs)
    return catalogue


def _plurals() -> str:
    """Messages with two forms each, which are two pairs, a context, and entries that are left out."""
    catalogue = polib.POFile()
    catalogue.metadata = {"Content-Type": "text/plain; charset=UTF-8", "Language": "fr"}
    for one, many in zip(FRENCH[::2], FRENCH[1::2], strict=True):
        forms = {0: one.tgt, 1: many.tgt}
        catalogue.append(polib.POEntry(msgid=one.src, msgid_plural=many.src, msgstr_plural=forms, msgctxt="menu"))
    catalogue.append(polib.POEntry(msgid="draft", msgstr="brouillon", flags=["fuzzy"]))
    catalogue.append(polib.POEntry(msgid="gone", msgstr="parti", obsolete=True))
    catalogue.append(polib.POEntry(msgid="todo", msgstr=""))
    return str(catalogue)


def _translate_csv() -> bytes:
    store = csvfile(fieldnames=["location", "source", "target"])
    for pair in FRENCH:
        store.addsourceunit(pair.src).target = pair.tgt
    return bytes(store)


def _parts(form: Callable[[Sequence[Pair]], str], name: str) -> Callable[[Path], object]:
    cut = {"train": FRENCH[:40], "dev": FRENCH[40:45], "test": FRENCH[45:]}
    return _several(*(_raw(name.format(part), form(pairs)) for part, pairs in cut.items()))


def _tar(folder: Path) -> None:
    with tarfile.open(folder / "pairs.tar.gz", "w:gz") as packed:
        content = _tsv().encode()
        member = tarfile.TarInfo("pairs.tsv")
        member.size = len(content)
        packed.addfile(member, io.BytesIO(content))


def _file(
    name: str,
    kind: str,
    content: str | bytes,
    stored: str = "utf-8",
    *,
    refused: str = "",
    pairs: Sequence[Pair] = FRENCH,
    **settings: str,
) -> FormatCase:
    return FormatCase(name, kind, _raw(name, content, stored), settings, pairs, refused)


def _by_libreoffice(name: str, kind: str, refused: str = "", **settings: str) -> FormatCase:
    return _file(name, f"LibreOffice: {kind}", (COMMITTED / name).read_bytes(), refused=refused, **settings)


_HEADER = ("English", "French")
_EXCEL = _csv([_HEADER, *FRENCH], dialect="excel-tab")
_SEMICOLONS = _csv([_HEADER, *SPACED], delimiter=";", quoting=csv.QUOTE_ALL)
_SEP = "sep=;\r\n" + _csv(FRENCH, delimiter=";")
_TATOEBA = [(1276 + k, pair.src, 373000 + k, pair.tgt) for k, pair in enumerate(FRENCH)]
_NUMBERED = [(k, src, tgt) for k, src, _, tgt in _TATOEBA]
_MANY_THINGS = [(*pair, f"CC-BY 2.0 (France) Attribution: tatoeba.org #{k}") for k, pair in enumerate(FRENCH)]
_INFLECTION = [(f"chanter{k}", f"chanterai{k}", f"V;1;SG;FUT;{k % 3}") for k in range(50)]
_INFLECTED = [Pair(*row[:2]) for row in _INFLECTION]
_WIDE_HEADER = ("key", "sentence_en", "speaker", "sentence_fr")
_WIDE = [_WIDE_HEADER, *((f"k{k}", pair.src, f"Speaker {k}", pair.tgt) for k, pair in enumerate(FRENCH))]
_NOTES = [(k, f"note {k}", *pair) for k, pair in enumerate(FRENCH)]
_HUB_PARQUET = io.BytesIO()
pq.write_table(pa.Table.from_pylist(_hub()), _HUB_PARQUET)
_THREE = _tmx_of_three()
_ENTITIES = '<!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><tmx version="1.4"><body/></tmx>'
_ONE_SIDE = "".join(f"{pair.src}\n" for pair in FRENCH)
_TWO = _several(_raw("a.en", _texts(0)), _raw("a.fr", _texts(1, end="\r\n")))
_UNEQUAL = _several(_raw("a.en", _texts(0)), _raw("a.fr", _texts(1, FRENCH[1:])))
_OPUS = _several(
    _raw("Books.en-fr.en", _texts(0)),
    _raw("Books.en-fr.fr", _texts(1)),
    _raw("README", "Corpus"),
    _raw("LICENSE", "CC"),
)
_PACKED_CSV = _zipped("one.zip", _raw("one.csv", _csv(FRENCH)))
_MOSES = _several(
    _parts(lambda pairs: _texts(0, pairs), "moses/{}.en"), _parts(lambda pairs: _texts(1, pairs), "moses/{}.fr")
)
_CATALOGUES = _several(
    _raw("fr/a.mo", _catalogue(FRENCH[:20]).to_binary()),
    _raw("fr/LC_MESSAGES/b.mo", _catalogue(FRENCH[20:]).to_binary()),
)
_LANGUAGES = _several(_raw("all/fr.po", str(_catalogue(FRENCH))), _raw("all/ru.po", str(_catalogue(RUSSIAN, "ru"))))
_DOWNLOADS = _several(_raw("downloads/fra.txt", _tsv()), _zipped("downloads/rus.zip", _raw("rus.txt", _tsv(RUSSIAN))))

CASES = (
    _file("pairs.tsv", "TSV, UTF-8, LF", _tsv()),
    _file("crlf.tsv", "TSV, CR LF", _tsv(end="\r\n")),
    _file("cr.tsv", "TSV, CR alone", _tsv(end="\r")),
    _file("mark.tsv", "TSV, UTF-8 with a byte-order mark", _tsv(), "utf-8-sig"),
    _file("header.tsv", "TSV with a header", _tsv([_HEADER, *FRENCH])),
    _file("pairs", "TSV without a suffix", _tsv()),
    _file("unicode.txt", "Excel's Unicode text: UTF-16, CR LF, quotes; by Python's csv", _EXCEL, "utf-16"),
    _file("be.tsv", "TSV, UTF-16 big-endian with mark", "\ufeff" + _tsv(), "utf-16-be"),
    _file("utf32.tsv", "TSV, UTF-32 with mark", _tsv(), "utf-32"),
    _file("nomark.tsv", "TSV, UTF-16 without mark", _tsv(), "utf-16-le", refused="data.encoding=utf-16-le"),
    _file("nomark.tsv", "the same", _tsv(), "utf-16-le", encoding="utf-16-le"),
    _file("latin.tsv", "TSV, Windows-1252", _tsv(), "cp1252", refused="data.encoding = 'cp1252'"),
    _file("latin.tsv", "the same", _tsv(), "cp1252", encoding="cp1252"),
    _file("russian.tsv", "TSV, Windows-1251", _tsv(RUSSIAN), "cp1251", refused="data.encoding = 'cp1251'"),
    _file("russian.tsv", "the same", _tsv(RUSSIAN), "cp1251", pairs=RUSSIAN, encoding="cp1251"),
    _file("chinese.tsv", "TSV, GB 18030", _tsv(CHINESE), "gb18030", refused="data.encoding = 'gb18030'"),
    _file("chinese.tsv", "the same", _tsv(CHINESE), "gb18030", pairs=CHINESE, encoding="gb18030"),
    _file("fra.txt", "pairs of Tatoeba with attribution, as manythings.org has them", _tsv(_MANY_THINGS)),
    _file("export.tsv", "Tatoeba's export: number, text, number, text", _tsv(_TATOEBA)),
    _file("three.tsv", "number, text, text", _tsv(_NUMBERED)),
    _file("inflection.tsv", "lemma, form, features", _tsv(_INFLECTION), pairs=_INFLECTED),
    _file("pandas.tsv", "pandas, `to_csv` with TABs", _frame().to_csv(sep="\t", index=False), pairs=BROKEN),
    _file("pandas.csv", "pandas, `to_csv` with its index", _frame().to_csv(), pairs=BROKEN),
    _file("pairs.csv", "CSV by Python's csv, no header", _csv(BROKEN), pairs=BROKEN),
    _file("semicolons.csv", "CSV, semicolons, all fields quoted", _SEMICOLONS, pairs=SPACED),
    _file("sep.csv", "CSV with Excel's line `sep=;`", _SEP, "cp1252", encoding="cp1252"),
    _file("bars.csv", "CSV with bars", _csv(FRENCH, delimiter="|")),
    _file("toolkit.csv", "translate-toolkit's CSV", _translate_csv()),
    _file("wide.csv", "CSV of four columns", _csv(_WIDE), src_column="sentence_en", tgt_column="sentence_fr"),
    _file("wide.csv", "the same", _csv(_WIDE)),
    _file("notes.csv", "number, three texts", _csv(_NOTES), refused="data.src_column and data.tgt_column"),
    _by_libreoffice("comma.csv", "commas"),
    _by_libreoffice("semicolon.csv", "semicolons, Windows-1252", encoding="cp1252"),
    _by_libreoffice("quoted.csv", "all texts quoted"),
    _by_libreoffice("tabs.txt", "TABs, UTF-16"),
    _by_libreoffice("sheet.ods", "spreadsheet", "save the table as CSV"),
    _by_libreoffice("sheet.xlsx", "Excel workbook", "save the table as CSV"),
    _by_libreoffice("sheet.xls", "Excel 97 workbook", "save it as CSV"),
    _file(
        "pandas.jsonl",
        "pandas, `to_json` with `lines=True`",
        _frame().to_json(orient="records", lines=True),
        pairs=BROKEN,
    ),
    _file("hub.jsonl", "JSON Lines as on the Hugging Face hub", _json_lines(_hub()), pairs=BROKEN),
    _file("arrays.jsonl", "JSON Lines of arrays", _json_lines(BROKEN), pairs=BROKEN),
    _file("pandas.json", "pandas, `to_json`", _frame().to_json(orient="records"), pairs=BROKEN),
    _file("toolkit.tmx", "translate-toolkit's TMX", _tmx(), pairs=BROKEN),
    _file("utf16.tmx", "the same in UTF-16", _tmx().decode(), "utf-16", pairs=BROKEN),
    _file("three.tmx", "TMX of three languages", _THREE, refused="source and target are not clear"),
    _file("three.tmx", "the same", _THREE, pairs=RUSSIAN, src_lang="en", tgt_lang="ru"),
    _file("entities.tmx", "TMX with entities", _ENTITIES, refused="declares the entity"),
    _file("toolkit.po", "translate-toolkit's PO", _po(), pairs=BROKEN),
    _file("plurals.po", "polib's PO: plural forms, contexts, fuzzy and obsolete entries", _plurals()),
    _file("polib.mo", "polib's MO", _catalogue(BROKEN).to_binary(), pairs=sorted(BROKEN)),
    _file("pandas.parquet", "pandas, `to_parquet`", _frame().to_parquet(), pairs=BROKEN),
    _file("hub.parquet", "Parquet as on the Hugging Face hub, by pyarrow", _HUB_PARQUET.getvalue(), pairs=BROKEN),
    FormatCase("a.en,a.fr", "two parallel files", _TWO),
    FormatCase("a.en,a.fr", "two files of 50 and 49 lines", _UNEQUAL, refused="must have the same number"),
    FormatCase(
        "en-fr.txt.zip", "archive as OPUS has them: two files, README, LICENSE", _zipped("en-fr.txt.zip", _OPUS)
    ),
    FormatCase(
        "all.zip", "a folder with train, dev and test, packed", _zipped("all.zip", _parts(_tsv, "corpus/{}.tsv"))
    ),
    FormatCase("one.zip", "a CSV file, packed", _PACKED_CSV),
    FormatCase("splits", "a folder with train, dev and test", _parts(_json_lines, "splits/{}.jsonl")),
    FormatCase("moses", "a folder with two files for each part", _MOSES),
    FormatCase("fr", "a folder of catalogues", _CATALOGUES, pairs=[*sorted(FRENCH[20:]), *sorted(FRENCH[:20])]),
    FormatCase("all", "a folder of catalogues in two languages", _LANGUAGES, refused="a catalogue in ru, but"),
    FormatCase("downloads", "a folder with a file and an archive", _DOWNLOADS, refused="name one: data.train="),
    _file("pairs.tsv.gz", "gzip", gzip.compress(_tsv().encode(), mtime=0)),
    _file("pairs.csv.xz", "xz", lzma.compress(_csv(FRENCH).encode())),
    _file("pairs.jsonl.bz2", "bzip2", bz2.compress(_json_lines(FRENCH).encode())),
    _file("pairs.tmx.zst", "Zstandard", zstandard.compress(_tmx()), pairs=BROKEN),
    FormatCase("pairs.tar.gz", "a tar archive", _tar, refused="a tar archive; unpack it"),
    FormatCase("two.zip", "an archive of an archive", _zipped("two.zip", _PACKED_CSV), refused="an archive; unpack it"),
    _file("book.pdf", "a PDF file", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", refused="copy its text into a table"),
    _file("one.txt", "one text on each line", _ONE_SIDE, refused="one column"),
    _file("empty.tsv", "an empty file", b"", refused="the file is empty"),
)
"""In the order of the table."""


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
