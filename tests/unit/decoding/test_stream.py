"""Text of any size through a fake translator: complete, in order, resumed after any cut."""

import contextlib
import io
import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runs import environment
from wordseq.config.schema import Config
from wordseq.decoding import notes, pipes, stream
from wordseq.runs.folder import SrcLengths
from wordseq.system.errors import UserError


class Mirror:
    """Reverses every text, refuses texts with "!", and records the chunks."""

    def __init__(self):
        self.seen = []

    def unusable(self, texts):
        return next(((k, "a shout") for k, text in enumerate(texts) if "!" in text), None)

    src_lengths = None

    def unknown(self, texts):
        return []

    def replaced(self, texts):
        return []

    spells = False

    def unseen(self, texts):
        return {char: 1 for text in texts for char in text if char == "ɣ"}

    def __call__(self, texts):
        self.seen.append(list(texts))
        return [f"{text[::-1]} {len(texts)}" for text in texts]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(stream, "CHUNK_LINES", 4)


def run(folder, content, *, resume=False, nbest=1, mirror=None):
    """The lines of the output file."""
    (folder / "in").write_bytes(content)
    mirror = mirror or Mirror()
    stream.translate_file(mirror, mirror, folder / "in", folder / "out", resume=resume, nbest=nbest)
    return (folder / "out").read_text(encoding="utf-8").split("\n")[:-1]


def numbered(lines):
    return "".join(f"line {number}\n" for number in range(lines)).encode()


def test_lines_are_translated_in_order_and_in_chunks(tmp_path):
    mirror = Mirror()
    assert run(tmp_path, numbered(6), mirror=mirror) == [
        f"{number} enil {size}" for number, size in zip(range(6), [4] * 4 + [2] * 2, strict=True)
    ]
    assert list(map(len, mirror.seen)) == [4, 2]


@pytest.mark.parametrize("end", [b"", b"a shout!\n"])
def test_the_note_on_unseen_characters_comes_once_at_the_end(tmp_path, capsys, end):
    with pytest.raises(UserError) if end else contextlib.nullcontext():
        run(tmp_path, "".join(f"{k} ɣ\n" for k in range(6)).encode() + end)
    # A mirror counts one for each chunk.
    assert capsys.readouterr().err == "wordseq: note: never seen in training, read as bytes: ɣ (2)\n"


def test_long_lines_make_small_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "MAX_CHUNK_BYTES", 20)
    mirror = Mirror()
    run(tmp_path, b"short\n" * 3 + b"long" * 10 + b"\nshort\n", mirror=mirror)
    assert list(map(len, mirror.seen)) == [4, 1]


@given(st.integers(0, 150), st.integers(0, 13), st.booleans())
def test_resuming_after_any_cut_completes_the_output(tmp_path_factory, cut, lines, ends):
    """An output cut at any byte, and the input with or without an end of its last line."""
    folder = tmp_path_factory.mktemp("cut")
    content = numbered(lines) if ends else numbered(lines).removesuffix(b"\n")
    whole = run(folder, content)
    (folder / "out").write_bytes((folder / "out").read_bytes()[:cut])
    assert run(folder, content, resume=True) == whole
    assert len(whole) == lines


@given(st.integers(0, 200))
def test_groups_of_n_best_lines_are_kept_complete(tmp_path_factory, cut):
    class Twice(Mirror):
        def __call__(self, texts):
            return [line for text in texts for line in (f"-0.1\t{text}", f"-0.2\t{text}")]

    folder = tmp_path_factory.mktemp("nbest")
    whole = run(folder, numbered(7), nbest=2, mirror=Twice())
    (folder / "out").write_bytes((folder / "out").read_bytes()[:cut])
    assert run(folder, numbered(7), nbest=2, resume=True, mirror=Twice()) == whole
    assert len(whole) == 14


def test_resuming_translates_only_missing_lines_in_the_same_chunks(tmp_path):
    run(tmp_path, numbered(14))
    lines = (tmp_path / "out").read_bytes().splitlines(keepends=True)
    (tmp_path / "out").write_bytes(b"".join(lines[:9]) + b"torn")
    mirror = Mirror()
    run(tmp_path, numbered(14), resume=True, mirror=mirror)
    assert mirror.seen == [[f"line {number}" for number in chunk] for chunk in (range(8, 12), range(12, 14))]


