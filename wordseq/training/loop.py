"""The training loop: update, log, validate, keep the best checkpoint."""

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from wordseq.batches.batching import make_batch, plan_epoch
from wordseq.batches.epochs import EpochPairs
from wordseq.batches.id_store import IdStore
from wordseq.config.schema import TrainConfig
from wordseq.evaluation.metrics.names import SENTENCES, dev_name, gain
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs.folder import BEST, LAST, RunFolder
from wordseq.runs.weights import assign
from wordseq.system.errors import UserError
from wordseq.system.progress import counted
from wordseq.system.signals import END_SIGNALS, handled
from wordseq.system.streams import leave_terminal
from wordseq.training.distributed import ALONE, Team
from wordseq.training.optimizers import learning_rate
from wordseq.training.scheduled_sampling import gold_share
from wordseq.training.step import TeamTrainer, Trainer


class Validation(NamedTuple):
    """The result of a validation."""

    scores: Mapping[str, float]
    """Scores of greedy translations by key, "bleu" and that of `train.select_by` among them."""
    loss: float
    """Nats per token, with EOS."""
    samples: Sequence[tuple[str, str, str]]
    """A few (source, reference, hypothesis)."""
    task: str = SENTENCES
    """The kind of task, by the dev references: see `task_of`."""

    def score(self, key: str) -> float:
        """The score of a value of `train.select_by`, in its own unit."""
        return self.loss if key == "loss" else self.scores[key]


class Reporter(Protocol):
    """Shows the progress of training."""

    def step(self, progress: "Progress", entry: dict[str, Any] | None) -> None:
        """Is called after every update; `entry` is the log entry, if there is one."""

    def validation(self, progress: "Progress", found: Validation, best: bool) -> None:
        """Is called after every validation."""

    def note(self, text: str) -> None:
        """Is called with a message for the user."""


@dataclasses.dataclass
class Progress:
    """The state of a training: with the weights, all that the next update depends on."""

    step: int = 0
    epoch: int = 1
    batch: int = 0
    """Batches of this epoch so far."""
    best_score: float = 0.0
    """Of the best checkpoint, by `train.select_by`."""
    best_loss: float = 0.0
    """Dev loss of the best checkpoint. With equal scores, the lower loss is better."""
    best_step: int = 0
    """0: there was no validation yet."""
    waits: int = 0
    """Validations since the best."""
    decay_waits: int = 0
    """Validations since the best or the last decay."""
    decays: int = 0
    seconds: float = 0.0
    """Time of training and validating."""
    tokens: int = 0
    """Real target tokens so far."""
    log_nats: float = 0.0
    log_tokens: int = 0
    log_seconds: float = 0.0
    """Sums since the last log entry."""
    finished: str = ""
    """Why training is complete; empty while it is not."""


class Stopped(Exception):
    """Training was interrupted by a signal, after it saved a checkpoint."""


def train_model(
    run: RunFolder,
    model: Seq2Seq,
    pairs: EpochPairs,
    config: TrainConfig,
    validate: Callable[[], Validation],
    reporter: Reporter,
    team: Team = ALONE,
) -> Progress:
    """Train `model`, starting from the newest checkpoint of `run` that is not damaged, if there is one.

    Args:
        run: the folder for checkpoints and metrics.
        model: trained in place.
        pairs: the training pairs of each epoch.
        config: settings.
        validate: validates the model in its current state.
        reporter: is called after every update and validation.
        team: the replicas that compute the batches. All its processes call this; only the chief reads `run` and validates.

    Returns:
        The state at the end.

    Raises:
        UserError: the loss, the dev loss or the gradient is not finite; the last good checkpoint stays.
        Stopped: by Ctrl-C, SIGTERM or a hang-up, after `last` was saved.
    """
    trainer = Trainer(model, config) if team.replicas == 1 else TeamTrainer(model, config, team)
    progress = _synchronised(team, trainer, resume(run, trainer, reporter.note) if team.chief else Progress(), reporter)
    saved, progress.finished = progress.finished, over(config, progress)
    validate = _validated_by_chief(validate, team)
    period = 60 * config.save_minutes
    with _signals() as stopped:
        # A finished run without `best`: the file was damaged or deleted, and the weights of `last` take its place.
        if progress.finished and not team.from_chief(run.has(BEST)):
            _validate(run, trainer, progress, validate, reporter, team=team)
        if progress.finished != saved:
            _save(run, trainer, progress)  # The process before was killed before its last save, or the limits changed.
        while not progress.finished:
            src, tgt = pairs.of(progress.epoch)
            plan = plan_epoch(src, tgt, config, progress.epoch)
            for rows in plan[progress.batch :]:
                start, before = time.perf_counter(), progress.seconds
                rate, norm = _update(trainer, progress, src, tgt, rows)
                progress.batch += 1
                elapsed = time.perf_counter() - start
                progress.log_seconds += elapsed
                # Decisions that depend on time follow the chief's clock: all processes must decide the same.
                progress.seconds, stop = team.after_step(progress.seconds + elapsed, stopped.is_set())
                entry = _log(config, progress, rate, norm)
                if entry:
                    run.append_metrics(entry)
                reporter.step(progress, entry)
                ended = progress.batch == len(plan)
                # `last` validates before a limit ends training, so that `best` can be the last update.
                due = progress.step % config.validate_steps == 0 if config.validate_steps else ended
                last = (ended and progress.epoch == config.max_epochs) or progress.step == config.max_steps
                if due or last or _late(config, progress):
                    _validate(run, trainer, progress, validate, reporter, due, team)
                    progress.finished = over(config, progress)
                elif period and int(progress.seconds / period) > int(before / period):
                    _save(run, trainer, progress)
                if stop:
                    _save(run, trainer, progress)
                    team.wait_for_chief()
                    raise Stopped
                if progress.finished:
                    break
            else:
                # The epoch is complete; `finished` in the middle of one leaves its number for a run with higher limits.
                progress.epoch, progress.batch = progress.epoch + 1, 0
                progress.finished = over(config, progress)
            _save(run, trainer, progress)
    team.wait_for_chief()
    return progress


