"""README and the site: what they name exists, what they show can be typed, and they stay short."""

import ast
import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

import wordseq
from docs import generated
from experiments.tables import read_records
from tests.documents import DOCS, PAGES, README, anchors, blocks, id_of, links, sentences, shell_lines, spans, words
from tests.laws.test_options import OPTIONS
from tests.runs import ROOT
from wordseq.cli.main import make_parser
from wordseq.cli.options import named_data
from wordseq.config.fields import AUTO
from wordseq.config.load import load_config
from wordseq.config.schema import AUTO_KEYS, SECTIONS, Config, by_key

PARSER = make_parser()
KEYS = by_key(Config()) | dict.fromkeys(AUTO_KEYS, AUTO)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(next(line for line in MAKEFILE.splitlines() if line.startswith(".PHONY:")).split()[1:])
VARIABLES = set(re.findall(r"^(\w+) \?=", MAKEFILE, re.MULTILINE)) | {"RUN", "CONFIG"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

every_page = pytest.mark.parametrize("path", PAGES, ids=id_of)


def read(path):
    return path.read_text(encoding="utf-8")


def commands_of(line):
    """The words of each `wordseq` or `make` in a line of shell, behind its own pipe, list or activation."""
    for part in re.split(r" \| | && |; ", line):
        try:
            found = shlex.split(part, comments=True)
        except ValueError:
            continue
        if found and found[0].rpartition("/")[2] in ("wordseq", "make"):
            yield [found[0].rpartition("/")[2], *found[1:]]


def parsed(arguments):
    """The exit code of the parser, 0 for a command that would run; its settings are read too."""
    try:
        options = PARSER.parse_args(arguments)
    except SystemExit as end:
        return end.code
    # Documents name files that a reader has.
    if hasattr(options, "set") and Path(options.config or "").suffix not in (".tsv", ".csv"):
        if getattr(options, "file", None):
            options.set, options.file = [f"data.train={options.file}", *options.set], None
        named_data(options)
        load_config(options.config, options.set)
    for pair in getattr(options, "vary", []):
        assert (pair if isinstance(pair, str) else pair[0]).partition("=")[0] in KEYS
    return 0


def test_readme_is_short():
    page = read(README)
    found = list(sentences(page))
    lengths = [words(sentence) for sentence in found]
    assert len(page.splitlines()) <= 150
    assert sum(lengths) / len(lengths) <= 14
    assert [sentence for sentence, length in zip(found, lengths, strict=True) if length > 30] == []
    assert sum(sentence.count(";") for sentence in found) <= 3


@pytest.mark.parametrize("path", [README, *sorted(DOCS.rglob("*.md"))], ids=id_of)
def test_no_sentence_is_long(path):
    assert [sentence for sentence in sentences(read(path)) if words(sentence) > 25] == []


def test_sentences_are_counted():
    page = """# A heading; no sentence

One, `two three` four. Five
six seven:

- Eight nine
- ten eleven

```
not; this
```
| a | b |
"""
    assert [words(sentence) for sentence in sentences(page)] == [3, 3, 2, 2]


@every_page
def test_links_lead_somewhere(path):
    for link in links(read(path)):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        # What is outside of it is not in the repository.
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(read(target)), link


def test_anchors_are_those_of_github():
    assert anchors("## A `code` title: it's one\n### K1: x, y\n") == {"a-code-title-its-one", "k1-x-y"}


@every_page
def test_commands_can_be_typed(path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    for line in shell_lines(read(path)):
        for program, *arguments in commands_of(line):
            if program == "make":
                check_make(arguments)
                continue
            assert parsed(arguments) == 0, f"{line}: {capsys.readouterr().err}"


def check_make(arguments):
    """Targets and variables of a `make`, and the settings in SET."""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        assert name in (VARIABLES if equals else TARGETS), argument
        if name in ("SET", "VARY"):
            assert {pair.partition("=")[0] for pair in value.split()} <= set(KEYS), argument


def path_like(name):
    """Whether it is the name of a file, such as train.de or model.svg."""
    return name.rpartition(".")[2] in ("de", "en", "fr", "json", "keras", "svg")


@every_page
def test_what_text_names_exists(path):
    """Settings, commands, options, targets and variables in the text."""
    options = {option.split()[-1] for option in OPTIONS} | {"--help", "--version"}
    options |= {option.replace("--no-", "--") for option in options}
    names = {option.rsplit(" ", 1)[0] for option in OPTIONS}
    for span in spans(read(path)):
        for key in re.findall(r"(?<![\w./])(?:data|model|train|decode)\.[a-z_]+(?![\w(])", span):
            assert key in KEYS or path_like(key), span
        if span.startswith("wordseq "):
            command = span.split()[1]
            assert command == "COMMAND" or command.startswith("-") or any(n.split()[0] == command for n in names), span
            assert set(re.findall(r"--[a-z][a-z-]*", span)) <= options, span
        elif span.startswith("--"):
            assert span.split()[0].partition("=")[0] in options, span
        if span.startswith("make "):
            check_make(shlex.split(span.replace("...", ""))[1:])


@every_page
def test_python_can_be_read(path):
    """Blocks of Python are Python, and what they take from wordseq is there."""
    for block in blocks(read(path)):
        if block.language != "python":
            continue
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("wordseq"):
                assert importlib.util.find_spec(node.module), node.module
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "wordseq":
                assert node.attr in wordseq.__all__, node.attr


def test_extras_that_are_named_exist():
    for path in PAGES:
        for extras in re.findall(r"(?:wordseq|\.|\.whl)\[([a-z,]+)\]", read(path)):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), path


def test_generated_pages_have_every_option_and_setting():
    for name, (mark, _) in generated.PAGES.items():
        assert read(DOCS / f"{name}.md").count(mark) == 1
    page = generated.commands()
    for option in OPTIONS - {"--version"}:
        command, _, name = option.rpartition(" ")
        section = page[page.index(f"## wordseq {command}\n") :].partition("\n## ")[0]
        # Arguments are shown by their metavar.
        shown = name if name.startswith("--") else {"config": "DATA"}.get(name, name.upper())
        assert re.search(rf":::{{option}} (.*, )?{re.escape(shown)}\b", section), option
    page = generated.settings()
    for key, default in KEYS.items():
        shown = page[page.index(f":::{{confval}} {key}\n") :].partition("\n:::\n")[0]
        assert f"\nDefault `{json.dumps(default)}`; " in shown
    assert page.count("{confval}") == len(KEYS)
    assert set(re.findall(r"^## (\w+)$", page, re.MULTILINE)) == set(SECTIONS)


def test_defaults_in_tables_are_those_of_the_code():
    for path in PAGES:
        for key, default in re.findall(r"^\| `(\w+\.\w+)` \| `?([\w.]+)`? \| ", read(path), re.MULTILINE):
            if key in KEYS and path == README:
                assert default in (str(KEYS[key]), json.dumps(KEYS[key])), key


def test_the_picture_of_the_stages_has_every_folder():
    folders = [path.parent.name for path in (ROOT / "wordseq").glob("*/__init__.py")]
    shown = re.findall(r'class="folder"[^>]*>(\w+)<', read(DOCS / "pictures" / "stages.svg"))
    assert sorted(shown) == sorted(folders)


def test_readmes_figures_are_those_of_the_records():
    page = read(README)
    (record,) = read_records([ROOT / "experiments" / "results" / "minutes.json"])
    bleu = {
        (row["values"]["data.level"], row["values"]["model.cell"]): row["bleu"]["mean"]
        for row in record["combinations"]
    }
    assert f"{bleu['bpe', 'lstm']:.1f} BLEU with BPE and {bleu['word', 'lstm']:.1f} with words" in page
    bench = json.loads(read(ROOT / "experiments" / "speed" / "bench.json"))
    ratios = {
        (row["measure"], row["against"]): f"{row['ratio']:.1f} times as fast as"
        for row in bench["ratios"]
        if (row["cell"], row["precision"]) == ("lstm", "float32")
    }
    assert f"In float32 an LSTM trains {ratios['train', 'keras']} stock Keras" in page
    assert f"{ratios['train', 'torch']} PyTorch.\n  It translates {ratios['greedy', 'torch']} PyTorch." in page


def test_the_report_has_the_lines_that_are_explained():
    table = read(DOCS / "reference" / "metrics.md").partition("| Line | JSON key |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.*?) \| `(\w+)` \|", table, re.MULTILINE)
    report, keys = (read(ROOT / "wordseq" / "evaluation" / f"{name}.py") for name in ("tables", "evaluate"))
    assert len(rows) > 5
    report = report.replace('f"{unit}s', '"sentences')
    for line, key in rows:
        assert f'"{line.replace("`", "")}"' in report
        assert f'"{key}"' in keys


def test_the_citation_is_of_this_version():
    assert re.search(r"^version: (.*)$", read(ROOT / "CITATION.cff"), re.MULTILINE)[1] == PROJECT["version"]
