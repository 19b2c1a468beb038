"""Run folders without a training: for tests of what reads them, which need no TensorFlow."""

import contextlib
import dataclasses
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reference.corpus import train_codec
from wordseq.config.auto import Facts, decide
from wordseq.config.fields import is_auto
from wordseq.config.load import load_config, to_toml
from wordseq.config.schema import AUTO_KEYS, Config, by_key
from wordseq.data.splits import HeldOut
from wordseq.evaluation.evaluate import Measured, evaluate_texts
from wordseq.evaluation.metrics import significance
from wordseq.evaluation.metrics.corpus import score_corpus
from wordseq.evaluation.metrics.references import rectangular
from wordseq.runs.checkpoint import checkpoint_bytes, read_header

WORDS = ["a", "boat", "the", "red", "waits", "today", ",", "you", "and", "my", "l'eau", "for"]


FACTS = Facts(pairs=29_000, levels=("word", "word"), words=False)
"""Of a corpus of sentences, for the settings that a run decides by its data."""


def decided(config: Config) -> Config:
    """The settings of a run whose data are as `FACTS` says, but for its levels."""
    levels = (config.data.level_of("src"), config.data.level_of("tgt"))
    return decide(config, dataclasses.replace(FACTS, levels=levels))


def some_test(sentences: int = 40, seed: int = 1) -> HeldOut:
    """Sources with one or two references each."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(3, 9))) for _ in range(sentences)]
    references = [[text, text.replace("red", "blue")][: draw.randint(1, 2)] for text in texts]
    return HeldOut([text.upper() for text in texts], references)


def with_errors(test: HeldOut, errors: float, seed: int = 2) -> list[str]:
    """First references with that share of their words drawn anew."""
    draw = random.Random(seed)
    return [
        " ".join(draw.choice(WORDS) if draw.random() < errors else word for word in references[0].split())
        for references in test.references
    ]


def fake_run(folder: Path, test: HeldOut, hyps: Sequence[str] | None, *settings: str) -> Path:
    """A run folder whose test split is `test`; scored as translations `hyps`, or not scored."""
    asked = load_config(None, ["data.min_freq=1", "data.rare_words=unk", "train.precision=float32", *settings])
    config = decided(asked)
    folder.mkdir(parents=True)
    write_decided(folder, asked)
    (folder / "config.toml").write_text(to_toml(config), encoding="utf-8")
    held_out = {part: dataclasses.asdict(test) for part in ("dev", "test")}
    (folder / "held_out.json").write_text(json.dumps(held_out), encoding="utf-8")
    (folder / "split.json").write_text(json.dumps({"train": {"sha256": "of the training pairs"}}), encoding="utf-8")
    train_codec(test.sources, config.data, "src").save(folder, "src")
    train_codec([references[0] for references in test.references], config.data, "tgt").save(folder, "tgt")
    log = [
        {"kind": "train", "step": 1, "epoch": 1, "loss": 3.0, "tokens": 100, "tokens_per_second": 10, "seconds": 10.0},
        {"kind": "train", "step": 2, "epoch": 1, "loss": 2.0, "tokens": 300, "tokens_per_second": 50, "seconds": 14.0},
        {"kind": "dev", "step": 2, "epoch": 1, "bleu": 20.0, "loss": 1.9, "best": True, "seconds": 18.0},
        {"kind": "train", "step": 3, "epoch": 2, "loss": 1.5, "tokens": 500, "tokens_per_second": 25, "seconds": 26.0},
        {"kind": "dev", "step": 4, "epoch": 2, "bleu": 30.0, "loss": 1.0, "best": True, "seconds": 30.0},
    ]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for entry in log), encoding="utf-8")
    for name in ("best", "last"):
        write_checkpoint(folder / f"{name}.safetensors", {"step": 4, "finished": "4 updates done"})
    if hyps is not None:
        score(folder, config, test, hyps)
    return folder


def write_decided(folder: Path, asked: Config) -> None:
    """The data.json of a run that was started with these settings: the settings that its data decided."""
    keys = [key for key in AUTO_KEYS if is_auto(by_key(asked)[key])]
    (folder / "data.json").write_text(json.dumps({"decided": keys}), encoding="utf-8")


@contextlib.contextmanager
def few_draws() -> Iterator[None]:
    """Paired tests of 20 resamples and 50 trials, intervals of 20: thousands would take most of a test's time."""
    with pytest.MonkeyPatch.context() as patched:
        for scores in (score_corpus, evaluate_texts):
            patched.setitem(scores.__kwdefaults__, "bootstrap", 20)
        patched.setattr(significance, "PAIRED_DRAWS", {"bs": 20, "ar": 50})
        yield


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """A checkpoint with 15 numbers."""
    path.write_bytes(checkpoint_bytes({"a/w": np.zeros((3, 4)), "a/b": np.zeros(3)}, state))


def score(folder: Path, config: Config, test: HeldOut, hyps: Sequence[str], of: str = "") -> None:
    """What `wordseq eval` would write; `of` is the digest of the checkpoint, by default that of the folder."""
    measured = Measured(2.0, 200, 0, 200, 0, nats=90.0, tgt_tokens=300, tgt_chars=900, run=str(folder))
    tokenize = "none" if config.data.pretokenized else "13a"
    result = evaluate_texts(test.sources, hyps, test.references, measured, tokenize=tokenize, bootstrap=2)
    files = {"test.src": test.sources, "test.hyp": hyps}
    files |= {f"test.ref{k}": column for k, column in enumerate(zip(*rectangular(test.references), strict=True))}
    (folder / "eval").mkdir(exist_ok=True)
    for name, lines in files.items():
        (folder / "eval" / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    result |= {"beam_size": 1, "checkpoint": of or read_header(folder / "best.safetensors").sha256}
    (folder / "eval" / "test.json").write_text(json.dumps(result), encoding="utf-8")
