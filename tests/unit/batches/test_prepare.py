"""A corpus prepared in shards equals the corpus prepared in memory: the same pairs, splits, counts, words and ids."""

import dataclasses
import gzip
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.corpus import build_vocab, load_corpus, train_codec
from tests.runs import environment, some_pairs
from tests.strategies import normalised_text
from wordseq.batches import prepare, shards, table
from wordseq.batches.id_store import IdStore
from wordseq.batches.prepare import Prepared, prepare_corpus
from wordseq.batches.shards import WORD_PARTS, Shard, number_words
from wordseq.config.data import DataConfig
from wordseq.data.guards import SAMPLE_PAIRS, features_warnings, warnings_about
from wordseq.data.pairs import Pair
from wordseq.data.splits import HeldOut
from wordseq.system.errors import UserError
from wordseq.system.workers import Worker
from wordseq.text.features import split_features, word_of
from wordseq.text.scripts import scripts_of
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.twins import Twins
from wordseq.text.vocab import UNK_ID, TextCodec, coverage

MIRROR = Path(os.environ.get("WORDSEQ_MIRROR") or Path(__file__).resolve().parents[4] / "shared" / "data")
needs_mirror = pytest.mark.skipif(
    not (MIRROR / "tatoeba").is_dir(), reason="needs the real corpora: set WORDSEQ_MIRROR"
)
SMALL = DataConfig(dev_size=20, test_size=30, min_freq=2, subword_size=400)


def mute(_: str) -> None:
    pass


@pytest.fixture
def small_shards(monkeypatch):
    """Everything happens that happens to millions of pairs."""
    monkeypatch.setattr(shards, "SHARD_PAIRS", 40)
    monkeypatch.setattr(shards, "MAX_WORKERS", 1)
    monkeypatch.setattr(table, "BUCKET", 30)
    few_parts(monkeypatch)


def few_parts(patched):
    """So that small files are not read 64 times."""
    for module in (shards, table):
        patched.setattr(module, "WORD_PARTS", 5)


