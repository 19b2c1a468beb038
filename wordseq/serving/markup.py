"""Takes HTML apart into sentences to translate, and puts the translations between the same tags.

Tags, comments, scripts, and white space and punctuation between blocks are kept, character by character. Tags inside a
sentence, such as `<b>`, enclose the translations of the words that they enclosed. What a model writes is escaped: it never
becomes a tag.
"""

import html
import re
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from itertools import accumulate
from typing import NamedTuple

from wordseq.serving.directions import Aligned
from wordseq.serving.texts import Split
from wordseq.text.sentences import space_between

INLINE = frozenset(
    (
        *(
            "a",
            "abbr",
            "acronym",
            "b",
            "bdi",
            "bdo",
            "big",
            "cite",
            "data",
            "del",
            "dfn",
            "em",
            "font",
            "i",
            "ins",
            "label",
        ),
        *("mark", "q", "s", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u"),
    )
)
"""Elements that may stand inside a sentence. All others end it."""

KEPT = frozenset(
    ("code", "kbd", "math", "noscript", "pre", "samp", "script", "style", "svg", "template", "textarea", "var")
)
"""Elements whose text is not translated."""

_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)

_EDGES = re.compile(r"(\s*)(.*?)(\s*)\Z", re.DOTALL)


MOST_TAGS = 50
"""Most elements inside a sentence whose places in the translation are looked for."""


class _Token(NamedTuple):
    kind: str
    """"text", "open", "close" (both of an inline element) or "raw"."""
    raw: str
    tag: str = ""


class HtmlPlan(NamedTuple):
    """An HTML text, taken apart."""

    sentences: list[str]
    """What is to be translated, as plain text, in the order of the text."""
    tagged: bool
    """Whether tags stand inside sentences, so that `join` needs to know where words have gone."""
    join: Callable[[Sequence[Aligned]], str]


def plan_html(text: str, split: Split) -> HtmlPlan:
    """The sentences of an HTML text. `join` takes their translations; its result has the same tags."""
    parts: list[str | _Run] = []
    run: list[_Token] = []
    for token in [*_tokens(text), _Token("raw", "")]:
        if token.kind != "raw":
            run.append(token)
            continue
        parts += [*_runs(run, split), token.raw]
        run = []
    runs = [part for part in parts if isinstance(part, _Run)]

    def join(translations: Sequence[Aligned]) -> str:
        found = iter(translations)
        return "".join(
            part if isinstance(part, str) else part.render([next(found) for _ in part.sentences]) for part in parts
        )

    sentences = [sentence for part in runs for sentence in part.sentences]
    return HtmlPlan(sentences, any(part.inner_tags for part in runs), join)


def _runs(tokens: Sequence[_Token], split: Split) -> "Iterator[str | _Run]":
    """The run of these tokens. With too many tags inside a sentence, each text between two tags is a run of its own."""
    texts = [token.raw for token in tokens if token.kind == "text"]
    run = _Run(tokens, split) if any(map(_has_words, texts)) else None
    if run is None or run.most_tags > MOST_TAGS:
        for token in tokens:
            yield _Run([token], split) if run and token.kind == "text" and _has_words(token.raw) else token.raw
    else:
        yield run


def _has_words(raw: str) -> bool:
    """Whether a text has a letter or a digit. Punctuation between two elements is no sentence: it is kept."""
    return any(map(str.isalnum, html.unescape(raw)))


