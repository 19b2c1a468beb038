"""Shards: blocks of tens of thousands of pairs, cleaned, hashed and tokenized into words, as files in a scratch folder.

Shards are independent, so memory does not grow with the corpus, and several processes can share the work. Steps that need
the complete corpus (duplicates, held-out sources, the vocabulary) are in `table`.
"""

import dataclasses
import functools
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wordseq.config.data import DataConfig
from wordseq.data.cleaning import Counts, clean
from wordseq.data.pairs import Pair, Row
from wordseq.data.splits import draw_digest, group_key, key_digest, pair_digest, sha256
from wordseq.system.errors import UserError
from wordseq.system.platform import processors
from wordseq.system.workers import Worker, WorkerError, serve
from wordseq.text.tokenizers import Tokenizer, train_tokenizer

SHARD_PAIRS = 50_000

SHARD_CHARS = 2**25
"""A shard ends when it has `SHARD_PAIRS` pairs or `SHARD_CHARS` characters."""

WORD_PARTS = 64
"""The words of a shard are in 64 parts, by hash. `table` counts one part of all shards at a time, which bounds its memory."""

MAX_WORKERS = 8
"""More workers bring nothing: one process reads the text for all, and eight workers already wait for it."""

SIDES = ("src", "tgt")

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Shard:
    """The files of shard number K; SIDE is "src" or "tgt".

    - K.SIDE.txt: the cleaned sentences, one per line.
    - K.npz, one row per pair: "pair", its digest as four 64-bit words; "source", "key" and "draw", the first word of the
      digests of its source, of its group and of its rank in a draw.
    - K.SIDE.words.txt, where SIDE is cut early: the distinct words, one per line.
    - K.npz, likewise: "SIDE.ids", for each token its number in that list; "SIDE.ends", the end of each sentence in the
      ids; "SIDE.parts", the start of each part of the list, in words and in bytes.
    """

    folder: Path
    number: int

    def arrays(self) -> Any:
        """The arrays by name, each read on access."""
        return np.load(self._path("npz"), allow_pickle=False)

    def texts(self, side: str) -> list[str]:
        """The cleaned sentences of `side`."""
        # Not splitlines: it also splits at characters that a sentence may contain.
        return self._path(f"{side}.txt").read_text(encoding="utf-8").split("\n")[:-1]

    def words(self, side: str) -> list[str]:
        """The distinct words of `side`."""
        return self._path(f"{side}.words.txt").read_text(encoding="utf-8").split("\n")[:-1]

    def words_of_part(self, side: str, start: int, end: int) -> list[str]:
        """The distinct words of `side` from byte `start` to byte `end` of their file."""
        with self._path(f"{side}.words.txt").open("rb") as file:
            file.seek(start)
            return file.read(end - start).decode().split("\n")[:-1]

    def make(self, rows: Iterable[Row], data: DataConfig, distinct: bool) -> Counts:
        """Clean rows and write the files; with `distinct`, keep each pair once per shard.

        Returns:
            Counts of what was read, dropped and kept.
        """
        counts = Counts()
        # Duplicates in one shard go now, which keeps the files small; `PairTable.drop_duplicates` finds the others.
        pairs = list(clean(rows, data, counts, set() if distinct else None))
        counts.kept = len(pairs)
        arrays = _hashes(pairs, data)
        for k, side in enumerate(SIDES):
            texts = [pair[k] for pair in pairs]
            self._write(f"{side}.txt", texts)
            if cut_early(data, side):
                words, numbers = number_words(texts, train_tokenizer("word", (), separator=data.separator_of(side)))
                self._write(f"{side}.words.txt", words)
                arrays |= {f"{side}.{name}": array for name, array in numbers.items()}
        np.savez(self._path("npz"), allow_pickle=False, **arrays)
        return counts

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Write rows before cleaning, for `make_from_files` in a worker process."""
        # JSON, not lines: a text of a quoted cell, of JSON or of a catalogue may have line breaks before it is cleaned.
        texts = json.dumps([row[1:] for row in rows], ensure_ascii=False)
        self._path("rows.json").write_bytes(texts.encode())

    def make_from_files(self, data: DataConfig, distinct: bool) -> Counts:
        """As `make`, with the rows that `write_rows` wrote."""
        path = self._path("rows.json")
        # Line numbers are only for errors about bad lines, which the reading process has reported.
        rows = (Row(number, *texts) for number, texts in enumerate(json.loads(path.read_bytes()), 1))
        counts = self.make(rows, data, distinct)
        path.unlink()
        return counts

    def _path(self, ending: str) -> Path:
        return self.folder / f"{self.number}.{ending}"

    def _write(self, ending: str, lines: Iterable[str]) -> None:
        self._path(ending).write_bytes("".join(f"{line}\n" for line in lines).encode())


def cut_early(data: DataConfig, side: str) -> bool:
    """Whether shards cut the texts of `side` into words, in parallel: those of the word level, as they are.

    The word level needs no training; subwords need the complete text first. Symbols are few and need no list of words.
    """
    return (
        data.level_of(side) == "word" and data.form_of(side) == "NFC" and not (side == "src" and data.feature_separator)
    )


def number_words(texts: Iterable[str], tokenizer: Tokenizer) -> tuple[list[str], dict[str, npt.NDArray[Any]]]:
    """The distinct words of texts, and the texts as numbers in that list; see `Shard`.

    The word tokenizer treats each string between two spaces independently, so each distinct string is tokenized only once.
    """
    numbers: dict[str, int] = {}

    @functools.cache
    def cut(chunk: str) -> tuple[int, ...]:
        return tuple(numbers.setdefault(word, len(numbers)) for word in tokenizer.tokenize(chunk))

    ids: list[int] = []
    ends = []
    for text in texts:
        for chunk in text.split(" "):
            ids += cut(chunk)
        ends.append(len(ids))
    # CRC-32, because Python's hash of a string differs between processes, and a word must be in one part in all shards.
    parts = np.array([zlib.crc32(word.encode()) % WORD_PARTS for word in numbers], np.int64)
    # Words of one part are adjacent, so that a part is one range of the file of words.
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
    """Digests as 64-bit words; big-endian, so that their numeric order is the order of the digests."""
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def make_shards(rows: Iterable[Row], data: DataConfig, distinct: bool, folder: Path) -> Iterator[tuple[Shard, Counts]]:
    """Shards of all rows, in order, each with its counts; made by worker processes if there is more than one shard.

    Raises:
        UserError: a worker process was killed.
    """
    blocks = _blocks(rows)
    # Starting workers is not worth it for a single block.
    first = list(itertools.islice(blocks, 2))
    workers = min(processors(), MAX_WORKERS)
    tasks = ((Shard(folder, number), block) for number, block in enumerate(itertools.chain(first, blocks)))
    if len(first) < 2 or workers == 1:
        del first  # Otherwise the first blocks would stay in memory to the end.
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
                f"a process that prepares the data stopped ({error.reason}); is memory or disk full?"
            ) from error


def _blocks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    block: list[Row] = []
    chars = 0
    for row in rows:
        block.append(row)
        chars += len(row.src) + len(row.tgt)
        # A limit of characters too: 50,000 pairs of documents would fill the memory.
        if len(block) == SHARD_PAIRS or chars >= SHARD_CHARS:
            yield block
            block, chars = [], 0
    if block:
        yield block


def _in_turn(workers: Sequence[Worker], tasks: Iterable[tuple[Shard, Sequence[Row]]]) -> Iterator[tuple[Shard, Counts]]:
    """Results in the order of the tasks; each worker has at most one shard at a time."""
    # Round robin keeps the order of the shards, on which the kept one of several duplicates depends.
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
    """Entry of a worker process: make the shards whose numbers it gets."""
    folder, data = Path(options["folder"]), DataConfig(**options["data"])
    serve({"make": lambda number: vars(Shard(folder, number).make_from_files(data, options["distinct"]))})
