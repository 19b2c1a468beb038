"""The exported program reads and writes text as the package does."""

import dataclasses
import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.corpus import train_codec
from tests.runs import some_pairs
from tests.strategies import normalised_text
from wordseq.config.data import DataConfig
from wordseq.export.onnx_folder import write_side
from wordseq.export.portable_text import ExportedSide, normalised
from wordseq.text.normalise import normalise
from wordseq.text.vocab import TextCodec

TEXTS = [*(pair.tgt for pair in some_pairs()[:150]), *3 * ["‘Oui’ “non” • ﬀ 12 – ş"]]
ODD = ["'Oui' \"non\" · ff ١２ - ș", "''a' \"\"b\" ‹ＯＵＩ› ｏｕｉ", "OUI NON ﬁn Œuf İ ǅ", "`oui´ ″non″ … « — ‐"]
LEVELS = {
    "word": DataConfig(level="word", min_freq=2, rare_words="unk"),
    "spelled": DataConfig(level="word", min_freq=2, rare_words="spell"),
    "char": DataConfig(level="char"),
    "bpe": DataConfig(level="bpe", subword_size=400),
    "unigram": DataConfig(level="unigram", subword_size=400),
    "nfd": DataConfig(level="char", src_form="NFD", tgt_form="NFD"),
    "nfkd-word": DataConfig(level="word", min_freq=2, rare_words="unk", src_form="NFKD", tgt_form="NFKD"),
    "symbols": DataConfig(src_separator=" ", tgt_separator=" "),
    "features": DataConfig(level="char", features_column="3"),
}
WHITE = "\t\n\v\f\r\x1c\x1f\x85\u00a0\u202f\u2009\u2028\u200b\ufeff\u00ad\u200e\x00\x9f"


@functools.cache
def codec_of(name: str, side: str) -> TextCodec:
    texts = [f"{text}\tV;{len(text)}" for text in TEXTS] if name == "features" and side == "src" else TEXTS
    return dataclasses.replace(train_codec(texts, LEVELS[name], side), written="NFD" if name == "nfd" else "NFC")


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Of a level, source and target, each as the package has it and as the program does."""

    @functools.cache
    def both(name):
        folder = tmp_path_factory.mktemp(name)
        codecs = [codec_of(name, side) for side in ("src", "tgt")]
        return [
            (codec, ExportedSide(folder, side, write_side(codec, folder, side)))
            for codec, side in zip(codecs, ("src", "tgt"), strict=True)
        ]

    return both


@given(st.text(st.one_of(st.sampled_from(WHITE + "e\u0301\u0327 a"), st.characters(exclude_categories=["Cs"]))))
def test_texts_are_normalised(text):
    assert normalised(text) == normalise(text)


def test_storms_of_marks_are_calmed():
    for text in ("e" + "\u0301\u0327" * 600, ("e" + "\u0301" * 31) * 40):
        assert normalised(text) == normalise(text)


@pytest.mark.parametrize("name", LEVELS)
@settings(max_examples=25)
@given(data=st.data())
def test_text_becomes_the_same_ids_and_ids_the_same_text(sides, name, data):
    (src, ours), (tgt, theirs) = sides(name)
    for text in ODD:
        assert ours.word_tokens(normalise(text)) == src.word_tokens(normalise(text))
    text = data.draw(st.one_of(st.sampled_from(ODD + TEXTS), normalised_text(), normalised_text().map(str.upper)))
    assert ours.word_tokens(text) == src.word_tokens(text)
    source = f"{text}\tV;9;{text[:3]}" if src.feature_separator else text
    assert ours.to_ids(source) == src.to_ids(source)
    assert ours.whole_words(text) == src.whole_words(text)
    ids = data.draw(st.lists(st.integers(1, len(tgt.vocab) - 1), max_size=9))
    assert theirs.text(theirs.names(ids)) == tgt.to_text(ids)
