"""Answers of the server, apart from HTTP: chooses a direction, translates texts through the queue, detects languages."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from wordseq.evaluation.about import display_name, language_names
from wordseq.serving.detection import Detected, Detector
from wordseq.serving.directions import Aligned, Direction, Inspected
from wordseq.serving.markup import HtmlPlan, plan_html
from wordseq.serving.queue import BatchQueue
from wordseq.serving.texts import TextPlan, plan_text

if TYPE_CHECKING:
    from wordseq.decoding.translator import Hypothesis


class UnknownLanguageError(Exception):
    """A language, or a pair of languages, that the server does not have; the message is for the client."""


class UnusableTextError(Exception):
    """A text that cannot be translated; the message is for the client."""


class Translated(NamedTuple):
    """The translation of a text, and alternatives, likeliest first."""

    text: str
    alternatives: list[str]


class Service:
    """Translates between the languages of some runs.

    Args:
        directions: the runs; the first is what the page starts with.
        queue: does the work.
    """

    def __init__(self, directions: Sequence[Direction], queue: BatchQueue) -> None:
        self.directions, self.queue = list(directions), queue
        self.detector = Detector([direction.languages.source for direction in directions])
        names = language_names()
        codes = dict.fromkeys(itertools.chain.from_iterable(direction.languages for direction in directions))
        self.names = {code: display_name(code, names) for code in codes}
        self._by_languages = {tuple(map(str.casefold, one.languages)): one for one in directions}
        self._by_folded = {code.casefold(): code for code in codes}

    def languages(self) -> list[dict[str, Any]]:
        """The languages in the form of LibreTranslate: `code`, `name`, `targets`."""
        return [
            {
                "code": code,
                "name": name,
                "targets": sorted(one.languages.target for one in self.directions if one.languages.source == code),
            }
            for code, name in self.names.items()
        ]

    def detect(self, texts: Sequence[str]) -> list[Detected]:
        """The languages that texts of one request may be in, likeliest first."""
        return self.detector.detect("\n".join(texts))

    def direction(self, source: str, target: str) -> Direction:
        """The run that translates from `source` to `target`.

        Raises:
            UnknownLanguageError: there is none.
        """
        codes = [self._by_folded.get(code.casefold()) for code in (source, target)]
        for code, given in zip(codes, (source, target), strict=True):
            if code is None:
                raise UnknownLanguageError(f"{given} is not supported")
        found = self._by_languages.get((source.casefold(), target.casefold()))
        if found is None:
            (src, tgt), (src_name, tgt_name) = codes, (self.names[str(code)] for code in codes)
            raise UnknownLanguageError(
                f"{tgt_name} ({tgt}) is not available as a target language from {src_name} ({src})"
            )
        return found

    async def translate(self, direction: Direction, texts: Sequence[str], alternatives: int) -> list[Translated]:
        """The translations of plain texts, each with its line breaks.

        Raises:
            UnusableTextError: a text cannot be translated.
            QueueFullError: the queue is full.
        """
        plans = [plan_text(text, direction.split) for text in texts]
        sentences = self._usable(direction, plans)
        if not alternatives:
            best = iter(await self._run(direction.best, sentences))
            return [Translated(plan.join([next(best) for _ in plan.sentences]), []) for plan in plans]
        found = iter(await self._run(direction.several, sentences))
        return [_with_alternatives(plan, [next(found) for _ in plan.sentences], alternatives) for plan in plans]

    async def translate_html(self, direction: Direction, texts: Sequence[str]) -> list[Translated]:
        """The translations of HTML texts, with their tags.

        Raises:
            UnusableTextError: a text cannot be translated.
            QueueFullError: the queue is full.
        """
        # In another thread: a thousand tags take a while.
        plans = await asyncio.to_thread(lambda: [plan_html(text, direction.split) for text in texts])
        sentences = self._usable(direction, plans)
        if any(plan.tagged for plan in plans):
            aligned = await self._run(direction.aligned, sentences)
        else:
            aligned = [Aligned(text, [], []) for text in await self._run(direction.best, sentences)]
        found = iter(aligned)
        shares = [[next(found) for _ in plan.sentences] for plan in plans]
        return await asyncio.to_thread(
            lambda: [Translated(plan.join(share), []) for plan, share in zip(plans, shares, strict=True)]
        )

    async def inspect(self, direction: Direction, text: str) -> tuple[str, list[Inspected]]:
        """The translation of a plain text, and its sentences with what the page shows of each.

        Raises:
            UnusableTextError: the text cannot be translated.
            QueueFullError: the queue is full.
        """
        plan = plan_text(text, direction.split)
        found = await self._run(direction.inspect, self._usable(direction, [plan]))
        return plan.join([one.hypotheses[0].text for one in found]), found

    def _usable(self, direction: Direction, plans: Sequence[TextPlan] | Sequence[HtmlPlan]) -> list[str]:
        """The sentences of all texts."""
        sentences = [sentence for plan in plans for sentence in plan.sentences]
        fault = direction.unusable(sentences)
        if fault:
            raise UnusableTextError(f"a text cannot be translated: {fault}")
        return sentences

    async def _run(self, work: Any, sentences: Sequence[str]) -> list[Any]:
        return await asyncio.wrap_future(self.queue.submit(work, sentences))


def _with_alternatives(plan: TextPlan, found: "Sequence[list[Hypothesis]]", number: int) -> Translated:
    """A text with alternatives in which one sentence is translated otherwise, those that lose the least score first."""
    best = [hypotheses[0] for hypotheses in found]
    others = [(best[k].score - other.score, k, other) for k in range(len(found)) for other in found[k][1:]]
    texts = dict.fromkeys(
        plan.join([other.text if k == place else first.text for k, first in enumerate(best)])
        for _, place, other in sorted(others, key=lambda row: row[:2])
    )
    text = plan.join([first.text for first in best])
    return Translated(text, [one for one in texts if one != text][:number])
