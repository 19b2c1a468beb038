"""JSON Lines and JSON arrays: keys by name, nested ones after a dot; what is no text never becomes a traceback."""

import contextlib
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordseq.config.data import DataConfig
from wordseq.data.readers.json_lines import MAX_KEYS, is_json_array, is_json_lines, read_json_array, read_json_lines
from wordseq.data.readers.lines import BadLines
from wordseq.data.readers.streams import HEAD_BYTES, open_file
from wordseq.system.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("json")


def table(path: Path, content: str | bytes, reader=read_json_lines, on_bad_line="stop"):
    """The table and its records; an error if there are bad lines, unless they are skipped."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    bad = BadLines(on_bad_line)
    with open_file(path) as opened:
        found = reader(opened, DataConfig(), bad)
        records = list(found.records)
    bad.check(len(records))
    return found, records


def test_nested_keys_as_on_the_hugging_face_hub(tmp_path):
    lines = [
        '{"id": "0", "translation": {"en": "a", "fr": "b"}}',
        '{"translation": {"fr": "d"}, "note": [1, {"x": false}]}',
    ]
    content = f'{lines[0]}\n\n{lines[1]}\r\n{{"translation": null}}\n'
    found, records = table(tmp_path / "x.jsonl", content)
    assert (found.format, found.columns) == (
        "JSON Lines",
        ("id", "translation.en", "translation.fr", "note.0", "note.1.x"),
    )
    assert records == [(1, ("0", "a", "b", None, None)), (3, (None, None, "d", "1", "false")), (4, (None,) * 5)]
    assert not found.left_out


def test_values_that_are_no_texts(tmp_path):
    values = '[true, false, null, 1.50, 1e5, NaN, -0, "é\\u00e9\\ud83d\\ude00", {}, [], "", %s]' % ("9" * 5000)
    content = "".join(f'{{"v": {value}}}\n' for value in values[1:-1].split(", "))
    _, records = table(tmp_path / "x.jsonl", content)
    cells = ["true", "false", None, "1.50", "1e5", None, "-0", "éé😀", None, None, "", "9" * 5000]
    assert [record.cells[0] for record in records] == cells
    _, records = table(tmp_path / "x.jsonl", json.dumps({"long": ["é"] * 11, "empty": {}}) + "\n")
    assert records == [(1, (json.dumps(["é"] * 11, ensure_ascii=False),))]


def test_arrays_have_no_names(tmp_path):
    found, records = table(tmp_path / "x.jsonl", '["a", "b"]\n["c", null, 1]\n')
    assert (found.columns, records) == ((), [(1, ("a", "b")), (2, ("c", None, "1"))])
    found, records = table(tmp_path / "x.json", '[\n["a", "b"],\n\n["c",\n"d"]\n]\n', read_json_array)
    assert (found.format, found.columns, records) == ("JSON", (), [(2, ("a", "b")), (4, ("c", "d"))])


@pytest.mark.parametrize("text", ["[]", " [ ] \n", "[\n]"])
def test_an_empty_array(tmp_path, text):
    assert table(tmp_path / "x.json", text, read_json_array)[1] == []


def test_keys_that_appear_late_are_counted(tmp_path):
    content = '{"a": "1"}\n' * 1000 + '{"b": "2", "a": "1"}\n' * 3
    found, records = table(tmp_path / "x.jsonl", content)
    assert found.columns == ("a",)
    assert len(records) == 1003
    assert found.left_out == {"values of keys that the first 1,000 records do not have": 3}


@pytest.mark.parametrize("orient", ["records", "values"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_pandas_writes_is_read(tmp_path, orient, ascii_only):
    frame = pd.DataFrame({"src": ["a", "« é »", '"\\\n'], "tgt": ["b", None, "😀"], "n": [1, 2, 3]})
    rows = [("a", "b", "1"), ("« é »", None, "2"), ('"\\\n', "😀", "3")]
    text = frame.to_json(orient=orient, force_ascii=ascii_only)
    found, records = table(tmp_path / "x.json", text, read_json_array)
    assert [record.cells for record in records] == rows
    assert is_json_array(text.encode())
    if orient == "records":
        assert found.columns == ("src", "tgt", "n")
        text = frame.to_json(orient=orient, lines=True, force_ascii=ascii_only)
        assert table(tmp_path / "x.jsonl", text)[1] == list(zip((1, 2, 3), rows, strict=True))
        assert is_json_lines(text.encode())


def test_up_to_ten_items_of_a_list_have_columns_and_more_are_one_text(folder):
    rows = [{"id": "1", "ten": list("abcdefghij"), "more": list("abcdefghijk")}]
    found, records = table(folder / "x.jsonl", json.dumps(rows[0]) + "\n")
    assert found.columns == ("id", *(f"ten.{k}" for k in range(10)), "more")
    assert records[0].cells == ("1", *"abcdefghij", json.dumps(rows[0]["more"]))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@given(
    rows=st.lists(st.dictionaries(TEXT.filter(lambda key: "." not in key), TEXT), max_size=5),
    indent=st.sampled_from([None, 1]),
)
def test_any_texts_come_back(folder, rows, indent):
    keys = list(dict.fromkeys(key for row in rows for key in row))
    expected = [tuple(row.get(key) for key in keys) for row in rows]
    lines = "\n" + "".join(json.dumps(row, ensure_ascii=indent is None) + "\n" for row in rows)
    array = json.dumps(rows, ensure_ascii=indent is None, indent=indent)
    for name, content, reader in (("x.jsonl", lines, read_json_lines), ("x.json", array, read_json_array)):
        found, records = table(folder / name, content, reader)
        assert (list(found.columns), [record.cells for record in records]) == (keys, expected)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a\tb", "not JSON: Expecting value at character 1"),
        ('{"a": "b"', "not JSON: Expecting ',' delimiter at character 10"),
        ('{"a": "b"} {"a": "b"}', "not JSON: Extra data at character 12"),
        ('{"a": "\\ud800"}', r"an escape such as \\ud800, which is half of a character"),
        ('{"\\uDC00": ""}', r"an escape such as \\ud800"),
        ('{"a":' * 100_000, "JSON that is nested too deeply"),
        ("[" * 100_000, "JSON that is nested too deeply"),
        ('{"a":' * 400 + "1" + "}" * 400, ""),
        ('"a"', "neither an object nor an array"),
        ('["a", "b"]', "an array, but the first record is an object"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 8"),
    ],
)
def test_a_bad_line_is_named_and_can_be_skipped(tmp_path, line, reason):
    content = b'{"a": "1"}\n' + (line if isinstance(line, bytes) else line.encode()) + b'\n{"a": "2"}\n'
    if reason:
        with pytest.raises(UserError, match=f"x:2: {reason}"):
            table(tmp_path / "x", content)
    records = table(tmp_path / "x", content, on_bad_line="skip")[1]
    assert [record.number for record in records] == ([1, 3] if reason else [1, 2, 3])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('["a"]', "an array that is not of two texts or more"),
        ('["a", ["b"]]', "an array that is not of two texts or more"),
        ('{"a": "b"}', "an object, but the first record is an array"),
    ],
)
def test_a_bad_array(tmp_path, line, reason):
    with pytest.raises(UserError, match=f"x:2: {reason}"):
        table(tmp_path / "x", f'["a", "b"]\n{line}\n["c", "d"]\n')


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"src": {"0": "a"}}', "x: not an array of objects; write it so"),
        ('[{"a": "b"},\n{"a": }]', "x:2: not JSON: Expecting value at character 7"),
        ('[{"a": "b"}\n{"a": "c"}]', "x:2: not JSON: expected a comma or ] after this item"),
        ('[{"a": "b"},\n', "x:2: not JSON: Expecting value"),
        ('[{"a": "b"}]\n[]', "x: not JSON: there is text after the array"),
        ('[{"a": "b"},\n{"a": "\\ud800"}]', "x:2: an escape such as"),
        ('[{"a": "b"},\n' + "[" * 100_000, "x:2: JSON that is nested too deeply"),
        (b'[{"a": "b"},\n{"a": "\xff"}]', "x:2: not UTF-8"),
        ('[{"a": "b"},\n"c"]', "x:2: neither an object nor an array"),
    ],
)
def test_a_damaged_array(tmp_path, content, reason):
    with pytest.raises(UserError, match=reason):
        table(tmp_path / "x", content, read_json_array)


def test_bounds(tmp_path, monkeypatch):
    keys = "".join(f'{{"{key}": ""}}\n' for key in range(MAX_KEYS + 1))
    with pytest.raises(UserError, match="x:1: more than 1,000 different keys up to this line"):
        table(tmp_path / "x", json.dumps(dict.fromkeys(range(MAX_KEYS + 1), "")) + "\n")
    # One key more than the records that are looked at.
    found, _ = table(tmp_path / "x", keys)
    assert len(found.columns) == MAX_KEYS
    monkeypatch.setattr("wordseq.data.readers.json_lines.MAX_JSON_BYTES", 10)
    with pytest.raises(UserError, match="JSON array of more than"):
        table(tmp_path / "x", '[{"a": "b"}]', read_json_array)


@pytest.mark.parametrize(
    ("head", "lines", "array"),
    [
        (b'{"a": 1}\n', True, False),
        (b'\n \n["a", "b"]\nc\n', True, False),
        (b'["a"]\n', False, False),
        (b'[{"a": 1}, {"a": 2}]', False, True),
        (b'[\n{"a": 1},\n', False, True),
        (b'[\n  ["a", "b"],\n', False, True),
        (b'[["a", "b"], ["c"', False, True),
        (b'{\n"a": 1}\n', False, False),
        (b"[[link]] text\n", False, False),
        (b"{text}\ta\n", False, False),
        (b"[1] A note.\n", False, False),
        (b"", False, False),
        (b'{"a": "' + b"x" * HEAD_BYTES, True, False),
        (b'[{"a": "' + b"x" * HEAD_BYTES, False, True),
        (b"[" * HEAD_BYTES, False, False),
        (b'{"a":' * HEAD_BYTES, False, False),
    ],
    ids=range(16),
)
def test_json_is_recognised(head, lines, array):
    head = head[:HEAD_BYTES]
    assert (is_json_lines(head), is_json_array(head)) == (lines, array)


FRAGMENTS = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\\",
    b"\\ud800",
    b"1e999",
    b"null",
    b"\0",
    b"\xff",
    b" ",
]
GOOD = b'{"a": {"en": "b\\u00e9", "fr": 1.5}, "c": [null, true]}'


@given(
    start=st.sampled_from(
        [GOOD + b"\n" + GOOD + b"\n", b"[" + GOOD + b",\n" + GOOD + b"]\n", b'["a", "b"]\n["c", "d"]\n']
    ),
    changes=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 5), st.sampled_from(FRAGMENTS)), max_size=8),
)
def test_any_damage_gives_a_table_or_a_clear_error(folder, start, changes):
    content = start
    for place, removed, added in changes:
        content = content[:place] + added + content[place + removed :]
    for reader in (read_json_lines, read_json_array):
        with contextlib.suppress(UserError):
            found, records = table(folder / "damaged", content, reader, "skip")
            "".join([*found.columns, *(cell or "" for record in records for cell in record.cells)]).encode()
    assert {is_json_lines(content), is_json_array(content)} <= {True, False}
