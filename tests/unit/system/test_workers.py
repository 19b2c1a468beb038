"""Child processes: answers, errors, the end of child or parent."""

import os
import signal
import subprocess
import sys

import pytest

from tests.runs import environment
from wordseq.system.errors import UserError
from wordseq.system.workers import Worker, WorkerError

CHILD = """
import os, sys, time
from wordseq.system.workers import serve

def add(left, right):
    print("not an answer")
    os.system("echo nor this")
    return {"sum": left + right}

def fail(what):
    raise ValueError(what)

def leave(code):
    print("first", "last words", sep="\\n", file=sys.stderr, flush=True)
    os._exit(code)

def main(options):
    serve({"add": add, "fail": fail, "leave": leave, "open": lambda path: {"text": open(path).read()},
           "options": lambda: {**options, "cores": len(os.sched_getaffinity(0)), "variable": os.environ.get("VARIABLE")},
           "pid": lambda: {"pid": os.getpid()}})
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "a_child.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "a_child"


def test_answers_are_not_what_libraries_print(module):
    with Worker(module, {"given": [1, "é"]}, threads=1, variables={"VARIABLE": "x"}) as worker:
        assert worker.ask("add", left=1, right=2) == {"sum": 3}
        assert worker.ask("options") == {"given": [1, "é"], "cores": 1, "variable": "x"}


def test_requests_may_be_sent_before_answers_are_read(module):
    with Worker(module, {}) as one, Worker(module, {}) as two:
        for worker in (one, two, one):
            worker.tell("add", left=1, right=len(worker.module))
        assert [worker.answer()["sum"] for worker in (two, one, one)] == [8, 8, 8]


def test_an_action_that_raises_is_an_error_and_the_next_is_answered(module, tmp_path):
    with Worker(module, {}, keep_errors=True) as worker:
        for words, reason in (("no such type\nsecond line", "ValueError: no such type"), ("", "ValueError")):
            with pytest.raises(WorkerError) as error:
                worker.ask("fail", what=words)
            assert (str(error.value), error.value.reason) == (f"a_child: could not fail: {reason}", reason)
        with pytest.raises(FileNotFoundError) as missing:
            worker.ask("open", path=str(tmp_path / "none"))
        assert missing.value.filename == str(tmp_path / "none")
        assert worker.ask("add", left=1, right=2) == {"sum": 3}


@pytest.mark.parametrize(("keep_errors", "reason"), [(True, "exit code 3: last words"), (False, "exit code 3")])
def test_a_child_that_ends_early_is_an_error_of_one_line(module, keep_errors, reason):
    with Worker(module, {}, keep_errors=keep_errors) as worker:
        with pytest.raises(UserError, match=f"^a_child: stopped during 'leave': {reason}$"):
            worker.ask("leave", code=3)
        with pytest.raises(WorkerError, match="stopped during 'add'"):
            worker.ask("add", left=1, right=2)


def test_a_module_that_cannot_be_imported_is_an_error_with_its_reason(module):
    with Worker("none_such", {}, keep_errors=True) as worker, pytest.raises(WorkerError, match="named 'none_such'"):
        worker.ask("add", left=1, right=2)


def test_ctrl_c_is_for_the_parent(module):
    with Worker(module, {}) as worker:
        os.kill(worker.ask("pid")["pid"], signal.SIGINT)
        assert worker.ask("add", left=1, right=2) == {"sum": 3}


def test_a_child_ends_when_its_parent_is_killed(module):
    script = (
        "import os, signal; from wordseq.system.workers import Worker; worker = Worker('a_child', {}); "
        "print(worker.ask('add', left=1, right=2), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    paths = os.pathsep.join([os.environ["PYTHONPATH"], environment()["PYTHONPATH"]])
    # The child has our pipe as its standard error, which ends with it.
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment(), "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("{'sum': 3}\n", -signal.SIGKILL)
