"""Translations as lines of output: one for each text, n-best lists, and sentence by sentence."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from wordseq.config.schema import DecodeConfig
from wordseq.decoding.translator import Hypothesis, Translator
from wordseq.text.sentences import join_sentences, split_sentences


def translate_lines(
    translator: Translator, lines: Sequence[str], decode: DecodeConfig, nbest: int, **options: Any
) -> Iterator[str]:
    """One output line for each input line; with nbest > 1, nbest lines, each as score TAB text."""
    for hypotheses in translator.translate(lines, decode, nbest=nbest, **options):
        if nbest == 1:
            yield hypotheses[0].text
            continue
        # Always `nbest` lines: readers and --resume count on that.
        padded = hypotheses + [Hypothesis("", float("-inf"), 0, 0)] * (nbest - len(hypotheses))
        yield from (f"{hypothesis.score:.4f}\t{hypothesis.text}" for hypothesis in padded)


def translate_sentences(
    translator: Translator, texts: Sequence[str], decode: DecodeConfig | None = None, **options: Any
) -> Iterator[str]:
    """One line for each text: the translations of its sentences."""
    language = translator.config.data.lang_of("src")
    split = [split_sentences(text, language) for text in texts]
    found = iter(translator.translate(list(itertools.chain.from_iterable(split)), decode, **options))
    for sentences in split:
        yield join_sentences([next(found)[0].text for _ in sentences])


def translate_groups(
    translator: Translator, texts: Sequence[str], decode: DecodeConfig, nbest: int, *, split: bool, **options: Any
) -> Iterator[str]:
    """Numbered n-best lists for the reader of a terminal; a list ends with an empty line.

    Each sentence has a list of its own: with several lists, each begins with its source.
    """
    language = translator.config.data.lang_of("src")
    sources = [source for text in texts for source in (split_sentences(text, language) if split else [text])]
    sources = [source for source in sources if source.strip()]
    for source, hypotheses in zip(sources, translator.translate(sources, decode, nbest=nbest, **options), strict=True):
        if len(sources) > 1:
            yield source
        width = len(str(len(hypotheses)))
        yield from (f"{k:{width}}  {best.score:8.4f}  {best.text}" for k, best in enumerate(hypotheses, 1))
        yield ""
