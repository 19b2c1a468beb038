"""Seconds from a cold start to a BLEU on dev, of wordseq and of a program in PyTorch, on the reference task, in turn.

    python experiments/race.py --torch PYTHON --peer peer_torch.py --cells gru lstm --seeds 1 2

The program is any that trains with products in bfloat16 and prints a line of JSON an epoch, with `val_bleu_tok_lc`; it is
no part of this project (wordseq/benchmark/peer_torch.py is another one, for speed only). Its arguments are `--bf16 --epochs N
--cell CELL --seed SEED`. Both have the reference model, dropout 0.3, batches of 128, Adam with steps of 1e-3 and no label
smoothing, and translate dev greedily after each epoch. Either is stopped when it has reached the BLEU.
"""

import argparse
import json
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
SAME = (
    *("model.dropout=0.3", "train.label_smoothing=0.0", "train.decay_patience=1000", "train.patience=0"),
    "train.precision=bfloat16",
)
DEV_BLEU = re.compile(r"dev BLEU (\d+\.\d+)")


def ours(cell: str, seed: int, options: argparse.Namespace, folder: str) -> list[str]:
    """The command of wordseq."""
    sets = (*SAME, f"model.cell={cell}", f"train.seed={seed}", f"train.max_epochs={options.epochs}", *options.set)
    settings = [word for text in sets for word in ("--set", text)]
    config = str(HERE / "multi30k-de-en.toml")
    return [sys.executable, "-m", "wordseq", "train", config, "--run", f"{folder}/{cell}-{seed}", *settings]


def bleu_of_ours(line: str) -> float | None:
    """The dev BLEU that a line tells."""
    found = DEV_BLEU.search(line)
    return float(found[1]) if found else None


def bleu_of_theirs(line: str) -> float | None:
    """The dev BLEU that a line of JSON tells."""
    return float(json.loads(line)["val_bleu_tok_lc"]) if line.startswith("{") else None


def seconds_to(goal: float, command: Sequence[str], bleu_of: Callable[[str], float | None]) -> float:
    """Seconds until the command has told of that BLEU, which ends it; inf if it never does."""
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout or ():
            bleu = bleu_of(line)
            if bleu is not None:
                seconds = time.monotonic() - start
                print(f"  {seconds:6.1f} s  {bleu:5.2f}", flush=True)
                if bleu >= goal:
                    process.send_signal(signal.SIGTERM)
                    process.wait()
                    return seconds
    if process.returncode:
        raise SystemExit(f"{shlex.join(command)}: failed with exit code {process.returncode}")
    return float("inf")


def main() -> None:
    """Race."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--torch", metavar="PYTHON", required=True, help="an interpreter that has PyTorch and sacreBLEU"
    )
    parser.add_argument("--peer", metavar="FILE", required=True, help="the program")
    parser.add_argument("--cells", nargs="+", choices=("lstm", "gru"), default=["gru"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--epochs", type=int, default=10, help="at most")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="other settings of wordseq")
    parser.add_argument("--bleu", type=float, default=28.3, help="where it ends")
    options = parser.parse_args()
    for cell in options.cells:
        found: dict[str, list[float]] = {"PyTorch": [], "wordseq": []}
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                print(f"PyTorch {cell} seed {seed}", flush=True)
                theirs = [options.torch, options.peer, "--bf16", "--epochs", str(options.epochs), "--cell", cell]
                found["PyTorch"].append(seconds_to(options.bleu, [*theirs, "--seed", str(seed)], bleu_of_theirs))
                print(f"wordseq {cell} seed {seed}", flush=True)
                command = ours(cell, seed, options, folder)
                found["wordseq"].append(seconds_to(options.bleu, command, bleu_of_ours))
        median = {name: statistics.median(seconds) for name, seconds in found.items()}
        print(
            f"{cell}: dev BLEU {options.bleu} after {median['wordseq']:.0f} s, PyTorch {median['PyTorch']:.0f} s: "
            f"{median['wordseq'] / median['PyTorch']:.2f} of the time",
            flush=True,
        )


if __name__ == "__main__":
    main()
