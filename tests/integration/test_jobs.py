import dataclasses
import errno
import json
import math
import os
import shutil
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.faults import TAKING, at_call, die, fail, in_child
from tests.reference.corpus import load_corpus
from tests.runs import entries, files_of, settings
from wordseq.batches.prepare import prepare_corpus
from wordseq.config.load import load_config
from wordseq.data.splits import HeldOut
from wordseq.decoding.lines import translate_lines
from wordseq.decoding.translator import Translator
from wordseq.evaluation import evaluate
from wordseq.evaluation.evaluate import evaluate_run, reference_loss
from wordseq.evaluation.given import read_files
from wordseq.evaluation.metrics.bleu import bleu
from wordseq.evaluation.records import record_of
from wordseq.runs.checkpoint import sha256_of
from wordseq.runs.describe import describe_run
from wordseq.runs.folder import BEST, LAST, RunFolder
from wordseq.runs.weights import arrays_of, by_path, load_model
from wordseq.system.errors import UserError
from wordseq.system.platform import commit, machine
from wordseq.text.tokenizers import JOINER
from wordseq.training import run as training_run
from wordseq.training.loop import Progress
from wordseq.training.run import train_run
from wordseq.training.tensorboard import read_events
from wordseq.training.validation import Validator

pytestmark = pytest.mark.usefixtures("uncompiled", "few_draws", "loaded_once")


@pytest.fixture(scope="module")
def pairs(tiny_run):
    return tiny_run.pairs


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_run):
    """A run that has done its 5 updates, and what was said."""
    folder = tmp_path_factory.mktemp("jobs") / "run"
    shutil.copytree(tiny_run.folder, folder, ignore=shutil.ignore_patterns("eval"))
    return RunFolder(folder), tiny_run.out.splitlines()


