import json
import math
import os
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sacrebleu.metrics import CHRF
from sacrebleu.significance import PairedTest

from wordseq.evaluation.evaluate import Measured, evaluate_texts, random_sentences, worst_sentences
from wordseq.evaluation.metrics.bleu import bleu, length_ratio, sentence_bleu
from wordseq.evaluation.metrics.corpus import (
    FEW_SENTENCES,
    WIDE_INTERVAL,
    Score,
    by_length,
    interval_note,
    score_corpus,
)
from wordseq.evaluation.metrics.references import rectangular, reference_columns
from wordseq.evaluation.metrics.significance import paired_tests
from wordseq.system.platform import commit

WORDS = (
    "the",
    "a",
    "small",
    "red",
    "boat",
    "house",
    "river",
    "under",
    "sings",
    "waits",
    "for",
    "my",
    "slowly",
    "today",
)
MEASURED = Measured(
    seconds=2.0,
    src_tokens=50,
    src_unknown=5,
    hyp_tokens=80,
    hyp_unknown=2,
    nats=100.0,
    tgt_tokens=50,
    tgt_chars=200,
    run="runs/mine",
    command="wordseq eval runs/mine",
)


def corpus(sentences, seed=1, errors=0.3):
    """Sources, hypotheses and one or two references a sentence, of drawn words; `errors` changes hypotheses only."""
    draw, mistakes = random.Random(seed), random.Random(seed + errors)
    sources, hyps, refs = [], [], []
    for _ in range(sentences):
        words = draw.choices(WORDS, k=draw.randint(2, 12))
        changed = [mistakes.choice(WORDS) if mistakes.random() < errors else word for word in words]
        sources.append(" ".join(words))
        hyps.append(" ".join(changed).capitalize() + ".")
        refs.append([" ".join(words).capitalize() + "."])
        if draw.random() < 0.5:
            refs[-1].append(" ".join(reversed(words)).capitalize() + ".")
    return sources, hyps, refs


def command_line(tmp_path, hyps, columns, *options, seed="12345"):
    """What sacreBLEU's own command line prints, by metric name."""
    paths = []
    for name, lines in [("hyps", hyps), *((f"refs{j}", column) for j, column in enumerate(columns))]:
        paths.append(tmp_path / name)
        paths[-1].write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", *map(str, paths[1:]), "-i", str(paths[0])]
    command += ["-m", "bleu", "chrf", "ter", "--confidence", "-cin", "200", "-w", "8", "-f", "json", *options]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "SACREBLEU_SEED": seed}
    )
    return {entry["name"]: entry for entry in json.loads(done.stdout)}


def assert_same(score, entry, signature=None):
    assert score.score == pytest.approx(entry["score"], abs=1e-6)
    assert (score.ci95[0] + score.ci95[1]) / 2 == pytest.approx(entry["confidence_mean"], abs=1e-6)
    assert (score.ci95[1] - score.ci95[0]) / 2 == pytest.approx(entry["confidence_var"], abs=1e-6)
    assert score.signature == (signature or entry["signature"])


def test_bleu_worked_out_by_hand():
    """n-gram precisions 5/6, 3/5, 2/4 and 1/3, whose product is 1/12; no brevity penalty."""
    hyps, refs = ["the cat sat on a mat"], [["the cat sat on the mat"]]
    assert bleu(hyps, refs) == pytest.approx(100 * (1 / 12) ** 0.25)
    assert score_corpus(hyps, refs, bootstrap=2)["bleu"].score == pytest.approx(53.73, abs=0.005)


def test_brevity_penalty_and_length_ratio_by_hand():
    hyps, refs = ["my boat waits for you"], [["my boat waits for you today my friend"]]
    assert length_ratio(hyps, refs) == 5 / 8
    assert bleu(hyps, refs) == pytest.approx(100 * math.exp(1 - 8 / 5))


