"""Seq2Seq and SameLength as Keras models: saved, loaded, cloned, checkpointed, exported, pickled."""

import copy
import dataclasses
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from wordseq.model import ModelConfig, SameLength, Seq2Seq, SourceIds, make_model

pytestmark = [
    pytest.mark.usefixtures("uncompiled"),
    pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`:UserWarning"),
]
SMALL = ModelConfig(embed_dim=4, hidden_size=6, dropout=0.0, bidirectional=False)
KINDS = {
    "gru, general": SMALL,
    "deep lstm, fed": dataclasses.replace(
        SMALL, cell="lstm", bidirectional=True, decoder_layers=2, input_feeding=True, peek=True
    ),
    "tied, dense, sparse": dataclasses.replace(
        SMALL, embed_dim=6, tie_embeddings=True, bridge="dense", dropout=0.3, attention_map="sparsemax"
    ),
    "shared": dataclasses.replace(SMALL, embed_dim=6, tie_embeddings=True, share_embeddings=True),
    "features, copying": dataclasses.replace(SMALL, features="separate", copy=True),
    "repeated": dataclasses.replace(SMALL, kind="repeat_vector", attention="none"),
    "same length": dataclasses.replace(SMALL, kind="same_length", attention="none"),
}
RNG = np.random.default_rng(4)
SRC, TGT = (RNG.integers(4, size, (2, 3)).astype(np.int32) for size in (12, 11))


@pytest.fixture(params=KINDS, scope="module")
def model(request):
    """No test may change it."""
    return filled(request.param)


def small(config, seed=1):
    # Shared embeddings have the rows of the features beside those of the target.
    size = 13 if config.share_embeddings else 12
    return make_model(config, size, 11, source=SourceIds(2, (-1, 1, -1, 3, *range(4, 11), 1)), seed=seed)


def filled(kind):
    made = small(KINDS[kind], 3)
    for weight in made.weights:
        weight.assign(RNG.normal(size=weight.shape))
    return made


def assert_same(found, model):
    assert type(found) is type(model)
    assert [weight.path for weight in found.weights] == [weight.path for weight in model.weights]
    close(found((SRC, TGT)), model((SRC, TGT)))


def test_a_saved_model_is_loaded_with_its_weights_and_optimizer_and_goes_on(tmp_path):
    model = filled("gru, general")
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = ((SRC, TGT[:, :-1]), TGT[:, 1:])
    model.fit(*data, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    found = keras.models.load_model(tmp_path / "model.keras")
    assert_same(found, model)
    for ours, theirs in zip(found.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.value, theirs.value)
    assert found.fit(*data, verbose=0).history["loss"] == pytest.approx(model.fit(*data, verbose=0).history["loss"])


def test_callbacks_of_keras_checkpoint_it(tmp_path):
    model = filled("same length")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "whole.keras"),
        keras.callbacks.ModelCheckpoint(tmp_path / "some.weights.h5", save_weights_only=True),
    ]
    model.fit((SRC, TGT[:, :-1]), TGT[:, 1:], verbose=0, callbacks=callbacks)
    assert_same(keras.models.load_model(tmp_path / "whole.keras"), model)
    fresh = small(model.config, 9)
    fresh.load_weights(tmp_path / "some.weights.h5")
    assert_same(fresh, model)


def test_every_kind_is_saved_and_loaded(model, tmp_path):
    model.save(tmp_path / "model.keras")
    assert_same(keras.models.load_model(tmp_path / "model.keras"), model)


# Keras clones by the arguments of the constructor, which `test_every_kind_is_saved_and_loaded` has of every kind.
@pytest.mark.parametrize("model", ["tied, dense, sparse", "same length"], indirect=True)
def test_a_clone_has_new_weights_that_depend_on_the_seed_alone(model):
    clone, same = keras.models.clone_model(model), small(model.config, 3)
    assert_same(clone, same)
    assert clone.get_config() == model.get_config()


@pytest.mark.parametrize(
    "model",
    # Keras pickles a model by saving it, which fast tests do with every kind.
    [kind if kind == "tied, dense, sparse" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
    indirect=True,
)
def test_it_is_pickled_and_copied(model):
    assert_same(pickle.loads(pickle.dumps(model)), model)
    assert_same(copy.deepcopy(model), model)


@pytest.mark.parametrize(
    "kind", ["gru, general", *(pytest.param(kind, marks=pytest.mark.slow) for kind in [*KINDS][1:])]
)
def test_an_exported_model_gives_the_same_logits(kind, tmp_path):
    model = small(KINDS[kind])
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    close(loaded.serve((tf.constant(SRC), tf.constant(TGT))), model((SRC, TGT)))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model((SRC, TGT)) ** 2)
    assert all(gradient is not None for gradient in tape.gradient(total, [weight.value for weight in model.weights]))


def test_settings_that_are_not_defaults_are_kept():
    given = {"source": SourceIds(3, tuple(range(12))), "output_map": "entmax15", "precision": "bfloat16"}
    model = Seq2Seq(SMALL, 12, 11, **given, seed=7, name="mine")
    model.trainable = False
    found = Seq2Seq.from_config(model.get_config())
    assert (found.config, found.src_size, found.tgt_size) == (SMALL, 12, 11)
    assert (found.precision, found.seed, found.name, found.trainable) == ("bfloat16", 7, "mine", False)
    assert (found.source, found.output_map) == (given["source"], "entmax15")
    assert found.weights[0].path.startswith("mine/")
    close(found.weights[0], model.weights[0])
    assert type(SameLength.from_config(make_model(KINDS["same length"], 12, 11).get_config())) is SameLength


def test_tokens_kept_from_training_stay_so_when_it_is_loaded(tmp_path):
    model = Seq2Seq(SMALL, 12, 11)
    model.set_vectors("src", np.array([5, 7]), np.ones((2, 4), np.float32), freeze=True)
    model.save(tmp_path / "model.keras")
    found = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(found.src_embed.frozen_v, model.src_embed.frozen_v)
    assert [weight.path for weight in found.frozen_weights] == ["seq2seq/src_embed/embeddings"]