@pytest.fixture
def copied(trained, tmp_path):
    shutil.copytree(trained[0].folder, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def quiet_train(folder, pairs, *more, say=lambda line: None, **options):
    return train_run(load_config(None, settings(pairs, *more)), folder, say=say, **options)


# --- training


def test_a_run_folder_has_all_its_files_and_no_temporary_ones(trained):
    assert set(files_of(trained[0].folder)) == {
        *(
            "config.toml",
            "split.json",
            "data.json",
            "held_out.json",
            "metrics.jsonl",
            "best.safetensors",
            "last.safetensors",
        ),
        *("previous.safetensors", "memory.json"),
        *(f"{side}.{kind}.json" for side in ("src", "tgt") for kind in ("tokenizer", "vocab", "codec")),
    }


def test_a_run_records_machine_and_version(trained):
    found = json.loads((trained[0].folder / "memory.json").read_text())
    assert found["peak_bytes"] > 2**20
    assert (found["machine"], found["wordseq"]) == (machine(), commit())


def test_progress_lines_cover_data_vocabulary_model_and_validation(trained):
    text = "\n".join(trained[1])
    for part in ("sources shared between parts: 0", "src: word level", "parameters, float32 products", "dev BLEU"):
        assert part in text


def test_config_toml_repeats_the_run(trained, pairs):
    """With the tokenizer that the dev references chose."""
    config = load_config(trained[0].folder / "config.toml")
    assert config == load_config(None, settings(pairs, "eval.tokenize=13a"))


def test_vocabularies_come_from_training_data_alone(trained, pairs):
    corpus = load_corpus(load_config(None, settings(pairs)).data)
    src = trained[0].codecs[0]
    seen = {token for pair in corpus.train for token in src.tokenizer.tokenize(pair.src)}
    assert set(src.vocab.tokens) == seen
    assert src.vocab.unknown(src.tokenizer.tokenize(" ".join(corpus.dev.sources)))


def test_a_run_that_spells_rare_words_copies_them_and_joins_ensembles(tmp_path, pairs):
    lines: list[str] = []
    spelling = ("data.rare_words=spell", "data.min_freq=3", "model.copy=true", "train.max_steps=1")
    quiet_train(tmp_path / "one", pairs, *spelling, say=lines.append)
    run = RunFolder(tmp_path / "one")
    corpus = load_corpus(load_config(None, settings(pairs, *spelling)).data)
    codec, counts = run.codecs[1], Counter()
    for pair in corpus.train:
        counts.update(codec.tokenizer.tokenize(pair.tgt))
    assert [*codec.vocab.words] == [word for word, n in sorted(counts.items(), key=lambda x: (-x[1], x[0])) if n >= 3]
    letters = {token[-1] for token in codec.vocab.tokens[: codec.vocab.speller.size] if len(token) < 4}
    assert letters <= {*"".join(counts), " ", JOINER}
    words = [codec.tokenizer.tokenize(references[0]) for references in corpus.dev.references]
    rare = sum(word not in codec.vocab for text in words for word in text) / sum(map(len, words))
    size = sum(len(codec.tokenize(references[0])) for references in corpus.dev.references) / len(words)
    (line,) = [line for line in lines if line.startswith("tgt: word level")]
    assert f"{len(codec.vocab):,} ids, spells " in line
    assert f" and {rare:.2%} of dev words in characters: " in line
    assert f" and {size:.1f} tokens per sentence, " in line
    texts = ["Zork is an 王.", *corpus.dev.sources[:5]]
    alone = Translator.load(run.folder)
    assert alone.unknown(texts) == []
    shutil.copytree(run.folder, tmp_path / "other")
    together = Translator.load([tmp_path / "one", tmp_path / "other"])
    assert together(texts) == alone(texts)
    with pytest.raises(UserError, match=r"data\.rare_words"):
        quiet_train(tmp_path / "one", pairs, *spelling[1:])


@pytest.fixture(scope="module")
def validated(trained):
    """The saved best, its dev split, and the result of a validation."""
    translator, dev = Translator.load(trained[0].folder), trained[0].held_out("dev")
    return translator, dev, Validator(translator, dev)()


def test_validation_is_bleu_of_greedy_output_and_loss_of_first_references(validated):
    translator, dev, found = validated
    assert found.scores["bleu"] == bleu(translator(dev.sources), dev.references)
    loss, tokens = reference_loss(translator, dev)
    assert found.loss == loss / tokens
    # Weights near their start: close to uniform over the vocabulary.
    assert found.loss == pytest.approx(math.log(len(translator.tgt.vocab)), rel=0.1)
    assert [sample[0] for sample in found.samples] == [dev.sources[0], dev.sources[10]]


def test_best_has_the_weights_that_were_validated(trained, validated):
    last_look = [entry for entry in entries(trained[0].folder) if entry["kind"] == "dev"][-1]
    found = validated[2]
    assert last_look["best"]
    assert found.scores["bleu"] == pytest.approx(last_look["bleu"])
    assert found.loss == pytest.approx(last_look["loss"])


def test_the_same_command_on_a_finished_run_changes_nothing(copied, pairs):
    before = files_of(copied.folder)
    said = []
    progress = quiet_train(copied.folder, pairs, say=said.append)
    after = files_of(copied.folder)
    assert progress.step == 5
    assert after == before
    reason = "5 updates done (train.max_steps). To train further, set train.max_steps higher: --set train.max_steps=N"
    assert said[0].endswith("pairs.tsv: TSV; source: column 1, target: column 2")
    assert said[1:] == [f"{copied.folder} is finished: {reason}, or max_steps=N in Python"]


@pytest.fixture(scope="module")
def longer(trained, pairs, tmp_path_factory):
    """The run, resumed up to 7 updates."""
    run = RunFolder(shutil.copytree(trained[0].folder, tmp_path_factory.mktemp("longer") / "run"))
    assert quiet_train(run.folder, pairs, "train.max_steps=7", "train.patience=9", "train.max_epochs=30").step == 7
    return run


def test_limits_may_change_when_a_run_resumes(longer):
    assert longer.config.train.max_steps == 7
    assert [entry["step"] for entry in entries(longer.folder) if entry["kind"] == "train"] == list(range(1, 8))


def test_tensorboard_may_be_switched_on_when_a_run_resumes_and_changes_nothing(copied, longer, pairs, request):
    quiet_train(copied.folder, pairs, "train.max_steps=7", tensorboard=True)
    assert entries(copied.folder) == entries(longer.folder)
    assert sha256_of(copied.load("last")[0]) == sha256_of(longer.load("last")[0])
    assert not (longer.folder / "tensorboard").exists()
    (path,) = (copied.folder / "tensorboard").iterdir()
    request.getfixturevalue("compiled")  # Files are read by a compiled function.
    shown = [(event.step, value.tag) for event in read_events(path) for value in event.summary.value]
    assert [step for step, tag in shown if tag == "loss/train"] == list(range(1, 8))
    assert (7, "bleu/dev") in shown
    assert (7, "samples/dev") in shown


@pytest.mark.parametrize(
    "changed",
    [
        *("data.level=char", "data.seed=2", "data.min_freq=2", "data.lowercase=true", "data.dev_size=21"),
        *("model.cell=lstm", "model.hidden_size=18", "model.dropout=0.1"),
        *("train.seed=2", "train.batch_size=8", "train.learning_rate=0.5", "train.precision=bfloat16"),
        "train.select_by=loss",
        *("decode.length_penalty=0.5", "data.max_pairs=7"),
    ],
)
def test_other_settings_must_not_change_and_the_error_names_the_key(copied, pairs, changed):
    before = files_of(copied.folder)
    key, _, value = changed.partition("=")
    with pytest.raises(
        UserError, match=rf"(?i)was started with {key} = .*now it is .*{value}.*choose another run folder"
    ):
        quiet_train(copied.folder, pairs, changed)
    assert files_of(copied.folder) == before


def test_a_run_started_with_other_data_is_refused(trained, copied, tmp_path):
    before = files_of(copied.folder)
    path = tmp_path / "pairs.tsv"
    config = trained[0].config
    text = Path(config.data.train).read_text(encoding="utf-8")
    path.write_text(text + "One more sentence.\tEncore une phrase.\n", encoding="utf-8")
    copied.write_config(dataclasses.replace(config, data=dataclasses.replace(config.data, train=str(path))))
    before = files_of(copied.folder)
    with pytest.raises(UserError, match="data are not those that the run was started with"):
        quiet_train(copied.folder, path)
    assert files_of(copied.folder) == before


def test_a_run_killed_while_its_folder_was_written_starts_again(tmp_path, pairs, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "write_config", kill)
        with pytest.raises(Killed):
            quiet_train(tmp_path / "run", pairs)
    with monkeypatch.context() as patched:
        patched.setattr(training_run, "train_model", lambda *arguments: Progress(step=7))
        assert quiet_train(tmp_path / "run", pairs).step == 7
    assert RunFolder(tmp_path / "run").begun


@pytest.mark.parametrize("name", ["a file", "a folder with files"])
def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path, pairs, name):
    path = tmp_path / "mine"
    if name == "a file":
        path.write_text("precious")
    else:
        path.mkdir()
        (path / "thesis.tex").write_text("precious")
    before = files_of(tmp_path)
    with pytest.raises(UserError, match=r"mine: .*choose another run folder"):
        quiet_train(path, pairs)
    assert files_of(tmp_path) == before


