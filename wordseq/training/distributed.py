"""Several processes, or several GPUs of one, that train one model: TensorFlow's strategies, and what processes tell each other.

Every process has the whole plan of batches and computes some parts of each batch; sums over all parts come back to all of them
(`tf.distribute`), so that all make the same update and have the same weights. One of them, the chief, writes the run and looks
at the dev set; the others are told what it read or found.
"""

import json
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from wordseq.config.schema import Config
from wordseq.runs.checkpoint import Arrays
from wordseq.runs.folder import PRETRAINED, RunFolder
from wordseq.system.errors import UserError
from wordseq.system.platform import parts
from wordseq.system.signals import handled
from wordseq.system.tensorflow import stderr_aside
from wordseq.text.vocab import TextCodec
from wordseq.training.cluster import VARIABLE, Cluster

LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)
"""What TensorFlow raises where another process is gone or came anew, by the moment at which it went."""

CTRL_C_ENDS = (signal.SIG_DFL, signal.SIGINT)
"""While TensorFlow waits for others, Python would not hear of it."""


class Team:
    """All that compute the parts of a batch: `replicas` devices in one process or several.

    Args:
        strategy: TensorFlow's; None: one process with one device.
        cluster: the processes; None: this one alone.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None, cluster: Cluster | None = None) -> None:
        self.strategy: Any = strategy
        self.cluster = cluster
        self.replicas: int = strategy.num_replicas_in_sync if strategy else 1
        self.processes = len(cluster.tasks) if cluster else 1
        self.rank = cluster.rank if cluster else 0

    @property
    def chief(self) -> bool:
        """Whether this process writes the run."""
        return self.rank == 0

    @property
    def parts(self) -> int:
        """Parts of a batch that all compute side by side, by the devices and the processors of this process."""
        on_gpus = self.replicas > self.processes
        return self.replicas if on_gpus else self.replicas * parts()

    def name(self, rank: int) -> str:
        """A process for people."""
        return self.cluster.name(rank) if self.cluster else "this process"

    def scope(self) -> AbstractContextManager[Any]:
        """Variables that are the same in all replicas are made in it."""
        return self.strategy.scope() if self.strategy else nullcontext()

    def said(self, rank: int, value: Any) -> Any:
        """The value, something for JSON, that the process `rank` calls this with; those of the others do not matter."""
        if self.cluster is None:
            return value
        data = json.dumps(value).encode() if rank == self.rank else b""
        size = int(self._sum(np.array([len(data)], np.int64))[0])
        # As whole numbers of 32 bits, the smallest that TensorFlow adds between processes.
        words = np.zeros(-(-size // 4), np.int32)
        words.view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
        return json.loads(self._sum(words).tobytes()[:size])

    def said_by_all(self, value: Any) -> list[Any]:
        """What every process calls this with, by rank."""
        return [self.said(rank, value) for rank in range(self.processes)]

    def chiefs(self, value: Any) -> Any:
        """What the chief calls this with."""
        return self.said(0, value)

    def chiefs_arrays(self, arrays: Arrays) -> Arrays:
        """The chief's arrays, bit for bit; those of the others have the same names, shapes and kinds, of 4 or 8 bytes."""
        if self.cluster is None:
            return arrays
        found = {}
        for name in sorted(arrays):
            array = arrays[name]
            bits = np.ascontiguousarray(array).reshape(-1).view(np.int32)
            found[name] = self._sum(bits if self.chief else np.zeros_like(bits)).view(array.dtype).reshape(array.shape)
        return found

    def after_step(self, seconds: float, stop: bool) -> tuple[float, bool]:
        """The chief's clock, and whether any process wants to stop."""
        if self.cluster is None:
            return seconds, stop
        clock, wishes = self._sum(np.array([seconds * self.chief, stop]))
        return float(clock), bool(wishes)

    def check_equal(self, values: dict[str, Any], what: str) -> None:
        """Check that all processes say the same.

        Args:
            values: by name, something for JSON.
            what: they are, for the message.

        Raises:
            UserError: one says something else than the chief; in every process.
        """
        if self.cluster is None:
            return
        with handled(*CTRL_C_ENDS):
            first, *others = self.said_by_all(values)
        for rank, other in enumerate(others, 1):
            for name, value in first.items():
                if other.get(name) != value:
                    raise UserError(
                        f"{what} differ: {name} is {other.get(name)!r} for {self.cluster.name(rank)} and {value!r} for "
                        f"{self.cluster.name(0)}; give all of them the same command and data"
                    )

    def part(self) -> None:
        """Wait until the chief has written everything: nobody leaves before, as it could take its last word with it."""
        with suppress(*LOST):
            self.chiefs("done")

    def _sum(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The sum over all processes."""
        return np.asarray(self.strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(values), axis=None))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Make errors of TensorFlow that mean that another process is gone errors for people.

        Raises:
            UserError: another process is gone.
        """
        try:
            yield
        except LOST as error:
            if self.cluster is None:
                raise
            raise UserError(
                f"the connection to {_culprit(self.cluster, str(error))} was lost: it was ended, or failed for a reason that "
                "it says itself; the same commands, given again on all machines, continue from the last checkpoint"
            ) from None


ALONE = Team()


def join(cluster: Cluster | None, say: Callable[[str], None]) -> Team:
    """Wait for the other processes of a cluster; without one, take all GPUs of this machine.

    Has to come before anything is computed with TensorFlow.

    Args:
        cluster: the processes, this one included.
        say: hears who is waited for.

    Raises:
        UserError: they did not come together.
    """
    if cluster is None:
        return Team(tf.distribute.MirroredStrategy()) if len(tf.config.list_physical_devices("GPU")) > 1 else ALONE
    others = ", ".join(cluster.others)
    say(f"{cluster.name(cluster.rank)}: waiting for {others}")
    try:
        with stderr_aside(), handled(*CTRL_C_ENDS):
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
            team = Team(strategy, cluster)
            team.said_by_all("here")
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(
            f"{cluster.name(cluster.rank)}: did not come together with {others}, as {VARIABLE} has it: "
            f"{str(error).partition(chr(10))[0]}"
        ) from None
    return team


def _culprit(cluster: Cluster, message: str) -> str:
    """Who is gone, as far as TensorFlow says it."""
    for job, index in re.findall(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)", message):
        task = (job, int(index))
        if task in cluster.tasks and task != cluster.tasks[cluster.rank]:
            return cluster.name(cluster.tasks.index(task))
    return " or ".join(cluster.others)


class Follower(RunFolder):
    """A run that another process writes: this one only keeps in mind what it has to read again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._files: Mapping[str, Any] = {}
        self._pretrained: Arrays = {}

    @property
    def begun(self) -> bool:
        """Never: whatever lies in the folder is not this process's."""
        return False

    def begin(
        self, config: Config, src: TextCodec, tgt: TextCodec, files: Mapping[str, Any], pretrained: Arrays | None = None
    ) -> None:
        """Keep the files and vectors."""
        self._files, self._pretrained = files, pretrained or {}

    def load(self, name: str) -> tuple[Arrays, dict[str, Any]]:
        """The vectors that `begin` was given; no checkpoint is this process's."""
        if name != PRETRAINED:
            raise ValueError(f"{name}: the chief has it")
        return self._pretrained, {}

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the files that `begin` was given."""
        return dict(self._files[name])

    def save(self, name: str, arrays: Arrays, state: Mapping[str, Any]) -> None:
        """Nothing."""

    def append_metrics(self, entry: Mapping[str, Any]) -> None:
        """Nothing."""

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Nothing."""