def test_an_existing_output_is_overwritten_or_resumed(tmp_path):
    run(tmp_path, numbered(9))
    assert len(run(tmp_path, numbered(2))) == 2
    assert len(run(tmp_path, numbered(3), resume=True)) == 3
    (tmp_path / "out").unlink()
    assert len(run(tmp_path, numbered(3), resume=True)) == 3


def test_an_output_longer_than_the_input_is_refused_and_left(tmp_path):
    (tmp_path / "out").write_bytes(b"a\nb\nc\ntorn")
    with pytest.raises(UserError, match=r"out: has 3 translations, but .*in has only 2 lines"):
        run(tmp_path, numbered(2), resume=True)
    assert (tmp_path / "out").read_bytes() == b"a\nb\nc\ntorn"


def test_an_output_must_be_given_and_not_be_the_input(tmp_path):
    (tmp_path / "in").write_bytes(numbered(2))
    mirror = Mirror()
    with pytest.raises(UserError, match="--resume needs --output"):
        stream.translate_file(mirror, mirror, tmp_path / "in", None, resume=True)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for target in ("in", "link"):
        with pytest.raises(UserError, match=rf"{target}: is the input"):
            stream.translate_file(mirror, mirror, tmp_path / "in", tmp_path / target)
    assert (tmp_path / "in").read_bytes() == numbered(2)


@pytest.mark.parametrize("line", [b"caf\xe9", b"stop!", b"x" * 5000])
@pytest.mark.parametrize("place", [0, 1, 3, 4, 6])
def test_a_bad_line_is_named_after_the_lines_before_it_are_written(tmp_path, monkeypatch, line, place):
    monkeypatch.setattr(stream, "MAX_SENTENCE_BYTES", 4000)
    lines = numbered(8).splitlines()
    lines[place] = line
    with pytest.raises(UserError, match=rf"in, line {place + 1}: (not UTF-8|a shout|longer than 4,000 bytes)"):
        run(tmp_path, b"\n".join(lines))
    assert len((tmp_path / "out").read_bytes().splitlines()) == place
    # Once the line is corrected, it resumes.
    assert len(run(tmp_path, numbered(8), resume=True)) == 8


def test_byte_order_mark_and_line_ends_are_not_text(tmp_path):
    mirror = Mirror()
    run(tmp_path, b"\xef\xbb\xbfa\r\n\xef\xbb\xbfb\nc\rd\n\n", mirror=mirror)
    run(tmp_path, b"\xef\xbb\xbfa\rb\r", mirror=mirror)
    assert mirror.seen == [["a", "\ufeffb", "c\rd", ""], ["a", "b"]]


def test_progress_is_printed_every_half_minute(tmp_path, monkeypatch, capsys):
    run(tmp_path, numbered(8))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(stream, "SAY_SECONDS", 0)
    run(tmp_path, numbered(8))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[1].startswith("wordseq: 8 lines translated (100% of the input), ")


def test_the_first_unknown_words_of_a_file_are_printed_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notes, "SHOWN_WORDS", 3)
    mirror = Mirror()
    mirror.unknown = lambda texts: list(dict.fromkeys(word for text in texts for word in text.split() if word > "m"))
    run(tmp_path, b"a\nb x\nc\nd x\n" + b"e\n" * 4 + b"y\nx\nz\nu\n" + b"v\n" * 4, mirror=mirror)
    note = "wordseq: note: unknown to the model: "
    assert capsys.readouterr().err == f"{note}x\n{note}y, z ...\n"


@pytest.mark.parametrize("place", [1, 3, 4, 5, 9])
def test_a_line_far_longer_than_training_is_named_by_its_number_in_the_file(tmp_path, capsys, place):
    mirror = Mirror()
    mirror.src_lengths, mirror.config = SrcLengths(3, 9), Config()
    mirror.tokens_of = lambda text: len(text.split())
    run(tmp_path, b"a b\n" * (place - 1) + b"a b c d e f g\n" + b"c\n" * 4, mirror=mirror)
    assert capsys.readouterr().err.startswith(f"wordseq: note: line {place}: 7 tokens, but 99 %")


