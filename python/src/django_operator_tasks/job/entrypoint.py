"""What the image's entrypoint prepares is missing where it did not run. Parses on Python 3.6."""

import os
import re
from typing import Optional

from .run_context import run_context

ADVICE = (
    "the image's entrypoint did not run, as the pod template names no command; if it prepares what is missing, set the"
    " annotation django.my.domain/entrypoint: Keep on the target"
)
# Packages that read settings from variables, and what they raise where one is missing.
MISSING_VARIABLE = ("UndefinedValueError", "EnvError", "EnvValidationError", "MissingEnvironmentVariable")
VARIABLE_WORDS = re.compile(r"(?i)\benv(?:ironment)?\b.*\bvariable|\bvariable\b.*\benv(?:ironment)?\b")


def advice_for(error: BaseException) -> str:
    """What to do where a command failed for a file or a variable that the entrypoint may bring; else empty."""
    if not run_context().get("bypassesEntrypoint"):
        return ""
    link: Optional[BaseException] = error
    for _ in range(8):
        if link is None:
            break
        if lacks_file(link) or lacks_variable(link):
            return ADVICE
        link = link.__cause__ or link.__context__
    return ""


def lacks_file(error: BaseException) -> bool:
    return isinstance(error, FileNotFoundError)


def lacks_variable(error: BaseException) -> bool:
    """Whether an exception is about a variable of the environment that is not set."""
    if isinstance(error, KeyError):
        name = error.args[0] if error.args else None
        return isinstance(name, str) and from_environ(error) and name not in os.environ
    names = [kind.__name__ for kind in type(error).__mro__]
    if any(name in MISSING_VARIABLE for name in names):
        return True
    return "ImproperlyConfigured" in names and VARIABLE_WORDS.search(str(error)) is not None


def from_environ(error: BaseException) -> bool:
    """Whether the last frame is that of `os.environ`."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    code = trace.tb_frame.f_code
    return code.co_name == "__getitem__" and os.path.basename(code.co_filename).strip("<>") in ("os.py", "frozen os")
