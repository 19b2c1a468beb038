"""Skips that nobody listed fail the run in CI, in workers too; elsewhere none does."""

import subprocess
import sys

import pytest

from tests.runs import environment

LISTED = """
import pytest
def test_passes(): pass
def test_listed(): pytest.importorskip("torch.of.no.sort", reason="could not import 'torch': it is not there")
"""
UNLISTED = "import pytest\ndef test_unlisted(): pytest.skip('no moon tonight')\n"
WHOLE_FILE = "import pytest\npytest.importorskip('no_such_module')\ndef test_never(): pass\n"


def run(folder, workers, **variables):
    words = [sys.executable, "-m", "pytest", "-q", "-p", "tests.skips", "-p", "no:cacheprovider", "-n", workers, folder]
    env = {key: value for key, value in environment().items() if key != "CI"} | variables
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_in_ci_an_unlisted_skip_fails_the_run_and_is_named(tmp_path):
    for name, text in (("listed", LISTED), ("unlisted", UNLISTED), ("whole_file", WHOLE_FILE)):
        (tmp_path / f"test_{name}.py").write_text(text)
    done = run(tmp_path, "1", CI="true")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    named = done.stdout.partition("not listed in tests/skips.py")[2]
    assert "test_unlisted.py::test_unlisted: no moon tonight\n" in named
    assert "test_whole_file.py: could not import 'no_such_module'" in named
    assert "test_listed" not in named


@pytest.mark.slow
def test_a_listed_skip_fails_no_run_nor_does_an_unlisted_one_elsewhere(tmp_path):
    (tmp_path / "test_listed.py").write_text(LISTED)
    done = run(tmp_path, "0", CI="true")
    assert (done.returncode, "not listed" in done.stdout) == (0, False), done.stdout
    (tmp_path / "test_unlisted.py").write_text(UNLISTED)
    done = run(tmp_path, "0")
    assert (done.returncode, "not listed" in done.stdout) == (0, False), done.stdout
