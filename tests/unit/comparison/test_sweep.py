import json
import sys

import pytest

from tests.fake_runs import decided, fake_run, some_test, write_checkpoint, write_decided
from wordseq.comparison import sweep as module
from wordseq.comparison.sweep import Interrupted, Watch, plan_sweep, sweep
from wordseq.config.fields import AUTO
from wordseq.config.load import load_config, to_toml
from wordseq.runs.find import data_name, is_finished
from wordseq.runs.folder import RunFolder
from wordseq.system.errors import UserError

GRID = {"levels": ["char", "word"], "cells": ["gru"], "seeds": 2, "settings": ["data.min_freq=1", "model.dropout=0.1"]}


def planned(folder, **changes):
    return plan_sweep(None, folder, "data", **(GRID | changes))


def pretend(cell, finished="done", **log):
    """What a training would leave in the run's folder."""
    cell.folder.mkdir(parents=True)
    (cell.folder / "config.toml").write_text(to_toml(decided(cell.config)), encoding="utf-8")
    write_decided(cell.folder, cell.config)
    entry = {"kind": "dev", "step": 10, "epoch": 2, "bleu": 1.0, "seconds": 60.0} | log
    (cell.folder / "metrics.jsonl").write_text(json.dumps(entry) + "\n", encoding="utf-8")
    for name in ("best", "last"):
        write_checkpoint(cell.folder / f"{name}.safetensors", {"step": 10, "finished": finished})


def trainings(monkeypatch, code):
    """Children that run Python `code` instead of a training; the folder is their argument."""
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "_command", lambda cell, *_: [sys.executable, "-c", code, str(cell.folder)])


def test_every_level_with_every_cell_and_seed(tmp_path):
    found = planned(tmp_path, cells=["gru", "lstm"])
    assert [cell.folder.name for cell in found][:3] == ["data-char-gru-1", "data-char-gru-2", "data-char-lstm-1"]
    assert len(found) == 8
    for cell in found:
        values = (cell.config.data.level, cell.config.model.cell, str(cell.config.train.seed))
        assert cell.folder.name == "-".join(("data", *values))
        assert cell.config.model.dropout == 0.1
        assert load_config(None, cell.settings) == cell.config


def test_without_levels_and_cells_those_of_the_settings_are_taken(tmp_path):
    (cell,) = planned(tmp_path, levels=[], cells=[], seeds=1, settings=["model.cell=rnn", "train.seed=7"])
    assert cell.folder.name == "data-word-rnn-7"


def test_wrong_and_repeated_names_are_errors(tmp_path):
    with pytest.raises(UserError, match=r"model\.cell = 'lstn'; choose from"):
        planned(tmp_path, cells=["lstn"])
    with pytest.raises(UserError, match="given twice"):
        planned(tmp_path, cells=["gru", "gru"])


def test_any_setting_can_be_varied(tmp_path):
    found = planned(tmp_path, levels=[], seeds=1, vary=["model.attention=none, dot", "train.teacher_forcing=1.0,0.5"])
    assert [cell.folder.name for cell in found] == [
        f"data-word-gru-{attention}-{share}-1" for attention in ("none", "dot") for share in ("1.0", "0.5")
    ]
    assert [(cell.config.model.attention, cell.config.train.teacher_forcing) for cell in found] == [
        ("none", 1.0), ("none", 0.5), ("dot", 1.0), ("dot", 0.5)
    ]  # fmt: skip
    for cell in found:
        assert load_config(None, cell.settings) == cell.config


