import dataclasses
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

from tests.reference.corpus import build_vocab, train_codec
from tests.strategies import normalised_text
from wordseq.config.data import FORMS, LEVELS, DataConfig
from wordseq.system.errors import UserError
from wordseq.text import vocab as vocab_module
from wordseq.text.normalise import in_form
from wordseq.text.spelling import Spelling
from wordseq.text.tokenizers import SentencePieceTokenizer, WordTokenizer
from wordseq.text.twins import Twins
from wordseq.text.vocab import (
    BOS_ID,
    EOS_ID,
    PAD_ID,
    SPECIALS,
    UNK_ID,
    TextCodec,
    Vocab,
    coverage,
    vocab_of_model,
)

PIECE_LEVELS = ("char", "bpe", "unigram")
SENTENCES = [
    f"The {a} {b} slowly, doesn't it?" for a in ("kettle", "tram", "goose") for b in ("hums", "turns", "stops")
]
COUNTED = [["b", "a", "c"], ["b", "a"], ["d", "a"], ["c", "Z"]]
"""a: 3, b: 2, c: 2, Z: 1, d: 1."""


@pytest.fixture(scope="module")
def codecs():
    return {level: train_codec(SENTENCES, DataConfig(level=level, subword_size=300), "tgt") for level in LEVELS}


# Forms


FORMED = [*SENTENCES, "Él ñandú, à côté: ŝtono", "한국어 각", "ﬁn ½ ´x´ Ⅷ²"]


@pytest.fixture(scope="module")
def formed():
    return {
        (level, form): train_codec(FORMED, DataConfig(level=level, subword_size=380, min_freq=1, tgt_form=form), "tgt")
        for level in ("char", "word", "unigram")
        for form in FORMS
    }


@given(text=st.one_of(normalised_text(), st.sampled_from(FORMED)), written=st.sampled_from(["NFC", "NFD"]))
def test_text_comes_back_from_the_form_that_the_model_sees(formed, text, written):
    for (level, form), codec in formed.items():
        writing = dataclasses.replace(codec, written=written)
        back = writing.detokenize(writing.tokenize(text))
        seen = in_form(text, form)
        assert back == unicodedata.normalize(written, seen)
        assert writing.stored(back) == unicodedata.normalize("NFC", seen)
        assert form in ("NFKC", "NFKD") or writing.stored(back) == text
        assert level != "char" or codec.tokenizer.detokenize(codec.tokenize(text)) == seen


@pytest.mark.parametrize("level", ["char", "bpe"])
def test_texts_are_in_their_form_whatever_tokens_a_model_writes(codecs, level):
    codec = codecs[level]
    # A letter before a mark, and a space that only single bytes can give.
    for mark, composed in (("\u0301", "é"), ("\u2000", "e\u2002")):
        tokens = ["e", *(f"<0x{byte:02X}>" for byte in mark.encode())]
        assert codec.detokenize(tokens) == composed
        assert dataclasses.replace(codec, written="NFD").detokenize(tokens) == unicodedata.normalize("NFD", composed)


def test_nfd_takes_hangul_apart():
    data = DataConfig(level="char", src_form="NFD")
    codec = train_codec(["각", "나"], data, "src")
    assert codec.tokenize("각") == ["ᄀ", "ᅡ", "ᆨ"]
    # A syllable that training does not have is spelled by its letters.
    assert codec.tokenize("가") == ["ᄀ", "ᅡ"]
    assert codec.to_text(codec.to_ids("가각")) == "가각"


@pytest.mark.parametrize("level", ["char", "word"])
def test_twins_are_found_in_every_form(level):
    texts = ["don't été où ș straße", "don't été où ș straße"]
    for form in FORMS:
        codec = train_codec(texts, DataConfig(level=level, src_form=form), "src")
        for typed, read in (("don’t ÉTÉ", "don't été"), ("Où", "où"), ("ş", "ș"), ("ｄｏｎ't", "don't")):
            assert codec.to_text(codec.to_ids(typed)) == read, (form, typed)
        assert codec.replaced(["don’t été ÉTÉ"]) == [("don’t", "don't"), ("ÉTÉ", "été")]


