"""Sentence patterns of the phrasebook: object pronouns, giving, orders, food and drink."""

from dataclasses import replace

from grammar.clauses import (
    SHE,
    WE,
    YOU,
    Entry,
    NounPhrase,
    Subject,
    VerbPhrase,
    Who,
    entry,
    statement,
    words,
)
from grammar.draw import ACTIONS, NAMED, TIMES, TO, Draw, as_phrase, kin_dets, pick_who
from grammar.lexicon import NEXT_TIMES, RECENT_TIMES, RELATIVES, Phrase, adjectives, nouns
from grammar.morphology import base_verb, elide, en_plural, fr_a, fr_imperative, fr_plural, is_reflexive

# --- Pronouns ---

# English, French, person, gender, plural.
_DIRECT = (
    ("me", ("me",), 0, ("m", False)),
    ("you", ("te", "vous"), 1, ("m", False)),
    ("him", ("le",), 2, ("m", False)),
    ("her", ("la",), 2, ("f", False)),
    ("us", ("nous",), 3, ("m", True)),
    ("them", ("les",), 5, ("m", True)),
)
_INDIRECT = {"him": "lui", "her": "lui", "them": "leur"}
_SEEING = (
    ("know", "connaître", ("simple",)),
    ("love", "aimer", ("simple",)),
    ("understand", "comprendre", ("simple", "past")),
    ("see", "voir", ("past", "going")),
    ("help", "aider", ("progressive", "past", "going")),
    ("call", "appeler", ("past", "going")),
    ("wait for", "attendre", ("progressive", "past", "going")),
    ("look for", "chercher", ("progressive", "past")),
    ("invite", "inviter", ("past", "going")),
    ("find", "trouver", ("past", "going")),
    ("forget", "oublier", ("past",)),
    ("listen to", "écouter", ("progressive", "past")),
    ("follow", "suivre", ("progressive", "past")),
)


def _pronoun_pair(draw: Draw) -> tuple[Who, tuple[str, tuple[str, ...], tuple[str, bool]]]:
    """Subject and object pronoun that are not the same person."""
    who = pick_who(draw)
    english, french, person, agree = draw.one(_DIRECT)
    if person == 1 and who is YOU:
        english, french, agree = "me", ("me",), ("m", False)
    elif {person, who[0].person} <= {0, 3}:
        english, french, agree = "her", ("la",), ("f", False)
    return who, (english, french, agree)


def object_pronoun(draw: Draw) -> Entry:
    """I saw her yesterday; she doesn't know them; he is waiting for you."""
    who, (pronoun, clitics, agree) = _pronoun_pair(draw)
    verb, fr_verb, tenses = draw.one(_SEEING)
    tense = draw.one(tenses)
    time = draw.one(TIMES[tense]) if tense in ("past", "going") and draw.chance(0.5) else ("", "")
    middle = "not" if draw.chance(0.25) else ""
    readings = [
        statement(who, VerbPhrase(verb, fr_verb, None, pronoun, "", "", clitic, agree), tense, middle, time)
        for clitic in clitics
    ]
    return readings[0][0], tuple(text for _, french in readings for text in french)


_GIVING = (
    (("give", "donner"), nouns("flower, book, key, ring, apple, toy, watch, pen, ball, cake, umbrella")),
    (("show", "montrer"), nouns("painting, map, letter, house, garden, ticket, watch, dress, bedroom, kitchen")),
    (("send", "envoyer"), nouns("letter, postcard, book, poem, map, ticket")),
    (("lend", "prêter"), nouns("car, bike, pen, book, umbrella, computer, phone, guitar, coat, suitcase")),
    (("sell", "vendre"), nouns("car, bike, house, boat, horse, guitar, painting")),
)
_GIVING_TENSES = ("past", "past", "going")
_RECIPIENTS = (
    *NAMED,
    *((NounPhrase(noun, det).subject(),) for noun in RELATIVES for det in kin_dets(noun)[::3]),
    *((NounPhrase(noun, "the").subject(),) for noun in nouns("teacher, neighbor, child, doctor, nurse")),
)