def test_levels_and_cells_are_short_for_varying_them(tmp_path):
    long = planned(tmp_path, levels=[], cells=[], vary=["model.cell=gru", "data.level=char,word"])
    assert [(cell.folder, cell.config) for cell in long] == [(cell.folder, cell.config) for cell in planned(tmp_path)]


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ("model.attention", "expected section.key=VALUE"),
        ("model.attention=", "expected section.key=VALUE"),
        ("train.seed=1,2", "use --seeds N to vary the seed"),
        ("model.cell=lstm,rnn", "model.cell is already varied"),
        ("model.atention=dot", "did you mean 'model.attention'"),
        ("model.attention=dot,dots", "model.attention = 'dots'; choose from"),
        ("train.teacher_forcing=1,1.0", "given twice"),
    ],
)
def test_what_cannot_be_varied_is_an_error(tmp_path, vary, message):
    with pytest.raises(UserError, match=message):
        planned(tmp_path, vary=[vary])


def test_a_value_with_slashes_names_one_folder(tmp_path):
    (cell,) = planned(tmp_path, levels=[], seeds=1, vary=["data.path=texts/pairs.tsv"])
    assert cell.folder == tmp_path / "data-word-gru-texts_pairs.tsv-1"


def test_the_name_of_the_data(tmp_path):
    assert data_name(load_config(None, ["data.corpus=copy"]).data) == "copy"
    assert data_name(load_config(None, [f"data.path={tmp_path}/my.pairs.tsv"]).data) == "my"


def test_a_run_with_other_settings_is_left_alone(tmp_path):
    first = planned(tmp_path)
    pretend(first[0])
    assert planned(tmp_path) == first
    assert planned(tmp_path, settings=["model.dropout=0.2"])[0].folder.name == "data-char-gru-1-2"


def test_a_finished_run_is_used_under_any_name(tmp_path):
    first = planned(tmp_path)[0]
    pretend(first, finished="")
    other = first.folder.rename(tmp_path / "mine")
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "config.toml").write_text("no settings", encoding="utf-8")
    assert planned(tmp_path)[0] == first
    write_checkpoint(other / "last.safetensors", {"step": 10, "finished": "done"})
    (same,) = planned(tmp_path, levels=[], cells=[], seeds=1, vary=["model.cell=gru", "data.level=char"])
    assert same.folder == planned(tmp_path)[0].folder == other
    assert planned(tmp_path)[1].folder != other


def test_a_run_with_a_damaged_checkpoint_is_not_finished(tmp_path):
    cell = planned(tmp_path)[0]
    pretend(cell)
    assert is_finished(cell.folder)
    (cell.folder / "last.safetensors").write_bytes(b"damaged")
    assert not is_finished(cell.folder)


def test_a_setting_resolved_by_the_machine_is_the_same_setting(tmp_path):
    (cell, *_) = planned(tmp_path)
    pretend(cell)
    text = (cell.folder / "config.toml").read_text().replace('precision = "auto"', 'precision = "bfloat16"')
    (cell.folder / "config.toml").write_text(text.replace("shards = 0", "shards = 2"))
    assert load_config(cell.folder / "config.toml").train.shards == 2
    assert planned(tmp_path)[0].folder == cell.folder
    wanted = planned(tmp_path, settings=[*GRID["settings"], "train.precision=float32"])
    assert wanted[0].folder != cell.folder


def test_a_setting_that_the_data_decided_is_the_same_setting_and_so_is_its_value_but_not_one_that_was_given(tmp_path):
    (cell, *_) = planned(tmp_path)
    pretend(cell)
    value = RunFolder(cell.folder).config.model.hidden_size
    for size, same in ((AUTO, True), (value, True), (value + 2, False)):
        found = planned(tmp_path, settings=[*GRID["settings"], f"model.hidden_size={size}"])
        assert (found[0].folder == cell.folder) == same
    (other, *_) = planned(tmp_path, settings=[*GRID["settings"], f"model.hidden_size={value + 2}"])
    pretend(other)
    assert planned(tmp_path)[0].folder == cell.folder
    (cell.folder / "data.json").write_text('{"decided": []}')
    assert planned(tmp_path)[0].folder not in (cell.folder, other.folder)


