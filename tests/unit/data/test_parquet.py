"""Parquet files as pyarrow and pandas write them: plain, nested, packed, damaged."""

import contextlib
import datetime
import gzip
import random
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wordseq.config.data import DataConfig
from wordseq.data.readers.json_lines import MAX_KEYS
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.parquet import is_parquet, read_parquet
from wordseq.data.readers.streams import open_file
from wordseq.system.errors import UserError

ROWS = [("a", "é"), ("b\n", None), ("", "😀")]


def write(path: Path, **columns) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def table(path: Path, on_bad_line="stop"):
    bad = BadLines(on_bad_line)
    with open_file(path) as opened:
        assert is_parquet(opened.head)
        found = read_parquet(opened, DataConfig(), bad)
        records = list(found.records)
    bad.check(len(records))
    return found, records


@pytest.fixture
def pairs(tmp_path):
    src, tgt = zip(*ROWS, strict=True)
    return write(tmp_path / "x.parquet", src=src, tgt=tgt)


def test_rows_are_records(pairs):
    found, records = table(pairs)
    assert (found.format, found.columns) == ("Parquet", ("src", "tgt"))
    assert records == [(1, ROWS[0]), (2, ROWS[1]), (3, ROWS[2])]


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_rows_are_counted_over_all_blocks_of_the_file(tmp_path, monkeypatch, rows):
    monkeypatch.setattr("wordseq.data.readers.parquet._ROWS", rows)
    raw = pa.array([b"a", b"b", b"c", b"\xff", b"d"], pa.binary())
    for more in ({}, {"more": [{"en": "x"}] * 5}):
        path = write(tmp_path / "x.parquet", src=raw, tgt=list("12345"), **more)
        assert [record.number for record in table(path, "skip")[1]] == [1, 2, 3, 5]
        with pytest.raises(UserError, match=r"x\.parquet:4: not UTF-8; 1 bad line"):
            table(path)


def test_a_packed_file(pairs, tmp_path, monkeypatch):
    packed = tmp_path / "y.parquet.gz"
    packed.write_bytes(gzip.compress(pairs.read_bytes()))
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(pairs, "sub/x.parquet")
    for path in (packed, tmp_path / "z.zip" / "sub" / "x.parquet"):
        assert [record.cells for record in table(path)[1]] == ROWS
    monkeypatch.setattr("wordseq.data.readers.parquet.MAX_PACKED_BYTES", 10)
    assert [record.cells for record in table(pairs)[1]] == ROWS
    with pytest.raises(UserError, match=r"y\.parquet\.gz: a packed Parquet file of more than 0 MiB; unpack it"):
        table(packed)


def test_structs_and_lists_are_named_as_in_json(tmp_path):
    struct = [{"en": "a", "more": {"fr": "b"}}, None, {"en": None, "more": None}]
    found, records = table(write(tmp_path / "x.parquet", id=[1, 2, 3], translation=struct))
    assert found.columns == ("id", "translation.en", "translation.more.fr")
    assert [record.cells for record in records] == [("1", "a", "b"), ("2", None, None), ("3", None, None)]
    lists = [["a"], None, ["b", "c"]]
    found, records = table(write(tmp_path / "x.parquet", tgts=lists, src=["x", "y", "z"]))
    assert found.columns == ("tgts.0", "src", "tgts.1")
    assert records == [(1, ("a", "x", None)), (2, (None, "y", None)), (3, ("b", "z", "c"))]


def test_values_that_are_no_texts(tmp_path):
    day = datetime.date(2024, 2, 29)
    frame = pd.DataFrame(
        {"a": pd.Categorical(["x", "y"]), "b": [1.5, float("nan")], "c": [True, False], "d": [day, None]}
    )
    frame.to_parquet(tmp_path / "x.parquet")
    cells = [record.cells for record in table(tmp_path / "x.parquet")[1]]
    assert cells == [("x", "1.5", "true", "2024-02-29"), ("y", None, "false", None)]


def test_bytes_that_are_not_utf8_are_a_bad_row(tmp_path):
    raw = pa.array([b"a", b"\xff", None, "é".encode()], pa.binary())
    for column in (raw, raw.view(pa.string())):
        path = write(tmp_path / "x.parquet", src=column, tgt=["1", "2", "3", "4"])
        assert table(path, "skip")[1] == [(1, ("a", "1")), (3, (None, "3")), (4, ("é", "4"))]
        with pytest.raises(UserError, match=r"x\.parquet:2: not UTF-8; 1 bad line"):
            table(path)


def test_pyarrow_that_is_not_installed_is_named(pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"x\.parquet: Parquet files need pyarrow.*: pip install pyarrow$"):
        table(pairs)


def test_too_many_columns(tmp_path):
    path = write(tmp_path / "x.parquet", **{f"c{number}": ["a"] for number in range(MAX_KEYS + 1)})
    with pytest.raises(UserError, match="1,001 columns, at most 1,000 are allowed"):
        table(path)


@pytest.mark.parametrize("size", [4, 12, 200])
def test_a_file_that_is_cut_off(pairs, size):
    pairs.write_bytes(pairs.read_bytes()[:size])
    with pytest.raises(UserError, match=r"x\.parquet: damaged or encrypted, pyarrow cannot read it: \S"):
        table(pairs)


def test_any_damage_gives_a_table_or_a_clear_error(pairs):
    content, draw = pairs.read_bytes(), random.Random(1)
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(draw.randint(1, 3)):
            damaged[draw.randrange(4, len(damaged))] = draw.randrange(256)
        pairs.write_bytes(damaged)
        with contextlib.suppress(UserError):
            table(pairs, "skip")
