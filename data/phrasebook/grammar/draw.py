"""Random choices shared by the sentence patterns of the phrasebook: subjects, actions, places, times."""

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from grammar.clauses import (
    PRONOUNS,
    YOU,
    Entry,
    NounPhrase,
    Subject,
    VerbPhrase,
    Who,
    fr_from_country,
    fr_to_country,
)
from grammar.lexicon import (
    ATTRIBUTES,
    CITIES,
    COUNTRIES,
    FRAMES,
    GOALS,
    INTRANSITIVES,
    NAMES,
    NOW_TIMES,
    PEOPLE,
    PHRASES,
    RECENT_TIMES,
    RELATIVES,
    SOON_TIMES,
    WORKPLACES,
    Frame,
    Noun,
    Phrase,
    nouns,
)
from grammar.morphology import fr_a

T = TypeVar("T")


class Draw:
    """Random choices that use every item of a sequence equally often."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._decks: dict[int, tuple[Sequence[Any], list[Any]]] = {}

    def one(self, items: Sequence[T]) -> T:
        """The next item of a shuffled deck of `items`; each sequence object has its own deck."""
        # The sequence is kept with its deck: otherwise its id could be used again.
        _, deck = self._decks.setdefault(id(items), (items, []))
        if not deck:
            deck.extend(items)
            self._random.shuffle(deck)
        return deck.pop()

    def either(self, *options: T) -> T:
        """One of a few options, independent of earlier draws."""
        return self._random.choice(options)

    def chance(self, share: float) -> bool:
        """True in this share of the calls."""
        return self._random.random() < share


Pattern = Callable[[Draw], Entry]

# --- Subjects ---

_PRONOUN_DECK = (*PRONOUNS, *PRONOUNS[3:], YOU, YOU)


def kin_dets(noun: Noun) -> tuple[str, ...]:
    """The possessives that fit a relative: "our husband" does not."""
    return {"husband": ("my", "her"), "wife": ("my", "his")}.get(noun.en, ("my", "his", "her", "our"))


NAMED: tuple[Who, ...] = tuple((Subject(name, name, 2, gender),) for name, gender in NAMES)
FAMILY: tuple[Who, ...] = (
    *((NounPhrase(noun, det).subject(),) for noun in RELATIVES for det in kin_dets(noun)),
    *((Subject(f"{en} parents", f"{fr} parents", 5),) for en, fr in (("my", "mes"), ("our", "nos"), ("her", "ses"))),
)
STRANGERS: tuple[Who, ...] = (
    *((NounPhrase(noun, "the").subject(),) for noun in PEOPLE if noun.en != "friend"),
    *((NounPhrase(noun, "the", plural=True).subject(),) for noun in nouns("child, student, tourist, boy")),
)
_CHILDREN = ("the child", "the boy", "the girl", "the children", "the boys")
SUBJECT_KINDS = (*(_PRONOUN_DECK,) * 5, NAMED, NAMED, FAMILY, STRANGERS)
_ASKED_KINDS = (PRONOUNS[1:3], (PRONOUNS[4], YOU), NAMED, NAMED, FAMILY, STRANGERS)
THIRD_KINDS = (PRONOUNS[1:3], NAMED, NAMED, FAMILY, STRANGERS)


def pick_who(draw: Draw) -> Who:
    """Any subject."""
    return draw.one(draw.one(SUBJECT_KINDS))


def pick_grown(draw: Draw) -> Who:
    """Any subject but a child, for sentences such as "has been working for ten years"."""
    who = pick_who(draw)
    return who if who[0].en not in _CHILDREN else draw.one(NAMED)


def pick_other(draw: Draw) -> Subject:
    """A third person."""
    return draw.one(draw.one(THIRD_KINDS))[0]


def pick_asked(draw: Draw) -> Who:
    """A subject of questions: a third person or "you"."""
    return draw.one(draw.one(_ASKED_KINDS))


def with_your(noun: Noun, det: str, *, plural: bool) -> Who:
    """The noun phrase as a subject; "your" has two readings."""
    if det != "your":
        return (NounPhrase(noun, det, plural).subject(),)
    phrase = NounPhrase(noun, "own", plural)
    return tuple(Subject(phrase.en(you), phrase.fr(you), 5 if plural else 2, noun.gender) for you in YOU)


# --- Objects and actions ---

_DETS = {
    "d": ("the", False),
    "D": ("the", True),
    "i": ("a", False),
    "I": ("a", True),
    "m": ("a", False),
    "o": ("own", False),
    "O": ("own", True),
    "t": ("this", False),
    "T": ("this", True),
}
_OBJECTS = {frame: nouns(frame.objects) for frame in FRAMES}
_USES = "pahgwumi"
_ALL_ACTIONS: tuple[Frame | Phrase, ...] = (*FRAMES, *PHRASES)
ACTIONS: dict[str, tuple[Frame | Phrase, ...]] = {
    use: tuple(action for action in _ALL_ACTIONS if use in action.uses) for use in _USES
}
BARE: dict[str, tuple[Phrase, ...]] = {
    use: tuple(action for action in INTRANSITIVES if use in action.uses) for use in _USES
}
# Verbs whose objects may have an adjective.
_ADJECTIVE_VERBS = ("buy", "wear", "sell", "read", "see", "draw", "choose", "visit", "wash", "paint")


def pick_object(draw: Draw, frame: Frame) -> NounPhrase:
    """An object that fits the verb."""
    noun = draw.one(_OBJECTS[frame])
    det, plural = _DETS["m" if noun.mass and "m" in frame.dets else draw.either(*frame.dets)]
    plural = plural and not noun.mass
    adjective = None
    if frame.en in _ADJECTIVE_VERBS and draw.chance(0.3) and not noun.mass and noun.kind in ATTRIBUTES:
        adjective = draw.one(ATTRIBUTES[noun.kind])
    return NounPhrase(noun, det, plural, adjective)


def some_action(draw: Draw, use: str) -> VerbPhrase:
    """A verb phrase that fits a context of `Frame.uses`."""
    return as_phrase(draw, draw.one(ACTIONS[use]))


def plain(action: Phrase) -> VerbPhrase:
    """The verb phrase of a fixed phrase."""
    return VerbPhrase(action.en, action.fr, None, action.en_tail, action.fr_tail, action.fr_negative)


def as_phrase(draw: Draw, action: Frame | Phrase) -> VerbPhrase:
    """The verb phrase of a frame, with an object drawn, or of a fixed phrase."""
    if isinstance(action, Frame):
        return VerbPhrase(action.en, action.fr, pick_object(draw, action))
    return plain(action)


# Few verbs, so that each of their many forms is frequent.
_FUTURE_VERBS = ("eat", "drink", "buy", "read", "watch", "repair", "visit", "invite", "help", "take", "play", "do")
_FUTURE_ACTIONS = tuple(action for action in ACTIONS["w"] if action.en in _FUTURE_VERBS)


def future_phrase(draw: Draw) -> VerbPhrase:
    """A verb phrase with one of the verbs for the future tense."""
    return as_phrase(draw, draw.one(_FUTURE_ACTIONS))


# --- Places and times ---


def _to_place(noun: Noun) -> tuple[str, str]:
    return f"the {noun.en}", fr_a(NounPhrase(noun, "the").fr())


WORK_AT = tuple((f"at {_to_place(noun)[0]}", _to_place(noun)[1]) for noun in WORKPLACES)
IN_CITY = tuple((f"in {en}", f"à {fr}") for en, fr in CITIES)
IN_COUNTRY = tuple((f"in {en}", fr_to_country(fr, gender)) for en, fr, gender in COUNTRIES)
TO = (
    *((f"to {_to_place(noun)[0]}", _to_place(noun)[1]) for noun in GOALS),
    *((f"to {en}", f"à {fr}") for en, fr in CITIES),
    *((f"to {en}", fr_to_country(fr, gender)) for en, fr, gender in COUNTRIES),
    ("to school", "à l'école"),
    ("to the mountains", "à la montagne"),
    ("to the doctor", "chez le médecin"),
    ("to the countryside", "à la campagne"),
)
FROM = (
    *((f"from {en}", f"de {fr}") for en, fr in CITIES),
    *((f"from {en}", fr_from_country(fr, gender)) for en, fr, gender in COUNTRIES),
)
TIMES: dict[str, Sequence[tuple[str, str]]] = {
    "progressive": NOW_TIMES,
    "past": RECENT_TIMES,
    "going": SOON_TIMES,
    "will": SOON_TIMES,
}
COUNTS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20)
