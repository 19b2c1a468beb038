import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from tests.reference.cells import REFERENCES, STATE_PARTS, run
from tests.runs import SOME_CELLS
from tests.unit.models.test_cells import randomise, weights_of
from wordseq.models.cells import CELL_TYPES, make_cell
from wordseq.models.rnn import Bidirectional, Recurrence, Scan, Stack

INPUTS, UNITS = 5, 8
LENGTHS = [3, 1, 2]
MASK_BT = np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]
KERAS = {
    "gru": lambda **s: keras.layers.GRU(UNITS, reset_after=True, **s),
    "lstm": lambda **s: keras.layers.LSTM(UNITS, **s),
    "rnn": lambda **s: keras.layers.SimpleRNN(UNITS, **s),
}
# What is special in a cell is tested with every cell, in one direction, against its reference. The rest holds for all cells.
EVERY_CELL = pytest.mark.parametrize("name", CELL_TYPES)
SOME = pytest.mark.parametrize("name", SOME_CELLS)
CELL_AND_WAY = pytest.mark.parametrize(
    ("name", "reverse"),
    [
        pytest.param(
            name, reverse, marks=[pytest.mark.slow] * ((name, reverse) not in {("gru", False), ("lstm", True)})
        )
        for name in CELL_TYPES
        for reverse in (False, True)
    ],
)
ONE_CELL = pytest.mark.parametrize(
    "name", [name if name == "lstm" else pytest.param(name, marks=pytest.mark.slow) for name in CELL_TYPES]
)
EAGER = pytest.mark.usefixtures("eager")


def _draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def _inputs(batch: int = len(LENGTHS)) -> np.ndarray:
    return _draw(batch, max(LENGTHS), INPUTS)


def _state(name: str, batch: int = len(LENGTHS), seed: int = 1) -> tuple[tf.Tensor, ...]:
    return tuple(tf.constant(_draw(batch, UNITS, seed=seed + k)) for k in range(STATE_PARTS[name]))


def _built(layer):
    layer.build((None, None, INPUTS))
    randomise(layer)
    return layer


def _expected(name, cell, inputs_bti, state, reverse=False, lengths=LENGTHS):
    """Outputs and last states of the reference, for each sentence alone."""
    found = []
    for b, length in enumerate(lengths):
        first = tuple(np.float64(part[b]) for part in state)
        weights = weights_of(cell)
        found.append(run(REFERENCES[name], weights, inputs_bti[b, :length].astype(np.float64), first, reverse=reverse))
    return [outputs for outputs, _ in found], [last for _, last in found]


def _relative_error(got, expected) -> float:
    got, expected = np.asarray(got), np.asarray(expected)
    # What a cell does not read has a gradient of 0.
    return float(np.abs(got - expected).max() / (np.abs(expected).max() or 1.0))


# One direction


@pytest.mark.parametrize(("name", "reverse"), [*((name, False) for name in CELL_TYPES), ("lstm", True)])
def test_sequence_equals_the_reference(name, reverse):
    layer = _built(Recurrence(name, UNITS, reverse=reverse))
    inputs_bti, state = _inputs(), _state(name)
    outputs_bth, last = layer(inputs_bti, MASK_BT, state)
    expected, expected_last = _expected(name, layer.cell, inputs_bti, state, reverse)
    for b, length in enumerate(LENGTHS):
        close(outputs_bth[b, :length], expected[b])
        for part, expected_part in zip(last, expected_last[b], strict=True):
            close(part[b], expected_part)