def _synchronised(team: Team, trainer: Trainer, progress: Progress, reporter: Reporter) -> Progress:
    """Copy progress, weights and optimizer from the chief to all processes."""
    if team.processes > 1:
        arrays = team.arrays_from_chief(trainer.arrays())
        assign(trainer.variables(), arrays, Path("the chief's weights"))
        progress = Progress(**team.from_chief(dataclasses.asdict(progress)))
    if progress.step and not over(trainer.config, progress):
        reporter.note(f"resuming from update {progress.step:,}, in epoch {progress.epoch}")
    return progress


def _validated_by_chief(validate: Callable[[], Validation], team: Team) -> Callable[[], Validation]:
    """A function that validates in the chief and returns the scores in all processes; only the chief has samples."""
    if team.processes == 1:
        return validate

    def validate_once() -> Validation:
        found = validate() if team.chief else Validation({}, 0.0, [])
        scores, loss, task = team.from_chief([dict(found.scores), found.loss, found.task])
        return Validation(scores, loss, found.samples, task)

    return validate_once


def resume(run: RunFolder, trainer: Trainer, note: Callable[[str], None]) -> Progress:
    """Restore the checkpoint `last`, if there is one, and return its progress.

    Args:
        run: the run.
        trainer: with a new model.
        note: is called if `last` is damaged and the checkpoint before it was restored.

    Raises:
        UserError: the checkpoint is damaged, and the one before it is damaged or missing.
    """
    run.remove_leftovers()  # Temporary files of a process that was killed while it saved.
    found = run.load_newest(note)
    if found is None:
        run.rewind_metrics(0)
        return Progress()
    arrays, state = found
    try:
        progress = Progress(**state)
    except TypeError as error:
        raise UserError(f"{run.path_of(LAST)}: damaged checkpoint: {error}") from None
    trainer.restore(run, arrays)
    # Entries after the checkpoint will be logged again.
    run.rewind_metrics(progress.step)
    return progress


