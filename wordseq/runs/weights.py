"""Loading the model of a run with its weights, and exchanging weights with arrays."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from wordseq.config.schema import ELEMENTWISE_CELLS, ModelConfig
from wordseq.models.build import model_for
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs.checkpoint import Arrays
from wordseq.runs.folder import BEST, RunFolder
from wordseq.system.errors import UserError


def _check_model_size(model: ModelConfig, src_size: int, tgt_size: int, arrays: Arrays, where: Path) -> None:
    """Check, before memory is allocated for a model, that the checkpoint has at least the weights that its settings need.

    A damaged config.toml or vocabulary could otherwise ask for more memory than there is.

    Raises:
        UserError: the checkpoint has too few weights.
    """
    own = model.kind == "encoder_decoder" and not model.share_embeddings
    vectors = src_size + tgt_size * own + model.hidden_size
    squares = 0
    if model.kind != "same_length":
        # A lower bound, in square matrices. Each decoder layer has one; the lowest has none if the cell has no recurrent
        # product. Attention has two.
        squares = model.decoder_layers - (model.cell in ELEMENTWISE_CELLS) + 2 * (model.attention != "none")
    least = model.embed_dim * vectors + model.hidden_size**2 * squares
    found = sum(array.size for array in arrays.values())
    if least > found:
        raise UserError(
            f"{where}: has {found:,} weights, but the settings and vocabularies of the run need at least {least:,}"
        )


def by_path(variables: Iterable[keras.Variable]) -> dict[str, keras.Variable]:
    """Variables by their Keras path."""
    return {variable.path: variable for variable in variables}


def arrays_of(variables: Mapping[str, keras.Variable]) -> Arrays:
    """Values of variables, as arrays by name."""
    return {name: np.asarray(variable.value) for name, variable in variables.items()}


def assign(variables: Mapping[str, keras.Variable], arrays: Arrays, where: Path) -> None:
    """Set variables to the arrays with their names.

    Args:
        variables: variables by name.
        arrays: arrays by name.
        where: file of the arrays, for the message.

    Raises:
        UserError: an array is missing or has another shape.
    """
    for name, variable in variables.items():
        value = arrays.get(name)
        if value is None or value.shape != tuple(variable.shape):
            got = "nothing" if value is None else f"shape {value.shape}"
            raise UserError(f"{where}: {name} must have shape {tuple(variable.shape)}, got {got}")
        variable.assign(value)


def load_model(run: RunFolder, name: str = BEST, precision: str = "float32") -> tuple[Seq2Seq, dict[str, Any]]:
    """The model of a run with the weights of a checkpoint, and the state of the checkpoint.

    Args:
        run: the run.
        name: "best", "last" or "previous".
        precision: number format of large matrix products.

    Raises:
        UserError: a file is missing or damaged, or weights and settings do not fit together.
    """
    config, (src, tgt) = run.config, run.codecs
    arrays, state = run.load(name)
    # The checkpoint was checked against its SHA-256; config.toml and the vocabularies have none.
    _check_model_size(config.model, len(src.vocab), len(tgt.vocab), arrays, run.path_of(name))
    model = model_for(config, src, tgt, precision=precision)
    assign(by_path(model.weights), arrays, run.path_of(name))
    return model, state
