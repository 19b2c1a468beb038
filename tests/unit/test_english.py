"""Plain English wherever a person reads: docstrings, messages, comments, help and documents avoid a list of words.

Code is not prose: what stands in backticks or in a fenced block is left out, and so is a string without a space.
"""

import argparse
import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import wordseq

PACKAGE = Path(wordseq.__file__).parent
ROOT = PACKAGE.parent

STILL_TO_MEND = ("cli",)
"""Packages that are not clean yet; this list only gets shorter."""

DOCUMENTS_STILL_TO_MEND: tuple[str, ...] = ()

_MEASURES = (
    "nats bits bytes tokens sentences words characters symbols ids lines rows pairs values numbers positions entries steps "
    "updates batches milliseconds seconds minutes ms MB GB files threads times once perplexity row token sentence line entry "
    "id vector"
)
_UNITS = (
    "sentence second minute hour core token line row pair step update epoch batch character sequence word call process"
)

WORD_LIST = {
    r"so many": "N, or N for each",
    r"(look|looks|looked|looking) at": "validation, reads, checks",
    rf"({_MEASURES.replace(' ', '|')}) an? ({_UNITS.replace(' ', '|')})": "per sentence, per second, for each line",
    r"(go|goes|going|went|gone) on": "resumes, continues",
    r"begun": "starts, started",
    r"(come|comes|coming|came) back": "returns",
    r"hears?|heard": "is called with",
    r"(is|are|was|were|be|been|being) told": "is called with, gets",
    r"(know|knows|known|knew) of": "has, logs, lists",
    r"says": "logs, reports, prints, states",
    r"asides?": "temporary file",
    r"shall": "must",
    r"made[- ]up": "synthetic",
    r"pieces?": "subword, part",
    r"(?:(?:^|(?<=[.:;,(])|(?<=[.:;,] )|(?<=\band )|(?<=\bor )|(?<=\bfor )|(?<=\bby )|(?<=\bof ))who) "
    r"(?!is\b|are\b|am\b)\w+s?": "the caller, the user, if you want",
    r"sides|(either|each|one|both|empty|given|every|a) side": "source and target, source or target",
    r"whole(?! numbers?\b)": "complete, all",
    r"slips? of the pen": "a typing error",
    r"nobody's business": "list the keys",
    r"sisters?": "list the keys",
    r"damages everything|everything that is read from outside": "fuzzes every input",
    r"(bytes )?for what was never seen|what was never seen": "byte fallback",
    r"(go|goes|going|went) round|sums of gradients": "all-reduced",
    r"nothing tells apart": "identical outputs",
}
"""Each entry of the left column as a regular expression between word boundaries, and what to write instead."""

PATTERNS = [(re.compile(rf"(?<!\w)(?:{left})(?!\w)", re.IGNORECASE), right) for left, right in WORD_LIST.items()]

_CODE = re.compile(r"```.*?```|``.*?``|`[^`]*`", re.DOTALL)
_COMMENT_CODE = re.compile(r"noqa: \S+|type: ignore\S*")


def found_in(text: str) -> list[str]:
    """What a text has of the word list, each with its replacement."""
    prose = " ".join(_COMMENT_CODE.sub(" ", _CODE.sub(" CODE ", text)).split())
    return [f"{match.group()!r}: write {right!r}" for pattern, right in PATTERNS for match in pattern.finditer(prose)]


def strings_of(source: str) -> Iterator[tuple[int, str]]:
    """Docstrings and every other string that holds a space, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def comments_of(path: Path) -> Iterator[tuple[int, str]]:
    """Comments, those of lines that follow each other as one text, with their lines."""
    block, last = "", -1
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type != tokenize.COMMENT:
                continue
            if block and token.start[0] != last + 1:
                yield last, block
                block = ""
            block, last = f"{block} {token.string.lstrip('# ')}".strip(), token.start[0]
    if block:
        yield last, block


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


def modules() -> list[Path]:
    paths = (path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in STILL_TO_MEND)
    return [*paths]


def documents() -> list[Path]:
    """README and docs, but for what is still to mend."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in paths if str(path.relative_to(ROOT)) not in DOCUMENTS_STILL_TO_MEND]


@pytest.mark.parametrize(
    "text",
    [
        "print so many lines",
        "one look at the dev set, then it looks at the test set",
        "nats a sentence",
        "3,000 tokens a second",
        "training goes on",
        "when the call comes back",
        "the callback hears of it",
        "it is told of a worker",
        "the program says why",
        "a file aside",
        "it shall not be written",
        "made-up sentences",
        "pieces of SentencePiece",
        "who calls leaves padding out",
        "texts; who wants them longer sets it",
        "tokens of both sides",
        "with an empty side",
        "the whole batch",
        "a slip of the pen",
        "nobody's business",
        "its five sisters",
        "damages everything that is read",
        "bytes for what was never seen",
        "sums of gradients go round",
    ],
)
def test_the_word_list_is_found(text):
    assert found_in(text)
    assert found_in(f"A line.\n{text.replace(' ', chr(10), 1)}")


@pytest.mark.parametrize(
    "text",
    [
        "a whole number",
        "students who follow a tutorial",
        "side by side",
        "`train(sides)`",
        "it looks like a list",
        "``` who calls ```",
        "values give a sentence",
        "the source side",
    ],
)
def test_plain_english_is_left_alone(text):
    assert not found_in(text)


def test_docstrings_messages_and_comments():
    found = {}
    for path in modules():
        for line, text in [*strings_of(path.read_text(encoding="utf-8")), *comments_of(path)]:
            found |= {f"{path.relative_to(PACKAGE)}:{line}": words for words in [found_in(text)] if words}
    assert found == {}


def test_documents():
    found = {str(path.relative_to(ROOT)): found_in(path.read_text(encoding="utf-8")) for path in documents()}
    assert {path: words for path, words in found.items() if words} == {}
