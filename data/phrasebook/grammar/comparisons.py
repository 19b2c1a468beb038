"""Sentence patterns of the phrasebook: comparisons, superlatives, who is who and what is what."""

from grammar.clauses import (
    Entry,
    NounPhrase,
    Subject,
    VerbPhrase,
    entry,
    fr_from_country,
    statement,
)
from grammar.draw import (
    FAMILY,
    NAMED,
    Draw,
    kin_dets,
    pick_other,
    pick_who,
    with_your,
)
from grammar.lexicon import (
    ADJECTIVES,
    ATTRIBUTES,
    CLOTHES,
    COUNTRIES,
    FOOD,
    PEOPLE,
    READING,
    RELATIVES,
    THINGS,
    VEHICLES,
    Adjective,
    adjectives,
    nouns,
)
from grammar.morphology import (
    en_article,
    en_plural,
    fr_agree,
    sounds_like_vowel,
)

# --- Comparing and identifying ---

_GOOD = ADJECTIVES["good"]
_COMPARED_PEOPLE = adjectives(
    "tall, young, strong, rich, poor, intelligent, kind, shy, polite, patient, curious, lazy, happy, famous"
)


def compare_people(draw: Draw) -> Entry:
    """Paul is taller than my brother; she isn't as shy as Alice."""
    first, second = pick_other(draw), draw.one(draw.either(NAMED, FAMILY))[0]
    if second.en == first.en:
        second = Subject("the teacher", "le professeur", 2)
    adjective = draw.one(_COMPARED_PEOPLE)
    return _comparison(draw, first, second, adjective)


def _comparison(draw: Draw, first: Subject, second: Subject, adjective: Adjective) -> Entry:
    # "Less tall" is rare: only adjectives that take "more" take "less".
    degree = draw.either("more", "as", *(() if adjective.comparative or adjective is _GOOD else ("less",)))
    form = fr_agree(adjective, first.gender, plural=first.plural)
    if degree == "more":
        english = f"{_en_comparative(adjective)} than"
        french = fr_agree(_BETTER, first.gender, plural=first.plural) if adjective is _GOOD else f"plus {form}"
    else:
        english = {"as": f"as {adjective.en} as", "less": f"less {adjective.en} than"}[degree]
        french = {"as": f"aussi {form}", "less": f"moins {form}"}[degree]
    phrase = VerbPhrase("be", "être", None, f"{english} {second.en}", f"{french} que {second.fr}")
    return statement((first,), phrase, "simple", "not" if degree == "as" and draw.chance(0.4) else "")


_BETTER = Adjective("better", "meilleur")


def _en_comparative(adjective: Adjective) -> str:
    return "better" if adjective is _GOOD else adjective.comparative or f"more {adjective.en}"


_COMPARED_KINDS = (
    (CLOTHES, adjectives("expensive, beautiful, big, small, old, pretty")),
    (READING, adjectives("interesting, boring, long, good, funny, good")),
    (nouns("car, bike, boat, train, bus, plane"), adjectives("fast, expensive, big, old, comfortable")),
    (
        nouns("box, suitcase, bag, table, lamp, chair, mirror, clock"),
        adjectives("heavy, expensive, big, old, beautiful"),
    ),
    (
        nouns("house, apartment, kitchen, bedroom, garden, hotel, church, castle, school, library"),
        adjectives("big, modern, quiet, old, beautiful, small"),
    ),
    (nouns("meat, chicken, fish, ham"), adjectives("good, expensive, good")),
    (nouns("wine, beer, lemonade"), adjectives("good, expensive, good")),
    (nouns("coffee, tea, milk"), adjectives("good, hot, good")),
    (FOOD, adjectives("good, small, good, expensive")),
)


def compare_things(draw: Draw) -> Entry:
    """This book is better than the film; my bike is faster than your bus."""
    items, fitting = draw.one(_COMPARED_KINDS)
    first, second = draw.one(items), draw.one(items)
    if first is second:
        second = items[0] if first is not items[0] else items[1]
    plural = items is FOOD or (items in (CLOTHES, READING) and draw.chance(0.3))
    one, other = NounPhrase(first, "this", plural).subject(), NounPhrase(second, "the", plural).subject()
    return _comparison(draw, one, other, draw.one(fitting))


