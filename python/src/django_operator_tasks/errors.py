"""Failures of management commands that have a reason of their own in the resource's status."""

from django.core.management.base import CommandError

from .job.failure import TaskFailure


class TaskError(TaskFailure, CommandError):
    """A failure with a reason."""
