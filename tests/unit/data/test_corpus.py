"""A corpus from settings: where it comes from, what is dropped and counted, what is said about it."""

import dataclasses
import gzip
import json
import os
import tempfile
from pathlib import Path

import pytest

from wordseq.batches.prepare import Prepared, prepare_corpus
from wordseq.config.data import DataConfig
from wordseq.data.cleaning import describe
from wordseq.data.pairs import Pair
from wordseq.data.sources import check_source
from wordseq.data.synthetic import SYNTHETIC
from wordseq.system.errors import UserError

MIRROR = Path(os.environ.get("WORDSEQ_MIRROR") or Path(__file__).resolve().parents[4] / "shared" / "data")
needs_mirror = pytest.mark.skipif(
    not (MIRROR / "tatoeba").is_dir(), reason="needs the real corpora: set WORDSEQ_MIRROR"
)
SMALL = DataConfig(dev_size=2, test_size=3, min_freq=1)


def mute(_: str) -> None:
    pass


def written(folder: Path, lines: list[str], name: str = "pairs.tsv") -> str:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def cows(number: int) -> list[str]:
    return [f"Cow number {i}.\tVache numéro {i} !" for i in range(number)]


def load(data: DataConfig, **settings: object) -> Prepared:
    with tempfile.TemporaryDirectory() as cache:
        return prepare_corpus(dataclasses.replace(data, **settings), Path(cache), say=mute)


def train_of(corpus: Prepared) -> list[Pair]:
    sides = zip(corpus.codecs, corpus.stores, strict=True)
    texts = [[codec.to_text(store[row]) for row in range(len(store))] for codec, store in sides]
    return list(map(Pair, *texts))


PARTS = ("train", "dev", "test")


def given_splits(folder: Path, **changed: list[str]) -> DataConfig:
    names = [f"{part}_{side}" for part in PARTS for side in ("src", "tgt")]
    lines = {name: [f"{name[-3:]} {name[:4]} {i}" for i in range(5)] for name in names} | changed
    paths = {name: written(folder, lines[name], name) for name in names}
    return DataConfig(**{part: f"{paths[f'{part}_src']},{paths[f'{part}_tgt']}" for part in PARTS}, min_freq=1)


def all_pairs(corpus: Prepared) -> set[Pair]:
    parts = (corpus.dev, corpus.test)
    held_out = {
        Pair(source, reference)
        for part in parts
        for source, references in zip(part.sources, part.references, strict=True)
        for reference in references
    }
    return held_out | set(train_of(corpus))


def test_dropped_pairs_are_counted_and_reported(tmp_path: Path) -> None:
    lines = [*cows(10), "Cow number 3.\tVache numéro 3\u00a0!", "", "\u200b\tx", "y\t", "z" * 41 + "\tz", "one column"]
    path = written(tmp_path, lines)
    with pytest.raises(UserError, match=r"pairs\.tsv:16: 1 column"):
        load(SMALL, train=path, max_chars=40)

    corpus = load(SMALL, train=path, max_chars=40, on_bad_line="skip")
    assert corpus.split["counts"]["parts"]["pairs"] == {
        "lines": 16,
        "bad_lines": 1,
        "empty": 3,
        "too_long": 1,
        "composed": 11,
        "decomposed": 0,
        "duplicates": 1,
        "kept": 10,
        "normalised": {"no-break spaces": 1, "zero-width characters": 1},
        "reading": {
            "lines": ["pairs.tsv: TSV; source: column 1, target: column 2"],
            "left_out": {},
            "formats": {"TSV": 1},
            "columns": {"source": "column 1", "target": "column 2", "unused": [], "header": False},
        },
    }
    assert all_pairs(corpus) == {Pair(*line.split("\t")) for line in cows(10)}
    said = describe(corpus.split)
    assert said[0] == f"data: {path}"
    assert said[1] == (
        "pairs: 16 lines; dropped: 1 bad line, 3 with an empty source or target, 1 longer than data.max_chars, 1 duplicate; "
        "kept 10 pairs"
    )
    assert said[2] == "pairs: normalised: no-break spaces 1, zero-width characters 1"
    assert said[3] == (
        "split grouped by source, drawn by hash: train 5 pairs (5 sources), dev 2 sources (2 references), "
        "test 3 sources (3 references); sources shared between parts: 0"
    )
    assert said[4].startswith("warning: dev and test take 5 of 10 sources; for small data set data.dev_size=0.1 and")
    assert not any(
        "take" in line for line in describe(load(SMALL, train=path, on_bad_line="skip", dev_size=1, test_size=1).split)
    )


def test_swap_and_lower_case(tmp_path: Path) -> None:
    path = written(tmp_path, cows(10))
    corpus = load(SMALL, train=path, swap=True, lowercase=True)
    assert all_pairs(corpus) == {Pair(f"vache numéro {i} !", f"cow number {i}.") for i in range(10)}


