"""Where the time of an update and of a search goes: each part of the model by itself, on real batches."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import keras
import tensorflow as tf

from wordseq.batches.batching import make_batch, mask
from wordseq.benchmark.searching import STEPS, SearchParts
from wordseq.benchmark.systems.wordseq import Ours, endless
from wordseq.benchmark.worker import Rows, serve_system, split
from wordseq.models.losses import cross_entropy
from wordseq.system.platform import parts as processors_used

Step: TypeAlias = Callable[[tf.Tensor, tf.Tensor], Any]
"""Does something with the ids of a batch."""


class Part(NamedTuple):
    """A piece of the model."""

    inputs: Sequence[tf.Tensor]
    """What the part before it would make: here ones."""
    run: Callable[..., Any]
    """From the inputs to what the next part sees."""
    weights: Sequence[keras.Variable]


class Parts(Ours):
    """Training, and search, taken apart."""

    def parts(self, plan: Sequence[Rows]) -> dict[str, float]:
        """Seconds of going through the batches, by part; "update" is that of the weights, "whole" everything together."""
        batches = [make_batch(self.src, self.tgt, rows) for rows in plan]
        seconds = {}
        for name, step in self._steps.items():
            start = time.perf_counter()
            for batch in batches:
                tf.nest.map_structure(float, step(batch.src_ids_bs, batch.tgt_ids_bt))
            seconds[name] = time.perf_counter() - start
        return seconds

    def search_parts(self, beam_size: int) -> dict[str, float]:
        """Seconds of a step of a search by part; see `SearchParts.seconds`. "encoder" is the whole batch's.

        The batch is that of the sentences of middle length.
        """
        if beam_size not in self._searches:
            size = self.options["batch_size"]
            sources = sorted(split(self.arrays, "sentences"), key=len)
            first = max(0, (len(sources) - size) // 2)
            model = endless(self._model(self.options["precision"]))
            self._searches[beam_size] = SearchParts(model, sources[first : first + size], beam_size)
        found = self._searches[beam_size].seconds()
        return {name: value / (1 if name == "encoder" else STEPS) for name, value in found.items()}

    @cached_property
    def _searches(self) -> dict[int, SearchParts]:
        return {}

    @cached_property
    def _steps(self) -> Mapping[str, Step]:
        trainer = self._trainer
        kinds = (self._embeddings, self._encoder, self._decoder, self._attention, self._vocabulary)
        steps: dict[str, Step] = {kind.__name__.strip("_"): _compiled(_sharded(kind)) for kind in kinds}
        gradients = [tf.ones(weight.shape) for weight in trainer.weights]
        steps["update"] = _compiled(lambda *_: trainer.updater.apply([gradients]))
        steps["whole"] = trainer.update
        return steps

    def _embeddings(self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor) -> Part:
        model = self._trainer.model

        def run() -> list[tf.Tensor]:
            return [
                model.drop_src(model.src_embed(src_ids_bs), training=True),
                model.drop_tgt(model.tgt_embed(tgt_ids_bt), training=True),
            ]

        return Part([], run, [model.src_embed.embeddings, model.tgt_embed.embeddings])

    def _encoder(self, src_ids_bs: tf.Tensor, _: tf.Tensor) -> Part:
        model = self._trainer.model

        def run(vectors_bse: tf.Tensor) -> Any:
            return model.encoder(vectors_bse, mask(src_ids_bs), training=True)

        return Part([_ones(src_ids_bs, model.config.embed_dim)], run, model.encoder.trainable_variables)

    def _decoder(self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor) -> Part:
        model, units = self._trainer.model, self._trainer.model.config.hidden_size
        state_bh = tf.ones([tf.shape(src_ids_bs)[0], units])

        def run(vectors_bte: tf.Tensor, *state: tf.Tensor) -> tf.Tensor:
            return model.decoder(vectors_bte, mask(tgt_ids_bt), (state,), training=True)[0]

        inputs = [_ones(tgt_ids_bt, model.config.embed_dim), *[state_bh] * model.encoder_state_parts]
        return Part(inputs, run, model.decoder.trainable_variables)

    def _attention(self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor) -> Part:
        """Keys, scores, context, the combination layer, and dropout of its output."""
        model, units = self._trainer.model, self._trainer.model.config.hidden_size
        attention, combine = model.attention, model.combine
        if attention is None or combine is None:
            raise ValueError("the reference model has attention")

        def run(hidden_bth: tf.Tensor, memory_bsh: tf.Tensor) -> tf.Tensor:
            keys_bsh = attention.keys(memory_bsh)
            context_bth, _ = attention(hidden_bth, keys_bsh, memory_bsh, mask(src_ids_bs))
            attended_bth = tf.tanh(combine(tf.concat([hidden_bth, context_bth], -1)))
            return model.drop_out(attended_bth, training=True)

        weights = [*attention.trainable_variables, *combine.trainable_variables]
        return Part([_ones(tgt_ids_bt, units), _ones(src_ids_bs, units)], run, weights)

    def _vocabulary(self, _: tf.Tensor, tgt_ids_bt: tf.Tensor) -> Part:
        """Product with the vocabulary, softmax and loss, at real tokens."""
        model = self._trainer.model
        gold_n = tf.boolean_mask(tgt_ids_bt, mask(tgt_ids_bt))

        def run(hidden_nh: tf.Tensor) -> tf.Tensor:
            return cross_entropy(hidden_nh, *model.output_weights(), gold_n, precision=model.precision)[0]

        return Part([_ones(gold_n, model.config.hidden_size)], run, model.output_layer.trainable_variables)


def _ones(ids: tf.Tensor, size: int) -> tf.Tensor:
    """A vector of ones for each id."""
    return tf.ones(tf.concat([tf.shape(ids), [size]], 0))


def _sharded(make: Callable[[tf.Tensor, tf.Tensor], Part]) -> Step:
    """A part on all shards of a batch: one entry of each gradient, so that all are computed and none is copied."""

    def step(src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor) -> list[tf.Tensor]:
        found = []
        for k in range(processors_used()):
            part = make(src_ids_bs[k :: processors_used()], tgt_ids_bt[k :: processors_used(), 1:])
            sources = [*part.inputs, *(weight.value for weight in part.weights)]
            with tf.GradientTape() as tape:
                tape.watch(part.inputs)
                made = part.run(*part.inputs)
            for gradient in tape.gradient(made, sources):
                values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
                found.append(tf.reshape(values, [-1])[0])
        return found

    return step


def _compiled(step: Step) -> Step:
    ids = tf.TensorSpec([None, None], tf.int32)
    return tf.function(step, input_signature=[ids, ids])


def main(options: Mapping[str, Any]) -> None:
    """Serve."""
    serve_system(Parts, options)
