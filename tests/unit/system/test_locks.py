import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import ROOT
from wordseq.system import locks
from wordseq.system.errors import UserError
from wordseq.system.locks import LOCK_FILE, locked

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no locks there")


def python(code, *arguments):
    words = [
        sys.executable,
        "-c",
        f"import os, sys\nfrom pathlib import Path\nfrom wordseq.system.locks import *\n{code}",
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([*words, *map(str, arguments)], cwd=ROOT, text=True, **pipes)


def test_the_error_of_a_second_process_names_the_one_with_the_lock(tmp_path):
    with (
        locked(tmp_path / "run"),
        pytest.raises(UserError, match=rf"run: process {os.getpid()} is training into it"),
        locked(tmp_path / "run"),
    ):
        pass
    with locked(tmp_path / "run"):
        pass


def test_the_lock_is_gone_afterwards_and_the_folder_too_if_it_was_made_for_it(tmp_path):
    with locked(tmp_path / "new"):
        assert (tmp_path / "new" / LOCK_FILE).is_file()
    assert not (tmp_path / "new").exists()
    with locked(tmp_path / "used"):
        (tmp_path / "used" / "x").touch()
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["x"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "mine"):
        raise KeyboardInterrupt
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_killed_process_leaves_no_lock(tmp_path):
    code = "with locked(Path(sys.argv[1])): print(os.getpid(), flush=True); sys.stdin.read()"
    process = python(code, tmp_path)
    number = process.stdout.readline().strip()
    with pytest.raises(UserError, match=f"process {number} is training into it"), locked(tmp_path):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    process.stdout.close()
    process.stdin.close()
    assert (tmp_path / LOCK_FILE).is_file()
    with locked(tmp_path):
        pass


def test_never_two_at_a_time_however_often_the_folder_comes_and_goes(tmp_path):
    code = """
    got = 0
    for i in range(1000):
        try:
            with locked(Path(sys.argv[1])):
                os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))
                os.unlink(sys.argv[2])
                got += 1
        except UserError:
            pass
    print(got)
    """
    code = "\n".join(line[4:] for line in code.splitlines())
    processes = [python(code, tmp_path / "run", tmp_path / "inside") for _ in range(3)]
    found = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert all(int(number) > 0 for number in found)


def test_a_folder_that_another_process_makes_at_the_same_moment_is_no_error(tmp_path, monkeypatch):
    made, calls = Path.mkdir, []

    def mkdir(folder, *options, **more):
        calls.append(folder)
        made(folder, exist_ok=True)
        if len(calls) == 1:  # As pathlib does if the folder is removed and made again between its two steps.
            raise FileExistsError(errno.EEXIST, "File exists", str(folder))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with locked(tmp_path / "run"):
        assert len(calls) == 2


def test_training_works_on_file_systems_without_locks(tmp_path, monkeypatch):
    def none(handle):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "try_lock", none)
    inside = False
    with locked(tmp_path / "run"), locked(tmp_path / "run"):
        inside = True
    assert inside


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def read_only(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(OSError, match="Read-only") as raised, locked(tmp_path):
        pass
    assert raised.value.filename == str(tmp_path)


def test_a_folder_that_goes_while_it_is_found_is_made_again(tmp_path, monkeypatch):
    make, calls = Path.mkdir, []

    def mkdir(folder, *args, **options):
        calls.append(folder)
        if len(calls) == 1:  # As if another process removed it between two system calls.
            raise FileExistsError(str(folder))
        return make(folder, *args, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with locked(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()
    assert len(calls) == 2


def test_a_file_of_the_folders_name_is_an_error(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(OSError, match="run"), locked(tmp_path / "run"):
        pass
