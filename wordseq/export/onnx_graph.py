"""Builds ONNX graphs from expressions: `builder.op("Tanh", x @ w + b)` adds three nodes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

OPSET, IR_VERSION = 17, 8
"""Of the ONNX standard of 2022: programs that read ONNX files lag behind."""

FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64
BOOL, UINT8 = TensorProto.BOOL, TensorProto.UINT8

_ZERO = 128
"""The integer that stands for 0."""

_SMALLEST = 4
"""Rows and columns of the smallest matrix that is stored in 8 bits."""


class Value:
    """A tensor of a graph; operators between it and other values, arrays or numbers add nodes.

    Args:
        builder: the graph.
        name: of the tensor in the graph.
    """

    def __init__(self, builder: "GraphBuilder", name: str) -> None:
        self.builder, self.name = builder, name

    def _with(self, kind: str, other: Any, turned: bool = False) -> "Value":
        return self.builder.op(kind, *((other, self) if turned else (self, other)))

    def __add__(self, other: Any) -> "Value":
        return self._with("Add", other)

    def __sub__(self, other: Any) -> "Value":
        return self._with("Sub", other)

    def __rsub__(self, other: Any) -> "Value":
        return self._with("Sub", other, turned=True)

    def __mul__(self, other: Any) -> "Value":
        return self._with("Mul", other)

    def __truediv__(self, other: Any) -> "Value":
        return self._with("Div", other)

    def __matmul__(self, other: "Value | Matrix") -> "Value":
        return self.builder.product(self, other) if isinstance(other, Matrix) else self._with("MatMul", other)

    def __neg__(self) -> "Value":
        return self.builder.op("Neg", self)


class Matrix(NamedTuple):
    """A weight that is large enough to be stored in 8 bits; `x @ matrix` is a product with it."""

    name: str
    array: npt.NDArray[np.float32]


class Axes(NamedTuple):
    """Type and shape of an input or output: sizes, or names of sizes that vary."""

    kind: int
    sizes: tuple[str | int, ...]


class GraphBuilder:
    """Collects nodes and weights. Within `Scan` and `If`, nodes go to the inner graph, which sees all that is around it.

    Args:
        int8: store matrices in 8 bits, and compute products with them in integers. Each column of a matrix has its own scale,
            and so has each vector that is multiplied: what a sentence gives does not depend on the others of its batch.
    """

    def __init__(self, *, int8: bool = False) -> None:
        self.int8 = int8
        self._nodes: list[list[NodeProto]] = [[]]
        self._weights: dict[str, TensorProto] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Value] = {}
        self._count = 0

    def op(self, kind: str, *inputs: Any, **attributes: Any) -> Value:
        """The only output of a new node; arrays and numbers among the inputs become constants, None an input left out."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: Any, **attributes: Any) -> tuple[Value, ...]:
        """As `op`, for a node of several outputs."""
        names = [self._new(kind.lower()) for _ in range(outputs)]
        given = ["" if value is None else self.value(value).name for value in inputs]
        self._nodes[-1].append(helper.make_node(kind, given, names, name=f"{kind}_{self._count}", **attributes))
        return tuple(Value(self, name) for name in names)

    def value(self, value: Any) -> Value:
        """A value as it is; an array or a number as a constant. Numbers are float32, arrays keep their type."""
        if isinstance(value, Value):
            return value
        array = value if isinstance(value, np.ndarray) else np.array(value, np.float32)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self.weight(self._new("constant"), array)
        return self._constants[key]

    def weight(self, name: str, array: npt.NDArray[Any]) -> Value:
        """A constant with a name of its own; the same name is stored once."""
        if name not in self._weights:
            self._weights[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return Value(self, name)

    def product(self, inputs: Value, matrix: Matrix) -> Value:
        """Vectors `[..., k]` times a matrix `[k, n]`."""
        if not self._packs(matrix.array):
            return self.op("MatMul", inputs, self.weight(*matrix))
        packed, scale = self._packed(matrix, 0)
        largest = self.op("ReduceMax", self.op("Abs", inputs), axes=[-1])
        step = self.op("Max", largest, np.float32(1e-30)) / 127.0
        # Both unsigned: processors without VNNI instructions clip sums of two products with signed weights to 16 bits.
        rounded = self.cast(self.op("Round", inputs / step) + float(_ZERO), UINT8)
        sums = self.op("MatMulInteger", rounded, packed, np.array(_ZERO, np.uint8), np.array(_ZERO, np.uint8))
        # Not times `step * scale`: onnxruntime takes that for one scale of all vectors, and fuses it into wrong numbers.
        return self.cast(sums, FLOAT) * self.value(scale) * step

    def rows(self, matrix: Matrix, ids: Value) -> Value:
        """The rows `[..., n]` of a matrix."""
        if not self._packs(matrix.array):
            return self.op("Gather", self.weight(*matrix), ids)
        packed, scale = self._packed(matrix, 1)
        found = self.cast(self.op("Gather", packed, ids), FLOAT) - float(_ZERO)
        return found * self.op("Gather", self.weight(f"{matrix.name}/scale", scale), ids)

    def unpacked(self, matrix: Matrix) -> Value:
        """A matrix, or several, `[..., n, k]` for an operator that takes float32 alone; in 8 bits only in the file."""
        if not self._packs(matrix.array):
            return self.weight(*matrix)
        packed, scale = self._packed(matrix, -1)
        return (self.cast(packed, FLOAT) - float(_ZERO)) * self.weight(f"{matrix.name}/scale", scale)

    def _packs(self, array: npt.NDArray[np.float32]) -> bool:
        return self.int8 and min(array.shape[-2:]) >= _SMALLEST

    def _packed(self, matrix: Matrix, axis: int) -> tuple[Value, npt.NDArray[np.float32]]:
        """The matrix as unsigned integers around `_ZERO`, and the scale of each line along an axis."""
        largest = np.maximum(np.abs(matrix.array).max(axis, keepdims=True), np.float32(1e-30))
        scale = (largest / 127).astype(np.float32)
        packed = (np.round(matrix.array / scale) + _ZERO).astype(np.uint8)
        return self.weight(f"{matrix.name}/int8", packed), scale

    def named(self, name: str) -> Value:
        """The value called `name`, such as an input of the graph."""
        return Value(self, name)

    def shape(self, value: Value, axis: int) -> Value:
        """The size of an axis, as an int64 tensor `[1]`."""
        return self.op("Gather", self.op("Shape", value), np.array([axis]))

    def cast(self, value: Any, kind: int) -> Value:
        """The value in another type."""
        return self.op("Cast", value, to=kind)

    def parts(self, value: Value, number: int) -> tuple[Value, ...]:
        """Equal parts of the last axis."""
        return self.ops("Split", number, value, axis=-1)

    def split(self, value: Value, sizes: Sequence[int]) -> tuple[Value, ...]:
        """Parts of the last axis, of these sizes."""
        return self.ops("Split", len(sizes), value, np.array(sizes), axis=-1)

    def axis(self, value: Any, place: int) -> Value:
        """The value with a new axis of size 1."""
        return self.op("Unsqueeze", value, np.array([place]))

    def scan(
        self,
        step: Callable[[tuple[Value, ...], tuple[Value, ...]], tuple[tuple[Value, ...], Value]],
        states: Sequence[Value],
        inputs: Sequence[tuple[Value, int]],
        *,
        reverse: bool,
    ) -> tuple[tuple[Value, ...], Value]:
        """Run a step over the first axis of the inputs.

        Args:
            step: of the states and of an entry of each input; returns the next states and an output.
            states: before the first step, float32.
            inputs: each with the type of its entries.
            reverse: from the last entry to the first; outputs stay in the order of the inputs.

        Returns:
            The last states, and all outputs along the first axis.
        """
        names = [self._new("state") for _ in states] + [self._new("entry") for _ in inputs]
        kinds = [FLOAT] * len(states) + [kind for _, kind in inputs]
        with self._inner() as nodes:
            given = tuple(map(self.named, names))
            after, output = step(given[: len(states)], given[len(states) :])
            # A node for each: an output of the inner graph must be made in it.
            made = [self.op("Identity", value).name for value in (*after, output)]
        body = helper.make_graph(
            nodes,
            self._new("step"),
            [_info(name, kind) for name, kind in zip(names, kinds, strict=True)],
            [_info(name, FLOAT) for name in made],
        )
        found = self.ops(
            "Scan",
            len(states) + 1,
            *states,
            *(value for value, _ in inputs),
            body=body,
            num_scan_inputs=len(inputs),
            scan_input_directions=[int(reverse)] * len(inputs),
            scan_output_directions=[int(reverse)],
        )
        return found[:-1], found[-1]

    def either(self, condition: Value, then: Callable[[], Value], otherwise: Callable[[], Value]) -> Value:
        """The float32 value of one of two functions; only that one is computed."""
        branches = []
        for make in (then, otherwise):
            with self._inner() as nodes:
                made = self.op("Identity", make()).name
            branches.append(helper.make_graph(nodes, self._new("branch"), [], [_info(made, FLOAT)]))
        return self.op("If", condition, then_branch=branches[0], else_branch=branches[1])

    def model(
        self,
        name: str,
        inputs: Mapping[str, Axes],
        outputs: Mapping[str, tuple[Value, Axes]],
    ) -> ModelProto:
        """The checked model.

        Args:
            name: of the graph.
            inputs: by name.
            outputs: by name.
        """
        (nodes,) = self._nodes
        for output, (value, _) in outputs.items():
            nodes.append(helper.make_node("Identity", [value.name], [output], name=f"out_{output}"))
        graph = helper.make_graph(
            nodes,
            name,
            [_info(key, *axes) for key, axes in inputs.items()],
            [_info(key, *axes) for key, (_, axes) in outputs.items()],
            list(self._weights.values()),
        )
        made = helper.make_model(graph, producer_name="wordseq", opset_imports=[helper.make_opsetid("", OPSET)])
        made.ir_version = IR_VERSION
        checker.check_model(made)
        return made

    @contextmanager
    def _inner(self) -> Iterator[list[NodeProto]]:
        self._nodes.append([])
        try:
            yield self._nodes[-1]
        finally:
            self._nodes.pop()

    def _new(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"


def _info(name: str, kind: int, axes: Sequence[str | int] | None = None) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, axes)
