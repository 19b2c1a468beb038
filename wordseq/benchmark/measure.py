"""Measures: which system computes when, and what its times come to. Imports no TensorFlow, and computes nothing meanwhile."""

import dataclasses
import importlib.util
import itertools
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from wordseq.batches.batching import plan_epoch
from wordseq.benchmark.settings import GATES, GROWTH, PARTS_MODULE, SYSTEMS, BenchSettings
from wordseq.benchmark.workers import Worker
from wordseq.benchmark.workload import TGT_SIZE, Task, head, model_config, save, synthetic_task, training_flop
from wordseq.config.load import config_from_dict, read_toml
from wordseq.config.schema import SECTIONS, ModelConfig
from wordseq.system.errors import UserError
from wordseq.system.platform import commit, machine, processors

Say = Callable[[str], None]

Answers = list[dict[str, Any]]

BEAMS: Mapping[str, tuple[int, ...]] = MappingProxyType({"wordseq": (1, 5), "keras": (), "torch": (1,)})
"""Beam sizes that a system can decode with."""

NO_MODELS: Mapping[str, ModelConfig] = MappingProxyType({})

PEAK_REPEATS = 3

COLD_STARTS = 3
"""Most fresh processes a system whose start is timed."""


class Key(NamedTuple):
    """What a row of figures is of."""

    system: str
    cell: str
    precision: str


def bench(
    task: Task, settings: BenchSettings, say: Say = print, models: Mapping[str, ModelConfig] = NO_MODELS
) -> dict[str, Any]:
    """Training and decoding speed of all systems, in turn, block by block; medians over the blocks.

    Args:
        task: what is trained and decoded.
        settings: sizes.
        say: hears what is being measured, a line at a time.
        models: other models than the reference model, by cell.

    Returns:
        `gemm_peak_gflops` by precision; `rows`, see `_row`; `ratios`, see `_ratios`; `notes`; `task`, `mflop_per_token` by
        cell, `settings`, `machine`, `versions`, `commit`, `date`.

    Raises:
        UserError: a system cannot be started or stops; a run or an interpreter that cannot be used.
    """
    run_cell = _cell_of(settings.run) if settings.run else ""
    systems, notes = _available(settings)
    task = head(task, settings.sentences)
    models = {cell: models.get(cell, model_config(cell)) for cell in settings.cells}
    flop = {cell: _flop(task, model) for cell, model in models.items()}
    found: dict[Key, dict[str, Answers]] = {}
    peaks: dict[str, float] = dict.fromkeys(settings.precisions, 0.0)
    versions: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        measurement = _Measurement(settings, task, Path(folder) / "task.npz", say)
        for cell in settings.cells:
            run = str(settings.run.resolve()) if settings.run and cell == run_cell else ""
            keys = [
                Key(system, cell, precision)
                for system, precision in itertools.product(systems, settings.precisions)
                if (system, precision) != ("keras", "bfloat16")
            ]
            found |= measurement.of_cell(keys, models[cell], run, peaks, versions)
    rows = [_row(key, found[key], flop[key.cell], peaks[key.precision], measurement) for key in found]
    return {
        "task": task.origin,
        "mflop_per_token": {cell: round(value / 1e6, 2) for cell, value in flop.items()},
        "gemm_peak_gflops": {precision: round(value, 1) for precision, value in peaks.items()},
        "rows": rows,
        "ratios": _ratios(found),
        "notes": [*notes, *_notes(settings, run_cell)],
        **_provenance(settings, versions),
    }


