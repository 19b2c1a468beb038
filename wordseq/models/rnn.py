"""Runs a cell over time: one direction, both directions, stacks of layers.

The loop has its own gradient. The forward pass keeps what the gradient of each step needs. The backward pass goes through the
steps in reverse, and one product after the loop gives the gradient of the recurrent kernel. TensorFlow's own gradient would
compute that product at every step. With the input projection, this is most of the gain over the stock layers: see
docs/results/speed.md.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from wordseq.models.cells import Cell, State, make_cell
from wordseq.models.matmul import PRECISIONS, product

_Arrays = tuple[tf.TensorArray, ...]

_WITHOUT_GRADIENT: ContextVar[bool] = ContextVar("without_gradient", default=False)


@contextmanager
def without_gradient() -> Iterator[None]:
    """Within, recurrences are traced without their gradient, which a SavedModel cannot hold."""
    token = _WITHOUT_GRADIENT.set(True)
    try:
        yield
    finally:
        _WITHOUT_GRADIENT.reset(token)


class _Given(NamedTuple):
    """Tensors that all steps of a scan share."""

    kernel: tf.Tensor | None
    """Recurrent kernel in the format of the products."""
    weights: tuple[tf.Tensor, ...]
    mask_tb1: tf.Tensor
    keep_bh: tf.Tensor | None


class _Between:
    """The computation between two recurrent products of a cell, and its gradient.

    All weights are arguments: `_fused` shares one compiled instance between layers.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.kind = PRECISIONS[cell.precision]

    def feed(self, output_bh: tf.Tensor, keep_bh: tf.Tensor | None) -> tf.Tensor:
        """The left factor of the recurrent product."""
        return tf.cast(output_bh if keep_bh is None else output_bh * keep_bh, self.kind)

    def feed_gradient(self, d_fed_bh: tf.Tensor, keep_bh: tf.Tensor | None) -> tf.Tensor:
        """The gradient of the output, given the gradient of what `feed` returned."""
        d_output_bh = tf.cast(d_fed_bh, tf.float32)
        return d_output_bh if keep_bh is None else d_output_bh * keep_bh

    def advance(
        self,
        projected_bg: tf.Tensor,
        product_bg: tf.Tensor | None,
        state: State,
        weights: tuple[tf.Tensor, ...],
        mask_b1: tf.Tensor,
        keep_bh: tf.Tensor | None,
    ) -> tuple[State, tf.Tensor, tuple[tf.Tensor, ...]]:
        """From one product to the next.

        Returns:
            The new state (at padding, the old one), the left factor of the next product, and what the gradient needs.
        """
        product_bg = None if product_bg is None else tf.cast(product_bg, tf.float32)
        new, keeps = self.cell.activate(tf.cast(projected_bg, tf.float32), product_bg, state, weights)
        # Selected, not multiplied by the mask: the state after padding is bit for bit the state before it.
        new = tuple(tf.where(mask_b1, ours, last) for ours, last in zip(new, state, strict=True))
        return new, self.feed(new[0], keep_bh), keeps

    def gradient(
        self,
        keeps: tuple[tf.Tensor, ...],
        before: State,
        d_new: tuple[State, tf.Tensor, tf.Tensor],
        d_weights: tuple[tf.Tensor, ...],
        weights: tuple[tf.Tensor, ...],
        mask_b1: tf.Tensor,
        keep_bh: tf.Tensor | None,
    ) -> tuple[tuple[tf.Tensor, ...], State, tuple[tf.Tensor, ...]]:
        """The gradient of `advance`. At padding it passes the gradient of the state through and leaves all others alone.

        Args:
            keeps: third result of `advance`.
            before: the state before the step.
            d_new: gradients of the state after the step, of the output, and of what was fed.
            d_weights: sum over the later steps.
            weights: see `Cell.step_weights`.
            mask_b1: true where the step is real.
            keep_bh: see `Scan`.

        Returns:
            Gradients of projection and product in the format of the products; of `before`, without the path through the
            product; and of the weights.
        """
        d_state, d_output_bh, d_fed_bh = d_new
        # The output h has three readers: the next step's element-wise part, the layer above, the next product.
        d_state = (d_state[0] + d_output_bh + self.feed_gradient(d_fed_bh, keep_bh), *d_state[1:])
        # A gradient of 0 at padding makes the gradients of gates and weights 0 there, whatever the inputs are.
        d_real = tuple(tf.where(mask_b1, part, 0.0) for part in d_state)
        d_projected_bg, d_product_bg, d_before, d_step = self.cell.activate_gradient(keeps, before, d_real, weights)
        d_before = tuple(tf.where(mask_b1, ours, part) for ours, part in zip(d_before, d_state, strict=True))
        d_weights = tuple(total + part for total, part in zip(d_weights, d_step, strict=True))
        d_gates = (d_projected_bg,) if self.cell.additive or d_product_bg is None else (d_projected_bg, d_product_bg)
        return tuple(tf.cast(part, self.kind) for part in d_gates), d_before, d_weights


