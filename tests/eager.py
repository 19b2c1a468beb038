"""Compiled functions run as they stand: where a test calls a function a few times, tracing it costs more than the calls."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """No `tf.function` is traced or compiled meanwhile."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
