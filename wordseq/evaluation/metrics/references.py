"""Hypotheses, sources and references, checked and in the layouts that metrics need.

sacreBLEU gives transposed references a score of 100 without a warning, so shapes are checked here first.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from wordseq.config.arguments import text_list


def reference_columns(
    hyps: Iterable[str], refs: Iterable[Iterable[str]], name: str = "hyps"
) -> tuple[list[str], list[list[str | None]]]:
    """Hypotheses, and references in sacreBLEU's layout: column j has reference j of each sentence, or None.

    Args:
        hyps: hypotheses.
        refs: references of each sentence.
        name: name of the hypotheses in errors.

    Raises:
        TypeError: hypotheses or references are not lists of strings.
        ValueError: there are no sentences, or hypotheses and references differ in number.
    """
    hyps = text_list(name, hyps)
    if not hyps:
        raise ValueError("no sentences to score")
    lists = reference_lists(refs)
    _check_length("refs", lists, hyps)
    # None, not a repetition: a repeated reference would change TER, see `rectangular`.
    most = max(map(len, lists))
    return hyps, [[choices[j] if j < len(choices) else None for choices in lists] for j in range(most)]


def matching_texts(
    sources: Iterable[str], hyps: Iterable[str], refs: Iterable[Iterable[str]]
) -> tuple[list[str], list[str], list[list[str]]]:
    """Sources, hypotheses and references as lists of the same length.

    Raises:
        TypeError: an argument is not a list of strings.
        ValueError: the lists differ in length.
    """
    hyps = text_list("hyps", hyps)
    sources, lists = text_list("sources", sources), reference_lists(refs)
    _check_length("sources", sources, hyps)
    _check_length("refs", lists, hyps)
    return sources, hyps, lists


def reference_lists(refs: Iterable[Iterable[str]]) -> list[list[str]]:
    """The references of each sentence, read once.

    Raises:
        TypeError: `refs` is not a list of lists of strings.
        ValueError: a sentence has no reference.
    """
    if isinstance(refs, str) or not hasattr(refs, "__iter__"):
        raise TypeError(f"refs must be a list with a list of texts for each sentence, got {type(refs).__name__}")
    lists = [text_list(f"refs[{i}]", choices) for i, choices in enumerate(refs)]
    for i, choices in enumerate(lists):
        if not choices:
            raise ValueError(f"refs[{i}] is empty; every sentence needs a reference")
    return lists


def _check_length(name: str, entries: Sequence[Any], hyps: Sequence[str]) -> None:
    if len(entries) != len(hyps):
        raise ValueError(f"{len(hyps)} hyps but {len(entries)} {name}; give one for each sentence")


def rectangular(refs: Sequence[Sequence[str]]) -> list[list[str]]:
    """The same number of references for each sentence, for files with one reference per line.

    sacreBLEU's files cannot leave out a reference, so a sentence with fewer repeats its references in turn. This does not
    change BLEU and chrF. It does not change TER if the number of a sentence's references divides the largest number.
    """
    most = max(map(len, refs), default=0)
    return [[choices[k % len(choices)] for k in range(most)] for choices in refs]
