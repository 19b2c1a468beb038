"""Recurrent cells by name: the input projection of all steps at once, and one step.

A step is one matrix product of the last output with the recurrent kernel, then an element-wise part, `advance`. What runs a
cell over time is in `recurrence`. Weights are laid out as in `keras.layers.LSTM`, `GRU` and `SimpleRNN`, so that they can be
exchanged with those layers.

A cell needs `gates`, `state_parts` and `advance` only: its gradient is then found by differentiating `advance` again. One that
gives `activate` and `activate_gradient` instead saves that second pass.
"""

from collections.abc import Mapping
from types import MappingProxyType

import keras
import tensorflow as tf

from wordseq.products import product

State = tuple[tf.Tensor, ...]


class Cell(keras.layers.Layer):
    """A recurrent cell of `units` outputs; the base class.

    Args:
        units: size h of the output.
        precision: number format of the products, see `products`.
        seed: seed of the initialisation: Glorot uniform for the kernel, orthogonal for the recurrent kernel.
    """

    gates: int
    """Blocks of width h in the input projection and in the recurrent product."""
    state_parts: int
    """Tensors `[b, h]` in the state; the first is the output."""
    recurrent = True
    """Whether a step multiplies the last output with a recurrent kernel."""
    additive = False
    """Whether that product is only added to the input's share, so that both have the same gradient."""

    def __init__(self, units: int, precision: str = "float32", seed: int = 0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.precision = precision
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights for inputs `[b, t, i]`."""
        width = self.gates * self.units
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], width),
            initializer=keras.initializers.GlorotUniform(seed=self.seed),
        )
        if self.recurrent:
            self.recurrent_kernel = self.add_weight(
                name="recurrent_kernel",
                shape=(self.units, width),
                initializer=keras.initializers.Orthogonal(seed=self.seed + 1),
            )
        self._build_bias(width)

    def _build_bias(self, width: int) -> None:
        self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")

    def project(self, inputs_bti: tf.Tensor) -> tf.Tensor:
        """The input's share of every step's gates, `[b, t, gates * h]`, in one product and its format; no bias yet."""
        return product(inputs_bti, self.kernel, self.precision)

    def zero_state(self, batch: tf.Tensor | int) -> State:
        """The state before the first step."""
        return tuple(tf.zeros([batch, self.units]) for _ in range(self.state_parts))

    def step_weights(self) -> tuple[tf.Tensor, ...]:
        """The weights that `advance` needs: the bias, unless a subclass says otherwise."""
        return (tf.convert_to_tensor(self.bias),)

    def step(self, projected_bg: tf.Tensor, state: State) -> State:
        """One step without dropout: the next state, whose first tensor is the output."""
        product_bg = None
        if self.recurrent:
            product_bg = tf.cast(product(state[0], self.recurrent_kernel, self.precision), tf.float32)
        return self.activate(tf.cast(projected_bg, tf.float32), product_bg, state, self.step_weights())[0]

    def advance(
        self, projected_bg: tf.Tensor, product_bg: tf.Tensor | None, state: State, weights: tuple[tf.Tensor, ...]
    ) -> State:
        """The element-wise part of a step; all in float32.

        Args:
            projected_bg: the input's share of the gates, from `project`.
            product_bg: the last output times the recurrent kernel; None if the cell has none.
            state: the last state.
            weights: `step_weights()`.

        Returns:
            The next state.
        """
        return self.activate(projected_bg, product_bg, state, weights)[0]

    def activate(
        self, projected_bg: tf.Tensor, product_bg: tf.Tensor | None, state: State, weights: tuple[tf.Tensor, ...]
    ) -> tuple[State, tuple[tf.Tensor, ...]]:
        """`advance`, and tensors to keep for `activate_gradient`."""
        kept = (projected_bg,) if product_bg is None else (projected_bg, product_bg)
        return self.advance(projected_bg, product_bg, state, weights), kept

    def activate_gradient(
        self, kept: tuple[tf.Tensor, ...], state: State, gradient: State, weights: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, tf.Tensor | None, State, tuple[tf.Tensor, ...]]:
        """Gradients of `advance`.

        Args:
            kept: what `activate` kept.
            state: the state that went into the step.
            gradient: of the loss, with respect to the state that came out.
            weights: `step_weights()`.

        Returns:
            The gradients with respect to `projected_bg`, `product_bg` (the same tensor where the two are only added), `state`
            and `weights`.
        """
        inputs = (kept[0], kept[1] if self.recurrent else None, state, weights)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            new = self.advance(*inputs)
        zero = tf.UnconnectedGradients.ZERO
        return tape.gradient(new, inputs, output_gradients=gradient, unconnected_gradients=zero)


class LSTM(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) with a forget gate (Gers et al. 2000), forget bias 1.

        [i, f, g, o] = x W + h U + b
        c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(c')

    State `(h, c)`; gates in the order i, f, g, o of `keras.layers.LSTM`.
    """

    gates, state_parts, additive = 4, 2, True

    def _build_bias(self, width: int) -> None:
        def forget_one(shape: tuple[int, ...], dtype: object = None) -> tf.Tensor:
            h = self.units
            return tf.concat([tf.zeros([h], dtype), tf.ones([h], dtype), tf.zeros([2 * h], dtype)], 0)

        self.bias = self.add_weight(name="bias", shape=(width,), initializer=forget_one)

    def activate(
        self, projected_bg: tf.Tensor, product_bg: tf.Tensor, state: State, weights: tuple[tf.Tensor, ...]
    ) -> tuple[State, tuple[tf.Tensor, ...]]:
        """See `Cell.activate`."""
        i, f, g, o = tf.split(projected_bg + product_bg + weights[0], 4, axis=-1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * state[1] + i * g
        tanh_c = tf.tanh(c)
        return (o * tanh_c, c), (i, f, g, o, tanh_c)

    def activate_gradient(
        self, kept: tuple[tf.Tensor, ...], state: State, gradient: State, weights: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, tf.Tensor, State, tuple[tf.Tensor, ...]]:
        """See `Cell.activate_gradient`."""
        i, f, g, o, tanh_c = kept
        d_h, d_c = gradient
        d_c += d_h * o * (1 - tanh_c * tanh_c)
        d_gates = tf.concat(
            [
                d_c * g * i * (1 - i),
                d_c * state[1] * f * (1 - f),
                d_c * i * (1 - g * g),
                d_h * tanh_c * o * (1 - o),
            ],
            axis=-1,
        )
        return d_gates, d_gates, (tf.zeros_like(d_h), d_c * f), (tf.reduce_sum(d_gates, 0),)


class GRU(Cell):
    """Gated recurrent unit (Cho et al. 2014) with the reset gate after the product, as in cuDNN.

        [z, r, n] = x W + b[0];  [z', r', n'] = h U + b[1]
        z = sigmoid(z + z');  r = sigmoid(r + r');  n = tanh(n + r * n')
        h' = z * h + (1 - z) * n

    State `(h,)`; gates in the order z, r, n and biases `[2, 3 h]` of `keras.layers.GRU(reset_after=True)`.
    """

    gates, state_parts = 3, 1

    def _build_bias(self, width: int) -> None:
        self.bias = self.add_weight(name="bias", shape=(2, width), initializer="zeros")

    def activate(
        self, projected_bg: tf.Tensor, product_bg: tf.Tensor, state: State, weights: tuple[tf.Tensor, ...]
    ) -> tuple[State, tuple[tf.Tensor, ...]]:
        """See `Cell.activate`."""
        x_z, x_r, x_n = tf.split(projected_bg + weights[0][0], 3, axis=-1)
        h_z, h_r, h_n = tf.split(product_bg + weights[0][1], 3, axis=-1)
        z, r = tf.sigmoid(x_z + h_z), tf.sigmoid(x_r + h_r)
        n = tf.tanh(x_n + r * h_n)
        return (z * state[0] + (1 - z) * n,), (z, r, n, h_n)

    def activate_gradient(
        self, kept: tuple[tf.Tensor, ...], state: State, gradient: State, weights: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, tf.Tensor, State, tuple[tf.Tensor, ...]]:
        """See `Cell.activate_gradient`."""
        z, r, n, h_n = kept
        d_h = gradient[0]
        d_n = d_h * (1 - z) * (1 - n * n)
        d_z = d_h * (state[0] - n) * z * (1 - z)
        d_r = d_n * h_n * r * (1 - r)
        d_projected, d_product = tf.concat([d_z, d_r, d_n], axis=-1), tf.concat([d_z, d_r, d_n * r], axis=-1)
        d_bias = tf.stack([tf.reduce_sum(d_projected, 0), tf.reduce_sum(d_product, 0)])
        return d_projected, d_product, (d_h * z,), (d_bias,)


class Elman(Cell):
    """Simple recurrent network (Elman 1990): h' = tanh(x W + h U + b). State `(h,)`, as in `keras.layers.SimpleRNN`."""

    gates, state_parts, additive = 1, 1, True

    def advance(
        self, projected_bg: tf.Tensor, product_bg: tf.Tensor, state: State, weights: tuple[tf.Tensor, ...]
    ) -> State:
        """See `Cell.advance`."""
        return (tf.tanh(projected_bg + product_bg + weights[0]),)


CELLS: Mapping[str, type[Cell]] = MappingProxyType({"gru": GRU, "lstm": LSTM, "rnn": Elman})


def make_cell(name: str, units: int, precision: str = "float32", seed: int = 0) -> Cell:
    """The cell called `name`.

    Raises:
        ValueError: no such cell; the message lists the names.
    """
    if name not in CELLS:
        raise ValueError(f"unknown cell {name!r}; choose from {', '.join(sorted(CELLS))}")
    return CELLS[name](units, precision=precision, seed=seed, name=name)
