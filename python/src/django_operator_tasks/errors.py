"""Failures that have a name of their own in the resource's status."""

from django.core.management.base import CommandError


class TaskError(CommandError):
    """A failure with a reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
