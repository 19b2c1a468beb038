"""The notebooks: committed without outputs, and what they name exists. `make notebooks` executes them."""

import ast
import inspect
import json
import re
import shlex

import pytest

import wordseq
from docs.generated import executed
from tests.documents import DOCS, links, sentences, spans, words
from tests.unit.test_english import found_in
from wordseq.api.comparison import Comparison
from wordseq.api.run import Run, section_settings
from wordseq.cli.main import make_parser
from wordseq.config.load import load_config
from wordseq.config.schema import DecodeConfig

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
MADE_BY = {"train": Run, "load": Run, "compare": Comparison}
"""What the functions of the interface return."""

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path, kind):
    return [
        "".join(cell["source"]) for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == kind
    ]


def tree(path):
    return ast.parse("\n".join(cells(path, "code")))


def called(path):
    """Each call as what is called, as written, and the names of its keyword arguments with their values."""
    syntax = tree(path)
    for call in ast.walk(syntax):
        if isinstance(call, ast.Call):
            given = {}
            for keyword in call.keywords:
                for found in [keyword.value] if keyword.arg else dicts(syntax, keyword.value.id):
                    given |= {keyword.arg: found} if keyword.arg else literal(found)
            yield ast.unparse(call.func), given


def literal(found):
    return {key.value: value for key, value in zip(found.keys, found.values, strict=True)}


def dicts(syntax, name):
    """The dicts that a variable stands for: assigned to it, or values of a dict that a loop goes through."""
    for node in ast.walk(syntax):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            yield node.value
        if isinstance(node, ast.For) and name in ast.unparse(node.target).strip("()").split(", "):
            for found in dicts(syntax, node.iter.func.value.id):
                yield from found.values


def made(path):
    """The variables that hold a run or a comparison, each with its class."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            maker = ast.unparse(node.value.func).removeprefix("wordseq.")
            if maker in MADE_BY:
                yield ast.unparse(node.targets[0]), MADE_BY[maker]


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["comparing_cells", "english_french", "own_data"]


@every_notebook
def test_nothing_of_an_execution_is_committed(path):
    notebook = json.loads(path.read_text("utf-8"))
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["name"]) == (4, "python3")
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    for cell in notebook["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert set(cell["metadata"]) <= {"tags"}
        for line in cell["source"]:
            assert not re.search(r"(?<![\w/:.])(/|[A-Z]:\\)\w+[/\\]\w+", line), line
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)


@every_notebook
def test_names_of_the_interface_exist(path):
    used = [
        node.attr
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "wordseq"
    ]
    assert "train" in used
    assert set(used) <= set(wordseq.__all__)
    kinds = dict(made(path))
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and (kind := kinds.get(ast.unparse(node.value))):
            assert hasattr(kind, node.attr) or (kind, node.attr) == (Run, "folder"), node.attr


@every_notebook
def test_settings_exist_and_their_values_are_allowed(path):
    trainings = [given for name, given in called(path) if name == "wordseq.train"]
    assert trainings
    own = set(inspect.signature(wordseq.train).parameters)
    for given in trainings:
        settings = {name: ast.literal_eval(value) for name, value in given.items() if name not in own}
        load_config(None, (), {"data.corpus": "phrasebook", **section_settings(settings)})


@every_notebook
def test_arguments_of_methods_exist(path):
    kinds = dict(made(path))
    checked = 0
    for name, given in called(path):
        variable, _, method = name.rpartition(".")
        if variable in kinds:
            allowed = set(inspect.signature(getattr(kinds[variable], method)).parameters)
            if "decode" in allowed:
                allowed |= {"beam", *DecodeConfig.__dataclass_fields__}
            assert set(given) <= allowed, name
            checked += 1
    assert checked


@every_notebook
def test_the_text_is_plain(path):
    for text in cells(path, "markdown"):
        assert found_in(text) == []
        assert [sentence for sentence in sentences(text) if words(sentence) > 25] == []
        for link in links(text):
            assert link.startswith("https:") or (path.parent / link).exists(), link
        for program, *arguments in (shlex.split(span) for span in spans(text)):
            if program == "wordseq":
                make_parser().parse_args(arguments)


def test_the_site_shows_the_executed_copy_of_the_same_cells(tmp_path):
    notebook = {"cells": [{"cell_type": "code", "source": ["a = 1\n", "a"], "outputs": []}]}
    done = {"cells": [{"cell_type": "code", "source": "a = 1\na", "outputs": ["1"]}]}
    text, copy = json.dumps(notebook), tmp_path / "copy.ipynb"
    assert executed(text, copy) == text
    copy.write_text(json.dumps(done), "utf-8")
    assert executed(text, copy) == json.dumps(done)
    notebook["cells"][0]["source"] = ["a = 2\n", "a"]
    assert executed(json.dumps(notebook), copy) == json.dumps(notebook)
