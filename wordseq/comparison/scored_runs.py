"""Reads run folders with a translated and scored test split, without TensorFlow. Checks that runs can be compared."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from wordseq.config.load import config_from_dict, config_to_dict
from wordseq.config.schema import Config, without_chance
from wordseq.data.splits import HeldOut
from wordseq.evaluation.metrics.references import rectangular
from wordseq.runs.combine import combination_note, open_run
from wordseq.runs.folder import BEST, EVAL_FOLDER, SPLIT_FILE, RunFolder
from wordseq.system.errors import UserError
from wordseq.system.files import is_number
from wordseq.system.progress import counted
from wordseq.text.vocab import TextCodec

_SHOWN_OF_KIND = {"train": ("loss", "tokens"), "dev": ("loss", "bleu", "seconds")}
"""Keys that a log entry needs to be shown, by its kind."""

_FIGURES = ("sentences_per_second", "length_ratio", "perplexity", "bits_per_char", "unk_rate")
"""Figures read from eval/test.json: numbers, or null if not measured. The scores are computed again."""

HYPS_FILE, SCORES_FILE = f"{EVAL_FOLDER}/test.hyp", f"{EVAL_FOLDER}/test.json"

_SHOWN = 60


@dataclass(frozen=True)
class ScoredRun:
    """A run folder with the scored translations of its test split.

    Attributes:
        folder: as the user named it.
        config: its settings; section `decode` has the settings of these translations.
        decided: the settings that the data decided.
        test: its test split.
        hyps: one translation per source.
        evaluation: what `wordseq eval` saved.
        log: the complete entries of metrics.jsonl.
        parameters: number of parameters of the best checkpoint.
        step: number of updates of the best checkpoint.
        train_sha256: SHA-256 of the training pairs.
        train_seconds: time of the training, with validations; None if it is not known.
        made_of: what an ensemble or an average consists of, see `combination_note`.
    """

    folder: Path
    config: Config
    decided: frozenset[str]
    test: HeldOut
    hyps: list[str]
    evaluation: Mapping[str, Any]
    log: list[dict[str, Any]]
    parameters: int
    step: int
    train_sha256: str
    train_seconds: float | None
    made_of: str = ""

    @property
    def without_chance(self) -> tuple[Config, str, str]:
        """What two samples of the same have in common: settings without chance, the training pairs, and what it is made of."""
        return without_chance(self.config), self.train_sha256, self.made_of

    @cached_property
    def codecs(self) -> tuple[TextCodec, TextCodec]:
        """Source and target tokenizer with vocabulary."""
        return open_run(self.folder).codecs

    @cached_property
    def src_tokens(self) -> list[list[str]]:
        """The tokens of each source of the test split."""
        return [self.codecs[0].tokenize(source) for source in self.test.sources]

    @cached_property
    def tgt_tokens(self) -> list[list[str]]:
        """The tokens of the first reference of each source."""
        return [self.codecs[1].tokenize(references[0]) for references in self.test.references]


def is_scored(folder: Path) -> bool:
    """Whether eval/ holds scores of the current best checkpoint on the current test split.

    The files of sources and references count too: a user gives them to sacreBLEU.
    """
    run = open_run(folder)
    try:
        evaluation = _read_evaluation(run)
        _as_decoded(Config(), evaluation, run)  # Raises if its decode settings are not valid.
        if evaluation.get("checkpoint") != run.header(BEST).sha256:
            return False
    except UserError:
        return False
    test = run.held_out("test")
    columns = zip(*rectangular(test.references), strict=True)
    expected = {"test.src": test.sources} | {f"test.ref{k}": list(column) for k, column in enumerate(columns)}
    saved = {path.name for path in (folder / EVAL_FOLDER).glob("test.ref*")}
    return (
        saved == expected.keys() - {"test.src"}
        and all(run.read_lines(f"{EVAL_FOLDER}/{name}") == lines for name, lines in expected.items())
        and len(run.read_lines(HYPS_FILE)) == len(test.sources)
    )


def read_run(folder: Path) -> ScoredRun:
    """Read a run with a translated and scored test split; see `is_scored`.

    Raises:
        UserError: a file is missing or damaged.
    """
    run = open_run(folder)
    test, hyps = run.held_out("test"), [line.rstrip() for line in run.read_lines(HYPS_FILE)]
    if len(hyps) != len(test.sources):
        raise UserError(f"{folder / HYPS_FILE}: {counted(len(hyps), 'line')}, expected {len(test.sources):,}")
    evaluation, best = _read_evaluation(run), run.header(BEST)
    config = _as_decoded(run.config, evaluation, run)
    needed = {**_SHOWN_OF_KIND, "dev": (*_SHOWN_OF_KIND["dev"], config.train.select_by)}
    log = [entry for entry in run.metrics() if all(key in entry for key in needed.get(str(entry.get("kind")), ()))]
    return ScoredRun(
        folder=folder,
        config=config,
        decided=run.decided,
        test=test,
        hyps=hyps,
        evaluation=evaluation,
        log=log,
        parameters=best.parameters,
        step=int(best.state.get("step", 0)),
        train_sha256=_train_sha256(run),
        train_seconds=run.train_seconds,
        made_of=combination_note(run, config.decode.ensemble),
    )


def _as_decoded(config: Config, evaluation: Mapping[str, Any], run: RunFolder) -> Config:
    """The settings of the run, with section `decode` replaced by the settings of the evaluation."""
    table = config_to_dict(config)
    table["decode"] |= {key: evaluation[key] for key in table["decode"] if key in evaluation}
    return config_from_dict(table, str(run.folder / SCORES_FILE))


def _train_sha256(run: RunFolder) -> str:
    train = run.read_json(SPLIT_FILE).get("train")
    if not isinstance(train, Mapping) or not isinstance(train.get("sha256"), str):
        raise UserError(f"{run.folder / SPLIT_FILE}: damaged: it has no sha256 of the training pairs")
    return str(train["sha256"])


def _read_evaluation(run: RunFolder) -> dict[str, Any]:
    """The JSON file of `wordseq eval`.

    Raises:
        UserError: the file is missing or damaged.
    """
    found = run.read_json(SCORES_FILE)
    for key in _FIGURES:
        value = found.get(key, "nothing")
        if value is not None and not is_number(value):
            raise UserError(f"{run.folder / SCORES_FILE}: damaged: {key} is {value!r}, expected a number or null")
    return found


def split_digest(test: HeldOut) -> str:
    """The sha256 of sources and references."""
    return hashlib.sha256(json.dumps([test.sources, test.references]).encode()).hexdigest()


def check_same_test(folders: Sequence[Path]) -> None:
    """Check that all runs have the same test sources and references.

    Raises:
        UserError: the test splits differ; the message names the two runs and the first difference.
    """
    first = open_run(folders[0]).held_out("test")
    for folder in folders[1:]:
        test = open_run(folder).held_out("test")
        if split_digest(test) != split_digest(first):
            raise UserError(
                "runs with different test sets cannot be compared: "
                f"{_describe(folders[0], first)}, {_describe(folder, test)}; {_first_difference(first, test)}"
            )


def _describe(folder: Path, test: HeldOut) -> str:
    references = sum(map(len, test.references))
    sizes = f"{counted(len(test.sources), 'sentence')} with {counted(references, 'reference')}"
    return f"{folder} has {sizes} (sha256 {split_digest(test)[:12]})"


def _first_difference(one: HeldOut, other: HeldOut) -> str:
    for what, key in (("source that differs", "sources"), ("references that differ", "references")):
        for line, (a, b) in enumerate(zip(getattr(one, key), getattr(other, key), strict=False), 1):
            if a != b:
                return f"the first {what}: line {line}, {_cut(a)} and {_cut(b)}"
    return f"the first difference: line {min(len(one.sources), len(other.sources)) + 1}, which only one of them has"


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def scored_runs(folders: Sequence[Path], score: Callable[[Path], None]) -> list[ScoredRun]:
    """Read runs for a comparison. Runs without scores of their best checkpoint are scored first.

    Args:
        folders: run folders, the baseline first.
        score: scores a run and saves the result in its eval/ folder.

    Raises:
        UserError: a run cannot be used, or their test sets differ.
    """
    check_same_test(folders)
    # A run may be listed twice; it is scored once.
    for folder in dict.fromkeys(folders):
        if not is_scored(folder):
            score(folder)
    return [read_run(folder) for folder in folders]
