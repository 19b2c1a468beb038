"""Sentence pairs as the settings ask for them: read, normalised, cleaned with counts, split without leaks."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

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


@dataclass
class _Counts:
    """Lines of one source of pairs, by what became of them."""

    lines: int = 0
    bad_lines: int = 0
    empty: int = 0
    too_long: int = 0
    duplicates: int = 0
    kept: int = 0
    normalised: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; changes that did not occur are left out."""
        return {**vars(self), "normalised": {name: number for name, number in self.normalised.items() if number}}


def load_corpus(
    data: DataConfig,
    folder: Path = DEFAULT_FOLDER,
    mirror: Path | None = None,
    say: Callable[[str], None] = print,
) -> Corpus:
    """The corpus that `data` names: synthetic, public (fetched when it is not there), a file, or given splits.

    Args:
        data: settings, see `DataConfig`.
        folder: where public corpora live.
        mirror: a folder to take public corpora from instead of the network, see `wordseq.datasets.get`.
        say: hears the licence of a public corpus and what is fetched, a line at a time.

    Raises:
        UserError: an unknown corpus, a file that cannot be used, bad lines, sizes that leave a part empty.
    """
    if data.train_src:
        return _from_splits(data, {key: Path(getattr(data, key)) for key in SPLIT_FILES}, data.train_src)
    if data.path:
        return _from_file(data, Path(data.path), data.path)
    if data.corpus in SYNTHETIC:
        rows = (Row(number, *pair) for number, pair in enumerate(make(data.corpus), 1))
        return _from_rows(data, rows, BadLines("stop"), data.corpus)
    dataset = find_dataset(data.corpus)
    if dataset is None:
        raise UserError(_unknown_corpus(data.corpus))
    files = get(dataset, folder, mirror, say)
    if "path" in files:
        return _from_file(data, files["path"], data.corpus)
    return _from_splits(data, files, data.corpus)


def split_report(corpus: Corpus) -> dict[str, Any]:
    """What went where, for split.json.

    Returns:
        "method", "seed", "dev_size", "test_size", everything of `wordseq.splits.audit`, and the "counts" of reading.
    """
    return {**corpus.split, "counts": corpus.counts}


def describe(corpus: Corpus) -> list[str]:
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


def _from_file(data: DataConfig, path: Path, name: str) -> Corpus:
    bad = BadLines(data.on_bad_line)
    return _from_rows(data, read_pairs(path, bad), bad, name)


def _from_rows(data: DataConfig, rows: Iterable[Row], bad: BadLines, name: str) -> Corpus:
    counts = _Counts()
    pairs = list(_cleaned(rows, data, counts, set()))
    _finish(counts, bad, len(pairs), name)
    split = split_by_source(pairs, data.dev_size, data.test_size, data.seed)
    how = {"method": GROUPED, "seed": data.seed, "dev_size": data.dev_size, "test_size": data.test_size}
    return _corpus(data, split, how, {"pairs": counts}, name)


def _from_splits(data: DataConfig, files: Mapping[str, Path], name: str) -> Corpus:
    counts = {part: _Counts() for part in ("train", "dev", "test")}
    bad = BadLines(data.on_bad_line)
    train = list(_cleaned(read_parallel(files["train_src"], files["train_tgt"], bad), data, counts["train"], None))
    _finish(counts["train"], bad, len(train), str(files["train_src"]))
    held_out = [_held_out(files[f"{part}_src"], files[f"{part}_tgt"], data, counts[part]) for part in ("dev", "test")]
    how = {"method": GIVEN, "seed": data.seed, "dev_size": None, "test_size": None}
    return _corpus(data, Split(train, *held_out), how, counts, name)


def _corpus(data: DataConfig, split: Split, how: Mapping[str, Any], counts: Mapping[str, _Counts], name: str) -> Corpus:
    train = draw(split.train, data.max_pairs, data.seed) if data.max_pairs else split.train
    parts = {part: found.to_dict() for part, found in counts.items()}
    return Corpus(
        train=train,
        dev=split.dev,
        test=split.test,
        counts={"corpus": name, "parts": parts, "unused_pairs": len(split.train) - len(train)},
        split={**how, **audit(Split(train, split.dev, split.test))},
    )


def _cleaned(rows: Iterable[Row], data: DataConfig, counts: _Counts, seen: set[Pair] | None) -> Iterator[Pair]:
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


def _held_out(src_path: Path, tgt_path: Path, data: DataConfig, counts: _Counts) -> HeldOut:
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
    _finish(counts, bad, len(pairs), str(src_path))
    return HeldOut([pair.src for pair in pairs], [[pair.tgt] for pair in pairs])


def _prepared(row: Row, data: DataConfig, counts: _Counts) -> Pair:
    src = prepare(row.src, data.lowercase, counts.normalised)
    tgt = prepare(row.tgt, data.lowercase, counts.normalised)
    return Pair(tgt, src) if data.swap else Pair(src, tgt)


def _finish(counts: _Counts, bad: BadLines, kept: int, name: str) -> None:
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