@functools.cache
def _fused(cell: Any, units: int, precision: str) -> tuple[Any, Any]:
    """`_Between.advance` and `.gradient`, compiled once for all layers with the same cell, size and precision."""
    between = _Between(cell(units, precision=precision))
    compiled = functools.partial(tf.function, autograph=False, jit_compile=True)
    return compiled(between.advance), compiled(between.gradient)


class Scan:
    """Runs a built cell over the steps of a projected input, time first.

    A step is one product, then an element-wise part. With `fused`, XLA compiles that part into one function: training is 5 to
    10 % faster, and each new batch size costs a compilation.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.kind = PRECISIONS[cell.precision]
        self.between = _Between(cell)

    def _functions(self, fused: bool) -> tuple[Any, Any]:
        """The computation between two products, and its gradient."""
        if fused:
            kind: Any = type(self.cell)  # Any: mypy takes a class to be as unhashable as its instances.
            return _fused(kind, self.cell.units, self.cell.precision)
        return self.between.advance, self.between.gradient

    def __call__(
        self,
        projected_tbg: tf.Tensor,
        mask_tb: tf.Tensor,
        state: State,
        keep_bh: tf.Tensor | None = None,
        fused: bool = False,
    ) -> tuple[tf.Tensor, State]:
        """The outputs `[t, b, h]` and the last state.

        Args:
            projected_tbg: `cell.project` of the inputs.
            mask_tb: true at real positions. At padding the state is carried over unchanged, and the output repeats it.
            state: the state before the first step.
            keep_bh: variational dropout: a factor on the last output before the recurrent product, the same at every step.
                No effect on a cell without such a product.
            fused: see the class.
        """
        # `tf.custom_gradient` gives gradients to arguments only, so `run` takes the weights as tensors, not from the cell.
        weights = self.cell.step_weights()
        kernels = (tf.convert_to_tensor(self.cell.recurrent_kernel),) if self.cell.recurrent else ()

        def run(projected_tbg: tf.Tensor, *rest: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Any]:
            end = len(rest) - len(kernels)
            first, weights, kernel = rest[: len(state)], rest[len(state) : end], rest[end:]
            kernel_hg = tf.cast(kernel[0], self.kind) if kernel else None
            given = _Given(kernel_hg, weights, mask_tb[:, :, None], keep_bh)
            states, fed, kept = self._forward(projected_tbg, first, given, fused)
            outputs_sbh = states[0].stack()  # t + 1 entries: the first is the state before the first step.
            last = tuple(array.read(array.size() - 1) for array in states)

            def gradient(d_outputs_tbh: tf.Tensor, *d_last: tf.Tensor) -> tuple[tf.Tensor, ...]:
                d_gates, d_first, d_weights = self._backward(states, kept, d_outputs_tbh, d_last, given, fused)
                # One array or two, see `_backward`: [0] and [-1] may be the same.
                d_projected_tbg, d_product_tbg = d_gates[0].stack(), d_gates[-1].stack()
                d_kernel: State = ()
                if kernel:
                    # The sum over all steps and sentences is inside this one product.
                    product_hg = tf.matmul(_rows(fed[0].stack()), _rows(d_product_tbg), transpose_a=True)
                    d_kernel = (tf.cast(product_hg, tf.float32),)
                return tf.cast(d_projected_tbg, projected_tbg.dtype), *d_first, *d_weights, *d_kernel

            return (outputs_sbh[1:], *last), gradient

        if _WITHOUT_GRADIENT.get():
            outputs_tbh, *last = run(projected_tbg, *state, *weights, *kernels)[0]
        else:
            outputs_tbh, *last = tf.custom_gradient(run)(projected_tbg, *state, *weights, *kernels)
        return outputs_tbh, tuple(last)

    def _forward(
        self, projected_tbg: tf.Tensor, first: State, given: _Given, fused: bool
    ) -> tuple[_Arrays, _Arrays, _Arrays]:
        """All states (the one before the first step included), the left factors of all products, and what gradients need.

        A cell without a recurrent product has no left factors.
        """
        advance = self._functions(fused)[0]
        steps = _steps(projected_tbg)
        inputs, masks = _by_step(projected_tbg), _by_step(given.mask_tb1)

        def body(
            t: tf.Tensor | int, state: State, fed_bh: tf.Tensor, states: _Arrays, fed: _Arrays, kept: _Arrays
        ) -> tuple[Any, ...]:
            fed = tuple(array.write(t, fed_bh) for array in fed)
            product_bg = None if given.kernel is None else tf.matmul(fed_bh, given.kernel)
            now = (inputs[t], product_bg, state, given.weights, masks[t], given.keep_bh)
            state, fed_bh, keeps = advance(*now)
            return t + 1, state, fed_bh, _write(states, t + 1, state), fed, _write(kept, t, keeps)

        first_fed_bh = self.between.feed(first[0], given.keep_bh)
        states = tuple(_array(steps + 1).write(0, part) for part in first)
        fed = (_array(steps, self.kind),) if self.cell.recurrent else ()
        kept = tuple(_array(steps) for _ in range(self.cell.kept or 1 + self.cell.recurrent))
        start = (0, first, first_fed_bh, states, fed, kept)
        return _loop(lambda t, *_: t < steps, body, start)[3:]

    def _backward(
        self, states: _Arrays, kept: _Arrays, d_outputs_tbh: tf.Tensor, d_last: State, given: _Given, fused: bool
    ) -> tuple[_Arrays, State, tuple[tf.Tensor, ...]]:
        """Gradients with respect to projections and products (one array if they are equal), first state and weights."""
        gradient = self._functions(fused)[1]
        steps = _steps(d_outputs_tbh)
        d_outputs, masks = _by_step(d_outputs_tbh), _by_step(given.mask_tb1)

        def body(
            t: tf.Tensor | int, d_state: State, d_fed_bh: tf.Tensor, d_weights: State, d_gates: _Arrays
        ) -> tuple[Any, ...]:
            before, keeps = (tuple(array.read(t) for array in arrays) for arrays in (states, kept))
            d_new = (d_state, d_outputs[t], d_fed_bh)
            d_inputs, d_state, d_weights = gradient(
                keeps, before, d_new, d_weights, given.weights, masks[t], given.keep_bh
            )
            if given.kernel is not None:
                d_fed_bh = tf.matmul(d_inputs[-1], given.kernel, transpose_b=True)
            return t - 1, d_state, d_fed_bh, d_weights, _write(d_gates, t, d_inputs)

        arrays = 1 if self.cell.additive or not self.cell.recurrent else 2
        start = (
            steps - 1,
            d_last,
            # Nothing reads the output of the last step through a product.
            tf.zeros_like(d_last[0], self.kind),
            tuple(tf.zeros_like(weight) for weight in given.weights),
            tuple(_array(steps, self.kind) for _ in range(arrays)),
        )
        _, d_first, d_fed_bh, d_weights, d_gates = _loop(lambda t, *_: t >= 0, body, start)
        # `body` adds each d_fed_bh one iteration later, so that of the first product is left over.
        return d_gates, (d_first[0] + self.between.feed_gradient(d_fed_bh, given.keep_bh), *d_first[1:]), d_weights


def _steps(tensor_tbx: tf.Tensor) -> tf.Tensor | int:
    """The size of the first axis, as an integer if it is known: outside `tf.function`, loops then count without operations."""
    size: int | None = tensor_tbx.shape[0]
    return tf.shape(tensor_tbx)[0] if size is None else size


def _loop(more: Callable[..., Any], body: Callable[..., tuple[Any, ...]], start: tuple[Any, ...]) -> tuple[Any, ...]:
    """`tf.while_loop`; outside `tf.function` without its checks of structure, which take longer than a small step."""
    if not tf.executing_eagerly():
        found: tuple[Any, ...] = tf.while_loop(more, body, start)
        return found
    while more(*start):
        start = body(*start)
    for part in tf.nest.flatten(start):
        # Without a gradient some arrays are never read, of which TensorFlow would complain.
        if isinstance(part, tf.TensorArray):
            part.mark_used()
    return start


def _by_step(tensor_tbx: tf.Tensor) -> tf.Tensor | list[tf.Tensor]:
    """What `[t]` gives the step t of: outside `tf.function` a list, because there each `[t]` of a tensor is many operations."""
    return tf.unstack(tensor_tbx) if tf.executing_eagerly() else tensor_tbx


def _rows(tensor_tbx: tf.Tensor) -> tf.Tensor:
    """Time and batch as one axis."""
    return tf.reshape(tensor_tbx, [-1, tensor_tbx.shape[-1]])


def _array(size: tf.Tensor | int, kind: tf.DType = tf.float32) -> tf.TensorArray:
    # States are read twice, as outputs and by the gradient. By default a TensorArray drops an entry once it is read.
    return tf.TensorArray(kind, size, clear_after_read=False)


def _write(arrays: _Arrays, t: tf.Tensor | int, values: Sequence[tf.Tensor]) -> _Arrays:
    return tuple(array.write(t, value) for array, value in zip(arrays, values, strict=True))


class Recurrence(keras.layers.Layer):
    """One layer in one direction.

    Args:
        cell: name of the cell, see `cells.CELL_TYPES`.
        units: size h of the output.
        reverse: read from the last position to the first; outputs stay in the order of the input.
        recurrent_dropout: share of the last output set to 0 before the recurrent product (Gal and Ghahramani 2016): the same
            units at all steps of a sentence. No effect on a cell without such a product.
        precision: see `matmul`.
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
        super().__init__(dtype="float32", **kwargs)
        self.cell = make_cell(cell, units, precision, seed)
        self.reverse = reverse
        self.keep = (
            keras.layers.Dropout(recurrent_dropout, seed=seed + 2, dtype="float32") if recurrent_dropout else None
        )
        self.scan = Scan(self.cell)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the cell for inputs `[b, t, i]`."""
        self.cell.build(input_shape)

    def call(
        self, inputs_bti: tf.Tensor, mask_bt: tf.Tensor, state: State | None = None, training: bool = False
    ) -> tuple[tf.Tensor, State]:
        """Outputs `[b, t, h]` and the state after the last real position; padding changes neither.

        Args:
            inputs_bti: one vector per position.
            mask_bt: true at real positions.
            state: the state before the first step; None is zero.
            training: apply dropout.
        """
        batch = tf.shape(inputs_bti)[0]
        state = self.cell.zero_state(batch) if state is None else state
        keep_bh = self.keep(tf.ones([batch, self.cell.units]), training=True) if self.keep and training else None
        # Reversed, padding comes first. It leaves the first state as it is, so no sentence needs to be shifted.
        inputs_tbi = self._turned(tf.transpose(inputs_bti, [1, 0, 2]))
        mask_tb = self._turned(tf.transpose(mask_bt))
        # Fused in training only: a search sees many shapes, and XLA compiles for each.
        outputs_tbh, state = self.scan(self.cell.project(inputs_tbi), mask_tb, state, keep_bh, fused=training)
        return tf.transpose(self._turned(outputs_tbh), [1, 0, 2]), state

    def _turned(self, tensor_tbx: tf.Tensor) -> tf.Tensor:
        """From the order of the input to that of the steps, or back."""
        return tf.reverse(tensor_tbx, [0]) if self.reverse else tensor_tbx

    def step(self, inputs_bi: tf.Tensor, state: State, keep_bh: tf.Tensor | None = None) -> State:
        """The state after one more input; its first tensor is the output. `keep_bh`: see `Scan`."""
        cell, projected_bg = self.cell, self.cell.project(inputs_bi)
        if keep_bh is None or not cell.recurrent:
            return cell.step(projected_bg, state)
        product_bg = tf.cast(product(state[0] * keep_bh, cell.recurrent_kernel, cell.precision), tf.float32)
        return cell.activate(tf.cast(projected_bg, tf.float32), product_bg, state, cell.step_weights())[0]


class Bidirectional(keras.layers.Layer):
    """One layer that reads in both directions, with half of the units each; outputs and states are concatenated."""

    def __init__(self, cell: str, units: int, *, seed: int = 0, **settings: Any) -> None:
        super().__init__(name=settings.pop("name", None), dtype="float32")
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


class Drops(NamedTuple):
    """Dropout factors of a stack that runs step by step, drawn for all steps at once; one entry per layer."""

    inputs: tuple[tf.Tensor | None, ...]
    """Of the layer's input: `[t, b, h]`, or `[b, h]` of one step."""
    keeps: tuple[tf.Tensor | None, ...]
    """Of the last output before the recurrent product: `[b, h]`, the same at every step."""

    def at(self, t: tf.Tensor) -> "Drops":
        """The factors of step `t`."""
        return Drops(tuple(None if part is None else part[t] for part in self.inputs), self.keeps)


