"""Shards: tens of thousands of lines of a corpus at a time, cleaned, hashed and cut into words, as files in a scratch folder.

Every shard is made by itself, so that memory does not grow with the corpus and several processes can share the work.
What depends on the complete corpus (duplicates, which sources are held out, the vocabulary) is left to `table`.
"""

import dataclasses
import functools
import itertools
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wordseq.config.schema import DataConfig
from wordseq.data.cleaning import Counts, clean
from wordseq.data.pairs import Pair, Row
from wordseq.data.splits import draw_digest, group_key, key_digest, pair_digest, sha256
from wordseq.system.errors import UserError
from wordseq.system.platform import processors
from wordseq.system.workers import Worker, WorkerError, serve
from wordseq.text.tokenizers import Tokenizer, train_tokenizer

SHARD_PAIRS = 50_000

SHARD_CHARS = 2**25
"""A shard ends when it has this many pairs or characters."""

WORD_PARTS = 64
"""The words of a shard are in 64 parts, by hash, so that the words of one part of all shards fit into memory."""

MAX_WORKERS = 8
"""One process reads for all others; with about eight of them they wait for it."""

SIDES = ("src", "tgt")

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Shard:
    """The files of one shard.

    K.src.txt and K.tgt.txt hold the cleaned sentences, a line each; K.npz, by name, a row a pair: "pair", the four words
    of its digest; "source", "key" and "draw", the first words of those of its source, its group and its place in a draw.
    For a side at word level K.SIDE.words.txt holds its distinct words, a line each, and K.npz "SIDE.ids", the number of
    each running word in that list, "SIDE.ends", where each sentence ends, and "SIDE.parts", where each part of the list
    starts: in words and in bytes.
    """

    folder: Path
    number: int

    def arrays(self) -> Any:
        """The arrays by name, each read when it is asked for."""
        return np.load(self._path("npz"), allow_pickle=False)

    def texts(self, side: str) -> list[str]:
        """The cleaned sentences of a side."""
        return self._path(f"{side}.txt").read_text(encoding="utf-8").split("\n")[:-1]

    def words(self, side: str) -> list[str]:
        """The distinct words of a side."""
        return self._path(f"{side}.words.txt").read_text(encoding="utf-8").split("\n")[:-1]

    def words_of_part(self, side: str, start: int, end: int) -> list[str]:
        """Those that stand from byte `start` to byte `end`."""
        with self._path(f"{side}.words.txt").open("rb") as file:
            file.seek(start)
            return file.read(end - start).decode().split("\n")[:-1]

    def make(self, rows: Iterable[Row], data: DataConfig, distinct: bool) -> Counts:
        """Write the files; the counts of what was read, dropped and kept. `distinct`: keep a pair once a shard."""
        counts = Counts()
        pairs = list(clean(rows, data, counts, set() if distinct else None))
        counts.kept = len(pairs)
        arrays = _hashes(pairs, data)
        for k, side in enumerate(SIDES):
            texts = [pair[k] for pair in pairs]
            self._write(f"{side}.txt", texts)
            if data.level_of(side) == "word":
                words, numbers = number_words(texts, train_tokenizer("word", (), pretokenized=data.pretokenized))
                self._write(f"{side}.words.txt", words)
                arrays |= {f"{side}.{name}": array for name, array in numbers.items()}
        np.savez(self._path("npz"), allow_pickle=False, **arrays)
        return counts

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Leave the lines as they were read for another process, see `make_from_files`."""
        for side in SIDES:
            self._write(f"{side}.raw", [getattr(row, side) for row in rows])

    def make_from_files(self, data: DataConfig, distinct: bool) -> Counts:
        """`make`, from what `write_rows` left."""
        paths = [self._path(f"{side}.raw") for side in SIDES]
        # Bytes, because Python's text files would take a lone CR for the end of a line.
        sides = [path.read_bytes().decode().split("\n")[:-1] for path in paths]
        counts = self.make(map(Row, itertools.count(1), *sides), data, distinct)
        for path in paths:
            path.unlink()
        return counts

    def _path(self, ending: str) -> Path:
        return self.folder / f"{self.number}.{ending}"

    def _write(self, ending: str, lines: Iterable[str]) -> None:
        self._path(ending).write_bytes("".join(f"{line}\n" for line in lines).encode())


def number_words(texts: Iterable[str], tokenizer: Tokenizer) -> tuple[list[str], dict[str, npt.NDArray[Any]]]:
    """The distinct words of texts, and the texts as their numbers; see `Shard`.

    Tokens never depend on what stands beyond a space, so each piece between spaces is cut once only.
    """
    numbers: dict[str, int] = {}

    @functools.cache
    def cut(piece: str) -> tuple[int, ...]:
        return tuple(numbers.setdefault(word, len(numbers)) for word in tokenizer.tokenize(piece))

    ids: list[int] = []
    ends = []
    for text in texts:
        for piece in text.split(" "):
            ids += cut(piece)
        ends.append(len(ids))
    parts = np.array([zlib.crc32(word.encode()) % WORD_PARTS for word in numbers], np.int64)
    order = np.argsort(parts, kind="stable")
    words = list(numbers)
    words = [words[k] for k in order]
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    firsts = np.searchsorted(parts[order], np.arange(WORD_PARTS + 1))
    starts = np.concatenate([[0], np.cumsum([len(word.encode()) + 1 for word in words])]).astype(np.int64)
    return words, {
        "ids": rank[np.array(ids, np.int64)],
        "ends": np.array(ends, np.int64),
        "parts": np.stack([firsts, starts[firsts]]),
    }


def _hashes(pairs: Sequence[Pair], data: DataConfig) -> dict[str, npt.NDArray[Any]]:
    found = {
        "pair": _words(map(pair_digest, pairs)).reshape(-1, 4),
        "source": _words(sha256(pair.src)[:8] for pair in pairs),
        "key": _words(key_digest(group_key(pair.src), data.seed)[:8] for pair in pairs),
    }
    if data.max_pairs:
        found["draw"] = _words(draw_digest(pair, data.seed)[:8] for pair in pairs)
    return found


def _words(digests: Iterable[bytes]) -> Hashes:
    """Words of 64 bits that come in the same order as the digests."""
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def make_shards(rows: Iterable[Row], data: DataConfig, distinct: bool, folder: Path) -> Iterator[tuple[Shard, Counts]]:
    """Shards of all rows, in order, each with its counts; by several processes if there are many rows.

    Raises:
        UserError: a process was killed.
    """
    blocks = _blocks(rows)
    first = list(itertools.islice(blocks, 2))
    workers = min(processors(), MAX_WORKERS)
    tasks = ((Shard(folder, number), block) for number, block in enumerate(itertools.chain(first, blocks)))
    if len(first) < 2 or workers == 1:
        del first
        for shard, block in tasks:
            yield shard, shard.make(block, data, distinct)
        return
    del first
    options = {"folder": str(folder.resolve()), "data": dataclasses.asdict(data), "distinct": distinct}
    with ExitStack() as stack:
        processes = [stack.enter_context(Worker(__name__, options)) for _ in range(workers)]
        try:
            yield from _in_turn(processes, tasks)
        except WorkerError as error:
            raise UserError(
                f"a process that prepared the data was lost ({error.reason}); is memory or disk full?"
            ) from error


def _blocks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    block: list[Row] = []
    chars = 0
    for row in rows:
        block.append(row)
        chars += len(row.src) + len(row.tgt)
        if len(block) == SHARD_PAIRS or chars >= SHARD_CHARS:
            yield block
            block, chars = [], 0
    if block:
        yield block


def _in_turn(workers: Sequence[Worker], tasks: Iterable[tuple[Shard, Sequence[Row]]]) -> Iterator[tuple[Shard, Counts]]:
    """A process gets its next shard when it has given back the one before."""
    waiting: list[tuple[Shard, Worker]] = []
    for worker, (shard, rows) in zip(itertools.cycle(workers), tasks, strict=False):
        if len(waiting) == len(workers):
            first, oldest = waiting.pop(0)
            yield first, Counts.from_dict(oldest.answer())
        shard.write_rows(rows)
        worker.tell("make", number=shard.number)
        waiting.append((shard, worker))
    for shard, worker in waiting:
        yield shard, Counts.from_dict(worker.answer())


def main(options: Mapping[str, Any]) -> None:
    """Make the shards whose numbers are asked for, in a process of its own."""
    folder, data = Path(options["folder"]), DataConfig(**options["data"])
    serve({"make": lambda number: vars(Shard(folder, number).make_from_files(data, options["distinct"]))})
