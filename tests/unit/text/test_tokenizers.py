import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import normalised_text
from wordseq.config.data import LEVELS
from wordseq.system.errors import UserError
from wordseq.text import tokenizers as tokenizer_module
from wordseq.text.tokenizers import JOINER, TOKENIZERS, WordTokenizer, load_tokenizer, train_tokenizer

PIECE_LEVELS = ("char", "bpe", "unigram")
OWNERS = ("my aunt", "the baker", "our neighbour", "a tired clerk", "the youngest sailor")
ACTIONS = ("paints", "repairs", "forgets", "carries", "measures", "sells")
THINGS = ("wooden boats", "an old clock", "her brother's bicycle", "the blue door", "3.5 kilos of well-known tea")
SENTENCES = [f"{who} {does} {what}." for who in OWNERS for does in ACTIONS for what in THINGS]


@pytest.fixture(scope="module")
def trained():
    tokenizers = {level: train_tokenizer(level, SENTENCES, subword_size=340) for level in LEVELS}
    return tokenizers | {"pretokenized": train_tokenizer("word", SENTENCES, separator=" ")}


def tokens_of(text):
    return " ".join(WordTokenizer().tokenize(text))


# All levels


def test_the_levels_are_those_of_the_settings():
    assert tuple(TOKENIZERS) == (*LEVELS, "symbols")


def test_an_unknown_level_lists_the_levels():
    with pytest.raises(ValueError, match="unknown level 'syllable'; choose from bpe, char, symbols, unigram, word"):
        train_tokenizer("syllable", SENTENCES)


@pytest.mark.parametrize("name", [*LEVELS, "pretokenized"])
@given(text=normalised_text())
def test_any_normalised_text_round_trips(trained, name, text):
    tokens = trained[name].tokenize(text)
    assert trained[name].detokenize(tokens) == text
    assert not any(token == "" or " " in token for token in tokens)
    assert bool(tokens) == bool(text)


@pytest.mark.parametrize("name", [*LEVELS, "pretokenized"])
@given(data=st.data())
def test_any_tokens_become_one_line(trained, name, data):
    known = [*getattr(trained[name], "tokens", ()), *WordTokenizer().tokenize("a well-known (word), \uffed\uffee!")]
    marks = st.sampled_from(
        [JOINER, JOINER * 2, f"a{JOINER}b", "\uffee", "<unk>", "<0x0A>", "<0xE2>", "<0x80>", "<0xA8>"]
    )
    tokens = data.draw(st.lists(st.one_of(st.sampled_from(known), marks)))
    text = trained[name].detokenize(tokens)
    assert len(text.splitlines()) <= 1


@pytest.mark.parametrize("name", [*LEVELS, "pretokenized"])
def test_training_sentences_round_trip(trained, name):
    assert [trained[name].detokenize(trained[name].tokenize(text)) for text in SENTENCES] == SENTENCES


@pytest.mark.parametrize("level", PIECE_LEVELS)
def test_training_twice_gives_the_same_bytes(tmp_path, trained, level):
    trained[level].save(tmp_path, "src")
    train_tokenizer(level, iter(SENTENCES), subword_size=340).save(tmp_path, "tgt")
    assert (tmp_path / "src.spm.model").read_bytes() == (tmp_path / "tgt.spm.model").read_bytes()
    assert (tmp_path / "src.tokenizer.json").read_bytes() == (tmp_path / "tgt.tokenizer.json").read_bytes()


