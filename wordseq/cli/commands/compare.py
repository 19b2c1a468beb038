"""`wordseq compare`: scores and cost of runs side by side; and what `report` and `sweep` share with it."""

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordseq.cli.options import add_command, add_json, add_runs, note
from wordseq.system.errors import UserError
from wordseq.system.files import write_atomically, write_json
from wordseq.system.tensorflow import import_tensorflow

if TYPE_CHECKING:
    from wordseq.comparison.scored_runs import ScoredRun


def add(commands: Any) -> None:
    """Add `compare` to the commands."""
    parser = add_command(commands, "compare", _compare, "scores and cost of runs side by side, with paired tests")
    add_runs(parser)
    add_outputs(parser)


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """`--json`, `--record` and `--html` of a comparison."""
    add_json(parser)
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write all figures, also averaged over seeds, as JSON"
    )
    add_html(parser)


def add_html(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """`--html`."""
    parser.add_argument(
        "--html", type=Path, metavar="FILE", required=required, help="write the page of `wordseq report`"
    )


def _compare(options: argparse.Namespace) -> None:
    check_outputs(options)
    runs, result = compared(options, options.run)
    if options.record:
        write_record(options.record, runs, result)
    print_comparison(options, result)
    if options.html:
        write_page(options.html, runs, result)


def check_record(path: Path | None) -> None:
    """Whether there is a folder for `--record`, before what takes long.

    Raises:
        UserError: there is none.
    """
    if path and not path.absolute().parent.is_dir():
        raise UserError(f"--record {path}: no folder {path.absolute().parent}")


def check_outputs(options: argparse.Namespace) -> None:
    """Whether `--record` and `--html` can be written, before what takes long.

    Raises:
        UserError: a folder is missing, or both are the same file.
    """
    record, page = options.record, options.html
    check_record(record)
    if record and page and record.resolve() == page.resolve():
        raise UserError(f"--record {record} and --html {page} are the same file")
    if page:
        from wordseq.comparison.page.html import check_page_file

        check_page_file(page)


def compared(options: argparse.Namespace, folders: Sequence[Path]) -> tuple[list["ScoredRun"], dict[str, Any]]:
    """The runs, scored where they were not, and what `compare` gives for them."""
    from wordseq.comparison.compare import compare_runs
    from wordseq.comparison.scored_runs import scored_runs

    def score(folder: Path) -> None:
        import_tensorflow()
        from wordseq.evaluation.evaluate import evaluate_run
        from wordseq.runs.folder import RunFolder

        note(f"scoring {folder}")
        evaluate_run(RunFolder.open(folder), command=f"wordseq eval {shlex.quote(str(folder))}")

    runs = scored_runs(folders, score)
    return runs, compare_runs(runs, command=options.command_line)


def write_record(path: Path, runs: Sequence["ScoredRun"], result: dict[str, Any]) -> None:
    """Write all figures as JSON."""
    from wordseq.comparison.record import comparison_record

    write_json(path, comparison_record(runs, result, path.stem))


def print_comparison(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """Print the table, or JSON."""
    from wordseq.comparison.tables import comparison_markdown

    print(json.dumps(result, ensure_ascii=False, indent=1) if options.json else comparison_markdown(result), flush=True)


def write_page(path: Path, runs: Sequence["ScoredRun"], result: dict[str, Any]) -> None:
    """Write the HTML page."""
    from wordseq.comparison.page.html import render_page

    looks = {}
    if any(run.config.model.attention != "none" for run in runs):
        import_tensorflow()
        from wordseq.comparison.attention import attention_of, chosen_sentences
        from wordseq.decoding.translator import Translator

        for run in runs:
            if run.config.model.attention != "none" and run.folder not in looks:
                chosen = [(run.test.sources[i], run.hyps[i]) for i in chosen_sentences(run.test.sources)]
                looks[run.folder] = attention_of(Translator.load(run.folder), chosen)
    write_atomically(path, render_page(runs, result, looks).encode())
    note(f"wrote {path}")
