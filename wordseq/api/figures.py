"""Matplotlib figures of a run, for notebooks and scripts: learning curves, attention."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from wordseq.comparison.attention import Alignment
from wordseq.comparison.page import plots
from wordseq.evaluation.metrics.names import dev_name
from wordseq.system.errors import UserError
from wordseq.text.tokenizers import JOINER


class Picture(Figure):
    """A figure that a notebook shows as an image; `savefig` writes it to a file. It needs no display."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=110)
        return file.getvalue()


def learning_curves(log: Sequence[Mapping[str, Any]], name: str, select_by: str) -> Picture:
    """Loss of training and validation, and the dev score that decides, over updates; BLEU where that is the loss.

    Args:
        log: entries of metrics.jsonl.
        name: of the run, for the title.
        select_by: `train.select_by` of the run.

    Raises:
        UserError: there is nothing in the log.
    """
    train, dev = ([entry for entry in log if entry.get("kind") == kind] for kind in ("train", "dev"))
    if not (train or dev):
        raise UserError(f"{name}: its log is empty: the run has no updates yet")
    with mpl.rc_context({**plots.TEXT_AS_IT_IS}):
        picture = Picture(figsize=(9, 3.4), layout="constrained")
        loss, score = picture.subplots(1, 2)
        key = "bleu" if select_by == "loss" else select_by
        curves = [(label, entries) for label, entries in (("training", train), ("validation", dev)) if entries]
        plots.draw_curves(
            loss,
            [label for label, _ in curves],
            [[(entry["step"], entry["loss"]) for entry in entries] for _, entries in curves],
            ("updates", "loss per token"),
            True,
        )
        plots.draw_curves(
            score, [name], [[(entry["step"], entry[key]) for entry in dev]], ("updates", dev_name(key)), False
        )
        picture.suptitle(name)
    return picture


def attention_map(found: Alignment) -> Picture:
    """Attention weights 0-1 as a heat map: a row for each output token, a column for each source token."""
    src, tgt = ([token.replace(JOINER, "·") for token in tokens] for tokens in (found.src_tokens, found.tgt_tokens))
    with mpl.rc_context({**plots.TEXT_AS_IT_IS}):
        picture = Picture(figsize=(1.8 + 0.34 * len(src), 1.4 + 0.28 * len(tgt)), layout="constrained")
        axes = picture.add_subplot()
        plots.draw_heat_map(axes, src, tgt, found.weights)
        picture.colorbar(axes.images[0], ax=axes, label="attention weight")
    return picture