def test_forms_are_part_of_the_digest_and_of_the_files(tmp_path, codecs):
    word = codecs["word"]
    made = [dataclasses.replace(word, form=form, written=written) for form in FORMS for written in FORMS]
    assert len({codec.sha256 for codec in made}) == len(made)
    for codec in made:
        codec.save(tmp_path, "tgt")
        assert TextCodec.load(tmp_path, "tgt").sha256 == codec.sha256
    path = tmp_path / "tgt.codec.json"
    path.write_text('{"form": "NFX", "written": "NFC"}')
    with pytest.raises(UserError, match=r"tgt\.codec\.json: damaged: form = 'NFX'; choose from NFC, NFD, NFKC, NFKD"):
        TextCodec.load(tmp_path, "tgt")
    path.unlink()
    with pytest.raises(UserError, match=r"tgt\.codec\.json: no such file"):
        TextCodec.load(tmp_path, "tgt")


# Ids


def test_special_ids():
    assert (PAD_ID, UNK_ID, BOS_ID, EOS_ID) == (0, 1, 2, 3)
    assert [SPECIALS[i] for i in (PAD_ID, UNK_ID, BOS_ID, EOS_ID)] == ["<pad>", "<unk>", "<s>", "</s>"]


def test_ids_start_at_four_and_unknown_tokens_get_one():
    vocab = Vocab(["x", "y"])
    assert len(vocab) == 6
    assert vocab.to_ids(["y", "x", "z", "y"]) == [5, 4, UNK_ID, 5]
    assert "x" in vocab
    assert "z" not in vocab


def test_names_of_special_ids_in_a_text_are_unknown_words():
    assert Vocab(["x"]).to_ids(SPECIALS) == [UNK_ID] * 4


def test_names_of_special_ids_can_be_words_of_their_own():
    vocab = Vocab(SPECIALS)
    assert vocab.to_ids(SPECIALS) == [4, 5, 6, 7]
    assert vocab.to_tokens([4, 5, 6, 7]) == list(SPECIALS)


def test_special_ids_are_left_out_but_unknown_is_shown():
    assert Vocab(["x"]).to_tokens([BOS_ID, 4, UNK_ID, 4, EOS_ID, PAD_ID]) == ["x", "<unk>", "x"]


@pytest.mark.parametrize("index", [-1, 5, 10**9])
def test_an_id_out_of_range_is_an_error(index):
    with pytest.raises(ValueError, match=rf"id {index} is not in a vocabulary of 5; ids are 0 to 4"):
        Vocab(["x"]).to_tokens([4, index])


def test_a_token_given_twice_is_an_error():
    with pytest.raises(ValueError, match="token 'x' appears more than once"):
        Vocab(["x", "y", "x"])


# Building


def test_order_is_by_frequency_then_alphabet():
    assert build_vocab(COUNTED).tokens == ("a", "b", "c", "Z", "d")
    assert build_vocab(reversed([*map(tuple, COUNTED)])).tokens == ("a", "b", "c", "Z", "d")


@pytest.mark.parametrize(
    ("min_freq", "max_size", "tokens"),
    [(2, 0, "abc"), (3, 0, "a"), (4, 0, ""), (1, 2, "ab"), (1, 4, "abcZ"), (2, 4, "abc"), (1, 99, "abcZd")],
)
def test_min_freq_and_max_size_count_words_without_special_ids(min_freq, max_size, tokens):
    vocab = build_vocab(COUNTED, min_freq, max_size)
    assert vocab.tokens == tuple(tokens)
    assert len(vocab) == len(tokens) + 4


@given(st.lists(st.lists(st.sampled_from("abcdef"))), st.integers(1, 3), st.integers(0, 4))
def test_kept_words_are_never_rarer_than_dropped_ones(sentences, min_freq, max_size):
    vocab = build_vocab(sentences, min_freq, max_size)
    counts = [sum(tokens.count(word) for tokens in sentences) for word in vocab.tokens]
    assert counts == sorted(counts, reverse=True)
    assert all(count >= min_freq for count in counts)
    left_out = coverage(vocab, sentences).unknown
    assert max_size == 0 or len(vocab.tokens) <= max_size
    assert all(count < min_freq or count <= min(counts, default=count) for count in left_out.values())


# Coverage


def test_coverage_by_hand():
    found = coverage(Vocab(["a", "b"]), [*COUNTED, []])
    assert found.tokens == 9
    assert found.unknown_tokens == 4
    assert found.share == pytest.approx(5 / 9)
    assert list(found.unknown.items()) == [("c", 2), ("Z", 1), ("d", 1)]


