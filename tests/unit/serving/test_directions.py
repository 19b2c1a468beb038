import itertools
from types import SimpleNamespace

import pytest

from tests.fake_translator import FakeTranslator
from wordseq.config.data import DataConfig
from wordseq.decoding.translator import Translator
from wordseq.evaluation.about import Languages
from wordseq.serving.detection import Detected, Detector
from wordseq.serving.directions import (
    MOST_ALTERNATIVES,
    Direction,
    languages_of,
)
from wordseq.serving.markup import plan_html
from wordseq.system.errors import UserError

TEXTS = ["I am hungry.", "", "She is cold today."]


def run_of(**data):
    return SimpleNamespace(folder="runs/x", config=SimpleNamespace(data=DataConfig(**data)))


def test_languages_are_given_or_of_the_settings_or_two_general_ones():
    named, bare = run_of(src_lang="de", tgt_lang="en"), run_of()
    assert languages_of([named, bare], []) == [("de", "en"), ("src", "tgt")]
    assert languages_of([named, bare], ["fr:nl", "pt-BR:eo"]) == [("fr", "nl"), ("pt-BR", "eo")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["en:fr"], "--as is given 1 time for 2 runs; give it once for each run"),
        (["en", "a:b"], "'en' is not SOURCE:TARGET"),
        (["en:fr:de", "a:b"], "'en:fr:de' is not"),
        (["en:en", "a:b"], "'en:en' is not"),
        (["e n:fr", "a:b"], "'e n:fr' is not"),
        (["Auto:fr", "a:b"], "'Auto:fr': 'auto' asks for detection and is no language code: give --as en:fr"),
        (["en:fr", "en:fr"], "runs/x and runs/x both translate from en to fr"),
        ([], "both translate from src to tgt"),
    ],
)
def test_a_mistake_in_the_languages_is_named(given, message):
    with pytest.raises(UserError, match=message):
        languages_of([run_of(), run_of()], given)


@pytest.fixture(scope="module")
def direction(tiny_run, uncompiled):
    return Direction(Languages("en", "fr"), Translator.load(tiny_run.folder), {})


def test_answers_are_those_of_the_translator_with_and_without_alternatives(direction):
    expected = direction.translator(TEXTS)
    assert direction.best(TEXTS) == expected
    found = direction.several(TEXTS)
    assert [hypotheses[0].text for hypotheses in found] == expected
    for hypotheses in found:
        texts = [one.text for one in hypotheses]
        assert len(set(texts)) == len(texts) <= MOST_ALTERNATIVES + 1
        scores = [one.score for one in hypotheses[1:]]
        assert scores == sorted(scores, reverse=True)
    assert len(found[0]) > 1


def test_what_is_inspected_has_a_row_of_attention_for_each_token(direction):
    first, empty, *_ = direction.inspect(TEXTS)
    assert first.source == TEXTS[0]
    assert first.attention.src_tokens[-1] == first.attention.tgt_tokens[-1] == "</s>"
    assert len(first.attention.weights) == len(first.attention.tgt_tokens)
    assert all(len(row) == len(first.attention.src_tokens) for row in first.attention.weights)
    assert empty.attention is None


def test_aligned_tokens_start_where_the_text_has_them_and_come_from_the_source(direction):
    for text, found in zip(direction.best(TEXTS), direction.aligned(TEXTS), strict=True):
        assert found.text == text
        assert found.starts == sorted(found.starts)
        assert len(found.starts) == len(found.origins)
        assert all(0 < origin < 1 for origin in found.origins)
        assert all(found.text[start] != " " for start in found.starts)


def test_a_target_token_comes_from_the_source_token_with_its_highest_attention(direction):
    (found,), (shown,) = direction.aligned(TEXTS[:1]), direction.inspect(TEXTS[:1])
    tokens = [token.strip("￭") for token in shown.attention.src_tokens[:-1]]
    ends = list(itertools.accumulate(map(len, tokens), initial=0))
    for origin, row in zip(found.origins, shown.attention.weights, strict=False):
        strongest = max(range(len(tokens)), key=row.__getitem__)
        assert ends[strongest] < origin * ends[-1] < ends[strongest + 1]


def test_the_score_of_a_greedy_translation_is_comparable_with_those_of_a_beam():
    translator = FakeTranslator("decode.length_penalty=2", "decode.beam_size=1")
    (found,) = Direction(Languages("a", "b"), translator, {}).several(["one two three"])
    assert found[0].score == pytest.approx(-1.0 / ((5 + 3 + 1) / 6) ** 2)
    wide = FakeTranslator("decode.beam_size=2")
    assert Direction(Languages("a", "b"), wide, {}).several(["one"])[0][0].score == -1.0


def test_html_of_a_real_model_keeps_every_tag_and_its_plain_translation(direction):
    plan = plan_html("<p>I <b>am</b> <i>hungry</i>. Where is <a href='x'>the station</a>?</p>", direction.split)
    found = direction.aligned(plan.sentences)
    text = plan.join(found)
    assert all(text.count(tag) == 1 for tag in ("<p>", "<b>", "</b>", "<i>", "</i>", "<a href='x'>", "</a>", "</p>"))
    for tag in ("<p>", "<b>", "</b>", "<i>", "</i>", "<a href='x'>", "</a>", "</p>"):
        text = text.replace(tag, "")
    assert text == " ".join(one.text for one in found).replace("<", "&lt;").replace(">", "&gt;")


def test_one_source_language_needs_no_detection_and_unknown_ones_are_named():
    assert Detector(["xx"]).detect("Whatever") == [Detected("xx", 100.0)]
    assert Detector(["xx", "xx"]).unknown == []
    british = Detector(["en-GB", "xx"])
    assert british.unknown == ["xx"]
    assert british.detect("Whatever is this?") == [Detected("en-GB", 100.0)]
    several = Detector(["xx", "yy"])
    assert several.unknown == ["xx", "yy"]
    assert several.detect("Whatever") == [Detected("xx", 0.0)]


def test_without_attention_words_are_taken_to_run_in_parallel():
    found = Direction(Languages("a", "b"), FakeTranslator(), {}).aligned(["ab c", "d"])
    assert [(one.text, one.starts) for one in found] == [("C AB", [0, 2]), ("D", [0])]
    assert found[0].origins == [1 / 6, 2 / 3]
