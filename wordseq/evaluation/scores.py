"""The result of an evaluation as one object: `wordseq eval` prints it, a notebook shows it as a table."""

from collections.abc import Iterator, Mapping
from typing import Any

from wordseq.evaluation.metrics.corpus import Score
from wordseq.evaluation.metrics.names import UNITS, main_metrics
from wordseq.evaluation.tables import escape_markdown, markdown_table, score_rows, signatures, terminal_table
from wordseq.system.progress import counted


class Figures(Mapping[str, Any]):
    """A result as a read-only mapping.

    Args:
        result: figures by their names.
    """

    def __init__(self, result: Mapping[str, Any]) -> None:
        self._result = dict(result)

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return dict(self._result)

    def __getitem__(self, key: str) -> Any:
        return self._result[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._result)

    def __len__(self) -> int:
        return len(self._result)


class Scores(Figures):
    """The scores and figures of an evaluation: a read-only mapping with the keys of `wordseq eval --json`.

    `str(scores)` is the table that `wordseq eval` prints; a notebook shows a table of the scores.

    Args:
        result: the result of `evaluate_texts`.
    """

    @property
    def bleu(self) -> Score:
        """BLEU, 0-100: `score`, `ci95`, `signature`."""
        return self._score("bleu")

    @property
    def chrf(self) -> Score:
        """chrF2, 0-100: `score`, `ci95`, `signature`."""
        return self._score("chrf")

    @property
    def ter(self) -> Score:
        """TER in percent, lower is better: `score`, `ci95`, `signature`."""
        return self._score("ter")

    @property
    def exact(self) -> Score:
        """Share of outputs that equal a reference, 0-100: `score`, `ci95`, `signature`."""
        return self._score("exact")

    @property
    def ser(self) -> Score:
        """Symbol error rate in percent, lower is better: `score`, `ci95`, `signature`."""
        return self._score("ser")

    @property
    def cer(self) -> Score:
        """Character error rate in percent, lower is better: `score`, `ci95`, `signature`."""
        return self._score("cer")

    @property
    def wer(self) -> Score:
        """Word error rate in percent, lower is better: `score`, `ci95`, `signature`."""
        return self._score("wer")

    @property
    def f1(self) -> Score:
        """F1 of subwords, 0-100: `score`, `ci95`, `signature`.

        Raises:
            KeyError: the references have no subwords.
        """
        return self._score("f1")

    def _size(self) -> str:
        """The number of outputs, such as "1,000 words"."""
        return counted(self._result["sentences"], UNITS[self._result["task"]])

    def _score(self, key: str) -> Score:
        found = self._result[key]
        return Score(**{**found, "ci95": tuple(found["ci95"])})

    def __repr__(self) -> str:
        scores = ", ".join(
            f"{self._result[key]['name']} {self._result[key]['score']:.1f}" for key in main_metrics(self._result)
        )
        return f"Scores({scores}; {self._size()})"

    def __str__(self) -> str:
        return terminal_table(self._result)

    def _repr_markdown_(self) -> str:
        """The table that a notebook shows: scores, intervals, signatures."""
        table = markdown_table(("Metric", "Score", "95 % interval"), score_rows(self._result))
        below = "; ".join(f"{name} `{signature}`" for name, signature in signatures(self._result))
        run = self._result["run"]
        notes = "".join(f"{note}\n\n" for note in map(escape_markdown, self._result["notes"]))
        return f"{table}\n\n{notes}{self._size()}{f', run `{run}`' if run else ''}. {below}\n"
