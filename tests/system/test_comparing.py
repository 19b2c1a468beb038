import json

import pytest

from tests.runs import settings, wordseq, write_pairs

# Two trainings, each in a process that starts TensorFlow.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of two tiny runs by the command line, and the words that made it."""
    folder = tmp_path_factory.mktemp("sweep")
    pairs = write_pairs(folder / "pairs.tsv")
    sets = [word for text in settings(pairs) for word in ("--set", text)]
    words = ["sweep", "--folder", folder / "runs", "--levels", "word", "--cells", "gru, lstm", *sets]
    done = wordseq(*words, "--json", "--record", folder / "two.json")
    assert done.returncode == 0, done.stderr
    return folder, words, done


def test_a_sweep_trains_scores_and_compares(swept):
    folder, _, done = swept
    rows = json.loads(done.stdout)["rows"]
    assert [row["name"] for row in rows] == ["pairs-word-gru-1", "pairs-word-lstm-1"]
    for row in rows:
        assert row["parameters"] > 1000
        assert row["peak_memory_mb"] > 50
        assert row["train_tokens_per_second"] > 0
        assert row["bits_per_char"] > 0
    assert rows[1]["bleu"]["p_bootstrap"] is not None
    assert "run 2 of 2" in done.stderr
    assert (folder / "runs" / "pairs-word-gru-1" / "eval" / "test.json").is_file()
    record = json.loads((folder / "two.json").read_text())
    assert [row["values"] for row in record["combinations"]] == [{"model.cell": "gru"}, {"model.cell": "lstm"}]
    assert [row["name"] for row in record["rows"]] == [row["name"] for row in rows]
    assert [row["bleu"] for row in record["rows"]] == [row["bleu"] for row in rows]


def test_the_same_sweep_again_trains_nothing_and_has_a_page_with_attention(swept):
    folder, words, _ = swept
    again = wordseq(*words, "--html", folder / "page.html")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("already finished") == 2
    assert "Scores with 95 % intervals\n" in again.stdout
    page = (folder / "page.html").read_text(encoding="utf-8")
    # Three sentences, two runs.
    assert page.count('aria-label="Attention of ') == 6


def test_a_run_without_scores_is_scored_first(swept):
    folder, _, done = swept
    run = folder / "runs" / "pairs-word-gru-1"
    (run / "eval" / "test.json").unlink()
    found = wordseq("compare", run, run, "--json")
    assert found.returncode == 0, found.stderr
    assert f"scoring {run}" in found.stderr
    before, after = json.loads(done.stdout)["rows"][0], json.loads(found.stdout)["rows"][0]
    assert after["bleu"]["score"] == before["bleu"]["score"]
    assert wordseq("compare", run, folder / "none").stderr.startswith("wordseq: error: ")
