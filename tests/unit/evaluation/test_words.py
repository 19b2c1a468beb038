"""Metrics of words, symbols and subwords: by hand, by slow implementations, and by sacreBLEU's draws."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.base import Metric, Signature
from sacrebleu.metrics.base import Score as SacreScore
from sacrebleu.significance import PairedTest

from wordseq.cli.commands.train import held_out_line
from wordseq.config.data import DataConfig
from wordseq.evaluation.evaluate import Measured, evaluate_texts
from wordseq.evaluation.metrics import words
from wordseq.evaluation.metrics.corpus import by_length, score_corpus
from wordseq.evaluation.metrics.names import NAMES, SENTENCES, WORDS, dev_score, gain, main_metrics, metrics_of
from wordseq.evaluation.metrics.significance import paired_tests
from wordseq.evaluation.metrics.symbols import Symbols, has_subwords, symbols_of_texts, target_symbols, task_of
from wordseq.evaluation.scores import Scores
from wordseq.evaluation.tables import examples, terminal_table

SPACE, CHAR, BAR = Symbols(" "), Symbols(), Symbols("|")
TEXTS = st.text(alphabet="ab |", max_size=8).map(lambda text: " ".join(text.split()))
CORPORA = st.lists(st.tuples(TEXTS, st.lists(TEXTS, min_size=1, max_size=3)), min_size=1, max_size=4)


def scores(hyps, refs, symbols=SPACE, **more):
    found = score_corpus(hyps, refs, symbols=symbols, bootstrap=2, **more)
    return {key: score.score for key, score in found.items() if key not in ("bleu", "chrf", "ter")}


def edits(one, other):
    """Levenshtein's distance, by its definition."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row, before = [i], row
        for j, b in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
    return row[-1]


def common(one, other):
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for a in one:
        before = row[:]
        for j, b in enumerate(other, 1):
            row[j] = before[j - 1] + 1 if a == b else max(row[j - 1], before[j])
    return row[-1]


def pronunciations(size=60, errors=0.2, seed=1):
    """Hypotheses and references of phones."""
    draw, mistakes = random.Random(seed), random.Random(seed + errors)
    refs = [[" ".join(draw.choices(["a", "b", "c", "d", "e", "aː"], k=draw.randint(1, 7)))] for _ in range(size)]
    hyps = [
        " ".join(mistakes.choice("abcd") if mistakes.random() < errors else phone for phone in choices[0].split())
        for choices in refs
    ]
    return hyps, refs


# --- by hand


def test_of_phones_by_hand():
    """One phone of 3 is another, one of 2 is missing, one is too many, 1 word of 4 is right: 3 edits in 7 phones."""
    hyps, refs = ["k aː t", "o", "a b", "i"], [["k a t"], ["o u"], ["a"], ["i"]]
    found = scores(hyps, refs)
    assert found["exact"] == 25
    assert found["ser"] == found["wer"] == pytest.approx(100 * 3 / 7)
    # As characters: the length mark, " u", " b", in 5 + 3 + 1 + 1.
    assert found["cer"] == pytest.approx(100 * 5 / 10)
    assert scores(hyps, refs, CHAR)["ser"] == found["cer"]


def test_the_nearest_reference_has_the_lowest_rate_not_the_fewest_edits():
    """1 edit in 1 symbol, or 3 in 5."""
    for refs in (["a", "abcde"], ["abcde", "a"]):
        assert scores(["ab"], [refs], CHAR)["ser"] == 60
    assert scores(["ab", "x"], [["ab", "b"], ["xy", "z"]], CHAR)["exact"] == 50