def giving(draw: Draw) -> Entry:
    """She gave a flower to her mother; I am going to lend him my car."""
    (verb, fr_verb), items = draw.one(_GIVING)
    obj, tense = (
        NounPhrase(draw.one(items), draw.either("own", "the") if verb == "show" else draw.either("a", "own", "the")),
        draw.one(_GIVING_TENSES),
    )
    time = draw.one(TIMES[tense]) if draw.chance(0.4) else ("", "")
    if draw.chance(0.5):
        who, to = pick_who(draw), draw.one(_RECIPIENTS)[0]
        if to.en == who[0].en:
            who = (SHE,)
        return statement(who, VerbPhrase(verb, fr_verb, obj, f"to {to.en}", fr_a(to.fr)), tense, "", time)
    who, (pronoun, clitics, _) = _pronoun_pair(draw)
    if pronoun == "her" and obj.det == "own":
        obj = replace(obj, det="the")  # not "her her ticket"
    return _giving_pronoun(who, VerbPhrase(f"{verb} {pronoun}", fr_verb, obj), (pronoun, clitics), tense, time)


def _giving_pronoun(
    who: Who, phrase: VerbPhrase, pronoun: tuple[str, tuple[str, ...]], tense: str, time: tuple[str, str]
) -> Entry:
    english, clitics = pronoun
    readings = [
        statement(who, replace(phrase, clitic=_INDIRECT.get(english, clitic)), tense, "", time) for clitic in clitics
    ]
    return readings[0][0], tuple(text for _, french in readings for text in french)


# --- Orders and wishes ---

_ORDER_ACTIONS = (
    *ACTIONS["i"],
    Phrase("wait", "attendre", "here", "ici", "i"),
    Phrase("listen to", "écouter", "the teacher", "le professeur", "i"),
    Phrase("look at", "regarder", "the map", "la carte", "i"),
    Phrase("look at", "regarder", "this painting", "ce tableau", "i"),
    *(
        Phrase(en, fr, "", "", "i")
        for en, fr in (
            ("get up", "se lever"),
            ("hurry up", "se dépêcher"),
            ("wake up", "se réveiller"),
        )
    ),
)


def order(draw: Draw) -> Entry:
    """Close the door, please; don't touch this painting."""
    phrase = as_phrase(draw, draw.one(_ORDER_ACTIONS))
    negative, please = phrase.en == "touch" or draw.chance(0.3), draw.chance(0.5)
    if phrase.en == "hurry up":
        negative = False
    if draw.chance(0.15):
        phrase = VerbPhrase("be", "être", None, *draw.one(_FORBIDDEN_STATES if negative else _ORDERED_STATES))
    french = []
    for you in YOU:
        told = words(_told(phrase.fr, you, negative=negative), phrase.fr_rest(you, negative=negative))
        french.append(told + (f", s'il {'te' if you.person == 1 else 'vous'} plaît" if please else ""))
    english = words("don't" if negative else "", phrase.en, phrase.en_rest(YOU[0]))
    return entry(english + (", please" if please else ""), french)


_ORDERED_STATES = tuple((one.en, one.fr) for one in adjectives("patient, serious, polite, honest, generous, kind"))
_FORBIDDEN_STATES = tuple((one.en, one.fr) for one in adjectives("nervous, late, sad, jealous, shy, lazy, angry"))


def _told(verb: str, you: Subject, *, negative: bool) -> str:
    if not negative:
        return fr_imperative(verb, you.person)
    pronoun = {1: "te", 4: "vous"}[you.person] if is_reflexive(verb) else ""
    return words("ne", pronoun, fr_imperative(base_verb(verb), you.person), "pas")


