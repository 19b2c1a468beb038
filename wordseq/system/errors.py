"""The error class for mistakes of the user."""

import unicodedata

HEAD, TAIL = 1000, 300
"""Characters from the beginning and from the end of a longer message that are shown."""


class UserError(Exception):
    """A mistake in a file, a setting or an argument; the command line prints the message as one line and exits with 2.

    Messages quote files and arguments. So control characters are escaped, which would break the line or steer the terminal,
    and long messages are cut.
    """

    def __init__(self, message: str) -> None:
        if len(message) > HEAD + TAIL:
            message = f"{message[:HEAD]} [...] {message[-TAIL:]}"
        super().__init__(message if message.isprintable() else "".join(map(_shown, message)))


def _shown(char: str) -> str:
    # Python counts no-break and other special spaces (Zs) as unprintable, but they are harmless.
    return char if char.isprintable() or unicodedata.category(char) == "Zs" else repr(char)[1:-1]
