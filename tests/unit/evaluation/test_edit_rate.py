"""The edits of TER against sacreBLEU's own."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics import TER, lib_ter

from tests.unit.evaluation.test_metrics import corpus
from wordseq.evaluation.metrics import edit_rate
from wordseq.evaluation.metrics.bleu import sacrebleu_metrics
from wordseq.evaluation.metrics.edit_rate import translation_edits


def words_of(vocabulary, **sizes):
    return st.lists(st.sampled_from([f"w{k}" for k in range(vocabulary)]), **sizes)


@st.composite
def shifted(draw):
    """A reference, and what is left of it when blocks were moved and words lost or replaced."""
    ref = draw(words_of(draw(st.sampled_from([2, 6, 40])), max_size=draw(st.sampled_from([12, 30]))))
    hyp = list(ref)
    for _ in range(draw(st.integers(0, 3))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(hyp))] * 2)))
        block, rest = hyp[start:end], hyp[:start] + hyp[end:]
        place = draw(st.integers(0, len(rest)))
        hyp = rest[:place] + block + rest[place:]
    keep = draw(st.lists(st.sampled_from(["keep"] * 8 + ["drop", "other"]), min_size=len(hyp), max_size=len(hyp)))
    return [word if what == "keep" else "x" for word, what in zip(hyp, keep, strict=True) if what != "drop"], ref


@given(shifted() | st.tuples(words_of(3, max_size=20), words_of(3, max_size=20)))
def test_edits_are_those_of_sacrebleu(pair):
    assert translation_edits(*pair) == lib_ter.translation_edit_rate(*pair)


@pytest.mark.parametrize("limit", [1, 7, 30])
def test_the_limit_of_candidates_is_that_of_sacrebleu(monkeypatch, limit):
    """A search that reaches it is dropped, wherever it does."""
    monkeypatch.setattr(lib_ter, "_MAX_SHIFT_CANDIDATES", limit)
    words = [f"w{k}" for k in range(12)]
    for turn in range(12):
        hyp = words[turn:] + words[:turn]
        assert translation_edits(hyp[::-1], words) == lib_ter.translation_edit_rate(hyp[::-1], words)
        assert translation_edits(hyp, words) == lib_ter.translation_edit_rate(hyp, words)


@pytest.mark.parametrize(("hyp", "ref"), [(1, 120), (2, 60), (120, 2), (60, 90), (90, 60)])
def test_lengths_apart_leave_the_band_where_sacrebleu_has_it(hyp, ref):
    words = [f"w{k * 7 % 11}" for k in range(130)]
    assert translation_edits(words[:hyp], words[5 : 5 + ref]) == lib_ter.translation_edit_rate(
        words[:hyp], words[5 : 5 + ref]
    )


@pytest.mark.parametrize(("distance", "edits"), [(49, 1), (50, 1), (51, 2)])
def test_a_word_is_shifted_as_far_as_sacrebleu_shifts_it(distance, edits):
    others = [f"w{k}" for k in range(70)]
    front, back = ["a", *others], [*others[:distance], "a", *others[distance:]]
    for pair in ((front, back), (back, front)):
        assert translation_edits(*pair) == lib_ter.translation_edit_rate(*pair) == (edits, 71)


@pytest.mark.parametrize(("length", "size"), [(1, 120), (2, 120), (3, 200), (30, 60), (60, 30), (70, 71)])
def test_distances_are_those_of_sacrebleu_for_each_of_several_hypotheses(length, size):
    """Where a hypothesis is a few words, the band is wider."""
    ref = [9] * size
    ref[size // 12], ref[-1] = 0, 1
    hyps = [[(k * step) % 3 for k in range(length)] for step in (1, 2, 4)]
    distance = lib_ter.BeamEditDistance([str(word) for word in ref])
    expected = [distance([str(word) for word in hyp])[0] for hyp in hyps]
    assert edit_rate._distances(np.array(hyps, np.int32), np.array(ref, np.int32)).tolist() == expected


def test_ter_of_a_corpus_with_several_references_is_sacrebleus():
    _, hyps, refs = corpus(30)
    columns = [[choices[0] for choices in refs], [choices[-1] for choices in refs]]
    assert (
        sacrebleu_metrics("13a", False)["ter"].corpus_score(hyps, columns).score
        == TER().corpus_score(hyps, columns).score
    )


def test_a_document_takes_a_moment():
    """Of sacreBLEU's own, a tenth of this line takes ten seconds."""
    words = [f"w{k * k % 997}" for k in range(1000)]
    start = time.process_time()
    edits, length = translation_edits(words[600:] + words[:600], words)
    assert time.process_time() - start < 30
    assert (0 < edits < 1000, length) == (True, 1000)
