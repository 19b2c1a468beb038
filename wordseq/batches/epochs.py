"""The training pairs of each epoch as ids: the same in all epochs, or with subwords that are drawn anew for each."""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from wordseq.batches.id_store import Ids, IdStore
from wordseq.text.subword_sampling import SAMPLERS, SubwordSampler, keys_of
from wordseq.text.tokenizers import SentencePieceTokenizer
from wordseq.text.vocab import TextCodec

BLOCK_PAIRS = 2_000
"""Pairs drawn at a time, which bounds the memory."""

Stores = tuple[IdStore, IdStore]


class EpochPairs:
    """The source and target ids of the training pairs, epoch by epoch; a context manager.

    With samplers, a thread draws the ids of the next epoch while one is trained, so training waits for the first one alone.
    They depend on seed, epoch and pair, and are in files without names, which end with the process.

    Args:
        stores: source and target ids of the best segmentation.
        samplers: of source and target; None: the ids stay.
        seed: of the draws.
        last: the last epoch: none after it is drawn ahead.
        folder: for the files; None: the system's folder of temporary files.
    """

    def __init__(
        self,
        stores: Stores,
        samplers: Sequence[SubwordSampler | None] = (None, None),
        *,
        seed: int = 0,
        last: int = 0,
        folder: Path | None = None,
    ) -> None:
        self._stores, self._samplers, self._seed, self._last, self._folder = stores, tuple(samplers), seed, last, folder
        self._drawn: dict[int, Future[Stores]] = {}
        self._thread = ThreadPoolExecutor(1, "subwords")
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.shutdown(cancel_futures=True)
        self._drawn.clear()

    @property
    def sampled(self) -> bool:
        """Whether epochs differ."""
        return any(self._samplers)

    def of(self, epoch: int) -> Stores:
        """The source and target ids of an epoch, counted from 1.

        Raises:
            OSError: the disk is full.
        """
        if not self.sampled:
            return self._stores
        # One thread draws all epochs, so that the tables of a sampler have one user.
        wanted = (epoch, epoch + 1) if epoch < self._last else (epoch,)
        self._drawn = {key: self._drawn.get(key) or self._thread.submit(self._draw, key) for key in wanted}
        return self._drawn[epoch].result()

    def _draw(self, epoch: int) -> Stores:
        src, tgt = (
            store if sampler is None else self._sampled(store, sampler, [self._seed, epoch, side])
            for side, (store, sampler) in enumerate(zip(self._stores, self._samplers, strict=True))
        )
        return src, tgt

    def _sampled(self, store: IdStore, sampler: SubwordSampler, fixed: Sequence[int]) -> IdStore:
        size = 0
        with ExitStack() as files:
            flat, offsets = (files.enter_context(tempfile.TemporaryFile(dir=self._folder)) for _ in range(2))
            offsets.write(np.zeros(1, np.int64).data)
            for ids, lengths in self._blocks(store, sampler, fixed):
                flat.write(ids.data)
                offsets.write((size + np.cumsum(lengths)).data)
                size += len(ids)
            return IdStore(_mapped(flat, np.int32, size), _mapped(offsets, np.int64, len(store) + 1))

    def _blocks(
        self, store: IdStore, sampler: SubwordSampler, fixed: Sequence[int]
    ) -> Iterator[tuple[Ids, npt.NDArray[np.int64]]]:
        for start in range(0, len(store), BLOCK_PAIRS):
            if self._ended:
                raise RuntimeError("the epochs are closed")
            rows = np.arange(start, min(start + BLOCK_PAIRS, len(store)))
            ids = store.flat[store.offsets[start] : store.offsets[rows[-1] + 1]]
            yield sampler.draw(ids, store.lengths_of(rows), keys_of(fixed, rows))


def _mapped(file: IO[bytes], dtype: type, size: int) -> npt.NDArray[Any]:
    """The content of a file as an array; the file stays mapped when it is closed."""
    file.flush()
    return np.memmap(file, dtype, "r", shape=(size,)).view(np.ndarray) if size else np.zeros(0, dtype)


def samplers_for(codecs: Sequence[TextCodec], rate: float) -> list[SubwordSampler | None]:
    """A sampler for each codec of a level with subwords; None for other levels, and for all if `rate` is 0."""
    return [
        SAMPLERS[codec.tokenizer.level](codec.tokenizer, len(codec.vocab), rate)
        if rate and isinstance(codec.tokenizer, SentencePieceTokenizer) and codec.tokenizer.level in SAMPLERS
        else None
        for codec in codecs
    ]
