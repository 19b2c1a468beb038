"""`wordseq bench`: measure the speed of training and decoding on this machine."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from wordseq.benchmark.settings import GATES, GROWTH, GROWTH_SETTINGS, PARTS_SETTINGS, QUICK, SYSTEMS, BenchSettings
from wordseq.cli.commands.compare import check_record
from wordseq.cli.options import add_command, add_json, add_mirror, new_path, note, positive
from wordseq.system.errors import UserError
from wordseq.system.files import write_json


def add(commands: Any) -> None:
    """Add `bench` to the commands."""
    parser = add_command(
        commands,
        "bench",
        _bench,
        "measure the speed of training and decoding on this machine",
        ("wordseq bench --quick", "wordseq bench --grow hidden --cells gru --record growth.json"),
    )
    parser.add_argument(
        "--cells",
        nargs="+",
        choices=tuple(GATES),
        help=f"cells to measure (default: {' '.join(BenchSettings.cells)}; {' '.join(GROWTH_SETTINGS.cells)} with --grow)",
    )
    parser.add_argument(
        "--precisions",
        nargs="+",
        choices=BenchSettings.precisions,
        help="number formats of training (default: all; bfloat16 with --parts)",
    )
    parser.add_argument(
        "--systems", nargs="+", choices=tuple(SYSTEMS), help="systems to measure (default: all that are installed)"
    )
    parser.add_argument(
        "--torch", metavar="PYTHON", help="Python interpreter with PyTorch (default: this one, if it has PyTorch)"
    )
    parser.add_argument(
        "--run",
        type=Path,
        metavar="RUN",
        help="trained run for the decoding figures of its cell (default: none, untrained models)",
    )
    for option, name, what in (
        ("--blocks", "blocks", "timed blocks per system"),
        ("--steps", "steps", "updates per block"),
    ):
        usual, grown = getattr(BenchSettings, name), getattr(GROWTH_SETTINGS, name)
        parser.add_argument(option, type=positive, metavar="N", help=f"{what} (default: {usual}; {grown} with --grow)")
    parser.add_argument("--threads", type=positive, metavar="N", help="processor cores to use (default: all)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="check in two minutes that everything runs; the figures mean little (default: off)",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--grow",
        choices=tuple(GROWTH),
        help="measure speed and memory of training for growing values of one size instead (default: off)",
    )
    instead.add_argument(
        "--parts", action="store_true", help="measure the time of each part of a training step instead (default: off)"
    )
    add_json(parser)
    parser.add_argument(
        "--record", type=new_path, metavar="FILE", help="also write the figures as JSON (default: none)"
    )
    add_mirror(parser)


def _bench(options: argparse.Namespace) -> None:
    check_record(options.record)
    from wordseq.benchmark.measure import measure_growth, measure_parts, measure_speed
    from wordseq.benchmark.tables import bench_table, grow_table, parts_table
    from wordseq.benchmark.workload import reference_task

    for name in ("systems", "torch", "run"):
        if (options.grow or options.parts) and getattr(options, name):
            raise UserError(
                f"--{name} cannot be used with --grow or --parts, which measure untrained wordseq models only"
            )
    settings = _settings(options)
    if options.grow:
        result, table = measure_growth(options.grow, settings, note), grow_table
    elif options.parts:
        result, table = measure_parts(reference_task(options.mirror, note), settings, note), parts_table
    else:
        result, table = measure_speed(reference_task(options.mirror, note), settings, note), bench_table
    result["command"] = options.command_line
    if options.record:
        write_json(options.record, result)
    print(json.dumps(result, indent=1) if options.json else table(result), end="\n" if options.json else "")


def _settings(options: argparse.Namespace) -> BenchSettings:
    """The sizes of this kind of measurement, changed by the options."""
    usual = GROWTH_SETTINGS if options.grow else PARTS_SETTINGS if options.parts else BenchSettings()
    if options.quick:
        usual = replace(usual, **QUICK)
    given = ("cells", "precisions", "systems", "torch", "run", "blocks", "steps", "threads")
    asked = {name: value for name in given if (value := getattr(options, name)) is not None}
    named_once = {name: tuple(dict.fromkeys(value)) for name, value in asked.items() if isinstance(value, list)}
    return replace(usual, **{**asked, **named_once})
