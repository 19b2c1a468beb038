"""Guesses the encoding of a text that is not UTF-8, for error messages; nothing is decoded by a guess."""

import codecs
import unicodedata
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

# Of the hundred that Python has; a short text fits many.
_COMMON = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("iso8859_15", "koi8_r", "mac_roman", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
)

# In the order in which they are preferred. Letters beyond ASCII of the languages that are written in them, lower case.
_LATIN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # French, German, Spanish, Portuguese, Italian, Scandinavian, Icelandic, Dutch.
        "cp1252": (
            "àâæçèéêëîïôœùûüÿ",
            "äöüß",
            "áéíñóúü",
            "àáâãçéêíóôõúü",
            "àèéìîòóù",
            "åäöæøé",
            "áæéíðóöúýþ",
            "áèéëïóöü",
        ),
        # Polish, Czech and Slovak, Hungarian, Croatian and Slovene, Romanian.
        "cp1250": ("ąćęłńóśźż", "áčďéěíňóřšťúůýžäľĺŕô", "áéíóöőúüű", "čćđšž", "ăâîşţșț"),
        # Turkish.
        "cp1254": ("çğıİöşüâîû",),
        # Lithuanian, Latvian, Estonian.
        "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž"),
    }
)

_CLOSE = 0.05  # Of charset-normalizer's measure of disorder: no evidence against an encoding.


def likely_encoding(sample: bytes) -> str:
    """The encoding that a text which is not UTF-8 is likely in, by its statistics; empty if nothing fits.

    charset-normalizer cannot tell the Latin encodings of short texts apart: of those, the one is taken that gives most
    letters of one language.
    """
    # Only for a file that cannot be read: it takes a tenth of a second.
    from charset_normalizer import from_bytes

    found = from_bytes(sample, cp_isolation=list(_COMMON))
    best = found.best()
    if best is None:
        return ""
    if best.encoding not in _LATIN:
        return best.encoding
    close = {name for match in found if match.chaos <= best.chaos + _CLOSE for name in match.could_be_from_charset}
    return max((name for name in _LATIN if name in close), key=lambda name: _share(sample, name))


def _share(sample: bytes, encoding: str) -> float:
    """The largest share of the letters beyond ASCII that belong to one language of this encoding."""
    text = codecs.decode(sample, encoding, "replace")
    letters = Counter(char for char in text if not char.isascii() and unicodedata.category(char) in ("Ll", "Lu"))
    if not letters:
        return 0.0
    own = (
        sum(number for char, number in letters.items() if char in alphabet or char.lower() in alphabet)
        for alphabet in _LATIN[encoding]
    )
    return max(own) / letters.total()