class Stack(keras.layers.Layer):
    """A stack of recurrent layers, with dropout on the input of each but the first.

    Args:
        cell: name of the cell.
        units: size h of each layer's output.
        layers: their number.
        bidirectional: read in both directions, `units / 2` each.
        dropout: share of a layer's input set to 0.
        residual: from the second layer on, add a layer's input, before dropout, to its output (He et al. 2016; Wu et al. 2016,
            equation 6). The state does not include the input.
        seed: of initialisation and dropout.
        settings: `recurrent_dropout` and `precision`, see `Recurrence`; `name`.
    """

    def __init__(
        self,
        cell: str,
        units: int,
        layers: int,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        residual: bool = False,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(name=settings.pop("name", None), dtype="float32")
        kind = Bidirectional if bidirectional else Recurrence
        self.units = units
        self.residual = residual
        # No two random draws share a seed: a layer's recurrences take +0 to +3 and +10 to +13, its dropout +50.
        self.layers = [kind(cell, units, seed=seed + 100 * k, name=f"layer_{k}", **settings) for k in range(layers)]
        self.drops = [keras.layers.Dropout(dropout, seed=seed + 100 * k + 50, dtype="float32") for k in range(layers)]

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
        """Outputs `[b, t, h]` of the top layer, and the last state of each layer; see `Recurrence.call`."""
        before = [None] * len(self.layers) if states is None else states
        after = []
        for k, layer in enumerate(self.layers):
            dropped_bti = self.drops[k](inputs_bti, training=training) if k else inputs_bti
            outputs_bth, state = layer(dropped_bti, mask_bt, before[k], training=training)
            inputs_bti = inputs_bti + outputs_bth if self.residual and k else outputs_bth
            after.append(state)
        return inputs_bti, tuple(after)

    def draw(self, batch: tf.Tensor, steps: tf.Tensor) -> Drops:
        """The dropout factors of `steps` steps in one direction, as `call` in training draws them."""
        inputs_bth, keep_bh = tf.ones([batch, steps, self.units]), tf.ones([batch, self.units])
        # Batch first, as `call` draws: the same seed then drops the same units with and without input feeding.
        drawn = (tf.transpose(drop(inputs_bth, training=True), [1, 0, 2]) for drop in self.drops[1:])
        keeps = (layer.keep(keep_bh, training=True) if layer.keep else None for layer in self.layers)
        return Drops((None, *drawn), tuple(keeps))

    def step(
        self, inputs_bi: tf.Tensor, states: Sequence[State], drops: Drops | None = None
    ) -> tuple[tf.Tensor, tuple[State, ...]]:
        """The output `[b, h]` of the top layer, and the state of each layer, after one more input.

        Args:
            inputs_bi: input of the bottom layer.
            states: one per layer.
            drops: dropout factors of this step; None drops nothing.
        """
        none = (None,) * len(self.layers)
        after = []
        for k, (layer, state, drop_bi, keep_bh) in enumerate(
            zip(self.layers, states, *(drops or Drops(none, none)), strict=True)
        ):
            dropped_bi = inputs_bi if drop_bi is None else inputs_bi * drop_bi
            after.append(layer.step(dropped_bi, state, keep_bh))
            outputs_bh = after[-1][0]
            inputs_bi = inputs_bi + outputs_bh if self.residual and k else outputs_bh
        return inputs_bi, tuple(after)
