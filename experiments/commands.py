"""Runs the command line of wordseq from a program."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import IO


def wordseq(words: Sequence[str], log: IO[str] | None = None) -> str:
    """Run a command with one thread, as several run at once.

    Args:
        words: the arguments.
        log: a file for what it prints; None: that is returned.

    Returns:
        What it prints, or nothing with a log.

    Raises:
        SystemExit: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "wordseq", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=log or subprocess.PIPE,
        stderr=subprocess.STDOUT if log else None,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"wordseq {' '.join(words)}: exit code {done.returncode}{f'; see {log.name}' if log else ''}")
    return done.stdout or ""
