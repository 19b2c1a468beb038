"""Environment variables that Keras and XLA read when they are first used; this module imports neither."""

import os

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
