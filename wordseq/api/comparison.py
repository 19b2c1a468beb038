"""Compare runs: scores with paired significance tests, cost and a page. `wordseq compare`, `report` and `sweep` use it."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wordseq.api.run import Run
from wordseq.comparison.attention import Alignment
from wordseq.comparison.compare import compare_runs
from wordseq.comparison.record import comparison_record
from wordseq.comparison.scored_runs import ScoredRun, scored_runs
from wordseq.comparison.tables import comparison_markdown, comparison_text
from wordseq.evaluation.scores import Figures
from wordseq.runs.combine import ensemble_beside, runs_named
from wordseq.runs.folder import RunFolder
from wordseq.system.errors import UserError
from wordseq.system.files import write_atomically, write_json
from wordseq.system.progress import Say
from wordseq.system.tensorflow import import_tensorflow


class Comparison(Figures):
    """Runs side by side: a read-only mapping with the keys of `wordseq compare --json`.

    `str(comparison)` is the table of the terminal, and a notebook shows it as a table.

    Args:
        runs: the baseline first.
        result: what `compare_runs` gave for them.
    """

    def __init__(self, runs: Sequence[ScoredRun], result: Mapping[str, Any]) -> None:
        super().__init__(result)
        self._runs = list(runs)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write one HTML page: curves, scores, translations, attention, settings.

        Returns:
            The path.

        Raises:
            UserError: matplotlib or Jinja2 is missing, or there is no such folder.
        """
        from wordseq.comparison.page.html import check_page_file, render_page

        page = Path(path)
        check_page_file(page)
        write_atomically(page, render_page(self._runs, self._result, self._alignments()).encode())
        return page

    def to_record(self, path: Path) -> None:
        """Write all figures, also averaged over seeds, as JSON; no sentences."""
        write_json(path, comparison_record(self._runs, self._result, path.stem))

    def _alignments(self) -> dict[Path, list[Alignment]]:
        """The attention of some sentences, of each run that has attention."""
        found: dict[Path, list[Alignment]] = {}
        for run in self._runs:
            if run.config.model.attention != "none" and run.folder not in found:
                import_tensorflow()
                from wordseq.comparison.attention import attention_of, chosen_sentences
                from wordseq.decoding.translator import Translator

                chosen = [(run.test.sources[i], run.hyps[i]) for i in chosen_sentences(run.test.sources)]
                found[run.folder] = attention_of(Translator.load(run.folder), chosen)
        return found

    def __repr__(self) -> str:
        return f"Comparison({', '.join(row['name'] for row in self._result['rows'])})"

    def __str__(self) -> str:
        return comparison_text(self._result)

    def _repr_markdown_(self) -> str:
        """What a notebook shows."""
        return comparison_markdown(self._result)


def compare(
    runs: Sequence[Run | str | os.PathLike[str]], *more: object, command: str = "", say: Say | None = print
) -> Comparison:
    """Compare runs on their test split, which must be the same; runs that are not scored are scored first.

    Args:
        runs: a list of runs or of their folders, the baseline first. "RUN+RUN" names the ensemble of several. An ensemble
            without a folder gets one beside its first run, see `ensemble_beside`.
        more: must be empty; it catches runs that are not in a list.
        command: what the user typed, for the record.
        say: called with each ensemble that gets a folder and each run that is scored; None: nothing is printed.

    Raises:
        UserError: no run, a run cannot be used, or their test splits differ.
    """
    if more or isinstance(runs, str | os.PathLike | Run):
        raise UserError("compare needs a list of runs: wordseq.compare([run, other])")
    tell = say or (lambda line: None)
    folders = [run.saved_folder(tell) if isinstance(run, Run) else _folder_of(os.fspath(run), tell) for run in runs]
    if not folders:
        raise UserError("compare needs at least one run")

    def score(folder: Path) -> None:
        import_tensorflow()
        from wordseq.evaluation.evaluate import evaluate_run
        from wordseq.runs.combine import open_run

        tell(f"scoring {folder}")
        evaluate_run(open_run(folder), command=f"wordseq eval {shlex.quote(str(folder))}")

    found = scored_runs(folders, score)
    return Comparison(found, compare_runs(found, command=command))


def _folder_of(named: str, say: Say) -> Path:
    """The folder of a run, or of the ensemble of "RUN+RUN"; errors as `ensemble_beside`."""
    folders = list(map(Path, runs_named(named)))
    return ensemble_beside(list(map(RunFolder.open, folders)), say) if folders[1:] else folders[0]
