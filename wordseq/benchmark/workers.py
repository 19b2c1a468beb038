"""The parent's side of a child process that computes when it is asked to."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wordseq.system.errors import UserError

# The threads of TensorFlow and PyTorch follow the cores that a process may use; the variables are for systems without affinity.
# Another interpreter's own packages come before ours: of ours it needs `wordseq.benchmark.worker` alone.
_START = """
import importlib, json, os, sys
folder, module, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
sys.path.insert(0 if options["same_python"] else len(sys.path), folder)
if options["threads"] and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options["threads"]])
importlib.import_module(module).main(options)
"""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

_ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """A child process with one system, from start to `close`.

    Args:
        module: whose `main(options)` serves.
        options: for `main`; `threads` limits the processor cores, 0: all.
        python: its interpreter; empty: ours.
    """

    def __init__(self, module: str, options: Mapping[str, Any], python: str = "") -> None:
        self.module = module
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `close`)
        threads = options["threads"]
        variables = dict.fromkeys(_THREAD_VARIABLES, str(threads)) if threads else {}
        words = json.dumps({**options, "same_python": not python})
        self._process = subprocess.Popen(
            [python or sys.executable, "-c", _START, str(_ROOT), module, words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            env={"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", **os.environ, **variables},
        )

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            UserError: the process ended instead; the message has its last line of error.
        """
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise ValueError("the worker has no pipes")
        try:
            process.stdin.write(json.dumps({"do": action, **arguments}) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise UserError(f"{self.module}: stopped while asked to {action}: {self._last_error()}")
        return dict(json.loads(answer))

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None and self._process.stdout is not None:
            self._process.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        self.close()

    def _last_error(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {code}"