def test_finished_runs_are_not_trained_again_and_others_are(tmp_path, monkeypatch):
    cells, said = planned(tmp_path), []
    pretend(cells[1])
    pretend(cells[2], finished="")
    assert [is_finished(cell.folder) for cell in cells] == [False, True, False, False]
    trainings(monkeypatch, "import sys, pathlib; pathlib.Path(sys.argv[1]).mkdir(exist_ok=True); print('trained')")
    assert sweep(cells, None, None, said.append) == cells
    assert [cell.log.exists() for cell in cells] == [True, False, True, True]
    assert f"run 2 of 4, {cells[1].folder}: already finished" in said


def test_a_crash_is_reported_and_the_sweep_continues(tmp_path, monkeypatch):
    cells, said = planned(tmp_path), []
    code = "import sys, pathlib; 'char-gru-2' in sys.argv[1] and sys.exit('out of luck'); pathlib.Path(sys.argv[1]).mkdir()"
    trainings(monkeypatch, code)
    assert sweep(cells, None, None, said.append) == [cells[0], *cells[2:]]
    text = "\n".join(said)
    assert f"{cells[1].folder}: failed with exit code 1" in text
    assert "    out of luck" in text


def test_ctrl_c_stops_the_sweep(tmp_path, monkeypatch):
    cells = planned(tmp_path)
    trainings(monkeypatch, "import sys; sys.exit(130)")
    with pytest.raises(Interrupted):
        sweep(cells, None, None, lambda line: None)
    assert [cell.log.exists() for cell in cells] == [True, False, False, False]


def test_the_time_left_is_that_of_this_run_and_of_waiting_runs(tmp_path):
    cells = planned(tmp_path, settings=["train.max_epochs=10"])
    pretend(cells[0], finished="done", epoch=10, seconds=200.0)
    assert Watch(cells, 1).seconds_left() is None
    pretend(cells[1], finished="", epoch=4, seconds=100.0)
    # 250 seconds in all; both word runs wait and are taken to be like the slowest so far.
    assert Watch(cells, 1).seconds_left() == pytest.approx(150 + 250 + 250)
    pretend(cells[2], finished="", epoch=5, seconds=30.0)
    assert Watch(cells, 1).seconds_left() == pytest.approx(150 + 30 + 60)


def test_a_validation_within_an_epoch_is_taken_to_be_in_its_middle(tmp_path):
    cells = planned(tmp_path, settings=["train.max_epochs=10", "train.validate_steps=5"])
    pretend(cells[0], finished="", epoch=3, seconds=50.0)
    assert Watch(cells, 0).seconds_left() == pytest.approx(150 + 3 * 200)


def test_news_are_validations_since_the_last_call(tmp_path):
    cells = planned(tmp_path)
    pretend(cells[0], finished="")
    watch = Watch(cells, 0)
    assert watch.news() == ""
    with (cells[0].folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "dev", "step": 20, "epoch": 3, "bleu": 12.345, "seconds": 90.0}) + "\n")
    assert watch.news() == "epoch 3, dev BLEU 12.35"
    assert watch.news() == ""


def test_after_a_long_silence_the_last_update_is_news(tmp_path, monkeypatch):
    cells = planned(tmp_path)
    pretend(cells[0], finished="", kind="train", step=1234)
    watch = Watch(cells, 0)
    assert watch.news() == ""
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    assert watch.news() == "epoch 2, update 1,234"


def test_a_limit_of_time_is_known_from_the_beginning(tmp_path):
    cells = planned(tmp_path, settings=["train.max_minutes=2"])
    assert Watch(cells, 0).seconds_left() == pytest.approx(4 * 120)
    pretend(cells[0], finished="", epoch=1, seconds=30.0)
    assert Watch(cells, 0).seconds_left() == pytest.approx(90 + 3 * 120)


def test_a_run_is_finished_if_its_checkpoint_is(tmp_path):
    assert is_finished(fake_run(tmp_path / "run", some_test(10), None))
    assert not is_finished(tmp_path)
