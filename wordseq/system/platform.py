"""The machine: its processors and how work is spread over them, memory, versions.

Work is cut into a few parts that run side by side, each operation of a part on threads of its own. At the sizes of these
models an operation that is cut over two threads waits for the slower one, and what lies between two large products is too
small to be cut at all. Parts of a batch that do not wait for each other use both processors all the time.
"""

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
"""With more parts than this, each would be too small for fast products."""


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parts() -> int:
    """Parts of the work that run side by side."""
    return min(MOST_PARTS, processors())


def threads_an_operation() -> int:
    """Threads of each operation."""
    return processors() // parts()


def commit() -> str:
    """Version of wordseq and, if the package lies in its own git checkout, its commit: "0.1.0, git 1a2b3c4d5e6f".

    "modified" is added where tracked files differ from the commit. Without git, just the version.
    """
    version = installed_version("wordseq") or "unknown version"
    checkout = Path(__file__).resolve().parents[2]
    # Installed into somebody else's checkout, git would name that project's commit.
    top = _git(checkout, "rev-parse", "--show-toplevel")
    revision = _git(checkout, "rev-parse", "--short=12", "HEAD")
    if not (top and revision and Path(top).resolve() == checkout):
        return version
    modified = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    return f"{version}, git {revision}{', modified' if modified else ''}"


def peak_memory(status_file: Path = Path("/proc/self/status")) -> int:
    """The most memory that this process has held so far, in bytes; 0 where the system does not tell."""
    # Linux's getrusage also counts what the parent held when it started us.
    if status_file.is_file():
        found = dict(line.split(":", 1) for line in status_file.read_text().splitlines() if ":" in line)
        if "VmHWM" in found:
            return int(found["VmHWM"].split()[0]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _git(folder: Path, *arguments: str) -> str:
    """What git prints in `folder`, or "" where that fails."""
    # Inside a hook GIT_DIR names the repository of the hook.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, capture_output=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()


def machine() -> dict[str, Any]:
    """This machine: `cpu` model, `cores` this process may use, `system`, `python`, `tensorflow` and `keras` versions.

    The versions are those installed, None where there are none; nothing is imported.
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


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
