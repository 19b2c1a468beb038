"""The processes of a distributed training, from TensorFlow's environment variable TF_CONFIG."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wordseq.system.errors import UserError

VARIABLE = "TF_CONFIG"

JOBS = ("chief", "worker")

EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """The processes by rank; rank 0 is the chief, which writes the run.

    Attributes:
        tasks: job and index of each process.
        addresses: "host:port" of each process.
        rank: of this process.
    """

    tasks: tuple[tuple[str, int], ...]
    addresses: tuple[str, ...]
    rank: int

    def name(self, rank: int) -> str:
        """The name of a process for messages."""
        job, index = self.tasks[rank]
        return f"{job} {index} ({self.addresses[rank]})"

    @property
    def others(self) -> list[str]:
        """Names of the other processes."""
        return [self.name(rank) for rank in range(len(self.tasks)) if rank != self.rank]


def read_cluster(text: str | None) -> Cluster | None:
    """The cluster of a value of TF_CONFIG; None if it is missing or empty, or has a single process.

    Raises:
        UserError: the value does not have the format of TensorFlow's guide to multi-worker training.
    """
    if not (text and text.strip()):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise _wrong("is not a JSON object")
    jobs = _jobs(found.get("cluster"))
    tasks = tuple((job, index) for job, addresses in jobs.items() for index in range(len(addresses)))
    addresses = tuple(address for listed in jobs.values() for address in listed)
    for address in addresses:
        if addresses.count(address) > 1:
            raise _wrong(f'names {address!r} twice in "cluster"')
    rank = tasks.index(_task(found.get("task"), jobs))
    return Cluster(tasks, addresses, rank) if len(tasks) > 1 else None


def _jobs(cluster: Any) -> Mapping[str, list[str]]:
    """Addresses by job, those of the chief first."""
    if not isinstance(cluster, dict) or not cluster:
        raise _wrong(f'has no "cluster" with the addresses of each job, got {cluster!r}')
    for job, addresses in cluster.items():
        if job not in JOBS:
            raise _wrong(f'names the job {job!r} in "cluster"; choose from {", ".join(JOBS)}')
        if not isinstance(addresses, list) or not addresses or not all(map(_is_address, addresses)):
            raise _wrong(f'{job} in "cluster" must be a list of addresses "host:port", got {addresses!r}')
    if len(cluster.get("chief", [])) > 1:
        raise _wrong(f'names {len(cluster["chief"])} chiefs in "cluster", expected at most one')
    return {job: cluster[job] for job in JOBS if job in cluster}


def _is_address(address: Any) -> bool:
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    # Cut to 6 digits: `int` refuses texts of more than 4,300.
    return bool(host) and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 2**16


def _task(task: Any, jobs: Mapping[str, list[str]]) -> tuple[str, int]:
    """Job and index of this process."""
    if not isinstance(task, dict):
        raise _wrong(f'has no "task" with type and index of this process, got {task!r}')
    job, index = task.get("type"), task.get("index")
    # A list, because JSON may have put something unhashable there.
    if job not in list(jobs):
        raise _wrong(f'type in "task" must be {" or ".join(map(repr, jobs))}, as in "cluster", got {job!r}')
    if type(index) is not int or not 0 <= index < len(jobs[job]):
        raise _wrong(f'index in "task" must be an integer from 0 to {len(jobs[job]) - 1} for {job!r}, got {index!r}')
    return job, index


def _wrong(what: str) -> UserError:
    return UserError(f"environment variable {VARIABLE} {what}; expected e.g. {EXAMPLE}")
