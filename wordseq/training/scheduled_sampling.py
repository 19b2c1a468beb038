"""What the decoder is fed in training: gold tokens, its own predictions, or some of each (Bengio et al. 2015)."""

import math

import tensorflow as tf

from wordseq.batches.batching import mask
from wordseq.config.schema import TrainConfig
from wordseq.models.matmul import cast_once
from wordseq.models.seq2seq import Memory, Seq2Seq, States
from wordseq.text.vocab import BOS_ID, PAD_ID


def gold_share(train: TrainConfig, step: int) -> float:
    """The share of gold tokens in the update after `step` updates.

    Falls from 1 with i = `step` and k = `train.teacher_forcing_decay`, but not below `train.teacher_forcing`
    (Bengio et al. 2015, section 2.4, with k in updates):

        constant         train.teacher_forcing from the start
        linear           1 - i / k
        exponential      exp(-i / k)
        inverse_sigmoid  k / (k + exp(i / k))
    """
    k = train.teacher_forcing_decay
    shares = {
        "constant": 0.0,
        "linear": 1 - step / k,
        "exponential": math.exp(-step / k),
        # As 1 / (1 + exp(x)), where x cannot grow beyond what a float holds.
        "inverse_sigmoid": 1 / (1 + math.exp(min(step / k - math.log(k), 700.0))),
    }
    return max(train.teacher_forcing, shares[train.teacher_forcing_schedule])


def fed_ids(
    model: Seq2Seq, gold_ids_bt: tf.Tensor, memory: Memory, states: States, share: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Decoder inputs `[b, t]`: each gold with probability `share`, else what the model holds most probable after those before.

    The model goes over the sentence step by step as in greedy decoding, without dropout in the decoder. Nothing here has a
    gradient: a prediction is a choice. So to run the decoder over these ids at once gives the loss and gradients of a decoder
    that was fed them one by one.

    Args:
        model: in use.
        gold_ids_bt: start with BOS. BOS and padding are always given as they are.
        memory: of the sentences.
        states: before the first step, every part `[b, ...]`.
        share: probability, a scalar.
        seed: two whole numbers; they decide the draw.
    """
    shape = tf.shape(gold_ids_bt)
    gold_bt = (tf.random.stateless_uniform(shape, seed) < share) | ~mask(gold_ids_bt)
    steps = shape[1]
    ids_v = tf.range(model.tgt_size)
    never_v = tf.where((ids_v == PAD_ID) | (ids_v == BOS_ID), float("-inf"), 0.0)

    def body(t: tf.Tensor, ids_b: tf.Tensor, states: States, fed: tf.TensorArray) -> tuple[object, ...]:
        logits_b1v, states = model.decoder_step(ids_b[:, None], memory, states)
        predicted_b = tf.argmax(logits_b1v[:, 0] + never_v, -1, tf.int32)
        ids_b = tf.where(gold_bt[:, t], gold_ids_bt[:, t], predicted_b)
        return t + 1, ids_b, states, fed.write(t, ids_b)

    first_b = gold_ids_bt[:, 0]
    fed = tf.TensorArray(tf.int32, steps).write(0, first_b)
    one_each = tf.nest.map_structure(lambda part: part[:, None], states)
    with cast_once(model.weights, model.precision):
        *_, fed = tf.while_loop(lambda t, *_: t < steps, body, (tf.constant(1), first_b, one_each, fed))
    return tf.transpose(fed.stack())
