import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference.corpus import train_codec
from tests.strategies import normalised_text
from wordseq.config.data import LEVELS, DataConfig
from wordseq.text.normalise import normalise
from wordseq.text.twins import Twins, twins_note
from wordseq.text.vocab import UNK_ID, TextCodec, Vocab

PLAIN = ['I don\'t know, "John" said.', "Well-known fish... go (now)! 12", "hello Hello the HQ's", "office oe"]
CURLY = ["I don’t know, “John” said – “no”!", "« Oui… » ‘yes’"]


def codec(sentences, level="word", twins=Twins.ALL, **data):
    made = train_codec(sentences * 5, DataConfig(level=level, min_freq=1, subword_size=350, **data), "src")
    return TextCodec(made.tokenizer, made.vocab, twins)


@pytest.fixture(scope="module")
def plain():
    return {level: codec(PLAIN, level) for level in LEVELS}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("typed", "known"),
    [
        ("I don’t know, “John” said.", 'I don\'t know, "John" said.'),
        ("I don`t know, „John‟ said.", 'I don\'t know, "John" said.'),
        ("donʼt", "don't"),
        ("Well‑known ﬁsh…", "Well-known fish..."),
        ("Well−known oﬃce", "Well-known office"),
        ("go （now）！ １２", "go (now)! 12"),
        ("go (now)! ۱۲", "go (now)! 12"),
        ("œ", "oe"),
        ("𝐡𝐞𝐥𝐥𝐨", "hello"),
        ("FISH KNOW THE", "fish know the"),
        ("john", "John"),
        ("ＫＮＯＷ", "know"),
        ("DON’T", "don't"),
    ],
)
def test_what_is_typed_otherwise_has_the_ids_of_what_is_known(plain, level, typed, known):
    found = plain[level]
    typed = normalise(typed)
    if level != "word" and typed in ("john", "FISH KNOW THE") and found.replaced([typed]) == []:
        pytest.skip("all its letters are known")
    assert found.to_ids(typed) == found.to_ids(known)
    assert UNK_ID not in found.to_ids(typed)
    pairs = [pair for pair in zip(typed.split(" "), known.split(" "), strict=True) if pair[0] != pair[1]]
    assert found.replaced([typed]) == pairs
    assert found.replaced([known]) == []


@pytest.mark.parametrize("level", LEVELS)
def test_straight_quotes_are_read_as_the_typographic_ones_of_training(level):
    found = codec(CURLY, level)
    assert found.to_ids('I don\'t know, "John" said - "no"!') == found.to_ids(CURLY[0])


def test_the_more_frequent_case_is_taken():
    vocab = Vocab(["Rice", "rice"])
    tokenizer = codec(PLAIN).tokenizer
    assert TextCodec(tokenizer, vocab, Twins.ALL).tokenize("RICE") == ["Rice"]
    assert TextCodec(tokenizer, Vocab(["rice", "Rice"]), Twins.ALL).tokenize("RICE") == ["rice"]
    assert TextCodec(tokenizer, Vocab(["RICE"]), Twins.ALL).tokenize("rice") == ["RICE"]


@pytest.mark.parametrize("level", LEVELS)
def test_targets_keep_their_case_and_references_everything(plain, level):
    made = plain[level]
    signs = TextCodec(made.tokenizer, made.vocab, Twins.SIGNS)
    exact = TextCodec(made.tokenizer, made.vocab)
    assert signs.to_ids("don’t") == exact.to_ids("don't") != exact.to_ids("don’t")
    assert signs.to_ids("FÜR") == exact.to_ids("FÜR")
    assert exact.replaced(["don’t ＦＩＳＨ"]) == []


def test_pretokenized_words_are_read_as_a_whole():
    found = codec(['don\'t stop ... " quoted "'], pretokenized=True)
    assert found.tokenize("DON’T … “ quoted ”") == ["don't", "...", '"', "quoted", '"']
    assert codec(["don’t"], pretokenized=True).tokenize("don't") == ["don’t"]


def test_what_says_something_else_is_no_twin():
    found = codec(["10 102 TM a/c c fish", "1 / 2"])
    for text in ("10²", "fish™", "½", "ç", "日本", "@"):
        assert found.replaced([text]) == []


def test_a_symbol_keeps_its_neighbours_apart():
    found = codec(["one ... two", "a...b", "No 5"])
    assert found.tokenize("a…b") == found.tokenize("a...b")
    assert found.replaced(["No№5"]) == []


@pytest.mark.parametrize("level", LEVELS)
@given(text=normalised_text())
def test_known_text_and_unknown_tokens_are_safe(plain, level, text):
    """Nothing known is changed, nothing becomes unknown, and what was read is read the same again."""
    found = plain[level]
    exact = TextCodec(found.tokenizer, found.vocab)
    tokens = exact.tokenize(text)
    strange = exact.vocab.unknown(tokens) or any(token.startswith("<0x") for token in tokens)
    if not strange:
        assert found.to_ids(text) == exact.to_ids(text)
        assert found.replaced([text]) == []
    read = " ".join(dict(found.replaced([word])).get(word, word) for word in text.split(" "))
    assert unicodedata.is_normalized("NFC", read)
    assert found.to_ids(text).count(UNK_ID) <= exact.to_ids(text).count(UNK_ID)
    if level == "word":
        assert found.tokenize(read) == found.tokenize(text)


@given(st.text(max_size=5))
def test_any_text_can_be_read(plain, text):
    for level in LEVELS:
        plain[level].to_ids(text)


def test_the_note_shows_a_few_words():
    assert twins_note([]) == ""
    assert twins_note([("a’", "a'")] * 3) == "read as the model knows it: a’ -> a'"
    many = [(f"{k}’" * 50, f"{k}'") for k in range(5)]
    assert twins_note(many).endswith("..., 1’1’") is False
    assert twins_note(many).endswith(", ... (5 words)")
    assert len(twins_note(many)) < 250


def test_the_digest_says_what_is_read_as_twins(plain):
    made = plain["word"]
    assert len({TextCodec(made.tokenizer, made.vocab, twins).sha256 for twins in Twins}) == 3
