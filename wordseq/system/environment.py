"""Environment variables that Keras and XLA read when they are first used; nothing is imported for them."""

import os

_NO_YNN = "--xla_cpu_experimental_ynn_fusion_type"
"""XLA hands large sums to the YNN library. TensorFlow 2.21 does that unsafely: when two threads first run the same compiled
function at once, both append to one list of constants (`xla::cpu::EmitYnnSubgraph`), and one in a few hundred trainings died of
it. XLA reads its flags when it first compiles, so this also holds where TensorFlow was imported before."""


def set_environment() -> None:
    """Choose Keras's TensorFlow backend and keep XLA from the YNN library; what the user set stays.

    `wordseq/__init__.py` calls this, as every way to a module of this package passes there.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    flags = os.environ.get("XLA_FLAGS", "")
    if _NO_YNN not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_NO_YNN}=".strip()
