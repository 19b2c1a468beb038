"""Sentence patterns of the phrasebook: the time, dates, prices, the weather."""

from collections.abc import Sequence

from grammar.clauses import Entry, NounPhrase, Subject, VerbPhrase, en_question, entry, statement, words
from grammar.draw import IN_CITY, IN_COUNTRY, NAMED, Draw
from grammar.lexicon import (
    CLOTHES,
    EVENTS,
    NOW_TIMES,
    NUMBERS,
    PAIRED,
    PAST_TIMES,
    RELATIVES,
    SOON_TIMES,
    nouns,
)
from grammar.morphology import fr_de, fr_present

# --- Time, money, weather ---

_HOURS = tuple(range(1, 13))
_MINUTES = (
    "o'clock",
    "five past",
    "ten past",
    "quarter past",
    "twenty past",
    "half past",
    "twenty to",
    "quarter to",
    "ten to",
    "five to",
)
_FR_MINUTES = {
    "o'clock": "",
    "five past": "cinq",
    "ten past": "dix",
    "quarter past": "et quart",
    "twenty past": "vingt",
    "half past": "et demie",
    "twenty to": "moins vingt",
    "quarter to": "moins le quart",
    "ten to": "moins dix",
    "five to": "moins cinq",
}
_DEPARTURES = (
    *((("leave", "partir"), NounPhrase(noun, "the").subject()) for noun in nouns("train, bus, plane, boat")),
    *((("arrive", "arriver"), NounPhrase(noun, "the").subject()) for noun in nouns("train, bus, plane, boat")),
    *(
        (("begin", "commencer"), NounPhrase(noun, "the").subject())
        for noun in nouns("film, meeting, concert, match, lesson, party")
    ),
    *(
        (("open", "ouvrir"), NounPhrase(noun, "the").subject())
        for noun in nouns("bank, museum, bakery, library, pharmacy, market")
    ),
    *(
        (("close", "fermer"), NounPhrase(noun, "the").subject())
        for noun in nouns("bank, museum, supermarket, library, pharmacy, post office")
    ),
)


def _clock(draw: Draw) -> tuple[str, str]:
    """English and French of a time of day."""
    hour, minute = draw.one(_HOURS), draw.one(_MINUTES)
    english, french = NUMBERS[hour][0], NUMBERS[hour][1] if hour > 1 else "une"
    if hour == 12:
        return draw.one((("noon", "midi"), ("midnight", "minuit")))
    english = f"{english} o'clock" if minute == "o'clock" else f"{minute} {NUMBERS[hour][0]}"
    return english, words(french, "heure" if hour == 1 else "heures", _FR_MINUTES[minute])


def time_of_day(draw: Draw) -> Entry:
    """It is ten past three; the train leaves at half past six."""
    if draw.chance(0.25):
        english, french = _clock(draw)
        return entry(f"it is {english}", (f"il est {french}",))
    english, french = _clock(draw)
    (verb, fr_verb), subject = draw.one(_DEPARTURES)
    day = draw.one(_DAYS) if draw.chance(0.3) else ("", "")
    tail = (words(f"at {english}", f"on {day[0]}" if day[0] else ""), words(f"à {french}", day[1]))
    return statement((subject,), VerbPhrase(verb, fr_verb, None, *tail), "simple")


_DAYS = (
    *(("Monday", "lundi"), ("Tuesday", "mardi"), ("Wednesday", "mercredi"), ("Thursday", "jeudi")),
    *(("Friday", "vendredi"), ("Saturday", "samedi"), ("Sunday", "dimanche")),
)
_MONTHS = (
    *(("January", "janvier"), ("February", "février"), ("March", "mars"), ("April", "avril"), ("May", "mai")),
    *(("June", "juin"), ("July", "juillet"), ("August", "août"), ("September", "septembre")),
    *(("October", "octobre"), ("November", "novembre"), ("December", "décembre")),
)
_DATE_NUMBERS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 20, 25, 30)