@pytest.fixture
def file(tmp_path):
    """Pairs with duplicates near and far, near-identical sources, empty and long lines."""
    lines = [f"{pair.src}\t{pair.tgt}" for pair in some_pairs()[:300]]
    lines += [line.upper() for line in lines[:30]] + lines[50:150] + lines[140:160]
    lines += ["", "\tx", "x\u00a0\t", "long " * 300 + "\ty", "I’m  here\u200b.\tJe suis là\u202f!"]
    random.Random(3).shuffle(lines)
    (tmp_path / "pairs.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return tmp_path / "pairs.tsv"


def assert_same(data: DataConfig, cache: Path, **options: Path) -> Prepared:
    """The heart of it."""
    old = load_corpus(data, say=mute, **options)
    new = prepare_corpus(data, cache, say=mute, **options)
    found = {key: new.split[key] for key in ("first", "scripts", "warnings")}
    assert new.split == old.report | found | {"subword_size": data.subword_size * data.has_subwords}
    if len(old.train) <= SAMPLE_PAIRS:
        words = [Pair(word_of(pair.src), pair.tgt) for pair in old.train]
        texts = {side: [getattr(pair, side) for pair in words] for side in ("src", "tgt")}
        assert found["scripts"] == {side: dict(scripts_of(those)) for side, those in texts.items()}
        (counts,) = list(old.report["counts"]["parts"].values())[:1]
        held_out = {
            part: HeldOut(list(map(word_of, found.sources)), found.references)
            for part, found in (("dev", old.dev), ("test", old.test))
        }
        examined = (words, held_out) if data.train else ([], {})
        expected = warnings_about(*examined, data, counts, old.report["train"], new.coverage)
        expected += features_warnings([split_features(pair.src)[1] for pair in old.train], data)
        assert [line for line in found["warnings"] if "for good" not in line] == expected
    assert list(new.split["counts"]["parts"]) == list(old.report["counts"]["parts"])
    assert (new.dev, new.test) == (old.dev, old.test)
    dev = (old.dev.sources, [references[0] for references in old.dev.references])
    for k, side in enumerate(("src", "tgt")):
        texts = [pair[k] for pair in old.train]
        codec = train_codec(texts, data, side, [pair[1 - k] for pair in old.train] if data.share_vocab else ())
        assert new.codecs[k].vocab.tokens == codec.vocab.tokens
        assert new.codecs[k].sha256 == codec.sha256
        twins = Twins.ALL if side == "src" else Twins.SIGNS
        trained = dataclasses.replace(codec, twins=Twins.NONE if codec.tokenizer.level == "symbols" else twins)
        store = IdStore.of([trained.to_ids(text) for text in texts])
        assert np.array_equal(new.stores[k].flat, store.flat)
        assert np.array_equal(new.stores[k].offsets, store.offsets)
        for part, reader, sentences in (("train", trained, texts), ("dev", codec, dev[k])):
            known = coverage(codec.vocab, map(reader.tokenize, sentences))
            found = {"tokens": known.tokens, "unknown": known.unknown_tokens, "share": known.share}
            if data.spells(side):
                found |= {"sentences": len(sentences), "words": known.words, "spelled": known.spelled, "unknown": 0}
                assert 0 < known.spelled < known.words < known.tokens
            assert new.coverage[side][part].items() >= found.items()
            assert ("spelled" in new.coverage[side][part]) is data.spells(side)
        assert bool(new.coverage[side]["train"]["twins"]) == any(map(trained.replaced, ([text] for text in texts)))
    return new


# --- the same as in memory


@pytest.mark.parametrize(
    "changed",
    [
        # Each value once, with others where they do not hide it.
        {"max_pairs": 100, "max_size": 50, "lowercase": True, "swap": True, "seed": 5},
        {"dev_size": 0.1, "test_size": 0.3, "min_freq": 1, "pretokenized": True, "max_chars": 30},
        {"src_separator": " ", "tgt_separator": "e"},
        {"src_form": "NFKC", "tgt_form": "NFD", "tgt_level": "char"},
        {"level": "bpe", "max_pairs": 150},
        {"rare_words": "spell", "pretokenized": True, "max_size": 30, "src_form": "NFD", "tgt_form": "NFKD"},
        {"rare_words": "spell", "src_level": "char", "min_freq": 4},
        {"share_vocab": True, "level": "unigram", "max_pairs": 150},
        {"share_vocab": True, "max_size": 100, "src_separator": " ", "tgt_separator": " "},
        {"share_vocab": True, "level": "char", "src_form": "NFD", "tgt_form": "NFD"},
        {"share_vocab": True, "rare_words": "spell", "min_freq": 4},
    ],
    ids=str,
)
def test_a_file_prepared_in_shards_is_the_corpus_in_memory(file, tmp_path, small_shards, changed):
    found = assert_same(dataclasses.replace(SMALL, train=str(file), **changed), tmp_path / "cache")
    assert found.split["counts"]["parts"]["pairs"]["duplicates"] > 0


@pytest.mark.parametrize(
    "changed",
    [
        {"src_level": "char"},
        {"src_form": "NFD", "features_separator": "e"},
        {"rare_words": "spell", "min_freq": 9},
        {"share_vocab": True},
    ],
    ids=str,
)
def test_features_prepared_in_shards_are_those_in_memory(file, tmp_path, small_shards, changed):
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines() if line]
    tags = ["V;PST", "V;PST;SG", "N", "", "é;V"]
    file.write_text("".join(f"{src}\t{tgt}\t{tags[k % 5]}\n" for k, (src, tgt) in enumerate(rows)), encoding="utf-8")
    data = dataclasses.replace(SMALL, train=str(file), **{"features_column": "3", "min_freq": 1, **changed})
    found = assert_same(data, tmp_path / "cache")
    assert found.codecs[0].features == (4 if "features_separator" in changed else 5)
    assert all(source.count("\t") == 1 for part in (found.dev, found.test) for source in part.sources)


