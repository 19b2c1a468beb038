"""Event files for TensorBoard in RUN/tensorboard: losses, dev scores, learning rate, sample translations.

Writing needs only TensorFlow; `tensorboard --logdir RUN` needs the extra `tensorboard`. When a run resumes, all figures are
written again from metrics.jsonl. So each update is there once, however the process before ended.
"""

import importlib.util
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.summary_pb2 import Summary, SummaryMetadata
from tensorflow.core.util.event_pb2 import Event, SessionLog

from wordseq.config.schema import SELECT_BY
from wordseq.evaluation.tables import escape_markdown, markdown_table
from wordseq.runs.folder import RunFolder
from wordseq.training.loop import Progress, Reporter, Validation

FOLDER = "tensorboard"

FILES = "events.out.tfevents.*.wordseq"
"""Name pattern of event files; "*" is a number. TensorBoard reads them in the order of their names."""

TAGS: Mapping[str, Mapping[str, str]] = {
    "train": {
        "loss": "loss/train",
        "learning_rate": "train/learning_rate",
        "gradient_norm": "train/gradient_norm",
        "tokens_per_second": "train/tokens_per_second",
        "teacher_forcing": "train/teacher_forcing",
    },
    "dev": {key: f"{key}/dev" for key in SELECT_BY},
}
"""TensorBoard's tags, by kind and key of an entry in metrics.jsonl."""

SAMPLES = "samples/dev"


class Board:
    """A reporter that writes event files and calls another reporter.

    Args:
        run: the run of the event files.
        reporter: is called with everything that this one is called with.
    """

    def __init__(self, run: RunFolder, reporter: Reporter) -> None:
        self.run, self.reporter = run, reporter
        # Opened with the first event: only then does metrics.jsonl end at the checkpoint that the run resumes from.
        self._writer: Any = None
        self._start = 0.0

    def step(self, progress: Progress, entry: dict[str, Any] | None) -> None:
        """See `loop.Reporter`."""
        self.reporter.step(progress, entry)
        self._log(progress, entry or {})

    def validation(self, progress: Progress, found: Validation, best: bool) -> None:
        """See `loop.Reporter`."""
        self.reporter.validation(progress, found, best)
        entry = {"kind": "dev", "step": progress.step, "seconds": progress.seconds}
        self._log(progress, {**entry, **found.scores, "loss": found.loss})
        if found.samples:
            rows = [tuple(map(escape_markdown, sample)) for sample in found.samples]
            text = markdown_table(("Source", "Reference", "Hypothesis"), rows)
            metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
            value = Summary.Value(tag=SAMPLES, metadata=metadata, tensor=tf.make_tensor_proto(text.encode()))
            self._write([self._event(entry, value)])

    def note(self, text: str) -> None:
        """See `loop.Reporter`."""
        self.reporter.note(text)

    def _log(self, progress: Progress, entry: Mapping[str, Any]) -> None:
        """Write an entry of metrics.jsonl; the first call writes all entries of the file, with this one."""
        if self._writer is None:
            self._open(progress)
        else:
            self._write(self._scalars(entry))

    def _open(self, progress: Progress) -> None:
        """Start a file with all of metrics.jsonl and with the samples before this update. It replaces the older files."""
        folder = self.run.folder / FOLDER
        folder.mkdir(exist_ok=True)
        old = sorted(folder.glob(FILES))
        # The time axis is the time of training, without pauses between processes.
        self._start = time.time() - progress.seconds
        events = (event for path in old for event in read_events(path))
        samples = {event.step: event for event in events if any(value.tag == SAMPLES for value in event.summary.value)}
        # The number is the time, but larger than all others: a second process may start within the same second.
        number = max([int(time.time()), *(int(path.suffixes[-2][1:]) + 1 for path in old)])
        self._writer = tf.io.TFRecordWriter(str(folder / FILES.replace("*", f"{number:010d}")))
        version = Event(wall_time=self._start, file_version="brain.Event:2")
        # A START event makes an open TensorBoard discard what it read from older files.
        started = Event(wall_time=self._start, step=0, session_log=SessionLog(status=SessionLog.START))
        self._write([version, started])
        for entry in self.run.metrics():
            self._write(self._scalars(entry))
        self._write(samples[step] for step in sorted(samples) if step < progress.step)
        for path in old:
            path.unlink(missing_ok=True)

    def _scalars(self, entry: Mapping[str, Any]) -> Iterator[Event]:
        tags = TAGS.get(str(entry.get("kind")), {})
        values = [Summary.Value(tag=tag, simple_value=entry[key]) for key, tag in tags.items() if key in entry]
        if values:
            yield self._event(entry, *values)

    def _event(self, entry: Mapping[str, Any], *values: Summary.Value) -> Event:
        when = self._start + entry.get("seconds", 0.0)
        return Event(wall_time=when, step=entry["step"], summary=Summary(value=values))

    def _write(self, events: Iterable[Event]) -> None:
        for event in events:
            self._writer.write(event.SerializeToString())
        self._writer.flush()


def read_events(path: Path) -> Iterator[Event]:
    """The events of a file, without a last one that a kill cut off."""
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield Event.FromString(record)
    except tf.errors.DataLossError:
        return


def how_to_look(folder: Path) -> str:
    """A line with the command that shows the training of a run folder."""
    missing = "" if importlib.util.find_spec("tensorboard") else "; first: pip install 'wordseq[tensorboard]'"
    return f"to watch: tensorboard --logdir {folder}{missing}"
