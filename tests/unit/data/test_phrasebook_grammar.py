"""The phrasebook: morphology by hand-written tables, the corpus by what French and English never allow."""

import collections
import functools
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import grammar
import pytest
from grammar import QUOTAS, sentence_pairs
from grammar.clauses import (
    HE,
    PRONOUNS,
    SHE,
    YOU,
    NounPhrase,
    Subject,
    VerbPhrase,
    fr_from_country,
    fr_questions,
    fr_to_country,
    statement,
)
from grammar.draw import Draw
from grammar.lexicon import ADJECTIVES, COUNTRIES, NOUNS
from grammar.morphology import (
    elide,
    en_article,
    en_ing,
    en_participle,
    en_past,
    en_plural,
    en_third,
    fr_a,
    fr_agree,
    fr_de,
    fr_future,
    fr_imperative,
    fr_imperfect,
    fr_participle,
    fr_plural,
    fr_present,
    sounds_like_vowel,
    verb_group,
)

from wordseq.data.synthetic import phrasebook


@functools.cache
def corpus():
    """The pairs, made once for all tests."""
    return sentence_pairs()


@functools.cache
def by_source():
    """All translations of each source."""
    found = collections.defaultdict(list)
    for src, tgt in corpus():
        found[src].append(tgt)
    return found


def word_forms(sentences):
    return collections.Counter(
        form for sentence in sentences for form in re.split(r"[^\w]+", sentence.lower()) if form.isalpha()
    )


# --- The corpus ---


def test_size_and_distinctness():
    assert 20_000 <= len(corpus()) <= 28_000
    assert len(set(corpus())) == len(corpus())


def test_every_pattern_fills_its_quota():
    assert len(by_source()) == sum(QUOTAS.values())


def test_the_shipped_file_is_the_output_of_the_grammar():
    assert phrasebook() == corpus()


def test_word_forms():
    english, french = word_forms(by_source()), word_forms(french for _, french in corpus())
    assert len(english) >= 600
    assert len(french) >= 600
    # A word that is met once cannot be learned: nearly all sentences use well-known words only.
    rare = {form for form, count in french.items() if count <= 2}
    assert sum(bool(rare & set(word_forms([french]))) for _, french in corpus()) < 0.01 * len(corpus())


def test_every_noun_and_adjective_occurs_fifteen_times():
    text = "\n".join(by_source())
    forms = collections.Counter(re.findall(r"[\w-]+", text.lower()))
    for noun in NOUNS.values():
        if " " not in noun.en:
            assert forms[noun.en] + forms[en_plural(noun)] >= 15, noun.en
    for adjective in ADJECTIVES.values():
        assert forms[adjective.en] + forms[adjective.comparative] >= 15, adjective.en


def test_share_of_sources_with_several_translations():
    several = [src for src, tgts in by_source().items() if len(tgts) > 1]
    assert 0.10 <= len(several) / len(by_source()) <= 0.20
    assert max(map(len, by_source().values())) == 4


def test_several_translations_come_from_you_questions_and_orders_only():
    for src, tgts in by_source().items():
        if len(tgts) > 1:
            assert re.search(r"\b[Yy]our?\b", src) or src.endswith("?") or re.match(r"(Don't|[A-Z][a-z]+) ", src), (
                src,
                tgts,
            )


def test_the_same_under_another_hash_seed():
    code = (
        "import hashlib; from grammar import sentence_pairs; "
        "print(hashlib.sha256(repr(sentence_pairs()).encode()).hexdigest())"
    )
    prints = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(grammar.__file__).parents[1],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("12345",)
    }
    assert prints == {hashlib.sha256(repr(corpus()).encode()).hexdigest() + "\n"}


def test_sentences_have_a_length_that_people_use():
    lengths = [len(src.split()) for src in by_source()]
    assert min(lengths) >= 2
    assert max(lengths) <= 14
    assert 4 <= sum(lengths) / len(lengths) <= 9


@pytest.mark.parametrize("side", [0, 1])
def test_capitals_marks_and_spaces(side):
    for pair in corpus():
        text = pair[side]
        assert text[0].isupper(), text
        assert text[-1] in ".?", text
        assert "  " not in text, text
        assert text == text.strip()
        assert not re.search(r"[’\u00a0\u202f\t]", text), text
        assert not re.search(r"\s[.,]", text), text
        assert re.fullmatch(r"[\w' ,?.-]+", text), text


def test_english_and_french_ask_together_and_french_has_a_space_before_its_mark():
    for src, tgt in corpus():
        assert src.endswith("?") == tgt.endswith(" ?"), (src, tgt)
        assert not src.endswith(" ?")


