"""Text to scores: BLEU, chrF and TER by sacreBLEU, their intervals, paired tests, examples.

A score never travels without its signature (Post 2018, "A Call for Clarity in Reporting BLEU Scores"). sacreBLEU's
signature leaves out the n-gram order: it is 4 for BLEU everywhere here. sacreBLEU scores transposed references 100
and never complains, so shapes are checked here first.

Every random draw follows one `seed`. sacreBLEU reads it from the environment variable SACREBLEU_SEED only, which is
set for the length of a call and put back. It takes memory of about 80 bytes a sentence and resample.
"""

import contextlib
import math
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

from wordseq.provenance import commit
from wordseq.vocab import SPECIALS, UNK_ID

DEFAULT_SEED = 12345  # sacreBLEU's own
# Those of sacreBLEU's tokenizers that need neither a download nor a package more.
TOKENIZERS = ("13a", "char", "intl", "none", "zh")
EXAMPLES = 10
LENGTH_BUCKETS = ((0, 0), (1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, None))
PAIRED_DRAWS = MappingProxyType({"bs": 1_000, "ar": 10_000})
"""sacreBLEU's paired tests, and how many resamples or trials its command line draws."""
# The largest value a metric can take. TER has none: a long hypothesis needs more edits than the reference has words.
_HIGHEST = MappingProxyType({"bleu": 100.0, "chrf": 100.0, "ter": math.inf})
# Natural logarithm of the largest float.
_MAX_EXPONENT = 709.0


@dataclass(frozen=True)
class Score:
    """One metric over a test set.

    Attributes:
        name: sacreBLEU's name: BLEU, chrF2 or TER.
        score: BLEU and chrF2 0-100, higher is better; TER 0 upwards, in percent, lower is better.
        ci95: lowest and highest value of the 95 % bootstrap interval, in the unit of `score`.
        signature: sacreBLEU's, in full.
        mean: of the resamples; sacreBLEU prints it as μ.
        half_width: of the interval; sacreBLEU prints it behind ±.
    """

    name: str
    score: float
    ci95: tuple[float, float]
    signature: str
    mean: float
    half_width: float


@dataclass(frozen=True)
class PairedScore:
    """How far one system is from another, and whether chance explains it.

    Attributes:
        name: sacreBLEU's name of the metric.
        difference: score of the system minus score of the baseline.
        p_value: probability, 0-1, of a difference as large when the two are equally good.
        signature: sacreBLEU's, with the number of resamples (bs) or of trials (ar) and the seed.
    """

    name: str
    difference: float
    p_value: float
    signature: str


