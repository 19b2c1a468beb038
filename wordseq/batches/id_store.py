"""Sequences of ids in one flat array."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]

Rows = npt.NDArray[np.int64]


class IdStore:
    """Id sequences as one flat array and offsets, in memory or memory-mapped; sequence i is flat[offsets[i]:offsets[i + 1]]."""

    def __init__(self, flat: Ids, offsets: npt.NDArray[np.int64]) -> None:
        self.flat = flat
        self.offsets = offsets

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]]) -> "IdStore":
        """A store in memory."""
        lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        flat = np.fromiter((i for sequence in sequences for i in sequence), np.int32, int(lengths.sum()))
        return cls(flat, np.concatenate([[0], np.cumsum(lengths)]))

    @classmethod
    def open(cls, flat: Path, offsets: Path) -> "IdStore":
        """A memory-mapped store of two .npy files: int32 ids and int64 offsets.

        Raises:
            OSError: a file cannot be read.
            ValueError: the arrays have other types, or do not belong together.
        """
        # view: slices of a plain array are ten times as fast as those of `np.memmap`, and the file stays mapped.
        arrays = [np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray) for path in (flat, offsets)]
        if [(array.dtype, array.ndim) for array in arrays] != [(np.int32, 1), (np.int64, 1)]:
            raise ValueError(f"expected flat arrays of int32 and int64, got {arrays[0].dtype} and {arrays[1].dtype}")
        store = cls(*arrays)
        # First and last offset only: checking all of them would read the complete file.
        if not len(store.offsets) or (store.offsets[0], store.offsets[-1]) != (0, len(store.flat)):
            raise ValueError(f"the offsets do not belong to {len(store.flat):,} ids")
        return store

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Ids:
        return self.flat[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> Rows:
        """Number of ids of each sequence."""
        return np.diff(self.offsets)

    def lengths_of(self, rows: Rows) -> Rows:
        """Number of ids of the sequences `rows`; the memory depends on `rows` only."""
        return self.offsets[rows + 1] - self.offsets[rows]
