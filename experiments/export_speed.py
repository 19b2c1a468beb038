"""Measures a run and its export side by side: sentences per second, and seconds to the first translation of a new process.

    python experiments/export_speed.py runs/phrasebook

It exports the run into a temporary folder and translates the test sources with the run and with both exported models, in
turn. It prints the medians as a Markdown table. The last column is the time from the start of `wordseq translate` or
`translate.py` to its end, for one sentence.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from wordseq.system.tensorflow import import_tensorflow

import_tensorflow()

from wordseq.decoding.translator import Translator
from wordseq.export.onnx_folder import export_onnx
from wordseq.export.translate import OnnxTranslator
from wordseq.runs.folder import RunFolder

BEAMS = (1, 5)
FLOAT32, INT8 = "exported, float32", "exported, int8"


def seconds_of(job: Callable[[], object]) -> float:
    """How long a job takes."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def started(words: list[str], text: str) -> Callable[[], object]:
    """A job: a process that translates one line."""
    return lambda: subprocess.run(words, input=f"{text}\n", capture_output=True, text=True, check=True)


def measure(run: RunFolder, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Medians for each system: seconds of greedy search and of a beam of 5 for all test sources, seconds of a new process."""
    texts, decode = run.held_out("test").sources, run.config.decode
    ours = Translator.load(run)
    exported = {FLOAT32: OnnxTranslator(folder), INT8: OnnxTranslator(folder, int8=True)}
    jobs: dict[str, list[Callable[[], object]]] = {
        "wordseq": [partial(ours.translate, texts, replace(decode, beam_size=beam)) for beam in BEAMS]
    }
    for name, translator in exported.items():
        jobs[name] = [partial(translator, texts, beam) for beam in BEAMS]
    command = [sys.executable, "-m", "wordseq", "translate", str(run.folder)]
    program = [sys.executable, str(folder / "translate.py")]
    for name, words in (("wordseq", command), (FLOAT32, program), (INT8, [*program, "--int8"])):
        jobs[name].append(started(words, texts[0]))
    # The first call compiles, or fills caches.
    for some in jobs.values():
        for job in some:
            job()
    found: dict[str, list[list[float]]] = {name: [[] for _ in some] for name, some in jobs.items()}
    for _ in range(rounds):
        for k in range(len(BEAMS) + 1):
            for name, some in jobs.items():
                found[name][k].append(seconds_of(some[k]))
    return {name: [statistics.median(times) for times in some] for name, some in found.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path, help="folder of a trained run")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    options = parser.parse_args()
    run = RunFolder.open(options.run)
    sentences = len(run.held_out("test").sources)
    with tempfile.TemporaryDirectory() as name:
        found = measure(run, export_onnx(run, Path(name) / "exported", say=lambda line: None), options.rounds)
    print("| | greedy, sentences/s | beam 5, sentences/s | first translation of a new process, s |")
    print("|:--|--:|--:|--:|")
    for system, (greedy, beam, process) in found.items():
        print(f"| {system} | {sentences / greedy:,.0f} | {sentences / beam:,.0f} | {process:.2f} |")


if __name__ == "__main__":
    main()
