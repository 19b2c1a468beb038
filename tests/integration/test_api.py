"""The Python interface does what the command line does: same weights, same scores, same errors."""

import contextlib
import dataclasses
import inspect
import json
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import wordseq
from tests.runs import TINY, entries, files_of
from wordseq.api.data import data_settings, pairs_of
from wordseq.api.run import section_settings
from wordseq.cli.main import main
from wordseq.config.data import DataConfig
from wordseq.config.load import load_config
from wordseq.config.schema import SECTIONS, by_key
from wordseq.data.pairs import Pair
from wordseq.runs.data import pairs_written, prepare_run, with_own_pairs
from wordseq.runs.describe import describe_run
from wordseq.runs.folder import PAIRS_FILE, RunFolder
from wordseq.system.errors import UserError
from wordseq.system.locks import locked
from wordseq.system.progress import ProgressBar
from wordseq.training import run as training_run
from wordseq.training.loop import Stopped

pytestmark = pytest.mark.usefixtures("uncompiled", "few_draws", "loaded_once")

VALUES = {
    key: value for key, value in by_key(load_config(None, TINY)).items() if key in {s.partition("=")[0] for s in TINY}
}
KEYWORDS = {key.replace(".", "__"): value for key, value in VALUES.items()}


def rows(path):
    return [tuple(line.split("\t")) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def trained(tiny_run, tmp_path_factory):
    """The tiny run from Python: stopped after 3 updates, moved, and resumed."""
    folder = tmp_path_factory.mktemp("api")
    pairs = rows(tiny_run.pairs)
    wordseq.train(iter(pairs), folder / "first", verbose=False, **{**KEYWORDS, "train__max_steps": 3})
    shutil.move(folder / "first", folder / "run")
    return wordseq.train(run=folder / "run", verbose=False, max_steps=5)


def test_pairs_from_python_give_the_run_of_the_command_line_on_their_file_though_it_was_resumed_and_moved(
    tiny_run, trained
):
    theirs, ours = (RunFolder(folder) for folder in (tiny_run.folder, trained.folder))
    assert re.search(r"^all settings: .*/run/config\.toml$", tiny_run.out, re.M)
    assert trained.finished == wordseq.load(tiny_run.folder).finished == "5 updates done (train.max_steps)"
    assert describe_run(ours)["weights_sha256"] == describe_run(theirs)["weights_sha256"]
    assert [entry for entry in entries(ours.folder) if entry["kind"] == "train"] == [
        entry for entry in entries(theirs.folder) if entry["kind"] == "train"
    ]
    assert (ours.folder / PAIRS_FILE).read_bytes() == tiny_run.pairs.read_bytes()
    assert dataclasses.replace(ours.config, data=theirs.config.data) == theirs.config


def test_other_pairs_are_not_those_of_the_run(trained, tiny_run):
    before = (trained.folder / PAIRS_FILE).read_bytes()
    with pytest.raises(UserError, match="the pairs are not those that the run was started with"):
        wordseq.train(rows(tiny_run.pairs)[1:], trained.folder, verbose=False)
    assert (trained.folder / PAIRS_FILE).read_bytes() == before


def test_a_run_on_a_file_takes_no_other_pairs_from_memory_and_stays_as_it_is(tiny_run, tmp_path):
    # A copy: other workers copy the shared run, and must not get its lock file.
    folder = shutil.copytree(tiny_run.folder, tmp_path / "run")
    before = files_of(folder)
    with pytest.raises(UserError, match="train data are not those that the run was started with"):
        wordseq.train(rows(tiny_run.pairs)[1:], folder, verbose=False)
    assert files_of(folder) == before


def test_nothing_is_left_of_pairs_that_no_run_can_be_trained_on(tmp_path):
    with pytest.raises(UserError, match="need at least one each"):
        wordseq.train([("a", "b")], tmp_path / "run", verbose=False)
    assert list(tmp_path.iterdir()) == []


def test_scores_are_those_of_the_command_line(trained, capsys):
    scores = trained.evaluate()
    assert main(["eval", str(trained.folder), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    timed = {"seconds", "sentences_per_second", "command"}
    assert {**scores, **dict.fromkeys(timed)} == {**printed, **dict.fromkeys(timed)}
    assert (scores.bleu.score, list(scores.bleu.ci95)) == (printed["bleu"]["score"], printed["bleu"]["ci95"])
    assert (scores.chrf.name, scores.ter.name) == ("chrF2", "TER")
    assert json.loads(json.dumps(scores.to_dict())) == dict(scores)
    assert str(scores).startswith("metric  score  95 % interval\nBLEU ")
    assert f"| chrF2 | {scores.chrf.score:.1f} |" in scores._repr_markdown_()


def test_given_sentences_are_scored_against_one_reference_or_several(trained):
    sources = trained.test.sources[:3]
    hyps = trained.translate(sources)
    assert trained.evaluate(sources, [[hyp, "x"] for hyp in hyps]).ter.score == 0.0
    assert trained.evaluate(sources, hyps)["references"] == 3
    given = trained.evaluate(sources, [hyp.upper() for hyp in hyps], tokenize="none", lowercase=True)
    assert given.chrf.score == pytest.approx(100)
    assert "case:lc" in given.bleu.signature
    assert "tok:none" in given.bleu.signature
    with pytest.raises(UserError, match="3 sources, but references of 2"):
        trained.evaluate(sources, hyps[:2])
    with pytest.raises(UserError, match="must be given together"):
        trained.evaluate(sources)
    with pytest.raises(UserError, match="sentence 2: no reference"):
        trained.evaluate(sources, ["a", [], "c"])
    with pytest.raises(TypeError, match="got one text"):
        trained.evaluate("one", ["one"])
    with pytest.raises(UserError, match="tokenize = 'moses'; choose from 13a"):
        trained.evaluate(tokenize="moses")


def test_translations_are_those_of_the_translator_with_the_settings_that_are_given(trained):
    texts = trained.test.sources[:4]
    translator = wordseq.Translator.load(trained.folder)
    assert trained.translate(texts) == translator(texts)
    wide = dataclasses.replace(trained.config.decode, beam_size=3, length_penalty=0.0)
    assert trained.translate(texts, beam=3, length_penalty=0, nbest=2) == translator.translate(texts, wide, nbest=2)
    assert trained.translate(texts, length_penalty=0, nbest=3) == translator.translate(texts, wide, nbest=3)
    drawn = wordseq.Sampling(seed=4)
    single = [text.split(". ")[0] for text in texts]
    assert trained.translate(single, sampling=drawn, split=True) == trained.translate(single, sampling=drawn)
    assert trained.translate(texts, sampling=drawn) == [
        found[0].text for found in translator.translate(texts, sampling=drawn)
    ]
    np.testing.assert_array_equal(trained.embed(texts), translator.embed(texts))
    with pytest.raises(UserError, match="unknown setting 'bean'; did you mean 'beam'"):
        trained.translate(texts, bean=2)
    with pytest.raises(UserError, match=r"decode\.beam_size = 0 must be at least 1"):
        trained.translate(texts, beam=0)


def test_settings_of_the_search_reach_every_form_of_translation(trained):
    texts = ["How many bikes does she have?"]
    assert trained.translate(texts) != [""]
    # The limit counts the end of the sentence.
    for form in ({}, {"split": True}, {"nbest": 1}, {"sampling": wordseq.Sampling()}):
        (found,) = trained.translate(texts, max_len_ratio=0, max_len_extra=1, **form)
        assert (found if isinstance(found, str) else found[0].text) == "", form


def test_the_translator_is_loaded_once_and_again_after_further_training(trained, monkeypatch):
    first = trained.translator
    assert trained.translator is first
    best = trained._files.header("best")
    monkeypatch.setattr(RunFolder, "header", lambda self, name: dataclasses.replace(best, sha256="another"))
    assert trained.translator is not first


def test_history_is_the_log(trained):
    assert isinstance(trained.history, pd.DataFrame)
    log = list(RunFolder(trained.folder).metrics())
    assert list(trained.history["step"]) == [entry["step"] for entry in log]
    assert trained.history[trained.history["kind"] == "dev"]["bleu"].tolist() == [
        entry["bleu"] for entry in log if entry["kind"] == "dev"
    ]


def test_learning_curves_go_through_the_points_of_the_log(trained):
    loss, bleu = trained.plot().axes
    log = list(RunFolder(trained.folder).metrics())
    for line, kind in zip(loss.lines, ("train", "dev"), strict=True):
        assert line.get_xydata().tolist() == [[entry["step"], entry["loss"]] for entry in log if entry["kind"] == kind]
    assert bleu.lines[0].get_xydata().tolist() == [
        [entry["step"], entry["bleu"]] for entry in log if entry["kind"] == "dev"
    ]
    assert trained.plot()._repr_png_().startswith(b"\x89PNG")


def test_an_attention_map_has_the_weights_of_the_forced_output(trained):
    text = trained.test.sources[0]
    picture = trained.plot_attention(text, "Il $dort$ .")
    axes = picture.axes[0]
    translator = trained.translator
    tokens = [*translator.src.tokenizer.tokenize(text), "</s>"]
    assert [label.get_text().replace("·", "￭") for label in axes.get_xticklabels()] == tokens
    assert all(label.get_rotation() == (0 if len(label.get_text()) <= 3 else 90) for label in axes.get_xticklabels())
    weights_ts = np.asarray(axes.images[0].get_array())
    assert weights_ts.shape == (len(axes.get_yticklabels()), len(tokens))
    np.testing.assert_allclose(weights_ts.sum(1), 1, rtol=1e-5)
    with pytest.raises(UserError, match="empty"):
        trained.plot_attention(" ")
    with pytest.raises(TypeError, match="must be a str, got list"):
        trained.plot_attention([text])


def test_a_comparison_is_that_of_the_command_line(trained, tiny_run, tmp_path, capsys):
    folders = [trained.folder, tiny_run.folder]
    found = wordseq.compare([trained, tiny_run.folder], say=None)
    assert capsys.readouterr().out == ""
    assert main(["compare", *map(str, folders), "--json"]) == 0
    assert {**found, "command": ""} == {**json.loads(capsys.readouterr().out), "command": ""}
    assert found["settings"] == {}  # Where the pairs are is no difference.
    page = found.to_html(tmp_path / "page.html")
    assert "</html>" in page.read_text(encoding="utf-8")
    assert str(found).startswith("Scores with 95 % intervals\nRun ")
    assert found._repr_markdown_().startswith("### Scores with 95 % intervals\n\n| Run |")
    with pytest.raises(UserError, match="needs a list of runs"):
        wordseq.compare(trained)
    with pytest.raises(UserError, match=r"compare\(\[run, other\]\)"):
        wordseq.compare("a", "b")
    with pytest.raises(UserError, match="at least one run"):
        wordseq.compare([])


def test_several_runs_are_one_system_in_memory_or_in_a_folder_of_their_own(trained, tiny_run, tmp_path):
    both = wordseq.load(trained.folder, tiny_run.folder)
    texts = ["I am cold.", "Where is the station?"]
    # Equal weights: the translations of one, and exactly its scores.
    assert both.translate(texts, nbest=2) == trained.translate(texts, nbest=2)
    assert repr(both) == f"wordseq.load({str(trained.folder)!r}, {str(tiny_run.folder)!r})"
    assert pickle.loads(pickle.dumps(both)).translate(texts) == trained.translate(texts)
    again = pickle.loads(pickle.dumps(both.translator))
    assert again(texts) == trained.translate(texts)
    saved = both.save(tmp_path / "both")
    live, scores = both.evaluate(), saved.evaluate()
    found = wordseq.compare([trained, tiny_run.folder, saved], say=None)
    made = wordseq.compare([both], say=None)["rows"][0]
    assert made["made_of"] == found["rows"][2]["made_of"]
    assert Path(made["run"]) == trained.folder.with_name(f"{trained.folder.name}+{tiny_run.folder.name}")
    assert (live["bleu"], live["perplexity"], live["notes"]) == (scores["bleu"], scores["perplexity"], scores["notes"])
    for key in ("train_minutes", "parameters"):
        first, second, together = (row[key] for row in found["rows"])
        assert together == pytest.approx(first + second)
    names = ", ".join("/".join(Path(folder).parts[-2:]) for folder in (trained.folder, tiny_run.folder))
    assert any(note.endswith(f"both: ensemble of 2 runs: {names}; mean of probabilities") for note in found["notes"])
    # It is no sample with another seed.
    assert found["seeds"] == []
    for wrong, message in (
        (lambda: trained.save(tmp_path / "x"), "not an ensemble"),
        (lambda: trained.translate(texts, ensemble="probabilities"), "needs an ensemble"),
        (lambda: both.embed(texts), "an ensemble has no vectors of texts"),
        (lambda: both.pack(tmp_path / "x"), "an ensemble cannot be packed"),
        (lambda: both.finished, "an ensemble has the best checkpoints of its runs only"),
    ):
        with pytest.raises(UserError, match=message):
            wrong()


def test_a_run_travels_to_other_processes_as_its_folder(trained):
    again = pickle.loads(pickle.dumps(trained))
    assert again.folder == trained.folder
    assert again.translate(["I am cold."]) == trained.translate(["I am cold."])


def test_what_is_no_run_cannot_be_loaded(tmp_path):
    with pytest.raises(UserError, match="no such run folder"):
        wordseq.load(tmp_path / "none")
    with pytest.raises(UserError, match="needs the folder of the run"):
        wordseq.train("phrasebook")


def test_an_interrupted_training_returns_its_run(trained, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise Stopped

    monkeypatch.setattr(training_run, "train_run", interrupted)
    assert wordseq.train(run=trained.folder).folder == trained.folder
    assert "the same call resumes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"mirror": None, "tensorboard": False, "bar": True}),
        ({"mirror": "corpora"}, {"mirror": Path("corpora")}),
        ({"tensorboard": True}, {"tensorboard": True}),
        ({"verbose": False}, {"bar": False}),
    ],
    ids=str,
)
def test_every_argument_of_train_reaches_the_training(trained, monkeypatch, capsys, given, expected):
    calls = []

    def train_run(*arguments, **options):
        found = inspect.signature(original).bind(*arguments, **options)
        found.apply_defaults()
        calls.append(found.arguments)
        found.arguments["say"]("a line of the training")
        raise Stopped

    original = training_run.train_run
    monkeypatch.setattr(training_run, "train_run", train_run)
    wordseq.train(run=trained.folder, **given)
    (call,) = calls
    assert call.items() >= expected.items()
    assert call["folder"] == trained.folder
    assert ("a line of the training" in capsys.readouterr().out) == ("verbose" not in given)


# Settings and data


def test_every_setting_has_a_keyword():
    names = [(section, field.name) for section, kind in SECTIONS.items() for field in dataclasses.fields(kind)]
    alone = {name for _, name in names if [other for _, other in names].count(name) == 1}
    for section, name in names:
        assert section_settings({f"{section}__{name}": 1}) == {f"{section}.{name}": 1}
        if name in alone:
            assert section_settings({name: 1}) == {f"{section}.{name}": 1}
        else:
            with pytest.raises(UserError, match=f"{name}= is a setting of two sections: write .*{section}__{name}="):
                section_settings({name: 1})
    with pytest.raises(UserError, match="unknown setting 'dropuot'; did you mean 'dropout'"):
        section_settings({"dropuot": 1})
    with pytest.raises(UserError, match=r"model\.cell is given twice"):
        section_settings({"cell": "gru", "model__cell": "gru"})


def test_settings_from_python_are_checked_as_those_of_the_command_line():
    given = {"model.dropout": np.float32(0.5), "model.hidden_size": np.int64(6), "data.path": Path("a.tsv")}
    config = load_config(None, (), given)
    assert (config.model.dropout, config.model.hidden_size, config.data.train) == (0.5, 6, "a.tsv")
    assert load_config(None, (), {"model.kind": "same_length"}) == load_config(None, ["model.kind=same_length"])
    for value in ("2", None, True, float("nan"), [1]):
        with pytest.raises(UserError, match=r"model\.dropout"):
            load_config(None, (), {"model.dropout": value})


def test_data_is_a_corpus_a_file_or_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.tsv").write_text("a\tb\n", encoding="utf-8")
    assert data_settings("phrasebook") == {"data.corpus": "phrasebook"}
    assert data_settings("pairs.tsv") == {"data.train": "pairs.tsv"}
    (tmp_path / "pairs.fr").write_text("b\n", encoding="utf-8")
    assert data_settings("pairs.tsv,pairs.fr") == {"data.train": "pairs.tsv,pairs.fr"}
    assert data_settings(Path("phrasebook")) == {"data.train": "phrasebook"}
    assert data_settings([("a", "b")]) is None
    with pytest.raises(UserError, match="data 'phrasebok': neither a file nor a corpus; did you mean 'phrasebook'"):
        data_settings("phrasebok")


def test_pairs_of_a_corpus_or_a_file_are_read_as_they_stand(tmp_path, capsys):
    (tmp_path / "own.tsv").write_text("a\tb\tnote\nc  d\te\na\tb\n", encoding="utf-8")
    assert wordseq.read_pairs(tmp_path / "own.tsv") == [("a", "b"), ("c  d", "e"), ("a", "b")]
    assert list(pd.DataFrame(wordseq.read_pairs("phrasebook")).columns) == ["src", "tgt"]
    assert capsys.readouterr().out.startswith("own.tsv: TSV; source: column 1, target: column 2, not used:")
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        archive.writestr("fra.txt", "Go.\tVa !\tlicence\n")
    (tmp_path / "tatoeba").mkdir()
    shutil.move(tmp_path / "made.zip", tmp_path / "tatoeba" / "fra-eng.zip")
    with contextlib.chdir(tmp_path):
        assert wordseq.read_pairs("tatoeba-fra-eng", mirror=tmp_path) == [("Go.", "Va !")]
        assert "licence: CC BY" in capsys.readouterr().out
        wordseq.read_pairs("tatoeba-fra-eng", mirror=tmp_path, say=None)
        assert capsys.readouterr().out == ""
    (tmp_path / "bad.tsv").write_text("a\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"bad\.tsv: TSV with one column"):
        wordseq.read_pairs(tmp_path / "bad.tsv")
    with pytest.raises(UserError, match="expected a path or the name of a corpus, got list"):
        wordseq.read_pairs([("a", "b")])


FRAME = pd.DataFrame({"english": ["Go.", "Hi."], "french": ["Va !", "Salut !"], "note": ["", ""]})
FRENCH = [("Go.", "Va !"), ("Hi.", "Salut !")]


@pytest.mark.parametrize(
    "data",
    [
        FRENCH,
        iter(FRENCH),
        map(list, FRENCH),
        dict(FRENCH).items(),
        np.array(FRENCH),
        FRAME[["english", "french"]],
        FRAME.rename(columns={"english": "source", "french": "target"}),
        FRAME.rename(columns={"english": "tgt", "french": "src"}).assign(src=FRAME["english"], tgt=FRAME["french"]),
    ],
    ids=["list", "iterator", "map", "items", "array", "two columns", "source and target", "src and tgt"],
)
def test_pairs_are_read_from_what_python_has(data):
    assert [tuple(map(str, pair)) for pair in pairs_of(data)] == FRENCH


DICTS = FRAME.to_dict("records")


@pytest.mark.parametrize(
    ("data", "columns"),
    [
        (FRAME, ("english", "french")),
        (FRAME, ("1", "2")),
        (FRAME[["note", "french", "english"]], ("3", "French")),
        (DICTS, ("english", "french")),
        ([tuple(row.values()) for row in DICTS], ("1", "2")),
        (FRENCH, ("1", "2")),
        ([{"id": 1, "source": src, "target": tgt} for src, tgt in FRENCH], ("", "")),
        ([{"fr": tgt, "en": src} for src, tgt in FRENCH], ("en", "fr")),
        ([dict(list(row.items())[:: (-1) ** k]) for k, row in enumerate(DICTS)], ("english", "french")),
    ],
)
def test_columns_are_chosen_as_in_files(data, columns):
    settings = DataConfig(src_column=columns[0], tgt_column=columns[1])
    assert list(pairs_of(data, settings)) == FRENCH
    if columns[0]:
        swapped = DataConfig(src_column=columns[1], tgt_column=columns[0])
        assert list(pairs_of(data, swapped)) == [pair[::-1] for pair in FRENCH]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        (("english", "frnch"), "data: data.tgt_column = 'frnch': no such column; the columns are 1 'english' "),
        (("english", ""), "data: data.tgt_column must be set too"),
        (("1", "english"), "the same column"),
    ],
)
def test_columns_that_are_not_there(columns, complaint):
    for data in (FRAME, DICTS):
        with pytest.raises(UserError, match=complaint):
            list(pairs_of(data, DataConfig(src_column=columns[0], tgt_column=columns[1])))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ([("a", "b"), ("c",)], "pair 2: expected 2 texts, source and target, got 1"),
        ([("a", None)], "pair 1: the target must be a text, got NoneType None"),
        ([(1.5, "a")], "pair 1: the source must be a text, got float 1.5"),
        (["ab"], r"pair 1: expected \(source, target\), got str 'ab'"),
        ([{"a": "b"}], "the columns are 'a'; expected 2"),
        ([{"a": "b", "c": "d"}, {"a": "b"}], "pair 2: no 'c'; the first pair has it"),
        ([("a", "b", "c")], "pair 1: expected 2 texts, source and target, got 3"),
        ([("a", "\ud800")], r"pair 1: the target has half a character, U\+D800"),
        (FRAME, "the columns are 'english', 'french', 'note'; expected 2, or .*; name two .* src_column='english'"),
        (pd.DataFrame({"src": ["a", None], "tgt": ["b", "c"]}), "pair 2: the source must be a text"),
        ({"a": "b"}, "expected pairs of .*, got dict"),
        (7, "expected pairs of .*, got int 7"),
    ],
)
def test_what_is_no_pair_is_named(data, complaint):
    with pytest.raises(UserError, match=complaint):
        list(pairs_of(data))


