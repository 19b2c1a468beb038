"""The encoding that an error names is the one that a text was written in."""

import pytest

from wordseq.data.readers.encodings import likely_encoding


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Où est la gare ?\nMa sœur dit « non ».\n", "cp1252"),
        ("Der Hund schläft.\nGrüße aus Köln!\n", "cp1252"),
        ("Onde está a estação?\nO cão dorme.\n", "cp1252"),
        ("Dziękuję bardzo.\nŻółw śpi pod drzewem.\n", "cp1250"),
        ("Kde je nádraží?\nDěkuji vám.\nMůj bratr žije v Praze.\n", "cp1250"),
        ("Köpek uyuyor.\nTeşekkür ederim.\nYarın yağmur yağacak.\n", "cp1254"),
        ("Šuo miega.\nAčiū labai.\nRytoj snigs. Žiema. Mano sesuo gyvena Vilniuje.\n", "cp1257"),
        ("Где находится вокзал?\nСобака спит.\n", "cp1251"),
        ("Где находится вокзал?\nСобака спит.\nМоя сестра живёт в Москве.\nЗавтра будет снег.\n", "koi8_r"),
        ("Πού είναι ο σταθμός;\nΟ σκύλος κοιμάται.\n", "cp1253"),
        ("駅はどこですか。\n犬が寝ています。\n", "shift_jis"),
    ],
)
def test_the_encoding_of_a_short_text(text: str, encoding: str) -> None:
    assert likely_encoding(text.encode(encoding)) == encoding


def test_bytes_that_are_no_text_have_none() -> None:
    assert likely_encoding(bytes(range(256)) * 10) == ""
