"""Standard streams as shells, services and terminals leave them; the processes here load no TensorFlow."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from tests.runs import ROOT, environment

CLOSED = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-"}
PREPARE = "from wordseq.system.streams import prepare_streams; prepare_streams()"
LATIN = {"LC_ALL": "C", "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(line, **variables):
    """A line of bash in which `wordseq` is the command line."""
    program = f'set -o pipefail; wordseq() {{ {sys.executable} -m wordseq "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", program], env=environment() | variables, cwd=ROOT, capture_output=True, timeout=300, check=False
    )


def python(program, redirect="", **variables):
    words = ["bash", "-c", f'{sys.executable} -c "$0" {redirect}', program]
    return subprocess.run(words, env=environment() | variables, cwd=ROOT, capture_output=True, timeout=300, check=False)


@pytest.mark.parametrize(
    "command", ["data list", "translate nowhere", "eval nowhere", "train --list-settings", "nonsense"]
)
def test_without_a_standard_output_a_command_says_so_and_ends_with_2(command):
    done = shell(f"wordseq {command} >&-")
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    if command != "nonsense":
        assert done.stderr == b"wordseq: error: standard output is closed; redirect it to a file or to /dev/null\n"


def test_without_standard_error_nothing_of_it_gets_among_the_output():
    done = shell("wordseq translate nowhere 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")
    done = shell("wordseq data list 2>&- <&-")
    assert (done.returncode, done.stdout) == (0, shell("wordseq data list").stdout)


def test_without_any_stream_a_command_ends_as_it_would():
    assert shell("wordseq eval nowhere <&- >&- 2>&-").returncode == 2
    assert shell("wordseq translate nowhere --output out <&- >&- 2>&-").returncode == 2


@pytest.mark.parametrize("closed", CLOSED)
def test_a_file_never_gets_the_number_of_a_closed_stream(closed):
    program = f"{PREPARE}; f = open('/dev/null'); assert f.fileno() > 2"
    assert python(program, CLOSED[closed]).returncode == 0
    assert python(program, "<&- >&- 2>&-").returncode == 0


@pytest.mark.parametrize("variables", [LATIN, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}], ids=str)
def test_streams_are_utf8_in_every_locale(variables):
    program = (
        f"{PREPARE}; import sys; "
        r"print('\xe9 \u2014', input()); print('\xfc', file=sys.stderr)"
    )
    done = python(program, "<<< 'ß'", **variables)
    assert done.stdout.decode() == "é — ß\n"
    assert done.stderr.decode() == "ü\n"


def test_the_name_of_a_file_that_is_not_utf8_is_printed_as_it_is():
    program = rf"{PREPARE}; import os; print(os.fsdecode(b'caf\xe9'))"
    assert python(program).stdout == b"caf\xe9\n"


def test_after_a_hang_up_writing_to_the_terminal_fails_no_more():
    """A child on a terminal of its own, whose other end is closed: writing would raise an error."""
    child, terminal = pty.fork()
    if child == 0:
        code = 1
        try:
            from wordseq.system.streams import leave_terminal

            came = []
            signal.signal(signal.SIGHUP, lambda *_: came.append(leave_terminal()))
            os.write(1, b"ready")
            while not came:  # Not pause(): the signal may come before it.
                time.sleep(0.01)
            os.write(1, b"lost")
            os.write(2, b"lost")
            code = 0
        finally:
            os._exit(code)
    assert os.read(terminal, 5) == b"ready"
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
