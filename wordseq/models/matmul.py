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

# With few rows, reading the matrix takes the time. Divided, one sentence took 10.7 instead of 16.5 ms (docs/results/speed.md).
FEW_ROWS = 16
"""A product with a large matrix is divided among the processors if it has at most this many rows."""

LARGE = 2**20
"""Entries of the smallest matrix that counts as large."""


class _Cast(NamedTuple):
    """A weight in the format of the products; a large one also in slices along its longer axis."""

    full: tf.Tensor
    slices: tuple[tf.Tensor, ...] = ()


# A context variable, because several threads trace functions at once. Keras variables are not hashable, hence `id`: the model
# keeps its variables alive, so no id is used again within `cast_once`.
_CASTS: ContextVar[Mapping[tuple[int, tf.DType], _Cast]] = ContextVar("casts", default=MappingProxyType({}))

# Names in /proc/cpuinfo. Only with these instructions are bfloat16 products faster than float32.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def resolve_precision(name: str, cpu_info: Path = Path("/proc/cpuinfo")) -> str:
    """The number format for a value of `train.precision`.

    Args:
        name: "float32", "bfloat16" or "auto": bfloat16 if the CPU has instructions for its products, else float32.
        cpu_info: Linux's list of CPU features; without this file, `auto` is float32.

    Raises:
        ValueError: another name; the message lists them.
    """
    if name in PRECISIONS:
        return name
    if name != "auto":
        raise ValueError(f"unknown precision {name!r}; choose from auto, {', '.join(PRECISIONS)}")
    flags = cpu_info.read_text().split() if cpu_info.is_file() else []
    return "bfloat16" if _BFLOAT16_FLAGS.intersection(flags) else "float32"


def product(a: tf.Tensor, b: tf.Tensor, precision: str, *, transpose_b: bool = False) -> tf.Tensor:
    """The product of two tensors, computed in `precision` and left in it.

    In bfloat16 the factors and the result are rounded to 8 bits of mantissa; the sums inside the product are float32.
    `a` is `[..., m, k]`; `b` is `[k, n]`, shared by all leading axes of `a`, or has the same leading axes.
    """
    if b.shape.rank == 2 and a.shape.rank != 2:
        # One large product is faster than a batch of small ones.
        rows = product(tf.reshape(a, [-1, a.shape[-1]]), b, precision, transpose_b=transpose_b)
        return tf.reshape(rows, tf.concat([tf.shape(a)[:-1], [rows.shape[-1]]], 0))
    kind = PRECISIONS[precision]
    a = tf.cast(a, kind)
    full, slices = _in_format(b, kind)

    def at_once() -> tf.Tensor:
        return tf.matmul(a, full, transpose_b=transpose_b)

    def in_parallel() -> tf.Tensor:
        return tf.concat([tf.matmul(a, part, transpose_b=transpose_b) for part in slices], -1)

    # Slices along the axis that the product sums over cannot be concatenated.
    if not slices or transpose_b != (full.shape[0] > full.shape[1]):
        return at_once()
    return tf.cond(tf.shape(a)[0] <= FEW_ROWS, in_parallel, at_once)


def _in_format(weight: tf.Tensor | keras.Variable, kind: tf.DType) -> _Cast:
    return _CASTS.get().get((id(weight), kind)) or _Cast(tf.cast(weight, kind))


@contextmanager
def cast_once(weights: Iterable[keras.Variable], precision: str, *, divided: bool = False) -> Iterator[None]:
    """Casts weights before a loop, so that `product` does not cast them in each step.

    Args:
        weights: variables of a model; only matrices are cast.
        precision: of the products.
        divided: also cut large matrices into `parts()` slices, for products of few rows. Only for loops without a gradient:
            each step would concatenate the gradients of the slices.
    """
    kind = PRECISIONS[precision]
    matrices = [weight for weight in weights if len(weight.shape) == 2]
    token = _CASTS.set({(id(weight), kind): _cast(weight, kind, divided) for weight in matrices})
    try:
        yield
    finally:
        _CASTS.reset(token)


def _cast(weight: keras.Variable, kind: tf.DType, divided: bool) -> _Cast:
    full = tf.cast(weight, kind)
    if not divided or parts() == 1 or full.shape.num_elements() < LARGE:
        return _Cast(full)
    longer = int(full.shape[1] >= full.shape[0])
    size = full.shape[longer]
    # Rounded borders: the sizes differ by at most 1 and add up to `size`.
    sizes = [size * (k + 1) // parts() - size * k // parts() for k in range(parts())]
    return _Cast(full, tuple(tf.split(full, sizes, longer)))


def matmul(a: tf.Tensor, b: tf.Tensor, precision: str, *, transpose_b: bool = False) -> tf.Tensor:
    """`product` as float32."""
    return tf.cast(product(a, b, precision, transpose_b=transpose_b), tf.float32)


def fan_in_uniform(seed: int) -> keras.initializers.Initializer:
    """Entries of a matrix `[k, n]`, uniform from -1 / sqrt(k) to 1 / sqrt(k)."""
    # Keras draws from [-a, a] with a = sqrt(3 * scale / k).
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seed)
