"""Options and types of arguments that several commands share."""

import argparse
import dataclasses
import math
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wordseq.config.load import presets
from wordseq.config.schema import MOST, NUMBER_FORMATS, DecodeConfig


def note(line: str) -> None:
    """Print a line of progress to standard error; standard output is for results."""
    print(line, file=sys.stderr, flush=True)


def failed(message: str, code: int = 2) -> int:
    """Print an error; the exit code."""
    note(f"wordseq: error: {message}")
    return code


class HelpFormatter(argparse.HelpFormatter):
    """Help whose lines do not break within a name such as multi30k-de-en."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int | None], summary: str
) -> argparse.ArgumentParser:
    """A command among others.

    Args:
        commands: argparse's subparsers.
        name: what the user types.
        run: what it does; returns the exit code, None for 0.
        summary: one line of help.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary, allow_abbrev=False, formatter_class=HelpFormatter
    )
    parser.set_defaults(run_command=run)
    return parser


def add_run(parser: argparse.ArgumentParser) -> None:
    """`RUN`: the folder of a trained run."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a trained run")


def add_runs(parser: argparse.ArgumentParser) -> None:
    """`RUN ...`: folders of runs that are compared."""
    parser.add_argument("run", type=Path, nargs="+", metavar="RUN", help="folders of trained runs, the baseline first")


def add_config(parser: argparse.ArgumentParser, default: str) -> None:
    """`PRESET`: settings to start from, `default` describes those without it; and `--set`."""
    parser.add_argument(
        "config",
        nargs="?",
        metavar="PRESET",
        help=f"a settings file, or a preset: {', '.join(presets())}; default: {default}",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, e.g. model.cell=lstm; repeatable"
    )


def add_mirror(parser: argparse.ArgumentParser) -> None:
    """`--mirror`: where public corpora come from."""
    parser.add_argument(
        "--mirror", type=Path, metavar="FOLDER", help="take public corpora from a folder (WORDSEQ_MIRROR does the same)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_input(parser: argparse.ArgumentParser) -> None:
    """`--input`."""
    parser.add_argument("--input", type=Path, metavar="FILE", help="default: standard input")


def add_decode(parser: argparse.ArgumentParser) -> None:
    """The options of a search, each named by its setting in `DecodeConfig`, None where it is not given."""
    fields = {field.name: field.metadata for field in dataclasses.fields(DecodeConfig)}

    def add(option: str, name: str, metavar: str, kind: type) -> None:
        low, high, doc = (fields[name][part] for part in ("minimum", "maximum", "doc"))
        parser.add_argument(option, dest=name, type=number_between(kind, low, high), metavar=metavar, help=doc)

    add("--beam", "beam_size", "N", int)
    add("--length-penalty", "length_penalty", "A", float)
    add("--max-len-ratio", "max_len_ratio", "R", float)
    add("--max-len-extra", "max_len_extra", "N", int)
    parser.add_argument("--copy-unknown", action="store_true", default=None, help=fields["copy_unknown"]["doc"])
    parser.add_argument("--precision", choices=NUMBER_FORMATS, help="of the products; bfloat16 is faster")


def decode_settings(decode: DecodeConfig, options: argparse.Namespace) -> DecodeConfig:
    """The settings of a run's search, with what the options of `add_decode` give in their place."""
    given = {field.name: getattr(options, field.name, None) for field in dataclasses.fields(DecodeConfig)}
    return dataclasses.replace(decode, **{name: value for name, value in given.items() if value is not None})


def number_between(kind: type, lowest: float, highest: float | None = None) -> Callable[[str], Any]:
    """The type of an argument: a number within bounds, a whole one that TensorFlow can hold if `kind` is int."""
    most = MOST if highest is None and kind is int else highest
    up_to = "" if most is None else f" to {most:.10g}"

    def parse(text: str) -> Any:
        try:
            value = kind(text)
            if math.isfinite(value) and lowest <= value <= (math.inf if most is None else most):
                return value
        except ValueError:
            pass
        noun = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"{text!r} must be {noun} from {lowest:g}{up_to}")

    return parse


positive = number_between(int, 1)
"""The type of a count."""
