"""The command line as users run it: real processes, pipes, files, a terminal."""

import ast
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.runs import ROOT, command, environment, some_pairs, without_notes, wordseq
from wordseq.cli import main as cli

TEXTS = [pair.src for pair in some_pairs()[500:506]]
# What runs in this process runs as Python; the processes compile.
pytestmark = pytest.mark.usefixtures("uncompiled")


@pytest.fixture(scope="module")
def trained(tiny_run, tmp_path_factory):
    """The folder of a trained run."""
    return shutil.copytree(tiny_run.folder, tmp_path_factory.mktemp("cli") / "run")


@pytest.fixture
def main(capsys):
    """Runs a command in this process: exit code, standard output, standard error."""

    def run(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.txt"
    path.write_text("\n".join([*TEXTS[:3], "", *TEXTS[3:]]) + "\n", encoding="utf-8")
    return path


# --- without TensorFlow


def test_commands_without_a_model_import_nothing_slow():
    commands = {
        "--help": "translate",
        "--version": "wordseq ",
        "translate --help": "--nbest",
        "embed --help": "--output",
        "data list": "phrasebook",
        "train --list-settings": 'model.hidden_size = "auto"',
    }
    program = (
        "import contextlib, io, sys; before = {*sys.modules, *sys.stdlib_module_names}\n"
        "from wordseq.cli.main import main\n"
        "found = []\n"
        "for command in sys.argv[1:]:\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "        try: code = main(command.split())\n"
        "        except SystemExit as end: code = end.code\n"
        "    found.append((code, out.getvalue(), sorted({name.partition('.')[0] for name in sys.modules} - before)))\n"
        "print(found)"
    )
    words = [sys.executable, "-c", program, *commands]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=300, check=True)
    for (code, out, imported), (given, shown) in zip(ast.literal_eval(done.stdout), commands.items(), strict=True):
        assert code == 0
        assert shown in out
        assert {name.lstrip("_") for name in imported} <= {"numpy", "wordseq", "zstandard", "cffi_backend"}, given


