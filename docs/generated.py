"""Reference pages as the code has them: the command line from its parser, the settings from their dataclasses.

`docs/conf.py` puts them into the pages below while it reads them. They are never written to a file, so they cannot be out of
date. It shows notebooks with the outputs of `make notebooks`.
"""

import argparse
import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from wordseq.cli.main import make_parser
from wordseq.config.auto import RULES
from wordseq.config.fields import Changes, usual_value
from wordseq.config.schema import MOST, SECTIONS

COLUMNS = "88"
"""Width of the usage lines."""

EXECUTED = Path(__file__).resolve().parent.parent / "build" / "notebooks"
"""Where `make notebooks` writes the executed copies."""

_CODE = re.compile(r"(?<![\w-])--[a-z][a-z-]*|\b(?:data|model|train|decode|eval)\.[a-z]\w*(?:=[\w,]+)?|<unk>")
"""What is code in a help text: options, settings, `<unk>`."""

REASONS = {rule.key: rule.reason for rule in RULES}

TYPES = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}


def executed(notebook: str, copy: Path) -> str:
    """A notebook with the outputs of its executed copy, where there is one with the same cells.

    Args:
        notebook: the text of an .ipynb file without outputs.
        copy: the same after execution, if it was executed.
    """
    text = copy.read_text(encoding="utf-8") if copy.is_file() else notebook
    return text if _cells(text) == _cells(notebook) else notebook


def _cells(notebook: str) -> list[tuple[str, str]]:
    # Jupyter writes a source as lines or as one text.
    return [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(notebook)["cells"]]


def commands() -> str:
    """A section for each command: usage, arguments, options, examples."""
    with mock.patch.dict(os.environ, {"COLUMNS": COLUMNS, "NO_COLOR": "1"}):
        return "\n".join(_command(name, parser) for name, parser in leaves(make_parser(), "wordseq"))


def leaves(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The commands that can be given, with their parsers."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        for word, child in action.choices.items():
            yield from leaves(child, f"{name} {word}")


def settings() -> str:
    """A section for each table of a settings file: key, default, meaning, what is allowed."""
    return "\n".join(_section(name, kind) for name, kind in SECTIONS.items())


PAGES: Mapping[str, tuple[str, Callable[[], str]]] = {
    "reference/commands": ("<!-- commands: put here by docs/generated.py -->", commands),
    "reference/settings": ("<!-- settings: put here by docs/generated.py -->", settings),
}
"""By the page's name: the mark in it, and what stands there instead on the site."""


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    usage = parser.format_usage().removeprefix("usage: ").replace("\n" + " " * len("usage: "), "\n")
    formatter = parser._get_formatter()
    lines = [f"## {name}", "", _sentence(parser.description or ""), "", f"```{{program}} {name}\n```", ""]
    lines += [f"```text\n{usage}```", ""]
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        # What argparse itself prints before an option's help.
        title = formatter._format_action_invocation(action) if action.option_strings else str(action.metavar)
        lines += [f":::{{option}} {title}", "", _sentence(formatter._expand_help(action)), ":::", ""]
    if parser.epilog:
        lines += [f"```text\n{formatter._format_text(parser.epilog).strip()}\n```", ""]
    return "\n".join(lines)


def _section(name: str, kind: type) -> str:
    lines = [f"## {name}", "", _sentence((kind.__doc__ or "").split("\n")[0]), ""]
    for field in dataclasses.fields(kind):
        lines += [f":::{{confval}} {name}.{field.name}", "", _sentence(field.metadata["doc"]), ""]
        lines += [
            f"Default `{json.dumps(usual_value(field))}`; {allowed(field)}. {_notes(f'{name}.{field.name}', field)}",
            ":::",
            "",
        ]
    return "\n".join(lines)


def allowed(field: "dataclasses.Field[Any]") -> str:
    """What a setting may be, in words."""
    choices, low, high = (field.metadata[key] for key in ("choices", "minimum", "maximum"))
    if choices:
        return "one of " + ", ".join(f"`{json.dumps(choice)}`" for choice in choices)
    words = TYPES[type(field.default)]
    if low is not None:
        words += f" from {low:g}" + (f" to {high:,}" if high is not None else "")
    elif high is not None and high != MOST:
        words += f" up to {high:,}"
    return words


def _notes(key: str, field: "dataclasses.Field[Any]") -> str:
    changes = field.metadata["changes"]
    notes = [
        (Changes.LIMIT in changes, "May be changed when a run resumes."),
        (field.metadata["auto"], f"Decided by the data: {REASONS.get(key, '')}; see [defaults](../guide/defaults.md)."),
        (Changes.MACHINE in changes, "Decided when a run begins; its `config.toml` has the value used."),
    ]
    return " ".join(text for holds, text in notes if holds)


def _sentence(text: str) -> str:
    """Plain text as a Markdown sentence: nothing in it is markup, but for code between backquotes."""
    # The odd parts are code already.
    parts = re.split(r"(`[^`]*`)", text.strip())
    parts[::2] = [_CODE.sub(r"`\g<0>`", part) for part in parts[::2]]
    parts = re.split(r"(`[^`]*`)", "".join(parts))
    parts[::2] = [re.sub(r"([\\<>*\[\]])", r"\\\1", part) for part in parts[::2]]
    sentence = "".join(parts)
    # A single letter is a symbol, but for the article.
    if re.match(r"[a-z]{2}|a ", sentence):
        sentence = sentence[0].upper() + sentence[1:]
    return sentence + ("" if sentence.endswith((".", ":")) else ".")
