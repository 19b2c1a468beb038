"""The reference task, Multi30k German to English or synthetic sentences of the same shape, and what a token of it costs."""

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
from wordseq.config.schema import DataConfig, ModelConfig
from wordseq.data.public import DEFAULT_FOLDER, MIRROR_VARIABLE
from wordseq.text.vocab import SPECIALS

CORPUS = "multi30k-tok-de-en"

DATA = DataConfig(corpus=CORPUS, level="word", pretokenized=True, min_freq=2)

SRC_SIZE, TGT_SIZE, PAIRS, TEST_SENTENCES = 7_859, 5_921, 29_000, 1_000
"""Of the reference task, special ids included."""

SRC_WORDS = 12.4
"""Mean words of its sources."""

_SPREAD, _RATIO, _RATIO_SPREAD = 0.324, 0.031, 0.171
"""Of its sentences: standard deviation of log source length; mean and standard deviation of log(target / source length)."""


@dataclass(frozen=True)
class BenchTask:
    """Sentence pairs as ids, and sources to decode."""

    origin: str
    """What the sentences are, for people."""
    src: IdStore
    tgt: IdStore
    src_size: int
    tgt_size: int
    sentences: IdStore
    """Sources to decode."""

    @property
    def tgt_per_src(self) -> float:
        """Target tokens per source token, ends of sentence included."""
        return float((self.tgt.lengths + 1).sum() / (self.src.lengths + 1).sum())

    @property
    def limits(self) -> npt.NDArray[np.int32]:
        """Output tokens of each sentence to decode, end included, where its length is forced: as in the training pairs."""
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
    """Multi30k where it lies in the mirror or was fetched before, else synthetic sentences; nothing is downloaded.

    Raises:
        UserError: the corpus is there but damaged.
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
    """Synthetic sentences: lengths spread as in Multi30k, words drawn by Zipf's law. They say nothing, but cost the same."""
    rng = np.random.default_rng(seed)
    number = pairs + sentences
    middle = np.log(src_words) - _SPREAD**2 / 2
    src_lengths = np.exp(rng.normal(middle, _SPREAD, number))
    tgt_lengths = src_lengths * np.exp(rng.normal(_RATIO, _RATIO_SPREAD, number))
    src = _draw(rng, src_lengths[:pairs], src_size)
    return BenchTask(
        origin=f"{pairs:,} synthetic pairs, {src_words:g} words a source, lengths spread as in Multi30k",
        src=src,
        tgt=_draw(rng, tgt_lengths[:pairs], tgt_size),
        src_size=src_size,
        tgt_size=tgt_size,
        sentences=_draw(rng, src_lengths[pairs:], src_size),
    )


def _draw(rng: np.random.Generator, lengths: npt.NDArray[np.float64], size: int) -> IdStore:
    """Words of sentences of these lengths, rounded and at least 1; the k-th word has probability proportional to 1 / k."""
    offsets = np.concatenate([[0], np.cumsum(np.maximum(1, np.rint(lengths)).astype(np.int64))])
    words = size - len(SPECIALS)
    shares = np.cumsum(1 / np.arange(1, words + 1))
    drawn = np.searchsorted(shares / shares[-1], rng.random(int(offsets[-1])), side="right")
    return IdStore((np.minimum(drawn, words - 1) + len(SPECIALS)).astype(np.int32), offsets)


def head(task: BenchTask, sentences: int) -> BenchTask:
    """The task with only the first `sentences` to decode."""
    kept = min(sentences, len(task.sentences))
    offsets = task.sentences.offsets[: kept + 1]
    return replace(task, sentences=IdStore(task.sentences.flat[: offsets[-1]], offsets))


def training_flop(model: ModelConfig, tgt_size: int, src_per_tgt: float, src_tokens: float) -> dict[str, float]:
    """Matrix-product FLOP of training for one real target token, end tokens counted like words.

    A product of `[n, k]` and `[k, m]` is 2 n k m FLOP. The backward pass has two products for each one of the forward pass
    (the gradient of either factor), so the sum is three times the forward pass:

        vocabulary   3 * 2 H V                              the logits
        decoder      3 * 2 H G (E + H)
        attention    3 * (4 H H + 4 H S + r 2 H H)          combination layer, [h; context] W; scores and context; keys
        encoder      3 * r 2 H G (E + H / 2)                both directions, of H / 2 units

    with E `embed_dim`, H `hidden_size`, V the target vocabulary, G gates of the cell, S source tokens a sentence and
    r source tokens a target token. Element-wise work, embeddings, the update of the weights and padding are not counted.

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
    """Matrix-product FLOP of a step for all hypotheses of a batch, by part; "encoder" is of the complete batch, keys included.

    Its sources have the mean length of those to decode.
    """
    length = float(np.mean(task.sentences.lengths + 1))
    # Forward is a third of training.
    step, whole = ({k: v / 3 for k, v in training_flop(model, task.tgt_size, r, length).items()} for r in (0.0, 1.0))
    hypotheses = sentences * beam_size
    flop = {
        "encoder": (whole["encoder"] + whole["attention"] - step["attention"]) * length * sentences,
        "cells": step["decoder"] * hypotheses,
        "attention": step["attention"] * hypotheses,
        "vocabulary": step["vocabulary"] * hypotheses,
    }
    return {**flop, "whole": sum(flop.values()) - flop["encoder"]}


def save(task: BenchTask, plan: Sequence[npt.NDArray[np.int64]], path: Path) -> None:
    """Write what a child process reads: ids as flat arrays with offsets, and which pairs go into which batch."""
    stores = {"src": task.src, "tgt": task.tgt, "sentences": task.sentences}
    arrays: dict[str, npt.NDArray[Any]] = {"limits": task.limits, "plan.flat": np.concatenate(plan)}
    arrays["plan.offsets"] = np.concatenate([[0], np.cumsum([len(rows) for rows in plan])])
    for name, store in stores.items():
        arrays[f"{name}.flat"], arrays[f"{name}.offsets"] = store.flat, store.offsets
    sizes = {"src_size": task.src_size, "tgt_size": task.tgt_size, "tgt_per_src": task.tgt_per_src}
    arrays["sizes"] = np.frombuffer(json.dumps(sizes).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
