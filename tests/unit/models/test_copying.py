import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from tests.reference.sparse import softmax
from tests.unit.models.test_seq2seq import COPIED, SMALL, SRC, SRC_SIZE, TGT, TGT_SIZE, _ids, make_model
from wordseq.batches.batching import mask
from wordseq.config.schema import Config, ModelConfig
from wordseq.models.build import model_for
from wordseq.models.layers import Copying
from wordseq.models.seq2seq import Seq2Seq, SourceIds
from wordseq.system.errors import UserError
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.vocab import (
    BOS_ID,
    EOS_ID,
    NOT_COPIED,
    PAD_ID,
    SPECIALS,
    UNK_ID,
    TextCodec,
    Vocab,
    copied_ids,
    spelling_vocab,
)

NONE = NOT_COPIED
B, T, S, V = 3, 4, 5, 9
COPIED_BS = np.array([[5, 5, 7, UNK_ID, EOS_ID], [4, NONE, NONE, EOS_ID, NONE], [UNK_ID, 8, UNK_ID, 8, EOS_ID]])
"""Target ids of source positions; the second sentence has features, which are not copied, and padding."""


def _draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape)


def _attention() -> np.ndarray:
    scores = 2 * _draw(B, T, S)
    scores[1, :, 4] = -np.inf
    return softmax(scores)


LOGITS, GATES, WEIGHTS = 2 * _draw(B, T, V), _draw(B, T, 1), _attention()
GOLD_BT = np.array([[5, 7, UNK_ID, EOS_ID], [4, 6, EOS_ID, 8], [8, UNK_ID, 4, EOS_ID]])


COPIED_IDS, GOLD_IDS = (tf.constant(ids, tf.int32) for ids in (COPIED_BS, GOLD_BT))


