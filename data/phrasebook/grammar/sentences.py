"""Sentence patterns of the phrasebook: sentences in sentences: because, if, that, who."""

from dataclasses import replace

from grammar.clauses import (
    HE,
    MIDDLES,
    SHE,
    Entry,
    NounPhrase,
    Subject,
    VerbPhrase,
    en_clause,
    entry,
    fr_clause,
    statement,
    words,
)
from grammar.draw import (
    ACTIONS,
    BARE,
    Draw,
    as_phrase,
    future_phrase,
    kin_dets,
    pick_other,
    pick_who,
)
from grammar.lexicon import (
    ADJECTIVES,
    GARMENTS,
    HAVE_IDIOMS,
    NEXT_TIMES,
    NOUNS,
    Adjective,
    Phrase,
    adjectives,
    nouns,
)
from grammar.morphology import (
    fr_agree,
    fr_agree_participle,
    fr_participle,
    fr_present,
)

# --- Sentences in sentences ---

_JUST_ACTIONS = tuple(
    one for one in ACTIONS["a"] if one.en not in ("listen to", "wait for", "follow", "learn", "look for")
)


def just(draw: Draw) -> Entry:
    """She has just bought a new car; I have never eaten fish."""
    who = pick_who(draw)
    if draw.chance(0.5):
        return statement(who, as_phrase(draw, draw.one(_JUST_ACTIONS)), "just")
    return statement(who, as_phrase(draw, draw.one(_NEVER_ACTIONS)), "perfect", "never")


_NEVER_ACTIONS = tuple(
    one
    for one in ACTIONS["a"]
    if one.en in ("eat", "drink", "see", "play", "learn", "take", "tell", "build", "draw", "write", "visit", "paint")
    and (isinstance(one, Phrase) or set(one.dets) & set("mit"))
)


def _state(name: str) -> tuple[str, str, Adjective | None]:
    """English and French verb phrase of a state: an idiom with avoir or an adjective."""
    for _, english, french, *_ in HAVE_IDIOMS:
        if english == name:
            return english, french, None
    return name, "", ADJECTIVES[name]


def _is_state(one: Subject, name: str, tense: str = "simple", middle: str = "") -> tuple[str, str]:
    """The clause "one is in this state" in both languages."""
    english, french, adjective = _state(name)
    verb, fr_verb = ("have" if english.startswith("a ") else "be"), "avoir"
    if adjective is not None:
        fr_verb, french = "être", fr_agree(adjective, one.gender, plural=one.plural)
    phrase = VerbPhrase(verb, fr_verb, None, english, french)
    return en_clause(one, phrase, tense, middle), fr_clause(one, phrase, tense, MIDDLES.get(middle, ""))


