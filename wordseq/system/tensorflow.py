"""Imports TensorFlow without its start-up messages; errors are still shown."""

import contextlib
import importlib.util
import io
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from wordseq.system.environment import set_environment
from wordseq.system.errors import UserError
from wordseq.system.platform import processors, threads_an_operation
from wordseq.system.signals import END_SIGNALS, handled


def import_tensorflow(start: bool = True) -> None:
    """Import TensorFlow and Keras and start the runtime, with standard error captured; sets the numbers of threads.

    TensorFlow's own switch, TF_CPP_MIN_LOG_LEVEL, has no effect on messages during loading. If the import fails, the captured
    messages are printed. Signals that end the process take effect after the import: inside C++ code they could raise any error.

    Raises:
        UserError: Keras uses another backend than TensorFlow.

    Args:
        start: start the runtime; False for `training.distributed.join`, which must start it itself.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    set_environment()  # Again: other code may have changed the variables since `import wordseq`.
    _check_backend()
    if sys.modules.get("tensorflow"):
        return
    _check_installed()
    printed = b""
    try:
        with _signals_held_back(), stderr_captured() as captured:
            try:
                _load(start)
            except BaseException:
                captured.seek(0)
                printed = captured.read()
                raise
    finally:
        with contextlib.suppress(OSError):  # Standard error may be closed.
            os.write(2, printed)


def _check_installed() -> None:
    """Check that TensorFlow is installed. It is an extra, because its packages for CPU and GPU exclude each other.

    Raises:
        UserError: it is not installed; the message has the command to type.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            "TensorFlow is not installed: python -m pip install 'wordseq[cpu]', or 'wordseq[gpu]' on a machine with an "
            "NVIDIA GPU"
        )


def _check_backend() -> None:
    config = getattr(sys.modules.get("keras"), "config", None)
    # Before Keras is imported, the variable decides.
    backend = config.backend() if config else os.environ["KERAS_BACKEND"]
    if backend != "tensorflow":
        raise UserError(
            f"Keras uses the backend {backend!r}, and wordseq needs 'tensorflow': unset KERAS_BACKEND before keras is imported"
        )


def _load(start: bool) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads_an_operation())
    tf.config.threading.set_inter_op_parallelism_threads(processors())
    if start:
        tf.zeros([])
    # TensorFlow warns of each search function that is compiled again. With several models in one process that is normal.
    tf.get_logger().setLevel("ERROR")
    import keras  # noqa: F401


@contextlib.contextmanager
def stderr_captured() -> Iterator[IO[bytes]]:
    """Redirect standard error, also that of C++ code, to a temporary file; yields that file."""
    # At the level of file descriptors: C++ code does not use `sys.stderr`.
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # It is closed: there is nothing to redirect.
        yield io.BytesIO()
        return
    try:
        with tempfile.TemporaryFile() as captured:
            os.dup2(captured.fileno(), 2)
            try:
                yield captured
            finally:
                os.dup2(kept, 2)
    finally:
        os.close(kept)


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Postpone Ctrl-C, SIGTERM and a hang-up to the end of the `with` block."""
    came: list[int] = []
    try:
        with handled(lambda number, _: came.append(number), signal.SIGINT, *END_SIGNALS):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])