def test_resuming_prints_where_it_starts(tmp_path, capsys):
    run(tmp_path, numbered(5))
    assert "going on" not in capsys.readouterr().err
    run(tmp_path, numbered(8), resume=True)
    assert capsys.readouterr().err == f"wordseq: note: {tmp_path / 'out'}: resuming after 5 lines\n"


def test_the_bar_is_only_for_terminals(tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    run(tmp_path, numbered(8))
    assert "8 lines" in shown.getvalue()
    (tmp_path / "in").write_bytes(numbered(2))
    monkeypatch.setattr(sys, "stdout", printed := Terminal())
    monkeypatch.setattr(sys, "stderr", quiet := Terminal())
    mirror = Mirror()
    stream.translate_file(mirror, mirror, tmp_path / "in", None)
    assert printed.getvalue() == "0 enil 2\n1 enil 2\n"
    assert quiet.getvalue() == ""


def test_a_program_that_waits_for_an_answer_gets_it(monkeypatch, capsys):
    """A line, its answer, the next line: a chunk need not be full."""
    read, write = os.pipe()
    seen, answers = [], iter([b"two\n", b""])

    class Program(io.StringIO):
        def write(self, text):
            seen.append(text)
            if answer := next(answers, b""):
                os.write(write, answer)
            elif len(seen) == 2:
                os.close(write)
            return len(text)

    with os.fdopen(read, "r") as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        monkeypatch.setattr(sys, "stdout", Program())
        os.write(write, b"one\n")
        stream.translate_file(Mirror(), Mirror(), None, None)
    assert seen == ["eno 1\n", "owt 1\n"]


def test_input_that_can_be_resumed_is_cut_by_its_lines_alone(tmp_path, monkeypatch):
    """Into a file, chunks are full however slowly the lines come."""
    read, write = os.pipe()
    mirror = Mirror()

    def send():
        for number in range(5):
            time.sleep(2 * pipes.PAUSE_SECONDS)
            os.write(write, f"{number}\n".encode())
        os.close(write)

    with os.fdopen(read, "r") as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        threading.Thread(target=send).start()
        stream.translate_file(mirror, mirror, None, tmp_path / "out")
    assert list(map(len, mirror.seen)) == [4, 1]


def test_standard_input_that_is_closed_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UserError, match="standard input is closed; give --input FILE"):
        stream.translate_file(Mirror(), Mirror(), None, tmp_path / "out")


PROGRAM = """
import sys, time
from pathlib import Path
from wordseq.decoding import stream
from tests.unit.decoding.test_stream import Mirror

class Slow(Mirror):
    chunks = 0

    def __call__(self, texts):
        Slow.chunks += 1
        time.sleep(3600 if Slow.chunks > int(sys.argv[3]) else 0.02)
        return super().__call__(texts)

stream.CHUNK_LINES = 50
stream.translate_file(Slow(), Slow(), Path(sys.argv[1]), Path(sys.argv[2]), resume=True)
"""


@pytest.mark.slow
def test_a_translation_killed_repeatedly_ends_complete(tmp_path):
    (tmp_path / "in").write_bytes(numbered(5000))
    words = [sys.executable, "-c", PROGRAM, tmp_path / "in", tmp_path / "out"]
    kills = 0
    for _ in range(3):
        # Of 100 chunks it translates 20 and waits: however late the kill comes, it is not done.
        with subprocess.Popen([*words, "20"], env=environment()) as process:
            before = size = os.path.getsize(tmp_path / "out") if kills else 0
            while process.poll() is None and size < before + 3000:
                size = os.path.getsize(tmp_path / "out") if (tmp_path / "out").exists() else 0
                time.sleep(0.001)
            process.kill()
        kills += process.returncode == -9
    assert kills == 3
    subprocess.run([*words, "100"], env=environment(), check=True, timeout=300)
    lines = (tmp_path / "out").read_text().splitlines()
    assert lines == [f"{f'line {number}'[::-1]} 50" for number in range(5000)]
