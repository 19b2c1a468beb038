"""The benchmark: cost per token, synthetic sentences, turns, tables, and a complete tiny one. No time is asserted."""

import json
import sys
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from tests.closeness import close
from wordseq.batches.batching import make_batch, plan_epoch
from wordseq.benchmark import measure, processes
from wordseq.benchmark.measure import measure_growth, measure_parts, measure_speed
from wordseq.benchmark.processes import Key
from wordseq.benchmark.settings import QUICK, SYSTEMS, BenchSettings
from wordseq.benchmark.tables import bench_table, grow_table, parts_table
from wordseq.benchmark.workload import (
    PAIRS,
    SRC_SIZE,
    TGT_SIZE,
    head,
    model_config,
    reference_task,
    save,
    search_flop,
    synthetic_task,
    training_flop,
)
from wordseq.config.load import to_toml
from wordseq.config.schema import Config, ModelConfig, TrainConfig
from wordseq.models.matmul import PRECISIONS
from wordseq.system.errors import UserError
from wordseq.system.workers import Worker

pytestmark = pytest.mark.usefixtures("uncompiled")

ROW_KEYS = {
    *("system", "cell", "precision", "train_tokens_per_second", "peak_share", "greedy_sentences_per_second"),
    *("beam5_sentences_per_second", "batch1_ms", "cold_start_seconds", "peak_memory_mb"),
}
TINY = BenchSettings(
    cells=("gru",),
    precisions=("float32",),
    systems=("wordseq", "keras"),
    blocks=2,
    steps=2,
    sentences=6,
    singles=2,
    batch_size=4,
    peak_sizes=(16,),
)


def tiny_task():
    return synthetic_task(20, src_size=30, tgt_size=20, src_words=4, sentences=8)


def tiny_model(cell="gru"):
    return replace(model_config(cell, 8), embed_dim=4)


# --- what a token costs


def test_flop_counted_by_hand():
    """E = 2, H = 4, V = 10, an LSTM, sources of 5 tokens, as many target tokens."""
    products = [
        *((4, 10), (2, 16), (4, 16), (8, 4)),  # Logits; the decoder's input and recurrent product; combination.
        *((4, 5), (5, 4)),  # A row of scores over the source; their weighted sum.
        *((2, 8), (2, 8), (2, 8), (2, 8), (4, 4)),  # A source token: both directions' cells of 2 units; attention keys.
    ]
    forward = sum(2 * rows * columns for rows, columns in products)
    model = replace(model_config("lstm", 4), embed_dim=2)
    assert sum(training_flop(model, 10, src_per_tgt=1.0, src_tokens=5).values()) == 3 * forward


def test_the_reference_model_costs_39_mflop():
    task = synthetic_task(5000)
    lstm, gru = (training_flop(model_config(cell), TGT_SIZE, 1 / task.tgt_per_src, 13.4) for cell in ("lstm", "gru"))
    assert sum(lstm.values()) == pytest.approx(39e6, rel=0.02)
    assert [lstm[part] > gru[part] for part in ("encoder", "decoder", "attention", "vocabulary")] == [1, 1, 0, 0]


def test_the_formula_is_what_the_weights_say():
    """Without scores and context, each weight of a product costs 6 FLOP; encoder and keys once per source token."""
    from wordseq.models.seq2seq import Seq2Seq

    for cell in ("lstm", "gru", "rnn"):
        model = Seq2Seq(tiny_model(cell), 30, 20)
        # Matrices of products; embeddings are gathered, biases (two rows in a GRU) are added.
        sizes = {weight.path: int(np.prod(weight.shape)) for weight in model.trainable_weights if len(weight.shape) > 1}
        products = sum(size for path, size in sizes.items() if "embed" not in path and "bias" not in path)
        assert sum(training_flop(tiny_model(cell), 20, src_per_tgt=1.0, src_tokens=0).values()) == 6 * products