def test_coverage_of_nothing_is_complete():
    assert coverage(Vocab([]), []).share == 1


def test_unknown_tokens_of_a_sentence():
    assert Vocab(["a", "b"]).unknown(["x", "a", "<unk>", "x", "b"]) == ["x", "<unk>", "x"]


# Text <-> ids


@pytest.mark.parametrize("level", PIECE_LEVELS)
@given(text=normalised_text())
def test_ids_are_those_of_sentencepiece_and_text_round_trips(codecs, level, text):
    codec = codecs[level]
    ids = codec.to_ids(text)
    assert codec.to_text(ids) == text
    assert not {PAD_ID, UNK_ID, BOS_ID, EOS_ID} & set(ids)
    plain = text.translate(dict.fromkeys(map(ord, "<\u2581\u2585\uffee")))
    assert codec.to_ids(plain) == codec.tokenizer._processor.encode(plain)


def test_ids_equal_those_of_the_saved_model_file(tmp_path, codecs):
    for level in PIECE_LEVELS:
        (tmp_path / level).mkdir()
        codecs[level].save(tmp_path / level, "tgt")
        model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / level / "tgt.spm.model"))
        assert len(model) == len(codecs[level].vocab)
        assert [model.pad_id(), model.unk_id(), model.bos_id(), model.eos_id()] == [PAD_ID, UNK_ID, BOS_ID, EOS_ID]
        for text in [*SENTENCES, "ünseen 日本"]:
            assert codecs[level].to_ids(text) == model.encode(text)


@given(text=normalised_text())
def test_known_words_round_trip_and_others_are_shown(codecs, text):
    codec = codecs["word"]
    tokens = codec.tokenizer.tokenize(text)
    shown = [token if token in codec.vocab else "<unk>" for token in tokens]
    assert codec.to_text(codec.to_ids(text)) == codec.tokenizer.detokenize(shown)


def test_an_unknown_word_between_known_ones(codecs):
    assert (
        codecs["word"].to_text(codecs["word"].to_ids("The zebra turns, doesn't it?")) == "The <unk> turns, doesn't it?"
    )


@given(st.lists(st.text("ab ж", min_size=1).map(str.strip).filter(bool)))
def test_unknown_tokens_are_spelled_and_no_others(codecs, texts):
    for level, codec in codecs.items():
        tokens = [codec.tokenizer.tokenize(text) for text in texts]
        unknown = [token for found in tokens for token in found if token not in codec.vocab]
        spelling = Spelling(codec.vocab.tokens)
        assert codec.spelling_bits(tokens) == pytest.approx(sum(map(spelling.bits, unknown)))
        assert level == "word" or not unknown


def test_settings_reach_the_vocabulary():
    assert train_codec(["b b a", "a b"], DataConfig(max_size=1), "src").vocab.tokens == ("b",)
    assert train_codec(["b b a", "b"], DataConfig(min_freq=2), "src").vocab.tokens == ("b",)
    assert train_codec(["a, b"], DataConfig(pretokenized=True, min_freq=1), "src").vocab.tokens == ("a,", "b")
    assert train_codec(iter(["ba"]), DataConfig(level="word", tgt_level="char", min_freq=1), "tgt").vocab.tokens[
        256:
    ] == ("a", "b")
    assert train_codec(iter(["ba"]), DataConfig(level="word", tgt_level="char", min_freq=1), "src").vocab.tokens == (
        "ba",
    )
    assert len(train_codec(SENTENCES * 9, DataConfig(level="bpe", subword_size=301), "src").vocab) == 301


def test_a_vocabulary_of_symbols_has_all_of_them_and_reads_none_as_its_twin():
    data = DataConfig(level="char", tgt_separator=" ", min_freq=9, max_size=1)
    assert train_codec(["b b aː", "b"], data, "tgt").vocab.tokens == ("b", "aː")
    symbols = train_codec(["b ʼ"], DataConfig(src_separator=" ", min_freq=9), "src")
    assert symbols.to_ids("B b ' ʼ") == [UNK_ID, 4, UNK_ID, 5]
    words = train_codec(["b ʼ"], DataConfig(pretokenized=True, min_freq=1), "src")
    assert words.to_ids("B b ' ʼ") == [4, 4, 5, 5]


