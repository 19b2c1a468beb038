"""The one exception for mistakes that a user can mend."""


class UserError(Exception):
    """A mistake in what the user gave: a file, a line, a key, a value.

    The message is one line that names the place, what was got and what is allowed. The command line prints it and
    exits with 2.
    """
