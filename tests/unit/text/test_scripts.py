import pytest

from wordseq.text.scripts import Spaceless, script_of, spaceless_script, word_level_warning

CHINESE = ["打开文件。", "关闭这个窗口", "〇三年"]
JAPANESE = ["ファイルを開く。", "窓を閉じる", "東京"]
THAI = ["เปิดไฟล์เดี๋ยวนี้ ขอบคุณ", "ปิดหน้าต่าง"]
MYANMAR, LAO, KHMER, TIBETAN = ["ဖိုင်ကိုဖွင့်ပါ"], ["ຂອບໃຈຫຼາຍໆ"], ["សូមអរគុណ"], ["བཀྲ་ཤིས་བདེ་ལེགས།"]
SPACED = [
    "Open the file.",
    "Быстрая лиса",
    "안녕하세요 여러분",
    "ἀρχή",
    "नमस्ते दुनिया",
    "مرحبا بالعالم",
    "שלום עולם",
    "Mở tệp ra",
]


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (CHINESE, "Chinese"),
        (JAPANESE, "Japanese"),
        (["ニュース"], "Japanese"),
        (["ㄅㄆㄇ"], "Chinese"),
        (THAI, "Thai"),
        (MYANMAR, "Myanmar"),
        (LAO, "Lao"),
        (KHMER, "Khmer"),
        (TIBETAN, "Tibetan"),
    ],
)
def test_scripts_without_spaces(texts, name):
    assert spaceless_script(iter(texts)) == Spaceless(name, 1.0)


@pytest.mark.parametrize("text", [*SPACED, "", "12 : 30 → 100 %", "👍🏽 ❤️", "e\u0301t\u0301"])
def test_scripts_with_spaces_and_texts_without_letters(text):
    assert spaceless_script([text]) is None


def test_no_texts():
    assert spaceless_script([]) is None
    assert word_level_warning([], "src") is None


@pytest.mark.parametrize(
    ("text", "share"),
    [
        # Words in Latin letters count once each, however long they are.
        ("打开 LibreOffice Writer", 2 / 4),
        ("打开 LibreOffice Writer 文档", 4 / 6),
        ("用e-mail发送 2024", 3 / 5),
        ("Hello 你好 means a greeting", None),
        ("The word 你好 is a greeting in Chinese", None),
    ],
)
def test_mixed_texts_are_of_what_most_of_them_is(text, share):
    assert spaceless_script([text]) == (None if share is None else Spaceless("Chinese", share))


def test_a_kana_or_two_do_not_make_a_chinese_corpus_japanese():
    assert spaceless_script([*["中文句子很多很多"] * 10, "优の良品"]).name == "Chinese"


@pytest.mark.parametrize("texts", [CHINESE, JAPANESE, THAI, ["九九六一", "四四一四"], ["你好", "再见"]])
@pytest.mark.parametrize(("side", "name"), [("src", "source"), ("tgt", "target")])
def test_the_word_level_is_warned_about_where_nothing_separates_words(texts, side, name):
    text = word_level_warning(texts, side)
    assert text.startswith(f"the {name} is written without spaces")
    assert all(key in text for key in ("data.level=char", "data.level=unigram", f"data.{side}_level"))


@pytest.mark.parametrize(
    "texts",
    [["我 爱 你 。", "他们 很 高兴 。"], ["私 は 学生 です", "窓 を 閉じる"], ["เปิด ไฟล์ เดี๋ยวนี้", "ปิด หน้าต่าง"], SPACED],
)
def test_separated_words_are_no_reason_to_warn(texts):
    assert word_level_warning(texts, "tgt") is None


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("", ""),
        ("12:30 → 100 %", ""),
        ("Δ is a letter", "Latin"),
        ("東京タワー", "CJK"),
        ("한국어", "CJK"),
        ("བོད", "Tibetan"),
    ],
)
def test_script_of_a_text(text, script):
    assert script_of(text) == script