def test_mistakes_in_the_data_leave_no_folder(tmp_path):
    with pytest.raises(UserError, match="nope"):
        quiet_train(tmp_path / "run", tmp_path / "nope.tsv")
    assert not (tmp_path / "run").exists()


class Begun(Exception):
    """Raised in place of making a model."""


@pytest.fixture
def begin(tmp_path, pairs, monkeypatch):
    """Prepares and begins a run in a folder of a name, and gives the folder's files; the data in a cache of its own."""

    def begun(*_, **__):
        raise Begun

    def begin(name):
        with pytest.raises(Begun):
            quiet_train(tmp_path / name / "run", pairs)
        return files_of(tmp_path / name)

    monkeypatch.setattr(training_run, "model_for", begun)
    monkeypatch.setattr(training_run, "check_fork", lambda: None)  # Nothing is computed after the forks of these tests.
    return begin


def test_killed_at_any_write_before_training_the_same_command_starts_it(begin, tmp_path):
    whole = begin("whole")
    with at_call(0, die) as calls:
        begin("counted")
    assert calls.number > 100
    for number in range(1, calls.number + 1, 11):

        def killed(name=str(number), number=number):
            with at_call(number, die):
                begin(name)

        assert in_child(killed) == signal.SIGKILL
        # Temporary files of a killed process are removed at once here, see `prepare.ABANDONED_CACHE_SECONDS`.
        for path in (tmp_path / str(number)).glob(".prepared/.tmp-*"):
            shutil.rmtree(path)
        assert begin(str(number)) == whole