def test_tabs_and_line_breaks_of_texts_are_spaces(tmp_path):
    run = RunFolder(tmp_path)
    pairs = pairs_of([("a\tb", "c\r\nd"), ("e", "f")])
    with pairs_written(run, pairs):
        assert (tmp_path / PAIRS_FILE).read_bytes() == b"a b\tc  d\ne\tf\n"
    assert not (tmp_path / PAIRS_FILE).exists()


def test_nothing_about_pairs_in_memory_is_guessed(tmp_path):
    """The first pair is no header, and quotes are text."""
    pairs = [Pair("source", "target"), *(Pair(f'"cow {k}"', f'"vache {k}"') for k in range(20))]
    run = RunFolder(tmp_path / "run")
    with locked(run.folder), pairs_written(run, pairs):
        config = with_own_pairs(load_config(None, ["data.min_freq=1"]), run, given=True)
        corpus = prepare_run(config, run, None, lambda line: None)
    assert corpus.split["first"][:2] == [list(pair) for pair in pairs[:2]]
    assert corpus.split["counts"]["parts"]["pairs"]["kept"] == len(pairs)


def test_a_notebook_draws_the_bar_into_its_cell(monkeypatch):
    drawn = []

    class Handle:
        def display(self, data, raw):
            assert raw
            drawn.append("display")

        def update(self, data, raw):
            assert raw
            drawn.append(data)

    import IPython.display

    from wordseq.system import progress

    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.0)
    monkeypatch.setattr(IPython.display, "DisplayHandle", Handle)
    with ProgressBar(("{task.completed} of {task.total}",), 4) as bar:
        bar.update(3)
    assert drawn[0] == "display"
    assert any("3 of 4" in data["text/plain"] for data in drawn[1:])
    # A site shows the richest form: empty HTML has no height.
    assert drawn[-1] == {"text/plain": "", "text/html": ""}
    assert not ProgressBar(("x",), 4, shown=False)
