"""One spelling for what looks the same."""

import unicodedata
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wordseq.text.normalise import STORM_MARKS, describe_counts, normalise, prepare

# Letters, marks that compose, and whatever is treated in a special way, close together.
ODD = st.text(
    st.sampled_from(
        "ae’ .!\u0301\u0308\u00e9\u1e69\u0130\u00a0\u202f\u2009\t\r\x0b\x0c\x1c\x85\u2028\u3000"
        "\u200b\ufeff\u00ad\u200e\x00\x7f\u200d"
    )
)


@given(st.text() | ODD)
@example("e\u200b\u0301")
@example(" \u200b ")
@example("\u2000")
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise(text)
    counts: Counter[str] = Counter()
    assert normalise(once, counts) == once
    assert sum(counts.values()) == once.count("’")


@given(st.text() | ODD)
def test_nothing_invisible_is_left(text: str) -> None:
    text = normalise(text)
    assert unicodedata.is_normalized("NFC", text)
    assert text == " ".join(text.split())
    assert not any(unicodedata.category(letter) == "Cc" for letter in text)
    assert not set(text) & set("\u200b\ufeff\u00ad\u2060\u200e\u202a")


@given(ODD)
def test_lower_case_is_normalised_too(text: str) -> None:
    lowered = prepare(text, lowercase=True)
    assert normalise(lowered) == lowered == prepare(lowered, lowercase=True)


@pytest.mark.parametrize(
    ("text", "expected", "counts"),
    [
        ("Plain text.", "Plain text.", {}),
        ("Où\u00a0?\u202f!", "Où ? !", {"no-break spaces": 2}),
        ("a\u2009b\u3000c", "a b c", {"thin and other wide spaces": 2}),
        (" a", "a", {"lines with spaces collapsed or stripped": 1}),
        ("a ", "a", {"lines with spaces collapsed or stripped": 1}),
        ("a\tb", "a b", {"tabs": 1}),
        ("a\u2028b\x0bc\x85d\re", "a b c d e", {"line and page breaks": 4}),
        ("  a   b ", "a b", {"lines with spaces collapsed or stripped": 1}),
        ("zero\u200bwidth\ufeff", "zerowidth", {"zero-width characters": 1, "byte-order marks": 1}),
        ("hy\u00adphen", "hyphen", {"soft hyphens": 1}),
        ("a\u200fb\u202cc", "abc", {"direction marks": 2}),
        ("n\x00u\x07l", "nul", {"control characters": 2}),
        ("cafe\u0301", "café", {"lines recomposed (NFC)": 1}),
        ("l’été d’ici", "l’été d’ici", {"typographic apostrophes kept": 2}),
        ("می\u200cخواهم", "می\u200cخواهم", {}),
        ("👩\u200d🔬", "👩\u200d🔬", {}),
        (
            "\u200b \ufeff",
            "",
            {"zero-width characters": 1, "byte-order marks": 1, "lines with spaces collapsed or stripped": 1},
        ),
    ],
)
def test_each_change_is_made_and_counted(text: str, expected: str, counts: dict[str, int]) -> None:
    found: Counter[str] = Counter()
    assert normalise(text, found) == expected
    assert +found == counts


def test_lower_case() -> None:
    assert prepare("ÉTÉ  Straße", lowercase=True) == "été straße"
    assert prepare("ÉTÉ", lowercase=False) == "ÉTÉ"
    assert prepare("\u0130\u0327", lowercase=True) == "i\u0327\u0307"


def test_counts_are_one_phrase() -> None:
    assert describe_counts({"tabs": 1234, "soft hyphens": 2, "no": 0}) == "tabs 1,234, soft hyphens 2"
    assert describe_counts({}).startswith("no text needed a change")


def test_a_storm_of_marks_is_cut_in_good_time():
    """Sorting a row of n marks takes n * n steps: without the cut this would be hours."""
    for marks in ("\u0301\u0327", "\u0327\u200b\u0301", "\u0344", "\u0301" * 50 + "\u0327" * 50):
        counts: Counter[str] = Counter()
        text = f"e{marks * (600_000 // len(marks))} and more"
        calm = normalise(text, counts)
        assert len(calm) < 31 + len("e and more") + 1
        assert normalise(calm) == calm == normalise(text)
        assert counts[STORM_MARKS] > 300_000
    # A short row, and a row in a short text, stay.
    short = "e" + "\u0301" * 40
    assert normalise(short) == "\u00e9" + "\u0301" * 39
    long = "x" * 2000 + "e" + "\u0327" * 29
    assert unicodedata.normalize("NFC", long) == normalise(long)


REMOVED = "\u200b\u2060\ufeff\u00ad\u061c\u200e\u200f\u202a\u202e\u2066\u2069\x00\x08\x0e\x7f\x86\x9f"
SPACES = "\u00a0\u202f\t\n\v\f\r\x1c\x1f\x85\u2028\u2029\u1680\u2000\u200a\u205f\u3000"


@pytest.mark.parametrize("char", REMOVED, ids=ascii)
def test_invisible_characters_are_removed(char):
    assert normalise(f"a{char}b") == "ab"


@pytest.mark.parametrize("char", SPACES, ids=ascii)
def test_what_looks_like_a_space_is_one(char):
    assert normalise(f"a{char}b") == "a b"