def test_any_failed_write_before_training_is_named_and_leaves_no_partial_file(begin, tmp_path):
    whole = begin("whole")
    with at_call(0, die, TAKING) as calls:
        begin("counted")
    errors = (errno.ENOSPC, errno.EIO, errno.EROFS)
    for number in range(1, calls.number + 1, 7):
        folder, error = tmp_path / str(number), errors[number % 3]
        with at_call(number, fail(error), TAKING), pytest.raises(OSError, match=os.strerror(error)) as raised:
            begin(str(number))
        assert raised.value.filename.startswith(str(folder))
        assert not [path for path in folder.rglob(".*") if path.name != ".prepared"]
        assert begin(str(number)) == whole


# --- evaluation


@pytest.fixture(scope="module")
def evaluated(trained):
    return evaluate_run(trained[0], command="wordseq eval it")


def test_an_evaluation_is_of_the_test_split_and_saved(trained, evaluated, pairs):
    corpus = load_corpus(load_config(None, settings(pairs)).data)
    folder = trained[0].folder / "eval"
    assert (folder / "test.src").read_text(encoding="utf-8").splitlines() == corpus.test.sources
    hyps = (folder / "test.hyp").read_text(encoding="utf-8").split("\n")[:-1]
    assert evaluated["bleu"]["score"] == bleu(hyps, corpus.test.references)
    assert json.loads((folder / "test.json").read_text(encoding="utf-8")) == json.loads(json.dumps(evaluated.to_dict()))
    assert evaluated["command"] == "wordseq eval it"


def test_any_failed_write_of_a_report_is_named_and_every_file_is_complete(trained, evaluated, tmp_path):
    def report(text):
        held_out = HeldOut([text], [[text]])
        evaluate._save_evaluation(run, "mine", {**evaluated, "command": text}, held_out, [text])

    run = RunFolder(tmp_path)
    report("one")
    before = files_of(tmp_path)
    with at_call(0, die, TAKING) as calls:
        report("two")
    after = files_of(tmp_path)
    assert calls.number > 20
    for number in range(1, calls.number + 1):
        report("one")
        with at_call(number, fail(errno.ENOSPC), TAKING), pytest.raises(OSError, match="No space") as raised:
            report("two")
        assert raised.value.filename.startswith(str(tmp_path / "eval" / "mine"))
        found = files_of(tmp_path)
        assert found.keys() == before.keys()
        assert all(found[name] in (before[name], after[name]) for name in found)


def test_an_evaluation_counts_what_it_measured(trained, evaluated):
    translator = Translator.load(trained[0].folder)
    test = trained[0].held_out("test")
    tokens = [token for text in test.sources for token in translator.src.tokenize(text)]
    unknown = translator.src.vocab.unknown(tokens)
    assert evaluated["oov_rate"] == pytest.approx(len(unknown) / len(tokens))
    nats, count = reference_loss(translator, test)
    assert evaluated["perplexity"] == pytest.approx(math.exp(nats / count))
    chars = sum(len(references[0]) for references in test.references)
    spelling = translator.tgt.spelling_bits(translator.tgt.tokenizer.tokenize(found[0]) for found in test.references)
    assert evaluated["spelling_bits_per_char"] == pytest.approx(spelling / chars)
    assert evaluated["bits_per_char"] == pytest.approx((nats / math.log(2) + spelling) / chars)
    assert evaluated["checkpoint"] == trained[0].header(BEST).sha256
    assert evaluated["sentences"] == 20
    assert evaluated["sentences_per_second"] == pytest.approx(20 / evaluated["seconds"])


