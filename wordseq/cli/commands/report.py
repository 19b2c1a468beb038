"""`wordseq report`: write one HTML page about runs."""

import argparse
from typing import Any

from wordseq.cli.commands.compare import add_html, compared, write_page
from wordseq.cli.options import add_command, add_runs


def add(commands: Any) -> None:
    """Add `report` to the commands."""
    parser = add_command(
        commands,
        "report",
        _report,
        "write one HTML page about runs: curves, scores, translations, attention",
        ("wordseq report runs/phrasebook --html page.html", "wordseq report runs/gru runs/lstm --html page.html"),
    )
    add_runs(parser)
    add_html(parser, required=True)


def _report(options: argparse.Namespace) -> None:
    from wordseq.comparison.page.html import check_page_file

    check_page_file(options.html)
    write_page(options.html, compared(options, options.run))
