"""Evaluation of a run, or of any translations, on held-out sentences: everything that `wordseq eval` reports."""

import errno
import math
import random
import time
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wordseq.batches.id_store import IdStore
from wordseq.config.schema import DecodeConfig
from wordseq.data.splits import HeldOut
from wordseq.decoding.translator import Translator
from wordseq.evaluation.metrics.bleu import DEFAULT_SEED, length_ratio, sentence_bleu
from wordseq.evaluation.metrics.corpus import by_length, interval_note, score_corpus
from wordseq.evaluation.metrics.names import WORDS, main_metrics
from wordseq.evaluation.metrics.references import matching_texts, rectangular
from wordseq.evaluation.metrics.symbols import Symbols, symbols_of_texts, target_symbols, task_of
from wordseq.evaluation.metrics.tokenizing import bleu_tokenizer, tokenizer_note, usable_tokenizer
from wordseq.evaluation.metrics.words import percent, word_ratios
from wordseq.evaluation.scores import Scores
from wordseq.evaluation.tables import terminal_table
from wordseq.runs.combine import combination_note
from wordseq.runs.folder import BEST, SPLIT_FILE, RunFolder
from wordseq.system.platform import commit
from wordseq.text.vocab import coverage

EXAMPLES = 10
"""Number of sentences in each of the two lists of examples."""

# A run in a folder of someone else can be scored too: its scores are printed, and only not saved.
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)

# math.exp of more than this overflows: it is the natural logarithm of the largest float, rounded down.
_MAX_EXPONENT = 709.0


@dataclass(frozen=True)
class Measured:
    """Figures of a set of translations that cannot be computed from the texts.

    Attributes:
        seconds: time for translating all sources, without loading the model.
        src_tokens: number of source tokens.
        src_unknown: number of source tokens that are not in the vocabulary.
        hyp_tokens: number of output tokens, end tokens excluded.
        hyp_unknown: number of output tokens that are <unk>, replaced or not.
        unk_replaced: whether each of these was replaced by a word of the source; None: not known.
        nats: negative log-likelihood of the references, summed, in nats; None if it was not computed.
        tgt_tokens: number of tokens that `nats` is summed over, end tokens included.
        tgt_chars: number of characters of the references that `nats` is summed over.
        spelling_bits: bits for spelling their unknown words; see `TextCodec.spelling_bits`.
        src_spelled: share of source words that were spelled, see `rare_words`, 0-1; None: the source level spells none.
        hyp_spelled: share of output words that the target vocabulary lacks, spelled, likewise.
        symbols: of the targets; None: see `symbols_of_texts`.
        seen: positions of the sources that also occur in training, where that is known.
        select_by: what chose the checkpoint; empty if it is not known.
        run: run folder.
        command: command line of the evaluation.
    """

    seconds: float
    src_tokens: int
    src_unknown: int
    hyp_tokens: int
    hyp_unknown: int
    nats: float | None = None
    tgt_tokens: int = 0
    tgt_chars: int = 0
    spelling_bits: float = 0.0
    unk_replaced: bool | None = None
    src_spelled: float | None = None
    hyp_spelled: float | None = None
    symbols: Symbols | None = None
    seen: Collection[int] = ()
    select_by: str = ""
    run: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        if self.nats is not None and not (math.isfinite(self.nats) and self.tgt_tokens > 0 and self.tgt_chars > 0):
            raise ValueError(
                "nats must be finite, and tgt_tokens and tgt_chars above 0, "
                f"got {self.nats}, {self.tgt_tokens} and {self.tgt_chars}"
            )


