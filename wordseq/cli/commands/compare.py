"""`wordseq compare` and `wordseq report`: scores and cost of runs as a table or a page; `sweep` ends with the same."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordseq.cli.options import add_command, add_json, add_runs, new_path, note
from wordseq.system.errors import UserError

if TYPE_CHECKING:
    from wordseq.api.comparison import Comparison


_RUNS = "folders of trained runs or of ensembles, the baseline first; RUN+RUN is the ensemble of several"


def add(commands: Any) -> None:
    """Add `compare` and `report` to the commands."""
    parser = add_command(
        commands,
        "compare",
        _compare,
        "compare scores and cost of runs, with paired significance tests",
        (
            "wordseq compare runs/gru runs/lstm",
            "wordseq compare runs/gru runs/lstm --html page.html --record scores.json",
        ),
    )
    add_runs(parser, _RUNS)
    add_outputs(parser)
    report = add_command(
        commands,
        "report",
        _report,
        "write one HTML page about runs: curves, scores, translations, attention",
        ("wordseq report runs/phrasebook --html page.html", "wordseq report runs/gru runs/lstm --html page.html"),
    )
    add_runs(report, _RUNS)
    add_html(report, required=True)


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add `--json`, `--record` and `--html`."""
    add_json(parser)
    parser.add_argument(
        "--record",
        type=new_path,
        metavar="FILE",
        help="also write all figures, and their means over seeds, as JSON (default: none)",
    )
    add_html(parser)


def add_html(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """Add `--html`."""
    parser.add_argument(
        "--html",
        type=new_path,
        metavar="FILE",
        required=required,
        help="HTML page to write (required)" if required else "also write the page of `wordseq report` (default: none)",
    )


def _compare(options: argparse.Namespace) -> None:
    check_outputs(options)
    found = compared(options, options.run)
    if options.record:
        found.to_record(options.record)
    print_comparison(options, found)
    if options.html:
        write_page(options.html, found)


def _report(options: argparse.Namespace) -> None:
    from wordseq.comparison.page.html import check_page_file

    check_page_file(options.html)
    write_page(options.html, compared(options, options.run))


def check_record(path: Path | None) -> None:
    """Check the folder of `--record` before the slow work.

    Raises:
        UserError: the folder does not exist.
    """
    if path and not path.absolute().parent.is_dir():
        raise UserError(f"--record {path}: no folder {path.absolute().parent}")


def check_outputs(options: argparse.Namespace) -> None:
    """Check the files of `--record` and `--html` before the slow work.

    Raises:
        UserError: a folder does not exist, or both are the same file.
    """
    record, page = options.record, options.html
    check_record(record)
    if record and page and record.resolve() == page.resolve():
        raise UserError(f"--record {record} and --html {page} are the same file")
    if page:
        from wordseq.comparison.page.html import check_page_file

        check_page_file(page)


def compared(options: argparse.Namespace, folders: Sequence[Path]) -> "Comparison":
    """Compare runs; runs without scores are scored first."""
    from wordseq.api.comparison import compare

    return compare(folders, command=options.command_line, say=note)


def print_comparison(options: argparse.Namespace, found: "Comparison") -> None:
    """Print the table, or JSON."""
    print(json.dumps(found.to_dict(), ensure_ascii=False, indent=1) if options.json else found, flush=True)


def write_page(path: Path, found: "Comparison") -> None:
    """Write the HTML page."""
    note(f"wrote {found.to_html(path)}")