def test_missing_references_are_filled_with_the_first_one(trained):
    held_out = HeldOut(["Hello.", "Yes."], [["Bonjour.", "Salut."], ["Oui."]])
    evaluate_run(trained[0], held_out, "mine")
    folder = trained[0].folder / "eval"
    assert (folder / "mine.ref0").read_text(encoding="utf-8") == "Bonjour.\nOui.\n"
    assert (folder / "mine.ref1").read_text(encoding="utf-8") == "Salut.\nOui.\n"


def test_files_are_prepared_as_the_data_of_the_run(copied, tmp_path):
    for name, text in {
        "src": "\ufeffGo  now!\r\nE\u0301te\u0301\n",
        "ref": "Va !\nÉté\n",
        "two": "Vas-y !\nL'ÉTÉ\n",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    found = read_files(copied, tmp_path / "src", [tmp_path / "ref", tmp_path / "two"])
    assert found == HeldOut(["Go now!", "Été"], [["Va !", "Vas-y !"], ["Été", "L'ÉTÉ"]])
    config = copied.config
    copied.write_config(dataclasses.replace(config, data=dataclasses.replace(config.data, lowercase=True)))
    assert read_files(copied, tmp_path / "src", [tmp_path / "two"]).references == [["vas-y !"], ["l'été"]]


def test_files_of_unequal_length_and_empty_files_are_refused(trained, tmp_path):
    for name, text in {"two": "a\nb\n", "three": "a\nb\nc\n", "blank": "\n \n", "empty": ""}.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=r"three has 3 lines, but .*two has 2"):
        read_files(trained[0], tmp_path / "two", [tmp_path / "three"])
    for src, ref, name in (("two", "blank", "blank"), ("blank", "two", "blank"), ("empty", "two", "empty")):
        with pytest.raises(UserError, match=f"{name}: "):
            read_files(trained[0], tmp_path / src, [tmp_path / ref])


BAD_HELD_OUT = [
    json.dumps({"test": {"sources": sources, "references": references}})
    for sources, references in (
        ([], []),
        (["a"], []),
        (["a"], [[]]),
        (["a"], ["b"]),
        ([1], [["b"]]),
        (["\ud800"], [["b"]]),
    )
]


@pytest.mark.parametrize("content", ["[]", "{}", '{"test": 3}', '{"test": {"sources": []}}', "null", *BAD_HELD_OUT])
def test_a_damaged_held_out_file_is_named(copied, content):
    (copied.folder / "held_out.json").write_text(content)
    with pytest.raises(UserError, match=r"held_out\.json: damaged: (it has no valid test split|expected an object)"):
        copied.held_out("test")


@pytest.mark.parametrize("content", ["[]", "{}", '{"train": {}}', "3"])
def test_a_damaged_split_file_is_named(copied, pairs, content):
    (copied.folder / "split.json").write_text(content)
    with pytest.raises(UserError, match=r"split\.json: damaged"):
        quiet_train(copied.folder, pairs)


# --- the rest


def test_describe_counts_every_weight_of_the_best_checkpoint(trained):
    found = describe_run(trained[0])
    model, state = load_model(trained[0])
    assert found["parameters"] == model.count_params() == sum(layer["parameters"] for layer in found["layers"])
    assert found["weights_sha256"] == sha256_of(arrays_of(by_path(model.weights)))
    assert found["step"] == state["step"] == 5
    assert found["settings"]["model"]["hidden_size"] == 16
    assert {"src_embed", "tgt_embed", "output"} <= {layer["name"] for layer in found["layers"]}


def test_a_record_holds_figures_and_no_sentences(trained, evaluated):
    text = json.dumps(record_of(trained[0], evaluated), ensure_ascii=False)
    test = trained[0].held_out("test")
    assert not any(source in text for source in test.sources)
    assert describe_run(trained[0])["weights_sha256"] in text


