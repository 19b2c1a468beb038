"""The figures of the real trainer, validator and evaluation are those worked out by hand, in NumPy, one pair at a time."""

import dataclasses
import functools
import itertools
import json
import math
import re
import time
import unicodedata
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from sacrebleu.metrics import CHRF

from tests.closeness import close
from wordseq.batches.batching import make_batch
from wordseq.batches.epochs import EpochPairs
from wordseq.batches.id_store import IdStore
from wordseq.config.data import DataConfig
from wordseq.config.schema import Config, DecodeConfig, ModelConfig, TrainConfig
from wordseq.data.splits import HeldOut
from wordseq.decoding.translator import Hypothesis, Translator
from wordseq.evaluation.evaluate import evaluate_run
from wordseq.evaluation.metrics.bleu import bleu
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs.folder import BEST, LAST, RunFolder
from wordseq.runs.weights import arrays_of, by_path
from wordseq.system.errors import UserError
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.vocab import BOS_ID, EOS_ID, TextCodec, Vocab, spelling_vocab
from wordseq.training.loop import Validation, train_model
from wordseq.training.run import _check_selection
from wordseq.training.step import Trainer
from wordseq.training.validation import Validator

SRC_IDS = [[4, 5, 6], [5], [8, 8], [7], [4, 4]]
TGT_IDS = [[4], [5, 6, 4], [6, 6], [5], []]
SRC, TGT = IdStore.of(SRC_IDS), IdStore.of(TGT_IDS)
TOKENS = sum(len(ids) + 1 for ids in TGT_IDS)
SIZES = (9, 7)
PLAIN = TrainConfig(
    optimizer="sgd", learning_rate=0.5, clip_norm=0.0, schedule="constant", precision="float32", shards=1, batch_size=5
)
WORDS = [TextCodec(WordTokenizer(), Vocab(words)) for words in (("a", "b", "c", "d", "e"), ("x", "y", "z"))]


def new_model(seed=1, scale=0.0, **settings):
    """A model of sharp weights where `scale` is above 0, so that its outputs are neither uniform nor all the same."""
    # The simplest cell, whose sharp outputs would be all the same.
    small = {
        "cell": "gru" if scale else "rnn",
        "embed_dim": 6,
        "hidden_size": 8,
        "bidirectional": False,
        "dropout": 0.0,
    }
    model = Seq2Seq(ModelConfig(**small | settings), *SIZES, seed=seed)
    rng = np.random.default_rng(seed)
    for weight in model.weights if scale else []:
        weight.assign(rng.normal(size=weight.shape, scale=scale))
        if scale and weight.path.endswith("output/bias"):
            weight.assign(
                weight.value - [0, 99, 99, 0, *[0] * len(WORDS[1].vocab.tokens)]
            )  # No <unk>, which is no word.
    return model


def log_probs(model, src, tgt):
    """Of one pair without padding, `[t, v]`: the model as Keras calls it, then a softmax in NumPy."""
    given = np.array([[*src, EOS_ID]], np.int32), np.array([[BOS_ID, *tgt]], np.int32)
    logits = model(given).numpy()[0].astype(np.float64)
    return (
        logits
        - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
        - logits.max(-1, keepdims=True)
    )


def nats_of(model, sources=SRC_IDS, targets=TGT_IDS):
    """-log p of each target, its end included."""
    return [
        -sum(log_probs(model, src, tgt)[t, i] for t, i in enumerate([*tgt, EOS_ID]))
        for src, tgt in zip(sources, targets, strict=True)
    ]


def mean_gradient(model, smoothing=0.0):
    """Of the loss for each real token, pair by pair, so that there is no padding at all."""
    with tf.GradientTape() as tape:
        total = 0.0
        for src, tgt in zip(SRC_IDS, TGT_IDS, strict=True):
            logits = model((np.array([[*src, EOS_ID]], np.int32), np.array([[BOS_ID, *tgt]], np.int32)))[0]
            scores = tf.nn.log_softmax(logits)
            gold = tf.gather(scores, [*tgt, EOS_ID], batch_dims=1)
            total -= tf.reduce_sum((1 - smoothing) * gold + smoothing * tf.reduce_mean(scores, -1))
        loss = total / TOKENS
    return [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, [w.value for w in model.trainable_variables])]