@pytest.mark.parametrize(("name", "reverse"), [("gru", False), ("lstm", True), ("rnn", False)])
def test_outputs_states_and_gradients_equal_the_keras_layer(name, reverse):
    ours = _built(Recurrence(name, UNITS, reverse=reverse))
    theirs = KERAS[name](return_sequences=True, return_state=True, go_backwards=reverse)
    theirs.build((None, None, INPUTS))
    for mine, other in zip(ours.cell.weights, theirs.weights, strict=True):
        assert mine.shape == other.shape
        other.assign(mine)
    inputs_bti, state = tf.constant(_inputs()), _state(name)
    weight_bth = _draw(len(LENGTHS), max(LENGTHS), UNITS) * MASK_BT[:, :, None]

    def keras_layer():
        outputs_bth, *last = theirs(inputs_bti, mask=tf.constant(MASK_BT), initial_state=list(state))
        return tf.reverse(outputs_bth, [1]) if reverse else outputs_bth, tuple(last)

    def results(call, variables):
        with tf.GradientTape() as tape:
            tape.watch([inputs_bti, *state])
            outputs_bth, last = call()
            loss = tf.reduce_sum(outputs_bth * weight_bth)
            loss += sum(tf.reduce_sum(part * _draw(*part.shape, seed=9 + k)) for k, part in enumerate(last))
        real_bth = outputs_bth * MASK_BT[:, :, None]
        return [real_bth, *last, *tape.gradient(loss, [inputs_bti, *state, *(v.value for v in variables)])]

    mine = results(lambda: ours(inputs_bti, tf.constant(MASK_BT), state), ours.cell.weights)
    other = results(keras_layer, theirs.weights)
    assert len(mine) == len(other) == 2 + 2 * STATE_PARTS[name] + 3
    for a, b in zip(mine, other, strict=True):
        assert _relative_error(a, b) < 1e-5


@pytest.mark.parametrize(
    "name", [cell if cell in ("gru", "sru") else pytest.param(cell, marks=pytest.mark.slow) for cell in CELL_TYPES]
)
def test_compiled_equals_eager(name):
    layer = _built(Recurrence(name, UNITS))

    def both(inputs_bti, mask_bt):
        with tf.GradientTape() as tape:
            tape.watch(inputs_bti)
            outputs_bth, last = layer(inputs_bti, mask_bt)
            loss = tf.reduce_sum(outputs_bth**2) + tf.reduce_sum(last[-1])
        return outputs_bth, *last, tape.gradient(loss, inputs_bti)

    shapes = [tf.TensorSpec([None, None, INPUTS]), tf.TensorSpec([None, None], tf.bool)]
    compiled = tf.function(both, input_signature=shapes, autograph=False)
    for a, b in zip(compiled(_inputs(), MASK_BT), both(tf.constant(_inputs()), tf.constant(MASK_BT)), strict=True):
        close(a, b)


@EVERY_CELL
def test_step_by_step_equals_the_sequence(name):
    layer = _built(Recurrence(name, UNITS))
    inputs_bti, state = _inputs(), _state(name)
    outputs_bth, last = layer(inputs_bti, np.ones_like(MASK_BT), state)
    for t in range(max(LENGTHS)):
        state = layer.step(tf.constant(inputs_bti[:, t]), state)
        close(state[0], outputs_bth[:, t], 2e-6)
    for part, expected in zip(state, last, strict=True):
        close(part, expected, 2e-6)


# Gradient of the scan


@ONE_CELL
def test_bfloat16_is_close_to_float32_and_not_the_same(name):
    inputs_bti, state = tf.constant(_inputs()), _state(name)

    def results(precision):
        layer = _built(Recurrence(name, UNITS, precision=precision))
        with tf.GradientTape() as tape:
            tape.watch([inputs_bti, *state])
            outputs_bth, last = layer(inputs_bti, MASK_BT, state)
            loss = tf.reduce_sum(outputs_bth**2) + sum(map(tf.reduce_sum, last))
        weights = [v.value for v in layer.trainable_variables]
        return [outputs_bth, *last, *tape.gradient(loss, [inputs_bti, *state, *weights])]

    errors = []
    for exact, rounded in zip(results("float32"), results("bfloat16"), strict=True):
        assert rounded.dtype == tf.float32
        errors.append(_relative_error(rounded, exact))
    assert 1e-6 < max(errors) < 0.1


