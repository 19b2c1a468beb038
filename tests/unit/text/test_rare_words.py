import dataclasses
import json
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference.corpus import train_codec
from tests.strategies import normalised_text
from wordseq.config.data import FORMS, DataConfig
from wordseq.system.errors import UserError
from wordseq.text.normalise import in_form, normalise
from wordseq.text.rare_words import LETTER, WORD_START, LetterCounts, Speller, join_letters, shown_letter, spelling_line
from wordseq.text.tokenizers import JOINER, WordTokenizer
from wordseq.text.vocab import BOS_ID, EOS_ID, PAD_ID, SPECIALS, UNK_ID, TextCodec, Vocab, coverage, spelling_vocab

SENTENCES = [
    f"The {a} {b} slowly, doesn't it?" for a in ("kettle", "tram", "goose") for b in ("hums", "turns", "stops")
] + ["A żyrafa met ▁h and <0xC3> of ￭ or ￮0.", "The ńu of 李.", "ńu 李 ￭"]
HOSTILE = [
    "▁",
    "▁h",
    "▁k e t",
    "<0xC3>",
    "<unk> </s>",
    JOINER,
    "h" + JOINER,
    "\uffee0",
    "  ",
    "ket tle",
    "李李",
    "👩\u200d👧x",
]
SPELL = DataConfig(rare_words="spell")


@pytest.fixture(scope="module")
def codecs():
    made = {form: train_codec(SENTENCES, dataclasses.replace(SPELL, tgt_form=form), "tgt") for form in FORMS}
    return made | {"pretokenized": train_codec(SENTENCES, dataclasses.replace(SPELL, pretokenized=True), "tgt")}


@pytest.fixture(scope="module")
def nfc(codecs):
    return codecs["NFC"]


def texts():
    return st.one_of(normalised_text(), st.lists(st.sampled_from([*HOSTILE, *SENTENCES])).map(" ".join).map(normalise))


# Text <-> ids


@pytest.mark.parametrize("name", ["NFC", "NFD", "NFKC", "pretokenized"])
@given(text=texts())
def test_any_text_comes_back_and_no_token_is_unknown(codecs, name, text):
    codec = codecs[name]
    ids = codec.to_ids(text)
    assert not {PAD_ID, UNK_ID, BOS_ID, EOS_ID} & set(ids)
    assert codec.vocab.to_ids(codec.tokenize(text)) == ids
    seen = text if name == "pretokenized" else unicodedata.normalize("NFC", in_form(text, name))
    assert codec.to_text(ids) == seen


@given(text=texts())
def test_no_word_of_the_vocabulary_is_spelled_and_every_other_word_is(nfc, text):
    words, tokens = nfc.tokenizer.tokenize(text), nfc.tokenize(text)
    assert join_letters(tokens) == words
    assert [token for token in tokens if not token.startswith(LETTER)] == [word for word in words if word in nfc.vocab]
    assert sum(token.startswith(WORD_START) for token in tokens) == sum(word not in nfc.vocab for word in words)


def test_a_spelled_word_by_hand(nfc):
    assert nfc.shown(nfc.tokenize("The trams hum.")) == [*("The", "▁t", "r", "a", "m", "s"), *("▁h", "u", "m"), "￭."]
    # No word of training begins with r; the letter z and the bytes of 王 were never seen, "ż" once.
    assert nfc.shown(nfc.tokenize("ra")) == ["▁", "r", "a"]
    assert nfc.shown(nfc.tokenize("t王z")) == ["▁t", "<0xE7>", "<0x8E>", "<0x8B>", "<0x7A>"]
    assert nfc.shown(nfc.tokenize("ż")) == ["▁", "<0xC5>", "<0xBC>"]
    assert nfc.shown(nfc.tokenize("it%it")) == ["it", "▁￭", "<0x25>", "￭", "it"]


def test_a_text_that_shows_what_a_token_shows_is_not_that_token(nfc):
    for text in ("▁h", "▁t r a", "<0x25>", "▁ h", "<0xE7><0x8E><0x8B>"):
        assert nfc.to_text(nfc.to_ids(text)) == text
        assert nfc.to_ids(text) != nfc.vocab.to_ids([WORD_START + "h"])
    # A letter that is a word has an id of its own.
    codec = train_codec(["a b ab", "a b ab", "ba"], SPELL, "tgt")
    assert len({*codec.to_ids("a b"), *codec.to_ids("ba"), *codec.to_ids("baa")}) == 4


