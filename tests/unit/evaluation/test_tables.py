import json
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.tables import RESULTS_HEADER, read_records, results_table
from tests.fake_runs import fake_run, some_test
from wordseq.config.load import config_to_dict
from wordseq.config.schema import Config
from wordseq.evaluation import records
from wordseq.evaluation.evaluate import Measured, evaluate_texts
from wordseq.evaluation.records import record_of, result_record
from wordseq.evaluation.tables import escape_markdown, examples, markdown_table, terminal_table
from wordseq.runs.folder import BEST, METRICS_FILE, RunFolder
from wordseq.system.errors import UserError

SECRET = "zebras whistle at midnight"


@pytest.fixture(scope="module")
def result():
    sources = [f"{SECRET} source {i}" for i in range(12)]
    hyps = [f"{SECRET} hypothesis {i}" for i in range(12)]
    refs = [[f"{SECRET} hypothesis {i} today", SECRET] for i in range(12)]
    measured = Measured(
        seconds=1.5,
        src_tokens=200,
        src_unknown=3,
        hyp_tokens=200,
        hyp_unknown=1,
        nats=50.0,
        tgt_tokens=60,
        tgt_chars=300,
        run="runs/phrasebook-gru|x",
        command="wordseq eval runs/phrasebook-gru",
    )
    return evaluate_texts(sources, hyps, refs, measured, bootstrap=50)


@pytest.fixture
def record(result):
    return make_record(result)


def make_record(result, **data):
    config = config_to_dict(Config())
    config["data"].update(data)
    describe = {"parameters": 1234567, "layers": ["encoder"], "step": 900, "weights_sha256": "ab" * 32}
    train = {"minutes": 12.34, "epochs": 7}
    return result_record(result, config=config, describe=describe, train=train)


def cells(line):
    """Cells of a Markdown table row: a pipe with a backslash before it is text."""
    assert line.startswith("| ")
    assert line.endswith(" |")
    return [cell.strip() for cell in re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]]


def table_lines(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def test_terminal_table(result):
    text = terminal_table(result)
    assert re.search(r"^metric  score  95 % interval$", text, re.MULTILINE)
    low, high = result["bleu"]["ci95"]
    assert re.search(rf"^BLEU +{result['bleu']['score']:.1f} +{low:.1f} to {high:.1f}$", text, re.MULTILINE)
    assert f"BLEU: {result['bleu']['signature']}" in text
    assert re.search(r"^source tokens that the vocabulary lacks +1\.50%$", text, re.MULTILINE)
    assert re.search(r"^6-10 +12 +", text, re.MULTILINE)
    assert "\x1b" not in text
    assert SECRET not in text
    assert not re.search(r" $", text, re.MULTILINE)


def test_terminal_columns_line_up(result):
    lines = terminal_table(result).splitlines()
    start = lines.index("metric  score  95 % interval")
    assert {line.index(" to ") - len(line.split()[2]) for line in lines[start + 1 : start + 4]} == {15}


def test_a_run_name_cannot_steer_the_terminal(result):
    text = terminal_table({**result, "run": "runs/\x1b[2Jx\ny"})
    assert "runs/\\x1b[2Jx y" in text
    assert "\x1b" not in text


def test_what_was_not_measured_is_a_dash(result):
    text = terminal_table({**result, "perplexity": None, "bits_per_char": None, "sentences_per_second": None})
    # The fourth is what chose the checkpoint.
    assert len(re.findall(r" –$", text, re.MULTILINE)) == 4


def test_examples(result):
    text = examples(result)
    assert text.count("\nline ") == 2 * 10
    first = result["worst"][0]
    shown = [("source", first["source"]), ("hypothesis", first["hypothesis"])]
    shown += [("reference", reference) for reference in first["references"]]
    block = "\n".join(f"  {label:10}  {words}" for label, words in shown)
    assert f"line {first['line']}, sentence BLEU {first['bleu']:.1f}\n{block}\n" in text


def test_examples_show_text_as_it_is():
    words = "1 | 2 *bold* <b> [x] $ # !"
    example = {"line": 1, "bleu": 0.0, "source": words, "hypothesis": words, "references": [words]}
    assert examples({"task": "sentences", "worst": [example], "random": []}).count(f"  {words}\n") == 3


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        (r"a\|b", r"a\\\|b"),
        ("one\ntwo\r\nthree\u2028four\tfive", "one two three four five"),
        ("bell\x07 escape\x1b[31m nul\x00", r"bell\\x07 escape\\x1b\[31m nul\\x00"),
        ("turn\u202eback", r"turn\\u202eback"),
        ("half\ud800", r"half\\ud800"),
        ("<b>*bold*</b> &amp; `code`", r"\<b\>\*bold\*\</b\> \&amp; \`code\`"),
        ("l’été coûte 3 € ; नमस्\u200dते", "l’été coûte 3 € ; नमस्\u200dते"),
    ],
)
def test_escape_markdown(text, escaped):
    assert escape_markdown(text) == escaped


