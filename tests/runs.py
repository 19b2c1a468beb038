"""Tiny runs, and the command line as a process, for the tests of the upper layers."""

import contextlib
import functools
import io
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from wordseq.cli.main import main
from wordseq.config.schema import CELLS
from wordseq.data.pairs import Pair
from wordseq.data.synthetic import phrasebook

ROOT = Path(__file__).parents[1]
PLAIN = (
    *(
        "data.subword_size=400",
        "data.rare_words=unk",
        "model.embed_scale=1",
        "model.dropout=0.2",
        "train.learning_rate=0.001",
    ),
    *(
        "train.schedule=plateau",
        "train.decay_patience=1",
        "train.warmup_steps=0",
        "train.average=0",
        "train.label_smoothing=0",
    ),
    *("train.max_epochs=20", "train.patience=4", "train.select_by=bleu"),
)
"""For tests that need no settings by the data."""
TINY = (
    *PLAIN,
    *("data.dev_size=20", "data.test_size=20", "data.min_freq=1"),
    # The model with the fewest operations, which is also the soonest compiled.
    *("model.cell=rnn", "model.attention=dot", "model.bidirectional=false"),
    *("model.embed_dim=8", "model.hidden_size=16"),
    *("train.batch_size=16", "train.max_steps=5", "train.log_steps=1", "train.precision=float32", "train.shards=1"),
    *("decode.max_len_ratio=0", "decode.max_len_extra=5"),
)
USUAL_MODEL = ("model.cell=gru", "model.attention=general", "model.bidirectional=true")
"""For runs that must be equal: what users train, in place of the simplest model."""
FAST_CELLS = ("gru", "lstm", "sru")
SOME_CELLS = [cell if cell in FAST_CELLS else pytest.param(cell, marks=pytest.mark.slow) for cell in CELLS]
"""For tests that take long: two cells with a recurrent product, of one state part and two, and one without; others are slow."""
TIMES = frozenset({"seconds", "tokens_per_second", "log_seconds"})
"""What differs between two runs that are equal."""


@functools.cache
def some_pairs() -> tuple[Pair, ...]:
    """The pairs of the phrasebook with at most five tokens on either side, in random order: each token is a step to compute."""
    pairs = [pair for pair in phrasebook() if max(len(re.findall(r"\w+|[^\w\s]", text)) for text in pair) <= 5]
    random.Random(5).shuffle(pairs)
    return tuple(pairs)


def write_pairs(path: Path, number: int = 200) -> Path:
    """A file of pairs for `data.train`."""
    lines = [f"{pair.src}\t{pair.tgt}\n" for pair in some_pairs()[:number]]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def settings(pairs: Path, *more: str) -> list[str]:
    """`key=value` of a tiny run on a file of pairs."""
    return [f"data.train={pairs}", *TINY, *more]


def train_arguments(folder: Path, sets: Sequence[str]) -> list[str]:
    """Arguments of `wordseq train` without a settings file."""
    return ["train", "--run", str(folder), *(word for text in sets for word in ("--set", text))]


def without_notes(err: str) -> str:
    """What a command said on standard error, but for its notes."""
    return re.sub(r"wordseq: note: .*\n", "", err)


def command(*arguments: str | Path) -> list[str]:
    """The command line as a process."""
    return [sys.executable, "-m", "wordseq", *map(str, arguments)]


def environment() -> dict[str, str]:
    """That of a user: nothing about Python or TensorFlow; the package is found from any folder."""
    ours = ("TF_", "KERAS_", "PYTHON", "COLUMNS")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return {**kept, "PYTHONPATH": str(ROOT)}


def wordseq(*arguments: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run the command line to its end."""
    options = {"capture_output": True, "text": True, "encoding": "utf-8", "timeout": 300, **options}
    return subprocess.run(command(*arguments), env=environment(), check=False, **options)


class TinyRun(NamedTuple):
    """See the fixture `tiny_run`."""

    folder: Path
    pairs: Path
    code: int
    """What `wordseq train` ended with, and printed."""
    out: str
    err: str


def train_tiny(folder: Path) -> tuple[int, str, str]:
    """Train the run `folder / "run"`; exit code, standard output, standard error."""
    arguments = train_arguments(folder / "run", settings(write_pairs(folder / "pairs.tsv")))
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(arguments)
    return code, out.getvalue(), err.getvalue()


def entries(folder: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without times."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in lines]


def files_of(folder: Path) -> dict[str, bytes]:
    """All files under a folder, hidden ones too, with their content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
