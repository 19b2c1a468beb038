"""Layers around the recurrence: embeddings, products with a bias, the bridge from encoder to decoder, copying."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from wordseq.models.cells import State
from wordseq.models.losses import token_nats
from wordseq.models.matmul import fan_in_uniform, matmul
from wordseq.text.vocab import NOT_COPIED


class Bridge(keras.layers.Layer):
    """From the encoder's last states to the decoder's initial states.

    `copy` copies them layer by layer. A deeper decoder starts its upper layers from the encoder's top layer. A less deep
    decoder gets the encoder's upper layers, because they depend on all layers. `dense` computes tanh(s W + b), with its own
    weights for each layer and tensor. `zero` starts from zero.
    """

    def __init__(self, kind: str, layers: int, units: int, *, seed: int, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.kind, self.depth, self.units, self.seed = kind, layers, units, seed
        self.parts: list[Dense] = []

    def build(self, state_parts: int) -> None:
        """Make the weights of `dense` for states of `state_parts` tensors."""
        if self.kind == "dense":
            self.parts = [
                Dense(self.units, self.units, "float32", self.seed + 100 + k, f"part_{k}")
                for k in range(self.depth * state_parts)
            ]
            for part in self.parts:
                part.build(None)
        self.built = True

    def call(self, states: tuple[State, ...]) -> tuple[State, ...]:
        """The initial states of the decoder."""
        top, skipped = len(states) - 1, max(0, len(states) - self.depth)
        started: tuple[State, ...] = tuple(states[min(skipped + k, top)] for k in range(self.depth))
        if self.kind == "zero":
            return tf.nest.map_structure(tf.zeros_like, started)
        if self.kind == "dense":
            flat = [tf.tanh(dense(part)) for dense, part in zip(self.parts, tf.nest.flatten(started), strict=True)]
            return tf.nest.pack_sequence_as(started, flat)
        return started


class Dense(keras.layers.Layer):
    """x W + b in the given precision."""

    def __init__(self, inputs: int, units: int, precision: str, seed: int, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.shape = (inputs, units)
        self.precision, self.seed = precision, seed

    def build(self, _: Any) -> None:
        """Make W and b."""
        init = fan_in_uniform(self.seed)
        self.kernel = self.add_weight(name="kernel", shape=self.shape, initializer=init)
        self.bias = self.add_weight(name="bias", shape=self.shape[1:], initializer="zeros")
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The product `[..., units]`."""
        return matmul(inputs, self.kernel, self.precision) + self.bias