def test_perfect_match():
    _, hyps, _ = corpus(20)
    scores = score_corpus(hyps, [[hyp] for hyp in hyps], bootstrap=50)
    right, wrong = ("bleu", "chrf", "exact"), ("ter", "ser", "cer", "wer")
    assert {key: score.score for key, score in scores.items()} == pytest.approx(
        dict.fromkeys(right, 100) | dict.fromkeys(wrong, 0)
    )
    assert scores["bleu"].ci95 == pytest.approx((100, 100))
    assert [score.name for score in scores.values()] == ["BLEU", "chrF2", "TER", "EXACT", "SER", "CER", "WER"]


@pytest.mark.parametrize(("seed", "options"), [(12345, {}), (7, {"tokenize": "none", "lowercase": True})])
def test_equals_sacrebleus_command_line(tmp_path, seed, options):
    _, hyps, refs = corpus(60)
    two = [[choices[0], choices[-1]] for choices in refs]
    scores = score_corpus(hyps, two, bootstrap=200, seed=seed, **options)
    flags = ("--tokenize", "none", "-lc", "--chrf-lowercase") if options else ()
    entries = command_line(tmp_path, hyps, list(zip(*two, strict=True)), *flags, seed=str(seed))
    for key in ("bleu", "chrf", "ter"):
        assert_same(scores[key], entries[scores[key].name])
    assert f"bs:200|seed:{seed}|" in scores["bleu"].signature


def test_unequal_numbers_of_references(tmp_path):
    """The command line cannot say "no second reference"; giving the first one twice is the same to BLEU and chrF."""
    _, hyps, refs = corpus(60)
    assert {len(choices) for choices in refs} == {1, 2}
    scores = score_corpus(hyps, refs, bootstrap=200)
    entries = command_line(tmp_path, hyps, [[choices[j % len(choices)] for choices in refs] for j in (0, 1)])
    for key in ("bleu", "chrf"):
        entry = entries[scores[key].name]
        assert_same(scores[key], entry, entry["signature"].replace("nrefs:2", "nrefs:var"))


def test_ter_of_unequal_references_by_hand():
    """1 edit in 4 words; then 0 edits, and the mean length of a 2-word and a 4-word reference: 1 edit in 7 words."""
    hyps = ["my boat waits slowly", "your house"]
    refs = [["my boat sings slowly"], ["your small red house", "your house"]]
    assert score_corpus(hyps, refs, bootstrap=2)["ter"].score == pytest.approx(100 / 7)


def test_a_second_reference_helps():
    hyps = ["a red boat waits under my house today"]
    one, two = [["today my green house sings"]], [["today my green house sings", hyps[0]]]
    assert bleu(hyps, one) < 20
    assert bleu(hyps, two) == pytest.approx(100)


@pytest.mark.parametrize(
    ("hyps", "refs", "message"),
    [
        ([], [], "no sentences"),
        (["a b"], [["a b"], ["c d"]], "1 hyps but 2 refs"),
        (["a b", "c d", "e f"], [["a b", "c d", "e f"]], "3 hyps but 1 refs"),
        (["a b", "c d"], [["a b"], []], r"refs\[1\] is empty"),
    ],
)
def test_wrong_shapes_raise(hyps, refs, message):
    for score in (score_corpus, bleu, sentence_bleu, length_ratio):
        with pytest.raises(ValueError, match=message):
            score(hyps, refs)


@pytest.mark.parametrize(
    ("hyps", "refs", "message"),
    [
        (["a b", "c d"], ["a b", "c d"], r"refs\[0\] must be a list of texts, got one text"),
        (["a b", "c d"], [["a b"], ["c d", None]], r"refs\[1\]\[1\] must be a text \(str\), got None"),
        (["a b", math.nan], [["a b"], ["c d"]], r"hyps\[1\] must be a text \(str\), got nan \(float\)"),
        ([b"a"], [["a b"]], r"hyps\[0\] must be a text \(str\), got b'a' \(bytes\)"),
        ("a b", [["a"], [" "], ["b"]], "hyps must be a list of texts, got one text"),
        (None, [["a"]], "hyps must be a list of texts, got None"),
        (["a b"], "a", "refs must be a list with a list of texts for each sentence, got str"),
        (["a b"], None, "refs must be a list with a list of texts for each sentence, got None"),
        (["a b"], [{"a b"}], r"refs\[0\] must be a list of texts, got a set, which has no order"),
    ],
)
def test_wrong_types_raise(hyps, refs, message):
    for score in (score_corpus, bleu, sentence_bleu, length_ratio):
        with pytest.raises(TypeError, match=message):
            score(hyps, refs)