def _mixture(logits: np.ndarray, gates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """See et al. 2017, equation 9, position by position; what cannot be copied is the vocabulary's."""
    g, vocabulary = 1 / (1 + np.exp(-gates)), softmax(logits)
    p = np.zeros_like(vocabulary)
    for b, t in np.ndindex(p.shape[:2]):
        share = g[b, t, 0]
        for s, copied in enumerate(COPIED_BS[b]):
            if copied == NONE:
                share += (1 - g[b, t, 0]) * weights[b, t, s]
            else:
                p[b, t, copied] += (1 - g[b, t, 0]) * weights[b, t, s]
        p[b, t] += share * vocabulary[b, t]
    return p


def _nats(logits: np.ndarray, gates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return -np.log(np.take_along_axis(_mixture(logits, gates, weights), GOLD_BT[:, :, None], 2))[:, :, 0]


@pytest.fixture(scope="module")
def layer() -> Copying:
    return Copying([NONE, UNK_ID, NONE, EOS_ID], 3, 1, "copying")


def _of_layer(layer: Copying, logits, gates, weights) -> tf.Tensor:
    share_bt, copied_bt = layer.of_gold(GOLD_IDS, tf.sigmoid(gates), weights, COPIED_IDS)
    flat = (tf.reshape(part, [-1]) for part in (GOLD_IDS, share_bt, copied_bt))
    return tf.reshape(layer.nats(tf.reshape(logits, [-1, V]), *flat), [B, T])


def test_the_mixture_equals_the_formula_and_sums_to_one(layer):
    logits, gates, weights = (tf.constant(array, tf.float32) for array in (LOGITS, GATES, WEIGHTS))
    p_btv = layer.probabilities(tf.nn.softmax(logits), tf.sigmoid(gates), weights, COPIED_IDS)
    close(p_btv, _mixture(LOGITS, GATES, WEIGHTS))
    close(np.sum(p_btv, -1), 1, 2e-6)
    close(_of_layer(layer, logits, gates, weights), _nats(LOGITS, GATES, WEIGHTS))


def test_gradients_of_the_nats_equal_differences(layer):
    arrays = [LOGITS, GATES, WEIGHTS]
    tensors = [tf.constant(array, tf.float32) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        nats = tf.reduce_sum(_of_layer(layer, *tensors))
    for k, gradient in enumerate(tape.gradient(nats, tensors)):
        expected, step = np.zeros(arrays[k].shape), 1e-6
        for place in np.ndindex(expected.shape):
            totals = []
            for sign in (1, -1):
                moved = [array.copy() for array in arrays]
                moved[k][place] += sign * step
                totals.append(_nats(*moved).sum())
            expected[place] = (totals[0] - totals[1]) / (2 * step)
        assert np.isfinite(gradient).all()
        close(gradient, expected, 1e-4)


def test_a_sure_gate_leaves_finite_losses(layer):
    layer.build(None)
    for bias in (1e3, -1e3):
        layer.gate.bias.assign([bias])
        g_bt1 = layer(tf.zeros([B, T, 3]))
        assert 0 < float(tf.reduce_min(g_bt1)) <= float(tf.reduce_max(g_bt1)) < 1
        logits = tf.constant(LOGITS, tf.float32)
        given = g_bt1, tf.constant(WEIGHTS, tf.float32), COPIED_IDS
        assert np.isfinite(np.log(layer.probabilities(tf.nn.softmax(logits), *given))).all()


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_the_loss_is_of_the_mixture_and_label_smoothing_of_the_vocabulary(share):
    model = make_model(copy=True)
    memory, states = model.encode(_ids(SRC))
    tgt_ids_bt = _ids(TGT, bos=True)
    decoded, gold_bt = model.decode(tgt_ids_bt[:, :-1], memory, states), tgt_ids_bt[:, 1:]
    real_bt = mask(gold_bt).numpy()
    expected_bt = -np.take_along_axis(model.log_probs(decoded, memory).numpy(), gold_bt.numpy()[:, :, None], 2)[:, :, 0]
    for found_bt in (model.nats(decoded, memory, gold_bt), model.token_losses(decoded, memory, gold_bt)):
        close(found_bt, np.where(real_bt, expected_bt, 0.0))
    uniform_bt = -np.log(softmax(np.float64(model.logits(decoded.hidden_bth)))).mean(-1)
    loss, plain, tokens = model.training_loss(decoded, memory, gold_bt, share)
    assert float(plain) == pytest.approx(expected_bt[real_bt].sum(), rel=1e-5)
    assert float(loss) == pytest.approx(
        (1 - share) * expected_bt[real_bt].sum() + share * uniform_bt[real_bt].sum(), rel=1e-5
    )
    assert int(tokens) == real_bt.sum()


def test_every_weight_is_trained():
    model = make_model(copy=True, cell="lstm")
    with tf.GradientTape() as tape:
        memory, states = model.encode(_ids(SRC))
        decoded = model.decode(_ids(TGT, bos=True)[:, :-1], memory, states)
        loss, _, _ = model.training_loss(decoded, memory, _ids(TGT, bos=True)[:, 1:])
    for weight, gradient in zip(
        model.trainable_variables,
        tape.gradient(loss, [weight.value for weight in model.trainable_variables]),
        strict=True,
    ):
        assert np.any(tf.convert_to_tensor(gradient)), weight.path


def test_what_is_copied_is_what_is_written_alike():
    src = TextCodec(WordTokenizer(), Vocab(["b", "Zork", "a", "\ta", "\tb"]))
    tgt = TextCodec(WordTokenizer(), Vocab(["a", "x", "b"]))
    assert copied_ids(src, tgt) == (NONE, UNK_ID, NONE, EOS_ID, 6, NONE, 4, NONE, NONE)
    model = model_for(Config(model=ModelConfig(embed_dim=4, hidden_size=6, copy=True)), src, tgt, precision="float32")
    np.testing.assert_array_equal(
        model.encode(tf.constant([[4, 5, 6, UNK_ID, EOS_ID, PAD_ID]]))[0].copied[0],
        [[6, NONE, 4, UNK_ID, EOS_ID, NONE]],
    )
    assert model_for(Config(), src, tgt, precision="float32").source == SourceIds(2)


def test_characters_of_spelled_words_are_copied_where_the_target_spells_too():
    src, tgt = spelling_vocab([("ab", 2), ("Zo", 2), ("b", 2)], 2), spelling_vocab([("ab", 2), ("Za", 2)], 2)
    pairs = dict(enumerate(copied_ids(*(TextCodec(WordTokenizer(), vocab) for vocab in (src, tgt)))))
    names = dict(enumerate([*SPECIALS, *src.tokens]))
    given = {names[one]: [*SPECIALS, *tgt.tokens][other] for one, other in pairs.items() if other != NONE}
    same = {"  ", "  a", "  Z", "  ￭", " a", " b", " Z", " ￭", *(f" <0x{byte:02X}>" for byte in range(256))}
    assert given == {name: name for name in {"<unk>", "</s>", "ab", *same}}
    # A symbol that looks like a character is none.
    symbols = TextCodec(WordTokenizer("|", "symbols"), Vocab([" a", "ab"]))
    copied = copied_ids(TextCodec(WordTokenizer(), src), symbols)
    assert {names[one]: other for one, other in enumerate(copied) if other != NONE} == {"<unk>": 1, "</s>": 3, "ab": 5}


def test_copied_ids_are_one_for_each_source_id():
    assert len(COPIED) == SRC_SIZE
    assert max(COPIED) < TGT_SIZE
    assert not {PAD_ID, BOS_ID} & set(COPIED)
    with pytest.raises(ValueError, match=r"model\.copy needs 11 copied ids, one for each source id, got 3"):
        Seq2Seq(dataclasses.replace(SMALL, copy=True), SRC_SIZE, TGT_SIZE, source=SourceIds(0, (4, 5, 6)))


def test_separate_features_need_features_in_the_data():
    codec = TextCodec(WordTokenizer(), Vocab(["a"]))
    config = Config(model=ModelConfig(embed_dim=4, hidden_size=6, features="separate"))
    with pytest.raises(UserError, match=r"model\.features = 'separate', but the sources have no features"):
        model_for(config, codec, codec, precision="float32")
    with_features = TextCodec(WordTokenizer(), Vocab(["a", "\tPST"]))
    assert model_for(config, with_features, codec, precision="float32").feature_reader.first == 5
