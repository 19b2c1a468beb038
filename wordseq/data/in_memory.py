"""A corpus with its training pairs in memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordseq.config.schema import DataConfig
from wordseq.data.cleaning import Counts, clean, finish, read_held_out
from wordseq.data.pairs import Pair
from wordseq.data.public import DEFAULT_FOLDER
from wordseq.data.readers.lines import BadLines
from wordseq.data.sources import Origin, find_origin
from wordseq.data.splits import HeldOut, Split, audit, draw, split_by_source


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
        mirror: a folder to take public corpora from instead of the network, see `wordseq.data.public.get`.
        say: hears the licence of a public corpus and what is fetched, a line at a time.

    Raises:
        UserError: an unknown corpus, a file that cannot be used, bad lines, sizes that leave a part empty.
    """
    origin = find_origin(data, folder, mirror, say)
    return _from_splits(data, origin) if origin.is_split else _from_rows(data, origin)


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
