"""Measures speed, the time of each part of the model, and how cost grows with size. Imports no TensorFlow."""

import dataclasses
import importlib.util
import itertools
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any

from wordseq.benchmark.processes import Answers, Key, Measurement
from wordseq.benchmark.settings import GATES, GROWTH, BenchSettings
from wordseq.benchmark.workload import TGT_SIZE, BenchTask, flop_parts, head, model_config, search_flop, synthetic_task
from wordseq.config.schema import ModelConfig
from wordseq.runs.folder import BEST, CONFIG_FILE, RunFolder
from wordseq.system.errors import UserError
from wordseq.system.platform import commit, machine, processors
from wordseq.system.progress import counted

_Say = Callable[[str], None]


def measure_speed(
    task: BenchTask,
    settings: BenchSettings,
    say: _Say = print,
    models: Mapping[str, ModelConfig] = MappingProxyType({}),
) -> dict[str, Any]:
    """Training and decoding speed of all systems: medians over blocks. The systems run their blocks in turn.

    Args:
        task: sentence pairs to train on and sources to decode.
        settings: sizes.
        say: is called with each line of progress.
        models: models that replace the reference model, by cell.

    Returns:
        `gemm_peak_gflops` by precision; `rows`, see `_row`; `ratios`, see `_ratios`; `notes`; `task`, `mflop_per_token` by
        cell, `settings`, `machine`, `versions`, `commit`, `date`.

    Raises:
        UserError: wordseq does not start or stops early, or the run or the interpreter cannot be used.
    """
    run_cell = _cell_of(settings.run) if settings.run else ""
    systems, notes = _available(settings)
    task = head(task, settings.sentences)
    models = {cell: models.get(cell, model_config(cell)) for cell in settings.cells}
    flop = {cell: sum(flop_parts(task, model).values()) for cell, model in models.items()}
    found: dict[Key, dict[str, Answers]] = {}
    with Measurement(settings, task, models, say, run_cell) as measurement:
        for cell in settings.cells:
            keys = [
                Key(system, cell, precision)
                for system, precision in itertools.product(systems, settings.precisions)
                if (system, precision) != ("keras", "bfloat16")
            ]
            found |= measurement.of_cell(keys)
    notes += [f"{key}: could not be measured: {reason}" for key, reason in measurement.failed.items()]
    return {
        "task": task.origin,
        "mflop_per_token": {cell: round(value / 1e6, 2) for cell, value in flop.items()},
        "gemm_peak_gflops": {precision: round(value, 1) for precision, value in measurement.peaks.items()},
        "rows": [_row(key, answers, flop[key.cell], measurement) for key, answers in found.items()],
        "ratios": _ratios(found),
        "notes": [*notes, *_notes(settings, run_cell)],
        **_provenance(settings, measurement.versions),
    }


def measure_growth(what: str, settings: BenchSettings, say: _Say = print, values: Sequence[int] = ()) -> dict[str, Any]:
    """Training speed and memory of wordseq for several values of one size, on synthetic sentences.

    Args:
        what: a key of `GROWTH`.
        settings: sizes; one model is trained for each of `cells` and `precisions`.
        say: is called with each line of progress.
        values: replace the values of `GROWTH`.

    Returns:
        `grow`; `rows`, each with the value under the name `what`, `cell`, `precision`, `train_tokens_per_second`,
        `mflop_per_token`, `peak_memory_mb`, `plan_seconds`. The last is the time to plan the batches of an epoch. And the
        provenance that `measure_speed` returns.

    Raises:
        UserError: wordseq stops early.
    """
    rows = []
    versions: dict[str, str] = {}
    # A new process for each value: the peak of a process's memory never falls.
    for value, cell in itertools.product(values or GROWTH[what], settings.cells):
        task, model, threads = _grown(what, value, cell)
        sized = dataclasses.replace(settings, threads=threads or settings.threads)
        with Measurement(sized, task, {cell: model}, say) as measurement:
            for precision in settings.precisions:
                say(f"{what} {value:,}: {cell} {precision}")
                blocks, status = measurement.training(Key("wordseq", cell, precision))
                rows.append(
                    {
                        what: value,
                        "cell": cell,
                        "precision": precision,
                        "train_tokens_per_second": _median((measurement.tokens / b["seconds"] for b in blocks), 1),
                        "mflop_per_token": round(sum(flop_parts(task, model).values()) / 1e6, 2),
                        "peak_memory_mb": round(status["megabytes"]),
                        "plan_seconds": round(measurement.plan_seconds, 3),
                    }
                )
        versions |= measurement.versions
    return {"grow": what, "rows": rows, "notes": ["synthetic sentences"], **_provenance(settings, versions)}


