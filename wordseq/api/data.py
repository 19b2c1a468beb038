"""Training data as Python has them: pairs, a DataFrame, a path, a corpus name; as settings or as rows."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from wordseq.config.load import load_config
from wordseq.data.pairs import Pair
from wordseq.data.public import DATASETS, find_dataset
from wordseq.data.readers.lines import BadLines
from wordseq.data.sources import Reading, find_origin
from wordseq.data.synthetic import SYNTHETIC
from wordseq.system.errors import UserError
from wordseq.system.progress import Say

Data: TypeAlias = Iterable[tuple[str, str]] | str | os.PathLike[str] | Any
"""Pairs of source and target, a path of a file of pairs, the name of a corpus, or a DataFrame."""

COLUMNS = (("source", "target"), ("src", "tgt"))
"""Names of the columns that are taken from a DataFrame with more than two."""

_SURROGATES = re.compile("[\ud800-\udfff]")

_FORMS = "pairs of (source, target), a DataFrame, a path or the name of a corpus"


def read_pairs(
    data: str | os.PathLike[str],
    *,
    mirror: str | os.PathLike[str] | None = None,
    say: Say | None = print,
    **settings: Any,
) -> list[Pair]:
    """The pairs of a corpus or of a file, unchanged: to inspect them, or to train on some of them.

    `pandas.DataFrame(wordseq.read_pairs("phrasebook"))` has the columns src and tgt.

    Args:
        data: the name of a corpus, a file of pairs in any format, a folder or an archive. Of data that come split: the training
            pairs.
        mirror: a folder to take public corpora from instead of the network.
        say: called with what is recognised, the licence of a public corpus and what is fetched; None: nothing is printed.
        settings: settings of [data] by name, such as `src_column="english"`.

    Raises:
        UserError: neither a corpus nor a file, the corpus cannot be fetched, or a line is no pair.
    """
    named = data_settings(data)
    if named is None:
        raise UserError(f"data: expected a path or the name of a corpus, got {_shown(data)}")
    config = load_config(None, (), {f"data.{name}": value for name, value in settings.items()} | named).data
    say = say or (lambda line: None)
    origin = find_origin(config, Path(mirror) if mirror is not None else None, say)
    rows = origin.rows(config, BadLines(config.on_bad_line), reading=Reading(say))
    return [Pair(row.tgt, row.src) if config.swap else Pair(row.src, row.tgt) for row in rows]


def data_settings(data: Data) -> dict[str, str] | None:
    """The settings that name the data: `data.train` or `data.corpus`; None for data that are in memory.

    A text that is the name of a corpus means the corpus: write "./phrasebook" for a file of that name.

    Raises:
        UserError: a text that is neither a corpus nor a file, or bytes.
    """
    if isinstance(data, os.PathLike):
        return {"data.train": os.fspath(data)}
    if isinstance(data, bytes):
        raise UserError(f"data: got bytes, expected {_FORMS}")
    if not isinstance(data, str):
        return None
    if data in SYNTHETIC or find_dataset(data) is not None:
        return {"data.corpus": data}
    # A member of an archive has the archive for a parent.
    if any(path.exists() for path in (Path(data), *Path(data).parents) if path.name):
        return {"data.train": data}
    names = (*SYNTHETIC, *DATASETS)
    guess = "".join(f"did you mean {name!r}? " for name in difflib.get_close_matches(data, names, n=1))
    raise UserError(f"data {data!r}: neither a file nor a corpus; {guess}the corpora are {', '.join(names)}")


def pairs_of(data: Data) -> Iterator[Pair]:
    """The pairs of data that are in memory, one at a time.

    Raises:
        UserError: data or a row of another form; the message names the row, counted from 1.
    """
    for number, row in enumerate(_rows(data), 1):
        if isinstance(row, str | bytes | Mapping) or not isinstance(row, Iterable):
            raise UserError(f"data, pair {number}: expected (source, target), got {_shown(row)}")
        texts = tuple(row)
        if len(texts) != 2:
            raise UserError(f"data, pair {number}: expected 2 texts, source and target, got {len(texts)}")
        for side, text in zip(("source", "target"), texts, strict=True):
            if not isinstance(text, str):
                raise UserError(f"data, pair {number}: the {side} must be a text, got {_shown(text)}")
            if not text.isascii() and (surrogate := _SURROGATES.search(text)):
                raise UserError(f"data, pair {number}: the {side} has half a character, U+{ord(surrogate[0]):04X}")
        yield Pair(*texts)


def _rows(data: Any) -> Iterable[Any]:
    """The rows of a DataFrame of pandas or Polars, or of anything that is iterated."""
    if not hasattr(data, "columns"):
        if isinstance(data, Mapping) or not isinstance(data, Iterable):
            raise UserError(f"data: expected {_FORMS}, got {_shown(data)}")
        return data
    names = [str(name) for name in data.columns]
    named = next((chosen for chosen in COLUMNS if set(chosen) <= set(names)), None)
    if named is None and len(names) != 2:
        choices = " or ".join(" and ".join(map(repr, chosen)) for chosen in COLUMNS)
        raise UserError(
            f"data: the DataFrame has the columns {', '.join(map(repr, names)) or 'none'}; expected 2, or {choices}; "
            "choose two of them: df[['english', 'french']]"
        )
    chosen = [names.index(name) for name in named] if named else [0, 1]
    rows = data.itertuples(index=False, name=None) if hasattr(data, "itertuples") else data.iter_rows()
    return (tuple(row[k] for k in chosen) for row in rows)


def _shown(value: Any) -> str:
    """A value of the wrong type, short."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