@functools.cache
def by_hand(settings=()):
    """Nats and mean gradient of a new model."""
    model = new_model(**dict(settings))
    return sum(nats_of(model)), mean_gradient(model)


def weights_of(model):
    return [weight.value.numpy() for weight in model.trainable_variables]


def norm_of(gradients):
    return math.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients))


def batch():
    found = make_batch(SRC, TGT, np.array([2, 0, 4, 1, 3]))
    return found.src_ids_bs, found.tgt_ids_bt


# --- one update


@pytest.mark.parametrize(
    ("shards", "settings"),
    [(1, ()), (3, ()), (2, (("cell", "lstm"), ("attention", "none"), ("bidirectional", True)))],
)
def test_an_update_counts_real_tokens_and_their_nats_and_follows_the_mean_gradient(shards, settings):
    model = new_model(**dict(settings))
    before, nats, gradients = weights_of(model), *by_hand(settings)
    trainer = Trainer(model, dataclasses.replace(PLAIN, shards=shards))
    trainer.updater.set_learning_rate(0.5)
    found_nats, found_tokens, found_norm = (float(figure) for figure in trainer.update(*batch()))
    assert found_tokens == TOKENS
    assert found_nats == pytest.approx(nats, rel=1e-5)
    assert found_norm == pytest.approx(norm_of(gradients), rel=1e-4)
    for old, new, gradient in zip(before, weights_of(model), gradients, strict=True):
        close(new, old - 0.5 * gradient)


@pytest.mark.slow
def test_a_compiled_update_gives_the_same_figures():
    tf.config.run_functions_eagerly(False)
    try:
        test_an_update_counts_real_tokens_and_their_nats_and_follows_the_mean_gradient(2, ())
    finally:
        tf.config.run_functions_eagerly(True)


def test_frozen_vectors_of_both_sides_stay_as_they_are_under_weight_decay():
    model = new_model(cell="rnn", attention="none")
    frozen = np.array([4, 5])
    for side in ("src", "tgt"):
        model.set_vectors(side, frozen, np.ones((2, 6), np.float32), freeze=True)
    layers = (model.src_embed, model.tgt_embed)
    before = [layer.embeddings.numpy() for layer in layers]
    trainer = Trainer(model, dataclasses.replace(PLAIN, optimizer="adamw", weight_decay=0.5))
    trainer.update(*batch())
    for layer, old in zip(layers, before, strict=True):
        new = layer.embeddings.numpy()
        assert np.array_equal(new[frozen], old[frozen]), layer.name
        assert not np.array_equal(new[6], old[6]), layer.name


def test_clipping_scales_the_update_but_not_the_reported_norm():
    model = new_model()
    before, gradients = weights_of(model), by_hand()[1]
    norm = norm_of(gradients)
    trainer = Trainer(model, dataclasses.replace(PLAIN, clip_norm=norm / 4))
    trainer.updater.set_learning_rate(0.5)
    assert float(trainer.update(*batch())[2]) == pytest.approx(norm, rel=1e-4)
    for old, new, gradient in zip(before, weights_of(model), gradients, strict=True):
        close(new, old - 0.5 * gradient / 4)


def test_label_smoothing_changes_the_loss_but_not_the_reported_nats():
    model = new_model(scale=0.5)
    before, gradients, nats = weights_of(model), mean_gradient(model, smoothing=0.3), sum(nats_of(model))
    trainer = Trainer(model, dataclasses.replace(PLAIN, label_smoothing=0.3))
    trainer.updater.set_learning_rate(0.5)
    assert float(trainer.update(*batch())[0]) == pytest.approx(nats, rel=1e-5)
    for old, new, gradient in zip(before, weights_of(model), gradients, strict=True):
        close(new, old - 0.5 * gradient)


