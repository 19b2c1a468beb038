"""Search: greedy, sampling and beam, each one compiled loop over a step function.

A step function takes the last token of k hypotheses a sentence and a state whose tensors start with `[b, k]`, and gives the
log-probabilities of the next token and the next state:

    step(last_ids_bk, state) -> (log_probs_bkv, state)

PAD and BOS are never chosen. A hypothesis ends with EOS; at its sentence's limit nothing but EOS may be chosen, so every score
is the log-probability of a whole sentence, end included.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from wordseq.vocab import BOS_ID, EOS_ID, PAD_ID

State = Any
Step = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]
Choose = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
NEVER = float("-inf")


class Found(NamedTuple):
    """Hypotheses of b sentences, best first."""

    ids_bkt: tf.Tensor
    """Token ids without BOS, EOS included, then PAD."""
    log_probs_bk: tf.Tensor
    """Summed log-probability in nats; -inf where fewer than k were found."""
    scores_bk: tf.Tensor
    """Log-probability divided by the length penalty; what the order is by."""


def length_penalty(length: tf.Tensor, alpha: float) -> tf.Tensor:
    """((5 + length) / 6) ** alpha (Wu et al. 2016, equation 14); the length counts EOS."""
    return ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** alpha


def choose_best(log_probs_bv: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """Greedy: the most probable token."""
    del t
    return tf.argmax(log_probs_bv, -1, tf.int32)


def make_sampler(seed: tf.Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Choose:
    """A choice at random.

    Args:
        seed: two whole numbers; with the step they decide the draw.
        temperature: divides the log-probabilities; above 1 flattens, below 1 sharpens.
        top_k: draw among the so many most probable tokens; 0: all.
        top_p: draw among the most probable tokens whose probabilities together first reach this (Holtzman et al. 2020).
    """

    def choose(log_probs_bv: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        scaled_bv = tf.nn.log_softmax(log_probs_bv / temperature)
        if top_k:
            kept = tf.minimum(top_k, tf.shape(scaled_bv)[1])
            lowest_b1 = tf.math.top_k(scaled_bv, kept).values[:, -1:]
            scaled_bv = tf.where(scaled_bv >= lowest_b1, scaled_bv, NEVER)
        if top_p < 1:
            sorted_bv = tf.sort(scaled_bv, direction="DESCENDING")
            before_bv = tf.cumsum(tf.nn.softmax(sorted_bv), axis=-1, exclusive=True)
            lowest_b1 = tf.reduce_min(tf.where(before_bv < top_p, sorted_bv, float("inf")), -1, keepdims=True)
            scaled_bv = tf.where(scaled_bv >= lowest_b1, scaled_bv, NEVER)
        # The largest of log p + Gumbel noise is a draw from p.
        step_seed = tf.random.experimental.stateless_fold_in(seed, t)
        uniform_bv = tf.random.stateless_uniform(tf.shape(scaled_bv), step_seed, minval=1e-20)
        return tf.argmax(scaled_bv - tf.math.log(-tf.math.log(uniform_bv)), -1, tf.int32)

    return choose


def decode_one(step: Step, state: State, limits_b: tf.Tensor, choose: Choose = choose_best) -> Found:
    """One hypothesis a sentence, token by token, by `choose`.

    Args:
        step: see the module; called with k = 1.
        state: before the first step.
        limits_b: the most tokens of each sentence's output, EOS included; at least 1.
        choose: `choose_best` or a `make_sampler`.
    """
    batch, longest = tf.shape(limits_b)[0], tf.reduce_max(limits_b)

    def body(t: tf.Tensor, last_b: tf.Tensor, open_b: tf.Tensor, total_b: tf.Tensor, ids: Any, state: State) -> Any:
        log_probs_bkv, state = step(last_b[:, None], state)
        log_probs_bv = _allowed(log_probs_bkv, t, limits_b)[:, 0]
        chosen_b = choose(log_probs_bv, t)
        total_b += tf.where(open_b, tf.gather(log_probs_bv, chosen_b, batch_dims=1), 0.0)
        chosen_b = tf.where(open_b, chosen_b, PAD_ID)
        return t + 1, chosen_b, open_b & (chosen_b != EOS_ID), total_b, ids.write(t, chosen_b), state

    start = (
        tf.constant(0),
        tf.fill([batch], BOS_ID),
        tf.fill([batch], True),
        tf.zeros([batch]),
        tf.TensorArray(tf.int32, 0, dynamic_size=True, element_shape=[None]),
        state,
    )
    _, _, _, total_b, ids, _ = tf.while_loop(
        lambda t, last_b, open_b, *_: (t < longest) & tf.reduce_any(open_b), body, start
    )
    return Found(tf.transpose(ids.stack())[:, None], total_b[:, None], total_b[:, None])


class _Beam(NamedTuple):
    """The state of a beam search."""

    t: tf.Tensor
    last_bk: tf.Tensor
    totals_bk: tf.Tensor
    ids_bkt: tf.Tensor
    done: Found
    n_done_b: tf.Tensor
    state: State


def beam_search(step: Step, state: State, limits_b: tf.Tensor, beam_size: int, alpha: float = 1.0) -> Found:
    """The best hypotheses found by keeping k at each step.

    Of the 2 k best continuations of a step, those among the first k that end are set aside with their score, and the k best
    that do not end go on. A sentence is done when k hypotheses were set aside or its limit is reached. A beam of 1 is greedy.

    Args:
        step: see the module.
        state: before the first step, every tensor `[b, 1, ...]`.
        limits_b: the most tokens of each sentence's output, EOS included; at least 1.
        beam_size: k.
        alpha: exponent of the length penalty.
    """
    batch, longest = tf.shape(limits_b)[0], tf.reduce_max(limits_b)
    empty_bkt = tf.fill([batch, beam_size, longest], PAD_ID)
    none_bk = tf.fill([batch, beam_size], NEVER)
    first = _Beam(
        t=tf.constant(0),
        last_bk=tf.fill([batch, beam_size], BOS_ID),
        # All hypotheses are equal at first: only one may go on.
        totals_bk=tf.concat([tf.zeros([batch, 1]), none_bk[:, 1:]], 1),
        ids_bkt=empty_bkt,
        done=Found(empty_bkt, none_bk, none_bk),
        n_done_b=tf.zeros([batch], tf.int32),
        state=tf.nest.map_structure(lambda part: tf.repeat(part, beam_size, axis=1), state),
    )

    def goes_on(*flat: Any) -> tf.Tensor:
        beam = _Beam(*flat)
        return tf.reduce_any((beam.n_done_b < beam_size) & (beam.t < limits_b))

    def body(*flat: Any) -> _Beam:
        return _beam_step(step, _Beam(*flat), limits_b, beam_size, alpha)

    return _Beam(*tf.while_loop(goes_on, body, tuple(first))).done


def _beam_step(step: Step, beam: _Beam, limits_b: tf.Tensor, beam_size: int, alpha: float) -> _Beam:
    t = beam.t
    log_probs_bkv, state = step(beam.last_bk, beam.state)
    log_probs_bkv = _allowed(log_probs_bkv, t, limits_b)
    totals_bc, parents_bc, tokens_bc = _candidates(beam.totals_bk[:, :, None] + log_probs_bkv, 2 * beam_size)
    ends_bc = tokens_bc == EOS_ID
    open_b1 = ((beam.n_done_b < beam_size) & (t < limits_b))[:, None]
    sets_aside_bc = ends_bc & (tf.range(2 * beam_size) < beam_size) & open_b1 & (totals_bc > NEVER)

    at_t = tf.range(tf.shape(beam.ids_bkt)[2]) == t
    grown_bct = tf.gather(beam.ids_bkt, parents_bc, batch_dims=1)
    grown_bct = tf.where(at_t, tokens_bc[:, :, None], grown_bct)
    ended_bc = tf.where(sets_aside_bc, totals_bc, NEVER)
    ended = Found(grown_bct, ended_bc, ended_bc / length_penalty(t + 1, alpha))
    both = Found(*(tf.concat(pair, 1) for pair in zip(beam.done, ended, strict=True)))
    best_bk = tf.math.top_k(both.scores_bk, beam_size).indices
    done = Found(*(tf.gather(part, best_bk, batch_dims=1) for part in both))

    totals_bk, kept_bk = tf.math.top_k(tf.where(ends_bc, NEVER, totals_bc), beam_size)
    parents_bk = tf.gather(parents_bc, kept_bk, batch_dims=1)
    return _Beam(
        t=t + 1,
        last_bk=tf.gather(tokens_bc, kept_bk, batch_dims=1),
        totals_bk=totals_bk,
        ids_bkt=tf.gather(grown_bct, kept_bk, batch_dims=1),
        done=done,
        n_done_b=beam.n_done_b + tf.reduce_sum(tf.cast(sets_aside_bc, tf.int32), 1),
        state=tf.nest.map_structure(lambda part: tf.gather(part, parents_bk, batch_dims=1), state),
    )


def _candidates(totals_bkv: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The `count` best continuations of each sentence: total, the hypothesis they continue, token; best first."""
    shape = tf.shape(totals_bkv)
    each = tf.minimum(count, shape[2])
    totals_bkc, tokens_bkc = tf.math.top_k(totals_bkv, each)
    totals_bc, picked_bc = tf.math.top_k(tf.reshape(totals_bkc, [shape[0], -1]), count)
    tokens_bc = tf.gather(tf.reshape(tokens_bkc, [shape[0], -1]), picked_bc, batch_dims=1)
    return totals_bc, picked_bc // each, tokens_bc


def _allowed(log_probs_bkv: tf.Tensor, t: tf.Tensor, limits_b: tf.Tensor) -> tf.Tensor:
    """-inf for PAD and BOS, and at a sentence's limit for all but EOS."""
    ids_v = tf.range(tf.shape(log_probs_bkv)[2])
    never_v = (ids_v == PAD_ID) | (ids_v == BOS_ID)
    last_b11 = (t >= limits_b - 1)[:, None, None]
    return tf.where(never_v | (last_b11 & (ids_v != EOS_ID)), NEVER, log_probs_bkv)
