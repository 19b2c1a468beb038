"""What would be read from data, without training: for `wordseq data show`."""

import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wordseq.batches.prepare import prepare_corpus
from wordseq.config.data import DataConfig
from wordseq.data.cleaning import WARNING, describe
from wordseq.system.progress import Say
from wordseq.text.features import MARK, split_features
from wordseq.text.rare_words import spelling_line


@dataclass(frozen=True)
class Preview:
    """What is read from data.

    Attributes:
        format: the recognised formats, e.g. "CSV with semicolons".
        columns: names of the columns: "source", "target", and a list of the "unused" ones; empty if the format has none.
        first: the first pairs after cleaning; a source with features is WORD, TAB, FEATURES.
        counts: for each part, what was read, dropped and kept.
        levels: for source and target the level of tokens.
        lengths: for source and target the tokens per text: "median", "99%" and "longest"; of the training pairs.
        scripts: for source and target the number of sampled texts in each script.
        warnings: what looks wrong, and what to type.
        lines: counts, splits, overlaps and spelled words, in words.
    """

    format: str
    columns: Mapping[str, Any]
    first: list[tuple[str, str]]
    counts: Mapping[str, Any]
    levels: Mapping[str, str]
    lengths: Mapping[str, Mapping[str, int]]
    scripts: Mapping[str, Mapping[str, int]]
    warnings: list[str]
    lines: list[str]

    @property
    def pairs(self) -> int:
        """Number of pairs that are kept, in all parts."""
        return sum(part["kept"] for part in self.counts.values())

    def to_dict(self) -> dict[str, Any]:
        """The preview for JSON."""
        found = {key: value for key, value in vars(self).items() if key != "lines"}
        duplicates = sum(part["duplicates"] for part in self.counts.values())
        return {"format": self.format, "pairs": self.pairs, "duplicates": duplicates, **found}

    def __str__(self) -> str:
        return self.show()

    def show(self, width: int = 0) -> str:
        """The preview as text.

        Args:
            width: of the terminal; longer lines are wrapped, and the texts of pairs are cut. 0: neither.
        """
        pairs = []
        for src, tgt in self.first:
            word, features = split_features(src)
            texts = {"source": word, **({"features": features} if MARK in src else {}), "target": tgt}
            column = max(map(len, texts))
            for name, text in texts.items():
                room = width - column - 4
                pairs.append(
                    f"  {name:{column}}  {text if not width or len(text) <= room else f'{text[: room - 3]}...'}"
                )
        table = [f"{'tokens per text':18}{'median':>8}{'99 %':>8}{'longest':>9}  scripts"]
        for side, name in _SIDES.items():
            sizes, scripts = self.lengths[side], self.scripts[side]
            total = sum(scripts.values()) or 1
            shares = ", ".join(f"{script} {number / total:.1%}" for script, number in scripts.items()) or "none known"
            label = f"{name} ({self.levels[side]})"
            table.append(f"{label:18}{sizes['median']:8,}{sizes['99%']:8,}{sizes['longest']:9,}  {shares}")
        warnings = [f"{WARNING}{text}" for text in self.warnings] or ["nothing looks wrong"]
        parts = [
            ["first pairs", *pairs],
            [_wrapped(line, width) for line in self.lines],
            table,
            [_wrapped(line, width) for line in warnings],
        ]
        return "\n\n".join("\n".join(part) for part in parts)


_SIDES = {"src": "source", "tgt": "target"}


def _wrapped(line: str, width: int) -> str:
    if not width:
        return line
    return textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def preview(data: DataConfig, mirror: Path | None, say: Say) -> Preview:
    """What would be read with these settings. The data are prepared as for a training, in a temporary folder.

    Raises:
        UserError: the data cannot be used; see `prepare_corpus`.
    """
    with tempfile.TemporaryDirectory(prefix="wordseq-") as folder:
        corpus = prepare_corpus(data, Path(folder), mirror=mirror, say=say)
        lengths = {
            side: {
                "median": int(np.median(store.lengths)),
                "99%": int(np.percentile(store.lengths, 99)),
                "longest": int(store.lengths.max()),
            }
            for side, store in zip(_SIDES, corpus.stores, strict=True)
        }
    split = corpus.split
    counts = split["counts"]["parts"]
    readings = [part["reading"] for part in counts.values() if part["reading"]]
    formats = dict.fromkeys(form for reading in readings for form in reading["formats"])
    described = describe(split)
    return Preview(
        ", ".join(formats) or "synthetic",
        next((reading["columns"] for reading in readings if reading["columns"]), {}),
        [tuple(pair) for pair in split["first"]],
        counts,
        {side: data.level_of(side) for side in _SIDES},
        lengths,
        split["scripts"],
        [line.removeprefix(WARNING) for line in described if line.startswith(WARNING)],
        [line for line in described if not line.startswith(WARNING)]
        + [f"{name}: {spelling_line(corpus.coverage[side])}" for side, name in _SIDES.items() if data.spells(side)],
    )