def test_f1_of_subwords_as_sigmorphons_scorer_counts_by_hand():
    """3 of 4 and 1 of 1 guessed are right, of 3 and 2 wanted: P = 4/5, R = 4/5."""
    hyps = ["ab @@dik @@ova @@t", "absolvent"]
    refs = [["ab @@dik @@t"], ["absolvent @@i"]]
    found = scores(hyps, refs)
    assert (found["subword_precision"], found["subword_recall"], found["f1"]) == pytest.approx((80, 80, 80))
    assert scores(["c @@b"], [["b @@c"]])["f1"] == 50  # They must be in order.
    assert scores(["a|b"], [["a|b|c"]], BAR)["f1"] == pytest.approx(2 * 2 / 5 * 100)
    assert scores([""], [["a @@b"]])["f1"] == 0  # An empty output is one subword, which is wrong.
    assert scores(["a @@b"], [["a @@b", "a @@x @@y"]])["f1"] == 100


@pytest.mark.parametrize(("hyp", "ref", "rate"), [("", "", 0), ("a", "", 100), ("", "a b", 100), ("a b c", "a", 200)])
def test_empty_and_long_outputs(hyp, ref, rate):
    found = scores([hyp], [[ref]])
    assert (found["ser"], found["wer"], found["exact"]) == (rate, rate, 100 * (hyp == ref))


def test_case_and_white_space():
    assert scores(["Ab  C "], [["ab c"]], lowercase=True)["exact"] == 100
    assert scores(["Ab  C "], [["ab c"]])["ser"] == 100
    assert scores(["aXB"], [["axb"]], Symbols("X"), lowercase=True)["ser"] == 0
    assert scores(["a\u00a0b"], [["a b"]])["exact"] == 100


# --- laws


@given(CORPORA, st.sampled_from([SPACE, CHAR, BAR]))
def test_everything_is_right_or_no_rate_is_0(corpus, symbols):
    hyps, refs = zip(*corpus, strict=True)
    found = {key: words.percent(rows.sum(0)) for key, rows in words.word_ratios(hyps, refs, symbols).items()}
    assert {found["exact"] == 100} == {found[key] == 0 for key in ("ser", "cer", "wer")}
    if "f1" in found:
        p, r = found["subword_precision"], found["subword_recall"]
        assert found["f1"] == pytest.approx(2 * p * r / (p + r) if p + r else 0)


@given(CORPORA, st.sampled_from([SPACE, CHAR, BAR]), st.randoms())
def test_the_numbers_are_those_of_slow_implementations_in_any_order(corpus, symbols, draw):
    hyps, refs = zip(*corpus, strict=True)
    found = {key: rows.sum(0).tolist() for key, rows in words.word_ratios(hyps, refs, symbols).items()}
    pairs = []
    for hyp, choices in corpus:
        cut = [(symbols.cut(hyp), symbols.cut(ref)) for ref in choices]
        pairs.append(min((edits(a, b) / len(b) if b else 9e9 * bool(a), edits(a, b), len(b)) for a, b in cut)[1:])
    assert found["ser"] == np.sum(pairs, axis=0).tolist()
    if symbols is BAR:
        cut = [
            [(hyp.replace(" ", "|").split("|"), ref.replace(" ", "|").split("|")) for ref in refs]
            for hyp, refs in corpus
        ]
        best = [
            max((2 * common(a, b) / (len(a) + len(b)), -len(b), common(a, b), len(a)) for a, b in one) for one in cut
        ]
        assert found["f1"] == [2 * sum(one[2] for one in best), sum(one[3] - one[1] for one in best)]
    mixed = draw.sample(corpus, len(corpus))
    again = words.word_ratios([hyp for hyp, _ in mixed], [choices[::-1] for _, choices in mixed], symbols)
    assert {key: rows.sum(0).tolist() for key, rows in again.items()} == found


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=9), st.data())
def test_one_symbol_more_less_or_other_is_one_edit(phones, data):
    at = data.draw(st.integers(0, len(phones) - 1))
    for changed in (
        [*phones[:at], "x", *phones[at:]],
        [*phones[:at], "x", *phones[at + 1 :]],
        [*phones[:at], *phones[at + 1 :]],
    ):
        rows = words.word_ratios([" ".join(changed)], [[" ".join(phones)]], SPACE)
        assert rows["ser"].tolist() == [[1, len(phones)]]
        assert rows["exact"].tolist() == [[0, 1]]


