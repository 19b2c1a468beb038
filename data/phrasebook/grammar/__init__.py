"""The phrasebook: English sentences with all their French translations, from a hand-written synchronous grammar.

Its modules are the words (`lexicon`), inflection (`morphology`), phrases and clauses in both languages (`clauses`), random
choices (`draw`) and the sentence patterns (all others). This module samples the patterns; `python -m grammar` writes the result
into the package wordseq.

Conventions where English is ambiguous: "you" is both "tu" and polite "vous" (one man). Other speakers and "they" are masculine.
"I like" is "aimer"; "I love" is "adorer" for things and "aimer" for people.
"""

import random
from collections.abc import Mapping
from types import MappingProxyType

from grammar import comparisons, dialogue, facts, questions, sentences, statements, states
from grammar.draw import Draw, Pattern

# Distinct English sentences of each pattern.
QUOTAS: Mapping[Pattern, int] = MappingProxyType(
    {
        statements.progressive: 1050,
        statements.past: 1610,
        statements.habit: 910,
        statements.going_to: 840,
        statements.will: 600,
        statements.used_to: 490,
        statements.modal: 770,
        statements.skill: 180,
        statements.scene: 560,
        statements.workplace: 240,
        statements.movement: 700,
        statements.trip: 380,
        statements.home: 420,
        statements.since: 210,
        statements.reflexive: 560,
        states.person_is: 630,
        states.thing_is: 840,
        states.idiom: 280,
        states.age: 100,
        states.owning: 560,
        states.taste: 380,
        states.located: 490,
        states.where_is: 100,
        states.there_is: 380,
        states.is_there: 130,
        states.directions: 180,
        questions.yes_no: 550,
        questions.is_it_so: 250,
        questions.wh_question: 200,
        questions.what_question: 200,
        questions.how_many: 250,
        questions.who_question: 250,
        facts.time_of_day: 380,
        facts.date: 240,
        facts.price: 210,
        facts.weather: 320,
        comparisons.compare_people: 400,
        comparisons.compare_things: 300,
        comparisons.superlative: 150,
        comparisons.profession: 100,
        comparisons.identify: 240,
        dialogue.object_pronoun: 420,
        dialogue.giving: 380,
        dialogue.order: 300,
        dialogue.lets: 100,
        dialogue.serving: 210,
        dialogue.amount: 180,
        sentences.just: 320,
        sentences.because: 320,
        sentences.condition: 320,
        sentences.reported: 350,
        sentences.relative_who: 180,
        sentences.relative_that: 240,
    }
)
_SEED = 1
_TRIES = 60


def sentence_pairs() -> list[tuple[str, str]]:
    """Pairs of an English sentence and a French translation; all translations of a sentence are consecutive."""
    draw = Draw(_SEED)
    found: dict[str, tuple[str, ...]] = {}
    for pattern, quota in QUOTAS.items():
        # A pattern may have fewer distinct sentences than its quota. Of equal English sentences the first is kept.
        wanted = len(found) + quota
        for _ in range(quota * _TRIES):
            found.setdefault(*pattern(draw))
            if len(found) == wanted:
                break
    entries = list(found.items())
    random.Random(_SEED).shuffle(entries)
    return [(english, french) for english, translations in entries for french in translations]
