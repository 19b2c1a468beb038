"""Words of the phrasebook: English with French, which words fit together, and irregular forms. Data only, no grammar.

Word lists inside a row are separated by ", ". An empty form means "by rule" (see `morphology`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, eq=False)
class Noun:
    """A noun in both languages; `kind` determines which adjectives fit it."""

    en: str
    fr: str
    gender: str
    kind: str
    en_plural: str = ""
    fr_plural: str = ""
    mass: bool = False


@dataclass(frozen=True, eq=False)
class Adjective:
    """An adjective in both languages.

    With `before`, French puts it before the noun. `vowel` is the masculine form before a vowel (bel, vieil, nouvel). An
    `invariable` adjective has only one form (marron, en retard).
    """

    en: str
    fr: str
    feminine: str = ""
    before: bool = False
    vowel: str = ""
    comparative: str = ""
    invariable: bool = False


@dataclass(frozen=True, eq=False)
class Frame:
    """A verb and the objects that fit it.

    `dets` are the determiners of its object: d the, D the + plural, i a, I bare plural, m bare mass noun, o the subject's own,
    O own + plural, t this, T these.

    `uses` are its contexts: p progressive, a past, h habit, g "going to", w "will", u "used to", m after a modal verb, i
    imperative.
    """

    en: str
    fr: str
    objects: str
    dets: str
    uses: str


@dataclass(frozen=True, eq=False)
class Phrase:
    """A verb with a fixed complement; `fr_negative` is the French one under negation, if it differs. `uses`: see `Frame`."""

    en: str
    fr: str
    en_tail: str
    fr_tail: str
    uses: str
    fr_negative: str = ""


def _nouns(kind: str, rows: str, *, mass: bool = False) -> tuple[Noun, ...]:
    """Nouns from lines "english|french|gender|english plural|french plural"; the plurals are optional."""
    nouns = []
    for row in rows.strip().splitlines():
        en, fr, gender, *plurals = row.strip().split("|")
        en_plural, fr_plural = (*plurals, "", "")[:2]
        nouns.append(Noun(en, fr, gender, kind, en_plural, fr_plural, mass))
    return tuple(nouns)


PEOPLE = _nouns(
    "person",
    """man|homme|m|men
    woman|femme|f|women
    boy|garçon|m
    girl|fille|f
    child|enfant|m|children
    teacher|professeur|m
    doctor|médecin|m
    nurse|infirmière|f
    baker|boulanger|m
    student|étudiant|m
    neighbor|voisin|m
    friend|ami|m
    farmer|fermier|m
    lawyer|avocat|m
    engineer|ingénieur|m
    actress|actrice|f
    waiter|serveur|m
    singer|chanteuse|f
    tourist|touriste|m
    queen|reine|f""",
)
RELATIVES = _nouns(
    "person",
    """father|père|m
    mother|mère|f
    brother|frère|m
    sister|sœur|f
    son|fils|m
    daughter|fille|f
    uncle|oncle|m
    aunt|tante|f
    grandfather|grand-père|m|grandfathers|grands-pères
    grandmother|grand-mère|f|grandmothers|grands-mères
    cousin|cousin|m
    husband|mari|m
    wife|femme|f|wives
    boss|patron|m""",
)
PETS = _nouns(
    "pet",
    """cat|chat|m
    dog|chien|m
    horse|cheval|m
    rabbit|lapin|m
    bird|oiseau|m
    cow|vache|f
    hen|poule|f
    duck|canard|m
    goat|chèvre|f""",
)
WILD = _nouns(
    "wild",
    """wolf|loup|m|wolves
    bear|ours|m
    lion|lion|m
    elephant|éléphant|m
    monkey|singe|m
    owl|hibou|m|owls|hiboux""",
)
FOOD_MASS = _nouns(
    "food",
    """bread|pain|m
    cheese|fromage|m
    meat|viande|f
    rice|riz|m
    soup|soupe|f
    chicken|poulet|m
    chocolate|chocolat|m
    salad|salade|f
    ham|jambon|m
    fish|poisson|m
    butter|beurre|m
    honey|miel|m""",
    mass=True,
)
FOOD = _nouns(
    "fruit",
    """apple|pomme|f
    orange|orange|f
    banana|banane|f
    egg|œuf|m
    cake|gâteau|m
    pear|poire|f
    strawberry|fraise|f
    carrot|carotte|f
    tomato|tomate|f|tomatoes
    potato|pomme de terre|f|potatoes|pommes de terre
    bean|haricot|m
    onion|oignon|m
    cherry|cerise|f""",
)
DRINKS = _nouns(
    "drink",
    """water|eau|f
    wine|vin|m
    milk|lait|m
    coffee|café|m
    tea|thé|m
    beer|bière|f
    lemonade|limonade|f""",
    mass=True,
)
CLOTHES = _nouns(
    "clothes",
    """shirt|chemise|f
    dress|robe|f
    skirt|jupe|f
    hat|chapeau|m
    coat|manteau|m
    scarf|écharpe|f|scarves
    tie|cravate|f
    jacket|veste|f
    sweater|pull|m
    shoe|chaussure|f
    sock|chaussette|f
    glove|gant|m
    boot|botte|f""",
)
READING = _nouns(
    "reading",
    """book|livre|m
    novel|roman|m
    magazine|magazine|m
    newspaper|journal|m
    story|histoire|f
    letter|lettre|f
    poem|poème|m
    film|film|m
    song|chanson|f
    postcard|carte postale|f|postcards|cartes postales""",
)
VEHICLES = _nouns(
    "vehicle",
    """car|voiture|f
    bike|vélo|m
    boat|bateau|m
    train|train|m
    bus|bus|m|buses
    plane|avion|m""",
)
THINGS = (
    *_nouns(
        "thing",
        """key|clé|f
        phone|téléphone|m
        computer|ordinateur|m
        pen|stylo|m
        pencil|crayon|m
        knife|couteau|m|knives
        fork|fourchette|f
        spoon|cuillère|f
        glass|verre|m
        bottle|bouteille|f
        map|carte|f
        ticket|billet|m
        suitcase|valise|f
        ball|balle|f
        toy|jouet|m""",
    ),
    *_nouns(
        "nice",
        """watch|montre|f
        ring|bague|f
        bag|sac|m
        umbrella|parapluie|m
        plate|assiette|f
        cup|tasse|f
        box|boîte|f
        painting|tableau|m
        guitar|guitare|f""",
    ),
    *_nouns(
        "plant",
        """flower|fleur|f
        tree|arbre|m""",
    ),
)
FURNITURE = _nouns(
    "furniture",
    """table|table|f
    chair|chaise|f
    bed|lit|m
    lamp|lampe|f
    mirror|miroir|m
    clock|horloge|f
    door|porte|f
    window|fenêtre|f
    wall|mur|m""",
)
BUILDINGS = _nouns(
    "building",
    """house|maison|f
    apartment|appartement|m
    garden|jardin|m
    kitchen|cuisine|f
    bedroom|chambre|f
    castle|château|m
    church|église|f
    bridge|pont|m
    city|ville|f
    village|village|m
    hotel|hôtel|m
    restaurant|restaurant|m
    school|école|f
    museum|musée|m
    hospital|hôpital|m
    library|bibliothèque|f
    park|parc|m""",
)
PLACES = _nouns(
    "place",
    """office|bureau|m
    station|gare|f
    market|marché|m
    airport|aéroport|m
    beach|plage|f
    theater|théâtre|m
    bank|banque|f
    bakery|boulangerie|f
    pharmacy|pharmacie|f
    supermarket|supermarché|m
    post office|bureau de poste|m|post offices|bureaux de poste
    university|université|f
    swimming pool|piscine|f|swimming pools
    street|rue|f
    forest|forêt|f
    stadium|stade|m
    zoo|zoo|m
    fridge|frigo|m
    factory|usine|f""",
)
EVENTS = _nouns(
    "event",
    """meeting|réunion|f
    concert|concert|m
    match|match|m
    lesson|leçon|f
    party|fête|f""",
)

NOUNS: Mapping[str, Noun] = MappingProxyType(
    {
        noun.en: noun
        for group in (
            *(PEOPLE, RELATIVES, PETS, WILD, FOOD_MASS, FOOD, DRINKS, CLOTHES),
            *(READING, VEHICLES, THINGS, FURNITURE, BUILDINGS, PLACES, EVENTS),
        )
        for noun in group
    }
)


def nouns(names: str) -> tuple[Noun, ...]:
    """The nouns of a list of English names.

    Raises:
        KeyError: a name is not in `NOUNS`.
    """
    return tuple(NOUNS[name] for name in names.split(", "))


ADJECTIVES: Mapping[str, Adjective] = MappingProxyType(
    {
        adjective.en: adjective
        for adjective in (
            Adjective("small", "petit", before=True, comparative="smaller"),
            Adjective("big", "grand", before=True, comparative="bigger"),
            Adjective("beautiful", "beau", "belle", before=True, vowel="bel"),
            Adjective("old", "vieux", "vieille", before=True, vowel="vieil", comparative="older"),
            Adjective("new", "nouveau", "nouvelle", before=True, vowel="nouvel"),
            Adjective("good", "bon", "bonne", before=True),
            Adjective("bad", "mauvais", before=True),
            Adjective("young", "jeune", before=True, comparative="younger"),
            Adjective("long", "long", "longue", before=True, comparative="longer"),
            Adjective("pretty", "joli", before=True, comparative="prettier"),
            Adjective("tall", "grand", comparative="taller"),
            Adjective("red", "rouge"),
            Adjective("blue", "bleu"),
            Adjective("green", "vert"),
            Adjective("black", "noir"),
            Adjective("white", "blanc", "blanche"),
            Adjective("yellow", "jaune"),
            Adjective("grey", "gris"),
            Adjective("brown", "marron", invariable=True),
            Adjective("expensive", "cher"),
            Adjective("heavy", "lourd", comparative="heavier"),
            Adjective("clean", "propre"),
            Adjective("dirty", "sale"),
            Adjective("broken", "cassé"),
            Adjective("empty", "vide"),
            Adjective("full", "plein"),
            Adjective("open", "ouvert"),
            Adjective("closed", "fermé"),
            Adjective("fast", "rapide", comparative="faster"),
            Adjective("comfortable", "confortable"),
            Adjective("modern", "moderne"),
            Adjective("quiet", "calme", comparative="quieter"),
            Adjective("interesting", "intéressant"),
            Adjective("boring", "ennuyeux"),
            Adjective("funny", "drôle", comparative="funnier"),
            Adjective("sad", "triste", comparative="sadder"),
            Adjective("happy", "heureux", comparative="happier"),
            Adjective("difficult", "difficile"),
            Adjective("easy", "facile"),
            Adjective("famous", "célèbre"),
            Adjective("rich", "riche", comparative="richer"),
            Adjective("poor", "pauvre", comparative="poorer"),
            Adjective("intelligent", "intelligent"),
            Adjective("kind", "gentil", "gentille", comparative="kinder"),
            Adjective("shy", "timide", comparative="shyer"),
            Adjective("polite", "poli"),
            Adjective("patient", "patient"),
            Adjective("serious", "sérieux"),
            Adjective("curious", "curieux"),
            Adjective("generous", "généreux"),
            Adjective("honest", "honnête"),
            Adjective("lazy", "paresseux", comparative="lazier"),
            Adjective("strong", "fort", comparative="stronger"),
            Adjective("tired", "fatigué"),
            Adjective("sick", "malade"),
            Adjective("busy", "occupé"),
            Adjective("ready", "prêt"),
            Adjective("jealous", "jaloux", "jalouse"),
            Adjective("nervous", "nerveux"),
            Adjective("worried", "inquiet", "inquiète"),
            Adjective("surprised", "surpris"),
            Adjective("alone", "seul"),
            Adjective("late", "en retard", invariable=True),
            Adjective("angry", "en colère", invariable=True),
            Adjective("hot", "chaud"),
            Adjective("cold", "froid"),
            Adjective("fresh", "frais", "fraîche", comparative="fresher"),
            Adjective("delicious", "délicieux"),
            Adjective("dangerous", "dangereux"),
        )
    }
)


def adjectives(names: str) -> tuple[Adjective, ...]:
    """The adjectives of a list of English names.

    Raises:
        KeyError: a name is not in `ADJECTIVES`.
    """
    return tuple(ADJECTIVES[name] for name in names.split(", "))


_COLORS = "red, blue, green, black, white, yellow, grey, brown"
# Adjectives that stand with a noun of a kind, and those said of it with "is".
ATTRIBUTES: Mapping[str, tuple[Adjective, ...]] = MappingProxyType(
    {
        "person": adjectives("young, old, rich, famous, intelligent, polite, serious, honest"),
        "pet": adjectives("small, beautiful, old, young, black, white, brown"),
        "wild": adjectives("small, beautiful, old, young"),
        "food": adjectives("good, fresh"),
        "fruit": adjectives("small, good"),
        "drink": adjectives("good, cold, hot"),
        "clothes": adjectives(f"{_COLORS}, new, old, beautiful, pretty, expensive, small, big"),
        "reading": adjectives("interesting, boring, new, old, good, bad, long, sad, funny, beautiful"),
        "vehicle": adjectives(f"{_COLORS}, new, old, small, big, beautiful, fast, expensive"),
        "thing": adjectives("new, old"),
        "nice": adjectives("new, old, small, beautiful"),
        "plant": adjectives("small, beautiful"),
        "furniture": adjectives("new, old, small, big, beautiful"),
        "building": adjectives("new, old, small, big, beautiful, modern"),
    }
)
PREDICATES: Mapping[str, tuple[Adjective, ...]] = MappingProxyType(
    {
        "person": adjectives(
            "tall, young, happy, sad, famous, rich, poor, intelligent, kind, shy, polite, patient, serious, curious, "
            "generous, honest, lazy, strong, tired, sick, busy, ready, jealous, nervous, worried, surprised, alone, "
            "late, angry"
        ),
        "pet": adjectives("small, beautiful, old, young, white, black, sick"),
        "wild": adjectives("small, beautiful, old, young, dangerous"),
        "food": adjectives("fresh, delicious, good, expensive"),
        "fruit": adjectives("small, delicious, good, fresh"),
        "drink": adjectives("hot, cold, good, expensive"),
        "clothes": adjectives(f"{_COLORS}, old, beautiful, pretty, expensive, clean, dirty, small, big"),
        "reading": adjectives("interesting, boring, difficult, easy, long, sad, funny, good"),
        "vehicle": adjectives(f"{_COLORS}, old, small, big, fast, expensive, clean, dirty, comfortable"),
        "thing": adjectives("old, expensive"),
        "nice": adjectives("old, small, beautiful, expensive"),
        "plant": adjectives("small, beautiful"),
        "furniture": adjectives("old, small, big, dirty, clean"),
        "building": adjectives("old, small, big, beautiful, modern, quiet"),
    }
)
# Adjectives that go with "too", and those that do not go with "very".
EXCESSIVE = frozenset(
    (
        *("small", "big", "tall", "old", "young", "long", "expensive", "heavy", "difficult", "easy", "tired", "busy"),
        *("lazy", "shy", "serious", "curious", "polite", "generous", "nervous", "hot", "cold", "dirty", "sick"),
    )
)
ABSOLUTE = frozenset((*_COLORS.split(", "), "broken", "open", "closed", "empty", "full", "ready", "alone", "delicious"))

FRAMES = (
    Frame("eat", "manger", "bread, cheese, meat, rice, soup, chicken, chocolate, salad, ham, fish", "m", "pahgwumi"),
    Frame("eat", "manger", "apple, orange, banana, egg, cake, pear, carrot, tomato, strawberry", "iI", "pahgwum"),
    Frame("eat", "manger", "potato, bean, onion, cherry, strawberry", "I", "pahgwum"),
    Frame("drink", "boire", "water, wine, milk, coffee, tea, beer, lemonade", "m", "pahgwumi"),
    Frame("buy", "acheter", "bread, cheese, meat, butter, honey, fish, rice, ham", "m", "phagwum"),
    Frame("buy", "acheter", "apple, egg, cherry, bean, potato, tomato, onion, flower, pear, banana", "I", "phagwum"),
    Frame("buy", "acheter", "shirt, dress, skirt, hat, coat, scarf, tie, jacket, sweater", "dit", "agwm"),
    Frame("buy", "acheter", "shoe, sock, glove, boot", "ITD", "agwm"),
    Frame(
        "buy", "acheter", "car, bike, boat, house, apartment, guitar, computer, lamp, table, bed, phone", "it", "agwm"
    ),
    Frame("buy", "acheter", "newspaper, book, ticket, magazine, bag, pen, map", "iI", "agwm"),
    Frame("sell", "vendre", "car, bike, boat, house, apartment, horse, guitar, painting, cow", "ot", "agwm"),
    Frame("read", "lire", "book, novel, newspaper, magazine, story, letter, poem", "ditI", "pagwm"),
    Frame("read", "lire", "book, novel, newspaper, magazine, story, poem", "I", "phu"),
    Frame("write", "écrire", "letter, novel, poem, story, postcard, book, song", "iI", "pahgmu"),
    Frame("wear", "porter", "shirt, dress, skirt, hat, coat, scarf, tie, jacket, sweater", "iiot", "pgm"),
    Frame("wear", "porter", "glove, boot, sock, shoe", "I", "phgm"),
    Frame("watch", "regarder", "film, match", "dit", "pagwm"),
    Frame("listen to", "écouter", "song, concert, story, teacher", "dt", "pagm"),
    Frame("sing", "chanter", "song", "it", "pagm"),
    Frame("prepare", "préparer", "soup, salad, coffee, tea, chicken, fish", "dm", "pagwmui"),
    Frame("clean", "nettoyer", "kitchen, bedroom, house, car, bike, window, table", "dto", "pahgm"),
    Frame("wash", "laver", "car, shirt, plate, glass, cup, window, dog", "doDO", "pahgm"),
    Frame("open", "ouvrir", "door, window, box, bottle, suitcase, letter", "dt", "pagmi"),
    Frame("close", "fermer", "door, window, box, suitcase, book", "dt", "pagmi"),
    Frame("break", "casser", "glass, plate, cup, window, mirror, chair, phone, lamp", "dito", "a"),
    Frame("repair", "réparer", "car, bike, watch, clock, computer, phone, chair, boat, door", "dto", "pagwm"),
    Frame("lose", "perdre", "umbrella, phone, ring, watch, ticket, hat, bag, map, ball", "o", "a"),
    Frame("lose", "perdre", "key, glove", "O", "a"),
    Frame("find", "trouver", "key, umbrella, phone, ring, watch, ticket, bag, map, ball, toy", "dio", "agwm"),
    Frame("look for", "chercher", "umbrella, phone, ring, watch, ticket, spoon, map, toy", "do", "pag"),
    Frame("look for", "chercher", "key, glove, shoe, sock", "O", "pag"),
    Frame("forget", "oublier", "umbrella, phone, ring, ticket, hat, bag, pen, suitcase", "do", "a"),
    Frame("forget", "oublier", "key, glove, ticket", "O", "a"),
    Frame("wait for", "attendre", "bus, train, doctor, lawyer, teacher", "d", "pahgwm"),
    Frame("see", "voir", "film, castle, boat, queen, actress, bear, wolf, owl, elephant, lion, monkey", "di", "agwm"),
    Frame("meet", "rencontrer", "engineer, lawyer, farmer, tourist, actress, nurse, singer, baker, doctor", "di", "ag"),
    Frame("visit", "visiter", "museum, castle, church, village, city, house, zoo, hospital, school", "dt", "agwm"),
    Frame("invite", "inviter", "neighbor, friend, cousin", "oO", "agwm"),
    Frame("invite", "inviter", "boss, aunt, uncle, grandmother, grandfather", "o", "agwm"),
    Frame("help", "aider", "neighbor, friend, cousin, father, grandmother, daughter, son, mother", "o", "pahgwm"),
    Frame("help", "aider", "child, student, nurse, tourist, waiter, farmer, woman, girl, boy", "dD", "pahgwm"),
    Frame("call", "appeler", "doctor, lawyer, nurse, neighbor, engineer, waiter", "d", "pagwm"),
    Frame("draw", "dessiner", "horse, cat, tree, bird, flower, boat, castle, rabbit, elephant, bridge", "it", "pagm"),
    Frame("paint", "peindre", "wall, door, kitchen, bedroom, house, chair, boat", "dt", "pagm"),
    Frame("choose", "choisir", "shirt, dress, cake, book, film, novel, song, tie, coat, skirt", "dit", "agm"),
    Frame("cut", "couper", "bread, cheese, meat, ham, cake, apple, onion, carrot, tomato, tree", "d", "pagmi"),
    Frame("carry", "porter", "suitcase, bag, box, chair, bottle, lamp, mirror", "ditD", "pgm"),
    Frame("hide", "cacher", "key, letter, chocolate, ring, box, ball", "dt", "agm"),
    Frame("finish", "finir", "book, novel, letter, soup, painting, story, lesson", "dt", "agm"),
    Frame("taste", "goûter", "soup, cake, wine, cheese, honey, salad, chocolate", "dt", "agm"),
    Frame("build", "construire", "house, boat, bridge, wall, castle, church, hotel, hospital, school", "i", "pagm"),
    Frame("feed", "nourrir", "cat, dog, horse, rabbit, bird, cow, hen, duck, goat", "dDo", "pahgm"),
    Frame("follow", "suivre", "man, woman, dog, bus, car, goat, girl, boy", "dt", "pa"),
    Frame("touch", "toucher", "painting, wall, dog, clock, mirror, toy", "dt", "agmi"),
    Frame("take", "prendre", "bus, train, plane", "d", "pahgwm"),
    Frame("take", "prendre", "umbrella, bag, phone, suitcase, coat, map, scarf", "odo", "agwm"),
)

PHRASES = (
    *(
        Phrase("play", "jouer", en, fr, "pahgwum")
        for en, fr in (
            ("tennis", "au tennis"),
            ("football", "au football"),
            ("chess", "aux échecs"),
            ("cards", "aux cartes"),
            ("the piano", "du piano"),
            ("the guitar", "de la guitare"),
            ("the violin", "du violon"),
        )
    ),
    *(
        Phrase("learn", "apprendre", en, fr, "pm")
        for en, fr in (
            ("French", "le français"),
            ("English", "l'anglais"),
            ("Spanish", "l'espagnol"),
            ("German", "l'allemand"),
            ("Italian", "l'italien"),
            ("Japanese", "le japonais"),
            ("Russian", "le russe"),
        )
    ),
    *(
        Phrase("speak", "parler", en, fr, "hm")
        for en, fr in (
            ("French", "français"),
            ("English", "anglais"),
            ("Spanish", "espagnol"),
            ("German", "allemand"),
            ("Italian", "italien"),
            ("Japanese", "japonais"),
            ("Russian", "russe"),
        )
    ),
    Phrase("watch", "regarder", "television", "la télévision", "pahgwum"),
    Phrase("listen to", "écouter", "the radio", "la radio", "pahgum"),
    Phrase("take", "prendre", "a shower", "une douche", "pahgwm", "de douche"),
    Phrase("take", "prendre", "a taxi", "un taxi", "pahgwm", "de taxi"),
    Phrase("do", "faire", "the dishes", "la vaisselle", "pahgwumi"),
    Phrase("do", "faire", "the shopping", "les courses", "pahgwum"),
    Phrase("do", "faire", "the housework", "le ménage", "pahgwum"),
    Phrase("prepare", "préparer", "breakfast", "le petit-déjeuner", "pahgwumi"),
    Phrase("prepare", "préparer", "dinner", "le dîner", "pahgwumi"),
    Phrase("have", "prendre", "breakfast", "le petit-déjeuner", "pahgwm"),
    Phrase("tell", "dire", "the truth", "la vérité", "agmi"),
    Phrase("pay", "payer", "the bill", "l'addition", "pagwmi"),
    Phrase("pay", "payer", "the rent", "le loyer", "hagwm"),
)
# Verbs without an object; the uses as above.
INTRANSITIVES = tuple(
    Phrase(en, fr, "", "", uses)
    for en, fr, uses in (
        ("work", "travailler", "pahgwum"),
        ("sleep", "dormir", "pahgwum"),
        ("sing", "chanter", "pahgum"),
        ("dance", "danser", "pahgum"),
        ("run", "courir", "pahgum"),
        ("swim", "nager", "pahgwum"),
        ("cry", "pleurer", "pau"),
        ("laugh", "rire", "pa"),
        ("smile", "sourire", "pa"),
        ("walk", "marcher", "pahgum"),
        ("read", "lire", "pahgum"),
        ("study", "étudier", "pahgwum"),
        ("wait", "attendre", "pagwm"),
        ("play", "jouer", "pahgum"),
        ("travel", "voyager", "hgwum"),
        ("have lunch", "déjeuner", "pahgwum"),
        ("have dinner", "dîner", "pahgwum"),
    )
)
REFLEXIVES = tuple(
    Phrase(en, fr, "", "", uses)
    for en, fr, uses in (
        ("get up", "se lever", "ahgm"),
        ("wake up", "se réveiller", "ahgm"),
        ("go to bed", "se coucher", "ahgm"),
        ("get dressed", "se habiller", "pagm"),
        ("rest", "se reposer", "pagm"),
        ("have fun", "se amuser", "pag"),
        ("go for a walk", "se promener", "ahgm"),
        ("hurry", "se dépêcher", "pagm"),
        ("get married", "se marier", "ag"),
        ("fall asleep", "se endormir", "ag"),
    )
)
# Idioms with avoir: English after "be", French after avoir, French under negation, "very" allowed.
HAVE_IDIOMS = (
    ("be", "hungry", "faim", "faim", True),
    ("be", "thirsty", "soif", "soif", True),
    ("be", "cold", "froid", "froid", True),
    ("be", "hot", "chaud", "chaud", True),
    ("be", "sleepy", "sommeil", "sommeil", False),
    ("be", "afraid", "peur", "peur", True),
    ("be", "right", "raison", "raison", False),
    ("be", "wrong", "tort", "tort", False),
    ("be", "lucky", "de la chance", "de chance", False),
    ("have", "a headache", "mal à la tête", "mal à la tête", False),
    ("have", "a stomachache", "mal au ventre", "mal au ventre", False),
    ("have", "a toothache", "mal aux dents", "mal aux dents", False),
    ("have", "a fever", "de la fièvre", "de fièvre", False),
)

# Verbs of state: present only.
LIKED = nouns(
    "bread, cheese, meat, rice, soup, chicken, chocolate, salad, ham, fish, butter, honey, wine, milk, coffee, tea, "
    "beer, lemonade, water"
)
LIKED_PLURAL = nouns(
    "apple, orange, banana, egg, cake, pear, strawberry, carrot, tomato, potato, bean, onion, cherry, cat, dog, horse, "
    "rabbit, bird, cow, goat, duck, owl, bear, wolf, lion, elephant, monkey, child, flower, tree, museum, castle, "
    "novel, poem, film, story, song, plane, party, concert"
)
OWNED = nouns(
    "cat, dog, horse, rabbit, bird, cow, hen, duck, goat, car, bike, boat, phone, computer, watch, ring, bag, "
    "umbrella, guitar, house, apartment, garden, hat, coat, scarf, dress, jacket, tie, lamp, bed, table, clock, "
    "mirror, knife, pen, pencil, key, map, suitcase, book, painting, toy, ball, shirt, skirt, sweater"
)

# Places that one goes to: à.
GOALS = nouns(
    "office, station, market, airport, beach, theater, bank, bakery, pharmacy, supermarket, post office, university, "
    "swimming pool, stadium, zoo, factory, castle, church, hotel, restaurant, museum, hospital, library, park"
)
WORKPLACES = nouns(
    "bank, bakery, pharmacy, supermarket, post office, university, factory, hotel, restaurant, museum, hospital, "
    "library, airport, station, zoo, theater, market"
)
# Preposition in both languages, whether French adds "de", and what stands after it.
SPOTS = (
    ("on", "sur", False, nouns("table, chair, bed")),
    ("under", "sous", False, nouns("table, chair, bed, newspaper, coat, bag")),
    ("in", "dans", False, nouns("box, bag, suitcase, kitchen, bedroom, car, garden")),
    ("next to", "à côté", True, nouns("lamp, door, window, computer, phone, clock, mirror, box, bed")),
    ("behind", "derrière", False, nouns("door, lamp, mirror, computer, box, clock, chair, tree")),
    ("near", "près", True, nouns("door, window, bed, table, wall, tree")),
    ("in front of", "devant", False, nouns("door, window, computer, mirror, lamp")),
)
# What comes in pairs.
PAIRED = nouns("shoe, sock, glove, boot")
GARMENTS = tuple(noun for noun in CLOTHES if noun not in PAIRED)
SMALL_THINGS = nouns(
    "key, phone, pen, pencil, watch, ring, umbrella, knife, fork, spoon, plate, glass, bottle, cup, map, ticket, ball, "
    "toy, book, letter, newspaper, magazine, hat, scarf, glove, sock, shoe, cat"
)
LANDMARKS = nouns(
    "office, station, market, theater, bank, bakery, pharmacy, supermarket, post office, university, swimming pool, "
    "stadium, zoo, factory, castle, church, hotel, restaurant, museum, hospital, library, park, school, bridge"
)
SHOPS = nouns(
    "theater, bank, bakery, pharmacy, supermarket, post office, swimming pool, church, hotel, restaurant, museum, "
    "hospital, library, park, school, market"
)

NAMES = (
    *((name, "m") for name in ("Paul", "Pierre", "Thomas", "Lucas", "Antoine")),
    *((name, "f") for name in ("Marie", "Julie", "Sophie", "Claire", "Alice")),
)
# English, French, gender (m or f: singular; p: plural).
COUNTRIES = (
    ("France", "France", "f"),
    ("Spain", "Espagne", "f"),
    ("Italy", "Italie", "f"),
    ("Germany", "Allemagne", "f"),
    ("England", "Angleterre", "f"),
    ("Greece", "Grèce", "f"),
    ("China", "Chine", "f"),
    ("Belgium", "Belgique", "f"),
    ("Japan", "Japon", "m"),
    ("Canada", "Canada", "m"),
    ("Brazil", "Brésil", "m"),
    ("Mexico", "Mexique", "m"),
    ("Portugal", "Portugal", "m"),
    ("Morocco", "Maroc", "m"),
    ("the United States", "États-Unis", "p"),
)
CITIES = (
    ("Paris", "Paris"),
    ("London", "Londres"),
    ("Rome", "Rome"),
    ("Madrid", "Madrid"),
    ("Berlin", "Berlin"),
    ("Brussels", "Bruxelles"),
    ("Geneva", "Genève"),
    ("Lisbon", "Lisbonne"),
    ("Venice", "Venise"),
    ("Athens", "Athènes"),
)

PAST_TIMES = (
    ("yesterday", "hier"),
    ("last night", "hier soir"),
    ("this morning", "ce matin"),
    ("yesterday morning", "hier matin"),
    ("last week", "la semaine dernière"),
    ("last month", "le mois dernier"),
    ("last year", "l'année dernière"),
    ("last summer", "l'été dernier"),
    ("two days ago", "il y a deux jours"),
    ("three weeks ago", "il y a trois semaines"),
    ("a month ago", "il y a un mois"),
    ("on Monday", "lundi"),
    ("on Thursday", "jeudi"),
    ("on Saturday", "samedi"),
)
# Past times that suit an act of everyday life.
RECENT_TIMES = PAST_TIMES[:4] + PAST_TIMES[8:9] + PAST_TIMES[11:]
FUTURE_TIMES = (
    ("tomorrow", "demain"),
    ("tonight", "ce soir"),
    ("tomorrow morning", "demain matin"),
    ("this afternoon", "cet après-midi"),
    ("this weekend", "ce week-end"),
    ("next week", "la semaine prochaine"),
    ("next month", "le mois prochain"),
    ("next year", "l'année prochaine"),
    ("next summer", "l'été prochain"),
    ("in two days", "dans deux jours"),
    ("in three weeks", "dans trois semaines"),
    ("on Tuesday", "mardi"),
    ("on Friday", "vendredi"),
    ("on Sunday", "dimanche"),
)
NEXT_TIMES = FUTURE_TIMES[:5]
SOON_TIMES = FUTURE_TIMES[:5] + FUTURE_TIMES[11:]
HABIT_TIMES = (
    ("every day", "tous les jours"),
    ("every morning", "tous les matins"),
    ("every evening", "tous les soirs"),
    ("every week", "toutes les semaines"),
    ("every Saturday", "tous les samedis"),
    ("every Sunday", "tous les dimanches"),
    ("on Wednesdays", "le mercredi"),
)
NOW_TIMES = (("now", "maintenant"), ("right now", "en ce moment"))
# Adverbs before the English verb and after the French one.
FREQUENCIES = (("often", "souvent"), ("always", "toujours"), ("rarely", "rarement"), ("sometimes", "parfois"))

NUMBERS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        1: ("one", "un"),
        2: ("two", "deux"),
        3: ("three", "trois"),
        4: ("four", "quatre"),
        5: ("five", "cinq"),
        6: ("six", "six"),
        7: ("seven", "sept"),
        8: ("eight", "huit"),
        9: ("nine", "neuf"),
        10: ("ten", "dix"),
        11: ("eleven", "onze"),
        12: ("twelve", "douze"),
        15: ("fifteen", "quinze"),
        20: ("twenty", "vingt"),
        25: ("twenty-five", "vingt-cinq"),
        30: ("thirty", "trente"),
        40: ("forty", "quarante"),
        50: ("fifty", "cinquante"),
        60: ("sixty", "soixante"),
        100: ("a hundred", "cent"),
    }
)

# Past and participle; the regular ones follow the rule.
EN_IRREGULAR: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "be": ("was", "been"),
        "break": ("broke", "broken"),
        "bring": ("brought", "brought"),
        "build": ("built", "built"),
        "buy": ("bought", "bought"),
        "choose": ("chose", "chosen"),
        "come": ("came", "come"),
        "cut": ("cut", "cut"),
        "do": ("did", "done"),
        "draw": ("drew", "drawn"),
        "drink": ("drank", "drunk"),
        "eat": ("ate", "eaten"),
        "fall": ("fell", "fallen"),
        "feed": ("fed", "fed"),
        "find": ("found", "found"),
        "forget": ("forgot", "forgotten"),
        "get": ("got", "gotten"),
        "give": ("gave", "given"),
        "go": ("went", "gone"),
        "have": ("had", "had"),
        "hide": ("hid", "hidden"),
        "know": ("knew", "known"),
        "leave": ("left", "left"),
        "lend": ("lent", "lent"),
        "lose": ("lost", "lost"),
        "meet": ("met", "met"),
        "pay": ("paid", "paid"),
        "read": ("read", "read"),
        "run": ("ran", "run"),
        "say": ("said", "said"),
        "see": ("saw", "seen"),
        "sell": ("sold", "sold"),
        "send": ("sent", "sent"),
        "sing": ("sang", "sung"),
        "sleep": ("slept", "slept"),
        "speak": ("spoke", "spoken"),
        "swim": ("swam", "swum"),
        "take": ("took", "taken"),
        "tell": ("told", "told"),
        "think": ("thought", "thought"),
        "understand": ("understood", "understood"),
        "wake": ("woke", "woken"),
        "wear": ("wore", "worn"),
        "write": ("wrote", "written"),
    }
)
EN_DOUBLED = frozenset(("cut", "forget", "get", "run", "swim", "put", "sit"))

# Six persons of the present | past participle | stem of the future.
FR_IRREGULAR: Mapping[str, str] = MappingProxyType(
    {
        "aller": "vais vas va allons allez vont|allé|ir",
        "avoir": "ai as a avons avez ont|eu|aur",
        "boire": "bois bois boit buvons buvez boivent|bu|boir",
        "conduire": "conduis conduis conduit conduisons conduisez conduisent|conduit|conduir",
        "connaître": "connais connais connaît connaissons connaissez connaissent|connu|connaîtr",
        "construire": "construis construis construit construisons construisez construisent|construit|construir",
        "courir": "cours cours court courons courez courent|couru|courr",
        "devoir": "dois dois doit devons devez doivent|dû|devr",
        "dire": "dis dis dit disons dites disent|dit|dir",
        "dormir": "dors dors dort dormons dormez dorment|dormi|dormir",
        "endormir": "endors endors endort endormons endormez endorment|endormi|endormir",
        "envoyer": "envoie envoies envoie envoyons envoyez envoient|envoyé|enverr",
        "faire": "fais fais fait faisons faites font|fait|fer",
        "lire": "lis lis lit lisons lisez lisent|lu|lir",
        "naître": "nais nais naît naissons naissez naissent|né|naîtr",
        "ouvrir": "ouvre ouvres ouvre ouvrons ouvrez ouvrent|ouvert|ouvrir",
        "partir": "pars pars part partons partez partent|parti|partir",
        "peindre": "peins peins peint peignons peignez peignent|peint|peindr",
        "pouvoir": "peux peux peut pouvons pouvez peuvent|pu|pourr",
        "rire": "ris ris rit rions riez rient|ri|rir",
        "savoir": "sais sais sait savons savez savent|su|saur",
        "sortir": "sors sors sort sortons sortez sortent|sorti|sortir",
        "sourire": "souris souris sourit sourions souriez sourient|souri|sourir",
        "suivre": "suis suis suit suivons suivez suivent|suivi|suivr",
        "venir": "viens viens vient venons venez viennent|venu|viendr",
        "revenir": "reviens reviens revient revenons revenez reviennent|revenu|reviendr",
        "voir": "vois vois voit voyons voyez voient|vu|verr",
        "vouloir": "veux veux veut voulons voulez veulent|voulu|voudr",
        "écrire": "écris écris écrit écrivons écrivez écrivent|écrit|écrir",
        "être": "suis es est sommes êtes sont|été|ser",
        "prendre": "prends prends prend prenons prenez prennent|pris|prendr",
        "apprendre": "apprends apprends apprend apprenons apprenez apprennent|appris|apprendr",
        "comprendre": "comprends comprends comprend comprenons comprenez comprennent|compris|comprendr",
    }
)
# Stem of -er verbs before a silent ending.
FR_WEAK_STEMS: Mapping[str, str] = MappingProxyType(
    {
        "acheter": "achèt",
        "appeler": "appell",
        "espérer": "espèr",
        "lever": "lèv",
        "promener": "promèn",
        "préférer": "préfèr",
    }
)
FR_WITH_ETRE = frozenset(
    ("aller", "arriver", "venir", "revenir", "partir", "rester", "rentrer", "sortir", "tomber", "naître")
)
FR_IMPERATIVES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {"être": ("sois", "soyez", "soyons"), "avoir": ("aie", "ayez", "ayons"), "aller": ("va", "allez", "allons")}
)
# Words with an aspirated h, or a vowel before which nothing is elided.
FR_NO_ELISION = ("haricot", "hibou", "huit", "héros", "homard", "haut", "onze", "oui")
EN_VOWEL_SOUND = ("honest", "hour")
EN_CONSONANT_SOUND = ("university", "useful", "uniform", "european", "one")
