"""`--help` of every command: what an option does and its default, what is required, two examples that can be typed."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from wordseq.cli.main import make_parser
from wordseq.cli.options import examples_text, named_data
from wordseq.config.load import load_config

END = re.compile(r"[^()]+ \((?:required|default: [^()]+|required, except with --[a-z-]+)\)")


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


PARSERS = {parser.prog: parser for parser in parsers(make_parser())}
ACTIONS = [
    pytest.param(action, id=f"{prog} {action.option_strings[-1] if action.option_strings else action.dest}")
    for prog, parser in PARSERS.items()
    for action in parser._actions
    if not isinstance(action, argparse._HelpAction | argparse._VersionAction | argparse._SubParsersAction)
]


def examples_of(parser: argparse.ArgumentParser) -> list[str]:
    return [line.strip() for line in (parser.epilog or "").split("\n")[1:]]


@pytest.mark.parametrize("action", ACTIONS)
def test_an_options_help_ends_with_its_default_or_is_marked_as_required(action):
    assert END.fullmatch(action.help), action.help
    assert action.required == action.help.endswith("(required)")
    if isinstance(action.default, int | float | Path) and action.default and action.default is not True:
        shown = f"{action.default:g}" if isinstance(action.default, float) else str(action.default)
        assert re.search(rf"\(default: {re.escape(shown)}[,;)]", action.help), action.help
    if isinstance(action, argparse._StoreTrueAction) and action.default is False:
        assert action.help.endswith("(default: off)")


@pytest.mark.parametrize("parser", PARSERS.values(), ids=list(PARSERS))
def test_help_ends_with_two_examples_of_the_command(parser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("pairs.tsv", "pairs.csv", "export.tsv"):
        Path(name).write_text("a\tb\n")
    examples = examples_of(parser)
    assert len(examples) == 2
    assert parser.format_help().endswith(examples_text(examples) + "\n"), "an example is broken over lines"
    for example in examples:
        (part,) = (part for part in example.split(" | ") if part.startswith("wordseq "))
        assert f"{part} ".startswith(f"{parser.prog} ")
        options = make_parser().parse_args(shlex.split(part)[1:])
        assert callable(options.run_command)
        if hasattr(options, "set"):
            named_data(options)
            load_config(options.config, options.set)


def test_help_breaks_no_name_over_lines():
    for parser in PARSERS.values():
        assert not re.search(r"\w-\n", parser.format_help())