def grow(what: str, settings: BenchSettings, say: Say = print, values: Sequence[int] = ()) -> dict[str, Any]:
    """How training speed and memory of wordseq change with one size; synthetic sentences.

    Args:
        what: a key of `GROWTH`.
        settings: sizes; `cells` and `precisions` say what is trained.
        say: hears what is being measured, a line at a time.
        values: instead of those of `GROWTH`.

    Returns:
        `grow` and `rows`, each with the value under the name `what`, `cell`, `precision`, `train_tokens_per_second`,
        `mflop_per_token`, `peak_memory_mb`, `plan_seconds` (to plan the batches of an epoch); provenance as `bench`.

    Raises:
        UserError: the system stops.
    """
    rows = []
    versions: dict[str, str] = {}
    for value, cell in itertools.product(values or GROWTH[what], settings.cells):
        task, model, threads = _grown(what, value, cell)
        with tempfile.TemporaryDirectory() as folder:
            sized = dataclasses.replace(settings, threads=threads or settings.threads)
            measurement = _Measurement(sized, task, Path(folder) / "task.npz", say)
            for precision in settings.precisions:
                say(f"{what} {value:,}: {cell} {precision}")
                key = Key("wordseq", cell, precision)
                with measurement.started([key], model, "") as workers:
                    blocks, status = measurement.train(workers)[key], workers[key].ask("status")
                versions |= status["versions"]
                rows.append(
                    {
                        what: value,
                        "cell": cell,
                        "precision": precision,
                        "train_tokens_per_second": round(
                            median(measurement.tokens / block["seconds"] for block in blocks), 1
                        ),
                        "mflop_per_token": round(_flop(task, model) / 1e6, 2),
                        "peak_memory_mb": round(status["megabytes"]),
                        "plan_seconds": round(measurement.plan_seconds, 3),
                    }
                )
    return {"grow": what, "rows": rows, "notes": ["synthetic sentences"], **_provenance(settings, versions)}


def parts(task: Task, settings: BenchSettings, say: Say = print) -> dict[str, Any]:
    """Where the time of an update and of a search goes, beside the time that the products would take at the machine's peak.

    A part is measured by itself, forward and backward; in the whole, parts of different shards run side by side, so that the
    sum of the parts may be more.

    Args:
        task: what is trained.
        settings: sizes; `cells` and `precisions` say what is trained.
        say: hears what is being measured, a line at a time.

    Returns:
        `gemm_peak_gflops`, `tokens_per_update`, and `rows`: `part`, `cell`, `precision`, `milliseconds` an update, `share` of
        the whole, `products_ms` at the peak; `search_rows` the same of a step of each `search`; provenance as `bench`.

    Raises:
        UserError: the system stops.
    """
    rows: list[dict[str, Any]] = []
    search_rows: list[dict[str, Any]] = []
    peaks: dict[str, float] = dict.fromkeys(settings.precisions, 0.0)
    versions: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        measurement = _Measurement(settings, task, Path(folder) / "task.npz", say)
        tokens = measurement.tokens / settings.steps
        for cell, precision in itertools.product(settings.cells, settings.precisions):
            model = model_config(cell)
            found, searches, worker_versions = measurement.parts(model, precision, peaks)
            versions |= worker_versions
            names = {"cell": cell, "precision": precision}
            flop = {name: value * tokens for name, value in _flop_parts(task, model).items()}
            flop["whole"] = sum(flop.values())
            rows += _part_rows(names, found, settings.steps, flop, peaks[precision])
            for beam_size, blocks in searches.items():
                flop = _search_flop(task, model, settings.batch_size, beam_size)
                search = {"search": "greedy" if beam_size == 1 else f"beam {beam_size}", **names}
                # Each search runs on one processor.
                search_rows += _part_rows(
                    search, blocks, 1, flop, peaks[precision] / (settings.threads or processors())
                )
    return {
        "task": task.origin,
        "tokens_per_update": round(tokens),
        "gemm_peak_gflops": {precision: round(value, 1) for precision, value in peaks.items()},
        "rows": rows,
        "search_rows": search_rows,
        "notes": [
            "each part by itself, in training forward and backward; products: those of real tokens, at the peak",
            f"a search's step for {settings.batch_size} sentences on one processor; encoder: once for all steps",
        ],
        **_provenance(settings, versions),
    }


def _part_rows(
    names: Mapping[str, str],
    blocks: Sequence[Mapping[str, float]],
    times: int,
    flop: Mapping[str, float],
    peak: float,
) -> list[dict[str, Any]]:
    """A row of figures for each part, each gone through so many times a block; `flop` of its products, `peak` in GFLOP/s."""
    milliseconds = {name: 1000 * median(block[name] for block in blocks) / times for name in blocks[0]}
    return [
        {
            "part": name,
            **names,
            "milliseconds": round(value, 2),
            "share": round(value / milliseconds["whole"], 4),
            "products_ms": round(flop[name] / peak / 1e6, 2) if name in flop else None,
        }
        for name, value in milliseconds.items()
    ]


