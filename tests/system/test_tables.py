"""Nothing in the tables of results was typed by hand."""

import shutil
import subprocess
import sys

from tests.runs import ROOT


def check(project):
    command = [sys.executable, "experiments/tables.py", "--check"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, check=False)


def test_the_tables_are_what_the_records_give(tmp_path):
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    assert check(tmp_path).returncode == 0
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(page.replace("| phrasebook | word", "| phrasebook | char"), encoding="utf-8")
    changed = check(tmp_path)
    assert changed.returncode == 1
    assert "README.md" in changed.stdout