FORBIDDEN_FRENCH = {
    "no elision": r"(?<![\w'-])(le|la|je|ne|de|que|me|te|se) (?!haricot|hibou|huit|onze)[aeiouyhâàéèêëîïôûœ]",
    "elision before an aspirated h": r"'(haricot|hibou|huit|onze)",
    "elision before a consonant": r"\b(l|d|n|m|j|qu|c|s)'[bcdfgjklmnpqrstvwxz]",
    "si il": r"\bsi ils?\b",
    "de le": r"\b(de|à) les?\b",
    "ma amie": r"\b(ma|ta|sa|cette?|la) (?=[aeiouéèêœ])(?<!cette )",
    "beau homme": r"\b(beau|vieux|nouveau|ce) (?!haricot|hibou|à |est |hier)(?=[aeiouéêœh])\w+(?<![sx])\b",
    "ne without its partner": r"(?<!\w)([Nn]e |[Nn]')(?!.*\b(pas|jamais|plus)\b)",
    "pas un": r"\b(?:n'ai|n'as|n'a|n'avons|n'avez|n'ont|n'y a) pas (un|une|des|du)\b",
    "double negation": r"\b(pas|jamais|plus) (pas|jamais)\b",
    "en before a masculine country": r"\ben (Japon|Canada|Brésil|Mexique|Portugal|Maroc)\b",
    "au before a feminine country": r"\bau (France|Espagne|Italie|Allemagne|Angleterre|Grèce|Chine|Belgique)\b",
    "des before an adjective": r"\bdes (petit|grand|beaux|belle|vieux|vieille|nouv|bon|mauvais|jeune|joli|long)",
}


@pytest.mark.parametrize("fault", FORBIDDEN_FRENCH)
def test_french_never_has(fault):
    pattern = re.compile(FORBIDDEN_FRENCH[fault], re.IGNORECASE if fault == "no elision" else 0)
    found = [tgt for _, tgt in corpus() if pattern.search(tgt)]
    assert not found, found[:5]


FORBIDDEN_ENGLISH = {
    "a before a vowel": r"\b[Aa] (?!university|one\b|useful)[aeiou]",
    "an before a consonant": r"\b[Aa]n (?!hour|honest)[^aeiou]",
    "no third person": r"(?:^|that |because )([Hh]e|[Ss]he) (do|have|go|eat|want|like|need|work|live|are|am|were)\b",
    "third person after do": r"\b([Dd]oes|[Dd]id|doesn't|didn't|will|won't|can) (he |she )?(eats|has|goes|wants)\b",
    "person and be": r"\bI (is|are)\b|\b([Ww]e|[Tt]hey|[Yy]ou) (is|was|am)\b",
    "irregular plural": r"\b(mans|womans|childs|knifes|wolfs|wifes|tomatos|potatos)\b",
    "regular past": r"\b(eated|drinked|goed|buyed|seed|selled|losed|runned|singed|swimmed|breaked|choosed)\b",
    "ing": r"\b(eatting|runing|swiming|writeing|takeing|cuting)\b",
    "these and singular": r"\b[Tt]hese (is|was)\b|\bThis (are|were)\b",
    "two singular": r"\b(two|three|four|five) (key|book|cat|dog|brother|sister|child)\b",
    "a doubled word": r"\b(\w+) \1\b",
}


@pytest.mark.parametrize("fault", FORBIDDEN_ENGLISH)
def test_english_never_has(fault):
    found = [src for src in by_source() if re.search(FORBIDDEN_ENGLISH[fault], src)]
    assert not found, found[:5]


# --- English words ---


@pytest.mark.parametrize(
    ("verb", "third", "past", "participle", "ing"),
    [
        ("eat", "eats", "ate", "eaten", "eating"),
        ("go", "goes", "went", "gone", "going"),
        ("have lunch", "has lunch", "had lunch", "had lunch", "having lunch"),
        ("carry", "carries", "carried", "carried", "carrying"),
        ("play", "plays", "played", "played", "playing"),
        ("watch", "watches", "watched", "watched", "watching"),
        ("run", "runs", "ran", "run", "running"),
        ("write", "writes", "wrote", "written", "writing"),
        ("look for", "looks for", "looked for", "looked for", "looking for"),
        ("see", "sees", "saw", "seen", "seeing"),
    ],
)
def test_english_verbs(verb, third, past, participle, ing):
    assert (en_third(verb), en_past(verb), en_participle(verb), en_ing(verb)) == (third, past, participle, ing)


