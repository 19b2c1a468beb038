import json

import pytest

from tests.fake_runs import fake_run, some_test, with_errors
from wordseq.evaluation.about import about_run, display_name, language_names
from wordseq.runs.folder import RunFolder
from wordseq.system.errors import UserError


def test_names_of_languages():
    names = language_names()
    assert [display_name(code, names) for code in ("fr", "pt-BR", "xx")] == ["French", "Portuguese (BR)", "xx"]


def test_a_page_shows_the_scores_of_the_served_checkpoint_only(tmp_path):
    test = some_test(6)
    run = RunFolder(fake_run(tmp_path / "mine", test, with_errors(test, 0.2)))
    about = about_run(run)
    assert (about["name"], about["parameters"]) == ("mine", 15)
    saved = json.loads((tmp_path / "mine" / "eval" / "test.json").read_text())
    assert about["scores"]["sentences"] == 6
    assert about["scores"]["metrics"][0]["score"] == saved["bleu"]["score"]
    saved["checkpoint"] = "of another"
    (tmp_path / "mine" / "eval" / "test.json").write_text(json.dumps(saved))
    assert about_run(run)["scores"] is None
    del saved["bleu"]
    saved["checkpoint"] = run.header("best").sha256
    (tmp_path / "mine" / "eval" / "test.json").write_text(json.dumps(saved))
    with pytest.raises(UserError, match="damaged"):
        about_run(run)
