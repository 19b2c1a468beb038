"""Sentence patterns of the phrasebook: how people and things are, what they have, where they are."""

from grammar.clauses import (
    MIDDLES,
    Entry,
    NounPhrase,
    Subject,
    VerbPhrase,
    Who,
    en_clause,
    entry,
    fr_clause,
    statement,
    words,
)
from grammar.draw import Draw, pick_who, with_your
from grammar.lexicon import (
    ABSOLUTE,
    ATTRIBUTES,
    BUILDINGS,
    CLOTHES,
    DRINKS,
    EXCESSIVE,
    FOOD,
    FOOD_MASS,
    FURNITURE,
    HAVE_IDIOMS,
    LANDMARKS,
    LIKED,
    LIKED_PLURAL,
    NOUNS,
    NUMBERS,
    OWNED,
    PAIRED,
    PEOPLE,
    PETS,
    PREDICATES,
    READING,
    SHOPS,
    SMALL_THINGS,
    SPOTS,
    THINGS,
    VEHICLES,
    WILD,
    Adjective,
    Noun,
    adjectives,
    nouns,
)
from grammar.morphology import elide, en_be, en_plural, fr_agree, fr_de, fr_plural, fr_present

# --- To be and to have ---


def _be(subject: Subject, adjective: Adjective, *, past: bool, middle: str, degree: tuple[str, str]) -> tuple[str, str]:
    english = en_clause(
        subject, VerbPhrase("be", "être", None, words(degree[0], adjective.en)), _be_tense(past=past), middle
    )
    form = fr_agree(adjective, subject.gender, plural=subject.plural)
    phrase = VerbPhrase("be", "être", None, "", words(degree[1], form))
    return english, fr_clause(subject, phrase, _be_tense(past=past), MIDDLES.get(middle, ""))


def _be_tense(*, past: bool) -> str:
    return "was" if past else "simple"


def _degree(draw: Draw, adjective: Adjective) -> tuple[str, str]:
    if adjective.en in ABSOLUTE or adjective.invariable or not draw.chance(0.35):
        return "", ""
    return ("too", "trop") if adjective.en in EXCESSIVE and draw.chance(0.5) else ("very", "très")


def person_is(draw: Draw) -> Entry:
    """My sister is very tired; they weren't ready."""
    who, adjective = pick_who(draw), draw.one(PREDICATES["person"])
    past, middle, degree = draw.chance(0.35), "not" if draw.chance(0.25) else "", _degree(draw, adjective)
    if degree[0] and middle:
        degree = ("", "")
    pairs = [_be(one, adjective, past=past, middle=middle, degree=degree) for one in who]
    return entry(pairs[0][0], (french for _, french in pairs))


_DESCRIBED = (
    *(CLOTHES, READING, VEHICLES, THINGS, FURNITURE, BUILDINGS, FOOD_MASS, FOOD),
    *(PETS, DRINKS, WILD),
)
_SINGULAR = ("building", "place", "furniture", "vehicle")
_SHARED = ("place", "event", "wild", "building", "food", "fruit", "drink", "plant")
_PUBLIC = nouns("train, bus, plane")
_THING_DETS = ("the", "this", "my", "the", "his", "her", "our", "their")
# Adjectives that fit these things only.
_SPECIAL = (
    (nouns("box, bag, suitcase"), adjectives("empty, full, heavy, big")),
    (nouns("glass, bottle, cup"), adjectives("empty, full, clean, dirty")),
    (nouns("door, window, castle, church, museum, library"), adjectives("open, closed")),
    (nouns("phone, computer, watch, clock, chair, lamp, glass, cup, mirror"), adjectives("broken")),
    (nouns("bed, chair, car"), adjectives("comfortable")),
    (nouns("knife, fork, spoon, plate, kitchen, bedroom"), adjectives("clean, dirty")),
    (nouns("coffee, tea, water, milk, soup"), adjectives("hot, cold")),
    (nouns("book, novel, lesson, poem"), adjectives("easy, difficult")),
    (nouns("film, song, novel, story"), adjectives("bad, good")),
    (nouns("lion, bear, wolf"), adjectives("dangerous")),
    (nouns("village, park, beach, hotel"), adjectives("quiet")),
)


def _described(draw: Draw) -> tuple[Noun, Adjective]:
    if draw.chance(0.45):
        items, fitting = draw.one(_SPECIAL)
        return draw.one(items), draw.one(fitting)
    noun = draw.one(draw.one(_DESCRIBED))
    return noun, draw.one(PREDICATES[noun.kind])