def test_scheduled_sampling_with_only_gold_tokens_equals_teacher_forcing():
    found = []
    for fed in (False, True):
        model = new_model()
        trainer = Trainer(model, PLAIN)
        trainer.updater.set_learning_rate(0.5)
        more = (np.float32(1.0), np.array([1, 0], np.int32)) if fed else ()
        figures = (trainer.update_fed if fed else trainer.update)(*batch(), *more)
        found.append([*(float(figure) for figure in figures), *weights_of(model)])
    for one, other in zip(*found, strict=True):
        close(one, other)


# --- the log of a training


class Unseen:
    """A reporter that does nothing."""

    def step(self, progress, entry):
        pass

    def validation(self, progress, found, best):
        pass

    def note(self, text):
        pass


def looks(*found):
    """A validate function that gives these (BLEU, loss) one after another."""
    given = iter([Validation({"bleu": bleu}, loss, []) for bleu, loss in found])
    return lambda: next(given)


def logged(folder, kind="train"):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def test_the_logged_loss_is_nats_of_real_tokens_over_their_number(tmp_path):
    model = new_model()
    nats = by_hand()[0]
    # A step size of 0: the weights stay, so two batches are the corpus under one model.
    config = dataclasses.replace(PLAIN, learning_rate=0.0, batch_size=3, log_steps=2, max_epochs=1, label_smoothing=0.2)
    progress = train_model(RunFolder(tmp_path), model, EpochPairs((SRC, TGT)), config, looks((1.0, 1.0)), Unseen())
    (entry,) = logged(tmp_path)
    assert entry["loss"] == pytest.approx(nats / TOKENS, rel=1e-5)
    assert entry["tokens"] == progress.tokens == TOKENS


def test_the_logged_step_size_is_the_one_that_moved_the_weights_and_the_norm_that_of_its_gradient(tmp_path):
    config = dataclasses.replace(PLAIN, warmup_steps=4, schedule="inverse_sqrt", log_steps=1)
    old, gradients = weights_of(new_model()), by_hand()[1]
    for step, rate in enumerate((0.125, 0.25), 1):
        model = new_model()
        train_model(
            RunFolder(tmp_path),
            model,
            EpochPairs((SRC, TGT)),
            dataclasses.replace(config, max_steps=step),
            looks((0, step)),
            Unseen(),
        )
        entry = logged(tmp_path)[-1]
        assert (entry["step"], entry["learning_rate"]) == (step, pytest.approx(rate))
        assert entry["gradient_norm"] == pytest.approx(norm_of(gradients), rel=1e-4)
        for before, new, gradient in zip(old, weights_of(model), gradients, strict=True):
            close(new, before - rate * gradient)
        old, gradients = weights_of(model), mean_gradient(model) if step < 2 else []


def test_max_minutes_are_minutes_of_training(tmp_path, monkeypatch):
    # An update takes 20 seconds: the clock is read before and after it.
    clock = itertools.count(0, 20)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    config = dataclasses.replace(PLAIN, max_minutes=1.0, max_epochs=9, validate_steps=99)
    progress = train_model(
        RunFolder(tmp_path), new_model(cell="sru"), EpochPairs((SRC, TGT)), config, looks((0, 1.0)), Unseen()
    )
    assert progress.step == 3


# --- which weights are kept


@pytest.mark.parametrize(
    ("found", "best"),
    [
        ([(1, 3.0), (5, 2.0), (3, 1.0)], 2),
        ([(5, 2.0), (5, 1.0), (5, 1.5)], 2),
        ([(5, 1.0), (5, 1.0), (4, 0.5)], 1),
        ([(0, 3.0), (0, 2.0), (0, 1.0)], 3),
    ],
)
def test_best_has_the_weights_of_the_best_validation_and_last_those_of_the_last(tmp_path, found, best):
    model, seen = new_model(), []
    given = looks(*found)

    def validate():
        seen.append(arrays_of(by_path(model.weights)))
        return given()

    config = dataclasses.replace(PLAIN, max_epochs=3)
    progress = train_model(RunFolder(tmp_path), model, EpochPairs((SRC, TGT)), config, validate, Unseen())
    assert not any(np.array_equal(*pair) for pair in zip(seen[0].values(), seen[1].values(), strict=True))
    assert progress.best_step == best
    assert (progress.best_score, progress.best_loss) == found[best - 1]
    assert [entry["step"] for entry in logged(tmp_path, "dev") if entry["best"]][-1] == best
    for name, step in ((BEST, best), (LAST, 3)):
        arrays = RunFolder(tmp_path).load(name)[0]
        for path, values in seen[step - 1].items():
            np.testing.assert_array_equal(arrays[path], values)


