"""Imports TensorFlow without its start-up messages; real errors are still shown."""

import contextlib
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from wordseq.system.environment import set_environment
from wordseq.system.errors import UserError
from wordseq.system.platform import processors, threads_an_operation
from wordseq.system.signals import handled


def import_tensorflow(start: bool = True) -> None:
    """Import TensorFlow and Keras and start the runtime, with standard error set aside meanwhile; threads as in `threads`.

    TensorFlow's own switch, TF_CPP_MIN_LOG_LEVEL, comes too late for what it prints while it is loaded. If the import fails,
    what was printed is shown. Ctrl-C waits until it is imported: within C code it would come out as anything.

    Args:
        start: start the runtime; `distribution.join` has to do it itself.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    set_environment()  # Somebody may have changed it since.
    if sys.modules.get("tensorflow"):
        return
    _check_installed()
    printed = b""
    try:
        with _signals_held_back(), stderr_aside() as aside:
            try:
                _load(start)
            except BaseException:
                aside.seek(0)
                printed = aside.read()
                raise
    finally:
        os.write(2, printed)


def _check_installed() -> None:
    """Whether there is a TensorFlow: it comes by an extra, as the packages for CPU and GPU exclude each other.

    Raises:
        UserError: there is none; the message says what to type.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            "TensorFlow is not installed: python -m pip install 'wordseq[cpu]', or 'wordseq[gpu]' on a machine with an "
            "NVIDIA GPU"
        )


def _load(start: bool) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads_an_operation())
    tf.config.threading.set_inter_op_parallelism_threads(processors())
    if start:
        tf.zeros([])
    # Several models in one process are no mistake, but it warns of every search that is compiled again.
    tf.get_logger().setLevel("ERROR")
    import keras  # noqa: F401


@contextlib.contextmanager
def stderr_aside() -> Iterator[IO[bytes]]:
    """Set standard error aside, that of C++ too; the file that takes it."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as aside:
            os.dup2(aside.fileno(), 2)
            try:
                yield aside
            finally:
                os.dup2(kept, 2)
    finally:
        os.close(kept)


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Ctrl-C and SIGTERM act at the end, as they would have at once."""
    came: list[int] = []
    try:
        with handled(lambda number, _: came.append(number), signal.SIGINT, signal.SIGTERM):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])
