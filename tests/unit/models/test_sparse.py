import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from tests.reference import sparse as reference
from wordseq.config.schema import PROBABILITY_MAPS
from wordseq.models.sparse import ALPHAS, LARGEST, MAPS, fenchel_young, map_named
from wordseq.text.vocab import BOS_ID, EOS_ID, PAD_ID

SPARSE = sorted(ALPHAS)
SHAPES = [(5,), (4, 1), (3, 7), (2, 3, 40)]
EACH = pytest.mark.parametrize("name", SPARSE)


def _draw(*shape: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape, scale=scale)


def _values_and_gradient(name: str, scores: np.ndarray, weights: np.ndarray, mask=None):
    """The probabilities, and the gradient of their weighted sum."""
    given = tf.constant(scores, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(given)
        p = MAPS[name](given, mask)
        total = tf.reduce_sum(p * tf.cast(weights, tf.float32))
    return p, tape.gradient(total, given)


def test_the_maps_are_those_of_the_settings():
    assert tuple(MAPS) == PROBABILITY_MAPS == tuple(reference.MAPS)
    with pytest.raises(ValueError, match="unknown map 'hardmax'; choose from softmax, sparsemax, entmax15"):
        map_named("hardmax")


@pytest.mark.parametrize("scale", [0.01, 1.0, 5.0])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", MAPS)
def test_values_equal_the_reference(name, shape, scale):
    scores = _draw(*shape, scale=scale)
    p = MAPS[name](tf.constant(scores, tf.float32)).numpy()
    close(p, reference.MAPS[name](scores), 3e-6)
    close(p.sum(-1), 1, 2e-6)


@EACH
# Few above the threshold: found among the largest. Thousands of equal ones: all are sorted.
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_long_rows_equal_the_reference(name, scale):
    scores = _draw(3, 5 * LARGEST, scale=scale)
    expected = reference.MAPS[name](scores)
    assert ((expected > 0).sum(-1).max() > LARGEST) == (scale < 1)
    compiled = tf.function(MAPS[name], autograph=False)
    for found in (MAPS[name], compiled):
        p = found(tf.constant(scores, tf.float32)).numpy()
        close(p, expected, 1e-5)
        if scale == 1:
            np.testing.assert_array_equal(p > 0, expected > 0)


@EACH
def test_by_hand(name):
    # sparsemax: t = (2 - 1) / 2. entmax15 of equal scores is even. A score far below gets nothing.
    sure, even = MAPS[name](tf.constant([[9.0, 1.0, 1.0, 1.0], [2.0, 2.0, -9.0, 2.0]])).numpy()
    np.testing.assert_array_equal(sure, [1, 0, 0, 0])
    close(even, [1 / 3, 1 / 3, 0, 1 / 3], 2e-6)
    two = MAPS[name](tf.constant([0.5, 0.0])).numpy()
    # entmax15 with x = 0.25 - t and y = -t: x^2 + y^2 = 1 and x - y = 0.25.
    y = (-0.25 + np.sqrt(2 - 0.0625)) / 2
    close(two, [0.75, 0.25] if name == "sparsemax" else [(y + 0.25) ** 2, y**2], 2e-6)


@EACH
def test_large_and_equal_scores_are_exact(name):
    scores = np.array([[1e4, 1e4 - 0.5, -1e4], [-3e4, -3e4, -3e4]])
    p = MAPS[name](tf.constant(scores, tf.float32)).numpy()
    close(p, reference.MAPS[name](scores), 3e-6)


@EACH
@pytest.mark.parametrize("shape", [(1, 6), (2, 3, 20)])
def test_gradients_equal_differences_of_the_reference(name, shape):
    scores, weights = _draw(*shape), _draw(*shape, scale=2.0)
    _, gradient = _values_and_gradient(name, scores, weights)
    expected, step = np.zeros(shape), 1e-6
    for place in np.ndindex(shape):
        ahead, back = scores.copy(), scores.copy()
        ahead[place] += step
        back[place] -= step
        difference = reference.MAPS[name](ahead) - reference.MAPS[name](back)
        expected[place] = (difference * weights).sum() / (2 * step)
    close(gradient, expected, 2e-4)


@EACH
def test_masked_positions_get_nothing_and_have_no_say(name):
    scores, weights = _draw(4, 6), _draw(4, 6)
    mask = np.array([[1, 1, 0, 1, 0, 1], [0, 0, 1, 0, 0, 0], [1] * 6, [0] * 6], bool)
    found = []
    for value in (0.0, 1e3):
        given = np.where(mask, scores, value)
        p, gradient = _values_and_gradient(name, given, weights, tf.constant(mask))
        for array in (p.numpy(), gradient.numpy()):
            assert np.isfinite(array).all()
            np.testing.assert_array_equal(array[~mask], 0)
        found.append((p, gradient))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    for row in range(3):
        close(found[0][0][row][mask[row]], reference.MAPS[name](scores[row][mask[row]]), 3e-6)
    np.testing.assert_array_equal(found[0][0][3], 0)


@EACH
def test_values_equal_those_of_the_package_entmax(name):
    entmax = pytest.importorskip("entmax")
    import torch

    scores, weights = _draw(20, 50, scale=2.0), _draw(20, 50)
    given = torch.tensor(scores, dtype=torch.float32, requires_grad=True)
    expected = getattr(entmax, name)(given, dim=-1)
    (expected * torch.tensor(weights, dtype=torch.float32)).sum().backward()
    p, gradient = _values_and_gradient(name, scores, weights)
    close(p, expected.detach().numpy(), 3e-6)
    close(gradient, given.grad.numpy(), 1e-5)
    # Its loss has no ids that cannot occur.
    given, targets = torch.tensor(scores, dtype=torch.float32, requires_grad=True), 4 + np.arange(20)
    of_package = {"sparsemax": entmax.sparsemax_loss, "entmax15": entmax.entmax15_loss}[name]
    possible = np.delete(np.arange(50), [PAD_ID, BOS_ID])
    places = torch.tensor([int(np.flatnonzero(possible == target)[0]) for target in targets])
    losses = of_package(given[:, torch.tensor(possible)], places)
    losses.sum().backward()
    ours, d_ours = _losses_and_gradient(name, scores, targets)
    close(ours, losses.detach().numpy(), 1e-5)
    close(d_ours, given.grad.numpy(), 1e-5)


# Losses

SIZE = 9
TARGETS = np.array([4, EOS_ID, 8, 5, 4])


def _losses_and_gradient(name: str, logits: np.ndarray, targets: np.ndarray, share: float = 0.0):
    given = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(given)
        losses_n, _ = fenchel_young(name, given, tf.constant(targets, tf.int32), share)
        # A factor that comes after the loss must arrive in its gradient.
        total = 3 * tf.reduce_sum(losses_n)
    return losses_n, tape.gradient(total, given) / 3


def _expected(name: str, logits: np.ndarray, share: float) -> np.ndarray:
    possible = np.delete(np.arange(SIZE), [PAD_ID, BOS_ID])
    wanted = (1 - share) * np.eye(SIZE)[TARGETS] + share / len(possible)
    return reference.loss(name, logits[:, possible], wanted[:, possible])


@EACH
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_losses_and_gradients_equal_the_reference(name, share):
    logits = _draw(len(TARGETS), SIZE, scale=2.0)
    # PAD and BOS are likely, and must have no part in it.
    logits[:, [PAD_ID, BOS_ID]] += 3
    losses_n, gradient = _losses_and_gradient(name, logits, TARGETS, share)
    close(losses_n, _expected(name, logits, share))
    close(fenchel_young(name, tf.constant(logits, tf.float32), TARGETS, share)[1], _expected(name, logits, 0.0))
    step = 1e-6
    for place in np.ndindex(logits.shape):
        change = np.zeros(logits.shape)
        change[place] = step
        difference = _expected(name, logits + change, share) - _expected(name, logits - change, share)
        assert float(gradient[place]) == pytest.approx(difference.sum() / (2 * step), abs=1e-5), place


@EACH
def test_the_loss_of_a_sure_and_right_output_is_zero(name):
    logits = np.zeros((2, SIZE))
    logits[:, 5] = 4.0
    losses_n, gradient = _losses_and_gradient(name, logits, np.array([5, 6]))
    assert losses_n[0] == 0
    np.testing.assert_array_equal(gradient[0], 0)
    close(losses_n[1], 4.0)
    np.testing.assert_array_equal(gradient[1], np.eye(SIZE)[5] - np.eye(SIZE)[6])
