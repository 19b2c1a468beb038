"""Measures how time and memory of preparing and training grow with the size of a synthetic corpus.

    python experiments/size.py 100000 1000000

For each number it writes a file with this number of pairs: Zipf-distributed words, every 50th pair twice. It prepares the file,
and runs `wordseq train` on it for two updates. Linux only. It prints:

- the number of pairs, and the size of the file in MB;
- seconds and processor seconds of preparing, with helper processes, and pairs per processor second;
- the peak of anonymous memory (RssAnon) of the training process in MB, while preparing and in total.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ve", "zi", "cho", "kra", "ple")
WORDS = 50_000
FEWEST = 10_000
"""Smallest number of pairs that gives useful figures."""
QUICK = ("model.embed_dim=16", "model.hidden_size=16", "train.batch_size=64", "train.max_steps=2", "data.max_size=5000")


def word(number: int) -> str:
    """The word of a number, made of syllables."""
    text = ""
    while number or not text:
        number, digit = divmod(number, len(SYLLABLES))
        text += SYLLABLES[digit]
    return text


def write_pairs(path: Path, pairs: int, seed: int = 1) -> None:
    """Write a file of synthetic pairs, one at a time."""
    chance = random.Random(seed)
    words = [word(number) for number in range(WORDS)]
    # Cumulated once: with plain weights, `choices` would add them up in every call.
    weights, total = [], 0.0
    for rank in range(1, WORDS + 1):
        weights.append(total := total + 1 / rank)
    line = ""
    with path.open("w", encoding="utf-8") as file:
        for number in range(pairs):
            if number % 50 != 49:
                src, tgt = (chance.choices(words, cum_weights=weights, k=chance.randint(4, 14)) for _ in range(2))
                line = f"{' '.join(src).capitalize()}, {number % 1000}.\tL'{' '.join(tgt)} !\n"
            file.write(line)


def anonymous_mb(process: int) -> float:
    """Current anonymous memory of a process; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("RssAnon")), 0.0)


def measure(path: Path, folder: Path) -> dict[str, float]:
    """Train on a file; returns the peaks of memory."""
    sets = [word for text in (f"data.train={path}", *QUICK) for word in ("--set", text)]
    words = [sys.executable, "-m", "wordseq", "train", "--run", str(folder / "run"), *sets]
    peaks = {"preparing": 0.0, "all": 0.0}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            now = anonymous_mb(process.pid)
            peaks["all"] = max(peaks["all"], now)
            # The run's folder appears when the data is prepared.
            if not (folder / "run").exists():
                peaks["preparing"] = max(peaks["preparing"], now)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for line in process.stdout or ():
        print(f"    {line}", end="", file=sys.stderr)
    code = process.wait()
    done.set()
    watcher.join()
    if code:
        raise SystemExit(code)
    return peaks


def preparing_seconds(path: Path, folder: Path) -> tuple[float, float]:
    """Wall-clock and processor seconds of preparing only."""
    script = (
        "import sys; from pathlib import Path; from wordseq.config.schema import DataConfig; "
        "from wordseq.batches.prepare import prepare_corpus; "
        "prepare_corpus(DataConfig(path=sys.argv[1], max_size=5000), Path(sys.argv[2]))"
    )
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", script, str(path), str(folder / "cache")], check=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pairs", nargs="*", type=int, default=[100_000, 1_000_000], help="default: 100000 1000000")
    sizes = parser.parse_args().pairs
    if min(sizes) < FEWEST:
        parser.error(f"pairs must be at least {FEWEST:,}, got {min(sizes):,}")
    print("pairs        file MB  preparing, s   processor s  pairs/processor s    RssAnon MB preparing   total")
    for pairs in sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", ".")) as name:
            folder, path = Path(name), Path(name) / "pairs.tsv"
            write_pairs(path, pairs)
            wall, processor = preparing_seconds(path, folder)
            peaks = measure(path, folder)
            print(
                f"{pairs:<12,} {path.stat().st_size / 1e6:<8.0f} {wall:<14.1f} {processor:<12.1f} "
                f"{pairs / processor:<20,.0f} {peaks['preparing']:<22.0f} {peaks['all']:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
