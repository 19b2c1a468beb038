"""What the laws share: a tiny corpus with several references, TensorFlow without compiling."""

import random
from pathlib import Path

import pytest
import tensorflow as tf

SOURCES = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
TARGETS = dict(zip(SOURCES, ["un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit"], strict=True))


@pytest.fixture(scope="module", autouse=True)
def _eager():
    """Every `tf.function` runs as Python: the same operations, without the seconds that compiling a training takes."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def tiny_pairs(number: int = 40) -> list[tuple[str, str]]:
    """Sources of 2 to 4 words, each with two translations of the same length or shorter."""
    draw = random.Random(3)
    sources: dict[str, None] = {}
    while len(sources) < number:
        sources[" ".join(draw.choices(SOURCES, k=2 + len(sources) % 3))] = None
    found = []
    for source in sources:
        words = [TARGETS[word] for word in source.split()]
        found += [(source, " ".join(words)), (source, f"{words[-1].capitalize()}!")]
    return found


def write_tsv(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """A file for `data.path`."""
    path.write_text("".join(f"{src}\t{tgt}\n" for src, tgt in pairs), encoding="utf-8")
    return path