class OutputLayer(keras.layers.Layer):
    """The weights of the logits; without `inputs` only the bias, for a tied matrix."""

    def __init__(self, inputs: int | None, size: int, seed: int, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.inputs, self.size, self.seed = inputs, size, seed

    def build(self, _: Any) -> None:
        """Make the weights."""
        if self.inputs is not None:
            init = fan_in_uniform(self.seed)
            self.kernel = self.add_weight(name="kernel", shape=(self.inputs, self.size), initializer=init)
        self.bias = self.add_weight(name="bias", shape=(self.size,), initializer="zeros")
        self.built = True


class Copying(keras.layers.Layer):
    """A mixture of the vocabulary and the tokens of the source (See et al. 2017, equations 8 and 9; Gu et al. 2016).

        g = sigmoid(w . [a; x] + b)     from the attended vector (of decoder output and context) and the last token's embedding
        p(y) = (g + (1 - g) r) p_vocab(y) + (1 - g) * sum of the attention weights of the positions whose token is y

    r is the sum of the weights of positions that cannot be copied, such as features: their share goes to the vocabulary. So the
    mixture sums to 1 wherever attention looks.

    Args:
        copied_ids: for each source id the target id that is copied, or `NOT_COPIED`.
        inputs: size of [a; x].
        seed: of initialisation.
        name: of the layer.
    """

    def __init__(self, copied_ids: Sequence[int], inputs: int, seed: int, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.copied_ids = tuple(copied_ids)
        self.gate = Dense(inputs, 1, "float32", seed, "gate")

    def build(self, _: Any) -> None:
        """Make w and b."""
        self.gate.build(None)
        self.built = True

    def call(self, given_bti: tf.Tensor) -> tf.Tensor:
        """g, `[b, t, 1]`, of [a; x]."""
        # Bounded, so that neither g nor 1 - g is ever 0: the loss of a token that only one of them gives stays finite.
        return tf.sigmoid(tf.clip_by_value(self.gate(given_bti), -15.0, 15.0))

    def copied(self, src_ids_bs: tf.Tensor) -> tf.Tensor:
        """The target id that each source position gives; -1: none."""
        return tf.gather(tf.constant(self.copied_ids, tf.int32), src_ids_bs)

    def probabilities(
        self, vocab_btv: tf.Tensor, g_bt1: tf.Tensor, weights_bts: tf.Tensor, copied_bs: tf.Tensor
    ) -> tf.Tensor:
        """The mixture `[b, t, v]`.

        Args:
            vocab_btv: p_vocab.
            g_bt1: g.
            weights_bts: attention weights.
            copied_bs: see `copied`.
        """
        shape = tf.shape(vocab_btv)
        given_bts = tf.where(copied_bs[:, None] == NOT_COPIED, 0.0, weights_bts) * (1 - g_bt1)
        ids_bts = tf.broadcast_to(tf.maximum(copied_bs, 0)[:, None], tf.shape(given_bts))
        rows_bt1 = tf.reshape(tf.range(shape[0] * shape[1]), [shape[0], shape[1], 1])
        places_n1 = tf.reshape(rows_bt1 * shape[2] + ids_bts, [-1, 1])
        mixed_n = tf.reshape(vocab_btv * self._of_vocabulary(g_bt1, weights_bts, copied_bs), [-1])
        mixed_n = tf.tensor_scatter_nd_add(mixed_n, places_n1, tf.reshape(given_bts, [-1]))
        # Softmax is never 0 but for rounding, and a logarithm of it must have a gradient.
        return tf.reshape(tf.maximum(mixed_n, 1e-38), shape)

    def of_gold(
        self, gold_bt: tf.Tensor, g_bt1: tf.Tensor, weights_bts: tf.Tensor, copied_bs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """For `nats`: the vocabulary's share of the mixture, and the copied probability of the gold tokens, both `[b, t]`."""
        same_bts = copied_bs[:, None] == gold_bt[:, :, None]
        copied_bt = tf.reduce_sum(tf.where(same_bts, weights_bts, 0.0), -1) * (1 - g_bt1[:, :, 0])
        return self._of_vocabulary(g_bt1, weights_bts, copied_bs)[:, :, 0], copied_bt

    def nats(self, logits_nv: tf.Tensor, gold_n: tf.Tensor, share_n: tf.Tensor, copied_n: tf.Tensor) -> tf.Tensor:
        """-log p of gold tokens, without the other probabilities of the mixture.

        Args:
            logits_nv: of the vocabulary's softmax.
            gold_n: the tokens.
            share_n: the vocabulary's share.
            copied_n: the probability from copying; 0 where no position has the token.
        """
        some_n = copied_n > 0
        # The logarithm of 1 in place of 0: `where` would multiply an infinite gradient by 0.
        log_copied_n = tf.where(some_n, tf.math.log(tf.where(some_n, copied_n, 1.0)), -1e9)
        both_2n = tf.stack([tf.math.log(share_n) - token_nats(logits_nv, gold_n), log_copied_n])
        return -tf.reduce_logsumexp(both_2n, 0)

    def _of_vocabulary(self, g_bt1: tf.Tensor, weights_bts: tf.Tensor, copied_bs: tf.Tensor) -> tf.Tensor:
        rest_bts = tf.where(copied_bs[:, None] == NOT_COPIED, weights_bts, 0.0)
        return g_bt1 + (1 - g_bt1) * tf.reduce_sum(rest_bts, -1, keepdims=True)


class TokenDropout(keras.layers.Layer):
    """Dropout of embeddings in training: of all units of a token, and of single units.

        y = x * w / (1 - word_rate) * u / (1 - rate)

    w is 0 for a share `word_rate` of the tokens, else 1; u is 0 for a share `rate` of the units, else 1. Gal and Ghahramani
    (2016, section 4.2) drop a word wherever it is in a sentence. Here each token is drawn by itself, as by Sennrich and Zhang
    (2019).

    Args:
        word_rate: share of the tokens.
        rate: share of the units.
        word_seed: of w.
        seed: of u.
    """

    def __init__(self, word_rate: float, rate: float, word_seed: int, seed: int) -> None:
        super().__init__(dtype="float32")
        # No axis of its own for units: one draw for a token.
        shape = (None, None, 1)
        self.words = keras.layers.Dropout(word_rate, noise_shape=shape, seed=word_seed, dtype="float32")
        self.units = keras.layers.Dropout(rate, seed=seed, dtype="float32")

    def call(self, vectors_bte: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The embeddings `[b, t, e]` after dropout; unchanged outside training."""
        return self.units(self.words(vectors_bte, training=training), training=training)


class Embedding(keras.layers.Embedding):
    """Vectors of tokens, some of which may be frozen."""

    frozen_v: tf.Tensor | None = None
    """True for frozen tokens; None: no token is frozen."""

    def save_own_variables(self, store: Any) -> None:
        """See Keras; with the tokens that are kept from training."""
        super().save_own_variables(store)
        if self.frozen_v is not None:
            store["frozen"] = self.frozen_v.numpy()

    def load_own_variables(self, store: Any) -> None:
        """See Keras."""
        if "frozen" in store:
            self.frozen_v = tf.constant(store["frozen"])
            store = {key: store[key] for key in store.keys() if key != "frozen"}  # noqa: SIM118 (a store of HDF5)
        super().load_own_variables(store)

    def freeze(self, ids_n: Any) -> None:
        """Freeze the vectors of some tokens: their gradient is 0."""
        self.frozen_v = tf.scatter_nd(ids_n[:, None], tf.ones(len(ids_n), tf.int32), [self.input_dim]) > 0

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """Vectors `[..., e]` of tokens."""
        # Keras also allows negative ids, for four more operations.
        vectors = tf.gather(self.embeddings, ids)
        if self.frozen_v is None:
            return vectors
        return tf.where(tf.gather(self.frozen_v, ids)[..., None], tf.stop_gradient(vectors), vectors)


def embedding(size: int, dim: int, scale: float, seed: int, name: str) -> Embedding:
    """Vectors of tokens; initial entries have the standard deviation `scale`."""
    init = keras.initializers.RandomNormal(stddev=scale, seed=seed)
    return Embedding(size, dim, embeddings_initializer=init, name=name, dtype="float32")
