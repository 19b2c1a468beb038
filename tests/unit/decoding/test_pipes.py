import itertools
import os
import socket
import threading
import types

import pytest

from wordseq.decoding import pipes
from wordseq.decoding.pipes import input_lines


@pytest.fixture
def pipe():
    """A reader, and the number to write to."""
    read, write = os.pipe()
    with os.fdopen(read, "rb") as file:
        yield file, write


def test_a_line_is_answered_when_the_pipe_pauses(pipe):
    file, write = pipe
    lines = input_lines(file, 100, answered=True)
    for text in (b"one\n", b"two\nthree\n"):
        os.write(write, text)
        assert [next(lines) for _ in range(text.count(b"\n"))] == text.splitlines(keepends=True)
        assert next(lines) is None
    os.write(write, b"half")
    assert next(_after_writing(lines, write, b" a line\nlast")) == b"half a line\n"
    os.close(write)
    assert [line for line in lines if line is not None] == [b"last"]


def _after_writing(lines, write, text):
    threading.Timer(3 * pipes.PAUSE_SECONDS, os.write, (write, text)).start()
    yield from (line for line in lines if line is not None)


def test_what_is_there_comes_without_a_pause(pipe, monkeypatch):
    """Also what fits into the pipe many times."""
    monkeypatch.setattr(pipes, "PAUSE_SECONDS", 60)
    file, write = pipe
    sent = [f"line {k}\n".encode() for k in range(50_000)]

    def send():
        with os.fdopen(write, "wb") as out:
            out.writelines(sent)

    threading.Thread(target=send).start()
    assert list(input_lines(file, 100, answered=True)) == sent


def test_lines_that_come_slowly_but_steadily_are_answered_after_a_while(pipe, monkeypatch):
    monkeypatch.setattr(pipes, "PAUSE_SECONDS", 60)
    monkeypatch.setattr(pipes, "LONGEST_WAIT_SECONDS", 30)
    # Each wait for a line takes ten seconds of this clock.
    ticks = itertools.count(0, 10)
    monkeypatch.setattr(pipes, "time", types.SimpleNamespace(monotonic=lambda: next(ticks)))
    file, write = pipe
    lines = input_lines(file, 100, answered=True)
    found = []
    for _ in range(10):
        os.write(write, b"line\n")
        while (line := next(lines)) is None:
            found.append(None)
        found.append(line)
    assert found.count(b"line\n") == 10
    assert [k for k, line in enumerate(found) if line is None] == [3, 8]


def test_a_socket_is_a_pipe_and_a_file_is_not(tmp_path):
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as file:
        theirs.sendall(b"one\n")
        lines = input_lines(file, 100, answered=True)
        assert [next(lines), next(lines)] == [b"one\n", None]
    (tmp_path / "in").write_bytes(b"one\ntwo")
    with (tmp_path / "in").open("rb") as file:
        assert list(input_lines(file, 100, answered=True)) == [b"one\n", b"two"]


def test_a_line_that_is_too_long_is_cut_and_ends_the_input(pipe):
    file, write = pipe
    os.write(write, b"one\n" + b"x" * 150)
    lines = (line for line in input_lines(file, 100, answered=True) if line is not None)
    assert [next(lines), next(lines)] == [b"one\n", b"x" * 150]
    assert next(lines, "end") == "end"
    os.close(write)


def test_where_nobody_waits_nothing_pauses(pipe):
    file, write = pipe
    lines = input_lines(file, 100, answered=False)
    threading.Timer(3 * pipes.PAUSE_SECONDS, os.write, (write, b"\n")).start()
    os.write(write, b"one")
    assert next(lines) == b"one\n"
    os.close(write)


OLD_MAC = b"one\r\rtwo words\rlast"


def test_cr_alone_ends_lines_where_a_file_has_nothing_else(tmp_path):
    said = []
    for ending in (b"", b"\r"):
        (tmp_path / "in").write_bytes(OLD_MAC + ending)
        with (tmp_path / "in").open("rb") as file:
            lines = list(input_lines(file, 100, answered=False, say=said.append))
        assert [line.rstrip(b"\r\n") for line in lines] == OLD_MAC.split(b"\r")
    assert len(said) == 2
    (tmp_path / "in").write_bytes(OLD_MAC + b"\n")
    with (tmp_path / "in").open("rb") as file:
        assert list(input_lines(file, 100, answered=False, say=said.append)) == [OLD_MAC + b"\n"]
    assert len(said) == 2


@pytest.mark.parametrize("step", [1, 2, 5, 100])
def test_cr_lines_do_not_depend_on_how_they_arrive(tmp_path, monkeypatch, step):
    """CR, LF and CR LF each end one line of a text that began with CR; a line that is too long is cut."""
    text = b"first\rone\r\ntwo\n\rthree\r" + b"x" * 50

    class Slow:
        def __init__(self):
            self.left = text

        def read1(self, _):
            block, self.left = self.left[:step], self.left[step:]
            return block

    lines = [line.rstrip(b"\r\n") for line in pipes._cr_lines(Slow(), 30)]
    assert lines[:5] == [b"first", b"one", b"two", b"", b"three"]
    assert len(lines) == 6
    assert 30 < len(lines[5]) <= 50


def test_cr_lines_of_a_pipe_are_answered(pipe):
    file, write = pipe
    said = []
    lines = input_lines(file, 100, answered=True, say=said.append)
    os.write(write, b"one\rtwo\rthr")
    assert [next(lines) for _ in range(3)] == [b"one\n", b"two\n", None]
    assert next(_after_writing(lines, write, b"ee\rfour")) == b"three\n"
    os.close(write)
    assert [line for line in lines if line is not None] == [b"four"]
    assert len(said) == 1
