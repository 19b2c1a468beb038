"""Runs a cell over time: one direction, both directions, stacks of layers.

The loop is a custom gradient: the forward pass keeps what each step's gradient needs, the backward pass walks back over it and
leaves the gradient of the recurrent kernel to one product after the loop.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from wordseq.cells import Cell, State, make_cell
from wordseq.products import PRECISIONS, matmul

Arrays = tuple[tf.TensorArray, ...]


def scan(
    cell: Cell, projected_tbg: tf.Tensor, mask_tb: tf.Tensor, state: State, keep_bh: tf.Tensor | None = None
) -> tuple[tf.Tensor, State]:
    """Run `cell` over the steps of a projected input, time first.

    Args:
        cell: a built cell.
        projected_tbg: `cell.project` of the inputs.
        mask_tb: true at real positions. At others the state is carried over unchanged, and is the output.
        state: the state before the first step.
        keep_bh: a factor on the last output before the recurrent product, the same at every step (variational dropout).

    Returns:
        The outputs `[t, b, h]` and the last state.
    """
    parts = len(state)
    if keep_bh is None:
        keep_bh = tf.ones([])

    @tf.custom_gradient
    def run(projected_tbg: tf.Tensor, kernel: tf.Tensor, *rest: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Any]:
        first, weights = rest[:parts], rest[parts:]
        loop = _Loop(cell, kernel, weights, mask_tb, keep_bh)
        states, saved = loop.forward(projected_tbg, first)
        outputs_sbh = states[0].stack()  # One more than t: the first is the state before.
        last = tuple(array.read(array.size() - 1) for array in states)

        def gradient(d_outputs_tbh: tf.Tensor, *d_last: tf.Tensor) -> tuple[tf.Tensor, ...]:
            d_projected_tbg, d_product_tbg, d_first, d_weights = loop.backward(states, saved, d_outputs_tbh, d_last)
            fed_bh, d_product_bg = (_rows(tensor) for tensor in (outputs_sbh[:-1] * keep_bh, d_product_tbg))
            d_kernel = matmul(tf.transpose(fed_bh), d_product_bg, cell.precision)
            return d_projected_tbg, d_kernel, *d_first, *d_weights

        return (outputs_sbh[1:], *last), gradient

    outputs_tbh, *last = run(projected_tbg, tf.convert_to_tensor(cell.recurrent_kernel), *state, *cell.step_weights())
    return outputs_tbh, tuple(last)


def _rows(tensor_tbx: tf.Tensor) -> tf.Tensor:
    """Time and batch as one axis."""
    return tf.reshape(tensor_tbx, [-1, tensor_tbx.shape[-1]])


class _Loop:
    """The two loops of `scan` over one sequence."""

    def __init__(
        self, cell: Cell, kernel: tf.Tensor, weights: tuple[tf.Tensor, ...], mask_tb: tf.Tensor, keep_bh: tf.Tensor
    ) -> None:
        self.cell = cell
        self.kernel = tf.cast(kernel, PRECISIONS[cell.precision])
        self.weights = weights
        self.mask_tb1 = mask_tb[:, :, None]
        self.keep_bh = keep_bh

    def forward(self, projected_tbg: tf.Tensor, first: State) -> tuple[Arrays, Arrays]:
        """The states of all steps (the one before the first included) and what their gradients need."""
        steps = tf.shape(projected_tbg)[0]
        n_saved = len(self._step(projected_tbg[0], first, self.mask_tb1[0])[1])
        states = tuple(_array(steps + 1).write(0, part) for part in first)
        saved = tuple(_array(steps) for _ in range(n_saved))

        def body(t: tf.Tensor, state: State, states: Arrays, saved: Arrays) -> tuple[Any, ...]:
            state, kept = self._step(projected_tbg[t], state, self.mask_tb1[t])
            return t + 1, state, _write(states, t + 1, state), _write(saved, t, kept)

        loop = tf.while_loop(lambda t, *_: t < steps, body, (tf.constant(0), first, states, saved))
        return loop[2], loop[3]

    def _step(self, projected_bg: tf.Tensor, state: State, mask_b1: tf.Tensor) -> tuple[State, tuple[tf.Tensor, ...]]:
        product_bg = matmul(state[0] * self.keep_bh, self.kernel, self.cell.precision)
        new, saved = self.cell.activate(projected_bg, product_bg, state, self.weights)
        return tuple(tf.where(mask_b1, ours, last) for ours, last in zip(new, state, strict=True)), saved

    def backward(
        self, states: Arrays, saved: Arrays, d_outputs_tbh: tf.Tensor, d_last: State
    ) -> tuple[tf.Tensor, tf.Tensor, State, tuple[tf.Tensor, ...]]:
        """Gradients with respect to the projected input, the recurrent products, the first state, the step weights."""
        steps = tf.shape(d_outputs_tbh)[0]
        d_weights = tuple(tf.zeros_like(weight) for weight in self.weights)

        def body(t: tf.Tensor, d_state: State, d_weights: State, d_inputs: Arrays) -> tuple[Any, ...]:
            before, kept = (tuple(array.read(t) for array in arrays) for arrays in (states, saved))
            d_state = (d_state[0] + d_outputs_tbh[t], *d_state[1:])
            d_projected, d_product, d_state, d_step = self._step_gradient(before, kept, d_state, self.mask_tb1[t])
            d_weights = tuple(total + part for total, part in zip(d_weights, d_step, strict=True))
            return t - 1, d_state, d_weights, _write(d_inputs, t, (d_projected, d_product))

        start = (steps - 1, tuple(d_last), d_weights, (_array(steps), _array(steps)))
        _, d_first, d_weights, d_inputs = tf.while_loop(lambda t, *_: t >= 0, body, start)
        return d_inputs[0].stack(), d_inputs[1].stack(), d_first, d_weights

    def _step_gradient(
        self, before: State, kept: tuple[tf.Tensor, ...], d_new: State, mask_b1: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, State, tuple[tf.Tensor, ...]]:
        """The gradient of `_step`: where masked, that of the state passes through and nothing else is touched."""
        passed = tuple(tf.where(mask_b1, 0.0, part) for part in d_new)
        d_real = tuple(tf.where(mask_b1, part, 0.0) for part in d_new)
        d_projected, d_product, d_state, d_weights = self.cell.activate_gradient(kept, before, d_real, self.weights)
        d_output = matmul(d_product, self.kernel, self.cell.precision, transpose_b=True) * self.keep_bh
        d_state = (d_state[0] + d_output, *d_state[1:])
        return d_projected, d_product, tuple(a + b for a, b in zip(d_state, passed, strict=True)), d_weights


def _array(size: tf.Tensor) -> tf.TensorArray:
    return tf.TensorArray(tf.float32, size, clear_after_read=False)


def _write(arrays: Arrays, t: tf.Tensor, values: Sequence[tf.Tensor]) -> Arrays:
    return tuple(array.write(t, value) for array, value in zip(arrays, values, strict=True))


class Recurrence(keras.layers.Layer):
    """One layer in one direction.

    Args:
        cell: name of the cell, see `cells.CELLS`.
        units: size h of the output.
        reverse: read from the last position to the first; outputs stay in the order of the input.
        recurrent_dropout: share of the last output that is set to 0 before the recurrent product, the same units at all
            steps of a sentence (Gal and Ghahramani 2016).
        precision: see `products`.
        seed: of initialisation and dropout.
    """

    def __init__(
        self,
        cell: str,
        units: int,
        *,
        reverse: bool = False,
        recurrent_dropout: float = 0.0,
        precision: str = "float32",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cell = make_cell(cell, units, precision, seed)
        self.reverse = reverse
        self.keep = keras.layers.Dropout(recurrent_dropout, seed=seed + 2) if recurrent_dropout else None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the cell for inputs `[b, t, i]`."""
        self.cell.build(input_shape)

    def call(
        self, inputs_bti: tf.Tensor, mask_bt: tf.Tensor, state: State | None = None, training: bool = False
    ) -> tuple[tf.Tensor, State]:
        """Outputs `[b, t, h]` and the state after the last real position; padding changes neither.

        Args:
            inputs_bti: one vector a position.
            mask_bt: true at real positions.
            state: the state before the first step; None is zero.
            training: whether to drop.
        """
        batch = tf.shape(inputs_bti)[0]
        state = self.cell.zero_state(batch) if state is None else state
        keep_bh = self.keep(tf.ones([batch, self.cell.units]), training=True) if self.keep and training else None
        # Padding stands last, so reversed it stands first and leaves the first state as it is.
        turn = [0] if self.reverse else []
        inputs_tbi = tf.reverse(tf.transpose(inputs_bti, [1, 0, 2]), turn)
        mask_tb = tf.reverse(tf.transpose(mask_bt), turn)
        outputs_tbh, state = scan(self.cell, self.cell.project(inputs_tbi), mask_tb, state, keep_bh)
        return tf.transpose(tf.reverse(outputs_tbh, turn), [1, 0, 2]), state

    def step(self, inputs_bi: tf.Tensor, state: State) -> State:
        """The state after one more input; its first part is the output."""
        return self.cell.step(self.cell.project(inputs_bi), state)


