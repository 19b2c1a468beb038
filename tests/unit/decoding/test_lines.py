"""Lines of output from a fake translator."""

from types import SimpleNamespace

from wordseq.config.data import DataConfig
from wordseq.config.schema import Config
from wordseq.decoding import lines
from wordseq.decoding.lines import translate_groups, translate_sentences


class Louder:
    """Translates by upper case; of n hypotheses the k-th has k marks."""

    config = Config()

    def translate(self, texts, decode=None, *, nbest=1):
        return [[SimpleNamespace(text=text.upper() + "!" * k, score=-k) for k in range(nbest)] for text in texts]


def test_each_text_gives_one_line_of_its_sentences():
    assert list(translate_sentences(Louder(), ["One. Two.", "", "Three"])) == ["ONE. TWO.", "", "THREE"]


def test_groups_are_numbered_and_end_with_an_empty_line():
    assert list(translate_groups(Louder(), ["One."], None, 2, split=True)) == [
        "1    0.0000  ONE.",
        "2   -1.0000  ONE.!",
        "",
    ]
    several = list(translate_groups(Louder(), ["One. Two.", " "], None, 10, split=True))
    assert several[0] == "One."
    assert several[1].startswith(" 1  ")
    assert several[10].startswith("10  ")
    assert several[11:13] == ["", "Two."]
    assert len(several) == 24
    assert list(translate_groups(Louder(), ["One. Two."], None, 1, split=False)) == ["1    0.0000  ONE. TWO.", ""]


def test_sentences_are_split_in_the_language_of_the_source(monkeypatch):
    asked = []
    monkeypatch.setattr(lines, "split_sentences", lambda text, language: asked.append(language) or [text])
    for data in (DataConfig(src_lang="de", tgt_lang="en"), DataConfig(src_lang="en", tgt_lang="de", swap=True)):
        translator = Louder()
        translator.config = Config(data=data)
        assert list(translate_sentences(translator, ["Eins."])) == ["EINS."]
        assert next(translate_groups(translator, ["Eins."], None, 1, split=True)).endswith("EINS.")
    assert asked == ["de"] * 4
