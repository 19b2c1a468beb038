"""`wordseq translate`: translate lines of text; `wordseq embed`: print or save the encoder's vector for each line."""

import argparse
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from wordseq.cli.options import (
    add_command,
    add_decode,
    add_input,
    add_run,
    check_input,
    decode_settings,
    new_path,
    note,
    number_between,
    positive,
)
from wordseq.system.errors import UserError
from wordseq.system.tensorflow import import_tensorflow


def add(commands: Any) -> None:
    """Add `translate` and `embed` to the commands."""
    parser = add_command(
        commands,
        "translate",
        _translate,
        "translate texts of the command line, of a file, a pipe or the keyboard",
        (
            "wordseq translate runs/phrasebook 'I am cold. Where is the station?'",
            "wordseq translate runs/phrasebook --input sentences.txt --output translations.txt",
        ),
    )
    add_run(parser)
    parser.add_argument(
        "text",
        nargs="*",
        default=[],
        metavar="TEXT",
        help="texts to translate, instead of --input; where sources have features, each a word, a TAB and its features; words "
        "that are folders of runs are further runs of an ensemble, unless they stand after -- (default: none)",
    )
    add_input(parser)
    parser.add_argument(
        "--split",
        action=argparse.BooleanOptionalAction,
        help="translate the sentences of a line one by one and join them; each input line still gives one output line "
        "(default: on for TEXT and at a terminal, off for files and pipes)",
    )
    parser.add_argument(
        "--output",
        type=new_path,
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
        help="print the N best translations of each input line, as score TAB text, or numbered, of each sentence, for TEXT and "
        "at a terminal; raises --beam to N (default: 1, text only)",
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
    embed = add_command(
        commands,
        "embed",
        _embed,
        "print or save the encoder's vector for each line of text",
        (
            "echo 'I am cold.' | wordseq embed runs/phrasebook",
            "wordseq embed runs/phrasebook --input sentences.txt --output vectors.npy",
        ),
    )
    add_run(embed)
    add_input(embed)
    embed.add_argument(
        "--output",
        type=new_path,
        metavar="FILE.npy",
        help="NumPy file, float32 [lines, hidden]; its name must end in .npy "
        "(default: standard output, one line of numbers for each input line)",
    )


def _forms(options: argparse.Namespace) -> tuple[bool, bool]:
    """Whether n-best lists are numbered, and whether texts are split into sentences.

    Raises:
        UserError: options exclude each other.
    """
    if options.nbest > 1 and options.sample:
        raise UserError("--nbest and --sample exclude each other")
    if options.text and options.input:
        raise UserError("TEXT and --input exclude each other")
    if options.text and options.resume:
        raise UserError("--resume continues a file: it needs --input instead of TEXT")
    at_terminal = not (options.text or options.input) and sys.stdin is not None and sys.stdin.isatty()
    # For people to read: what a file or another program gets keeps its form.
    shown = bool(options.text) or (at_terminal and sys.stdout is not None and sys.stdout.isatty())
    numbered = options.nbest > 1 and shown and not options.output
    if options.split and options.nbest > 1 and not numbered:
        raise UserError("--split and --nbest exclude each other in a file or a pipe: a list belongs to one sentence")
    usual = (at_terminal or bool(options.text)) and (options.nbest == 1 or numbered)
    return numbered, usual if options.split is None else options.split


def _further_runs(options: argparse.Namespace) -> list[Path]:
    """The texts that are folders of runs, which are taken out of the texts; after -- all are texts."""
    from wordseq.runs.combine import is_run

    before = max(0, len(options.text) - options.literal)
    runs = [text for text in options.text[:before] if is_run(text)]
    options.text = [text for text in options.text[:before] if text not in runs] + options.text[before:]
    return [Path(run) for run in runs]


def _check_texts(texts: list[str]) -> None:
    """Print a note on texts that may have been meant as the name of a file or a run."""
    for text in texts:
        if os.path.isfile(text):
            note(f"wordseq: note: {text!r} is translated as a text; --input {text} reads the file")
        elif os.path.isdir(text) or (" " not in text and os.path.isdir(os.path.dirname(text))):
            note(f"wordseq: note: {text!r} is translated as a text; it is not the folder of a run")


def _translate(options: argparse.Namespace) -> None:
    runs = [options.run, *_further_runs(options)]
    numbered, split = _forms(options)
    from wordseq.runs.combine import combination_note, open_run

    # Before TensorFlow: a wrong folder is reported at once.
    run = open_run(*runs)
    decode = decode_settings(run.config.decode, options)
    if run.members:
        note(f"wordseq: {combination_note(run, decode.ensemble)}")
    elif options.ensemble:
        raise UserError("--ensemble needs an ensemble: several runs, or the folder of one")
    _check_texts(options.text[: max(0, len(options.text) - options.literal)])
    if split and run.config.data.feature_separator:
        if options.split:
            raise UserError(
                "--split: a text of this run is a word and its features, which are not split into sentences"
            )
        split = False
    check_input(options.input)
    import_tensorflow()
    from wordseq.decoding.lines import translate_groups, translate_lines, translate_sentences
    from wordseq.decoding.stream import translate_file, translate_texts
    from wordseq.decoding.translator import Sampling, Translator

    # A beam of k has k translations.
    if options.nbest > decode.beam_size:
        decode = replace(decode, beam_size=options.nbest)
    sampling = Sampling(options.temperature, options.top_k, options.top_p, options.seed) if options.sample else None
    translator = Translator.load(run, precision=decode.precision)
    if numbered:
        translate = partial(translate_groups, translator, decode=decode, nbest=options.nbest, split=split)
    elif split:
        translate = partial(translate_sentences, translator, decode=decode, sampling=sampling)
    else:
        translate = partial(translate_lines, translator, decode=decode, nbest=options.nbest, sampling=sampling)
    if options.text:
        translate_texts(translator, translate, options.text, options.output, split=split)
    else:
        translate_file(
            translator,
            translate,
            options.input,
            options.output,
            nbest=options.nbest,
            resume=options.resume,
            split=split,
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
