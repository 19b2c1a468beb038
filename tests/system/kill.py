"""A training that is killed repeatedly, in every phase, equals an uninterrupted one: bit for bit.

    python tests/system/kill.py [KILLS] [SEED]

It trains a tiny model to its end. Then it trains the same model again in rounds. In each round a process is killed (SIGKILL) in
every phase, at a random moment or at a random call that writes to the disk. The same command resumes each time. `wordseq eval`
is killed too. The last process of a round is not killed: weights, log, held-out translations and files must equal those of the
first training. Rounds continue up to KILLS kills. It prints kills by phase and minutes, and exits with 1 if a round differs.
"""

import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from safetensors.numpy import load_file

from tests.faults import at_call, die
from tests.runs import USUAL_MODEL, command, entries, environment, settings, train_arguments, write_pairs

UPDATES = (
    *USUAL_MODEL,
    *("train.max_epochs=100", "train.max_steps=24", "train.patience=0", "train.validate_steps=6"),
    "train.save_minutes=0.00001",
)
PHASES = (
    # Name, where it is, seconds it takes at most; 0: by calls that write.
    ("starting", "", 6.0),
    ("preparing", "wordseq.runs.data:prepare_corpus", 0.0),
    ("beginning", "wordseq.runs.folder:RunFolder.begin", 0.0),
    ("building", "wordseq.training.run:model_for", 0.3),
    ("training", "wordseq.training.loop:_update", 0.05),
    ("saving", "wordseq.runs.folder:RunFolder.save", 0.0),
    ("validating", "wordseq.training.validation:Validator.__call__", 0.5),
    ("preparing", "wordseq.runs.data:prepare_corpus", 0.02),
    ("training", "wordseq.training.loop:_update", 0.05),
    ("saving", "wordseq.runs.folder:RunFolder.save", 0.0),
    ("validating", "wordseq.training.validation:Validator.__call__", 0.5),
    ("scoring", "wordseq.evaluation.evaluate:evaluate_run", 1.0),
    ("reporting", "wordseq.evaluation.evaluate:_save_evaluation", 0.0),
)
MOST_CALLS = {"preparing": 40, "beginning": 50, "saving": 20, "reporting": 24}
"""Calls that write, of a phase, about."""
NOT_COMPARED = frozenset({"seconds", "sentences_per_second", "run", "command", "checkpoint"})
"""Times, names, and the checksum of a checkpoint, whose state holds times; its weights are compared."""


def child(place: str, seconds: float, entrance: int, call: int, arguments: list[str]) -> int:
    """The command line, killed in one of its functions: at an entrance of a number, after seconds or at a call that writes."""

    def kill_later() -> None:
        time.sleep(seconds)
        die()

    later = threading.Thread(target=kill_later, daemon=True)
    if not place:
        later.start()
    from wordseq.cli.main import main
    from wordseq.system.tensorflow import import_tensorflow

    import_tensorflow()
    if place:
        _wrap(place, entrance, call, later)
    return main(arguments)


def _wrap(place: str, entrance: int, call: int, later: threading.Thread) -> None:
    module, _, path = place.partition(":")
    *parents, name = path.split(".")
    holder = __import__(module, fromlist=["_"])
    for parent in parents:
        holder = getattr(holder, parent)
    before, entered = getattr(holder, name), Counter()

    def entering(*arguments, **options):
        entered["times"] += 1
        if entered["times"] < entrance:
            return before(*arguments, **options)
        if entered["times"] == entrance and not call:
            later.start()
        # The saving of some checkpoints takes fewer calls than others: then it is one of the next.
        with at_call(max(call - entered["calls"], 0), die) as calls:
            found = before(*arguments, **options)
        entered["calls"] += calls.number
        return found

    setattr(holder, name, entering)


def killed(chance: random.Random, phase: tuple[str, str, float], arguments: list[str]) -> bool:
    """Run the command line and kill it in a phase; whether it was alive by then.

    Raises:
        RuntimeError: it ended in another way.
    """
    name, place, seconds = phase
    entrance = chance.randint(1, 5) if name in {"training", "saving"} else 1
    call = 0 if seconds else chance.randint(1, MOST_CALLS[name])
    words = [sys.executable, __file__, "--child", place, f"{chance.random() * seconds}", f"{entrance}", f"{call}"]
    done = subprocess.run([*words, *arguments], env=environment(), capture_output=True, text=True, check=False)
    if done.returncode not in (0, -9):
        raise RuntimeError(f"{name} {entrance} {call}: exit code {done.returncode}: {done.stderr}")
    return done.returncode == -9


def result(run: Path) -> dict[str, object]:
    """All that two equal trainings have in common."""
    found: dict[str, object] = {"log": entries(run)}
    for name in ("best", "last"):
        found |= {f"{name} {key}": value.tobytes() for key, value in load_file(run / f"{name}.safetensors").items()}
    report = json.loads((run / "eval" / "test.json").read_text(encoding="utf-8"))
    found["scores"] = {key: value for key, value in report.items() if key not in NOT_COMPARED}
    found["translations"] = (run / "eval" / "test.hyp").read_bytes()
    found["files"] = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
    return found


def complete(arguments: list[str]) -> None:
    """Run the command line to its end.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(command(*arguments), env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(arguments)}: exit code {done.returncode}: {done.stderr}")


def a_round(folder: Path, chance: random.Random, arguments: list[str], counts: Counter[str]) -> dict[str, object]:
    """Kill in every phase, then let it end."""
    run = folder / "run"
    for phase in PHASES:
        words = ["eval", str(run)] if phase[0] == "reporting" else arguments
        if phase[0] == "reporting":
            complete(arguments)
        if killed(chance, phase, words):
            name = phase[0] if words is arguments else "reporting (wordseq eval)"
            counts[name] += 1
            print(f"killed while {name}: {counts[name]}", flush=True)
    for path in (run / "eval").glob(".*"):
        os.utime(path, (1e9, 1e9))  # What lies there is removed when it is old.
    complete(arguments)
    return result(run)


def main(kills: int, seed: int) -> int:
    """The exit code."""
    start, chance, counts, rounds, wrong = time.monotonic(), random.Random(seed), Counter[str](), 0, 0
    with tempfile.TemporaryDirectory() as place:
        pairs = write_pairs(Path(place) / "pairs.tsv")
        sets = settings(pairs, *UPDATES)
        whole = Path(place) / "whole" / "run"
        complete(train_arguments(whole, sets))
        expected = result(whole)
        while counts.total() < kills:
            rounds += 1
            folder = Path(place) / str(rounds)
            found = a_round(folder, chance, train_arguments(folder / "run", sets), counts)
            for key in sorted(expected.keys() | found.keys()):
                if expected.get(key) != found.get(key):
                    wrong += 1
                    print(f"round {rounds}: {key} differs: {str(found.get(key))[:300]}", flush=True)
            print(f"round {rounds}: {counts.total()} kills so far", flush=True)
            shutil.rmtree(folder)
    print(
        f"\n`python tests/system/kill.py {kills} {seed}`: {(time.monotonic() - start) / 60:.1f} minutes, {rounds} rounds\n"
    )
    print("| killed while | kills |\n|---|---|")
    for name, number in counts.items():
        print(f"| {name} | {number} |")
    print(f"| all | {counts.total()}, {wrong} differences |")
    return int(wrong > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        given = sys.argv[2:6]
        sys.exit(child(given[0], float(given[1]), int(given[2]), int(given[3]), sys.argv[6:]))
    numbers = [int(word) for word in sys.argv[1:]] + [30, 1][len(sys.argv[1:]) :]
    sys.exit(main(*numbers))
