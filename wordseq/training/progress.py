"""Shows the progress of training: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable
from typing import Any, Self

from wordseq.config.schema import TrainConfig
from wordseq.evaluation.metrics.names import dev_score, score_text, shown_of
from wordseq.system.progress import BAR, TIME_LEFT, ProgressBar
from wordseq.training.loop import Progress, Validation
from wordseq.training.optimizers import learning_rate

COMPILING = "compiling the first updates; this takes some seconds"


class TrainingProgress:
    """A reporter for the user; a context manager.

    Args:
        train: settings.
        batches: number in one epoch.
        say: is called with each line if there is no bar.
        shown: False: no bar, even on a terminal or in a notebook.
        compiles: False: there will be no update, so there is neither a bar nor the line on compiling.

    Attributes:
        updated: whether there was an update.
    """

    def __init__(
        self,
        train: TrainConfig,
        batches: int,
        say: Callable[[str], None],
        *,
        shown: bool = True,
        compiles: bool = True,
    ) -> None:
        self.train, self.batches, self._say, self._compiles = train, batches, say, compiles
        self._rates, self.updated = "", False
        most = train.max_epochs * batches
        self._updates = min(most, train.max_steps or most)
        updates = "{task.completed}/{task.total} updates  {task.fields[rates]}  left"
        columns = ("epoch {task.fields[epoch]}", BAR, updates, TIME_LEFT)
        self._bar = ProgressBar(columns, self._updates, shown=shown and compiles, epoch=1, rates=COMPILING)

    def __enter__(self) -> Self:
        self._bar.__enter__()
        if self._compiles and not self._bar:
            self._say(COMPILING)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()

    def step(self, progress: Progress, entry: dict[str, Any] | None) -> None:
        """See `loop.Reporter`."""
        self.updated = True
        rates = entry and f"loss {entry['loss']:.3f}  {entry['tokens_per_second']:,} tokens/s"
        if self._bar:
            self._rates = rates or self._rates
            self._bar.update(progress.step, epoch=progress.epoch, rates=self._rates)
        elif rates:
            # "At most": early stopping may end training before its last epoch, update or minute.
            seconds = progress.seconds / max(progress.step, 1) * (self._updates - progress.step)
            if self.train.max_minutes:
                seconds = min(seconds, max(0.0, 60 * self.train.max_minutes - progress.seconds))
            left = f"at most {seconds / 60:.1f} min left"
            self._say(f"epoch {progress.epoch}  update {progress.step}  {rates}  {left}")

    def validation(self, progress: Progress, found: Validation, best: bool) -> None:
        """See `loop.Reporter`."""
        key, best_score = self.train.select_by, score_text(self.train.select_by, progress.best_score)
        mark = "  best so far" if best else f"  best was {best_score} at update {progress.best_step}"
        scores = "  ".join(dev_score(each, found.score(each)) for each in shown_of(found.task, key))
        # Small data decay the rate until nothing is learned any more; without a word that looks like a bad model.
        if self.train.schedule == "plateau" and progress.decays:
            rate = learning_rate(self.train, progress.step + 1, progress.epoch, progress.decays)
            mark += f"; learning rate {rate:.2g}"
        self.line(f"epoch {progress.epoch}  update {progress.step}  {scores}  {progress.seconds / 60:.1f} min{mark}")
        for source, reference, hypothesis in found.samples:
            self.line(f"  source     {source}\n  reference  {reference}\n  hypothesis {hypothesis}")

    def note(self, text: str) -> None:
        """See `loop.Reporter`."""
        self.line(text)

    def line(self, text: str) -> None:
        """Print a line above the bar, or alone if there is no bar."""
        if self._bar:
            self._bar.print(text)
        else:
            self._say(text)
