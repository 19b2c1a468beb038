import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys

import pytest

from tests.fake_runs import fake_run, few_draws, score, some_test, with_errors, write_checkpoint
from tests.runs import environment
from wordseq.cli.main import main
from wordseq.comparison.compare import compare_runs, run_names, train_speed
from wordseq.comparison.record import comparison_record
from wordseq.comparison.scored_runs import check_same_test, is_scored, read_run, scored_runs
from wordseq.comparison.tables import (
    ABOUT_UNK,
    WHOLE_UNK,
    comparison_markdown,
    comparison_notes,
    comparison_tables,
    comparison_text,
)
from wordseq.config.load import load_config
from wordseq.data.splits import HeldOut
from wordseq.evaluation.metrics import significance
from wordseq.evaluation.metrics.names import metrics_of
from wordseq.evaluation.metrics.references import rectangular
from wordseq.evaluation.metrics.significance import PAIRED_DRAWS
from wordseq.evaluation.tables import NOTHING
from wordseq.runs.combine import open_run
from wordseq.runs.folder import BEST
from wordseq.system.errors import UserError

# Importing sacreBLEU's command line lets SIGPIPE end the process: a later test that writes to a child that has ended would.
_SIGPIPE = signal.getsignal(signal.SIGPIPE)
from sacrebleu.sacrebleu import parse_args  # noqa: E402

signal.signal(signal.SIGPIPE, _SIGPIPE)

SACREBLEU_NAMES = {"bleu": "BLEU", "chrf": "chrF2", "ter": "TER"}


def sacrebleu(runs, *options):
    """What sacreBLEU's own command line prints for the files of runs."""
    refs = sorted(map(str, (runs[0] / "eval").glob("test.ref*")))
    hyps = [str(run / "eval" / "test.hyp") for run in runs]
    words = [sys.executable, "-m", "sacrebleu", *refs, "-i", *hyps, "-m", "bleu", "chrf", "ter", *options]
    env = {key: value for key, value in environment().items() if key != "SACREBLEU_SEED"}
    return subprocess.run(
        words, capture_output=True, text=True, encoding="utf-8", timeout=300, check=True, env=env
    ).stdout


def never(folder):
    raise AssertionError(f"{folder} is scored already")


@pytest.fixture(scope="module")
def held_out():
    return some_test()


@pytest.fixture(scope="module")
def folders(tmp_path_factory, held_out):
    """Three runs: the second a little worse than the first, the third much."""
    base = tmp_path_factory.mktemp("runs")
    errors = {"good": 0.1, "near": 0.13, "bad": 0.7}
    return [
        fake_run(base / name, held_out, with_errors(held_out, share, k))
        for k, (name, share) in enumerate(errors.items())
    ]


@pytest.fixture(name="few_draws")
def _few_draws():
    with few_draws():
        yield


