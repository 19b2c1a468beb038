"""An exported run in an environment of its own, without TensorFlow and without this package."""

import importlib.metadata
import resource
import subprocess
import venv
from pathlib import Path

import pytest

from tests.runs import environment, some_pairs
from tests.unit.export.test_translate import random_run
from wordseq.cli.main import main

pytestmark = pytest.mark.slow
NEEDED = ("numpy", "onnxruntime", "flatbuffers", "packaging", "protobuf", "regex", "sentencepiece")


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment that has what README.md of an exported folder names, and nothing else."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, symlinks=True)
    (site,) = folder.rglob("site-packages")
    for name in NEEDED:
        # Links: installing would copy 100 MB, and needs a network.
        tops = {path.parts[0] for path in importlib.metadata.files(name) if ".." not in path.parts}
        for top in tops:
            (site / top).symlink_to(importlib.metadata.distribution(name).locate_file(top))
    return folder / "bin" / "python"


def started(python: Path, *words: str | Path, given: str = "") -> "subprocess.CompletedProcess[str]":
    env = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
    options = {"cwd": python.parent, "env": env, "capture_output": True, "encoding": "utf-8"}
    return subprocess.run([python, *words], input=given, check=False, **options)


def translated(python: Path, folder: Path, texts: list[str], *words: str) -> list[str]:
    done = started(python, folder / "translate.py", *words, given="".join(f"{text}\n" for text in texts))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("level", ["word", "bpe"])
def test_a_fresh_environment_translates_a_thousand_lines_as_the_package_does(level, python, tmp_path, monkeypatch):
    run = random_run(tmp_path / "run", f"data.level={level}", "model.embed_dim=24", "model.hidden_size=32")
    assert main(["export", str(run.folder)]) == 0
    folder = tmp_path / "run-onnx"
    # Each once: of a near tie in a sentence that is there twice, both would differ.
    texts = [*dict.fromkeys(pair.src for pair in some_pairs())][-1000:]
    (tmp_path / "in.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    for beam in ("1", "5"):
        words = ["--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "out.txt"), "--beam", beam]
        assert main(["translate", str(run.folder), *words]) == 0
        wanted = (tmp_path / "out.txt").read_text(encoding="utf-8").split("\n")[:-1]
        found = translated(python, folder, texts, "--beam", beam)
        assert len(found) == len(texts)
        assert sum(ours != theirs for ours, theirs in zip(found, wanted, strict=True)) <= 1
        assert len(set(found)) > 100
    for name in ("tensorflow", "wordseq"):
        assert f"No module named '{name}'" in started(python, "-c", f"import {name}").stderr
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    translated(python, folder, texts[:1])
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of processor time, from the start of the process to its end; it must be below a second of a clock.
    assert end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime < 1
