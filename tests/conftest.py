"""Settings of all tests: no start-up messages of TensorFlow, no time limit an example (the first one compiles)."""

from hypothesis import settings

from tests.skips import pytest_sessionfinish, pytest_terminal_summary  # noqa: F401
from wordseq.system.tensorflow import import_tensorflow

import_tensorflow()

settings.register_profile("wordseq", deadline=None)
settings.load_profile("wordseq")
