"""Large matrix products in the chosen number format."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import keras
import tensorflow as tf

from wordseq.system.platform import parts

PRECISIONS = MappingProxyType({"float32": tf.float32, "bfloat16": tf.bfloat16})

FEW_ROWS = 16
"""A product of at most so many rows with a large matrix is divided among the processors: reading the matrix takes the time."""

LARGE = 2**20
"""Numbers in a large matrix, at least."""


class _Cast(NamedTuple):
    """A weight in the format of the products; a large one also in slices along its longer axis."""

    whole: tf.Tensor
    slices: tuple[tf.Tensor, ...] = ()


_CASTS: ContextVar[Mapping[tuple[int, tf.DType], _Cast]] = ContextVar("casts", default=MappingProxyType({}))

_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def resolve_precision(name: str, cpu_info: Path = Path("/proc/cpuinfo")) -> str:
    """The number format that `train.precision` asks for: `auto` is bfloat16 where the CPU has products for it, else float32.

    Args:
        name: "float32", "bfloat16" or "auto".
        cpu_info: where Linux lists what the CPU can do; where there is no such file, `auto` is float32.
    """
    if name != "auto":
        return name
    flags = cpu_info.read_text().split() if cpu_info.is_file() else []
    return "bfloat16" if _BFLOAT16_FLAGS.intersection(flags) else "float32"


def product(a: tf.Tensor, b: tf.Tensor, precision: str, *, transpose_b: bool = False) -> tf.Tensor:
    """The product of two tensors, computed in `precision` and left in it.

    In bfloat16 the factors and the result are rounded to 8 bits of mantissa; the sums inside the product are float32.
    `a` is `[..., m, k]`; `b` is `[k, n]`, shared by all leading axes of `a`, or has the same leading axes.
    """
    if b.shape.rank == 2 and a.shape.rank != 2:
        # One product for all leading axes.
        rows = product(tf.reshape(a, [-1, a.shape[-1]]), b, precision, transpose_b=transpose_b)
        return tf.reshape(rows, tf.concat([tf.shape(a)[:-1], [rows.shape[-1]]], 0))
    kind = PRECISIONS[precision]
    a = tf.cast(a, kind)
    whole, slices = _in_format(b, kind)

    def at_once() -> tf.Tensor:
        return tf.matmul(a, whole, transpose_b=transpose_b)

    def side_by_side() -> tf.Tensor:
        return tf.concat([tf.matmul(a, part, transpose_b=transpose_b) for part in slices], -1)

    if not slices or transpose_b != (whole.shape[0] > whole.shape[1]):  # They are along the other axis.
        return at_once()
    return tf.cond(tf.shape(a)[0] <= FEW_ROWS, side_by_side, at_once)


def _in_format(weight: tf.Tensor | keras.Variable, kind: tf.DType) -> _Cast:
    return _CASTS.get().get((id(weight), kind)) or _Cast(tf.cast(weight, kind))


@contextmanager
def cast_once(weights: Iterable[keras.Variable], precision: str, *, divided: bool = False) -> Iterator[None]:
    """Within, `product` takes these weights from casts made here and now: before a loop, not in each of its steps.

    Args:
        weights: of a model; the matrices among them are taken.
        precision: of the products.
        divided: large matrices are also kept in as many slices as `parts` run side by side, for products of few rows; for
            loops without a gradient, which would be put together of the slices' in each step.
    """
    kind = PRECISIONS[precision]
    matrices = [weight for weight in weights if len(weight.shape) == 2]
    token = _CASTS.set({(id(weight), kind): _cast(weight, kind, divided) for weight in matrices})
    try:
        yield
    finally:
        _CASTS.reset(token)


def _cast(weight: keras.Variable, kind: tf.DType, divided: bool) -> _Cast:
    whole = tf.cast(weight, kind)
    if not divided or parts() == 1 or whole.shape.num_elements() < LARGE:
        return _Cast(whole)
    longer = int(whole.shape[1] >= whole.shape[0])
    size = whole.shape[longer]
    sizes = [size * (k + 1) // parts() - size * k // parts() for k in range(parts())]
    return _Cast(whole, tuple(tf.split(whole, sizes, longer)))


def matmul(a: tf.Tensor, b: tf.Tensor, precision: str, *, transpose_b: bool = False) -> tf.Tensor:
    """`product` as float32."""
    return tf.cast(product(a, b, precision, transpose_b=transpose_b), tf.float32)


def fan_in_uniform(seed: int) -> keras.initializers.Initializer:
    """Entries of a matrix `[k, n]` drawn evenly from -1 / sqrt(k) to 1 / sqrt(k)."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seed)