def test_the_parts_have_all_weights_and_each_one_once(tmp_path):
    from wordseq.benchmark.parts import Parts

    task = tiny_task()
    system = ours(task, tmp_path / "task.npz", Parts)
    parts = system.training_parts(np.ones((2, 3), int), np.ones((2, 4), int))
    found = [weight.path for part in parts.values() for weight in part.weights]
    assert sorted(found) == sorted(weight.path for weight in system._trainer.weights)
    before = [weight.numpy() for weight in system._trainer.weights]
    seconds = system.parts([np.arange(8)])
    assert list(seconds) == ["embeddings", "encoder", "decoder", "attention", "vocabulary", "update", "whole"]
    assert min(seconds.values()) > 0
    assert all(np.any(weight.numpy() != old) for weight, old in zip(system._trainer.weights, before, strict=True))


@pytest.mark.parametrize("beam_size", [1, 2])
def test_the_parts_of_a_search_are_timed_on_a_batch(tmp_path, beam_size):
    from wordseq.benchmark.parts import Parts

    seconds = ours(tiny_task(), tmp_path / "task.npz", Parts).search_parts(beam_size)
    assert list(seconds) == ["encoder", "cells", "attention", "vocabulary", "choice", "whole"]
    assert min(seconds.values()) > 0


def test_the_parts_of_a_step_in_sequence_equal_the_step():
    import tensorflow as tf

    from wordseq.benchmark.parts import SearchParts, SearchStep
    from wordseq.models.seq2seq import Seq2Seq

    model = Seq2Seq(tiny_model(), 30, 20)
    parts = SearchParts(model, [[5, 6], [7]], beam_size=2)
    memory, states = parts._encoded()
    states = tf.nest.map_structure(lambda part: tf.repeat(part, 2, axis=1), states)
    given, nothing = SearchStep(tf.constant([[5, 6], [7, 8]]), memory, states), tf.constant(0.0)
    hidden_nh = parts._cells(given, nothing)
    attended_bkh = parts._attention(given._replace(states=((tf.reshape(hidden_nh, [2, 2, -1]),),)), nothing)
    logits_bkv = parts._vocabulary(given._replace(states=((attended_bkh,),)), nothing)
    expected_bkv, _ = model.decoder_step(given.last_ids_bk, memory, states)
    close(tf.nn.log_softmax(logits_bkv), expected_bkv)


def test_flop_of_a_step_counted_by_hand():
    """E = 4, H = 8, V = 20, a GRU."""
    task = tiny_task()
    length = float(np.mean(task.sentences.lengths + 1))
    flop = search_flop(task, tiny_model(), sentences=3, beam_size=2)
    assert flop["cells"] == pytest.approx(6 * 2 * (4 + 8) * 3 * 8)
    assert flop["attention"] == pytest.approx(6 * 2 * (16 * 8 + 2 * 8 * length))
    assert flop["vocabulary"] == pytest.approx(6 * 2 * 8 * 20)
    assert flop["encoder"] == pytest.approx(3 * length * 2 * (2 * 4 * 3 * 4 + 2 * 4 * 3 * 4 + 8 * 8))
    assert flop["whole"] == pytest.approx(flop["cells"] + flop["attention"] + flop["vocabulary"])


# --- the task


def test_synthetic_sentences_have_the_shape_of_the_reference_task():
    task = synthetic_task()
    assert (len(task.src), len(task.tgt), task.src_size, task.tgt_size) == (PAIRS, PAIRS, SRC_SIZE, TGT_SIZE)
    for store, mean, spread, size in ((task.src, 12.4, 4.2, SRC_SIZE), (task.tgt, 13.0, 4.0, TGT_SIZE)):
        assert store.lengths.mean() == pytest.approx(mean, abs=0.3)
        assert store.lengths.std() == pytest.approx(spread, abs=1.0)
        assert store.lengths.min() >= 1
        assert store.flat.min() == 4
        assert store.flat.max() == size - 1
        assert np.bincount(store.flat)[4:8].tolist() == sorted(np.bincount(store.flat)[4:8], reverse=True)
    assert np.corrcoef(task.src.lengths, task.tgt.lengths)[0, 1] > 0.8
    np.testing.assert_array_equal(task.src.flat, synthetic_task().src.flat)


