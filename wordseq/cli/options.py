"""Options and argument types that several commands share."""

import argparse
import dataclasses
import difflib
import json
import math
import stat
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wordseq.config.data import SOURCES
from wordseq.config.load import presets
from wordseq.config.schema import FIELDS, MOST, NUMBER_FORMATS, OTHER_NAMES, DecodeConfig
from wordseq.system.errors import UserError


def note(line: str) -> None:
    """Print a line of progress to standard error. Standard output is for results, which a pipe may read."""
    print(line, file=sys.stderr, flush=True)


def failed(message: str, code: int = 2) -> int:
    """Print an error; returns the exit code."""
    note(f"wordseq: error: {message}")
    return code


class HelpFormatter(argparse.HelpFormatter):
    """Help whose lines do not break within a name such as multi30k-de-en, and whose examples keep their lines."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        # argparse wraps the epilog like a paragraph; broken over lines an example could not be copied.
        return text if text.startswith(_EXAMPLES) else super()._fill_text(text, width, indent)


class CommandParser(argparse.ArgumentParser):
    """The parser of a command, whose `TEXT ...` may stand before, between and after options.

    argparse ends such an argument at the first option after the words before it (python/cpython#58399).
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As in argparse; words that are left over are texts, if the command takes texts. All words after -- are.

        `literal` of the options is the number of words after --.
        """
        found, rest = super().parse_known_args(args, namespace)
        if hasattr(found, "text"):
            found.literal = len(args) - args.index("--") - 1 if "--" in args else 0
            at = rest.index("--") if "--" in rest else len(rest)
            found.text = [*found.text, *(word for word in rest[:at] if not word.startswith("-")), *rest[at + 1 :]]
            rest = [word for word in rest[:at] if word.startswith("-")]
        return found, rest


_EXAMPLES = "examples:\n"


def examples_text(examples: Sequence[str]) -> str:
    """The end of a command's help: examples, one per line."""
    return _EXAMPLES + "\n".join(f"  {example}" for example in examples)


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    summary: str,
    examples: Sequence[str],
) -> argparse.ArgumentParser:
    """Add a command.

    Args:
        commands: argparse's subparsers.
        name: name of the command.
        run: function of the parsed options; returns the exit code, None for 0.
        summary: one line of help.
        examples: complete command lines, which `--help` prints last.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=examples_text(examples),
        # An abbreviation in a script would break when a longer option with the same start is added.
        allow_abbrev=False,
        formatter_class=HelpFormatter,
    )
    parser.set_defaults(run_command=run)
    return parser


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add `RUN`, the folder of a trained run."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a trained run (required)")


def add_runs(parser: argparse.ArgumentParser, described: str) -> None:
    """Add `RUN ...`, the folders of several runs; the help is `described`."""
    parser.add_argument("run", type=Path, nargs="+", metavar="RUN", help=f"{described} (required)")


def add_config(parser: argparse.ArgumentParser, default: str) -> None:
    """Add `DATA`, a file of pairs or the settings to start from, `FILE` and `--set`; `named_data` tells them apart.

    Args:
        parser: parser of the command.
        default: the settings without `DATA`, in words.
    """
    parser.add_argument(
        "config",
        nargs="?",
        metavar="DATA",
        help="what to train on: a file of pairs, a folder or archive, two parallel files as SRC,TGT, or the name of a corpus; "
        f"or settings to start from: a .toml file or a preset: {', '.join(presets())} (default: {default})",
    )
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="after settings: what to train on with them, as DATA (default: the data that the settings name)",
    )
    add_set(parser)


def add_set(parser: argparse.ArgumentParser) -> None:
    """Add `--set`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting, e.g. model.cell=lstm; repeatable (default: none)",
    )


def check_input(path: Path | None) -> None:
    """Check that an input file can be opened, before TensorFlow is imported, which takes seconds.

    Raises:
        OSError: it cannot; the error names it.
    """
    # A pipe can be opened once only.
    if path is not None and not stat.S_ISFIFO(path.stat().st_mode):
        path.open("rb").close()