def date(draw: Draw) -> Entry:
    """My sister's birthday is on May 3; the concert is on June 10."""
    month, day = draw.one(_MONTHS), draw.one(_DATE_NUMBERS)
    if month[0] == "February" and day == 30:
        day = 20
    en_date, fr_date = f"{month[0]} {day}", f"le {day} {month[1]}"
    kind = draw.either("today", "birthday", "event")
    if kind == "today":
        weekday = draw.one(_DAYS)
        return entry(f"today is {weekday[0]}, {en_date}", (f"aujourd'hui, c'est le {weekday[1]} {day} {month[1]}",))
    if kind == "birthday":
        owner = draw.one(draw.either(NAMED, _RELATIVE_OWNERS))[0]
        return entry(f"{owner.en}'s birthday is on {en_date}", (f"l'anniversaire {fr_de(owner.fr)} est {fr_date}",))
    event = NounPhrase(draw.one(EVENTS), "the")
    return entry(f"{event.en()} is on {en_date}", (f"{event.fr()} est {fr_date}",))


_RELATIVE_OWNERS = tuple((NounPhrase(noun, "my").subject(),) for noun in RELATIVES)
_PRICED = (
    *CLOTHES,
    *nouns(
        "book, novel, magazine, ticket, lamp, chair, clock, mirror, bag, umbrella, painting, watch, pen, map, cake, toy"
    ),
)
_PRICES = (5, 10, 12, 15, 20, 25, 30, 40, 50, 60, 100)


def _priced(draw: Draw) -> Subject:
    noun = draw.one(_PRICED)
    return NounPhrase(noun, draw.either("this", "the"), noun in PAIRED or draw.chance(0.3)).subject()


def price(draw: Draw) -> Entry:
    """This hat costs twenty euros; how much does the lamp cost?"""
    subject = _priced(draw)
    cost = fr_present("coûter", subject.person)
    if draw.chance(0.35):
        english = en_question(subject, VerbPhrase("cost", "coûter"), "simple", "how much")
        return entry(english, (f"combien {cost} {subject.fr}",), "?")
    english, french = NUMBERS[draw.one(_PRICES)]
    tail = (f"{english} euros", f"{french} euros")
    return statement((subject,), VerbPhrase("cost", "coûter", None, *tail), "simple")


# English after "it", French after "il", by tense: now, then, later, later by "going to".
_WEATHER = (
    (("is cold", "fait froid"), ("was cold", "faisait froid"), ("will be cold", "fera froid")),
    (("is hot", "fait chaud"), ("was hot", "faisait chaud"), ("will be hot", "fera chaud")),
    (("is windy", "y a du vent"), ("was windy", "y avait du vent"), ("will be windy", "y aura du vent")),
    (("is sunny", "y a du soleil"), ("was sunny", "y avait du soleil"), ("will be sunny", "y aura du soleil")),
    (("is raining", "pleut"), ("rained", "a plu"), ("is going to rain", "va pleuvoir")),
    (("is snowing", "neige"), ("snowed", "a neigé"), ("is going to snow", "va neiger")),
    (("isn't raining", "ne pleut pas"), ("didn't rain", "n'a pas plu"), ("won't rain", "ne pleuvra pas")),
    (
        ("isn't cold", "ne fait pas froid"),
        ("wasn't cold", "ne faisait pas froid"),
        ("won't be cold", "ne fera pas froid"),
    ),
)
_WEATHER_TIMES: tuple[Sequence[tuple[str, str]], ...] = (
    (*NOW_TIMES, ("today", "aujourd'hui")),
    PAST_TIMES[:4] + PAST_TIMES[11:],
    SOON_TIMES,
)


def weather(draw: Draw) -> Entry:
    """It is snowing in Berlin; it will be cold tomorrow."""
    tense = draw.either(0, 1, 2)
    english, french = draw.one(_WEATHER)[tense]
    kind = draw.either("place", "time", "both")
    place = draw.one(draw.either(IN_CITY, IN_COUNTRY)) if kind != "time" else ("", "")
    time = draw.one(_WEATHER_TIMES[tense]) if kind != "place" or tense else ("", "")
    return entry(words("it", english, place[0], time[0]), (words("il", french, place[1], time[1]),))
