"""The loss: nats summed over real target tokens. Who calls leaves padding out, and divides by the number of tokens."""

import tensorflow as tf


def token_nats(logits_nv: tf.Tensor, targets_n: tf.Tensor) -> tf.Tensor:
    """-log p(target) of each of n tokens, in nats."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets_n, logits_nv)


def cross_entropy(
    logits_nv: tf.Tensor, targets_n: tf.Tensor, label_smoothing: float = 0.0
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sparse categorical cross-entropy summed over n tokens, in nats: what to minimise, and without smoothing.

    Args:
        logits_nv: one row a real token.
        targets_n: the gold ids.
        label_smoothing: share e of the target probability spread evenly over the v ids (Szegedy et al. 2016, section 7):
            (1 - e) * -log p(target) + e * mean over ids of -log p(id).
    """
    nats_n = token_nats(logits_nv, targets_n)
    plain = tf.reduce_sum(nats_n)
    if not label_smoothing:
        return plain, plain
    # -log p(id) = logsumexp - logit, and logsumexp = nats + logit of the target.
    target_logits_n = tf.gather(logits_nv, targets_n, batch_dims=1)
    uniform_n = nats_n + target_logits_n - tf.reduce_mean(logits_nv, -1)
    return (1 - label_smoothing) * plain + label_smoothing * tf.reduce_sum(uniform_n), plain
