"""One output for each input position: a recurrent stack without a decoder."""

from typing import Any

import tensorflow as tf

from wordseq.batches.batching import mask
from wordseq.models.seq2seq import Decoded, Memory, Seq2Seq, States, registered


@registered
class SameLength(Seq2Seq):
    """One recurrent stack with an output for each input position; no decoder.

        logits_t = dropout(stack(embed(src))_t) V + b

    The target's token t comes from source position t. So a target cannot be longer than its source; positions after the source
    get the vector 0.
    """

    def _make_decoder(self, seed: int, shared: dict[str, Any], tgt_scale: float) -> None:
        self.attention = self.combine = None

    def _build_decoder(self) -> None:
        return

    def encode(self, src_ids_bs: tf.Tensor, training: bool = False) -> tuple[Memory, States]:
        """See `Seq2Seq.encode`; the state is the position of the next token, `[b, 1]`."""
        mask_bs = mask(src_ids_bs)
        vectors_bse = self.drop_src(self.src_embed(src_ids_bs), training=training)
        memory_bsh = tf.where(mask_bs[:, :, None], self.encoder(vectors_bse, mask_bs, training=training)[0], 0.0)
        return Memory(memory_bsh, memory_bsh, mask_bs), ((tf.zeros([tf.shape(src_ids_bs)[0], 1], tf.int32),),)

    def decode(self, tgt_ids_bt: tf.Tensor, memory: Memory, states: States, training: bool = False) -> Decoded:
        """See `Seq2Seq.decode`; only the number of target tokens has an effect."""
        steps, places = tf.shape(tgt_ids_bt)[1], tf.shape(memory.memory_bsh)[1]
        hidden_bth = tf.pad(memory.memory_bsh[:, :steps], [[0, 0], [0, tf.maximum(0, steps - places)], [0, 0]])
        return Decoded(self.drop_out(hidden_bth, training=training), None)

    def _step(self, last_ids_bk: tf.Tensor, memory: Memory, states: States) -> tuple[Decoded, States]:
        """The output at the next position; the last tokens have no effect."""
        ((places_bk1,),) = states
        # All positions after the source read the same added vector of zeros.
        last = tf.shape(memory.memory_bsh)[1]
        padded_bsh = tf.pad(memory.memory_bsh, [[0, 0], [0, 1], [0, 0]])
        hidden_bkh = tf.gather(padded_bsh, tf.minimum(places_bk1[:, :, 0], last), batch_dims=1)
        return Decoded(hidden_bkh, None), ((places_bk1 + 1,),)
