import errno
import os
import stat
import threading

import pytest

from tests.runs import files_of
from wordseq.writing import write_atomically


def test_write_atomically_replaces_and_leaves_nothing_aside(tmp_path):
    write_atomically(tmp_path / "x", b"old")
    write_atomically(tmp_path / "x", b"new")
    assert files_of(tmp_path) == {"x": b"new"}


def test_a_written_file_has_the_permissions_of_any_other(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "x", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, call, error):
    write_atomically(tmp_path / "x", b"old")

    def fail(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(type(error)) as raised:
            write_atomically(tmp_path / "x", b"new")
    if isinstance(error, OSError):
        assert raised.value.filename == str(tmp_path / "x")
    assert files_of(tmp_path) == {"x": b"old"}


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(IsADirectoryError) as raised:
        write_atomically(tmp_path / "x", b"new")
    assert raised.value.filename == str(tmp_path / "x")
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_pipe_or_device_is_written_to_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"content")
    reader.join(20)
    assert got == [b"content"]
    assert pipe.is_fifo()
