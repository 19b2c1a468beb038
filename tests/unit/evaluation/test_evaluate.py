import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from wordseq.config.schema import Config
from wordseq.data.splits import HeldOut
from wordseq.evaluation.evaluate import _seen
from wordseq.evaluation.given import read_files
from wordseq.runs.folder import RunFolder
from wordseq.system.errors import UserError
from wordseq.system.files import write_json

RUN = SimpleNamespace(config=Config())


def test_cr_alone_ends_lines_where_a_file_has_nothing_else(tmp_path):
    said = []
    (tmp_path / "src").write_bytes(b"one\rtwo\r\rfour\r")
    (tmp_path / "ref").write_bytes(b"1\n2\n\n4 \r four\n")
    found = read_files(RUN, tmp_path / "src", [tmp_path / "ref"], said.append)
    assert found.sources == ["one", "two", "", "four"]
    assert found.references == [["1"], ["2"], [""], ["4 four"]]
    assert said == [f"{tmp_path / 'src'}: lines end in CR alone"]
    (tmp_path / "ref").write_bytes(b"1\r2\r3")
    with pytest.raises(UserError, match=r"ref has 3 lines, but .*src has 4"):
        read_files(RUN, tmp_path / "src", [tmp_path / "ref"], said.append)


def test_tabs_are_named_where_the_run_has_no_features(tmp_path):
    said = []
    (tmp_path / "src").write_bytes(b"one\tN\ntwo\n")
    (tmp_path / "ref").write_bytes(b"1\n2\n")
    assert read_files(RUN, tmp_path / "src", [tmp_path / "ref"], said.append).sources == ["one N", "two"]
    (line,) = said
    assert line.startswith(f"{tmp_path / 'src'}: line 1 has a TAB, which is read as a space: ")


def test_seen_sources_are_those_of_the_run_or_of_any_of_its_runs(tmp_path):
    test = HeldOut(["a", "b", "c"], [["x"], ["y"], ["z"]])

    def run(seen, members=()):
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        write_json(folder / "split.json", {"test": {"sha256": test.sha256, "seen": seen}})
        found = RunFolder(folder)
        found.members = members
        return found

    assert _seen(run([2]), test) == {2}
    assert _seen(run([], [run([0]), run([2])]), test) == {0, 2}
    assert _seen(run([2]), HeldOut(["a", "b", "d"], test.references)) == set()
    # Damaged.
    assert _seen(run([9, "a", 1]), test) == {1}
    assert _seen(run(None), test) == set()
    assert _seen(RunFolder(tmp_path), test) == set()