# --- validation


@pytest.fixture(scope="module")
def translator():
    config = Config(decode=DecodeConfig(beam_size=4, copy_unknown=True, max_len_ratio=0.0, max_len_extra=6))
    model = new_model(seed=5, scale=1.2)
    return Translator(model, *WORDS, dataclasses.replace(config, model=model.config), 1.0)


SOURCES = ["a b c d e", "b", "e e a", "c d", "a a a a", "d c"]


def dev_of(translator, first):
    """A dev split whose second references are what greedy search gives, and the first ones `first`."""
    greedy = dataclasses.replace(translator.config.decode, beam_size=1, copy_unknown=False)
    hyps = [found[0].text for found in translator.translate(SOURCES, greedy)]
    return hyps, HeldOut(SOURCES, [[one, hyp] for one, hyp in zip(first, hyps, strict=True)])


FIRST = ["z", "x y z x", "y y", "z z z z z", "x", "y z"]


def test_dev_bleu_is_of_greedy_output_against_all_references(translator):
    hyps, dev = dev_of(translator, FIRST)
    assert len(set(hyps)) > 3
    assert hyps != translator(SOURCES)  # A beam gives something else.
    assert bleu(hyps, [[one] for one in FIRST], tokenize="13a") < 50
    assert Validator(translator, dev)().scores["bleu"] == pytest.approx(100)
    turned = HeldOut(dev.sources, [found[::-1] for found in dev.references])
    assert Validator(translator, turned)().scores["bleu"] == pytest.approx(100)


@pytest.mark.parametrize("select_by", ["bleu", "chrf"])
def test_dev_scores_of_words_are_of_greedy_output_by_hand(translator, select_by):
    train = dataclasses.replace(translator.config.train, select_by=select_by)
    other = Translator(translator.model, *WORDS, dataclasses.replace(translator.config, train=train), 1.0)
    hyps, _ = dev_of(other, FIRST)
    # One output is right; of each other one a character is another.
    refs = [[hyps[0]], *([f"q{hyp[1:]}"] for hyp in hyps[1:])]
    found = Validator(other, HeldOut(SOURCES, refs))().scores
    rate = 100 * (len(hyps) - 1) / sum(map(len, hyps))
    assert all(hyps)
    assert [found[key] for key in ("exact", "ser", "cer")] == pytest.approx([100 / len(hyps), rate, rate])
    assert "f1" not in found
    # chrF takes the longest.
    assert ("chrf" in found) is (select_by == "chrf")
    if select_by == "chrf":
        assert found["chrf"] == pytest.approx(CHRF().corpus_score(hyps, [[ref for (ref,) in refs]]).score)


def test_dev_f1_is_of_subwords_by_hand(translator):
    hyps, _ = dev_of(translator, FIRST)
    # All parts of an output are right, and one is missing.
    found = Validator(translator, HeldOut(SOURCES, [[f"{hyp} @@q"] for hyp in hyps]))().scores
    parts = len(" ".join(hyps).split())
    assert found["f1"] == pytest.approx(100 * 2 * parts / (2 * parts + len(hyps)))


def test_a_validation_has_the_task_of_the_dev_references(translator):
    for refs, task in ((FIRST, "sentences"), (["z"] * len(SOURCES), "words")):
        assert Validator(translator, HeldOut(SOURCES, [[ref] for ref in refs]))().task == task


def test_without_subwords_f1_cannot_select():
    config = Config(train=TrainConfig(select_by="f1"))
    _check_selection(config, SimpleNamespace(dev=HeldOut(["ab"], [["a @@b"]])))
    with pytest.raises(
        UserError, match=r"F1 of subwords, but the dev references have none, e\.g\. 'a b'; expected ' @@' "
    ):
        _check_selection(config, SimpleNamespace(dev=HeldOut(["ab"], [["a b"]])))


