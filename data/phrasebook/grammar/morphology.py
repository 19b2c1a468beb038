"""Inflection of English and French words: plurals, agreement, conjugation, elision, contraction.

Persons count from 0: I, you (tu), he or she, we, you (vous), they. Polite "vous" is one person, and speakers whose
gender English leaves open are masculine.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from grammar.lexicon import (
    EN_CONSONANT_SOUND,
    EN_DOUBLED,
    EN_IRREGULAR,
    EN_VOWEL_SOUND,
    FR_IMPERATIVES,
    FR_IRREGULAR,
    FR_NO_ELISION,
    FR_WEAK_STEMS,
    FR_WITH_ETRE,
    Adjective,
    Noun,
)

REFLEXIVE_PRONOUNS = ("me", "te", "se", "nous", "vous", "se")
DIRECT_PRONOUNS = ("me", "te", "le", "la", "nous", "vous", "les")
NEGATIVES = ("pas", "jamais", "plus")
_FR_VOWELS = "aàâeéèêëiîïoôuùûœ"
_SOUNDS_LIKE_VOWEL = rf"(?:(?!{'|'.join(FR_NO_ELISION)})[{_FR_VOWELS}h]|y\b)"
_ELISION = re.compile(rf"(?<![\w'-])(?:(l)[ea]|([jndmts]|qu)e) (?={_SOUNDS_LIKE_VOWEL})", re.IGNORECASE)
_STARTS_WITH_VOWEL = re.compile(_SOUNDS_LIKE_VOWEL, re.IGNORECASE)
_SI_IL = re.compile(r"\bsi (?=ils?\b)", re.IGNORECASE)


# --- English ---------------------------------------------------------------------------------------------------------


def en_plural(noun: Noun) -> str:
    """The English plural."""
    return noun.en_plural or _with_s(noun.en)


def _with_s(word: str) -> str:
    if re.search(r"(?:[sx]|ch|sh)$", word):
        return word + "es"
    return re.sub(r"(?<![aeiou])y$", "ie", word) + "s"


def _on_first_word(verb: str, inflect: Callable[[str], str]) -> str:
    first, space, rest = verb.partition(" ")
    return inflect(first) + space + rest


def en_third(verb: str) -> str:
    """Third person singular: eats, goes, looks for."""
    return _on_first_word(verb, lambda word: {"have": "has", "do": "does", "go": "goes"}.get(word) or _with_s(word))


def en_past(verb: str) -> str:
    """Simple past: ate, looked for."""
    return _on_first_word(verb, lambda word: EN_IRREGULAR[word][0] if word in EN_IRREGULAR else _with_ed(word))


def en_participle(verb: str) -> str:
    """Past participle: eaten, looked for."""
    return _on_first_word(verb, lambda word: EN_IRREGULAR[word][1] if word in EN_IRREGULAR else _with_ed(word))


def _with_ed(word: str) -> str:
    return re.sub(r"(?<![aeiou])y$", "i", word).removesuffix("e") + "ed"


def en_ing(verb: str) -> str:
    """Present participle: eating, running, looking for."""
    return _on_first_word(verb, _with_ing)


def _with_ing(word: str) -> str:
    if word in EN_DOUBLED:
        return word + word[-1] + "ing"
    return (word.removesuffix("e") if word not in ("be", "see") else word) + "ing"


def en_article(phrase: str) -> str:
    """The phrase after "a" or "an", by the sound of its first word."""
    word = phrase.partition(" ")[0].lower()
    vowel = word in EN_VOWEL_SOUND or (word[0] in "aeiou" and word not in EN_CONSONANT_SOUND)
    return f"{'an' if vowel else 'a'} {phrase}"


def en_be(person: int, *, past: bool = False) -> str:
    """The form of "be"."""
    if past:
        return "was" if person in (0, 2) else "were"
    return {0: "am", 2: "is"}.get(person, "are")


# --- French: nouns and adjectives ------------------------------------------------------------------------------------


def fr_plural(noun: Noun) -> str:
    """The French plural."""
    return noun.fr_plural or _plural(noun.fr)


def _plural(word: str) -> str:
    if word[-1] in "sxz":
        return word
    if word.endswith("al"):
        return word[:-1] + "ux"
    return word + ("x" if word.endswith("eau") else "s")


def fr_agree(adjective: Adjective, gender: str, *, plural: bool = False) -> str:
    """The adjective in gender and number."""
    if adjective.invariable:
        return adjective.fr
    form = adjective.fr if gender == "m" else adjective.feminine or _feminine(adjective.fr)
    return _plural(form) if plural else form


def _feminine(word: str) -> str:
    for ending, feminine in (("e", "e"), ("eux", "euse"), ("er", "ère")):
        if word.endswith(ending):
            return word.removesuffix(ending) + feminine
    return word + "e"


def fr_agree_participle(participle: str, gender: str, *, plural: bool = False) -> str:
    """A past participle in gender and number."""
    form = participle + ("e" if gender == "f" else "")
    return form + "s" if plural and not form.endswith("s") else form


def sounds_like_vowel(word: str) -> bool:
    """Whether a French word takes elision and liaison: not before an aspirated h."""
    return _STARTS_WITH_VOWEL.match(word) is not None


def elide(text: str) -> str:
    """French text with le, la, je, ne, de, que, me, te, se and si elided where they must be."""
    text = _SI_IL.sub(lambda match: match[0][0] + "'", text)
    return _ELISION.sub(lambda match: (match[1] or match[2]) + "'", text)


def fr_de(phrase: str) -> str:
    """The noun phrase after "de": du, des, de l', d'."""
    return _contract("de", {"le ": "du ", "les ": "des "}, phrase)


def fr_a(phrase: str) -> str:
    """The noun phrase after "à": au, aux, à l'."""
    return _contract("à", {"le ": "au ", "les ": "aux "}, phrase)


