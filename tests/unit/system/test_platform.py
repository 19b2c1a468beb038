import os
import subprocess

import pytest

from wordseq.system import platform
from wordseq.system.platform import commit, machine, peak_memory


def git_repository(folder):
    """Makes a repository in `folder` and gives its commit, which no other folder's has."""
    folder.mkdir(parents=True)
    (folder / "tracked").write_text(folder.name)
    me = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "tracked"], [*me, "commit", "-q", "-m", "m"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def package_in(monkeypatch):
    """Makes `commit` believe that the package lies in a folder, in a new process."""

    def place(folder):
        monkeypatch.setattr(platform, "__file__", str(folder / "wordseq" / "system" / "platform.py"))
        commit.cache_clear()

    for key in [key for key in os.environ if key.startswith("GIT_")]:
        monkeypatch.delenv(key)
    yield place
    commit.cache_clear()


def test_commit_of_the_own_checkout(tmp_path, package_in, monkeypatch):
    revision = git_repository(tmp_path / "checkout")
    git_repository(tmp_path / "other")
    package_in(tmp_path / "checkout")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert commit().endswith(f", git {revision}")
    (tmp_path / "checkout" / "tracked").write_text("two")
    assert commit().endswith(f", git {revision}"), "what is loaded has changed"
    package_in(tmp_path / "checkout")
    assert commit().endswith(f", git {revision}, modified")


def test_commit_of_somebody_elses_checkout_is_not_ours(tmp_path, package_in):
    git_repository(tmp_path / "project")
    (tmp_path / "project" / "site-packages").mkdir()
    package_in(tmp_path / "project" / "site-packages")
    assert "git" not in commit()


def test_commit_without_git(tmp_path, package_in, monkeypatch):
    git_repository(tmp_path / "checkout")
    package_in(tmp_path / "checkout")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit()
    assert "git" not in commit()


def test_machine(tmp_path, monkeypatch):
    this = machine()
    assert this["cpu"]
    assert this["cores"] >= 1
    assert this["python"].startswith("3.")
    monkeypatch.setattr(platform, "_CPU_INFO", tmp_path / "cpuinfo")
    assert machine()["cpu"]
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU 9000\nflags\t: fpu\n")
    assert machine()["cpu"] == "Some CPU 9000"
    monkeypatch.setattr(platform, "installed_version", {"tensorflow": "2.21.0"}.get)
    assert (machine()["tensorflow"], machine()["keras"]) == ("2.21.0", None)
    # All that the process may use, however many parts a batch has.
    monkeypatch.setattr(platform, "processors", lambda: 64)
    assert machine()["cores"] == 64


def test_peak_memory_is_in_bytes(tmp_path):
    """Linux gives kB; where it gives nothing, the system's own call gives kB or, on macOS, bytes."""
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t  900 kB\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\n")
    assert peak_memory(status) == 300 * 1024
    # A process that has imported NumPy holds megabytes, and no more than a machine has.
    for found in (peak_memory(), peak_memory(tmp_path / "missing")):
        assert 2**24 < found < 2**44