def test_lower_case_finds_more_duplicates(tmp_path: Path) -> None:
    path = written(tmp_path, [*cows(10), "COW number 3.\tVache numéro 3 !"])
    assert load(SMALL, train=path).split["counts"]["parts"]["pairs"]["duplicates"] == 0
    assert load(SMALL, train=path, lowercase=True).split["counts"]["parts"]["pairs"]["duplicates"] == 1


def test_fewer_training_pairs_leave_dev_and_test_alone(tmp_path: Path) -> None:
    path = written(tmp_path, cows(50))
    full, part = load(SMALL, train=path), load(SMALL, train=path, max_pairs=7)
    assert (part.dev, part.test) == (full.dev, full.test)
    assert len(train_of(part)) == 7
    assert set(train_of(part)) < set(train_of(full))
    assert part.split["counts"]["unused_pairs"] == 38
    assert "data.max_pairs: not used: 38 training pairs" in describe(part.split)


def test_the_report_is_json_and_names_the_way_of_splitting(tmp_path: Path) -> None:
    report = load(SMALL, train=written(tmp_path, cows(10))).split
    assert json.loads(json.dumps(report)) == report
    assert (report["seed"], report["dev_size"], report["test_size"]) == (1, 2, 3)
    assert report["method"] == "grouped by source, drawn by hash"
    assert report["shared_sources"] == {"train_dev": 0, "train_test": 0, "dev_test": 0}
    assert len(report["test"]["source_hashes"]) == 3
    assert list(report["counts"]) == ["corpus", "parts", "unused_pairs"]
    assert report["first"] == [line.split("\t") for line in cows(5)]
    assert report["scripts"] == {"src": {"Latin": 5}, "tgt": {"Latin": 5}}


def test_given_splits_keep_every_line_in_order(tmp_path: Path) -> None:
    sources = ["b", "a", "b", "B", "longer than max_chars"]
    data = given_splits(tmp_path, test_src=sources, train_src=["x", "x", "", "y", "longer than max_chars"])
    corpus = load(data, max_chars=12)
    assert corpus.test.sources == sources
    assert corpus.test.references == [[f"tgt test {i}"] for i in range(5)]
    assert (
        corpus.split["counts"]["parts"]["train"]["empty"] == corpus.split["counts"]["parts"]["train"]["too_long"] == 1
    )
    assert corpus.split["method"] == "as given"
    assert "test 5 sources in 3 groups (5 references)" in describe(corpus.split)[7]


def test_swap_exchanges_source_and_target_of_every_given_part(tmp_path: Path) -> None:
    data = given_splits(tmp_path)
    there, back = load(data), load(data, swap=True)
    assert train_of(back) == [Pair(pair.tgt, pair.src) for pair in train_of(there)]
    for one, other in ((there.dev, back.dev), (there.test, back.test)):
        assert other.references == [[source] for source in one.sources]
        assert [[source] for source in other.sources] == one.references


def test_given_training_lines_keep_their_duplicates(tmp_path: Path) -> None:
    corpus = load(given_splits(tmp_path, train_src=["x"] * 5, train_tgt=["y"] * 5))
    assert train_of(corpus) == [Pair("x", "y")] * 5


def test_leaks_of_given_splits_are_reported(tmp_path: Path) -> None:
    texts = {"train": ["Go.", "a", "b", "c", "d", "e", "f"], "dev": ["b", "C", "y", "v", "w", "z"]}
    texts["test"] = ["go!", "A", "x", "y", "go"]
    # Every part has another size: a number of the wrong part is seen.
    sides = {f"{part}_src": sources for part, sources in texts.items()}
    sides |= {f"{part}_tgt": [f"{part} {source}" for source in sources] for part, sources in texts.items()}
    corpus = load(given_splits(tmp_path, **sides))
    assert [line for line in describe(corpus.split) if "also occur" in line] == [
        "warning: 3 of 5 test sources also occur in training",
        "warning: 2 of 6 dev sources also occur in training",
        "warning: 1 of 5 test sources also occur in dev",
    ]
    assert corpus.split["shared_sources"] == {"train_dev": 2, "train_test": 3, "dev_test": 1}


@pytest.mark.parametrize(("side", "swap"), [("src", False), ("tgt", False), ("src", True)])
def test_an_empty_line_in_given_test_files_is_named_or_skipped(tmp_path: Path, side: str, swap: bool) -> None:
    data = given_splits(tmp_path, **{f"test_{side}": ["a", "b", " \u200b", "d", "e"]})
    with pytest.raises(UserError, match=rf"test_{side}:3: an empty source or target in held-out data"):
        load(data, swap=swap)
    corpus = load(data, swap=swap, on_bad_line="skip")
    assert len(corpus.test.sources) == 4
    assert corpus.split["counts"]["parts"]["test"]["empty"] == 1


