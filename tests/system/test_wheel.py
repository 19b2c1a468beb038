"""The package as it is installed elsewhere: everything it needs is in the source archive, and in the wheel made of that."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

from tests.runs import ROOT, environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The `bin` of an environment that has the wheel, and what the wheel depends on from here."""
    folder = tmp_path_factory.mktemp("wheel")
    # A copy: building leaves files beside the sources, and takes what an earlier build left.
    shutil.copytree(ROOT / "wordseq", folder / "clone" / "wordseq", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "clone")
    venv.create(folder / "venv", with_pip=True)
    bin_folder = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    # As `make dist`.
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, folder / "clone"], check=True, timeout=300)
    archives = [*folder.glob("*.whl"), *folder.glob("*.tar.gz")]
    assert len(archives) == 2
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *archives], check=True, timeout=300)
    pip = [bin_folder / "python", "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", archives[0]], check=True, timeout=300)
    shutil.rmtree(folder / "clone")
    # Not the .pth files there, which would lead to the clone.
    (site,) = (folder / "venv").rglob("site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return bin_folder


@pytest.fixture
def run(installed, tmp_path):
    """Runs a program of that environment from a folder of its own; gives what it printed."""

    def call(program, *arguments, **options):
        env = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
        words = [installed / program, *arguments]
        done = subprocess.run(
            words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600, check=False, **options
        )
        assert done.returncode == 0, done.stderr
        return done

    return call


def test_an_installed_wheel_trains_the_phrasebook_translates_and_reports(installed, run, tmp_path):
    origin = run("python", "-c", "import wordseq; print(wordseq.__file__)").stdout
    assert origin.startswith(str(installed.parent))
    small = ("--set", "train.max_steps=4", "--set", "model.hidden_size=16", "--set", "data.test_size=20")
    done = run("wordseq", "train", "phrasebook", "--run", "mine", *small)
    assert "held-out test BLEU" in done.stdout
    assert done.stderr == ""  # none of TensorFlow's start-up messages
    assert run("wordseq", "translate", "mine", input="Hello.\nI am hungry.\n").stdout.count("\n") == 2
    run("wordseq", "report", "mine", "--html", "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_an_installed_wheel_has_the_presets_and_its_version(run):
    assert "multi30k-de-en" in run("wordseq", "train", "--help").stdout
    assert run("wordseq", "--version").stdout.startswith("wordseq 0.")


def test_an_installed_wheel_has_the_files_of_pages(run):
    script = "from importlib.resources import files; print(*sorted(p.name for p in files('wordseq').joinpath(*{}).iterdir()))"
    for folder in (("serving", "page"), ("export", "browser", "site")):
        wanted = sorted(path.name for path in ROOT.joinpath("wordseq", *folder).iterdir())
        assert run("python", "-c", script.format(folder)).stdout.split() == wanted
