"""Layers around the recurrence: embeddings, products with a bias, and the bridge from encoder to decoder."""

from typing import Any

import keras
import tensorflow as tf

from wordseq.models.cells import State
from wordseq.models.matmul import fan_in_uniform, matmul


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
        vectors = super().call(ids)
        if self.frozen_v is None:
            return vectors
        return tf.where(tf.gather(self.frozen_v, ids)[..., None], tf.stop_gradient(vectors), vectors)


def embedding(size: int, dim: int, scale: float, seed: int, name: str) -> Embedding:
    """Vectors of tokens; initial entries have the standard deviation `scale`."""
    init = keras.initializers.RandomNormal(stddev=scale, seed=seed)
    return Embedding(size, dim, embeddings_initializer=init, name=name, dtype="float32")
