"""Sentence pairs as the settings ask for them: read, normalised, cleaned with counts, split without leaks."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from wordseq.config import SPLIT_FILES, DataConfig
from wordseq.datasets import DATASETS, DEFAULT_FOLDER, OPEN_NAMES, find_dataset, get
from wordseq.errors import UserError
from wordseq.normalisation import describe_counts, normalise, prepare
from wordseq.reading import BadLines, Row, read_pairs, read_parallel
from wordseq.splits import HeldOut, Split, audit, draw, split_by_source
from wordseq.synthetic import SYNTHETIC, Pair, make

__all__ = ["Corpus", "HeldOut", "Pair", "describe", "load_corpus", "normalise", "prepare", "split_report"]

GROUPED = "grouped by source, drawn by hash"
GIVEN = "as given"

_DROPPED = MappingProxyType(
    {
        "bad_lines": "bad lines",
        "empty": "with an empty side",
        "too_long": "longer than data.max_chars",
        "duplicates": "duplicates",
    }
)


@dataclass(frozen=True)
class Corpus:
    """A corpus ready for training and scoring.

    Attributes:
        train: sentence pairs.
        dev: for choosing.
        test: for the final score.
        counts: what was read, dropped and normalised; for JSON.
        split: how it was split, see `split_report`; for JSON.
    """

    train: list[Pair]
    dev: HeldOut
    test: HeldOut
    counts: dict[str, Any]
    split: dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """Where sentence pairs come from.

    Attributes:
        name: of the corpus, for people.
        files: by setting: one called "path", or six as `SPLIT_FILES`; none for what wordseq makes itself.
        pairs: what it made.
    """

    name: str
    files: Mapping[str, Path]
    pairs: Sequence[Pair] = ()

    @property
    def is_split(self) -> bool:
        """Whether dev and test data are given."""
        return "train_src" in self.files

    def rows(self, bad: BadLines) -> Iterator[Row]:
        """The pairs as they stand, those for training where dev and test are given; see `reading.read_pairs`."""
        if self.is_split:
            return read_parallel(self.files["train_src"], self.files["train_tgt"], bad)
        if self.files:
            return read_pairs(self.files["path"], bad)
        return (Row(number, *pair) for number, pair in enumerate(self.pairs, 1))

    def method(self, data: DataConfig) -> dict[str, Any]:
        """How it is split, for split.json."""
        if self.is_split:
            return {"method": GIVEN, "seed": data.seed, "dev_size": None, "test_size": None}
        return {"method": GROUPED, "seed": data.seed, "dev_size": data.dev_size, "test_size": data.test_size}


@dataclass
class Counts:
    """Lines of one source of pairs, by what became of them."""

    lines: int = 0
    bad_lines: int = 0
    empty: int = 0
    too_long: int = 0
    duplicates: int = 0
    kept: int = 0
    normalised: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Counts") -> None:
        """Add the counts of further lines."""
        for name in ("lines", "bad_lines", "empty", "too_long", "duplicates", "kept"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.normalised.update(other.normalised)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Counts":
        """From what `vars` gave."""
        return cls(**{**values, "normalised": Counter(values["normalised"])})

    def to_dict(self) -> dict[str, Any]:
        """For JSON; changes that did not occur are left out."""
        return {**vars(self), "normalised": {name: number for name, number in self.normalised.items() if number}}


def load_corpus(
    data: DataConfig,
    folder: Path = DEFAULT_FOLDER,
    mirror: Path | None = None,
    say: Callable[[str], None] = print,
) -> Corpus:
    """The corpus that `data` names, with its training pairs in memory; `preparing` does without.

    Args:
        data: settings, see `DataConfig`.
        folder: where public corpora live.
        mirror: a folder to take public corpora from instead of the network, see `wordseq.datasets.get`.
        say: hears the licence of a public corpus and what is fetched, a line at a time.

    Raises:
        UserError: an unknown corpus, a file that cannot be used, bad lines, sizes that leave a part empty.
    """
    origin = find_origin(data, folder, mirror, say)
    return _from_splits(data, origin) if origin.is_split else _from_rows(data, origin)


def check_source(data: DataConfig) -> None:
    """Whether there is what `data` names, as far as can be told without fetching or reading it.

    Raises:
        UserError: an unknown corpus, or a missing file.
    """
    paths = [getattr(data, key) for key in SPLIT_FILES] if data.train_src else [data.path] * bool(data.path)
    for path in map(Path, paths):
        # A member of an archive has the archive for a parent.
        if not path.exists() and not any(parent.is_file() for parent in path.parents):
            raise UserError(f"{path}: no such file")
    if not paths and data.corpus not in SYNTHETIC and find_dataset(data.corpus) is None:
        raise UserError(_unknown_corpus(data.corpus))


def find_origin(
    data: DataConfig,
    folder: Path = DEFAULT_FOLDER,
    mirror: Path | None = None,
    say: Callable[[str], None] = print,
) -> Origin:
    """Where the pairs that `data` names come from: synthetic, public (fetched when it is not there), or files.

    Args and errors: see `load_corpus`.
    """
    if data.train_src:
        return Origin(data.train_src, {key: Path(getattr(data, key)) for key in SPLIT_FILES})
    if data.path:
        return Origin(data.path, {"path": Path(data.path)})
    if data.corpus in SYNTHETIC:
        return Origin(data.corpus, {}, make(data.corpus))
    dataset = find_dataset(data.corpus)
    if dataset is None:
        raise UserError(_unknown_corpus(data.corpus))
    return Origin(data.corpus, get(dataset, folder, mirror, say))


class Figures(Protocol):
    """What is counted of a corpus, wherever its pairs are."""

    @property
    def counts(self) -> dict[str, Any]:
        """See `Corpus`."""

    @property
    def split(self) -> dict[str, Any]:
        """See `Corpus`."""


def split_report(corpus: Figures) -> dict[str, Any]:
    """What went where, for split.json.

    Returns:
        "method", "seed", "dev_size", "test_size", everything of `wordseq.splits.audit`, and the "counts" of reading.
    """
    return {**corpus.split, "counts": corpus.counts}


def describe(corpus: Figures) -> list[str]:
    """Lines for people: what was read, dropped and normalised, how large the parts are, what they share."""
    lines = []
    for name, counts in corpus.counts["parts"].items():
        dropped = ", ".join(f"{counts[key]:,} {text}" for key, text in _DROPPED.items() if counts[key]) or "nothing"
        lines.append(f"{name}: {counts['lines']:,} lines; dropped: {dropped}; kept {counts['kept']:,} pairs")
        lines.append(f"{name}: normalised: {describe_counts(counts['normalised'])}")
    return lines + _describe_split(corpus.split, corpus.counts["unused_pairs"])


def _describe_split(split: Mapping[str, Any], unused: int) -> list[str]:
    train, shared = split["train"], split["shared_sources"]
    parts = [f"train {train['pairs']:,} pairs ({train['sources']:,} sources)"]
    parts += [f"{name} {_held_out_sizes(split[name])}" for name in ("dev", "test")]
    lines = [f"split {split['method']}: {', '.join(parts)}; sources shared between parts: {sum(shared.values()):,}"]
    if unused:
        lines.append(f"data.max_pairs: {unused:,} training pairs are not used")
    for first, second, where in (("train", "test", "training"), ("train", "dev", "training"), ("dev", "test", "dev")):
        if number := shared[f"{first}_{second}"]:
            total = split[second]["sources"]
            lines.append(f"warning: {number:,} of {total:,} {second} sources also occur in {where}")
    for name in ("dev", "test"):
        seen, total = split["references_seen"][name], split[name]["references"]
        lines.append(f"{name} references that are also a training target: {seen:,} of {total:,} ({seen / total:.1%})")
    return lines


def _held_out_sizes(part: Mapping[str, Any]) -> str:
    groups = f" in {part['groups']:,} groups" if part["groups"] != part["sources"] else ""
    return f"{part['sources']:,} sources{groups} ({part['references']:,} references)"


def _from_rows(data: DataConfig, origin: Origin) -> Corpus:
    counts, bad = Counts(), BadLines(data.on_bad_line)
    pairs = list(clean(origin.rows(bad), data, counts, set()))
    finish(counts, bad, len(pairs), origin.name)
    split = split_by_source(pairs, data.dev_size, data.test_size, data.seed)
    return _corpus(data, split, origin, {"pairs": counts})


def _from_splits(data: DataConfig, origin: Origin) -> Corpus:
    counts, bad = Counts(), BadLines(data.on_bad_line)
    train = list(clean(origin.rows(bad), data, counts, None))
    finish(counts, bad, len(train), str(origin.files["train_src"]))
    held_out, held_out_counts = read_held_out(data, origin)
    return _corpus(data, Split(train, **held_out), origin, {"train": counts, **held_out_counts})


def read_held_out(data: DataConfig, origin: Origin) -> tuple[dict[str, HeldOut], dict[str, Counts]]:
    """Given dev and test files, by part, and the counts of reading them.

    Raises:
        UserError: see `load_corpus`.
    """
    counts = {part: Counts() for part in ("dev", "test")}
    files = origin.files
    return {
        part: _held_out(files[f"{part}_src"], files[f"{part}_tgt"], data, found) for part, found in counts.items()
    }, counts


def _corpus(data: DataConfig, split: Split, origin: Origin, counts: Mapping[str, Counts]) -> Corpus:
    train = draw(split.train, data.max_pairs, data.seed) if data.max_pairs else split.train
    parts = {part: found.to_dict() for part, found in counts.items()}
    return Corpus(
        train=train,
        dev=split.dev,
        test=split.test,
        counts={"corpus": origin.name, "parts": parts, "unused_pairs": len(split.train) - len(train)},
        split={**origin.method(data), **audit(Split(train, split.dev, split.test))},
    )


def clean(rows: Iterable[Row], data: DataConfig, counts: Counts, seen: set[Pair] | None) -> Iterator[Pair]:
    """The pairs worth keeping; with `seen`, each only once. Given training files keep theirs: it is their weight."""
    for row in rows:
        counts.lines += 1
        pair = _prepared(row, data, counts)
        if not (pair.src and pair.tgt):
            counts.empty += 1
        elif max(len(pair.src), len(pair.tgt)) > data.max_chars:
            counts.too_long += 1
        elif seen is not None and pair in seen:
            counts.duplicates += 1
        else:
            if seen is not None:
                seen.add(pair)
            yield pair


def _held_out(src_path: Path, tgt_path: Path, data: DataConfig, counts: Counts) -> HeldOut:
    """Given dev or test files, a source a line: nothing merged, nothing dropped, so that scores can be compared."""
    bad, empty = BadLines(data.on_bad_line), BadLines(data.on_bad_line)
    pairs = []
    for row in read_parallel(src_path, tgt_path, bad):
        counts.lines += 1
        pair = _prepared(row, data, counts)
        if pair.src and pair.tgt:
            pairs.append(pair)
        else:
            empty.add(tgt_path if normalise(row.src) else src_path, row.number, "an empty sentence in held-out data")
    empty.check()
    counts.empty = empty.number
    finish(counts, bad, len(pairs), str(src_path))
    return HeldOut([pair.src for pair in pairs], [[pair.tgt] for pair in pairs])


def _prepared(row: Row, data: DataConfig, counts: Counts) -> Pair:
    src = prepare(row.src, data.lowercase, counts.normalised)
    tgt = prepare(row.tgt, data.lowercase, counts.normalised)
    return Pair(tgt, src) if data.swap else Pair(src, tgt)


def finish(counts: Counts, bad: BadLines, kept: int, name: str) -> None:
    """Complete the counts after the last line.

    Raises:
        UserError: no pair was kept.
    """
    counts.bad_lines = bad.number
    counts.lines += bad.number
    counts.kept = kept
    if not kept:
        dropped = ", ".join(f"{getattr(counts, key):,} {text}" for key, text in _DROPPED.items())
        raise UserError(f"{name}: no sentence pairs left of {counts.lines:,} lines: {dropped}")


def _unknown_corpus(name: str) -> str:
    if not name:
        return "no corpus is named; set data.corpus, data.path, or data.train_src and its five sisters"
    if Path(name).is_file():
        return f"data.corpus = {name!r} is a file; set data.path instead"
    names = [*SYNTHETIC, *DATASETS]
    close = difflib.get_close_matches(name, names, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"data.corpus = {name!r}: unknown; {guess}choose from {', '.join(names)}, or {OPEN_NAMES}"
