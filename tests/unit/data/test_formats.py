"""Small files of every format are read to the same 50 pairs, or refused with the expected line; the docs' table says so."""

from pathlib import Path

import pytest

from tests.formats import BROKEN, CASES, FRENCH, PAGE, FormatCase, read, with_table
from wordseq.data.sources import FORMATS


def test_the_files_are_of_every_format() -> None:
    assert len(CASES) >= 40
    assert len(FRENCH) == len(set(FRENCH)) == 50
    assert any("\t" in pair.src and "\n" in pair.tgt for pair in BROKEN)
    suffixes = {Path(case.name).suffix for case in CASES}
    assert all(suffixes & set(form.suffixes) for form in FORMATS.values())


@pytest.mark.parametrize("case", CASES, ids=[f"{case.name}-{'-'.join(case.settings.values())}" for case in CASES])
def test_a_file_is_read_or_refused(case: FormatCase, tmp_path: Path) -> None:
    case.files(tmp_path)
    found = read(case.data(tmp_path), tmp_path)
    assert found.refused == bool(case.refused), found.line
    assert "\n" not in found.line
    if case.refused:
        assert case.refused in found.line
    else:
        assert found.pairs == list(case.pairs)


def test_the_table_of_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page) == page, "run `python -m tests.formats`"
