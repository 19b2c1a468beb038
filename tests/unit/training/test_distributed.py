"""One process of a team, and replicas as threads; tests/system/test_several.py has several processes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from tests.eager import eagerly
from tests.runs import settings, write_pairs
from wordseq.batches.batching import make_batch
from wordseq.batches.id_store import IdStore
from wordseq.config.load import load_config
from wordseq.config.schema import ModelConfig, TrainConfig
from wordseq.models.seq2seq import Seq2Seq
from wordseq.system.errors import UserError
from wordseq.training import run as training_run
from wordseq.training.cluster import Cluster
from wordseq.training.distributed import ALONE, Follower, Team, join
from wordseq.training.loop import Progress
from wordseq.training.run import train_run
from wordseq.training.step import TeamTrainer, Trainer

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
        **{name: getattr(ALONE, name) for name in ("check_equal", "parts", "replicas", "scope")},
        # The chief has the references that the tokenizer of BLEU is chosen by.
        from_chief=lambda values: ["13a"] if values == [""] else values,
        chief=False,
    )
    config = load_config(None, settings(write_pairs(tmp_path / "pairs.tsv")))
    train_run(config, tmp_path / "run", say=lambda line: None, team=member)
    assert isinstance(seen[0], Follower)
    assert not (tmp_path / "run").exists()


class Replica:
    """TensorFlow's context of one replica; its `all_reduce` waits for the others, which run in threads of this process."""

    def __init__(self, rank, replicas):
        self.replica_id_in_sync_group = rank
        self._shared = replicas
        self._real = tf.distribute.get_replica_context()

    def all_reduce(self, _, values):
        shared = self._shared
        shared.given[self.replica_id_in_sync_group] = values
        shared.barrier.wait(60)
        sums = [tf.add_n(parts) for parts in zip(*shared.given, strict=True)]
        shared.barrier.wait(60)
        return sums

    def __getattr__(self, name):
        return getattr(self._real, name)


def test_replicas_make_the_update_of_one_process_dropout_and_predicted_inputs_included(monkeypatch):
    train = TrainConfig(shards=4, optimizer="sgd", learning_rate=0.5, clip_norm=0.5, average=0.9)
    small = {"embed_dim": 4, "hidden_size": 4, "bidirectional": False, "attention": "dot"}
    model = ModelConfig(cell="rnn", dropout=0.3, recurrent_dropout=0.2, context_dropout=0.1, word_dropout=0.1, **small)
    texts = IdStore.of([[4, 5], [6], [7, 8], [8], [5, 4]])
    batch = make_batch(texts, texts, np.arange(5))

    def updated(trainer):
        seed = np.array([1, 2], np.int32)
        figures = trainer.update_fed(batch.src_ids_bs, batch.tgt_ids_bt, np.float32(0.5), seed)
        return [float(figure) for figure in figures], trainer.arrays()

    contexts, real = threading.local(), tf.distribute.get_replica_context
    monkeypatch.setattr(tf.distribute, "get_replica_context", lambda: getattr(contexts, "own", None) or real())
    shared = SimpleNamespace(given=[None, None], barrier=threading.Barrier(2))
    strategy = SimpleNamespace(
        run=lambda work, arguments=(): work(*arguments), experimental_local_results=lambda value: (value,)
    )
    team = SimpleNamespace(strategy=strategy, replicas=2, processes=2, scope=nullcontext)

    def of_replica(rank):
        contexts.own = Replica(rank, shared)
        return updated(trainers[rank])

    with eagerly():
        figures, arrays = updated(Trainer(Seq2Seq(model, 9, 9), train))
        trainers = [TeamTrainer(Seq2Seq(model, 9, 9), train, team) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(of_replica, range(2)))
    for their_figures, theirs in found:
        assert their_figures == pytest.approx(figures, rel=1e-5)
        assert theirs.keys() == arrays.keys()
        for name, values in arrays.items():
            if name.startswith("seeds/"):
                np.testing.assert_array_equal(theirs[name], values, name)
            else:
                close(theirs[name], values, 1e-5)
