"""Synthetic tasks: their laws, their sizes, and that they are the same everywhere."""

import datetime
import functools
import re
from collections import Counter, defaultdict

import pytest

from wordseq.data.pairs import Pair
from wordseq.data.synthetic import SYMBOLS, SYNTHETIC, addition, copy, dates, make, reverse
from wordseq.system.errors import UserError

MADE = {"copy": copy, "reverse": reverse, "addition": addition}


@functools.cache
def made(name):
    """The pairs of a task, made once for all tests."""
    return MADE[name]()


@pytest.mark.parametrize("name", ["copy", "reverse"])
def test_strings_are_distinct_and_of_the_promised_length(name):
    pairs = made(name)
    assert len({pair.src for pair in pairs}) == len(pairs) == 20_000
    assert len(set(SYMBOLS)) == 50
    lengths = {len(pair.src.split(" ")) for pair in pairs}
    assert lengths == set(range(5, 13))
    assert {symbol for pair in pairs for symbol in pair.src.split(" ")} == set(SYMBOLS)


def test_copy_repeats_its_source():
    assert all(pair.src == pair.tgt for pair in made("copy"))


def test_reverse_reverses_its_source():
    assert all(pair.tgt.split(" ") == pair.src.split(" ")[::-1] for pair in made("reverse"))
    assert any(pair.tgt != pair.src for pair in made("reverse"))


def test_addition_adds():
    for src, tgt in made("addition"):
        first, second = src.split("+")
        assert int(first) + int(second) == int(tgt)


def test_addition_has_distinct_questions_of_up_to_three_digits():
    sums = made("addition")
    numbers = [tuple(sorted(map(int, pair.src.split("+")))) for pair in sums]
    assert len(set(numbers)) == len(sums) == 50_000
    assert {len(number) for pair in sums for number in pair.src.split("+")} == {1, 2, 3}
    assert not any(" " in pair.src for pair in sums)
    # The number of digits is drawn first; of 1,000 numbers drawn evenly 10 would have one digit.
    lengths = [len(number) for pair in sums for number in pair.src.split("+")]
    assert lengths.count(1) / len(lengths) > 0.05


def test_no_date_is_written_twice():
    pairs = dates()
    assert len({pair.tgt for pair in pairs}) == len({pair.src for pair in pairs}) == len(pairs) == 20_000
    assert {pair.tgt[:2] for pair in pairs} == {"19", "20"}


def test_the_numbers_of_a_written_date_are_those_of_the_date():
    for src, tgt in dates():
        date = datetime.date.fromisoformat(tgt)
        expected = [date.day, date.year]
        if "年" in src or "/" in src:
            expected = [date.year, date.month, date.day]
        elif re.fullmatch("[0-9.]+", src) or re.search(r"[0-9]\.[0-9]", src):
            expected = [date.day, date.month, date.year]
        assert list(map(int, re.findall("[0-9]+", src))) == expected, (src, tgt)


def test_ordinal_numbers_have_the_endings_of_english_and_the_first_of_a_month_that_of_french():
    endings = {match.groups() for src, _ in dates() for match in re.finditer(r"([0-9]+)(st|nd|rd|th|er)\b", src)}
    others = {"1": "st", "21": "st", "31": "st", "2": "nd", "22": "nd", "3": "rd", "23": "rd"}
    expected = {(str(day), others.get(str(day), "th")) for day in range(1, 32)}
    assert endings == expected | {("1", "er")}


def test_a_name_of_a_month_or_a_weekday_is_the_right_one():
    english = [(src, tgt) for src, tgt in dates() if re.fullmatch("[A-Z][a-z]+, [A-Z][a-z]+ [0-9a-z]+, [0-9]+", src)]
    assert len(english) > 100
    for src, tgt in english:
        shown = re.sub("(st|nd|rd|th),", ",", src)
        date = datetime.datetime.strptime(shown, "%A, %B %d, %Y")
        assert (date.date().isoformat(), f"{date:%A}") == (tgt, src.split(",")[0])
    # In the other languages: a word belongs to one month, or to one weekday, or to all dates.
    months, weekdays = defaultdict(Counter), defaultdict(Counter)
    for src, tgt in dates():
        date = datetime.date.fromisoformat(tgt)
        for word in set(re.findall(r"[^\W\d_]{3,}", src)):
            months[word][date.month] += 1
            weekdays[word][date.weekday()] += 1
    of_month = {word for word, found in months.items() if len(found) == 1}
    of_weekday = {word for word, found in weekdays.items() if len(found) == 1}
    # Seven languages have names of months; English and German share April, August, September and November.
    assert len(of_month) == 7 * 12 - 4
    assert len(of_weekday) == 8 * 7
    assert not of_month & of_weekday
    assert set(months) - of_month - of_weekday == {"den", "the", "года"}


def test_strings_depend_on_the_seed():
    assert copy(1) == made("copy")
    assert copy(2) != made("copy")


def test_sums_depend_on_the_seed():
    assert addition(2) != made("addition")


def test_make_gives_the_default_seed_of_every_task():
    assert set(SYNTHETIC) == {"phrasebook", "copy", "reverse", "addition", "dates"}
    for name in MADE:
        assert make(name) == made(name)
        assert all(isinstance(pair, Pair) for pair in made(name))
    for task in SYNTHETIC.values():
        assert task.description
        assert "\n" not in task.description


def test_an_unknown_name_lists_the_names():
    with pytest.raises(
        UserError, match=r"unknown synthetic corpus 'copi'; choose from addition, copy, dates, phrasebook"
    ):
        make("copi")


def test_the_mapping_is_read_only():
    with pytest.raises(TypeError):
        SYNTHETIC["mine"] = SYNTHETIC["copy"]
