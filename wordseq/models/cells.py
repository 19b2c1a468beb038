"""Recurrent cells by name: the input projection of all steps at once, and one step.

A step is one matrix product of the last output with the recurrent kernel, then an element-wise part, `advance`. Some cells have
no such product (`recurrent` is False). The loop over time is in `rnn`. Weights have the layout of `keras.layers.LSTM`, `GRU`
and `SimpleRNN`, so both can exchange them.

A cell must define `gates`, `state_parts` and `advance`. Its gradient then comes from differentiating `advance` a second time. A
cell that defines `activate` and `activate_gradient` instead saves that second pass.
"""

from collections.abc import Mapping
from types import MappingProxyType

import keras
import tensorflow as tf

from wordseq.models.matmul import product

State = tuple[tf.Tensor, ...]


class Cell(keras.layers.Layer):
    """A recurrent cell of `units` outputs; the base class.

    Args:
        units: size h of the output.
        precision: number format of the products, see `matmul`.
        seed: of the initialisers: Glorot uniform for the kernel, orthogonal for the recurrent kernel, as in Keras.
    """

    gates: int
    """Blocks of width h in the input projection and in the recurrent product."""
    state_parts: int
    """Tensors `[b, h]` in the state; the first is the output."""
    recurrent = True
    """Whether a step multiplies the last output with a recurrent kernel."""
    additive = False
    """Whether that product is only added to the input projection, so that both have the same gradient."""
    kept = 0
    """Tensors that a cell's own `activate` keeps; 0 if it has none: the base class keeps the projection and the product."""
    first_bias: tuple[float, ...] = ()
    """Initial bias of each gate; empty: all 0."""

    def __init__(self, units: int, precision: str = "float32", seed: int = 0, **kwargs: object) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.units = units
        self.precision = precision
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights for inputs `[b, t, i]`."""
        width = self.gates * self.units
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self._kernel_width(input_shape[-1])),
            initializer=keras.initializers.GlorotUniform(seed=self.seed),
        )
        if self.recurrent:
            self.recurrent_kernel = self.add_weight(
                name="recurrent_kernel",
                shape=(self.units, width),
                # Another seed: from the same one, both kernels would be made of the same random numbers.
                initializer=keras.initializers.Orthogonal(seed=self.seed + 1),
            )
        self._build_bias(width)

    def _kernel_width(self, inputs: int | None) -> int:
        return self.gates * self.units

    def _build_bias(self, width: int) -> None:
        def by_gate(shape: tuple[int, ...], dtype: object = None) -> tf.Tensor:
            return tf.repeat(tf.constant(self.first_bias or [0.0] * self.gates, dtype), self.units)

        self.bias = self.add_weight(name="bias", shape=(width,), initializer=by_gate)

    def _add_gain(self, name: str, width: int) -> keras.Variable:
        """The gain of a layer normalisation, initially 1."""
        return self.add_weight(name=name, shape=(width,), initializer="ones")

    def project(self, inputs_bti: tf.Tensor) -> tf.Tensor:
        """The input projection of all steps, `[b, t, gates * h]`, in the format of the product and without the bias."""
        return product(inputs_bti, self.kernel, self.precision)

    def zero_state(self, batch: tf.Tensor | int) -> State:
        """The state before the first step."""
        # float32 in every precision: a state is a sum over many steps, and bfloat16 has 8 bits of mantissa.
        return tuple(tf.zeros([batch, self.units]) for _ in range(self.state_parts))

    def step_weights(self) -> tuple[tf.Tensor, ...]:
        """The weights that `advance` needs; here the bias."""
        return (tf.convert_to_tensor(self.bias),)

    def step(self, projected_bg: tf.Tensor, state: State) -> State:
        """One step without dropout.

        Returns:
            The next state; its first tensor is the output.
        """
        product_bg = None
        if self.recurrent:
            product_bg = tf.cast(product(state[0], self.recurrent_kernel, self.precision), tf.float32)
        return self.activate(tf.cast(projected_bg, tf.float32), product_bg, state, self.step_weights())[0]

    def advance(
        self, projected_bg: tf.Tensor, product_bg: tf.Tensor | None, state: State, weights: tuple[tf.Tensor, ...]
    ) -> State:
        """The element-wise part of a step; all in float32.

        Args:
            projected_bg: this step's input projection, from `project`.
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
        """`advance`, and the `kept` tensors that `activate_gradient` needs again."""
        kept = (projected_bg,) if product_bg is None else (projected_bg, product_bg)
        return self.advance(projected_bg, product_bg, state, weights), kept

    def activate_gradient(
        self, kept: tuple[tf.Tensor, ...], state: State, gradient: State, weights: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, tf.Tensor | None, State, tuple[tf.Tensor, ...]]:
        """Gradients of `advance`.

        Args:
            kept: second result of `activate`.
            state: the state before the step.
            gradient: of the loss, with respect to the state after the step.
            weights: `step_weights()`.

        Returns:
            The gradients with respect to `projected_bg`, `product_bg` (the same tensor if `additive`), `state` and `weights`.
        """
        projected_bg, *products = kept  # No product, or one.
        inputs = (projected_bg, products, state, weights)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            new = self.advance(projected_bg, products[0] if products else None, state, weights)
        # SRU does not read h: its gradient would be None, and a variable of `tf.while_loop` cannot be None.
        zero = tf.UnconnectedGradients.ZERO
        d_projected_bg, d_products, d_state, d_weights = tape.gradient(
            new, inputs, output_gradients=gradient, unconnected_gradients=zero
        )
        return d_projected_bg, d_products[0] if products else None, d_state, d_weights


