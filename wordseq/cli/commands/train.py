"""`wordseq train`: train or resume a run, then score its held-out test split."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from wordseq.cli.options import add_command, add_config, add_mirror, named_data, new_path
from wordseq.config.fields import usual_value
from wordseq.config.load import load_config
from wordseq.config.schema import SECTIONS, USUAL, Config, by_key
from wordseq.evaluation.metrics.names import main_metrics
from wordseq.system.errors import UserError
from wordseq.system.tensorflow import import_tensorflow
from wordseq.training.cluster import VARIABLE, read_cluster


def add(commands: Any) -> None:
    """Add `train` to the commands."""
    parser = add_command(
        commands,
        "train",
        _train,
        "train or resume a run, then score its held-out test split",
        (
            "wordseq train phrasebook --run runs/phrasebook",
            "wordseq train pairs.tsv --run runs/mine --set model.cell=lstm",
        ),
    )
    add_config(parser, "the settings of the run if it exists, else the defaults of --list-settings all")
    parser.add_argument(
        "--run",
        type=new_path,
        metavar="DIR",
        help="folder of the run; an existing run is resumed (default: runs/NAME, by the name of the data or settings)",
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="also write losses, dev scores, learning rate and sample translations to DIR/tensorboard (default: off)",
    )
    parser.add_argument(
        "--list-settings",
        nargs="?",
        choices=("usual", "all"),
        const="usual",
        help="print the settings that would be used, and exit: those that people change, and those that are not at their "
        "default; all: every setting (default: off)",
    )
    add_mirror(parser)


def _train(options: argparse.Namespace) -> int | None:
    if options.list_settings:
        named_data(options)
        print(_settings(_config(options, with_data=False), complete=options.list_settings == "all"))
        return 0
    from wordseq.runs.data import prepare_run, with_own_pairs
    from wordseq.runs.find import data_name, folder_for
    from wordseq.runs.folder import RunFolder

    cluster = read_cluster(os.environ.get(VARIABLE))
    if options.run is None and cluster is not None:
        raise UserError("train needs --run DIR where several processes train together")
    named_data(options)
    config = _config(options)
    if options.run is None:
        # What is left in options.config is a preset or a file of settings.
        name = Path(options.config).stem if options.config else data_name(config.data)
        options.run = folder_for(Path("runs") / name, config)
        print(f"run folder: {options.run}; --run DIR chooses another", flush=True)
        config = _config(options)  # Of this folder, which may have a run.
    if config.eval.tokenize != "auto":
        from wordseq.evaluation.metrics.tokenizing import usable_tokenizer

        usable_tokenizer(config.eval.tokenize, "eval.tokenize")  # Before TensorFlow, which takes seconds.
    run = RunFolder(options.run)
    # Before TensorFlow is imported, which takes seconds: mistakes in the data are reported at once.
    corpus = (
        prepare_run(with_own_pairs(config, run, given=False), run, options.mirror, _say) if cluster is None else None
    )
    # In a cluster `join` starts the runtime: its settings must come before the start.
    import_tensorflow(start=cluster is None)
    from wordseq.evaluation.evaluate import evaluate_run
    from wordseq.training.distributed import join
    from wordseq.training.loop import Stopped
    from wordseq.training.run import train_run

    team = join(cluster, _say)
    chief = "" if team.chief else f" by {team.name(0)}"
    try:
        with team.watched():
            train_run(config, options.run, options.mirror, _say, team, tensorboard=options.tensorboard, data=corpus)
    except Stopped:
        same = "the same command resumes it" if team.processes == 1 else "the same commands resume it"
        print(f"stopped; saved in {options.run}{chief}: {same}", file=sys.stderr)
        return 130
    # Only the first process writes the run, so only it can score it.
    if not team.chief:
        print(f"the run is written and scored{chief}")
        return 0
    scores = evaluate_run(RunFolder.open(options.run), command=options.command_line)
    print(scores)
    print(f"{held_out_line(scores)}  ({options.run / 'eval' / 'test.txt'})")
    return 0


def held_out_line(scores: Mapping[str, Any]) -> str:
    """The first metric of an evaluation's task, F1 where there is one, and BLEU."""
    shown = [scores[key] for key in dict.fromkeys((main_metrics(scores)[0], "f1", "bleu")) if key in scores]
    return "held-out test " + ", ".join(f"{score['name']} {score['score']:.2f}" for score in shown)


def _say(line: str) -> None:
    # Flushed, because the log of a training of hours is usually a file or a pipe.
    print(line, flush=True)


def _config(options: argparse.Namespace, *, with_data: bool = True) -> Config:
    """The settings that the options give, after `named_data`; see `load_config`."""
    # A run resumes with its own settings; --set on top of them is checked against `Changes` later.
    saved = options.run / "config.toml" if options.run else None
    start = options.config or (saved if saved and saved.is_file() else None)
    return load_config(start, options.set, with_data=with_data)


def _settings(config: Config, complete: bool) -> str:
    """The settings as text: key, value, default if it is another, doc and choices."""
    lines, hidden, values = [], 0, by_key(config)
    for section, kind in SECTIONS.items():
        for field in fields(kind):
            key, value = f"{section}.{field.name}", values[f"{section}.{field.name}"]
            if not complete and key not in USUAL and value == usual_value(field):
                hidden += 1
                continue
            choices = field.metadata["choices"]
            allowed = f" ({', '.join(map(repr, choices))})" if choices else ""
            usual = "" if value == usual_value(field) else f"  (default: {_shown(usual_value(field))})"
            lines.append(f"{key} = {_shown(value)}{usual}\n    {field.metadata['doc']}{allowed}")
    if hidden:
        lines.append(f"{hidden} more settings: wordseq train --list-settings all")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
