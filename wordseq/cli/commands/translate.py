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
    parser = add_command(
        commands,
        "translate",
        _translate,
        "translate lines of text from a file, a pipe or the keyboard",
        (
            "echo 'I am cold.' | wordseq translate runs/phrasebook --beam 5 --nbest 3",
            "wordseq translate runs/phrasebook --input sentences.txt --output translations.txt",
        ),
    )
    add_run(parser)
    add_input(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="file of the translations, one line for each input line (default: standard output)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="resume after an interruption: keep the lines in --output and append the missing ones (default: off)",
    )
    add_decode(parser)
    parser.add_argument(
        "--nbest",
        type=positive,
        default=1,
        metavar="N",
        help="print the N best translations of each input line, as score TAB text; raises --beam to N (default: 1, text only)",
    )
    parser.add_argument(
        "--sample", action="store_true", help="sample a translation instead of searching (default: off)"
    )
    parser.add_argument(
        "--temperature",
        type=number_between(float, 1e-3, 1e3),
        default=1.0,
        metavar="T",
        help="with --sample: temperature; below 1 sharpens the distribution, above 1 flattens it (default: 1)",
    )
    parser.add_argument(
        "--top-k",
        type=positive,
        default=0,
        metavar="K",
        help="with --sample: sample from the K most probable tokens (default: all tokens)",
    )
    parser.add_argument(
        "--top-p",
        type=number_between(float, 1e-6, 1.0),
        default=1.0,
        metavar="P",
        help="with --sample: sample from the most probable tokens with a total probability of P (default: 1, all tokens)",
    )
    parser.add_argument(
        "--seed",
        type=number_between(int, 0),
        default=1,
        metavar="N",
        help="with --sample: random seed (default: 1)",
    )


def _translate(options: argparse.Namespace) -> None:
    if options.nbest > 1 and options.sample:
        raise UserError("--nbest and --sample exclude each other")
    from wordseq.runs.folder import RunFolder

    # Before TensorFlow: a wrong folder is reported at once.
    decode = decode_settings(RunFolder.open(options.run).config.decode, options)
    import_tensorflow()
    from wordseq.decoding.stream import translate_file, translate_lines
    from wordseq.decoding.translator import Sampling, Translator

    # A beam of k has k translations.
    if options.nbest > decode.beam_size:
        decode = replace(decode, beam_size=options.nbest)
    sampling = Sampling(options.temperature, options.top_k, options.top_p, options.seed) if options.sample else None
    translator = Translator.load(options.run, precision=decode.precision)
    translate = partial(translate_lines, translator, decode=decode, nbest=options.nbest, sampling=sampling)
    translate_file(translator, translate, options.input, options.output, nbest=options.nbest, resume=options.resume)
