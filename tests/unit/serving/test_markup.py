import html
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordseq.serving.directions import Aligned
from wordseq.serving.markup import MOST_TAGS, plan_html
from wordseq.serving.texts import splitter

SPLIT = splitter("en", True)
TAGS = (
    "<b>",
    "</b>",
    "<i>",
    "</i>",
    "<a href='x'>",
    "</a>",
    "<p>",
    "</p>",
    "<br>",
    "<img src=x>",
    "<!-- n -->",
    "<div/>",
)
TEXTS = ("one", "Two. ", " ", "three four", "\n", "&amp;", "&lt;b&gt;", "é", "\u200b", "'", "5 > 4", "&nbsp;")


def aligned(sentence, words=lambda words: words):
    """A translation in capitals that knows where each word comes from; `words` may put them in another order."""
    total, before, found = max(len("".join(sentence.split())), 1), 0, []
    for word in sentence.split():
        found.append((word.upper(), (before + len(word) / 2) / total))
        before += len(word)
    found = words(found)
    text = " ".join(word for word, _ in found)
    starts = [match.start() for match in re.finditer(r"\S+", text)]
    return Aligned(text, starts, [origin for _, origin in found])


def translated(text, words=lambda words: words):
    plan = plan_html(text, SPLIT)
    return plan.join([aligned(sentence, words) for sentence in plan.sentences])


def backwards(words):
    return words[::-1]


@pytest.mark.parametrize(
    ("text", "same", "other"),
    [
        ("I am <b>very cold</b>", "I AM <b>VERY COLD</b>", "<b>COLD VERY</b> AM I"),
        ("<p>a <i>b</i> c</p>\n <p>d</p>", "<p>A <i>B</i> C</p>\n <p>D</p>", "<p>C <i>B</i> A</p>\n <p>D</p>"),
        ("<b>One. Two.</b> x", "<b>ONE. TWO.</b> X", "<b>ONE. TWO.</b> X"),
        ("<b>One.</b> <i>Two.</i>", "<b>ONE.</b> <i>TWO.</i>", "<b>ONE.</b> <i>TWO.</i>"),
        ("<b>a <i>b</i></b> c", "<b>A <i>B</i></b> C", "C <b><i>B</i> A</b>"),
        ("<b>a</b> <i>b</i> c", "<b>A</b> <i>B</i> C", "C <i>B</i> <b>A</b>"),
        ("a <span></span>b", "A <span></span>B", "<span></span>B A"),
        ("I <b>am. You</b> are.", "I <b>AM. YOU</b> ARE.", "<b>AM. I ARE. YOU</b>"),
        ("x</b> y <i>z", "X</b> Y <i>Z", "<i>Z Y X</b>"),
        ("a<br>b<img src=x>c", "A<br>B<img src=x>C", "A<br>B<img src=x>C"),
        ("<ul><li>One<li>Two</ul>", "<ul><li>ONE<li>TWO</ul>", "<ul><li>ONE<li>TWO</ul>"),
        ("a &lt; b &amp; c", "A &lt; B &amp; C", "C &amp; B &lt; A"),
    ],
)
def test_tags_enclose_the_translations_of_what_they_enclosed(text, same, other):
    assert translated(text) == same
    assert translated(text, backwards) == other


@pytest.mark.parametrize(
    "kept",
    [
        "<script>if (a < b) { run('<b>') }</script>",
        "<style>b { color: red }</style>",
        "<code>x < y</code>",
        "<pre>a <b>b</b>\n c</pre>",
        "<svg><text>a</text></svg>",
        "<p translate='no'>a <b>b</b> <p>c</p></p>",
        "<span class='x notranslate'>a</span>",
        "<!-- a -->",
        "<!DOCTYPE html>",
        "<?xml a?>",
        "<![if x]>",
        "<textarea><b>a</textarea>",
    ],
)
def test_what_is_no_text_is_kept(kept):
    assert translated(f"<div>a{kept}b</div>") == f"<div>A{kept}B</div>"
    assert translated(f"{kept}") == kept