def test_several_processes_give_the_same(file, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_PAIRS", 70)
    monkeypatch.setattr(shards, "processors", lambda: 3)
    # Texts of JSON may have line breaks, which cleaning makes spaces.
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines() if "\t" in line]
    rows = [[text.replace(" ", "\n\r\u2028 "[k % 4], 1) for text in row] for k, row in enumerate(rows)]
    path = tmp_path / "pairs.jsonl"
    keys = ("source", "target", "tags")
    path.write_text("".join(json.dumps(dict(zip(keys, (*row, "V;\nSG"), strict=True))) + "\n" for row in rows))
    data = dataclasses.replace(SMALL, train=str(path), features_column="tags")
    found = assert_same(data, tmp_path / "cache")
    assert found.split["counts"]["parts"]["pairs"]["normalised"]["line and page breaks"] > 300


@pytest.mark.parametrize(
    "name", ["copy", *(pytest.param(name, marks=pytest.mark.slow) for name in ("phrasebook", "addition"))]
)
def test_a_corpus_that_wordseq_makes(tmp_path, name):
    assert_same(DataConfig(corpus=name, min_freq=1, max_pairs=300), tmp_path / "cache")


def test_given_splits_keep_duplicates_and_order(tmp_path, small_shards):
    pairs = [*some_pairs()[:200], *some_pairs()[:100]]
    parts = {}
    for part in ("train", "dev", "test"):
        paths = [tmp_path / f"{part}.{side}" for side in ("src", "tgt")]
        for path, side in zip(paths, ("src", "tgt"), strict=True):
            lines = [getattr(pair, side) for pair in (pairs if part == "train" else pairs[40:60])]
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        parts[part] = ",".join(map(str, paths))
    data = DataConfig(**parts)
    found = assert_same(data, tmp_path / "cache")
    assert len(found.stores[0]) == 300
    assert found.split["shared_sources"]["train_test"] == 20
    # A draw from equal pairs takes the first of them.
    assert_same(dataclasses.replace(data, max_pairs=250), tmp_path / "cache")


def test_a_file_for_dev_and_the_same_for_test_are_two_corpora(tmp_path):
    """Though the files are the same, and all settings but which is which."""
    files = {}
    for name, numbers in (("train", range(40)), ("other", range(50, 55))):
        files[name] = str(tmp_path / f"{name}.tsv")
        Path(files[name]).write_text("".join(f"cow {i}\tvache {i}\n" for i in numbers), encoding="utf-8")
    sizes = {"dev_size": 5, "test_size": 5, "min_freq": 1}
    dev, test = (
        prepare_corpus(
            DataConfig(train=files["train"], **{part: files["other"]}, **sizes), tmp_path / "cache", say=mute
        )
        for part in ("dev", "test")
    )
    assert dev.dev == test.test != dev.test
    assert test.dev != test.test


@pytest.mark.parametrize(
    "changed", [{}, {"seed": 5}, {"seed": 5, "swap": True}, {"seed": 5, "lowercase": True}], ids=str
)
def test_what_given_parts_share_is_counted_whatever_the_settings(tmp_path, changed):
    parts = {"train": range(40), "dev": range(35, 50), "test": range(20, 44)}
    files = {}
    for part, numbers in parts.items():
        files[part] = str(tmp_path / f"{part}.tsv")
        Path(files[part]).write_text("".join(f"cow {i}\tvache {i}\n" for i in numbers), encoding="utf-8")
    found = prepare_corpus(DataConfig(**files, min_freq=1, **changed), tmp_path / "cache", say=mute)
    assert found.split["shared_sources"] == {"train_dev": 5, "train_test": 20, "dev_test": 9}
    assert found.split["references_seen"] == {"dev": 5, "test": 20}
    assert [len(found.split[part]["seen"]) for part in ("dev", "test")] == [5, 20]


