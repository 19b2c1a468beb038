"""Full disks and limits, real ones: one clear line, no partial file, and the same command resumes afterwards."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from tests.runs import entries, settings, train_arguments, wordseq, write_pairs
from wordseq.system.tensorflow import import_tensorflow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts, and limits of Linux"),
]
MORE = ("train.max_steps=6", "train.validate_steps=2", "train.save_minutes=0.00001")


def weights(run):
    found = {}
    for name in ("best", "last"):
        found |= {(name, key): value.tobytes() for key, value in load_file(run / f"{name}.safetensors").items()}
    return found


def size_of(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


def assert_nothing_half_written(folder):
    """All files are complete: no temporary files, and every checkpoint loads."""
    import_tensorflow()
    from wordseq.runs.folder import RunFolder

    run = RunFolder(folder / "run")
    assert not list(folder.rglob(".tmp-*"))
    assert not [path for path in (folder / "run").rglob(".*") if path.name != ".begun"]
    assert run.begun or not run.folder.exists() or run.unfinished
    for path in run.folder.glob("*.safetensors"):
        run.load(path.stem)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run, the pairs that it was trained on, and the room that it takes."""
    folder = tmp_path_factory.mktemp("whole")
    pairs = write_pairs(folder / "pairs.tsv")
    (folder / "in").mkdir()
    done = wordseq(*train_arguments(folder / "in" / "run", settings(pairs, *MORE)), timeout=1800)
    assert done.returncode == 0, done.stderr
    return folder / "in" / "run", pairs, size_of(folder / "in")


def mounted(folder: Path, *options: str) -> bool:
    words = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "share", [0.4, *(pytest.param(share, marks=pytest.mark.long) for share in (0.03, 0.2, 0.7, 0.96))]
)
def test_a_full_disk(whole, tmp_path, share):
    run, pairs, size = whole
    place = tmp_path / "small"
    place.mkdir()
    if not mounted(place, f"size={int(size * share)}"):
        pytest.skip("no file systems can be mounted here")
    try:
        arguments = train_arguments(place / "run", settings(pairs, *MORE))
        done = wordseq(*arguments, timeout=1800)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"wordseq: error: {place}")
        assert done.stderr.endswith(
            ("No space left on device; free some space and run the same command again\n", "is the disk full?\n")
        )
        assert done.stderr.count("\n") == 1
        assert_nothing_half_written(place)
        assert mounted(place, "remount", "size=20m")
        done = wordseq(*arguments, timeout=1800)
        assert (done.returncode, done.stderr) == (0, "")
        assert weights(place / "run") == weights(run)
        assert entries(place / "run") == entries(run)
    finally:
        subprocess.run(["umount", str(place)], check=False)


OTHERS = ("best.safetensors", "held_out.json", "eval/test.json")


@pytest.mark.parametrize("name", ["last.safetensors", *(pytest.param(name, marks=pytest.mark.long) for name in OTHERS)])
def test_a_limit_to_the_size_of_files(whole, tmp_path, name):
    """As a quota: all that is smaller can be written."""
    run, pairs, _ = whole
    limit = (run / name).stat().st_size - 64
    others = [path.stat().st_size for path in run.rglob("*.*") if path.is_file()]
    arguments = train_arguments(tmp_path / "run", settings(pairs, *MORE))
    done = wordseq(
        *arguments, timeout=1800, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    assert done.returncode == 2, (limit, others)
    assert done.stderr.startswith(f"wordseq: error: {tmp_path}{os.sep}")
    assert done.stderr.endswith(": File too large\n")
    assert done.stderr.count("\n") == 1
    assert_nothing_half_written(tmp_path)
    done = wordseq(*arguments, timeout=1800)
    assert (done.returncode, done.stderr) == (0, "")
    assert weights(tmp_path / "run") == weights(run)
