import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordseq.text.normalise import normalise
from wordseq.text.sentences import join_sentences, split_sentences


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("", ["Mr. Smith came.", "He left."]),
        ("en", ["Hello, how are you?", "I am fine.", "Where is the station, please?"]),
        ("en-GB", ["Dr. Smith came at 5.30 p.m. today.", "Yes!"]),
        ("es-MX", ["Sr. López y la Sra. Ruiz.", "Sí."]),  # The library knows "en-GB" itself, this not.
        ("en", ['He said "Stop! Now."', "Then he left... I think.", '"Why?" she asked.']),
        ("en", ["“Hello.”", "He left… I stayed."]),
        ("en", ["hello.", "i am fine"]),
        ("fr", ["M. Dupont est là.", "Il part à 5 h.", "Voilà !"]),
        ("xx", ["Hello.", "You."]),
    ],
)
def test_sentences_are_split_and_joined(language, sentences):
    assert split_sentences("  ".join(sentences), language) == sentences
    assert join_sentences(sentences) == " ".join(sentences)


def test_chinese_has_no_spaces_between_sentences():
    sentences = ["你好。", "你好吗？", "我很好！"]
    assert split_sentences("".join(sentences), "zh") == sentences
    assert join_sentences(sentences) == "".join(sentences)
    assert join_sentences(["你好。", "Hello."]) == "你好。 Hello."
    assert join_sentences(["", "Hello.", "", "You."]) == "Hello. You."


@pytest.mark.parametrize("text", ["", " ", "one", "...", "?!"])
def test_what_is_no_sentence_stays(text):
    assert split_sentences(text) == [text.strip()]
    assert join_sentences([]) == ""


@given(st.text(max_size=60), st.sampled_from(("en", "fr", "zh", "kk", "hy", "am", "th", "")))
def test_no_character_is_lost(text, language):
    def shown(text):
        return text.replace(" ", "")

    assert shown("".join(split_sentences(text, language))) == shown(normalise(text))
