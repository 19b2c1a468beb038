"""Greedy search, sampling and beam search; each is one compiled loop over a step function.

For b sentences with k hypotheses each, a step function takes the last tokens, a state and the memory of the sentences. The
state's tensors start with `[b, k]`. It returns the log-probabilities of the next token, and the next state:

    step(last_ids_bk, state, memory) -> (log_probs_bkv, state)

PAD and BOS are never chosen, nor tokens of probability 0, which sparse outputs have (log-probability -inf). A hypothesis ends
with EOS. At the length limit only EOS may be chosen, so every score is the log-probability of a complete sentence with EOS. An
EOS of probability 0 costs `sparse.IMPOSSIBLE_NATS` there. Finished sentences leave the batch: in the loops, b is the number of
open sentences, and `rows_b` are their rows in the original batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from wordseq.models.sparse import IMPOSSIBLE_NATS
from wordseq.text.vocab import BOS_ID, EOS_ID, PAD_ID

_State = Any
_Memory = Any
Step = Callable[[tf.Tensor, _State, _Memory], tuple[tf.Tensor, _State]]
Choose = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

NEVER = float("-inf")

BLOCK = 64
"""Tokens per block in `_largest`."""


class Found(NamedTuple):
    """Hypotheses of b sentences, best first."""

    ids_bkt: tf.Tensor
    """Token ids without BOS, with EOS, then PAD."""
    log_probs_bk: tf.Tensor
    """Summed log-probability in nats; -inf where fewer than k hypotheses were found."""
    scores_bk: tf.Tensor
    """Log-probability divided by the length penalty; hypotheses are sorted by it."""


def length_penalty(length: tf.Tensor, alpha: tf.Tensor | float) -> tf.Tensor:
    """((5 + length) / 6) ** alpha (Wu et al. 2016, equation 14); the length counts EOS."""
    return ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** alpha


def choose_best(log_probs_bv: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """The most probable token (greedy search)."""
    del t
    return tf.argmax(log_probs_bv, -1, tf.int32)


def make_sampler(
    seed: tf.Tensor,
    temperature: tf.Tensor | float = 1.0,
    top_k: tf.Tensor | int = 0,
    top_p: tf.Tensor | float = 1.0,
) -> Choose:
    """A function that samples the next token.

    Args:
        seed: two integers; seed and step determine the draw.
        temperature: divides the log-probabilities; above 1 flattens the distribution, below 1 sharpens it.
        top_k: sample from this number of most probable tokens; the integer 0: from all.
        top_p: sample from the smallest set of most probable tokens with this total probability (Holtzman et al. 2020).
    """

    def choose(log_probs_bv: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        scaled_bv = tf.nn.log_softmax(log_probs_bv / temperature)
        if tf.is_tensor(top_k) or top_k:
            kept = tf.minimum(top_k, tf.shape(scaled_bv)[1])
            lowest_b1 = tf.math.top_k(scaled_bv, kept).values[:, -1:]
            scaled_bv = tf.where(scaled_bv >= lowest_b1, scaled_bv, NEVER)
        if tf.is_tensor(top_p) or top_p < 1:
            sorted_bv = tf.sort(scaled_bv, direction="DESCENDING")
            # Exclusive: the token that crosses `top_p` is kept, so at least one is.
            before_bv = tf.cumsum(tf.nn.softmax(sorted_bv), axis=-1, exclusive=True)
            lowest_b1 = tf.reduce_min(tf.where(before_bv < top_p, sorted_bv, float("inf")), -1, keepdims=True)
            scaled_bv = tf.where(scaled_bv >= lowest_b1, scaled_bv, NEVER)
        # Gumbel-max trick: the largest of log p + Gumbel noise is a sample from p. The noise has two logarithms, hence minval.
        step_seed = tf.random.experimental.stateless_fold_in(seed, t)
        uniform_bv = tf.random.stateless_uniform(tf.shape(scaled_bv), step_seed, minval=1e-20)
        return tf.argmax(scaled_bv - tf.math.log(-tf.math.log(uniform_bv)), -1, tf.int32)

    return choose


class _One(NamedTuple):
    """The loop state of `decode_one`, for the open sentences."""

    t: tf.Tensor
    last_b: tf.Tensor
    open_b: tf.Tensor
    rows_b: tf.Tensor
    limits_b: tf.Tensor
    state: _State
    memory: _Memory


def decode_one(
    step: Step, state: _State, limits_b: tf.Tensor, choose: Choose = choose_best, memory: _Memory = ()
) -> Found:
    """One hypothesis per sentence; `choose` selects each token.

    Args:
        step: see the module; called with k = 1.
        state: before the first step.
        limits_b: the most output tokens of each sentence, with EOS; at least 1.
        choose: `choose_best`, or the result of `make_sampler`.
        memory: tensors that start with `[b]`, for `step`.
    """
    batch = tf.shape(limits_b)[0]

    def body(one: _One, totals: tf.Tensor, ids: tf.TensorArray) -> tuple[_One, tf.Tensor, tf.TensorArray]:
        log_probs_bkv, state = step(one.last_b[:, None], one.state, one.memory)
        log_probs_bv = _allowed(log_probs_bkv, one.t, one.limits_b)[:, 0]
        # Finished sentences stay in the batch for a while, see `_left`: they get PAD and gain nothing.
        chosen_b = tf.where(one.open_b, choose(log_probs_bv, one.t), PAD_ID)
        gained_b = tf.where(one.open_b, tf.gather(log_probs_bv, chosen_b, batch_dims=1), 0.0)
        places = one.rows_b[:, None]
        totals = tf.tensor_scatter_nd_add(totals, places, gained_b)
        ids = ids.write(one.t, tf.scatter_nd(places, chosen_b, [batch]))  # Other rows get 0, which is PAD.
        open_b = one.open_b & (chosen_b != EOS_ID)
        parts = (chosen_b, open_b, one.rows_b, one.limits_b, state, one.memory)
        return _One(one.t + 1, *_left(open_b, parts)), totals, ids

    start = _One(
        t=tf.constant(0),
        last_b=tf.fill([batch], BOS_ID),
        open_b=tf.fill([batch], True),
        rows_b=tf.range(batch),
        limits_b=limits_b,
        state=state,
        memory=memory,
    )
    found = tf.TensorArray(tf.int32, 0, dynamic_size=True, element_shape=[None])
    totals = tf.zeros([batch])
    _, totals_b, ids = tf.while_loop(
        lambda one, *_: tf.reduce_any(one.open_b),
        body,
        (start, totals, found),
        shape_invariants=(_any_batch(start), totals.shape, tf.TensorShape(None)),
    )
    return Found(tf.transpose(ids.stack())[:, None], totals_b[:, None], totals_b[:, None])


def _left(open_b: tf.Tensor, parts: Any) -> Any:
    """The open rows of tensors that start with `[b]`, when at least a quarter is finished; until then all rows."""

    # A quarter, because each time all states and memories are copied.
    def leave() -> Any:
        kept = tf.where(open_b)[:, 0]
        return tf.nest.map_structure(lambda part: tf.gather(part, kept), parts)

    few = 4 * tf.math.count_nonzero(open_b, dtype=tf.int32) <= 3 * tf.size(open_b)
    return tf.cond(few, leave, lambda: tf.nest.map_structure(tf.identity, parts))


def _any_batch(loop: Any) -> Any:
    """Shape invariants of a loop whose first axis may change."""
    return tf.nest.map_structure(lambda part: tf.TensorShape([None, *part.shape[1:]] if part.shape.rank else []), loop)


class _Beam(NamedTuple):
    """The loop state of a beam search, for the open sentences."""

    t: tf.Tensor
    rows_b: tf.Tensor
    limits_b: tf.Tensor
    last_bk: tf.Tensor
    totals_bk: tf.Tensor
    ids_bkt: tf.Tensor
    done: Found
    n_done_b: tf.Tensor
    state: _State
    memory: _Memory


def beam_search(
    step: Step, state: _State, limits_b: tf.Tensor, beam_size: int, alpha: tf.Tensor | float = 1.0, memory: _Memory = ()
) -> Found:
    """Beam search with k hypotheses.

    Each step takes the 2 k best continuations. Those among the first k that end with EOS become finished hypotheses. The k best
    that do not end stay in the beam. A sentence is finished when it has k finished hypotheses, reaches its limit, or has no
    possible continuation. With k = 1 this is greedy search.

    Args:
        step: see the module.
        state: before the first step, every tensor `[b, 1, ...]`.
        limits_b: the most output tokens of each sentence, with EOS; at least 1.
        beam_size: k.
        alpha: exponent of the length penalty.
        memory: tensors that start with `[b]`, for `step`.
    """
    batch, longest = tf.shape(limits_b)[0], tf.reduce_max(limits_b)
    empty_bkt = tf.fill([batch, beam_size, longest], PAD_ID)
    none_bk = tf.fill([batch, beam_size], NEVER)
    nothing = Found(empty_bkt, none_bk, none_bk)
    first = _Beam(
        t=tf.constant(0),
        rows_b=tf.range(batch),
        limits_b=limits_b,
        last_bk=tf.fill([batch, beam_size], BOS_ID),
        # All hypotheses start equal: without -inf for all but one, the beam would hold k copies.
        totals_bk=tf.concat([tf.zeros([batch, 1]), none_bk[:, 1:]], 1),
        ids_bkt=empty_bkt,
        done=nothing,
        n_done_b=tf.zeros([batch], tf.int32),
        state=tf.nest.map_structure(lambda part: tf.repeat(part, beam_size, axis=1), state),
        memory=memory,
    )

    def open_of(beam: _Beam) -> tf.Tensor:
        # The best one comes first.
        return (beam.n_done_b < beam_size) & (beam.t < beam.limits_b) & (beam.totals_bk[:, 0] > NEVER)

    def body(beam: _Beam, found: Found) -> tuple[_Beam, Found]:
        beam = _beam_step(step, beam, open_of(beam), beam_size, alpha)
        places = beam.rows_b[:, None]
        pairs = zip(found, beam.done, strict=True)
        found = Found(*[tf.tensor_scatter_nd_update(total, places, part) for total, part in pairs])
        return _Beam(beam.t, *_left(open_of(beam), tuple(beam)[1:])), found

    _, found = tf.while_loop(
        lambda beam, _: tf.reduce_any(open_of(beam)),
        body,
        (first, nothing),
        shape_invariants=(_any_batch(first), _any_batch(nothing)),
    )
    return Found(*found)


def _beam_step(step: Step, beam: _Beam, open_b: tf.Tensor, beam_size: int, alpha: tf.Tensor | float) -> _Beam:
    t = beam.t
    log_probs_bkv, state = step(beam.last_bk, beam.state, beam.memory)
    log_probs_bkv = _allowed(log_probs_bkv, t, beam.limits_b)
    # 2 k: each hypothesis has one continuation by EOS, so at least k others are left.
    totals_bc, parents_bc, tokens_bc = _candidates(beam.totals_bk, log_probs_bkv, 2 * beam_size)
    ends_bc = tokens_bc == EOS_ID
    # Only among the first k: a worse continuation would not have stayed in the beam either.
    finished_bc = ends_bc & (tf.range(2 * beam_size) < beam_size) & open_b[:, None] & (totals_bc > NEVER)

    at_t = tf.range(tf.shape(beam.ids_bkt)[2]) == t
    grown_bct = tf.gather(beam.ids_bkt, parents_bc, batch_dims=1)
    grown_bct = tf.where(at_t, tokens_bc[:, :, None], grown_bct)
    ended_bc = tf.where(finished_bc, totals_bc, NEVER)
    ended = Found(grown_bct, ended_bc, ended_bc / length_penalty(t + 1, alpha))
    # More than k may finish in all: the best k by score are kept.
    both = Found(*(tf.concat(pair, 1) for pair in zip(beam.done, ended, strict=True)))
    best_bk = tf.math.top_k(both.scores_bk, beam_size).indices
    done = Found(*(tf.gather(part, best_bk, batch_dims=1) for part in both))

    totals_bk, kept_bk = tf.math.top_k(tf.where(ends_bc, NEVER, totals_bc), beam_size)
    parents_bk = tf.gather(parents_bc, kept_bk, batch_dims=1)
    return beam._replace(
        t=t + 1,
        last_bk=tf.gather(tokens_bc, kept_bk, batch_dims=1),
        totals_bk=totals_bk,
        ids_bkt=tf.gather(grown_bct, kept_bk, batch_dims=1),
        done=done,
        n_done_b=beam.n_done_b + tf.reduce_sum(tf.cast(finished_bc, tf.int32), 1),
        state=tf.nest.map_structure(lambda part: tf.gather(part, parents_bk, batch_dims=1), state),
    )


def _candidates(totals_bk: tf.Tensor, log_probs_bkv: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The `count` best continuations of each sentence, best first: total, index of the hypothesis, token."""
    shape = tf.shape(log_probs_bkv)
    # The best of each hypothesis first: a top_k over k * v totals would be slow.
    each = tf.minimum(count, shape[2])
    gained_bkc, tokens_bkc = _largest(log_probs_bkv, each)
    totals_bkc = totals_bk[:, :, None] + gained_bkc
    totals_bc, picked_bc = tf.math.top_k(tf.reshape(totals_bkc, [shape[0], -1]), count)
    tokens_bc = tf.gather(tf.reshape(tokens_bkc, [shape[0], -1]), picked_bc, batch_dims=1)
    return totals_bc, picked_bc // each, tokens_bc


