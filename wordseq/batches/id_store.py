"""Many sequences of ids as one flat array."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]

Rows = npt.NDArray[np.int64]


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

    @classmethod
    def open(cls, flat: Path, offsets: Path) -> "IdStore":
        """The store in two .npy files, int32 ids and int64 offsets, memory-mapped: read where and when they are used.

        Raises:
            OSError: a file cannot be read.
            ValueError: they are no such arrays, or do not belong together.
        """
        # A plain array over the mapped file: slices of `np.memmap` are ten times as slow.
        arrays = [np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray) for path in (flat, offsets)]
        if [(array.dtype, array.ndim) for array in arrays] != [(np.int32, 1), (np.int64, 1)]:
            raise ValueError(f"expected a row of int32 and one of int64, got {arrays[0].dtype} and {arrays[1].dtype}")
        store = cls(*arrays)
        if not len(store.offsets) or (store.offsets[0], store.offsets[-1]) != (0, len(store.flat)):
            raise ValueError(f"the offsets do not belong to {len(store.flat):,} ids")
        return store

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Ids:
        return self.flat[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> Rows:
        """Ids in each sequence."""
        return np.diff(self.offsets)

    def lengths_of(self, rows: Rows) -> Rows:
        """Ids in each of the sequences `rows`: no more memory than those need."""
        return self.offsets[rows + 1] - self.offsets[rows]