@pytest.mark.parametrize(
    "name", [name if name in ("lstm", "sru") else pytest.param(name, marks=pytest.mark.slow) for name in CELL_TYPES]
)
def test_compiled_training_has_the_gradients_of_inference(name):
    layer = _built(Recurrence(name, UNITS))
    inputs_bti, state = tf.constant(_inputs()), _state(name)

    def gradients(training):
        with tf.GradientTape() as tape:
            tape.watch([inputs_bti, *state])
            outputs_bth, last = layer(inputs_bti, MASK_BT, state, training=training)
            loss = tf.reduce_sum(outputs_bth**2) + sum(map(tf.reduce_sum, last))
        return tape.gradient(loss, [inputs_bti, *state, *(v.value for v in layer.trainable_variables)])

    for fused, plain in zip(gradients(True), gradients(False), strict=True):
        assert _relative_error(fused, plain) < 1e-5


def _loss_of_reference(name, weights, inputs_bti, state, keep_bh, shares):
    """Weighted sum of outputs at real positions and of last states."""
    total = 0.0
    for b, length in enumerate(LENGTHS):
        first = tuple(part[b] for part in state)
        outputs, last = run(REFERENCES[name], weights, inputs_bti[b, :length], first, keep=keep_bh[b])
        total += (outputs * shares[0][b, :length]).sum()
        total += sum((part * share[b]).sum() for part, share in zip(last, shares[1:], strict=True))
    return total


@pytest.mark.parametrize(("name", "dropped"), [("sru", False), *((name, True) for name in CELL_TYPES)])
def test_gradient_of_scan_equals_numerical_differences(name, dropped):
    units, batch, steps, inputs = 3, len(LENGTHS), max(LENGTHS), 2
    cell = make_cell(name, units)
    cell.build((None, None, inputs))
    randomise(cell, scale=1.0)
    # Some units dropped, the others scaled; another factor for each sentence.
    keep_bh = np.float32([[0, 2, 0.5], [2, 0, 1], [1, 0.5, 0]]) if dropped else np.ones((batch, units), np.float32)
    inputs_bti = tf.constant(_draw(batch, steps, inputs))
    state = tuple(tf.constant(_draw(batch, units, seed=k)) for k in range(STATE_PARTS[name]))
    shares = [_draw(batch, steps, units), *(_draw(batch, units, seed=7 + k) for k in range(STATE_PARTS[name]))]
    with tf.GradientTape() as tape:
        tape.watch([inputs_bti, *state])
        projected_tbg = cell.project(tf.transpose(inputs_bti, [1, 0, 2]))
        keep = tf.constant(keep_bh) if dropped else None
        outputs_tbh, last = Scan(cell)(projected_tbg, tf.constant(MASK_BT.T), state, keep)
        loss = tf.reduce_sum(tf.transpose(outputs_tbh, [1, 0, 2]) * shares[0] * MASK_BT[:, :, None])
        loss += sum(tf.reduce_sum(part * share) for part, share in zip(last, shares[1:], strict=True))
    variables = cell.trainable_variables
    gradients = tape.gradient(loss, [inputs_bti, *state, *(v.value for v in variables)])

    # The reference runs in float64: differences of 1e-6 leave ten digits.
    arrays = [tensor.numpy().astype(np.float64) for tensor in (inputs_bti, *state, *variables)]

    def reference() -> float:
        weights = {v.name: array for v, array in zip(variables, arrays[1 + len(state) :], strict=True)}
        return _loss_of_reference(name, weights, arrays[0], arrays[1 : 1 + len(state)], keep_bh, shares)

    # A sum of some forty terms of size 1 and either sign: what is left may be much smaller than they are.
    assert float(loss) == pytest.approx(reference(), rel=1e-5, abs=1e-5)
    for array, gradient in zip(arrays, gradients, strict=True):
        numerical = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + 1e-6
            above = reference()
            array[index] = kept - 1e-6
            numerical[index] = (above - reference()) / 2e-6
            array[index] = kept
        assert _relative_error(gradient, numerical) < 1e-5