def test_the_command_that_is_installed_is_main():
    """As pyproject.toml has it; what is installed at the moment may be of another time."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert {name: EntryPoint(name, scripts[name], "").load() for name in scripts} == {"wordseq": cli.main}


def test_the_usual_settings_are_listed_and_all_on_demand(main):
    from dataclasses import fields

    from wordseq.config.schema import SECTIONS, USUAL

    _, usual, _ = main("train", "--list-settings")
    _, complete, _ = main("train", "--list-settings", "all")
    listed, hidden = set(), 0
    for section, kind in SECTIONS.items():
        for field in fields(kind):
            assert f"\n{section}.{field.name} = " in f"\n{complete}"
            if f"\n{section}.{field.name} = " in f"\n{usual}":
                listed.add(f"{section}.{field.name}")
            else:
                hidden += 1
    assert listed == set(USUAL)
    assert 20 <= len(listed) <= 25
    assert usual.endswith(f"\n{hidden} more settings: wordseq train --list-settings all\n")


@pytest.mark.parametrize(
    ("arguments", "sink"), [(["data", "list"], "closed pipe"), (["train", "--list-settings"], "/dev/full")]
)
def test_unwritable_output_is_an_error_without_a_traceback(arguments, sink):
    if sink == "closed pipe":
        read, out = os.pipe()
        os.close(read)
    elif Path(sink).exists():
        out = os.open(sink, os.O_WRONLY)
    else:
        pytest.skip(f"no {sink} here")
    try:
        done = subprocess.run(
            command(*arguments),
            env=environment(),
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        os.close(out)
    if sink == "closed pipe":
        assert (done.returncode, done.stderr) == (cli.BROKEN_PIPE, "")
    else:
        assert done.returncode == 2
        assert re.fullmatch(r"wordseq: error: No space left on device.*\n", done.stderr)


# --- train


def test_train_ends_with_a_held_out_bleu(tiny_run):
    assert (tiny_run.code, tiny_run.err) == (0, "")
    assert re.search(r"^finished: 5 updates done \(train\.max_steps\)", tiny_run.out, re.MULTILINE)
    last = tiny_run.out.splitlines()[-1]
    score = json.loads((tiny_run.folder / "eval" / "test.json").read_text())["bleu"]["score"]
    assert last == f"held-out test BLEU {score:.2f}  ({tiny_run.folder / 'eval' / 'test.txt'})"
    assert "|tok:13a|" in tiny_run.out


def test_processes_that_train_together_need_the_name_of_their_folder(main, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}')
    code, _, err = main("train")
    assert (code, err) == (2, "wordseq: error: train needs --run DIR where several processes train together\n")


# --- eval


def sacrebleu(hyp, *refs, options=()):
    done = subprocess.run(
        [sys.executable, "-m", "sacrebleu", *map(str, refs), "-i", str(hyp), "-m", "bleu", "-w", "8", *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found = json.loads(done.stdout)
    return found["score"]


def test_the_saved_texts_score_the_same_with_sacrebleu_itself(trained, tmp_path, main):
    """Two references, not tokenized again, without case: what --tokenize none --lowercase is for."""
    for name, shift in (("src", None), ("one", 0), ("two", 1)):
        texts = [pair.src if shift is None else pair.tgt for pair in some_pairs()[(shift or 0) : 40 + (shift or 0)]]
        (tmp_path / name).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    arguments = ["--src", tmp_path / "src", "--ref", tmp_path / "one", "--ref", tmp_path / "two"]
    code, out, err = main("eval", trained, *arguments, "--tokenize", "none", "--lowercase", "--json")
    assert (code, without_notes(err)) == (0, "")
    found = json.loads(out)
    assert (found["sentences"], found["references"]) == (40, 80)
    assert found["bleu"]["signature"].startswith("nrefs:2|")
    assert "|case:lc|" in found["bleu"]["signature"]
    assert "|tok:none|" in found["bleu"]["signature"]
    files = sorted((trained / "eval").glob("src.ref*"))
    score = sacrebleu(trained / "eval" / "src.hyp", *files, options=["-tok", "none", "-lc"])
    assert score == pytest.approx(found["bleu"]["score"], abs=1e-6)


def test_describe_is_json_or_a_table(trained, main):
    _, out, _ = main("describe", trained, "--json")
    found = json.loads(out)
    assert found.keys() >= {"parameters", "layers", "settings", "step", "weights_sha256"}
    assert found["layers"][0]["shapes"] == {"embeddings": [found["layers"][0]["parameters"] // 8, 8]}
    _, table, _ = main("describe", trained, "--svg", trained.parent / "models.svg")
    assert (trained.parent / "models.svg").read_text(encoding="utf-8").startswith("<svg ")
    assert f"{found['parameters']:,}" in table
    assert found["weights_sha256"] in table


# --- embed


def test_embed_names_a_bad_line_and_leaves_no_partial_file(trained, tmp_path, main):
    (tmp_path / "in").write_bytes(b"one\nca\xe9\n")
    code, _, err = main("embed", trained, "--input", tmp_path / "in", "--output", tmp_path / "v.npy")
    assert code == 2
    assert f"{tmp_path / 'in'}, line 2: not UTF-8" in err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


# --- translate


@pytest.mark.slow
def test_a_pipe_gives_one_line_per_line_and_notes_unknown_words(trained):
    given = f"{TEXTS[0]}\n\n  \r\nZork, {'q' * 5000} 👍🏻!\n{TEXTS[1]}"  # without an end of line at the end
    done = wordseq("translate", trained, input=given)
    assert done.returncode == 0
    assert done.stdout.count("\n") == 5
    lines = done.stdout.split("\n")
    assert lines[1:3] == ["", ""]
    assert lines[0]
    assert lines[4]
    assert re.fullmatch(r"wordseq: note: unknown to the model: .*Zork.*\n", done.stderr)
    assert len(done.stderr) < 500


def test_a_device_is_written_to_not_replaced(trained, source, tmp_path, main):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        code, _, _ = main("translate", trained, "--input", source, "--output", pipe)
        assert code == 0
        assert os.read(reader, 100_000).count(b"\n") == 7
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.slow
def test_a_closed_pipe_ends_the_command_quietly(trained, tmp_path):
    long = tmp_path / "long.txt"
    long.write_text("".join(f"{text}\n" for text in TEXTS) * 2000, encoding="utf-8")
    words = command("translate", trained, "--input", long)
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read().decode()
        assert process.wait(300) == cli.BROKEN_PIPE
    assert without_notes(complaint) == ""


@pytest.mark.slow
def test_on_a_terminal_it_prompts_and_answers_each_line_at_once(trained):
    ours, theirs = pty.openpty()
    words = command("translate", trained)
    with subprocess.Popen(
        words, env=environment(), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.close(theirs)
        assert process.stderr.readline() == b"type a text, then Enter; Ctrl-D ends\n"
        os.write(ours, f"{TEXTS[0]}\n".encode())
        assert process.stdout.readline().strip()
        os.write(ours, b"\x04")
        assert process.wait(300) == 0
        os.close(ours)
        assert process.stdout.read() == b""


def test_processes_import_the_package_of_this_folder():
    """These tests are of this folder's package, not of one that is installed elsewhere."""
    done = subprocess.run(
        [sys.executable, "-c", "import wordseq; print(wordseq.__file__)"],
        env=environment(),
        cwd=os.sep,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert Path(done.stdout.strip()).parents[1] == ROOT