def test_another_process_loads_the_same_tokenizers(tmp_path, trained):
    text = "the baker's “naïve” 日本 <unk> ￭ bicycle"
    for name, tokenizer in trained.items():
        tokenizer.save(tmp_path, name)
    program = (
        "import json, sys; from pathlib import Path; from wordseq.text.tokenizers import load_tokenizer\n"
        "folder, text, *names = sys.argv[1:]\n"
        "loaded = {name: load_tokenizer(Path(folder), name) for name in names}\n"
        "print(json.dumps({name: [t.level, t.tokenize(text)] for name, t in loaded.items()}))\n"
        "assert not {'tensorflow', 'keras'} & sys.modules.keys()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(tokenizer_module.__file__).parents[1]), "PYTHONUTF8": "1"}
    command = [sys.executable, "-c", program, str(tmp_path), text, *trained]
    answer = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert json.loads(answer.stdout) == {name: [t.level, t.tokenize(text)] for name, t in trained.items()}


# Words


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("l'homme", "l ￭'￭ homme"),
        ("homme,", "homme ￭,"),
        ("homme", "homme"),
        ("(homme)", "(￭ homme ￭)"),
        ("Aujourd'hui, 3.5 km (U.S.)...", "Aujourd ￭'￭ hui ￭, 3 ￭.￭ 5 km (￭ U ￭.￭ S ￭. ￭) ￭. ￭. ￭."),
        ("well-known at 10:30, don't", "well ￭-￭ known at 10 ￭:￭ 30 ￭, don ￭'￭ t"),
        ("« Oui »\u202f!".replace("\u202f", " "), "« Oui » !"),
        ("«Oui»", "«￭ Oui ￭»"),
        ("CamelCase a1b2", "CamelCase a1b2"),
        ("<unk>", "<￭ unk ￭>"),
        ("👩\u200d👩\u200d👧!❤\ufe0f", "👩\u200d👩\u200d👧 ￭! ￭❤\ufe0f"),
        ("🇫🇷🇩🇪", "🇫🇷 ￭🇩🇪"),
        ("می\u200cخواهم،", "می\u200cخواهم ￭،"),
        ("\u0600 \u060012", "\u0600 \u0600￭ 12"),
        ("a￭b", "a ￭\uffee1￭ b"),
        ("", ""),
    ],
)
def test_words_and_marks(text, tokens):
    assert tokens_of(text) == tokens


@given(st.characters(categories=["Lu", "Ll", "Nd"]), st.text(st.characters(categories=["L", "N", "M"]), max_size=8))
def test_a_word_is_one_token_whatever_touches_it(first, rest):
    # A mark at the beginning would belong to the symbol before it.
    word = first + rest
    for text in (word, f"{word},", f"({word})", f"l'{word}", f"“{word}”…", f"-{word}-", f"x.{word}.x", f"a {word}! b"):
        assert word in WordTokenizer().tokenize(text)


@given(normalised_text())
def test_words_never_carry_a_joiner_and_never_touch(text):
    tokens = WordTokenizer().tokenize(text)
    assert not any(token.strip(JOINER).isalnum() and JOINER in token for token in tokens)
    for left, right in pairwise(tokens):
        assert not (left.endswith(JOINER) and right.startswith(JOINER))


def test_misplaced_joiners_only_lose_their_space():
    assert WordTokenizer().detokenize(["￭", "a", "￭", "b￭", "￭c", "￭,￭"]) == "a bc,"


def test_pretokenized_text_is_split_at_spaces_only():
    assert WordTokenizer(" ").tokenize("don 't , ￭, <unk>") == ["don", "'t", ",", "￭,", "<unk>"]


@pytest.mark.parametrize(
    ("separator", "text", "symbols"),
    [
        # Of IPA the tie bar, length, aspiration and retraction are combining marks and modifier letters.
        (" ", "t͡ʃʰ a̠ː ɰᵝ n̥ ˈtˠ", ["t͡ʃʰ", "a̠ː", "ɰᵝ", "n̥", "ˈtˠ"]),
        (" ", "￭ <unk> \uffee1 <0x41> ▁", ["￭", "<unk>", "\uffee1", "<0x41>", "▁"]),
        (" @@", "ab @@dik @@ova @@t", ["ab", "dik", "ova", "t"]),
        (" @@", "en büyük @@ler", ["en büyük", "ler"]),
        ("|", "en büyük|ler", ["en büyük", "ler"]),
        ("|", "||a||b|", ["a", "b"]),
        ("|", "|", []),
        (" ", "", []),
    ],
)
def test_symbols_are_what_stands_between_separators(separator, text, symbols):
    assert train_tokenizer("symbols", (), separator=separator).tokenize(text) == symbols


