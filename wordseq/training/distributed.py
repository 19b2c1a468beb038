"""Synchronous data parallelism over several processes, or several GPUs of one process, by TensorFlow's strategies.

Every process plans the same batches and computes some shards of each one. Gradients are all-reduced (`tf.distribute`), so all
processes make the same update and have the same weights. One process, the chief, writes the run and validates. It broadcasts
what it reads and finds to the others.
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
from wordseq.system.tensorflow import stderr_captured
from wordseq.text.vocab import TextCodec
from wordseq.training.cluster import VARIABLE, Cluster

LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)
"""Errors of TensorFlow for a process that ended or restarted; which one depends on the moment."""

CTRL_C_ENDS = (signal.SIG_DFL, signal.SIGINT)
"""Ctrl-C ends the process. Python's handler would not run while TensorFlow waits for other processes."""


class Team:
    """The replicas that compute the shards of a batch: devices of one or several processes.

    Args:
        strategy: TensorFlow's strategy; None: one process with one device.
        cluster: the processes; None: only this one.
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
        """The number of shards that the team computes in parallel: one per GPU, or one per processor."""
        on_gpus = self.replicas > self.processes
        return self.replicas if on_gpus else self.replicas * parts()

    def name(self, rank: int) -> str:
        """The name of a process for messages."""
        return self.cluster.name(rank) if self.cluster else "this process"

    def scope(self) -> AbstractContextManager[Any]:
        """The context in which variables are made that all replicas share."""
        return self.strategy.scope() if self.strategy else nullcontext()

    def broadcast(self, rank: int, value: Any) -> Any:
        """The value of process `rank`; all processes call this. The value must be valid JSON."""
        if self.cluster is None:
            return value
        # `tf.distribute` has no broadcast: the others add zeros.
        data = json.dumps(value).encode() if rank == self.rank else b""
        size = int(self._sum(np.array([len(data)], np.int64))[0])
        # As int32, the smallest integers that TensorFlow sums between processes.
        words = np.zeros(-(-size // 4), np.int32)
        words.view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
        return json.loads(self._sum(words).tobytes()[:size])

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank; all processes call this."""
        return [self.broadcast(rank, value) for rank in range(self.processes)]

    def from_chief(self, value: Any) -> Any:
        """The value of the chief; all processes call this."""
        return self.broadcast(0, value)

    def arrays_from_chief(self, arrays: Arrays) -> Arrays:
        """The chief's arrays, bit for bit. All processes have the same names, shapes and types, of 4 or 8 bytes."""
        if self.cluster is None:
            return arrays
        found = {}
        # Sorted: the sums of all processes must be in the same order.
        for name in sorted(arrays):
            array = arrays[name]
            # As integers: a sum of floats with 0 would change -0.0, and NaNs.
            bits = np.ascontiguousarray(array).reshape(-1).view(np.int32)
            found[name] = self._sum(bits if self.chief else np.zeros_like(bits)).view(array.dtype).reshape(array.shape)
        return found

    def after_step(self, seconds: float, stop: bool) -> tuple[float, bool]:
        """The chief's clock, and whether any process was asked to stop."""
        if self.cluster is None:
            return seconds, stop
        # One sum for both, because it is made after every update.
        clock, wishes = self._sum(np.array([seconds * self.chief, stop]))
        return float(clock), bool(wishes)

    def check_equal(self, values: dict[str, Any], what: str) -> None:
        """Check that all processes have the same values.

        Args:
            values: by name; valid JSON.
            what: a name of the values, for the message.

        Raises:
            UserError: a process has another value than the chief. It is raised in every process.
        """
        if self.cluster is None:
            return
        # Every process gets all values, so all come to the same verdict and none waits for a process that stopped.
        with handled(*CTRL_C_ENDS):
            first, *others = self.gather(values)
        for rank, other in enumerate(others, 1):
            for name, value in first.items():
                if other.get(name) != value:
                    raise UserError(
                        f"{what} differ: {name} is {other.get(name)!r} for {self.cluster.name(rank)} and {value!r} for "
                        f"{self.cluster.name(0)}; give all of them the same command and data"
                    )

    def wait_for_chief(self) -> None:
        """Wait until the chief has saved everything."""
        # A process that ends earlier would close a connection that the chief's last sum still needs.
        with suppress(*LOST):
            self.from_chief("done")

    def _sum(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The sum over all processes."""
        return np.asarray(self.strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(values), axis=None))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turns TensorFlow's errors about a lost process into a message for the user.

        Raises:
            UserError: the connection to another process was lost.
        """
        try:
            yield
        except LOST as error:
            if self.cluster is None:
                raise
            raise UserError(
                f"the connection to {_culprit(self.cluster, str(error))} was lost: the process was ended, or failed and "
                "printed why; give the same commands again on all machines to resume from the last checkpoint"
            ) from None


ALONE = Team()


def join(cluster: Cluster | None, say: Callable[[str], None]) -> Team:
    """Connect to the other processes of a cluster; without a cluster, use all GPUs of this machine.

    This must be called before TensorFlow's first operation.

    Args:
        cluster: the processes, with this one.
        say: is called with the names of the processes to wait for.

    Raises:
        UserError: the processes cannot connect.
    """
    if cluster is None:
        return Team(tf.distribute.MirroredStrategy()) if len(tf.config.list_physical_devices("GPU")) > 1 else ALONE
    others = ", ".join(cluster.others)
    say(f"{cluster.name(cluster.rank)}: waiting for {others}")
    try:
        with stderr_captured(), handled(*CTRL_C_ENDS):
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
            team = Team(strategy, cluster)
            # A first sum, so that a cluster that does not work fails here.
            team.gather("here")
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(
            f"{cluster.name(cluster.rank)}: cannot connect to {others}; check the addresses in {VARIABLE} and start all of "
            f"them: {str(error).partition(chr(10))[0]}"
        ) from None
    return team


def _culprit(cluster: Cluster, message: str) -> str:
    """Name of the lost process, from TensorFlow's message; of all others if the message does not tell."""
    for job, index in re.findall(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)", message):
        task = (job, int(index))
        if task in cluster.tasks and task != cluster.tasks[cluster.rank]:
            return cluster.name(cluster.tasks.index(task))
    return " or ".join(cluster.others)


class Follower(RunFolder):
    """A run that another process writes. Nothing is written to disk; what this process reads again stays in memory."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._files: Mapping[str, Any] = {}
        self._pretrained: Arrays = {}

    @property
    def begun(self) -> bool:
        """Always False: files in the folder belong to another process."""
        return False

    def begin(
        self, config: Config, src: TextCodec, tgt: TextCodec, files: Mapping[str, Any], pretrained: Arrays | None = None
    ) -> None:
        """Keep files and vectors in memory."""
        self._files, self._pretrained = files, pretrained or {}

    def load(self, name: str) -> tuple[Arrays, dict[str, Any]]:
        """The vectors that `begin` was called with.

        Raises:
            ValueError: `name` is a checkpoint, which only the chief has.
        """
        if name != PRETRAINED:
            raise ValueError(f"{name}: only the chief has it")
        return self._pretrained, {}

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the files that `begin` was called with."""
        return dict(self._files[name])

    def save(self, name: str, arrays: Arrays, state: Mapping[str, Any]) -> None:
        """Do nothing."""

    def append_metrics(self, entry: Mapping[str, Any]) -> None:
        """Do nothing."""

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Do nothing."""
