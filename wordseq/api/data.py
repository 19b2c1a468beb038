"""Training data as Python has them: pairs, a DataFrame, a path, a corpus name; as settings or as rows."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from wordseq.config.data import DataConfig
from wordseq.config.load import load_config
from wordseq.data.columns import check_features, columns_by_name, features_index, set_columns
from wordseq.data.pairs import Pair, PairWithFeatures
from wordseq.data.public import DATASETS, find_dataset
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.streams import archive_of
from wordseq.data.sources import Reading, find_origin
from wordseq.data.synthetic import SYNTHETIC
from wordseq.system.errors import UserError
from wordseq.system.progress import Say
from wordseq.text.features import join_features

Data: TypeAlias = Iterable[Sequence[str]] | str | os.PathLike[str] | Any
"""Pairs of source and target (and features), a path of a file of pairs, the name of a corpus, or a DataFrame."""

_SURROGATES = re.compile("[\ud800-\udfff]")

_FORMS = "pairs of (source, target), a DataFrame, a path or the name of a corpus"


def read_pairs(
    data: str | os.PathLike[str],
    *,
    mirror: str | os.PathLike[str] | None = None,
    say: Say | None = print,
    **settings: Any,
) -> list[Pair] | list[PairWithFeatures]:
    """The pairs of a corpus or of a file, unchanged: to inspect them, or to train on some of them.

    `pandas.DataFrame(wordseq.read_pairs("phrasebook"))` has the columns src and tgt. With `features_column` each is a
    (src, tgt, features), which `wordseq.train(pairs, run, features_column=3)` takes.

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
    if config.features_column:
        return [PairWithFeatures(row.src, row.tgt, row.features or "") for row in rows]
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
    # Two parallel files are joined by a comma.
    paths = [Path(name) for name in (data, *data.split(",")) if name]
    if any(path.exists() or archive_of(path) for path in paths):
        return {"data.train": data}
    names = (*SYNTHETIC, *DATASETS)
    guess = "".join(f"did you mean {name!r}? " for name in difflib.get_close_matches(data, names, n=1))
    raise UserError(f"data {data!r}: neither a file nor a corpus; {guess}the corpora are {', '.join(names)}")


def pairs_of(data: Data, settings: DataConfig | None = None) -> Iterator[Pair]:
    """The pairs of data that are in memory, one at a time.

    Args:
        data: a DataFrame of pandas or Polars, or an iterable of sequences or dicts.
        settings: `src_column` and `tgt_column`, by name or number, are the columns of a DataFrame, keys of dicts or places in
            longer sequences. Otherwise columns are taken by usual names, such as source and target, or the only two.
            `features_column` is that of the features; the source is then WORD, TAB, FEATURES, see `wordseq.text.features`.

    Raises:
        UserError: data or a row of another form, or there is no such column; the message names the row, counted from 1.
    """
    settings = settings or DataConfig()
    names, rows = _table(data)
    chosen: Sequence[int] | None = None
    features = bool(settings.features_column)
    for number, row in enumerate(rows, 1):
        if isinstance(row, Mapping):
            names = names or list(row)
            if missing := next((name for name in names if name not in row), None):
                raise UserError(f"data, pair {number}: no {missing!r}; the first pair has it")
            texts = tuple(row[name] for name in names)
        elif isinstance(row, str | bytes) or not isinstance(row, Iterable):
            raise UserError(f"data, pair {number}: expected (source, target), got {_shown(row)}")
        else:
            texts = tuple(row)
        if chosen is None:
            chosen = _columns(names, texts, settings)
        # Which cells of longer rows are meant must be known.
        if max(chosen) >= len(texts) or (len(texts) > 2 + features and not (names or settings.src_column)):
            expected = "3 texts, source, target and features" if features else "2 texts, source and target"
            hint = "; features_column=3 takes the third as features" if not features and len(texts) == 3 else ""
            raise UserError(f"data, pair {number}: expected {expected}, got {len(texts)}{hint}")
        texts = tuple(texts[k] for k in chosen)
        _check_texts(number, texts)
        if features:
            # A TAB within a text is white space.
            source, target, tags = (text.replace("\t", " ") for text in texts)
            yield Pair(join_features(source, tags), target)
        else:
            yield Pair(*texts)


def _check_texts(number: int, texts: Sequence[Any]) -> None:
    """Check the source, the target and the features of a pair."""
    for side, text in zip(("source", "target", "features"), texts, strict=False):
        if not isinstance(text, str):
            verb = "must be texts" if side == "features" else "must be a text"
            raise UserError(f"data, pair {number}: the {side} {verb}, got {_shown(text)}")
        if not text.isascii() and (surrogate := _SURROGATES.search(text)):
            has = "have" if side == "features" else "has"
            raise UserError(f"data, pair {number}: the {side} {has} half a character, U+{ord(surrogate[0]):04X}")


def _table(data: Any) -> tuple[list[Any], Iterable[Any]]:
    """Names of the columns, if there are any, and the rows."""
    if hasattr(data, "columns"):
        rows = data.itertuples(index=False, name=None) if hasattr(data, "itertuples") else data.iter_rows()
        return list(data.columns), rows
    if isinstance(data, Mapping) or not isinstance(data, Iterable):
        raise UserError(f"data: expected {_FORMS}, got {_shown(data)}")
    return [], data


def _columns(names: Sequence[Any], first: Sequence[Any], settings: DataConfig) -> tuple[int, ...]:
    """Indices of source and target, and of the features if a setting names them."""
    given = [str(name) for name in names] or [f"column {k + 1}" for k in range(len(first))]
    cells = [[str(cell)] for cell in first]
    features = features_index(given, cells, "data", settings)
    chosen = _source_and_target(names, given, cells, settings, features)
    check_features(features, chosen, given, cells, "data", settings)
    return chosen if features is None else (*chosen, features)


def _source_and_target(
    names: Sequence[Any],
    given: Sequence[str],
    cells: Sequence[Sequence[str]],
    settings: DataConfig,
    features: int | None,
) -> tuple[int, int]:
    if settings.src_column or settings.tgt_column:
        return set_columns(given, cells, "data", settings)
    found = columns_by_name([name.casefold() for name in given], cells, settings)
    if found and features not in found[0]:
        return found[0]
    others = [k for k in range(len(given)) if k != features]
    if len(others) < 2 or (names and len(others) != 2):
        raise UserError(
            f"data: the columns are {', '.join(map(repr, given))}; expected 2, or 'source' and 'target'; name two of them: "
            "src_column='english', tgt_column='french'"
        )
    return others[0], others[1]


def _shown(value: Any) -> str:
    """A value of the wrong type, short."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