def _contract(preposition: str, contracted: dict[str, str], phrase: str) -> str:
    for article, form in contracted.items():
        if phrase.startswith(article):
            return form + phrase.removeprefix(article)
    return elide(f"{preposition} {phrase}")


# --- French: verbs ---------------------------------------------------------------------------------------------------


def base_verb(verb: str) -> str:
    """The infinitive without "se"."""
    return verb.removeprefix("se ")


def is_reflexive(verb: str) -> bool:
    """Whether the infinitive is written with "se" (never elided in the lexicon: "se habiller")."""
    return verb.startswith("se ")


def fr_present(verb: str, person: int) -> str:
    """Present tense."""
    verb = base_verb(verb)
    if verb in FR_IRREGULAR:
        return FR_IRREGULAR[verb].split("|")[0].split()[person]
    stem, ending = verb[:-2], verb[-2:]
    if ending == "er":
        return _present_er(verb, stem, person)
    if ending == "ir":
        return stem + ("is", "is", "it", "issons", "issez", "issent")[person]
    return stem + ("s", "s", "", "ons", "ez", "ent")[person]


def _present_er(verb: str, stem: str, person: int) -> str:
    if person == 3:
        return {"g": stem + "e", "c": stem[:-1] + "ç"}.get(stem[-1], stem) + "ons"
    if person == 4:
        return stem + "ez"
    return _weak_stem(verb) + ("e", "es", "e", "", "", "ent")[person]


def _weak_stem(verb: str) -> str:
    return FR_WEAK_STEMS.get(verb) or re.sub(r"y$", "i", verb[:-2])


def fr_imperfect(verb: str, person: int) -> str:
    """Imparfait."""
    verb = base_verb(verb)
    stem = "ét" if verb == "être" else fr_present(verb, 3).removesuffix("ons")
    if person in (3, 4):
        stem = re.sub(r"ç$", "c", re.sub(r"ge$", "g", stem))
    return stem + ("ais", "ais", "ait", "ions", "iez", "aient")[person]


def fr_future(verb: str, person: int) -> str:
    """Futur simple."""
    return _future_stem(base_verb(verb)) + ("ai", "as", "a", "ons", "ez", "ont")[person]