def evaluate_texts(
    sources: Sequence[str],
    hyps: Sequence[str],
    refs: Sequence[Sequence[str]],
    measured: Measured,
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    bootstrap: int = 1000,
    seed: int = DEFAULT_SEED,
) -> dict[str, Any]:
    """Everything that `wordseq eval` reports, for JSON; arguments and errors as `score_corpus`.

    Returns:
        - `task`: "words" or "sentences", see `task_of`.
        - `bleu` and the other metrics of `score_corpus`: each with `name`, `score`, `ci95`, `signature`.
        - `sentences`, and `references`, the number of references of all sentences.
        - `seconds`, `sentences_per_second`.
        - `oov_rate` and `unk_rate`: unknown tokens as a share, 0-1, of source tokens and of output tokens.
        - `unk_replaced`: whether the texts have a word of the source instead of each <unk>; None: not known.
        - `src_spelled_rate` and `hyp_spelled_rate`: `src_spelled` and `hyp_spelled` of `measured`.
        - `length_ratio`: of words of BLEU's tokenizer; where outputs are words, of their symbols. `by_length`.
        - `perplexity` per token; `bits_per_char`, and the part of it that spells unknown words, `spelling_bits_per_char`;
          None if `measured` has no nats, as with sparse outputs.
        - `unseen`: `sentences` and `exact` of the sources that do not occur in training. None if no source occurs there, or
          all do, and where outputs are sentences.
        - `worst` and `random`: examples, each with its `bleu` and `ser`. The worst have the lowest BLEU; where outputs are
          words, the highest SER.
        - `notes`: lines on BLEU's tokenizer if it is not 13a, and on the first metric's interval if that is wide. Another on
          `train.select_by` where outputs are words and BLEU chose the checkpoint.
        - `select_by`, `seed`, `commit`, `run`, `command`.
    """
    sources, hyps, refs = matching_texts(sources, hyps, refs)
    # As in the files of references, which sacreBLEU's command line and `compare` read: one signature for one score.
    symbols = measured.symbols or symbols_of_texts(refs)
    recipe: dict[str, Any] = {"tokenize": tokenize, "lowercase": lowercase}
    scores = score_corpus(hyps, rectangular(refs), **recipe, symbols=symbols, bootstrap=bootstrap, seed=seed)
    bleus = sentence_bleu(hyps, refs, **recipe)
    ratios = word_ratios(hyps, refs, symbols, lowercase=lowercase)
    edits = ratios["ser"]
    rates = percent(edits).tolist()
    task = task_of(symbols, refs)
    words = task == WORDS

    # Lines count from 1, as editors do.
    def examples(chosen: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {
                "line": i + 1,
                "source": sources[i],
                "hypothesis": hyps[i],
                "references": list(refs[i]),
                "bleu": bleus[i],
                "ser": rates[i],
            }
            for i in chosen
        ]

    found = {
        "task": task,
        **{key: {**asdict(score), "ci95": list(score.ci95)} for key, score in scores.items()},
        "sentences": len(hyps),
        "references": sum(map(len, refs)),
        "seconds": measured.seconds,
        "sentences_per_second": len(hyps) / measured.seconds if measured.seconds else None,
        # max: a corpus of empty lines has no tokens.
        "oov_rate": measured.src_unknown / max(measured.src_tokens, 1),
        "unk_rate": measured.hyp_unknown / max(measured.hyp_tokens, 1),
        "unk_replaced": measured.unk_replaced,
        "src_spelled_rate": measured.src_spelled,
        "hyp_spelled_rate": measured.hyp_spelled,
        "length_ratio": sum(len(symbols.cut(hyp)) for hyp in hyps) / max(float(edits[:, 1].sum()), 1)
        if words
        else length_ratio(hyps, refs, **recipe),
        "by_length": by_length(sources, hyps, refs, **recipe, symbols=symbols),
        **_likelihood(measured),
        "unseen": _unseen(ratios["exact"], measured.seen) if words else None,
        "worst": examples(worst_sentences([-rate for rate in rates] if words else bleus)),
        "random": examples(random_sentences(len(hyps), seed)),
        "select_by": measured.select_by,
        "seed": seed,
        "commit": commit(),
        "run": measured.run,
        "command": measured.command,
    }
    notes = (
        error_rates_note(scores["exact"].score, scores["ser"].score) if words else tokenizer_note(tokenize, refs),
        interval_note(scores[main_metrics(found)[0]], len(hyps), task),
        selection_note(task, measured.select_by),
    )
    return {**found, "notes": [note for note in notes if note]}


