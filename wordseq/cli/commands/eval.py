"""`wordseq eval`: score a run on its held-out test split or on files."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordseq.cli.options import add_command, add_decode, add_json, add_runs, decode_settings, new_path, note
from wordseq.config.schema import BLEU_TOKENIZERS
from wordseq.system.errors import UserError
from wordseq.system.files import write_json
from wordseq.system.tensorflow import import_tensorflow

if TYPE_CHECKING:
    from wordseq.data.splits import HeldOut
    from wordseq.runs.folder import RunFolder


def add(commands: Any) -> None:
    """Add `eval` to the commands."""
    parser = add_command(
        commands,
        "eval",
        _eval,
        "score a run on its held-out test split or on files",
        (
            "wordseq eval runs/phrasebook",
            "wordseq eval runs/phrasebook --src new.en --ref new.fr --beam 5 --json",
        ),
    )
    add_runs(parser, "folder of a trained run or of an ensemble; several runs are scored as an ensemble")
    parser.add_argument(
        "--src",
        type=Path,
        metavar="FILE",
        help="sources to translate and score, one sentence per line; needs --ref (default: the run's test split)",
    )
    parser.add_argument(
        "--ref",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="references of --src, line N for line N; repeatable for several references (default: none)",
    )
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="FILE",
        help="pairs to score instead of --src and --ref, in any format and with the columns of the training data: source and "
        "reference, and features if the run has some (default: none)",
    )
    add_decode(parser)
    parser.add_argument(
        "--tokenize",
        default="",
        choices=BLEU_TOKENIZERS,
        help="sacreBLEU's tokenizer for BLEU (default: the run's eval.tokenize)",
    )
    parser.add_argument(
        "--lowercase", action="store_true", help="ignore case in all metrics; TER always does (default: off)"
    )
    add_json(parser)
    parser.add_argument(
        "--record",
        type=new_path,
        metavar="FILE",
        help="also write all figures, without sentences, as JSON (default: none)",
    )


def _eval(options: argparse.Namespace) -> None:
    from wordseq.evaluation.metrics.tokenizing import usable_tokenizer
    from wordseq.runs.combine import open_run

    def warn(line: str) -> None:
        note(f"wordseq: note: {line}")

    # Before TensorFlow: a wrong folder or file and a missing package are reported at once.
    run = open_run(*options.run)
    decode = decode_settings(run.config.decode, options)
    if options.ensemble and not run.members:
        raise UserError("--ensemble needs an ensemble: several runs, or the folder of one")
    if options.run[1:]:
        warn("the scores of an ensemble that has no folder are only printed; `wordseq ensemble` makes it one")
    if options.tokenize:
        usable_tokenizer(options.tokenize, "--tokenize")
    held_out = _held_out(options, run, warn)
    import_tensorflow()
    from wordseq.evaluation.evaluate import evaluate_run
    from wordseq.evaluation.records import record_of
    from wordseq.evaluation.tables import examples
    from wordseq.text.twins import twins_note, unseen_note

    src = run.codecs[0]
    for line in (
        twins_note(src.replaced(held_out.sources)),
        unseen_note(src.unseen(held_out.sources), seldom=src.vocab.speller is not None),
    ):
        if line:
            warn(line)
    given = options.src or options.pairs
    scores = evaluate_run(
        run,
        held_out,
        given.name if given else "test",
        decode=decode,
        tokenize=options.tokenize,
        lowercase=options.lowercase,
        command=options.command_line,
        warn=warn,
    )
    if options.record:
        write_json(options.record, record_of(run, scores))
    print(
        json.dumps(scores.to_dict(), ensure_ascii=False, indent=1) if options.json else f"{scores}\n{examples(scores)}"
    )


def _held_out(options: argparse.Namespace, run: "RunFolder", warn: Callable[[str], None]) -> "HeldOut":
    """What is to be scored.

    Raises:
        UserError: options do not go together, or a file cannot be used.
    """
    from wordseq.evaluation.given import read_files, read_pairs_to_score

    if bool(options.src) != bool(options.ref):
        raise UserError("--src and --ref must be given together")
    if options.src and options.pairs:
        raise UserError("--pairs and --src exclude each other")
    if options.src:
        return read_files(run, options.src, options.ref, say=warn)
    return read_pairs_to_score(run, options.pairs, say=warn) if options.pairs else run.held_out("test")