@given(normalised_text(), st.sampled_from([" ", "|", " @@", "e", ", ", " ◌̃ "]))
def test_symbols_join_to_the_text_that_was_cut(text, separator):
    tokenizer = train_tokenizer("symbols", (), separator=separator)
    tokens = tokenizer.tokenize(text)
    assert "" not in tokens
    if "" not in text.split(separator):
        assert tokenizer.detokenize(tokens) == text
    # Whatever the text: cutting what was joined gives the same symbols.
    assert tokenizer.tokenize(tokenizer.detokenize(tokens)) == tokens or any(separator in token for token in tokens)


def test_a_tokenizer_of_symbols_is_saved_and_is_not_one_of_words(tmp_path):
    made = train_tokenizer("symbols", (), separator=" @@")
    made.save(tmp_path, "tgt")
    assert load_tokenizer(tmp_path, "tgt") == made
    assert train_tokenizer("symbols", (), separator=" ") != train_tokenizer("word", (), separator=" ")


@pytest.mark.parametrize(
    "part", ["a", "!", "a!", "a ", "\U0001f1eb\U0001f1f7", "\U0001f1eb", "👩\u200d", "!\u0301", "￭\uffee"]
)
def test_long_lines_take_linear_time(part):
    text = (part * 80_000).strip()
    start = time.process_time()
    tokens = WordTokenizer().tokenize(text)
    assert WordTokenizer().detokenize(tokens) == text
    # 0.2 s is usual for the slowest; quadratic time would be more than a minute.
    assert time.process_time() - start < 10


# SentencePiece


@pytest.mark.parametrize("level", PIECE_LEVELS)
def test_special_names_in_the_text_do_not_disturb_training(level):
    strange = [f"{i} < 50 > {i} <unk> <s> \u2581 \u2585 </s> <0x41> q" for i in range(50)]
    tokenizer = train_tokenizer(level, [*SENTENCES, *strange], subword_size=400)
    assert tokenizer.tokens[:4] == ("<pad>", "<unk>", "<s>", "</s>")
    assert "q" in tokenizer.tokens
    assert len(set(tokenizer.tokens)) == len(tokenizer.tokens)
    assert not any("<" in piece for piece in tokenizer.tokens[260:])
    assert tokenizer.detokenize(tokenizer.tokenize(strange[0])) == strange[0]


@pytest.mark.parametrize("level", PIECE_LEVELS)
def test_long_training_lines_are_not_dropped(level):
    tokenizer = train_tokenizer(level, [*SENTENCES, "many short words " * 1000 + "Ω"], subword_size=340)
    assert "Ω" in tokenizer.tokens


@pytest.mark.parametrize("level", PIECE_LEVELS)
def test_a_long_line_round_trips(trained, level):
    text = "the baker sells 日本 tea, " * 20_000 + "." * 20_000
    assert trained[level].detokenize(trained[level].tokenize(text)) == text


def test_every_character_of_the_training_text_is_a_subword(trained):
    characters = set("".join(SENTENCES)) - {" "} | {"▁"}
    assert set(trained["char"].tokens[260:]) == characters
    assert trained["char"].tokenize("a tea") == ["a", "▁", "t", "e", "a"]


def test_unseen_characters_use_byte_fallback(trained):
    assert trained["char"].tokenize("é") == ["<0xC3>", "<0xA9>"]
    assert trained["char"].detokenize(["a", "<0xC3>", "b", "<0x0A>"]) == "a\ufffdb\ufffd"


def test_unigram_keeps_a_frequent_word_that_a_space_always_follows():
    text = [f"{who} sees einem {what}" for who in OWNERS for what in THINGS] * 20
    assert "▁einem" in train_tokenizer("unigram", text, subword_size=340).tokens


@pytest.mark.parametrize("level", ["bpe", "unigram"])
def test_a_small_text_gives_fewer_subwords_and_a_line_about_it(level, capfd):
    tokenizer = train_tokenizer(level, SENTENCES, subword_size=8000)
    assert 260 < len(tokenizer.tokens) < 8000
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err == f"data.subword_size = 8000, but the text has only {len(tokenizer.tokens)} {level} subwords\n"


@pytest.mark.parametrize("level", PIECE_LEVELS)
def test_training_prints_nothing(level, capfd):
    train_tokenizer(level, SENTENCES, subword_size=300)
    assert capfd.readouterr() == ("", "")


