"""Finds the language of a text among the source languages of the server."""

from collections.abc import Sequence
from typing import NamedTuple

from py3langid.langid import MODEL_FILE, LanguageIdentifier


class Detected(NamedTuple):
    """A language that a text may be in."""

    language: str
    confidence: float
    """From 0 to 100."""


class Detector:
    """Chooses among languages. It needs no model if there is only one.

    Args:
        languages: codes of the source languages.

    Attributes:
        unknown: the languages that are never detected, because py3langid does not know them.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        self._languages = list(dict.fromkeys(languages))
        self.unknown: list[str] = []
        self._identifier: LanguageIdentifier | None = None
        if len(self._languages) == 1:
            return
        identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        # The model has codes of two letters; ours may have a country or script: pt-BR.
        self._codes = {code: code.partition("-")[0].lower() for code in self._languages}
        known = {code for code in self._codes.values() if code in identifier.labels}
        self.unknown = [code for code in self._languages if self._codes[code] not in known]
        if known:
            identifier.set_languages(sorted(known))
            self._identifier = identifier

    def detect(self, text: str) -> list[Detected]:
        """The languages of the server that a text may be in, likeliest first; at least one.

        The only language of a server has the confidence 100. Text without letters has the first language, with confidence 0.
        """
        if not any(char.isalpha() for char in text):
            return [Detected(self._languages[0], 0.0)]
        if self._identifier is None:
            return [Detected(self._languages[0], 0.0 if self.unknown else 100.0)]
        found = [
            Detected(language, round(100.0 * share, 1))
            for code, share in self._identifier.rank(text)
            for language in self._languages
            if self._codes[language] == code
        ]
        return [detected for detected in found if detected.confidence > 0] or found[:1]
