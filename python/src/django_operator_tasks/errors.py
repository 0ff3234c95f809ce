"""Failures of management commands that have a reason of their own in the resource's status."""

from django.core.management.base import CommandError

from .job.failure import TaskFailure


class MissingRow(CommandError):
    """A row that was referred to is not there; a migration may bring it."""


class TaskError(TaskFailure, CommandError):
    """A failure with a reason."""