class _Parser(HTMLParser):
    """Notes where each token of an HTML text begins, and what it is."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        # Lines as the parser counts them.
        self._lines = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
        self.found: list[tuple[int, str, str]] = []
        self._kept: list[str] = []
        self.feed(text)
        self.close()

    def _note(self, kind: str, tag: str = "") -> None:
        line, column = self.getpos()
        self.found.append((self._lines[line - 1] + column, "raw" if self._kept else kind, tag))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note("open" if tag in INLINE else "raw", tag)
        if tag in _VOID:
            return
        if self._kept:
            # Only elements of the same name are counted: others may lack an end tag.
            self._kept += [tag] if tag == self._kept[0] else []
        elif tag in KEPT or _untranslated(attrs):
            self._kept = [tag]
            self.found[-1] = (self.found[-1][0], "raw", tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # HTML ignores the slash, except in SVG and MathML, which are kept.
        if self._kept or tag in _VOID:
            self._note("raw", tag)
        else:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self._note("close" if tag in INLINE else "raw", tag)
        if self._kept and tag == self._kept[-1]:
            self._kept.pop()

    def handle_data(self, data: str) -> None:
        self._note("text")

    def handle_comment(self, data: str) -> None:
        self._note("raw")

    def handle_decl(self, decl: str) -> None:
        self._note("raw")

    def handle_pi(self, data: str) -> None:
        self._note("raw")

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """`<![x]>` is a comment in HTML; the parser of older Pythons fails at it."""
        del report
        return self.parse_bogus_comment(i)

    def unknown_decl(self, data: str) -> None:
        self._note("raw")


def _untranslated(attrs: Sequence[tuple[str, str | None]]) -> bool:
    values = {name: value or "" for name, value in attrs}
    return values.get("translate", "").lower() == "no" or "notranslate" in values.get("class", "").split()


def _tokens(text: str) -> Iterator[_Token]:
    """The tokens of an HTML text; joined they are the text."""
    # No tag is complete after the last ">": the parser would search for its end from each "<".
    end = text.rfind(">") + 1
    found = [*_Parser(text[:end]).found, (end, "text", "")]
    ends = [start for start, _, _ in found[1:]] + [len(text)]
    for (start, kind, tag), stop in zip(found, ends, strict=True):
        yield _Token(kind, text[start:stop], tag)


class _Span(NamedTuple):
    """An inline element, or a tag without a partner, inside one sentence."""

    low: float
    """First place that it encloses, as a share of the sentence's characters that are not spaces."""
    high: float
    opening: str
    closing: str
    first: int
    """Index of its first tag in the run: spans that enclose others begin before them and end after them."""
    last: int

    @property
    def complete(self) -> bool:
        """Whether it encloses the complete sentence."""
        return self.low <= 0 and self.high >= 1


class _Run:
    """Text between two borders of blocks: sentences, and the inline tags around and inside them."""

    def __init__(self, tokens: Sequence[_Token], split: Split) -> None:
        plain, tags = "", list[_Token]()
        places = list[int]()
        for token in tokens:
            if token.kind == "text":
                plain += html.unescape(token.raw)
            else:
                tags.append(token)
                places.append(_letters(plain))
        edges = _EDGES.fullmatch(plain)
        self._lead, self._trail = (edges[1], edges[3]) if edges else ("", "")
        self.sentences = split(plain)
        ends = list(accumulate(map(_letters, self.sentences), initial=0))
        # Normalising may have removed invisible characters.
        scale = ends[-1] / max(_letters(plain), 1)
        self._before: list[list[str]] = [[] for _ in ends]
        self._after: list[list[str]] = [[] for _ in ends]
        self._spans: list[list[_Span]] = [[] for _ in self.sentences]
        self._distribute(tags, [round(place * scale) for place in places], ends)

    @property
    def most_tags(self) -> int:
        """Largest number of elements inside a sentence."""
        return max(map(len, self._spans))

    @property
    def inner_tags(self) -> bool:
        """Whether a tag stands inside a sentence."""
        return any(not span.complete for spans in self._spans for span in spans)

    def _distribute(self, tags: Sequence[_Token], places: Sequence[int], ends: Sequence[int]) -> None:
        """Put each tag inside a sentence (`_spans`) or beside one: before or after the space at its place in `ends`."""
        partners = _partners(tags)
        for k, tag in enumerate(tags):
            opens, partner, place = tag.kind == "open", partners.get(k), places[k]
            first, last = (k, partner) if opens else (partner, k)
            if first is not None and last is not None:
                sentence = _within(ends, places[first], places[last])
                if sentence is not None:
                    if opens:
                        low, high = (_share(ends, sentence, places[i]) for i in (first, last))
                        self._spans[sentence].append(_Span(low, high, tag.raw, tags[last].raw, first, last))
                    continue
            sentence = _within(ends, place, place)
            if sentence is None:
                border, openers = ends.index(place), self._before[ends.index(place)]
                (openers if opens or openers else self._after[border]).append(tag.raw)
            elif opens:
                self._spans[sentence].append(_Span(_share(ends, sentence, place), 1.0, tag.raw, "", k, len(tags)))
            else:
                self._spans[sentence].append(_Span(0.0, _share(ends, sentence, place), "", tag.raw, -1, k))

    def render(self, translations: Sequence[Aligned]) -> str:
        """The HTML of the run with its sentences translated."""
        rendered, last = self._lead, ""
        for k, translation in enumerate(translations):
            space = space_between(last, translation.text) if k else ""
            rendered += "".join([*self._after[k], space, *self._before[k], _tagged(translation, self._spans[k])])
            last = translation.text or last
        return rendered + "".join([*self._after[-1], *self._before[-1]]) + self._trail