def test_dev_bleu_is_of_output_without_copies(translator):
    model = new_model(seed=5, scale=1.2)
    bias = next(weight for weight in model.weights if weight.path.endswith("output/bias"))
    bias.assign(bias.value + [0, 101, *[0] * (SIZES[1] - 2)])
    other = Translator(model, *WORDS, dataclasses.replace(translator.config, model=model.config), 1.0)
    hyps, dev = dev_of(other, FIRST)
    assert any("<unk>" in hyp for hyp in hyps)
    assert Validator(other, dev)().scores["bleu"] == pytest.approx(100)


def test_dev_loss_is_nats_for_each_real_token_of_the_first_references(translator):
    _, dev = dev_of(translator, FIRST)
    sources, targets = (
        [codec.to_ids(text) for text in texts] for codec, texts in zip(WORDS, (SOURCES, FIRST), strict=True)
    )
    assert len({len(ids) for ids in targets}) > 3
    nats = sum(nats_of(translator.model, sources, targets))
    assert Validator(translator, dev)().loss == pytest.approx(nats / sum(len(ids) + 1 for ids in targets), rel=1e-5)


@pytest.mark.parametrize("pretokenized", [False, True])
def test_dev_bleu_of_tokenized_data_is_of_its_own_tokens(translator, pretokenized):
    config = dataclasses.replace(translator.config, data=DataConfig(pretokenized=pretokenized))
    other = Translator(translator.model, *WORDS, config, 1.0)
    refs = [[f"{hyp} x.y"] for hyp in dev_of(other, FIRST)[0]]
    found = Validator(other, HeldOut(SOURCES, refs))().scores["bleu"]
    hyps = dev_of(other, FIRST)[0]
    kinds = {kind: bleu(hyps, refs, tokenize=kind) for kind in ("13a", "none")}
    assert kinds["13a"] != kinds["none"]
    assert found == pytest.approx(kinds["none" if pretokenized else "13a"])


def test_dev_bleu_does_not_depend_on_the_form_in_which_texts_are_written(translator):
    words = TextCodec(WordTokenizer(), Vocab(("é", "ñ", "ã")))
    made = [
        Translator(translator.model, WORDS[0], dataclasses.replace(words, written=form), translator.config, 1.0)
        for form in ("NFC", "NFD")
    ]
    composed, decomposed = (dev_of(one, FIRST)[0] for one in made)
    assert decomposed == [unicodedata.normalize("NFD", hyp) for hyp in composed] != composed
    dev = HeldOut(SOURCES, [[f"{hyp} x"] for hyp in composed])
    one, other = (Validator(found, dev)() for found in made)
    assert one.scores == other.scores
    assert one.scores["bleu"] > 0
    assert one.samples == other.samples


# --- evaluation


@pytest.fixture(scope="module")
def run(translator, tmp_path_factory):
    """A run whose best and last weights translate otherwise; the test split's second references are the best ones' output."""
    folder = tmp_path_factory.mktemp("run")
    run = RunFolder(folder)
    hyps = translator(SOURCES)
    held_out = HeldOut(SOURCES, [[one, hyp] for one, hyp in zip(FIRST, hyps, strict=True)])
    files = {
        "data.json": {"tgt_per_src": 1.0},
        "held_out.json": {part: dataclasses.asdict(held_out) for part in ("dev", "test")},
    }
    decode = dataclasses.replace(translator.config.decode, copy_unknown=False)
    run.begin(dataclasses.replace(translator.config, decode=decode), *WORDS, files)
    last = new_model(seed=4, scale=1.2)
    run.save(BEST, arrays_of(by_path(translator.model.weights)), {"step": 1})
    run.save(LAST, arrays_of(by_path(last.weights)), {"step": 2})
    last_hyps = Translator(last, *WORDS, run.config, 1.0)(SOURCES)
    return SimpleNamespace(run=run, hyps=translator(SOURCES), last=last_hyps)


def test_a_loaded_translator_has_the_best_weights(run):
    assert run.hyps != run.last
    assert Translator.load(run.run.folder)(SOURCES) == run.hyps
    assert Translator.load(run.run.folder, LAST)(SOURCES) == run.last


