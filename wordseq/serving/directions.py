"""What a server translates: for each trained run the languages, the model and its scores."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from wordseq.comparison.attention import Alignment, attention_of
from wordseq.evaluation.about import Languages, about_run, run_languages
from wordseq.runs.folder import RunFolder
from wordseq.serving.texts import Split, splitter
from wordseq.system.errors import UserError
from wordseq.system.progress import counted

if TYPE_CHECKING:
    from wordseq.decoding.translator import Hypothesis, Translator

DETECT = "auto"
"""Name of the source language that is detected."""

MOST_ALTERNATIVES = 5
"""Most alternatives of a translation: one beam size for all requests, as each other one compiles another graph."""

MOST_SENTENCE_CHARS = 2_000
"""Longest sentence. A longer one would keep all others waiting: a batch takes as many steps as its longest output."""

_CODE = re.compile(r"[\w-]{1,32}")


class Inspected(NamedTuple):
    """A translated sentence with what the page shows of it."""

    source: str
    hypotheses: "list[Hypothesis]"
    """The translation, then alternatives, likeliest first. Scores are divided by the length penalty."""
    attention: Alignment | None
    """None: the model has none, or the sentence is empty."""


class Aligned(NamedTuple):
    """A translated sentence, and where its parts come from; see `Direction.aligned`."""

    text: str
    starts: list[int]
    """Index of the first character of each target token, ascending."""
    origins: list[float]
    """For each target token its place in the source, as a share of the characters that are not spaces."""


class Direction:
    """A run that translates from one language to another.

    Args:
        languages: codes of source and target.
        translator: of the run.
        about: what the page tells of the run, see `about_run`.
    """

    def __init__(self, languages: Languages, translator: "Translator", about: Mapping[str, Any]) -> None:
        self.languages, self.translator, self.about = languages, translator, about

    @cached_property
    def split(self) -> Split:
        """Splits a line into sentences, as `wordseq translate TEXT` does."""
        data = self.translator.config.data
        return splitter(data.lang_of("src"), not self.translator.src.feature_separator)

    def best(self, sentences: Sequence[str]) -> list[str]:
        """The translation of each sentence: what `wordseq translate` prints."""
        return self.translator(sentences)

    def several(self, sentences: Sequence[str]) -> "list[list[Hypothesis]]":
        """The translation of each sentence, then at most `MOST_ALTERNATIVES` others, likeliest first.

        The first is that of `best`, even if the run's own search is narrower than the one that finds the others.
        """
        decode = self.translator.config.decode
        wide = dataclasses.replace(decode, beam_size=max(decode.beam_size, MOST_ALTERNATIVES + 1))
        most = MOST_ALTERNATIVES + 1
        found = self.translator.translate(sentences, wide, nbest=most)
        if wide == decode:
            firsts = [hypotheses[0] for hypotheses in found]
        else:
            firsts = [hypotheses[0] for hypotheses in self.translator.translate(sentences)]
        if decode.beam_size == 1:
            firsts = [_penalised(first, decode.length_penalty) for first in firsts]
        return [_distinct(first, others)[:most] for first, others in zip(firsts, found, strict=True)]

    def inspect(self, sentences: Sequence[str]) -> list[Inspected]:
        """Each sentence with its translations and the attention of the first."""
        found = self.several(sentences)
        looks = self._attention([(sentence, best[0].text) for sentence, best in zip(sentences, found, strict=True)])
        return [Inspected(*row) for row in zip(sentences, found, looks, strict=True)]

    def aligned(self, sentences: Sequence[str]) -> list[Aligned]:
        """The translation of each sentence as `best`, with the place in the source that each token of it comes from.

        That is where the token has its highest attention. Without attention, source and target are taken to run in parallel.
        """
        texts = self.best(sentences)
        looks = self._attention(list(zip(sentences, texts, strict=True)))
        return [
            Aligned(text, *(_parallel(text) if look is None else self._places(sentence, text, look)))
            for sentence, text, look in zip(sentences, texts, looks, strict=True)
        ]

    def unusable(self, sentences: Sequence[str]) -> str:
        """Why a sentence cannot be translated; empty if all can."""
        longest = max(map(len, sentences), default=0)
        if longest > MOST_SENTENCE_CHARS:
            return (
                f"a sentence has {longest:,} characters, and may have {MOST_SENTENCE_CHARS:,}; end sentences with a full "
                "stop or a new line"
            )
        fault = self.translator.unusable(sentences)
        return fault[1] if fault else ""

    def _attention(self, pairs: Sequence[tuple[str, str]]) -> list[Alignment | None]:
        """The attention of pairs of sentence and translation; None without attention, and for empty ones."""
        found: list[Alignment | None] = [None] * len(pairs)
        if self.translator.model.attention is not None:
            rows = [row for row, (source, hyp) in enumerate(pairs) if source.strip() and hyp]
            sources = [self.translator.prepare(pairs[row][0]) for row in rows]
            given = [(source, pairs[row][1]) for source, row in zip(sources, rows, strict=True)]
            for row, look in zip(rows, attention_of(self.translator, given), strict=True):
                found[row] = look
        return found

    def _places(self, sentence: str, text: str, look: Alignment) -> tuple[list[int], list[float]]:
        """`starts` and `origins` of `Aligned`."""
        src, tgt = self.translator.src, self.translator.tgt
        ends_s = _ends(src.tokenize(self.translator.prepare(sentence)), src.detokenize, _letters)
        ends_t = _ends(tgt.tokenize(text), tgt.detokenize, len)
        middles = [(low + high) / 2 / max(ends_s[-1], 1) for low, high in pairwise([0, *ends_s])]
        starts = [_skip_spaces(text, start) for start in [0, *ends_t[:-1]]]
        # The last row and column belong to the end of the sentence.
        rows = [row[: len(middles)] for row in look.weights[: len(starts)]]
        return starts, [middles[row.index(max(row))] for row in rows]


def _penalised(hypothesis: "Hypothesis", alpha: float) -> "Hypothesis":
    """A greedy hypothesis with the score that beam search gives it; see `search.length_penalty`."""
    penalty: float = ((6.0 + hypothesis.tokens) / 6.0) ** alpha
    return dataclasses.replace(hypothesis, score=hypothesis.score / penalty)


def _distinct(first: "Hypothesis", others: "Sequence[Hypothesis]") -> "list[Hypothesis]":
    """Hypotheses with different texts."""
    found = {first.text: first}
    for hypothesis in others:
        found.setdefault(hypothesis.text, hypothesis)
    return list(found.values())


def _letters(text: str) -> int:
    return len("".join(text.split()))


def _ends(tokens: Sequence[str], detokenize: Any, measure: Any) -> list[int]:
    """How much of the text ends with each token."""
    return [measure(detokenize(tokens[: k + 1])) for k in range(len(tokens))]


def _skip_spaces(text: str, start: int) -> int:
    return start + len(text[start:]) - len(text[start:].lstrip())


def _parallel(text: str) -> tuple[list[int], list[float]]:
    """`starts` and `origins` of words if nothing is known."""
    words = list(re.finditer(r"\S+", text))
    total = max(_letters(text), 1)
    before = [_letters(text[: word.start()]) for word in words]
    return [word.start() for word in words], [(b + len(w[0]) / 2) / total for b, w in zip(before, words, strict=True)]


def languages_of(runs: Sequence[RunFolder], given: Sequence[str]) -> list[Languages]:
    """The languages of runs.

    Args:
        runs: opened runs.
        given: "en:fr" for each run, or nothing: then those of their settings, else `DEFAULT_CODES`.

    Raises:
        UserError: the languages are misspelt or "auto", not as many as the runs, or the same for two runs.
    """
    if given and len(given) != len(runs):
        raise UserError(
            f"--as is given {counted(len(given), 'time')} for {counted(len(runs), 'run')}; give it once for each run, "
            "in their order"
        )
    found: list[Languages] = []
    for k, run in enumerate(runs):
        codes = given[k].split(":") if given else list(run_languages(run))
        if len(codes) != 2 or not all(map(_CODE.fullmatch, codes)) or codes[0] == codes[1]:
            raise UserError(
                f"{':'.join(codes)!r} is not SOURCE:TARGET, two different language codes such as en:fr: give --as en:fr"
            )
        if DETECT in map(str.casefold, codes):
            raise UserError(
                f"{':'.join(codes)!r}: {DETECT!r} asks for detection and is no language code: give --as en:fr"
            )
        languages = Languages(*codes)
        if languages in found:
            raise UserError(
                f"{run.folder} and {runs[found.index(languages)].folder} both translate from {languages.source} to "
                f"{languages.target}; give --as SOURCE:TARGET for each run"
            )
        found.append(languages)
    return found


def open_directions(runs: Sequence[RunFolder], languages: Sequence[Languages]) -> list[Direction]:
    """Load the models of runs; TensorFlow must be imported.

    Raises:
        UserError: a run is damaged.
    """
    from wordseq.decoding.translator import Translator

    return [Direction(codes, Translator.load(run), about_run(run)) for run, codes in zip(runs, languages, strict=True)]


def warm_up(direction: Direction) -> None:
    """Compile what requests need, so that the first one does not wait for it."""
    # Two words: a run with features needs both.
    text = "a\ta" if direction.translator.src.feature_separator else "a"
    direction.inspect([text])
