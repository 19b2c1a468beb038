"""Errors that are the user's to mend."""

import unicodedata

HEAD, TAIL = 1000, 300
"""Of a longer message so many characters from its beginning and its end are shown."""


class UserError(Exception):
    """A mistake in a file, a setting or an argument; the command line prints its message as one line and ends with 2.

    Messages quote files and arguments: what would break the line or drive a terminal is written as an escape, and what
    has no end is cut.
    """

    def __init__(self, message: str) -> None:
        if len(message) > HEAD + TAIL:
            message = f"{message[:HEAD]} [...] {message[-TAIL:]}"
        super().__init__(message if message.isprintable() else "".join(map(_shown, message)))


def _shown(char: str) -> str:
    # No-break and other odd spaces are unprintable to Python, but harmless.
    return char if char.isprintable() or unicodedata.category(char) == "Zs" else repr(char)[1:-1]
