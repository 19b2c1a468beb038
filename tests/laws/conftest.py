"""What the laws share: a tiny corpus with several references, TensorFlow without compiling."""

import random
from pathlib import Path

import numpy as np
import pytest

from wordseq.runs.folder import BEST, RunFolder
from wordseq.text.vocab import EOS_ID, UNK_ID

SOURCES = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
TARGETS = dict(zip(SOURCES, ["un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit"], strict=True))


@pytest.fixture(scope="module", autouse=True)
def _uncompiled(uncompiled):
    """In all laws."""


def tiny_pairs(number: int = 40) -> list[tuple[str, str]]:
    """Sources of 2 or 3 words, each with two translations of the same length or shorter."""
    draw = random.Random(3)
    sources: dict[str, None] = {}
    while len(sources) < number:
        sources[" ".join(draw.choices(SOURCES, k=2 + len(sources) % 2))] = None
    found = []
    for source in sources:
        words = [TARGETS[word] for word in source.split()]
        found += [(source, " ".join(words)), (source, f"{words[-1].capitalize()}!")]
    return found


def write_tsv(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """A file for `data.train`."""
    path.write_text("".join(f"{src}\t{tgt}\n" for src, tgt in pairs), encoding="utf-8")
    return path


def sharpen(run: RunFolder, name: str, seed: int) -> None:
    """Save a checkpoint whose weights are so large that outputs differ by source, and hold <unk> here and there."""
    rng = np.random.default_rng(seed)
    arrays, state = run.load(BEST)
    arrays = {path: rng.normal(size=array.shape, scale=1.5) for path, array in sorted(arrays.items())}
    arrays["seq2seq/output/bias"][[UNK_ID, EOS_ID]] = 1, -4
    run.save(name, {path: array.astype(np.float32) for path, array in arrays.items()}, {**state, "step": seed})
