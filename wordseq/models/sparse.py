"""Maps from scores to probabilities: softmax, and two that give exact zeros; their losses have the gradient p - y.

    softmax    p_i = exp(z_i) / sum of exp(z_j)
    sparsemax  p_i = max(0, z_i - t)           the point of the simplex nearest to z       (Martins and Astudillo 2016)
    entmax15   p_i = max(0, z_i / 2 - t)^2     between the two: 1.5-entmax                 (Peters, Niculae and Martins 2019)

The threshold t makes the probabilities sum to 1. It is exact: the scores are sorted, and t follows from those above it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from wordseq.text.vocab import BOS_ID, PAD_ID

# Finite: where all positions are masked, softmax of -inf would be NaN.
MASKED = -1e9
"""Score of a masked position: its weight is 0."""

LARGEST = 128
"""The threshold of long rows is sought among this number of largest scores first. Sparse outputs have far fewer above it."""

IMPOSSIBLE_NATS = 100.0
"""Cost of a token with probability 0, where a finite one is needed. The smallest float32 above 0 costs 87."""

Map = Callable[..., tf.Tensor]


def softmax(scores: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """Probabilities along the last axis.

    Args:
        scores: any shape.
        mask: true at positions that take part, broadcast to the scores; the others get 0. None: all take part.
    """
    return tf.nn.softmax(scores if mask is None else tf.where(mask, scores, MASKED))


def sparsemax(scores: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """See `softmax`; where no position takes part, all get 0 (Martins and Astudillo 2016, algorithm 1)."""
    return _sparse(scores, mask, 1.0, _sparsemax_threshold, lambda over: over, tf.sign)


def entmax15(scores: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """See `softmax`; where no position takes part, all get 0 (Peters, Niculae and Martins 2019, algorithm 2)."""
    return _sparse(scores, mask, 0.5, _entmax15_threshold, tf.square, tf.sqrt)


MAPS: Mapping[str, Map] = MappingProxyType({"softmax": softmax, "sparsemax": sparsemax, "entmax15": entmax15})

ALPHAS: Mapping[str, float] = MappingProxyType({"sparsemax": 2.0, "entmax15": 1.5})
"""Alpha of the Tsallis entropy that a sparse map belongs to."""


def map_named(name: str) -> Map:
    """The map called `name`.

    Raises:
        ValueError: no such map; the message lists the names.
    """
    if name not in MAPS:
        raise ValueError(f"unknown map {name!r}; choose from {', '.join(MAPS)}")
    return MAPS[name]


def possible_tokens(size: int) -> tf.Tensor:
    """True for the ids of a vocabulary that can be a next token: all but PAD and BOS."""
    ids_v = tf.range(size)
    return (ids_v != PAD_ID) & (ids_v != BOS_ID)


def fenchel_young(
    name: str, logits_nv: tf.Tensor, targets_n: tf.Tensor, label_smoothing: float = 0.0
) -> tuple[tf.Tensor, tf.Tensor]:
    """The loss of a sparse map for each token: p . z - W(p) - y . z (Peters, Niculae and Martins 2019, equation 10).

    W(p) is the negative Tsallis entropy (sum of p_i^alpha - 1) / (alpha (alpha - 1)). The loss is 0 if the target has
    probability 1; its gradient is p - y. PAD and BOS have probability 0 and no gradient.

    Args:
        name: "sparsemax" or "entmax15".
        logits_nv: z.
        targets_n: the gold ids, neither PAD nor BOS.
        label_smoothing: share e of y, spread evenly over the ids that can be a next token. The loss is (1 - e) * loss of the
            target + e * mean loss of these ids, as with softmax.

    Returns:
        The losses `[n]` to minimise, and the losses without smoothing, which have no gradient.
    """
    alpha, probabilities, size = ALPHAS[name], MAPS[name], logits_nv.shape[-1]
    possible_v = possible_tokens(size)
    even_v = tf.cast(possible_v, tf.float32) / (size - 2)

    @tf.custom_gradient
    def run(logits_nv: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Any]:
        p_nv = probabilities(logits_nv, possible_v)
        # Relative to the target: a difference of two large sums would lose digits.
        over_nv = logits_nv - tf.gather(logits_nv, targets_n, batch_dims=1)[:, None]
        entropy_n = (1 - tf.reduce_sum(p_nv**alpha, -1)) / (alpha * (alpha - 1))
        plain_n = tf.reduce_sum(p_nv * over_nv, -1) + entropy_n
        # The loss of another id differs in y . z alone.
        losses_n = plain_n - label_smoothing * tf.reduce_sum(even_v * over_nv, -1) if label_smoothing else plain_n

        def gradient(d_n: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
            gold_nv = tf.one_hot(targets_n, size)
            return d_n[:, None] * (p_nv - (1 - label_smoothing) * gold_nv - label_smoothing * even_v)

        return (losses_n, plain_n), gradient

    losses_n, plain_n = run(logits_nv)
    return losses_n, tf.stop_gradient(plain_n)


def _sparse(
    scores: tf.Tensor,
    mask: tf.Tensor | None,
    scale: float,
    threshold: Callable[[tf.Tensor], tf.Tensor],
    power: Callable[[tf.Tensor], tf.Tensor],
    slope: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """The probabilities power(max(0, scale * z - t)).

    Args:
        scores: z.
        mask: see `softmax`.
        scale: of the scores.
        threshold: from sorted scores, the largest of which is 0, to t.
        power: from what is over t to the probability.
        slope: from the probability to its derivative by the score, up to a constant.
    """

    @tf.custom_gradient
    def run(scores: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        if mask is not None:
            scores = tf.where(mask, scores, MASKED)
        # t lies between -1 and 0 then. So scores below -1 have no say, and where they lie is of no importance.
        scaled = tf.maximum(scale * (scores - tf.reduce_max(scores, -1, keepdims=True)), -2.0)
        p = power(tf.maximum(scaled - _found(scaled, threshold), 0.0))
        if mask is not None:
            p = tf.where(mask, p, 0.0)

        def gradient(d_p: tf.Tensor) -> tf.Tensor:
            slopes = slope(p)
            mean = tf.math.divide_no_nan(
                tf.reduce_sum(slopes * d_p, -1, keepdims=True), tf.reduce_sum(slopes, -1, keepdims=True)
            )
            return slopes * (d_p - mean)

        return p, gradient

    return run(scores)


def _found(scaled: tf.Tensor, threshold: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """The threshold `[..., 1]` of each row."""

    def of_all() -> tf.Tensor:
        return threshold(tf.sort(scaled, direction="DESCENDING"))

    size = scaled.shape[-1]
    if size is None or size <= 2 * LARGEST:
        return of_all()
    largest = tf.math.top_k(scaled, LARGEST).values
    return tf.cond(tf.reduce_all(largest[..., -1] <= -1.0), lambda: threshold(largest), of_all)


def _sparsemax_threshold(sorted_scores: tf.Tensor) -> tf.Tensor:
    count = _counting(sorted_scores)
    sums = tf.cumsum(sorted_scores, -1)
    above = 1 + count * sorted_scores > sums
    return _at_last(above, (sums - 1) / count)


def _entmax15_threshold(sorted_scores: tf.Tensor) -> tf.Tensor:
    count = _counting(sorted_scores)
    mean = tf.cumsum(sorted_scores, -1) / count
    spread = tf.cumsum(sorted_scores**2, -1) - count * mean**2
    thresholds = mean - tf.sqrt(tf.maximum((1 - spread) / count, 0.0))
    return _at_last(thresholds <= sorted_scores, thresholds)


def _counting(sorted_scores: tf.Tensor) -> tf.Tensor:
    return tf.range(1, tf.shape(sorted_scores)[-1] + 1, dtype=tf.float32)


def _at_last(above: tf.Tensor, thresholds: tf.Tensor) -> tf.Tensor:
    """The threshold of the last score above its own; those above come first."""
    last = tf.reduce_sum(tf.cast(above, tf.int32), -1, keepdims=True) - 1
    return tf.gather(thresholds, last, batch_dims=above.shape.rank - 1)