@given(st.text(alphabet=st.one_of(st.sampled_from("|\\\n\r\t`<\x1b\u202e\u2028"), st.characters())))
def test_no_text_breaks_a_table_or_the_examples(text):
    example = {"line": 1, "bleu": 0.0, "source": text, "hypothesis": text, "references": [text, text]}
    shown = examples({"task": "sentences", "worst": [example], "random": []})
    assert len(shown.splitlines()) == 9
    table = markdown_table(("a", "b"), [[escape_markdown(text)] * 2])
    assert [len(cells(line)) for line in table_lines(table)] == [2] * 3
    table += shown
    assert not set(table.replace("\n", "")) & {*map(chr, range(32)), "\x7f", "\x85", "\u202e", "\u2028", "\u2029"}
    table.encode("utf-8")


def test_results_table(record):
    record["bleu"] = {**record["bleu"], "score": 34.21, "ci95": [33.0, 35.6]}
    worse = json.loads(json.dumps(record))
    worse["experiment"], worse["sentences_per_second"] = "a|b", None
    other = json.loads(json.dumps(record).replace("nrefs:2", "nrefs:1"))
    other["beam_size"] = 5
    text = results_table([record, worse, other])
    rows = [cells(line) for line in table_lines(text)]
    assert rows[0] == list(RESULTS_HEADER)
    assert {len(row) for row in rows} == {len(RESULTS_HEADER)}
    assert rows[2][4] == "34.2 ± 1.3<sup>1</sup>"
    assert rows[2][:3] == ["phrasebook-gru\\|x", "word", "gru"]
    assert [row[3] for row in rows[2:]] == ["–", "–", "5"]
    assert rows[2][7:10] == ["1,234,567", "12.3", "8"]
    assert (rows[3][0], rows[3][9]) == ("a\\|b", "–")
    assert [row[4][-len("<sup>1</sup>") :] for row in rows[2:]] == ["<sup>1</sup>", "<sup>1</sup>", "<sup>2</sup>"]
    notes = [line for line in text.splitlines() if line.startswith("<sup>")]
    assert len(notes) == 2
    assert f"BLEU `{record['bleu']['signature']}`" in notes[0]


def test_results_table_of_nothing():
    assert len(results_table([]).splitlines()) == 2


def test_a_record_holds_scores_and_provenance_but_no_sentence(result, record):
    assert SECRET in json.dumps(result)
    assert SECRET not in json.dumps(record, allow_nan=False)
    for key in ("bleu", "by_length", "length_ratio", "seed", "commit", "command"):
        assert record[key] == result[key]
    assert (record["experiment"], record["level"], record["cell"]) == ("phrasebook-gru|x", "word", "gru")
    assert (record["parameters"], record["step"], record["weights_sha256"]) == (1234567, 900, "ab" * 32)
    assert record["train"] == {"minutes": 12.34, "epochs": 7}
    assert record["settings"] == config_to_dict(Config())
    assert record["machine"] == records.machine()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record["date"])


def test_a_record_has_the_search_of_the_evaluation_not_of_the_settings(result, record):
    assert (record["beam_size"], record["length_penalty"]) == (None, None)
    searched = make_record({**result, "beam_size": 5, "length_penalty": 0.6})
    assert (searched["beam_size"], searched["length_penalty"]) == (5, 0.6)
    assert searched["settings"]["decode"]["beam_size"] == 1


def test_the_minutes_of_a_record_are_those_of_all_the_training_though_the_best_checkpoint_is_older(result, tmp_path):
    run = RunFolder(fake_run(tmp_path / "run", some_test(), None))
    times = [entry["seconds"] for entry in run.metrics()]
    best = {"step": 2, "epoch": 1, "seconds": times[2], "best_score": 20.0}
    run.save(BEST, {"m/a/b": np.zeros(3)}, best)
    train = {"minutes": round(times[-1] / 60, 2), "epochs": 1, "select_by": "bleu", "dev_score": 20.0}
    assert record_of(run, result)["train"] == train
    (run.folder / METRICS_FILE).unlink()
    assert record_of(run, result)["train"] == {**train, "minutes": round(times[2] / 60, 2)}


def test_a_record_names_both_levels_where_they_differ(result):
    assert make_record(result, src_level="char")["level"] == "char to word"
    assert make_record(result, src_level="bpe", tgt_level="bpe")["level"] == "bpe"


def test_records_are_read_in_order(tmp_path, record):
    paths = [tmp_path / "b.json", tmp_path / "a.json"]
    for path in paths:
        path.write_text(json.dumps({**record, "experiment": path.stem}), encoding="utf-8")
    assert [row["experiment"] for row in read_records(paths)] == ["b", "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"{", "damaged: not JSON"),
        (b"\xff", "damaged: not JSON"),
        (b"[1]", "damaged: expected an object, got list"),
        (b"{}", "format is None, but a result of this version has 1"),
        (b'{"format": 2}', "format is 2"),
    ],
)
def test_a_file_that_is_no_record(tmp_path, content, message):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_records([path])
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_importing_pulls_in_no_tensorflow():
    code = (
        "import sys, wordseq.evaluation.tables, wordseq.evaluation.metrics; "
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
