"""Each warning about data names what was found and what to type, and typing it makes the warning disappear."""

import os
import re
from pathlib import Path

import pytest

from wordseq.batches.prepare import Prepared, prepare_corpus
from wordseq.config.load import load_config
from wordseq.system.errors import UserError

MIRROR = Path(os.environ.get("WORDSEQ_MIRROR") or Path(__file__).resolve().parents[4] / "shared" / "data")
needs_mirror = pytest.mark.skipif(
    not (MIRROR / "tatoeba").is_dir(), reason="needs the real corpora: set WORDSEQ_MIRROR"
)

NOUNS = ("dog", "cat", "house", "tree", "river", "street", "garden", "window")
NOMS = ("le chien", "le chat", "la maison", "l'arbre", "la rivière", "la rue", "le jardin", "la fenêtre")
ENGLISH = [f"I see the {one} and the {two}." for one in NOUNS for two in NOUNS]
FRENCH = [f"Je vois {one} et {two}." for one in NOMS for two in NOMS]
RUSSIAN = [f"Я вижу {one} и {two}." for one in ("дом", "сад") for two in ("реку", "улицу")]
PLAIN = dict(zip(ENGLISH, FRENCH, strict=True))
ZH = [f"我看见{one}和{two}。" for one in "狗猫树河街房园窗" for two in "狗猫树河街房园窗"]
# Words that do not repeat, as in a dictionary.
WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in ("ltar", "mnir", "zzo", "rpe")]
SINGLE = r"the source texts are single words, and the vocabulary knows 0% of those in dev"


