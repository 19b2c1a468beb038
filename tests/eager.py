"""Compiled functions run as they stand: where a test calls a function a few times, tracing it costs more than the calls."""

import contextlib
from collections.abc import Iterator

import pytest
import tensorflow as tf

from wordseq.decoding import translator


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """No `tf.function` is traced or compiled meanwhile, and a search has one batch: each would take as long as all together."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(translator, "SMALLEST_BATCH", 1000)
            yield
    finally:
        tf.config.run_functions_eagerly(before)
