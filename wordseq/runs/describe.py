"""Description of a run: layers, parameters, settings, and a picture of its model."""

from typing import Any

from wordseq.config.load import config_to_dict
from wordseq.runs.checkpoint import sha256_of
from wordseq.runs.diagram import diagram
from wordseq.runs.folder import BEST, RunFolder
from wordseq.system.errors import UserError


def describe_run(run: RunFolder) -> dict[str, Any]:
    """`parameters`, `layers` (name, parameters, shapes), `settings`, `step` and `weights_sha256` of the best checkpoint.

    Raises:
        UserError: the checkpoint is missing or damaged.
    """
    arrays, state = run.load(BEST)
    check_state(run, state)
    layers: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        # A Keras path: MODEL/LAYER/.../WEIGHT.
        _, *path, weight = name.split("/")
        layer = layers.setdefault("/".join(path), {"name": "/".join(path), "parameters": 0, "shapes": {}})
        layer["parameters"] += int(array.size)
        layer["shapes"][weight] = list(array.shape)
    return {
        "parameters": sum(layer["parameters"] for layer in layers.values()),
        "layers": list(layers.values()),
        "settings": config_to_dict(run.config),
        "step": state["step"],
        "weights_sha256": sha256_of(arrays),
    }


def draw_run(run: RunFolder, described: dict[str, Any]) -> str:
    """An SVG picture of the run's models, with the numbers of parameters from `describe_run`."""
    parameters = {layer["name"]: layer["parameters"] for layer in described["layers"]}
    src, tgt = run.codecs
    return diagram(run.config.model, len(src.vocab), len(tgt.vocab), parameters, f"Models of the run {run.folder.name}")


def check_state(run: RunFolder, state: dict[str, Any]) -> None:
    """Check that the state of the best checkpoint has its numbers.

    Raises:
        UserError: a number is missing or not a number.
    """
    for key in ("step", "epoch", "seconds", *(() if run.members or run.averaged else ("best_score",))):
        if not isinstance(state.get(key), int | float):
            raise UserError(f"{run.path_of(BEST)}: damaged checkpoint: {key} = {state.get(key)!r}, expected a number")