def written(folder: Path, name: str, rows: object) -> Path:
    """A file of rows, which are tuples of cells."""
    path = folder / name
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def prepared(folder: Path, rows: object, dev: object = None, **settings: object) -> Prepared:
    given = {"train": written(folder, "train.tsv", rows)}
    if dev is not None:
        given["dev"] = written(folder, "dev.tsv", dev) if isinstance(dev, list) else dev
    values = {f"data.{key}": value for key, value in {"min_freq": 1, "rare_words": "unk", **given, **settings}.items()}
    data = load_config(
        None, (), {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
    )
    return prepare_corpus(data.data, folder / "cache", say=lambda line: None)


def warnings(folder: Path, rows: object, dev: object = None, **settings: object) -> list[str]:
    return prepared(folder, rows, dev, **settings).split["warnings"]


def test_nothing_is_said_about_sentences(tmp_path):
    assert warnings(tmp_path, PLAIN.items()) == []
    assert warnings(tmp_path, PLAIN.items(), list(PLAIN.items())[:9], level="char") == []


def test_running_text_word_by_word_has_no_sources_of_many_targets(tmp_path):
    """Training files beside given dev and test files keep their duplicates, which are one target."""
    rows = [(word, word.upper()) for word in ("in", "je", "na") for _ in range(120)]
    split = {part: [*PLAIN.items()][:9] for part in ("dev", "test")}
    files = {part: written(tmp_path, f"{part}s.tsv", rows) for part, rows in split.items()}
    said = warnings(tmp_path, [*PLAIN.items(), *rows], **files)
    assert not any("different targets" in line for line in said)
    several = [(word, f"{word}{k // 2}") for word in ("in", "je", "na") for k in range(240)]
    said = warnings(tmp_path, [*PLAIN.items(), *several], **files)
    assert any(line.startswith("3 sources have 100 different targets or more") for line in said)


PHONES = [(word, " ".join(word)) for word in WORDS]


def test_a_separator_that_does_not_occur_or_cuts_words_is_named(tmp_path):
    letters = {"level": "char", "dev_size": 9, "test_size": 9}
    assert warnings(tmp_path, PHONES, tgt_separator=" ", **letters) == []
    (said,) = warnings(tmp_path, PHONES, tgt_separator="|", **letters)
    assert re.fullmatch(
        r"data\.tgt_separator = '\|' does not occur in the target texts, e\.g\. '. . .+': each is one symbol", said
    )
    words = [(word, f"x {word}{word}") for word in WORDS]
    words = [(src, tgt.removeprefix("x ") + " " + src + src[0]) for src, tgt in words]
    (said,) = warnings(tmp_path, words, tgt_separator=" ", **letters)
    assert re.fullmatch(
        r"the vocabulary knows 0% of the target symbols in dev, as cut by .*data\.tgt_level=char.*", said
    )


ONE_HEADER = [("English", "Wolof text"), *PLAIN.items()]
QUOTED = [(f'"{src}"' if k < 5 else src, tgt) for k, (src, tgt) in enumerate(PLAIN.items())]
NUMBERED = [(str(k), src, tgt) for k, (src, tgt) in enumerate(PLAIN.items())]
TWICE = [(src, src, tgt) for src, tgt in PLAIN.items()]
TAGGED = [(f"tag {k % 5}", f"{src} {k}") for k, src in enumerate(ENGLISH * 9)]
LONG = [(" ".join([src] * (2 if k % 3 else 1)), tgt) for k, (src, tgt) in enumerate(PLAIN.items())]
SPELLED = [(word, " ".join(word)) for word in WORDS]
FORMS = [(word, f"{word}ing") for word in WORDS]
# Sentences in which no word occurs twice.
RARE = [(f"{one} {two}", "yes no") for one, two in zip(WORDS, WORDS[7:] + WORDS[:7], strict=True)]


@pytest.mark.parametrize(
    ("rows", "settings", "found", "cure"),
    [
        (
            ONE_HEADER,
            {},
            "line 1, 'English' and 'Wolof text', looks like a header; set data.header=yes",
            {"header": "yes"},
        ),
        (ONE_HEADER, {}, "else data.header=no", {"header": "no"}),
        (QUOTED, {}, "begin and end with quotes, which are kept; set data.format=quoted_tsv", {"format": "quoted_tsv"}),
        (QUOTED, {}, "else data.format=tsv", {"format": "tsv"}),
        (
            NUMBERED,
            {"src_column": "1", "tgt_column": "3"},
            "the source has numbers only, e.g. '[0-9]+'; .* set data.src_column and data.tgt_column",
            {"src_column": "2", "tgt_column": "3"},
        ),
        (
            NUMBERED,
            {"src_column": "2", "tgt_column": "1"},
            "the target has numbers only",
            {"src_column": "2", "tgt_column": "3"},
        ),
        (
            TWICE,
            {"src_column": "1", "tgt_column": "2"},
            "source and target are the same text in 100% of the pairs; .* name another file or column",
            {"src_column": "1", "tgt_column": "3"},
        ),
        (TAGGED, {}, "3 sources have 100 different targets or more; .* set data.swap=true", {"swap": True}),
        (
            LONG,
            {"max_chars": 50},
            "[0-9]+ of 64 lines are longer than data.max_chars and dropped; .* set data.max_chars higher",
            {"max_chars": 100},
        ),
        (SPELLED, {}, f"{SINGLE}; .* set data.src_level=char", {"src_level": "char"}),
        (
            FORMS,
            {},
            "the source and target texts are single words, and the vocabulary knows 0% and 0% of .* set data.level=char",
            {"level": "char"},
        ),
        (
            RARE,
            {"min_freq": 3},
            "the vocabulary knows 0% of the source tokens in dev; set data.src_level=unigram or data.src_level=char",
            {"src_level": "unigram"},
        ),
        (
            RARE,
            {"min_freq": 3, "rare_words": "spell"},
            "the vocabulary has 0% of the source words in dev, and the model spells the others; set data.src_level=char or",
            {"src_level": "unigram"},
        ),
        (
            [(f"{src} {word}", tgt) for (src, tgt), word in zip(PLAIN.items(), WORDS, strict=False)],
            {"rare_words": "spell"},
            "no source word of training is spelled, as data.min_freq = 1, so the model .* set data.min_freq=2 or more",
            {"min_freq": 2},
        ),
        (
            zip(ZH, ENGLISH, strict=True),
            {},
            r"the source is written without spaces \(100% Chinese\): the word level makes one token of a complete sentence",
            {"src_level": "char"},
        ),
        (
            zip(ENGLISH, ZH, strict=True),
            {},
            "the target is written without spaces .* data.level=unigram",
            {"tgt_level": "unigram"},
        ),
    ],
)
def test_following_the_advice_ends_the_warning(tmp_path, rows, settings, found, cure):
    rows = list(rows)
    texts = warnings(tmp_path, rows, **settings)
    assert any(re.search(found, text) for text in texts), texts
    assert warnings(tmp_path, rows, **settings | cure) == []


@pytest.mark.parametrize("level", ["word", "char"])
@pytest.mark.parametrize("part", ["dev", "test"])
def test_exchanged_source_and_target_of_a_held_out_file(tmp_path, level, part):
    rows, dev = list(PLAIN.items())[9:], list(PLAIN.items())[:9]
    wrong = written(tmp_path, "wrong.tsv", [(tgt, src) for src, tgt in dev])
    right = written(tmp_path, "right.tsv", dev)
    # One line: that the vocabulary does not know these words follows from it.
    (text,) = warnings(tmp_path, rows, level=level, **{part: wrong})
    assert text.startswith(f"the source texts of {part} look like the other side of training: ")
    assert text.endswith(f"0% in the training source; exchange the columns or files of data.{part}")
    assert warnings(tmp_path, rows, level=level, **{part: right}) == []


def test_lines_in_another_script(tmp_path):
    rows = [*PLAIN.items(), *zip(ENGLISH[:4], RUSSIAN, strict=True)]
    (text,) = warnings(tmp_path, rows, dev=list(PLAIN.items())[:9])
    assert re.match(
        r"[67]\.\d% of the target texts are in Cyrillic script, nearly all others in Latin, e\.g\. 'Я вижу .*'; look for lines "
        "whose source and target are exchanged",
        text,
    )
    # Two are names or quotations.
    assert warnings(tmp_path, rows[:-2], dev=list(PLAIN.items())[:9]) == []


def test_a_code_alone_is_no_header(tmp_path):
    # "af" is Afrikaans, and an Icelandic word.
    assert warnings(tmp_path, [("af", "a f"), *SPELLED], src_level="char") == []


def test_a_held_out_file_with_a_header(tmp_path):
    (text,) = warnings(tmp_path, PLAIN.items(), dev=ONE_HEADER[:9])
    assert re.search(r"dev\.tsv: line 1, .*looks like a header", text)


def test_half_of_the_lines_may_be_too_long(tmp_path):
    rows = [(src * (1 + k % 2), tgt) for k, (src, tgt) in enumerate(PLAIN.items())]
    found = prepared(tmp_path, rows, dev=list(PLAIN.items())[:9], max_chars=46).split
    assert found["counts"]["parts"]["train"]["too_long"] == len(rows) / 2
    assert found["warnings"] == []


def test_nothing_is_left_of_lines_that_are_too_long(tmp_path):
    with pytest.raises(
        UserError, match=r"all 64 lines were dropped: .*64 longer than data.max_chars.*; .*set data.max_chars higher"
    ):
        warnings(tmp_path, PLAIN.items(), max_chars=5)


CORPORA = [path for path in sorted(MIRROR.glob("*/*train.t*")) if path.suffix != ".gz"]


@needs_mirror
@pytest.mark.slow
@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.name)
def test_real_word_lists(tmp_path, path):
    """At the level of words they are warned about, unless words have parts with spaces, as in Vietnamese; else never."""
    shown = prepare_corpus(load_config(None, (), {"data.train": str(path)}).data, tmp_path, say=lambda line: None)
    found = shown.split["warnings"]
    assert bool(found) == (path.name != "vie_train.tsv")
    known = ("single words", "without spaces", "parts of unknown words", "the model spells the others")
    assert all(any(part in text for part in known) for text in found)
    spelled = {"data.train": str(path), "data.level": "char"}
    assert prepare_corpus(load_config(None, (), spelled).data, tmp_path, say=lambda line: None).split["warnings"] == []