def _unseen(exact: npt.NDArray[np.float64], seen: Collection[int]) -> dict[str, float] | None:
    """See `evaluate_texts`; `exact` is that of `word_ratios`."""
    rest = np.delete(exact, list(seen), 0)
    return {"sentences": len(rest), "exact": float(percent(rest.sum(0)))} if 0 < len(rest) < len(exact) else None


def error_rates_note(exact: float, ser: float) -> str:
    """A line on the error rates of shared tasks, whose WER counts outputs; our WER counts words between spaces."""
    return (
        f"shared tasks on words call 100 - EXACT the WER, here {100 - exact:.1f}; SER of phones is the PER, {ser:.1f}"
    )


def selection_note(task: str, select_by: str) -> str | None:
    """A line on `train.select_by` if BLEU chose the checkpoint of a task whose outputs are words; else None."""
    if task != WORDS or select_by != "bleu":
        return None
    return "note: dev BLEU chose the checkpoint, but outputs are single words: train.select_by=exact suits a new run"


def worst_sentences(scores: Sequence[float], count: int = EXAMPLES) -> list[int]:
    """Positions of the lowest scores, lowest first; equal scores are in the order of their positions."""
    return sorted(range(len(scores)), key=lambda i: scores[i])[:count]


def random_sentences(sentences: int, seed: int, count: int = EXAMPLES) -> list[int]:
    """Positions drawn by `seed`, in ascending order."""
    return sorted(random.Random(seed).sample(range(sentences), min(count, sentences)))


def _likelihood(measured: Measured) -> dict[str, float | None]:
    if measured.nats is None:
        return {"perplexity": None, "bits_per_char": None, "spelling_bits_per_char": None}
    nats_per_token = measured.nats / measured.tgt_tokens
    return {
        # The perplexity of a diverged model is larger than the largest float; bits_per_char still shows how bad it is.
        "perplexity": math.exp(nats_per_token) if nats_per_token < _MAX_EXPONENT else None,
        "bits_per_char": (measured.nats / math.log(2) + measured.spelling_bits) / measured.tgt_chars,
        "spelling_bits_per_char": measured.spelling_bits / measured.tgt_chars,
    }


def reference_loss(translator: Translator, held_out: HeldOut) -> tuple[float, int]:
    """Loss of the first reference of each source, summed, see `Scorer.losses`; and the number of its tokens.

    Only the first, because a source with many references would otherwise count more. End tokens are included.
    """
    src = IdStore.of([translator.src.to_ids(text) for text in held_out.sources])
    tgt = IdStore.of([translator.tgt.to_ids(references[0]) for references in held_out.references])
    return float(translator.scorer.losses(src, tgt).sum()), int((tgt.lengths + 1).sum())