class _Measurement:
    """A task written for the child processes, and the blocks that they go through in turn."""

    def __init__(self, settings: BenchSettings, task: Task, path: Path, say: Say) -> None:
        self.settings, self.task, self.path, self.say = settings, task, path, say
        start = time.perf_counter()
        plan = plan_epoch(task.src, task.tgt, seed=1, epoch=1, batch_size=settings.batch_size)
        self.plan_seconds = time.perf_counter() - start
        save(task, plan, path)
        self.tokens = sum(int((task.tgt.lengths[plan[step % len(plan)]] + 1).sum()) for step in range(settings.steps))
        """Real target tokens of a block: words and ends."""

    def of_cell(
        self, keys: Sequence[Key], model: ModelConfig, run: str, peaks: dict[str, float], versions: dict[str, str]
    ) -> dict[Key, dict[str, Answers]]:
        """Answers of each system by what was asked; `peaks` and `versions` are brought up to date."""
        found: dict[Key, dict[str, Answers]] = {key: {} for key in keys}
        with Worker("wordseq.benchmark.peak", {"threads": self.settings.threads}) as machine_peak:
            with self.started(keys, model, run) as workers:
                _gather(found, "train", self.train(workers, lambda: self._peak(machine_peak, peaks)))
                for key, worker in workers.items():
                    found[key]["status"] = [worker.ask("status")]
                    versions |= found[key]["status"][0]["versions"]
                self._decode(found, workers)
            self._peak(machine_peak, peaks)
        _gather(found, "cold", self._cold_starts([key for key in keys if BEAMS[key.system]], model, run))
        return found

    @contextmanager
    def started(self, keys: Sequence[Key], model: ModelConfig, run: str) -> Iterator[dict[Key, Worker]]:
        """A child process for each key, ended at the end."""
        with ExitStack() as stack:
            yield {key: stack.enter_context(self._worker(key, model, run)) for key in keys}

    def train(self, workers: Mapping[Key, Worker], between: Callable[[], None] = lambda: None) -> dict[Key, Answers]:
        """Blocks of updates in turn, after one that is not counted."""
        steps = self.settings.steps
        return self._in_turn("training", workers, between, "train", first=0, steps=steps)

    def parts(
        self, model: ModelConfig, precision: str, peaks: dict[str, float]
    ) -> tuple[list[dict[str, float]], dict[int, list[dict[str, float]]], dict[str, str]]:
        """Seconds by part of each block after one that is not counted, of training and, by beam size, of search; versions.

        `peaks` is brought up to date.
        """
        key = Key("wordseq", model.cell, precision)
        with (
            Worker("wordseq.benchmark.peak", {"threads": self.settings.threads}) as machine_peak,
            Worker(PARTS_MODULE, self._options(key, model, "")) as worker,
        ):
            found = []
            searches: dict[int, list[dict[str, float]]] = {beam_size: [] for beam_size in BEAMS["wordseq"]}
            for block in range(self.settings.blocks + 1):
                self.say(f"parts, {f'block {block}' if block else 'warm-up'}: {' '.join(key)}")
                found.append(worker.ask("parts", steps=self.settings.steps))
                for beam_size, blocks in searches.items():
                    blocks.append(worker.ask("search_parts", beam_size=beam_size))
                self._peak(machine_peak, peaks)
            counted = {beam_size: blocks[1:] for beam_size, blocks in searches.items()}
            return found[1:], counted, worker.ask("status")["versions"]

    def _decode(self, found: dict[Key, dict[str, Answers]], workers: Mapping[Key, Worker]) -> None:
        """Greedy, beam and one sentence at a time, in turn."""
        whole, number = self.settings.batch_size, len(self.task.sentences)
        single = min(self.settings.singles, number)
        for beam_size, name in ((1, "greedy"), (5, "beam5")):
            able = {key: worker for key, worker in workers.items() if beam_size in BEAMS[key.system]}
            answers = self._in_turn(name, able, None, "translate", count=number, beam_size=beam_size, batch_size=whole)
            _gather(found, name, answers)
        able = {key: worker for key, worker in workers.items() if BEAMS[key.system]}
        _gather(found, "singles", self._in_turn("one at a time", able, None, "singles", count=single))

    def _in_turn(
        self,
        name: str,
        workers: Mapping[Key, Worker],
        between: Callable[[], None] | None,
        action: str,
        **arguments: Any,
    ) -> dict[Key, Answers]:
        answers: dict[Key, Answers] = {key: [] for key in workers}
        for block in range(self.settings.blocks + 1):
            for key, worker in workers.items():
                self.say(f"{name}, {f'block {block}' if block else 'warm-up'}: {' '.join(key)}")
                answer = worker.ask(action, **arguments)
                if block:
                    answers[key].append(answer)
            if between:
                between()
        return answers

    def _cold_starts(self, keys: Sequence[Key], model: ModelConfig, run: str) -> dict[Key, Answers]:
        answers: dict[Key, Answers] = {key: [] for key in keys}
        for _, key in itertools.product(range(min(COLD_STARTS, self.settings.blocks)), keys):
            self.say(f"cold start: {' '.join(key)}")
            start = time.perf_counter()
            with self._worker(key, model, run) as worker:
                worker.ask("translate", count=1, beam_size=1, batch_size=1)
                answers[key].append({"seconds": time.perf_counter() - start})
        return answers

    def _worker(self, key: Key, model: ModelConfig, run: str) -> Worker:
        python = self.settings.torch if key.system == "torch" else ""
        return Worker(SYSTEMS[key.system], self._options(key, model, run), python)

    def _options(self, key: Key, model: ModelConfig, run: str) -> dict[str, Any]:
        return {
            "task": str(self.path),
            "model": dataclasses.asdict(model),
            "precision": key.precision,
            "batch_size": self.settings.batch_size,
            "threads": self.settings.threads,
            "run": run,
        }

    def _peak(self, worker: Worker, peaks: dict[str, float]) -> None:
        for precision, best in peaks.items():
            answer = worker.ask("peak", precision=precision, sizes=self.settings.peak_sizes, repeats=PEAK_REPEATS)
            peaks[precision] = max(best, answer["gflops"])


