"""`make -n`: the command lines that the targets build. Nothing is run."""

import os
import re
import shlex
import shutil
import subprocess

import pytest

from tests.runs import ROOT
from wordseq.cli.main import make_parser
from wordseq.config.load import load_config

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
NAMES = {
    "RUN",
    "DATA",
    "LEVEL",
    "CELL",
    "SET",
    "TRAIN",
    "PRESET",
    "CONFIG",
    "VENV",
    "PYTHON",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
}


@pytest.fixture
def project(tmp_path):
    """A folder with the files that the Makefile reads."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    shutil.copytree(ROOT / "wordseq" / "config" / "presets", tmp_path / "wordseq" / "config" / "presets")
    return tmp_path


@pytest.fixture
def make(project):
    """The command lines of a target, each split into words."""

    def run(*arguments, **variables):
        env = {key: value for key, value in os.environ.items() if key not in NAMES} | variables
        words = ["make", "--no-print-directory", "-n", "-o", ".venv/.ready", *arguments]
        done = subprocess.run(words, cwd=project, env=env, capture_output=True, text=True, timeout=300, check=True)
        assert done.stderr == ""
        return [shlex.split(line) for line in done.stdout.splitlines()]

    return run


def train(*words):
    return [[".venv/bin/wordseq", "train", *words]]


def test_train_alone_is_the_phrasebook(make):
    assert make("train") == train("phrasebook", "--run", "runs/phrasebook")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ("CELL=lstm", "phrasebook --run runs/phrasebook-lstm --set model.cell=lstm"),
        ("LEVEL=char", "phrasebook --run runs/phrasebook-char --set data.level=char"),
        (
            "LEVEL=bpe CELL=gru",
            "phrasebook --run runs/phrasebook-bpe-gru --set data.level=bpe --set model.cell=gru",
        ),
        ("RUN=runs/mine", "phrasebook --run runs/mine"),
        ("DATA=tatoeba-fra-eng", "tatoeba-fra-eng --run runs/tatoeba-fra-eng"),
        ("DATA=tatoeba-small", "experiments/tatoeba-small.toml --run runs/tatoeba-small"),
        ("DATA=copy", "--run runs/copy --set data.corpus=copy"),
        ("DATA=copy TRAIN=--tensorboard", "--run runs/copy --set data.corpus=copy --tensorboard"),
        ("DATA=opus-fr-br", "--run runs/opus-fr-br --set data.corpus=opus-fr-br"),
        ("DATA=texts/pairs.tsv", "--run runs/pairs --set data.train=texts/pairs.tsv"),
        (
            "DATA=texts/pairs.tsv LEVEL=char CELL=rnn RUN=/tmp/x",
            "--run /tmp/x --set data.train=texts/pairs.tsv --set data.level=char --set model.cell=rnn",
        ),
    ],
)
def test_variables_become_settings(project, make, variables, words):
    (project / "texts").mkdir()
    (project / "texts" / "pairs.tsv").write_text("a\tb\n")
    assert make("train", *variables.split()) == train(*words.split())


NAMES_FOR_SHELLS = [
    "my pairs",
    "it's",
    'a "b"',
    "$HOME",
    "a$b",
    "`date`",
    "$(date)",
    "a;b",
    "a&b",
    "(a)",
    "a*b",
    "a # b",
    "a\\\\b",
]


@pytest.mark.parametrize("name", NAMES_FOR_SHELLS)
def test_names_reach_the_command_as_they_are(project, make, name):
    (project / "my texts").mkdir()
    path = f"my texts/{name}.tsv"
    (project / path).write_text("a\tb\n")
    for variables in ({}, {"DATA": path}):
        words = [] if variables else [f"DATA={path}"]
        assert make("train", *words, **variables) == train("--run", f"runs/{name}", "--set", f"data.train={path}")
        ((_, *sweep),) = make("compare", *words, **variables)
        assert sweep[:3] == ["sweep", "--name", name]
    found = make("train", f"RUN=my runs/{name}", "SET=data.path=$x train.seed=2")
    assert found == train("phrasebook", "--run", f"my runs/{name}", "--set", "data.path=$x", "--set", "train.seed=2")
    assert make("eval", f"RUN=my runs/{name}") == [[".venv/bin/wordseq", "eval", f"my runs/{name}"]]
    (project / "runs" / name).mkdir(parents=True)
    assert make("eval") == [[".venv/bin/wordseq", "eval", f"runs/{name}/"]]


def test_set_may_hold_several_settings(make):
    found = make("train", "SET=train.max_epochs=3 model.dropout=0.1")
    expected = ("--set", "train.max_epochs=3", "--set", "model.dropout=0.1")
    assert found == train("phrasebook", "--run", "runs/phrasebook", *expected)


def test_variables_may_come_from_the_environment(make):
    assert make("train", CELL="gru", DATA="copy") == train(
        *("--run", "runs/copy-gru", "--set", "data.corpus=copy", "--set", "model.cell=gru")
    )


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("CEL=lstm", "CEL; did you mean CELL?"),
        ("cell=lstm", "cell; did you mean CELL?"),
        ("SEED=2", "SEED; did you mean SEEDS?"),
        ("QQQ=x y=z", "QQQ."),
    ],
)
def test_an_unknown_variable_stops_make_with_a_guess(project, variable, told):
    words = ["make", "-n", "-o", ".venv/.ready", "train", "LEVEL=char", variable]
    # `make test` marks its children as a make within make, which prints its folder.
    env = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"}
    done = subprocess.run(words, cwd=project, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"unknown variable {told} Choose from PYTHON " in done.stderr


def test_every_variable_of_the_makefile_is_known_and_values_are_not_names(make, project):
    names = re.findall(r"^(\w+) \?=", (project / "Makefile").read_text(), re.MULTILINE)
    assert len(names) > 10
    assert make("check", *(f"{name}=my x=y" for name in names if name not in ("PYTHON", "CONFIG")))


@pytest.mark.parametrize("variables", ["", "LEVEL=char CELL=lstm SET=train.max_steps=3", "DATA=reverse"])
def test_the_command_line_accepts_the_commands_of_make(make, variables, monkeypatch):
    """The words are those of `wordseq train`, and the settings are settings."""
    monkeypatch.chdir(ROOT)
    ((_, *words),) = make("train", *variables.split())
    options = make_parser().parse_args(words)
    config = load_config(options.config, options.set)
    assert str(options.run).startswith("runs/")
    assert config.data.corpus == ("reverse" if "reverse" in variables else "phrasebook")
    assert config.data.level == ("char" if "char" in variables else "word")


def test_eval_scores_the_run_of_train(make):
    assert make("eval", "CELL=lstm") == [[".venv/bin/wordseq", "eval", "runs/phrasebook-lstm"]]
    assert make("eval", "RUN=runs/mine") == [[".venv/bin/wordseq", "eval", "runs/mine"]]
    assert make("eval", "DATA=copy", "LEVEL=char") == [[".venv/bin/wordseq", "eval", "runs/copy-char"]]


def test_eval_without_a_run_scores_the_newest(project, make):
    assert make("eval") == [[".venv/bin/wordseq", "eval", "runs/phrasebook"]]
    for age, name in ((300, "old"), (100, "new"), (200, "older")):
        folder = project / "runs" / name
        folder.mkdir(parents=True)
        os.utime(folder, (1_000_000 - age, 1_000_000 - age))
    ((_, command, run),) = make("eval")
    assert (command, run.rstrip("/")) == ("eval", "runs/new")


def test_compare_is_a_sweep(make):
    sweep = [".venv/bin/wordseq", "sweep"]
    expected = [*sweep, *["phrasebook", "--name", "phrasebook", "--levels"], "char word"]
    expected += ["--cells", "gru", "--seeds", "2", "--set", "train.max_epochs=3", "--set", "model.dropout=0.1"]
    variables = ["LEVELS=char word", "CELLS=gru", "SEEDS=2", "SET=train.max_epochs=3 model.dropout=0.1"]
    assert make("compare", "DATA=phrasebook", *variables) == [expected]
    words = ["--name copy --levels word --cells", "lstm gru", "--seeds 1 --set data.corpus=copy"]
    assert make("compare", "DATA=copy") == [[*sweep, *words[0].split(), words[1], *words[2].split()]]
    ((*_, option, value, _, _),) = make("compare", "DATA=copy", "VARY=model.attention=none,dot")
    assert (option, value) == ("--vary", "model.attention=none,dot")


def test_data_fetches_a_corpus(make):
    assert make("data", "DATA=tatoeba-fra-eng") == [[".venv/bin/wordseq", "data", "get", "tatoeba-fra-eng"]]


def test_the_tests_leave_out_what_is_slow(make):
    ((python, *words),) = make("test")
    assert python == ".venv/bin/python"
    assert words[:2] == ["-m", "pytest"]
    assert words[words.index("not slow") - 1] == "-m"
    ((_, *slow),) = make("test-slow")
    assert slow[-2:] == ["-m", "slow and not long"]


def test_check_runs_style_types_and_import_order(make):
    tools = {words[0].rpartition("/")[2] for words in make("check")}
    assert tools == {"ruff", "mypy", "lint-imports"}


def test_help_names_every_target(make, project):
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=project, capture_output=True, text=True, timeout=300, check=True
    )
    phony = next(line for line in (project / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    shown = {line.split()[0] for line in done.stdout.splitlines()}
    assert shown == set(phony.split()[1:])


def test_clean_keeps_runs_and_data(make):
    removed = [word for words in make("clean") if words[0] == "rm" for word in words[1:]]
    assert ".venv" in removed
    assert not {"runs", "data", "experiments"} & {word.strip("/") for word in removed}


def test_the_environment_is_made_first_and_only_when_something_changed(project):
    (project / "pyproject.toml").write_text("")
    (project / "constraints.txt").write_text("")

    def planned():
        words = ["make", "-n", "train"]
        return subprocess.run(words, cwd=project, capture_output=True, text=True, timeout=300, check=True).stdout

    assert planned().index("-e '.[cpu,dev]'") < planned().index("wordseq train")
    (project / ".venv").mkdir()
    (project / ".venv" / ".ready").write_text("")
    assert "-e '.[cpu,dev]'" not in planned()
    ready = (project / ".venv" / ".ready").stat().st_mtime
    os.utime(project / "constraints.txt", (ready + 10, ready + 10))
    assert "-e '.[cpu,dev]'" in planned()
