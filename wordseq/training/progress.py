"""How training goes, for people: a progress bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from wordseq.config.schema import TrainConfig
from wordseq.training.loop import Progress, Validation

COMPILING = "compiling the first updates, some seconds"


class TrainingProgress:
    """Reports to people; a context manager.

    Args:
        train: settings.
        batches: in one epoch.
        say: takes a line.
    """

    def __init__(self, train: TrainConfig, batches: int, say: Callable[[str], None]) -> None:
        self.train, self.batches, self._say = train, batches, say
        self._rates = ""
        self._bar = (
            Bar(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total} updates  {task.fields[rates]}  left"),
                TimeRemainingColumn(),
                console=Console(file=sys.stderr),
                transient=True,
            )
            if sys.stderr.isatty()
            else None
        )

    @property
    def _updates(self) -> int:
        """The most there can be."""
        whole = self.train.max_epochs * self.batches
        return min(whole, self.train.max_steps or whole)

    def __enter__(self) -> Self:
        if self._bar:
            total = self._updates
            self._task = self._bar.add_task("", total=total, epoch=1, rates=COMPILING)
            self._bar.start()
        else:
            self._say(COMPILING)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, progress: Progress, entry: dict[str, Any] | None) -> None:
        """See `training.Reporter`."""
        rates = entry and f"loss {entry['loss']:.3f}  {entry['tokens_per_second']:,} tokens/s"
        if self._bar:
            self._rates = rates or self._rates
            self._bar.update(self._task, completed=progress.step, epoch=progress.epoch, rates=self._rates)
        elif rates:
            self._say(f"epoch {progress.epoch}  update {progress.step}  {rates}  {self._left(progress)}")

    def validation(self, progress: Progress, found: Validation, best: bool) -> None:
        """See `training.Reporter`."""
        mark = "  best so far" if best else f"  best was {progress.best_bleu:.2f} at update {progress.best_step}"
        self.line(
            f"epoch {progress.epoch}  update {progress.step}  dev BLEU {found.bleu:.2f}  dev loss {found.loss:.3f}"
            f"  {progress.seconds / 60:.1f} min{mark}"
        )
        for source, reference, hypothesis in found.samples:
            self.line(f"  source     {source}\n  reference  {reference}\n  hypothesis {hypothesis}")

    def note(self, text: str) -> None:
        """See `training.Reporter`."""
        self.line(text)

    def line(self, text: str) -> None:
        """A line above the bar."""
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            self._say(text)

    def _left(self, progress: Progress) -> str:
        """Time to the last epoch, update or minute at the present pace, if nothing stops it before."""
        seconds = progress.seconds / max(progress.step, 1) * (self._updates - progress.step)
        if self.train.max_minutes:
            seconds = min(seconds, max(0.0, 60 * self.train.max_minutes - progress.seconds))
        return f"at most {seconds / 60:.1f} min left"
