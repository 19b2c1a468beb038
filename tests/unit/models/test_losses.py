import math

import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from wordseq.models.losses import _softmax_loss, cross_entropy, token_nats

TOKENS, UNITS, SIZE = 7, 4, 9
RNG = np.random.default_rng(5)
HIDDEN = RNG.normal(size=(TOKENS, UNITS)).astype(np.float32)
KERNEL = RNG.normal(size=(UNITS, SIZE)).astype(np.float32)
BIAS = RNG.normal(size=SIZE).astype(np.float32)
TARGETS = RNG.integers(0, SIZE, TOKENS).astype(np.int32)
LOGITS = np.float64(HIDDEN) @ KERNEL + BIAS
# Compiled, they run in the other tests: XLA compiles for every size.
EAGER = pytest.mark.usefixtures("eager")
SHARES = pytest.mark.parametrize("share", [0.0, 0.1])


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def _wanted(share: float) -> np.ndarray:
    """(1 - share) on the target plus share spread over all ids."""
    return (1 - share) * np.eye(SIZE)[TARGETS] + share / SIZE


def _loss(share: float = 0.0, repeat: int = 1, **settings):
    hidden_nh, targets_n = tf.constant(np.tile(HIDDEN, [repeat, 1])), tf.constant(np.tile(TARGETS, repeat))
    return cross_entropy(
        hidden_nh, tf.constant(KERNEL), tf.constant(BIAS), targets_n, label_smoothing=share, **settings
    )


@EAGER
@pytest.mark.parametrize(("size", "share"), [(2, 0.1), (SIZE, 0.0)])
def test_uniform_logits_cost_ln_v_per_token(size, share):
    targets_n = tf.constant([0, 1, 1, 0, size - 1])
    close(token_nats(tf.fill([5, size], 3.0), targets_n), [math.log(size)] * 5, 2e-6)
    for nats in cross_entropy(
        tf.ones([5, 3]), tf.zeros([3, size]), tf.fill([size], 2.0), targets_n, label_smoothing=share
    ):
        assert float(nats) == pytest.approx(5 * math.log(size), rel=1e-6)


def test_nats_of_tokens_equal_numpy():
    expected = -_log_softmax(LOGITS)[np.arange(TOKENS), TARGETS]
    close(token_nats(tf.constant(LOGITS, tf.float32), TARGETS), expected)


@SHARES
def test_label_smoothing_equals_the_formula(share):
    loss, plain = _loss(share)
    assert float(loss) == pytest.approx(-(_wanted(share) * _log_softmax(LOGITS)).sum(), rel=1e-5)
    assert float(plain) == pytest.approx(-(_wanted(0.0) * _log_softmax(LOGITS)).sum(), rel=1e-5)


def test_gradient_is_the_difference_of_the_distributions():
    share = 0.1
    tensors = [tf.constant(array) for array in (HIDDEN, KERNEL, BIAS)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        # A factor that comes after the loss must arrive in its gradient.
        loss = 3 * cross_entropy(*tensors, tf.constant(TARGETS), label_smoothing=share)[0]
    d_logits = 3 * (np.exp(_log_softmax(LOGITS)) - _wanted(share))
    expected = (d_logits @ KERNEL.T, HIDDEN.T @ d_logits, d_logits.sum(0))
    for got, wanted in zip(tape.gradient(loss, tensors), expected, strict=True):
        close(got, wanted)


@EAGER
def test_tokens_are_summed_not_averaged():
    for once, many in zip(_loss(0.1), _loss(0.1, 60), strict=True):
        assert float(many) == pytest.approx(60 * float(once), rel=1e-5)


@EAGER
def test_large_logits_stay_finite():
    loss, plain = cross_entropy(
        tf.eye(2), tf.constant([[1e4, -1e4], [-1e4, 1e4]]), tf.zeros([2]), tf.constant([0, 0]), label_smoothing=0.1
    )
    assert float(plain) == pytest.approx(2e4)
    assert math.isfinite(float(loss))


@EAGER
def test_no_tokens_cost_nothing():
    loss, plain = cross_entropy(tf.zeros([0, UNITS]), tf.constant(KERNEL), tf.constant(BIAS), tf.zeros([0], tf.int32))
    assert float(loss) == float(plain) == 0


def test_bfloat16_is_close_to_float32_and_not_the_same():
    exact, rounded = (_loss(0.1, precision=precision) for precision in ("float32", "bfloat16"))
    for a, b in zip(exact, rounded, strict=True):
        assert b.dtype == tf.float32
        assert 1e-7 < abs(float(a) / float(b) - 1) < 0.02


def test_compiled_loss_is_safe_when_the_parts_of_a_batch_first_run_it_at_once():
    # See quiet.py: sums handed to the YNN library crash now and then.
    product_nv, targets_n = tf.zeros([320, 1515]), tf.zeros([320], tf.int32)
    compiled = _softmax_loss.experimental_get_compiler_ir(
        product_nv, tf.zeros([1515]), targets_n, tf.constant(320), 0.1
    )
    text = compiled(stage="optimized_hlo")
    assert "reduce(" in text
    assert "__ynn_fusion" not in text
