import contextlib
import errno
import os
import stat
import threading

import pytest

from tests.faults import TAKING, at_call, die, fail
from tests.runs import files_of
from wordseq.system.errors import UserError
from wordseq.system.files import read_json, write_atomically, write_json


def test_write_atomically_replaces_and_leaves_no_temporary_file(tmp_path):
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
    reader.join(60)
    assert got == [b"content"]
    assert pipe.is_fifo()


# --- the file as it was before


@pytest.mark.parametrize("two_names", [True, False])
def test_the_previous_file_is_kept_also_without_hard_links(tmp_path, monkeypatch, two_names):
    if not two_names:
        monkeypatch.setattr(os, "link", fail_with(errno.EPERM))
    path, keep = tmp_path / "x", tmp_path / "before"
    for content in (b"1", b"2", b"3"):
        write_atomically(path, content, keep)
    assert files_of(tmp_path) == {"x": b"3", "before": b"2"}


def fail_with(number):
    def call(*_):
        raise OSError(number, os.strerror(number))

    return call


def test_two_names_of_one_file_leave_no_temporary_file(tmp_path):
    (tmp_path / "x").write_bytes(b"1")
    os.link(tmp_path / "x", tmp_path / "before")
    write_atomically(tmp_path / "x", b"2", tmp_path / "before")
    assert files_of(tmp_path) == {"x": b"2", "before": b"1"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES])
def test_after_any_failure_the_file_and_the_previous_one_are_complete(tmp_path, number):
    path, keep = tmp_path / "x", tmp_path / "before"

    def write():
        write_atomically(path, b"new", keep)

    with at_call(0, die, TAKING) as calls:
        write()
    for k in range(1, calls.number + 1):
        path.write_bytes(b"old")
        keep.unlink(missing_ok=True)
        with at_call(k, fail(number), TAKING), contextlib.suppress(OSError):
            write()
        found = files_of(tmp_path)
        assert found in ({"x": b"old"}, {"x": b"old", "before": b"old"}, {"x": b"new", "before": b"old"}), k


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_it_returns(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noting(done, name, getattr(os, name)))
    write_atomically(tmp_path / "x", b"new")
    assert done == ["fsync of a file", "replace", "fsync of a folder"]


def noting(done, name, call):
    def noted(*arguments):
        kind = stat.S_ISDIR(os.fstat(arguments[0]).st_mode) if name == "fsync" else None
        done.append({None: name, True: f"{name} of a folder", False: f"{name} of a file"}[kind])
        return call(*arguments)

    return noted


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        (b"", "damaged: not JSON"),
        (b'{"a": 1', "damaged: not JSON"),
        (b"\xff{}", "damaged: not JSON"),
        (b"[" * 100_000, "damaged: not JSON"),
        (b"[]", "damaged: expected an object, got list"),
        (b"null", "damaged: expected an object, got NoneType"),
    ],
)
def test_json_that_cannot_be_used_is_named(tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=rf"x\.json: {complaint}") as error:
        read_json(tmp_path / "x.json")
    assert "\n" not in str(error.value)


def test_a_folder_in_place_of_json_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_json(tmp_path)


def test_json_round_trips(tmp_path):
    values = {"é": [1, "\u2028", None], "b": {"c": 0.1}}
    write_json(tmp_path / "x.json", values)
    assert read_json(tmp_path / "x.json") == values
    assert "é" in (tmp_path / "x.json").read_text(encoding="utf-8")
