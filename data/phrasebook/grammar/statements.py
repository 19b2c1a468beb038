"""Sentence patterns of the phrasebook: what people do, did and will do, and where they go."""

from grammar.clauses import (
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
from grammar.draw import (
    ACTIONS,
    BARE,
    COUNTS,
    FROM,
    IN_CITY,
    IN_COUNTRY,
    TIMES,
    TO,
    WORK_AT,
    Draw,
    as_phrase,
    future_phrase,
    pick_grown,
    pick_who,
    plain,
    some_action,
)
from grammar.lexicon import (
    FREQUENCIES,
    FUTURE_TIMES,
    HABIT_TIMES,
    INTRANSITIVES,
    NOW_TIMES,
    NUMBERS,
    PAST_TIMES,
    PHRASES,
    RECENT_TIMES,
    REFLEXIVES,
    SOON_TIMES,
    nouns,
)
from grammar.morphology import en_be, fr_infinitive

# --- Actions ---


def progressive(draw: Draw) -> Entry:
    """She is reading a book right now."""
    if draw.chance(0.25):
        return statement(pick_who(draw), some_action(draw, "p"), "progressive", "not")
    time = draw.one(NOW_TIMES) if draw.chance(0.35) else ("", "")
    return statement(pick_who(draw), some_action(draw, "p"), "progressive", "", time)


# Verbs that need a time to tell past from present.
_SAME_IN_PAST = ("read", "cut")


def past(draw: Draw) -> Entry:
    """We did not buy a car last week."""
    phrase, middle = some_action(draw, "a"), "not" if draw.chance(0.22) else ""
    timed = phrase.en in _SAME_IN_PAST or draw.chance(0.6)
    time = draw.one(RECENT_TIMES if draw.chance(0.7) else PAST_TIMES) if timed else ("", "")
    return statement(pick_who(draw), phrase, "past", middle, time)


def habit(draw: Draw) -> Entry:
    """They often drink tea; he never watches television; I clean the kitchen every Saturday."""
    who, phrase = pick_who(draw), some_action(draw, "h")
    kind = draw.either("time", "often", "never", "no longer")
    if kind == "time":
        return statement(who, phrase, "simple", "", draw.one(HABIT_TIMES))
    if kind == "often":
        english, french = draw.one(FREQUENCIES)
        return entry(
            en_clause(who[0], phrase, "simple", english), (fr_clause(one, phrase, "simple", french) for one in who)
        )
    return statement(who, phrase, "simple", kind)


def going_to(draw: Draw) -> Entry:
    """I am not going to sell my bike."""
    if draw.chance(0.2):
        return statement(pick_who(draw), some_action(draw, "g"), "going", "not")
    time = draw.one(SOON_TIMES) if draw.chance(0.55) else ("", "")
    return statement(pick_who(draw), some_action(draw, "g"), "going", "", time)


def will(draw: Draw) -> Entry:
    """She will repair the clock tomorrow."""
    middle = "not" if draw.chance(0.2) else ""
    return statement(pick_who(draw), future_phrase(draw), "will", middle, draw.one(SOON_TIMES))


_PAST_FRAMES = (
    *(("when I was young", "quand je étais jeune"), ("when he was young", "quand il était jeune")),
    *(("when we were young", "quand nous étions jeunes"), ("when they were young", "quand ils étaient jeunes")),
    ("when she was young", "quand elle était jeune"),
)
_YOUNG = dict(zip(("I", "he", "we", "they", "she"), _PAST_FRAMES, strict=True))
_USED_VERBS = (
    "eat",
    "drink",
    "read",
    "play",
    "watch",
    "listen to",
    "do",
    "sing",
    "dance",
    "swim",
    "work",
    "smoke",
    "travel",
)
_USED_ACTIONS = tuple(one for one in (*ACTIONS["u"], *BARE["u"]) if one.en in _USED_VERBS)


def used_to(draw: Draw) -> Entry:
    """He used to play chess every evening; we used to eat fish when we were young."""
    who = pick_who(draw)
    phrase = as_phrase(draw, draw.one(_USED_ACTIONS))
    young = _YOUNG.get(who[0].pronoun().en)
    if young is None or draw.chance(0.55):
        return statement(who, phrase, "used", "", draw.one(HABIT_TIMES))
    return statement(who, phrase, "used", "", young)


_MODALS = (
    ("want", "vouloir", "to"),
    ("must", "devoir", ""),
    ("can", "pouvoir", ""),
    ("hope", "espérer", "to"),
    ("prefer", "préférer", "to"),
)
_MODAL_ACTIONS = (*ACTIONS["m"], *ACTIONS["m"], *BARE["m"], *(one for one in REFLEXIVES if "m" in one.uses))


def modal(draw: Draw) -> Entry:
    """They want to visit the castle; you must not touch the painting."""
    who, (helper, fr_helper, to) = pick_who(draw), draw.one(_MODALS)
    phrase = as_phrase(draw, draw.one(_MODAL_ACTIONS))
    negative = helper not in ("hope", "prefer") and draw.chance(0.25)
    french = (
        words(
            fr_clause(one, VerbPhrase("", fr_helper), "simple", "pas" if negative else ""),
            fr_infinitive(phrase.fr, one.person),
            phrase.fr_rest(one, negative=negative),
        )
        for one in who
    )
    return entry(_en_modal(who[0], helper, to, phrase, negative=negative), french)


def _en_modal(subject: Subject, helper: str, to: str, phrase: VerbPhrase, *, negative: bool) -> str:
    rest = words(phrase.en, phrase.en_rest(subject))
    if to:
        return en_clause(subject, VerbPhrase(helper, "", en_tail=f"to {rest}"), "simple", "not" if negative else "")
    return words(subject.en, {"must": "must not", "can": "can't"}[helper] if negative else helper, rest)


_SKILLS = tuple(action for action in PHRASES if action.en == "play") + tuple(
    action for action in INTRANSITIVES if action.en in ("swim", "dance", "sing", "read")
)


_ATTITUDES = (("know how to", "savoir"), ("like to", "aimer"), ("hate to", "détester"))


def skill(draw: Draw) -> Entry:
    """She doesn't know how to swim; my brother likes to dance."""
    who, action = pick_who(draw), draw.one(_SKILLS)
    english, french = draw.one(_ATTITUDES)
    phrase = VerbPhrase(
        english, french, None, words(action.en, action.en_tail), words(fr_infinitive(action.fr, 2), action.fr_tail)
    )
    negative = english != "hate to" and draw.chance(0.35)
    return statement(who, phrase, "simple", "not" if negative else "")


# --- Places and movement ---


# What people do where.
_SCENES = (
    (("sleep", "dormir"), nouns("bedroom, car, train, bus")),
    (("play", "jouer"), nouns("garden, park, street, bedroom")),
    (("run", "courir"), nouns("park, forest, street, garden")),
    (("walk", "marcher"), nouns("park, forest, street, garden")),
    (("sing", "chanter"), nouns("kitchen, car, church, garden, street")),
    (("dance", "danser"), nouns("street, kitchen, garden, park")),
    (("read", "lire"), nouns("garden, park, train, bus, bedroom, library, kitchen")),
    (("wait", "attendre"), nouns("car, garden, street, kitchen, bus")),
    (("study", "étudier"), nouns("library, bedroom, kitchen, garden")),
    (("work", "travailler"), nouns("garden, kitchen, library")),
    (("have lunch", "déjeuner"), nouns("garden, kitchen, park, train")),
)
_SCENE_TENSES = ("progressive", "past", "going", "progressive", "past")


def scene(draw: Draw) -> Entry:
    """The children are playing in the garden."""
    (english, french), places = draw.one(_SCENES)
    noun = draw.one(places)
    place = (f"in the {noun.en}", f"dans {NounPhrase(noun, 'the').fr()}")
    tense = draw.one(_SCENE_TENSES)
    time = draw.one(TIMES[tense]) if draw.chance(0.4) else ("", "")
    middle = "not" if not time[0] and draw.chance(0.3) else ""
    return statement(pick_who(draw), VerbPhrase(english, french, None, *place), tense, middle, time)


def workplace(draw: Draw) -> Entry:
    """My uncle has been working at the bank for ten years; she no longer works at the zoo."""
    who, place = pick_grown(draw), draw.one(WORK_AT)
    phrase = VerbPhrase("work", "travailler", None, *place)
    if draw.chance(0.5):
        return statement(who, phrase, "simple", draw.either("", "", "not", "no longer"))
    number = draw.one(COUNTS)
    time = (f"for {NUMBERS[number][0]} years", f"depuis {NUMBERS[number][1]} ans")
    return statement(who, phrase, "been", "", time)


_MOVE_TENSES = ("past", "progressive", "past", "going", "past", "will")


def movement(draw: Draw) -> Entry:
    """She went to the market this morning; we are going to Japan next year."""
    who, tense, place = pick_who(draw), draw.one(_MOVE_TENSES), draw.one(TO)
    middle = "not" if draw.chance(0.15) else ""
    if tense == "going" and draw.chance(0.5):
        tense = "progressive"
    times = RECENT_TIMES if tense == "past" else SOON_TIMES if middle else FUTURE_TIMES
    time = draw.one(times) if draw.chance(0.55) else ("", "")
    return statement(who, VerbPhrase("go", "aller", None, *place), tense, middle, time)


_TRIPS = (
    ("arrive", "arriver", "", ""),
    ("leave", "partir", "", ""),
    ("come back", "revenir", "", ""),
    ("come", "venir", "", ""),
    ("go out", "sortir", "", ""),
    ("go home", "rentrer", "", "à la maison"),
    ("stay", "rester", "at home", "à la maison"),
    ("stay", "rester", "here", "ici"),
    ("stay", "rester", "at the hotel", "à l'hôtel"),
    ("come back", "revenir", "from work", "du travail"),
    ("come back", "revenir", "from school", "de l'école"),
)


def trip(draw: Draw) -> Entry:
    """They left yesterday; she didn't come back from work."""
    (english, french, en_tail, fr_tail), tense = draw.one(_TRIPS), draw.either("past", "past", "past", "going")
    middle = "not" if draw.chance(0.25) else ""
    time = draw.one(TIMES[tense])
    return statement(pick_who(draw), VerbPhrase(english, french, None, en_tail, fr_tail), tense, middle, time)


_ORIGINS = ("live", "come", "arrive", "leave", "since")


def home(draw: Draw) -> Entry:
    """He lives in Brazil; my cousin comes from London; she has been living in Rome for two years."""
    who, kind = pick_who(draw), draw.one(_ORIGINS)
    if kind == "come":
        return statement(who, VerbPhrase("come", "venir", None, *draw.one(FROM)), "simple", draw.either("", "not"))
    if kind == "arrive":
        phrase = VerbPhrase("come back", "revenir", None, *draw.one(FROM))
        return statement(who, phrase, "past", "", draw.one(RECENT_TIMES))
    if kind == "leave":
        english, french = draw.one(IN_CITY)
        phrase = VerbPhrase("be born", "naître", None, english, french)
        return _born(who, phrase)
    live = VerbPhrase("live", "habiter", None, *draw.one(draw.either(IN_CITY, IN_COUNTRY)))
    if kind == "live":
        return statement(who, live, "simple", draw.either("", "", "not", "no longer"))
    english, french = NUMBERS[draw.one(COUNTS)]
    return statement(who, live, "been", "", (f"for {english} years", f"depuis {french} ans"))


def _born(who: Who, phrase: VerbPhrase) -> Entry:
    english = words(who[0].en, en_be(who[0].person, past=True), "born", phrase.en_tail)
    return entry(english, (fr_clause(one, phrase, "past") for one in who))


def since(draw: Draw) -> Entry:
    """I have been waiting for the bus for ten minutes."""
    english, french = NUMBERS[draw.one(COUNTS)]
    phrase, unit = draw.one(_LASTING)
    en_unit, fr_unit = unit
    return statement(pick_grown(draw), phrase, "been", "", (f"for {english} {en_unit}", f"depuis {french} {fr_unit}"))


_MINUTES, _HOURS, _YEARS = ("minutes", "minutes"), ("hours", "heures"), ("years", "ans")
_LASTING = (
    *((VerbPhrase("wait for", "attendre", NounPhrase(noun, "the")), _MINUTES) for noun in nouns("bus, train, doctor")),
    *((plain(action), _YEARS) for action in PHRASES if action.en in ("learn", "play")),
    *((VerbPhrase(en, fr), _HOURS) for en, fr in (("sleep", "dormir"), ("work", "travailler"), ("walk", "marcher"))),
    *((VerbPhrase(en, fr), _MINUTES) for en, fr in (("wait", "attendre"), ("run", "courir"), ("cry", "pleurer"))),
    (VerbPhrase("read", "lire"), _HOURS),
)


# --- Reflexive verbs ---

_REFLEXIVE_USES = {use: tuple(plain(one) for one in REFLEXIVES if use in one.uses) for use in ("p", "a", "h", "g")}
_EARLY = (("early", "tôt"), ("late", "tard"))
_CLOCK_HOURS = (5, 6, 7, 8, 9, 10, 11)
_TIMED = ("get up", "wake up", "go to bed")


def reflexive(draw: Draw) -> Entry:
    """She gets up at seven o'clock; we went for a walk yesterday."""
    who, use = pick_who(draw), draw.either("p", "a", "h", "g", "a", "h")
    phrase = draw.one(_REFLEXIVE_USES[use])
    tense = {"p": "progressive", "a": "past", "h": "simple", "g": "going"}[use]
    if phrase.en in _TIMED:
        english, french = NUMBERS[draw.one(_CLOCK_HOURS)]
        hour = (f"at {english} o'clock", f"à {french} heures")
        return statement(who, phrase, tense, "not" if draw.chance(0.2) else "", draw.either(hour, draw.one(_EARLY)))
    if use == "h":
        return statement(who, phrase, tense, "", draw.one(HABIT_TIMES))
    middle = "not" if draw.chance(0.2) else ""
    if use == "p" or phrase.en in ("fall asleep", "get dressed", "hurry"):
        return statement(who, phrase, tense, middle)
    return statement(who, phrase, tense, middle, draw.one(TIMES[tense]))
