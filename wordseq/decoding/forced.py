"""Forced decoding: costs and attention weights of given targets."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from wordseq.batches.batching import make_batch
from wordseq.batches.id_store import IdStore
from wordseq.decoding.ensemble import Ensemble
from wordseq.decoding.threads import side_by_side
from wordseq.models.seq2seq import Decoded, Memory, Seq2Seq

_IDS = tf.TensorSpec([None, None], tf.int32)


class Scorer:
    """Computes the costs and the attention weights of given targets, without dropout."""

    def __init__(self, model: Seq2Seq | Ensemble) -> None:
        self.model: Any = model  # Not their union: memories and outputs of the two differ, and are only handed on.

    def nats(self, src: IdStore, tgt: IdStore, batch_size: int = 128) -> npt.NDArray[np.float64]:
        """-log p(target | source) of each pair, end of sentence included, in nats.

        Sparse outputs may give a token the probability 0: it costs `sparse.IMPOSSIBLE_NATS`.
        """
        return self._costs(self._nats, src, tgt, batch_size)

    def losses(self, src: IdStore, tgt: IdStore, batch_size: int = 128) -> npt.NDArray[np.float64]:
        """The loss of each pair without label smoothing, see `Seq2Seq.token_losses`; with softmax the nats."""
        return self._costs(self._losses, src, tgt, batch_size)

    def _costs(
        self, costs_of: Callable[..., tf.Tensor], src: IdStore, tgt: IdStore, batch_size: int
    ) -> npt.NDArray[np.float64]:
        costs, batches = np.zeros(len(src)), list(_by_length(src, tgt, batch_size))

        def cost(number: int) -> npt.NDArray[np.float32]:
            batch = make_batch(src, tgt, batches[number])
            return costs_of(batch.src_ids_bs, batch.tgt_ids_bt).numpy()

        for rows, found in zip(batches, side_by_side(cost, len(batches)), strict=True):
            costs[rows] = found
        return costs

    def alignments(self, src: IdStore, tgt: IdStore, batch_size: int = 128) -> list[npt.NDArray[np.float32]]:
        """Attention weights `[t, s]` of each pair: one row per target token, one column per source token, both with EOS.

        Raises:
            ValueError: the model has no attention.
        """
        if self.model.attention is None:
            raise ValueError("the model has no attention: model.attention is 'none'")
        weights: list[npt.NDArray[np.float32]] = [np.zeros((0, 0), np.float32)] * len(src)
        batches = list(_by_length(src, tgt, batch_size))

        def align(number: int) -> npt.NDArray[np.float32]:
            batch = make_batch(src, tgt, batches[number])
            return self._weights(batch.src_ids_bs, batch.tgt_ids_bt).numpy()

        for rows, found in zip(batches, side_by_side(align, len(batches)), strict=True):
            for row, weights_ts in zip(rows, found, strict=True):
                weights[row] = weights_ts[: len(tgt[row]) + 1, : len(src[row]) + 1]
        return weights

    @tf.function(autograph=False, input_signature=[_IDS, _IDS])
    def _nats(self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor) -> tf.Tensor:
        return self._summed(self.model.nats, src_ids_bs, tgt_ids_bt)

    @tf.function(autograph=False, input_signature=[_IDS, _IDS])
    def _losses(self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor) -> tf.Tensor:
        return self._summed(self.model.token_losses, src_ids_bs, tgt_ids_bt)

    def _summed(
        self, cost: Callable[[Decoded, Memory, tf.Tensor], tf.Tensor], src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor
    ) -> tf.Tensor:
        """The costs `[b]` of the targets."""
        memory, states = self.model.encode(src_ids_bs)
        cost_bt = cost(self.model.decode(tgt_ids_bt[:, :-1], memory, states), memory, tgt_ids_bt[:, 1:])
        # One after another, so that padding cannot change how the sum is rounded, as it can in `reduce_sum`.
        batch, steps = tf.unstack(tf.shape(cost_bt))
        return tf.math.unsorted_segment_sum(cost_bt, tf.repeat(tf.range(batch)[:, None], steps, axis=1), batch)

    @tf.function(autograph=False, input_signature=[_IDS, _IDS])
    def _weights(self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor) -> tf.Tensor:
        memory, states = self.model.encode(src_ids_bs)
        return self.model.decode(tgt_ids_bt[:, :-1], memory, states).weights_bts


def _by_length(src: IdStore, tgt: IdStore, batch_size: int) -> Iterator[npt.NDArray[np.int64]]:
    # By target length, then by source length: `lexsort` takes its last key first.
    order = np.lexsort((src.lengths, tgt.lengths))
    yield from (order[k : k + batch_size] for k in range(0, len(order), batch_size))
