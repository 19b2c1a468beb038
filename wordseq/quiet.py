"""Imports TensorFlow without its start-up messages; real errors are still shown."""

import os
import sys
import tempfile

from wordseq.threads import processors, threads_an_operation


def import_tensorflow() -> None:
    """Import TensorFlow and Keras and start the runtime, with standard error set aside meanwhile; threads as in `threads`.

    TensorFlow's own switch, TF_CPP_MIN_LOG_LEVEL, comes too late for what it prints while it is loaded. If the import fails,
    what was printed is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(threads_an_operation())
            tf.config.threading.set_inter_op_parallelism_threads(processors())
            tf.zeros([])
            # Several models in one process are no mistake, but it warns of every search that is compiled again.
            tf.get_logger().setLevel("ERROR")
            import keras  # noqa: F401
        except BaseException:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
