"""The baseline: the reference model built from stock Keras layers, trained by `compile` and `fit`."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import keras
import tensorflow as tf

from wordseq.batches.batching import make_batch, mask
from wordseq.batches.id_store import IdStore
from wordseq.benchmark.worker import BatchPlan, TaskArrays, serve_system

_LAYERS = MappingProxyType({"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "rnn": keras.layers.SimpleRNN})


class StockSeq2Seq(keras.Model):
    """Embedding, bidirectional encoder, decoder, Luong's "general" attention, combination layer, logits.

    Masks are explicit arguments, because recent versions of Keras do not pass them through recurrent layers.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        model = options["model"]
        units, layer = model["hidden_size"], _LAYERS[model["cell"]]
        self.src_embed = keras.layers.Embedding(options["src_size"], model["embed_dim"])
        self.tgt_embed = keras.layers.Embedding(options["tgt_size"], model["embed_dim"])
        self.encoder = keras.layers.Bidirectional(layer(units // 2, return_sequences=True, return_state=True))
        self.decoder = layer(units, return_sequences=True)
        self.keys = keras.layers.Dense(units, use_bias=False)
        self.attention = keras.layers.Attention()
        self.combine = keras.layers.Dense(units, activation="tanh")
        self.logits = keras.layers.Dense(options["tgt_size"])
        self.drop_src, self.drop_tgt, self.drop_out = (keras.layers.Dropout(model["dropout"]) for _ in range(3))

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Logits `[b, t, v]` of `(src_ids_bs, tgt_ids_bt)`."""
        src_ids_bs, tgt_ids_bt = inputs
        mask_bs = mask(src_ids_bs)
        vectors_bse = self.drop_src(self.src_embed(src_ids_bs), training=training)
        memory_bsh, *parts = self.encoder(vectors_bse, mask=mask_bs, training=training)
        half = len(parts) // 2
        states = [keras.ops.concatenate(pair, -1) for pair in zip(parts[:half], parts[half:], strict=True)]
        vectors_bte = self.drop_tgt(self.tgt_embed(tgt_ids_bt), training=training)
        hidden_bth = self.decoder(vectors_bte, initial_state=states, training=training)
        context_bth = self.attention([hidden_bth, memory_bsh, self.keys(memory_bsh)], mask=[None, mask_bs])
        attended_bth = self.combine(keras.ops.concatenate([hidden_bth, context_bth], -1))
        return self.logits(self.drop_out(attended_bth, training=training))


class Stock:
    """Training only: Keras has no search."""

    versions = MappingProxyType({"tensorflow": tf.__version__, "keras": keras.__version__})

    def __init__(self, arrays: TaskArrays, options: Mapping[str, Any]) -> None:
        self.src, self.tgt = (IdStore(arrays[f"{side}.flat"], arrays[f"{side}.offsets"]) for side in ("src", "tgt"))
        keras.utils.set_random_seed(1)
        self.model = StockSeq2Seq(options)
        self.model.compile(
            optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-8, global_clipnorm=1.0),
            # Weights are 0 at padding, so this is the mean over real tokens.
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        )

    def train(self, plan: BatchPlan) -> None:
        """See `worker.System`."""

        def batches() -> Iterator[Any]:
            for rows in plan:
                batch = make_batch(self.src, self.tgt, rows)
                gold_bt = batch.tgt_ids_bt[:, 1:]
                yield (batch.src_ids_bs, batch.tgt_ids_bt[:, :-1]), gold_bt, mask(gold_bt).astype("float32")

        ids = tf.TensorSpec([None, None], tf.int32)
        signature = ((ids, ids), ids, tf.TensorSpec([None, None], tf.float32))
        # Prefetched, so that making batches costs the baseline no time.
        data = tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)
        # Keras warns where it meets the end of data without knowing how long they are.
        data = data.apply(tf.data.experimental.assert_cardinality(len(plan)))
        self.model.fit(data, verbose=0, shuffle=False)

    def translate(self, count: int, beam_size: int, batch_size: int, first: int = 0) -> tuple[int, int]:
        """Not available.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError


def main(options: Mapping[str, Any]) -> None:
    """Serve requests until standard input ends."""
    serve_system(Stock, options)
