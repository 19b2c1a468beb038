"""Checks the arguments of the models. Every error is a ValueError that names the argument and the allowed values."""

import operator
from collections.abc import Sequence
from typing import Any

Shape = tuple[int | None, int | None, int]
"""Batch size and length of the input, each None if it may vary, and the size of one vector."""


def positive_integer(name: str, value: Any) -> int:
    """`value` as an int of 1 or more.

    Raises:
        ValueError: `value` is not an integer of 1 or more.
    """
    try:
        # `operator.index` accepts the integers of Python and NumPy, but no floats. It also accepts bools.
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"{name} must be an integer of 1 or more, got {value!r}")
    return number


def depths(value: Any) -> tuple[int, int]:
    """Numbers of layers of encoder and decoder; a single integer is for both.

    Raises:
        ValueError: `value` is neither a positive integer nor a pair of them.
    """
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    try:
        encoder, decoder = (positive_integer("depth", number) for number in pair)
    except ValueError:
        raise ValueError(
            f"depth must be an integer of 1 or more, or a pair (encoder, decoder) of them, got {value!r}"
        ) from None
    return encoder, decoder


def rate(name: str, value: Any) -> float:
    """A dropout rate.

    Raises:
        ValueError: `value` is not a number from 0 to below 1.
    """
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = float("nan")
    if not 0 <= share < 1:
        raise ValueError(f"{name} must be a number from 0 to below 1, got {value!r}")
    return share


def switches(**values: Any) -> None:
    """Check arguments that are True or False.

    Raises:
        ValueError: an argument is neither True nor False.
    """
    for name, value in values.items():
        if not isinstance(value, (bool, int)) or value not in (True, False):
            raise ValueError(f"{name} must be True or False, got {value!r}")


def source_shape(
    input_dim: Any = None,
    input_length: Any = None,
    input_shape: Any = None,
    batch_size: Any = None,
    batch_input_shape: Any = None,
) -> Shape:
    """The shape of the input, from any of the arguments. A size that is given twice must be the same.

    Raises:
        ValueError: a shape has the wrong length, sizes contradict each other, or the size of the vectors is missing.
    """
    inner = _entries("input_shape", input_shape, ("input_length", "input_dim"))
    full = _entries("batch_input_shape", batch_input_shape, ("batch_size", "input_length", "input_dim"))
    batch = _agreed("batch_size", batch_size, full[0])
    length = _agreed("input_length", input_length, inner[0], full[1])
    dim = _agreed("input_dim", input_dim, inner[1], full[2])
    if dim is None:
        raise ValueError(
            "the size of the input vectors is missing: give input_dim, input_shape=(input_length, input_dim) or "
            "batch_input_shape=(batch_size, input_length, input_dim)"
        )
    return batch, length, dim


def check_shape_for(shape: Shape, *, stateful: bool, unroll: bool) -> None:
    """Check that the shape has the sizes that `stateful` and `unroll` need.

    Raises:
        ValueError: a stateful model has no batch size, or an unrolled one no input length.
    """
    if stateful and shape[0] is None:
        raise ValueError("stateful=True needs the number of sequences in a batch: give batch_size or batch_input_shape")
    if unroll and shape[1] is None:
        raise ValueError(
            "unroll=True needs the number of input steps: give input_length, input_shape or batch_input_shape"
        )


def _entries(name: str, shape: Any, parts: tuple[str, ...]) -> Sequence[Any]:
    """The entries of a shape; all None if it is not given."""
    if shape is None:
        return (None,) * len(parts)
    if not isinstance(shape, (tuple, list)) or len(shape) != len(parts):
        raise ValueError(f"{name} must be ({', '.join(parts)}), got {shape!r}")
    return shape


def _agreed(name: str, *values: Any) -> int | None:
    """The size that is given, once or several times; None if it is not given.

    Raises:
        ValueError: the values differ.
    """
    sizes = {positive_integer(name, value) for value in values if value is not None}
    if len(sizes) > 1:
        raise ValueError(f"{name} is given as {' and as '.join(map(str, sorted(sizes)))}; give it once")
    return sizes.pop() if sizes else None
