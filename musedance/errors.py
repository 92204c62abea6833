"""The one exception that stands for a user's mistake rather than ours."""


class InputError(ValueError):
    """Something the user gave cannot be used. The message is one line and says what to do about it.

    The command line prints it without a traceback and exits with code 2.
    """
