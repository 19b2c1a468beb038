"""A translator without a model, for tests of what stands around one."""

import threading
from types import SimpleNamespace

from wordseq.config.load import load_config
from wordseq.decoding.translator import Hypothesis


class FakeTranslator:
    """Writes the words of a sentence backwards, in capitals. It knows no surrogates.

    Attributes:
        batches: the texts of each call.
        free: while it is not set, calls wait.
    """

    def __init__(self, *settings: str):
        self.config = load_config(None, list(settings))
        self.src = SimpleNamespace(feature_separator="")
        self.model = SimpleNamespace(attention=None)
        self.batches, self.free = [], threading.Event()
        self.free.set()

    def __call__(self, texts):
        return [found[0].text for found in self.translate(texts)]

    def translate(self, texts, decode=None, *, nbest=1):
        self.batches.append(list(texts))
        assert self.free.wait(20)
        assert "broken" not in texts, "a model can fail"
        return [
            [Hypothesis(backwards(text) + "?" * k, -1.0 - k * len(text), len(text.split()), 0) for k in range(nbest)]
            for text in texts
        ]

    def unusable(self, texts):
        faults = [(k, "half a character") for k, text in enumerate(texts) if "\ud800" in text]
        return faults[0] if faults else None

    def prepare(self, text):
        return text


def backwards(text: str) -> str:
    """What the fake translator makes of a sentence."""
    return " ".join(text.upper().split()[::-1])