def test_twins_of_the_vocabulary_are_read_and_other_words_spelled():
    codec = train_codec(SENTENCES, SPELL, "src")
    assert codec.tokenize("KETTLE doesn’t") == ["kettle", *codec.tokenize("doesn't")]
    assert codec.to_text(codec.to_ids("KETTLES doesn’t")) == "KETTLES doesn't"
    assert codec.replaced(["KETTLES KETTLE zork"]) == [("KETTLE", "kettle")]


# What a decoder may write

TOKENS = ["The", "￭.", "<unk>", WORD_START, "  t", "  ￭", " t", " ￭", " r", " <0xE7>", " <0x8E>", " <0x0A>", " <0x20>"]


@pytest.mark.parametrize("name", ["NFC", "pretokenized"])
@given(tokens=st.lists(st.sampled_from(TOKENS)))
def test_any_tokens_are_one_line_of_text(codecs, name, tokens):
    text = codecs[name].detokenize(tokens)
    assert len(text.splitlines()) <= 1
    assert "  " not in text
    text.encode()


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["  t", " r", "The"], "tr The"),  # A known word ends a spelled one,
        (["  t", " r", "  t"], "tr t"),  # and so does the next spelled word.
        (["The", " t", " r"], "The tr"),  # No mark.
        ([" t", "<unk>", " r"], "t <unk> r"),
        ([WORD_START], ""),  # A mark without characters.
        (["The", WORD_START, WORD_START, "The"], "The The"),
        ([WORD_START, "  t"], "t"),
        (["  t", " <0xE7>", "The"], "t\ufffd The"),  # Bytes that are not UTF-8.
        (["  t", " <0xE7>", " t"], "t\ufffdt"),
        ([" <0xE7>", " <0x8E>", " <0x8B>"], "王"),
        ([" <0x0A>"], "\ufffd"),
        (["  t", " <0x20>", " t", " <0xE2>", " <0x80>", " <0x83>"], "t\ufffdt\ufffd"),
        (["The", "  ￭", " %", " ￭", "The"], "The%The"),
        (["  t", " ￭", " r"], "tr"),
        ([], ""),
    ],
)
def test_what_the_tokenizer_never_gives_is_sensible_text(nfc, tokens, text):
    assert nfc.detokenize(tokens) == text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1)), st.data())
def test_spelled_words_come_back_whatever_the_alphabet(words, data):
    seen = data.draw(st.lists(st.tuples(st.sampled_from([*words, "a"]), st.integers(1, 3))))
    counts = LetterCounts()
    assert list(counts.watch(seen)) == seen
    speller = Speller(counts.tokens(2))
    assert join_letters(token for word in words for token in speller.spell(word)) == words


# The vocabulary


def test_characters_are_those_of_all_training_words_by_frequency():
    vocab = spelling_vocab([("ab", 5), ("b￭", 3), ("ca", 1), ("dd", 1)], min_freq=2)
    marked, plain = ["  a", "  b", "  ￭"], [" b", " a", " ￭", " d"]
    assert vocab.tokens == (WORD_START, *marked, *plain, *(f" <0x{n:02X}>" for n in range(256)), "ab", "b￭")
    assert (vocab.speller.starts, vocab.speller.size) == (4, 264)
    assert dict(vocab.words) == {"ab": 268, "b￭": 269}
    # The limit of words is none of characters.
    small = spelling_vocab([("ab", 5), ("b￭", 3), ("ca", 1), ("dd", 1)], min_freq=2, max_size=1)
    assert small.tokens == vocab.tokens[:-1]
    # A symbol may touch a word where no symbol did in training.
    assert {"  ￭", " ￭"} <= {*spelling_vocab([("ab", 5)]).tokens}


def test_a_vocabulary_without_characters_spells_nothing():
    assert Vocab(["x"]).speller is None
    assert Vocab(["x"]).spell(["x", "y"]) == ["x", "y"]
    assert dict(Vocab(["x", "y", "\tPST"]).words) == {"x": 4, "y": 5}
    # Symbols may begin with a space.
    assert Vocab([" x", "y "]).spell([" x", "z"]) == [" x", "z"]