@dataclass(frozen=True)
class Measured:
    """What only the caller knows about a set of translations.

    Attributes:
        seconds: time of translating all sources, the model already loaded.
        src_tokens: running tokens of the sources.
        src_unknown: those of them that the source vocabulary lacks.
        hyp_tokens: running tokens of the output, end marks left out.
        hyp_unknown: those of them that are <unk>.
        nats: negative log-likelihood of the references, summed; None where it was not computed.
        tgt_tokens: tokens that `nats` was summed over, end marks included.
        tgt_chars: characters of the references that `nats` was summed over.
        spelling_bits: what their unknown words cost beyond <unk>; see `TextCodec.spelling_bits`.
        run: the run folder.
        command: the command line that asked for the scores.
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
    run: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        for name, whole, part in (
            ("src", self.src_tokens, self.src_unknown),
            ("hyp", self.hyp_tokens, self.hyp_unknown),
        ):
            if not 0 <= part <= whole:
                raise ValueError(f"{name}_unknown must be from 0 to {name}_tokens = {whole}, got {part}")
        if not self.seconds >= 0:
            raise ValueError(f"seconds must be at least 0, got {self.seconds}")
        if self.nats is not None and not (math.isfinite(self.nats) and self.tgt_tokens > 0 and self.tgt_chars > 0):
            raise ValueError(
                "nats must be finite and come with tgt_tokens and tgt_chars above 0, "
                f"got {self.nats}, {self.tgt_tokens} and {self.tgt_chars}"
            )


def score_corpus(
    hyps: Sequence[str],
    refs: Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    bootstrap: int = 1000,
    seed: int = DEFAULT_SEED,
) -> dict[str, Score]:
    """BLEU, chrF and TER of detokenized text, with 95 % intervals: keys "bleu", "chrf", "ter".

    The interval is sacreBLEU's own: the mean of the resamples, plus and minus half the width of their middle 95 %
    (Koehn 2004), cut off at 0 and 100 and, where rounding or a handful of sentences asks for it, widened to hold the
    score. `tokenize="none", lowercase=True` scores text that is tokenized already, as older papers do. Of the two,
    `tokenize` is BLEU's alone (chrF ignores spaces, TER splits at them) and `lowercase` is for BLEU and chrF (TER
    ignores case in either setting; its signature says `case:lc`).

    Args:
        hyps: one hypothesis a sentence.
        refs: `refs[i]` are the references of sentence i, one or more; their number may differ.
        tokenize: one of `TOKENIZERS`.
        lowercase: whether case is ignored.
        bootstrap: resamples, at least 2.
        seed: of the resamples, at least 1; the same seed gives the interval of sacreBLEU's command line.

    Raises:
        ValueError: texts that do not fit together or are no strings, or an argument out of range.
    """
    columns = _reference_columns(hyps, refs)
    if bootstrap < 2:
        raise ValueError(f"bootstrap must be at least 2 resamples, got {bootstrap}")
    scores = {}
    with _sacrebleu_seed(seed):
        for key, metric in _metrics(tokenize, lowercase).items():
            result = metric.corpus_score(list(hyps), columns, n_bootstrap=bootstrap)
            interval = _interval(result, _HIGHEST[key])
            around = float(result._mean), float(result._ci)
            scores[key] = Score(result.name, float(result.score), interval, str(metric.get_signature()), *around)
    return scores


def bleu(
    hyps: Sequence[str], refs: Sequence[Sequence[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> float:
    """BLEU, 0-100, without an interval: for validation while training. Arguments and errors as `score_corpus`."""
    return float(_corpus_bleu(hyps, refs, tokenize, lowercase).score)


def with_whole_unk(hyps: Sequence[str]) -> list[str]:
    """Texts in which an unknown word is one wrong token, where 13a makes the three `<`, `unk` and `>` of it."""
    return [hyp.replace(SPECIALS[UNK_ID], "\u2047") for hyp in hyps]


def length_ratio(
    hyps: Sequence[str], refs: Sequence[Sequence[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> float:
    """Tokens of the hypotheses over those of the references nearest in length, as BLEU's brevity penalty has them."""
    return float(_corpus_bleu(hyps, refs, tokenize, lowercase).ratio)


