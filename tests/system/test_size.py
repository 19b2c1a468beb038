"""Memory does not grow with the corpus, nor with the text to translate."""

import importlib.util
import subprocess
import sys
import time

import pytest

from tests.runs import ROOT, command, environment, settings, train_arguments, wordseq, write_pairs

MB_A_MILLION = 30
"""Anonymous memory a million pairs: 300 MB for ten million."""


@pytest.fixture(scope="module")
def size():
    """experiments/size.py."""
    found = importlib.util.spec_from_file_location("size", ROOT / "experiments" / "size.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_training_on_more_pairs_takes_no_more_memory(size, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    peaks = []
    for pairs in (100_000, 600_000):
        folder = tmp_path / str(pairs)
        folder.mkdir()
        size.write_pairs(folder / "pairs.tsv", pairs)
        peaks.append(size.measure(folder / "pairs.tsv", folder))
    # Two runs of the same size differ by up to 30 MB.
    for what in ("preparing", "all"):
        assert peaks[1][what] - peaks[0][what] < 0.5 * MB_A_MILLION + 30


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_translating_more_lines_takes_no_more_memory_and_loses_none(size, tmp_path):
    run = tmp_path / "run"
    assert wordseq(*train_arguments(run, settings(write_pairs(tmp_path / "pairs.tsv")))).returncode == 0
    lines = (run / "eval" / "test.src").read_bytes() * 5_000
    (tmp_path / "in").write_bytes(lines)
    words = command("translate", run, "--input", tmp_path / "in", "--output", tmp_path / "out", "--resume")
    peaks = []
    with subprocess.Popen(words, env=environment(), stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if (tmp_path / "out").exists() and (tmp_path / "out").stat().st_size:
                peaks.append(size.anonymous_mb(process.pid))
            time.sleep(0.05)
    assert process.returncode == 0
    assert (tmp_path / "out").read_bytes().count(b"\n") == lines.count(b"\n")
    assert max(peaks) - max(peaks[: len(peaks) // 10]) < 50
