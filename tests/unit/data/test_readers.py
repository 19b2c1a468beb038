"""Lines and pairs from every form of file; every fault with file and line."""

import bz2
import gzip
import lzma
import os
import zipfile
from collections import deque
from pathlib import Path

import pytest
import zstandard

from wordseq.config.data import DataConfig
from wordseq.data.layout import files_of
from wordseq.data.pairs import Row
from wordseq.data.readers import streams
from wordseq.data.readers.lines import BadLines, read_sentences
from wordseq.data.readers.parallel import read_parallel
from wordseq.data.sources import Origin
from wordseq.system.errors import UserError

TEXT = "A cow sings.\tUne vache chante.\nA cat.\tUn chat à moi.\n"
ROWS = [Row(1, "A cow sings.", "Une vache chante."), Row(2, "A cat.", "Un chat à moi.")]


def file(folder: Path, content: str | bytes, name: str = "pairs.tsv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def archive(folder: Path, *members: str) -> Path:
    path = folder / "pairs.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in members:
            packed.writestr(name, "" if name.endswith("/") else TEXT)
    return path


def pairs(path: Path, on_bad_line: str = "stop") -> list[Row]:
    return rows_of(BadLines(on_bad_line), path)


def rows_of(bad: BadLines, *files: Path) -> list[Row]:
    return list(Origin("test", {"train": [files]}).rows(DataConfig(), bad))


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.rstrip("\n"),
        "\ufeff" + TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\tCC-BY, by somebody\n"),
    ],
    ids=["plain", "no end", "byte-order mark", "CRLF", "three columns"],
)
def test_forms_of_text(tmp_path: Path, content: str) -> None:
    assert pairs(file(tmp_path, content)) == ROWS
    assert pairs(file(tmp_path, gzip.compress(content.encode()), "pairs.tsv.gz")) == ROWS


@pytest.mark.parametrize(
    "members",
    [["fra.txt"], ["_about.txt", "fra.txt"], ["sub/", "sub/fra.tsv", "sub/picture.png"], ["__MACOSX/fra.txt", "noend"]],
)
def test_the_text_member_of_an_archive_is_found(tmp_path: Path, members: list[str]) -> None:
    assert pairs(archive(tmp_path, *members)) == ROWS


def test_a_member_can_be_named(tmp_path: Path) -> None:
    path = archive(tmp_path, "a.txt", "sub/b.txt")
    assert pairs(path / "sub" / "b.txt") == ROWS
    with pytest.raises(UserError, match=r"no member c\.txt; it has a\.txt, sub/b\.txt"):
        pairs(path / "c.txt")
    with pytest.raises(UserError, match=r"expected one text member, found a\.txt, sub/b\.txt"):
        pairs(path)


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    odd = "a\u2028b\x85c\x0bd\x0ce\rf\x00g"
    assert pairs(file(tmp_path, f"{odd}\tx\n")) == [Row(1, odd, "x")]


def test_blank_lines_and_empty_columns_are_empty_sentences(tmp_path: Path) -> None:
    assert pairs(file(tmp_path, "a\tb\n\n\tc\nd\t\n \n")) == [
        Row(1, "a", "b"), Row(2, "", ""), Row(3, "", "c"), Row(4, "d", ""), Row(5, "", "")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"one column", "3: 1 column, expected 2"),
        (b"a\tb\tc\td", "3: 4 columns, expected 2"),
        (b"caf\xe9\tx", r"3: not UTF-8 at byte 4 of the line \(0xe9\)"),
    ],
)
def test_a_bad_line_is_named_or_left_out(tmp_path: Path, line: bytes, said: str) -> None:
    path = file(tmp_path, b"a\tb\nc\td\n" + line + b"\ne\tf\n")
    with pytest.raises(UserError, match=rf"pairs\.tsv:{said}.*1 bad line in all"):
        pairs(path)
    bad = BadLines("skip")
    assert [row.number for row in rows_of(bad, path)] == [1, 2, 4]
    assert bad.number == 1


def test_a_header_without_accents_does_not_hide_that_the_rest_is_in_another_encoding(tmp_path: Path) -> None:
    path = file(tmp_path, "id;en;fr\n1;Summer.;Été.\n2;School.;École.\n".encode("cp1252"), "pairs.csv")
    with pytest.raises(UserError, match=r"pairs\.csv:2: not UTF-8 .* probably cp125\d: data\.encoding = "):
        pairs(path)


def test_bad_lines_of_several_files_are_all_counted(tmp_path: Path) -> None:
    paths = [file(tmp_path, b"a\tb\n\xff\tc\nd\te\n", f"train-{k}.tsv") for k in range(3)]
    bad = BadLines("skip")
    rows = list(Origin("test", {"train": [(path,) for path in paths]}).rows(DataConfig(), bad))
    assert (len(rows), bad.number) == (6, 3)