# --- intervals and tests, with sacreBLEU's draws


class TheirSER(Metric):
    """The same statistics in sacreBLEU's own machinery."""

    _SIGNATURE_TYPE = Signature

    def _preprocess_segment(self, sent):
        return sent

    def _extract_reference_info(self, refs):
        return {"refs": refs}

    def _compute_segment_statistics(self, hypothesis, ref_kwargs):
        return words.word_ratios([hypothesis], [ref_kwargs["refs"]], SPACE)["ser"][0].tolist()

    def _compute_score_from_stats(self, stats):
        return SacreScore("SER", float(100 * stats[0] / stats[1]))

    def _aggregate_and_compute(self, stats):
        return self._compute_score_from_stats(np.sum(stats, axis=0))


@pytest.mark.parametrize("chunk", [words._CHUNK, 100])
def test_intervals_and_p_values_follow_sacrebleus_draws(monkeypatch, chunk):
    monkeypatch.setattr(words, "_CHUNK", chunk)
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    (first, refs), (second, _) = pronunciations(errors=0.2), pronunciations(errors=0.25)
    columns = [[choices[0] for choices in refs]]
    theirs = TheirSER().corpus_score(first, columns, n_bootstrap=100)
    ours = score_corpus(first, refs, symbols=SPACE, bootstrap=100, seed=7)["ser"]
    assert (ours.score, ours.mean, ours.half_width) == pytest.approx((theirs.score, theirs._mean, theirs._ci))
    assert ours.ci95 == pytest.approx((theirs._mean - theirs._ci, theirs._mean + theirs._ci))
    for test in ("bs", "ar"):
        _, found = PairedTest(
            [("a", first), ("b", second)], {"SER": TheirSER()}, columns, test_type=test, n_samples=99
        )()
        (again,) = paired_tests(test, [first, second], refs, symbols=SPACE, draws=99, seed=7)
        assert again["ser"].difference == pytest.approx(found["SER"][1].score - found["SER"][0].score)
        assert again["ser"].p_value == pytest.approx(found["SER"][1].p_value)
        assert 1 / 100 < again["ser"].p_value < 1


def test_the_same_outputs_have_p_1_and_better_ones_a_small_p():
    (good, refs), (bad, _) = pronunciations(errors=0.05), pronunciations(errors=0.6)
    for test in ("bs", "ar"):
        same, worse = paired_tests(test, [good, list(good), bad], refs, symbols=SPACE, draws=200)
        assert {same[key].p_value for key in ("exact", "ser", "cer", "wer")} == {1}
        assert all(worse[key].p_value < 0.01 for key in ("exact", "ser", "cer", "wer"))
        assert worse["exact"].difference < 0 < worse["ser"].difference
        assert paired_tests(test, [good, bad], refs, symbols=SPACE, draws=200) == [worse]


def test_intervals_hold_the_score_and_stay_in_range():
    for seed in range(1, 6):
        hyps, refs = pronunciations(3, 0.5, seed)
        for key, score in score_corpus(hyps, refs, bootstrap=20, seed=seed).items():
            assert 0 <= score.ci95[0] <= score.score <= score.ci95[1]
            assert gain(key, 1) < 0 or score.ci95[1] <= 100 + 1e-9


def test_signatures_state_what_was_counted():
    found = score_corpus(["a|b"], [["a|b", "c"]], symbols=BAR, lowercase=True, bootstrap=5, seed=3)
    signed = {key: score.signature.split("|")[:-1] for key, score in found.items()}
    common = ["nrefs:2", "bs:5", "seed:3", "case:lc"]
    assert signed["exact"] == common
    assert signed["ser"] == [*common, "symbols:sep(%7C)"]
    assert signed["cer"] == [*common, "symbols:char"]
    assert signed["wer"] == [*common, "symbols:space"]
    assert signed["f1"] == signed["subword_recall"] == [*common, "symbols:subword(%7C)"]
    assert found["ser"].signature.split("|")[-1].startswith("version:wordseq-")
    several = score_corpus(["a", "b"], [["a"], ["b", "c"]], bootstrap=2)
    assert several["exact"].signature.startswith("nrefs:var|bs:2|seed:12345|case:mixed|version:")
    (tested,) = paired_tests("ar", [["a"], ["b"]], [["a"]], draws=9)
    assert tested["ser"].signature.startswith("nrefs:1|ar:9|seed:12345|case:mixed|symbols:char|")


