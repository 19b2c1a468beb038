"""Large matrix products in the chosen number format."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType

import keras
import tensorflow as tf

PRECISIONS = MappingProxyType({"float32": tf.float32, "bfloat16": tf.bfloat16})

_CASTS: ContextVar[Mapping[tuple[int, tf.DType], tf.Tensor]] = ContextVar("casts", default=MappingProxyType({}))
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
    return tf.matmul(tf.cast(a, kind), _in_format(b, kind), transpose_b=transpose_b)


def _in_format(weight: tf.Tensor | keras.Variable, kind: tf.DType) -> tf.Tensor:
    found = _CASTS.get().get((id(weight), kind))
    return tf.cast(weight, kind) if found is None else found


@contextmanager
def cast_once(weights: Iterable[keras.Variable], precision: str) -> Iterator[None]:
    """Within, `product` takes these weights from casts made here and now: before a loop, not in each of its steps."""
    kind = PRECISIONS[precision]
    token = _CASTS.set({(id(weight), kind): tf.cast(weight, kind) for weight in weights})
    try:
        yield
    finally:
        _CASTS.reset(token)


def matmul(a: tf.Tensor, b: tf.Tensor, precision: str, *, transpose_b: bool = False) -> tf.Tensor:
    """`product` as float32."""
    return tf.cast(product(a, b, precision, transpose_b=transpose_b), tf.float32)


def fan_in_uniform(seed: int) -> keras.initializers.Initializer:
    """Entries of a matrix `[k, n]` drawn evenly from -1 / sqrt(k) to 1 / sqrt(k): attention starts out nearly even."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seed)
