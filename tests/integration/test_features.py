"""A run whose sources have features, from its training to its pack: every input of it is a word and its features."""

import json

import numpy as np
import pandas as pd
import pytest

import wordseq
from tests.laws.conftest import sharpen
from tests.runs import some_pairs
from wordseq.cli.main import main
from wordseq.comparison.attention import attention_of
from wordseq.config.schema import DecodeConfig
from wordseq.decoding.translator import Translator
from wordseq.runs.folder import BEST, DATA_FILE, PAIRS_FILE, RunFolder
from wordseq.system.errors import UserError
from wordseq.text.vocab import UNK_ID

ENDS = {"V;PST": "ed", "V;3;SG": "s", "": ""}
WORDS = sorted({word.strip(".?!,").lower() for pair in some_pairs()[:300] for word in pair.src.split()})[:60]
TRIPLES = [(word, word + end, tags) for word in WORDS for tags, end in ENDS.items()]
SETTINGS = {
    "level": "char",
    "features_column": 3,
    "dev_size": 6,
    "test_size": 8,
    "embed_dim": 8,
    "hidden_size": 12,
    "train__batch_size": 64,
    "max_steps": 2,
    "shards": 1,
    "train__precision": "float32",
    "max_len_ratio": 0.0,
    "max_len_extra": 5,
    "cell": "rnn",
    "bidirectional": False,
    "verbose": False,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory, uncompiled):
    made = wordseq.train(TRIPLES, tmp_path_factory.mktemp("inflection") / "run", **SETTINGS)
    # So that outputs differ by word and by features.
    sharpen(RunFolder(made.folder), BEST, 3)
    return made


def test_the_run_has_the_features_of_training(run):
    src, tgt = RunFolder(run.folder).codecs
    assert src.vocab.tokens[-4:] == ("\tV", "\t3", "\tPST", "\tSG")
    assert (src.features, tgt.features, src.feature_separator, tgt.feature_separator) == (4, 0, ";", "")
    assert (run.folder / PAIRS_FILE).read_text(encoding="utf-8").splitlines() == list(map("\t".join, TRIPLES))
    assert all(source.count("\t") == 1 for source in (*run.dev.sources, *run.test.sources))
    covered = json.loads((run.folder / DATA_FILE).read_text())["coverage"]["src"]["train"]
    assert covered["unknown"] == 0


def test_the_same_data_in_other_forms_are_the_same_run(run):
    # The last updates were made before: only data and settings are compared.
    keys = ("lemma", "form", "msd")
    frame = pd.DataFrame(TRIPLES, columns=keys)
    for data, column in ((frame, "msd"), (frame.to_dict("records"), "msd"), (frame, 3)):
        again = wordseq.train(data, run.folder, **{**SETTINGS, "features_column": column})
        assert again.finished == run.finished
    with pytest.raises(
        UserError, match="data, pair 1: expected 2 texts, source and target, got 3; features_column=3 takes"
    ):
        wordseq.train(TRIPLES, run.folder.parent / "other", verbose=False)
    with pytest.raises(UserError, match="pairs are not those that the run was started with"):
        wordseq.train([(word, form, "V") for word, form, _ in TRIPLES], run.folder, **SETTINGS)


def test_pairs_and_texts_with_a_tab_are_the_same(run):
    pairs = [(word, tags) for word in WORDS[:8] for tags in ("V;PST", "V;3;SG", "", "PST;V")]
    found = run.translate(pairs)
    assert found == run.translate([f"  {word} \t {tags.replace(';', ' ; ')};" for word, tags in pairs])
    assert found == run.translate(np.array([f"{word}\t{tags}" for word, tags in pairs]))
    # Features count, and so does their order.
    by_tags = [found[k::4] for k in range(4)]
    assert all(one != other for k, one in enumerate(by_tags) for other in by_tags[:k])
    assert np.allclose(run.embed(pairs[:3]), run.embed(list(map("\t".join, pairs[:3]))))


def test_a_source_without_a_word_has_an_empty_translation(run):
    assert run.translate([("", "V;PST"), "\t", " \tV", ("a", "")])[:3] == ["", "", ""]
    assert run.translate([("", "V")], nbest=2) == [[wordseq.Hypothesis("", 0.0, 0, 0)]]


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (
            [("a", "V"), "a"],
            r"text 2: no features; expected a word, a TAB and its features, e\.g\. gehen<TAB>V;PST;1;SG",
        ),
        (["a\tV\tx"], "text 1: 3 columns; expected a word"),
        (("a", "V"), "text 1: no features"),
    ],
)
def test_texts_of_another_form_are_named(run, texts, complaint):
    with pytest.raises(UserError, match=complaint):
        run.translate(texts)


@pytest.mark.parametrize("texts", [[("a",)], [("a", "V", "x")], [("a", 1)], {("a", "V")}, "a\tV"])
def test_what_is_no_list_of_pairs_is_refused(run, texts):
    with pytest.raises(TypeError):
        run.translate(texts)