@pytest.fixture(scope="module")
def result(folders):
    """With fewer trials of randomisation than usual, which takes the longest."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(significance, "PAIRED_DRAWS", {**PAIRED_DRAWS, "ar": 1_000})
        return compare_runs(scored_runs(folders, never), command="wordseq compare ...")


# --- sacreBLEU


def test_scores_and_intervals_are_those_of_sacrebleus_command_line(folders, result):
    for folder, row in list(zip(folders, result["rows"], strict=True))[1:]:
        for theirs in json.loads(sacrebleu([folder], "--confidence", "-f", "json", "-w", "9")):
            ours = next(row[key] for key, name in SACREBLEU_NAMES.items() if name == theirs["name"])
            assert ours["score"] == pytest.approx(theirs["score"], abs=1e-8)
            assert ours["mean"] == pytest.approx(theirs["confidence_mean"], abs=1e-8)
            assert ours["half_width"] == pytest.approx(theirs["confidence_var"], abs=1e-8)
            assert ours["signature"] == theirs["signature"]
    uncut = result["rows"][2]["bleu"]
    assert uncut["ci95"] == pytest.approx([uncut["mean"] - uncut["half_width"], uncut["mean"] + uncut["half_width"]])


@pytest.mark.parametrize(
    ("settings", "tokenize", "noted"),
    [
        (("eval.tokenize=auto", "eval.tokenize=13a"), "13a", []),
        (("eval.tokenize=char", "eval.tokenize=char"), "char", []),
        (("eval.tokenize=13a", "eval.tokenize=char"), "13a", ["two"]),
        (("eval.tokenize=char", "data.pretokenized=true"), "13a", ["one", "two"]),
    ],
)
def test_all_runs_are_scored_with_one_tokenizer(settings, tokenize, noted, held_out, tmp_path):
    """That of all of them; where they differ, the one for the references, and a warning names each run with another."""
    folders = [
        fake_run(tmp_path / name, held_out, with_errors(held_out, 0.2), setting)
        for name, setting in zip(("one", "two"), settings, strict=True)
    ]
    with few_draws():
        result = compare_runs([read_run(folder) for folder in folders])
    signatures = [*(row["bleu"]["signature"] for row in result["rows"]), result["paired_signatures"][0]]
    assert all(f"|tok:{tokenize}|" in signature for signature in signatures)
    assert [warning.split()[0] for warning in result["warnings"]] == noted


def test_p_of_few_sentences_is_doubted(result, tmp_path):
    few = some_test(5)
    folders = [fake_run(tmp_path / name, few, with_errors(few, share)) for name, share in (("one", 0.1), ("two", 0.9))]
    with few_draws():
        found = compare_runs([read_run(folder) for folder in folders])
    assert [note for note in comparison_notes(found) if "p of fewer than 30 sentences" in note]
    assert not [note for note in comparison_notes(result) if "p of fewer than" in note]


def test_there_are_as_many_draws_as_in_sacrebleus_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["sacrebleu", "ref"])
    options = parse_args()
    assert {"bs": options.paired_bs_n, "ar": options.paired_ar_n} == PAIRED_DRAWS


def test_randomisation_is_that_of_sacrebleus_command_line(folders, result):
    found = json.loads(sacrebleu(folders, "--paired-ar", "--paired-ar-n", "1000", "-f", "json"))
    for theirs, row in zip(found, result["rows"], strict=True):
        for key, name in SACREBLEU_NAMES.items():
            assert row[key]["score"] == theirs[name]["score"]
            assert row[key]["p_randomisation"] == theirs[name]["p_value"]


def test_bootstrap_is_that_of_sacrebleus_command_line(folders, result):
    # Its JSON fails here: "float32 is not JSON serializable".
    found = re.findall(r"\(p = ([\d.]+)\)", sacrebleu(folders, "--paired-bs", "-f", "text"))
    ours = [row[key]["p_bootstrap"] for row in result["rows"][1:] for key in SACREBLEU_NAMES]
    assert [f"{p:.4f}" for p in ours] == found


def test_a_much_worse_run_differs_and_a_slightly_worse_one_does_not(result):
    good, near, bad = result["rows"]
    assert good["bleu"]["p_bootstrap"] is None
    assert good["bleu"]["difference"] is None
    for key in SACREBLEU_NAMES:
        assert max(bad[key]["p_bootstrap"], bad[key]["p_randomisation"]) < 0.01
        assert min(near[key]["p_bootstrap"], near[key]["p_randomisation"]) > 0.05
        assert bad[key]["difference"] == bad[key]["score"] - good[key]["score"]


@pytest.mark.usefixtures("few_draws")
def test_two_copies_of_a_run_are_equal_where_sacrebleu_calls_them_different(folders):
    result = compare_runs([read_run(folders[0])] * 2)
    for key in SACREBLEU_NAMES:
        row = result["rows"][1][key]
        assert (row["difference"], row["p_bootstrap"], row["p_randomisation"]) == (0, 1, 1)
    copy = folders[0].parent / "copy"
    copy.mkdir(exist_ok=True)
    (copy / "eval").mkdir(exist_ok=True)
    (copy / "eval" / "test.hyp").write_bytes((folders[0] / "eval" / "test.hyp").read_bytes())
    theirs = json.loads(sacrebleu([folders[0], copy], "--paired-ar", "--paired-ar-n", "2000", "-f", "json"))
    assert theirs[1]["BLEU"]["p_value"] < 0.001


@pytest.mark.usefixtures("few_draws")
def test_few_differing_sentences_are_pointed_out(folders, held_out, tmp_path):
    hyps = read_run(folders[0]).hyps
    changed = ["boat boat", *hyps[1:3], "a a a a", *hyps[4:]]
    almost = fake_run(tmp_path / "almost", held_out, changed)
    third = fake_run(tmp_path / "third", held_out, [*changed[:5], "b b b b", *changed[6:]])
    found = compare_runs([read_run(folder) for folder in (folders[0], almost, third)])
    # From the first run, not from the one before.
    assert [row["different"] for row in found["rows"]] == [0, 2, 3]
    assert "differs from good in only 2 sentences" in comparison_markdown(found)
    assert "an exact test gives at least 0.500" in comparison_markdown(found)


def test_reference_files_have_one_line_per_sentence():
    assert rectangular([["a"], ["b", "c"], ["d", "e", "f"]]) == [["a"] * 3, ["b", "c", "b"], ["d", "e", "f"]]


# --- which runs can be compared


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda test: HeldOut(test.sources[:-1], test.references[:-1]), "line 40, which only one of them has"),
        (
            lambda test: HeldOut(["X", *test.sources[1:]], test.references),
            "the first source that differs: line 1, '.*' and 'X'",
        ),
        (
            lambda test: HeldOut(test.sources, [*test.references[:7], ["other"], *test.references[8:]]),
            r"the first references that differ: line 8, \[.* and \['other'\]",
        ),
    ],
)
def test_runs_with_other_test_sets_are_refused(folders, held_out, tmp_path, change, message):
    other = fake_run(tmp_path / "other", change(held_out), None)
    with pytest.raises(UserError, match=message) as caught:
        check_same_test([folders[0], folders[1], other])
    for part in (f"{folders[0]} has 40 sentences", f"{other} has {len(change(held_out).sources)} sentences", "sha256"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: folder / "none", "none: no such run folder"),
        (lambda folder: folder, r"not a run folder: it has no config\.toml"),
    ],
)
def test_a_folder_without_a_run_is_refused(tmp_path, prepare, message):
    with pytest.raises(UserError, match=message):
        check_same_test([prepare(tmp_path)])


def test_a_run_is_scored_when_its_scores_are_missing_old_or_of_other_data(held_out, tmp_path):
    hyps = with_errors(held_out, 0.1)
    folder = fake_run(tmp_path / "run", held_out, None)
    calls = []

    def evaluate(path):
        calls.append(path)
        score(path, load_config(None, []), held_out, hyps)

    scored_runs([folder, folder], evaluate)
    assert calls == [folder]
    scored_runs([folder], evaluate)
    assert len(calls) == 1
    write_checkpoint(folder / "best.safetensors", {"step": 5})
    assert not is_scored(folder)
    write_checkpoint(folder / "best.safetensors", {"step": 4, "finished": "4 updates done"})
    assert is_scored(folder)
    for name in ("test.ref0", "test.src", "test.hyp"):
        kept = (folder / "eval" / name).read_text()
        (folder / "eval" / name).write_text(kept.partition("\n")[2])
        assert not is_scored(folder)
        (folder / "eval" / name).write_text(kept)
    (folder / "eval" / "test.ref2").write_text("one more\n")
    assert not is_scored(folder)


def test_a_copied_run_is_scored_whatever_the_times_of_its_files(folders, tmp_path):
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    os.utime(copy / "best.safetensors", (2e9, 2e9))
    assert is_scored(copy)


def test_scores_without_a_checkpoint_are_computed_again(folders, tmp_path):
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    change_json(copy / "eval" / "test.json", checkpoint=None)
    assert not is_scored(copy)


def test_a_damaged_best_is_not_scored(folders, tmp_path):
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    (copy / "best.safetensors").write_bytes(b"damaged")
    assert not is_scored(copy)
    with pytest.raises(UserError, match=r"best\.safetensors: damaged checkpoint"):
        read_run(copy)


def change_json(path, **changes):
    """Another value, or none for None."""
    found = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))


@pytest.mark.parametrize(
    "found", ["[]", "{", '{"format": 1}', '{"bits_per_char": "<b>"}', pytest.param("[" * 100_000, id="deep")]
)
def test_a_damaged_evaluation_is_repeated(folders, tmp_path, found):
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    (copy / "eval" / "test.json").write_text(found)
    assert not is_scored(copy)
    with pytest.raises(UserError, match=r"test\.json: damaged"):
        read_run(copy)


@pytest.mark.parametrize("value", [True, "5", [1]])
def test_a_figure_that_is_no_number_is_named(folders, tmp_path, value):
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    change_json(copy / "eval" / "test.json", perplexity=value)
    assert not is_scored(copy)
    with pytest.raises(UserError, match=r"perplexity is .* expected a number or null"):
        read_run(copy)


@pytest.mark.parametrize("test", [{"sources": 5, "references": []}, {"sources": ["a"], "references": [[]]}, []])
def test_a_damaged_test_split_is_named(folders, tmp_path, test):
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    (copy / "held_out.json").write_text(json.dumps({"test": test}))
    with pytest.raises(UserError, match=r"held_out\.json: damaged: it has no valid test split"):
        check_same_test([copy, folders[0]])


def test_damaged_lines_of_the_log_are_skipped(folders, tmp_path):
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    log = (copy / "metrics.jsonl").read_text()
    (copy / "metrics.jsonl").write_text(f'{log}{{"kind": "dev", "step": 5, "seconds": "x"}}\n{{"step": "6"}}\n[7]\n')
    assert read_run(copy).log == read_run(folders[0]).log


@pytest.mark.parametrize("kind", ["train", "dev"])
@pytest.mark.parametrize("key", ["loss", "tokens", "bleu", "seconds"])
def test_incomplete_entries_of_the_log_are_skipped(folders, tmp_path, kind, key):
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    entry = {"kind": kind, "step": 5, "epoch": 2, "loss": 1.0, "tokens": 900, "bleu": 40.0, "seconds": 31.0}
    del entry[key]
    (copy / "metrics.jsonl").write_text(f"{(copy / 'metrics.jsonl').read_text()}{json.dumps(entry)}\n")
    found = read_run(copy).log
    needed = {"train": ("loss", "tokens"), "dev": ("loss", "bleu", "seconds")}[kind]
    assert found == [*read_run(folders[0]).log, *([] if key in needed else [entry])]


@pytest.mark.usefixtures("few_draws")
def test_runs_of_different_machines_that_differ_only_in_seed_are_seeds(held_out, tmp_path):
    settings = (
        ("train.seed=1", "train.shards=1"),
        ("train.seed=2", "train.shards=2"),
        ("train.seed=1", "train.shards=2"),
    )
    runs = [
        read_run(fake_run(tmp_path / str(k), held_out, with_errors(held_out, 0.2, k), *given))
        for k, given in enumerate(settings)
    ]
    result = compare_runs(runs)
    assert [group["seeds"] for group in result["seeds"]] == [[1, 2]]
    assert [row["seed_only"] for row in result["rows"]] == [False, True, False]
    record = comparison_record(runs, result, "x")
    assert record["varied"] == []
    assert len(record["combinations"]) == 1


@pytest.mark.usefixtures("few_draws")
def test_an_ensemble_is_compared_by_its_folder_has_the_cost_of_its_runs_and_is_no_seed(held_out, tmp_path):
    folders = [fake_run(tmp_path / str(k), held_out, with_errors(held_out, 0.2, k), f"train.seed={k}") for k in (1, 2)]
    for folder in folders:
        write_checkpoint(folder / "best.safetensors", {"step": 4, "epoch": 1, "seconds": 9.0, "best_score": 1.0})
    both = tmp_path / "both"
    open_run(*folders).write_to(both)
    assert not is_scored(both)
    score(both, load_config(None), held_out, with_errors(held_out, 0.1), of=open_run(both).header(BEST).sha256)
    assert is_scored(both)
    runs = [*map(read_run, folders), read_run(both)]
    result = compare_runs(runs)
    note = "ensemble of 2 runs: 1, 2; mean of probabilities"
    assert f"both: {note}" in comparison_notes(result)
    first, second, together = result["rows"]
    for key in ("parameters", "train_minutes"):
        assert together[key] == first[key] + second[key]
    assert [row.get("made_of") for row in result["rows"]] == [None, None, note]
    assert [row["seed_only"] for row in result["rows"]] == [False, True, False]
    assert [group["names"] for group in result["seeds"]] == [["1", "2"]]
    record = comparison_record(runs, result, "x")
    assert [combination["runs"] for combination in record["combinations"]] == [["1", "2"], ["both"]]
    assert record["combinations"][1]["made_of"] == note
    # Further training of a run makes the scores old.
    write_checkpoint(folders[1] / "best.safetensors", {"step": 5, "epoch": 1, "seconds": 9.0, "best_score": 1.0})
    assert not is_scored(both)


@pytest.mark.usefixtures("few_draws")
def test_a_run_with_another_search_is_not_a_seed(held_out, tmp_path):
    hyps = [with_errors(held_out, 0.2, k) for k in (1, 2)]
    runs = [fake_run(tmp_path / str(k), held_out, hyps[k], f"train.seed={k}") for k in (0, 1)]
    assert len(compare_runs(list(map(read_run, runs)))["seeds"]) == 1
    change_json(runs[1] / "eval" / "test.json", copy_unknown=False, beam_size=5)
    result = compare_runs(list(map(read_run, runs)))
    assert not result["seeds"]
    assert not result["rows"][1]["seed_only"]
    assert result["settings"]["decode.beam_size"] == [1, 5]
    assert result["settings"]["decode.copy_unknown"] == [True, False]
    (warning,) = result["warnings"]
    assert (
        "1 was scored with decode.beam_size = 5, decode.copy_unknown = false, but 0 with decode.beam_size = 1"
        in warning
    )
    assert warning.endswith(f"type: wordseq eval {runs[1]} --beam 1 --copy-unknown")
    turned = compare_runs(list(map(read_run, runs[::-1])))["warnings"][0]
    assert turned.endswith(f"type: wordseq eval {runs[0]} --beam 5 --keep-unknown")
    assert f"warning: {warning}" in comparison_text(result)
    assert "**Warning:** 1 was scored" in comparison_markdown(result)
    change_json(runs[1] / "eval" / "test.json", beam_size="many")
    with pytest.raises(UserError, match=r"test\.json: decode\.beam_size"):
        read_run(runs[1])
    assert not is_scored(runs[1])


@pytest.mark.usefixtures("few_draws")
def test_an_unknown_word_in_the_output_is_one_wrong_token(tmp_path):
    test = HeldOut(["a b c d e f g h"], [["one two three four five six seven eight"]])
    texts = ["one two three four <unk> six seven eight", "one two three four other six seven eight"]
    rows = compare_runs([read_run(fake_run(tmp_path / str(k), test, [hyp])) for k, hyp in enumerate(texts)])["rows"]
    assert rows[0]["bleu_whole_unk"] == pytest.approx(rows[1]["bleu"]["score"])
    assert rows[1]["bleu_whole_unk"] == pytest.approx(rows[1]["bleu"]["score"])
    assert rows[0]["bleu"]["score"] < rows[1]["bleu"]["score"] - 10
    result = compare_runs([read_run(tmp_path / "0")])
    assert any(WHOLE_UNK in header for _, header, _ in comparison_tables(result))
    assert ABOUT_UNK in comparison_notes(result)
    without = compare_runs([read_run(tmp_path / "1")])
    assert not any(WHOLE_UNK in header for _, header, _ in comparison_tables(without))
    assert ABOUT_UNK not in comparison_notes(without)
    assert not any("--keep-unknown" in note for note in comparison_notes(without))
    for rate, replaced, told in ((0.1, True, True), (0.1, False, False), (0.0, True, False), (0.1, None, False)):
        row = {**without["rows"][0], "unk_rate": rate, "unk_replaced": replaced}
        notes = comparison_notes({**without, "rows": [row, *without["rows"][1:]]})
        assert (
            any(note.startswith(f"{row['name']}: a word of the source stands in the output") for note in notes) is told
        )


def test_a_file_is_no_run(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: a file, expected a run folder"):
        check_same_test([tmp_path / "file"])


# --- figures besides the scores


def test_cost(folders, result, held_out):
    row = result["rows"][0]
    assert row["parameters"] == 15
    assert row["train_minutes"] == 0.5
    assert row["sentences_per_second"] == 20
    assert row["bits_per_char"] == pytest.approx(90 / 0.6931471805599453 / 900)
    assert row["peak_memory_mb"] is None
    run = read_run(folders[0])
    assert row["src_vocab"] == len(run.codecs[0].vocab)
    assert row["tgt_tokens"] == sum(map(len, run.tgt_tokens)) / 40
    assert (row["oov_rate"], row["tgt_oov_rate"]) == (0, 0)
    chars = sum(len(references[0]) for references in held_out.references)
    share = chars / (sum(map(len, run.tgt_tokens)) + 40)
    assert row["train_chars_per_second"] == pytest.approx(row["train_tokens_per_second"] * share)


@pytest.mark.usefixtures("few_draws")
def test_spelled_words_are_counted_in_the_figures_of_tokens(tmp_path):
    test = HeldOut(["a b", "b rare a", "a b b b"], [["c d"], ["d c"], ["odd c c d"]])
    runs = [
        read_run(fake_run(tmp_path / rare_words, test, ["c d"] * 3, "data.min_freq=2", f"data.rare_words={rare_words}"))
        for rare_words in ("unk", "spell")
    ]
    result = compare_runs(runs)
    unk, spell = result["rows"]
    keys = ("src_tokens", "tgt_tokens", "oov_rate", "tgt_oov_rate", "src_spelled_rate", "tgt_spelled_rate")
    assert [unk[key] for key in keys] == [9 / 3, 8 / 3, pytest.approx(1 / 9), 1 / 8, None, None]
    # The mark is a token here: no word begins so twice.
    assert [spell[key] for key in keys] == [(8 + 5) / 3, (7 + 4) / 3, 0, 0, 1 / 9, 1 / 8]
    _, header, lines = comparison_tables(result)[3]
    assert header[-2:] == ("Spelled in source", "Spelled in reference")
    assert [line[-2:] for line in lines] == [(NOTHING, NOTHING), ("11.11%", "12.50%")]
    assert "Spelled in source" not in comparison_tables(compare_runs(runs[:1]))[2][1]


@pytest.mark.usefixtures("few_draws")
def test_runs_on_words_are_compared_by_exact_and_ser_first(tmp_path):
    draw = random.Random(1)
    words = ["".join(draw.choices("abcde", k=draw.randint(2, 9))) for _ in range(30)]
    test = HeldOut(words, [[word[::-1]] for word in words])
    hyps = [[f"{ref[:-1]}x" if k % 3 < wrong else ref for k, (ref,) in enumerate(test.references)] for wrong in (1, 2)]
    runs = [
        read_run(fake_run(tmp_path / str(k), test, hyps[k % 2], f"train.seed={k}", "train.select_by=bleu"))
        for k in range(2)
    ]
    result = compare_runs([*runs, runs[0]])
    first, second, again = result["rows"]
    assert result["task"] == first["task"] == "words"
    assert (first["exact"]["score"], second["exact"]["score"]) == pytest.approx((200 / 3, 100 / 3))
    length = sum(map(len, words))
    assert second["ser"]["difference"] == pytest.approx(100 * 10 / length)
    assert {again[key]["p_bootstrap"] for key in metrics_of(again)} == {1}
    titles = [header for _, header, _ in comparison_tables(result)]
    assert titles[0] == ("Run", "EXACT", "SER", "CER", "Bits/char")
    assert titles[1][1:4] == ("EXACT difference", "EXACT p bootstrap", "EXACT p randomisation")
    assert any(header[4:7] == ("EXACT", "SER", "CER") for header in titles)
    (group,) = result["seeds"]
    assert group["exact"]["mean"] == pytest.approx(50)
    assert f"SER: {first['ser']['signature']}\n" in comparison_text(result)
    assert len(result["paired_signatures"]) == 2 * len(metrics_of(first)) == 14
    assert comparison_record(runs, compare_runs(runs), "x")["combinations"][0]["ser"]["mean"] == pytest.approx(
        (first["ser"]["score"] + second["ser"]["score"]) / 2
    )


@pytest.mark.usefixtures("few_draws")
def test_runs_with_other_symbols_are_compared_by_one_kind_with_a_warning(tmp_path):
    test = HeldOut(["aa", "bb"], [["a"], ["b"]])
    runs = [
        read_run(fake_run(tmp_path / str(split), test, ["a", "c"], f"data.pretokenized={split}"))
        for split in ("true", "false")
    ]
    result = compare_runs(runs)
    assert any("different symbols (char, space); SER is of char here" in line for line in result["warnings"])
    assert not any("symbols" in line for line in compare_runs(runs[:1])["warnings"])


@pytest.mark.usefixtures("few_draws")
def test_machines_of_training_are_named_where_they_are_known(folders, held_out, tmp_path):
    runs = [fake_run(tmp_path / name, held_out, with_errors(held_out, 0.1)) for name in "abc"]
    assert "Trained on" not in comparison_markdown(compare_runs(list(map(read_run, runs))))
    for run, cores in zip(runs[:2], (1, 2), strict=True):
        (run / "memory.json").write_text(json.dumps({"machine": {"cpu": "Z80", "cores": cores}}))
    table = comparison_markdown(compare_runs(list(map(read_run, runs))))
    assert "Trained on: Z80, 1 core (a); Z80, 2 cores (b); not recorded (c)." in table
    assert "Trained on: Z80, 1 core.\n" in comparison_markdown(compare_runs([read_run(runs[0])]))


@pytest.mark.usefixtures("few_draws")
def test_runs_that_differ_only_in_seed_are_pointed_out(held_out, tmp_path):
    sets = {"a": ["train.seed=1"], "b": ["train.seed=2"], "c": ["train.seed=2", "model.dropout=0.1"]}
    runs = [fake_run(tmp_path / name, held_out, with_errors(held_out, 0.1), *found) for name, found in sets.items()]
    table = comparison_markdown(compare_runs(list(map(read_run, [*runs, runs[0]]))))
    assert re.findall(r"- (.+) differs from (.+) only in its seed", table) == [("b", "a")]


def test_speed_is_tokens_over_seconds_without_the_first_log_line():
    # 200 tokens in 4 seconds, 200 in 8.
    log = [{"kind": "train", "tokens": t, "tokens_per_second": s} for t, s in ((100, 1), (300, 50), (500, 25))]
    assert train_speed(log) == pytest.approx(400 / 12)
    assert train_speed(log[:1]) == 1
    assert train_speed([]) is None


@pytest.mark.usefixtures("few_draws")
def test_seeds_are_aggregated_and_nothing_else(held_out, tmp_path):
    variants = {"1": ["train.seed=1"], "2": ["train.seed=2"], "3": ["train.seed=3"], "again": ["train.seed=3"]}
    variants["other"] = ["train.seed=4", "model.dropout=0.1"]
    runs = [
        read_run(fake_run(tmp_path / name, held_out, with_errors(held_out, 0.1 * (k + 1)), *sets))
        for k, (name, sets) in enumerate(variants.items())
    ]
    found = compare_runs(runs)
    (group,) = found["seeds"]
    scores = [row["bleu"]["score"] for row in found["rows"][:3]]
    assert group["seeds"] == [1, 2, 3]
    assert group["bleu"] == {"mean": statistics.mean(scores), "deviation": statistics.stdev(scores)}
    assert f"{statistics.mean(scores):.2f} ± {statistics.stdev(scores):.2f}" in comparison_markdown(found)
    assert set(found["settings"]) == {"train.seed", "model.dropout"}
    assert found["settings"]["train.seed"] == [1, 2, 3, 3, 4]


@pytest.mark.usefixtures("few_draws")
def test_settings_that_the_data_decided_are_no_difference_unless_only_they_tell_runs_apart(held_out, tmp_path):
    variants = {"word": [], "char": ["data.level=char"], "given": ["data.level=char", "model.embed_dim=32"]}
    folders = {
        name: fake_run(tmp_path / name, held_out, with_errors(held_out, 0.2), *given)
        for name, given in variants.items()
    }
    word, char, given = map(read_run, folders.values())
    assert word.config.model.embed_dim != char.config.model.embed_dim
    assert set(compare_runs([word, char])["settings"]) == {"data.level"}
    assert set(compare_runs([char, given])["settings"]) == {"model.embed_dim"}
    shutil.copytree(folders["word"], tmp_path / "by other rules")
    config = tmp_path / "by other rules" / "config.toml"
    config.write_text(config.read_text().replace("embed_dim = 256", "embed_dim = 512"), encoding="utf-8")
    assert set(compare_runs([word, read_run(config.parent)])["settings"]) == {"model.embed_dim"}


def test_names_are_the_shortest_distinct_ones(tmp_path):
    assert run_names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert run_names([tmp_path / "x" / "a", tmp_path / "y" / "a"]) == ["x/a", "y/a"]
    assert run_names([tmp_path / "a", tmp_path / "a", tmp_path / "b", tmp_path / "a"]) == ["a", "a (2)", "b", "a (3)"]


def test_the_table_escapes_names(held_out, tmp_path):
    run = read_run(fake_run(tmp_path / "a|b<i>", held_out, with_errors(held_out, 0.1)))
    table = comparison_markdown(compare_runs([run]))
    assert r"| a\|b\<i\> |" in table
    assert "<i>" not in table
    assert "Difference to" not in table


def test_a_terminal_shows_names_as_they_are(held_out, tmp_path):
    run = read_run(fake_run(tmp_path / "a|b<i>", held_out, with_errors(held_out, 0.1)))
    assert "\na|b<i>  " in comparison_text(compare_runs([run]))


@pytest.mark.usefixtures("few_draws")
def test_the_command_prints_a_table_or_json(folders, capsys):
    words = ["compare", *map(str, folders[:2])]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("Scores with 95 % intervals\nRun ")
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["run"] for row in rows] == list(map(str, folders[:2]))
    needed = {"bits_per_char", "parameters", "train_minutes", "sentences_per_second"}
    assert all(needed < set(row) for row in rows)
    fields = {"score", "ci95", "signature", "p_bootstrap", "p_randomisation"}
    assert all(fields < set(row[key]) for row in rows for key in ("bleu", "chrf", "ter"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare", "RUN", "--record", "x", "--html", "DIR/x"], "are the same file"),
        (["compare", "RUN", "--html", "DIR/none/x"], "--html .*/none/x: there is no folder"),
        (["report", "RUN", "--html", "DIR"], "--html .*: is a folder, expected a file"),
        (["sweep", "--levels", " , "], "argument --levels: ' , ' has no values"),
        (["sweep", "--cells", ""], "argument --cells: '' has no values"),
        (["sweep", "--levels", "word foo"], "error: --levels: data.level = 'foo'; choose from"),
        (["sweep", "--cells", "foo"], "error: --cells: model.cell = 'foo'; choose from"),
        (["sweep", "--vary", "model.cell=foo"], "error: --vary: model.cell = 'foo'; choose from"),
        (["sweep", "--vary", "model.atention=dot"], "error: --vary: unknown key model.atention; did you mean"),
        (["sweep", "--set", "model.cell=foo"], "error: --set: model.cell = 'foo'; choose from"),
        (["sweep", "--name", "../x"], "--name '../x': expected a name, not a path"),
        (["sweep", "--folder", "RUN/config.toml"], "config.toml: a file, expected a folder"),
        (["sweep", "--set", "data.corpus=phrasebok"], "'phrasebok' is unknown; did you mean 'phrasebook'"),
        (["sweep", "--set", "data.path=DIR/none.tsv"], "none.tsv: no such file"),
    ],
)
def test_errors_come_before_any_long_work(folders, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    given = [word.replace("RUN", str(folders[0])).replace("DIR", str(tmp_path)) for word in words]
    try:
        code = main(given)
    except SystemExit as caught:
        code = caught.code
    assert code == 2
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_nothing_heavy_is_imported_before_it_is_needed(folders):
    code = (
        "import sys; from wordseq.cli.main import main; import wordseq.comparison.page.html, wordseq.comparison.sweep; "
        "from wordseq.evaluation.metrics import significance; significance.PAIRED_DRAWS = {'bs': 20, 'ar': 50}; "
        f"main(['compare', {str(folders[0])!r}, {str(folders[1])!r}]); "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'matplotlib', 'jinja2')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