@pytest.mark.parametrize(
    ("singular", "plural"),
    [
        ("child", "children"),
        ("knife", "knives"),
        ("box", "boxes"),
        ("city", "cities"),
        ("boy", "boys"),
        ("key", "keys"),
    ],
)
def test_english_plurals(singular, plural):
    assert en_plural(NOUNS[singular]) == plural


@pytest.mark.parametrize("phrase", ["an apple", "a university", "an honest man", "a car", "an old hat", "a new egg"])
def test_english_article(phrase):
    assert en_article(phrase.split(" ", 1)[1]) == phrase


# --- French words ---


@pytest.mark.parametrize(
    ("noun", "plural"),
    [
        ("horse", "chevaux"),
        ("newspaper", "journaux"),
        ("bird", "oiseaux"),
        ("son", "fils"),
        ("owl", "hiboux"),
        ("potato", "pommes de terre"),
        ("grandfather", "grands-pères"),
        ("cat", "chats"),
    ],
)
def test_french_plurals(noun, plural):
    assert fr_plural(NOUNS[noun]) == plural


@pytest.mark.parametrize(
    ("adjective", "forms"),
    [
        ("white", "blanc blanche blancs blanches"),
        ("expensive", "cher chère chers chères"),
        ("happy", "heureux heureuse heureux heureuses"),
        ("old", "vieux vieille vieux vieilles"),
        ("beautiful", "beau belle beaux belles"),
        ("brown", "marron marron marron marron"),
        ("grey", "gris grise gris grises"),
        ("worried", "inquiet inquiète inquiets inquiètes"),
        ("fresh", "frais fraîche frais fraîches"),
        ("red", "rouge rouge rouges rouges"),
        ("kind", "gentil gentille gentils gentilles"),
    ],
)
def test_french_adjectives(adjective, forms):
    one = ADJECTIVES[adjective]
    assert [fr_agree(one, gender, plural=plural) for plural in (False, True) for gender in "mf"] == forms.split()


@pytest.mark.parametrize(
    ("noun", "det", "plural", "adjective", "english", "french"),
    [
        ("man", "the", False, "old", "the old man", "le vieil homme"),
        ("man", "the", False, None, "the man", "l'homme"),
        ("hotel", "a", False, "beautiful", "a beautiful hotel", "un bel hôtel"),
        ("apartment", "this", False, "new", "this new apartment", "ce nouvel appartement"),
        ("apartment", "this", False, None, "this apartment", "cet appartement"),
        ("owl", "this", False, None, "this owl", "ce hibou"),
        ("bean", "the", False, None, "the bean", "le haricot"),
        ("car", "the", True, "new", "the new cars", "les nouvelles voitures"),
        ("car", "a", True, "new", "new cars", "de nouvelles voitures"),
        ("car", "a", True, "red", "red cars", "des voitures rouges"),
        ("hat", "a", True, "beautiful", "beautiful hats", "de beaux chapeaux"),
        ("scarf", "my", False, None, "my scarf", "mon écharpe"),
        ("scarf", "her", False, "pretty", "her pretty scarf", "sa jolie écharpe"),
        ("school", "our", False, None, "our school", "notre école"),
        ("key", "their", True, None, "their keys", "leurs clés"),
        ("water", "a", False, None, "water", "de l'eau"),
        ("bread", "a", False, None, "bread", "du pain"),
        ("meat", "a", False, None, "meat", "de la viande"),
        ("egg", "three", True, None, "three eggs", "trois œufs"),
        ("dress", "a", False, "grey", "a grey dress", "une robe grise"),
        ("egg", "a", False, None, "an egg", "un œuf"),
    ],
)
def test_noun_phrases(noun, det, plural, adjective, english, french):
    phrase = NounPhrase(NOUNS[noun], det, plural, ADJECTIVES[adjective] if adjective else None)
    assert (phrase.en(), phrase.fr()) == (english, french)


@pytest.mark.parametrize(
    ("noun", "plural", "french"),
    [
        ("water", False, "d'eau"),
        ("bread", False, "de pain"),
        ("apple", True, "de pommes"),
        ("bean", True, "de haricots"),
    ],
)
def test_articles_turn_into_de_under_negation(noun, plural, french):
    assert NounPhrase(NOUNS[noun], "a", plural).fr(negative=True) == french
    assert NounPhrase(NOUNS[noun], "the", plural).fr(negative=True) == NounPhrase(NOUNS[noun], "the", plural).fr()


def test_own_is_the_subjects():
    phrase = NounPhrase(NOUNS["car"], "own")
    owners = [*(who[0] for who in PRONOUNS), *YOU]
    assert [phrase.fr(one).split()[0] for one in owners] == ["ma", "sa", "sa", "notre", "leur", "ta", "votre"]
    assert [phrase.en(one).split()[0] for one in owners] == ["my", "his", "her", "our", "their", "your", "your"]


