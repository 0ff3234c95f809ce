"""Exceptions in words, without secrets and without what a database says of the content of rows. Parses on Python
3.6."""

import os
import traceback

from .failure import UNREADABLE, is_words
from .row_values import redact_known_errors
from .scrub import LONGEST_TEXT, scrub

OTHERS = ("site-packages", "dist-packages", "django_operator_tasks", "/proc/self/fd/", "<frozen ")


def describe(error: BaseException) -> str:
    """Type, message and last frame of an exception; only the message of one that is words."""
    try:
        said = scrub(redact_known_errors(str(error)[:LONGEST_TEXT], error))
    except Exception as unreadable:  # an exception may fail at its own words
        said = UNREADABLE % type(unreadable).__name__
    if is_words(error):
        return said
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else "%s.%s" % (kind.__module__, kind.__name__)
    return "%s: %s%s" % (name, said, place(error))


def place(error: BaseException) -> str:
    """The last frame of the project's own code."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    own = [frame for frame in frames if not any(other in frame.filename for other in OTHERS)]
    last = own[-1] if own else frames[-1]
    return " (%s:%s in %s)" % (os.path.basename(last.filename), last.lineno, last.name)
