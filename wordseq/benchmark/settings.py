"""Settings of a benchmark."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

SYSTEMS: Mapping[str, str] = MappingProxyType(
    {name: f"wordseq.benchmark.systems.{name}" for name in ("wordseq", "keras", "torch")}
)
"""Name of a system -> module of its child process."""

PARTS_MODULE, PEAK_MODULE = "wordseq.benchmark.parts", "wordseq.benchmark.peak"

GATES: Mapping[str, int] = MappingProxyType({"lstm": 4, "gru": 3, "rnn": 1})
"""Cells that can be measured -> number of their gates."""

GROWTH: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "vocab": (5_000, 20_000, 50_000),
        "hidden": (256, 512, 1024),
        "length": (10, 50, 200),
        "corpus": (10_000, 100_000, 1_000_000),
        "threads": (1, 2),
    }
)
"""Size that grows -> its values: both vocabularies, hidden units, mean words per sentence, sentence pairs, processor cores."""


@dataclass(frozen=True)
class BenchSettings:
    """Sizes of a measurement."""

    cells: tuple[str, ...] = ("lstm", "gru")
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    systems: tuple[str, ...] = tuple(SYSTEMS)
    torch: str = ""
    """A Python interpreter with PyTorch; empty: this one, if it has PyTorch."""
    run: Path | None = None
    """A trained run, which decodes in the rows of its cell."""
    blocks: int = 5
    """Timed blocks per system; figures are medians over them."""
    steps: int = 30
    """Updates per block. All blocks have the same batches; a warm-up block comes first."""
    sentences: int = 1000
    """Sentences to decode per block."""
    singles: int = 50
    """Sentences to decode alone, per block."""
    threads: int = 0
    """Processor cores; 0: all."""
    batch_size: int = 128
    peak_sizes: tuple[int, ...] = (2048, 3072, 4096)
    """Sizes of the square matrices whose products give the peak."""


QUICK: Mapping[str, Any] = MappingProxyType(
    {"cells": ("lstm",), "blocks": 1, "steps": 3, "sentences": 128, "singles": 5, "peak_sizes": (2048,)}
)
"""Sizes for a quick check that everything runs; the figures mean little."""

PARTS_SETTINGS = BenchSettings(systems=("wordseq",), precisions=("bfloat16",))
"""Sizes of the table of parts."""

GROWTH_SETTINGS = BenchSettings(cells=("lstm",), systems=("wordseq",), blocks=3, steps=8)
"""Sizes of the tables of growth."""