def lets(draw: Draw) -> Entry:
    """Let's go to the beach; let's play chess."""
    phrase = (
        VerbPhrase("go", "aller", None, *draw.one(TO)) if draw.chance(0.4) else as_phrase(draw, draw.one(_LETS_ACTIONS))
    )
    time = draw.one(NEXT_TIMES) if draw.chance(0.3) else ("", "")
    french = words(fr_imperative(phrase.fr, 3), phrase.fr_rest(WE), time[1])
    return entry(words("let's", phrase.en, phrase.en_rest(WE), time[0]), (french,))


_LETS_VERBS = (
    *("eat", "drink", "buy", "read", "visit", "invite", "help", "play", "watch", "clean", "prepare", "do"),
    "have",
)
_LETS_ACTIONS = tuple(one for one in ACTIONS["w"] if one.en in _LETS_VERBS)


_SERVINGS = (
    (("glass", "verre"), nouns("water, wine, milk, beer, lemonade")),
    (("cup", "tasse"), nouns("coffee, tea")),
    (("bottle", "bouteille"), nouns("water, wine, milk, beer, lemonade")),
    (("piece", "morceau"), nouns("bread, cheese, cake, chocolate, chicken, meat")),
    (("slice", "tranche"), nouns("bread, ham, meat, cake")),
    (
        ("kilo", "kilo"),
        nouns("apple, orange, banana, pear, carrot, tomato, potato, bean, onion, cherry, strawberry, rice, meat"),
    ),
)
_SERVING_GENDER = {"glass": "un", "cup": "une", "bottle": "une", "piece": "un", "slice": "une", "kilo": "un"}
_TAKING = {
    **dict.fromkeys(("glass", "cup"), ("drink", "boire")),
    **dict.fromkeys(("piece", "slice"), ("eat", "manger")),
    **dict.fromkeys(("bottle", "kilo"), ("buy", "acheter")),
}
_LOTS = (("a lot of", "beaucoup"), ("too much", "trop"), ("enough", "assez"))


def _serving(draw: Draw) -> tuple[str, str, str]:
    """English and French of "a glass of water", and the English container."""
    (container, french), items = draw.one(_SERVINGS)
    noun = draw.one(items)
    many = container == "kilo" and not noun.mass
    english = f"a {container} of {en_plural(noun) if many else noun.en}"
    return english, elide(f"{_SERVING_GENDER[container]} {french} de {fr_plural(noun) if many else noun.fr}"), container


def serving(draw: Draw) -> Entry:
    """He drank a glass of water; I would like a slice of ham, please."""
    english, french, container = _serving(draw)
    who = pick_who(draw)
    kind = draw.either("want", "take", "wish")
    if kind == "want":
        return statement(who, VerbPhrase("want", "vouloir", None, english, french), "simple", "")
    if kind == "wish":
        if draw.chance(0.5):
            return entry(f"I would like {english}, please", (f"je voudrais {french}, s'il vous plaît",))
        return entry(f"we would like {english}, please", (f"nous voudrions {french}, s'il vous plaît",))
    verb = _TAKING[container]
    tense = draw.either("past", "going", "past")
    time = draw.one(TIMES[tense]) if draw.chance(0.4) else ("", "")
    return statement(who, VerbPhrase(*verb, None, english, french), tense, "", time)


_EATEN = nouns("bread, cheese, meat, rice, soup, chicken, chocolate, salad, ham, fish")
_DRUNK = nouns("water, wine, milk, coffee, tea, beer, lemonade")
_CONSUMED = ((("eat", "manger"), _EATEN), (("drink", "boire"), _DRUNK))


def amount(draw: Draw) -> Entry:
    """She drinks too much coffee; they ate a lot of cherries."""
    (verb, items), (english, french) = draw.one(_CONSUMED), draw.one(_LOTS)
    noun, tense = draw.one(items), draw.either("simple", "past", "simple")
    tail = (f"{english} {noun.en}", elide(f"{french} de {noun.fr}"))
    middle = "not" if english == "enough" or draw.chance(0.15) else ""
    time = draw.one(RECENT_TIMES) if tense == "past" and draw.chance(0.5) else ("", "")
    return statement(pick_who(draw), VerbPhrase(*verb, None, *tail), tense, middle, time)
