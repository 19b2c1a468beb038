"""What stands in README and in the pages of the site: sentences, links, headings, code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.runs import ROOT

DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = (
    README,
    *sorted(DOCS.rglob("*.md")),
    ROOT / "experiments" / "README.md",
    *sorted(ROOT.glob("data/*/README.md")),
)

_FENCE = re.compile(r"^(`{3,})([^\n]*)\n(.*?)^\1[ ]*$", re.MULTILINE | re.DOTALL)
_GENERATED = re.compile(r"<!-- (\w+): written by .*?<!-- end of \1 -->", re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
# A list's item, a table's row, a heading, a directive's line: none goes on in the next line as a sentence.
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*|#:]|\d+\. ))")


class Block(NamedTuple):
    """A block of code."""

    language: str
    text: str


def id_of(path: Path) -> str:
    """A page's name for pytest."""
    return str(path.relative_to(ROOT))


def without_code(page: str) -> str:
    """A page without its blocks of code and what is written into it."""
    return _FENCE.sub("\n\n", _GENERATED.sub("\n\n", page))


def blocks(page: str) -> list[Block]:
    """The blocks of code."""
    return [Block(match[2].strip(), match[3]) for match in _FENCE.finditer(page)]


def spans(page: str) -> list[str]:
    """Code within text."""
    return _SPAN.findall(without_code(page))


def links(page: str) -> list[str]:
    """Where links and pictures lead."""
    return [found[0] or found[1] for found in _LINK.findall(without_code(page))]


def anchors(page: str) -> set[str]:
    """The headings as GitHub and Sphinx name them in an address."""
    titles = (re.sub(r"[`*]", "", title).lower() for title in _HEADING.findall(without_code(page)))
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in titles}


def sentences(page: str) -> Iterator[str]:
    """The sentences of the text; code within it counts as one word. Tables and headings have none."""
    text = re.sub(r"<[^>]*>", "", _SPAN.sub("Code", without_code(page)))
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    for block in _BLOCK.split(text):
        line = " ".join(block.split())
        if line.startswith(("|", "#", ":", "<")):
            continue
        for sentence in re.split(r"(?<=[.?!])\s+(?=[A-Z\"'])|(?<=\.\*\*)\s+", line):
            if words(sentence) > 1:
                yield sentence


def words(sentence: str) -> int:
    """Words of a sentence."""
    return len(re.findall(r"[^\s*]*\w[^\s*]*", sentence.lstrip("-* ")))


def shell_lines(page: str) -> Iterator[str]:
    """What a reader types into a shell: lines of code without language, output left out."""
    for block in blocks(page):
        if block.language not in ("", "sh", "console"):
            continue
        lines = re.sub(r"\\\n\s*", "", block.text).splitlines()
        prompts = [line for line in lines if line.startswith("$ ")]
        yield from (line.removeprefix("$ ") for line in prompts or lines)