def test_many_bad_lines_are_counted_and_three_are_shown(tmp_path: Path) -> None:
    path = file(tmp_path, "a\tb\n" + "bad\n" * 400 + "a\tb\n" * 1500 + "bad\n" * 800)
    with pytest.raises(UserError) as error:
        pairs(path)
    text = str(error.value)
    assert "tsv:2:" in text
    assert "tsv:4:" in text
    assert "tsv:5:" not in text
    assert "1,200 bad lines in all" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.tsv", b"", "the file is empty"),
        ("x.tsv", b"\xef\xbb\xbf", "the file is empty"),
        ("x.tsv.gz", gzip.compress(b"", mtime=0), "the file is empty"),
        ("x.tsv.gz", gzip.compress(os.urandom(100_000).hex().encode())[:-2000], "damaged"),
        ("x.tsv.gz", TEXT.encode(), r"damaged, or not a \.gz file"),
        ("x.zip", TEXT.encode(), r"damaged, or not a \.zip file"),
        ("x.tsv", TEXT.encode("utf-16-le"), "UTF-16 without its mark; .*data.encoding=utf-16-le"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = file(tmp_path, content, name)
    with pytest.raises(UserError, match=said) as error:
        pairs(path, "skip")
    assert str(path) in str(error.value)


LINES = b"".join(b"%d\t%s\n" % (k % 7, b"a" * 4000) for k in range(17_000))
"""Some 68 MB of pairs that shrink to less than a thousandth."""


def packed_as(path: Path, content: bytes) -> None:
    packers = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress, ".zst": zstandard.compress}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.tsv", content)
    else:
        path.write_bytes(packers[path.suffix](content))


@pytest.mark.parametrize(
    "name", ["x.tsv.zst", "x.zip", *(pytest.param(f"x.tsv.{k}", marks=pytest.mark.slow) for k in ("gz", "xz", "bz2"))]
)
def test_a_bomb_of_lines_is_refused_before_its_end(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    packed_as(path, LINES)
    rows = Origin("test", {"train": [(path,)]}).rows(DataConfig(), BadLines("stop"))
    with pytest.raises(UserError, match=r"unpacks to more than 250 times its size, which text does not") as error:
        deque(rows, maxlen=0)
    assert str(path) in str(error.value)


def test_a_large_bomb_is_refused_as_early_as_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BOMB_BYTES", 2**20)
    # Its end does not shrink, so that all of it together is no bomb.
    lines = gzip.compress((b"a\t" + b"b" * 4093 + b"\n") * 2**10)
    content = lines * 20 + gzip.compress(os.urandom(2**19).hex().encode())
    assert streams.BOMB_RATIO * len(content) > 80 * 2**20
    with pytest.raises(UserError, match="unpacks to more than"):
        pairs(file(tmp_path, content, "x.tsv.gz"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(gzip.compress(TEXT.encode())), "packed twice; unpack it once"),
        (lzma.compress(zstandard.compress(TEXT.encode())), "packed twice; unpack it once"),
        (gzip.compress(b"\0" * 2**21), "not text"),
    ],
    # gzip writes the time, and every process must collect the same names.
    ids=["gz of gz", "xz of zst", "zeros"],
)
def test_a_file_that_is_packed_twice_or_has_zeros(tmp_path: Path, content: bytes, said: str) -> None:
    for name in ("x.tsv.gz" if content.startswith(b"\x1f\x8b") else "x.tsv.xz", "x"):
        with pytest.raises(UserError, match=said):
            pairs(file(tmp_path, content, name))


def test_an_archive_whose_names_are_damaged(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("é.tsv", TEXT)
    path = file(tmp_path, (tmp_path / "x.zip").read_bytes().replace("é".encode(), b"\x92x"), "x.zip")
    with pytest.raises(UserError, match=r"damaged, .*a name in it is not UTF-8"):
        files_of(DataConfig(train=str(path)))


def test_an_archive_of_many_members(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(2001):
            packed.writestr(f"{number}.txt", b"")
    for data in (DataConfig(train=str(path)), DataConfig(train=str(path / "x.txt"))):
        with pytest.raises(UserError, match="more than 2,000 files") as error:
            list(Origin("x", files_of(data)).rows(data, BadLines("stop")))
        assert len(str(error.value)) < 500


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.tsv: no such file"):
        pairs(tmp_path / "nothing.tsv")
    with pytest.raises(UserError, match="a folder, expected a file"):
        pairs(tmp_path)


def test_parallel_files(tmp_path: Path) -> None:
    src, tgt = file(tmp_path, "a\tb\nc\n", "x.en"), file(tmp_path, gzip.compress(b"d\r\n\r\n"), "x.fr.gz")
    assert list(read_parallel(src, tgt, BadLines("stop"))) == [Row(1, "a\tb", "d"), Row(2, "c", "")]


@pytest.mark.parametrize(("left", "right"), [(3, 1200), (1200, 3)])
def test_parallel_files_of_unequal_length(tmp_path: Path, left: int, right: int) -> None:
    src, tgt = file(tmp_path, "a\n" * left, "x.en"), file(tmp_path, "b\n" * right, "x.fr")
    with pytest.raises(UserError, match=rf"x\.en has {left:,} lines, .*x\.fr has {right:,}"):
        list(read_parallel(src, tgt, BadLines("skip")))


def test_a_bad_line_of_parallel_files_is_left_out_of_both(tmp_path: Path) -> None:
    src, tgt = file(tmp_path, b"a\n\xff\nc\nd\n", "x.en"), file(tmp_path, b"1\n\xff\n\xff\n4\n", "x.fr")
    bad = BadLines("skip")
    assert rows_of(bad, src, tgt) == [Row(1, "a", "1"), Row(4, "d", "4")]
    assert bad.number == 2
    with pytest.raises(UserError, match=r"x\.en:2: not UTF-8.*x\.fr:2.*x\.fr:3.*2 bad lines in all"):
        rows_of(BadLines("stop"), src, tgt)


def test_sentences_are_unchanged_lines(tmp_path: Path) -> None:
    assert read_sentences(file(tmp_path, "a\tb\n\n c \r\n")) == ["a\tb", "", " c "]
    with pytest.raises(UserError, match="x:1: not UTF-8"):
        read_sentences(file(tmp_path, b"\xff\n", "x"))