def sentence_bleu(
    hyps: Sequence[str], refs: Sequence[Sequence[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> list[float]:
    """BLEU of every sentence, 0-100, over the n-gram orders that its hypothesis is long enough for.

    Good for sorting sentences, not for comparing systems. Arguments and errors as `score_corpus`.
    """
    _reference_columns(hyps, refs)
    metric = _bleu_metric(tokenize, lowercase, effective_order=True)
    return [float(metric.sentence_score(hyp, list(choices)).score) for hyp, choices in zip(hyps, refs, strict=True)]


def by_length(
    sources: Sequence[str],
    hyps: Sequence[str],
    refs: Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
) -> list[dict[str, Any]]:
    """BLEU by length of the source in space-separated words, the same unit at every token level.

    Returns:
        For every bucket of `LENGTH_BUCKETS` that has sentences: `words` such as "6-10", `sentences`, `bleu`.
    """
    _check_lengths(hyps, sources=sources, refs=refs)
    lengths = [len(source.split()) for source in sources]
    rows = []
    for low, high in LENGTH_BUCKETS:
        chosen = [i for i, length in enumerate(lengths) if low <= length and (high is None or length <= high)]
        if chosen:
            score = bleu([hyps[i] for i in chosen], [refs[i] for i in chosen], tokenize=tokenize, lowercase=lowercase)
            rows.append({"words": _bucket_name(low, high), "sentences": len(chosen), "bleu": score})
    return rows


def paired_bootstrap(
    hyps: Sequence[str],
    baseline: Sequence[str],
    refs: Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    resamples: int = 1000,
    seed: int = DEFAULT_SEED,
) -> dict[str, PairedScore]:
    """Paired bootstrap test of Koehn 2004 by sacreBLEU: keys "bleu", "chrf", "ter"; see `score_corpus` for the rest.

    The p-value is that of sacreBLEU's command line, with one exception: it counts only resamples that differ by more
    than the systems do, so it gives systems that no resample tells apart the smallest p there is. They get 1 here.
    """
    return paired_tests(
        "bs", [baseline, hyps], refs, tokenize=tokenize, lowercase=lowercase, draws=resamples, seed=seed
    )[0]


def paired_randomisation(
    hyps: Sequence[str],
    baseline: Sequence[str],
    refs: Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    trials: int = 10_000,
    seed: int = DEFAULT_SEED,
) -> dict[str, PairedScore]:
    """Paired approximate randomisation (Riezler and Maxwell 2005) by sacreBLEU, two-sided; as `paired_bootstrap`.

    Where the systems differ in n sentences only, 2^(1-n) of all exchanges leave the difference as it is or turn its
    sign. A p-value should count them; sacreBLEU's, which is given here, does not, and is too small for n below 10.
    """
    return paired_tests("ar", [baseline, hyps], refs, tokenize=tokenize, lowercase=lowercase, draws=trials, seed=seed)[
        0
    ]


def paired_tests(
    test: str,
    systems: Sequence[Sequence[str]],
    refs: Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    draws: int = 0,
    seed: int = DEFAULT_SEED,
) -> list[dict[str, PairedScore]]:
    """Each system against the first by sacreBLEU's paired test; arguments and errors as `score_corpus`.

    Args:
        test: "bs", the paired bootstrap, or "ar", approximate randomisation; see `paired_bootstrap` and
            `paired_randomisation`.
        systems: hypotheses of two systems or more, the baseline first.
        refs: references of each sentence.
        tokenize: one of `TOKENIZERS`.
        lowercase: whether case is ignored.
        draws: resamples or trials; 0: as many as sacreBLEU's command line, 1,000 or 10,000.
        seed: of the draws, at least 1.

    Returns:
        For each system but the first: keys "bleu", "chrf", "ter".
    """
    if test not in PAIRED_DRAWS:
        raise ValueError(f"unknown paired test {test!r}; choose from {', '.join(PAIRED_DRAWS)}")
    if len(systems) < 2:
        raise ValueError(f"a paired test needs at least 2 systems, got {len(systems)}")
    for k, hyps in enumerate(systems):
        columns = _reference_columns(hyps, refs, f"systems[{k}]")
    draws = draws or PAIRED_DRAWS[test]
    if draws < 1:
        raise ValueError(f"a paired test needs at least 1 resample or trial, got {draws}")
    metrics = _metrics(tokenize, lowercase)
    named = [(str(k), list(hyps)) for k, hyps in enumerate(systems)]
    with _sacrebleu_seed(seed):
        signatures, results = PairedTest(named, metrics, columns, test_type=test, n_samples=draws)()
    # sacreBLEU files its results under its own names, in the order of the metrics.
    names = dict(zip(metrics, (name for name in results if name != "System"), strict=True))
    return [
        {key: _paired_score(name, results[name], k, draws, str(signatures[name])) for key, name in names.items()}
        for k in range(1, len(systems))
    ]


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
    """Everything `wordseq eval` reports, ready for JSON; arguments and errors as `score_corpus`.

    Returns:
        `bleu`, `chrf`, `ter` (each `name`, `score`, `ci95`, `signature`); `sentences`; `references`, of all sentences
        together; `seconds`; `sentences_per_second`; `oov_rate` and `unk_rate`, shares 0-1 of running source and
        output tokens; `length_ratio`; `by_length`; `perplexity` a token, `bits_per_char`, and
        `spelling_bits_per_char`, what of them spells unknown words, None where `measured` has no nats; `worst` and
        `random` examples; `seed`, `commit`, `run`, `command`.
    """
    _check_lengths(hyps, sources=sources, refs=refs)
    scores = score_corpus(hyps, refs, tokenize=tokenize, lowercase=lowercase, bootstrap=bootstrap, seed=seed)
    sentence_scores = sentence_bleu(hyps, refs, tokenize=tokenize, lowercase=lowercase)
    return {
        **{key: {**asdict(score), "ci95": list(score.ci95)} for key, score in scores.items()},
        "sentences": len(hyps),
        "references": sum(map(len, refs)),
        **_rates(measured, len(hyps)),
        "length_ratio": length_ratio(hyps, refs, tokenize=tokenize, lowercase=lowercase),
        "by_length": by_length(sources, hyps, refs, tokenize=tokenize, lowercase=lowercase),
        **_likelihood(measured),
        "worst": _examples(worst_sentences(sentence_scores), sources, hyps, refs, sentence_scores),
        "random": _examples(random_sentences(len(hyps), seed), sources, hyps, refs, sentence_scores),
        "seed": seed,
        "commit": commit(),
        "run": measured.run,
        "command": measured.command,
    }


def rectangular(refs: Sequence[Sequence[str]]) -> list[list[str]]:
    """As many references for each sentence, for files of one reference a line.

    sacreBLEU's files cannot leave one out, so where a sentence has fewer, they stand again in turn. It changes neither
    BLEU nor chrF, nor TER where the number of a sentence's references divides the largest.
    """
    most = max(map(len, refs), default=0)
    return [[choices[k % len(choices)] for k in range(most)] for choices in refs]


def worst_sentences(scores: Sequence[float], count: int = EXAMPLES) -> list[int]:
    """Positions of the lowest scores, lowest first; of equal ones the earlier comes first."""
    return sorted(range(len(scores)), key=lambda i: scores[i])[:count]


def random_sentences(sentences: int, seed: int, count: int = EXAMPLES) -> list[int]:
    """Positions drawn by `seed`, in ascending order."""
    return sorted(random.Random(seed).sample(range(sentences), min(count, sentences)))


class _EvenCHRF(CHRF):
    """chrF whose scores of resamples are all of one type.

    sacreBLEU 2.6 gives a plain 0.0 where nothing matches and NumPy numbers elsewhere: `statistics.mean` refuses both together.
    """

    def _compute_score_from_stats(self, stats: Any) -> Any:
        found = super()._compute_score_from_stats(stats)
        # The sums of randomisation are whole numbers; a score must not become one.
        if hasattr(stats, "dtype") and stats.dtype.kind == "f":
            found.score = stats.dtype.type(found.score)
        return found


def _metrics(tokenize: str, lowercase: bool) -> dict[str, Any]:
    return {
        "bleu": _bleu_metric(tokenize, lowercase),
        "chrf": _EvenCHRF(lowercase=lowercase),
        "ter": TER(),
    }


def _bleu_metric(tokenize: str, lowercase: bool, effective_order: bool = False) -> Any:
    if tokenize not in TOKENIZERS:
        raise ValueError(f"unknown BLEU tokenizer {tokenize!r}; choose from {', '.join(TOKENIZERS)}")
    # `force` only silences the warning that text looks tokenized.
    return BLEU(lowercase=lowercase, tokenize=tokenize, effective_order=effective_order, force=tokenize == "none")


def _corpus_bleu(hyps: Sequence[str], refs: Sequence[Sequence[str]], tokenize: str, lowercase: bool) -> Any:
    columns = _reference_columns(hyps, refs)
    return _bleu_metric(tokenize, lowercase).corpus_score(list(hyps), columns)


def _reference_columns(
    hyps: Sequence[str], refs: Sequence[Sequence[str]], name: str = "hyps"
) -> list[list[str | None]]:
    """The references as sacreBLEU wants them: column j has every sentence's reference j, None where it has none."""
    _check_texts(name, hyps)
    if not hyps:
        raise ValueError("no sentences to score")
    _check_lengths(hyps, refs=refs)
    for i, choices in enumerate(refs):
        _check_texts(f"refs[{i}]", choices)
        if not choices:
            raise ValueError(f"refs[{i}] is empty; every sentence needs a reference")
    most = max(map(len, refs))
    return [[choices[j] if j < len(choices) else None for choices in refs] for j in range(most)]


def _check_texts(name: str, texts: Sequence[str]) -> None:
    if not _is_list(texts):
        raise ValueError(f"{name} must be a list of strings, got {type(texts).__name__}")
    wrong = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
    if wrong is not None:
        raise ValueError(f"{name}[{wrong}] must be a string, got {type(texts[wrong]).__name__}")


def _is_list(value: object) -> bool:
    # A string is a sequence of strings too, and scoring it letter by letter helps nobody.
    return isinstance(value, Sequence) and not isinstance(value, str)


def _check_lengths(hyps: Sequence[str], **others: Sequence[Any]) -> None:
    for name, other in others.items():
        if not _is_list(other):
            raise ValueError(f"{name} must be a list with an entry a sentence, got {type(other).__name__}")
        if len(other) != len(hyps):
            raise ValueError(f"{len(hyps)} hyps but {len(other)} {name}; there must be one entry a sentence")


@contextlib.contextmanager
def _sacrebleu_seed(seed: int) -> Iterator[None]:
    # sacreBLEU's paired tests take 0 for "no seed".
    if type(seed) is not int or seed < 1:
        raise ValueError(f"seed must be a whole number of at least 1, got {seed!r}")
    before = os.environ.get("SACREBLEU_SEED")
    os.environ["SACREBLEU_SEED"] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SACREBLEU_SEED"]
        else:
            os.environ["SACREBLEU_SEED"] = before


def _interval(result: Any, highest: float) -> tuple[float, float]:
    # sacreBLEU keeps the two numbers it prints as "μ = mean ± ci" in these attributes.
    score, mean, half = float(result.score), float(result._mean), float(result._ci)
    return min(max(mean - half, 0.0), score), max(min(mean + half, highest), score)


def _paired_score(name: str, results: Sequence[Any], k: int, draws: int, signature: str) -> PairedScore:
    baseline, system = results[0], results[k]
    difference, p_value = float(system.score) - float(baseline.score), float(system.p_value)
    told_apart = difference or p_value * (draws + 1) > 1.5
    return PairedScore(name, difference, p_value if told_apart else 1.0, signature)


def _bucket_name(low: int, high: int | None) -> str:
    if high is None:
        return f"{low}+"
    return str(low) if low == high else f"{low}-{high}"


def _rates(measured: Measured, sentences: int) -> dict[str, float | None]:
    return {
        "seconds": measured.seconds,
        "sentences_per_second": sentences / measured.seconds if measured.seconds else None,
        "oov_rate": measured.src_unknown / max(measured.src_tokens, 1),
        "unk_rate": measured.hyp_unknown / max(measured.hyp_tokens, 1),
    }


def _likelihood(measured: Measured) -> dict[str, float | None]:
    if measured.nats is None:
        return {"perplexity": None, "bits_per_char": None, "spelling_bits_per_char": None}
    nats_per_token = measured.nats / measured.tgt_tokens
    return {
        # A diverged model's is beyond the largest float; bits_per_char still says how bad it is.
        "perplexity": math.exp(nats_per_token) if nats_per_token < _MAX_EXPONENT else None,
        "bits_per_char": (measured.nats / math.log(2) + measured.spelling_bits) / measured.tgt_chars,
        "spelling_bits_per_char": measured.spelling_bits / measured.tgt_chars,
    }


def _examples(
    chosen: Sequence[int],
    sources: Sequence[str],
    hyps: Sequence[str],
    refs: Sequence[Sequence[str]],
    scores: Sequence[float],
) -> list[dict[str, Any]]:
    return [
        {"line": i + 1, "source": sources[i], "hypothesis": hyps[i], "references": list(refs[i]), "bleu": scores[i]}
        for i in chosen
    ]
