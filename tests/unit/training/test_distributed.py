"""One process of a team; tests/system/test_several.py has several."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tests.runs import settings, write_pairs
from wordseq.config.load import load_config
from wordseq.system.errors import UserError
from wordseq.training import run as training_run
from wordseq.training.cluster import Cluster
from wordseq.training.distributed import ALONE, Follower, Team, join
from wordseq.training.loop import Progress
from wordseq.training.run import train_run

CLUSTER = Cluster((("worker", 0), ("worker", 1), ("worker", 2)), ("a:1", "b:2", "c:3"), 0)


def team_of_three(others=lambda values: 0):
    """The chief of three processes; `others` is what the other two add to its sums."""
    strategy = SimpleNamespace(num_replicas_in_sync=3, reduce=lambda op, values, axis: values + others(values))
    return Team(strategy, CLUSTER)


def test_a_single_process_gets_its_own_values():
    value = object()
    assert ALONE.broadcast(0, value) is ALONE.from_chief(value) is value
    assert ALONE.arrays_from_chief(value) is value
    assert ALONE.after_step(1.5, True) == (1.5, True)
    assert (ALONE.chief, ALONE.replicas, ALONE.processes) == (True, 1, 1)
    ALONE.check_equal({"a": 1}, "settings")
    assert join(None, print) is ALONE


@pytest.mark.parametrize("value", [None, 0.1 + 0.2, "né", ["a"] * 1000, {"a": [1, 2.5, ""]}])
def test_a_broadcast_value_arrives_unchanged(value):
    assert team_of_three().from_chief(value) == value


def test_arrays_arrive_bit_for_bit():
    floats = np.array([[-0.0, np.nan, 1e-45], [np.inf, 1 / 3, -1e38]], np.float32)
    arrays = {"a": floats, "b": np.array([7, 2**32 - 1], np.uint32), "c": np.array(-5, np.int64), "d": floats.T}
    found = team_of_three().arrays_from_chief(arrays)
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_one_stop_request_stops_all_and_the_clock_is_the_chiefs():
    assert team_of_three().after_step(2.5, False) == (2.5, False)
    assert team_of_three().after_step(2.5, True) == (2.5, True)
    assert team_of_three(lambda values: tf.constant([0.0, 2.0], tf.float64)).after_step(2.5, False) == (2.5, True)


def test_the_process_with_another_value_is_named(monkeypatch):
    team = team_of_three()
    monkeypatch.setattr(team, "gather", lambda value: [value, value, {"train.seed": 2}])
    with pytest.raises(
        UserError, match=r"settings differ: train\.seed is 2 for worker 2 \(c:3\) and 1 for worker 0 \(a:1\)"
    ):
        team.check_equal({"train.seed": 1}, "settings")


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("reported from /job:worker/task:1: unhealthy:\n/job:worker/replica:0/task:1", r"worker 1 \(b:2\) was"),
        ("seen by /job:worker/task:0: /job:worker/replica:0/task:2", r"worker 2 \(c:3\) was"),
        ("Socket closed", r"worker 1 \(b:2\) or worker 2 \(c:3\) was"),
        ("/job:worker/task:9", r"worker 1 \(b:2\) or worker 2 \(c:3\) was"),
    ],
)
def test_the_lost_process_is_named_if_known(message, named):
    with pytest.raises(UserError, match=f"the connection to {named} lost"), team_of_three().watched():
        raise tf.errors.UnavailableError(None, None, message)


def test_a_single_process_keeps_the_errors_of_tensorflow():
    with pytest.raises(tf.errors.InternalError), ALONE.watched():
        raise tf.errors.InternalError(None, None, "a bug")


def test_a_follower_writes_nothing(tmp_path):
    run = Follower(tmp_path / "run")
    run.begin(None, None, None, {"data.json": {"tgt_per_src": 1.5}})
    run.save("last", {}, {})
    run.append_metrics({"step": 1})
    run.write_json("memory.json", {})
    assert run.tgt_per_src == 1.5
    assert not run.begun
    assert not list(tmp_path.iterdir())


def test_a_follower_needs_no_file_of_the_run(tmp_path, monkeypatch):
    """Everything up to the first update is computed, not read from the chief's folder."""
    seen = []
    monkeypatch.setattr(training_run, "train_model", lambda run, *rest: seen.append(run) or Progress())
    member = SimpleNamespace(
        **{name: getattr(ALONE, name) for name in ("check_equal", "from_chief", "parts", "replicas", "scope")},
        chief=False,
    )
    config = load_config(None, settings(write_pairs(tmp_path / "pairs.tsv")))
    train_run(config, tmp_path / "run", say=lambda line: None, team=member)
    assert isinstance(seen[0], Follower)
    assert not (tmp_path / "run").exists()