def _letters(text: str) -> int:
    return len("".join(text.split()))


def _partners(tags: Sequence[_Token]) -> dict[int, int]:
    """From each tag to the one that closes or opens the same element, by index."""
    partners, opened = dict[int, int](), list[int]()
    for k, tag in enumerate(tags):
        if tag.kind == "open":
            opened.append(k)
            continue
        match = next((i for i in reversed(opened) if tags[i].tag == tag.tag), None)
        if match is not None:
            opened.remove(match)
            partners |= {match: k, k: match}
    return partners


def _within(ends: Sequence[int], low: int, high: int) -> int | None:
    """The sentence that encloses a span. An empty span between two sentences is in none."""
    for k in range(len(ends) - 1):
        if ends[k] <= low <= high <= ends[k + 1] and (low < high or ends[k] < low < ends[k + 1]):
            return k
    return None


def _share(ends: Sequence[int], sentence: int, place: int) -> float:
    """A place as a share of its sentence."""
    return (place - ends[sentence]) / (ends[sentence + 1] - ends[sentence])


def _tagged(translation: Aligned, spans: Sequence[_Span]) -> str:
    """The HTML of a translated sentence. Each element encloses the words that come from those that it enclosed."""
    text, starts = translation.text, [*translation.starts, len(translation.text)]

    def render(inner: Sequence[_Span], first: int, end: int, low: int, high: int) -> str:
        """The HTML of the tokens from `first` to `end`, which are the characters from `low` to `high`."""
        rendered, at, free = "", low, first
        placed = [(*_place(span, translation.origins, first, end), span, below) for span, below in _nested(inner)]
        for place in sorted(placed, key=lambda found: found[:2]):
            start, stop = (max(token, free) for token in place[:2])
            span, below = place[2:]
            begin = max(at, low if span.complete else starts[start] if start < end else high)
            empty, ending = start == stop, high if span.complete else len(text[: starts[stop]].rstrip())
            ending = begin if empty and not span.complete else max(begin, ending)
            rendered += html.escape(text[at:begin], quote=False) + span.opening
            rendered += render(below, start, stop, begin, ending) + span.closing
            at, free = ending, stop
        return rendered + html.escape(text[at:high], quote=False)

    return render(spans, 0, len(translation.starts), 0, len(text))


def _nested(spans: Sequence[_Span]) -> list[tuple[_Span, list[_Span]]]:
    """The spans that no other encloses, each with those inside it. Spans that cross count as side by side."""
    found: list[tuple[_Span, list[_Span]]] = []
    for span in sorted(spans, key=lambda span: (span.first, -span.last)):
        if found and span.last < found[-1][0].last:
            found[-1][1].append(span)
        else:
            found.append((span, []))
    return found


def _place(span: _Span, origins: Sequence[float], first: int, end: int) -> tuple[int, int]:
    """The tokens, among those from `first` to `end`, that come from what a span encloses: the first, and one after the last."""
    if span.complete:
        return first, end
    chosen = _longest([t for t in range(first, end) if span.low <= origins[t] <= span.high])
    if chosen:
        return chosen[0], chosen[-1] + 1
    # None of its words was translated: it is empty, before what follows it in the source.
    after = next((t for t in range(first, end) if origins[t] > span.high), end)
    return after, after


def _longest(tokens: Sequence[int]) -> Sequence[int]:
    """The longest stretch of ascending numbers with gaps of at most one."""
    best, start = range(0), 0
    for k in range(1, len(tokens) + 1):
        if k == len(tokens) or tokens[k] - tokens[k - 1] > 2:
            best, start = max(best, range(start, k), key=len), k
    return [tokens[k] for k in best]
