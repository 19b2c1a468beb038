import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from wordseq.config.arguments import real_number, text_list, whole_number


class Table:
    """As a DataFrame: two dimensions, and iterating gives the names of its columns."""

    ndim = 2

    def __iter__(self):
        return iter(["a column"])


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        iter,
        lambda texts: (text for text in texts),
        lambda texts: map(str.strip, texts),
        lambda texts: dict.fromkeys(texts).keys(),
        np.array,
        lambda texts: np.array(texts, object),
    ],
)
def test_texts_are_read_from_whatever_has_an_order(make):
    texts = ["one", "two", "three"]
    found = text_list("texts", make(texts))
    assert found == texts
    assert type(found) is list


def test_lines_of_an_open_file_are_texts_and_bytes_are_not(tmp_path):
    (tmp_path / "in").write_text("one\ntwo\n")
    with (tmp_path / "in").open() as file:
        assert text_list("texts", file) == ["one\n", "two\n"]
    with (
        (tmp_path / "in").open("rb") as file,
        pytest.raises(TypeError, match=r"texts\[0\] must be a text \(str\), got b'one"),
    ):
        text_list("texts", file)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one", "texts must be a list of texts, got one text; write [text]"),
        (np.str_("one"), "texts must be a list of texts, got one text; write [text]"),
        (b"one", "texts must be a list of texts, got b'one' (bytes)"),
        (None, "texts must be a list of texts, got None"),
        (3, "texts must be a list of texts, got 3 (int)"),
        (math.nan, "texts must be a list of texts, got nan (float)"),
        ({"one": 1}, "texts must be a list of texts, got {'one': 1} (dict)"),
        ({"one"}, "texts must be a list of texts, got a set, which has no order"),
        (Table(), "texts must be a list of texts, got Table of 2 dimensions; choose a column"),
        (np.array([["one", "two"]]), "texts must be a list of texts, got ndarray of 2 dimensions; choose a column"),
        (np.array("one"), "texts must be a list of texts, got ndarray of 0 dimensions; choose a column"),
        (["one", None], "texts[1] must be a text (str), got None"),
        (["one", "two", math.nan], "texts[2] must be a text (str), got nan (float)"),
        ([b"one"], "texts[0] must be a text (str), got b'one' (bytes)"),
        ([["one"]], "texts[0] must be a text (str), got ['one'] (list)"),
        (range(2), "texts[0] must be a text (str), got 0 (int)"),
        (["x", ["y" * 100]], f"texts[1] must be a text (str), got ['{'y' * 38}... (list)"),
    ],
)
def test_what_is_no_list_of_texts_is_named_with_its_place(texts, message):
    with pytest.raises(TypeError) as caught:
        text_list("texts", texts)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "value", [True, False, 1.0, np.float64(1), np.bool_(True), "1", None, math.nan, [1], Decimal(1)]
)
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(TypeError, match="n must be a whole number of at least 1, got "):
        whole_number("n", value, 1)


@pytest.mark.parametrize("value", [True, "1", b"1", None, [1.0], 1j])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match="n must be a number from 0 to 2, got "):
        real_number("n", value, 0, 2)


def test_numbers_within_bounds_are_pythons_own():
    for value in (1, np.int8(1), np.uint64(1)):
        assert whole_number("n", value, 1, 1) == 1
        assert type(whole_number("n", value, 1, 1)) is int
    for value in (1, 1.0, np.float32(1), np.int64(1), Fraction(2, 2)):
        assert real_number("n", value, 1, 1) == 1
        assert type(real_number("n", value, 1, 1)) is float


def test_numbers_out_of_bounds_are_refused():
    for value in (0, 3, 10**30, -1):
        with pytest.raises(ValueError, match=f"n must be a whole number from 1 to 2, got {value}"):
            whole_number("n", value, 1, 2)
    for value in (0.9, 2.1, math.inf, -math.inf, math.nan, np.float32("nan")):
        with pytest.raises(ValueError, match=f"n must be a number from 1 to 2, got {value:g}"):
            real_number("n", value, 1, 2)
    with pytest.raises(ValueError, match="n must be a number of at least 0, got inf"):
        real_number("n", math.inf, 0)
