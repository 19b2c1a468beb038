import json
import statistics

import pytest

from experiments.tables import combinations_table
from tests.fake_runs import fake_run, few_draws, some_test, with_errors
from wordseq.cli.main import main
from wordseq.comparison.compare import compare_runs
from wordseq.comparison.record import FIGURES, comparison_record
from wordseq.comparison.scored_runs import read_run


@pytest.fixture(scope="module", autouse=True)
def _few_draws():
    with few_draws():
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two cells, two seeds of each."""
    base, test = tmp_path_factory.mktemp("runs"), some_test()
    return [
        fake_run(
            base / f"{cell}-{seed}",
            test,
            with_errors(test, 0.1 * k + 0.05 * seed, seed),
            f"model.cell={cell}",
            f"train.seed={seed}",
        )
        for k, cell in enumerate(("gru", "sru"))
        for seed in (2, 1)
    ]


@pytest.fixture(scope="module")
def record(folders):
    runs = [read_run(folder) for folder in folders]
    return comparison_record(runs, compare_runs(runs, command="wordseq compare ..."), "cells")


def test_a_combination_is_the_mean_of_its_seeds(record):
    assert record["varied"] == ["model.cell"]
    for k, row in enumerate(record["combinations"]):
        members = record["rows"][2 * k : 2 * k + 2]
        assert row["values"] == {"model.cell": members[0]["cell"]}
        assert row["seeds"] == [1, 2]
        assert row["runs"] == [member["name"] for member in reversed(members)]
        scores = [member["bleu"]["score"] for member in members]
        assert len(set(scores)) == 2
        assert row["bleu"]["mean"] == pytest.approx(statistics.mean(scores))
        assert row["bleu"]["deviation"] == pytest.approx(statistics.stdev(scores))
        low, high = (statistics.mean(member["bleu"]["ci95"][side] for member in members) for side in (0, 1))
        assert row["bleu"]["ci95"] == pytest.approx([low, high])
        for key in FIGURES:
            found = [member[key] for member in members]
            expected = None if None in found else statistics.mean(found)
            assert row[key]["mean"] == expected


def test_the_record_has_its_provenance_and_no_sentence(record, folders):
    assert record["command"] == "wordseq compare ..."
    assert record["commit"]
    assert record["machine"]["cores"]
    assert record["settings"]["model"]["cell"] == "gru"
    text = json.dumps(record)
    assert json.loads(text) == record
    for line in (folders[0] / "eval" / "test.hyp").read_text().splitlines():
        if len(line) > 12:
            assert line not in text


def test_the_table_has_one_row_per_combination(record):
    table, _, notes = combinations_table(record).partition("\n\n")
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert header[:4] == ["Cell", "BLEU", "BLEU by seed", "95 % interval, sentences"]
    assert header[5] == "Training tokens/s"
    assert [row[0] for row in rows] == ["gru", "sru"]
    bleu = record["combinations"][1]["bleu"]
    assert rows[1][1] == f"{bleu['mean']:.1f} ± {bleu['deviation']:.1f}"
    second, first = (member["bleu"]["score"] for member in record["rows"][2:])
    assert rows[1][2] == f"{first:.1f}, {second:.1f}"
    assert rows[1][4] == "15"
    assert "over 2 seeds" in notes
    assert "`wordseq compare ...`" in notes


def test_levels_are_compared_by_characters_and_one_seed_has_no_deviation(tmp_path):
    test, same = some_test(), ("model.embed_dim=64", "model.embed_scale=1")
    runs = [
        read_run(fake_run(tmp_path / level, test, with_errors(test, 0.1), f"data.level={level}", *same))
        for level in ("word", "char")
    ]
    record = comparison_record(runs, compare_runs(runs), "levels")
    table = combinations_table(record)
    assert record["combinations"][0]["bleu"]["deviation"] is None
    assert (
        "| Level | BLEU | 95 % interval, sentences | chrF2 | TER | Bits/char | Parameters | Training characters/s |"
        in table
    )
    (row,) = (line for line in table.splitlines() if line.startswith("| word |"))
    found = record["rows"][0]
    assert f"| {found['chrf']['score']:.1f} | {found['ter']['score']:.1f} | {found['bits_per_char']:.3f} | 15 |" in row
    assert "±" not in table


def test_bleu_with_unk_as_one_token_is_shown_if_there_is_unk(record):
    rows = [{**row, "bleu_whole_unk": row["bleu"]["score"] + k % 2} for k, row in enumerate(record["rows"])]
    combinations = [{**row, "bleu_whole_unk": {"mean": 77.7, "deviation": 0.5}} for row in record["combinations"]]
    table = combinations_table({**record, "rows": rows, "combinations": combinations})
    assert r"| 95 % interval, sentences | BLEU, \<unk\> as one token | Parameters |" in table
    assert table.count("| 77.7 ± 0.5 |") == 2
    assert "unk" not in combinations_table(record)


def test_the_table_names_the_machines_if_all_runs_have_them(record):
    machine = record["machine"]
    here = f"{machine['cpu']}, {machine['cores']} cores"
    first, *others = record["rows"]
    for places, shown in (
        (["Z80, 1 core"] * 4, "Trained on Z80, 1 core by wordseq 2, compared by wordseq"),
        (
            ["Z80, 1 core", "6502", "Z80, 1 core", "Z80, 1 core"],
            "Trained on Z80, 1 core and 6502 by wordseq 2, compared",
        ),
        (["Z80, 1 core", None, None, None], f"Compared on {here}, by wordseq"),
    ):
        rows = [
            {**row, "machine": place, "trained_by": "2"} for row, place in zip([first, *others], places, strict=True)
        ]
        assert shown in combinations_table({**record, "rows": rows}).replace("\\", "")
    assert " by wordseq 2" not in combinations_table({**record, "rows": [*rows[1:], {**first, "trained_by": None}]})


def test_the_command_writes_the_record(folders, tmp_path, capsys):
    target = tmp_path / "cells.json"
    assert main(["compare", *map(str, folders), "--record", str(target)]) == 0
    found = json.loads(target.read_text())
    assert found["experiment"] == "cells"
    assert found["command"] == f"wordseq compare {' '.join(folder.name for folder in folders)} --record cells.json"
    assert str(tmp_path.parent) not in target.read_text()
    capsys.readouterr()
    for command in (["compare", str(folders[0])], ["sweep"]):
        assert main([*command, "--record", str(tmp_path / "none" / "cells.json")]) == 2
        assert f"no folder {tmp_path / 'none'}" in capsys.readouterr().err
