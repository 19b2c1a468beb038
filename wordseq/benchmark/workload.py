"""The reference task and its cost per token: Multi30k German to English, or synthetic sentences with its lengths."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wordseq.batches.id_store import IdStore
from wordseq.batches.prepare import PREPARED_FOLDER, prepare_corpus
from wordseq.benchmark.settings import GATES
from wordseq.config.data import DataConfig
from wordseq.config.schema import ModelConfig
from wordseq.data.public import DEFAULT_FOLDER, MIRROR_VARIABLE
from wordseq.text.vocab import SPECIALS

CORPUS = "multi30k-tok-de-en"

DATA = DataConfig(corpus=CORPUS, level="word", pretokenized=True, min_freq=2)

# Measured on Multi30k, like the figures below.
SRC_SIZE, TGT_SIZE, PAIRS, TEST_SENTENCES = 7_859, 5_921, 29_000, 1_000
"""Vocabularies (with the special ids) and sentences of the reference task."""

SRC_WORDS = 12.4
"""Mean words per source of the reference task."""

_SPREAD, _RATIO, _RATIO_SPREAD = 0.324, 0.031, 0.171
"""Standard deviation of log source length; mean and standard deviation of log(target / source length)."""


@dataclass(frozen=True)
class BenchTask:
    """Sentence pairs as ids, and sources to decode."""

    origin: str
    """A description of the sentences, for people."""
    src: IdStore
    tgt: IdStore
    src_size: int
    tgt_size: int
    sentences: IdStore
    """Sources to decode."""

    @property
    def tgt_per_src(self) -> float:
        """Target tokens per source token, with EOS."""
        return float((self.tgt.lengths + 1).sum() / (self.src.lengths + 1).sum())

    @property
    def limits(self) -> npt.NDArray[np.int32]:
        """Fixed numbers of output tokens, with EOS, of the sentences to decode: in the ratio of the training pairs."""
        return (self.tgt_per_src * (self.sentences.lengths + 1)).astype(np.int32) + 1


def model_config(cell: str, hidden_size: int = 512) -> ModelConfig:
    """The reference model."""
    return ModelConfig(
        cell=cell,
        embed_dim=256,
        hidden_size=hidden_size,
        encoder_layers=1,
        decoder_layers=1,
        bidirectional=True,
        bridge="copy",
        attention="general",
        dropout=0.3,
    )


def reference_task(mirror: Path | None = None, say: Callable[[str], None] = print) -> BenchTask:
    """Multi30k from the mirror or from an earlier download, else synthetic sentences. Nothing is downloaded.

    Raises:
        UserError: the corpus is damaged.
    """
    if not (mirror or os.environ.get(MIRROR_VARIABLE) or (DEFAULT_FOLDER / CORPUS).is_dir()):
        return synthetic_task()
    corpus = prepare_corpus(DATA, DEFAULT_FOLDER / PREPARED_FOLDER, mirror=mirror, say=say)
    (src, tgt), stores = corpus.codecs, corpus.stores
    return BenchTask(
        origin=f"{CORPUS}, {len(stores[0]):,} pairs",
        src=stores[0],
        tgt=stores[1],
        src_size=len(src.vocab),
        tgt_size=len(tgt.vocab),
        sentences=IdStore.of([src.to_ids(text) for text in corpus.test.sources]),
    )


def synthetic_task(
    pairs: int = PAIRS,
    *,
    src_size: int = SRC_SIZE,
    tgt_size: int = TGT_SIZE,
    src_words: float = SRC_WORDS,
    sentences: int = TEST_SENTENCES,
    seed: int = 1,
) -> BenchTask:
    """Synthetic sentences with the lengths of Multi30k and Zipf-distributed words: meaningless, but of the same cost."""
    rng = np.random.default_rng(seed)
    number = pairs + sentences
    # The mean of a log-normal distribution is exp(mu + sigma^2 / 2).
    middle = np.log(src_words) - _SPREAD**2 / 2
    src_lengths = np.exp(rng.normal(middle, _SPREAD, number))
    tgt_lengths = src_lengths * np.exp(rng.normal(_RATIO, _RATIO_SPREAD, number))
    src = _draw(rng, src_lengths[:pairs], src_size)
    return BenchTask(
        origin=f"{pairs:,} synthetic pairs, {src_words:g} words per source, lengths distributed as in Multi30k",
        src=src,
        tgt=_draw(rng, tgt_lengths[:pairs], tgt_size),
        src_size=src_size,
        tgt_size=tgt_size,
        sentences=_draw(rng, src_lengths[pairs:], src_size),
    )


def _draw(rng: np.random.Generator, lengths: npt.NDArray[np.float64], size: int) -> IdStore:
    """Ids of sentences of these lengths, rounded, at least 1. The k-th word has a probability proportional to 1 / k."""
    offsets = np.concatenate([[0], np.cumsum(np.maximum(1, np.rint(lengths)).astype(np.int64))])
    words = size - len(SPECIALS)
    shares = np.cumsum(1 / np.arange(1, words + 1))
    drawn = np.searchsorted(shares / shares[-1], rng.random(int(offsets[-1])), side="right")
    # The minimum is for rounding: the last share may be just below 1.
    return IdStore((np.minimum(drawn, words - 1) + len(SPECIALS)).astype(np.int32), offsets)


def head(task: BenchTask, sentences: int) -> BenchTask:
    """The task with at most `sentences` sentences to decode."""
    kept = min(sentences, len(task.sentences))
    offsets = task.sentences.offsets[: kept + 1]
    return replace(task, sentences=IdStore(task.sentences.flat[: offsets[-1]], offsets))


def training_flop(model: ModelConfig, tgt_size: int, src_per_tgt: float, src_tokens: float) -> dict[str, float]:
    """Matrix-product FLOP of training per real target token; EOS counts as a token.

    A product of `[n, k]` and `[k, m]` costs 2 n k m FLOP. The backward pass has two products for each one of the forward pass,
    so the sum is three times the forward pass:

        vocabulary   3 * 2 H V                              the logits
        decoder      3 * 2 H G (E + H)
        attention    3 * (4 H H + 4 H S + r 2 H H)          combination layer, [h; context] W; scores and context; keys
        encoder      3 * r 2 H G (E + H / 2)                both directions, of H / 2 units

    E is `embed_dim`, H `hidden_size`, V the size of the target vocabulary and G the number of gates of the cell. S is the
    number of source tokens per sentence, and r that per target token. Element-wise work, embeddings, the optimizer's step and
    padding are not counted.

    Args:
        model: one bidirectional encoder layer, one decoder layer, attention "general".
        tgt_size: V.
        src_per_tgt: r.
        src_tokens: S.
    """
    embed, hidden, gates = model.embed_dim, model.hidden_size, GATES[model.cell]
    return {
        "vocabulary": 6.0 * hidden * tgt_size,
        "decoder": 6.0 * hidden * gates * (embed + hidden),
        "attention": 12.0 * hidden**2 + 12 * hidden * src_tokens + src_per_tgt * 6 * hidden**2,
        "encoder": src_per_tgt * 6 * hidden * gates * (embed + hidden / 2),
    }


def flop_parts(task: BenchTask, model: ModelConfig) -> dict[str, float]:
    """`training_flop` of a task."""
    return training_flop(model, task.tgt_size, 1 / task.tgt_per_src, float(np.mean(task.src.lengths + 1)))


def search_flop(task: BenchTask, model: ModelConfig, sentences: int, beam_size: int) -> dict[str, float]:
    """Matrix-product FLOP of one step for all hypotheses of a batch, by part.

    "encoder" is for all steps and includes the keys. The sources have the mean length of the sentences to decode.
    """
    length = float(np.mean(task.sentences.lengths + 1))
    # The forward pass is a third of training. With r = 0 there is no encoder and no key, with r = 1 they are added.
    step, both = ({k: v / 3 for k, v in training_flop(model, task.tgt_size, r, length).items()} for r in (0.0, 1.0))
    hypotheses = sentences * beam_size
    flop = {
        "encoder": (both["encoder"] + both["attention"] - step["attention"]) * length * sentences,
        "cells": step["decoder"] * hypotheses,
        "attention": step["attention"] * hypotheses,
        "vocabulary": step["vocabulary"] * hypotheses,
    }
    return {**flop, "whole": sum(flop.values()) - flop["encoder"]}


def save(task: BenchTask, plan: Sequence[npt.NDArray[np.int64]], path: Path) -> None:
    """Write the input of the child processes: ids as flat arrays with offsets, and the pairs of each batch."""
    stores = {"src": task.src, "tgt": task.tgt, "sentences": task.sentences}
    arrays: dict[str, npt.NDArray[Any]] = {"limits": task.limits, "plan.flat": np.concatenate(plan)}
    arrays["plan.offsets"] = np.concatenate([[0], np.cumsum([len(rows) for rows in plan])])
    for name, store in stores.items():
        arrays[f"{name}.flat"], arrays[f"{name}.offsets"] = store.flat, store.offsets
    sizes = {"src_size": task.src_size, "tgt_size": task.tgt_size, "tgt_per_src": task.tgt_per_src}
    arrays["sizes"] = np.frombuffer(json.dumps(sizes).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
