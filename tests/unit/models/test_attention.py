import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from tests.reference.sparse import MAPS
from tests.unit.models.test_cells import randomise
from wordseq.config.schema import ModelConfig
from wordseq.models.attention import ATTENTIONS, make_attention

UNITS = 6
LENGTHS = [5, 1, 3]
MASK_BS = np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]


def _dot(q, m, weights):
    return q @ m


def _general(q, m, weights):
    return q @ (m @ (np.eye(UNITS) + weights["offset"] / np.sqrt(UNITS)))


def _additive(q, m, weights):
    return (np.tanh(q @ weights["query_kernel"] + m @ weights["memory_kernel"]) @ weights["vector"]).item()


SCORES = {"dot": _dot, "general": _general, "additive": _additive}
"""The score of one query and one memory vector, from the papers."""


def _draw(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng([seed, *shape]).normal(size=shape), tf.float32)


def _attention(name: str, precision: str = "float32", **settings):
    attention = make_attention(name, UNITS, precision, **settings)
    attention.build(None)
    randomise(attention)
    return attention


def test_every_attention_has_a_reference_and_can_be_chosen():
    assert set(ATTENTIONS) == {"none", *SCORES}
    assert set(ATTENTIONS) == set(ModelConfig.__dataclass_fields__["attention"].metadata["choices"])


def test_unknown_attention_is_an_error_that_lists_the_names():
    with pytest.raises(ValueError, match="unknown attention 'luong'; choose from additive, dot, general, none"):
        make_attention("luong", 8)


def test_none_is_no_attention():
    assert make_attention("none", 8) is None


@pytest.mark.parametrize(
    ("name", "weights_map"),
    [*((name, "softmax") for name in SCORES), ("general", "sparsemax"), ("additive", "entmax15")],
)
def test_weights_and_contexts_equal_the_formula(name, weights_map):
    attention = _attention(name, weights_map=weights_map)
    query_bth, memory_bsh = _draw(3, 4, UNITS, seed=1), _draw(3, max(LENGTHS), UNITS, seed=2)
    context_bth, weights_bts = attention(query_bth, attention.keys(memory_bsh), memory_bsh, tf.constant(MASK_BS))
    weights = {v.name: np.float64(v.numpy()) for v in attention.weights}
    for b, length in enumerate(LENGTHS):
        real_sh = np.float64(memory_bsh[b, :length])
        for t in range(4):
            expected = MAPS[weights_map](
                np.array([SCORES[name](np.float64(query_bth[b, t]), m, weights) for m in real_sh])
            )
            close(weights_bts[b, t, :length], expected)
            np.testing.assert_array_equal(weights_bts[b, t, length:], 0)
            close(context_bth[b, t], expected @ real_sh)


def test_general_starts_out_as_dot():
    general, dot = (make_attention(name, UNITS) for name in ("general", "dot"))
    general.build(None)
    query_bth, memory_bsh = _draw(3, 4, UNITS, seed=1), _draw(3, max(LENGTHS), UNITS, seed=2)
    found = [kind(query_bth, kind.keys(memory_bsh), memory_bsh, tf.constant(MASK_BS)) for kind in (general, dot)]
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", SCORES)
def test_padded_memory_has_no_effect_and_no_gradient(name):
    attention = _attention(name)
    query_bth, memory_bsh = _draw(3, 2, UNITS, seed=1), _draw(3, max(LENGTHS), UNITS, seed=2)
    other_bsh = tf.where(MASK_BS[:, :, None], memory_bsh, 50.0)
    found = []
    for memory in (memory_bsh, other_bsh):
        with tf.GradientTape() as tape:
            tape.watch([memory, query_bth])
            context_bth, _ = attention(query_bth, attention.keys(memory), memory, tf.constant(MASK_BS))
            loss = tf.reduce_sum(context_bth**2)
        d_memory, d_query = tape.gradient(loss, [memory, query_bth])
        assert not d_memory.numpy()[~MASK_BS].any()
        found.append((context_bth, d_query))
    for a, b in zip(*found, strict=True):
        close(a, b, 2e-6)


@pytest.mark.parametrize("name", SCORES)
def test_a_sentence_of_padding_only_gives_numbers(name):
    attention = _attention(name)
    memory_bsh = _draw(1, 3, UNITS)
    context_bth, weights_bts = attention(
        _draw(1, 2, UNITS), attention.keys(memory_bsh), memory_bsh, tf.zeros([1, 3], tf.bool)
    )
    assert np.isfinite(context_bth).all()
    assert np.isfinite(weights_bts).all()


@pytest.mark.parametrize("name", SCORES)
def test_bfloat16_weights_still_sum_to_one(name):
    query_bth, memory_bsh = _draw(3, 4, UNITS, seed=1), _draw(3, max(LENGTHS), UNITS, seed=2)
    found = []
    for precision in ("float32", "bfloat16"):
        attention = _attention(name, precision)
        found.append(attention(query_bth, attention.keys(memory_bsh), memory_bsh, tf.constant(MASK_BS)))
    for context_bth, weights_bts in found:
        assert context_bth.dtype.name == weights_bts.dtype.name == "float32"
        close(np.sum(weights_bts, -1), 1, 2e-6)
    assert 0 < np.abs(found[0][1] - found[1][1]).max() < 0.2