def test_codecs_have_one_digest_if_they_give_the_same_ids_and_another_if_not(codecs):
    again = {level: train_codec(SENTENCES, DataConfig(level=level, subword_size=300), "tgt") for level in LEVELS}
    assert {level: codec.sha256 for level, codec in again.items()} == {
        level: codec.sha256 for level, codec in codecs.items()
    }
    word, bpe = codecs["word"], train_codec(SENTENCES, DataConfig(level="bpe", subword_size=320), "tgt")
    # The same tokens by other rules: another order of merges, spaces in place of joiners.
    merges = sentencepiece_model_pb2.ModelProto.FromString(bpe.tokenizer.model)
    for piece in merges.pieces[len(SPECIALS) + 256 :]:
        piece.score = -piece.score
    others = [
        TextCodec(WordTokenizer(" "), word.vocab),
        TextCodec(SentencePieceTokenizer("bpe", merges.SerializeToString()), bpe.vocab),
        TextCodec(word.tokenizer, Vocab(word.vocab.tokens[::-1])),
        TextCodec(word.tokenizer, Vocab(word.vocab.tokens[:-1])),
        *(TextCodec(word.tokenizer, word.vocab, twins) for twins in Twins if twins is not Twins.NONE),
        TextCodec(WordTokenizer("|"), word.vocab),
        TextCodec(WordTokenizer(" ", "symbols"), word.vocab),
    ]
    assert others[1].tokenizer.tokens == bpe.tokenizer.tokens
    assert others[1].to_ids("hurns") != bpe.to_ids("hurns")  # "hu" is merged before "ur", or after it.
    digests = [codec.sha256 for codec in (*codecs.values(), bpe, *others)]
    assert len(set(digests)) == len(digests)


# Files


def test_another_process_gives_the_same_ids(tmp_path, codecs):
    text = "The goose hums, 日本 <unk> \u2581 ünseen"
    for level in LEVELS:
        (tmp_path / level).mkdir()
        codecs[level].save(tmp_path / level, "tgt")
    program = (
        "import json, sys; from pathlib import Path; from wordseq.text.vocab import TextCodec\n"
        "folder, text, *levels = sys.argv[1:]\n"
        "print(json.dumps({level: TextCodec.load(Path(folder, level), 'tgt').to_ids(text) for level in levels}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(vocab_module.__file__).parents[1]), "PYTHONUTF8": "1"}
    command = [sys.executable, "-c", program, str(tmp_path), text, *LEVELS]
    answer = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert json.loads(answer.stdout) == {level: codecs[level].to_ids(text) for level in LEVELS}


def test_strange_tokens_survive_the_file(tmp_path):
    tokens = ("<pad>", '"', "\\", "\u2028", "\u0085", "e\u0301", "\x00", "\uffed", "👩\u200d👧", "a\nb")
    Vocab(tokens).save(tmp_path, "src")
    assert Vocab.load(tmp_path, "src").tokens == tokens


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "damaged: not JSON"),
        ("{}", "damaged: tokens must be a list of non-empty strings"),
        ('{"size": 1, "tokens": "a"}', "damaged: tokens must be a list of non-empty strings"),
        ('{"size": 2, "tokens": ["a", 1]}', "damaged: tokens must be a list of non-empty strings"),
        ('{"size": 2, "tokens": ["a", ""]}', "damaged: tokens must be a list of non-empty strings"),
        (r'{"size": 1, "tokens": ["\ud800"]}', "damaged: a token contains a lone surrogate"),
        ('{"size": 2, "tokens": ["a"]}', "damaged: size = 2, but it has 1 tokens"),
        ('{"size": 2, "tokens": ["a", "a"]}', "damaged: token 'a' appears more than once"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, complaint):
    (tmp_path / "src.vocab.json").write_text(content)
    with pytest.raises(UserError, match=rf"src\.vocab\.json: {complaint}"):
        Vocab.load(tmp_path, "src")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"tgt\.vocab\.json: no such file"):
        Vocab.load(tmp_path, "tgt")


def test_a_vocabulary_of_another_tokenizer_is_named(tmp_path, codecs):
    codecs["bpe"].save(tmp_path, "src")
    vocab_of_model(codecs["char"].tokenizer).save(tmp_path, "src")
    with pytest.raises(UserError, match=r"src\.vocab\.json: does not belong to the tokenizer of src"):
        TextCodec.load(tmp_path, "src")