def test_too_few_subwords_for_the_characters():
    alphabet = "".join(chr(0x4E00 + i) for i in range(100))
    with pytest.raises(UserError, match=r"data.subword_size = 300 .* set it to at least 36\d"):
        train_tokenizer("bpe", [alphabet], subword_size=300)


@pytest.mark.parametrize("level", PIECE_LEVELS)
@pytest.mark.parametrize("sentences", [[], ["", ""]])
def test_no_text_to_learn_from(level, sentences):
    with pytest.raises(UserError, match=f"no training text for the {level} level"):
        train_tokenizer(level, sentences)


def test_a_sample_is_drawn_evenly_and_always_the_same(monkeypatch):
    sample = tokenizer_module._sample(map(str, range(1000)), 100)
    assert sample == tokenizer_module._sample(map(str, range(1000)), 100)
    assert len(set(sample)) == 100
    assert 20 < sum(int(text) < 500 for text in sample) < 80
    monkeypatch.setattr(tokenizer_module, "MAX_TRAINING_SENTENCES", 1)
    assert len(train_tokenizer("char", ["a", "b", "c"]).tokens) == 261


@pytest.mark.parametrize(("sentences", "limit"), [(2, 1), (3, 1), (5, 2), (6, 5)])
def test_over_all_seeds_a_sample_has_each_sentence_equally_often(monkeypatch, sentences, limit):
    drawn = Counter()
    for generator in map(random.Random, range(2000)):
        monkeypatch.setattr(tokenizer_module.random, "Random", lambda _, generator=generator: generator)
        drawn.update(tokenizer_module._sample(map(str, range(sentences)), limit))
    # Five standard deviations of the number of times that one sentence is drawn.
    share = limit / sentences
    room = 5 * (2000 * share * (1 - share)) ** 0.5
    assert all(abs(drawn[str(k)] - 2000 * share) < room for k in range(sentences)), drawn


# Files


@pytest.mark.parametrize("name", ["src.tokenizer.json", "src.spm.model"])
def test_a_missing_file_is_named(tmp_path, trained, name):
    trained["bpe"].save(tmp_path, "src")
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{name}: no such file"):
        load_tokenizer(tmp_path, "src")


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:50] + b"?" + b[51:]])
def test_a_damaged_model_is_named(tmp_path, trained, damage):
    trained["bpe"].save(tmp_path, "src")
    path = tmp_path / "src.spm.model"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"src\.spm\.model: damaged"):
        load_tokenizer(tmp_path, "src")


def test_a_foreign_model_is_named(tmp_path):
    content = b"no model"
    header = {"level": "bpe", "model_sha256": tokenizer_module._sha256(content)}
    (tmp_path / "src.tokenizer.json").write_text(json.dumps(header))
    (tmp_path / "src.spm.model").write_bytes(content)
    with pytest.raises(UserError, match=r"src\.spm\.model: not a SentencePiece model"):
        load_tokenizer(tmp_path, "src")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "damaged: not JSON"),
        (b"\xff{}", "damaged: not JSON"),
        (b"[" * 100_000, "damaged: not JSON"),
        (b"[]", "damaged: expected an object, got list"),
        (b"{}", "level = None; choose from bpe, char, symbols, unigram, word"),
        (b'{"level": ["word"]}', r"level = \['word'\]; choose from"),
        (b'{"level": "os.system"}', "level = 'os.system'; choose from"),
        (b'{"level": "word", "separator": 1}', "separator must be the text between tokens, got 1"),
        (b'{"level": "word"}', "separator must be the text between tokens, got None"),
        (b'{"level": "symbols", "separator": ""}', "separator must be the text between tokens, got ''"),
    ],
)
def test_a_damaged_header_is_named(tmp_path, content, complaint):
    (tmp_path / "src.tokenizer.json").write_bytes(content)
    with pytest.raises(UserError, match=rf"src\.tokenizer\.json: {complaint}") as error:
        load_tokenizer(tmp_path, "src")
    assert "\n" not in str(error.value)


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    (tmp_path / "src.tokenizer.json").mkdir()
    with pytest.raises(UserError, match=r"src\.tokenizer\.json: cannot be read"):
        load_tokenizer(tmp_path, "src")
