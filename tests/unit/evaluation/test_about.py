import json

import pytest

from tests.fake_runs import fake_run, some_test, with_errors
from wordseq.evaluation.about import about_run, display_name, language_names, run_languages
from wordseq.runs.folder import RunFolder
from wordseq.system.errors import UserError


def test_names_of_languages():
    names = language_names()
    assert [display_name(code, names) for code in ("fr", "pt-BR", "xx")] == ["French", "Portuguese (BR)", "xx"]


@pytest.mark.parametrize(
    ("settings", "languages"),
    [
        (["data.corpus=phrasebook"], ("en", "fr")),
        (["data.corpus=tatoeba-spa-eng", "data.swap=true"], ("es", "en")),
        (["data.corpus=multi30k-tok-de-en"], ("de", "en")),
        (["data.corpus=tatoeba-xyz-eng"], ("en", "xyz")),
        (["data.corpus=phrasebook", "data.src_lang=it", "data.tgt_lang=pt", "data.swap=true"], ("pt", "it")),
        (["data.corpus=dates"], ("src", "tgt")),
        (["data.train=mine.tsv"], ("src", "tgt")),
    ],
)
def test_languages_are_those_of_the_settings_or_of_the_corpus(settings, languages, tmp_path):
    assert run_languages(RunFolder(fake_run(tmp_path / "run", some_test(2), None, *settings))) == languages


def test_a_page_shows_the_scores_of_the_served_checkpoint_only(tmp_path):
    test = some_test(6)
    run = RunFolder(fake_run(tmp_path / "mine", test, with_errors(test, 0.2)))
    about = about_run(run)
    assert (about["name"], about["parameters"], about["attends"]) == ("mine", 15, True)
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
