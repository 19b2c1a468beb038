"""Runs the systems as child processes that compute one at a time, in turn. This process computes nothing meanwhile."""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from wordseq.batches.batching import plan_epoch
from wordseq.benchmark.settings import PARTS_MODULE, PEAK_MODULE, SYSTEMS, BenchSettings
from wordseq.benchmark.workload import BenchTask, save
from wordseq.config.schema import ModelConfig, TrainConfig
from wordseq.system.workers import Worker, WorkerError

Answers = list[dict[str, Any]]

BEAMS: Mapping[str, tuple[int, ...]] = MappingProxyType({"wordseq": (1, 5), "keras": (), "torch": (1,)})
"""Beam sizes that a system can decode with."""

PEAK_REPEATS = 3

COLD_STARTS = 3
"""Cold starts to time per system, at most."""

# The number of threads follows the process's cores. These variables are for systems where cores cannot be assigned.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


class Key(NamedTuple):
    """System, cell and precision of a row."""

    system: str
    cell: str
    precision: str

    def __str__(self) -> str:
        return " ".join(self)


class Measurement:
    """A task on disk for the child processes, and their answers; a context manager.

    Attributes:
        tokens: real target tokens of a training block, with EOS.
        plan_seconds: seconds to plan the batches of an epoch.
        peaks: GFLOP/s of the fastest large product so far, by precision.
        versions: versions of the systems' libraries.
        failed: for each system that could not be measured, the reason.

    Args:
        settings: sizes.
        task: sentence pairs to train on and sources to decode.
        models: by cell.
        say: is called with each line of progress.
        run_cell: the cell of `settings.run`.
    """

    def __init__(
        self,
        settings: BenchSettings,
        task: BenchTask,
        models: Mapping[str, ModelConfig],
        say: Callable[[str], None],
        run_cell: str = "",
    ) -> None:
        self.settings, self.task, self.models, self.say, self.run_cell = settings, task, models, say, run_cell
        start = time.perf_counter()
        plan = plan_epoch(task.src, task.tgt, TrainConfig(batch_size=settings.batch_size), 1)
        self.plan_seconds = time.perf_counter() - start
        self.tokens = sum(int((task.tgt.lengths[plan[step % len(plan)]] + 1).sum()) for step in range(settings.steps))
        self.peaks: dict[str, float] = dict.fromkeys(settings.precisions, 0.0)
        self.versions: dict[str, str] = {}
        self.failed: dict[Key, str] = {}
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "task.npz"
        save(task, plan, self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def of_cell(self, keys: Sequence[Key]) -> dict[Key, dict[str, Answers]]:
        """The answers of each system, by action; empty for a system in `failed`.

        Raises:
            UserError: wordseq itself fails.
        """
        found: dict[Key, dict[str, Answers]] = {key: {} for key in keys}
        number = len(self.task.sentences)
        with self._start(PEAK_MODULE, {}) as peak_worker:
            # All systems stay alive until the last block, because they take turns.
            with ExitStack() as stack:
                workers = {key: stack.enter_context(self._worker(key)) for key in keys}
                self._in_turn(found, "training", workers, self._updates, lambda: self._peak(peak_worker))
                # Before decoding, so that the peak of memory is that of training.
                for key, worker in workers.items():
                    if key not in self.failed:
                        found[key]["status"] = self._ask(key, worker, {"action": "status"})
                        for status in found[key]["status"]:
                            self.versions |= status["versions"]
                for beam_size, name in ((1, "greedy"), (5, "beam5")):
                    able = {key: worker for key, worker in workers.items() if beam_size in BEAMS[key.system]}
                    sizes = {"count": number, "beam_size": beam_size, "batch_size": self.settings.batch_size}
                    self._in_turn(found, name, able, {"action": "translate", **sizes})
                able = {key: worker for key, worker in workers.items() if BEAMS[key.system]}
                singles = {"action": "singles", "count": min(self.settings.singles, number)}
                self._in_turn(found, "one at a time", able, singles)
            self._peak(peak_worker)
        self._cold_starts(found)
        return {key: {} if key in self.failed else answers for key, answers in found.items()}

    def training(self, key: Key) -> tuple[Answers, dict[str, Any]]:
        """Training blocks of wordseq alone, and its status after them.

        Raises:
            UserError: wordseq fails.
        """
        blocks = []
        with self._worker(key) as worker:
            for block in range(self.settings.blocks + 1):
                self._say_block("training", block, key)
                blocks.append(worker.ask(**self._updates))
            status = worker.ask("status")
        self.versions |= status["versions"]
        return blocks[1:], status

    def parts(self, key: Key) -> tuple[list[dict[str, float]], dict[int, list[dict[str, float]]]]:
        """Seconds of each block, by part: of training, and of search by beam size. A warm-up block is not counted.

        Raises:
            UserError: wordseq fails.
        """
        with self._start(PEAK_MODULE, {}) as peak_worker, self._worker(key, PARTS_MODULE) as worker:
            found = []
            searches: dict[int, list[dict[str, float]]] = {beam_size: [] for beam_size in BEAMS["wordseq"]}
            for block in range(self.settings.blocks + 1):
                self._say_block("parts", block, key)
                found.append(worker.ask("parts", steps=self.settings.steps))
                for beam_size, blocks in searches.items():
                    blocks.append(worker.ask("search_parts", beam_size=beam_size))
                self._peak(peak_worker)
            self.versions |= worker.ask("status")["versions"]
        return found[1:], {beam_size: blocks[1:] for beam_size, blocks in searches.items()}

    def _in_turn(
        self,
        found: dict[Key, dict[str, Answers]],
        name: str,
        workers: Mapping[Key, Worker],
        request: Mapping[str, Any],
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Store the answers of all blocks under `name`, without those of the warm-up block."""
        answers: dict[Key, Answers] = {key: [] for key in workers if key not in self.failed}
        for block in range(self.settings.blocks + 1):
            for key, worker in workers.items():
                if key not in self.failed:
                    self._say_block(name, block, key)
                    answers[key] += self._ask(key, worker, request)
            between()
        for key, blocks in answers.items():
            found[key][name] = blocks[1:]

    def _cold_starts(self, found: dict[Key, dict[str, Answers]]) -> None:
        for _ in range(min(COLD_STARTS, self.settings.blocks)):
            for key, answers in found.items():
                if BEAMS[key.system] and key not in self.failed:
                    self.say(f"cold start: {key}")
                    start = time.perf_counter()
                    with self._worker(key) as worker:
                        self._ask(key, worker, {"action": "translate", "count": 1, "beam_size": 1, "batch_size": 1})
                        answers.setdefault("cold", []).append({"seconds": time.perf_counter() - start})

    @property
    def _updates(self) -> dict[str, Any]:
        return {"action": "train", "first": 0, "steps": self.settings.steps}

    def _ask(self, key: Key, worker: Worker, request: Mapping[str, Any]) -> Answers:
        """One answer, or none if a system other than wordseq cannot do it on this machine."""
        try:
            return [worker.ask(**request)]
        except (WorkerError, OSError) as error:
            # Other systems may lack something on this machine. A failure of wordseq is an error.
            if key.system == "wordseq":
                raise
            reason = error.reason if isinstance(error, WorkerError) else str(error)
        self.failed[key] = reason
        self.say(f"{key}: could not be measured: {reason}")
        return []

    def _say_block(self, title: str, block: int, key: Key) -> None:
        self.say(f"{title}, {f'block {block}' if block else 'warm-up'}: {key}")

    def _worker(self, key: Key, module: str = "") -> Worker:
        options = {
            "task": str(self._path),
            "model": dataclasses.asdict(self.models[key.cell]),
            "precision": key.precision,
            "batch_size": self.settings.batch_size,
            "threads": self.settings.threads,
            "run": str(self.settings.run.resolve()) if self.settings.run and key.cell == self.run_cell else "",
        }
        return self._start(module or SYSTEMS[key.system], options, self.settings.torch if key.system == "torch" else "")

    def _peak(self, worker: Worker) -> None:
        for precision, best in self.peaks.items():
            answer = worker.ask("peak", precision=precision, sizes=self.settings.peak_sizes, repeats=PEAK_REPEATS)
            self.peaks[precision] = max(best, answer["gflops"])

    def _start(self, module: str, options: Mapping[str, Any], python: str = "") -> Worker:
        threads = self.settings.threads
        variables = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        variables |= dict.fromkeys(_THREAD_VARIABLES if threads else (), str(threads))
        return Worker(module, options, python, threads=threads, variables=variables, keep_errors=True)
