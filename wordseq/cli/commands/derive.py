"""`wordseq pack`, `export`, `ensemble`, `average`: make a new folder of trained runs."""

import argparse
from pathlib import Path
from typing import Any

from wordseq.cli.options import add_command, add_decode, add_run, add_runs, decode_settings, new_path
from wordseq.export.browser.runtime import RUNTIME


def add(commands: Any) -> None:
    """Add `pack`, `export`, `ensemble` and `average` to the commands."""
    parser = add_command(
        commands,
        "pack",
        _pack,
        "write what translating with a run needs, with a model card, as a folder or a .zip",
        ("wordseq pack runs/phrasebook", "wordseq pack runs/phrasebook --output phrasebook.zip --with-test"),
    )
    add_run(parser)
    parser.add_argument(
        "--output",
        type=new_path,
        metavar="FILE_OR_FOLDER",
        help="new folder, or new file if the name ends in .zip (default: RUN-packed, beside the run)",
    )
    parser.add_argument(
        "--with-test",
        action="store_true",
        help="also pack the test sentences, which eval without --src, compare and report need; "
        "they are text of the corpus, so mind its licence (default: off)",
    )
    export = add_command(
        commands,
        "export",
        _export,
        "write a run for other programs: ONNX graphs that translate without TensorFlow, a page for browsers, or a SavedModel",
        (
            "wordseq export runs/phrasebook --format onnx",
            "wordseq export runs/phrasebook --format web --output phrasebook",
        ),
    )
    add_run(export)
    export.add_argument(
        "--format",
        choices=("onnx", "web", "saved_model"),
        default="onnx",
        help="onnx: encoder and decoder step for onnxruntime, in float32 and int8, with a program; web: a folder for any web "
        "server, whose page translates in the browser; saved_model: for TensorFlow and TensorFlow Serving, strings in and out "
        "at the word and the character level, else ids (default: onnx)",
    )
    export.add_argument(
        "--output",
        type=new_path,
        metavar="FOLDER",
        help="new folder (default: RUN-onnx, RUN-web or RUN-saved-model, beside the run)",
    )
    export.add_argument(
        "--precision", choices=("int8", "float32"), help="number format of the weights of --format web (default: int8)"
    )
    export.add_argument(
        "--mirror",
        type=Path,
        metavar="FOLDER",
        help=f"for --format web: take {RUNTIME}.tgz, an npm package, from a folder instead of downloading it once into data/ "
        "of the current folder (default: the folder in WORDSEQ_MIRROR, if it has the package)",
    )
    ensemble = add_command(
        commands,
        "ensemble",
        _ensemble,
        "make one system of several runs, whose models predict together",
        (
            "wordseq ensemble runs/seed-1 runs/seed-2 runs/seed-3 --output runs/three",
            "wordseq ensemble runs/gru runs/lstm --output runs/both --beam 5",
        ),
    )
    add_runs(ensemble, "folders of trained runs with the same vocabularies")
    _add_output(ensemble)
    add_decode(ensemble, "of the first run")
    average = add_command(
        commands,
        "average",
        _average,
        "make a run whose weights are the mean of several checkpoints of one training",
        (
            "wordseq average runs/phrasebook --output runs/mean",
            "wordseq average runs/slow runs/fast --output runs/mean",
        ),
    )
    add_runs(
        average,
        "folders of runs with the same seed, models and vocabularies: their best; of a single run best and last",
    )
    _add_output(average)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=new_path, required=True, metavar="FOLDER", help="new folder (required)")


def _pack(options: argparse.Namespace) -> None:
    from wordseq.api.run import Run

    Run(options.run).pack(options.output, with_test=options.with_test)


def _export(options: argparse.Namespace) -> None:
    from wordseq.export.formats import export_run
    from wordseq.runs.combine import open_run

    run = open_run(options.run)
    export_run(run, options.output, options.format, precision=options.precision, mirror=options.mirror)


def _ensemble(options: argparse.Namespace) -> None:
    from wordseq.runs.combine import EnsembleFolder, combination_note
    from wordseq.runs.folder import RunFolder

    runs = [RunFolder.open(folder) for folder in options.run]
    made = EnsembleFolder(options.output, runs, decode_settings(runs[0].config.decode, options))
    made.write_to(options.output)
    print(f"{options.output}: {combination_note(made)}")


def _average(options: argparse.Namespace) -> None:
    from wordseq.runs.combine import combination_note, write_average
    from wordseq.runs.folder import RunFolder

    made = write_average([RunFolder.open(folder) for folder in options.run], options.output)
    print(f"{options.output}: {combination_note(made)}")