# Padding


@CELL_AND_WAY
def test_a_batch_gives_what_its_sentences_give_one_at_a_time(name, reverse):
    layer = _built(Recurrence(name, UNITS, reverse=reverse))
    inputs_bti, state = tf.constant(_inputs()), _state(name)

    def results(inputs_bti, mask_bt, state):
        with tf.GradientTape() as tape:
            tape.watch([inputs_bti, *state])
            outputs_bth, last = layer(inputs_bti, mask_bt, state)
            real_bth = tf.where(mask_bt[:, :, None], outputs_bth, 0.0)
            loss = tf.reduce_sum(real_bth**2) + sum(tf.reduce_sum(part**3) for part in last)
        weights = [v.value for v in layer.trainable_variables]
        gradients = tape.gradient(loss, [inputs_bti, *state, *weights])
        return [real_bth, *last, *gradients[: 1 + len(state)]], gradients[1 + len(state) :]

    together, summed = results(inputs_bti, tf.constant(MASK_BT), state)
    total = [np.zeros_like(gradient) for gradient in summed]
    for b, length in enumerate(LENGTHS):
        first = tuple(part[b : b + 1] for part in state)
        alone, gradients = results(inputs_bti[b : b + 1, :length], tf.ones([1, length], tf.bool), first)
        for a, c in zip(together, alone, strict=True):
            close(a[b, :length] if len(a.shape) == 3 else a[b], c[0])
        total = [a + c for a, c in zip(total, gradients, strict=True)]
    for a, c in zip(summed, total, strict=True):
        assert _relative_error(a, c) < 1e-5
    # Values at padded positions have no effect.
    d_inputs_bti = together[1 + len(state)].numpy()
    assert not d_inputs_bti[~MASK_BT].any()
    assert d_inputs_bti[MASK_BT].any()


@CELL_AND_WAY
def test_values_at_padded_positions_change_nothing(name, reverse):
    layer = _built(Recurrence(name, UNITS, reverse=reverse))
    clean = _inputs()
    dirty = np.where(MASK_BT[:, :, None], clean, 1e3).astype(np.float32)
    for a, b in zip(*(tf.nest.flatten(layer(inputs, MASK_BT)) for inputs in (clean, dirty)), strict=True):
        keep = MASK_BT if len(a.shape) == 3 else slice(None)
        np.testing.assert_array_equal(a.numpy()[keep], b.numpy()[keep])


@CELL_AND_WAY
def test_a_row_of_padding_only_keeps_its_state(name, reverse):
    layer = _built(Recurrence(name, UNITS, reverse=reverse))
    inputs_bti, state = tf.constant(_inputs(2)), _state(name, 2)
    mask_bt = np.array([[True] * max(LENGTHS), [False] * max(LENGTHS)])
    with tf.GradientTape() as tape:
        tape.watch([inputs_bti, *state])
        outputs_bth, last = layer(inputs_bti, mask_bt, state)
        loss = tf.reduce_sum(outputs_bth[:1]) + sum(map(tf.reduce_sum, last))
    gradients = tape.gradient(loss, [inputs_bti, *state, *(v.value for v in layer.trainable_variables)])
    for tensor in (outputs_bth, *last, *gradients):
        assert np.isfinite(tensor).all()
    for before, after in zip(state, last, strict=True):
        np.testing.assert_array_equal(before[1], after[1])
    # The state is handed through, and so is its gradient.
    for d_part in gradients[1 : 1 + len(state)]:
        np.testing.assert_array_equal(d_part[1], np.ones(UNITS))


# Both directions, stacks