# --- symbols and tasks


def test_the_symbols_of_a_run_and_of_texts():
    assert target_symbols(DataConfig()) == CHAR
    assert target_symbols(DataConfig(pretokenized=True)) == SPACE
    assert target_symbols(DataConfig(tgt_separator=" ")) == Symbols(" ", of_a_word=True)
    assert target_symbols(DataConfig(src_separator="|")) == CHAR
    assert symbols_of_texts([["ab"], ["c d"]]) == SPACE
    assert symbols_of_texts([["ab"], ["cd"]]) == CHAR
    assert (list(CHAR.cut("a b")), SPACE.cut("aː b"), BAR.cut("a||b"), list(SPACE.cut(""))) == (
        ["a", " ", "b"],
        ["aː", "b"],
        ["a", "", "b"],
        [],
    )


@pytest.mark.parametrize(
    ("symbols", "refs", "task"),
    [
        (CHAR, ["gegangen", "2021-05-03"], WORDS),
        (CHAR, ["kitap", "gitmiş olacak", "ev", "evler"], WORDS),
        (CHAR, ["I am cold.", "Go!"], SENTENCES),
        (CHAR, ["ab @@dik @@ova @@t"], WORDS),
        (SPACE, ["a red boat", "a house"], SENTENCES),
        (Symbols(" ", of_a_word=True), ["aː n t", "b ɛ"], WORDS),
        (CHAR, ["我很冷。", "这是一本书。"], SENTENCES),
        (CHAR, ["", ""], SENTENCES),
    ],
)
def test_outputs_are_words_or_sentences_by_the_references(symbols, refs, task):
    assert task_of(symbols, [[ref] for ref in refs]) == task


def test_only_references_with_subwords_have_f1():
    assert has_subwords(CHAR, [["ab"], ["ab @@c"]])
    assert has_subwords(BAR, [["ab"]])
    assert not has_subwords(SPACE, [["a b"]])
    assert scores(["ab"], [["ab"]]).keys() == {"exact", "ser", "cer", "wer"}


def test_names_and_directions():
    found = dict.fromkeys(NAMES)
    assert main_metrics({**found, "task": WORDS}) == ("exact", "ser", "f1")
    assert main_metrics({"task": WORDS}) == ("exact", "ser", "cer")
    assert main_metrics({"task": SENTENCES}) == ("bleu", "chrf", "ter")
    assert (
        set(metrics_of({**found, "task": SENTENCES}))
        == set(metrics_of({**found, "task": WORDS}))
        == set(NAMES) - {"loss"}
    )
    assert {key for key in NAMES if gain(key, 2) < gain(key, 1)} == {"ter", "ser", "cer", "wer", "loss"}
    assert (dev_score("exact", 12.345), dev_score("loss", 1.2345)) == ("dev EXACT 12.35", "dev loss 1.234")


# --- reports

WORDS_OF_A_TASK = (
    ["gehen\tV;PST", "laufen\tV;PST", "a\tN", "sehr lange quelle\tX"],
    ["ging", "lief", "xyzq", "kurz"],
    [["ging"], ["liefen", "liefe"], ["ab"], ["kurt"]],
)


@pytest.fixture(scope="module")
def report():
    measured = Measured(1.0, 9, 0, 9, 0, symbols=CHAR, select_by="bleu")
    return evaluate_texts(*WORDS_OF_A_TASK, measured, bootstrap=20)


