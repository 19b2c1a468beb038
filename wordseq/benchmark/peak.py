"""The machine's peak: the speed of large square matrix products by TensorFlow."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from wordseq.system.workers import serve


def peak(precision: str, sizes: Sequence[int], repeats: int) -> dict[str, Any]:
    """The most GFLOP/s of a product of two `[n, n]`, over n from `sizes` and the repeats."""
    return {"gflops": max(_gflops(precision, size) for size in sizes for _ in range(repeats))}


def _gflops(precision: str, size: int) -> float:
    left, right = (tf.cast(tf.random.normal([size, size]), precision) for _ in range(2))
    # Warm-up: the first product of a size also prepares its oneDNN primitive.
    tf.matmul(left, right)
    start = time.perf_counter()
    tf.matmul(left, right)[0, 0].numpy()
    return 2 * size**3 / (time.perf_counter() - start) / 1e9


def main(options: Mapping[str, Any]) -> None:
    """Serve requests until standard input ends."""
    serve({"peak": peak})