def test_the_sample_that_is_examined_is_spread_over_the_corpus(tmp_path, small_shards, monkeypatch):
    monkeypatch.setattr(prepare, "SAMPLE_PAIRS", 60)
    # The script tells the quarter of the corpus.
    letters = "aбγע"
    lines = [f"{letters[i // 100]}{letters[i // 100] * (i % 10)} {i}\t{letters[i // 100]} {i}" for i in range(400)]
    (tmp_path / "pairs.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    found = prepare_corpus(dataclasses.replace(SMALL, train=str(tmp_path / "pairs.tsv")), tmp_path / "cache", say=mute)
    for scripts in found.split["scripts"].values():
        assert scripts.keys() == {"Latin", "Cyrillic", "Greek", "Hebrew"}
        assert max(scripts.values()) < 1.5 * min(scripts.values())


PIECES = st.lists(
    st.builds(lambda a, b: (a, b), normalised_text(4), normalised_text(3)), min_size=12, max_size=30
)  # fmt: skip


@settings(max_examples=10)
@given(PIECES, st.integers(1, 9))
def test_any_text_gives_the_same(tmp_path_factory, pairs, size):
    folder = tmp_path_factory.mktemp("any")
    lines = [f"{src}\t{tgt}" for src, tgt in pairs] + [f"cow {i}\tvache {i}" for i in range(5)]
    (folder / "pairs.tsv").write_bytes("".join(f"{line}\n" for line in lines).encode())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shards, "SHARD_PAIRS", size)
        patched.setattr(shards, "MAX_WORKERS", 1)
        few_parts(patched)
        data = DataConfig(train=str(folder / "pairs.tsv"), dev_size=1, test_size=1, min_freq=1)
        assert_same(data, folder / "cache")