@ONE_CELL
def test_both_directions_are_concatenated(name):
    layer = _built(Bidirectional(name, 2 * UNITS))
    inputs_bti = _inputs()
    outputs_bth, last = layer(inputs_bti, MASK_BT)
    zero = tuple(np.zeros((len(LENGTHS), UNITS)) for _ in range(STATE_PARTS[name]))
    ahead, ahead_last = _expected(name, layer.ahead.cell, inputs_bti, zero)
    back, back_last = _expected(name, layer.back.cell, inputs_bti, zero, reverse=True)
    for b, length in enumerate(LENGTHS):
        close(outputs_bth[b, :length], np.concatenate([ahead[b], back[b]], -1))
        for k, part in enumerate(last):
            close(part[b], np.concatenate([ahead_last[b][k], back_last[b][k]]))


@ONE_CELL
def test_a_stack_feeds_each_layer_with_the_one_below(name):
    stack = _built(Stack(name, UNITS, 3))
    inputs_bti = _inputs()
    states = tuple(_state(name, seed=10 * n) for n in range(3))
    outputs_bth, last = stack(inputs_bti, MASK_BT, states)
    assert len(last) == 3
    below_bti = inputs_bti
    for layer, first, found in zip(stack.layers, states, last, strict=True):
        below_bti, state = layer(below_bti, MASK_BT, first)
        for a, b in zip(state, found, strict=True):
            close(a, b, 2e-6)
    close(outputs_bth, below_bti, 2e-6)

    outputs_bth, last = stack(inputs_bti, np.ones_like(MASK_BT), states)
    for t in range(max(LENGTHS)):
        output_bh, states = stack.step(tf.constant(inputs_bti[:, t]), states)
        np.testing.assert_array_equal(output_bh, states[-1][0])
        close(output_bh, outputs_bth[:, t])
    for a, b in zip(tf.nest.flatten(states), tf.nest.flatten(last), strict=True):
        close(a, b)


def test_a_bidirectional_stack_reads_both_directions_in_every_layer():
    stack = _built(Stack("gru", UNITS, 2, bidirectional=True))
    outputs_bth, last = stack(_inputs(), MASK_BT)
    below_bti = _inputs()
    for layer, found in zip(stack.layers, last, strict=True):
        assert isinstance(layer, Bidirectional)
        below_bti, state = layer(below_bti, MASK_BT)
        close(state[0], found[0], 2e-6)
    close(outputs_bth, below_bti, 2e-6)


def test_a_residual_stack_adds_the_input_of_each_layer_but_the_first():
    stack = _built(Stack("gru", UNITS, 3, bidirectional=True, residual=True))
    outputs_bth, last = stack(_inputs(), MASK_BT)
    sum_bth, first = stack.layers[0](_inputs(), MASK_BT)
    states = [first]
    for layer in stack.layers[1:]:
        above_bth, state = layer(sum_bth, MASK_BT)
        sum_bth += above_bth
        states.append(state)
    close(outputs_bth, sum_bth, 2e-6)
    for a, b in zip(tf.nest.flatten(last), tf.nest.flatten(states), strict=True):
        close(a, b, 2e-6)


@ONE_CELL
def test_step_by_step_equals_the_sequence_in_a_residual_stack(name):
    stack, plain = (_built(Stack(name, UNITS, 3, residual=residual)) for residual in (True, False))
    inputs_bti, states = _inputs(), tuple(_state(name, seed=10 * n) for n in range(3))
    outputs_bth, _ = stack(inputs_bti, np.ones_like(MASK_BT), states)
    assert np.abs(outputs_bth - plain(inputs_bti, np.ones_like(MASK_BT), states)[0]).max() > 0.1
    for t in range(max(LENGTHS)):
        output_bh, states = stack.step(tf.constant(inputs_bti[:, t]), states)
        close(output_bh, outputs_bth[:, t])


@EAGER
def test_dropout_of_a_residual_stack_leaves_the_residual_input():
    stack = _built(Stack("gru", UNITS, 2, dropout=0.5, residual=True, seed=1))
    for weight in stack.layers[1].trainable_variables:
        weight.assign(tf.zeros_like(weight))
    # The second layer gives 0 whatever it reads, so the output is the first's, undropped.
    outputs_bth, _ = stack(_inputs(), MASK_BT, training=True)
    close(outputs_bth, stack.layers[0](_inputs(), MASK_BT)[0], 2e-6)


