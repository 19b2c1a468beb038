"""The house: one place for each name, folders and modules that can be read at a sitting."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import wordseq

PACKAGE = Path(wordseq.__file__).parent

SHARED = {"main", "add", "Seq2Seq"}
"""What starts a process; what adds a command; a name that users of the seq2seq add-on of Keras 2 know, in `wordseq.vectors`."""

MOST_MODULES, MOST_LINES = 10, 500


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def public_names(source):
    """Classes, functions, constants and aliases that a module defines at its top level."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        else:
            found = []
        yield from (name for name in found if not name.startswith("_"))


def test_public_names_are_found():
    source = "import a\nfrom b import c\nA = B = 1\nC, D = 2, 3\nE: int = 4\n_F = 5\ndef f():\n    g = 6\nclass H:\n    i = 7\n"
    assert list(public_names(source)) == ["A", "B", "C", "D", "E", "f", "H"]


def test_no_two_modules_define_the_same_public_name():
    places = defaultdict(list)
    for path in modules():
        for name in set(public_names(path.read_text(encoding="utf-8"))) - SHARED:
            places[name].append(str(path.relative_to(PACKAGE)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_folder_has_more_than_ten_modules():
    numbers = defaultdict(int)
    for path in modules():
        numbers[str(path.parent.relative_to(PACKAGE))] += path.name != "__init__.py"
    assert {folder: number for folder, number in numbers.items() if number > MOST_MODULES} == {}


def test_no_module_has_more_than_500_lines():
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {module: length for module, length in lengths.items() if length > MOST_LINES} == {}


def test_autograph_is_off_in_every_graph_function():
    """It doubles the time of tracing, and nothing here needs it: loops and choices are TensorFlow's own."""
    lines = [line.strip() for path in modules() for line in path.read_text(encoding="utf-8").splitlines()]
    made = [line for line in lines if re.search(r"@tf\.function|\btf\.function[(,]", line)]
    assert len(made) >= 10
    assert [line for line in made if "autograph=False" not in line] == []
