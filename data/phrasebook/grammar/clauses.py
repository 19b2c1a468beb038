"""Phrases and clauses of the phrasebook, built in parallel in English and French from lexicon and morphology."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from grammar.lexicon import NUMBERS, Adjective, Noun
from grammar.morphology import (
    NEGATIVES,
    VerbGroup,
    elide,
    en_article,
    en_be,
    en_ing,
    en_participle,
    en_past,
    en_plural,
    en_third,
    fr_agree,
    fr_de,
    fr_plural,
    sounds_like_vowel,
    verb_group,
)

Entry = tuple[str, tuple[str, ...]]
"""An English sentence and all its French translations."""

_EN_POSSESSIVES = ("my", "your", "his", "our", "your", "their")
# Masculine, feminine, plural, by person.
_FR_POSSESSIVES = (
    ("mon", "ma", "mes"),
    ("ton", "ta", "tes"),
    ("son", "sa", "ses"),
    ("notre", "notre", "nos"),
    ("votre", "votre", "vos"),
    ("leur", "leur", "leurs"),
)
_OWNERS = {"my": 0, "his": 2, "her": 2, "our": 3, "their": 5}
_FR_NUMBERS = dict(NUMBERS.values())
FR_PRONOUNS = ("je", "tu", "il", "elle", "nous", "vous", "ils", "elles")


@dataclass(frozen=True)
class Subject:
    """A subject in both languages, with its person and gender."""

    en: str
    fr: str
    person: int
    gender: str = "m"

    @property
    def plural(self) -> bool:
        """Whether participles and adjectives are plural; polite "vous" is not."""
        return self.person in (3, 5)

    @property
    def en_possessive(self) -> str:
        """My, your, his, her, our, their."""
        return "her" if self.person == 2 and self.gender == "f" else _EN_POSSESSIVES[self.person]

    def pronoun(self) -> "Subject":
        """The pronoun that takes up this subject."""
        if self.fr in FR_PRONOUNS:
            return self
        if self.person == 5:
            return replace(self, en="they", fr="ils" if self.gender == "m" else "elles")
        return replace(self, en="he", fr="il") if self.gender == "m" else replace(self, en="she", fr="elle")


Who = tuple[Subject, ...]
"""One English subject with its French readings: "you" has two."""

YOU: Who = (Subject("you", "tu", 1), Subject("you", "vous", 4))
PRONOUNS: tuple[Who, ...] = (
    (Subject("I", "je", 0),),
    (Subject("he", "il", 2),),
    (Subject("she", "elle", 2, "f"),),
    (Subject("we", "nous", 3),),
    (Subject("they", "ils", 5),),
)
HE, SHE, WE = PRONOUNS[1][0], PRONOUNS[2][0], PRONOUNS[3][0]
SOMEBODY = HE


@dataclass(frozen=True)
class NounPhrase:
    """Determiner, adjective, noun.

    `det` is the, a (bare in the plural and for mass nouns), this, own (the subject's), a possessive or a number.
    """

    noun: Noun
    det: str
    plural: bool = False
    adjective: Adjective | None = None

    def en(self, owner: Subject = SOMEBODY) -> str:
        """The English phrase; `owner` decides "own"."""
        noun = en_plural(self.noun) if self.plural else self.noun.en
        words = f"{self.adjective.en} {noun}" if self.adjective else noun
        if self.det == "a":
            return words if self.plural or self.noun.mass else en_article(words)
        det = {"this": "these" if self.plural else "this", "own": owner.en_possessive}.get(self.det, self.det)
        return f"{det} {words}"

    def fr(self, owner: Subject = SOMEBODY, *, negative: bool = False) -> str:
        """The French phrase; `negative` turns un, du and des into de."""
        words = self._fr_words()
        if self.det == "a" and (negative or (self.plural and self.adjective and self.adjective.before)):
            return elide(f"de {words}")
        return elide(f"{self._fr_det(words, owner)} {words}")

    def subject(self) -> Subject:
        """The phrase as a subject; its determiner must not be "own"."""
        return Subject(self.en(), self.fr(), 5 if self.plural else 2, self.noun.gender)

    def _fr_words(self) -> str:
        noun = fr_plural(self.noun) if self.plural else self.noun.fr
        if self.adjective is None:
            return noun
        form = fr_agree(self.adjective, self.noun.gender, plural=self.plural)
        if not self.adjective.before:
            return f"{noun} {form}"
        if self.adjective.vowel and self.noun.gender == "m" and not self.plural and sounds_like_vowel(noun):
            form = self.adjective.vowel
        return f"{form} {noun}"

    def _fr_det(self, words: str, owner: Subject) -> str:
        if self.det in _FR_NUMBERS:
            return _FR_NUMBERS[self.det]
        form = 2 if self.plural else int(self.noun.gender == "f")
        if self.det == "the":
            return ("le", "la", "les")[form]
        if self.det == "a":
            # "de le" and "de la" are elided as one: du pain, de la viande, de l'eau.
            return self._partitive(words) if self.noun.mass else ("un", "une", "des")[form]
        vowel = sounds_like_vowel(words) and not self.plural
        if self.det == "this":
            return "cet" if vowel and form == 0 else ("ce", "cette", "ces")[form]
        person = owner.person if self.det == "own" else _OWNERS[self.det]
        return _FR_POSSESSIVES[person][0 if vowel else form]

    def _partitive(self, words: str) -> str:
        if sounds_like_vowel(words):
            return "de la"
        return "du" if self.noun.gender == "m" else "de la"


@dataclass(frozen=True)
class VerbPhrase:
    """A verb with its object and what follows, in both languages.

    `fr_negative` is the French tail under negation where it differs; `clitic` is a French object pronoun, `agree` its
    gender and number.
    """

    en: str
    fr: str
    obj: NounPhrase | None = None
    en_tail: str = ""
    fr_tail: str = ""
    fr_negative: str = ""
    clitic: str = ""
    agree: tuple[str, bool] = ("m", False)

    def en_rest(self, subject: Subject) -> str:
        """What follows the English verb."""
        return words(self.obj.en(subject) if self.obj else "", self.en_tail)

    def fr_rest(self, subject: Subject, *, negative: bool = False) -> str:
        """What follows the French verb."""
        tail = self.fr_negative if negative and self.fr_negative else self.fr_tail
        return words(self.obj.fr(subject, negative=negative) if self.obj else "", tail)


FR_TENSES = {
    "simple": "present",
    "progressive": "present",
    "been": "present",
    "past": "past",
    "perfect": "past",
    "will": "future",
    "going": "near",
    "used": "imperfect",
    "was": "imperfect",
    "just": "just",
}
_EN_NOT = {"am": "am not", "will": "won't"}
# Polarity or adverb: English word, French word.
MIDDLES = {"not": "pas", "never": "jamais", "no longer": "plus"}


def words(*parts: str) -> str:
    """The non-empty parts, with a space between."""
    return " ".join(part for part in parts if part)


def _auxiliary(verb: str, tense: str, person: int) -> tuple[str, str]:
    """The English auxiliary and the rest of the verb."""
    third = person == 2
    first, _, rest = verb.partition(" ")
    if first == "be" and tense in ("simple", "past", "was"):
        return en_be(person, past=tense != "simple"), rest
    has = "has" if third else "have"
    return {
        "simple": ("does" if third else "do", verb),
        "past": ("did", verb),
        "progressive": (en_be(person), en_ing(verb)),
        "was": (en_be(person, past=True), en_ing(verb)),
        "will": ("will", verb),
        "going": (en_be(person), f"going to {verb}"),
        "used": ("did", f"use to {verb}"),
        "perfect": (has, en_participle(verb)),
        "just": (has, f"just {en_participle(verb)}"),
        "been": (has, f"been {en_ing(verb)}"),
    }[tense]


def en_clause(subject: Subject, phrase: VerbPhrase, tense: str, middle: str = "") -> str:
    """An English statement; `middle` is not, never, no longer or an adverb such as "often"."""
    auxiliary, main = _auxiliary(phrase.en, tense, subject.person)
    rest = phrase.en_rest(subject)
    if middle == "not":
        return words(subject.en, _EN_NOT.get(auxiliary, auxiliary + "n't"), main, rest)
    if auxiliary in ("do", "does", "did"):
        finite = {"used": f"used to {phrase.en}", "past": en_past(phrase.en)}.get(
            tense, en_third(phrase.en) if subject.person == 2 else phrase.en
        )
        return words(subject.en, middle, finite, rest)
    return words(subject.en, auxiliary, middle, main, rest)


def en_question(subject: Subject, phrase: VerbPhrase, tense: str, wh: str = "") -> str:
    """An English question, without its mark."""
    auxiliary, main = _auxiliary(phrase.en, tense, subject.person)
    return words(wh, auxiliary, subject.en, main, phrase.en_rest(subject))


def fr_clause(subject: Subject, phrase: VerbPhrase, tense: str, middle: str = "") -> str:
    """A French statement, not yet elided; `tense` is the English one, `middle` the French word."""
    group = _group(subject, phrase, tense, middle)
    return words(subject.fr, group.text(), phrase.fr_rest(subject, negative=middle in NEGATIVES))


def fr_questions(subject: Subject, phrase: VerbPhrase, tense: str, wh: str = "") -> tuple[str, ...]:
    """French questions: with "est-ce que", and by inversion where the subject is a pronoun other than "je"."""
    statement = fr_clause(subject, phrase, tense)
    questions = [words(wh, "est-ce que", statement)]
    if subject.fr in FR_PRONOUNS and subject.fr != "je":
        inverted = _group(subject, phrase, tense).inverted(subject.fr)
        questions.append(words(wh, inverted, phrase.fr_rest(subject)))
    return tuple(questions)


def _group(subject: Subject, phrase: VerbPhrase, tense: str, middle: str = "") -> VerbGroup:
    agree = phrase.agree if phrase.clitic else (subject.gender, subject.plural)
    return verb_group(phrase.fr, FR_TENSES[tense], subject.person, agree=agree, middle=middle, clitic=phrase.clitic)


def statement(who: Who, phrase: VerbPhrase, tense: str, middle: str = "", time: tuple[str, str] = ("", "")) -> Entry:
    """A statement in both languages; `middle` is not, never, no longer or nothing, `time` an adverbial at the end."""
    english = words(en_clause(who[0], phrase, tense, middle), time[0])
    french = (words(fr_clause(one, phrase, tense, MIDDLES.get(middle, "")), time[1]) for one in who)
    return entry(english, french)


def entry(english: str, french: Iterable[str], mark: str = ".") -> Entry:
    """The sentences with capitals and marks, French elided and with a space before "?" and "!"; no doubles."""
    space = "" if mark == "." else " "
    translations = dict.fromkeys(_capital(elide(one)) + space + mark for one in french)
    return _capital(english) + mark, tuple(translations)


def _capital(text: str) -> str:
    text = re.sub(r" +", " ", text).strip()
    return text[0].upper() + text[1:]


def fr_to_country(name: str, gender: str) -> str:
    """To or in a country: en France, au Japon, aux États-Unis."""
    if gender == "p":
        return f"aux {name}"
    return f"en {name}" if gender == "f" or sounds_like_vowel(name) else f"au {name}"


def fr_from_country(name: str, gender: str) -> str:
    """From a country: de France, d'Italie, du Japon, des États-Unis."""
    if gender == "f":
        return elide(f"de {name}")
    return fr_de(f"{'les' if gender == 'p' else 'le'} {name}")