# States, and what people do because of them: English, French, tails, polarity.
_CAUSES: tuple[tuple[tuple[str, ...], tuple[tuple[VerbPhrase, str], ...]], ...] = (
    (
        ("tired", "sick", "sleepy", "a headache", "a fever"),
        (
            (VerbPhrase("rest", "se reposer"), ""),
            (VerbPhrase("stay", "rester", None, "at home", "à la maison"), ""),
            (VerbPhrase("work", "travailler"), "not"),
            (VerbPhrase("dance", "danser"), "not"),
            (VerbPhrase("play", "jouer", None, "football", "au football"), "not"),
            (VerbPhrase("go home", "rentrer", None, "", "à la maison"), ""),
            (VerbPhrase("come", "venir", None, "to school", "à l'école"), "not"),
        ),
    ),
    (
        ("sad", "worried", "afraid", "alone"),
        (
            (VerbPhrase("cry", "pleurer"), ""),
            (VerbPhrase("sleep", "dormir"), "not"),
            (VerbPhrase("eat", "manger"), "not"),
            (VerbPhrase("smile", "sourire"), "not"),
        ),
    ),
    (
        ("happy", "lucky"),
        ((VerbPhrase("smile", "sourire"), ""), (VerbPhrase("sing", "chanter"), ""), (VerbPhrase("laugh", "rire"), "")),
    ),
    (
        ("late",),
        (
            (VerbPhrase("run", "courir"), ""),
            (VerbPhrase("hurry", "se dépêcher"), ""),
            (VerbPhrase("take", "prendre", None, "a taxi", "un taxi"), ""),
        ),
    ),
    (
        ("hungry",),
        (
            (VerbPhrase("prepare", "préparer", None, "dinner", "le dîner"), ""),
            *(
                (VerbPhrase("eat", "manger", NounPhrase(noun, "a")), "")
                for noun in nouns("bread, cheese, apple, cake, soup, banana")
            ),
        ),
    ),
    (
        ("thirsty", "hot"),
        tuple(
            (VerbPhrase("drink", "boire", NounPhrase(noun, "a")), "") for noun in nouns("water, lemonade, milk, tea")
        ),
    ),
    (
        ("cold",),
        (
            (VerbPhrase("close", "fermer", NounPhrase(NOUNS["window"], "the")), ""),
            (VerbPhrase("wear", "porter", NounPhrase(NOUNS["coat"], "a")), ""),
            (VerbPhrase("wear", "porter", NounPhrase(NOUNS["scarf"], "a")), ""),
            (VerbPhrase("wear", "porter", NounPhrase(NOUNS["glove"], "a", plural=True)), ""),
        ),
    ),
)


def because(draw: Draw) -> Entry:
    """She is staying at home because she is sick."""
    states, effects = draw.one(_CAUSES)
    who, state, (phrase, middle) = pick_who(draw), draw.one(states), draw.one(effects)
    english, french = "", []
    for one in who:
        reason = _is_state(one.pronoun(), state)
        english = f"{en_clause(one, phrase, 'progressive', middle)} because {reason[0]}"
        french.append(f"{fr_clause(one, phrase, 'progressive', MIDDLES.get(middle, ''))} parce que {reason[1]}")
    return entry(english, french)


_SKY = (
    ("it rains", "il pleut"),
    ("it snows", "il neige"),
    ("it is cold", "il fait froid"),
    ("it is hot", "il fait chaud"),
    ("it doesn't rain", "il ne pleut pas"),
)
_CONDITIONS = ("tired", "busy", "sick", "ready", "late")


def condition(draw: Draw) -> Entry:
    """If it rains tomorrow, we will watch television; if she is ready, she will help us."""
    who, phrase = pick_who(draw), future_phrase(draw)
    doers = who
    if draw.chance(0.5):
        sky, (en_time, fr_time) = draw.one(_SKY), draw.one(NEXT_TIMES)
        conditions = [(words(sky[0], en_time), words(sky[1], fr_time))] * len(who)
    else:
        state = draw.one(_CONDITIONS)
        middle = "" if state == "ready" else "not"
        conditions = [_is_state(one, state, "simple", middle) for one in who]
        doers = tuple(one.pronoun() for one in who)
    french = [f"si {fr}, {fr_clause(one, phrase, 'will')}" for one, (_, fr) in zip(doers, conditions, strict=True)]
    return entry(f"if {conditions[0][0]}, {en_clause(doers[0], phrase, 'will')}", french)


_THINKERS = (("think", "penser"), ("know", "savoir"), ("say", "dire"), ("hope", "espérer"))


def reported(draw: Draw) -> Entry:
    """I think that Paul is sick; she hopes that they will buy the house."""
    verb, fr_verb = draw.one(_THINKERS)
    who, other = pick_who(draw), pick_other(draw)
    if other.en == who[0].en:
        other = SHE if who[0].en != "she" else HE
    kind = draw.either("state", "past", "will") if verb != "hope" else "will"
    if kind == "state":
        inner = _is_state(other, draw.one(_REPORTED_STATES))
    elif kind == "past":
        phrase = as_phrase(draw, draw.one(ACTIONS["a"]))
        inner = en_clause(other, phrase, "past"), fr_clause(other, phrase, "past")
    else:
        phrase = future_phrase(draw)
        inner = en_clause(other, phrase, "will"), fr_clause(other, phrase, "will")
    phrase = VerbPhrase(verb, fr_verb, None, f"that {inner[0]}", f"que {inner[1]}")
    return statement(who, phrase, "simple")


