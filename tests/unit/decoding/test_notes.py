import dataclasses
from collections import Counter

import pytest

from wordseq.config.data import DataConfig
from wordseq.config.schema import Config
from wordseq.decoding.notes import InputNotes
from wordseq.runs.folder import SrcLengths
from wordseq.text.tokenizers import WordTokenizer, train_tokenizer
from wordseq.text.twins import Twins, unseen_note
from wordseq.text.vocab import TextCodec, Vocab, spelling_vocab, vocab_of_model


class Known:
    """Knows every word; a source of training has 3 words at most, rarely 9."""

    config = Config()
    src_lengths = SrcLengths(3, 9)

    def unknown(self, texts):
        return []

    def replaced(self, texts):
        return [(word, word.lower()) for text in texts for word in text.split() if word.isupper()]

    spells = False

    def unseen(self, texts):
        return Counter(char for text in texts for char in text if char in "ɣ\u0301")

    def tokens_of(self, text):
        return len(text.split())


@pytest.fixture
def said(capsys):
    def run(*calls, typed=False, split=False):
        notes = InputNotes(Known(), typed=typed, split=split)
        for start, texts in calls:
            notes.tell(start, texts)
        notes.finish()
        return capsys.readouterr().err.splitlines()

    return run


def test_the_first_line_that_is_far_longer_than_training_is_named(said):
    assert said((0, ["a b c d e f", "a"])) == []
    (line,) = said((4, ["a", "a b c d e f g"]), (6, ["a " * 50]))
    assert line == (
        "wordseq: note: line 6: 7 tokens, but 99 % of the training sources have at most 3 (the longest 9): "
        "words may be lost or repeated; --split translates its sentences one by one"
    )
    assert len(said((0, ["a " * 50]), (1, ["a " * 50]), typed=True)) == 2


def test_with_split_the_sentences_count(said):
    assert said((0, ["One two three. " * 5]), split=True) == []
    (line,) = said((0, ["Yes. " + "so " * 50]), split=True, typed=True)
    assert line.startswith("wordseq: note: a sentence of 50 tokens, but 99 %")
    assert "--split" not in line


def test_replaced_words_are_printed_once_of_a_file_and_each_time_when_typed(said):
    calls = ((0, ["A b"]), (1, ["C"]))
    assert said(*calls) == ["wordseq: note: read as the model knows it: A -> a"]
    assert len(said(*calls, typed=True)) == 2


def test_unseen_characters_are_counted_in_one_line_for_all_lines(said, monkeypatch):
    calls = ((0, ["aɣ", "ɣe\u0301"]), (2, ["ɣ"]))
    assert said(*calls) == ["wordseq: note: never seen in training, read as bytes: ɣ (3), U+0301 (1)"]
    assert len(said(*calls, typed=True)) == 2
    monkeypatch.setattr(Known, "spells", True)
    assert said(calls[1]) == ["wordseq: note: seldom or never seen in training, read as bytes: ɣ (1)"]


def test_a_tab_is_named_once_of_a_file_where_the_run_has_no_features(said, monkeypatch):
    calls = ((4, ["a", "a\tb", "b\tc", "d\te"]), (8, ["a\tb"]))
    read = "a TAB, which is read as a space: the run has no features (data.features_column)"
    assert said(*calls) == [f"wordseq: note: line 6 and 2 more have {read}"]
    assert said(calls[1]) == [f"wordseq: note: line 9 has {read}"]
    assert said(*calls, typed=True) == [f"wordseq: note: the text has {read}"] * 2
    monkeypatch.setattr(Known, "config", Config(data=DataConfig(features_column="3")))
    assert said(*calls) == []


def test_a_character_is_unseen_if_the_model_reads_its_bytes():
    tokenizer = train_tokenizer("char", ["abc e\u0301 ▁"])
    codec = TextCodec(tokenizer, vocab_of_model(tokenizer), Twins.ALL)
    # "B" is read as "b", a full-width "a" as "a".
    assert codec.unseen(["abc▁", "B ａ ß", "ßx"]) == {"ß": 2, "x": 1}
    with_features = dataclasses.replace(codec, feature_separator=";")
    assert with_features.unseen(["ax\tX;Y"]) == {"x": 1}
    assert TextCodec(WordTokenizer(), Vocab(["a"])).unseen(["b"]) == {}
    spelling = TextCodec(WordTokenizer(), spelling_vocab([("abc", 2), ("x￭", 2), ("ßa", 2), ("B", 1)], 2), Twins.ALL)
    # Of the words that are spelled; "ABC" is read as "abc".
    assert spelling.unseen(["ABC Baß! xy￭y￭ ßa", "b-b"]) == {"B": 1, "!": 1, "y": 2, "-": 1}
    assert dataclasses.replace(spelling, feature_separator=";").unseen(["ay\tX;Y"]) == {"y": 1}


def test_many_unseen_characters_are_cut_and_counted():
    line = unseen_note(Counter({chr(0x4E00 + k): k + 1 for k in range(12)}))
    assert line.startswith(f"never seen in training, read as bytes: {chr(0x4E0B)} (12), ")
    assert line.count("(") == 11
    assert line.endswith(", ... (12 characters)")
    assert unseen_note({}) == ""