def _future_stem(verb: str) -> str:
    if verb in FR_IRREGULAR:
        return FR_IRREGULAR[verb].split("|")[2]
    if verb.endswith("er") and not re.search(r"é.er$", verb):
        return _weak_stem(verb) + "er"
    return verb.removesuffix("e")


def fr_participle(verb: str) -> str:
    """Past participle, masculine singular."""
    verb = base_verb(verb)
    if verb in FR_IRREGULAR:
        return FR_IRREGULAR[verb].split("|")[1]
    return verb[:-2] + {"er": "é", "ir": "i", "re": "u"}[verb[-2:]]


def fr_infinitive(verb: str, person: int, clitic: str = "") -> str:
    """The infinitive with its pronoun: "me lever", "le voir"."""
    pronoun = REFLEXIVE_PRONOUNS[person] if is_reflexive(verb) else clitic
    return f"{pronoun} {base_verb(verb)}".strip()


def fr_imperative(verb: str, person: int) -> str:
    """Imperative of person 1 (tu), 3 (nous) or 4 (vous), with its reflexive pronoun: "lève-toi"."""
    base = base_verb(verb)
    if base in FR_IMPERATIVES:
        form = FR_IMPERATIVES[base][{1: 0, 4: 1, 3: 2}[person]]
    else:
        form = fr_present(base, person)
        if person == 1 and form.endswith("es"):
            form = form[:-1]
    return form + ("-" + {1: "toi", 3: "nous", 4: "vous"}[person] if is_reflexive(verb) else "")


@dataclass(frozen=True)
class VerbGroup:
    """A finite French verb with what stands around it: before "ne le", finite "a", after "pas vu"."""

    before: str
    finite: str
    after: str

    def text(self) -> str:
        """The words after a subject."""
        return " ".join(part for part in (self.before, self.finite, self.after) if part)

    def inverted(self, pronoun: str) -> str:
        """The words of a question with the subject pronoun after the verb: "a-t-il vu"."""
        link = "-t-" if self.finite[-1] in "ae" and sounds_like_vowel(pronoun) else "-"
        return VerbGroup(self.before, self.finite + link + pronoun, self.after).text()


_SIMPLE_TENSES = {"present": fr_present, "imperfect": fr_imperfect, "future": fr_future}


def verb_group(
    verb: str, tense: str, person: int, *, agree: tuple[str, bool] = ("m", False), middle: str = "", clitic: str = ""
) -> VerbGroup:
    """The verb group.

    Args:
        verb: infinitive, reflexive ones with "se".
        tense: present, imperfect, future, past (passé composé), near (futur proche) or just (venir de).
        person: 0 to 5.
        agree: gender and plural that the participle agrees with, of the subject (être) or of `clitic` (avoir).
        middle: "pas", "jamais", "plus" (with "ne"), or an adverb such as "souvent".
        clitic: object pronoun.
    """
    ne = "ne" if middle in NEGATIVES else ""
    pronoun = REFLEXIVE_PRONOUNS[person] if is_reflexive(verb) else clitic
    if tense in _SIMPLE_TENSES:
        return VerbGroup(_words(ne, pronoun), _SIMPLE_TENSES[tense](verb, person), middle)
    if tense == "past":
        auxiliary = "être" if is_reflexive(verb) or verb in FR_WITH_ETRE else "avoir"
        gender, plural = agree if auxiliary == "être" or clitic in DIRECT_PRONOUNS else ("m", False)
        participle = fr_agree_participle(fr_participle(verb), gender, plural=plural)
        return VerbGroup(_words(ne, pronoun), fr_present(auxiliary, person), _words(middle, participle))
    infinitive = fr_infinitive(verb, person, clitic)
    helper, link = {"near": ("aller", ""), "just": ("venir", "de")}[tense]
    return VerbGroup(ne, fr_present(helper, person), _words(middle, link, infinitive))


def _words(*parts: str) -> str:
    return " ".join(part for part in parts if part)
