"""The loss of softmax, summed over real target tokens. The caller removes padding, and divides by the number of tokens."""

from typing import Any

import tensorflow as tf

from wordseq.models.matmul import PRECISIONS, matmul

ROWS = 64
"""Rows are padded to a multiple of this, so that XLA compiles few shapes."""


def token_nats(logits_nv: tf.Tensor, targets_n: tf.Tensor) -> tf.Tensor:
    """-log p(target) of each of n tokens, in nats."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets_n, logits_nv)


def cross_entropy(
    hidden_nh: tf.Tensor,
    kernel_hv: tf.Tensor,
    bias_v: tf.Tensor,
    targets_n: tf.Tensor,
    *,
    label_smoothing: float = 0.0,
    precision: str = "float32",
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sparse categorical cross-entropy of the logits `h K + b`, summed over n tokens, in nats.

    The product with the vocabulary and its softmax are most of the work of a word-level model. So one compiled pass over the
    logits computes loss and gradient together, without a copy of the logits.

    Args:
        hidden_nh: one row per real token.
        kernel_hv: K.
        bias_v: b.
        targets_n: the gold ids.
        label_smoothing: share e of the target probability, spread evenly over the v ids (Szegedy et al. 2016, section 7).
            The loss is (1 - e) * -log p(target) + e * mean over ids of -log p(id).
        precision: number format of the products and of the gradient of the logits, see `matmul`.

    Returns:
        The loss to minimise, and the loss without smoothing, which has no gradient.
    """
    kind = PRECISIONS[precision]

    # Without padding and with this one pass, 1,500 tokens take 102 instead of 149 ms (docs/results/speed.md).
    @tf.custom_gradient
    def run(hidden_nh: tf.Tensor, kernel_hv: tf.Tensor, bias_v: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Any]:
        rows = tf.shape(hidden_nh)[0]
        filling = (-rows) % ROWS
        hidden_nh = tf.cast(tf.pad(hidden_nh, [[0, filling], [0, 0]]), kind)
        kernel_hv = tf.cast(kernel_hv, kind)
        loss, plain, d_logits_nv, d_bias_v = _softmax_loss(
            tf.matmul(hidden_nh, kernel_hv), bias_v, tf.pad(targets_n, [[0, filling]]), rows, label_smoothing
        )

        def gradient(d_loss: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            # `_softmax_loss` ran before d_loss, a scalar, was known. All results are linear in it.
            d_hidden_nh = matmul(d_logits_nv, kernel_hv, precision, transpose_b=True)[:rows]
            d_kernel_hv = tf.cast(tf.matmul(hidden_nh, d_logits_nv, transpose_a=True), tf.float32)
            return d_loss * d_hidden_nh, d_loss * d_kernel_hv, d_loss * d_bias_v

        return (loss, plain), gradient

    loss, plain = run(hidden_nh, tf.convert_to_tensor(kernel_hv), tf.convert_to_tensor(bias_v))
    return loss, tf.stop_gradient(plain)


@tf.function(autograph=False, jit_compile=True)
def _softmax_loss(
    product_nv: tf.Tensor, bias_v: tf.Tensor, targets_n: tf.Tensor, rows: tf.Tensor, label_smoothing: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Loss, loss without smoothing, gradient of the logits (in the format of the product), gradient of the bias.

    Rows from index `rows` on are padding: they add nothing to the losses and gradients.
    """
    real_n = tf.cast(tf.range(tf.shape(product_nv)[0]) < rows, tf.float32)
    logits_nv = tf.cast(product_nv, tf.float32) + bias_v
    log_sum_n = tf.reduce_logsumexp(logits_nv, -1)
    size = tf.shape(logits_nv)[1]
    # Gathered, not summed with `gold_nv`: 8.1 instead of 10.0 ms for 768 tokens (docs/results/speed.md).
    gold_n = tf.cast(tf.gather(product_nv, targets_n, batch_dims=1), tf.float32) + tf.gather(bias_v, targets_n)
    plain_n = (log_sum_n - gold_n) * real_n
    uniform_n = (log_sum_n - tf.reduce_mean(logits_nv, -1)) * real_n
    gold_nv = tf.cast(tf.range(size)[None] == targets_n[:, None], tf.float32)
    wanted_nv = (1 - label_smoothing) * gold_nv + label_smoothing / tf.cast(size, tf.float32)
    d_logits_nv = (tf.exp(logits_nv - log_sum_n[:, None]) - wanted_nv) * real_n[:, None]
    plain = tf.reduce_sum(plain_n)
    loss = (1 - label_smoothing) * plain + label_smoothing * tf.reduce_sum(uniform_n)
    return loss, plain, tf.cast(d_logits_nv, product_nv.dtype), tf.reduce_sum(d_logits_nv, 0)