def test_without_the_corpus_the_task_is_synthetic(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORDSEQ_MIRROR", raising=False)
    assert "synthetic" in reference_task().origin
    with pytest.raises(UserError, match="no such file in the mirror"):
        reference_task(tmp_path)


def test_limits_equal_those_of_the_translator(tmp_path):
    from wordseq.benchmark.systems.wordseq import Ours

    task = head(tiny_task(), 5)
    system = ours(task, tmp_path / "task.npz", Ours)
    translator, texts, decode = system._decoding
    settings = replace(translator.config.decode, **decode)
    limits = [translator.limit(len(text.split()) + 1, settings) for text in texts]
    assert limits == task.limits.tolist()
    # Nothing ends before its limit, whatever the search.
    expected = (5, int((task.limits - 1).sum()))
    assert system.translate(5, 1, 3) == system.translate(5, 5, 2) == expected
    assert system.translate(1, 1, 1, first=2) == (1, int(task.limits[2]) - 1)


def ours(task, path, make):
    options = {
        "task": str(path),
        "model": vars(tiny_model()),
        "precision": "float32",
        "batch_size": 4,
        "threads": 0,
        "run": "",
    }
    save(task, plan_epoch(task.src, task.tgt, TrainConfig(seed=1, batch_size=4), 1), path)
    with np.load(path) as file:
        arrays = dict(file)
    return make(arrays, {**options, **json.loads(arrays["sizes"].tobytes())})


# --- the systems


@pytest.mark.slow
@pytest.mark.usefixtures("compiled")
def test_the_stock_keras_model_has_as_many_weights_and_learns(tmp_path):
    """The same number of parameters."""
    from wordseq.benchmark.systems.keras import Stock
    from wordseq.benchmark.systems.wordseq import Ours

    task = tiny_task()
    stock = ours(task, tmp_path / "task.npz", Stock)
    plan = [np.arange(8)] * 30
    stock.train(plan[:1])
    before = stock.model.get_metrics_result()["loss"]
    stock.train(plan)
    assert stock.model.get_metrics_result()["loss"] < before
    mine = ours(task, tmp_path / "task.npz", Ours)
    mine.train(plan[:1])
    assert stock.model.count_params() == mine._trainer.model.count_params()


def test_torch_decodes_to_the_limits_and_learns(tmp_path):
    torch = pytest.importorskip("torch")
    from wordseq.benchmark.systems.torch import Peer

    task = head(tiny_task(), 5)
    peer = ours(task, tmp_path / "task.npz", Peer)
    before = torch.clone(peer.network.logits.weight)
    peer.train([np.arange(8)])
    assert not torch.equal(before, peer.network.logits.weight)
    assert peer.translate(5, 1, 3) == (5, int((task.limits - 1).sum()))


def test_a_worker_that_stops_is_an_error_with_its_reason(tmp_path, monkeypatch):
    serving = "from wordseq.benchmark.worker import serve_system\ndef main(options): serve_system(None, options)\n"
    (tmp_path / "a_system.py").write_text(serving)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    options = {"threads": 0, "task": str(tmp_path / "none.npz")}
    message = r"stopped during 'train': FileNotFoundError.*none\.npz"
    with Worker("a_system", options, keep_errors=True) as worker, pytest.raises(UserError, match=message):
        worker.ask("train", first=0, steps=1)


FAILING = """
import os
from wordseq.benchmark.worker import serve_system

class Failing:
    versions = {"failing": "1"}

    def __init__(self, arrays, options):
        self.options = options
        self.trained = 0

    def train(self, plan):
        self.trained += 1
        if self.options["precision"] == "bfloat16" and self.trained > 1:
            raise RuntimeError("no bfloat16 on this machine\\nand more about it")

    def translate(self, count, beam_size, batch_size, first=0):
        if self.options["model"]["cell"] == "gru":
            os._exit(7)
        return count, 3

def main(options):
    serve_system(Failing, options)
"""


@pytest.fixture
def failing(tmp_path, monkeypatch):
    """Every system is one that fails to train in bfloat16, and exits when it decodes with a GRU."""
    (tmp_path / "failing_system.py").write_text(FAILING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(processes, "SYSTEMS", dict.fromkeys(SYSTEMS, "failing_system"))
    monkeypatch.setattr(processes, "PEAK_MODULE", "failing_system")
    monkeypatch.setattr(
        processes.Measurement, "_peak", lambda self, worker: self.peaks.update(float32=1.0, bfloat16=2.0)
    )
    monkeypatch.setattr(measure, "_check_torch", lambda python: None)


def test_a_system_that_fails_has_no_figures_but_a_reason(failing):
    said = []
    settings = replace(
        TINY, systems=("torch",), torch=sys.executable, cells=("lstm", "gru"), precisions=tuple(PRECISIONS)
    )
    result = json.loads(json.dumps(measure_speed(tiny_task(), settings, said.append)))
    rows = {(row["cell"], row["precision"]): row for row in result["rows"]}
    reasons = {
        ("lstm", "bfloat16"): "RuntimeError: no bfloat16 on this machine",
        ("gru", "bfloat16"): "RuntimeError: no bfloat16 on this machine",
        ("gru", "float32"): "exit code 7",
    }
    for (cell, precision), reason in reasons.items():
        row = rows.pop((cell, precision))
        figures = {name: value for name, value in row.items() if name not in ("system", "cell", "precision", "reason")}
        assert set(row) >= ROW_KEYS
        assert set(figures.values()) == {None}
        assert row["reason"] == reason
        note = f"torch {cell} {precision}: could not be measured: {reason}"
        assert (result["notes"].count(note), said.count(note)) == (1, 1)
    (row,) = rows.values()
    assert "reason" not in row
    assert min(row["train_tokens_per_second"], row["greedy_sentences_per_second"], row["cold_start_seconds"]) > 0
    lines = bench_table(result).splitlines()
    assert [line.count("–") for line in lines if line.startswith("torch ") and ":" not in line] == [1, 7, 7, 7]
    assert result["ratios"] == []


def test_ratios_leave_out_what_could_not_be_measured(failing):
    settings = replace(TINY, systems=("wordseq", "torch"), torch=sys.executable, cells=("lstm",), blocks=1)
    assert [ratio["measure"] for ratio in measure_speed(tiny_task(), settings, print)["ratios"]] == ["train", "greedy"]
    settings = replace(settings, precisions=("bfloat16",))
    with pytest.raises(UserError, match="failing_system: could not train: RuntimeError: no bfloat16 on this machine"):
        measure_speed(tiny_task(), settings, print)


def test_an_interpreter_without_torch_is_an_error(tmp_path):
    settings = replace(TINY, systems=("torch",), torch=str(tmp_path / "python"))
    with pytest.raises(UserError, match="does not start"):
        measure_speed(tiny_task(), settings, print)
    with pytest.raises(UserError, match=r"not a trained run: it has no config\.toml"):
        measure_speed(tiny_task(), replace(TINY, run=tmp_path), print)


def test_a_run_whose_cell_has_no_formula_is_an_error(tmp_path):
    (tmp_path / "config.toml").write_text(to_toml(Config(model=ModelConfig(cell="sru"))))
    (tmp_path / "best.safetensors").touch()
    with pytest.raises(UserError, match=r"cannot measure model\.cell = 'sru'; give a run with lstm, gru, rnn"):
        measure_speed(tiny_task(), replace(TINY, run=tmp_path), print)


# --- figures


class FakeWorker:
    """Answers at once with fixed times, and records the order of the requests, and how many cores each process gets."""

    asked: ClassVar[list] = []
    cores: ClassVar[list] = []

    def __init__(self, module, options, python="", *, threads, **limits):
        self.cores.append(threads)
        self.name = f"{module.rpartition('.')[2]} {options.get('precision', '')}".strip()
        self.blocks = 0

    def ask(self, action, **arguments):
        self.asked.append((self.name, action))
        self.blocks += action == "train"
        seconds = {"wordseq": 1.0, "keras": 4.0, "torch": 2.0 * self.blocks}.get(self.name.split()[0], 1.0)
        answers = {
            "peak": {"gflops": 1.0},
            "parts": {"decoder": 3.0, "update": 1.0, "whole": 6.0},
            "search_parts": {"encoder": 5.0, "vocabulary": 1.0, "choice": 1.0, "whole": 4.0},
            "status": {"megabytes": 12.3, "versions": {self.name: "1"}},
            "train": {"seconds": seconds},
            "translate": {"seconds": seconds, "sentences": 3 if "torch" in self.name else 6, "tokens": 30},
            "singles": {"milliseconds": [3.0, 5.0]},
        }
        return answers[action]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(processes, "Worker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "asked", [])
    monkeypatch.setattr(FakeWorker, "cores", [])
    monkeypatch.setattr(measure, "_check_torch", lambda python: None)
    settings = replace(TINY, systems=("wordseq", "keras", "torch"), torch="python", precisions=tuple(PRECISIONS))
    task = tiny_task()
    return task, measure_speed(task, settings, lambda line: None, {"gru": tiny_model()})


def test_figures_are_medians_over_blocks_and_the_share_of_the_peak(fake):
    task, result = fake
    rows = {Key(row["system"], row["cell"], row["precision"]): row for row in result["rows"]}
    assert len(rows) == 5
    plan = plan_epoch(task.src, task.tgt, TrainConfig(seed=1, batch_size=4), 1)
    tokens = sum(make_batch(task.src, task.tgt, rows).tokens for rows in plan[:2])
    row = rows["wordseq", "gru", "float32"]
    assert row["train_tokens_per_second"] == tokens
    flop = sum(training_flop(tiny_model(), 20, 1 / task.tgt_per_src, float((task.src.lengths + 1).mean())).values())
    assert row["peak_share"] == round(tokens * flop / 1e9, 4) > 0
    assert (row["greedy_sentences_per_second"], row["beam5_sentences_per_second"], row["batch1_ms"]) == (6.0, 6.0, 4.0)
    assert (row["decoded_tokens"], row["peak_memory_mb"]) == (5.0, 12)
    assert rows["keras", "gru", "float32"]["greedy_sentences_per_second"] is None
    assert rows["torch", "gru", "float32"]["beam5_sentences_per_second"] is None


def test_ratios_compare_the_blocks_that_followed_each_other(fake):
    _, result = fake
    ratios = {(r["measure"], r["against"], r["precision"]): r for r in result["ratios"]}
    assert ratios["train", "keras", "float32"]["ratio"] == 4.0
    # Its blocks took 4 and 6 seconds after a warm-up of 2.
    assert (ratios["train", "torch", "bfloat16"]["ratio"], ratios["train", "torch", "bfloat16"]["range"]) == (
        5.0,
        [4, 6],
    )
    # In 6 seconds it translates half as many sentences as we in one.
    assert ratios["greedy", "torch", "float32"]["range"] == [12, 12]
    assert ("train", "keras", "bfloat16") not in ratios


def test_the_systems_take_turns(fake):
    trained = [name for name, action in FakeWorker.asked if action == "train"]
    round_ = ["wordseq float32", "wordseq bfloat16", "keras float32", "torch float32", "torch bfloat16"]
    assert trained == round_ * 3


def test_tables_show_every_figure_or_a_dash(fake):
    _, result = fake
    table = bench_table(result)
    lines = table.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("system"))
    assert lines[start].split() == (
        [
            "system",
            "cell",
            "precision",
            "tokens/s",
            "of",
            "peak",
            "greedy/s",
            "beam",
            "5/s",
            "one,",
            "ms",
            "start,",
            "s",
            "MB",
        ]
    )
    assert lines[start + 3].split()[:3] == ["keras", "gru", "float32"]
    assert lines[start + 3].count("–") == 4
    assert "training, gru float32: 4.00 times as fast as keras (4.00 to 4.00)" in lines
    assert "1 GFLOP/s in bfloat16" in table
    assert "20 synthetic pairs" in table


@pytest.mark.parametrize("what", ["hidden", "length", "threads"])
def test_growth_has_a_row_for_each_value(fake, what):
    FakeWorker.cores.clear()
    result = measure_growth(what, replace(TINY, systems=("wordseq",)), lambda line: None, values=(2, 4))
    assert [row[what] for row in result["rows"]] == [2, 4]
    costs = [row["mflop_per_token"] for row in result["rows"]]
    assert what != "hidden" or costs[0] < costs[1]
    assert list(dict.fromkeys(FakeWorker.cores)) == ([2, 4] if what == "threads" else [0])
    assert grow_table(result).splitlines()[0].split()[:3] == [what, "cell", "precision"]


def test_parts_have_the_time_of_their_products_at_the_peak(fake):
    task, _ = fake
    result = measure_parts(task, replace(TINY, systems=("wordseq",)), lambda line: None)
    rows = {row["part"]: row for row in result["rows"]}
    # 3 seconds a block of 2 updates.
    assert (rows["decoder"]["milliseconds"], rows["decoder"]["share"], rows["whole"]["share"]) == (1500, 0.5, 1)
    assert rows["update"]["products_ms"] is None
    assert 0 < rows["decoder"]["products_ms"] < rows["whole"]["products_ms"]
    searches = {(row["search"], row["part"]): row for row in result["search_rows"]}
    assert [searches[name, "choice"]["share"] for name in ("greedy", "beam 5")] == [0.25, 0.25]
    assert searches["greedy", "choice"]["products_ms"] is None
    assert 0 < searches["greedy", "whole"]["products_ms"] < searches["beam 5", "whole"]["products_ms"]
    headings = [line.split()[:5] for line in parts_table(result).splitlines() if "precision" in line]
    assert headings == [["part", "cell", "precision", "ms", "share"], ["search", "part", "cell", "precision", "ms"]]


def test_a_search_is_compared_with_the_peak_of_one_of_the_processors_that_are_used(fake, monkeypatch):
    task, _ = fake
    monkeypatch.setattr(measure, "processors", lambda: 4)
    found = {}
    for threads in (0, 1, 2):
        result = measure_parts(task, replace(TINY, systems=("wordseq",), threads=threads), lambda line: None)
        found[threads] = {(row["search"], row["part"]): row["products_ms"] for row in result["search_rows"]}
    for key, alone in found[1].items():
        if alone is not None:
            # All are rounded to 0.01 ms.
            assert [found[threads][key] for threads in (2, 0)] == pytest.approx([2 * alone, 4 * alone], abs=0.03)
    assert found[1]["beam 5", "whole"] > 0.1


@pytest.mark.slow
def test_a_complete_tiny_benchmark():
    """Real processes."""
    said = []
    # A product so large that a slow machine's GFLOP/s are not 0.0.
    settings = replace(TINY, systems=("wordseq",), blocks=1, peak_sizes=(256,))
    result = json.loads(json.dumps(measure_speed(tiny_task(), settings, said.append, {"gru": tiny_model()})))
    assert {"gemm_peak_gflops", "rows", "ratios", "machine", "commit", "versions", "notes", "task"} <= set(result)
    assert [row["system"] for row in result["rows"]] == ["wordseq"]
    for row in result["rows"]:
        assert set(row) >= ROW_KEYS
        assert row["train_tokens_per_second"] > 0
        assert row["peak_memory_mb"] > 50
    assert result["rows"][0]["beam5_sentences_per_second"] > 0
    assert result["gemm_peak_gflops"]["float32"] > 0
    assert "tensorflow" in result["versions"]
    assert said[0] == "training, warm-up: wordseq gru float32"
    assert bench_table(result)
    assert QUICK["blocks"] == 1