_REPORTED_STATES = (
    *("tired", "sick", "busy", "sad", "happy", "jealous", "angry", "hungry", "thirsty", "right", "wrong", "lucky"),
    *("kind", "shy", "rich", "lazy", "honest", "generous", "intelligent", "late", "ready", "afraid", "worried"),
)
_RELATIVE_PEOPLE = (
    (nouns("man"), nouns("uncle, father, grandfather, boss, cousin, husband")),
    (nouns("woman"), nouns("aunt, mother, grandmother, sister, wife")),
    (nouns("boy"), nouns("son, brother, cousin")),
    (nouns("girl"), nouns("daughter, sister")),
)


def relative_who(draw: Draw) -> Entry:
    """The woman who is wearing a red hat is my aunt."""
    heads, kin = draw.one(_RELATIVE_PEOPLE)
    head, relative = NounPhrase(heads[0], "the"), NounPhrase(draw.one(kin), "my")
    relative = replace(relative, det=draw.either(*kin_dets(relative.noun)))
    phrase = as_phrase(draw, draw.one(_RELATIVE_ACTIONS))
    subject = Subject(f"{head.en()} who", f"{head.fr()} qui", 2, heads[0].gender)
    english = f"{en_clause(subject, phrase, 'progressive')} is {relative.en()}"
    return entry(english, (f"{fr_clause(subject, phrase, 'progressive')} est {relative.fr()}",))


_RELATIVE_ACTIONS = (
    *(one for one in ACTIONS["p"] if one.en in ("eat", "drink", "wear", "read", "play", "carry", "repair", "clean")),
    *(one for one in BARE["p"] if one.en in ("sing", "dance", "run", "laugh", "cry", "sleep", "smile")),
)
_RELATIVE_FRAMES = (
    (
        ("buy", "acheter"),
        GARMENTS,
        adjectives("beautiful, expensive, pretty, red, blue, green, black, white, grey"),
    ),
    (("buy", "acheter"), nouns("car, bike, boat"), adjectives("fast, expensive, red, black, old")),
    (("buy", "acheter"), nouns("box, suitcase, bag"), adjectives("heavy, empty, expensive, old")),
    (
        ("read", "lire"),
        nouns("book, novel, story, letter, poem, magazine"),
        adjectives("interesting, boring, long, funny, sad"),
    ),
    (
        ("write", "écrire"),
        nouns("letter, poem, novel, story, song"),
        adjectives("interesting, boring, long, funny, sad"),
    ),
    (
        ("visit", "visiter"),
        nouns("museum, castle, church, city, village, house"),
        adjectives("beautiful, old, small, modern"),
    ),
    (
        ("choose", "choisir"),
        nouns("shirt, dress, hat, coat, lamp, ring, watch, table"),
        adjectives("beautiful, expensive, old"),
    ),
)


def relative_that(draw: Draw) -> Entry:
    """The dress that she bought is beautiful."""
    (verb, fr_verb), items, fitting = draw.one(_RELATIVE_FRAMES)
    noun, who, adjective = draw.one(items), pick_who(draw), draw.one(fitting)
    head = NounPhrase(noun, "the").subject()
    form = fr_agree(adjective, noun.gender)
    participle = fr_agree_participle(fr_participle(fr_verb), noun.gender)
    french = (f"{head.fr} que {one.fr} {fr_present('avoir', one.person)} {participle} est {form}" for one in who)
    return entry(f"{head.en} that {en_clause(who[0], VerbPhrase(verb, fr_verb), 'past')} is {adjective.en}", french)