def test_features_are_not_sentences(run):
    with pytest.raises(UserError, match="a text of this run is a word and its features, which are not split"):
        run.translate([("a. b.", "V")], split=True)


def test_a_file_of_sources_gives_the_evaluations_outputs(run, capsys):
    scores = run.evaluate()
    saved = run.folder / "eval"
    sources = (saved / "test.src").read_text(encoding="utf-8").splitlines()
    assert sources == run.test.sources
    assert main(["translate", str(run.folder), "--input", str(saved / "test.src")]) == 0
    assert capsys.readouterr().out == (saved / "test.hyp").read_text(encoding="utf-8")
    # By the characters of the word: features do not count.
    longest = max(len(source.partition("\t")[0]) for source in sources)
    assert all(int(row["characters"].partition("-")[0]) <= longest for row in scores.to_dict()["by_length"])
    # Given to `eval` as files, and in Python as pairs, they have the same scores.
    assert (
        main(["eval", str(run.folder), "--src", str(saved / "test.src"), "--ref", str(saved / "test.ref0"), "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    pairs = [tuple(source.split("\t")) for source in sources]
    given = run.evaluate(pairs, [references[0] for references in run.test.references])
    for other in (found, given.to_dict()):
        assert other["chrf"]["score"] == scores.to_dict()["chrf"]["score"]
        assert other["bits_per_char"] == scores.to_dict()["bits_per_char"]
    with pytest.raises(UserError, match="sentence 2: no features; expected a word"):
        run.evaluate([pairs[0], "a"], ["b", "c"])


def test_lines_and_texts_of_the_command_line(run, tmp_path, capsys):
    tab = "\t".join
    expected = run.translate([("cat", "V;PST"), ("dog", "NEW")])
    # Of a terminal too the texts are not split into sentences.
    assert main(["translate", str(run.folder), tab(("cat", "V;PST")), tab(("dog", "NEW"))]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == expected
    assert "unknown to the model: [NEW]" in said.err
    assert main(["translate", str(run.folder), "--nbest", "2", tab(("cat", "V;PST"))]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["translate", str(run.folder), "--split", tab(("cat", "V;PST"))]) == 2
    assert "--split: a text of this run is a word and its features" in capsys.readouterr().err
    (tmp_path / "in").write_text("cat\tV;PST\ndog\n")
    assert main(["translate", str(run.folder), "--input", str(tmp_path / "in")]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == expected[:1]
    assert "in, line 2: no features; expected a word, a TAB and its features" in said.err
    assert main(["eval", str(run.folder), "--src", str(tmp_path / "in"), "--ref", str(tmp_path / "in")]) == 2
    assert "in, line 2: no features; expected" in capsys.readouterr().err


def test_features_are_never_copied_into_a_translation(run):
    translator = Translator.load(run.folder)
    bias_v = translator.model.output_layer.bias.numpy()
    bias_v[UNK_ID] = 99
    translator.model.output_layer.bias.assign(bias_v)
    found = translator.translate([("ab", "V;PST;3;SG")], DecodeConfig(max_len_ratio=0, max_len_extra=6))
    assert set(found[0][0].text) <= set("ab")
    assert found[0][0].unknown > 3


def test_attention_names_features(run):
    found = attention_of(run.translator, [("ab\tV;PST;x", "abed")])[0]
    assert found.src_tokens == ["a", "b", "[V]", "[PST]", "[x]", "</s>"]
    assert {len(row) for row in found.weights} == {6}
    pytest.importorskip("matplotlib")
    labels = [text.get_text() for text in run.plot_attention(("ab", "V;PST")).axes[0].get_xticklabels()]
    assert labels == ["a", "b", "[V]", "[PST]", "</s>"]
    with pytest.raises(UserError, match="the text has no features; expected a word"):
        run.plot_attention("ab")


def test_a_packed_run_translates_the_same_and_says_what_a_source_is(run, tmp_path):
    packed = wordseq.load(run.pack(tmp_path / "packed", verbose=False))
    pairs = [(word, tags) for word in WORDS[:5] for tags in ENDS]
    assert packed.translate(pairs) == run.translate(pairs)
    card = (tmp_path / "packed" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| Features of a source | 4, separated by ; |" in card
    assert "wordseq translate . $'gehen\\tV;PST;SG'" in card
    assert 'run.translate([("gehen", "V;PST;SG")])' in card


def test_what_is_read_can_be_trained_on(run, tmp_path):
    path = tmp_path / "forms.tsv"
    path.write_text("".join("\t".join(triple) + "\n" for triple in TRIPLES), encoding="utf-8")
    assert wordseq.read_pairs(path, features_column=3, say=None) == TRIPLES
    assert list(pd.DataFrame(wordseq.read_pairs(path, features_column=3, say=None))) == ["src", "tgt", "features"]


def test_the_run_is_resumed_from_its_folder(run, tmp_path):
    again = wordseq.train(run=run.folder, verbose=False)
    assert again.config.data.features_column == "3"
    assert again.finished == run.finished
