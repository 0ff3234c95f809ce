"""The command of this name."""

from django_operator_tasks.management.commands.probe import Command

__all__ = ["Command"]