def measure_parts(task: BenchTask, settings: BenchSettings, say: _Say = print) -> dict[str, Any]:
    """The time of each part of an update and of a search step, beside the time of its products at the machine's peak.

    Each part is measured alone, forward and backward. In an update, parts of different shards run in parallel, so the sum over
    the parts can be larger than the time of the update.

    Args:
        task: sentence pairs to train on.
        settings: sizes; one model is measured for each of `cells` and `precisions`.
        say: is called with each line of progress.

    Returns:
        `gemm_peak_gflops`, `tokens_per_update`, and `rows`: `part`, `cell`, `precision`, `milliseconds` per update, `share` of
        the update, `products_ms` at the peak. `search_rows` has the same for one step of each `search`. And the provenance
        that `measure_speed` returns.

    Raises:
        UserError: wordseq stops early.
    """
    rows: list[dict[str, Any]] = []
    search_rows: list[dict[str, Any]] = []
    models = {cell: model_config(cell) for cell in settings.cells}
    with Measurement(settings, task, models, say) as measurement:
        tokens, peaks = measurement.tokens / settings.steps, measurement.peaks
        for cell, precision in itertools.product(settings.cells, settings.precisions):
            found, searches = measurement.parts(Key("wordseq", cell, precision))
            names = {"cell": cell, "precision": precision}
            flop = {name: value * tokens for name, value in flop_parts(task, models[cell]).items()}
            flop["whole"] = sum(flop.values())
            rows += _part_rows(names, found, settings.steps, flop, peaks[precision])
            for beam_size, blocks in searches.items():
                flop = search_flop(task, models[cell], settings.batch_size, beam_size)
                search = {"search": "greedy" if beam_size == 1 else f"beam {beam_size}", **names}
                # Each search runs on one processor.
                peak = peaks[precision] / (settings.threads or processors())
                search_rows += _part_rows(search, blocks, 1, flop, peak)
    return {
        "task": task.origin,
        "tokens_per_update": round(tokens),
        "gemm_peak_gflops": {precision: round(value, 1) for precision, value in peaks.items()},
        "rows": rows,
        "search_rows": search_rows,
        "notes": [
            "each part is measured alone, in training forward and backward; products: of real tokens, at the peak",
            f"search: one step for {counted(settings.batch_size, 'sentence')} on one processor; "
            "the encoder runs once for all steps",
        ],
        **_provenance(settings, measurement.versions),
    }


def _part_rows(
    names: Mapping[str, str],
    blocks: Sequence[Mapping[str, float]],
    times: int,
    flop: Mapping[str, float],
    peak: float,
) -> list[dict[str, Any]]:
    """One row per part; a block runs it `times` times. `flop` is of its products, `peak` in GFLOP/s."""
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


def _row(key: Key, answers: Mapping[str, Answers], flop: float, measurement: Measurement) -> dict[str, Any]:
    """The figures of one system. A figure is None if the system cannot do it; if it failed, all are None, with a `reason`.

    `train_tokens_per_second` counts real target tokens with EOS; `train_range` is the slowest and the fastest block. Then
    `peak_share`, `greedy_sentences_per_second`, `beam5_sentences_per_second`, `batch1_ms`, `cold_start_seconds`.
    `decoded_tokens` is per sentence, greedy, without EOS. `peak_memory_mb` is measured after training, before decoding.
    """
    trained, greedy, beam, singles, cold, status = (
        answers.get(name, []) for name in ("training", "greedy", "beam5", "one at a time", "cold", "status")
    )
    rates = [measurement.tokens / block["seconds"] for block in trained]
    peak = measurement.peaks[key.precision] * 1e9
    return {
        **key._asdict(),
        "train_tokens_per_second": _median(rates, 1),
        "train_range": [round(min(rates), 1), round(max(rates), 1)] if rates else None,
        "peak_share": _median((rate * flop / peak for rate in rates), 4),
        "greedy_sentences_per_second": _median((block["sentences"] / block["seconds"] for block in greedy), 1),
        "beam5_sentences_per_second": _median((block["sentences"] / block["seconds"] for block in beam), 1),
        "batch1_ms": _median((ms for block in singles for ms in block["milliseconds"]), 2),
        "cold_start_seconds": _median((start["seconds"] for start in cold), 2),
        "decoded_tokens": _median((block["tokens"] / block["sentences"] for block in greedy[:1]), 2),
        "peak_memory_mb": _median((each["megabytes"] for each in status), None),
        **({"reason": measurement.failed[key]} if key in measurement.failed else {}),
    }