def test_elision():
    assert elide("je le ai vue") == "je l'ai vue"
    assert elide("si il pleut") == "s'il pleut"
    assert elide("si elle est là") == "si elle est là"
    assert elide("est-ce que il ne aime pas le haricot") == "est-ce qu'il n'aime pas le haricot"
    assert elide("je y vais") == "j'y vais"
    assert elide("le onze mai") == "le onze mai"
    assert elide("dis-le à Paul") == "dis-le à Paul"
    assert elide("sa amie") == "sa amie"
    assert sounds_like_vowel("homme")
    assert not sounds_like_vowel("hibou")


def test_contraction():
    assert [fr_de(one) for one in ("le marché", "la gare", "l'hôtel", "les gares", "Alice", "Paul")] == [
        *("du marché", "de la gare", "de l'hôtel", "des gares", "d'Alice", "de Paul")
    ]
    assert [fr_a(one) for one in ("le marché", "la gare", "l'hôtel", "les gares", "mon père")] == [
        *("au marché", "à la gare", "à l'hôtel", "aux gares", "à mon père")
    ]


def test_countries():
    forms = {en: (fr_to_country(fr, gender), fr_from_country(fr, gender)) for en, fr, gender in COUNTRIES}
    assert forms["France"] == ("en France", "de France")
    assert forms["Italy"] == ("en Italie", "d'Italie")
    assert forms["Japan"] == ("au Japon", "du Japon")
    assert forms["the United States"] == ("aux États-Unis", "des États-Unis")


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        ("parler", "parle parles parle parlons parlez parlent"),
        ("manger", "mange manges mange mangeons mangez mangent"),
        ("commencer", "commence commences commence commençons commencez commencent"),
        ("acheter", "achète achètes achète achetons achetez achètent"),
        ("appeler", "appelle appelles appelle appelons appelez appellent"),
        ("espérer", "espère espères espère espérons espérez espèrent"),
        ("nettoyer", "nettoie nettoies nettoie nettoyons nettoyez nettoient"),
        ("finir", "finis finis finit finissons finissez finissent"),
        ("attendre", "attends attends attend attendons attendez attendent"),
        ("être", "suis es est sommes êtes sont"),
        ("se lever", "lève lèves lève levons levez lèvent"),
    ],
)
def test_present(verb, forms):
    assert [fr_present(verb, person) for person in range(6)] == forms.split()


def test_other_tenses():
    assert [fr_imperfect("manger", person) for person in range(6)] == (
        ["mangeais", "mangeais", "mangeait", "mangions", "mangiez", "mangeaient"]
    )
    assert [fr_imperfect(verb, 2) for verb in ("être", "finir", "boire", "étudier")] == [
        *("était", "finissait", "buvait", "étudiait")
    ]
    assert fr_imperfect("commencer", 2) == "commençait"
    assert fr_imperfect("commencer", 3) == "commencions"
    assert [
        fr_future(verb, 3) for verb in ("acheter", "préférer", "attendre", "aller", "nettoyer", "finir", "voir")
    ] == [*("achèterons", "préférerons", "attendrons", "irons", "nettoierons", "finirons", "verrons")]
    assert [fr_participle(verb) for verb in ("manger", "finir", "vendre", "prendre", "se endormir", "ouvrir")] == [
        *("mangé", "fini", "vendu", "pris", "endormi", "ouvert")
    ]


def test_imperatives():
    assert [fr_imperative(verb, 1) for verb in ("manger", "ouvrir", "aller", "être", "prendre", "se lever")] == [
        *("mange", "ouvre", "va", "sois", "prends", "lève-toi")
    ]
    assert fr_imperative("se reposer", 4) == "reposez-vous"
    assert fr_imperative("manger", 3) == "mangeons"


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("voir", "past", 0), {"clitic": "la", "agree": ("f", False)}, "la ai vue"),
        (("voir", "past", 2), {"clitic": "nous", "agree": ("m", True), "middle": "pas"}, "ne nous a pas vus"),
        (("donner", "past", 2), {"clitic": "lui", "agree": ("f", True)}, "lui a donné"),
        (("aller", "past", 5), {"agree": ("f", True)}, "sont allées"),
        (("manger", "past", 5), {"agree": ("f", True)}, "ont mangé"),
        (("se lever", "past", 2), {"agree": ("f", False), "middle": "pas"}, "ne se est pas levée"),
        (("se lever", "near", 3), {}, "allons nous lever"),
        (("voir", "near", 2), {"clitic": "les", "middle": "pas"}, "ne va pas les voir"),
        (("arriver", "just", 2), {}, "vient de arriver"),
        (("manger", "present", 2), {"middle": "souvent"}, "mange souvent"),
        (("manger", "present", 2), {"middle": "plus"}, "ne mange plus"),
    ],
)
def test_verb_groups(arguments, options, words):
    assert verb_group(*arguments, **options).text() == words