@needs_mirror
@pytest.mark.slow
@pytest.mark.parametrize("name", ["tatoeba-fra-eng", "multi30k-de-en"])
def test_public_corpora(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert_same(DataConfig(corpus=name), tmp_path / "cache", mirror=MIRROR)


@given(normalised_text(), st.sampled_from(["", " "]))
def test_tokens_do_not_depend_on_what_is_beyond_a_space(text, separator):
    tokenizer = WordTokenizer(separator)
    pieces = text.split(" ") if text else []
    assert [word for piece in pieces for word in tokenizer.tokenize(piece)] == tokenizer.tokenize(text)


@pytest.mark.parametrize(("form", "swap"), [("NFC", False), ("NFD", False), ("NFD", True), ("NFC", True)])
def test_texts_come_out_in_the_form_of_the_targets_in_the_file(tmp_path, form, swap):
    others = {"NFC": "NFD", "NFD": "NFC"}
    # Source and target of the file are in different forms, with a line that is not, and many that are in both.
    rows = [(unicodedata.normalize(others[form], f"né {k}"), unicodedata.normalize(form, f"{k} ñu")) for k in range(30)]
    rows += [(unicodedata.normalize(form, "ê 7"), unicodedata.normalize(others[form], "8 ã"))]
    rows += [(f"{k} a", f"b {k}") for k in range(60)]
    path = tmp_path / "pairs.tsv"
    path.write_text("".join("\t".join(row[:: -1 if swap else 1]) + "\n" for row in rows), encoding="utf-8")
    settings = {"train": str(path), "swap": swap, "min_freq": 1, "dev_size": 3, "test_size": 3}
    found = prepare_corpus(DataConfig(**settings), tmp_path / "cache", say=mute)
    codec = found.codecs[1]
    assert (found.codecs[0].written, codec.form, codec.written) == ("NFC", "NFC", form)
    assert codec.to_text(codec.to_ids("1 ñu")) == unicodedata.normalize(form, "1 ñu")
    # What is stored and scored does not depend on the file's form.
    assert unicodedata.is_normalized("NFC", "".join(map(str, [found.dev, found.test, codec.vocab.tokens])))
    # A run keeps its codecs, and with them the form, when other data are prepared for them.
    path.write_text("".join(f"{k} a\tb {k}\n" for k in range(60)))
    again = prepare_corpus(DataConfig(**settings), tmp_path / "cache", found.codecs, say=mute)
    assert again.codecs[1].written == form


def test_symbols_of_other_data_are_unknown_not_read_as_twins(tmp_path):
    path, settings = tmp_path / "pairs.tsv", {"tgt_separator": " ", "min_freq": 1, "dev_size": 1, "test_size": 1}
    path.write_text("".join(f"{k} a\tb '\n" for k in range(9)), encoding="utf-8")
    codecs = prepare_corpus(DataConfig(train=str(path), **settings), tmp_path / "cache", say=mute).codecs
    path.write_text("".join(f"{k} A\tb ’\n" for k in range(9)), encoding="utf-8")
    found = prepare_corpus(DataConfig(train=str(path), **settings), tmp_path / "cache", codecs, say=mute)
    assert (found.coverage["tgt"]["train"]["unknown"], found.coverage["tgt"]["train"]["twins"]) == (7, 0)
    assert found.coverage["src"]["train"]["twins"] == 7


def test_rare_signs_of_targets_are_read_as_their_twins_but_not_rare_cases(tmp_path):
    for name, lines in (
        ("train", [*["a b\tl'un"] * 2, "c\tl’un", "d\tL'un"]),
        ("dev", ["e\tl'un"]),
        ("test", ["f\tl'un"]),
    ):
        (tmp_path / f"{name}.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    paths = {name: str(tmp_path / f"{name}.tsv") for name in ("train", "dev", "test")}
    data = DataConfig(**paths, min_freq=2, rare_words="unk")
    found = prepare_corpus(data, tmp_path / "cache", say=mute)
    assert found.coverage["tgt"]["train"]["twins"] == 1
    assert found.codecs[1].vocab.to_tokens(found.stores[1][2]) == found.codecs[1].vocab.to_tokens(found.stores[1][0])
    assert found.stores[1][3].tolist() == [UNK_ID, *found.stores[1][0][1:]]


def test_targets_that_a_form_changes_for_good_are_counted(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"a{k}\t{'ﬁn' if k < 4 else 'né'} {k}\n" for k in range(40)), encoding="utf-8")
    for form, changes in (("NFC", False), ("NFD", False), ("NFKC", True), ("NFKD", True)):
        data = DataConfig(train=str(path), tgt_form=form, min_freq=1, dev_size=1, test_size=1)
        found = prepare_corpus(data, tmp_path / "cache", say=mute)
        said = [line for line in found.split["warnings"] if "for good" in line]
        assert len(said) == changes
        left = sum(text.startswith("ﬁ") for part in (found.dev, found.test) for (text,) in part.references)
        expected = f"data.tgt_form = {form!r} changes {4 - left} of 38 training targets for good, e.g. 'ﬁn "
        assert all(line.startswith(expected) for line in said)


def test_words_are_numbered_and_parted():
    texts = [pair.src for pair in some_pairs()[:100]]
    words, arrays = number_words(texts, WordTokenizer())
    ids = np.split(arrays["ids"], arrays["ends"][:-1])
    assert [[words[k] for k in row] for row in ids] == [WordTokenizer().tokenize(text) for text in texts]
    assert len(set(words)) == len(words)
    assert arrays["parts"].shape == (2, WORD_PARTS + 1)
    assert arrays["parts"][0, -1] == len(words)
    firsts = arrays["parts"][0]
    parts = [words[first:end] for first, end in itertools.pairwise(firsts)]
    assert all(zlib.crc32(word.encode()) % WORD_PARTS == part for part, found in enumerate(parts) for word in found)
    assert arrays["parts"][1, -1] == len("".join(f"{word}\n" for word in words).encode())


# --- the same errors


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        (b"", {}),
        (b"caf\xe9\tcoffee\n" * 80, {}),
        (b"a\tb\nonly one\n", {}),
        (b"\n \n\t\n", {}),
        (b"a\tb\nc\td\n", {}),
        (b"a\tb\nc\td\ne\tf\n", {"dev_size": 1}),
        (b"a b\tc d\n" * 100, {}),
        (b"a a a\tb\n", {"max_chars": 2}),
        (None, {}),
    ],
)
def test_mistakes_give_the_same_errors_and_leave_no_files(tmp_path, small_shards, content, changed):
    path = tmp_path / "pairs.tsv"
    if content is not None:
        path.write_bytes(content)
    data = dataclasses.replace(SMALL, train=str(path), **changed)
    with pytest.raises(UserError) as expected:
        load_corpus(data, say=mute)
    with pytest.raises(UserError) as error:
        prepare_corpus(data, tmp_path / "cache", say=mute)
    assert str(error.value) == str(expected.value)
    assert not (tmp_path / "cache").exists()


