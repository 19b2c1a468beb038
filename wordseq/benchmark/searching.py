"""Where the time of a search goes: each part of a step by itself, on one batch."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from wordseq.batches.batching import pad
from wordseq.decoding.search import beam_search, decode_one
from wordseq.models.matmul import cast_once
from wordseq.models.seq2seq import Memory, Seq2Seq, States

STEPS = 10
"""Of each search; parts of a step are gone through as often."""


class SearchStep(NamedTuple):
    """What a step of the search is given, for k hypotheses of each of b sentences."""

    last_ids_bk: tf.Tensor
    memory: Memory
    states: States


class SearchParts:
    """A search for k hypotheses of a batch of sentences, taken apart.

    Args:
        model: with attention; never ends a sentence by itself.
        sources: ids of the sentences.
        beam_size: k; 1 is greedy.
    """

    def __init__(self, model: Seq2Seq, sources: Sequence[Any], beam_size: int) -> None:
        self.model, self.beam_size = model, beam_size
        self.src_ids_bs = pad(sources)
        parts = (self._cells, self._attention, self._vocabulary)
        self.steps: Mapping[str, Callable[[], tf.Tensor]] = {
            "encoder": self._compiled(lambda: self.model.encode(self.src_ids_bs)[0].memory_bsh),
            **{part.__name__.strip("_"): self._compiled(self._repeated(part)) for part in parts},
            "choice": self._compiled(lambda: self._search(self._same_logits)),
            "whole": self._compiled(lambda: self._search(self.model.decoder_step)),
        }

    def seconds(self) -> dict[str, float]:
        """Of `STEPS` steps, by part.

        "choice" is that of the next tokens, from the logits; "whole" is everything but the encoder, which works once.
        """
        found = {}
        for name, step in self.steps.items():
            start = time.perf_counter()
            step().numpy()
            found[name] = time.perf_counter() - start
        return found

    def _compiled(self, work: Callable[[], tf.Tensor]) -> Callable[[], tf.Tensor]:
        """One number of what comes out, so that it is computed and not copied."""

        def run() -> tf.Tensor:
            with cast_once(self.model.weights, self.model.precision, divided=True):
                return tf.reshape(work(), [-1])[0]

        return tf.function(run)

    def _repeated(self, part: Callable[[SearchStep, tf.Tensor], tf.Tensor]) -> Callable[[], tf.Tensor]:
        """The part as often as there are steps, each time with another `tiny`, so that none is left out."""

        def run() -> tf.Tensor:
            memory, states = self._begun()
            last_ids_bk = tf.ones([tf.shape(self.src_ids_bs)[0], self.beam_size], tf.int32)
            given = SearchStep(last_ids_bk, memory, tf.nest.map_structure(self._for_each_hypothesis, states))

            def body(t: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                return t + 1, total + tf.reshape(part(given, 1e-6 * tf.cast(t, tf.float32)), [-1])[0]

            return tf.while_loop(lambda t, _: t < STEPS, body, (tf.constant(0), tf.constant(0.0)))[1]

        return run

    def _begun(self) -> tuple[Memory, States]:
        """What the encoder would make: here ones, one hypothesis a sentence."""
        batch, length = self.src_ids_bs.shape
        units = self.model.config.hidden_size
        ones_bsh = tf.ones([batch, length, units])
        memory = Memory(ones_bsh, ones_bsh, tf.fill([batch, length], True))
        return memory, ((tf.ones([batch, 1, units]),) * self.model.encoder_state_parts,)

    def _for_each_hypothesis(self, part: tf.Tensor) -> tf.Tensor:
        return tf.repeat(part, self.beam_size, axis=1)

    def _cells(self, given: SearchStep, tiny: tf.Tensor) -> tf.Tensor:
        """Embedding and recurrent cell."""
        vectors_ne = self.model.tgt_embed(tf.reshape(given.last_ids_bk, [-1])) + tiny
        states = tf.nest.map_structure(lambda part: tf.reshape(part, [-1, part.shape[-1]]), given.states)
        return self.model.decoder.step(vectors_ne, states)[0]

    def _attention(self, given: SearchStep, tiny: tf.Tensor) -> tf.Tensor:
        """Scores, context, and the combination layer."""
        attention, combine = self.model.attention, self.model.combine
        if attention is None or combine is None:
            raise ValueError("the reference model has attention")
        hidden_bkh = given.states[-1][0] + tiny
        context_bkh, _ = attention(hidden_bkh, given.memory.keys_bsh, given.memory.memory_bsh, given.memory.mask_bs)
        return tf.tanh(combine(tf.concat([hidden_bkh, context_bkh], -1)))

    def _vocabulary(self, given: SearchStep, tiny: tf.Tensor) -> tf.Tensor:
        """The product with the vocabulary."""
        return self.model.logits(given.states[-1][0] + tiny)

    def _same_logits(self, last_ids_bk: tf.Tensor, _: Memory, states: States) -> tuple[tf.Tensor, States]:
        """In place of a model: the same preferences at each step, which the last tokens do not change."""
        preferences_v = tf.range(self.model.tgt_size, dtype=tf.float32)
        return preferences_v + tf.cast(last_ids_bk, tf.float32)[:, :, None], states

    def _search(self, decoder_step: Callable[..., tuple[tf.Tensor, States]]) -> tf.Tensor:
        memory, states = self._begun()
        limits_b = tf.fill([self.src_ids_bs.shape[0]], STEPS)

        def step(last_ids_bk: tf.Tensor, states: States, memory: Memory) -> tuple[tf.Tensor, States]:
            logits_bkv, states = decoder_step(last_ids_bk, memory, states)
            return tf.nn.log_softmax(logits_bkv), states

        if self.beam_size == 1:
            return decode_one(step, states, limits_b, memory=memory).scores_bk
        return beam_search(step, states, limits_b, self.beam_size, memory=memory).scores_bk