@pytest.mark.parametrize("kept", ["<code>ls</code>.", "<br>… &mdash;<br>", "<p>!?</p>", "<b>-</b>"])
def test_punctuation_without_words_is_no_sentence(kept):
    assert plan_html(f"<p>a</p>{kept}<p>b</p>", SPLIT).sentences == ["a", "b"]
    assert translated(f"<p>a</p>{kept}<p>b</p>") == f"<p>A</p>{kept}<p>B</p>"


def test_what_a_model_writes_never_becomes_a_tag():
    plan = plan_html("a <b>b</b>", SPLIT)
    text = "<script>alert(1)</script> &amp; <b>"
    assert (
        plan.join([Aligned(text, [0, 26], [0.25, 0.75])])
        == f"{html.escape(text[:25], quote=False)} <b>&amp;amp; &lt;b&gt;</b>"
    )
    plan = plan_html("&lt;script&gt;x&lt;/script&gt;", SPLIT)
    assert plan.sentences == ["<script>x</script>"]
    assert plan.join([Aligned("<script>x</script>", [0], [0.5])]) == "&lt;script&gt;x&lt;/script&gt;"


def test_an_element_stays_where_none_of_its_words_is_translated():
    plan = plan_html("a <b>b</b> c", SPLIT)
    assert plan.join([Aligned("", [], [])]) == "<b></b>"
    assert plan.join([Aligned("A C", [0, 2], [1 / 6, 5 / 6])]) == "A <b></b>C"


def test_elements_do_not_cross_where_their_words_are_mixed():
    plan = plan_html("<b>a c</b> <i>b d</i>", SPLIT)
    assert plan.join([Aligned("A B C D", [0, 2, 4, 6], [0.1, 0.6, 0.4, 0.9])]) == "<b>A B C</b> <i>D</i>"


def test_only_sentences_with_tags_inside_need_to_be_aligned():
    assert not plan_html("<p><b>One.</b> Two.</p>", SPLIT).tagged
    assert plan_html("<p><b>One</b> two.</p>", SPLIT).tagged


def test_a_sentence_with_very_many_tags_is_translated_text_by_text():
    most = "".join(f"<b>a{k}</b> " for k in range(MOST_TAGS))
    assert translated(most, backwards).startswith(f"<b>A{MOST_TAGS - 1}</b> ")
    assert translated(f"{most}<b>a</b>", backwards) == f"{most}<b>a</b>".replace(">a", ">A")


@settings(max_examples=80)
@given(st.lists(st.sampled_from(TAGS + TEXTS), max_size=12).map("".join), st.booleans())
def test_every_tag_is_kept_once_and_every_word_too(text, turn):
    found = translated(text, backwards if turn else lambda words: words)
    tag = re.compile(r"<[^>]*>")
    assert sorted(tag.findall(found)) == sorted(tag.findall(text))
    words = [re.findall(r"\w+", html.unescape(tag.sub(" ", one)).upper()) for one in (text, found)]
    assert sorted("".join(words[0])) == sorted("".join(words[1]))


@pytest.mark.parametrize(
    "text",
    ["<!" * 3000, "<a " * 9000, "<" * 9000, "<b>" * 3000, "<b>x" * 2000, "<![x>", "<![CDATA[a]]> <b>b", "&#<b>", "</"],
)
def test_hostile_html_is_translated(text):
    began = time.process_time()
    assert translated(text).count("<b>") == text.count("<b>")
    assert time.process_time() - began < 1.5


@pytest.mark.parametrize(("start", "end"), [("<code>", "</code>"), ("<span translate='no'>", "</span>")])
def test_what_is_kept_ends_where_its_own_element_ends(start, end):
    inner = start.split(" ")[0].rstrip(">")
    kept = f"{start}two {inner}>three{end} four{end}"
    assert translated(f"one {kept} five") == f"ONE {kept} FIVE"
