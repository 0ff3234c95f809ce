"""Failures that have a reason of their own in the resource's status. Parses on Python 3.6."""

import sys
from typing import Optional

DEFAULT_REASON = "CommandFailed"
# In place of a text whose secrets could not be taken out.
UNREADABLE = "(left out, as its secrets could not be taken out: %s)"


class TaskFailure(Exception):
    """A failure with a reason, one of those that the operator knows."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def reason_of(error: BaseException) -> str:
    """The reason of a failure of this package; other exceptions have attributes of that name too, for other things."""
    return error.reason if isinstance(error, TaskFailure) else DEFAULT_REASON


def is_words(error: Optional[BaseException]) -> bool:
    """Whether an exception was made to be read by people: a CommandError, or a failure of this package."""
    base = sys.modules.get("django.core.management.base")
    return isinstance(error, TaskFailure) or (base is not None and isinstance(error, base.CommandError))