def test_layers_and_directions_start_from_different_weights():
    stack = Stack("gru", UNITS, 2, bidirectional=True, seed=1)
    stack.build((None, None, UNITS))
    kernels = [v.numpy() for v in stack.trainable_variables if v.name == "recurrent_kernel"]
    assert len(kernels) == 4
    for n, kernel in enumerate(kernels):
        assert all(np.abs(kernel - other).max() > 0.01 for other in kernels[:n])


# Dropout


def test_recurrent_dropout_drops_the_same_units_at_every_step():
    layer = Recurrence("rnn", UNITS, recurrent_dropout=0.5, seed=3)
    layer.build((None, None, INPUTS))
    bias = _draw(UNITS)
    layer.cell.kernel.assign(np.zeros((INPUTS, UNITS)))
    layer.cell.recurrent_kernel.assign(np.eye(UNITS))
    layer.cell.bias.assign(bias)
    inputs_bti, mask_bt = _inputs(4), np.ones((4, max(LENGTHS)), bool)
    outputs_bth = layer(inputs_bti, mask_bt, training=True)[0].numpy()
    # Each unit sees only itself: h' = tanh(b + keep * h), where keep is 0 or 1 / (1 - 0.5).
    dropped_bh = np.isclose(outputs_bth[:, 1], np.tanh(bias), atol=1e-6)
    assert dropped_bh.any()
    assert not dropped_bh.all()
    assert len({tuple(row) for row in dropped_bh}) > 1, "all sentences drop the same units"
    for t in range(1, max(LENGTHS)):
        expected_bh = np.tanh(bias + np.where(dropped_bh, 0, 2) * outputs_bth[:, t - 1])
        close(outputs_bth[:, t], expected_bh, 2e-6)

    inference_bth = layer(inputs_bti, mask_bt)[0].numpy()
    close(inference_bth[:, 1], np.tanh(bias + inference_bth[:, 0]), 2e-6)
    again_bth = layer(inputs_bti, mask_bt, training=True)[0].numpy()
    assert np.abs(again_bth - outputs_bth).max() > 0.01, "the draw never changes"


@EAGER
def test_a_stack_drops_between_layers_only():
    one, two = (_built(Stack("gru", UNITS, layers, dropout=0.5, seed=1)) for layers in (1, 2))
    for stack, drops in ((one, False), (two, True)):
        plain, trained = (stack(_inputs(), MASK_BT, training=training)[0].numpy() for training in (False, True))
        assert (np.abs(plain - trained).max() > 0.01) == drops


@EAGER
@SOME
def test_steps_with_drawn_dropout_equal_the_sequence_in_training(name):
    settings = {"dropout": 0.5, "recurrent_dropout": 0.5, "residual": True, "seed": 3}
    whole, stepped = (_built(Stack(name, UNITS, 2, **settings)) for _ in range(2))
    inputs_bti, mask_bt = tf.constant(_inputs()), np.ones_like(MASK_BT)
    outputs_bth, last = whole(inputs_bti, mask_bt, training=True)
    batch, steps = mask_bt.shape
    states, drops = [layer.cell.zero_state(batch) for layer in stepped.layers], stepped.draw(batch, steps)
    for t in range(steps):
        output_bh, states = stepped.step(inputs_bti[:, t], states, drops.at(t))
        close(output_bh, outputs_bth[:, t])
    for a, b in zip(tf.nest.flatten(states), tf.nest.flatten(last), strict=True):
        close(a, b)
    plain_bh, _ = stepped.step(inputs_bti[:, 0], [layer.cell.zero_state(batch) for layer in stepped.layers])
    assert np.abs(plain_bh - outputs_bth[:, 0]).max() > 1e-2
