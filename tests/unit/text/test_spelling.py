import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordseq.text.spelling import CODE_POINTS, Spelling

WORDS = st.sets(st.text("abcdé·", min_size=1, max_size=8), max_size=8)
NEVER_SEEN = "ж"


@given(WORDS)
def test_probabilities_of_the_next_letter_sum_to_one(words):
    spelling = Spelling(words)
    end = spelling.bits("")
    letters = sum(2 ** -(spelling.bits(letter) - end) for letter in set("".join(words)))
    others = CODE_POINTS * 2 ** -(spelling.bits(NEVER_SEEN) - end)
    assert letters + others + 2**-end == pytest.approx(1)


@given(WORDS, st.text(max_size=6), st.text(max_size=6))
def test_letters_are_drawn_one_by_one(words, one, other):
    spelling = Spelling(words)
    assert spelling.bits(one) > 0
    assert spelling.bits(one + other) == pytest.approx(spelling.bits(one) + spelling.bits(other) - spelling.bits(""))


def test_by_hand():
    # "ab", "a" and two ends: 2 + 1 letters, 2 ends, and one more of each of the four kinds.
    spelling = Spelling(["ab", "a"])
    assert spelling.bits("") == pytest.approx(math.log2(9 / 3))
    assert spelling.bits("a") == pytest.approx(2 * math.log2(9 / 3))
    assert spelling.bits("b") == pytest.approx(math.log2(9 / 2) + math.log2(9 / 3))
    assert spelling.bits(NEVER_SEEN) == pytest.approx(math.log2(9 * CODE_POINTS) + math.log2(9 / 3))
