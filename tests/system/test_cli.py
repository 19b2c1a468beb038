"""The command line as its users meet it: real processes, pipes, files, a terminal."""

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
EVAL_KEYS = {
    *("bleu", "chrf", "ter", "sentences", "references", "seconds", "sentences_per_second", "oov_rate", "unk_rate"),
    *("length_ratio", "by_length", "commit", "run"),
}


@pytest.fixture(scope="module")
def trained(tiny_run, tmp_path_factory):
    """The folder of a trained run."""
    return shutil.copytree(tiny_run.folder, tmp_path_factory.mktemp("cli") / "run")


@pytest.fixture
def main(capsys):
    """Runs a command in this process: exit code, what it printed, what it complained."""

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


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], "translate"),
        (["--version"], "wordseq "),
        (["translate", "--help"], "--nbest"),
        (["embed", "--help"], "--output"),
        (["data", "list"], "phrasebook"),
        (["train", "--list-settings"], "model.hidden_size = 512"),
    ],
)
def test_what_needs_no_model_imports_nothing_that_takes_long(arguments, shown):
    program = (
        "import sys; before = {*sys.modules, *sys.stdlib_module_names}; from wordseq.cli.main import main\n"
        "try: code = main(sys.argv[1:])\n"
        "except SystemExit as end: code = end.code\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - before), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0
    assert shown in done.stdout
    assert set(ast.literal_eval(done.stderr)) <= {"numpy", "wordseq"}


def test_the_command_that_is_installed_is_main():
    """As pyproject.toml has it; what is installed at the moment may be of another time."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert {name: EntryPoint(name, scripts[name], "").load() for name in scripts} == {"wordseq": cli.main}


def test_every_setting_is_listed_and_those_for_experts_only_on_demand(main):
    from dataclasses import fields

    from wordseq.config.schema import SECTIONS

    _, usual, _ = main("train", "--list-settings")
    _, complete, _ = main("train", "--list-settings", "all")
    hidden = set()
    for section, kind in SECTIONS.items():
        for field in fields(kind):
            assert f"\n{section}.{field.name} = " in f"\n{complete}"
            if f"\n{section}.{field.name} = " not in f"\n{usual}":
                hidden.add(f"{section}.{field.name}")
    assert hidden == {"train.shards", "train.save_minutes", "train.log_steps"}
    assert usual.endswith("\n3 more for experts: wordseq train --list-settings all\n")


@pytest.mark.parametrize("arguments", [["data", "list"], ["train", "--list-settings"]])
@pytest.mark.parametrize("sink", ["closed pipe", "/dev/full"])
def test_output_that_cannot_be_written_ends_in_order(arguments, sink):
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


def test_train_without_a_run_folder_says_so(main):
    assert main("train") == (2, "", "wordseq: error: train needs --run DIR, the folder to train into\n")


# --- eval


def test_eval_prints_json_with_every_key(trained, tmp_path, main):
    code, out, err = main("eval", trained, "--json", "--beam", "2", "--record", tmp_path / "record.json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found.keys() >= EVAL_KEYS
    for metric in ("bleu", "chrf", "ter"):
        assert found[metric].keys() >= {"score", "signature", "ci95"}
        low, high = found[metric]["ci95"]
        assert low <= found[metric]["score"] <= high
    assert found["beam_size"] == 2
    assert found["command"].startswith("wordseq eval ")
    assert json.loads((tmp_path / "record.json").read_text())


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
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["sentences"], found["references"]) == (40, 80)
    assert found["bleu"]["signature"].startswith("nrefs:2|")
    assert "|case:lc|" in found["bleu"]["signature"]
    assert "|tok:none|" in found["bleu"]["signature"]
    folder = trained / "eval"
    score = sacrebleu(folder / "src.hyp", tmp_path / "one", tmp_path / "two", options=["-tok", "none", "-lc"])
    assert score == pytest.approx(found["bleu"]["score"], abs=1e-6)
    # And the run's own test split, as `wordseq eval` saved it.
    main("eval", trained)
    saved = json.loads((folder / "test.json").read_text())
    assert sacrebleu(folder / "test.hyp", *sorted(folder.glob("test.ref*"))) == pytest.approx(
        saved["bleu"]["score"], abs=1e-6
    )


def test_eval_without_json_is_a_table(trained, main):
    code, out, _ = main("eval", trained)
    assert code == 0
    assert re.search(r"^BLEU +\d", out, re.MULTILINE)
    assert "sentences a second" in out


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


def test_embed_writes_a_vector_a_line_as_an_array_or_as_numbers(trained, source, tmp_path, main):
    import numpy as np

    code, out, _ = main("embed", trained, "--input", source, "--output", tmp_path / "v.npy")
    assert (code, out) == (0, "")
    vectors = np.load(tmp_path / "v.npy", allow_pickle=False)
    assert (vectors.shape, vectors.dtype) == ((7, 16), np.float32)
    _, out, _ = main("embed", trained, "--input", source)
    assert np.array_equal(np.loadtxt(out.splitlines(), dtype=np.float32), vectors)


def test_embed_names_a_bad_line_and_leaves_no_half_a_file(trained, tmp_path, main):
    (tmp_path / "in").write_bytes(b"one\nca\xe9\n")
    code, _, err = main("embed", trained, "--input", tmp_path / "in", "--output", tmp_path / "v.npy")
    assert code == 2
    assert f"{tmp_path / 'in'}, line 2: not UTF-8" in err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


# --- translate


def test_a_pipe_gives_a_line_for_a_line_and_notes_unknown_words(trained):
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


def test_a_file_goes_to_a_file_with_the_same_lines(trained, source, tmp_path, main):
    _, printed, _ = main("translate", trained, "--input", source)
    code, out, _ = main("translate", trained, "--input", source, "--output", tmp_path / "out.txt")
    assert (code, out) == (0, "")
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == printed
    assert printed.split("\n")[3] == ""
    assert len(printed.split("\n")) == 7 + 1
    assert {path.name for path in tmp_path.iterdir()} == {"out.txt", "source.txt"}


def test_n_best_lines_have_score_tab_text(trained, source, main):
    _, best, _ = main("translate", trained, "--input", source, "--beam", "3")
    code, out, _ = main("translate", trained, "--input", source, "--nbest", "3")
    lines = [line.split("\t") for line in out.split("\n")[:-1]]
    assert code == 0
    assert len(lines) == 7 * 3
    assert all(len(columns) == 2 and float(columns[0]) <= 0 for columns in lines)
    assert [columns[1] for columns in lines[::3]] == best.split("\n")[:-1]


def test_a_length_limit_cuts_translations_and_without_a_penalty_scores_are_log_probabilities(trained, source, main):
    """A model that has hardly learned goes on to the limit; its start does not depend on where the limit is."""
    import wordseq

    def lines(*options):
        return main("translate", trained, "--input", source, *options)[1].split("\n")[:-1]

    tokens = wordseq.Translator.load(trained).tgt.tokenizer.tokenize
    short, longer = (lines("--max-len-ratio", "0", "--max-len-extra", n) for n in ("2", "4"))
    assert [len(tokens(line)) for line in short] == [1, 1, 1, 0, 1, 1, 1]
    assert [len(tokens(line)) for line in longer] == [3, 3, 3, 0, 3, 3, 3]
    assert short != longer
    half, none = (
        [
            float(line.split("\t")[0])
            for line in lines("--max-len-ratio", "0", "--length-penalty", alpha, "--nbest", "2")
        ]
        for alpha in ("0.5", "0")
    )
    assert none[0] < half[0] < 0


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
def test_a_reader_that_goes_away_ends_it_without_complaint(trained, tmp_path):
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
def test_on_a_terminal_it_says_what_to_type_and_answers_each_line_at_once(trained):
    ours, theirs = pty.openpty()
    words = command("translate", trained)
    with subprocess.Popen(
        words, env=environment(), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.close(theirs)
        assert process.stderr.readline() == b"a sentence a line; Ctrl-D ends\n"
        os.write(ours, f"{TEXTS[0]}\n".encode())
        assert process.stdout.readline().strip()
        os.write(ours, b"\x04")
        assert process.wait(300) == 0
        os.close(ours)
        assert process.stdout.read() == b""


def test_the_sources_are_where_the_processes_found_them():
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