# --- Sentences ---


@pytest.mark.parametrize(
    ("subject", "phrase", "tense", "questions"),
    [
        (HE, VerbPhrase("speak", "parler"), "simple", {"est-ce que il parle", "parle-t-il"}),
        (SHE, VerbPhrase("see", "voir"), "past", {"est-ce que elle a vu", "a-t-elle vu"}),
        (YOU[1], VerbPhrase("leave", "partir"), "past", {"est-ce que vous êtes parti", "êtes-vous parti"}),
        (Subject("Paul", "Paul", 2), VerbPhrase("sleep", "dormir"), "simple", {"est-ce que Paul dort"}),
    ],
)
def test_questions(subject, phrase, tense, questions):
    assert set(fr_questions(subject, phrase, tense)) == questions


def test_you_has_two_readings():
    car = NounPhrase(NOUNS["car"], "own")
    assert statement(YOU, VerbPhrase("wash", "laver", car), "past") == (
        "You washed your car.",
        ("Tu as lavé ta voiture.", "Vous avez lavé votre voiture."),
    )


@pytest.mark.parametrize(
    ("tense", "middle", "english", "french"),
    [
        ("progressive", "", "She is buying bread.", "Elle achète du pain."),
        ("progressive", "not", "She isn't buying bread.", "Elle n'achète pas de pain."),
        ("simple", "", "She buys bread.", "Elle achète du pain."),
        ("simple", "never", "She never buys bread.", "Elle n'achète jamais de pain."),
        ("simple", "no longer", "She no longer buys bread.", "Elle n'achète plus de pain."),
        ("simple", "not", "She doesn't buy bread.", "Elle n'achète pas de pain."),
        ("past", "", "She bought bread.", "Elle a acheté du pain."),
        ("past", "not", "She didn't buy bread.", "Elle n'a pas acheté de pain."),
        ("will", "", "She will buy bread.", "Elle achètera du pain."),
        ("will", "not", "She won't buy bread.", "Elle n'achètera pas de pain."),
        ("going", "", "She is going to buy bread.", "Elle va acheter du pain."),
        ("used", "", "She used to buy bread.", "Elle achetait du pain."),
        ("perfect", "never", "She has never bought bread.", "Elle n'a jamais acheté de pain."),
        ("just", "", "She has just bought bread.", "Elle vient d'acheter du pain."),
        ("been", "", "She has been buying bread.", "Elle achète du pain."),
    ],
)
def test_statements(tense, middle, english, french):
    phrase = VerbPhrase("buy", "acheter", NounPhrase(NOUNS["bread"], "a"))
    assert statement((SHE,), phrase, tense, middle) == (english, (french,))


@pytest.mark.parametrize(
    "pattern",
    [
        r"s her \w*\.\tI?",
        r"^It is cold in .*\tIl fait froid ",
        r"is hungry\.\t.* a faim\.$",
        r"years old\.\t.* ans\.$",
        r"There is no \w+ .*\tIl n'y a pas de",
        r"Is there .*\?\tY a-t-il ",
        r"^If it rains .*\tS'il pleut ",
        r"because he is .*parce qu'il ",
        r"half past \w+.* heures? et demie",
        r"quarter to \w+.* moins le quart",
        r"is a nurse\.\t.* est infirmière\.$",
        r"to the United States.*aux États-Unis",
        r"better than .* meilleure?s? que ",
        r"taller than .* plus grande?s? qu",
        r"^It is the best .*\tC'est le meilleur ",
        r"please\.\t.*s'il (te|vous) plaît\.$",
        r"^Let's go to .*\tAllons ",
        r" her\b.* l'(ai|as|a|avons|avez|ont) \w+(ée|ue)\b",
        r"How many .*did .*\tCombien d.*ées \?",
        r"dress that .*\tLa robe qu.* achetée est ",
        r"when I was young\.\t.*quand j'étais jeune\.$",
        r"(got|woke) up .*\t.* s'est (lev|réveill)ée ",
    ],
)
def test_the_corpus_has(pattern):
    assert any(re.search(pattern, "\t".join(pair)) for pair in corpus())


def test_draw_uses_every_item_equally_often():
    draw, items = Draw(5), ("a", "b", "c", "d")
    assert set(collections.Counter(draw.one(items) for _ in range(40)).values()) == {10}