_SUPERLATIVES = (
    (
        nouns("man, woman, boy, girl, teacher, student, doctor, actress"),
        adjectives("tall, intelligent, rich, famous, strong, kind"),
    ),
    (nouns("restaurant, hotel, museum"), adjectives("good, beautiful, expensive, old, big")),
    (nouns("house, church, bridge, castle, library, park"), adjectives("beautiful, old, big, small, modern")),
    (nouns("city, village, beach"), adjectives("beautiful, old, big, small, quiet")),
)
_SETTINGS = (("in the village", "du village"), ("in the city", "de la ville"), ("in the country", "du pays"))


def superlative(draw: Draw) -> Entry:
    """It is the best restaurant in the city; he is the richest man in the village."""
    items, fitting = draw.one(_SUPERLATIVES)
    noun, adjective = draw.one(items), draw.one(fitting)
    setting = ("in the country", "du pays") if noun.en in ("city", "village", "beach") else draw.one(_SETTINGS)
    if draw.chance(0.4) and noun.kind == "building":
        setting = draw.one(_SUPERLATIVE_COUNTRIES)
    superlative_en = "best" if adjective is _GOOD else _en_superlative(adjective)
    form = fr_agree(_BETTER if adjective is _GOOD else adjective, noun.gender)
    more = form if adjective is _GOOD else f"plus {form}"
    if adjective.vowel and noun.gender == "m" and sounds_like_vowel(noun.fr):
        more = f"plus {adjective.vowel}"
    article = "le" if noun.gender == "m" else "la"
    french = f"{article} {more} {noun.fr}" if adjective.before else f"{article} {noun.fr} {article} {more}"
    pronoun = "it" if noun.kind != "person" else "he" if noun.gender == "m" else "she"
    return entry(f"{pronoun} is the {superlative_en} {noun.en} {setting[0]}", (f"c'est {french} {setting[1]}",))


_SUPERLATIVE_COUNTRIES = tuple((f"in {en}", fr_from_country(fr, gender)) for en, fr, gender in COUNTRIES)


def _en_superlative(adjective: Adjective) -> str:
    return adjective.comparative[:-1] + "st" if adjective.comparative else f"most {adjective.en}"


_JOBS = nouns("teacher, doctor, baker, student, farmer, lawyer, engineer, waiter")
_WOMENS_JOBS = nouns("nurse, actress, singer")


def profession(draw: Draw) -> Entry:
    """She is a nurse; my uncle is a lawyer."""
    who = pick_who(draw)
    if who[0].en in _PEOPLE_NAMES or who[0].plural:
        who = draw.one(NAMED)
    noun = draw.one(_JOBS if who[0].gender == "m" else _WOMENS_JOBS)
    phrase = VerbPhrase("be", "être", None, en_article(noun.en), noun.fr)
    middle = draw.either("", "", "not", "no longer")
    tense = "simple" if middle == "no longer" else draw.either("simple", "simple", "was")
    return statement(who, phrase, tense, middle)


_PEOPLE_NAMES = frozenset(f"the {one}" for noun in PEOPLE for one in (noun.en, en_plural(noun)))
_DETS = ("my", "your", "his", "her", "our", "their")
_IDENTIFIED = (*CLOTHES, *READING, *VEHICLES, *THINGS, *RELATIVES)


def identify(draw: Draw) -> Entry:
    """This is my cousin; these are his shoes; it is a good book."""
    noun = draw.one(_IDENTIFIED)
    if noun.kind != "person" and draw.chance(0.4):
        obj = NounPhrase(noun, "a", adjective=draw.one(ATTRIBUTES[noun.kind]))
        return entry(f"it is {obj.en()}", (f"c'est {obj.fr()}",))
    det = draw.either(*kin_dets(noun)) if noun.kind == "person" else draw.either(*_DETS)
    plural = noun.kind != "person" and draw.chance(0.4)
    readings = with_your(noun, det, plural=plural)
    negative = draw.chance(0.2)
    english = f"{'these are' if plural else 'this is'}{' not' if negative else ''} {readings[0].en}"
    start = {
        (False, False): "c'est",
        (False, True): "ce n'est pas",
        (True, False): "ce sont",
        (True, True): "ce ne sont pas",
    }[plural, negative]
    return entry(english, (f"{start} {one.fr}" for one in readings))
