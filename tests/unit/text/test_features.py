"""Sources with features: one text, and tokens that nothing in a text can be."""

import dataclasses
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference.corpus import train_codec
from tests.strategies import normalised_text
from wordseq.config.data import LEVELS, DataConfig
from wordseq.system.errors import UserError
from wordseq.text.features import (
    MARK,
    features_fault,
    join_features,
    prepare_features,
    prepare_source,
    split_features,
    with_features,
    word_of,
)
from wordseq.text.twins import Twins
from wordseq.text.vocab import SPECIALS, UNK_ID, TextCodec, Vocab, coverage

SOURCES = ["gehen\tV;PST;1;SG", "gehen\tV;PST;PL", "Haus\tN;PL", "V;PST\t", "sehen\tV"]
FEATURES = ("V", "PL", "PST", "1", "N", "SG")
"""The most frequent first."""


@pytest.fixture(scope="module")
def codecs():
    data = DataConfig(features_column="3", subword_size=300, min_freq=1)
    codecs = {level: train_codec(SOURCES, dataclasses.replace(data, level=level), "src") for level in LEVELS}
    symbols = train_codec(SOURCES, dataclasses.replace(data, src_separator="e", src_form="NFD"), "src")
    return {**codecs, "symbols": symbols}


@given(st.text(st.sampled_from("aA;; \u00a0\n,é")))
def test_prepared_features_are_as_they_are_written_without_spaces_and_empty_ones(text):
    counts = Counter()
    found = prepare_features(text, ";", counts)
    assert prepare_features(found, ";") == found
    assert [part for part in found.split(";") if part] == [
        " ".join(part.split()) for part in text.split(";") if part.split()
    ]
    assert counts["empty features"] == (text.count(";") + 1 - len(found.split(";")) * bool(found)) * (";" in text)


def test_a_typed_source_is_prepared_like_those_of_training():
    assert prepare_source("  GEHEN\u00a0zu \t V; PST;;1 \n", True, ";") == "gehen zu\tV;PST;1"
    assert prepare_source("Gehen\t", False, ";") == "Gehen\t"
    assert prepare_source("a\tV|W", False, "|") == "a\tV|W"
    # Without features a TAB is white space.
    assert prepare_source("a\tV;PST", False, "") == "a V;PST"


def test_sources_without_features_or_with_more_columns_are_named():
    assert features_fault("a\tV") == features_fault("a\t") == features_fault("\tV") == ""
    assert features_fault("a").startswith("no features; expected a word, a TAB and its features")
    assert features_fault("a\tV\tx").startswith("3 columns; expected a word")


@given(normalised_text(), st.lists(st.sampled_from(FEATURES)).map(";".join))
def test_a_word_and_its_features_are_one_text(word, features):
    source = join_features(word, features)
    assert split_features(source) == (word, features)
    assert word_of(source) == word == word_of(word)
    assert with_features([(word, features), [word, features], source]) == [source] * 3


def test_pairs_become_texts_and_what_is_no_list_stays():
    assert with_features([("a\tb", "V\t;W")]) == ["a b\tV ;W"]
    assert with_features(["a", 1, ("a",), ("a", "b", "c"), ("a", 1)]) == ["a", 1, ("a",), ("a", "b", "c"), ("a", 1)]
    for other in ("ab", b"ab", {("a", "b")}, {"a": "b"}, 7):
        assert with_features(other) is other


@given(word=st.one_of(normalised_text(), st.sampled_from(["V;PST", "1", "gehen"])), data=st.data())
def test_features_are_the_last_ids_and_nothing_in_a_word_is_one(codecs, word, data):
    features = data.draw(st.lists(st.sampled_from([*FEATURES, "gehen", "new"])))
    source = join_features(word, ";".join(features))
    for codec in codecs.values():
        ids, size = codec.to_ids(source), len(codec.vocab)
        assert codec.features == len(FEATURES)
        assert codec.vocab.tokens[-len(FEATURES) :] == tuple(MARK + name for name in FEATURES)
        head, tail = ids[: len(ids) - len(features)], ids[len(ids) - len(features) :]
        assert all(index < size - codec.features for index in head)
        assert tail == [size - 6 + FEATURES.index(name) if name in FEATURES else UNK_ID for name in features]
        assert head == codec.to_ids(join_features(word, "")) == codec.vocab.to_ids(codec.word_tokens(word))
        known = join_features(word, ";".join(name for name in features if name in FEATURES))
        exact = dataclasses.replace(codec, twins=Twins.NONE)
        if UNK_ID not in exact.to_ids(known) and codec is not codecs["symbols"]:
            assert exact.to_text(exact.to_ids(known)) == known


def test_unknown_features_are_counted(codecs):
    codec = codecs["char"]
    found = coverage(codec.vocab, [codec.tokenize("gehen\tV;NEW;PST;NEW")])
    assert found.unknown == {"\tNEW": 2}
    assert codec.vocab.unknown(codec.tokenize("gehen\tV;NEW")) == ["\tNEW"]


def test_no_feature_is_rare_and_none_is_read_as_its_twin(codecs):
    rare = train_codec(SOURCES, DataConfig(features_column="3", min_freq=2, max_size=1), "src")
    assert rare.vocab.tokens == ("gehen", *(MARK + name for name in FEATURES))
    assert rare.to_ids("GEHEN\tpst") == [4, UNK_ID]
    assert rare.replaced(["GEHEN\tpst"]) == [("GEHEN", "gehen")]


def test_features_survive_the_files_and_are_in_the_digest(tmp_path, codecs):
    for codec in codecs.values():
        codec.save(tmp_path, "src")
        loaded = TextCodec.load(tmp_path, "src")
        assert (loaded.features, loaded.feature_separator) == (len(FEATURES), ";")
        assert loaded.sha256 == codec.sha256
        assert loaded.to_ids(SOURCES[0]) == codec.to_ids(SOURCES[0])
    word = codecs["word"]
    others = [
        dataclasses.replace(word, feature_separator="|"),
        TextCodec(word.tokenizer, Vocab(word.vocab.tokens[:-1])),
    ]
    assert len({codec.sha256 for codec in (*codecs.values(), *others)}) == len(codecs) + 2


@pytest.mark.parametrize(
    ("name", "values", "complaint"),
    [
        ("vocab", {"size": 2, "features": 0, "tokens": ["a", "\tV"]}, "features = 0, but it has 1"),
        ("vocab", {"size": 2, "tokens": ["a", "\tV"]}, "features = None, but it has 1"),
        ("vocab", {"size": 2, "features": 1, "tokens": ["\tV", "a"]}, "a token stands after a feature"),
        ("codec", {"form": "NFC", "written": "NFC", "feature_separator": ""}, "feature_separator = ''"),
        ("codec", {"form": "NFC", "written": "NFC"}, "feature_separator = None"),
    ],
)
def test_damaged_files_are_named(tmp_path, codecs, name, values, complaint):
    codecs["word"].save(tmp_path, "src")
    (tmp_path / f"src.{name}.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=rf"src\.{name}\.json: damaged: {complaint}"):
        TextCodec.load(tmp_path, "src")


def test_ids_of_a_model_do_not_move(codecs):
    """Features come after the tokens, so that an id below them means what it means without features."""
    plain = train_codec(list(map(word_of, SOURCES)), DataConfig(level="char"), "src")
    assert codecs["char"].vocab.tokens[: len(plain.vocab.tokens)] == plain.vocab.tokens
    assert len(codecs["char"].vocab) == len(SPECIALS) + len(plain.vocab.tokens) + len(FEATURES)
