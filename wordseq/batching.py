"""Ids to padded batches: a seeded plan over length buckets, and the arrays of one batch. Owner of masks."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wordseq.vocab import BOS_ID, EOS_ID, PAD_ID

Ids = npt.NDArray[np.int32]
POOL_BATCHES = 100
"""Batches whose sentences are sorted together: enough to pad little, few enough that an epoch's order stays random."""


class IdStore:
    """Many id sequences as one flat array and offsets; may be memory-mapped."""

    def __init__(self, flat: Ids, offsets: npt.NDArray[np.int64]) -> None:
        self.flat = flat
        self.offsets = offsets

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]]) -> "IdStore":
        """The store of `sequences`."""
        lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        flat = np.fromiter((i for sequence in sequences for i in sequence), np.int32, int(lengths.sum()))
        return cls(flat, np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Ids:
        return self.flat[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Ids in each sequence."""
        return np.diff(self.offsets)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Sentence pairs as padded arrays. Sources end in EOS; targets start with BOS and end in EOS."""

    src_ids_bs: Ids
    tgt_ids_bt: Ids

    @property
    def tokens(self) -> int:
        """Real target tokens to predict: words and end tokens."""
        return int((self.tgt_ids_bt[:, 1:] != PAD_ID).sum())


def mask(ids: Any) -> Any:
    """True at real positions of padded ids (NumPy array or tensor)."""
    return ids != PAD_ID


def pad(sequences: Sequence[Ids | Sequence[int]], *, bos: bool = False) -> Ids:
    """One row a sequence, EOS after its last id, BOS before its first if asked for, PAD to the longest."""
    start = int(bos)
    ids = np.full((len(sequences), max(map(len, sequences)) + 1 + start), PAD_ID, np.int32)
    for row, sequence in zip(ids, sequences, strict=True):
        row[start : start + len(sequence)] = sequence
        row[start + len(sequence)] = EOS_ID
    if bos:
        ids[:, 0] = BOS_ID
    return ids


def make_batch(src: IdStore, tgt: IdStore, rows: npt.NDArray[np.int64]) -> Batch:
    """The batch of the pairs `rows`."""
    return Batch(pad([src[i] for i in rows]), pad([tgt[i] for i in rows], bos=True))


def plan_epoch(
    src: IdStore, tgt: IdStore, *, seed: int, epoch: int, batch_size: int = 0, batch_tokens: int = 0
) -> list[npt.NDArray[np.int64]]:
    """Which pairs go into which batch of an epoch; every pair goes into exactly one.

    Sentences are drawn in random order, sorted by length within pools, cut into batches; the batches are shuffled. The plan
    depends on (seed, epoch) alone, so a run is continued by skipping the batches that were done.

    Args:
        src: source ids.
        tgt: target ids.
        seed: seed of the run.
        epoch: counted from 1.
        batch_size: pairs a batch, when batch_tokens is 0.
        batch_tokens: largest number of target positions a batch, padding and EOS included; a longer sentence stands alone.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(src))
    mean = max(1.0, float(tgt.lengths.mean()) + 1)
    pool = POOL_BATCHES * (batch_size if not batch_tokens else max(1, int(batch_tokens / mean)))
    src_lengths, tgt_lengths = src.lengths, tgt.lengths
    batches: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(order), pool):
        rows = order[start : start + pool]
        rows = rows[np.lexsort((src_lengths[rows], tgt_lengths[rows]))]
        batches += _cut(rows, tgt_lengths[rows] + 1, batch_size, batch_tokens)
    return [batches[i] for i in rng.permutation(len(batches))]


def _cut(
    rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], batch_size: int, batch_tokens: int
) -> list[npt.NDArray[np.int64]]:
    """Cut rows of rising length into batches."""
    if not batch_tokens:
        return [rows[k : k + batch_size] for k in range(0, len(rows), batch_size)]
    cuts, start = [], 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or (end + 1 - start) * lengths[end] > batch_tokens:
            cuts.append(rows[start:end])
            start = end
    return cuts


def padding_share(src: IdStore, tgt: IdStore, plan: Sequence[npt.NDArray[np.int64]]) -> float:
    """Share of the positions of a plan's batches that hold padding."""
    real = positions = 0
    for store in (src, tgt):
        lengths = store.lengths + 1
        real += int(lengths.sum())
        positions += sum(int(lengths[rows].max()) * len(rows) for rows in plan)
    return 1 - real / positions
