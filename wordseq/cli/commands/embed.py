"""`wordseq embed`: print or save the encoder's vector for each line of text."""

import argparse
from pathlib import Path
from typing import Any

from wordseq.cli.options import add_command, add_input, add_run, check_input
from wordseq.system.errors import UserError
from wordseq.system.tensorflow import import_tensorflow


def add(commands: Any) -> None:
    """Add `embed` to the commands."""
    parser = add_command(
        commands,
        "embed",
        _embed,
        "print or save the encoder's vector for each line of text",
        (
            "echo 'I am cold.' | wordseq embed runs/phrasebook",
            "wordseq embed runs/phrasebook --input sentences.txt --output vectors.npy",
        ),
    )
    add_run(parser)
    add_input(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE.npy",
        help="NumPy file, float32 [lines, hidden]; its name must end in .npy "
        "(default: standard output, one line of numbers for each input line)",
    )


def _embed(options: argparse.Namespace) -> None:
    from wordseq.runs.folder import RunFolder

    # Another name would promise text, and NumPy itself would add the suffix.
    if options.output and options.output.suffix != ".npy":
        raise UserError(
            f"--output {options.output}: the vectors are written in NumPy's format, so the name must end in .npy; "
            "for text, leave out --output"
        )
    # Before TensorFlow: a wrong folder is reported at once.
    run = RunFolder.open(options.run)
    check_input(options.input)
    import_tensorflow()
    from wordseq.decoding.stream import embed_file
    from wordseq.decoding.translator import Translator

    translator = Translator.load(run.folder)
    embed_file(translator, translator.embed, options.input, options.output)
