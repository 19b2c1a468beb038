"""Plain English wherever a person reads: docstrings, messages, comments, help and documents avoid a list of words.

Code is not prose: what stands in backticks or in a fenced block is left out, and so is a string without a space.
"""

import ast
import inspect
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import wordseq
from docs.generated import leaves
from wordseq.cli.main import make_parser

PACKAGE = Path(wordseq.__file__).parent
ROOT = PACKAGE.parent

_MEASURES = (
    "nats bits bytes tokens sentences words characters symbols ids lines rows pairs values numbers positions entries steps "
    "updates batches milliseconds seconds minutes ms MB GB files threads times once perplexity row token sentence line entry "
    "id vector vectors hypotheses hypothesis samples draws parts units evaluations"
)
_UNITS = (
    "sentence second minute hour core token line row pair step update epoch batch character sequence word call process run "
    "source layer"
)

MOST_WORDS = 25

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


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def documents() -> list[Path]:
    """Pages, templates and settings files that a person reads."""
    places = ((ROOT, "*.md"), (ROOT / "docs", "**/*.md"), (PACKAGE, "**/*.j2"), (PACKAGE, "**/*.toml"))
    return [ROOT / "Makefile", *(path for folder, pattern in places for path in sorted(folder.glob(pattern)))]


def sentences_of(text: str) -> list[str]:
    """The sentences of a docstring, message or comment; equations, which are indented, are left out."""
    lines = inspect.cleandoc(text).split("\n")
    # An item of Google's sections starts with its name and a colon; what continues it is indented like an equation.
    prose = [line for line in lines if not (re.search(r" [=*] |->|::", line) and line.startswith("    "))]
    parts = re.split(r"\n\s*\n|\n\s*(?=- )|\n(?=\s*[\w, ]+: )", "\n".join(prose))
    return [" ".join(found.split()) for part in parts for found in re.split(r"(?<=[.;:!?])\s+", part)]


def help_texts() -> Iterator[tuple[str, str]]:
    """What `--help` of each command prints, one text for each option."""
    for name, parser in leaves(make_parser(), "wordseq"):
        yield name, parser.description or ""
        yield from ((f"{name} {action.dest}", action.help or "") for action in parser._actions)


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


def test_help():
    found = {name: found_in(text) for name, text in help_texts()}
    assert len(found) > 60
    assert {name: words for name, words in found.items() if words} == {}


def test_a_sentence_has_at_most_25_words():
    texts = dict(help_texts())
    for path in modules():
        found = [*strings_of(path.read_text(encoding="utf-8")), *comments_of(path)]
        texts |= {
            f"{path.relative_to(PACKAGE)}:{line}:{text[:9]}": text for line, text in found if "\nimport " not in text
        }
    long = {place: [s for s in sentences_of(text) if len(s.split()) > MOST_WORDS] for place, text in texts.items()}
    assert {place: found for place, found in long.items() if found} == {}


def test_sentences_are_cut():
    text = """One two. Three: four; five.

        a' = sigmoid(x W) * a

    Args:
        one: some words
            more of them.
        two: others.
    """
    cut = ["One two.", "Three:", "four;", "five.", "Args:", "one:", "some words more of them.", "two:", "others."]
    assert [sentence for sentence in sentences_of(text) if sentence] == cut
