import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from wordseq.config.schema import TrainConfig
from wordseq.training.optimizers import OPTIMIZERS, Updater, _groups, learning_rate

pytestmark = pytest.mark.usefixtures("uncompiled")

START = ([[1.0, -2.0], [3.0, 0.5]], [4.0, -1.0])
GRADIENTS = ([[2.0, 0.0], [1.0, -2.0]], [4.0, 0.0])
"""Their norm together is 5."""


def _updater(number: int = 2, **settings) -> tuple[Updater, list[keras.Variable]]:
    """Of the first so many of the variables; each is compiled on its own."""
    variables = [keras.Variable(np.float32(value)) for value in START[:number]]
    return Updater(TrainConfig(**settings), variables), variables


def _gradients(scale: float = 1.0) -> list[tf.Tensor]:
    return [tf.constant(np.float32(value) * np.float32(scale)) for value in GRADIENTS]


# Learning rate


@pytest.mark.parametrize(
    ("settings", "where", "expected"),
    [
        # Constant; decays and epochs have no effect.
        ({"schedule": "constant"}, (1, 1, 0), 0.1),
        ({"schedule": "constant"}, (999, 9, 5), 0.1),
        # Linear warm-up to the peak.
        ({"schedule": "constant", "warmup_steps": 4}, (1, 1, 0), 0.025),
        ({"schedule": "constant", "warmup_steps": 4}, (2, 1, 0), 0.05),
        ({"schedule": "constant", "warmup_steps": 4}, (4, 1, 0), 0.1),
        ({"schedule": "constant", "warmup_steps": 4}, (5, 1, 0), 0.1),
        # A factor for each decay.
        ({"schedule": "plateau", "decay": 0.5}, (7, 3, 0), 0.1),
        ({"schedule": "plateau", "decay": 0.5}, (7, 3, 1), 0.05),
        ({"schedule": "plateau", "decay": 0.5}, (7, 3, 3), 0.0125),
        ({"schedule": "plateau", "decay": 0.5, "warmup_steps": 10}, (5, 1, 1), 0.025),
        # A factor for each epoch after the first.
        ({"schedule": "exponential", "decay": 0.8}, (7, 1, 4), 0.1),
        ({"schedule": "exponential", "decay": 0.8}, (7, 3, 4), 0.064),
        # sqrt(warmup / step) from the end of the warm-up on.
        ({"schedule": "inverse_sqrt", "warmup_steps": 100}, (50, 1, 0), 0.05),
        ({"schedule": "inverse_sqrt", "warmup_steps": 100}, (100, 1, 0), 0.1),
        ({"schedule": "inverse_sqrt", "warmup_steps": 100}, (400, 1, 0), 0.05),
        ({"schedule": "inverse_sqrt", "warmup_steps": 100}, (10_000, 1, 0), 0.01),
        ({"schedule": "inverse_sqrt"}, (1, 1, 0), 0.1),
        ({"schedule": "inverse_sqrt"}, (4, 1, 0), 0.05),
    ],
)
def test_learning_rate_by_hand(settings, where, expected):
    step, epoch, decays = where
    assert learning_rate(TrainConfig(learning_rate=0.1, **settings), step, epoch, decays) == pytest.approx(expected)


# Updates


def test_the_optimizers_are_those_of_the_settings():
    assert set(OPTIMIZERS) == set(TrainConfig.__dataclass_fields__["optimizer"].metadata["choices"])


@pytest.mark.parametrize(
    ("clip_norm", "share"),
    [(1.0, 1 / 5), (2.5, 1 / 2), (5.0, 1.0), (7.0, 1.0), (0.0, 1.0)],
    ids=["far above", "above", "at", "below", "off"],
)
def test_clipping(clip_norm, share):
    updater, variables = _updater(optimizer="sgd", learning_rate=1.0, clip_norm=clip_norm)
    assert float(updater.apply([_gradients()])) == pytest.approx(5), "the norm before clipping"
    # Plain descent with a step of 1 moves by the gradient itself.
    for variable, start, gradient in zip(variables, START, GRADIENTS, strict=True):
        moved = np.float32(start) - variable.numpy()
        close(moved, share * np.float32(gradient), 2e-6)


@pytest.mark.parametrize("clip_norm", [1.0, 0.0])
def test_no_gradient_moves_nothing(clip_norm):
    updater, variables = _updater(optimizer="sgd", clip_norm=clip_norm)
    assert float(updater.apply([_gradients(0.0)])) == 0
    for variable, start in zip(variables, START, strict=True):
        np.testing.assert_array_equal(variable, np.float32(start))


@pytest.mark.parametrize(("bad", "traced"), [(float("nan"), True), (-float("inf"), False), (1e30, False)])
def test_gradients_that_are_not_finite_change_nothing(request, bad, traced):
    if traced:
        request.getfixturevalue("compiled")
    updater, variables = _updater(optimizer="adam", average=0.9)
    updater.apply([_gradients()])
    everything = [
        *variables,
        *updater.averages.values(),
        *(v for optimizer in updater.optimizers for v in optimizer.variables),
    ]
    before = [variable.numpy() for variable in everything]
    apply = tf.function(updater.apply, autograph=False) if traced else updater.apply
    gradients = _gradients()
    gradients[1] = tf.constant([bad, 0.0])
    assert not np.isfinite(apply([gradients]))
    for variable, kept in zip(everything, before, strict=True):
        np.testing.assert_array_equal(variable, kept, err_msg=variable.path)
    assert np.isfinite(apply([_gradients()]))
    assert any((variable.numpy() != kept).any() for variable, kept in zip(variables, before[:2], strict=True))