SENTENCES = (
    *("tatoeba-fra-eng", "tatoeba-spa-eng", "multi30k-en-de", "multi30k-de-fr", "multi30k-fr-en", "multi30k-tok-en-de"),
    *("phrasebook", "copy", "reverse"),
)


@needs_mirror
@pytest.mark.slow
@pytest.mark.parametrize("name", SENTENCES)
def test_real_sentences(tmp_path, name):
    data = load_config(None, (), {"data.corpus": name}).data
    assert prepare_corpus(data, tmp_path, mirror=MIRROR, say=lambda line: None).split["warnings"] == []


@pytest.mark.parametrize("wrong", ["|", "#"])
def test_a_separator_that_cuts_no_features_is_named_with_the_one_that_does(tmp_path, wrong):
    tags = [f"V;{person};{number}" for person in "123" for number in ("SG", "PL")]
    rows = [(word, f"{word}{k}", tags[k]) for word in WORDS for k in range(3)]
    given = {"features_column": "3", "level": "char"}
    (line,) = warnings(tmp_path, rows, **given, features_separator=wrong)
    assert line.startswith(f"data.features_separator = {wrong!r} does not occur in the features, e.g. 'V;")
    assert line.endswith("set data.features_separator=';'")
    assert warnings(tmp_path, rows, **given) == []
    single = [(word, form, tag.partition(";")[0]) for word, form, tag in rows]
    assert warnings(tmp_path, single, **given, features_separator=wrong) == []