def test_texts_that_can_be_read_once_are_scored_as_lists_are():
    sources, hyps, refs = corpus(6)

    def once():
        return iter(hyps), (iter(choices) for choices in refs)

    assert bleu(*once()) == bleu(hyps, refs) > 0
    assert sentence_bleu(*once()) == sentence_bleu(np.array(hyps), refs) == sentence_bleu(hyps, refs)
    assert length_ratio(*once()) == length_ratio(hyps, refs)
    assert by_length(iter(sources), *once()) == by_length(sources, hyps, refs)
    assert score_corpus(*once(), bootstrap=np.int64(3)) == score_corpus(hyps, refs, bootstrap=3)
    _, again = once()
    several = paired_tests("bs", (iter(each) for each in (hyps, sources)), again, draws=20)
    assert several == paired_tests("bs", [hyps, sources], refs, draws=20)
    assert evaluate_texts(iter(sources), *once(), MEASURED, bootstrap=2) == evaluate_texts(
        sources, hyps, refs, MEASURED, bootstrap=2
    )


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match="unknown BLEU tokenizer '14a'; choose from 13a, char"):
        bleu(["a"], [["a"]], tokenize="14a")
    with pytest.raises(ValueError, match="bootstrap must be a whole number of at least 2, got 1"):
        score_corpus(["a"], [["a"]], bootstrap=1)
    with pytest.raises(ValueError, match="seed must be a whole number of at least 1, got 0"):
        score_corpus(["a"], [["a"]], seed=0)
    for wrong in (True, 2.0, "3", None):
        with pytest.raises(TypeError, match="bootstrap must be a whole number of at least 2, got"):
            score_corpus(["a"], [["a"]], bootstrap=wrong)
        with pytest.raises(TypeError, match="seed must be a whole number of at least 1, got"):
            score_corpus(["a"], [["a"]], seed=wrong)
    with pytest.raises(ValueError, match="draws must be a whole number of at least 0, got -1"):
        paired_tests("bs", [["a"], ["a"]], [["a"]], draws=-1)
    with pytest.raises(ValueError, match="2 hyps but 1 refs"):
        paired_tests("bs", [["a", "b"], ["a"]], [["a"]])
    with pytest.raises(ValueError, match="1 hyps but 2 sources"):
        by_length(["a", "b"], ["a"], [["a"]])


