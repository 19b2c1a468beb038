"""Segments: some ten thousand lines of a corpus at a time, cleaned, hashed and cut into words, as files in a scratch folder.

Every segment stands for itself, so that memory does not grow with the corpus and several processes can share the work.
What only the whole corpus can tell (duplicates, which sources are held out, the vocabulary) is left to `preparing`.
"""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
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
from wordseq.text.tokenizers import Tokenizer, train_tokenizer

SEGMENT_PAIRS = 50_000

SEGMENT_CHARS = 2**25
"""A segment ends when it has so many pairs or characters."""

PARTS = 64
"""The words of a segment lie in so many parts, by hash, so that the words of a part of all segments fit into memory."""

MAX_WORKERS = 8
"""One process reads for all: at about eight it becomes what the others wait for."""

SIDES = ("src", "tgt")

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Segment:
    """The files of one segment.

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
        """Write the files; the counts of what was read, dropped and kept. `distinct`: keep a pair once a segment."""
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
    """The distinct words of texts, and the texts as their numbers; see `Segment`.

    Tokens never depend on what stands beyond a space, so each piece between spaces is cut once only.
    """
    numbers: dict[str, int] = {}
    pieces = _Pieces(numbers, tokenizer)
    ids: list[int] = []
    ends = []
    for text in texts:
        for piece in text.split(" "):
            ids += pieces[piece]
        ends.append(len(ids))
    parts = [zlib.crc32(word.encode()) % PARTS for word in numbers]
    order = np.argsort(np.array(parts, np.int64), kind="stable")
    words = list(numbers)
    words = [words[k] for k in order]
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    firsts = np.searchsorted(np.array(parts, np.int64)[order], np.arange(PARTS + 1))
    starts = np.concatenate([[0], np.cumsum([len(word.encode()) + 1 for word in words])]).astype(np.int64)
    return words, {
        "ids": rank[np.array(ids, np.int64)],
        "ends": np.array(ends, np.int64),
        "parts": np.stack([firsts, starts[firsts]]),
    }


class _Pieces(dict[str, tuple[int, ...]]):
    """The numbers of the words of each piece of text between spaces; new words get the next numbers."""

    def __init__(self, numbers: dict[str, int], tokenizer: Tokenizer) -> None:
        super().__init__()
        self._numbers, self._tokenizer = numbers, tokenizer

    def __missing__(self, piece: str) -> tuple[int, ...]:
        numbers = self._numbers
        found = tuple(numbers.setdefault(word, len(numbers)) for word in self._tokenizer.tokenize(piece))
        self[piece] = found
        return found


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


def make_segments(
    rows: Iterable[Row], data: DataConfig, distinct: bool, folder: Path
) -> Iterator[tuple[Segment, Counts]]:
    """Segments of all rows, in order, each with its counts; by several processes if there are many rows.

    Raises:
        UserError: a process was killed.
    """
    blocks = _blocks(rows)
    first = list(itertools.islice(blocks, 2))
    workers = min(_processors(), MAX_WORKERS)
    tasks = ((Segment(folder, number), block) for number, block in enumerate(itertools.chain(first, blocks)))
    if len(first) < 2 or workers == 1:
        del first
        for segment, block in tasks:
            yield segment, segment.make(block, data, distinct)
        return
    del first
    with _Workers(workers, folder, data, distinct) as processes:
        yield from processes.map(tasks)


def _blocks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    block: list[Row] = []
    chars = 0
    for row in rows:
        block.append(row)
        chars += len(row.src) + len(row.tgt)
        if len(block) == SEGMENT_PAIRS or chars >= SEGMENT_CHARS:
            yield block
            block, chars = [], 0
    if block:
        yield block


def _processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Workers:
    """Processes that make segments; a context manager. They end when their standard input does, so also when we are killed."""

    def __init__(self, number: int, folder: Path, data: DataConfig, distinct: bool) -> None:
        settings = json.dumps({"data": dataclasses.asdict(data), "distinct": distinct})
        package = Path(__file__).resolve().parents[2]
        paths = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
        words = [sys.executable, "-m", "wordseq.batches.shards", str(folder.resolve()), settings]
        self._all = [
            subprocess.Popen(
                words, env={**os.environ, "PYTHONPATH": paths}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(number)
        ]

    def __enter__(self) -> "_Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.kill()
            process.communicate()

    def map(self, tasks: Iterable[tuple[Segment, Sequence[Row]]]) -> Iterator[tuple[Segment, Counts]]:
        """In turn: a process gets its next segment when it has given back the one before."""
        waiting: list[tuple[Segment, subprocess.Popen[str]]] = []
        for process, (segment, rows) in zip(itertools.cycle(self._all), tasks, strict=False):
            if len(waiting) == len(self._all):
                yield _result(*waiting.pop(0))
            segment.write_rows(rows)
            _tell(process, segment.number)
            waiting.append((segment, process))
        for segment, process in waiting:
            yield _result(segment, process)


def _tell(process: "subprocess.Popen[str]", number: int) -> None:
    stdin = process.stdin
    if stdin is not None:
        try:
            stdin.write(f"{number}\n")
            stdin.flush()
        except BrokenPipeError:
            raise _lost(process) from None


def _result(segment: Segment, process: "subprocess.Popen[str]") -> tuple[Segment, Counts]:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise _lost(process)
    found = json.loads(line)
    if "error" in found:
        raise OSError(found["errno"], found["error"], found["filename"])
    return segment, Counts.from_dict(found)


def _lost(process: "subprocess.Popen[str]") -> UserError:
    return UserError(f"a process that prepared the data was lost (exit code {process.wait()}); is memory or disk full?")


def _work(folder: Path, data: DataConfig, distinct: bool) -> None:
    """Make the segments whose numbers come on standard input; a line of JSON for each on standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the process that waits for this one as well.
    for line in sys.stdin:
        try:
            found = vars(Segment(folder, int(line)).make_from_files(data, distinct))
        except OSError as error:
            found = {"error": error.strerror, "errno": error.errno, "filename": error.filename}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    given = json.loads(sys.argv[2])
    _work(Path(sys.argv[1]), DataConfig(**given["data"]), given["distinct"])