def test_translate_lines_gives_nbest_lines_for_each_input_line(trained):
    translator = Translator.load(trained[0].folder)
    decode = dataclasses.replace(translator.config.decode, beam_size=3)
    lines = list(translate_lines(translator, ["Hello there.", "", "Yes."], decode, 3))
    assert len(lines) == 9
    assert lines[3:6] == ["0.0000\t", "-inf\t", "-inf\t"]
    scores = [float(line.split("\t")[0]) for line in lines]
    assert scores[:3] == sorted(scores[:3], reverse=True)
    assert len(list(translate_lines(translator, ["Hello there.", "", "Yes."], decode, 1))) == 3


def test_the_optimizer_is_part_of_last_and_not_of_best(trained):
    best, last = (trained[0].load(name)[0] for name in (BEST, LAST))
    assert best.keys() < last.keys()
    assert all(np.array_equal(best[name], last[name]) for name in best)


# --- word vectors made elsewhere


def rows_of(run, name, side, words):
    arrays, _ = run.load(name)
    vocab = run.codecs[side == "tgt"].vocab
    return arrays[f"seq2seq/{side}_embed/embeddings"][vocab.to_ids(words)]


@pytest.mark.slow  # Two trainings.
def test_pretrained_vectors_are_frozen_or_trained_and_the_file_is_not_needed_again(tmp_path, pairs):
    rng = np.random.default_rng(1)
    vectors = {word: rng.normal(size=8).astype(np.float32) for word in ("the", "is", "le", "est")}
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{word} {' '.join(map(repr, map(float, v)))}\n" for word, v in vectors.items()))
    asked = [f"model.pretrained_src={path}", "model.freeze_pretrained=true", "train.max_steps=3"]
    asked += ["train.optimizer=adamw", "train.weight_decay=0.1"]
    said = []
    train_run(load_config(None, settings(pairs, *asked)), tmp_path / "run", say=said.append)
    # the, The, is, and Is where a question is among the training pairs
    assert any(line.startswith(("src vectors (frozen): 3 of", "src vectors (frozen): 4 of")) for line in said)
    run = RunFolder(tmp_path / "run")
    names, expected = ["the", "The", "is"], np.stack([vectors["the"], vectors["the"], vectors["is"]])
    assert np.array_equal(rows_of(run, LAST, "src", names), expected)
    before = run.load(LAST)[0]["seq2seq/src_embed/embeddings"]
    path.unlink()
    asked[2] = "train.max_steps=5"
    train_run(load_config(None, settings(pairs, *asked)), run.folder, say=lambda line: None)
    assert np.array_equal(rows_of(run, LAST, "src", names), expected)
    changed = (run.load(LAST)[0]["seq2seq/src_embed/embeddings"] != before).any(1)
    assert changed.sum() > len(changed) / 2


def test_lengths_of_a_run_are_those_of_its_training_pairs_with_their_ends(tiny_run):
    run = RunFolder(tiny_run.folder)
    held_out = {source for part in ("dev", "test") for source in run.held_out(part).sources}
    pairs = [line.split("\t") for line in tiny_run.pairs.read_text(encoding="utf-8").splitlines()]
    trained = [pair for pair in dict.fromkeys(map(tuple, pairs)) if pair[0] not in held_out]
    assert len(trained) == run.read_json("split.json")["train"]["pairs"]
    src, tgt = ([len(codec.to_ids(pair[k])) + 1 for pair in trained] for k, codec in enumerate(run.codecs))
    assert run.tgt_per_src == pytest.approx(sum(tgt) / sum(src))
    assert run.src_lengths == (sorted(src)[math.ceil(0.99 * (len(src) - 1))] - 1, max(src) - 1)


def test_rules_for_settings_see_the_data_that_are_trained_on(pairs, tmp_path):
    config = load_config(None, [*settings(pairs, "data.src_level=char", "data.tgt_level=bpe")])
    corpus = prepare_corpus(config.data, tmp_path / "cache", say=lambda line: None)
    facts = training_run._facts(config, corpus)
    assert facts.pairs == corpus.split["train"]["pairs"] == len(corpus.stores[1])
    assert (facts.levels, facts.words, facts.subword_size, facts.vector_size) == (("char", "bpe"), False, 400, 0)