def test_intervals_follow_the_seed_and_hold_the_score(monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "99")
    _, hyps, refs = corpus(40)
    first, again, other = (score_corpus(hyps, refs, bootstrap=100, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first["bleu"].ci95 != other["bleu"].ci95
    assert all(score.ci95[0] < score.score < score.ci95[1] for score in first.values())
    assert os.environ["SACREBLEU_SEED"] == "99"


def test_the_environment_is_left_as_it_was(monkeypatch):
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    score_corpus(["a"], [["a"]], bootstrap=2)
    assert "SACREBLEU_SEED" not in os.environ


@pytest.mark.parametrize("sentences", [1, 2, 3])
def test_the_interval_of_few_sentences_holds_the_score_and_stays_in_range(sentences):
    for seed in range(1, 15):
        _, hyps, refs = corpus(sentences, seed=seed)
        for key, score in score_corpus(hyps, refs, bootstrap=20, seed=seed).items():
            low, high = score.ci95
            assert 0 <= low <= score.score <= high
            assert key == "ter" or high <= 100 + 1e-9


def test_lowercase_is_for_bleu_and_chrf_and_ter_ignores_case():
    hyps, refs = ["my RED boat waits today"], [["My red boat waits today"]]
    mixed, lower = (score_corpus(hyps, refs, lowercase=lowercase, bootstrap=2) for lowercase in (False, True))
    assert mixed["bleu"].score < 70
    assert mixed["chrf"].score < 90
    assert (lower["bleu"].score, lower["chrf"].score) == pytest.approx((100, 100))
    assert mixed["ter"] == lower["ter"]
    assert "case:lc" in lower["bleu"].signature
    assert "case:mixed" in mixed["bleu"].signature


def test_tokenize_none_splits_at_spaces_only():
    hyps, refs = ["a red boat waits , today ."], [["a red boat waits, today."]]
    assert bleu(hyps, refs) == pytest.approx(100)
    assert bleu(hyps, refs, tokenize="none") < 60


def test_two_copies_of_a_system():
    _, hyps, refs = corpus(30)
    for test in ("bs", "ar"):
        (found,) = paired_tests(test, [hyps, list(hyps)], refs, draws=100)
        for result in found.values():
            assert (result.difference, result.p_value) == (0, 1)


@pytest.mark.parametrize(("test", "field"), [("bs", "bs:1000"), ("ar", "ar:10000")])
def test_a_much_better_system_differs_significantly(test, field):
    _, better, refs = corpus(50, errors=0.1)
    _, worse, _ = corpus(50, errors=0.6)
    (result,) = paired_tests(test, [worse, better], refs, seed=5)
    assert result["bleu"].difference == pytest.approx(bleu(better, refs) - bleu(worse, refs))
    assert result["bleu"].difference > 10
    assert result["ter"].difference < 0
    assert all(score.p_value < 0.01 for score in result.values())
    assert f"{field}|seed:5|" in result["bleu"].signature


def score_with(width):
    return Score("BLEU", 50.0, (50 - width / 2, 50 + width / 2), "nrefs:1", 50.0, width / 2)


def test_a_wide_interval_is_put_into_words():
    assert interval_note(score_with(WIDE_INTERVAL - 0.1), FEW_SENTENCES) is None
    note = interval_note(score_with(18.4), 100)
    assert "18.4 points wide (40.8 to 59.2, 100 sentences)" in note
    assert "Four times as many would halve it" in note
    assert "data.test_size" in note


@pytest.mark.parametrize(("sentences", "counted"), [(1, "1 sentence)."), (FEW_SENTENCES - 1, "sentences).")])
def test_an_interval_of_few_sentences_is_doubted_even_if_it_is_narrow(sentences, counted):
    note = interval_note(score_with(0.0), sentences)
    assert "0.0 points wide" in note
    assert counted in note
    assert "the true one is wider" in note


@pytest.mark.parametrize("size", [1, 2, 3, 10])
@pytest.mark.parametrize("right", [True, False])
def test_the_smallest_test_sets_are_scored_and_compared(size, right):
    refs = [[f"wort {k}"] for k in range(size)]
    hyps = [choices[0] if right else "x" for choices in refs]
    result = evaluate_texts(hyps, hyps, refs, MEASURED, bootstrap=20)
    assert len(result["notes"]) == 1
    for test in ("bs", "ar"):
        (found,) = paired_tests(test, [hyps, [""] * size], refs, draws=20)
        assert all(0 < score.p_value <= 1 for score in found.values())


def test_randomisation_counts_larger_differences_only_as_sacrebleu_does():
    """Exchanging the outputs of 1 sentence never gives a larger difference: the smallest p, though an exact one is 1."""
    _, hyps, refs = corpus(50)
    wrong = next(i for i, hyp in enumerate(hyps) if hyp not in refs[i])
    almost = [refs[i][0] if i == wrong else hyp for i, hyp in enumerate(hyps)]
    (randomised,) = paired_tests("ar", [hyps, almost], refs, draws=1000)
    assert all(score.p_value == 1 / 1001 for score in randomised.values())
    assert paired_tests("bs", [hyps, almost], refs)[0]["bleu"].p_value > 0.02


def test_randomisation_has_chrf_between_whole_numbers():
    """Exchanged outputs have whole-numbered statistics; their scores were once cut to whole numbers too."""
    _, hyps, refs = corpus(60, errors=0.3)
    _, others, _ = corpus(60, errors=0.31)
    metrics, columns = {"CHRF": CHRF()}, reference_columns(hyps, refs)[1]
    _, theirs = PairedTest([("a", others), ("b", hyps)], metrics, columns, test_type="ar", n_samples=500)()
    (ours,) = paired_tests("ar", [others, hyps], refs, draws=500)
    assert ours["chrf"].p_value == theirs["chrF2"][1].p_value


def test_several_systems_are_tested_as_each_alone():
    _, baseline, refs = corpus(30, errors=0.2)
    systems = [corpus(30, errors=share)[1] for share in (0.25, 0.6)]
    for test in ("bs", "ar"):
        alone = [paired_tests(test, [baseline, hyps], refs, draws=300)[0] for hyps in systems]
        assert paired_tests(test, [baseline, *systems], refs, draws=300) == alone
    with pytest.raises(ValueError, match="unknown paired test 'xx'; choose from bs, ar"):
        paired_tests("xx", [baseline, baseline], refs)
    with pytest.raises(ValueError, match="at least 2 systems, got 1"):
        paired_tests("bs", [baseline], refs)


@pytest.mark.parametrize("test", ["bs", "ar"])
def test_p_values_follow_the_seed(test):
    _, hyps, refs = corpus(30, errors=0.3)
    _, others, _ = corpus(30, errors=0.32)
    first, again, other = (
        paired_tests(test, [others, hyps], refs, seed=seed, draws=999)[0]["bleu"] for seed in (3, 3, 4)
    )
    assert first == again
    assert first.p_value != other.p_value
    assert 0.05 < first.p_value <= 1


def test_sentence_bleu_uses_the_orders_a_short_hypothesis_has():
    scores = sentence_bleu(["two words", "my boat waits for you today"], [["two words"], ["other things entirely"]])
    assert scores == pytest.approx([100, 0])


def test_by_length_counts_every_sentence_once():
    sources, hyps, refs = corpus(80)
    rows = by_length(sources, hyps, refs)
    assert [row["words"] for row in rows] == ["1-5", "6-10", "11-15"]
    assert sum(row["sentences"] for row in rows) == 80
    short = [i for i, source in enumerate(sources) if len(source.split()) <= 5]
    assert rows[0] == {
        "words": "1-5",
        "sentences": len(short),
        "bleu": bleu([hyps[i] for i in short], [refs[i] for i in short]),
    }


@pytest.mark.parametrize(
    ("words", "bucket"),
    [
        (0, "0"),
        (1, "1-5"),
        (5, "1-5"),
        (6, "6-10"),
        (10, "6-10"),
        (20, "16-20"),
        (30, "21-30"),
        (31, "31+"),
        (99, "31+"),
    ],
)
def test_edges_of_the_buckets(words, bucket):
    rows = by_length(["a " * words], ["my boat"], [["my boat"]])
    assert [row["words"] for row in rows] == [bucket]


def test_which_sentences_are_shown():
    assert worst_sentences([3.0, 1.0, 2.0, 1.0], count=3) == [1, 3, 2]
    drawn = random_sentences(1000, seed=5)
    assert drawn == random_sentences(1000, seed=5) == sorted(set(drawn))
    assert len(drawn) == 10
    assert drawn != random_sentences(1000, seed=6)
    assert random_sentences(3, seed=5) == [0, 1, 2]


def test_evaluate_texts_gives_everything_as_json():
    sources, hyps, refs = corpus(40)
    hyps[:10] = ["boat"] * 10
    result = evaluate_texts(sources, hyps, refs, MEASURED, bootstrap=100, seed=3)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    # As in files of references, which sacreBLEU's command line and `compare` read.
    scores = score_corpus(hyps, rectangular(refs), bootstrap=100, seed=3)
    assert "nrefs:2|" in scores["bleu"].signature
    assert float(scores["bleu"]) == scores["bleu"].score
    for key, score in scores.items():
        assert result[key] == {
            "name": score.name,
            "score": score.score,
            "ci95": list(score.ci95),
            "signature": score.signature,
            "mean": score.mean,
            "half_width": score.half_width,
        }
    assert result["sentences"] == 40
    assert result["references"] == sum(len(choices) for choices in refs) > 40
    assert (result["seconds"], result["sentences_per_second"]) == (2.0, 20.0)
    assert (result["oov_rate"], result["unk_rate"]) == (0.1, 0.025)
    assert result["perplexity"] == pytest.approx(math.exp(2))
    assert result["bits_per_char"] == pytest.approx(100 / math.log(2) / 200)
    assert result["length_ratio"] == length_ratio(hyps, refs) < 0.9
    assert sum(row["sentences"] for row in result["by_length"]) == 40
    assert (result["seed"], result["run"], result["command"]) == (3, "runs/mine", "wordseq eval runs/mine")
    assert result["commit"] == commit()


def test_examples_are_the_same_every_time_and_complete():
    sources, hyps, refs = corpus(40)
    first, again = (evaluate_texts(sources, hyps, refs, MEASURED, bootstrap=2) for _ in range(2))
    assert first == again
    scores = sentence_bleu(hyps, refs)
    assert [example["bleu"] for example in first["worst"]] == sorted(scores)[:10]
    assert len(first["random"]) == 10
    for example in first["worst"] + first["random"]:
        i = example["line"] - 1
        assert (example["source"], example["hypothesis"]) == (sources[i], hyps[i])
        assert (example["references"], example["bleu"]) == (refs[i], scores[i])


def test_the_recipe_reaches_every_figure():
    sources, refs = ["un", "deux"], [["my red boat waits , today"], ["a green house sings slowly"]]
    hyps = [choices[0].upper() for choices in refs]
    result = evaluate_texts(sources, hyps, refs, MEASURED, tokenize="none", lowercase=True, bootstrap=2)
    figures = [result["bleu"]["score"], *(row["bleu"] for row in result["by_length"])]
    figures += [example["bleu"] for example in result["worst"]]
    assert figures == pytest.approx([100] * len(figures))
    assert "case:lc|eff:no|tok:none" in result["bleu"]["signature"]


def test_what_was_not_measured_is_none():
    result = evaluate_texts(["a"], ["b"], [["c"]], Measured(0.0, 0, 0, 0, 0), bootstrap=2)
    assert (result["perplexity"], result["bits_per_char"], result["sentences_per_second"]) == (None, None, None)
    assert (result["oov_rate"], result["unk_rate"]) == (0, 0)


def test_spelling_unknown_words_counts_only_in_bits_per_character():
    plain, spelled = (
        evaluate_texts(["a"], ["b"], [["c"]], replace(MEASURED, spelling_bits=bits), bootstrap=2) for bits in (0, 50)
    )
    assert spelled["bits_per_char"] - plain["bits_per_char"] == pytest.approx(50 / 200)
    assert (plain["spelling_bits_per_char"], spelled["spelling_bits_per_char"]) == (0, 0.25)
    assert spelled["perplexity"] == plain["perplexity"]


def test_a_diverged_model_has_no_perplexity_but_bits():
    measured = Measured(1.0, 1, 0, 1, 0, nats=1e6, tgt_tokens=10, tgt_chars=10)
    result = evaluate_texts(["a"], ["b"], [["c"]], measured, bootstrap=2)
    assert result["perplexity"] is None
    assert result["bits_per_char"] == pytest.approx(1e5 / math.log(2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nats": math.nan, "tgt_tokens": 1, "tgt_chars": 1}, "nats must be finite"),
        ({"nats": 1.0}, "tgt_tokens and tgt_chars above 0"),
    ],
)
def test_impossible_measurements_raise(changes, message):
    with pytest.raises(ValueError, match=message):
        Measured(**{"seconds": 1.0, "src_tokens": 1, "src_unknown": 0, "hyp_tokens": 1, "hyp_unknown": 0, **changes})


def test_resamples_without_any_match_are_allowed():
    hyps, refs = ["xyz", "Oui, bien."], [["Bonjour.", "Salut."], ["Oui, bien."]]
    scores = score_corpus(hyps, refs)
    assert scores["chrf"].ci95[0] < scores["chrf"].score


def test_a_blank_reference_can_be_scored():
    scores = score_corpus(["x y&", "", "d e"], [["x"], [" "], ["d\te"]], bootstrap=20)
    assert all(low <= score.score <= high for score in scores.values() for low, high in [score.ci95])