class Bidirectional(keras.layers.Layer):
    """One layer that reads in both directions, half of the units each; outputs and states are joined."""

    def __init__(self, cell: str, units: int, *, seed: int = 0, **settings: Any) -> None:
        super().__init__(name=settings.pop("name", None))
        self.ahead = Recurrence(cell, units // 2, seed=seed, name="ahead", **settings)
        self.back = Recurrence(cell, units // 2, seed=seed + 10, name="back", reverse=True, **settings)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build both directions for inputs `[b, t, i]`."""
        self.ahead.build(input_shape)
        self.back.build(input_shape)

    def call(
        self, inputs_bti: tf.Tensor, mask_bt: tf.Tensor, state: None = None, training: bool = False
    ) -> tuple[tf.Tensor, State]:
        """See `Recurrence.call`; starts from zero."""
        ahead_bth, ahead = self.ahead(inputs_bti, mask_bt, training=training)
        back_bth, back = self.back(inputs_bti, mask_bt, training=training)
        joined = tuple(tf.concat(both, -1) for both in zip(ahead, back, strict=True))
        return tf.concat([ahead_bth, back_bth], -1), joined


class Stack(keras.layers.Layer):
    """Recurrent layers one on the other, with dropout on the input of each but the first.

    Args:
        cell: name of the cell.
        units: size h of each layer's output.
        layers: their number.
        bidirectional: read in both directions, `units / 2` each.
        dropout: share of a layer's input set to 0.
        recurrent_dropout: see `Recurrence`.
        precision: see `products`.
        seed: of initialisation and dropout.
    """

    def __init__(
        self,
        cell: str,
        units: int,
        layers: int,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        precision: str = "float32",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind = Bidirectional if bidirectional else Recurrence
        settings: dict[str, Any] = {"recurrent_dropout": recurrent_dropout, "precision": precision}
        self.units = units
        self.layers = [kind(cell, units, seed=seed + 100 * k, name=f"layer_{k}", **settings) for k in range(layers)]
        self.drops = [keras.layers.Dropout(dropout, seed=seed + 100 * k + 50) for k in range(layers)]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build all layers for inputs `[b, t, i]`."""
        for layer in self.layers:
            layer.build(input_shape)
            input_shape = (*input_shape[:-1], self.units)

    def call(
        self,
        inputs_bti: tf.Tensor,
        mask_bt: tf.Tensor,
        states: Sequence[State | None] | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, tuple[State, ...]]:
        """Outputs `[b, t, h]` of the top layer and every layer's last state; see `Recurrence.call`."""
        before = [None] * len(self.layers) if states is None else states
        after = []
        for k, layer in enumerate(self.layers):
            dropped_bti = self.drops[k](inputs_bti, training=training) if k else inputs_bti
            inputs_bti, state = layer(dropped_bti, mask_bt, before[k], training=training)
            after.append(state)
        return inputs_bti, tuple(after)

    def step(self, inputs_bi: tf.Tensor, states: Sequence[State]) -> tuple[State, ...]:
        """Every layer's state after one more input; the first part of the last is the output."""
        after = []
        for layer, state in zip(self.layers, states, strict=True):
            after.append(layer.step(inputs_bi, state))
            inputs_bi = after[-1][0]
        return tuple(after)