def _update(
    trainer: Trainer, progress: Progress, src: IdStore, tgt: IdStore, rows: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Make one update; returns its learning rate, and the norm of its gradient before clipping.

    Raises:
        UserError: loss or gradient is not finite; the weights are as before.
    """
    config = trainer.config
    batch = make_batch(src, tgt, rows)
    rate = learning_rate(config, progress.step + 1, progress.epoch, progress.decays)
    trainer.updater.set_learning_rate(rate)
    share = gold_share(config, progress.step)
    if share < 1:
        # From seed and step alone, so that a resumed run draws the same.
        seed = np.array([config.seed, progress.step], np.int32)
        figures = trainer.update_fed(batch.src_ids_bs, batch.tgt_ids_bt, np.float32(share), seed)
    else:
        figures = trainer.update(batch.src_ids_bs, batch.tgt_ids_bt)
    nats, tokens, norm = (float(value) for value in figures)
    if not (math.isfinite(nats) and math.isfinite(norm)):
        raise _diverged(config, progress.step + 1, f"the loss is {nats} and its gradient's norm {norm}")
    progress.step += 1
    progress.tokens += int(tokens)
    progress.log_nats += nats
    progress.log_tokens += int(tokens)
    return rate, norm


def _diverged(config: TrainConfig, step: int, reason: str) -> UserError:
    return UserError(
        f"training stopped at update {step}: {reason}; try a smaller train.learning_rate (now {config.learning_rate:g}) "
        f"or train.clip_norm (now {config.clip_norm:g})"
    )


def _log(config: TrainConfig, progress: Progress, rate: float, norm: float) -> dict[str, Any] | None:
    """A log entry every `train.log_steps` updates, else None."""
    if progress.step % config.log_steps:
        return None
    entry = {
        "kind": "train",
        "step": progress.step,
        "epoch": progress.epoch,
        "loss": progress.log_nats / progress.log_tokens,
        "learning_rate": rate,
        "gradient_norm": norm,
        "tokens": progress.tokens,
        "tokens_per_second": round(progress.log_tokens / max(progress.log_seconds, 1e-9)),
        "seconds": round(progress.seconds, 2),
    }
    if config.teacher_forcing < 1:
        entry["teacher_forcing"] = gold_share(config, progress.step - 1)
    progress.log_nats, progress.log_tokens, progress.log_seconds = 0.0, 0, 0.0
    return entry


def _late(config: TrainConfig, progress: Progress) -> bool:
    return 0 < config.max_minutes <= progress.seconds / 60


def _validate(
    run: RunFolder,
    trainer: Trainer,
    progress: Progress,
    validate: Callable[[], Validation],
    reporter: Reporter,
    due: bool = True,
    team: Team = ALONE,
) -> None:
    """Validate, keep the best checkpoint, and count for the schedule and for early stopping.

    A validation at a limit that is not `due` is not counted: a run that resumes with a higher limit must not depend on it.

    Raises:
        UserError: the dev loss is not finite.
    """
    start, config = time.perf_counter(), trainer.config
    with trainer.averaged():
        found = validate()
    if not math.isfinite(found.loss):
        raise _diverged(config, progress.step, f"the dev loss is {found.loss}")
    key, score = config.select_by, found.score(config.select_by)
    # The loss decides where the score cannot: outputs of one token, such as sums, always have a BLEU of 0.
    better = (gain(key, score), -found.loss) > (gain(key, progress.best_score), -progress.best_loss)
    # A run without `best`: the user may have deleted a damaged one.
    best = better or not progress.best_step or not run.has(BEST)
    if best:
        progress.best_score, progress.best_loss, progress.best_step = score, found.loss, progress.step
        progress.waits = progress.decay_waits = 0
    elif due:
        progress.waits += 1
        progress.decay_waits += 1
    # Counted separately from `waits`: a decay must not start early stopping anew.
    if progress.decay_waits >= config.decay_patience:
        progress.decays, progress.decay_waits = progress.decays + 1, 0
    progress.seconds = team.from_chief(progress.seconds + time.perf_counter() - start)
    run.append_metrics(
        {
            "kind": "dev",
            "step": progress.step,
            "epoch": progress.epoch,
            **found.scores,
            "loss": found.loss,
            "best": best,
            "seconds": round(progress.seconds, 2),
        }
    )
    # Reported before it is saved: a run that resumes from this checkpoint does not report it again.
    reporter.validation(progress, found, best)
    # `best` before `last`: a process killed in between validates again. The other order would lose the best weights.
    if best:
        run.save(BEST, trainer.best_arrays(), dataclasses.asdict(progress))
    _save(run, trainer, progress)


def _save(run: RunFolder, trainer: Trainer, progress: Progress) -> None:
    run.save(LAST, trainer.arrays(), dataclasses.asdict(progress))


def over(config: TrainConfig, progress: Progress) -> str:
    """Why training is complete; empty if it is not."""
    if progress.epoch > config.max_epochs:
        # Not `max_epochs`: a run that has more may be started again with a lower limit.
        return f"{counted(progress.epoch - 1, 'epoch')} done (train.max_epochs)"
    if config.patience and progress.waits >= config.patience:
        return f"no better {dev_name(config.select_by)} in {counted(progress.waits, 'validation')} (train.patience)"
    if 0 < config.max_steps <= progress.step:
        return f"{counted(progress.step, 'update')} done (train.max_steps)"
    if _late(config, progress):
        return f"{config.max_minutes:g} min over (train.max_minutes)"
    return ""


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM or SIGHUP sets, so that the current update is completed. A second signal stops at once."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if number not in (signal.SIGINT, signal.SIGTERM):  # The terminal is gone.
            leave_terminal()
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    with handled(stop, signal.SIGINT, *END_SIGNALS):
        yield stopped