def _median(values: Iterable[float], digits: int | None) -> float | None:
    """The median, rounded to `digits`; None if there are no values."""
    found = list(values)
    return round(median(found), digits) if found else None


def _ratios(found: Mapping[Key, Mapping[str, Answers]]) -> list[dict[str, Any]]:
    """The speed of wordseq divided by that of each other system with the same cell and precision.

    Each entry has `measure`, `cell`, `precision`, `against`, `ratio` and `range`: over pairs of consecutive blocks, the median
    ratio, and the smallest and largest.
    """
    ratios = []
    for (measure, name), key in itertools.product((("train", "training"), ("greedy", "greedy")), found):
        ours = key._replace(system="wordseq")
        if key == ours or ours not in found or name not in found[key]:
            continue
        # Block against block: the machine's load drifts, and both blocks ran within the same minute.
        pairs = zip(found[key][name], found[ours][name], strict=True)
        # Blocks decode different numbers of sentences if a trained run decodes its own test split.
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


def _grown(what: str, value: int, cell: str) -> tuple[BenchTask, ModelConfig, int]:
    """Task, model and processor cores (0: as in the settings), with one size set to `value`."""
    threads = value if what == "threads" else 0
    model = model_config(cell, value) if what == "hidden" else model_config(cell)
    tasks: dict[str, Callable[[], BenchTask]] = {
        "vocab": lambda: synthetic_task(src_size=value, tgt_size=value),
        "length": lambda: synthetic_task(src_words=value),
        "corpus": lambda: synthetic_task(value, tgt_size=TGT_SIZE),
    }
    return tasks.get(what, synthetic_task)(), model, threads


def _available(settings: BenchSettings) -> tuple[list[str], list[str]]:
    """The systems that can start, and a note on each one that cannot.

    Raises:
        UserError: the interpreter of --torch does not start or has no torch.
    """
    systems = list(settings.systems)
    if "torch" in systems and settings.torch:
        _check_torch(settings.torch)
    elif "torch" in systems and importlib.util.find_spec("torch") is None:
        systems.remove("torch")
        return systems, ["torch: left out, not installed; install 'wordseq[bench]' or give --torch PYTHON"]
    return systems, []


def _check_torch(python: str) -> None:
    try:
        done = subprocess.run([python, "-c", "import torch"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"--torch {python}: does not start: {error.strerror}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"--torch {python}: cannot import torch: {lines[-1]}")


def _cell_of(run: Path) -> str:
    """The cell of a trained run.

    Raises:
        UserError: the folder is not a trained run, or its cell cannot be measured.
    """
    found = RunFolder(run)
    for path in (run / CONFIG_FILE, found.path_of(BEST)):
        if not path.is_file():
            raise UserError(f"--run {run}: not a trained run: it has no {path.name}")
    cell = found.config.model.cell
    if cell not in GATES:
        raise UserError(f"--run {run}: cannot measure model.cell = {cell!r}; give a run with {', '.join(GATES)}")
    return cell


def _notes(settings: BenchSettings, run_cell: str) -> list[str]:
    threads = counted(settings.threads, "processor core") if settings.threads else "all processor cores"
    return [
        *([f"wordseq with {run_cell} decodes the test split of a trained run"] if run_cell else []),
        "an untrained model decodes to a fixed length, in the length ratio of the training pairs",
        "decoding uses the precision of the row",
        f"{threads}; medians over {counted(settings.blocks, 'block')} of {counted(settings.steps, 'update')}, "
        f"batches of {settings.batch_size}",
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
