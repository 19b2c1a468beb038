"""The time of each part of the model, in an update and in a search, on real batches."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from wordseq.batches.batching import make_batch, mask, pad
from wordseq.benchmark.systems.wordseq import Ours, endless
from wordseq.benchmark.worker import BatchPlan, serve_system, split
from wordseq.decoding.search import beam_search, decode_one
from wordseq.models.attention import DotAttention
from wordseq.models.losses import cross_entropy
from wordseq.models.matmul import cast_once
from wordseq.models.seq2seq import Memory, Seq2Seq, States
from wordseq.system.platform import parts

SEARCH_STEPS = 10
"""Steps of each search; each part of a step runs as often."""

_Step = Callable[[tf.Tensor, tf.Tensor], Any]
"""A function of the source and target ids of a batch."""


class SearchStep(NamedTuple):
    """The inputs of one search step, for k hypotheses of each of b sentences."""

    last_ids_bk: tf.Tensor
    memory: Memory
    states: States


class SearchParts:
    """The parts of a search for k hypotheses of each sentence of a batch.

    Args:
        model: has attention and never chooses EOS, see `endless`.
        sources: ids of the sentences.
        beam_size: k; 1 is greedy.
    """

    def __init__(self, model: Seq2Seq, sources: Sequence[Any], beam_size: int) -> None:
        self.model, self.beam_size = model, beam_size
        self.src_ids_bs = pad(sources)
        repeated = (self._cells, self._attention, self._vocabulary)
        self.steps: Mapping[str, Callable[[], tf.Tensor]] = {
            "encoder": self._compiled(lambda: self.model.encode(self.src_ids_bs)[0].memory_bsh),
            **{part.__name__.strip("_"): self._compiled(self._repeated(part)) for part in repeated},
            "choice": self._compiled(lambda: self._search(self._same_choice)),
            "whole": self._compiled(lambda: self._search(self.model.decoder_step)),
        }

    def seconds(self) -> dict[str, float]:
        """Seconds of `SEARCH_STEPS` steps, by part.

        `choice` normalises logits and selects the next tokens. `whole` is all but the encoder, which runs once.
        """
        found = {}
        for name, step in self.steps.items():
            start = time.perf_counter()
            step().numpy()
            found[name] = time.perf_counter() - start
        return found

    def _compiled(self, work: Callable[[], tf.Tensor]) -> Callable[[], tf.Tensor]:
        """`work` as a graph function that returns one number of its result."""

        # One number is enough for the graph to compute everything, and costs no copy.
        def run() -> tf.Tensor:
            with cast_once(self.model.weights, self.model.precision, divided=True):
                return tf.reshape(work(), [-1])[0]

        return tf.function(run, autograph=False)

    def _repeated(self, part: Callable[[SearchStep, tf.Tensor], tf.Tensor]) -> Callable[[], tf.Tensor]:
        """The part, repeated `SEARCH_STEPS` times."""

        def run() -> tf.Tensor:
            memory, states = self._encoded()
            last_ids_bk = tf.ones([tf.shape(self.src_ids_bs)[0], self.beam_size], tf.int32)
            states = tf.nest.map_structure(lambda part: tf.repeat(part, self.beam_size, axis=1), states)
            given = SearchStep(last_ids_bk, memory, states)

            # A number that changes with t: otherwise TensorFlow would move the computation out of the loop.
            def body(t: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                return t + 1, total + tf.reshape(part(given, 1e-6 * tf.cast(t, tf.float32)), [-1])[0]

            return tf.while_loop(lambda t, _: t < SEARCH_STEPS, body, (tf.constant(0), tf.constant(0.0)))[1]

        return run

    def _encoded(self) -> tuple[Memory, States]:
        """Ones in place of the encoder's results, for one hypothesis per sentence."""
        batch, length = self.src_ids_bs.shape
        units = self.model.config.hidden_size
        ones_bsh = tf.ones([batch, length, units])
        memory = Memory(ones_bsh, ones_bsh, tf.fill([batch, length], True))
        return memory, ((tf.ones([batch, 1, units]),) * self.model.encoder_state_parts,)

    def _cells(self, given: SearchStep, tiny: tf.Tensor) -> tf.Tensor:
        """Embedding and recurrent cell."""
        vectors_ne = self.model.tgt_embed(tf.reshape(given.last_ids_bk, [-1])) + tiny
        states = tf.nest.map_structure(lambda part: tf.reshape(part, [-1, part.shape[-1]]), given.states)
        return self.model.decoder.step(vectors_ne, states)[0]

    def _attention(self, given: SearchStep, tiny: tf.Tensor) -> tf.Tensor:
        """Scores, context, and the combination layer."""
        attention, combine = _attention_of(self.model)
        hidden_bkh = given.states[-1][0] + tiny
        context_bkh, _ = attention(hidden_bkh, given.memory.keys_bsh, given.memory.memory_bsh, given.memory.mask_bs)
        return tf.tanh(combine(tf.concat([hidden_bkh, context_bkh], -1)))

    def _vocabulary(self, given: SearchStep, tiny: tf.Tensor) -> tf.Tensor:
        """The product with the vocabulary."""
        return self.model.logits(given.states[-1][0] + tiny)

    def _same_choice(self, last_ids_bk: tf.Tensor, _: Memory, states: States) -> tuple[tf.Tensor, States]:
        """A step without a model: the same logits at each step, so that only softmax and choice take time."""
        preferences_v = tf.range(self.model.tgt_size, dtype=tf.float32)
        return tf.nn.log_softmax(preferences_v + tf.cast(last_ids_bk, tf.float32)[:, :, None]), states

    def _search(self, decoder_step: Callable[..., tuple[tf.Tensor, States]]) -> tf.Tensor:
        memory, states = self._encoded()
        limits_b = tf.fill([self.src_ids_bs.shape[0]], SEARCH_STEPS)

        def step(last_ids_bk: tf.Tensor, states: States, memory: Memory) -> tuple[tf.Tensor, States]:
            return decoder_step(last_ids_bk, memory, states)

        if self.beam_size == 1:
            return decode_one(step, states, limits_b, memory=memory).scores_bk
        return beam_search(step, states, limits_b, self.beam_size, memory=memory).scores_bk


