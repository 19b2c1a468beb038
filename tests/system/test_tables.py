"""The tables of results are generated from records."""

import contextlib
import io
import json
import runpy
import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.tables import combinations_table, pronunciation_averages, pronunciation_table
from tests.fake_runs import fake_run, few_draws, some_test, with_errors
from tests.runs import ROOT
from wordseq.cli.commands.sweep import planned
from wordseq.cli.main import make_parser
from wordseq.comparison.compare import compare_runs
from wordseq.comparison.record import comparison_record
from wordseq.comparison.scored_runs import read_run

SWEPT = [
    (path, line.removeprefix("# "))
    for path in sorted((ROOT / "experiments").glob("*.toml"))
    for line in path.read_text(encoding="utf-8").splitlines()
    if line.startswith("# wordseq sweep")
]


@pytest.fixture(scope="module", autouse=True)
def _few_draws():
    with few_draws():
        yield


def check(project, options=("--check",)):
    """Runs the script of a project in this process: exit code, what it printed."""
    script = str(project / "experiments" / "tables.py")
    with contextlib.redirect_stdout(io.StringIO()) as out, pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", [script, *options])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(script, run_name="__main__")
    return SimpleNamespace(returncode=end.value.code, stdout=out.getvalue())


def test_the_tables_are_what_the_records_give(tmp_path):
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    assert check(tmp_path).returncode == 0
    for name, old, new in (
        ("docs/results/scores.md", "| phrasebook | word", "| phrasebook | char"),
        ("README.md", "| 46.6", "| 46.7"),
    ):
        page = (tmp_path / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(page.replace(old, new, 1), encoding="utf-8")
        changed = check(tmp_path)
        assert changed.returncode == 1
        assert name in changed.stdout
    assert check(tmp_path, options=("--chek",)).returncode == 2


def test_comparisons_go_to_the_pages_with_their_marks(tmp_path):
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    test = some_test()
    for name, settings in {"cells": ("model.cell=gru", "model.cell=sru"), "feeding": ("model.cell=gru",)}.items():
        runs = [
            read_run(fake_run(tmp_path / f"{name}{k}", test, with_errors(test, 0.1), text))
            for k, text in enumerate(settings)
        ]
        record = comparison_record(runs, compare_runs(runs), name)
        (tmp_path / "experiments" / "results" / f"{name}.json").write_text(json.dumps(record))
    assert check(tmp_path).returncode == 1
    assert check(tmp_path, options=()).returncode == 0
    assert check(tmp_path).returncode == 0
    cells = combinations_table(json.loads((tmp_path / "experiments" / "results" / "cells.json").read_text()))
    page = (tmp_path / "docs" / "results" / "comparisons.md").read_text(encoding="utf-8")
    assert cells in page
    feeding = combinations_table(json.loads((tmp_path / "experiments" / "results" / "feeding.json").read_text()))
    assert feeding in page


def test_a_record_that_no_page_shows_is_an_error(tmp_path):
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    record = json.loads((ROOT / "experiments" / "results" / "cells.json").read_text())
    path = tmp_path / "experiments" / "results" / "forgotten.json"
    path.write_text(json.dumps(record | {"experiment": "forgotten"}))
    found = check(tmp_path)
    assert found.returncode == 1
    assert "no page has marks for: forgotten" in found.stdout


def test_comparisons_are_there():
    assert len(SWEPT) >= 4
    records = [make_parser().parse_args(shlex.split(command)[1:]).record for _, command in SWEPT]
    assert len(set(records)) == len(records)


@pytest.mark.parametrize(("path", "command"), SWEPT, ids=lambda value: getattr(value, "stem", ""))
def test_a_command_in_a_files_head_is_a_sweep_that_can_begin(path, command, monkeypatch):
    monkeypatch.chdir(ROOT)
    options = make_parser().parse_args(shlex.split(command)[1:])
    assert Path(options.config).resolve() == path
    assert options.record.parent.as_posix() == "experiments/results"
    assert options.record.suffix == ".json"
    assert options.folder.parent.as_posix() == "runs"
    assert len(planned(options)) > 1


def test_the_table_of_pronunciation_has_means_over_seeds_and_languages():
    def scores(wer, per):
        return {
            "wer": wer,
            "wer_ci95": [wer - 1, wer + 1],
            "per": per,
            "per_ci95": [per, per + 0.5],
            "signatures": ["w", "p"],
        }

    rows = [
        {
            "language": "ice",
            "runs": [scores(10.0, 2.0), scores(14.0, 3.0)],
            "ensemble": scores(9.0, 1.5),
            "minutes": 1.0,
        },
        {"language": "vie", "runs": [scores(4.0, 1.0), scores(4.0, 1.0)], "ensemble": scores(3.0, 0.5), "minutes": 3.0},
    ]
    averages = pronunciation_averages(rows)
    assert averages == {"wer": 8.0, "per": 1.75, "ensemble_wer": 6.0, "ensemble_per": 1.0}
    _, _, ice, vie, last = pronunciation_table(rows).splitlines()
    assert ice == "| ice | 12.00 ± 2.83 | 2.50 | 9.00 (8.0 to 10.0) | 1.50 (1.5 to 2.0) | 1.0 | 10.00 | 2.36 |"
    assert vie.startswith("| vie | 4.00 ± 0.00 | 1.00 | 3.00 (2.0 to 4.0) | ")
    assert last == "| macro average | 8.00 | 1.75 | 6.00 | 1.00 | 2.0 | 7.33 | 1.94 |"
    without = pronunciation_table([{key: value for key, value in rows[0].items() if key != "ensemble"}])
    assert without.splitlines()[2].startswith("| ice | 12.00 ± 2.83 | 2.50 |  |  | 1.0 |")
