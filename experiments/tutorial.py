"""Trains the model of TensorFlow's tutorial "Neural machine translation with attention" on the data of a run, and scores both.

    python experiments/tutorial.py runs/tatoeba-spa-eng

The model has stock Keras layers and the tutorial's settings:

- Texts have no case, no accents, and no punctuation other than . ? ! , ¿.
- The vocabularies have the 5,000 most frequent words of source and target.
- GRU layers have 256 units. The encoder sums both directions. One attention head follows the decoder, with a residual
  connection and layer normalisation.
- Adam trains on random batches of 64 sentences, with validation after every 100 batches, for at most 100 validations. It stops
  after three validations without a lower dev loss.
- The best weights are kept. (The tutorial keeps the last ones.)
- Search is greedy.

Both models are scored on the run's test set twice: on the original text, and in the tutorial's form, without case and accents.
"""

import argparse
import dataclasses
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wordseq.system.tensorflow import import_tensorflow

import_tensorflow()  # Without its start-up messages.

import keras
import tensorflow as tf

from wordseq.batches.prepare import PREPARED_FOLDER, prepare_corpus
from wordseq.comparison.scored_runs import read_run
from wordseq.data.splits import HeldOut
from wordseq.evaluation.metrics.corpus import Score, score_corpus
from wordseq.runs.folder import RunFolder
from wordseq.system.errors import UserError

UNITS, WORDS, BATCH, STEPS, EPOCHS, PATIENCE, VALIDATION, LONGEST = 256, 5000, 64, 100, 100, 3, 20, 50
PAD, UNK, START, END = range(4)

Ids = npt.NDArray[np.int32]


def standardise(text: str) -> str:
    """The text in the tutorial's form."""
    kept = re.sub(r"[^ a-z.?!,¿]", "", unicodedata.normalize("NFKD", text).lower())
    return " ".join(re.sub(r"[.?!,¿]", r" \g<0> ", kept).split())


def vocabulary(texts: Sequence[str]) -> dict[str, int]:
    """Ids of the most frequent words, after four special ids."""
    counts = Counter(word for text in texts for word in text.split())
    return {word: number for number, (word, _) in enumerate(counts.most_common(WORDS - 4), start=4)}


def to_ids(texts: Sequence[str], words: dict[str, int]) -> list[list[int]]:
    """[START], the words, [END]."""
    return [[START, *(words.get(word, UNK) for word in text.split()), END] for text in texts]


def pad(rows: Sequence[Sequence[int]]) -> Ids:
    """`[b, t]`, with zeros after the end."""
    ids = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return ids


