"""Typed lines at a real terminal, in a process that imports no TensorFlow."""

import io
import os
import pty
import select
import subprocess
import sys

from tests.runs import environment
from wordseq.decoding.terminal import PROMPT, typed_lines

PROGRAM = """
import sys
from wordseq.decoding.terminal import typed_lines
for line in typed_lines(sys.stdin.buffer):
    print(f"got {line}", flush=True)
print("end", flush=True)
"""
UP = b"\x1b[A"


def test_lines_can_be_edited_and_come_back():
    ours, theirs = pty.openpty()
    words = [sys.executable, "-c", PROGRAM]
    user = {**environment(), "TERM": "xterm", "LC_ALL": "C.UTF-8", "INPUTRC": os.devnull}
    with subprocess.Popen(words, env=user, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        shown = b""

        def more() -> bytes:
            if not select.select([ours], [], [], 20)[0]:
                process.kill()  # Otherwise the failing test would wait for it.
                raise AssertionError(shown)
            return os.read(ours, 1000)

        for typed, answer in (
            ("été\n".encode(), "got {!r}".format("été\n".encode())),
            (UP + b"s\n", "got {!r}".format("étés\n".encode())),
            (b"\x04", "end"),
        ):
            while not shown.endswith(PROMPT.encode()):
                shown += more()
            os.write(ours, typed)
            while answer.encode() not in shown:
                shown += more()
        assert process.wait(30) == 0
        os.close(ours)


def test_where_output_goes_elsewhere_the_prompt_is_on_standard_error(capsys):
    assert list(typed_lines(io.BytesIO(b"one\ntwo"))) == [b"one\n", b"two"]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"{PROMPT * 3}\n"
