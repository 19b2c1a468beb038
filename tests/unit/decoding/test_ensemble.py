import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from wordseq.batches.id_store import IdStore
from wordseq.config.schema import Config, DecodeConfig, ModelConfig
from wordseq.decoding.ensemble import MEANS, Ensemble, mean_log_probability, mean_probability
from wordseq.decoding.translator import Sampling, Translator
from wordseq.models.seq2seq import Seq2Seq, SourceIds
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.vocab import TextCodec, Vocab

pytestmark = pytest.mark.usefixtures("uncompiled")

WORDS = [TextCodec(WordTokenizer(), Vocab(words)) for words in ("abcde", "vwxyz")]
TEXTS = ["a b c", "b", "a d"]
SMALL = DecodeConfig(max_len_ratio=1.0, max_len_extra=1)


@functools.cache
def model(seed, output_map="softmax", **settings):
    """A model with weights so large that its outputs differ from sentence to sentence."""
    small = {"bidirectional": False, "embed_dim": 6, "hidden_size": 8, "dropout": 0.0}
    config = ModelConfig(**{**small, **settings})
    sizes = [len(codec.vocab) for codec in WORDS]
    # The last word of the source is a feature for models with separate features.
    source = SourceIds(int(config.features == "separate"), tuple(range(sizes[0])) if config.copy else ())
    made = Seq2Seq(config, *sizes, output_map=output_map, source=source)
    rng = np.random.default_rng(seed)
    for weight in made.weights:
        weight.assign(rng.normal(size=weight.shape).astype(np.float32))
    return made


def translator(*models, mean="probabilities"):
    together = models[0] if len(models) == 1 else Ensemble(models, mean)
    return Translator(together, *WORDS, Config(decode=dataclasses.replace(SMALL, ensemble=mean)), 1.0)


def some_log_probs(number, sparse=False):
    rng = np.random.default_rng(number)
    found = [rng.dirichlet(np.full(7, 0.3), (2, 3)) for _ in range(number)]
    if sparse:
        # Of each distribution the largest is 0, and the token 5 of all.
        found = [np.where((p == p.max(-1, keepdims=True)) | (np.arange(7) == 5), 0, p) for p in found]
        found = [p / p.sum(-1, keepdims=True) for p in found]
    with np.errstate(divide="ignore"):
        return [tf.constant(np.log(p), tf.float32) for p in found]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("number", [2, 3, 5])
def test_means_equal_numpy(number, sparse):
    parts = some_log_probs(number, sparse)
    p = np.exp(np.stack(parts).astype(np.float64))
    close(np.exp(mean_probability(parts)), p.mean(0))
    # What one model forbids counts as e^-100; what all forbid stays forbidden.
    geometric = np.exp(np.where(p > 0, np.log(np.where(p > 0, p, 1)), -100).mean(0)) * (p > 0).any(0)
    close(np.exp(mean_log_probability(parts)), geometric / geometric.sum(-1, keepdims=True), 1e-5)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("number", [2, 3, 7])
def test_the_mean_of_equal_distributions_is_exactly_that_distribution(number, mean, sparse):
    (part, *_) = some_log_probs(2, sparse)
    np.testing.assert_array_equal(MEANS[mean]([tf.identity(part) for _ in range(number)]), part)


@pytest.mark.parametrize(
    ("kind", "mean"),
    [
        ({}, "probabilities"),
        ({"output_map": "entmax15"}, "log_probabilities"),
        pytest.param({}, "log_probabilities", marks=pytest.mark.slow),
        pytest.param({"output_map": "entmax15"}, "probabilities", marks=pytest.mark.slow),
        pytest.param({"attention": "none", "peek": True, "cell": "lstm"}, "log_probabilities", marks=pytest.mark.slow),
        pytest.param({"input_feeding": True}, "probabilities", marks=pytest.mark.slow),
        pytest.param({"copy": True}, "probabilities", marks=pytest.mark.slow),
        pytest.param({"copy": True}, "log_probabilities", marks=pytest.mark.slow),
        pytest.param({"features": "separate", "copy": True}, "probabilities", marks=pytest.mark.slow),
    ],
)
def test_an_ensemble_of_a_model_with_itself_gives_its_translations_and_scores_exactly(kind, mean):
    one, both = translator(model(1, **kind)), translator(*[model(1, **kind)] * 2, mean=mean)
    for beam, sampling in ((3, None), (1, Sampling(seed=5))):
        decode = dataclasses.replace(SMALL, beam_size=beam, ensemble=mean)
        found = both.translate(TEXTS, decode, nbest=beam, sampling=sampling)
        assert found == one.translate(TEXTS, decode, nbest=beam, sampling=sampling)
        assert len({tuple(hypotheses) for hypotheses in found}) > 2


@pytest.mark.parametrize("mean", MEANS)
def test_a_translation_has_the_score_of_its_forced_decoding_which_is_the_mean_of_the_models(mean):
    models = model(1, features="separate"), model(2, cell="lstm", attention="none", peek=True), model(3, copy=True)
    together = translator(*models, mean=mean)
    decode = dataclasses.replace(SMALL, beam_size=4, length_penalty=0.0, ensemble=mean)
    found = [hypotheses[0] for hypotheses in together.translate(TEXTS, decode)]
    src, tgt = (
        IdStore.of([WORDS[0].to_ids(text) for text in TEXTS]),
        IdStore.of([WORDS[1].to_ids(found.text) for found in found]),
    )
    # At the limit of the length a sentence must end, at any cost.
    complete = [k for k, hypothesis in enumerate(found) if not hypothesis.unknown]
    close(-together.scorer.nats(src, tgt)[complete], np.float32([found[k].score for k in complete]), 1e-5)
    assert {found.text for found in found} - {found[0].text for found in translator(models[0]).translate(TEXTS, decode)}


def test_the_first_token_is_chosen_by_the_mean_of_the_probabilities():
    models = model(1), model(2)
    ids = tf.constant([[4, 5, 3]])
    each = []
    for one in (*models, Ensemble(models, "probabilities")):
        memory, states = one.encode(ids)
        states = tf.nest.map_structure(lambda part: part[:, None], states)
        each.append(np.exp(one.decoder_step(tf.constant([[2]]), memory, states)[0]))
    close(each[2], (each[0] + each[1]) / 2)
    assert np.abs(each[0] - each[1]).max() > 0.1


def test_attention_weights_are_the_mean_of_those_of_the_models_that_have_attention():
    src, tgt = IdStore.of([[4, 5, 6]]), IdStore.of([[5, 4]])
    first, second, without = model(1), model(2), model(3, attention="none")
    one, other, both = (
        translator(*models).scorer.alignments(src, tgt)[0] for models in ((first,), (second,), (first, without, second))
    )
    close(both, (one + other) / 2)
    assert Ensemble([without, without], "probabilities").attention is None


def test_a_translator_searches_with_the_mean_that_each_call_asks_for():
    models = [model(1), model(2)]
    once = translator(*models)

    def scores(asked, mean):
        return [found[0].score for found in asked.translate(TEXTS, dataclasses.replace(SMALL, ensemble=mean))]

    first, second = MEANS
    assert scores(once, first) != scores(once, second)
    for mean in MEANS:
        assert scores(once, mean) == scores(translator(*models, mean=mean), mean)
