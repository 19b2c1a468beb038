import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from tests.reference.cells import REFERENCES, STATE_PARTS
from wordseq.config import schema
from wordseq.models.cells import CELL_TYPES, make_cell

INPUTS, UNITS, BATCH = 5, 8, 3
FIRST_BIAS = {
    # Gates i, f, g, o: the forget gate starts open (Gers et al. 2000).
    "lstm": [0, 1, 0, 0],
    "ln_lstm": [0, 1, 0, 0],
    "lrn": [1, 0, 0],
    "min_gru": [-1, 0],
    "min_lstm": [1, 0, 0],
}
"""Of the cells that do not start from 0."""


def randomise(layer, seed: int = 0, scale: float = 0.6) -> None:
    """Random weights, biases too: constant ones cannot tell the gates apart."""
    rng = np.random.default_rng(seed)
    for variable in layer.weights:
        variable.assign(rng.normal(size=variable.shape, scale=scale).astype(np.float32))


def weights_of(cell) -> dict[str, np.ndarray]:
    return {variable.name: variable.numpy().astype(np.float64) for variable in cell.trainable_variables}


def _cell(name: str, seed: int = 0, inputs: int = INPUTS, **settings):
    cell = make_cell(name, UNITS, seed=seed, **settings)
    cell.build((None, None, inputs))
    return cell


def _draw(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng([seed, *shape]).normal(size=shape), tf.float32)


def test_every_cell_has_a_reference_and_can_be_chosen():
    assert set(CELL_TYPES) == set(REFERENCES) == set(STATE_PARTS)
    assert tuple(CELL_TYPES) == schema.CELLS
    assert set(schema.ELEMENTWISE_CELLS) == {name for name, kind in CELL_TYPES.items() if not kind.recurrent}


def test_unknown_cell_is_an_error_that_lists_the_names():
    with pytest.raises(ValueError, match=r"unknown cell 'lstmm'; choose from atr, gru, .*lstm, .*rnn"):
        make_cell("lstmm", 8)


@pytest.mark.parametrize("name", CELL_TYPES)
def test_zero_state(name):
    state = _cell(name).zero_state(BATCH)
    assert len(state) == STATE_PARTS[name] == CELL_TYPES[name].state_parts
    for part in state:
        np.testing.assert_array_equal(part, np.zeros((BATCH, UNITS)))


@pytest.mark.parametrize("name", CELL_TYPES)
@pytest.mark.parametrize("inputs", [INPUTS, UNITS])
@pytest.mark.parametrize("seed", [1, 2])
def test_steps_equal_the_reference(name, inputs, seed):
    cell = _cell(name, inputs=inputs)
    randomise(cell, seed)
    inputs_tbi = _draw(4, BATCH, inputs, seed=seed)
    state = tuple(_draw(BATCH, UNITS, seed=seed + 10 + k) for k in range(STATE_PARTS[name]))
    expected = [tuple(np.float64(part[b]) for part in state) for b in range(BATCH)]
    for inputs_bi in inputs_tbi:
        state = cell.step(cell.project(inputs_bi), state)
        inputs = np.float64(inputs_bi)
        expected = [REFERENCES[name](weights_of(cell), inputs[b], expected[b], 1.0) for b in range(BATCH)]
        for k, part in enumerate(state):
            close(part, [after[k] for after in expected])


@pytest.mark.parametrize("name", CELL_TYPES)
@pytest.mark.parametrize("inputs", [INPUTS, UNITS])
def test_projection_of_a_sequence_is_that_of_its_positions(name, inputs):
    cell = _cell(name, inputs=inputs)
    randomise(cell)
    inputs_bti = _draw(BATCH, 4, inputs)
    together = cell.project(inputs_bti).numpy()
    assert together.shape == (BATCH, 4, cell.gates * UNITS)
    for t in range(4):
        close(together[:, t], cell.project(inputs_bti[:, t]), 2e-6)


@pytest.mark.parametrize("name", CELL_TYPES)
def test_first_weights(name):
    for weight in _cell(name).trainable_variables:
        value = weight.numpy()
        if weight.name == "recurrent_kernel":
            close(value @ value.T, np.eye(UNITS))
        elif weight.name == "bias" and name in FIRST_BIAS:
            np.testing.assert_array_equal(value, np.repeat(FIRST_BIAS[name], UNITS))
        elif weight.name.endswith("bias"):
            assert not value.any()
        elif weight.name.endswith("gain"):
            assert (value == 1).all()


@pytest.mark.parametrize("name", CELL_TYPES)
def test_only_recurrent_cells_have_a_recurrent_kernel(name):
    names = {weight.name for weight in _cell(name).trainable_variables}
    assert ("recurrent_kernel" in names) == (name not in schema.ELEMENTWISE_CELLS)


def test_the_highway_of_an_sru_has_weights_only_where_sizes_differ():
    for inputs, blocks in ((INPUTS, 4), (UNITS, 3)):
        assert _cell("sru", inputs=inputs).kernel.shape == (inputs, blocks * UNITS)


def test_a_minimal_lstm_with_closed_gates_gives_numbers():
    cell = _cell("min_lstm")
    (h,) = cell.advance(tf.fill([1, 3 * UNITS], -300.0), None, (tf.ones([1, UNITS]),), cell.step_weights())
    assert np.isfinite(h).all()


@pytest.mark.parametrize("name", CELL_TYPES)
def test_first_weights_depend_on_the_seed(name):
    first, same, other = _cell(name, seed=1), _cell(name, seed=1), _cell(name, seed=2)
    for a, b, c in zip(*(cell.trainable_variables for cell in (first, same, other)), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        if a.name in ("kernel", "recurrent_kernel", "vectors"):
            assert np.abs(a.numpy() - c.numpy()).max() > 0.01


@pytest.mark.parametrize("name", CELL_TYPES)
def test_bfloat16_is_close_to_float32_and_not_the_same(name):
    exact, rounded = _cell(name), _cell(name, precision="bfloat16")
    for cell in (exact, rounded):
        randomise(cell)
    inputs_bi, state = _draw(BATCH, INPUTS), tuple(_draw(BATCH, UNITS) for _ in range(STATE_PARTS[name]))
    a, b = (cell.step(cell.project(inputs_bi), state)[0].numpy() for cell in (exact, rounded))
    assert b.dtype == np.float32
    assert 1e-6 < np.abs(a - b).max() < 0.05