def test_given_files_of_unequal_length(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dev_src has 1 lines, .*dev_tgt has 5"):
        load(given_splits(tmp_path, dev_src=["a"]))


def test_no_pairs_left(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"all 2 lines were dropped: 0 bad lines, 1 with an empty source or target, 1 lon"
    ):
        load(SMALL, train=written(tmp_path, ["\tx", "long enough\ty"]), max_chars=5)


@pytest.mark.parametrize("pair", ["long enough\tx", "x\tlong enough"])
def test_a_pair_is_dropped_if_source_or_target_is_too_long(tmp_path, pair):
    path = written(tmp_path, [*(f"s{k}\tt{k}" for k in range(60)), pair])
    for most, too_long in ((10, True), (11, False)):
        said = "\n".join(describe(load(SMALL, train=path, max_chars=most).split))
        assert ("1 longer than data.max_chars" in said) == too_long


@pytest.mark.parametrize("name", [name for name in SYNTHETIC if name not in ("addition", "reverse")])
def test_every_synthetic_corpus_can_be_split_by_the_defaults(name: str) -> None:
    """But one of 50,000 pairs, and one whose sources are those of another."""
    corpus = load(DataConfig(corpus=name))
    assert len(corpus.stores[0])
    assert corpus.split["counts"]["parts"]["pairs"]["empty"] == 0
    assert set(corpus.split["shared_sources"].values()) == {0}


def test_an_unknown_name_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean 'tatoeba-fra-eng'\? choose from .*phrasebook.*any three-letter"):
        load(DataConfig(corpus="tatoeba-fr-eng"))
    with pytest.raises(UserError, match=r"is a file; set data\.train"):
        load(DataConfig(corpus=written(tmp_path, cows(3))))


def test_a_missing_corpus_is_an_error() -> None:
    with pytest.raises(UserError, match=r"no corpus is set; set data\.corpus"):
        load(DataConfig())


def test_a_packed_file_is_the_same_corpus(tmp_path: Path) -> None:
    path = Path(written(tmp_path, cows(10)))
    packed = tmp_path / "pairs.tsv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert load(SMALL, train=str(packed)).split["test"] == load(SMALL, train=str(path)).split["test"]


def test_missing_files_are_errors_before_anything_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, cows(10))
    check_source(DataConfig(train=path))
    for missing in (f"{path}/member.txt", str(tmp_path / "none.zip" / "member.txt"), f"{path},{path}.fr"):
        with pytest.raises(UserError, match="no such file"):
            check_source(DataConfig(train=missing))


@pytest.mark.parametrize("part", ["dev", "test"])
def test_what_is_not_given_is_split_off(tmp_path: Path, part: str) -> None:
    """The given part is as in its file; the other has the sources that it has when both are split off."""
    path, given = written(tmp_path, [*cows(40), *cows(3)]), written(tmp_path, ["x\ty", "x\tz"], "given.tsv")
    both = load(SMALL, train=path, dev_size=5, test_size=5)
    found = load(SMALL, train=path, dev_size=5, test_size=5, **{part: given})
    assert getattr(found, part).sources == ["x", "x"]
    assert getattr(found, part).references == [["y"], ["z"]]
    other = "test" if part == "dev" else "dev"
    assert len(getattr(found, other).sources) == 5
    assert part == "test" or found.test == both.test
    assert len(found.stores[0]) == 35
    assert found.split["counts"]["parts"]["train"]["duplicates"] == 3
    assert found.split["method"] == f"{part} as given, the rest grouped by source, drawn by hash"
    assert (found.split["dev_size"], found.split["test_size"]) == ((None, 5) if part == "dev" else (5, None))


def test_the_default_sizes_are_said_where_the_corpus_is_small(tmp_path: Path) -> None:
    corpus = load(DataConfig(min_freq=1), train=written(tmp_path, cows(100)))
    assert (len(corpus.dev.sources), len(corpus.test.sources)) == (10, 10)
    assert "data.dev_size and data.test_size: 10 sources each, a tenth of all" in describe(corpus.split)
    few = load(DataConfig(min_freq=1), train=written(tmp_path, cows(5)))
    said = "\n".join(describe(few.split))
    assert "data.dev_size and data.test_size: 1 source each, the fewest possible" in said
    assert "dev 1 source (1 reference)" in said
    assert "take" not in said


@needs_mirror
@pytest.mark.slow
def test_tatoeba_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    corpus = prepare_corpus(DataConfig(corpus="tatoeba-fra-eng"), tmp_path, mirror=MIRROR, say=mute)
    counts = corpus.split["counts"]["parts"]["pairs"]
    assert counts["lines"] == 167_130
    assert counts["normalised"]["no-break spaces"] == 6286 + 4573
    assert counts["normalised"]["typographic apostrophes kept"] == 897
    assert counts["bad_lines"] == counts["empty"] == 0
    report = corpus.split
    assert report["test"]["groups"] == report["dev"]["groups"] == 1000
    assert set(report["shared_sources"].values()) == {0}
    assert max(map(len, corpus.test.references)) > 1


@needs_mirror
def test_multi30k_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    corpus = prepare_corpus(DataConfig(corpus="multi30k-de-en"), tmp_path, mirror=MIRROR, say=mute)
    assert (len(corpus.stores[0]), len(corpus.dev.sources), len(corpus.test.sources)) == (29_000, 1_014, 1_000)
    assert corpus.split["counts"]["parts"]["train"]["normalised"]["tabs"] == 1