def thing_is(draw: Draw) -> Entry:
    """These shoes are too small; his car was black."""
    noun, adjective = _described(draw)
    det = draw.either("the", "this") if noun.kind in _SHARED or noun in _PUBLIC else draw.one(_THING_DETS)
    plural = noun in PAIRED or (noun.kind not in _SINGULAR and not noun.mass and draw.chance(0.3))
    subject = NounPhrase(noun, det, plural).subject()
    degree = _degree(draw, adjective)
    middle = "not" if not degree[0] and draw.chance(0.25) else ""
    english, french = _be(subject, adjective, past=draw.chance(0.25), middle=middle, degree=degree)
    return entry(english, (french,))


def idiom(draw: Draw) -> Entry:
    """I am very hungry; she wasn't right."""
    verb, en_tail, fr_tail, fr_negative, gradable = draw.one(HAVE_IDIOMS)
    if gradable and draw.chance(0.3):
        return statement(
            pick_who(draw), VerbPhrase(f"{verb} very {en_tail}", "avoir", None, "", f"très {fr_tail}"), "simple"
        )
    phrase = VerbPhrase(verb, "avoir", None, en_tail, fr_tail, fr_negative)
    tense = draw.either("simple", "simple", "was") if verb == "be" else "simple"
    return statement(pick_who(draw), phrase, tense, "not" if draw.chance(0.25) else "")


# Ages of children, of those who may be any age, of adults, of the old.
_YOUNG, _ANY, _GROWN, _AGED = (6, 7, 8, 9, 10, 11, 12), (10, 12, 15, 20, 25, 30, 40, 50), (30, 40, 50), (60,)
_AGE_OF: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("child", "children", "boy", "boys", "girl", "son", "daughter"), _YOUNG),
    **dict.fromkeys(("brother", "sister", "cousin"), _ANY),
    **dict.fromkeys(("grandfather", "grandmother"), _AGED),
}


def age(draw: Draw) -> Entry:
    """Her daughter is ten years old."""
    who = pick_who(draw)
    noun = who[0].en.partition(" ")[2]
    ages = _AGE_OF.get(noun, _GROWN) if noun else _ANY
    english, french = NUMBERS[draw.one(ages)]
    phrase = VerbPhrase("be", "avoir", None, f"{english} years old", f"{french} ans")
    return statement(who, phrase, draw.either("simple", "simple", "was"))


_OWNING = (
    (("have", "avoir"), OWNED),
    (("have", "avoir"), nouns("brother, sister, son, daughter, cousin, child")),
    (("want", "vouloir"), OWNED),
    (
        ("need", "avoir besoin"),
        nouns("car, bike, phone, computer, pen, umbrella, bag, lamp, bed, table, coat, hat, key"),
    ),
    (("know", "connaître"), tuple(noun for noun in PEOPLE if noun.en != "friend")),
)


def owning(draw: Draw) -> Entry:
    """She has two sisters; I don't have a bike; we want a new car; he needs an umbrella."""
    (english, french), items = draw.one(_OWNING)
    noun, who = draw.one(items), pick_who(draw)
    middle = "not" if draw.chance(0.25) else ""
    adjective = draw.one(ATTRIBUTES[noun.kind]) if noun.kind != "person" and draw.chance(0.35) else None
    if english == "know":
        phrase = NounPhrase(noun, draw.either("the", "this"))
        return statement(who, VerbPhrase(english, french, phrase), "simple", middle)
    if english == "need":
        return _need(who, NounPhrase(noun, "a", adjective=adjective), middle)
    if english == "have" and not middle and adjective is None and draw.chance(0.5):
        number = NUMBERS[draw.one(_FEW)][0]
        return statement(who, VerbPhrase(english, french, NounPhrase(noun, number, plural=True)), "simple")
    obj = NounPhrase(noun, "a", plural=noun.en == "child", adjective=adjective)
    return statement(who, VerbPhrase(english, french, obj), "simple", middle)


_FEW = (2, 3, 4, 5)


def _need(who: Who, obj: NounPhrase, middle: str) -> Entry:
    phrase = VerbPhrase("need", "avoir", None, obj.en(), elide(f"besoin de {obj.fr()}"))
    return statement(who, phrase, "simple", middle)


_TASTES = (("like", "aimer"), ("love", "adorer"), ("hate", "détester"), ("prefer", "préférer"))


def taste(draw: Draw) -> Entry:
    """My aunt loves cherries; I don't like beer."""
    english, french = draw.one(_TASTES)
    noun = draw.one(draw.either(LIKED, LIKED_PLURAL))
    generic = NounPhrase(noun, "the", plural=not noun.mass)
    phrase = VerbPhrase(english, french, None, generic.en().removeprefix("the "), generic.fr())
    return statement(pick_who(draw), phrase, "simple", "not" if english == "like" and draw.chance(0.5) else "")


# --- Where things are ---


