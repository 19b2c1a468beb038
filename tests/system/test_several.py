"""Several processes that train one model, on this machine, and several devices of one process."""

import json
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.runs import TIMES, USUAL_MODEL, command, entries, environment, settings, train_arguments, write_pairs
from tests.runs import wordseq as run_wordseq
from wordseq.runs.folder import LAST, RunFolder

pytestmark = pytest.mark.slow  # Eight starts of TensorFlow and as many compilations.

SHORT = (
    *("train.max_steps=12", "train.validate_steps=5", "train.shards=2", "train.max_epochs=1000", "train.average=0.9"),
    *USUAL_MODEL,
)
LONG = (*SHORT[1:], "train.max_steps=5000", "train.patience=0")
DEVICES = """
import sys
from pathlib import Path
from wordseq.system.tensorflow import import_tensorflow
import_tensorflow(start=False)
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from wordseq.config.load import load_config
from wordseq.training.distributed import Team
from wordseq.training.run import train_run
team = Team(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
train_run(load_config(None, sys.argv[2:]), Path(sys.argv[1]), team=team)
"""


def free_ports(number):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(folder, sets, others=None):
    """Two workers, each with its own folder; the second may have other settings."""
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    processes = []
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        words = command(*train_arguments(folder / str(index) / "run", others or sets if index else sets))
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(words, env={**environment(), "TF_CONFIG": json.dumps(task)}, **pipes))
    return processes


def wait_for_step(processes, run, step):
    """Until the log has the update."""
    path, end = run / "metrics.jsonl", time.monotonic() + 600
    while all(process.poll() is None for process in processes) and time.monotonic() < end:
        if path.exists() and any(entry["step"] >= step for entry in entries(run)):
            return
        time.sleep(0.05)
    raise AssertionError([process.communicate(timeout=300) for process in processes])


def state_of(run):
    return RunFolder(run).header(LAST).state


def assert_close(ours, theirs):
    """Checkpoints: weights and moments within 1e-6, seeds of dropout and counts equal."""
    for name in ("best", "last"):
        mine, other = (load_file(run / f"{name}.safetensors") for run in (ours, theirs))
        assert mine.keys() == other.keys()
        for key, value in mine.items():
            if value.dtype == np.float32:
                np.testing.assert_allclose(value, other[key], atol=1e-6, rtol=0, err_msg=key)
            else:
                np.testing.assert_array_equal(value, other[key], err_msg=key)
    for mine, other in zip(entries(ours), entries(theirs), strict=True):
        assert_alike(mine, other)
    states = [{key: value for key, value in state_of(run).items() if key not in TIMES} for run in (ours, theirs)]
    assert_alike(*states)


def assert_alike(mine, other):
    """Figures up to rounding; everything else as it is."""
    assert mine.keys() == other.keys()
    for key, value in mine.items():
        assert value == (pytest.approx(other[key], rel=1e-5) if isinstance(value, float) else other[key]), key


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process, and the data."""
    folder = tmp_path_factory.mktemp("alone")
    pairs = write_pairs(folder / "pairs.tsv")
    done = run_wordseq(*train_arguments(folder / "run", settings(pairs, *SHORT)))
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "run", pairs


def test_two_workers_equal_one_process_dropout_included(tmp_path, alone):
    run, pairs = alone
    processes = start(tmp_path, settings(pairs, *SHORT))
    said = [process.communicate(timeout=900) for process in processes]
    assert [(process.returncode, error) for process, (_, error) in zip(processes, said, strict=True)] == [(0, "")] * 2
    assert "held-out test BLEU" in said[0][0]
    assert "written and scored by worker 0" in said[1][0]
    assert_close(tmp_path / "0" / "run", run)
    assert not (tmp_path / "1" / "run").exists()


@pytest.mark.long
def test_two_devices_equal_one(tmp_path, alone):
    run, pairs = alone
    words = [sys.executable, "-c", DEVICES, str(tmp_path / "run"), *settings(pairs, *SHORT)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert_close(tmp_path / "run", run)


@pytest.mark.long
def test_a_lost_worker_is_reported_and_both_resume(tmp_path, alone):
    run, steps = tmp_path / "0" / "run", [0]
    for victim, number in ((1, signal.SIGKILL), (0, signal.SIGKILL), (1, signal.SIGINT)):
        processes = start(tmp_path, settings(alone[1], *LONG))
        wait_for_step(processes, run, steps[-1] + 12)
        processes[victim].send_signal(number)
        errors = [process.communicate(timeout=200)[1] for process in processes]
        codes = [process.returncode for process in processes]
        steps.append(state_of(run)["step"])
        assert steps[-1] >= steps[-2] + 10, "it went on from the last checkpoint"
        if number == signal.SIGINT:
            assert codes == [130, 130]
            assert all("stopped; saved in" in error and error.count("\n") == 1 for error in errors)
        else:
            assert (codes[victim], codes[1 - victim]) == (-number, 2)
            assert errors[1 - victim].startswith(f"wordseq: error: the connection to worker {victim} (localhost:")
            assert errors[1 - victim].count("\n") == 1
    found = [entry["step"] for entry in entries(run) if entry["kind"] == "train"]
    assert found == list(range(1, steps[-1] + 1))


@pytest.mark.long
def test_workers_with_different_settings_name_them(tmp_path, alone):
    sets = settings(alone[1], *SHORT)
    processes = start(tmp_path, sets, [*sets, "train.seed=2"])
    for process in processes:
        error = process.communicate(timeout=200)[1]
        assert process.returncode == 2
        assert error.startswith("wordseq: error: settings differ: train.seed is 2 for worker 1 (")
        assert error.count("\n") == 1
    assert not (tmp_path / "0" / "run").exists()


def test_a_wrong_tf_config_is_an_error_of_one_line(tmp_path):
    words = command(*train_arguments(tmp_path / "run", []))
    environ = {
        **environment(),
        "TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 2}}',
    }
    done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith('wordseq: error: environment variable TF_CONFIG index in "task" must be')
    assert done.stderr.count("\n") == 1
