"""`wordseq describe`: print layers and parameters of a run; as JSON, its settings too."""

import argparse
import json
from typing import Any

from wordseq.cli.options import add_command, add_json, add_run, new_path
from wordseq.system.errors import UserError
from wordseq.system.files import write_atomically


def add(commands: Any) -> None:
    """Add `describe` to the commands."""
    parser = add_command(
        commands,
        "describe",
        _describe,
        "print layers and parameters of a run, with --json its settings too",
        ("wordseq describe runs/phrasebook", "wordseq describe runs/phrasebook --svg model.svg"),
    )
    add_run(parser)
    add_json(parser)
    parser.add_argument(
        "--svg",
        type=new_path,
        metavar="FILE",
        help="also draw, as SVG, the model as it is trained, its encoder alone, and one step of its decoder (default: none)",
    )


def _describe(options: argparse.Namespace) -> None:
    from wordseq.runs.combine import combination_note, open_run
    from wordseq.runs.describe import describe_run, draw_run

    run = open_run(options.run)
    if options.svg and run.members:
        raise UserError(
            f"{options.run}: --svg draws the model of one run, and this is an ensemble; give one of its runs"
        )
    found = describe_run(run) | ({"made_of": made_of} if (made_of := combination_note(run)) else {})
    if options.svg:
        write_atomically(options.svg, draw_run(run, found).encode())
    if options.json:
        print(json.dumps(found, indent=1))
        return
    width = max(len(layer["name"]) for layer in found["layers"])
    for layer in found["layers"]:
        shapes = ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in layer["shapes"].items())
        print(f"{layer['name']:{width}} {layer['parameters']:>12,}  {shapes}")
    print(f"{'all':{width}} {found['parameters']:>12,}")
    average = found["settings"]["train"]["average"]
    averaged = f"; moving averages of the weights, with a decay of {average:g} per update" if average else ""
    print(f"best checkpoint: update {found['step']:,}; sha256 of its weights {found['weights_sha256']}{averaged}")
    if made_of:
        print(made_of)
