"""Padded batches: a seeded batch plan over length buckets, the arrays of one batch, and masks."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from wordseq.batches.id_store import Ids, IdStore, Rows
from wordseq.config.schema import TrainConfig
from wordseq.text.vocab import BOS_ID, EOS_ID, PAD_ID

POOL_BATCHES = 100
"""Batches whose sentences are sorted together: enough for little padding, few enough that an epoch's order stays random."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Sentence pairs as padded arrays. Sources end in EOS; targets start with BOS and end in EOS."""

    src_ids_bs: Ids
    tgt_ids_bt: Ids

    @property
    def tokens(self) -> int:
        """Number of target tokens to predict, end tokens included, padding excluded."""
        return int((self.tgt_ids_bt[:, 1:] != PAD_ID).sum())


def mask(ids: Any) -> Any:
    """True at tokens, False at padding, for a NumPy array or a tensor of ids."""
    return ids != PAD_ID


def pad(sequences: Sequence[Ids | Sequence[int]], *, bos: bool = False) -> Ids:
    """One row for each sequence, with EOS after its last id, BOS before its first id if `bos`, and PAD up to the longest."""
    start = int(bos)
    ids = np.full((len(sequences), max(map(len, sequences)) + 1 + start), PAD_ID, np.int32)
    for row, sequence in zip(ids, sequences, strict=True):
        row[start : start + len(sequence)] = sequence
        row[start + len(sequence)] = EOS_ID
    if bos:
        ids[:, 0] = BOS_ID
    return ids


def make_batch(src: IdStore, tgt: IdStore, rows: Rows) -> Batch:
    """The batch of the pairs `rows`."""
    return Batch(pad([src[i] for i in rows]), pad([tgt[i] for i in rows], bos=True))


class EpochPlan(Sequence[Rows]):
    """The batches of an epoch; each is an array of row numbers, made on access. A plan takes 4 bytes per pair.

    Args:
        order: all rows; the rows of a batch are adjacent.
        starts: start of each batch in `order`, and the end of the last batch.
        batches: numbers of the batches in the order of training.
    """

    def __init__(self, order: npt.NDArray[Any], starts: Rows, batches: Rows) -> None:
        self._order, self._starts, self._batches = order, starts, batches

    def __len__(self) -> int:
        return len(self._batches)

    @overload
    def __getitem__(self, index: int) -> Rows: ...

    @overload
    def __getitem__(self, index: slice) -> "EpochPlan": ...

    def __getitem__(self, index: int | slice) -> "Rows | EpochPlan":
        if isinstance(index, slice):
            return EpochPlan(self._order, self._starts, self._batches[index])
        batch = self._batches[index]
        return self._order[self._starts[batch] : self._starts[batch + 1]].astype(np.int64)


def plan_epoch(src: IdStore, tgt: IdStore, train: TrainConfig, epoch: int) -> EpochPlan:
    """The batch plan of an epoch: every pair is in exactly one batch.

    Pairs are shuffled, sorted by length within pools and cut into batches; then the batches are shuffled. The plan depends on
    (seed, epoch) only, so a run resumes by skipping the batches of the epoch that are done.

    Args:
        src: source ids.
        tgt: target ids.
        train: `seed`; `batch_tokens`, the largest number of target positions per batch, padding and EOS included (a longer
            sentence is a batch by itself); `batch_size`, pairs per batch, used if `batch_tokens` is 0.
        epoch: number of the epoch, from 1.
    """
    # NumPy guarantees the same numbers from the same seed on every platform, but not across its versions (NEP 19).
    rng = np.random.default_rng([train.seed, epoch])
    # 32 bits halve the memory of a plan: 400 MB for a hundred million pairs.
    order = np.arange(len(src), dtype=np.int32 if len(src) < 2**31 else np.int64)
    rng.shuffle(order)
    # With a limit of tokens the number of sentences per batch varies; a pool is sized by the mean target length, EOS included.
    mean = max(1.0, len(tgt.flat) / max(1, len(tgt)) + 1)
    pool = POOL_BATCHES * (max(1, int(train.batch_tokens / mean)) if train.batch_tokens else train.batch_size)
    starts = [np.zeros(1, np.int64)]
    for start in range(0, len(order), pool):
        rows = order[start : start + pool].astype(np.int64)
        lengths = tgt.lengths_of(rows)
        # By target length first: the decoder, with its softmax over the vocabulary, costs more per position than the encoder.
        by_length = np.lexsort((src.lengths_of(rows), lengths))
        order[start : start + pool] = rows[by_length]
        starts.append(start + np.array(_ends(lengths[by_length] + 1, train.batch_size, train.batch_tokens), np.int64))
    every = np.concatenate(starts)
    return EpochPlan(order, every, rng.permutation(len(every) - 1))


def _ends(lengths: Rows, batch_size: int, batch_tokens: int) -> list[int]:
    """Ends of the batches that sentences of ascending length are cut into."""
    if not batch_tokens:
        return [*range(batch_size, len(lengths), batch_size), len(lengths)]
    ends, start = [], 0
    # Lengths ascend, so the newest sentence decides the width of the padded batch.
    for end, length in enumerate(lengths.tolist()[1:], 1):
        if (end + 1 - start) * length > batch_tokens:
            ends.append(end)
            start = end
    return [*ends, len(lengths)]


def padding_share(src: IdStore, tgt: IdStore, plan: Iterable[Rows]) -> float:
    """Share of padding among all positions of a plan's batches, source and target together, 0 to 1."""
    real = positions = 0
    for store in (src, tgt):
        real += len(store.flat) + len(store)
        positions += sum((int(store.lengths_of(rows).max()) + 1) * len(rows) for rows in plan)
    return 1 - real / positions
