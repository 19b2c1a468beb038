"""Dropout of tokens, against NumPy. Other layers are tested with the models that they are in."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from tests.unit.models.test_cells import randomise
from wordseq.batches.batching import pad
from wordseq.config.schema import ModelConfig
from wordseq.models.build import make_model
from wordseq.models.layers import TokenDropout

RATE = 0.4
PLAIN = ModelConfig(embed_dim=6, hidden_size=8, dropout=0.0)
SRC, TGT = [[4, 5, 6, 7, 8], [8, 4]], [[4, 5, 6, 7], [5, 6, 7]]


def reference(vectors_bte, kept_bt):
    """Word dropout in NumPy: the embeddings of the kept tokens, divided by their expected share; 0 for the others."""
    return np.where(kept_bt[:, :, None], vectors_bte / np.float32(1 - RATE), np.float32(0))


def test_word_dropout_is_that_of_the_numpy_reference():
    vectors_bte = np.random.default_rng(1).normal(size=(20, 50, 6)).astype(np.float32)
    layer = TokenDropout(RATE, 0.0, 1, 2)
    dropped_bte = layer(vectors_bte, training=True).numpy()
    kept_bt = (dropped_bte != 0).any(-1)
    # A thousand tokens: the share is within five standard deviations.
    assert kept_bt.mean() == pytest.approx(1 - RATE, abs=5 * (RATE * (1 - RATE) / kept_bt.size) ** 0.5)
    close(dropped_bte, reference(vectors_bte, kept_bt))
    assert (kept_bt != (layer(vectors_bte, training=True).numpy() != 0).any(-1)).any(), "the draw never changes"
    np.testing.assert_array_equal(layer(vectors_bte), vectors_bte)


def test_units_are_dropped_of_the_tokens_that_are_kept():
    dropped_bte = TokenDropout(0.5, 0.2, 1, 2)(np.ones((20, 50, 10), np.float32), training=True).numpy()
    kept_bt = dropped_bte.any(-1)
    assert 0.4 < kept_bt.mean() < 0.6
    assert 0.75 < (dropped_bte[kept_bt] != 0).mean() < 0.85
    close(dropped_bte[dropped_bte != 0], 1 / (0.5 * 0.8))


@pytest.mark.parametrize("settings", [{"word_dropout": 0.5}, {"embed_dropout": 0.5}], ids=str)
def test_source_and_target_are_dropped_apart(settings):
    model, ones_bte = _model(**settings), np.ones((20, 50, 6), np.float32)
    src, tgt = (layer(ones_bte, training=True).numpy() != 0 for layer in (model.drop_src, model.drop_tgt))
    assert 0.4 < (src == tgt).mean() < 0.6


@pytest.mark.parametrize(
    "settings",
    [
        {"attention": "general"},
        {"attention": "dot", "input_feeding": True},
        {"kind": "repeat_vector", "attention": "none"},
        {"kind": "same_length", "attention": "none"},
    ],
)
def test_a_model_drops_source_tokens_and_decoder_inputs(settings, monkeypatch):
    """Its logits are those of the model without dropout, given the embeddings that NumPy drops."""
    model, plain = (_model(word_dropout=rate, **settings) for rate in (RATE, 0.0))
    kept = []
    for layer, other in ((model.drop_src, plain.drop_src), (model.drop_tgt, plain.drop_tgt)):
        drop = layer.call

        def watched(vectors_bte, training=False, drop=drop):
            dropped_bte = drop(vectors_bte, training=training)
            kept.append((dropped_bte.numpy() != 0).any(-1))
            return dropped_bte

        def dropped(vectors_bte, training=False):
            return tf.constant(reference(vectors_bte.numpy(), kept.pop(0)))

        monkeypatch.setattr(layer, "call", watched)
        monkeypatch.setattr(other, "call", dropped)
    ids = tf.constant(pad(SRC)), tf.constant(pad(TGT, bos=True))
    logits_btv = model(ids, training=True)
    assert len(kept) == 1 + (model.config.kind == "encoder_decoder")
    assert not all(mask.all() for mask in kept)
    close(plain(ids, training=True), logits_btv)
    assert kept == []


def _model(**settings):
    model = make_model(dataclasses.replace(PLAIN, **settings), 9, 9)
    randomise(model, 1)
    return model


def test_a_dropped_token_has_no_gradient():
    model = _model(word_dropout=0.5)
    ids = tf.constant(pad([[4, 5, 6, 7]]))
    with tf.GradientTape() as tape:
        vectors_bte = model.drop_src(model.src_embed(ids), training=True)
        total = tf.reduce_sum(vectors_bte)
    gradient = tf.convert_to_tensor(tape.gradient(total, model.src_embed.embeddings.value)).numpy()
    # Each token is in the source once; the last is the end.
    close(gradient[ids[0]], np.where(vectors_bte[0].numpy().any(-1, keepdims=True), 2.0, 0.0) * np.ones(6))
