"""Scheduled sampling (Bengio et al. 2015): in training, some inputs of the decoder are its own predictions."""

import math

import tensorflow as tf

from wordseq.batches.batching import mask
from wordseq.config.schema import TrainConfig
from wordseq.models.matmul import cast_once
from wordseq.models.seq2seq import Memory, Seq2Seq, States
from wordseq.text.vocab import BOS_ID, PAD_ID


def gold_share(train: TrainConfig, step: int) -> float:
    """The share of gold tokens among the decoder's inputs, in the update after `step` updates.

    With i = `step` and k = `train.teacher_forcing_decay` (Bengio et al. 2015, section 2.4, with k in updates), the share is the
    larger one of `train.teacher_forcing` and:

        constant         0
        linear           1 - i / k
        exponential      exp(-i / k)
        inverse_sigmoid  k / (k + exp(i / k))
    """
    k = train.teacher_forcing_decay
    shares = {
        "constant": 0.0,
        "linear": 1 - step / k,
        "exponential": math.exp(-step / k),
        # k / (k + exp(i / k)) as 1 / (1 + exp(x)), with x below 709, where exp overflows.
        "inverse_sigmoid": 1 / (1 + math.exp(min(step / k - math.log(k), 700.0))),
    }
    return max(train.teacher_forcing, shares[train.teacher_forcing_schedule])


def fed_ids(
    model: Seq2Seq, gold_ids_bt: tf.Tensor, memory: Memory, states: States, share: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Decoder inputs `[b, t]`: each is gold with probability `share`, else the model's most probable token after those before.

    The model runs step by step as in greedy search, without dropout in the decoder. Choosing a token has no gradient. So one
    pass of the decoder over these ids gives the loss and gradients of a decoder that is fed step by step.

    Args:
        model: the model in training.
        gold_ids_bt: gold inputs, BOS first. BOS and padding are never replaced.
        memory: of the sentences.
        states: before the first step, every tensor `[b, ...]`.
        share: a probability, scalar.
        seed: two integers, the seed of the draws.
    """
    shape = tf.shape(gold_ids_bt)
    gold_bt = (tf.random.stateless_uniform(shape, seed) < share) | ~mask(gold_ids_bt)
    steps = shape[1]
    ids_v = tf.range(model.tgt_size)
    never_v = tf.where((ids_v == PAD_ID) | (ids_v == BOS_ID), float("-inf"), 0.0)

    def body(t: tf.Tensor, ids_b: tf.Tensor, states: States, fed: tf.TensorArray) -> tuple[object, ...]:
        log_probs_b1v, states = model.decoder_step(ids_b[:, None], memory, states)
        predicted_b = tf.argmax(log_probs_b1v[:, 0] + never_v, -1, tf.int32)
        ids_b = tf.where(gold_bt[:, t], gold_ids_bt[:, t], predicted_b)
        return t + 1, ids_b, states, fed.write(t, ids_b)

    # The first input is always BOS, so the loop starts with its successor.
    first_b = gold_ids_bt[:, 0]
    fed = tf.TensorArray(tf.int32, steps).write(0, first_b)
    # `decoder_step` takes states of k hypotheses, here of one.
    one_each = tf.nest.map_structure(lambda part: part[:, None], states)
    with cast_once(model.weights, model.precision):
        *_, fed = tf.while_loop(lambda t, *_: t < steps, body, (1, first_b, one_each, fed))
    return tf.transpose(fed.stack())
