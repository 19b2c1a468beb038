"""Load on a real `wordseq serve`: many clients at once, whose every answer is compared, and a kill under load.

    python -m tests.system.load RUN [--seconds 60] [--clients 32]

It prints what it measures, and ends with status 1 if something is not as it must be.
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.runs import command, environment, wordseq
from wordseq.runs.folder import RunFolder

LEAST_GAIN = 5.0
"""Sentences per second of all clients, at least, as a multiple of those of one."""

MOST_GROWTH = 0.05
"""Share by which the memory may grow in the second half of the load."""


class Outcome(NamedTuple):
    """What clients got."""

    seconds: float
    statuses: Counter[int]
    wrong: list[str]
    """Differences between an answer and the translation of the command line."""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.statuses[200] / self.seconds


class Served:
    """A server as a process of its own.

    Args:
        runs: folders of runs; the first translates from `en` to `fr`, a second one back.
        port: 0: a free one.

    Attributes:
        said: what it printed until it listened; after `end` all of it.
    """

    def __init__(self, *runs: Path, port: int = 0):
        directions = [word for languages in ("en:fr", "fr:en")[: len(runs)] for word in ("--as", languages)]
        words = command("serve", *runs, *directions, "--port", str(port))
        began = time.monotonic()
        self.process = subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, text=True)
        self.said = ""
        for line in self.process.stderr or ():
            self.said += line
            if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            raise AssertionError(f"the server ended: {self.said}")
        self.start_seconds = time.monotonic() - began

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def megabytes(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit status."""
        self.process.send_signal(number)
        self.said += self.process.communicate(timeout=60)[1]
        return self.process.returncode


async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sentence: str) -> tuple[int, object]:
    """Status and answer of one translation."""
    body = json.dumps({"q": sentence, "source": "en", "target": "fr"}).encode()
    head = (
        f"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = int(re.findall(r"content-length: (\d+)", headers, re.IGNORECASE)[0])
    return int(headers.split(" ", 2)[1]), json.loads(await reader.readexactly(length))


async def client(
    port: int, pairs: Iterator[tuple[str, str]], until: float, statuses: Counter[int], wrong: list[str]
) -> None:
    """Ask over one connection until the time is over; a lost connection is opened again, and counted as status 0."""
    while time.monotonic() < until:
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while time.monotonic() < until:
                source, expected = next(pairs)
                status, answer = await request(reader, writer, source)
                statuses[status] += 1
                if status == 200 and answer != {"translatedText": expected}:
                    wrong.append(f"{source!r}: {answer!r}, expected {expected!r}")
                if status == 429:
                    await asyncio.sleep(0.05)
        except (OSError, asyncio.IncompleteReadError):
            statuses[0] += 1
            await asyncio.sleep(0.2)
        finally:
            if writer:
                writer.close()


async def load(port: int, pairs: Sequence[tuple[str, str]], clients: int, seconds: float) -> Outcome:
    """Let clients ask for translations of random sentences, each client the others' in another order."""
    statuses, wrong, began = Counter[int](), list[str](), time.monotonic()
    offsets = [k * len(pairs) // clients for k in range(clients)]
    streams = [itertools.cycle([*pairs[offset:], *pairs[:offset]]) for offset in offsets]
    await asyncio.gather(*(client(port, stream, began + seconds, statuses, wrong) for stream in streams))
    return Outcome(time.monotonic() - began, statuses, wrong)


def translated(run: Path, most: int = 1000) -> list[tuple[str, str]]:
    """The test sources of a run, each with what `wordseq translate` prints for it."""
    sources = RunFolder(run).held_out("test").sources[:most]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sources.txt"
        path.write_text("".join(f"{source}\n" for source in sources), encoding="utf-8")
        # Split, as the server does: a source may have two sentences.
        ran = wordseq("translate", run, "--input", path, "--split")
    assert ran.returncode == 0, ran.stderr
    return list(zip(sources, ran.stdout.split("\n")[:-1], strict=True))


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=32)
    options = parser.parse_args()
    pairs = translated(options.run)
    served, faults = Served(options.run), list[str]()
    print(f"start: {served.start_seconds:.1f} s, {served.megabytes:.0f} MB")
    one = asyncio.run(load(served.port, pairs, 1, min(10.0, options.seconds)))
    print(f"1 client: {one.rate:.0f} per second, statuses {dict(one.statuses)}")
    halves, memory = [], []
    for _ in range(2):
        halves.append(asyncio.run(load(served.port, pairs, options.clients, options.seconds / 2)))
        memory.append(served.megabytes)
        found = f"{halves[-1].rate:.0f} per second, {memory[-1]:.0f} MB, statuses {dict(halves[-1].statuses)}"
        print(f"{options.clients} clients: {found}")
    gain = min(half.rate for half in halves) / one.rate
    print(f"{gain:.1f} times one client's rate")
    outcomes = [one, *halves]
    if set().union(*(outcome.statuses for outcome in outcomes)) - {200, 429}:
        faults.append("a status other than 200 and 429")
    faults += [f"wrong: {line}" for outcome in outcomes for line in outcome.wrong[:5]]
    if gain < LEAST_GAIN:
        faults.append(f"less than {LEAST_GAIN:g} times one client's rate")
    if memory[1] > memory[0] * (1 + MOST_GROWTH):
        faults.append("memory grows")
    faults += _killed(served, options, pairs)
    print("\n".join(f"FAULT: {fault}" for fault in faults) or "all as it must be")
    return int(bool(faults))


def _killed(served: Served, options: argparse.Namespace, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Kill the server under load and start it again on the same port; what is wrong then."""

    async def under_load() -> tuple[Served, Outcome]:
        asking = asyncio.create_task(load(served.port, pairs, options.clients, 5 + 3 * served.start_seconds))
        await asyncio.sleep(2)
        os.kill(served.process.pid, signal.SIGKILL)
        await asyncio.to_thread(served.process.wait)
        again = await asyncio.to_thread(lambda: Served(options.run, port=served.port))
        return again, await asking

    again, outcome = asyncio.run(under_load())
    print(f"killed under load: answers again after {again.start_seconds:.1f} s, statuses {dict(outcome.statuses)}")
    faults = [f"wrong after the kill: {line}" for line in outcome.wrong[:5]]
    after = asyncio.run(load(again.port, pairs, options.clients, 3))
    if set(after.statuses) - {200, 429} or not after.statuses[200]:
        faults.append(f"after the restart: statuses {dict(after.statuses)}")
    if (status := again.end()) != 0:
        faults.append(f"SIGTERM ends it with status {status}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
