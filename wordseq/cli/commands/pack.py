"""`wordseq pack`: write what translating with a run needs, with a model card."""

import argparse
from pathlib import Path
from typing import Any

from wordseq.cli.options import add_command, add_run


def add(commands: Any) -> None:
    """Add `pack` to the commands."""
    parser = add_command(
        commands,
        "pack",
        _pack,
        "write what translating with a run needs, with a model card, as a folder or a .zip",
        ("wordseq pack runs/phrasebook", "wordseq pack runs/phrasebook --output phrasebook.zip --with-test"),
    )
    add_run(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE_OR_FOLDER",
        help="new folder, or new file if the name ends in .zip (default: RUN-packed, beside the run)",
    )
    parser.add_argument(
        "--with-test",
        action="store_true",
        help="also pack the test sentences, which eval without --src, compare and report need; "
        "they are text of the corpus, so mind its licence (default: off)",
    )


def _pack(options: argparse.Namespace) -> None:
    from wordseq.api.run import Run

    Run(options.run).pack(options.output, with_test=options.with_test)
