"""Serves one system in a child process. Needs only NumPy, so that any interpreter can import it."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wordseq.system.platform import peak_memory
from wordseq.system.workers import serve

BatchPlan = Sequence[npt.NDArray[np.int64]]
"""Indices of the sentence pairs of each batch."""

TaskArrays = Mapping[str, npt.NDArray[Any]]


class System(Protocol):
    """A system to measure."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of the libraries it uses."""

    def train(self, plan: BatchPlan) -> None:
        """Make one update for each batch; return when the last one is complete."""

    def translate(self, count: int, beam_size: int, batch_size: int, first: int = 0) -> tuple[int, int]:
        """Decode up to `count` sentences from `first` on.

        Returns:
            The number of sentences, and of output tokens without EOS.
        """


def serve_system(make: Callable[[TaskArrays, Mapping[str, Any]], System], options: Mapping[str, Any]) -> None:
    """Serve requests to the system that `make` builds from arrays and options, until standard input ends."""
    with np.load(options["task"], allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    plan = split(arrays, "plan")
    system = make(arrays, {**options, **json.loads(arrays["sizes"].tobytes())})

    # Timed in this process, so that starting it and passing messages are not in the figures.
    def train(first: int, steps: int) -> dict[str, Any]:
        batches = [plan[(first + step) % len(plan)] for step in range(steps)]
        return {"seconds": _timed(lambda: system.train(batches))[0]}

    def translate(count: int, beam_size: int, batch_size: int) -> dict[str, Any]:
        seconds, (sentences, tokens) = _timed(lambda: system.translate(count, beam_size, batch_size))
        return {"seconds": seconds, "sentences": sentences, "tokens": tokens}

    def singles(count: int) -> dict[str, Any]:
        """Greedy search for each sentence alone."""
        seconds = [_timed(partial(system.translate, 1, 1, 1, first=row))[0] for row in range(count)]
        return {"milliseconds": [1000 * each for each in seconds]}

    actions: dict[str, Callable[..., dict[str, Any]]] = {"train": train, "translate": translate, "singles": singles}
    actions["status"] = partial(status, system.versions)
    if hasattr(system, "parts") and hasattr(system, "search_parts"):
        actions["parts"] = lambda steps: system.parts([plan[step % len(plan)] for step in range(steps)])
        actions["search_parts"] = system.search_parts
    serve(actions)


def split(arrays: TaskArrays, name: str) -> list[npt.NDArray[Any]]:
    """The sequences of a flat array with offsets."""
    return np.split(arrays[f"{name}.flat"], arrays[f"{name}.offsets"][1:-1])


def status(versions: Mapping[str, str]) -> dict[str, Any]:
    """Versions, and the peak memory of the process so far, in MB (10^6 bytes)."""
    return {"versions": dict(versions), "megabytes": peak_memory() / 1e6}


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result
