"""The layers of the models: a stack of LSTM cells, and decoders whose output is their next input."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

# Finite: if all positions are padding, softmax of -inf would be NaN.
_MASKED = -1e9
"""Score of a padded position: its weight is 0."""

Tensors = tuple[tf.Tensor, ...]
Look = Callable[[Tensors], tuple[Tensors, Tensors]]
"""From the states of a decoder to its inputs in this step besides its last output, and to extra outputs of the step."""

register = keras.saving.register_keras_serializable("wordseq")


@register
class LSTMStack(keras.layers.Layer):
    """A stack of LSTM cells, as one cell for `keras.layers.RNN`.

    Args:
        units: size of every layer.
        depth: number of layers.
        share_state: all layers share one state (h and c). In a step each layer gets it from the layer below and passes it on to
            the layer above. The next step of the bottom layer gets it from the top. Otherwise each layer has its own state.
        dropout: share of entries dropped between layers, drawn again in every step.
    """

    def __init__(
        self, units: int, depth: int = 1, share_state: bool = False, dropout: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.depth, self.share_state, self.dropout = units, depth, share_state, dropout
        self.cells = [keras.layers.LSTMCell(units, name=f"lstm_{k}") for k in range(depth)]
        self.drop = keras.layers.Dropout(dropout, name="dropout")
        self.output_size = units
        self.state_size = [units] * 2 * (1 if share_state else depth)

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs `[b, input_shape[-1]]`."""
        for k, cell in enumerate(self.cells):
            cell.build((None, self.units if k else input_shape[-1]))
        self.built = True

    def call(
        self, inputs_bi: tf.Tensor, states: Sequence[tf.Tensor], training: bool = False
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The output `[b, units]` of the top layer, and the new states: h and c of each layer, or the shared ones."""
        hidden_bh, states = inputs_bi, list(states)
        for k, cell in enumerate(self.cells):
            own = slice(0, 2) if self.share_state else slice(2 * k, 2 * k + 2)
            if k:
                hidden_bh = self.drop(hidden_bh, training=training)
            hidden_bh, states[own] = cell(hidden_bh, states[own])
        return hidden_bh, states

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return super().get_config() | _arguments(self, "units", "depth", "share_state", "dropout")


class _Decoder(keras.layers.Layer):
    """A stack of LSTM layers with a linear output layer; each output is the input of the next step.

    With teacher forcing, in training, the input is the gold output of the step before.
    """

    def __init__(
        self,
        output_length: int,
        output_dim: int,
        hidden_dim: int,
        depth: int = 1,
        share_state: bool = False,
        dropout: float = 0.0,
        unroll: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_length, self.output_dim, self.hidden_dim = output_length, output_dim, hidden_dim
        self.depth, self.share_state, self.dropout, self.unroll = depth, share_state, dropout, unroll
        self.cell = LSTMStack(hidden_dim, depth, share_state, dropout, name="cell")
        self.readout = keras.layers.Dense(output_dim, name="readout")

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        names = ("output_length", "output_dim", "hidden_dim", "depth", "share_state", "dropout", "unroll")
        return super().get_config() | _arguments(self, *names)

    def _build(self, seen_dim: int) -> None:
        """Make the weights of stack and output layer, for `seen_dim` input entries besides the last output."""
        self.cell.build((None, self.output_dim + seen_dim))
        self.readout.build((None, self.hidden_dim))

    def _zero_states(self, like_bx: tf.Tensor) -> Tensors:
        rows = tf.shape(like_bx)[0]
        return tuple(tf.zeros([rows, size], like_bx.dtype) for size in self.cell.state_size)

    def _decode(
        self, first_bo: tf.Tensor, states: Tensors, look: Look, truth_bto: tf.Tensor | None, training: bool
    ) -> Tensors:
        """Outputs `[b, t, o]`, and the extra outputs of `look`.

        Args:
            first_bo: the input of the first step, in place of an output before it.
            states: of the stack.
            look: see `Look`.
            truth_bto: the gold outputs; used only in training.
            training: apply dropout and teacher forcing.
        """
        fed_bto = None
        if truth_bto is not None and training:
            # Shifted by one step: each step is fed the gold output of the step before.
            fed_bto = tf.concat([first_bo[:, None], tf.cast(truth_bto, first_bo.dtype)[:, :-1]], 1)

        def step(t: int | tf.Tensor, carry: Tensors) -> tuple[Tensors, Tensors]:
            last_bo, *states = carry
            if fed_bto is not None:
                last_bo = tf.gather(fed_bto, t, axis=1)
            seen, shown = look(tuple(states))
            hidden_bh, states = self.cell(tf.concat([last_bo, *seen], -1), states, training=training)
            output_bo = self.readout(hidden_bh)
            return (output_bo, *shown), (output_bo, *states)

        return unfold(step, (first_bo, *states), self.output_length, self.unroll)


@register
class FeedbackDecoder(_Decoder):
    """Decoder that starts from a context vector (Sutskever et al. 2014).

    Args:
        peek: the context vector is also an input of every step (Cho et al. 2014).
    """

    def __init__(self, *args: Any, peek: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.peek = peek
        self.first = keras.layers.Dense(self.output_dim, name="first")

    def build(self, context_shape: Any) -> None:
        """Make the weights for a context `[b, context_shape[-1]]`."""
        self.first.build(context_shape)
        self._build(context_shape[-1] if self.peek else 0)
        self.built = True

    def call(
        self,
        context_bh: tf.Tensor,
        states: Sequence[tf.Tensor] | None = None,
        truth_bto: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Outputs `[b, t, o]`. The input of the first step is a linear map of the context.

        Args:
            context_bh: context vector.
            states: initial states of the stack; zeros by default.
            truth_bto: gold outputs, for teacher forcing in training.
            training: whether this is training.
        """
        started = self._zero_states(context_bh) if states is None else tuple(states)
        seen = (context_bh,) if self.peek else ()
        return self._decode(self.first(context_bh), started, lambda _: (seen, ()), truth_bto, training)[0]

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return super().get_config() | _arguments(self, "peek")


@register
class AttentionDecoder(_Decoder):
    """Decoder with attention to the source in every step (Bahdanau et al. 2015, appendix A.2.2).

        score(s, m) = v . tanh(s W + m U + b)     s: output of the top layer in the step before
        weights = softmax over real source positions;  context = sum of weights * m

    The initial states and the input of the first step are zeros.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.supports_masking = True
        self.query = keras.layers.Dense(self.hidden_dim, use_bias=False, name="query")
        self.keys = keras.layers.Dense(self.hidden_dim, name="keys")

    def build(self, memory_shape: Any) -> None:
        """Make the weights for a memory `[b, s, memory_shape[-1]]`."""
        self.query.build((None, self.hidden_dim))
        self.keys.build(memory_shape)
        # LeCun uniform for `hidden_dim` inputs.
        limit = (3 / self.hidden_dim) ** 0.5
        uniform = keras.initializers.RandomUniform(-limit, limit)
        self.score = self.add_weight(name="score", shape=(self.hidden_dim,), initializer=uniform)
        self._build(memory_shape[-1])
        self.built = True

    def call(
        self, memory_bsh: tf.Tensor, real_bs: tf.Tensor, truth_bto: tf.Tensor | None = None, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Outputs `[b, t, o]` and attention weights `[b, t, s]`.

        Args:
            memory_bsh: encoder outputs.
            real_bs: true at real source positions; padding gets weight 0.
            truth_bto: gold outputs, for teacher forcing in training.
            training: whether this is training.
        """
        keys_bsh = self.keys(memory_bsh)

        def look(states: Tensors) -> tuple[Tensors, Tensors]:
            # states[-2] is h of the top layer, states[-1] its c.
            scores_bs = tf.reduce_sum(self.score * tf.tanh(self.query(states[-2])[:, None] + keys_bsh), -1)
            weights_bs = tf.nn.softmax(tf.where(real_bs, scores_bs, tf.cast(_MASKED, scores_bs.dtype)))
            return (tf.linalg.matvec(memory_bsh, weights_bs, transpose_a=True),), (weights_bs,)

        first_bo = tf.zeros([tf.shape(memory_bsh)[0], self.output_dim], memory_bsh.dtype)
        outputs_bto, weights_bts = self._decode(first_bo, self._zero_states(memory_bsh), look, truth_bto, training)
        return outputs_bto, weights_bts

    def compute_mask(self, *_: Any, **__: Any) -> None:
        """No mask: all outputs are real, even if the source has padding."""


@register
class RealPositions(keras.layers.Layer):
    """The mask `[b, s]` of its input as a tensor, true at real vectors. All true if the input has no mask."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs_bsi: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """A boolean tensor `[b, s]`."""
        return tf.ones(tf.shape(inputs_bsi)[:2], tf.bool) if mask is None else tf.cast(mask, tf.bool)

    def compute_mask(self, *_: Any, **__: Any) -> None:
        """The output has no mask."""
        return


def unfold(
    step: Callable[[int | tf.Tensor, Tensors], tuple[Tensors, Tensors]], carry: Tensors, length: int, unroll: bool
) -> Tensors:
    """Call `outputs, carry = step(t, carry)` for t from 0 to `length` - 1.

    Args:
        step: outputs are tensors `[b, ...]`; `t` is an integer, or a tensor in a loop.
        carry: of the first step.
        length: number of steps.
        unroll: put every step into the graph: faster for few steps, but large and slow to compile for many.

    Returns:
        The outputs of all steps, each `[b, t, ...]`.
    """
    # The first step is outside the loop: the arrays need the types and shapes of its outputs.
    outputs, carry = step(0, carry)
    if unroll:
        rows = [outputs]
        for t in range(1, length):
            outputs, carry = step(t, carry)
            rows.append(outputs)
        return tuple(tf.stack(row, 1) for row in zip(*rows, strict=True))
    arrays = tuple(tf.TensorArray(o.dtype, length, element_shape=o.shape).write(0, o) for o in outputs)

    def body(t: tf.Tensor, carry: Tensors, arrays: tuple[tf.TensorArray, ...]) -> tuple[Any, ...]:
        outputs, carry = step(t, carry)
        return t + 1, carry, tuple(array.write(t, o) for array, o in zip(arrays, outputs, strict=True))

    # XLA can only differentiate a loop with a known number of steps.
    _, _, arrays = tf.while_loop(lambda t, *_: t < length, body, (1, carry, arrays), maximum_iterations=length - 1)
    return tuple(tf.transpose(array.stack(), [1, 0, 2]) for array in arrays)


def _arguments(layer: keras.layers.Layer, *names: str) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in names}