def test_an_evaluation_is_of_the_best_weights_with_the_runs_own_beam_and_all_references(run, translator):
    found = evaluate_run(run.run)
    assert (run.run.folder / "eval" / "test.hyp").read_text().splitlines() == run.hyps
    assert found["bleu"]["score"] == pytest.approx(100)
    assert found["beam_size"] == 4
    assert (found["sentences"], found["references"]) == (6, 12)
    sources, targets = (
        [codec.to_ids(text) for text in texts] for codec, texts in zip(WORDS, (SOURCES, FIRST), strict=True)
    )
    nats = sum(nats_of(translator.model, sources, targets))
    assert found["perplexity"] == pytest.approx(math.exp(nats / sum(len(ids) + 1 for ids in targets)), rel=1e-4)
    assert found["bits_per_char"] == pytest.approx(nats / math.log(2) / sum(map(len, FIRST)), rel=1e-4)
    assert (found["src_spelled_rate"], found["hyp_spelled_rate"]) == (None, None)
    assert "spelled in characters" not in str(found)


def test_an_evaluation_of_spelled_words_is_of_all_their_characters(tmp_path, monkeypatch):
    codecs = [
        TextCodec(WordTokenizer(), spelling_vocab([*counts, ("ro", 1)], 2))
        for counts in ([("a", 2), ("b", 3), ("ra", 2)], [("x", 2), ("yo", 2)])
    ]
    config = Config(
        data=DataConfig(rare_words="spell"),
        model=ModelConfig(embed_dim=4, hidden_size=4, bidirectional=False),
        decode=DecodeConfig(max_len_ratio=0.0, max_len_extra=3),
    )
    model = Seq2Seq(config.model, *(len(codec.vocab) for codec in codecs))
    sources, refs, hyps = ["a rob", "b zo a"], ["x oy, yo", "yo"], ["x oo", "yo 王"]
    held_out = HeldOut(sources, [[ref] for ref in refs])
    files = {
        "data.json": {"tgt_per_src": 1.0},
        "held_out.json": {part: dataclasses.asdict(held_out) for part in ("dev", "test")},
    }
    run = RunFolder(tmp_path / "run")
    run.begin(config, *codecs, files)
    run.save(BEST, arrays_of(by_path(model.weights)), {"step": 1})

    def translate(translator, texts, decode):
        return [[Hypothesis(text, 0.0, len(translator.tgt.to_ids(text)), 0)] for text in hyps[: len(texts)]]

    monkeypatch.setattr(Translator, "translate", translate)
    found = evaluate_run(run)
    ids = [[codec.to_ids(text) for text in texts] for codec, texts in zip(codecs, (sources, refs), strict=True)]
    # The mark is a token where training has no word with this first character. The comma is spelled too, with its joiner.
    assert [len(found) for found in ids[1]] == [1 + (1 + 2) + 2 + 1, 1]
    nats = sum(nats_of(model, *ids))
    assert found["perplexity"] == pytest.approx(math.exp(nats / (8 + 2)), rel=1e-4)
    assert found["bits_per_char"] == pytest.approx(nats / math.log(2) / len("x oy, yoyo"), rel=1e-4)
    assert (found["spelling_bits_per_char"], found["oov_rate"], found["unk_rate"]) == (0, 0, 0)
    assert (found["src_spelled_rate"], found["hyp_spelled_rate"]) == (2 / 5, 2 / 4)
    shown = str(found)
    assert re.search(r"^source words, spelled in characters +40\.00%$", shown, re.MULTILINE)
    assert re.search(r"^output words, spelled in characters +50\.00%$", shown, re.MULTILINE)


def test_the_weights_are_counted_once(translator):
    """What is trained is every weight of the model."""
    trainer = Trainer(new_model(), PLAIN)
    assert (
        len(trainer.weights)
        == len(trainer.model.weights)
        == len({id(w) for group in trainer.updater.groups for w in group})
    )
    assert all(isinstance(weight, keras.Variable) for weight in trainer.weights)