# --- the cache


def test_the_second_time_files_are_only_compared(file, tmp_path, monkeypatch):
    data = dataclasses.replace(SMALL, train=str(file))
    first = prepare_corpus(data, tmp_path / "cache")
    with monkeypatch.context() as patched:
        patched.setattr(prepare, "_write", None)
        again = prepare_corpus(data, tmp_path / "cache")
        moved = tmp_path / "elsewhere" / file.name
        moved.parent.mkdir()
        file.rename(moved)
        elsewhere = prepare_corpus(dataclasses.replace(data, train=str(moved)), tmp_path / "cache")
    assert again.split == first.split
    named = first.split["counts"] | {"corpus": str(moved)}
    assert elsewhere.split == first.split | {"counts": named}
    # Text or settings that differ are another corpus.
    moved.write_bytes(moved.read_bytes() + b"One more.\tEncore une.\n")
    other = prepare_corpus(dataclasses.replace(data, train=str(moved)), tmp_path / "cache")
    assert other.split["train"]["sha256"] != first.split["train"]["sha256"]
    prepare_corpus(dataclasses.replace(data, train=str(moved), max_size=9), tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 3


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """Settings of a small corpus, the cache that has it, and its source ids. Each test leaves the cache complete."""
    folder = tmp_path_factory.mktemp("cached")
    file = folder / "pairs.tsv"
    file.write_text("".join(f"{pair.src}\t{pair.tgt}\n" for pair in some_pairs()[:60]), encoding="utf-8")
    data = dataclasses.replace(SMALL, train=str(file), dev_size=2, test_size=3, min_freq=1)
    with pytest.MonkeyPatch.context() as patched:
        few_parts(patched)
        return data, folder / "cache", prepare_corpus(data, folder / "cache").stores[0].flat.copy()


@pytest.mark.parametrize("name", ["src.ids.npy", "tgt.offsets.npy", "prepared.json", "held_out.json", "src.vocab.json"])
@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY\x01\x00", b"{}", b"[]"])
def test_a_damaged_cache_is_rebuilt(cached, monkeypatch, name, content):
    few_parts(monkeypatch)
    data, cache, ids = cached
    (damaged,) = cache.rglob(name)
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    assert np.array_equal(prepare_corpus(data, cache).stores[0].flat, ids)
    (mended,) = cache.rglob(name)
    assert mended.read_bytes() != content


def test_ids_follow_the_vocabulary_of_a_started_run(file, tmp_path, small_shards):
    data = dataclasses.replace(SMALL, train=str(file))
    usual = prepare_corpus(data, tmp_path / "cache")
    assert prepare_corpus(data, tmp_path / "cache", usual.codecs).stores[0].flat is not None
    assert len(list((tmp_path / "cache").iterdir())) == 1
    texts = [pair.src for pair in load_corpus(data, say=mute).train]
    few = TextCodec(WordTokenizer(), build_vocab(map(WordTokenizer().tokenize, texts), max_size=7), Twins.ALL)
    found = prepare_corpus(data, tmp_path / "cache", (few, usual.codecs[1]))
    assert np.array_equal(found.stores[0].flat, IdStore.of([few.to_ids(text) for text in texts]).flat)
    assert np.array_equal(found.stores[1].flat, usual.stores[1].flat)


def test_two_processes_at_once_agree(file, tmp_path):
    script = (
        "import sys; from pathlib import Path; from wordseq.config.schema import DataConfig; "
        "from wordseq.batches.prepare import prepare_corpus; "
        "data = DataConfig(train=sys.argv[1], dev_size=20, test_size=30); "
        "print(prepare_corpus(data, Path(sys.argv[2])).split['train']['sha256'])"
    )
    words = [sys.executable, "-c", script, str(file), str(tmp_path / "cache")]
    both = [subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1] != ""
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_kill_leaves_only_files_that_are_removed_later(file, tmp_path, monkeypatch):
    script = (
        "import os, signal, sys; from pathlib import Path; from wordseq.batches import prepare; "
        "from wordseq.config.schema import DataConfig; "
        "prepare.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL); "
        "prepare.prepare_corpus(DataConfig(train=sys.argv[1], dev_size=20, test_size=30), Path(sys.argv[2]))"
    )
    cache = tmp_path / "cache"
    subprocess.run([sys.executable, "-c", script, str(file), str(cache)], env=environment(), timeout=300, check=False)
    (left,) = cache.iterdir()
    assert left.name.startswith(".tmp-")
    data = dataclasses.replace(SMALL, train=str(file))
    prepare_corpus(data, cache)
    assert left.exists()  # young: somebody may be about to lock it
    monkeypatch.setattr(prepare, "ABANDONED_CACHE_SECONDS", -1)
    with prepare._temporary(cache) as working:
        prepare_corpus(dataclasses.replace(data, max_size=9), cache)
        assert working.exists()  # locked
    assert not left.exists()
    assert sorted(path.name[0] != "." for path in cache.iterdir()) == [True, True]


def test_a_cache_that_another_process_removes_while_a_folder_is_made_in_it_is_made_again(tmp_path, monkeypatch):
    made, calls = tempfile.mkdtemp, []

    def mkdtemp(**options):
        calls.append(options["dir"])
        if len(calls) == 1:  # Another process ends without a result: it removes the empty cache.
            options["dir"].rmdir()
        return made(**options)

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with prepare._temporary(tmp_path / "cache") as folder:
        assert folder.parent == tmp_path / "cache"
    assert len(calls) == 2


def test_a_pipe_is_read_once_and_leaves_nothing_behind(file, tmp_path):
    pipe = tmp_path / "pipe.tsv"
    os.mkfifo(pipe)
    with subprocess.Popen(["cp", str(file), str(pipe)]):
        found = prepare_corpus(dataclasses.replace(SMALL, train=str(pipe)), tmp_path / "cache")
    usual = prepare_corpus(dataclasses.replace(SMALL, train=str(file)), tmp_path / "other")
    assert found.split | {"counts": None} == usual.split | {"counts": None}
    assert list(found.stores[0][0])
    assert not list((tmp_path / "cache").iterdir())


def test_a_lost_helper_is_an_error_of_one_line(file, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_PAIRS", 70)
    monkeypatch.setattr(shards, "processors", lambda: 2)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UserError, match=r"a process that prepares the data stopped \(exit code 1\)"):
        prepare_corpus(dataclasses.replace(SMALL, train=str(file)), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_packed_file_is_prepared_too(file, tmp_path):
    packed = tmp_path / "pairs.tsv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert_same(dataclasses.replace(SMALL, train=str(packed)), tmp_path / "cache")


def test_a_process_makes_a_shard_of_what_was_read(tmp_path):
    Shard(tmp_path, 3).write_rows([shards.Row(9, "a\rb c.", "d"), shards.Row(10, "", "e")])
    with Worker("wordseq.batches.shards", {"folder": str(tmp_path), "data": {}, "distinct": True}) as worker:
        assert worker.ask("make", number=3)["kept"] == 1
        with pytest.raises(FileNotFoundError) as error:
            worker.ask("make", number=4)
    assert error.value.filename == str(tmp_path / "4.rows.json")
    assert Shard(tmp_path, 3).texts("src") == ["a b c."]
    assert Pair(*(Shard(tmp_path, 3).texts(side)[0] for side in ("src", "tgt"))) == Pair("a b c.", "d")


def test_a_word_that_is_read_as_several_tokens_takes_their_place():
    words = [[7], [4, 5, 6], [8, 9]]
    sentences = [[0, 1], [], [2, 2, 0], [1]]
    numbers = np.array([number for sentence in sentences for number in sentence])
    ids, lengths = table._spliced(IdStore.of(words), numbers, np.array(list(map(len, sentences))))
    expected = [[i for number in sentence for i in words[number]] for sentence in sentences]
    assert ids.tolist() == [i for sentence in expected for i in sentence]
    assert lengths.tolist() == list(map(len, expected))