def test_words_are_all_tokens_but_features_and_characters():
    data = dataclasses.replace(SPELL, features_column="3")
    codec = train_codec(["gehen\tV;PST", "gehen\tV;SG", "ging\tV"], data, "src")
    assert [*codec.vocab.words] == ["gehen"]
    assert codec.shown(codec.tokenize("gehe\tV;NEW")) == ["▁g", *"ehe", "[V]", "[NEW]"]
    assert codec.vocab.to_ids(codec.tokenize("ging\tV;NEW"))[-1] == UNK_ID
    assert codec.to_text(codec.to_ids("ging gehen\tV;PST")) == "ging gehen\tV;PST"


def test_coverage_counts_spelled_words(nfc):
    found = coverage(nfc.vocab, map(nfc.tokenize, ["The trams hum.", "The tram", ""]))
    assert (found.tokens, found.words, found.spelled, found.unknown_tokens, found.share) == (12, 6, 2, 0, 1.0)
    plain = coverage(Vocab(["The"]), [["The", "x"]])
    assert (plain.tokens, plain.words, plain.spelled, plain.spelled_share) == (2, 2, None, None)
    assert (found.spelled_share, coverage(nfc.vocab, []).spelled_share) == (2 / 6, 0)
    assert nfc.spelling_bits([nfc.tokenize("王 zork")]) == 0


def test_the_line_on_spelled_words():
    parts = {
        "train": {"sentences": 10, "tokens": 95, "words": 74, "spelled": 6},
        "dev": {"sentences": 0, "tokens": 0, "words": 0, "spelled": 0},
    }
    assert spelling_line(parts) == (
        "spells 8.11% of train words and 0.00% of dev words in characters: 9.5 and 0.0 tokens per sentence, 7.4 and 0.0 with "
        "<unk> for these words"
    )


def test_shown_tokens_are_distinct_and_readable():
    assert [shown_letter(token) for token in (WORD_START, "  h", " h", " <0xC3>", "h")] == [
        "▁",
        "▁h",
        "h",
        "<0xC3>",
        "h",
    ]


# Files


def test_a_saved_codec_spells_the_same(tmp_path, codecs):
    for name, codec in codecs.items():
        codec.save(tmp_path, "tgt")
        loaded = TextCodec.load(tmp_path, "tgt")
        assert loaded.sha256 == codec.sha256
        assert loaded.to_ids("The trams of 王.") == codec.to_ids("The trams of 王."), name
    assert len({codec.sha256 for codec in codecs.values()}) == len(codecs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tokens: [token for token in tokens if token != " <0xC3>"], "no token <0xC3>"),
        (lambda tokens: [*tokens, " ÿ"], "a character stands among the words"),
        (lambda tokens: [WORD_START, " ÿ", *tokens[1:]], "the tokens of characters are in another order"),
        (lambda tokens: [*tokens, "  ÿ"], "a character stands among the words"),
    ],
)
def test_damaged_characters_are_an_error(tmp_path, nfc, change, message):
    nfc.save(tmp_path, "tgt")
    path = tmp_path / "tgt.vocab.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    tokens = change(values["tokens"])
    path.write_text(json.dumps({**values, "size": len(tokens), "tokens": tokens}), encoding="utf-8")
    with pytest.raises(UserError, match=rf"tgt\.vocab\.json: damaged: {message}"):
        TextCodec.load(tmp_path, "tgt")


def test_symbols_cannot_be_spelled(tmp_path, nfc):
    dataclasses.replace(nfc, tokenizer=WordTokenizer("|", "symbols")).save(tmp_path, "tgt")
    with pytest.raises(
        UserError, match=r"tgt\.vocab\.json: spells words, but the tokenizer of tgt is of the symbols level"
    ):
        TextCodec.load(tmp_path, "tgt")


def test_tokens_of_one_word_are_no_longer_than_its_characters_and_marks(nfc):
    """The limit of the longest source counts six tokens for a character."""
    for text in ("王", "王%王", "👩\u200d👧x", "it\U0010ffffit", "\uffed\uffed", "%" * 9):
        assert len(nfc.to_ids(text)) <= 6 * len(text)
    assert all(a != b for a, b in pairwise(nfc.vocab.tokens))
    assert len(SPECIALS) + len(nfc.vocab.tokens) == len(nfc.vocab)
