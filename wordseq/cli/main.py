"""The command line: `wordseq data | train | eval | translate | embed | describe | compare | report | sweep | bench`."""

import argparse
import errno
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from wordseq.cli.commands import bench, compare, data, describe, embed, eval, report, sweep, train, translate
from wordseq.cli.options import failed
from wordseq.system.errors import UserError
from wordseq.system.platform import installed_version
from wordseq.system.signals import handled

COMMANDS = (data, train, eval, translate, embed, describe, compare, report, sweep, bench)

BROKEN_PIPE = 141
"""As the shell reports a program that SIGPIPE ended: `cat`, `grep` and all the others."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0, 2 for a mistake of the user's, 130 when interrupted, 141 without a reader."""
    options = make_parser().parse_args(arguments)
    typed = sys.argv[1:] if arguments is None else arguments
    # For records, which travel to other machines: of absolute paths only the name.
    words = [Path(word).name if os.path.isabs(word) else word for word in typed]
    options.command_line = shlex.join(["wordseq", *words])
    try:
        # SIGTERM ends a command as Ctrl-C does: with a line, its files put away and its processes ended.
        with handled(signal.default_int_handler, signal.SIGTERM):
            code: int = options.run_command(options) or 0
        sys.stdout.flush()
        return code
    except UserError as error:
        return failed(str(error))
    except BrokenPipeError:
        # The reader of our output went away, which is its right.
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        hint = "; free some space and give the same command again" if error.errno == errno.ENOSPC else ""
        return failed(f"{where}{error.strerror or error}{hint}")
    except KeyboardInterrupt:
        return failed("interrupted", 130)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        return failed("out of memory; a smaller batch, beam, model.hidden_size or vocabulary needs less")


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; what it returns has `run_command`, a function of the options."""
    parser = argparse.ArgumentParser(
        prog="wordseq",
        description="Recurrent sequence-to-sequence models on sentence pairs.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"wordseq {installed_version('wordseq') or '(not installed)'}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser


def _drop_output() -> None:
    """Keep Python from writing at its end what cannot be written."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_out_of_memory(error: Exception) -> bool:
    tf = sys.modules.get("tensorflow")
    return isinstance(error, MemoryError) or (tf is not None and isinstance(error, tf.errors.ResourceExhaustedError))
