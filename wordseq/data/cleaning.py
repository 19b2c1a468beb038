"""Cleaning of rows with counts of what is dropped and changed; given dev and test files; the summary of a corpus."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from wordseq.config.data import DataConfig
from wordseq.data.pairs import Pair, Row
from wordseq.data.readers.lines import BadLines
from wordseq.data.sources import Origin, Reading, read_pair_files
from wordseq.data.splits import MOST_SOURCES, HeldOut
from wordseq.system.errors import UserError
from wordseq.system.progress import counted
from wordseq.text.features import join_features, prepare_features, word_of
from wordseq.text.normalise import describe_counts, normalise, prepare

_DROPPED = MappingProxyType(
    {
        "bad_lines": "{} bad lines",
        "empty": "{} with an empty source or target",
        "too_long": "{} longer than data.max_chars",
        "duplicates": "{} duplicates",
    }
)


def _dropped(counts: Mapping[str, Any], *, zeros: bool) -> str:
    """The numbers of dropped lines by reason, e.g. "1 bad line, 2 duplicates"; empty if there are none."""
    found: list[str] = []
    for key, text in _DROPPED.items():
        phrase = text.removesuffix("s") if counts[key] == 1 and key in ("bad_lines", "duplicates") else text
        if counts[key] or zeros:
            found.append(phrase.format(f"{counts[key]:,}"))
    return ", ".join(found)


WARNING = "warning: "
"""Begins a line on something that is probably not as it was meant."""

MOST_HELD_OUT = 1 / 3
"""A larger share of the sources outside training is worth a warning."""


@dataclass
class Counts:
    """How many lines of one file, or pair of files, were read, dropped and kept."""

    lines: int = 0
    bad_lines: int = 0
    empty: int = 0
    too_long: int = 0
    duplicates: int = 0
    kept: int = 0
    composed: int = 0
    """Targets that are in NFC and not in NFD."""
    decomposed: int = 0
    """Targets that are in NFD and not in NFC."""
    normalised: Counter[str] = field(default_factory=Counter)
    reading: dict[str, Any] = field(default_factory=dict)
    """The result of `Reading.to_dict`: the recognised formats, and what their readers left out."""

    def add(self, other: "Counts") -> None:
        """Add the counts of further lines."""
        for name in ("lines", "bad_lines", "empty", "too_long", "duplicates", "kept", "composed", "decomposed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.normalised.update(other.normalised)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Counts":
        """Counts from the result of `vars`, which a worker process sends as JSON."""
        return cls(**{**values, "normalised": Counter(values["normalised"])})

    def to_dict(self) -> dict[str, Any]:
        """The counts for JSON, without changes that did not occur."""
        return {**vars(self), "normalised": {name: number for name, number in self.normalised.items() if number}}


def describe(split: Mapping[str, Any]) -> list[str]:
    """The content of split.json as lines to print: counts of cleaning, sizes of the splits, and their overlap."""
    counts = split["counts"]
    lines = [f"data: {counts['corpus']}"]
    for name, part in counts["parts"].items():
        dropped = _dropped(part, zeros=False) or "nothing"
        if left_out := part["reading"].get("left_out"):
            lines.append(f"{name}: not read: {', '.join(f'{number:,} {what}' for what, number in left_out.items())}")
        kept = counted(part["kept"], "pair")
        lines.append(f"{name}: {counted(part['lines'], 'line')}; dropped: {dropped}; kept {kept}")
        lines.append(f"{name}: normalised: {describe_counts(part['normalised'])}")
    train, shared = split["train"], split["shared_sources"]
    parts = [f"train {counted(train['pairs'], 'pair')} ({counted(train['sources'], 'source')})"]
    for name in ("dev", "test"):
        part = split[name]
        groups = f" in {counted(part['groups'], 'group')}" if part["groups"] != part["sources"] else ""
        parts.append(
            f"{name} {counted(part['sources'], 'source')}{groups} ({counted(part['references'], 'reference')})"
        )
    lines.append(f"split {split['method']}: {', '.join(parts)}; sources shared between parts: {sum(shared.values()):,}")
    if counts["unused_pairs"]:
        lines.append(f"data.max_pairs: not used: {counted(counts['unused_pairs'], 'training pair')}")
    drawn = [part for part in ("dev", "test") if split[f"{part}_size"] is not None]
    usual = [part for part in drawn if split[f"{part}_size"] == 0]
    if usual and (size := split[usual[0]]["groups"]) < MOST_SOURCES:
        keys = " and ".join(f"data.{part}_size" for part in usual)
        share = "a tenth of all" if size > 1 else "the fewest possible"
        lines.append(f"{keys}: {counted(size, 'source')}{' each' * (len(usual) > 1)}, {share}")
    held_out, sources = sum(split[part]["sources"] for part in drawn), train["sources"]
    # The usual sizes are small enough, or cannot be smaller.
    if len(usual) < len(drawn) and held_out > MOST_HELD_OUT * (held_out + sources):
        keys = " and ".join(f"data.{part}_size=0.1" for part in drawn if part not in usual)
        lines.append(
            f"{WARNING}{' and '.join(drawn)} take {held_out:,} of {held_out + sources:,} sources; for small data set {keys}"
        )
    # Only given files can overlap; the splits that wordseq makes share no source.
    for first, second, where in (("train", "test", "training"), ("train", "dev", "training"), ("dev", "test", "dev")):
        if number := shared[f"{first}_{second}"]:
            total = split[second]["sources"]
            what = "sources have words that" if _has_features(split) else "sources"
            lines.append(f"{WARNING}{number:,} of {total:,} {second} {what} also occur in {where}")
    for name in ("dev", "test"):
        seen, total = split["references_seen"][name], split[name]["references"]
        lines.append(f"{name} references that are also a training target: {seen:,} of {total:,} ({seen / total:.1%})")
    return lines + [f"{WARNING}{text}" for text in split["warnings"]]


def _has_features(split: Mapping[str, Any]) -> bool:
    readings = [part["reading"] for part in split["counts"]["parts"].values()]
    return any("features" in reading.get("columns", ()) for reading in readings)


def clean(rows: Iterable[Row], data: DataConfig, counts: Counts, seen: set[Pair] | None) -> Iterator[Pair]:
    """The pairs that are neither empty nor too long; with `seen`, each distinct pair once.

    Args:
        rows: pairs as read.
        data: settings `lowercase`, `swap` and `max_chars`.
        counts: is updated.
        seen: pairs of earlier rows, updated; None: keep duplicates. Given training files keep theirs, because a repeated pair
            may be a deliberate weight.
    """
    for row in rows:
        counts.lines += 1
        # Normalise first: a line of invisible characters is empty, and two lines may become equal.
        pair = _prepared(row, data, counts)
        word = word_of(pair.src)
        if not (word and pair.tgt):
            counts.empty += 1
        elif max(len(word), len(pair.tgt)) > data.max_chars:
            counts.too_long += 1
        elif seen is not None and pair in seen:
            counts.duplicates += 1
        else:
            if seen is not None:
                seen.add(pair)
            yield pair


def read_given(data: DataConfig, origin: Origin, part: str, reading: Reading) -> tuple[HeldOut, Counts]:
    """A given dev or test split with its counts.

    Each pair is a source with one reference. Nothing is merged or dropped, so that scores can be compared with published ones.

    Raises:
        UserError: see `Origin.rows`; or a line is empty and data.on_bad_line is "stop".
    """
    found = Counts()
    # Two collectors, because split.json counts bad and empty lines separately.
    bad, empty = BadLines(data.on_bad_line), BadLines(data.on_bad_line)
    pairs = []
    for files in origin.parts[part]:
        for row in read_pair_files(files, origin.settings(data), bad, reading):
            found.lines += 1
            pair = _prepared(row, data, found)
            if word_of(pair.src) and pair.tgt:
                pairs.append(pair)
            else:
                # By row, not by pair: data.swap exchanges the texts of a pair, but not the files.
                empty.add(
                    files[-1 if normalise(row.src) else 0], row.number, "an empty source or target in held-out data"
                )
    bad.check(found.lines)
    empty.check(len(pairs))
    found.empty = empty.number
    finish(found, bad, len(pairs), str(origin.parts[part][0][0]))
    found.reading = reading.to_dict()
    return HeldOut([pair.src for pair in pairs], [[pair.tgt] for pair in pairs]), found


def _prepared(row: Row, data: DataConfig, counts: Counts) -> Pair:
    # The same function as for the input of a translation: training and use must see the same text.
    src = prepare(row.src, data.lowercase, counts.normalised)
    tgt = prepare(row.tgt, data.lowercase, counts.normalised)
    written = row.src if data.swap else row.tgt
    if not written.isascii():
        composed, decomposed = (unicodedata.is_normalized(form, written) for form in ("NFC", "NFD"))
        counts.composed += composed > decomposed
        counts.decomposed += decomposed > composed
    if data.swap:
        src, tgt = tgt, src
    src, tgt = _without_empty(src, data.src_separator, counts), _without_empty(tgt, data.tgt_separator, counts)
    if row.features is not None:
        src = join_features(src, prepare_features(row.features, data.features_separator, counts.normalised))
    return Pair(src, tgt)


def _without_empty(text: str, separator: str, counts: Counts) -> str:
    """The text without empty symbols, which are counted: "a||b|" becomes "a|b" with the separator "|"."""
    if not separator or separator not in text:
        return text
    symbols = text.split(separator)
    kept = [symbol for symbol in symbols if symbol]
    counts.normalised["empty symbols"] += len(symbols) - len(kept)
    return separator.join(kept)


def finish(counts: Counts, bad: BadLines, kept: int, name: str) -> None:
    """Complete the counts after the last line.

    Raises:
        UserError: no pair was kept.
    """
    # Bad lines never reach `clean`, so they are added to the lines here.
    counts.bad_lines = bad.number
    counts.lines += bad.number
    counts.kept = kept
    if not kept:
        dropped = _dropped(vars(counts), zeros=True)
        advice = "; split the lines into sentences, or set data.max_chars higher" if counts.too_long else ""
        lost = "the only line was" if counts.lines == 1 else f"all {counts.lines:,} lines were"
        raise UserError(f"{name}: {lost} dropped: {dropped}{advice}")
