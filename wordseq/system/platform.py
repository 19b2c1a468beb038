"""The machine: processors and how work is spread over them, memory, versions.

A batch is split into a few parts that run in parallel, each with its own threads. At the sizes of these models, splitting one
operation over threads gains little: it waits for the slowest thread, and small operations cannot be split. Independent parts
of a batch keep all processors busy.
"""

import functools
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

_CPU_INFO = Path("/proc/cpuinfo")

MOST_PARTS = 4
"""Largest number of parts: more would make each too small for fast matrix products."""


def processors() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parts() -> int:
    """Number of parts of a batch that run in parallel."""
    return min(MOST_PARTS, processors())


def threads_an_operation() -> int:
    """Number of threads for each operation."""
    return processors() // parts()


@functools.cache
def commit() -> str:
    """Version of wordseq and, in a git checkout of wordseq, the commit: "0.1.0, git 1a2b3c4d5e6f".

    ", modified" is added if tracked files differ from the commit. Without git it is the version only. Git is asked once in a
    process: later changes of the checkout do not change the code that this process has loaded.
    """
    version = installed_version("wordseq") or "unknown version"
    checkout = Path(__file__).resolve().parents[2]
    # If wordseq is installed inside another project's checkout, git would report that project's commit.
    top, _, revision = _git(checkout, "rev-parse", "--show-toplevel", "--short=12", "HEAD").partition("\n")
    if not (top and revision and Path(top).resolve() == checkout):
        return version
    modified = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    return f"{version}, git {revision}{', modified' if modified else ''}"


def peak_memory(status_file: Path = Path("/proc/self/status")) -> int:
    """Peak memory of this process so far, in bytes; 0 if the system does not report it."""
    # Not getrusage on Linux: its value includes the memory of the parent at the time of the fork.
    if status_file.is_file():
        found = dict(line.split(":", 1) for line in status_file.read_text().splitlines() if ":" in line)
        if "VmHWM" in found:
            return int(found["VmHWM"].split()[0]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    # macOS reports bytes, other systems kilobytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _git(folder: Path, *arguments: str) -> str:
    """The output of git in `folder`, or "" if git fails."""
    # In a git hook GIT_DIR names the hook's repository, which may be another one.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, capture_output=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()


def machine() -> dict[str, Any]:
    """This machine: `cpu` model, `cores` that this process may use, `system`, and versions of `python`, `tensorflow`, `keras`.

    The versions are read from the installed packages, without importing them; None if a package is not installed.
    """
    return {
        "cpu": _cpu_model(),
        "cores": processors(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "tensorflow": installed_version("tensorflow-cpu") or installed_version("tensorflow"),
        "keras": installed_version("keras"),
    }


def _cpu_model() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", _CPU_INFO.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


@functools.cache
def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