class LSTM(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) with a forget gate (Gers et al. 2000), forget bias 1.

        [i, f, g, o] = x W + h U + b
        c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(c')

    State `(h, c)`; gates in the order i, f, g, o of `keras.layers.LSTM`.
    """

    gates, state_parts, additive, kept = 4, 2, True, 5
    # Jozefowicz et al. 2015: a forget gate that starts open lets gradients through from the first update on.
    first_bias = (0.0, 1.0, 0.0, 0.0)

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
        # c' reaches the loss by two paths: through the next step (d_c), and through h' = o * tanh(c').
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
        # h is only read through the recurrent product, and `rnn` adds the gradient of that path.
        return d_gates, d_gates, (tf.zeros_like(d_h), d_c * f), (tf.reduce_sum(d_gates, 0),)


class GRU(Cell):
    """Gated recurrent unit (Cho et al. 2014) with the reset gate after the product, as in cuDNN.

        [z, r, n] = x W + b[0];  [z', r', n'] = h U + b[1]
        z = sigmoid(z + z');  r = sigmoid(r + r');  n = tanh(n + r * n')
        h' = z * h + (1 - z) * n

    State `(h,)`; gates in the order z, r, n and biases `[2, 3 h]` of `keras.layers.GRU(reset_after=True)`.
    """

    gates, state_parts, kept = 3, 1, 4

    def _build_bias(self, width: int) -> None:
        # Two biases: r scales n', so the candidate's second bias cannot be merged into the first.
        self.bias = self.add_weight(name="bias", shape=(2, width), initializer="zeros")

    def activate(
        self, projected_bg: tf.Tensor, product_bg: tf.Tensor, state: State, weights: tuple[tf.Tensor, ...]
    ) -> tuple[State, tuple[tf.Tensor, ...]]:
        """See `Cell.activate`."""
        bias_x, bias_h = tf.unstack(weights[0])
        x_z, x_r, x_n = tf.split(projected_bg + bias_x, 3, axis=-1)
        h_z, h_r, h_n = tf.split(product_bg + bias_h, 3, axis=-1)
        z, r = tf.sigmoid(x_z + h_z), tf.sigmoid(x_r + h_r)
        n = tf.tanh(x_n + r * h_n)
        return (z * state[0] + (1 - z) * n,), (z, r, n, h_n)

    def activate_gradient(
        self, kept: tuple[tf.Tensor, ...], state: State, gradient: State, weights: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, tf.Tensor, State, tuple[tf.Tensor, ...]]:
        """See `Cell.activate_gradient`."""
        z, r, n, h_n = kept
        d_h = gradient[0]
        # In the order of the chain rule: n' needs d_n, r needs n'. The product sees n' only through r, hence d_n * r.
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


EPSILON = 1e-5
"""Added to the variance in a layer normalisation; the value of the authors' code."""


def _normalised(values_bn: tf.Tensor, gain_n: tf.Tensor) -> tf.Tensor:
    """Layer normalisation (Ba et al. 2016, equation 4) of each row, without its bias: g (a - mean) / deviation."""
    # float32, and the mean first: E[a^2] - mean^2 is a difference of two large numbers.
    values_bn = tf.cast(values_bn, tf.float32)
    centred_bn = values_bn - tf.reduce_mean(values_bn, -1, keepdims=True)
    variance_b1 = tf.reduce_mean(centred_bn * centred_bn, -1, keepdims=True)
    return centred_bn * tf.math.rsqrt(variance_b1 + EPSILON) * gain_n


class LayerNormLSTM(Cell):
    """LSTM with layer normalisation (Ba et al. 2016, equations 20 to 22), forget bias 1.

        [i, f, g, o] = LN(x W) + LN(h U) + b
        c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(LN(c') + b_c)

    Each LN runs over all its entries: the four gates together. It has a gain, initially 1. The biases of the first two LN are
    part of b. State `(h, c)`; gates in the order of `LSTM`.
    """

    # Not additive: the product is normalised before it is added, so its gradient differs.
    gates, state_parts = 4, 2
    first_bias = LSTM.first_bias

    def _build_bias(self, width: int) -> None:
        super()._build_bias(width)
        self.input_gain = self._add_gain("input_gain", width)
        self.recurrent_gain = self._add_gain("recurrent_gain", width)
        self.cell_gain = self._add_gain("cell_gain", self.units)
        self.cell_bias = self.add_weight(name="cell_bias", shape=(self.units,), initializer="zeros")

    def project(self, inputs_bti: tf.Tensor) -> tf.Tensor:
        """See `Cell.project`; already normalised."""
        projected_btg = super().project(inputs_bti)
        return tf.cast(_normalised(projected_btg, tf.convert_to_tensor(self.input_gain)), projected_btg.dtype)

    def step_weights(self) -> tuple[tf.Tensor, ...]:
        """See `Cell.step_weights`."""
        return tuple(map(tf.convert_to_tensor, (self.bias, self.recurrent_gain, self.cell_gain, self.cell_bias)))

    def advance(
        self, projected_bg: tf.Tensor, product_bg: tf.Tensor, state: State, weights: tuple[tf.Tensor, ...]
    ) -> State:
        """See `Cell.advance`."""
        bias, recurrent_gain, cell_gain, cell_bias = weights
        i, f, g, o = tf.split(projected_bg + _normalised(product_bg, recurrent_gain) + bias, 4, axis=-1)
        c = tf.sigmoid(f) * state[1] + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(_normalised(c, cell_gain) + cell_bias), c


class LayerNormGRU(Cell):
    """GRU with layer normalisation (Ba et al. 2016, supplement); z and 1 - z have the roles that `GRU` gives them.

        [z, r] = LN([x W]_zr) + b[0]_zr + LN([h U]_zr) + b[1]_zr
        n = tanh(LN([x W]_n) + b[0]_n + sigmoid(r) * (LN([h U]_n) + b[1]_n))
        h' = sigmoid(z) * h + (1 - sigmoid(z)) * n

    One LN runs over both gates, another over the candidate. Each has a gain, initially 1. State `(h,)`; gates and biases in the
    order of `GRU`.
    """

    gates, state_parts = 3, 1

    def _build_bias(self, width: int) -> None:
        self.bias = self.add_weight(name="bias", shape=(2, width), initializer="zeros")
        self.input_gain = self._add_gain("input_gain", width)
        self.recurrent_gain = self._add_gain("recurrent_gain", width)

    def project(self, inputs_bti: tf.Tensor) -> tf.Tensor:
        """See `Cell.project`; already normalised."""
        projected_btg = super().project(inputs_bti)
        normalised_btg = self._normalised_gates(projected_btg, tf.convert_to_tensor(self.input_gain))
        return tf.cast(normalised_btg, projected_btg.dtype)

    def _normalised_gates(self, values_bg: tf.Tensor, gain_g: tf.Tensor) -> tf.Tensor:
        parts = zip(
            *(tf.split(tensor, [2 * self.units, self.units], -1) for tensor in (values_bg, gain_g)), strict=True
        )
        return tf.concat([_normalised(values_bn, gain_n) for values_bn, gain_n in parts], -1)

    def step_weights(self) -> tuple[tf.Tensor, ...]:
        """See `Cell.step_weights`."""
        return tf.convert_to_tensor(self.bias), tf.convert_to_tensor(self.recurrent_gain)

    def advance(
        self, projected_bg: tf.Tensor, product_bg: tf.Tensor, state: State, weights: tuple[tf.Tensor, ...]
    ) -> State:
        """See `Cell.advance`."""
        bias, gain = weights
        x_z, x_r, x_n = tf.split(projected_bg + bias[0], 3, axis=-1)
        h_z, h_r, h_n = tf.split(self._normalised_gates(product_bg, gain) + bias[1], 3, axis=-1)
        z, r = tf.sigmoid(x_z + h_z), tf.sigmoid(x_r + h_r)
        return (z * state[0] + (1 - z) * tf.tanh(x_n + r * h_n),)


class SRU(Cell):
    """Simple recurrent unit (Lei et al. 2018): gates see only their own element of the last c, so a step has no product.

        [u, f, r, s] = x W
        f = sigmoid(f + v_f * c + b_f);  r = sigmoid(r + v_r * c + b_r)
        c' = f * c + (1 - f) * u
        h' = r * c' + (1 - r) * s * sqrt(3)

    If x is as wide as h, x replaces s, and s has no weights. sqrt(3) is the paper's scaling for an initial b_r of 0. Initially
    b_f is 0 and v has variance 1/2, as in the authors' code. State `(h, c)`; h is not read.
    """

    gates, state_parts, recurrent = 4, 2, False

    def _kernel_width(self, inputs: int | None) -> int:
        return (3 if inputs == self.units else 4) * self.units

    def _build_bias(self, width: int) -> None:
        # Uniform on [-a, a] has variance a^2 / 3.
        uniform = keras.initializers.RandomUniform(-(1.5**0.5), 1.5**0.5, seed=self.seed + 3)
        self.vectors = self.add_weight(name="vectors", shape=(2, self.units), initializer=uniform)
        self.bias = self.add_weight(name="bias", shape=(2, self.units), initializer="zeros")

    def project(self, inputs_bti: tf.Tensor) -> tf.Tensor:
        """See `Cell.project`; an input as wide as h is appended as it is."""
        projected_btg = super().project(inputs_bti)
        if self.kernel.shape[-1] == self.gates * self.units:
            return projected_btg
        return tf.concat([projected_btg, tf.cast(inputs_bti, projected_btg.dtype)], -1)

    def step_weights(self) -> tuple[tf.Tensor, ...]:
        """See `Cell.step_weights`."""
        return tf.convert_to_tensor(self.vectors), tf.convert_to_tensor(self.bias)

    def advance(self, projected_bg: tf.Tensor, product_bg: None, state: State, weights: tuple[tf.Tensor, ...]) -> State:
        """See `Cell.advance`."""
        vectors, bias = weights
        u, f, r, s = tf.split(projected_bg, 4, axis=-1)
        f = tf.sigmoid(f + vectors[0] * state[1] + bias[0])
        r = tf.sigmoid(r + vectors[1] * state[1] + bias[1])
        c = f * state[1] + (1 - f) * u
        return r * c + (1 - r) * s * 3**0.5, c


class ATR(Cell):
    """Addition-subtraction twin-gated recurrence (Zhang et al. 2018), with a bias.

        p = x W + b;  q = h U
        h' = sigmoid(p + q) * p + sigmoid(p - q) * h

    State `(h,)`.
    """

    gates, state_parts = 1, 1

    def advance(
        self, projected_bg: tf.Tensor, product_bg: tf.Tensor, state: State, weights: tuple[tf.Tensor, ...]
    ) -> State:
        """See `Cell.advance`."""
        p = projected_bg + weights[0]
        return (tf.sigmoid(p + product_bg) * p + tf.sigmoid(p - product_bg) * state[0],)


class LRN(Cell):
    """Lightweight recurrent network (Zhang and Sennrich 2019), here with activation tanh, biases and forget bias 1.

        [q, k, v] = x W + b
        h' = tanh(sigmoid(k + h) * v + sigmoid(q - h) * h)

    The forget gate is that of q. State `(h,)`; a step has no product.
    """

    gates, state_parts, recurrent = 3, 1, False
    first_bias = (1.0, 0.0, 0.0)

    def advance(self, projected_bg: tf.Tensor, product_bg: None, state: State, weights: tuple[tf.Tensor, ...]) -> State:
        """See `Cell.advance`."""
        q, k, v = tf.split(projected_bg + weights[0], 3, axis=-1)
        (h,) = state
        return (tf.tanh(tf.sigmoid(k + h) * v + tf.sigmoid(q - h) * h),)


class MinGRU(Cell):
    """Minimal GRU (Feng et al. 2024): its gate sees only the input.

        [z, n] = x W + b
        h' = (1 - sigmoid(z)) * h + sigmoid(z) * n

    The initial bias of z is -1. It keeps as much of the state as a forget bias of 1. State `(h,)`; a step has no product.
    """

    gates, state_parts, recurrent = 2, 1, False
    first_bias = (-1.0, 0.0)

    def advance(self, projected_bg: tf.Tensor, product_bg: None, state: State, weights: tuple[tf.Tensor, ...]) -> State:
        """See `Cell.advance`."""
        z, n = tf.split(projected_bg + weights[0], 2, axis=-1)
        z = tf.sigmoid(z)
        return ((1 - z) * state[0] + z * n,)


class MinLSTM(Cell):
    """Minimal LSTM (Feng et al. 2024): its gates see only the input and are scaled to sum to 1; forget bias 1.

        [f, i, n] = x W + b;  f = sigmoid(f);  i = sigmoid(i)
        h' = f / (f + i) * h + i / (f + i) * n

    State `(h,)`; a step has no product.
    """

    gates, state_parts, recurrent = 3, 1, False
    first_bias = (1.0, 0.0, 0.0)

    def advance(self, projected_bg: tf.Tensor, product_bg: None, state: State, weights: tuple[tf.Tensor, ...]) -> State:
        """See `Cell.advance`."""
        f, i, n = tf.split(projected_bg + weights[0], 3, axis=-1)
        # f / (f + i) = sigmoid(log f - log i): in logarithms, because f and i can both underflow to 0.
        kept = tf.sigmoid(tf.math.softplus(-i) - tf.math.softplus(-f))
        return (kept * state[0] + (1 - kept) * n,)


CELL_TYPES: Mapping[str, type[Cell]] = MappingProxyType(
    {
        "gru": GRU,
        "lstm": LSTM,
        "rnn": Elman,
        "ln_gru": LayerNormGRU,
        "ln_lstm": LayerNormLSTM,
        "sru": SRU,
        "atr": ATR,
        "lrn": LRN,
        "min_gru": MinGRU,
        "min_lstm": MinLSTM,
    }
)


def make_cell(name: str, units: int, precision: str = "float32", seed: int = 0) -> Cell:
    """The cell called `name`.

    Raises:
        ValueError: no such cell; the message lists the names.
    """
    if name not in CELL_TYPES:
        raise ValueError(f"unknown cell {name!r}; choose from {', '.join(sorted(CELL_TYPES))}")
    return CELL_TYPES[name](units, precision=precision, seed=seed, name=name)
