"""Source and target are found by the names of the columns, languages at their ends included."""

from pathlib import Path

import pytest

from wordseq.config.schema import DataConfig
from wordseq.data.columns import choose, is_column_name
from wordseq.data.readers.table import FileTable, Record


def chosen(*rows: tuple[str, ...]) -> tuple[bool, int, int]:
    records = [Record(number, row) for number, row in enumerate(rows, 1)]
    columns = choose(FileTable("CSV", iter(())), records, Path("x.csv"), DataConfig())
    return columns.header, columns.src, columns.tgt


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("key", "sentence_en", "speaker", "sentence_fr"), ("k1", "A cow.", "Ann", "Une vache.")], (True, 1, 3)),
        ([("id", "note", "text.de", "text.fr"), ("1", "n", "Eine Kuh.", "Une vache.")], (True, 2, 3)),
        # "id" is the code of Indonesian too.
        ([("sentence_id", "sentence_en", "translation"), ("1", "A cow.", "Une vache.")], (True, 1, 2)),
        ([("k1", "A cow.", "Une vache."), ("k2", "A dog.", "Un chien.")], (False, 0, 1)),
    ],
)
def test_columns_of_languages(rows: list[tuple[str, ...]], expected: tuple[bool, int, int]) -> None:
    assert chosen(*rows) == expected


@pytest.mark.parametrize(
    ("cell", "known"), [("sentence_en", True), ("text.fr", True), ("cow_en", False), ("Hi fr", False)]
)
def test_a_name_with_a_language(cell: str, known: bool) -> None:
    assert is_column_name(cell) == known