def _gather(found: dict[Key, dict[str, Answers]], name: str, answers: Mapping[Key, Answers]) -> None:
    for key, blocks in answers.items():
        found[key][name] = blocks


def _row(
    key: Key, answers: Mapping[str, Answers], flop: float, peak: float, measurement: _Measurement
) -> dict[str, Any]:
    """The figures of a system; None for what it cannot do.

    `train_tokens_per_second` (real target tokens: words and ends), `train_range` (slowest and fastest block), `peak_share`,
    `greedy_sentences_per_second`, `beam5_sentences_per_second`, `batch1_ms`, `cold_start_seconds`, `decoded_tokens` (a
    sentence, greedy, ends not counted), `peak_memory_mb` (until training was measured).
    """
    rates = [measurement.tokens / answer["seconds"] for answer in answers["train"]]
    greedy, singles = answers.get("greedy"), answers.get("singles")
    return {
        **key._asdict(),
        "train_tokens_per_second": round(median(rates), 1),
        "train_range": [round(min(rates), 1), round(max(rates), 1)],
        "peak_share": round(median(rates) * flop / (peak * 1e9), 4),
        "greedy_sentences_per_second": _sentence_rate(greedy),
        "beam5_sentences_per_second": _sentence_rate(answers.get("beam5")),
        "batch1_ms": round(median(ms for block in singles for ms in block["milliseconds"]), 2) if singles else None,
        "cold_start_seconds": round(median(start["seconds"] for start in answers["cold"]), 2)
        if "cold" in answers
        else None,
        "decoded_tokens": round(greedy[0]["tokens"] / greedy[0]["sentences"], 2) if greedy else None,
        "peak_memory_mb": round(answers["status"][0]["megabytes"]),
    }


def _sentence_rate(blocks: Answers | None) -> float | None:
    return round(median(block["sentences"] / block["seconds"] for block in blocks), 1) if blocks else None


def _ratios(found: Mapping[Key, Mapping[str, Answers]]) -> list[dict[str, Any]]:
    """How many times as fast wordseq is as each other system with the same cell and precision.

    Each has `measure`, `cell`, `precision`, `against`, `ratio` (median of the ratios of blocks that followed each other) and
    `range` (smallest and largest of them).
    """
    ratios = []
    for measure, key in itertools.product(("train", "greedy"), found):
        ours = key._replace(system="wordseq")
        if key == ours or ours not in found or measure not in found[key]:
            continue
        pairs = zip(found[key][measure], found[ours][measure], strict=True)
        # The work of a block is the same but where a trained run decodes its own test sentences.
        blocks = [
            theirs["seconds"] / mine["seconds"] * mine.get("sentences", 1) / theirs.get("sentences", 1)
            for theirs, mine in pairs
        ]
        ratios.append(
            {
                "measure": measure,
                "cell": key.cell,
                "precision": key.precision,
                "against": key.system,
                "ratio": round(median(blocks), 3),
                "range": [round(min(blocks), 3), round(max(blocks), 3)],
            }
        )
    return ratios