def evaluate_run(
    run: RunFolder,
    held_out: HeldOut | None = None,
    name: str = "test",
    *,
    decode: DecodeConfig | None = None,
    tokenize: str = "",
    lowercase: bool = False,
    command: str = "",
    warn: Callable[[str], None] = warnings.warn,
) -> Scores:
    """Scores of a run on held-out sentences. They are saved in the run's folder `eval/` as NAME.json and text files.

    Of an ensemble that is not saved, nothing is written.

    Args:
        run: a trained run.
        held_out: normalised sentences with references; None: the run's test split.
        name: name of the files in `eval/`.
        decode: settings of the search; None: the run's settings.
        tokenize: sacreBLEU's tokenizer; empty: that of the run, see `bleu_tokenizer`.
        lowercase: whether case is ignored.
        command: command line, for the record.
        warn: is called with a line if the run folder may not be written.

    Raises:
        UserError: the run is not trained, a file is damaged, or the tokenizer cannot be used.
    """
    held_out = held_out or run.held_out("test")
    decode = decode or run.config.decode
    # Before minutes of translating.
    tokenize = usable_tokenizer(tokenize, "tokenize") if tokenize else bleu_tokenizer(run.config, held_out.references)
    # Read before the model: if training replaces the checkpoint meanwhile, `compare` sees that the scores are of an older one.
    of_checkpoint = run.header(BEST).sha256
    translator = Translator.load(run, precision=decode.precision, mean=decode.ensemble)
    translator.translate(held_out.sources[:1], decode)  # The first call compiles, which must not be measured.
    start = time.perf_counter()
    found = [hypotheses[0] for hypotheses in translator.translate(held_out.sources, decode)]
    seconds = time.perf_counter() - start
    loss, tokens = reference_loss(translator, held_out)
    hyps = [translator.tgt.stored(hypothesis.text) for hypothesis in found]
    known, written = (
        coverage(codec.vocab, map(codec.tokenize, texts))
        for codec, texts in ((translator.src, held_out.sources), (translator.tgt, hyps))
    )
    measured = Measured(
        seconds=seconds,
        src_tokens=known.tokens,
        src_unknown=known.unknown_tokens,
        hyp_tokens=sum(hypothesis.tokens for hypothesis in found),
        hyp_unknown=sum(hypothesis.unknown for hypothesis in found),
        # Sparse outputs give many references the probability 0: their perplexity is infinite.
        nats=loss if translator.model.output_map == "softmax" else None,
        tgt_tokens=tokens,
        tgt_chars=sum(len(references[0]) for references in held_out.references),
        spelling_bits=translator.tgt.spelling_bits(
            translator.tgt.tokenize(references[0]) for references in held_out.references
        ),
        unk_replaced=translator.replaces_unknown(decode),
        src_spelled=known.spelled_share,
        hyp_spelled=written.spelled_share,
        symbols=target_symbols(run.config.data),
        seen=_seen(run, held_out),
        select_by=run.config.train.select_by,
        run=str(run.folder),
        command=command,
    )
    result = evaluate_texts(
        held_out.sources, hyps, held_out.references, measured, tokenize=tokenize, lowercase=lowercase, seed=DEFAULT_SEED
    )
    # Without batch_size: a translation does not depend on it.
    result |= {key: value for key, value in asdict(decode).items() if key not in ("batch_size", "ensemble")}
    result["checkpoint"] = of_checkpoint
    if made_of := combination_note(run, decode.ensemble):
        result["notes"].insert(0, made_of)
    if run.members:
        result |= {"ensemble": decode.ensemble, "runs": [str(member.folder) for member in run.members]}
    try:
        _save_evaluation(run, name, result, held_out, hyps)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        warn(f"{error.filename}: {error.strerror}: the scores were not saved")
    return Scores(result)


def _seen(run: RunFolder, held_out: HeldOut) -> set[int]:
    """Positions of the test sources that also occur in the training of the run, or of any of its runs; none of others."""
    found = set[int]()
    for each in run.members or [run]:
        part = each.read_json(SPLIT_FILE).get("test") if (each.folder / SPLIT_FILE).is_file() else None
        if isinstance(part, dict) and part.get("sha256") == held_out.sha256 and isinstance(part.get("seen"), list):
            found.update(k for k in part["seen"] if isinstance(k, int) and k in range(len(held_out.sources)))
    return found


def _save_evaluation(run: RunFolder, name: str, result: dict[str, Any], held_out: HeldOut, hyps: Sequence[str]) -> None:
    """Write the result as JSON and as a table, and sources, hypotheses and references as text files for sacreBLEU."""
    run.write_json(f"eval/{name}.json", result)
    run.write_text(f"eval/{name}.txt", terminal_table(result))
    run.write_lines(f"eval/{name}.src", held_out.sources)
    run.write_lines(f"eval/{name}.hyp", hyps)
    columns = list(zip(*rectangular(held_out.references), strict=True))
    # Files of an earlier evaluation with more references would be read as references of this one.
    for old in (run.folder / "eval").glob(f"{name}.ref*"):
        if old.name not in {f"{name}.ref{k}" for k in range(len(columns))}:
            old.unlink()
    for k, column in enumerate(columns):
        run.write_lines(f"eval/{name}.ref{k}", column)
