"""Sentence patterns of the phrasebook: questions."""

from dataclasses import replace

from grammar.clauses import (
    Entry,
    Subject,
    VerbPhrase,
    Who,
    en_clause,
    en_question,
    entry,
    fr_clause,
    fr_questions,
    words,
)
from grammar.draw import TIMES, Draw, pick_asked, some_action
from grammar.lexicon import HABIT_TIMES, HAVE_IDIOMS, PREDICATES, nouns
from grammar.morphology import elide, en_plural, fr_agree, fr_agree_participle, fr_participle, fr_plural

# --- Questions ---


def _question(
    who: Who, phrase: VerbPhrase, tense: str, wh: tuple[str, str] = ("", ""), time: tuple[str, str] = ("", "")
) -> Entry:
    """A question with all its French forms."""
    timed = replace(phrase, en_tail=words(phrase.en_tail, time[0]), fr_tail=words(phrase.fr_tail, time[1]))
    french = [text for one in who for text in fr_questions(one, timed, tense, wh[1])]
    return entry(en_question(who[0], timed, tense, wh[0]), french, "?")


_ASKED_TENSES = ("progressive", "past", "going", "habit", "past")


def yes_no(draw: Draw) -> Entry:
    """Did she find her keys?"""
    who, tense = pick_asked(draw), draw.one(_ASKED_TENSES)
    use = {"progressive": "p", "past": "a", "going": "g", "habit": "h"}[tense]
    if tense == "habit":
        return _question(who, some_action(draw, use), "simple", time=draw.one(HABIT_TIMES))
    time = draw.one(TIMES[tense]) if tense != "progressive" and draw.chance(0.5) else ("", "")
    return _question(who, some_action(draw, use), tense, time=time)


def is_it_so(draw: Draw) -> Entry:
    """Is your brother sick?; are they hungry?"""
    who = pick_asked(draw)
    if draw.chance(0.4):
        verb, en_tail, fr_tail, *_ = draw.one(HAVE_IDIOMS)
        return _question(who, VerbPhrase(verb, "avoir", None, en_tail, fr_tail), "simple")
    adjective = draw.one(PREDICATES["person"])
    french: list[str] = []
    for one in who:
        form = fr_agree(adjective, one.gender, plural=one.plural)
        french += fr_questions(one, VerbPhrase("be", "être", None, adjective.en, form), "simple")
    english = en_question(who[0], VerbPhrase("be", "être", None, adjective.en), "simple")
    return entry(english, french, "?")


_WHERE_VERBS = (("live", "habiter"), ("work", "travailler"), ("study", "étudier"), ("sleep", "dormir"))
_WHEN_VERBS = (("arrive", "arriver"), ("leave", "partir"), ("come back", "revenir"))
_WHY_VERBS = tuple(
    VerbPhrase(en, fr)
    for en, fr in (
        *(("cry", "pleurer"), ("laugh", "rire"), ("run", "courir"), ("smile", "sourire"), ("sing", "chanter")),
        *(("hurry", "se dépêcher"), ("wait", "attendre")),
    )
)
_WHAT_VERBS = (
    *(("eat", "manger"), ("drink", "boire"), ("read", "lire"), ("write", "écrire"), ("buy", "acheter")),
    *(("look for", "chercher"), ("draw", "dessiner"), ("prepare", "préparer"), ("watch", "regarder")),
)


def wh_question(draw: Draw) -> Entry:
    """Where does he work?; when is she going to leave?; why are you crying?"""
    who, kind = pick_asked(draw), draw.either("where", "when", "why")
    if kind == "where":
        return _question(who, VerbPhrase(*draw.one(_WHERE_VERBS)), "simple", ("where", "où"))
    if kind == "when":
        tense = draw.either("past", "going")
        return _question(who, VerbPhrase(*draw.one(_WHEN_VERBS)), tense, ("when", "quand"))
    return _question(who, draw.one(_WHY_VERBS), draw.either("progressive", "past"), ("why", "pourquoi"))


def what_question(draw: Draw) -> Entry:
    """What is he eating?; what did you buy yesterday?"""
    tense = draw.either("progressive", "past", "going")
    time = draw.one(TIMES[tense]) if tense != "progressive" and draw.chance(0.5) else ("", "")
    return _question(pick_asked(draw), VerbPhrase(*draw.one(_WHAT_VERBS)), tense, ("what", "que"), time)


_COUNTED_FRAMES = (
    (("eat", "manger"), nouns("apple, orange, banana, egg, pear, carrot, tomato, potato, cherry, strawberry")),
    (("buy", "acheter"), nouns("book, ticket, shirt, dress, plate, glass, chair, tie, skirt, egg, pen")),
    (("read", "lire"), nouns("book, novel, letter, poem, magazine, newspaper")),
    (("write", "écrire"), nouns("letter, novel, poem, song, postcard")),
    (("lose", "perdre"), nouns("key, glove, umbrella, sock, ball, pencil")),
)


def how_many(draw: Draw) -> Entry:
    """How many apples did she eat?; how many children do they have?"""
    who = pick_asked(draw)
    if draw.chance(0.4):
        noun = draw.one(_OWNED_COUNT)
        phrase, tense = VerbPhrase("have", "avoir"), "simple"
    else:
        (english, french), items = draw.one(_COUNTED_FRAMES)
        noun = draw.one(items)
        # The participle agrees with the object, which stands before it.
        phrase, tense = VerbPhrase(english, french, agree=(noun.gender, True)), "past"
    wh = (f"how many {en_plural(noun)}", elide(f"combien de {fr_plural(noun)}"))
    translations = (_agreeing(text, phrase, tense) for one in who for text in fr_questions(one, phrase, tense, wh[1]))
    return entry(en_question(who[0], phrase, tense, wh[0]), translations, "?")


_OWNED_COUNT = nouns(
    "child, brother, sister, son, daughter, cat, dog, horse, car, bike, hat, key, book, cow, hen, cousin"
)


def _agreeing(text: str, phrase: VerbPhrase, tense: str) -> str:
    if tense != "past":
        return text
    participle = fr_participle(phrase.fr)
    gender, plural = phrase.agree
    return text.removesuffix(participle) + fr_agree_participle(participle, gender, plural=plural)


def who_question(draw: Draw) -> Entry:
    """Who broke the window?"""
    somebody = Subject("who", "qui", 2)
    tense = draw.either("progressive", "past", "going")
    use = {"progressive": "p", "past": "a", "going": "g"}[tense]
    phrase = some_action(draw, use)
    time = draw.one(TIMES[tense]) if tense != "progressive" and draw.chance(0.3) else ("", "")
    english = words(en_clause(somebody, phrase, tense), time[0])
    return entry(english, (words(fr_clause(somebody, phrase, tense), time[1]),), "?")
