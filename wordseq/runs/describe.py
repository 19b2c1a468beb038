"""What a run is: layers, parameters, settings, and the small record of its evaluation."""

from typing import Any

from wordseq.config.load import config_to_dict
from wordseq.models.diagram import diagram
from wordseq.runs.checkpoint import sha256_of
from wordseq.runs.folder import BEST, RunFolder
from wordseq.system.errors import UserError


def describe_run(run: RunFolder) -> dict[str, Any]:
    """`parameters`, `layers` (name, parameters, shapes), `settings`, `step`, `weights_sha256` of the best checkpoint."""
    arrays, state = run.load(BEST)
    check_state(run, state)
    layers: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
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
    """An SVG picture of the run's models, with the parameters that `describe_run` found."""
    parameters = {layer["name"]: layer["parameters"] for layer in described["layers"]}
    src, tgt = run.codecs
    return diagram(run.config.model, len(src.vocab), len(tgt.vocab), parameters, f"Models of the run {run.folder.name}")


def check_state(run: RunFolder, state: dict[str, Any]) -> None:
    """Check the numbers of a checkpoint's state.

    Raises:
        UserError: one is missing or not a number.
    """
    for key in ("step", "epoch", "seconds", "best_bleu"):
        if not isinstance(state.get(key), int | float):
            raise UserError(f"{run.path_of(BEST)}: damaged checkpoint: {key} = {state.get(key)!r} in its state")
