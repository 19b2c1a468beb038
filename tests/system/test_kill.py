"""Kills in every phase, two processes in one folder, readers during a training, Ctrl-C before training starts."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runs import ROOT, command, environment, settings, train_arguments, without_notes, wordseq, write_pairs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]
LONG = ("train.max_epochs=1000", "train.max_steps=1000000", "train.patience=0", "train.validate_steps=5")


@pytest.mark.long
def test_a_training_killed_in_every_phase_equals_an_uninterrupted_one():
    words = [sys.executable, str(ROOT / "tests" / "system" / "kill.py"), "30", "7"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def start():
    """Starts a command that gets Ctrl-C, unlike background jobs of a shell. The command ends with the test."""
    started = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def begin(*arguments):
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command(*arguments), env=environment(), text=True, **pipes))
        return started[-1]

    yield begin
    signal.signal(signal.SIGINT, before)
    for process in started:
        process.kill()
        process.wait(60)
        process.stderr.close()


def wait_for(process, found):
    end = time.monotonic() + 300
    while not found():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)


def test_of_two_processes_in_one_run_one_trains_and_readers_are_not_blocked(start, tmp_path):
    run = tmp_path / "run"
    arguments = train_arguments(run, settings(write_pairs(tmp_path / "pairs.tsv"), *LONG))
    pair = [start(*arguments) for _ in range(2)]
    end = time.monotonic() + 300
    while all(process.poll() is None for process in pair) and time.monotonic() < end:
        time.sleep(0.01)
    trains, refused = sorted(pair, key=lambda process: process.poll() is not None)
    assert refused.wait(60) == 2
    assert refused.stderr.read() == (
        f"wordseq: error: {run}: process {trains.pid} is training into it; wait, stop it, or choose another run folder\n"
    )
    wait_for(trains, (run / "best.safetensors").is_file)
    for words in (["eval", run], ["describe", run], ["translate", run, "--input", run / "eval" / "test.src"]):
        done = wordseq(*words)
        assert (done.returncode, without_notes(done.stderr)) == (0, ""), words
    assert trains.poll() is None
    trains.send_signal(signal.SIGTERM)
    assert trains.wait(300) == 130


def catches_sigterm(process):
    """Whether the command is at work: before, Python itself starts."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 8))])
def test_stopped_before_training_it_prints_one_line(start, tmp_path, seed):
    run, chance = tmp_path / "run", random.Random(seed)
    process = start(*train_arguments(run, settings(write_pairs(tmp_path / "pairs.tsv"), *LONG)))
    wait_for(process, lambda: catches_sigterm(process))
    time.sleep(chance.random() * 6)
    process.send_signal((signal.SIGINT, signal.SIGTERM)[seed % 2])
    error = process.communicate(timeout=300)[1]
    saved = f"stopped; saved in {run}: the same command resumes it\n"
    assert (process.returncode, error) in ((130, "wordseq: error: interrupted\n"), (130, saved))
    assert not list(tmp_path.glob(".prepared/.tmp-*"))
    assert not (run / ".wordseq.lock").exists()
