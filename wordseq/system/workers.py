"""Worker processes: one line of JSON for each request, and one for each answer.

A worker runs `main(options)` of a module of this package, which ends in `serve`. It may run under another interpreter with
fewer packages than ours, so this module uses only the standard library.
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

# SIGINT is ignored: Ctrl-C reaches the parent too, which ends its workers.
# The affinity limits threads: TensorFlow and PyTorch start one for each processor that the process may use.
# The folder of our package is last on the path of another interpreter, so that its own packages are found first.
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
    """A request to a worker failed, or the worker ended; `reason` is the error without the context, on one line."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(f"{message}: {reason}")
        self.reason = reason


class Worker:
    """A worker process, from its start to `close`. It ends when its standard input ends, so also when the parent is killed.

    Args:
        module: module whose `main(options)` answers requests.
        options: arguments of `main`, anything that JSON can represent.
        python: interpreter; empty: ours.
        threads: processor cores that it may use; 0: all.
        variables: environment variables that are set for it.
        keep_errors: capture its standard error, and quote the last line if it ends early.
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
        """Send a request and wait for its answer; errors as `tell` and `answer`."""
        self.tell(action, **arguments)
        return self.answer()

    def tell(self, action: str, **arguments: Any) -> None:
        """Send a request without waiting for its answer.

        Raises:
            WorkerError: the worker has ended.
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
        """The answer to the oldest unanswered request.

        Raises:
            WorkerError: the action raised an error, or the worker ended.
            OSError: the action raised an OSError.
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
        """End the process: after the requests that it has, or at once if `kill`."""
        if kill:
            self._process.kill()
        for pipe in (self._process.stdout, self._process.stdin):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        # The end of its input ends the worker, unless it hangs in foreign code.
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
        # Python exits with 1 after an exception, whose message is the last line. After a signal the last line may be anything.
        reason = lines[-1] if lines and code == 1 else ": ".join([f"exit code {code}", *lines[-1:]])
        return WorkerError(f"{self.module}: stopped during {self._action!r}", reason)


def serve(actions: Mapping[str, Callable[..., Mapping[str, Any]]]) -> None:
    """Answer each line `{"do": ACTION, ...}` of standard input with one line of JSON on standard output.

    If an action raises, the answer has `error`, on one line; for an OSError also `errno` and `filename`.
    """
    # Answers get a private copy of standard output; everything that libraries print goes to standard error.
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
