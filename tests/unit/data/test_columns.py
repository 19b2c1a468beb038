"""Source and target are found by the names of the columns, languages at their ends included."""

from pathlib import Path

import pytest

from wordseq.config.data import DataConfig
from wordseq.data.columns import Columns, choose, is_column_name
from wordseq.data.readers.table import FileTable, Record


def chosen(*rows: tuple[str, ...]) -> Columns:
    records = [Record(number, row) for number, row in enumerate(rows, 1)]
    return choose(FileTable("CSV", iter(())), records, Path("x.csv"), DataConfig())


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("key", "sentence_en", "speaker", "sentence_fr"), ("k1", "A cow.", "Ann", "Une vache.")], (True, 1, 3)),
        ([("id", "note", "text.de", "text.fr"), ("1", "n", "Eine Kuh.", "Une vache.")], (True, 2, 3)),
        # "id" is the code of Indonesian too.
        ([("sentence_id", "sentence_en", "translation"), ("1", "A cow.", "Une vache.")], (True, 1, 2)),
        ([("en", "fr"), ("cow", "vache"), ("dog", "chien")], (True, 0, 1)),
        # Slovene words, which are codes of languages too, in running text.
        ([("de", "da"), ("bi", "bi"), ("de", "da")], (False, 0, 1)),
        ([("k1", "A cow.", "Une vache."), ("k2", "A dog.", "Un chien.")], (False, 0, 1)),
    ],
)
def test_columns_of_languages(rows: list[tuple[str, ...]], expected: tuple[bool, int, int]) -> None:
    columns = chosen(*rows)
    assert (columns.header, columns.src, columns.tgt) == expected


@pytest.mark.parametrize(
    ("rows", "like"),
    [
        ([("English", "Klingon"), ("A cow.", "x y"), ("A dog.", "z y")], "'English' and 'Klingon'"),
        ([("de", "da"), ("bi", "bi"), ("de", "da")], ""),
        # Icelandic words and their sounds.
        ([("af", "aː v"), ("anna", "a nː a"), ("alls", "a l s")], ""),
    ],
)
def test_a_first_line_that_may_be_a_header(rows: list[tuple[str, ...]], like: str) -> None:
    columns = chosen(*rows)
    assert not columns.header
    assert columns.like_header == like


@pytest.mark.parametrize(
    ("cell", "known"), [("sentence_en", True), ("text.fr", True), ("cow_en", False), ("Hi fr", False)]
)
def test_a_name_with_a_language(cell: str, known: bool) -> None:
    assert is_column_name(cell) == known


def test_a_name_wins_over_a_number() -> None:
    """Columns may be called by years, or by the number of another column; names may differ by case alone."""
    records = [Record(1, ("2", "1", "3")), Record(2, ("a", "b", "c"))]
    data = DataConfig(src_column="2", tgt_column="3", header="yes")
    found = choose(FileTable("CSV", iter(())), records, Path("x.csv"), data)
    assert (found.src, found.tgt) == (0, 2)
    assert [found.names[k] for k in found.unused] == ["1"]
    records = [Record(1, ("EN", "en", "fr")), Record(2, ("a", "b", "c"))]
    data = DataConfig(src_column="en", tgt_column="FR", header="yes")
    found = choose(FileTable("CSV", iter(())), records, Path("x.csv"), data)
    assert (found.src, found.tgt) == (1, 2)