def test_adam_equals_numpy(compiled):
    updater, variables = _updater(optimizer="adam", learning_rate=0.01, clip_norm=0)
    values = [np.float64(start) for start in START]
    moments = [(np.zeros_like(value), np.zeros_like(value)) for value in values]
    rng = np.random.default_rng(0)
    for step in range(1, 6):
        gradients = [rng.normal(size=value.shape).astype(np.float32) for value in values]
        updater.apply([[tf.constant(gradient) for gradient in gradients]])
        for k, gradient in enumerate(np.float64(g) for g in gradients):
            # Kingma and Ba (2015), algorithm 1.
            mean, square = moments[k]
            mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
            moments[k] = mean, square
            corrected = mean / (1 - 0.9**step), square / (1 - 0.999**step)
            values[k] -= 0.01 * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
        for variable, value in zip(variables, values, strict=True):
            close(variable, value)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_epsilon_is_that_of_the_paper(name):
    """Keras has 1e-7, which would make the steps by such small gradients smaller."""
    updater, variables = _updater(optimizer=name, clip_norm=0)
    updater.set_learning_rate(1.0)
    updater.apply([_gradients(1e-6)])
    for variable, start, gradient in zip(variables, START, GRADIENTS, strict=True):
        small = 1e-6 * np.float64(gradient)
        # As at the end of section 2 of the paper: epsilon is added before the correction of the bias, here sqrt(1 - 0.999).
        close(np.float32(start) - variable.numpy(), small / (np.abs(small) + 1e-8 / 0.001**0.5), 1e-4)


def test_shares_of_a_batch_are_added_and_divided_by_their_count():
    # Plain descent: Adam would hide a wrong factor.
    updater, variables = _updater(optimizer="sgd", learning_rate=0.5, clip_norm=0)
    shares = [_gradients(scale) for scale in (4.0, -1.0, 2.0)]
    assert float(updater.apply(shares, 4.0)) == pytest.approx(5 * 5 / 4)
    for variable, start, gradient in zip(variables, START, GRADIENTS, strict=True):
        close(variable, np.float32(start) - 0.5 * 5 / 4 * np.float32(gradient), 2e-6)


def test_rows_of_an_embedding_equal_the_dense_matrix():
    rows, variables = _updater(optimizer="adam")
    whole, whole_variables = _updater(optimizer="adam")
    values, places = np.float32([[1.0, 2.0], [3.0, -1.0], [0.5, 0.25]]), [1, 0, 1]
    matrix = np.zeros((2, 2), np.float32)
    np.add.at(matrix, places, values)
    second = tf.constant(np.float32(GRADIENTS[1]))

    def part(which: slice) -> list:
        return [tf.IndexedSlices(values[which], places[which], (2, 2)), second]

    norm = rows.apply([part(slice(0, 2)), part(slice(2, 3))])
    assert float(norm) == pytest.approx(float(whole.apply([[tf.constant(matrix), 2 * second]])))
    for a, b in zip(variables, whole_variables, strict=True):
        close(a, b, 2e-6)


def test_groups_hold_every_weight_once_and_are_about_as_large():
    sizes = [100, 3, 60, 50, 1, 8]
    groups = _groups(sizes)
    assert sorted(place for group in groups for place in group) == list(range(len(sizes)))
    totals = [sum(sizes[place] for place in group) for group in groups]
    assert max(totals) - min(totals) <= 3
    assert _groups([7]) == [[0]]


def test_adamw_decays_the_weights_beside_the_gradient():
    updater, variables = _updater(optimizer="adamw", learning_rate=0.1, weight_decay=0.5, clip_norm=0)
    updater.apply([_gradients(0.0)])
    for variable, start in zip(variables, START, strict=True):
        close(variable, np.float32(start) * (1 - 0.1 * 0.5))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_minimises_a_quadratic_with_the_given_learning_rate(compiled, name):
    updater, variables = _updater(1, optimizer=name, clip_norm=1.0)

    def height() -> float:
        return sum(float(np.square(variable.numpy()).sum()) for variable in variables)

    updater.set_learning_rate(0.0)
    updater.apply([_gradients()[:1]])
    np.testing.assert_array_equal(variables[0], np.float32(START[0]))
    updater.set_learning_rate(0.1)
    heights = [height()]
    for _ in range(8):
        updater.apply([[2 * tf.convert_to_tensor(variable) for variable in variables]])
        heights.append(height())
    assert all(after < before for before, after in itertools.pairwise(heights))


def test_averages_equal_numpy_and_the_weights_are_as_without_them(compiled):
    averaging, variables = _updater(1, optimizer="adam", average=0.6, learning_rate=0.5)
    plain, plain_variables = _updater(1, optimizer="adam", learning_rate=0.5)
    averages = [np.float64(START[0])]
    rng = np.random.default_rng(0)
    for step in range(1, 15):
        gradients = [tf.constant(rng.normal(size=np.shape(START[0])), tf.float32)]
        for updater in (averaging, plain):
            updater.apply([gradients])
        # 2/11, 3/12, ... up to 0.6, which it reaches in update 13.
        decay = min(0.6, (1 + step) / (10 + step))
        averages = [decay * old + (1 - decay) * new.numpy() for old, new in zip(averages, variables, strict=True)]
    for variable, average, other in zip(variables, averages, plain_variables, strict=True):
        close(averaging.averages[variable.path], average)
        np.testing.assert_array_equal(variable, other)
    assert not plain.averages


def test_twice_the_learning_rate_moves_twice_as_far():
    moved = []
    for rate in (0.25, 0.5):
        updater, variables = _updater(optimizer="sgd", clip_norm=0)
        updater.set_learning_rate(rate)
        updater.apply([_gradients()])
        moved.append(np.float32(START[0]) - variables[0].numpy())
    close(moved[1], 2 * moved[0], 2e-6)
    assert moved[0].any()
