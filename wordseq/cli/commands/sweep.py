"""`wordseq sweep`: train a grid of levels, cells, seeds or any settings, then compare the runs."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordseq.cli.commands.compare import (
    add_outputs,
    check_outputs,
    compared,
    print_comparison,
    write_page,
)
from wordseq.cli.options import add_command, add_config, add_mirror, failed, named_data, new_path, note, positive
from wordseq.config.load import load_config
from wordseq.system.errors import UserError
from wordseq.system.progress import counted

if TYPE_CHECKING:
    from wordseq.comparison.sweep import SweepRun


def add(commands: Any) -> None:
    """Add `sweep` to the commands."""
    parser = add_command(
        commands,
        "sweep",
        _sweep,
        "train a grid of levels, cells, seeds or any settings, then compare the runs",
        (
            'wordseq sweep phrasebook --levels "char word" --cells "lstm gru"',
            "wordseq sweep phrasebook --vary model.attention=none,dot --seeds 3 --html page.html",
        ),
    )
    add_config(parser, "the defaults of `wordseq train --list-settings all`")
    parser.add_argument(
        "--folder",
        type=new_path,
        default=Path("runs/compare"),
        metavar="DIR",
        help="parent folder of the runs (default: runs/compare)",
    )
    parser.add_argument(
        "--name",
        default="",
        help="name of the data in the names of the runs (default: the corpus or file in the settings)",
    )
    for option, key, example in (("--levels", "data.level", "char word"), ("--cells", "model.cell", "lstm gru")):
        meaning = f'values of {key}, e.g. "{example}" (default: the value in the settings)'
        parser.add_argument(option, type=_listed, default=[], metavar="LIST", help=meaning)
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY=LIST",
        help="values of any setting, e.g. model.attention=none,dot; repeatable (default: none)",
    )
    parser.add_argument(
        "--seeds",
        type=positive,
        default=1,
        metavar="N",
        help="runs of each combination, with different values of train.seed (default: 1)",
    )
    add_outputs(parser)
    add_mirror(parser)


def _listed(text: str) -> list[str]:
    """Values separated by commas or spaces."""
    values = text.replace(",", " ").split()
    if not values:
        raise argparse.ArgumentTypeError(
            f"{text!r} has no values; to keep the value in the settings, leave the option out"
        )
    return values


def _sweep(options: argparse.Namespace) -> int:
    from wordseq.comparison.sweep import Interrupted, sweep

    check_outputs(options)
    runs = planned(options)
    try:
        # Standard output is for the tables only.
        finished = sweep(runs, options.config, options.mirror, note)
    except Interrupted:
        return failed("interrupted; the current run is saved: the same command resumes the sweep", 130)
    if not finished:
        raise UserError("no run of the sweep could be trained")
    found = compared(options, [run.folder for run in finished])
    lost = len(runs) - len(finished)
    # A record of a part of the grid would look like a complete one.
    if options.record and not lost:
        found.to_record(options.record)
    print_comparison(options, found)
    if options.html:
        write_page(options.html, found)
    if lost:
        unwritten = f"; {options.record} was not written" if options.record else ""
        return failed(f"{lost} of {counted(len(runs), 'run')} failed; see above{unwritten}", 1)
    return 0


def planned(options: argparse.Namespace) -> list["SweepRun"]:
    """The runs of a sweep.

    Raises:
        UserError: a setting or a name is invalid, or the data are missing.
    """
    from wordseq.comparison.sweep import plan_sweep
    from wordseq.data.sources import check_source
    from wordseq.runs.find import data_name

    if any(sign in options.name for sign in ("/", os.sep)):
        raise UserError(f"--name {options.name!r}: expected a name, not a path; set the parent folder with --folder")
    if options.folder.exists() and not options.folder.is_dir():
        raise UserError(f"--folder {options.folder}: a file, expected a folder")
    named_data(options)
    data = load_config(options.config, options.set).data
    check_source(data)
    return plan_sweep(
        options.config,
        options.folder,
        options.name or data_name(data),
        levels=options.levels,
        cells=options.cells,
        seeds=options.seeds,
        settings=options.set,
        vary=options.vary,
    )
