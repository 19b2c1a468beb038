"""Several models as one: the mean of their distributions of the next token."""

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import keras
import tensorflow as tf

from wordseq.batches.batching import mask
from wordseq.decoding.search import NEVER
from wordseq.models.seq2seq import Decoded, Memory, Seq2Seq, States
from wordseq.models.sparse import IMPOSSIBLE_NATS


class Outputs(NamedTuple):
    """The decoders' outputs, as `Seq2Seq.decode` has them for one model."""

    members: tuple[Decoded, ...]
    weights_bts: tf.Tensor | None
    """The mean of the attention weights of the models with attention; None if no model has it."""


class Ensemble:
    """Models with the same vocabularies as one, with the methods of `Seq2Seq` that search and forced decoding need.

    Memory and states are tuples with those of each model. Equal models give exactly the log-probabilities of one of them.

    Args:
        models: at least one.
        mean: a name in `MEANS`.
    """

    def __init__(self, models: Sequence[Seq2Seq], mean: str) -> None:
        self.models, self.mean = tuple(models), mean
        self.config, self.precision = models[0].config, models[0].precision

    @property
    def weights(self) -> list[keras.Variable]:
        """The weights of all models."""
        return [weight for model in self.models for weight in model.weights]

    @property
    def output_map(self) -> str:
        """See `Seq2Seq`; of the first model with sparse outputs, if there is one."""
        return next((model.output_map for model in self.models if model.output_map != "softmax"), "softmax")

    @property
    def attention(self) -> keras.layers.Layer | None:
        """The attention of the first model that has one."""
        return next((model.attention for model in self.models if model.attention is not None), None)

    @property
    def copying(self) -> keras.layers.Layer | None:
        """The layer of the first model that copies."""
        return next((model.copying for model in self.models if model.copying is not None), None)

    def encode(self, src_ids_bs: tf.Tensor) -> tuple[tuple[Memory, ...], tuple[States, ...]]:
        """See `Seq2Seq.encode`."""
        memories, states = zip(*(model.encode(src_ids_bs) for model in self.models), strict=True)
        return memories, states

    def decode(self, tgt_ids_bt: tf.Tensor, memory: tuple[Memory, ...], states: tuple[States, ...]) -> Outputs:
        """See `Seq2Seq.decode`."""
        each = zip(self.models, memory, states, strict=True)
        members = tuple(model.decode(tgt_ids_bt, own, started) for model, own, started in each)
        weights = [found.weights_bts for found in members if found.weights_bts is not None]
        return Outputs(members, _mean(weights) if weights else None)

    def nats(self, decoded: Outputs, memory: tuple[Memory, ...], gold_bt: tf.Tensor) -> tf.Tensor:
        """See `Seq2Seq.nats`."""
        each = list(zip(self.models, decoded.members, memory, strict=True))
        if self.mean == "probabilities":
            return -mean_probability([-model.nats(found, own, gold_bt) for model, found, own in each])
        log_probs_btv = MEANS[self.mean]([model.log_probs(found, own) for model, found, own in each])
        return tf.where(mask(gold_bt), -tf.gather(log_probs_btv, gold_bt, batch_dims=2), 0.0)

    def token_losses(self, decoded: Outputs, memory: tuple[Memory, ...], gold_bt: tf.Tensor) -> tf.Tensor:
        """The nats: an ensemble is not trained, so it has no loss of its own."""
        return self.nats(decoded, memory, gold_bt)

    def decoder_step(
        self, last_ids_bk: tf.Tensor, memory: tuple[Memory, ...], states: tuple[States, ...]
    ) -> tuple[tf.Tensor, tuple[States, ...]]:
        """See `Seq2Seq.decoder_step`."""
        each = zip(self.models, memory, states, strict=True)
        found = [model.decoder_step(last_ids_bk, own, before) for model, own, before in each]
        return MEANS[self.mean]([log_probs for log_probs, _ in found]), tuple(after for _, after in found)


def mean_probability(log_probs: Sequence[tf.Tensor]) -> tf.Tensor:
    """The logarithm of the mean probability, element by element, of log-probabilities of any shape."""
    highest = functools.reduce(tf.maximum, log_probs)
    # Where no model has a probability above 0, a difference of two infinities would be NaN.
    finite = tf.where(highest > NEVER, highest, 0.0)
    return finite + tf.math.log(_mean([tf.exp(part - finite) for part in log_probs]))


def mean_log_probability(log_probs: Sequence[tf.Tensor]) -> tf.Tensor:
    """The mean of log-probabilities `[..., v]`, plus a constant, so that the probabilities of the v tokens sum to 1.

    Where some models give probability 0, which sparse outputs do, they count as -`IMPOSSIBLE_NATS`: one model alone must not
    forbid a token. Where all do, it stays 0.
    """
    possible = functools.reduce(tf.maximum, log_probs) > NEVER
    mean = _mean([tf.where(part > NEVER, part, -IMPOSSIBLE_NATS) for part in log_probs])
    mean = tf.where(possible, mean, NEVER)
    # What rounding left of log 1 in each model is subtracted, so that equal models give exactly what one gives.
    sums = [tf.reduce_logsumexp(part, -1, keepdims=True) for part in log_probs]
    return mean - (tf.reduce_logsumexp(mean, -1, keepdims=True) - _mean(sums))


MEANS: Mapping[str, Callable[[Sequence[tf.Tensor]], tf.Tensor]] = MappingProxyType(
    {"probabilities": mean_probability, "log_probabilities": mean_log_probability}
)
"""The values of `decode.ensemble`."""


def _mean(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """The mean of tensors; of equal ones, exactly that tensor."""
    # Not sum / n, which would round: for 3 times 0.1 it is not 0.1.
    first, *others = parts
    return first + tf.add_n([part - first for part in others]) / len(parts) if others else first