def _largest(values_bkv: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k`, but faster on long rows.

    The `count` largest values are in the `count` blocks with the largest maxima, so only these blocks are searched.
    """
    shape = tf.shape(values_bkv)
    blocks = -(-shape[2] // BLOCK)
    padded = tf.pad(values_bkv, [[0, 0], [0, 0], [0, blocks * BLOCK - shape[2]]], constant_values=NEVER)
    by_block = tf.reshape(padded, [shape[0], shape[1], blocks, BLOCK])
    kept = tf.math.top_k(tf.reduce_max(by_block, -1), tf.minimum(count, blocks), sorted=False).indices
    kept = tf.sort(kept)  # Among equal values the first one wins, as in `top_k` over the complete row.
    inside = tf.reshape(tf.gather(by_block, kept, batch_dims=2), [shape[0], shape[1], -1])
    values_bkc, places_bkc = tf.math.top_k(inside, count)
    blocks_bkc = tf.gather(kept, places_bkc // BLOCK, batch_dims=2)
    return values_bkc, blocks_bkc * BLOCK + places_bkc % BLOCK


def _allowed(log_probs_bkv: tf.Tensor, t: tf.Tensor, limits_b: tf.Tensor) -> tf.Tensor:
    """The log-probabilities with -inf for PAD and BOS, and at a sentence's limit for all tokens but EOS."""
    ids_v = tf.range(tf.shape(log_probs_bkv)[2])
    never_v = tf.where((ids_v == PAD_ID) | (ids_v == BOS_ID), NEVER, 0.0)
    last_b11 = (t >= limits_b - 1)[:, None, None]
    # Each pass over all log-probabilities takes time, and the limit is rarely reached.
    return tf.cond(
        tf.reduce_any(last_b11),
        lambda: tf.where(last_b11, _end(log_probs_bkv), log_probs_bkv + never_v),
        lambda: log_probs_bkv + never_v,
    )


def _end(log_probs_bkv: tf.Tensor) -> tf.Tensor:
    """The log-probabilities of EOS, with -inf for all other tokens."""
    ends_bk = log_probs_bkv[:, :, EOS_ID]
    ends_bk1 = tf.where(ends_bk == NEVER, -IMPOSSIBLE_NATS, ends_bk)[:, :, None]
    return tf.where(tf.range(tf.shape(log_probs_bkv)[2]) == EOS_ID, ends_bk1, NEVER)
