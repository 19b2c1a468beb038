"""The recurrent cells of `models/cells` as ONNX nodes: one description of a step, for `Scan` and for the decoder.

The equations are there; `tests/unit/export` compares the numbers. `gru`, `lstm` and `rnn` are also standard operators of ONNX.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wordseq.export.onnx_graph import BOOL, FLOAT, INT32, GraphBuilder, Matrix, Value

_Weights = Mapping[str, npt.NDArray[np.float32]]

CellState = tuple[Value, ...]

_Step = Callable[[GraphBuilder, Value, Value | None, CellState, _Weights], CellState]

_EPSILON = 1e-5
"""Of `models.cells.EPSILON`."""


def _sigmoid(value: Value) -> Value:
    return value.builder.op("Sigmoid", value)


def _tanh(value: Value) -> Value:
    return value.builder.op("Tanh", value)


def _lstm(g: GraphBuilder, projected: Value, product: Any, state: CellState, w: _Weights) -> CellState:
    i, f, new, o = g.parts(projected + product + w["bias"], 4)
    c = _sigmoid(f) * state[1] + _sigmoid(i) * _tanh(new)
    return _sigmoid(o) * _tanh(c), c


def _gru(g: GraphBuilder, projected: Value, product: Any, state: CellState, w: _Weights) -> CellState:
    bias_x, bias_h = w["bias"]
    x_z, x_r, x_n = g.parts(projected + bias_x, 3)
    h_z, h_r, h_n = g.parts(product + bias_h, 3)
    z, r = _sigmoid(x_z + h_z), _sigmoid(x_r + h_r)
    return (z * state[0] + (1 - z) * _tanh(x_n + r * h_n),)


def _rnn(g: GraphBuilder, projected: Value, product: Any, state: CellState, w: _Weights) -> CellState:
    return (_tanh(projected + product + w["bias"]),)


def _normalised(value: Value, gain: npt.NDArray[np.float32]) -> Value:
    g = value.builder
    centred = value - g.op("ReduceMean", value, axes=[-1])
    variance = g.op("ReduceMean", centred * centred, axes=[-1])
    return centred / g.op("Sqrt", variance + _EPSILON) * gain


def _normalised_gates(value: Value, gain: npt.NDArray[np.float32]) -> Value:
    """The two gates of `ln_gru` together, and its candidate."""
    units = len(gain) // 3
    gates, candidate = value.builder.split(value, [2 * units, units])
    parts = _normalised(gates, gain[: 2 * units]), _normalised(candidate, gain[2 * units :])
    return value.builder.op("Concat", *parts, axis=-1)


def _ln_lstm(g: GraphBuilder, projected: Value, product: Any, state: CellState, w: _Weights) -> CellState:
    i, f, new, o = g.parts(projected + _normalised(product, w["recurrent_gain"]) + w["bias"], 4)
    c = _sigmoid(f) * state[1] + _sigmoid(i) * _tanh(new)
    return _sigmoid(o) * _tanh(_normalised(c, w["cell_gain"]) + w["cell_bias"]), c


def _ln_gru(g: GraphBuilder, projected: Value, product: Any, state: CellState, w: _Weights) -> CellState:
    return _gru(g, projected, _normalised_gates(product, w["recurrent_gain"]), state, w)


def _sru(g: GraphBuilder, projected: Value, product: Any, state: CellState, w: _Weights) -> CellState:
    vectors, bias = w["vectors"], w["bias"]
    u, f, r, s = g.parts(projected, 4)
    f = _sigmoid(f + state[1] * vectors[0] + bias[0])
    r = _sigmoid(r + state[1] * vectors[1] + bias[1])
    c = f * state[1] + (1 - f) * u
    return r * c + (1 - r) * s * 3**0.5, c


def _atr(g: GraphBuilder, projected: Value, product: Any, state: CellState, w: _Weights) -> CellState:
    p = projected + w["bias"]
    return (_sigmoid(p + product) * p + _sigmoid(p - product) * state[0],)


def _lrn(g: GraphBuilder, projected: Value, product: Any, state: CellState, w: _Weights) -> CellState:
    q, k, v = g.parts(projected + w["bias"], 3)
    (h,) = state
    return (_tanh(_sigmoid(k + h) * v + _sigmoid(q - h) * h),)


def _min_gru(g: GraphBuilder, projected: Value, product: Any, state: CellState, w: _Weights) -> CellState:
    z, new = g.parts(projected + w["bias"], 2)
    z = _sigmoid(z)
    return ((1 - z) * state[0] + z * new,)


def _min_lstm(g: GraphBuilder, projected: Value, product: Any, state: CellState, w: _Weights) -> CellState:
    f, i, new = g.parts(projected + w["bias"], 3)
    kept = _sigmoid(g.op("Softplus", -i) - g.op("Softplus", -f))
    return (kept * state[0] + (1 - kept) * new,)


class _Kind(NamedTuple):
    step: _Step
    gates: int
    """Blocks of width h in the bias."""
    state_parts: int = 1
    project: Callable[[Value, _Weights], Value] | None = None
    """What happens to the input projection before the step, besides the product."""


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "gru": _Kind(_gru, 3),
        "lstm": _Kind(_lstm, 4, 2),
        "rnn": _Kind(_rnn, 1),
        "ln_gru": _Kind(_ln_gru, 3, 1, lambda value, w: _normalised_gates(value, w["input_gain"])),
        "ln_lstm": _Kind(_ln_lstm, 4, 2, lambda value, w: _normalised(value, w["input_gain"])),
        "sru": _Kind(_sru, 1, 2),
        "atr": _Kind(_atr, 1),
        "lrn": _Kind(_lrn, 3),
        "min_gru": _Kind(_min_gru, 2),
        "min_lstm": _Kind(_min_lstm, 3),
    }
)

# The operator's name, and its gates in the order of ONNX as numbers of ours.
_OPERATORS: Mapping[str, tuple[str, tuple[int, ...]]] = MappingProxyType(
    {"gru": ("GRU", (0, 1, 2)), "lstm": ("LSTM", (0, 3, 1, 2)), "rnn": ("RNN", (0,))}
)


class OnnxCell:
    """A cell with its weights.

    Args:
        builder: the graph that it is used in.
        name: of the cell.
        path: of its weights, for their names in the graph.
        weights: its arrays by the last part of their names, e.g. "kernel".
    """

    def __init__(self, builder: GraphBuilder, name: str, path: str, weights: _Weights) -> None:
        self.builder, self.name, self.path, self.weights = builder, name, path, weights
        self.kind = _KINDS[name]

    @property
    def units(self) -> int:
        """Size h of the output."""
        return self.weights["bias"].shape[-1] // self.kind.gates

    def project(self, inputs: Value) -> Value:
        """The input projection of vectors `[..., i]`, see `models.cells.Cell.project`."""
        projected = inputs @ self._kernel("kernel")
        if self.kind.project:
            return self.kind.project(projected, self.weights)
        if self.name == "sru" and self.weights["kernel"].shape[1] == 3 * self.units:
            return self.builder.op("Concat", projected, inputs, axis=-1)
        return projected

    def advance(self, projected: Value, state: CellState) -> CellState:
        """The state after a step; its first tensor is the output."""
        recurrent = "recurrent_kernel" in self.weights
        product = state[0] @ self._kernel("recurrent_kernel") if recurrent else None
        return self.kind.step(self.builder, projected, product, state, self.weights)

    def _kernel(self, name: str) -> Matrix:
        return Matrix(f"{self.path}/{name}", self.weights[name])

    def run(self, inputs_sbi: Value, mask_sb1: Value, *, reverse: bool) -> tuple[Value, CellState]:
        """Outputs `[s, b, h]` and the last state, from zero; at padding the state is carried over."""
        g = self.builder
        batch = g.shape(inputs_sbi, 1)
        zero = g.op(
            "Expand", np.zeros((1, self.units), np.float32), g.op("Concat", batch, np.array([self.units]), axis=0)
        )

        def step(state: CellState, entries: tuple[Value, ...]) -> tuple[CellState, Value]:
            new = self.advance(entries[0], state)
            kept = tuple(g.op("Where", entries[1], ours, last) for ours, last in zip(new, state, strict=True))
            return kept, kept[0]

        states, outputs_sbh = g.scan(
            step,
            [zero] * self.kind.state_parts,
            [(self.project(inputs_sbi), FLOAT), (mask_sb1, BOOL)],
            reverse=reverse,
        )
        return outputs_sbh, states


def run_layer(cells: list[OnnxCell], inputs_sbi: Value, mask_sb: Value, *, masked: bool) -> tuple[Value, CellState]:
    """A layer of one cell, or of two that read in both directions: outputs `[s, b, h]` and last states.

    Args:
        cells: ahead, and back if there are two.
        inputs_sbi: one vector for each position.
        mask_sb: true at real positions.
        masked: positions that are not real may stand before real ones; otherwise the standard operators know all by lengths.
    """
    g = cells[0].builder
    if not masked and cells[0].name in _OPERATORS:
        return _operator(cells, inputs_sbi, mask_sb)
    mask_sb1 = g.axis(mask_sb, 2)
    found = [cell.run(inputs_sbi, mask_sb1, reverse=bool(k)) for k, cell in enumerate(cells)]
    if len(found) == 1:
        return found[0]
    outputs = g.op("Concat", *(outputs for outputs, _ in found), axis=-1)
    states = zip(*(states for _, states in found), strict=True)
    return outputs, tuple(g.op("Concat", *both, axis=-1) for both in states)


def _operator(cells: list[OnnxCell], inputs_sbi: Value, mask_sb: Value) -> tuple[Value, CellState]:
    g, first = cells[0].builder, cells[0]
    operator, order = _OPERATORS[first.name]
    name = f"{first.path.rpartition('/')[0]}/{operator}"

    def stacked(part: str, arrays: list[npt.NDArray[np.float32]]) -> Value:
        blocks = [np.split(array, len(order), -1) for array in arrays]
        turned = [np.concatenate([some[k] for k in order], -1).T for some in blocks]
        return g.unpacked(Matrix(f"{name}/{part}", np.stack(turned)))

    biases = []
    for cell in cells:
        bias = np.atleast_2d(cell.weights["bias"])
        both = bias if len(bias) == 2 else np.concatenate([bias, np.zeros_like(bias)])
        biases.append([np.concatenate([np.split(row, len(order))[k] for k in order]) for row in both])
    attributes = {"GRU": {"linear_before_reset": 1}}.get(operator, {})
    lengths_b = g.cast(g.op("ReduceSum", g.cast(mask_sb, INT32), np.array([0]), keepdims=0), INT32)
    outputs, *states = g.ops(
        operator,
        1 + first.kind.state_parts,
        inputs_sbi,
        stacked("W", [cell.weights["kernel"] for cell in cells]),
        stacked("R", [cell.weights["recurrent_kernel"] for cell in cells]),
        g.weight(f"{name}/B", np.stack([np.concatenate(rows) for rows in biases])),
        lengths_b,
        hidden_size=first.units,
        direction="bidirectional" if len(cells) == 2 else "forward",
        **attributes,
    )
    # From [s, directions, b, h] and [directions, b, h].
    outputs_sbh = g.op("Reshape", g.op("Transpose", outputs, perm=[0, 2, 1, 3]), np.array([0, 0, -1]))
    last = (g.op("Reshape", g.op("Transpose", state, perm=[1, 0, 2]), np.array([0, -1])) for state in states)
    return outputs_sbh, tuple(last)
