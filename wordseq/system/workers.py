"""Child processes that do what they are asked to: a line of JSON for each request, and one for its answer.

A child runs a module of this package, whose `main(options)` ends in `serve`. It may run under another interpreter that has
less than ours: this module needs the standard library alone.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from wordseq.system.errors import UserError

# Ctrl-C reaches the parent as well, which ends its children.
# TensorFlow and PyTorch start as many threads as there are cores that a process may use.
# Packages of another interpreter come before ours.
_START = """
import importlib, json, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
folder, module, options, threads, own_python = sys.argv[1], sys.argv[2], *map(json.loads, sys.argv[3:])
sys.path.insert(0 if own_python else len(sys.path), folder)
if threads and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
importlib.import_module(module).main(options)
"""

_ROOT = Path(__file__).resolve().parents[2]


class WorkerError(UserError):
    """A child could not do what it was asked to, or ended; `reason` is the error alone, on one line."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(f"{message}: {reason}")
        self.reason = reason


class Worker:
    """A child process, from start to `close`. It ends when its standard input does, so also when its parent is killed.

    Args:
        module: whose `main(options)` serves.
        options: anything that JSON can hold.
        python: its interpreter; empty: ours.
        threads: processor cores it may use; 0: all.
        variables: environment variables that are set for it.
        keep_errors: do not print its standard error, but name the last line when it ends early.
    """

    def __init__(
        self,
        module: str,
        options: Mapping[str, Any],
        python: str = "",
        *,
        threads: int = 0,
        variables: Mapping[str, str] = MappingProxyType({}),
        keep_errors: bool = False,
    ) -> None:
        self.module = module
        self._action = "start"
        self._errors = tempfile.TemporaryFile() if keep_errors else None  # noqa: SIM115 (closed in `close`)
        given = [json.dumps(each) for each in (options, threads, not python)]
        self._process = subprocess.Popen(
            [python or sys.executable, "-c", _START, str(_ROOT), module, *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            env={**os.environ, **variables},
        )

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        """`tell` and `answer`."""
        self.tell(action, **arguments)
        return self.answer()

    def tell(self, action: str, **arguments: Any) -> None:
        """Ask for something, without waiting for the answer.

        Raises:
            WorkerError: the child has ended.
        """
        self._action = action
        if self._process.stdin is None:
            raise ValueError("a worker has pipes")
        try:
            self._process.stdin.write(json.dumps({"do": action, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def answer(self) -> dict[str, Any]:
        """The answer to the oldest request that has none yet.

        Raises:
            WorkerError: the action raised, or the child ended instead.
            OSError: the action raised it.
        """
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        if "errno" in answer:
            raise OSError(answer["errno"], answer["error"], answer["filename"])
        if "error" in answer:
            raise WorkerError(f"{self.module}: could not {self._action}", answer["error"])
        return answer

    def close(self, *, kill: bool = False) -> None:
        """End the process: when it has done what it was asked to, or at once."""
        if kill:
            self._process.kill()
        for pipe in (self._process.stdout, self._process.stdin):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._errors:
            self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(kill=kind is not None)

    def _ended(self) -> WorkerError:
        code, printed = self._process.wait(), b""
        if self._errors:
            self._errors.seek(0)
            printed = self._errors.read()
        lines = [line.strip() for line in printed.decode("utf-8", "replace").splitlines() if line.strip()]
        # Python ends with 1 after an error, which is the last line. Before a signal it may be anything.
        reason = lines[-1] if lines and code == 1 else ": ".join([f"exit code {code}", *lines[-1:]])
        return WorkerError(f"{self.module}: stopped while asked to {self._action}", reason)


def serve(actions: Mapping[str, Callable[..., Mapping[str, Any]]]) -> None:
    """Answer each line `{"do": ACTION, ...}` of standard input with a line of JSON on standard output.

    An action that raises is answered with `error`, in one line; an OSError with `errno` and `filename` too.
    """
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        action = actions[request.pop("do")]
        answer: Mapping[str, Any]
        try:
            answer = action(**request)
        except OSError as error:
            answer = {"error": error.strerror, "errno": error.errno, "filename": error.filename}
        except Exception as error:
            traceback.print_exc()
            message = str(error).strip().partition("\n")[0]
            answer = {"error": f"{type(error).__name__}: {message}" if message else type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)
