"""Run folders whose test split was translated and scored, read without TensorFlow; whether runs can be compared."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wordseq.config.load import config_from_dict, config_to_dict, read_toml
from wordseq.config.schema import Config
from wordseq.data.splits import HeldOut
from wordseq.evaluation.metrics import rectangular
from wordseq.runs.reading import checksum, is_number, read_lines_of, read_log, read_state, read_test
from wordseq.system.errors import UserError
from wordseq.system.files import read_json
from wordseq.text.vocab import TextCodec

_SHOWN_OF_KIND = {"train": ("loss", "tokens"), "dev": ("loss", "bleu", "seconds")}
"""What an entry of the log must have to be shown."""

_FIGURES = ("sentences_per_second", "length_ratio", "perplexity", "bits_per_char", "unk_rate")
"""What is used of eval/test.json beside the scores, which are computed anew: numbers, or null where nothing was measured."""


_SHOWN = 60


@dataclass(frozen=True)
class ScoredRun:
    """A run folder with the scored translations of its test split.

    Attributes:
        folder: as the user named it.
        config: its settings; of `decode`, those that the translations were made with.
        test: its test split.
        hyps: translations, one a source.
        evaluation: what `wordseq eval` saved.
        log: entries of metrics.jsonl that have all their figures.
        parameters: numbers in the best checkpoint.
        step: updates before it.
    """

    folder: Path
    config: Config
    test: HeldOut
    hyps: list[str]
    evaluation: Mapping[str, Any]
    log: list[dict[str, Any]]
    parameters: int
    step: int

    @cached_property
    def codecs(self) -> tuple[TextCodec, TextCodec]:
        """Source and target tokenizer with vocabulary."""
        return TextCodec.load(self.folder, "src"), TextCodec.load(self.folder, "tgt")

    @cached_property
    def src_tokens(self) -> list[list[str]]:
        """The tokens of each source of the test split."""
        return [self.codecs[0].tokenizer.tokenize(source) for source in self.test.sources]

    @cached_property
    def tgt_tokens(self) -> list[list[str]]:
        """The tokens of the first reference of each source."""
        return [self.codecs[1].tokenizer.tokenize(references[0]) for references in self.test.references]


def is_scored(folder: Path) -> bool:
    """Whether eval/ holds the scores of the run's best checkpoint on its test split, and nothing else."""
    result, best = folder / "eval" / "test.json", folder / "best.npz"
    if not best.is_file() or not result.is_file():
        return False
    try:
        evaluation = _read_evaluation(result)
        _as_decoded(Config(), evaluation, result)  # Whether what it says of decoding can be.
    except UserError:
        return False
    if named := evaluation.get("checkpoint"):
        current = named == checksum(best)
    else:  # Scores of before this version do not name their checkpoint.
        current = result.stat().st_mtime >= best.stat().st_mtime
    if not current:
        return False
    test = read_test(folder)
    columns = zip(*rectangular(test.references), strict=True)
    expected = {"test.src": test.sources} | {f"test.ref{k}": list(column) for k, column in enumerate(columns)}
    saved = {path.name for path in result.parent.glob("test.ref*")}
    return (
        saved == {name for name in expected if name != "test.src"}
        and all(read_lines_of(result.parent / name) == lines for name, lines in expected.items())
        and len(read_lines_of(result.parent / "test.hyp")) == len(test.sources)
    )


def read_run(folder: Path) -> ScoredRun:
    """A run whose test split was translated and scored; see `is_scored`.

    Raises:
        UserError: a file is missing or damaged.
    """
    test = read_test(folder)
    hyps = [line.rstrip() for line in read_lines_of(folder / "eval" / "test.hyp")]
    if len(hyps) != len(test.sources):
        raise UserError(f"{folder / 'eval' / 'test.hyp'}: {len(hyps):,} lines, expected {len(test.sources):,}")
    evaluation = _read_evaluation(folder / "eval" / "test.json")
    config = config_from_dict(read_toml(folder / "config.toml"), str(folder / "config.toml"))
    config = _as_decoded(config, evaluation, folder / "eval" / "test.json")
    log = [
        entry
        for entry in read_log(folder)
        if all(key in entry for key in _SHOWN_OF_KIND.get(str(entry.get("kind")), ()))
    ]
    return ScoredRun(folder, config, test, hyps, evaluation, log, *_checkpoint(folder / "best.npz"))


def _as_decoded(config: Config, evaluation: Mapping[str, Any], path: Path) -> Config:
    """The run's settings with those that its translations were made with, as far as the evaluation tells."""
    table = config_to_dict(config)
    table["decode"] |= {key: evaluation[key] for key in table["decode"] if key in evaluation}
    return config_from_dict(table, str(path))


def _read_evaluation(path: Path) -> dict[str, Any]:
    """What `wordseq eval` saved as JSON.

    Raises:
        UserError: it is missing or damaged.
    """
    found = read_json(path)
    for key in _FIGURES:
        value = found.get(key, "nothing")
        if value is not None and not is_number(value):
            raise UserError(f"{path}: damaged: {key} is {value!r}, expected a number or null")
    return found


def _checkpoint(path: Path) -> tuple[int, int]:
    """Parameters, and updates, of a checkpoint."""
    state = read_state(path)
    with np.load(path, allow_pickle=False) as file:
        return sum(int(file[name].size) for name in file.files if name != "state.json"), int(state.get("step", 0))


def split_digest(test: HeldOut) -> str:
    """A sha256 of sources and references."""
    return hashlib.sha256(json.dumps([test.sources, test.references]).encode()).hexdigest()


def check_same_test(folders: Sequence[Path]) -> None:
    """Runs can be compared only where they translated the same sentences, and were scored against the same ones.

    Raises:
        UserError: the test splits differ; the message says between which runs, and how.
    """
    first = read_test(folders[0])
    for folder in folders[1:]:
        test = read_test(folder)
        if split_digest(test) != split_digest(first):
            raise UserError(
                "runs with different test sets cannot be compared: "
                f"{_describe(folders[0], first)}, {_describe(folder, test)}; {_first_difference(first, test)}"
            )


def _describe(folder: Path, test: HeldOut) -> str:
    references = sum(map(len, test.references))
    return f"{folder} has {len(test.sources):,} sentences with {references:,} references (sha256 {split_digest(test)[:12]})"


def _first_difference(one: HeldOut, other: HeldOut) -> str:
    for name, ours, theirs in (
        ("source", one.sources, other.sources),
        ("references", one.references, other.references),
    ):
        for line, (a, b) in enumerate(zip(ours, theirs, strict=False), 1):
            if a != b:
                return f"the first {name} that differ{'s' * (name == 'source')}: line {line}, {_cut(a)} and {_cut(b)}"
    return f"they differ first in line {min(len(one.sources), len(other.sources)) + 1}, which only one of them has"


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def scored_runs(folders: Sequence[Path], score: Callable[[Path], None]) -> list[ScoredRun]:
    """Read runs for a comparison; those that have no scores of their best checkpoint are scored first.

    Args:
        folders: run folders, the baseline first.
        score: scores a run and saves that in its eval/ folder.

    Raises:
        UserError: a run cannot be used, or their test sets differ.
    """
    check_same_test(folders)
    for folder in dict.fromkeys(folders):
        if not is_scored(folder):
            score(folder)
    return [read_run(folder) for folder in folders]