def _flop(task: Task, model: ModelConfig) -> float:
    return sum(_flop_parts(task, model).values())


def _flop_parts(task: Task, model: ModelConfig) -> dict[str, float]:
    return training_flop(model, task.tgt_size, 1 / task.tgt_per_src, float(np.mean(task.src.lengths + 1)))


def _search_flop(task: Task, model: ModelConfig, sentences: int, beam_size: int) -> dict[str, float]:
    """Matrix-product FLOP of a step for all hypotheses of a batch, by part; "encoder" is of the whole batch, keys included.

    Its sources have the mean length of those to decode.
    """
    length = float(np.mean(task.sentences.lengths + 1))
    # Forward is a third of training.
    step, whole = ({k: v / 3 for k, v in training_flop(model, task.tgt_size, r, length).items()} for r in (0.0, 1.0))
    hypotheses = sentences * beam_size
    flop = {
        "encoder": (whole["encoder"] + whole["attention"] - step["attention"]) * length * sentences,
        "cells": step["decoder"] * hypotheses,
        "attention": step["attention"] * hypotheses,
        "vocabulary": step["vocabulary"] * hypotheses,
    }
    return {**flop, "whole": sum(flop.values()) - flop["encoder"]}


def _grown(what: str, value: int, cell: str) -> tuple[Task, ModelConfig, int]:
    """Task, model and processor cores (0: as asked for) with one size set to `value`."""
    threads = value if what == "threads" else 0
    model = model_config(cell, value) if what == "hidden" else model_config(cell)
    tasks: dict[str, Callable[[], Task]] = {
        "vocab": lambda: synthetic_task(src_size=value, tgt_size=value),
        "length": lambda: synthetic_task(src_words=value),
        "corpus": lambda: synthetic_task(value, tgt_size=TGT_SIZE),
    }
    return tasks.get(what, synthetic_task)(), model, threads


def _available(settings: BenchSettings) -> tuple[list[str], list[str]]:
    """The systems that can be started, and a note on each that cannot."""
    if "torch" not in settings.systems:
        return list(settings.systems), []
    if settings.torch:
        _check_torch(settings.torch)
    elif importlib.util.find_spec("torch") is None:
        rest = [system for system in settings.systems if system != "torch"]
        return rest, ["PyTorch is not installed: left out (extra `bench`, or --torch PYTHON)"]
    return list(settings.systems), []


def _check_torch(python: str) -> None:
    try:
        done = subprocess.run([python, "-c", "import torch"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"--torch {python}: cannot be started: {error.strerror}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"--torch {python}: cannot import torch: {lines[-1]}")


def _cell_of(run: Path) -> str:
    """The cell of a trained run.

    Raises:
        UserError: not a run, not trained, or with a cell that cannot be measured.
    """
    for name in ("config.toml", "best.npz"):
        if not (run / name).is_file():
            raise UserError(f"--run {run}: not a trained run: it has no {name}")
    values = {key: table for key, table in read_toml(run / "config.toml").items() if key in SECTIONS}
    cell = config_from_dict(values, str(run / "config.toml")).model.cell
    if cell not in GATES:
        raise UserError(f"--run {run}: model.cell = {cell!r} cannot be measured; choose a run of {', '.join(GATES)}")
    return cell


def _notes(settings: BenchSettings, run_cell: str) -> list[str]:
    forced = "outputs of models that are not trained are forced to the length that training pairs lead to expect"
    decoding = [f"wordseq with {run_cell} decodes the test split of a trained run" if run_cell else "", forced]
    threads = f"{settings.threads} processor cores" if settings.threads else "all processor cores"
    return [
        *(note for note in decoding if note),
        "each decodes in the format of its row",
        f"{threads}; medians over {settings.blocks} blocks of {settings.steps} updates, batches of {settings.batch_size}",
    ]


def _provenance(settings: BenchSettings, versions: Mapping[str, str]) -> dict[str, Any]:
    named = {name: value for name, value in dataclasses.asdict(settings).items() if name not in ("torch", "run")}
    return {
        "settings": {**named, "run": settings.run.name if settings.run else None},
        "machine": machine(),
        "versions": dict(versions),
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
