"""Settings of all tests: no start-up messages of TensorFlow, no time limit an example (the first one compiles)."""

import os

from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

settings.register_profile("wordseq", deadline=None)
settings.load_profile("wordseq")
