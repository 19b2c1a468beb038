"""What must be right before TensorFlow is used: variables that Keras and XLA read, and no fork. Nothing is imported for it."""

import os
import sys

from wordseq.system.errors import UserError

_NO_YNN = "--xla_cpu_experimental_ynn_fusion_type"
"""Keeps XLA from using the YNN library for large sums, which TensorFlow 2.21 does without a lock. When two threads first run
the same compiled function, both append to one list of constants (`xla::cpu::EmitYnnSubgraph`). One in a few hundred trainings
crashed. XLA reads its flags when it first compiles, so setting them works even after TensorFlow was imported."""


def set_environment() -> None:
    """Choose Keras's TensorFlow backend and turn off XLA's YNN library; variables that the user set are kept.

    `wordseq/__init__.py` calls this, because importing any module of the package imports that first.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    flags = os.environ.get("XLA_FLAGS", "")
    if _NO_YNN not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_NO_YNN}=".strip()


class _Process:
    """State of this process."""

    forked_after_start = False
    """Whether it, or one before it, was forked from a process in which TensorFlow ran."""


def check_fork() -> None:
    """Check that TensorFlow can work in this process: its threads do not survive a fork, and it would wait for them for ever.

    Raises:
        UserError: the process was forked from one in which TensorFlow ran.
    """
    if _Process.forked_after_start:
        raise UserError(
            "this process was forked from one in which TensorFlow ran, and would hang: start processes by "
            "multiprocessing.get_context('spawn'), or load the model only after the fork"
        )


def _after_fork() -> None:
    if "tensorflow" in sys.modules and not _Process.forked_after_start:
        module = sys.modules.get("tensorflow.python.eager.context")
        # Imported but not yet started it has no threads. Without the names we know, it is taken to have started.
        context = getattr(module, "_context", True)
        _Process.forked_after_start = context is not None and getattr(context, "_context_handle", True) is not None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
