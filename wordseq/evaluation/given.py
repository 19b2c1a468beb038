"""Sentences and references that are given for scoring, as files or as texts, prepared like the data of a run."""

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from wordseq.data.cleaning import read_given
from wordseq.data.layout import files_of
from wordseq.data.readers.lines import read_sentences
from wordseq.data.sources import Origin, Reading
from wordseq.data.splits import HeldOut
from wordseq.runs.folder import RunFolder
from wordseq.system.errors import UserError
from wordseq.system.progress import counted
from wordseq.text.features import features_fault, prepare_source, tabs_note, with_features
from wordseq.text.normalise import prepare


def read_files(run: RunFolder, src: Path, refs: Sequence[Path], say: Callable[[str], None] = warnings.warn) -> HeldOut:
    """Sentences from a file with references from other files, prepared like the run's data.

    Args:
        run: the run.
        src: file of the sources.
        refs: files of the references, line by line.
        say: called with a line on the encoding or the line ends of a file, if they are not the usual ones; and on TABs in the
            sources of a run without features.

    Raises:
        UserError: a file cannot be used, or the files differ in length.
    """
    sources, *columns = (read_sentences(path, say) for path in (src, *refs))
    for path, column in zip(refs, columns, strict=True):
        if len(column) != len(sources):
            raise UserError(f"{path} has {counted(len(column), 'line')}, but {src} has {len(sources):,}")
    if not sources:
        raise UserError(f"{src}: no sentences")
    if not run.config.data.feature_separator and (line := tabs_note(sources, 0)):
        say(f"{src}: {line}")
    found = prepare_held_out(run, sources, list(zip(*columns, strict=True)), f"{src}, line")
    prepared: list[tuple[Path, Sequence[str]]] = [(src, found.sources)]
    prepared += zip(refs, zip(*found.references, strict=True), strict=True)
    for path, texts in prepared:
        if not any(texts):
            raise UserError(f"{path}: all lines are empty")
    return found


def read_pairs_to_score(run: RunFolder, path: Path, say: Callable[[str], None] = warnings.warn) -> HeldOut:
    """The pairs of a file, read with the settings of the run's data, as `data.test` is: each line is a source with a reference.

    Args:
        run: the run.
        path: a file of pairs in any format.
        say: called with lines on the format and the columns, on what looks wrong, and on lines that are left out.

    Raises:
        UserError: the file cannot be used.
    """
    data = dataclasses.replace(run.config.data, corpus="", train=str(path), dev="", test="")
    reading = Reading(say)
    held_out, counts = read_given(data, Origin(str(path), {"test": files_of(data)["train"]}), "test", reading)
    for line in reading.warnings:
        say(line)
    if counts.kept < counts.lines:
        say(f"{path}: kept {counts.kept:,} of {counted(counts.lines, 'line')} (data.on_bad_line)")
    return held_out


def prepare_held_out(
    run: RunFolder,
    sources: Iterable[str | tuple[str, str]],
    references: Iterable[str | Sequence[str]],
    place: str = "sentence",
) -> HeldOut:
    """Sentences with their references, prepared like the run's data.

    Args:
        run: the run.
        sources: source sentences; where they have features, pairs of (word, features), or WORD, TAB, FEATURES.
        references: for each source its reference, or the list of its references.
        place: stands before the number of a sentence in errors.

    Raises:
        TypeError: `sources` or `references` is one text, or contains something that is not a text.
        UserError: sources and references differ in number, there are none, a source has no reference, or it has no features
            where sources have some.
    """
    lowercase, separator = run.config.data.lowercase, run.config.data.feature_separator
    if isinstance(sources, str | bytes) or isinstance(references, str | bytes):
        raise TypeError("sources and references must be lists of texts, got one text")
    texts: list[Any] = list(with_features(sources) if separator else sources)
    rows = [[row] if isinstance(row, str) else list(row) for row in references]
    if len(texts) != len(rows):
        raise UserError(f"{counted(len(texts), 'source')}, but references of {len(rows):,}")
    if not texts:
        raise UserError("no sentences to score")
    for number, (text, row) in enumerate(zip(texts, rows, strict=True), 1):
        if not row:
            raise UserError(f"{place} {number}: no reference")
        for found in (text, *row):
            if not isinstance(found, str):
                raise TypeError(f"{place} {number}: expected texts, got {type(found).__name__} {found!r}")
        if separator and (fault := features_fault(text)):
            raise UserError(f"{place} {number}: {fault}")
    return HeldOut(
        [prepare_source(text, lowercase, separator) for text in texts],
        [[prepare(text, lowercase) for text in row] for row in rows],
    )