def _spot(draw: Draw, avoid: Noun) -> tuple[str, str]:
    english, french, with_de, landmarks = draw.one(SPOTS)
    noun = draw.one(landmarks)
    if noun is avoid:
        noun = NOUNS["table"]
        english, french, with_de = "under", "sous", False
    place = NounPhrase(noun, "the").fr()
    return f"{english} the {noun.en}", f"{french} {fr_de(place) if with_de else place}"


_LOCATED_DETS = ("the", "my", "the", "his", "your", "our", "her", "the", "their", "the", "my")


def located(draw: Draw) -> Entry:
    """Your keys are under the newspaper."""
    noun, det = draw.one(SMALL_THINGS), draw.one(_LOCATED_DETS)
    plural, place = draw.chance(0.35), _spot(draw, noun)
    middle, past = "not" if draw.chance(0.2) else "", draw.chance(0.2)
    subjects = with_your(noun, det, plural=plural)
    phrase = VerbPhrase("be", "être", None, *place)
    return statement(subjects, phrase, _be_tense(past=past), middle)


def where_is(draw: Draw) -> Entry:
    """Where are my shoes?"""
    noun = draw.one(draw.either(SMALL_THINGS, LANDMARKS))
    small = noun in SMALL_THINGS
    who = with_your(noun, draw.one(_LOCATED_DETS) if small else "the", plural=small and draw.chance(0.35))
    english = f"where {en_be(who[0].person)} {who[0].en}"
    return entry(english, (f"où {fr_present('être', one.person)} {one.fr}" for one in who), "?")


_THERE_NUMBERS = ("a", "a", "two", "three", "four", "five")


def there_is(draw: Draw) -> Entry:
    """There are three cups on the table; there is no milk in the fridge."""
    if draw.chance(0.35):
        return _there_is_food(draw)
    noun, count = draw.one(SMALL_THINGS), draw.one(_THERE_NUMBERS)
    plural = count != "a" or draw.chance(0.4)
    place, be = _spot(draw, noun), "are" if plural else "is"
    if count == "a" and draw.chance(0.3):
        bare = en_plural(noun)
        return entry(f"there are no {bare} {place[0]}", (f"il n'y a pas de {fr_plural(noun)} {place[1]}",))
    obj = NounPhrase(noun, count, plural)
    some = "some " if plural and count == "a" else ""
    return entry(f"there {be} {some}{obj.en()} {place[0]}", (f"il y a {obj.fr()} {place[1]}",))


_STORES = (("in the fridge", "dans le frigo"), ("on the table", "sur la table"), ("in the kitchen", "dans la cuisine"))
_STORED = (*FOOD_MASS, *DRINKS)


def _there_is_food(draw: Draw) -> Entry:
    obj, place = NounPhrase(draw.one(_STORED), "a"), draw.one(_STORES)
    kind = draw.either("some", "no", "no more", "a lot of")
    bare = obj.fr(negative=True)
    french = {
        "some": f"il y a {obj.fr()}",
        "no": f"il n'y a pas {bare}",
        "no more": f"il n'y a plus {bare}",
        "a lot of": f"il y a beaucoup {bare}",
    }[kind]
    return entry(f"there is {kind} {obj.en()} {place[0]}", (f"{french} {place[1]}",))


_NEARBY = (
    *(("near here", "près d'ici"), ("in this street", "dans cette rue"), ("in this city", "dans cette ville")),
    ("in this village", "dans ce village"),
)


def is_there(draw: Draw) -> Entry:
    """Is there a bank near here?; there is no bakery in this street."""
    obj, (en_place, fr_place) = NounPhrase(draw.one(SHOPS), "a"), draw.one(_NEARBY)
    kind = draw.either("question", "yes", "no")
    if kind == "yes":
        return entry(f"there is {obj.en()} {en_place}", (f"il y a {obj.fr()} {fr_place}",))
    if kind == "no":
        return entry(f"there is no {obj.noun.en} {en_place}", (f"il n'y a pas {obj.fr(negative=True)} {fr_place}",))
    questions = (f"est-ce qu'il y a {obj.fr()} {fr_place}", f"y a-t-il {obj.fr()} {fr_place}")
    return entry(f"is there {obj.en()} {en_place}", questions, "?")


def directions(draw: Draw) -> Entry:
    """The bank is next to the station."""
    first, second = draw.one(LANDMARKS), draw.one(LANDMARKS)
    if first is second:
        second = NOUNS["park"] if first.en != "park" else NOUNS["station"]
    english, french, with_de, _ = draw.one(SPOTS[3:])
    place = NounPhrase(second, "the").fr()
    phrase = VerbPhrase(
        "be", "être", None, f"{english} the {second.en}", f"{french} {fr_de(place) if with_de else place}"
    )
    return statement((NounPhrase(first, "the").subject(),), phrase, "simple", "not" if draw.chance(0.15) else "")
