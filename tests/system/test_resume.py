"""A run that is killed repeatedly in every way equals an uninterrupted one: bit for bit."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from tests.runs import USUAL_MODEL, command, entries, environment, settings, train_arguments, write_pairs
from wordseq.runs.folder import LAST, RunFolder

pytestmark = pytest.mark.slow  # Trainings that are killed: more than a minute.

STEPS = 240
LONG = (
    *USUAL_MODEL,
    *("train.max_epochs=1000", f"train.max_steps={STEPS}", "train.patience=0", "train.validate_steps=30"),
)
BLOWS = (
    # Lines in metrics.jsonl before the signal, the signal, and its exit code.
    (20, signal.SIGINT, 130),
    (70, signal.SIGTERM, 130),
    (130, signal.SIGKILL, -signal.SIGKILL),
)


def start(folder, pairs):
    words = command(*train_arguments(folder, settings(pairs, *LONG)))
    return subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for_lines(process, folder, number):
    path, end = folder / "metrics.jsonl", time.monotonic() + 300
    while process.poll() is None and time.monotonic() < end:
        if path.exists() and path.read_bytes().count(b"\n") >= number:
            return
        time.sleep(0.005)
    raise AssertionError(f"it ended with {process.returncode} before {number} lines: {process.stderr.read()}")


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """The folders of two runs, one of them disturbed; what each disturbed process left behind."""
    folder = tmp_path_factory.mktemp("resume")
    pairs, left = write_pairs(folder / "pairs.tsv"), []
    whole = start(folder / "whole", pairs)
    for lines, number, _ in BLOWS:
        process = start(folder / "parts", pairs)
        wait_for_lines(process, folder / "parts", lines)
        process.send_signal(number)
        error = process.communicate(timeout=300)[1]
        left.append((process.returncode, error, RunFolder(folder / "parts").header(LAST).state))
    (folder / "parts" / ".last.safetensors.k1ll3d00").write_bytes(b"what a kill in the middle of writing leaves")
    last = start(folder / "parts", pairs)
    for process in (last, whole):
        error = process.communicate(timeout=300)[1]
        assert (process.returncode, error) == (0, "")
    return folder, left


def test_signals_save_and_print_how_to_resume(disturbed):
    folder, left = disturbed
    for (code, error, _), (_, number, expected) in zip(left, BLOWS, strict=True):
        assert code == expected
        said = f"stopped; saved in {folder / 'parts'}: the same command resumes it\n"
        assert error == ("" if number == signal.SIGKILL else said)


def test_the_signals_came_in_the_middle_of_training(disturbed):
    steps = [state["step"] for _, _, state in disturbed[1]]
    assert 0 < steps[0] < steps[1] < STEPS
    assert steps[1] <= steps[2] < STEPS
    assert steps[2] % 30 == 0 or steps[2] == steps[1]  # a kill leaves the last validation's checkpoint
    batches = [state["batch"] for _, _, state in disturbed[1][:2]]
    assert any(batch > 0 for batch in batches)


def test_the_log_is_that_of_an_undisturbed_run(disturbed):
    parts, whole = (entries(disturbed[0] / name) for name in ("parts", "whole"))
    assert parts == whole
    assert [entry["step"] for entry in whole if entry["kind"] == "train"] == list(range(1, STEPS + 1))


@pytest.mark.parametrize("name", ["best", "last"])
def test_the_checkpoints_are_equal_bit_for_bit(disturbed, name):
    parts, whole = (load_file(disturbed[0] / which / f"{name}.safetensors") for which in ("parts", "whole"))
    assert parts.keys() == whole.keys()
    for key, value in whole.items():
        assert parts[key].tobytes() == value.tobytes(), key


def test_the_held_out_translations_are_the_same(disturbed):
    parts, whole = (disturbed[0] / which / "eval" for which in ("parts", "whole"))
    assert (parts / "test.hyp").read_bytes() == (whole / "test.hyp").read_bytes()
    scores = [json.loads((folder / "test.json").read_text())["bleu"] for folder in (parts, whole)]
    assert scores[0] == scores[1]


def test_no_partial_file_is_left(disturbed):
    folders = [{path.name for path in (disturbed[0] / which).iterdir()} for which in ("parts", "whole")]
    assert folders[0] == folders[1]


def test_this_process_gives_the_losses_of_the_others(disturbed, tmp_path: Path):
    """The same seed gives the same losses in another process, which has other things in memory."""
    from wordseq.config.load import load_config
    from wordseq.training.run import train_run

    short = [*settings(disturbed[0] / "pairs.tsv", *LONG), "train.max_steps=30"]
    train_run(load_config(None, short), tmp_path / "run", say=lambda line: None)
    ours = entries(tmp_path / "run")
    assert len(ours) == 31
    assert ours == entries(disturbed[0] / "whole")[:31]