class Part(NamedTuple):
    """A part of the model."""

    inputs: Sequence[tf.Tensor]
    """Ones, in the shapes of the results of the part before it."""
    run: Callable[..., Any]
    """From the inputs to the inputs of the next part."""
    weights: Sequence[keras.Variable]


class Parts(Ours):
    """wordseq with training and search split into parts."""

    def parts(self, plan: BatchPlan) -> dict[str, float]:
        """Seconds for all batches of the plan, by part; `update` is the optimizer's step, `whole` the complete update."""
        batches = [make_batch(self.src, self.tgt, rows) for rows in plan]
        seconds = {}
        for name, step in self._steps.items():
            start = time.perf_counter()
            for batch in batches:
                tf.nest.map_structure(float, step(batch.src_ids_bs, batch.tgt_ids_bt))
            seconds[name] = time.perf_counter() - start
        return seconds

    def search_parts(self, beam_size: int) -> dict[str, float]:
        """Seconds of one search step, by part; see `SearchParts.seconds`. "encoder" is for all steps of the batch."""
        if beam_size not in self._searches:
            size = self.options["batch_size"]
            # A batch has sentences of similar length, as in translating. This one has the middle lengths.
            sources = sorted(split(self.arrays, "sentences"), key=len)
            first = max(0, (len(sources) - size) // 2)
            model = endless(self._model(self.options["precision"]))
            self._searches[beam_size] = SearchParts(model, sources[first : first + size], beam_size)
        found = self._searches[beam_size].seconds()
        return {name: value / (1 if name == "encoder" else SEARCH_STEPS) for name, value in found.items()}

    @cached_property
    def _searches(self) -> dict[int, SearchParts]:
        return {}

    @cached_property
    def _steps(self) -> Mapping[str, _Step]:
        trainer = self._trainer
        names = ("embeddings", "encoder", "decoder", "attention", "vocabulary")
        steps: dict[str, _Step] = {name: _compiled(self._sharded(name)) for name in names}
        gradients = [tf.ones(weight.shape) for weight in trainer.weights]
        steps["update"] = _compiled(lambda *_: trainer.updater.apply([gradients]))
        steps["whole"] = trainer.update
        return steps

    def _sharded(self, name: str) -> _Step:
        """A part, forward and backward, on all shards of a batch. Returns one entry of each gradient."""

        # One entry is enough for the graph to compute the gradient, and costs no copy.
        def step(src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor) -> list[tf.Tensor]:
            found = []
            for k in range(parts()):
                part = self.training_parts(src_ids_bs[k :: parts()], tgt_ids_bt[k :: parts(), 1:])[name]
                sources = [*part.inputs, *(weight.value for weight in part.weights)]
                with tf.GradientTape() as tape:
                    tape.watch(part.inputs)
                    made = part.run(*part.inputs)
                for gradient in tape.gradient(made, sources):
                    values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
                    found.append(tf.reshape(values, [-1])[0])
            return found

        return step

    def training_parts(self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor) -> dict[str, Part]:
        """The parts of the model in training.

        "attention" is keys, scores, context, combination layer and dropout. "vocabulary" is the product with the vocabulary,
        softmax and loss, at real tokens.
        """
        model, config = self._trainer.model, self._trainer.model.config
        attention, combine = _attention_of(model)
        mask_bs, mask_bt = mask(src_ids_bs), mask(tgt_ids_bt)
        gold_n = tf.boolean_mask(tgt_ids_bt, mask_bt)
        hidden_bth, memory_bsh = _ones(tgt_ids_bt, config.hidden_size), _ones(src_ids_bs, config.hidden_size)

        def embed() -> list[tf.Tensor]:
            vectors_bse = model.drop_src(model.src_embed(src_ids_bs), training=True)
            return [vectors_bse, model.drop_tgt(model.tgt_embed(tgt_ids_bt), training=True)]

        def encode(vectors_bse: tf.Tensor) -> Any:
            return model.encoder(vectors_bse, mask_bs, training=True)

        def decode(vectors_bte: tf.Tensor, *state: tf.Tensor) -> tf.Tensor:
            return model.decoder(vectors_bte, mask_bt, (state,), training=True)[0]

        def attend(hidden_bth: tf.Tensor, memory_bsh: tf.Tensor) -> tf.Tensor:
            context_bth, _ = attention(hidden_bth, attention.keys(memory_bsh), memory_bsh, mask_bs)
            return model.drop_out(tf.tanh(combine(tf.concat([hidden_bth, context_bth], -1))), training=True)

        def choose(hidden_nh: tf.Tensor) -> tf.Tensor:
            return cross_entropy(hidden_nh, *model.output_weights(), gold_n, precision=model.precision)[0]

        states = [hidden_bth[:, 0]] * model.encoder_state_parts
        attending = [*attention.trainable_variables, *combine.trainable_variables]
        return {
            "embeddings": Part([], embed, [model.src_embed.embeddings, model.tgt_embed.embeddings]),
            "encoder": Part([_ones(src_ids_bs, config.embed_dim)], encode, model.encoder.trainable_variables),
            "decoder": Part([_ones(tgt_ids_bt, config.embed_dim), *states], decode, model.decoder.trainable_variables),
            "attention": Part([hidden_bth, memory_bsh], attend, attending),
            "vocabulary": Part([_ones(gold_n, config.hidden_size)], choose, model.output_layer.trainable_variables),
        }


def _attention_of(model: Seq2Seq) -> tuple[DotAttention, keras.layers.Layer]:
    """Attention and combination layer of the reference model.

    Raises:
        ValueError: the model has no attention.
    """
    if model.attention is None or model.combine is None:
        raise ValueError("the reference model has attention")
    return model.attention, model.combine


def _ones(ids: tf.Tensor, size: int) -> tf.Tensor:
    """A vector of ones for each id."""
    return tf.ones(tf.concat([tf.shape(ids), [size]], 0))


def _compiled(step: _Step) -> _Step:
    ids = tf.TensorSpec([None, None], tf.int32)
    return tf.function(step, autograph=False, input_signature=[ids, ids])


def main(options: Mapping[str, Any]) -> None:
    """Serve requests until standard input ends."""
    serve_system(Parts, options)
