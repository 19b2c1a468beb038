"""A column of features: found by its setting in every format that has columns, refused in the others; splits are by word."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.runs import some_pairs
from wordseq.batches.prepare import Prepared, prepare_corpus
from wordseq.batches.preview import preview
from wordseq.config.data import DataConfig
from wordseq.config.load import load_config
from wordseq.data.cleaning import Counts, clean
from wordseq.data.columns import choose
from wordseq.data.pairs import Pair, Row
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.table import FileTable, Record
from wordseq.data.sources import Reading, find_origin
from wordseq.data.splits import group_key
from wordseq.system.errors import UserError

NAMES = ("lemma", "form", "msd")
ROWS = [("gehen", "ging", "V;PST"), ("Haus", "Häuser", "N; PL"), ("so", "so", ""), ("A B", "c", "X")]
FEATURES = {"features_column": "3"}


def mute(_: str) -> None:
    pass


def written(path: Path, rows: Any = ROWS) -> Path:
    """The rows in the format of the name."""
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in rows)
    elif path.suffix == ".json":
        text = json.dumps([dict(zip(NAMES, row, strict=True)) for row in rows])
    else:
        between = {".tsv": "\t", ".csv": ","}[path.suffix]
        text = "".join(
            between.join(f'"{cell}"' if path.suffix == ".csv" else cell for cell in row) + "\n" for row in rows
        )
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path | str, **settings: Any) -> tuple[list[tuple[str, ...]], str]:
    """The rows, and the line on the file."""
    data = load_config(None, (), {"data.train": str(path), **{f"data.{k}": v for k, v in settings.items()}}).data
    reading = Reading()
    rows = list(find_origin(data, say=mute).rows(data, BadLines(data.on_bad_line), "train", reading))
    return [row[1:] for row in rows], reading.lines[0]


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".json"])
def test_every_format_of_columns_has_features(tmp_path: Path, suffix: str) -> None:
    rows, line = read(written(tmp_path / f"x{suffix}"), **FEATURES)
    assert rows == ROWS
    assert "features: column 3" in line


def test_parquet_has_features(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))
    pq.write_table(pa.table({**columns, "msd": [*columns["msd"][:-1], None]}), tmp_path / "x.parquet")
    rows, line = read(tmp_path / "x.parquet", features_column="msd", on_bad_line="skip")
    assert rows == ROWS[:-1]
    assert line.endswith("source: column 1 ('lemma'), target: column 2 ('form'), features: column 3 ('msd')")


@pytest.mark.parametrize("column", ["3", "msd", "MSD"])
def test_features_are_called_by_number_or_name(tmp_path: Path, column: str) -> None:
    path = written(tmp_path / "x.tsv", [NAMES, *ROWS])
    rows, line = read(path, features_column=column)
    assert rows == ROWS
    assert "header in line 1; source: column 1 ('lemma'), target: column 2 ('form'), features: column 3 ('msd')" in line
    assert read(path, src_column="form", tgt_column="msd", features_column="lemma")[0] == [
        (form, msd, lemma) for lemma, form, msd in ROWS
    ]


def test_the_other_two_of_three_columns_are_source_and_target(tmp_path: Path) -> None:
    rows = [(lemma, features, form) for lemma, form, features in ROWS]
    found, line = read(written(tmp_path / "x.tsv", rows), features_column="2")
    assert found == ROWS
    assert line == "x.tsv: TSV; source: column 1, target: column 3, features: column 2"
    # The target is words here: nothing looks exchanged.
    assert exchanged(tmp_path / "x.tsv", features_column="2") == []
    found, line = read(written(tmp_path / "y.tsv", [(*row, str(k)) for k, row in enumerate(rows)]), features_column="2")
    assert found == ROWS
    assert "not used: column 4, e.g. '0' (the only two with text)" in line


def exchanged(path: Path, **settings: Any) -> list[str]:
    """The warnings."""
    data = load_config(None, (), {"data.train": str(path), **{f"data.{k}": v for k, v in settings.items()}}).data
    reading = Reading()
    list(find_origin(data, say=mute).rows(data, BadLines("stop"), "train", reading))
    return reading.warnings


def test_a_target_that_looks_like_features_is_a_warning(tmp_path: Path) -> None:
    path = written(tmp_path / "x.tsv", [("gehen", "ging", "V;PST"), ("Haus", "Häuser", "N;PL")])
    assert exchanged(path, features_column="2") == [
        "x.tsv: the target, column 3, looks like features, and column 2, the features, does not; if they are exchanged, set "
        "data.features_column=3"
    ]
    # Right, or meant: the target is named.
    assert exchanged(path, features_column="3") == []
    assert exchanged(path, features_column="2", src_column="1", tgt_column="3") == []


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"features_column": "tags"}, "data.features_column = 'tags': no such column; the columns are 1 .*, 3 "),
        ({"features_column": "4"}, "data.features_column = '4': no such column"),
        (
            {"features_column": "2", "src_column": "1", "tgt_column": "2"},
            "data.features_column = '2' is the column of the target too; the columns are",
        ),
        ({"features_column": "1", "src_column": "1", "tgt_column": "2"}, "is the column of the source too"),
    ],
)
def test_columns_that_do_not_go_together(tmp_path: Path, settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read(written(tmp_path / "x.tsv"), **settings)


def test_two_columns_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"2 columns; expected a source, a target and their features"):
        read(written(tmp_path / "x.tsv", [row[:2] for row in ROWS]), features_column="2")


def test_a_missing_cell_is_a_bad_line_and_an_empty_one_means_no_features(tmp_path: Path) -> None:
    path = written(tmp_path / "x.tsv", [*ROWS * 3, ("a", "b"), ("a", "b", "")])
    with pytest.raises(UserError, match=r"x\.tsv:13: 2 columns, expected 3"):
        read(path, **FEATURES)
    assert read(path, on_bad_line="skip", **FEATURES)[0] == [*ROWS * 3, ("a", "b", "")]
    path = written(tmp_path / "x.jsonl", [*ROWS * 3, ("a", "b", None)])
    with pytest.raises(UserError, match=r"x\.jsonl:13: no msd"):
        read(path, **FEATURES)


def test_what_has_no_columns_is_refused(tmp_path: Path) -> None:
    for name in ("a.de", "a.en"):
        (tmp_path / name).write_text("a\nb\n")
    (tmp_path / "x.po").write_text('msgid "a"\nmsgstr "b"\n')
    units = "".join(f'<tuv xml:lang="{code}"><seg>a</seg></tuv>' for code in ("de", "en"))
    (tmp_path / "x.tmx").write_text(f'<tmx version="1.4"><header/><body><tu>{units}</tu></body></tmx>')
    for name, form in ((f"{tmp_path}/a.de,{tmp_path}/a.en", "parallel files"), ("x.po", "PO"), ("x.tmx", "TMX 1.4")):
        path = name if "," in name else tmp_path / name
        languages = {"src_lang": "de", "tgt_lang": "en"} if "tmx" in name else {}
        with pytest.raises(
            UserError, match=rf"data\.features_column = '3', but {form}.* have no such column; features are"
        ):
            read(path, **FEATURES, **languages)
    with pytest.raises(
        UserError, match=r"copy: data\.features_column = '3', but synthetic corpora have no such column"
    ):
        list(
            find_origin(DataConfig(corpus="copy")).rows(
                DataConfig(corpus="copy", features_column="3"), BadLines("stop")
            )
        )


@pytest.mark.parametrize(
    ("rows", "hint"),
    [
        (ROWS, None),
        ([("gehen", "ging", "V;PST"), ("so", "so", "ADV"), ("sehen", "sah", "V;PST;SG")], 3),
        ([("source", "target", "tags"), ("a", "b", "x"), ("c", "d", "y")], 3),
        ([("a", "b", "CC-BY 2.0; by Ann"), ("c", "d", "CC-BY 2.0; by Bob")], None),
    ],
)
def test_columns_that_may_have_features_are_named(rows: list[tuple[str, ...]], hint: int | None) -> None:
    """Half of them have tags, or the name says so; texts are none."""
    records = [Record(number, row) for number, row in enumerate(rows, 1)]
    described = choose(FileTable("TSV", iter(())), records, Path("x.tsv"), DataConfig()).describe()
    said = f"data.features_column={hint} takes column {hint} as features)"
    assert (said in described) == bool(hint)
    assert ("data.features_column" in described) == bool(hint)


def test_cleaning_counts_words_and_keeps_features_as_they_are() -> None:
    data = DataConfig(features_column="3", max_chars=4, lowercase=True, features_separator="|")
    rows = [
        ("Ab", "C", "V| PST||"),
        ("abcde", "c", ""),
        ("", "c", "V"),
        ("abcd", "c", "LONG|FEATURES"),
        ("AB", "c", "V|PST"),
    ]
    counts = Counts()
    found = list(clean((Row(k, *row) for k, row in enumerate(rows)), data, counts, set()))
    assert found == [Pair("ab\tV|PST", "c"), Pair("abcd\tLONG|FEATURES", "c")]
    assert (counts.empty, counts.too_long, counts.duplicates) == (1, 1, 1)
    assert counts.normalised["empty features"] == 2
    # Without a column a TAB of a text is white space, as ever.
    assert list(clean([Row(1, "a\tb", "c")], DataConfig(), Counts(), None)) == [Pair("a b", "c")]


def test_empty_symbols_are_dropped_and_counted() -> None:
    counts = Counts()
    data = DataConfig(src_separator=" @@", tgt_separator="|")
    rows = [Row(1, "a @@ @@b c", "|a||b|"), Row(2, "a|b", "|"), Row(3, "a b", "a b")]
    assert list(clean(rows, data, counts, None)) == [Pair("a @@b c", "a|b"), Pair("a b", "a b")]
    assert (counts.normalised["empty symbols"], counts.empty) == (1 + 3 + 2, 1)


def test_scripts_are_those_of_words(tmp_path: Path) -> None:
    rows = [(f"{a}{b}ω", f"{a}{b}ον", "V;PST;SG;DECL") for a in "βγδζκ" for b in "αεηιο"]
    data = DataConfig(
        train=str(written(tmp_path / "x.tsv", rows)), level="char", features_column="3", dev_size=2, test_size=2
    )
    split = prepare_corpus(data, tmp_path / "cache", say=mute).split
    assert split["scripts"] == {"src": {"Greek": 21}, "tgt": {"Greek": 21}}
    assert split["warnings"] == []


def test_groups_are_of_words() -> None:
    assert group_key("Gehen!\tV;PST") == group_key("gehen\tN") == group_key("gehen") == "gehen"
    assert group_key("!\tV") == "!"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, DataConfig]:
    """Three forms of each of 100 lemmas."""
    folder = tmp_path_factory.mktemp("features")
    words = sorted({word.strip(".?!,").lower() for pair in some_pairs()[:900] for word in pair.src.split()})[:100]
    rows = [
        (word, f"{word}{end}", features)
        for word in words
        for end, features in (("", "V"), ("s", "V;3"), ("ed", "V;PST"))
    ]
    path = written(folder / "forms.tsv", rows)
    data = DataConfig(train=str(path), level="char", features_column="3", dev_size=10, test_size=10)
    return prepare_corpus(data, folder / "cache", say=mute), data


def test_a_lemma_is_in_one_part_with_all_its_forms(corpus: tuple[Prepared, DataConfig]) -> None:
    found, _ = corpus
    for part in (found.dev, found.test):
        assert len(part.sources) == 30
        assert len({group_key(source) for source in part.sources}) == 10
        assert all(source.count("\t") == 1 for source in part.sources)
        assert all(len(references) == 1 for references in part.references)
    assert set(found.split["shared_sources"].values()) == {0}
    assert found.split["warnings"] == []


def test_data_show_prints_features_on_a_line_of_their_own(corpus: tuple[Prepared, DataConfig]) -> None:
    shown = preview(corpus[1], None, mute)
    assert shown.first[1][0].partition("\t")[2] == "V;3"
    word, form = shown.first[1][0].partition("\t")[0], shown.first[1][1]
    assert f"  source    {word}\n  features  V;3\n  target    {form}\n" in str(shown)
    assert shown.columns["features"] == "column 3"
    assert shown.lengths["src"]["longest"] == max(len(source.partition("\t")[0]) for source, _ in _all(corpus[0])) + 2


def _all(found: Prepared) -> list[tuple[str, str]]:
    src, tgt = found.codecs
    pairs = [(src.to_text(ids), tgt.to_text(other)) for ids, other in zip(*map(list, found.stores), strict=True)]
    assert all(source.count("\t") == 1 for source, _ in pairs)
    return pairs