def named_data(options: argparse.Namespace, *, presets_too: bool = True) -> None:
    """Turn the argument that names data, `DATA` or `FILE`, into a setting in `options.set`; what is left are settings.

    Args:
        options: the parsed options.
        presets_too: a name may be that of a preset or a .toml file.

    Raises:
        UserError: it names nothing that is known, both arguments name data, or --set names data too.
    """
    file = getattr(options, "file", None)
    settings = presets_too and (options.config in presets() or Path(options.config or "").suffix == ".toml")
    named, start = (file, options.config) if settings else (options.config, None)
    if named is None:
        return
    if file is not None and not settings:
        raise UserError(
            f"{options.config} is no preset and no .toml file, so {file} cannot follow it; two parallel files are given as "
            f"{options.config},{file}; the presets are {', '.join(presets())}"
        )
    from wordseq.api.data import data_settings

    try:
        ((key, value),) = (data_settings(named) or {}).items()
    except UserError as error:
        # A preset of a corpus has the name of the corpus, which is guessed there.
        guess = presets_too and "did you mean" not in str(error)
        close = difflib.get_close_matches(named, presets(), n=1) if guess else []
        raise UserError(f"{error}{f'; did you mean the preset {close[0]!r}?' if close else ''}") from None
    names = [f"data.{name}" for name in SOURCES] + [other for other, name in OTHER_NAMES.items() if name == key]
    if twice := [text for text in options.set if text.partition("=")[0].strip() in names]:
        raise UserError(f"{named} names the data, and --set {twice[0]} too; give one")
    # In quotes: a file may be called 2024 or true.
    options.config, options.set = start, [f"{key}={json.dumps(value, ensure_ascii=False)}", *options.set]


def add_mirror(parser: argparse.ArgumentParser) -> None:
    """Add `--mirror`, a folder of public corpora."""
    parser.add_argument(
        "--mirror",
        type=Path,
        metavar="FOLDER",
        help="copy public corpora from a folder instead of downloading them (default: that in WORDSEQ_MIRROR, if set)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table (default: off)")


def add_input(parser: argparse.ArgumentParser) -> None:
    """Add `--input`."""
    parser.add_argument(
        "--input", type=Path, metavar="FILE", help="text to read, one sentence per line (default: standard input)"
    )


def add_decode(parser: argparse.ArgumentParser, whose: str = "of the run") -> None:
    """Add the options of a search. Each has the name of its setting in `DecodeConfig`, and is None if it is not given.

    Args:
        parser: parser of the command.
        whose: the settings that are the defaults, in words.
    """
    fields = {name: field.metadata for name, field in FIELDS["decode"].items()}

    def described(name: str) -> str:
        # Not the default of the setting: a run may have been trained with another value.
        return f"{fields[name]['doc']} (default: decode.{name} {whose})"

    def add(option: str, name: str, metavar: str, kind: type) -> None:
        bounds = number_between(kind, fields[name]["minimum"], fields[name]["maximum"])
        parser.add_argument(option, dest=name, type=bounds, metavar=metavar, help=described(name))

    add("--beam", "beam_size", "N", int)
    add("--length-penalty", "length_penalty", "A", float)
    add("--max-len-ratio", "max_len_ratio", "R", float)
    add("--max-len-extra", "max_len_extra", "N", int)
    unknown = parser.add_mutually_exclusive_group()
    unknown.add_argument(
        "--keep-unknown",
        dest="copy_unknown",
        action="store_false",
        default=None,
        help=f"keep <unk> in outputs, e.g. for tables that count it (default: off, if decode.copy_unknown {whose} is true)",
    )
    unknown.add_argument("--copy-unknown", action="store_true", default=None, help=described("copy_unknown"))
    parser.add_argument("--precision", choices=NUMBER_FORMATS, help=described("precision"))
    parser.add_argument("--ensemble", choices=fields["ensemble"]["choices"], help=described("ensemble"))


def decode_settings(decode: DecodeConfig, options: argparse.Namespace) -> DecodeConfig:
    """The settings of a run's search, changed by the options of `add_decode`."""
    given = {name: getattr(options, name, None) for name in FIELDS["decode"]}
    return dataclasses.replace(decode, **{name: value for name, value in given.items() if value is not None})


def number_between(kind: type, lowest: float, highest: float | None = None) -> Callable[[str], Any]:
    """The type of an argument: a number within bounds.

    Args:
        kind: float, or int: then the number must be a whole number that fits TensorFlow's 32 bits.
        lowest: smallest allowed number.
        highest: largest allowed number; None: no limit.
    """
    most = MOST if highest is None and kind is int else highest
    up_to = "" if most is None else f" to {most:.10g}"

    def parse(text: str) -> Any:
        try:
            value = kind(text)
            # isfinite: float() accepts "nan" and "inf".
            if math.isfinite(value) and lowest <= value <= (math.inf if most is None else most):
                return value
        except ValueError:
            pass
        noun = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"{text!r} must be {noun} from {lowest:g}{up_to}")

    return parse


def not_empty(text: str) -> str:
    """The type of an argument: text that is not empty, as that of an unset variable is."""
    if text.strip():
        return text
    raise argparse.ArgumentTypeError("must not be empty")


def new_path(text: str) -> Path:
    """The type of an argument: where to write. The empty path would be the current folder."""
    return Path(not_empty(text))


positive = number_between(int, 1)
"""The type of a count: a whole number from 1."""
