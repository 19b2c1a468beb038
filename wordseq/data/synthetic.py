"""Synthetic corpora: pairs without a download, the same on every machine."""

import datetime
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from wordseq.data.pairs import Pair
from wordseq.data.readers.lines import read_sentences
from wordseq.system.errors import UserError

PHRASEBOOK = Path(__file__).with_name("phrasebook.tsv.gz")

SYMBOLS = tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX")

_STRINGS = 20_000

_SHORTEST, _LONGEST = 5, 12

# As in Keras' example addition_rnn: 50,000 questions of up to 3 digits.
_QUESTIONS = 50_000

_DIGITS = 3

_DATES = 20_000

_FIRST_DATE, _LAST_DATE = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)

# For each language: months, weekdays from Monday, and the ways of writing a date. {w} weekday, {d} day, {m} month, {y} year;
# {dd} and {mm} have two digits; {nth} is an ordinal number.
_WRITTEN = MappingProxyType(
    {
        "English": (
            "January February March April May June July August September October November December",
            "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
            ("{m} {d}, {y}", "{w}, {m} {nth}, {y}", "{d} {m} {y}", "{nth} of {m} {y}", "{w} the {nth} of {m}, {y}"),
        ),
        "French": (
            "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
            "lundi mardi mercredi jeudi vendredi samedi dimanche",
            ("{d} {m} {y}", "le {w} {d} {m} {y}", "le {d} {m} {y}"),
        ),
        "German": (
            "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
            "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
            ("{d}. {m} {y}", "{w}, den {d}. {m} {y}", "{dd}.{mm}.{y}", "{d}.{mm}.{y}"),
        ),
        "Spanish": (
            "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
            "lunes martes miércoles jueves viernes sábado domingo",
            ("{d} de {m} de {y}", "{w}, {d} de {m} de {y}", "el {d} de {m} de {y}"),
        ),
        "Polish": (
            "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
            "poniedziałek wtorek środa czwartek piątek sobota niedziela",
            ("{d} {m} {y}", "{d} {m} {y} r.", "{w}, {d} {m} {y}"),
        ),
        "Russian": (
            "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
            "понедельник вторник среда четверг пятница суббота воскресенье",
            ("{d} {m} {y} г.", "{w}, {d} {m} {y} года", "{d} {m} {y}"),
        ),
        "Turkish": (
            "Ocak Şubat Mart Nisan Mayıs Haziran Temmuz Ağustos Eylül Ekim Kasım Aralık",
            "Pazartesi Salı Çarşamba Perşembe Cuma Cumartesi Pazar",
            ("{d} {m} {y}", "{d} {m} {y} {w}"),
        ),
        "Japanese": (
            " ".join(f"{month}月" for month in range(1, 13)),
            " ".join(f"{day}曜日" for day in "月火水木金土日"),
            ("{y}年{m}{d}日", "{y}年{m}{d}日({w})", "{y}/{mm}/{dd}"),
        ),
    }
)


class Synthetic(NamedTuple):
    """A synthetic corpus: a one-line description, the function that returns its pairs, codes of its languages if it has any."""

    description: str
    pairs: Callable[[], list[Pair]]
    languages: tuple[str, str] | None = None


def phrasebook() -> list[Pair]:
    """23,773 pairs, English to French, from the grammar in data/phrasebook; pairs with one source are adjacent."""
    return [Pair(*line.split("\t")) for line in read_sentences(PHRASEBOOK)]


def copy(seed: int = 1) -> list[Pair]:
    """20,000 distinct strings of 5 to 12 symbols out of 50, each paired with itself."""
    return [Pair(" ".join(symbols), " ".join(symbols)) for symbols in _strings(seed)]


def reverse(seed: int = 1) -> list[Pair]:
    """20,000 distinct strings of 5 to 12 symbols out of 50, each paired with its reversal."""
    return [Pair(" ".join(symbols), " ".join(reversed(symbols))) for symbols in _strings(seed)]


def _strings(seed: int) -> list[tuple[str, ...]]:
    rng = random.Random(seed)
    # A dict, not a set: it keeps the order of drawing, which must not depend on the hash seed of the process.
    found: dict[tuple[str, ...], None] = {}
    while len(found) < _STRINGS:
        found[tuple(rng.choices(SYMBOLS, k=rng.randint(_SHORTEST, _LONGEST)))] = None
    return list(found)


def addition(seed: int = 1) -> list[Pair]:
    """50,000 distinct sums such as "123+45" -> "168", of two numbers of up to 3 digits.

    As in Keras' example `addition_rnn`, the number of digits is drawn first, so that short numbers are not rare. "1+2" and
    "2+1" count as the same question. Unlike there, nothing is padded.
    """
    rng = random.Random(seed)
    found: dict[tuple[int, int], Pair] = {}
    while len(found) < _QUESTIONS:
        first, second = _number(rng), _number(rng)
        found.setdefault((min(first, second), max(first, second)), Pair(f"{first}+{second}", str(first + second)))
    return list(found.values())


def _number(rng: random.Random) -> int:
    return rng.randrange(10 ** rng.randint(1, _DIGITS))


def dates(seed: int = 1) -> list[Pair]:
    """20,000 distinct dates from 1900 to 2099 as people write them in eight languages, each with its form in ISO 8601.

    For example "3rd of May 2021" -> "2021-05-03". A date occurs once, in one way of writing, so that no split shares a target
    with another. No way is ambiguous: day and month are never both numbers but in "03.05.2021" and "2021/05/03".
    """
    rng = random.Random(seed)
    days = (_LAST_DATE - _FIRST_DATE).days + 1
    # Not `sample`: only `random` is the same in every Python version.
    found: dict[int, Pair] = {}
    while len(found) < _DATES:
        number = int(rng.random() * days)
        language = list(_WRITTEN)[int(rng.random() * len(_WRITTEN))]
        ways = _WRITTEN[language][2]
        way = ways[int(rng.random() * len(ways))]
        date = _FIRST_DATE + datetime.timedelta(number)
        found.setdefault(number, Pair(_written(date, language, way), date.isoformat()))
    return list(found.values())


def _written(date: datetime.date, language: str, way: str) -> str:
    months, weekdays, _ = _WRITTEN[language]
    first = language == "French" and date.day == 1
    return way.format(
        w=weekdays.split(" ")[date.weekday()],
        m=months.split(" ")[date.month - 1],
        d="1er" if first else date.day,
        y=date.year,
        dd=f"{date.day:02}",
        mm=f"{date.month:02}",
        nth=f"{date.day}{_ending(date.day)}",
    )


def _ending(number: int) -> str:
    """The ending of an English ordinal number."""
    return "th" if 11 <= number <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


SYNTHETIC: Mapping[str, Synthetic] = MappingProxyType(
    {
        "phrasebook": Synthetic(
            "English-French everyday sentences from a hand-written grammar", phrasebook, ("en", "fr")
        ),
        "copy": Synthetic("strings of 5-12 symbols, each paired with itself", copy),
        "reverse": Synthetic("strings of 5-12 symbols, each paired with its reversal", reverse),
        "addition": Synthetic("sums of two numbers of up to 3 digits, character by character", addition),
        "dates": Synthetic("dates as written in eight languages, each paired with its form in ISO 8601", dates),
    }
)


def make(name: str) -> list[Pair]:
    """The pairs of a synthetic corpus.

    Raises:
        UserError: the name is unknown.
    """
    if name not in SYNTHETIC:
        raise UserError(f"unknown synthetic corpus {name!r}; choose from {', '.join(sorted(SYNTHETIC))}")
    return SYNTHETIC[name].pairs()