def test_a_report_on_words_begins_with_exact_and_ser(report):
    lines = terminal_table(report).splitlines()
    assert [line.split()[0] for line in lines[:8]] == ["metric", "EXACT", "SER", "CER", "WER", "BLEU", "chrF2", "TER"]
    assert report["exact"]["score"] == 25
    # The nearest reference of "lief" is "liefe".
    assert report["ser"]["score"] == pytest.approx(100 * (0 + 1 + 4 + 1) / (4 + 5 + 2 + 4))
    assert report["length_ratio"] == pytest.approx((4 + 4 + 4 + 4) / (4 + 5 + 2 + 4))


def test_train_ends_with_the_first_metric_of_the_task(report):
    assert held_out_line(report) == "held-out test EXACT 25.00, BLEU 0.00"
    assert held_out_line({**report, "task": SENTENCES}) == "held-out test BLEU 0.00"
    segmented = evaluate_texts(["ab"], ["a @@b"], [["a @@b"]], Measured(1.0, 9, 0, 9, 0), bootstrap=2)
    assert held_out_line(segmented).startswith("held-out test EXACT 100.00, F1 100.00, BLEU")


def test_the_worst_words_have_the_highest_ser(report):
    assert [(row["line"], row["ser"]) for row in report["worst"]] == [(3, 200), (4, 25), (2, 20), (1, 0)]
    assert examples(report).startswith("Highest SER\n\nline 3, SER 200.0\n")


def test_the_length_of_a_word_is_in_characters_without_its_features(report):
    rows = [(row["characters"], row["sentences"], row["exact"], row["ser"]) for row in report["by_length"]]
    assert rows == [("1-3", 1, 0, 200), ("4-6", 2, 50, pytest.approx(100 / 9)), ("17+", 1, 0, 25)]
    assert "source characters  words  EXACT  SER" in terminal_table(report)
    assert report["by_length"] == by_length(*WORDS_OF_A_TASK, symbols=CHAR)


def test_a_report_on_words_counts_words(report):
    texts = [terminal_table(report), repr(Scores(report)), Scores(report)._repr_markdown_()]
    assert [line for line in texts[0].splitlines() if line.startswith(("words  ", "words per second  "))][1:]
    # The note on the interval too: these are few.
    assert all("4 words" in text for text in texts)
    assert not any("sentence" in text for text in texts)


@pytest.mark.parametrize(("seen", "unseen"), [({1, 2, 3}, (1, 100)), ({0, 1}, (2, 0)), ((), None), (range(4), None)])
def test_a_report_on_words_has_exact_of_unseen_sources_where_both_kinds_occur(seen, unseen):
    found = evaluate_texts(*WORDS_OF_A_TASK, Measured(1.0, 9, 0, 9, 0, symbols=CHAR, seen=seen), bootstrap=2)
    assert found["unseen"] == (dict(zip(("sentences", "exact"), unseen, strict=True)) if unseen else None)
    lines = [line.split("  ")[-1] for line in terminal_table(found).splitlines() if "not in training" in line]
    assert lines == ([f"{unseen[1]:.1f} ({unseen[0]} word{'s' * (unseen[0] > 1)})"] if unseen else [])


def test_a_report_on_words_says_what_else_may_choose_the_checkpoint(report):
    wer = 100 - report["exact"]["score"]
    assert any(f"100 - EXACT the WER, here {wer:.1f}; " in note for note in report["notes"])
    assert any("train.select_by=exact" in note for note in report["notes"])
    assert "dev BLEU" in terminal_table(report)
    for select_by, refs in (("exact", WORDS_OF_A_TASK[2]), ("bleu", [["a b c d e"]] * 4)):
        measured = Measured(1.0, 9, 0, 9, 0, select_by=select_by)
        other = evaluate_texts(*WORDS_OF_A_TASK[:2], refs, measured, bootstrap=2)
        assert not any("select_by" in note for note in other["notes"])
        assert f"dev {NAMES[select_by]}" in terminal_table(other)
