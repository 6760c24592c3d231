"""The one exception for mistakes in what the user gave: a path, a name, a key, a shape, a file."""


class InputError(ValueError):
    """A sentence that names the file or key, what was found, what was expected, and what to do.

    `train.py` and the other commands print it alone, without a stack trace.
    """
