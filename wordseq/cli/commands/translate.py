"""`wordseq translate`: translate lines of text."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from wordseq.cli.options import add_command, add_decode, add_input, add_run, decode_settings, number_between, positive
from wordseq.system.errors import UserError
from wordseq.system.tensorflow import import_tensorflow


def add(commands: Any) -> None:
    """Add `translate` to the commands."""
    parser = add_command(commands, "translate", _translate, "translate lines of text: a file, a pipe, or what is typed")
    add_run(parser)
    add_input(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    parser.add_argument(
        "--resume", action="store_true", help="after a kill: keep the lines that --output has and append the others"
    )
    add_decode(parser)
    parser.add_argument(
        "--nbest",
        type=positive,
        default=1,
        metavar="N",
        help="print the N best translations of each input line, each as score TAB text",
    )
    parser.add_argument("--sample", action="store_true", help="draw at random instead of searching")
    parser.add_argument(
        "--temperature",
        type=number_between(float, 1e-3, 1e3),
        default=1.0,
        metavar="T",
        help="with --sample: below 1 sharpens the distribution, above 1 flattens it",
    )
    parser.add_argument(
        "--top-k", type=positive, default=0, metavar="K", help="with --sample: draw from the K most probable tokens"
    )
    parser.add_argument(
        "--top-p",
        type=number_between(float, 1e-6, 1.0),
        default=1.0,
        metavar="P",
        help="with --sample: draw from the most probable tokens that together have probability P",
    )
    parser.add_argument("--seed", type=number_between(int, 0), default=1, help="with --sample")


def _translate(options: argparse.Namespace) -> None:
    if options.nbest > 1 and options.sample:
        raise UserError("--nbest and --sample exclude each other")
    from wordseq.runs.folder import RunFolder

    decode = decode_settings(RunFolder.open(options.run).config.decode, options)
    import_tensorflow()
    from wordseq.decoding.stream import translate_file, translate_lines
    from wordseq.decoding.translator import Sampling, Translator

    if options.nbest > decode.beam_size:
        decode = replace(decode, beam_size=options.nbest)
    sampling = Sampling(options.temperature, options.top_k, options.top_p, options.seed) if options.sample else None
    translator = Translator.load(options.run, precision=decode.precision)
    translate = partial(translate_lines, translator, decode=decode, nbest=options.nbest, sampling=sampling)
    translate_file(translator, translate, options.input, options.output, nbest=options.nbest, resume=options.resume)
