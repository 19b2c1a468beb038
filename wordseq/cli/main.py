"""The command line: `wordseq data | train | eval | translate | serve | describe | pack | export | compare ...`."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from wordseq.cli.commands import bench, compare, data, derive, describe, eval, serve, sweep, train, translate
from wordseq.cli.options import CommandParser, HelpFormatter, examples_text, failed
from wordseq.system.errors import UserError
from wordseq.system.files import command_text
from wordseq.system.platform import installed_version
from wordseq.system.signals import END_SIGNALS, handled
from wordseq.system.streams import check_output, leave_terminal, prepare_streams

COMMANDS = (data, train, eval, translate, serve, describe, derive, compare, sweep, bench)

BROKEN_PIPE = 141
"""Exit code if nobody reads the output: 128 + 13, as the shell reports a program that SIGPIPE ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: words after `wordseq`; None: those of the process.

    Returns:
        The exit code: 0, 2 for a mistake of the user, 130 after an interruption, 141 if nobody reads the output.
    """
    prepare_streams()
    options = make_parser().parse_args(arguments)
    typed = sys.argv[1:] if arguments is None else arguments
    options.command_line = command_text(["wordseq", *typed])
    try:
        if not getattr(options, "output", None):
            check_output()
        # They act like Ctrl-C, so that `finally` blocks run: temporary files are removed, worker processes ended.
        with handled(_end, *END_SIGNALS):
            code: int = options.run_command(options) or 0
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except UserError as error:
        return failed(str(error))
    except BrokenPipeError:
        # For example `wordseq data list | head -1`: no error.
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        hint = "; free some space and run the same command again" if error.errno == errno.ENOSPC else ""
        return failed(f"{where}{error.strerror or error}{hint}")
    except KeyboardInterrupt:
        return failed("interrupted", 130)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        return failed("out of memory; reduce the batch size, the beam size, model.hidden_size or the vocabulary")


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands. The parsed options have `run_command`, the function of the command."""
    parser = argparse.ArgumentParser(
        prog="wordseq",
        description="Recurrent sequence-to-sequence models on sentence pairs.",
        epilog=examples_text(
            ("wordseq train phrasebook --run runs/first", "echo 'I am cold.' | wordseq translate runs/first")
        ),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"wordseq {installed_version('wordseq') or '(not installed)'}",
        help="print the version and exit",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=CommandParser)
    for command in COMMANDS:
        command.add(commands)
    return parser


def _end(number: int, frame: FrameType | None) -> None:
    """End as by Ctrl-C."""
    if number != signal.SIGTERM:
        leave_terminal()
    signal.default_int_handler(number, frame)


def _drop_output() -> None:
    """Discard output that cannot be written: Python would try again at its exit, and print a traceback."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_out_of_memory(error: Exception) -> bool:
    # Not imported for this: without TensorFlow there is no such error.
    tf = sys.modules.get("tensorflow")
    return isinstance(error, MemoryError) or (tf is not None and isinstance(error, tf.errors.ResourceExhaustedError))
