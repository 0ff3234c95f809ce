"""Failures that have a reason of their own in the resource's status. Parses on Python 3.6."""

DEFAULT_REASON = "CommandFailed"


class TaskFailure(Exception):
    """A failure with a reason, one of those that the operator knows."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def reason_of(error: BaseException) -> str:
    """The reason of a failure of this package; other exceptions have attributes of that name too, for other things."""
    return error.reason if isinstance(error, TaskFailure) else DEFAULT_REASON
