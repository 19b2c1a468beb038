"""Attention: which source positions the decoder reads at each step.

    score(q, m)   dot: q . m      general: q . (m W)     (Luong et al. 2015, equation 8)
                  additive: v . tanh(q W_q + m W_m)      (Bahdanau et al. 2015, appendix A.1.2)
    weights = softmax or a sparse map (sparse.py) over real source positions; context = sum of weights * m

The keys are the part of the score that depends on the memory alone. They are computed once per sentence.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras
import tensorflow as tf

from wordseq.models.layers import Dense
from wordseq.models.matmul import fan_in_uniform, matmul
from wordseq.models.sparse import map_named


class DotAttention(keras.layers.Layer):
    """Luong's dot score; the base of the other kinds, which override `keys` and `scores`."""

    def __init__(
        self, units: int, precision: str = "float32", seed: int = 0, *, weights_map: str = "softmax", **kwargs: Any
    ) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.to_weights = map_named(weights_map)
        self.units = units
        self.precision = precision
        self.seed = seed

    def keys(self, memory_bsh: tf.Tensor) -> tf.Tensor:
        """The memory as `scores` needs it."""
        return memory_bsh

    def scores(self, query_bth: tf.Tensor, keys_bsh: tf.Tensor) -> tf.Tensor:
        """Scores `[b, t, s]` before masking."""
        return matmul(query_bth, keys_bsh, self.precision, transpose_b=True)

    def call(
        self, query_bth: tf.Tensor, keys_bsh: tf.Tensor, memory_bsh: tf.Tensor, mask_bs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Context vectors `[b, t, h]` and weights `[b, t, s]`.

        Args:
            query_bth: decoder outputs; t are the steps of a sentence, or its hypotheses at one step.
            keys_bsh: `keys(memory_bsh)`.
            memory_bsh: encoder outputs.
            mask_bs: true at real source positions; padding gets weight 0.
        """
        weights_bts = self.to_weights(self.scores(query_bth, keys_bsh), mask_bs[:, None])
        return matmul(weights_bts, memory_bsh, self.precision), weights_bts

    def _square(self, name: str, offset: int) -> tf.Variable:
        init = fan_in_uniform(self.seed + offset)
        return self.add_weight(name=name, shape=(self.units, self.units), initializer=init)


class GeneralAttention(DotAttention):
    """Luong's general score, with W = I + V / sqrt(units). V is trained and starts at 0.

    So it starts as `dot`, which soon finds the alignment, and departs from it slowly. With a random first W, BLEU after five
    epochs was 24.3 instead of 29.0 (docs/results/speed.md).
    """

    def build(self, *_: Any) -> None:
        """Make V."""
        self.offset = self.add_weight(name="offset", shape=(self.units, self.units), initializer="zeros")

    def keys(self, memory_bsh: tf.Tensor) -> tf.Tensor:
        """See `DotAttention.keys`."""
        # Adam's first steps have the same size in every entry of V: without the factor, their sum would soon outweigh I.
        return memory_bsh + matmul(memory_bsh, self.offset, self.precision) * self.units**-0.5


class AdditiveAttention(DotAttention):
    """Bahdanau's score by a feed-forward network. Training holds a tensor `[b, t, s, h]` in memory."""

    def build(self, *_: Any) -> None:
        """Make the matrices W_q and W_m, and the vector v."""
        self.query_kernel = self._square("query_kernel", 0)
        self.memory_kernel = self._square("memory_kernel", 1)
        init = fan_in_uniform(self.seed + 2)
        self.vector = self.add_weight(name="vector", shape=(self.units, 1), initializer=init)

    def keys(self, memory_bsh: tf.Tensor) -> tf.Tensor:
        """See `DotAttention.keys`."""
        return matmul(memory_bsh, self.memory_kernel, self.precision)

    def scores(self, query_bth: tf.Tensor, keys_bsh: tf.Tensor) -> tf.Tensor:
        """See `DotAttention.scores`."""
        query_bth = matmul(query_bth, self.query_kernel, self.precision)
        both_btsh = tf.tanh(query_bth[:, :, None] + keys_bsh[:, None])
        return tf.squeeze(matmul(both_btsh, self.vector, self.precision), -1)


class FeatureReader(keras.layers.Layer):
    """Encodes the features of a source, such as inflection tags, one by one, and attends to them.

        f = tanh(x W + b) for the embedding x of each feature; context = sum of attention weights * f

    The sum of f is added to the decoder's initial outputs: attention alone would not reach the recurrence. The order of
    features has no effect. For a source without features both are 0.

    Args:
        first: the first id of features; all after it are features too.
        inputs: units of an embedding.
        attention: to features.
        seed: of initialisation.
        name: of the layer.
    """

    def __init__(self, first: int, inputs: int, attention: DotAttention, seed: int, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.first, self.attention = first, attention
        self.encoder = Dense(inputs, attention.units, attention.precision, seed, "encoder")

    def build(self, _: Any) -> None:
        """Make the weights."""
        self.encoder.build(None)
        self.attention.build(None)
        self.built = True

    def read(self, src_ids_bs: tf.Tensor, vectors_bse: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Vectors f and keys `[b, s, h]`, and the mask `[b, s]`, true at features.

        Args:
            src_ids_bs: sources with words and features.
            vectors_bse: their embeddings.
        """
        mask_bs = src_ids_bs >= self.first
        # 0 elsewhere: without features, the context is 0 wherever attention looks.
        encoded_bsh = tf.where(mask_bs[:, :, None], tf.tanh(self.encoder(vectors_bse)), 0.0)
        return encoded_bsh, self.attention.keys(encoded_bsh), mask_bs

    def call(self, query_bth: tf.Tensor, encoded_bsh: tf.Tensor, keys_bsh: tf.Tensor, mask_bs: tf.Tensor) -> tf.Tensor:
        """Contexts `[b, t, h]` of decoder outputs."""
        return self.attention(query_bth, keys_bsh, encoded_bsh, mask_bs)[0]


ATTENTIONS: Mapping[str, type[DotAttention] | None] = MappingProxyType(
    {"none": None, "dot": DotAttention, "general": GeneralAttention, "additive": AdditiveAttention}
)


def make_attention(
    name: str,
    units: int,
    precision: str = "float32",
    seed: int = 0,
    *,
    weights_map: str = "softmax",
    layer: str = "attention",
) -> DotAttention | None:
    """The attention called `name`, or None for "none".

    Args:
        name: of the score.
        units: of queries and memory, h.
        precision: number format of the products, see `matmul`.
        seed: of initialisation.
        weights_map: from scores to weights, see `sparse`.
        layer: the layer's name.

    Raises:
        ValueError: no such attention or map; the message lists the names.
    """
    if name not in ATTENTIONS:
        raise ValueError(f"unknown attention {name!r}; choose from {', '.join(sorted(ATTENTIONS))}")
    kind = ATTENTIONS[name]
    return None if kind is None else kind(units, precision, seed, weights_map=weights_map, name=layer)