class Tutorial(keras.Model):
    """The tutorial's encoder, attention and decoder. The decoder starts from zero: it gets the source only by attention."""

    def __init__(self) -> None:
        super().__init__()
        self.src_embed, self.tgt_embed = (keras.layers.Embedding(WORDS, UNITS) for _ in range(2))
        gru = keras.layers.GRU(UNITS, return_sequences=True)
        self.encoder = keras.layers.Bidirectional(gru, merge_mode="sum")
        self.decoder = keras.layers.GRU(UNITS, return_sequences=True)
        self.attention = keras.layers.MultiHeadAttention(num_heads=1, key_dim=UNITS)
        self.norm = keras.layers.LayerNormalization()
        self.logits = keras.layers.Dense(WORDS)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Logits `[b, t, v]`."""
        src_bs, tgt_bt = inputs
        real_bs = src_bs != PAD
        memory_bsh = self.encoder(self.src_embed(src_bs), mask=real_bs)
        hidden_bth = self.decoder(self.tgt_embed(tgt_bt), mask=tgt_bt != PAD)
        context_bth = self.attention(hidden_bth, memory_bsh, attention_mask=real_bs[:, None])
        return self.logits(self.norm(hidden_bth + context_bth))


def batches(src: list[list[int]], tgt: list[list[int]], *, endless: bool) -> Iterator[Any]:
    """Inputs, gold tokens, and weights that are 1 at real tokens. Each epoch has a new random order."""
    chance = np.random.default_rng(1)
    while True:
        for rows in np.array_split(chance.permutation(len(src)), max(1, len(src) // BATCH)):
            tgt_bt = pad([tgt[row] for row in rows])
            gold_bt = tgt_bt[:, 1:]
            yield (pad([src[row] for row in rows]), tgt_bt[:, :-1]), gold_bt, (gold_bt != PAD).astype(np.float32)
        if not endless:
            return


def dataset(src: list[list[int]], tgt: list[list[int]], *, endless: bool = False) -> tf.data.Dataset:
    """The batches as a dataset for `fit`."""
    ids = tf.TensorSpec([None, None], tf.int32)
    signature = ((ids, ids), ids, tf.TensorSpec([None, None], tf.float32))
    return tf.data.Dataset.from_generator(
        lambda: batches(src, tgt, endless=endless), output_signature=signature
    ).prefetch(2)


def fit(train: Sequence[Sequence[str]], dev: HeldOut) -> tuple[Tutorial, dict[str, int], dict[str, int]]:
    """Train the model; returns it with the ids of its source and target words."""
    src, tgt = ([standardise(text) for text in texts] for texts in train)
    src_words, tgt_words = vocabulary(src), vocabulary(tgt)
    model = Tutorial()
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
    )
    checks = (
        to_ids([standardise(text) for text in dev.sources], src_words),
        to_ids([standardise(refs[0]) for refs in dev.references], tgt_words),
    )
    model.fit(
        dataset(to_ids(src, src_words), to_ids(tgt, tgt_words), endless=True),
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        validation_data=dataset(*checks).take(VALIDATION),
        callbacks=[keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)],
        verbose=2,
    )
    return model, src_words, tgt_words


def translate(model: Tutorial, texts: Sequence[str], src_words: dict[str, int], tgt_words: dict[str, int]) -> list[str]:
    """Greedy translations."""
    # Each step reads the complete prefix again. This is slow, but gives the same words as a loop with states.
    names = {number: word for word, number in tgt_words.items()} | {UNK: "[UNK]"}
    logits = tf.function(model, reduce_retracing=True)
    found = []
    for start in range(0, len(texts), BATCH):
        src_bs = pad(to_ids([standardise(text) for text in texts[start : start + BATCH]], src_words))
        tgt_bt = np.full((len(src_bs), 1), START, np.int32)
        while tgt_bt.shape[1] <= LONGEST and not (tgt_bt == END).any(1).all():
            scores_bv = logits((src_bs, tgt_bt))[:, -1].numpy()
            scores_bv[:, [PAD, START]] = -np.inf
            tgt_bt = np.concatenate([tgt_bt, scores_bv.argmax(1)[:, None].astype(np.int32)], 1)
        for row in tgt_bt[:, 1:].tolist():
            found.append(" ".join(names[i] for i in row[: row.index(END) if END in row else None]))
    return found


def show(name: str, score: Score) -> None:
    """Print a row of the table."""
    low, high = score.ci95
    print(f"{name:<32}  {score.score:5.1f}  {low:.1f} to {high:.1f}")


def main() -> None:
    """Train, translate, score both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path, help="a trained run")
    try:
        run = RunFolder.open(parser.parse_args().run)
        # Ids of a vocabulary with all words can be turned back into text. The split does not depend on these settings.
        data = dataclasses.replace(run.config.data, level="word", src_level="", tgt_level="", min_freq=1, max_size=0)
        corpus, ours = prepare_corpus(data, run.folder.parent / PREPARED_FOLDER), read_run(run.folder).hyps
    except UserError as error:
        parser.error(str(error))
    keras.utils.set_random_seed(1)
    start = time.monotonic()
    model, *words = fit(
        [
            [codec.to_text(store[row]) for row in range(len(store))]
            for codec, store in zip(corpus.codecs, corpus.stores, strict=True)
        ],
        corpus.dev,
    )
    minutes = (time.monotonic() - start) / 60
    # Without the space before punctuation, as in the references.
    theirs = [re.sub(r" ([.?!,])", r"\1", text) for text in translate(model, corpus.test.sources, *words)]
    print(
        f"{len(corpus.stores[0]):,} pairs; the tutorial trained for {minutes:.1f} minutes\n{'':<32}  BLEU   95 % interval"
    )
    refs = corpus.test.references
    show("tutorial", score_corpus(theirs, refs)["bleu"])
    show("wordseq", score_corpus(ours, refs)["bleu"])
    plain = [[standardise(text) for text in texts] for texts in refs]
    for name, hyps in (("tutorial", theirs), ("wordseq", ours)):
        show(f"{name}, in the tutorial's form", score_corpus([*map(standardise, hyps)], plain, tokenize="none")["bleu"])


if __name__ == "__main__":
    main()
